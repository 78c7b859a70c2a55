#include "tests/test.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "core/err.h"
#include "pipeline/sky/vis.h"

/* cmocka's assert_float_equal compares floats. */
#define assert_near(got, want, tolerance)                                              \
    do {                                                                               \
        double got_ = (got), want_ = (want);                                           \
        if (!(fabs(got_ - want_) <= (tolerance)))                                      \
            fail_msg("%.17g instead of %.17g", got_, want_);                           \
    } while (0)

enum {
    NANT = 5,
    NTIME = 4,
    NCHAN = 37,
    NPOL = 2,
    NROW = NTIME * NANT * (NANT - 1) / 2
};
static const double TWO_PI = 6.283185307179586;
static const double RA = 2.25,
                    DEC = 0.951; /* near the meridian point of the times below */

/* Antennas over 2.6 km, not in a plane; two blocks of channels with a gap between. */
static struct vis *meridian_vis(void)
{
    static const double pos[NANT][3] = {{0, 0, 0},
                                        {-803, 1210, 404},
                                        {93, -51, 22},
                                        {512, 640, -1107},
                                        {-300, -770, 950}};
    struct vis *vis = NULL;
    size_t row = 0;

    assert_int_equal(vis_alloc(&vis, NANT, NTIME, NROW, NCHAN, NPOL, NULL), 0);
    vis->site = (struct site){37.2314 * ASTRO_DEG, -118.2817 * ASTRO_DEG, 1222};
    vis->phasing = VIS_MERIDIAN;
    vis->dec_app_rad = 54.57 * ASTRO_DEG;
    memcpy(vis->ant_pos_m, pos, sizeof pos);
    for (size_t c = 0; c < NCHAN; c++)
        vis->freq_hz[c] =
            1311387329.1015625 + 244140.625 * (double)(c < 20 ? c : c + 48);
    for (size_t t = 0; t < NTIME; t++) {
        vis->time_jd[t] = 2461066.86 + (double)t * 77 / ASTRO_DAY_S;
        astro_meridian(&vis->site, vis->dec_app_rad, vis->stop[t]);
        memcpy(vis->pointing[t], vis->stop[t], sizeof vis->stop[t]);
        for (int b = 0; b < NANT; b++)
            for (int a = 0; a < b; a++, row++) {
                vis->row_time[row] = (int)t;
                vis->row_ant1[row] = a;
                vis->row_ant2[row] = b;
            }
    }
    return vis;
}

static void sample(struct vis *vis, size_t row, size_t c, size_t p, double flux,
                   double turns)
{
    float *v = (float *)(vis->data + (row * NCHAN + c) * NPOL + p);

    v[0] += (float)(flux * cos(TWO_PI * turns));
    v[1] += (float)(flux * sin(TWO_PI * turns));
}

/* Add a source as the correlator sees it: exp(+2 pi i nu/c b . (s - stop)). */
static void add_source(struct vis *vis, double ra, double dec, double flux)
{
    for (size_t row = 0; row < NROW; row++) {
        size_t t = (size_t)vis->row_time[row];
        struct astro_epoch ep;
        double s[3], delay_s = 0;

        astro_epoch_init(&ep, vis->time_jd[t], &vis->earth, &vis->site);
        astro_icrs_to_itrf(&ep, ra, dec, s);
        for (int k = 0; k < 3; k++)
            delay_s += (vis->ant_pos_m[vis->row_ant2[row]][k] -
                        vis->ant_pos_m[vis->row_ant1[row]][k]) *
                       (s[k] - vis->stop[t][k]) / ASTRO_C_M_S;
        for (size_t c = 0; c < NCHAN; c++)
            for (size_t p = 0; p < NPOL; p++)
                sample(vis, row, c, p, flux * (double)(1 + p),
                       remainder(delay_s * vis->freq_hz[c], 1));
    }
}

static void a_source_turned_to_its_own_place_has_phase_zero(void **state)
{
    const enum vis_phasing from[] = {VIS_MERIDIAN, VIS_UNPHASED};

    (void)state;
    for (int k = 0; k < 2; k++) {
        struct vis *vis = meridian_vis();

        if (from[k] == VIS_UNPHASED)
            memset(vis->stop, 0, NTIME * sizeof *vis->stop);
        vis->phasing = from[k];
        add_source(vis, RA, DEC, 1);
        vis_rephase(vis, RA, DEC);
        for (size_t i = 0; i < (size_t)NROW * NCHAN * NPOL; i++) {
            double want = i % NPOL == 0 ? 1 : 2;

            assert_near(crealf(vis->data[i]), want, 1e-5);
            assert_near(cimagf(vis->data[i]), 0, 1e-5);
        }
        assert_int_equal(vis->phasing, VIS_SIDEREAL);
        assert_near(vis->phase_ra_rad, RA, 0);
        assert_near(vis->phase_dec_rad, DEC, 0);
        vis_free(vis);
    }
}

/*
 * Three sources of which none mirrors another, against exp(+2 pi i (u l + v m + w (n - 1)));
 * for half a degree and 2.3 km the linear uvw are good to 0.01 arcsec, 1e-3 rad of phase.
 */
static void sources_off_centre_land_where_they_are(void **state)
{
    static const double src[][3] = {
        {0.008, 0.002, 1}, {-0.003, 0.006, 0.7}, {0.001, -0.009, 0.4}};
    struct vis *vis = meridian_vis();
    double(*uvw)[3] = calloc(NROW, sizeof *uvw);
    double worst = 0, mirrored = 0;

    (void)state;
    for (int i = 0; i < 3; i++) {
        double ra, dec;

        astro_lm_to_radec(RA, DEC, src[i][0], src[i][1], &ra, &dec);
        add_source(vis, ra, dec, src[i][2]);
    }
    vis_rephase(vis, RA, DEC);
    vis_uvw(vis, RA, DEC, uvw);
    for (size_t row = 0; row < NROW; row++)
        for (size_t c = 0; c < NCHAN; c++) {
            float complex v = vis->data[(row * NCHAN + c) * NPOL];
            double re = 0, im = 0;

            for (int i = 0; i < 3; i++) {
                double l = src[i][0], m = src[i][1], n1 = sqrt(1 - l * l - m * m) - 1;
                double path = uvw[row][0] * l + uvw[row][1] * m + uvw[row][2] * n1;

                re += src[i][2] * cos(TWO_PI * vis->freq_hz[c] / ASTRO_C_M_S * path);
                im += src[i][2] * sin(TWO_PI * vis->freq_hz[c] / ASTRO_C_M_S * path);
            }
            worst = fmax(worst, hypot(crealf(v) - re, cimagf(v) - im));
            mirrored = fmax(mirrored, hypot(crealf(v) - re, cimagf(v) + im));
        }
    print_message("model and turned data differ by at most %.1e (mirrored: %.1f)\n",
                  worst, mirrored);
    assert_true(worst < 5e-3);
    assert_true(mirrored > 1);
    free(uvw);
    vis_free(vis);
}

static void turning_twice_is_turning_once(void **state)
{
    struct vis *once = meridian_vis(), *twice = meridian_vis();

    (void)state;
    add_source(once, RA + 0.01, DEC, 1);
    add_source(twice, RA + 0.01, DEC, 1);
    vis_rephase(once, RA, DEC);
    vis_rephase(twice, RA + 0.3, DEC - 0.2);
    vis_rephase(twice, RA, DEC);
    for (size_t i = 0; i < (size_t)NROW * NCHAN * NPOL; i++)
        assert_true(cabsf(once->data[i] - twice->data[i]) < 2e-6F);
    /* The dishes have not moved. */
    assert_memory_equal(once->pointing, twice->pointing,
                        NTIME * sizeof *once->pointing);
    vis_free(once);
    vis_free(twice);
}

/* w is the baseline along the source; all of uvw keep the length, up to aberration's 1e-4. */
static void uvw_are_a_turned_baseline(void **state)
{
    struct vis *vis = meridian_vis();
    double(*uvw)[3] = calloc(NROW, sizeof *uvw);

    (void)state;
    vis_uvw(vis, RA, DEC, uvw);
    for (size_t row = 0; row < NROW; row++) {
        const double *p1 = vis->ant_pos_m[vis->row_ant1[row]];
        const double *p2 = vis->ant_pos_m[vis->row_ant2[row]];
        struct astro_epoch ep;
        double s[3], w = 0, b2 = 0, uvw2 = 0;

        astro_epoch_init(&ep, vis->time_jd[vis->row_time[row]], NULL, &vis->site);
        astro_icrs_to_itrf(&ep, RA, DEC, s);
        for (int k = 0; k < 3; k++) {
            w += (p2[k] - p1[k]) * s[k];
            b2 += (p2[k] - p1[k]) * (p2[k] - p1[k]);
            uvw2 += uvw[row][k] * uvw[row][k];
        }
        assert_near(uvw[row][2], w, 1e-9);
        assert_near(uvw2 / b2, 1, 2.5e-4);
    }
    free(uvw);
    vis_free(vis);
}

static void the_mean_pointing_is_in_the_middle_of_the_drift(void **state)
{
    struct vis *vis = meridian_vis();
    double first[2], last[2], mean[2];

    (void)state;
    vis_pointing(vis, 0, &first[0], &first[1]);
    vis_pointing(vis, NTIME - 1, &last[0], &last[1]);
    vis_mean_pointing(vis, &mean[0], &mean[1]);
    /* 231 s of Earth rotation, 15.0411 arcsec a second; 26 years of precession tilt the frame
     * by 2.5e-3 rad, so that ICRS right ascension runs up to 0.35 % faster or slower here. */
    assert_near((last[0] - first[0]) / ASTRO_ARCSEC, 231 * 15.0411, 12);
    assert_near(mean[0], (first[0] + last[0]) / 2, 1e-5);
    assert_near(mean[1], (first[1] + last[1]) / 2, 1e-4);
    vis_free(vis);
}

static void the_mean_pointing_crosses_zero_hours(void **state)
{
    (void)state;
    for (int side = -1; side <= 1; side += 2) {
        struct vis *vis = meridian_vis();
        double ra, dec;

        vis_mean_pointing(vis, &ra, &dec);
        for (size_t t = 0; t < NTIME; t++) /* the middle goes 0.006 rad beside 0 h */
            vis->time_jd[t] += (TWO_PI - ra + side * 0.006) / TWO_PI * 0.99726957;
        vis_mean_pointing(vis, &ra, &dec);
        assert_near(remainder(ra, TWO_PI), side * 0.006, 0.005); /* and not 12 h */
        assert_true(ra >= 0 && ra < TWO_PI);
        vis_free(vis);
    }
}

static void the_valid_fraction_counts_weights(void **state)
{
    struct vis *vis = meridian_vis();

    (void)state;
    assert_near(vis_valid_fraction(vis), 0, 0);
    for (size_t i = 0; i < (size_t)NROW * NCHAN * NPOL; i += 4)
        vis->weight[i] = 1;
    assert_near(vis_valid_fraction(vis), 0.25, 1e-12);
    vis_free(vis);
}

static void what_no_memory_holds_is_refused_with_its_size(void **state)
{
    struct vis *vis;
    struct err e = {0};

    (void)state;
    assert_int_equal(vis_alloc(&vis, 2, 3, (size_t)1 << 40, (size_t)1 << 20, 2, &e),
                     -ENOMEM);
    assert_null(vis);
    assert_non_null(strstr(e.text, "1048576 channels"));
    assert_int_equal(vis_alloc(&vis, 2, 3, (size_t)1 << 60, 64, 4, &e), -ENOMEM);
    assert_null(vis);
    vis_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_source_turned_to_its_own_place_has_phase_zero),
        cmocka_unit_test(sources_off_centre_land_where_they_are),
        cmocka_unit_test(turning_twice_is_turning_once),
        cmocka_unit_test(uvw_are_a_turned_baseline),
        cmocka_unit_test(the_mean_pointing_is_in_the_middle_of_the_drift),
        cmocka_unit_test(the_mean_pointing_crosses_zero_hours),
        cmocka_unit_test(the_valid_fraction_counts_weights),
        cmocka_unit_test(what_no_memory_holds_is_refused_with_its_size),
    };

    return cmocka_run_group_tests_name("vis", tests, NULL, NULL);
}
