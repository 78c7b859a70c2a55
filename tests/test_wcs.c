/*
 * The projection against numbers of wcslib 7 (astropy 5.2, WCS.wcs_pix2world with
 * LONPOLE = 180) and against closed forms.
 */
#include "tests/test.h"

#include <errno.h>
#include <math.h>

#include "pipeline/sky/wcs.h"

#define DEG (M_PI / 180.0)

static void near_at(double got, double want, double tolerance, int line)
{
    if (!(fabs(got - want) <= tolerance))
        fail_msg("line %d: %.17g is not within %g of %.17g", line, got, tolerance,
                 want);
}
#define assert_near(got, want, tolerance) near_at(got, want, tolerance, __LINE__)

struct known {
    double ra, dec, crpix1, crpix2, cell, xi, eta; /* degrees */
    double x, y;                                   /* 0-based pixel */
    double ra_there, dec_there;                    /* wcslib, degrees */
};

/* Across 0 h in both directions, both poles, near both of them, slants to beyond 45 deg. */
static const struct known known[] = {
    {359.9, 71.6, 40.25, 17.5, 20.0 / 3600, .31, -.22, 3, 95, 0.55094139076607,
     72.035476425097},
    {0.05, -71.6, -12, 300.75, 3.0 / 3600, -.47, .6, 512, -7.5, 358.64859920386,
     -71.852321844815},
    {187.2779, 2.0524, 512, 256, .02, 0, 0, 1000, 20, 177.43888067198,
     -2.6831373396435},
    {12.5, 90, 19, 31, .01, .1, .2, 40, 2, 334.35077894305, 89.643665107562},
    {250, -90, 19, 31, .01, .1, .2, 40, 2, 108.14922105695, -89.643665107562},
    {83.63, 16.3, 1200.5, 900.5, 3.0 / 3600, -1.15, .83, 0, 1799, 84.692058597591,
     17.035546110352},
};
#define NKNOWN (sizeof known / sizeof *known)

static struct wcs wcs_of(const struct known *k)
{
    return (struct wcs){.ra_rad = k->ra * DEG,
                        .dec_rad = k->dec * DEG,
                        .crpix1 = k->crpix1,
                        .crpix2 = k->crpix2,
                        .cell_rad = k->cell * DEG,
                        .xi = k->xi,
                        .eta = k->eta};
}

static void pixels_map_to_the_sky_as_in_wcslib(void **state)
{
    (void)state;
    for (size_t i = 0; i < NKNOWN; i++) {
        struct wcs w = wcs_of(&known[i]);
        double ra, dec;

        assert_int_equal(wcs_pix_to_radec(&w, known[i].x, known[i].y, &ra, &dec), 0);
        assert_true(ra >= 0.0 && ra < 2.0 * M_PI);
        /* the table has 14 digits */
        assert_near(ra / DEG, known[i].ra_there, 2e-11);
        assert_near(dec / DEG, known[i].dec_there, 2e-11);
    }
}

static void the_sky_maps_to_pixels_as_in_wcslib(void **state)
{
    (void)state;
    for (size_t i = 0; i < NKNOWN; i++) {
        struct wcs w = wcs_of(&known[i]);
        double x, y, dra = known[i].ra_there;

        for (int turn = -1; turn <= 1; turn++) { /* any multiple of 24 h is the same */
            assert_int_equal(wcs_radec_to_pix(&w, (dra + 360.0 * turn) * DEG,
                                              known[i].dec_there * DEG, &x, &y),
                             0);
            assert_near(x, known[i].x, 1e-7);
            assert_near(y, known[i].y, 1e-7);
        }
    }
}

static void there_and_back_is_the_same_pixel(void **state)
{
    (void)state;
    for (size_t i = 0; i < NKNOWN; i++) {
        struct wcs w = wcs_of(&known[i]);

        for (double s = 1e-9; s < 2000.0; s *= 10.0) {
            double x0 = w.crpix1 - 1.0 + s, y0 = w.crpix2 - 1.0 - 0.7 * s, ra, dec, x,
                   y;

            assert_int_equal(wcs_pix_to_radec(&w, x0, y0, &ra, &dec), 0);
            assert_int_equal(wcs_radec_to_pix(&w, ra, dec, &x, &y), 0);
            assert_near(x, x0, 2e-9);
            assert_near(y, y0, 2e-9);
        }
    }
}

/* Without slant, one pixel east is l = sin(distance); closed form at the equator. */
static void east_is_left_and_north_is_up(void **state)
{
    struct wcs w = {
        .ra_rad = 0.0, .dec_rad = 0.0, .crpix1 = 11, .crpix2 = 6, .cell_rad = 1e-3};
    double ra, dec, lmn[3];

    (void)state;
    assert_int_equal(wcs_pix_to_radec(&w, 10 - 7, 5, &ra, &dec), 0);
    assert_near(ra, asin(7e-3), 1e-15);
    assert_near(dec, 0.0, 1e-15);
    assert_int_equal(wcs_pix_to_radec(&w, 10, 5 + 4, &ra, &dec), 0);
    assert_near(ra, 0.0, 1e-15);
    assert_near(dec, asin(4e-3), 1e-15);
    assert_int_equal(wcs_pix_to_lmn(&w, 10 - 7, 5 + 4, lmn), 0);
    assert_near(lmn[0], 7e-3, 1e-17);
    assert_near(lmn[1], 4e-3, 1e-17);
    assert_near(lmn[2], sqrt(1.0 - 65e-6), 1e-15);
}

/* 1e-16 rad west of 0 h is nearer to 2 pi than a double can say, and must not be 2 pi. */
static void right_ascension_stays_below_a_full_turn(void **state)
{
    struct wcs w = {.crpix1 = 1, .crpix2 = 1, .cell_rad = 1e-12};
    double ra, dec;

    (void)state;
    assert_int_equal(wcs_pix_to_radec(&w, 1e-4, 0, &ra, &dec), 0);
    assert_true(ra >= 0.0 && ra < 2.0 * M_PI);
    assert_int_equal(wcs_pix_to_radec(&w, 1e4, 0, &ra, &dec), 0);
    assert_near(ra, 2.0 * M_PI - 1e-8, 1e-15);
}

/* The definition: x = l + xi (1 - n), y = m + eta (1 - n). */
static void the_slant_is_as_the_header_says(void **state)
{
    struct wcs w = {.crpix1 = 1, .crpix2 = 1, .cell_rad = 1e-3, .xi = .4, .eta = -.3};
    double lmn[3];

    (void)state;
    assert_int_equal(wcs_pix_to_lmn(&w, -120, 90, lmn), 0);
    assert_near(lmn[0] + .4 * (1 - lmn[2]), 0.120, 1e-15);
    assert_near(lmn[1] - .3 * (1 - lmn[2]), 0.090, 1e-15);
    assert_near(lmn[0] * lmn[0] + lmn[1] * lmn[1] + lmn[2] * lmn[2], 1.0, 1e-15);
}

static void what_is_not_on_the_plane_is_refused(void **state)
{
    struct wcs flat = {.dec_rad = .5, .crpix1 = 1, .crpix2 = 1, .cell_rad = 1e-2};
    struct wcs slant = flat;
    double a, b, lmn[3];

    (void)state;
    slant.xi = 1.0;
    assert_int_equal(wcs_pix_to_radec(&flat, 80, 61, &a, &b), -EDOM); /* radius 1.006 */
    assert_int_equal(wcs_pix_to_radec(&flat, 80, 59, &a, &b), 0);     /* radius 0.994 */
    assert_int_equal(wcs_pix_to_lmn(&flat, 80, 61, lmn), -EDOM);
    assert_int_equal(wcs_pix_to_radec(&flat, NAN, 0, &a, &b), -EDOM);
    assert_int_equal(wcs_radec_to_pix(&flat, M_PI, -.5 - 1e-3, &a, &b), -EDOM);
    assert_int_equal(wcs_radec_to_pix(&flat, 0, .5 - M_PI / 2 + 1e-3, &a, &b), 0);
    assert_int_equal(wcs_radec_to_pix(&flat, 0, .5 - M_PI / 2 - 1e-3, &a, &b), -EDOM);
    /* the plane is tilted by 45 degrees: 46 degrees west of its foot is its back */
    slant.dec_rad = 0.0;
    assert_int_equal(wcs_radec_to_pix(&slant, -44 * DEG, 0, &a, &b), 0);
    assert_int_equal(wcs_radec_to_pix(&slant, -46 * DEG, 0, &a, &b), -EDOM);
    assert_int_equal(wcs_radec_to_pix(&slant, 46 * DEG, 0, &a, &b), 0);
    /* on the other side it would see more than a hemisphere: x = l + 1 - n at 89 and 91 */
    a = -(sin(89 * DEG) + 1.0 - cos(89 * DEG)) / slant.cell_rad;
    assert_int_equal(wcs_pix_to_lmn(&slant, a, 0, lmn), 0);
    a = -(sin(91 * DEG) + 1.0 - cos(91 * DEG)) / slant.cell_rad;
    assert_int_equal(wcs_pix_to_lmn(&slant, a, 0, lmn), -EDOM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pixels_map_to_the_sky_as_in_wcslib),
        cmocka_unit_test(the_sky_maps_to_pixels_as_in_wcslib),
        cmocka_unit_test(there_and_back_is_the_same_pixel),
        cmocka_unit_test(east_is_left_and_north_is_up),
        cmocka_unit_test(right_ascension_stays_below_a_full_turn),
        cmocka_unit_test(the_slant_is_as_the_header_says),
        cmocka_unit_test(what_is_not_on_the_plane_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
