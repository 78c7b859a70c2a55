#include "tests/test.h"

#include <jansson.h>
#include <string.h>

#include "core/err.h"
#include "core/jsonkeys.h"

static const char *const keys[] = {"lufs", "lra", "bpm"};
static bool has[3];

static int find(const char *text)
{
    return jsonkeys_find(text, strlen(text), keys, 3, has);
}

static void members_of_the_outermost_object_count_and_null_does_not(void **state)
{
    (void)state;
    assert_int_equal(find(" {\"lra\" : 0, \"lufs\":null,\n\"x\": {\"bpm\": 1}, \"y\": "
                          "[\"bpm\", {\"bpm\": 2}], \"z\": \"\\\"bpm\\\": 1\"} "),
                     0);
    assert_false(has[0]);
    assert_true(has[1]);
    assert_false(has[2]);
    assert_int_equal(
        find("{\"lufs\": null, \"bpm\": false, \"lufs\": [], \"lra\": \"\"}"), 0);
    assert_true(has[0] && has[1] && has[2]); /* of two equal names the last counts */
    assert_int_equal(find("{\"lufs\": NaN, \"lra\": -Infinity}"),
                     0); /* Python writes them */
    assert_true(has[0] && has[1] && !has[2]);
}

/* jansson, another parser, says what is JSON; every cut and every changed byte of a text. */
static void what_jansson_refuses_is_refused_with_nothing_found(void **state)
{
    static const char text[] = "{\"lufs\":-1.5e+3,\"lra\":[1,{},[]],\"bpm\":{\"a\":"
                               "true,\"b\":null},\"t\":\"\\u00e9\\n\"}";
    static const char other[] = "\"\\{}[],:0a.-en \t";
    char copy[sizeof text];
    size_t accepted = 0, refused = 0;

    (void)state;
    for (size_t n = 0; n < sizeof text - 1; n++) {
        assert_int_equal(jsonkeys_find(text, n, keys, 3, has), ERR_FORMAT);
        assert_false(has[0] || has[1] || has[2]);
    }
    for (size_t i = 0; i < sizeof text - 1; i++)
        for (const char *c = other; *c != '\0'; c++) {
            json_t *judge;
            int rc;

            memcpy(copy, text, sizeof text);
            copy[i] = *c;
            rc = find(copy);
            judge = json_loads(copy, 0, NULL);
            if (rc == 0 && json_object_size(judge) > 0)
                for (size_t k = 0; k < 3; k++)
                    assert_int_equal(has[k], json_object_get(judge, keys[k]) != NULL);
            accepted += rc == 0;
            refused += rc != 0;
            /* \uXXXX and leading zeros are not looked into */
            if (rc != 0 && judge != NULL)
                fail_msg("jansson takes %s", copy);
            if (rc == 0 && judge == NULL && strstr(copy, "\\u") == NULL &&
                strstr(copy, "-0") == NULL && strstr(copy, "[0") == NULL)
                fail_msg("jansson refuses %s", copy);
            json_decref(judge);
        }
    assert_true(accepted > 50 && refused > 500);
}

static void deep_and_foreign_texts_are_refused_and_not_crashed_on(void **state)
{
    static char deep[20000];

    (void)state;
    assert_int_equal(find(""), ERR_FORMAT);
    assert_int_equal(find("[]"), ERR_FORMAT);
    assert_int_equal(find("{} {}"), ERR_FORMAT);
    assert_int_equal(find("{}"), 0);
    memset(deep, '[', sizeof deep - 1);
    memcpy(deep, "{\"a\":", 5);
    assert_int_equal(find(deep), ERR_FORMAT);
    assert_int_equal(jsonkeys_find("{\0}", 3, keys, 3, has), ERR_FORMAT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_of_the_outermost_object_count_and_null_does_not),
        cmocka_unit_test(what_jansson_refuses_is_refused_with_nothing_found),
        cmocka_unit_test(deep_and_foreign_texts_are_refused_and_not_crashed_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
