/*
 * UT1 and the pole.  Numbers are IERS C04's at 0h of days that the table in the program leaves
 * out; judge_astro.py compares what comes of them with astropy.
 */
#include "tests/test.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "core/err.h"
#include "pipeline/sky/earth.h"

static struct earth_note note;

static struct earth at(const struct earth_table *t, double mjd, double given,
                       double file)
{
    struct earth earth;

    earth_at(t, mjd + ASTRO_MJD0_JD, given, file, &earth, &note);
    return earth;
}

static void near(double got, double want, double tolerance)
{
    if (!(fabs(got - want) <= tolerance))
        fail_msg("%.9g instead of %.9g", got, want);
}

static void days_between_are_the_iers_own(void **state)
{
    static const double day[][4] = {/* MJD, UT1-UTC s, x, y arcsec */
                                    {54833, 0.4059555, -0.020459, 0.147402},
                                    {55413, -0.0481275, 0.147707, 0.462578},
                                    {56109, 0.4132316, 0.094001, 0.409204},
                                    {57001, -0.4334766, 0.065125, 0.264334},
                                    {57753, -0.4077492, 0.081284, 0.263013},
                                    {58661, -0.1745257, 0.153050, 0.422505},
                                    {59123, -0.1734352, 0.193592, 0.324399},
                                    {59911, -0.0193141, 0.153168, 0.190278}};
    struct earth_table *t;
    struct err e;

    (void)state;
    assert_int_equal(earth_table_read(&t, NULL, &e), 0);
    for (size_t i = 0; i < sizeof day / sizeof day[0]; i++) {
        struct earth earth = at(t, day[i][0], NAN, NAN);

        near(earth.dut1_s, day[i][1], 1e-4);
        near(earth.x_rad / ASTRO_ARCSEC, day[i][2], 1e-3);
        near(earth.y_rad / ASTRO_ARCSEC, day[i][3], 1e-3);
        assert_int_equal(note.source, EARTH_TABLE);
    }
    earth_table_free(t);
}

static void a_leap_second_is_a_step_of_utc_alone(void **state)
{
    struct earth_table *t;
    struct err e;
    double before, after;

    (void)state;
    assert_int_equal(earth_table_read(&t, NULL, &e), 0);
    before = at(t, 57753.9999, NAN, NAN).dut1_s; /* 2016-12-31 */
    after = at(t, 57754.0001, NAN, NAN).dut1_s;
    near(after - before, 1, 1e-4);
    earth_table_free(t);
}

static void behind_its_end_the_table_says_how_far_off_it_may_be(void **state)
{
    struct earth_table *t;
    struct earth last, later;
    struct err e;

    (void)state;
    assert_int_equal(earth_table_read(&t, "", &e), 0);
    last = at(t, 59912, NAN, NAN);
    later = at(t, 61066, NAN, NAN); /* 2026-01-26 */
    near(later.dut1_s, last.dut1_s, 0);
    assert_int_equal(note.source, EARTH_STALE);
    assert_true(note.error_arcsec > 0.5 && note.error_arcsec < 1.5);
    assert_non_null(strstr(note.text, "ends on 2022-11-29, 1154 days before"));
    near(at(t, 50000, NAN, NAN).dut1_s, 0, 0);
    assert_int_equal(note.source, EARTH_ABSENT);
    assert_non_null(strstr(note.text, "UT1 is taken for UTC"));
    earth_table_free(t);
}

static void what_the_data_and_the_settings_say_is_heard(void **state)
{
    struct earth_table *t;
    struct err e;

    (void)state;
    assert_int_equal(earth_table_read(&t, NULL, &e), 0);
    near(at(t, 61066, NAN, 0.0499).dut1_s, 0.0499, 0); /* the table knows no better */
    assert_int_equal(note.source, EARTH_FILE);
    near(at(t, 59122, NAN, -0.1738).dut1_s, -0.1738, 1e-3);
    assert_int_equal(note.source, EARTH_TABLE);
    assert_null(strstr(note.text, "the data's header"));
    assert_true(at(t, 59122, NAN, 0.3).dut1_s < -0.17); /* the table knows better */
    assert_non_null(strstr(note.text, "the data's header has UT1-UTC +0.3000 s"));
    assert_non_null(strstr(note.text, "7.1 arcsec apart"));
    near(at(t, 59122, 0.25, 0.3).dut1_s, 0.25, 0);
    assert_int_equal(note.source, EARTH_GIVEN);
    assert_true(at(t, 59122, 0, 0).dut1_s < -0.17); /* 0 says nothing */
    earth_table_free(t);
}

static void put(const char *text)
{
    FILE *f = fopen("t", "w");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void a_file_takes_the_tables_place_in_two_forms(void **state)
{
    static const struct {
        const char *text, *say;
    } bad[] = {
        {"", "fewer than four days"},
        {"mjd,ut1\n59000,0.1,0.2\n", "line 2: neither"},
        {"59000,0.1,0.2,0.3\n59000,0.1,0.2,0.3\n", "line 2: MJD 59000"},
        {"59000,0.1,0.2,0.3\n59001,7,0.2,0.3\n", "line 2: MJD 59001"},
        {"<html>not found</html>\n", "line 1: neither"},
    };
    struct earth_table *t;
    struct err e = {0};

    (void)state;
    put("# "
        "ours\n59000,0.1,0.2,0.3\n59001,0.1,0.2,0.3\n59003,0.1,0.2,0.3\n59004,0.1,0.2,"
        "0.3\r\n");
    if (earth_table_read(&t, "t", &e) != 0)
        fail_msg("%s", e.text);
    near(at(t, 59002.5, NAN, NAN).dut1_s, 0.1, 1e-9);
    earth_table_free(t);
    put("20 917 59109.00 I  0.180000 0.000033  0.330000 0.000044  I-0.1700000 "
        "0.0000082\n"
        "20 918 59110.00 I  0.180000 0.000033  0.330000 0.000044  I-0.1700000 "
        "0.0000082\n"
        "20 919 59111.00 P  0.180000 0.000033  0.330000 0.000044  P-0.1700000 "
        "0.0000082\n"
        "20 920 59112.00 P  0.180000 0.000033  0.330000 0.000044  P-0.1700000 "
        "0.0000082\n"
        "20 921 59113.00\n");
    if (earth_table_read(&t, "t", &e) != 0)
        fail_msg("%s", e.text);
    near(at(t, 59110.5, NAN, NAN).dut1_s, -0.17, 1e-9);
    near(at(t, 59110.5, NAN, NAN).y_rad / ASTRO_ARCSEC, 0.33, 1e-9);
    earth_table_free(t);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        put(bad[i].text);
        assert_int_equal(earth_table_read(&t, "t", &e), ERR_FORMAT);
        assert_null(t);
        if (strstr(e.text, bad[i].say) == NULL)
            fail_msg("%s", e.text);
    }
    assert_int_equal(earth_table_read(&t, "nowhere", &e), -ENOENT);
}

static void the_iers_file_at_hand_agrees_with_the_table(void **state)
{
    const char *data = shared_data();
    struct earth_table *ours, *theirs;
    char path[512];
    struct err e = {0};

    (void)state;
    if (data == NULL)
        skip();
    snprintf(path, sizeof path, "%s/iers/finals2000A.all", data);
    if (earth_table_read(&theirs, path, &e) != 0)
        fail_msg("%s", e.text);
    assert_int_equal(earth_table_read(&ours, NULL, &e), 0);
    for (double mjd = 54900.3; mjd < 58600; mjd += 111) {
        struct earth a = at(ours, mjd, NAN, NAN), b = at(theirs, mjd, NAN, NAN);

        near(a.dut1_s, b.dut1_s, 1.5e-4); /* two services */
        near(a.x_rad / ASTRO_ARCSEC, b.x_rad / ASTRO_ARCSEC, 2e-3);
        near(a.y_rad / ASTRO_ARCSEC, b.y_rad / ASTRO_ARCSEC, 2e-3);
    }
    earth_table_free(ours);
    earth_table_free(theirs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(days_between_are_the_iers_own),
        cmocka_unit_test(a_leap_second_is_a_step_of_utc_alone),
        cmocka_unit_test(behind_its_end_the_table_says_how_far_off_it_may_be),
        cmocka_unit_test(what_the_data_and_the_settings_say_is_heard),
        OWN_DIR(a_file_takes_the_tables_place_in_two_forms),
        cmocka_unit_test(the_iers_file_at_hand_agrees_with_the_table),
    };

    return cmocka_run_group_tests_name("earth", tests, NULL, NULL);
}
