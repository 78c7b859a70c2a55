/* The VLA manual's list, from a few made-up sources and, where it is at hand, the real one. */
#include "tests/test.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/path.h"
#include "pipeline/sky/astro.h"
#include "pipeline/sky/calibrator.h"
#include "pipeline/sky/vlalist.h"

static const char HEAD[] =
    "IAU NAME EQUINOX  PC RA(hh,mm,ss)    DEC(ddd,mm,ss)   POS.REF "
    "ALT.NAME\n==========\n";
static const char ONE[] =
    "0137+331   J2000  A 01h37m41.299431s  33d09'35.132990\"  Aug01  3C48\n"
    "0134+329   B1950  A 01h34m49.826400s  32d54'20.259000\"\n"
    "BAND        A B C D    FLUX(Jy)    UVMIN(kL)  UVMAX(kL)\n"
    " 20cm    L  X P P P      16.50                      40\n"
    " 90cm    P  X X S S      42                         6\n"
    "0.7cm    Q  X X S S       0.0\n"
    "  6cm    C  X P P P       5.48\n\n";
static const char SOUTH[] =
    "0006-063   J2000  T 00h06m13.892894s -06d23'35.335300\"            0003-066\n"
    " 20cm    L  S X X X       1.60           45\n";
static const char NO_L[] = "0001+192   J2000  A 00h01m08.6s  19d14'33.8\"  Aug01\n"
                           "0.7cm    Q  W W W W       0.18\n";

static void sources_with_a_flux_at_20_cm_are_taken(void **state)
{
    struct calibrator *c;
    size_t n, all;
    char text[2048];
    struct err e;

    (void)state;
    snprintf(text, sizeof text, "%s%s%s%s", HEAD, ONE, NO_L, SOUTH);
    assert_int_equal(vlalist_parse(&c, &n, &all, text, &e), 0);
    assert_int_equal(all, 3);
    assert_int_equal(n, 2);
    assert_string_equal(c[0].name, "0137+331");
    assert_string_equal(c[0].alias, "3C48");
    assert_int_equal(c[0].npoint, 3);
    assert_true(c[0].freq_hz[0] == 0.3275e9 && c[0].flux_jy[0] == 42);
    assert_true(c[0].freq_hz[1] == 1.465e9 && c[0].flux_jy[1] == 16.5);
    assert_true(c[0].freq_hz[2] == 4.86e9 && c[0].flux_jy[2] == 5.48);
    assert_true(fabs(c[0].ra_rad / ASTRO_DEG - 24.42208096) < 1e-8);
    assert_string_equal(c[1].alias, "0003-066");
    assert_true(fabs(c[1].dec_rad / ASTRO_DEG + 6.39314869) < 1e-8);
    free(c);
}

static void what_cannot_be_is_refused_with_its_line(void **state)
{
    static const struct {
        const char *text, *say;
    } bad[] = {
        {"", "no line is one of a source"},
        {"{\"json\": 1}", "no line is one of a source"},
        {"0137+331 J2000 A 25h37m41.2s 33d09'35.1\" Aug01\n", "line 1: no name and"},
        {"0137+331 J2000 A 01h37m41.2s 93d09'35.1\" Aug01\n", "line 1: no name and"},
        {"0137+331 J2000 A 01h37m41.2s\n", "line 1: no name and"},
        {"x\n0137+331 J2000 A 01h37m41s 33d09'35\"\n20cm L X P P P -3\n",
         "line 3: no band"},
        {"0137+331 J2000 A 01h37m41s 33d09'35\"\n21cm Z X P P P 3\n",
         "line 2: no band"},
        {"0137+331 J2000 A 01h37m41s 33d09'35\"\n20cm L X P P P 3\n20cm L X P P P 3\n",
         "band L stands there twice"},
    };
    struct calibrator *c;
    size_t n, all;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct err e = {0};

        assert_int_equal(vlalist_parse(&c, &n, &all, bad[i].text, &e), ERR_FORMAT);
        assert_null(c);
        if (strstr(e.text, bad[i].say) == NULL)
            fail_msg("%s instead of %s", e.text, bad[i].say);
    }
}

static void angles_are_read_in_three_forms(void **state)
{
    double x;

    (void)state;
    assert_int_equal(vlalist_ra("202.78", &x), 0);
    assert_true(x == 202.78);
    assert_int_equal(vlalist_ra("13h31m08.28s", &x), 0);
    assert_true(fabs(x - 202.7845) < 1e-10);
    assert_int_equal(vlalist_ra("13:31:08.28", &x), 0);
    assert_true(fabs(x - 202.7845) < 1e-10);
    assert_int_equal(vlalist_dec("-00d30m36s", &x), 0);
    assert_true(fabs(x + 0.51) < 1e-12);
    assert_int_equal(vlalist_ra("360", &x), -EINVAL);
    assert_int_equal(vlalist_ra("24h00m00s", &x), -EINVAL);
    assert_int_equal(vlalist_dec("91", &x), -EINVAL);
    assert_int_equal(vlalist_dec("10d60m00s", &x), -EINVAL);
    assert_int_equal(vlalist_dec("ten", &x), -EINVAL);
    assert_int_equal(vlalist_dec("", &x), -EINVAL);
    assert_int_equal(vlalist_dec("nan", &x), -EINVAL);
}

static void the_real_list_is_read_whole(void **state)
{
    const char *data = shared_data();
    struct calibrator *c;
    size_t size, n, all;
    char path[512], *text;
    struct err e = {0};

    (void)state;
    if (data == NULL)
        skip();
    snprintf(path, sizeof path, "%s/calibrators/vlacals.txt", data);
    assert_int_equal(path_read(&text, &size, path, 1 << 24, &e), 0);
    if (vlalist_parse(&c, &n, &all, text, &e) != 0)
        fail_msg("%s", e.text);
    assert_int_equal(all, 1860); /* lines with J2000 */
    assert_int_equal(n, 1020);   /* with 20cm and a flux that is not 0 or ? */
    free(c);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sources_with_a_flux_at_20_cm_are_taken),
        cmocka_unit_test(what_cannot_be_is_refused_with_its_line),
        cmocka_unit_test(angles_are_read_in_three_forms),
        cmocka_unit_test(the_real_list_is_read_whole),
    };

    return cmocka_run_group_tests_name("vlalist", tests, NULL, NULL);
}
