#include "tests/test.h"

#include "core/log.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

static int saved_stderr, stream[2];

/* stderr becomes a pipe: what one write(2) puts in, one read takes out. */
static int catch_stderr(void **state)
{
    (void)state;
    saved_stderr = dup(STDERR_FILENO);
    return pipe(stream) == 0 && dup2(stream[1], STDERR_FILENO) != -1 ? 0 : -1;
}

static int free_stderr(void **state)
{
    (void)state;
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    close(stream[0]);
    close(stream[1]);
    unsetenv("JOURNAL_STREAM");
    log_set_level(LOG_INFO);
    return 0;
}

/* What the last log_event wrote, behind the time and its space. */
static const char *caught(void)
{
    static char buf[2 * PIPE_BUF];
    ssize_t n = read(stream[0], buf, sizeof buf - 1);

    assert_true(n > 0);
    buf[n] = '\0';
    assert_int_equal(buf[n - 1], '\n');
    if (buf[0] == '<')
        return buf;
    assert_true(n > 25 && buf[10] == 'T' && buf[23] == 'Z' && buf[24] == ' ');
    return buf + 25;
}

static void an_event_is_one_line_of_pairs(void **state)
{
    (void)state;
    log_event(LOG_INFO, "settled", "file", "/data/in/x.hdf5", "bytes", log_u(118000),
              "age_s", log_f(2.126, 2), "delta", log_d(-3), NULL);
    assert_string_equal(caught(), "level=info event=settled file=/data/in/x.hdf5 "
                                  "bytes=118000 age_s=2.13 delta=-3\n");
}

static void values_cannot_break_the_line(void **state)
{
    (void)state;
    log_event(LOG_WARN, "x", "a", "two words", "b", "say \"hi\"", "c", "k=v", "d", "",
              "e", "a\nlevel=error", "f", "\x1b[31m", "g", "back\\slash", "h", NULL,
              NULL);
    assert_string_equal(caught(),
                        "level=warn event=x a=\"two words\" b=\"say \\\"hi\\\"\" "
                        "c=\"k=v\" d=\"\" e=\"a\\nlevel=error\" f=\"\\x1b[31m\" "
                        "g=\"back\\\\slash\" h=\"\"\n");
}

static void letters_of_utf8_stay_and_stray_bytes_are_escaped(void **state)
{
    (void)state;
    log_event(LOG_INFO, "x", "ok",
              "Malarg\xc3\xbc"
              "e",
              "bad", "a\xffz", "surrogate", "\xed\xa0\x80", "half", "\xe2\x82", NULL);
    assert_string_equal(caught(),
                        "level=info event=x ok=Malarg\xc3\xbc"
                        "e bad=\"a\\xffz\" "
                        "surrogate=\"\\xed\\xa0\\x80\" half=\"\\xe2\\x82\"\n");
}

static void a_line_is_never_longer_than_a_pipe_takes_whole(void **state)
{
    char *big = malloc(3 * PIPE_BUF);
    const char *line;

    (void)state;
    memset(big, 'x', 3 * PIPE_BUF - 1);
    big[3 * PIPE_BUF - 1] = '\0';
    log_event(LOG_ERROR, "failed", "task", "7", "error", big, NULL);
    line = caught();
    assert_true(strlen(line) <= PIPE_BUF);
    assert_non_null(strstr(line, "event=failed task=7 "));
    assert_string_equal(line + strlen(line) - 9, " cut=yes\n");
    free(big);
}

static void the_level_keeps_events_back(void **state)
{
    (void)state;
    log_event(LOG_DEBUG, "unseen", NULL);
    log_set_level(LOG_WARN);
    log_event(LOG_INFO, "unseen", NULL);
    log_event(LOG_ERROR, "seen", NULL);
    assert_string_equal(caught(), "level=error event=seen\n");
}

static void terminal_controls_above_ascii_are_escaped_too(void **state)
{
    (void)state;
    log_event(LOG_INFO, "x", "file",
              "a\xc2\x9b"
              "2J\nb",
              NULL);
    assert_non_null(strstr(caught(), " file=\"a\\xc2\\x9b2J\\nb\"\n"));
}

static void journald_gets_priorities_only_on_its_own_stream(void **state)
{
    char set[64];
    struct stat st;

    (void)state;
    assert_int_equal(fstat(STDERR_FILENO, &st), 0);
    snprintf(set, sizeof set, "%llu:%llu", (unsigned long long)st.st_dev,
             (unsigned long long)st.st_ino);
    setenv("JOURNAL_STREAM", set, 1);
    log_event(LOG_ERROR, "failed", NULL);
    assert_string_equal(caught(), "<3>level=error event=failed\n");

    snprintf(set, sizeof set, "%llu:%llu", (unsigned long long)st.st_dev,
             (unsigned long long)st.st_ino + 1);
    setenv("JOURNAL_STREAM", set, 1); /* another stream: stderr was redirected */
    log_event(LOG_ERROR, "failed", NULL);
    assert_string_equal(caught(), "level=error event=failed\n");
}

static void sixteen_numbers_fit_into_one_event(void **state)
{
    const char *first = log_u(1);

    (void)state;
    for (unsigned i = 2; i <= 16; i++)
        log_u(i);
    assert_string_equal(first, "1");
    assert_string_equal(log_f(1e300, 3), "1e+300");
    assert_string_equal(log_u(18446744073709551615ULL), "18446744073709551615");
}

#define CAUGHT(test) cmocka_unit_test_setup_teardown(test, catch_stderr, free_stderr)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CAUGHT(an_event_is_one_line_of_pairs),
        CAUGHT(values_cannot_break_the_line),
        CAUGHT(letters_of_utf8_stay_and_stray_bytes_are_escaped),
        CAUGHT(a_line_is_never_longer_than_a_pipe_takes_whole),
        CAUGHT(the_level_keeps_events_back),
        CAUGHT(terminal_controls_above_ascii_are_escaped_too),
        CAUGHT(journald_gets_priorities_only_on_its_own_stream),
        CAUGHT(sixteen_numbers_fit_into_one_event),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
