/*
 * Numbers from astropy 5.2.1 (bundled IERS-B), at JD 2459122.3002410 for 37.2314 N,
 * 118.2817 W, 1222 m: SkyCoord.transform_to(CIRS) turned by the Earth rotation angle,
 * sidereal_time("apparent"), EarthLocation, SkyOffsetFrame.  judge_astro.py goes on from
 * here with five dates and places, and with the topocentric frame.
 */
#include "tests/test.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "pipeline/sky/astro.h"

/* cmocka's assert_float_equal compares floats. */
#define assert_near(got, want, tolerance)                                              \
    do {                                                                               \
        double got_ = (got), want_ = (want);                                           \
        if (!(fabs(got_ - want_) <= (tolerance)))                                      \
            fail_msg("%.17g instead of %.17g", got_, want_);                           \
    } while (0)

static const double JD = 2459122.3002410, DUT1_S = -0.17378433189039305;
static const struct site OVRO = {37.2314 * ASTRO_DEG, -118.2817 * ASTRO_DEG, 1222};

static struct astro_epoch epoch(void)
{
    struct astro_epoch ep;

    astro_epoch_init(&ep, JD, &(struct earth){DUT1_S, 0, 0}, NULL);
    return ep;
}

static void the_apparent_place_of_a_calibrator_is_astropys(void **state)
{
    struct astro_epoch ep = epoch();
    double v[3];

    (void)state;
    astro_icrs_to_itrf(&ep, 128.72877 * ASTRO_DEG, 55.57252 * ASTRO_DEG, v);
    assert_near(v[0], -0.5539874388178277, 1e-9); /* 0.2 mas */
    assert_near(v[1], -0.11802045604523206, 1e-9);
    assert_near(v[2], 0.8241171576826557, 1e-9);
}

static void itrf_to_icrs_undoes_icrs_to_itrf(void **state)
{
    struct astro_epoch ep = epoch();

    (void)state;
    for (int i = 0; i < 40; i++) {
        double ra = 0.157 * i, dec = 1.5 * sin(i), v[3], ra2, dec2;

        astro_icrs_to_itrf(&ep, ra, dec, v);
        astro_itrf_to_icrs(&ep, v, &ra2, &dec2);
        assert_true(astro_separation(ra, dec, ra2, dec2) < 1e-10);
        assert_true(ra2 >= 0 && ra2 < 6.2831853072);
    }
}

static void the_meridian_point_is_astropys(void **state)
{
    struct astro_epoch ep = epoch();
    double v[3], ra, dec;

    (void)state;
    astro_meridian(&OVRO, 54.5734 * ASTRO_DEG, v);
    astro_itrf_to_icrs(&ep, v, &ra, &dec);
    assert_near(ra / ASTRO_DEG, 178.54971111588546, 1e-7);
    assert_near(dec / ASTRO_DEG, 54.68636567419287, 1e-7);
}

static void the_sidereal_time_is_astropys(void **state)
{
    (void)state;
    assert_near(astro_lst(JD, DUT1_S, OVRO.lon_rad), 3.1207631464072274, 1e-9);
}

static void the_site_is_where_astropy_puts_it(void **state)
{
    double xyz[3];

    (void)state;
    astro_site_xyz(&OVRO, xyz);
    assert_near(xyz[0], -2409530.9381540837, 1e-3);
    assert_near(xyz[1], -4478410.679586582, 1e-3);
    assert_near(xyz[2], 3838610.7905518697, 1e-3);
}

static void direction_cosines_count_east_and_north(void **state)
{
    double ra, dec;
    double ra0 = 10 * ASTRO_DEG, dec0 = 20 * ASTRO_DEG, ra1 = 11.5 * ASTRO_DEG,
           dec1 = 19.2 * ASTRO_DEG;

    (void)state;
    astro_lm_to_radec(ra0, dec0, 0.024720891426883416, -0.013851497765531297, &ra,
                      &dec);
    assert_near(ra, ra1, 1e-14);
    assert_near(dec, dec1, 1e-14);
    assert_near(astro_separation(ra0, dec0, ra1, dec1), 0.028340809523864568, 1e-15);
}

static void zero_hours_is_no_seam(void **state)
{
    double ra, dec, da = 0.005 - 6.28; /* 0.0082 rad to the east */

    (void)state;
    astro_lm_to_radec(6.28, 0.3, cos(0.3) * sin(da),
                      sin(0.3) * cos(0.3) * (1 - cos(da)), &ra, &dec);
    assert_near(ra, 0.005, 1e-12);
    assert_near(dec, 0.3, 1e-12);
}

/* Closed form: the delay difference of source and centre is what u, v, w say of it. */
static void the_uvw_basis_gives_the_phase_of_a_source_off_centre(void **state)
{
    static const double off[][2] = {{0.012, 0.003}, {-0.004, 0.015}, {0.02, -0.011}};
    const double b[3] = {1201.5, -713.2, 640.8};
    double basis[3][3], uvw[3], centre[3], s[3], ra, dec;
    struct astro_epoch ep = epoch();

    (void)state;
    astro_uvw_basis(&ep, 3.1, 0.95, basis);
    for (int k = 0; k < 3; k++)
        uvw[k] = basis[k][0] * b[0] + basis[k][1] * b[1] + basis[k][2] * b[2];
    astro_icrs_to_itrf(&ep, 3.1, 0.95, centre);
    for (int i = 0; i < 3; i++) {
        double l = off[i][0], m = off[i][1], n1 = sqrt(1 - l * l - m * m) - 1,
               delay = 0;

        astro_lm_to_radec(3.1, 0.95, l, m, &ra, &dec);
        astro_icrs_to_itrf(&ep, ra, dec, s);
        for (int k = 0; k < 3; k++)
            delay += b[k] * (s[k] - centre[k]);
        /* 0.01 arcsec (second-order aberration) on 1.54 km: 0.075 mm */
        assert_near(uvw[0] * l + uvw[1] * m + uvw[2] * n1, delay, 1e-4);
    }
}

static void times_go_to_iso_and_back(void **state)
{
    static const char *const refused[] = {"",
                                          "2026-01-25",
                                          "2026-01-25T22:26",
                                          "2026-13-25T22:26:05",
                                          "2026-01-25T24:26:05",
                                          "2026-01-25T22:26:05+01:00",
                                          "2026-01-25T22:26:nan",
                                          "2026-02-30T22:26:05"};
    double jd;
    char iso[20];

    (void)state;
    assert_int_equal(astro_iso_to_jd("2026-01-25T22:26:05.25", &jd), 0);
    assert_near(jd, 2461066.434782986, 1e-9);
    astro_jd_to_iso(jd, iso);
    assert_string_equal(iso, "2026-01-25T22:26:05");
    astro_jd_to_iso(2459122.3002410, iso);
    assert_string_equal(iso, "2020-09-29T19:12:21"); /* .822 s is rounded up */
    astro_jd_to_iso(2461041.4999999, iso);           /* 0.01 s before midnight */
    assert_string_equal(iso, "2026-01-01T00:00:00");
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        assert_int_equal(astro_iso_to_jd(refused[i], &jd), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_apparent_place_of_a_calibrator_is_astropys),
        cmocka_unit_test(itrf_to_icrs_undoes_icrs_to_itrf),
        cmocka_unit_test(the_meridian_point_is_astropys),
        cmocka_unit_test(the_sidereal_time_is_astropys),
        cmocka_unit_test(the_site_is_where_astropy_puts_it),
        cmocka_unit_test(direction_cosines_count_east_and_north),
        cmocka_unit_test(zero_hours_is_no_seam),
        cmocka_unit_test(the_uvw_basis_gives_the_phase_of_a_source_off_centre),
        cmocka_unit_test(times_go_to_iso_and_back),
    };

    return cmocka_run_group_tests_name("astro", tests, NULL, NULL);
}
