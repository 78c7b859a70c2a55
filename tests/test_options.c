#include "tests/test.h"

#include <getopt.h>
#include <stdbool.h>
#include <string.h>
#include <sysexits.h>

#include "tools/common/options.h"

static struct given {
    bool json;
    const char *name;
    long limit;
    double gain, older_s;
    char words[64];
} given;

static const struct option_row rows[] = {
    {"json", 'j', OPTION_FLAG, offsetof(struct given, json), 0, 0},
    {"name", 'n', OPTION_TEXT, offsetof(struct given, name), 0, 0},
    {"limit", 'l', OPTION_WHOLE, offsetof(struct given, limit), -2, 9e18},
    {"gain", 0, OPTION_REAL, offsetof(struct given, gain), -1, 1},
    {"older", 'o', OPTION_TIME, offsetof(struct given, older_s), 0, 0},
    {"stop", 's', OPTION_DO, 0, 0, 0},
    {"word", 'w', OPTION_OWN, 0, 0, 0},
};

static int take(void *into, char letter, const char *text)
{
    struct given *g = into;

    if (letter == 's')
        return 7;
    strcat(strcat(g->words, letter == OPTIONS_WORD ? "." : "="), text);
    return OPTIONS_GO_ON;
}

static struct options options;

/* What the words, ended by NULL, give. */
static int taken(const char *shorts, const char *const *word)
{
    char *argv[16] = {(char *)"prog"};
    int argc = 1;

    while (*word != NULL)
        argv[argc++] = (char *)*word++;
    options = (struct options){.program = "prog",
                               .shorts = shorts,
                               .row = rows,
                               .n = sizeof rows / sizeof rows[0],
                               .into = &given,
                               .take = take};
    memset(&given, 0, sizeof given);
    optind = 0; /* begin anew: getopt(3) */
    return options_take(&options, argc, argv);
}

#define TAKEN(shorts, ...) taken(shorts, (const char *const[]){__VA_ARGS__, NULL})

static void each_value_goes_to_its_place(void **state)
{
    (void)state;
    assert_int_equal(TAKEN("n:", "--json", "-n", "x", "--limit", "-2", "--gain=0.5",
                           "--older", "2w", "--word", "y", "rest"),
                     OPTIONS_GO_ON);
    assert_true(given.json && given.gain == 0.5 && given.older_s == 14 * 86400.0);
    assert_string_equal(given.name, "x");
    assert_int_equal(given.limit, -2);
    assert_string_equal(given.words, "=y");
    assert_string_equal(options.seen, "jnlow");
    assert_int_equal(optind, 11); /* at "rest" */
}

static void words_among_the_options_are_taken_in_their_order(void **state)
{
    (void)state;
    assert_int_equal(TAKEN("-", "a", "--word", "b", "c"), OPTIONS_GO_ON);
    assert_string_equal(given.words, ".a=b.c");
}

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    assert_int_equal(TAKEN("", "--limit", "-3"), EX_USAGE);
    assert_int_equal(TAKEN("", "--limit", "1x"), EX_USAGE);
    assert_int_equal(TAKEN("", "--limit", "9223372036854775808"), EX_USAGE);
    assert_int_equal(TAKEN("", "--gain", "nan"), EX_USAGE);
    assert_int_equal(TAKEN("", "--gain", "1.1"), EX_USAGE);
    assert_int_equal(TAKEN("", "--older", "soon"), EX_USAGE);
    assert_int_equal(TAKEN("", "--name"), EX_USAGE);
    assert_int_equal(TAKEN("", "--nosuch"), EX_USAGE);
    assert_int_equal(TAKEN("", "-j"),
                     EX_USAGE); /* the letter alone makes no short one */
}

static void the_programs_own_answer_ends_it(void **state)
{
    (void)state;
    assert_int_equal(TAKEN("", "--stop", "--limit", "x"), 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_value_goes_to_its_place),
        cmocka_unit_test(words_among_the_options_are_taken_in_their_order),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(the_programs_own_answer_ends_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
