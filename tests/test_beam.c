#include "tests/test.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "core/err.h"
#include "pipeline/sky/beam.h"
#include "pipeline/sky/beam_series.h"
#include "pipeline/sky/vis.h"
#include "pipeline/sky/wcs.h"

/* cmocka's assert_float_equal compares floats. */
#define assert_near(got, want, tolerance)                                              \
    do {                                                                               \
        double got_ = (got), want_ = (want);                                           \
        if (!(fabs(got_ - want_) <= (tolerance)))                                      \
            fail_msg("%.17g instead of %.17g", got_, want_);                           \
    } while (0)

static const double FREQ = 1.405e9;
static const struct beam AIRY = {BEAM_AIRY, 4.65}, GAUSS = {BEAM_GAUSSIAN, 4.65};

/* Power at an angle from the axis. */
static double power(const struct beam *beam, double sep_rad, double freq_hz)
{
    const double axis[3] = {1, 0, 0}, dir[3] = {cos(sep_rad), sin(sep_rad), 0};

    return beam_power_at(beam, axis, dir, freq_hz);
}

/* Separation (deg) where the power falls to `level`, by bisection. */
static double radius_deg(const struct beam *beam, double level)
{
    double lo = 0, hi = 3;

    for (int i = 0; i < 60; i++) {
        double mid = (lo + hi) / 2;

        if (power(beam, mid * ASTRO_DEG, FREQ) > level)
            lo = mid;
        else
            hi = mid;
    }
    return lo;
}

/* Radii of the Airy pattern of 4.65 m at 1.405 GHz: x(50, 20, 10 %) = 1.6163, 2.3606, 2.7299
 * of (2 J1(x)/x)^2, worked out once with scipy. */
static void the_airy_beam_has_the_textbook_radii(void **state)
{
    (void)state;
    assert_near(radius_deg(&AIRY, 0.5), 1.353, 0.001);
    assert_near(radius_deg(&AIRY, 0.2), 1.977, 0.001);
    assert_near(radius_deg(&AIRY, 0.1), 2.286, 0.001);
    assert_near(2 * radius_deg(&AIRY, 0.5), 2.705, 0.002);
    /* First zero at 1.2197 lambda / D, first side lobe 1.75 % (Born and Wolf, 8.5.2). */
    assert_true(power(&AIRY, asin(1.21967 * 299792458.0 / FREQ / 4.65), FREQ) < 1e-9);
    assert_near(power(&AIRY, asin(1.6347 * 299792458.0 / FREQ / 4.65), FREQ), 0.0175,
                0.0001);
}

static void the_gaussian_has_the_airy_width(void **state)
{
    (void)state;
    assert_near(radius_deg(&GAUSS, 0.5), 1.353, 0.001);
    assert_near(power(&GAUSS, 2.7055 * ASTRO_DEG, FREQ), 0.0625, 0.0003);
}

static void beams_are_one_on_the_axis_and_zero_behind(void **state)
{
    const struct beam none = {BEAM_NONE, 0};
    const double axis[3] = {0, 0, 1}, near[3] = {1e-9, 0, 1}, back[3] = {0, 0, -1};

    (void)state;
    assert_near(power(&AIRY, 0, FREQ), 1, 0);
    assert_near(power(&AIRY, 1e-7, FREQ), 1, 1e-10);
    assert_near(beam_power_at(&AIRY, axis, near, FREQ), 1, 1e-12);
    assert_near(beam_power_at(&AIRY, axis, back, FREQ), 0, 0);
    assert_near(beam_power_at(&GAUSS, axis, back, FREQ), 0, 0);
    assert_near(power(&AIRY, 3.1, FREQ), 0, 0);
    assert_near(power(&none, 3.1, FREQ), 1, 0);
    assert_near(beam_power_at(&none, axis, back, FREQ), 1, 0);
}

static void beams_scale_with_frequency(void **state)
{
    (void)state;
    assert_near(power(&AIRY, asin(0.02), 1.3e9), power(&AIRY, asin(0.01), 2.6e9),
                1e-12);
}

static void kinds_are_known_by_name(void **state)
{
    enum beam_kind kind = BEAM_NONE;

    (void)state;
    assert_int_equal(beam_kind_parse("airy", &kind), 0);
    assert_int_equal(kind, BEAM_AIRY);
    assert_int_equal(beam_kind_parse("gaussian", &kind), 0);
    assert_int_equal(kind, BEAM_GAUSSIAN);
    assert_int_equal(beam_kind_parse("none", &kind), 0);
    assert_int_equal(kind, BEAM_NONE);
    assert_int_equal(beam_kind_parse("Airy ", &kind), -EINVAL);
}

enum { NTIME = 5, NCHAN = 48 };

/* Meridian drift over five minutes, 187.5 MHz in 48 channels; weights fall with time and
 * channel, so that no symmetry hides a mistake. */
static struct vis *drift(void)
{
    struct vis *vis = NULL;

    assert_int_equal(vis_alloc(&vis, 2, NTIME, NTIME, NCHAN, 2, NULL), 0);
    vis->site = (struct site){37.2314 * ASTRO_DEG, -118.2817 * ASTRO_DEG, 1222};
    for (size_t t = 0; t < NTIME; t++) {
        vis->time_jd[t] = 2461066.3 + (double)t * 74 / ASTRO_DAY_S;
        astro_meridian(&vis->site, 54.57 * ASTRO_DEG, vis->pointing[t]);
        vis->row_time[t] = (int)t;
        vis->row_ant2[t] = 1;
        for (size_t c = 0; c < NCHAN; c++)
            for (size_t p = 0; p < 2; p++)
                vis->weight[(t * NCHAN + c) * 2 + p] =
                    (float)((7 - t) * (60 - c) * (1 + p));
    }
    for (size_t c = 0; c < NCHAN; c++) {
        vis->freq_hz[c] = 1313e6 + (double)c * 3.90625e6;
        vis->width_hz[c] = 3.90625e6;
    }
    return vis;
}

/* The definition, sample by sample. */
static double exact_mean(const struct vis *vis, const struct beam *beam, double ra,
                         double dec)
{
    double sum = 0, of = 0;

    for (size_t t = 0; t < NTIME; t++) {
        double ra0, dec0;

        vis_pointing(vis, t, &ra0, &dec0);
        for (size_t c = 0; c < NCHAN; c++) {
            double w = (double)((7 - t) * (60 - c));

            sum +=
                w * power(beam, astro_separation(ra, dec, ra0, dec0), vis->freq_hz[c]);
            of += w;
        }
    }
    return sum / of;
}

static void the_tile_beam_is_the_weighted_mean_at_every_pixel(void **state)
{
    enum { NX = 131, NY = 77 };
    static float pb[NY * NX];
    const struct beam *beams[] = {&AIRY, &GAUSS};
    const double cells[] = {6, 150}; /* arcsec; the second needs the finer grid */
    struct vis *vis = drift();
    double ra, dec, worst = 0;

    (void)state;
    vis_mean_pointing(vis, &ra, &dec);
    for (int k = 0; k < 4; k++) {
        const struct beam *beam = beams[k % 2];
        struct wcs wcs = {ra + 0.01, dec - 0.004, 61, 40, cells[k / 2] * ASTRO_ARCSEC,
                          0.3,       -0.2};

        assert_int_equal(beam_tile(pb, beam, vis, &wcs, NX, NY), 0);
        for (size_t y = 0; y < NY; y += 3)
            for (size_t x = 0; x < NX; x += 5) {
                double at_ra, at_dec, off;

                assert_int_equal(
                    wcs_pix_to_radec(&wcs, (double)x, (double)y, &at_ra, &at_dec), 0);
                off =
                    fabs((double)pb[y * NX + x] - exact_mean(vis, beam, at_ra, at_dec));
                worst = fmax(worst, off);
            }
    }
    print_message("tile beam off by at most %.1e of the axis\n", worst);
    assert_true(worst < 1e-4);
    vis_free(vis);
}

static void one_direction_agrees_with_the_tile(void **state)
{
    struct vis *vis = drift();
    struct beam_mean *mean;
    double ra, dec;

    (void)state;
    vis_mean_pointing(vis, &ra, &dec);
    assert_int_equal(beam_mean_new(&mean, &AIRY, vis), 0);
    for (int i = -3; i <= 4; i++) {
        double ra1 = ra + 0.02 * i, dec1 = dec + 0.006 * i;
        double want = exact_mean(vis, &AIRY, ra1, dec1);

        assert_near(beam_tile_at(&AIRY, vis, ra1, dec1), want, 2e-5);
        assert_near(beam_mean_at(mean, ra1, dec1), want, 2e-5);
    }
    beam_mean_free(mean);
    vis_free(vis);
}

static void a_tile_without_weight_counts_all_alike(void **state)
{
    struct vis *vis = drift();
    double ra, dec;

    (void)state;
    memset(vis->weight, 0, NTIME * NCHAN * 2 * sizeof *vis->weight);
    vis_pointing(vis, 2, &ra, &dec);
    /* Drift of 1.08 deg across at most 0.9 deg... half of it either side: 0.85 to 1. */
    assert_true(beam_tile_at(&AIRY, vis, ra, dec) > 0.85);
    assert_true(beam_tile_at(&AIRY, vis, ra, dec) < 1);
    vis_free(vis);
}

/* The rms over all samples, by their weights, of what the series is off at a pixel. */
static double series_error(const struct vis *vis, const struct beam *beam,
                           const struct beam_series *series, const struct wcs *wcs,
                           size_t x, size_t y, double *mean)
{
    double ra, dec, sum = 0, of = 0;
    float b[BEAM_SERIES_MOST];

    for (size_t q = 0; q < series->terms; q++) {
        float row[256];

        for (size_t i = 0; i <= x; i++)
            row[i] = 1.0f;
        beam_series_row(series, q, y, row, x + 1);
        b[q] = row[x];
    }
    assert_int_equal(wcs_pix_to_radec(wcs, (double)x, (double)y, &ra, &dec), 0);
    *mean = exact_mean(vis, beam, ra, dec);
    for (size_t t = 0; t < NTIME; t++) {
        double ra0, dec0;

        vis_pointing(vis, t, &ra0, &dec0);
        for (size_t c = 0; c < NCHAN; c++) {
            double w = (double)((7 - t) * (60 - c)), got = 1;
            double want =
                power(beam, astro_separation(ra, dec, ra0, dec0), vis->freq_hz[c]) /
                *mean;

            for (size_t q = 1; q < series->terms; q++)
                got += (double)(b[q] * series->factor[q][t * NCHAN + c]);
            sum += w * (got - want) * (got - want);
            of += w;
        }
    }
    return sqrt(sum / of);
}

static void the_series_is_the_beam_of_each_sample(void **state)
{
    enum { N = 201 };
    const double tolerance[] = {1.0, 0.1, 0.01};
    struct vis *vis = drift();
    struct beam_series *series;
    size_t before = 0;
    double ra, dec;

    (void)state;
    vis_mean_pointing(vis, &ra, &dec);
    for (size_t k = 0; k < 3; k++) {
        struct wcs wcs = {ra, dec, N / 2 + 1, N / 2 + 1, 72 * ASTRO_ARCSEC, 0.3, -0.2};
        double worst = 0;

        assert_int_equal(beam_series_new(&series, &AIRY, vis, &wcs, N, N, tolerance[k]),
                         0);
        for (size_t y = 4; y < N; y += 12)
            for (size_t x = 4; x < N; x += 12) {
                double mean, off = series_error(vis, &AIRY, series, &wcs, x, y, &mean);

                if (mean > 0.05)
                    worst = fmax(worst, off * fmin(mean, 0.2) / 0.2);
            }
        printf("%zu terms: %.2g left, at most %.2g measured;", series->terms,
               series->left, worst);
        for (size_t q = 0; q < series->terms; q++)
            printf(" %.2g", series->size[q]);
        printf("\n");
        assert_true(series->left <= tolerance[k] && worst < 1.1 * tolerance[k]);
        assert_true(series->terms > before);
        before = series->terms;
        beam_series_free(series);
    }
    vis_free(vis);
}

static void a_beam_that_is_not_known_has_one_term(void **state)
{
    const struct beam none = {BEAM_NONE, 0};
    struct wcs wcs = {1, 0.5, 51, 51, 60 * ASTRO_ARCSEC, 0, 0};
    struct vis *vis = drift();
    struct beam_series *series;
    float row[2] = {3, 4};

    (void)state;
    assert_int_equal(beam_series_new(&series, &none, vis, &wcs, 100, 100, 0.01), 0);
    assert_int_equal(series->terms, 1);
    beam_series_row(series, 0, 7, row, 2);
    assert_near((double)row[0], 3, 0);
    beam_series_free(series);
    vis_free(vis);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_airy_beam_has_the_textbook_radii),
        cmocka_unit_test(the_gaussian_has_the_airy_width),
        cmocka_unit_test(beams_are_one_on_the_axis_and_zero_behind),
        cmocka_unit_test(beams_scale_with_frequency),
        cmocka_unit_test(kinds_are_known_by_name),
        cmocka_unit_test(the_tile_beam_is_the_weighted_mean_at_every_pixel),
        cmocka_unit_test(one_direction_agrees_with_the_tile),
        cmocka_unit_test(a_tile_without_weight_counts_all_alike),
        cmocka_unit_test(the_series_is_the_beam_of_each_sample),
        cmocka_unit_test(a_beam_that_is_not_known_has_one_term),
    };

    return cmocka_run_group_tests_name("beam", tests, NULL, NULL);
}
