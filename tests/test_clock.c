#include "tests/test.h"

#include "core/clock.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <time.h>

/* Pairs from GNU date: date -u -d 2026-11-22T01:15:16 +%s; 951782400 is 29 February 2000. */
static const struct {
    const char *iso;
    double unix_s;
} pairs[] = {
    {"2026-11-22T01:15:16", 1795310116}, {"2000-02-29T00:00:00", 951782400},
    {"1970-01-01T00:00:00", 0},          {"1969-12-31T23:59:59", -1},
    {"2099-12-31T23:59:59", 4102444799},
};

static void times_are_read_as_gnu_date_reads_them(void **state)
{
    double t;

    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        assert_int_equal(clock_parse(pairs[i].iso, &t), 0);
        assert_true(t == pairs[i].unix_s);
    }
}

static void only_the_first_19_characters_count(void **state)
{
    double t;

    (void)state;
    assert_int_equal(clock_parse("2026-11-22T01:15:16_sb03.hdf5", &t), 0);
    assert_true(t == 1795310116);
}

static void what_is_no_time_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "2026-11-22",
        "2026-11-22T01:15:1",
        "2026-11-22 01:15:16",
        "2026-11-22T01:15:1x",
        "2026-13-22T01:15:16",
        "2026-00-22T01:15:16",
        "2026-02-29T01:15:16", /* 2026 is no leap year */
        "2026-11-31T01:15:16",
        "2026-11-22T24:00:00",
        "2026-11-22T01:60:16",
        "2026-11-22T01:15:60",
        "+026-11-22T01:15:16",
    };
    double t = 7;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(clock_parse(bad[i], &t), -EINVAL);
    assert_true(t == 7);
}

static void a_time_is_printed_in_utc_with_milliseconds(void **state)
{
    char s[32];

    (void)state;
    setenv("TZ", "America/Los_Angeles", 1);
    tzset();
    clock_iso(1795310116.123, s);
    assert_string_equal(s, "2026-11-22T01:15:16.123Z");
    clock_iso(1795310116.9999, s); /* downwards: not a time to come */
    assert_string_equal(s, "2026-11-22T01:15:16.999Z");
    clock_iso(-0.25, s);
    assert_string_equal(s, "1969-12-31T23:59:59.750Z");
    clock_iso(NAN, s);
    assert_string_equal(s, "unknown");
}

static void the_clocks_are_the_kernels(void **state)
{
    struct timespec t;
    double boot = clock_boot_s();

    (void)state;
    assert_true(clock_boot_s() >= boot);
    clock_gettime(CLOCK_BOOTTIME, &t);
    assert_true(fabs((double)t.tv_sec - boot) < 10);
    assert_true(fabs((double)time(NULL) - clock_wall_s()) < 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_read_as_gnu_date_reads_them),
        cmocka_unit_test(only_the_first_19_characters_count),
        cmocka_unit_test(what_is_no_time_is_refused),
        cmocka_unit_test(a_time_is_printed_in_utc_with_milliseconds),
        cmocka_unit_test(the_clocks_are_the_kernels),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
