/*
 * test_beam_image.c: a source east of the middle of a drift scan, seen through the true beam of
 * each integration and channel, against the operator that has the series of that beam.
 */
#include "tests/test.h"

#include <math.h>
#include <string.h>

#include "core/err.h"
#include "pipeline/imaging/imager.h"
#include "pipeline/imaging/normal.h"
#include "pipeline/imaging/samples.h"
#include "pipeline/sky/beam.h"
#include "pipeline/sky/beam_series.h"
#include "pipeline/sky/vis.h"
#include "pipeline/sky/wcs.h"
#include "tests/made_samples.h"

enum { NANT = 24, NTIME = 12, NCHAN = 16, NBL = NANT * (NANT - 1) / 2, N = 480 };
enum { NROW = NBL * NTIME, NPIX = N * N };

static const struct beam airy = {BEAM_AIRY, 4.65};
static const double cell_rad = 34 * ASTRO_ARCSEC; /* 2.27 degrees to each side */

/* Five minutes on the meridian, 187.5 MHz; the antennas lie on level ground, 260 m across. */
static struct vis *drift(double dec_deg)
{
    struct vis *vis = NULL;
    uint64_t seed = 3;
    size_t row = 0;

    assert_int_equal(vis_alloc(&vis, NANT, NTIME, NROW, NCHAN, 1, NULL), 0);
    vis->site = (struct site){37.2314 * ASTRO_DEG, -118.2817 * ASTRO_DEG, 1222};
    for (size_t a = 0; a < NANT; a++) {
        double east = 260 * (made_random(&seed) - 0.5);
        double north = 260 * (made_random(&seed) - 0.5);
        double lat = 37.2314 * ASTRO_DEG, lon = -118.2817 * ASTRO_DEG;

        vis->ant_pos_m[a][0] = -sin(lon) * east - sin(lat) * cos(lon) * north;
        vis->ant_pos_m[a][1] = cos(lon) * east - sin(lat) * sin(lon) * north;
        vis->ant_pos_m[a][2] = cos(lat) * north;
    }
    for (size_t t = 0; t < NTIME; t++) {
        vis->time_jd[t] = 2461066.3 + (double)t * 309.0 / NTIME / ASTRO_DAY_S;
        astro_meridian(&vis->site, dec_deg * ASTRO_DEG, vis->pointing[t]);
        for (int a = 0; a < NANT; a++)
            for (int b = a + 1; b < NANT; b++, row++) {
                vis->row_time[row] = (int)t;
                vis->row_ant1[row] = a;
                vis->row_ant2[row] = b;
            }
    }
    for (size_t c = 0; c < NCHAN; c++)
        vis->freq_hz[c] = 1317e6 + (double)c * 187.5e6 / NCHAN;
    for (size_t i = 0; i < (size_t)NROW * NCHAN; i++)
        vis->weight[i] = 1.0f;
    return vis;
}

/* data[row][chan] times the beam then over its mean, at (ra, dec) */
static void see(const struct vis *vis, double ra, double dec, float complex *data)
{
    double power[NTIME][NCHAN], mean = 0;
    float *part = (float *)data;

    for (size_t t = 0; t < NTIME; t++) {
        const double axis[3] = {1, 0, 0};
        double ra0, dec0, sep;

        vis_pointing(vis, t, &ra0, &dec0);
        sep = astro_separation(ra, dec, ra0, dec0);
        for (size_t c = 0; c < NCHAN; c++) {
            power[t][c] = beam_power_at(
                &airy, axis, (const double[]){cos(sep), sin(sep), 0}, vis->freq_hz[c]);
            mean += power[t][c] / (NTIME * NCHAN);
        }
    }
    for (size_t i = 0; i < (size_t)NROW * NCHAN; i++) {
        float f = (float)(power[vis->row_time[i / NCHAN]][i % NCHAN] / mean);

        part[2 * i] *= f;
        part[2 * i + 1] *= f;
    }
}

static double largest(const float *image)
{
    double most = 0;

    for (size_t i = 0; i < NPIX; i++)
        most = fmax(most, fabs((double)image[i]));
    return most;
}

/* What is left of a source, over its peak, by an operator with this series (NULL: none). */
static double left_of(struct imager *im, const struct beam_series *series,
                      const float *model, const float *dirty)
{
    struct normal *op = NULL;
    float *image = malloc(NPIX * sizeof *image);
    double left;

    assert_int_equal(imager_set_beam(im, series, NULL), 0);
    assert_int_equal(normal_new(&op, im, NULL, NULL), 0);
    memcpy(image, dirty, NPIX * sizeof *image);
    normal_subtract(op, model, image);
    left = largest(image) / largest(dirty);
    normal_free(op);
    assert_int_equal(imager_set_beam(im, NULL, NULL), 0);
    free(image);
    return left;
}

static void a_source_leaves_little(double dec_deg, double east_deg)
{
    struct vis *vis = drift(dec_deg);
    double(*uvw)[3] = malloc(NROW * sizeof *uvw), ra, dec, with, without;
    struct samples s = {.nrow = NROW,
                        .nchan = NCHAN,
                        .freq_hz = vis->freq_hz,
                        .data = calloc((size_t)NROW * NCHAN, sizeof *s.data),
                        .weight = vis->weight};
    struct imager_opts opts = {
        .nx = N, .ny = N, .cell_rad = cell_rad, .accuracy = 1e-4, .threads = 2};
    float *model = calloc(NPIX, sizeof *model), *dirty = malloc(NPIX * sizeof *dirty);
    size_t x = (size_t)(N / 2 - round(east_deg * ASTRO_DEG / cell_rad));
    struct imager *im = NULL;
    struct beam_series *series = NULL;
    struct wcs wcs;
    struct err e = {0};

    vis_mean_pointing(vis, &ra, &dec);
    vis_uvw(vis, ra, dec, uvw);
    s.uvw_m = (const double(*)[3])uvw;
    model[N / 2 * N + x] = 1.0f;
    if (imager_new(&im, &s, &opts, ra, dec, &e) != 0)
        fail_msg("%s", e.text);
    imager_wcs(im, &wcs);
    assert_int_equal(beam_series_new(&series, &airy, vis, &wcs, N, N, 0.03), 0);
    assert_int_equal(wcs_pix_to_radec(&wcs, (double)x, N / 2, &ra, &dec), 0);
    assert_int_equal(made_prediction(im, &s, model, 1.0f, s.data), 0);
    see(vis, ra, dec, s.data);
    assert_int_equal(made_dirty(im, dirty), 0);
    with = left_of(im, series, model, dirty);
    without = left_of(im, NULL, model, dirty);
    printf("dec %g, %.1f deg east: %.1e of the peak left by %zu terms, %.1e by one\n",
           dec_deg, east_deg, with, series->terms, without);
    assert_true(fabs((double)dirty[N / 2 * N + x] - 1) < 1e-3);
    assert_true(with < 2e-3 && with < 0.2 * without);
    beam_series_free(series);
    imager_free(im);
    vis_free(vis);
    free(uvw);
    free(s.data);
    free(model);
    free(dirty);
}

static void a_source_that_drifts_through_the_beam_is_taken_off(void **state)
{
    (void)state;
    for (int i = 1; i <= 2; i++) {
        a_source_leaves_little(16.3, 1.0 * i);
        a_source_leaves_little(55.6, 1.0 * i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_source_that_drifts_through_the_beam_is_taken_off),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
