/* test_err.c: a failure keeps its code, its sentence and errno; every code has a name. */
#include "core/err.h"
#include "tests/test.h"

#include <errno.h>
#include <string.h>

static void
a_failure_is_handed_back_with_its_sentence_and_leaves_errno_alone(void **state)
{
    struct err e = {0};

    (void)state;
    errno = EINTR;
    assert_int_equal(err_set(&e, -ENOENT, "no such group: %s", "g1"), -ENOENT);
    assert_int_equal(errno, EINTR);
    assert_int_equal(e.code, -ENOENT);
    assert_string_equal(e.text, "no such group: g1");
    assert_int_equal(err_set(NULL, ERR_SHAPE, "nobody listens"), ERR_SHAPE);
}

static void a_sentence_that_is_too_long_is_cut(void **state)
{
    struct err e = {0};

    (void)state;
    err_set(&e, -EIO, "%0400d", 1);
    assert_int_equal(strlen(e.text), sizeof e.text - 1);
}

static void what_would_speak_to_a_terminal_is_escaped(void **state)
{
    struct err e = {0};

    (void)state;
    err_set(&e, -EIO,
            "a\x1b[2Jb\nc\xc2\x9b"
            "d\xff\xc3\xa9\\x41");
    assert_string_equal(e.text, "a\\x1b[2Jb\\x0ac\\xc2\\x9bd\\xff\xc3\xa9\\x41");
    err_set(&e, -EIO, "%0253d\xc3\xa9", 1); /* cut within a character */
    assert_int_equal(e.text[252], '1');
    err_set(&e, -EIO, "%0254d\xc3\xa9", 1);
    assert_int_equal(e.text[253], '1');
    assert_int_equal(e.text[254], '\0');
}

static void every_code_has_a_name_and_a_text_of_its_own(void **state)
{
    static const struct {
        int code, number;
        const char *name;
    } list[] = {
#define ROW(name, number, text) {name, number, #name},
        ERR_LIST(ROW)
#undef ROW
    };
    const size_t n = sizeof list / sizeof list[0];

    (void)state;
    assert_true(n >= 6);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(list[i].code, list[i].number);
        assert_true(list[i].code < -10000);
        assert_string_equal(err_name(list[i].code), list[i].name);
        assert_string_not_equal(err_text(list[i].code), "unknown error");
        for (size_t k = 0; k < i; k++) {
            assert_int_not_equal(list[i].code, list[k].code);
            assert_string_not_equal(err_text(list[i].code), err_text(list[k].code));
        }
    }
}

static void what_is_not_ours_is_an_errno_or_unknown(void **state)
{
    (void)state;
    assert_string_equal(err_name(-EBUSY), "EBUSY");
    assert_string_equal(err_text(-ENOSPC), "No space left on device");
    assert_string_equal(err_name(0), "0");
    assert_string_equal(err_name(-9999), "unknown");
    assert_string_equal(err_text(-9999), "unknown error");
    assert_string_equal(err_name(1), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            a_failure_is_handed_back_with_its_sentence_and_leaves_errno_alone),
        cmocka_unit_test(a_sentence_that_is_too_long_is_cut),
        cmocka_unit_test(what_would_speak_to_a_terminal_is_escaped),
        cmocka_unit_test(every_code_has_a_name_and_a_text_of_its_own),
        cmocka_unit_test(what_is_not_ours_is_an_errno_or_unknown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
