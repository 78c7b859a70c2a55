/*
 * test_thermal.c: the noise of receivers is found from autocorrelations, settings and channels
 * alike, whatever the gains; and gains tell their own quality.
 */
#include "tests/test.h"

#include <complex.h>
#include <math.h>
#include <string.h>

#include "core/err.h"
#include "pipeline/cal/gains.h"
#include "pipeline/cal/quality.h"
#include "pipeline/cal/receivers.h"
#include "pipeline/cal/stokes.h"
#include "pipeline/cal/thermal.h"
#include "pipeline/sky/vis.h"

enum {
    NANT = 9,
    NTIME = 8,
    NCHAN = 90,
    NPOL = 2,
    NROW = NTIME * NANT * (NANT - 1) / 2
};

#define SEFD 500.0 /* Jy of every receiver */
#define RAW  400.0 /* weight of a sample, Hz s */

static double uniform(unsigned long long *seed)
{
    *seed = *seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return ((double)(*seed >> 11) + 0.5) / 9007199254740992.0;
}

static double gauss(unsigned long long *seed)
{
    double r = sqrt(-2 * log(uniform(seed)));

    return r * cos(2 * M_PI * uniform(seed));
}

/* Amplitudes from 0.6 to 1.4, other in each polarisation, and any phase. */
static struct gains *any_gains(const struct vis *vis, unsigned long long *seed)
{
    struct gains *g;

    assert_int_equal(gains_alloc(&g, NANT, 1, NCHAN, NPOL, NULL), 0);
    memcpy(g->freq_hz, vis->freq_hz, NCHAN * sizeof *g->freq_hz);
    for (size_t a = 0; a < NANT; a++)
        for (size_t p = 0; p < NPOL; p++) {
            double size = 0.6 + 0.8 * uniform(seed), phase = 6 * uniform(seed);

            for (size_t c = 0; c < NCHAN; c++) /* bends slowly */
                g->g[(c * NANT + a) * NPOL + p] =
                    gain_of((float)(size * cos(phase + 0.01 * (double)c)),
                            (float)(size * sin(phase + 0.01 * (double)c)));
        }
    return g;
}

static struct vis *any_vis(void)
{
    struct vis *vis;
    size_t row = 0;

    assert_int_equal(vis_alloc(&vis, NANT, NTIME, NROW, NCHAN, NPOL, NULL), 0);
    for (int t = 0; t < NTIME; t++)
        for (int a = 0; a < NANT; a++)
            for (int b = a + 1; b < NANT; b++, row++) {
                vis->row_time[row] = t;
                vis->row_ant1[row] = a;
                vis->row_ant2[row] = b;
            }
    for (size_t c = 0; c < NCHAN; c++) {
        vis->freq_hz[c] = 1.4e9 + 1e5 * (double)c;
        vis->width_hz[c] = 1e5;
    }
    vis->pol[0] = -5;
    vis->pol[1] = -6;
    return vis;
}

/* 3 Jy in the middle, and noise that goes through the receivers' gains as the source does. */
static void fill(struct vis *vis, const struct gains *g, unsigned long long *seed)
{
    double sigma = SEFD / sqrt(RAW);

    for (size_t i = 0; i < (size_t)NROW * NCHAN * NPOL; i++) {
        size_t p = i % NPOL, c = i / NPOL % NCHAN, r = i / NPOL / NCHAN;
        float complex g1 = g->g[(c * NANT + (size_t)vis->row_ant1[r]) * NPOL + p];
        float complex g2 = g->g[(c * NANT + (size_t)vis->row_ant2[r]) * NPOL + p];

        vis->data[i] =
            g1 * conjf(g2) *
            gain_of((float)(3 + sigma * gauss(seed)), (float)(sigma * gauss(seed)));
        vis->weight[i] = (float)RAW;
    }
}

static void add_autos(struct vis *vis, const struct gains *g)
{
    size_t n = (size_t)NANT * NTIME * NCHAN * NPOL;

    vis->autos = calloc(n, sizeof *vis->autos);
    assert_non_null(vis->autos);
    for (size_t i = 0; i < n; i++) {
        size_t p = i % NPOL, c = i / NPOL % NCHAN, a = i / NPOL / NCHAN / NTIME;
        double size = (double)cabsf(g->g[(c * NANT + a) * NPOL + p]);

        vis->autos[i] = (float)(SEFD * size * size);
        if (i % 97 == 5) /* interference */
            vis->autos[i] *= 1e4F;
    }
}

/* What weights of their own have to say against true variances, in plain loops. */
static double true_scale(const struct vis *vis, const struct stokes *s)
{
    double sum = 0, sum_w = 0, var = SEFD * SEFD / RAW / 2; /* of two hands */

    for (size_t r = 0; r < NROW; r++) {
        float complex data[NCHAN];
        float weight[NCHAN];

        stokes_row(s, r, data, weight);
        for (size_t c = 0; c < vis->nchan; c++) {
            sum += (double)weight[c] * (double)weight[c] * var;
            sum_w += (double)weight[c];
        }
    }
    return sqrt(sum / sum_w);
}

static void near(double x, double want, double part)
{
    if (!(fabs(x - want) <= part * want))
        fail_msg("%g, not %g", x, want);
}

static void the_noise_is_found_in_each_way_it_can_be_told(void **state)
{
    unsigned long long seed = 7;
    struct vis *vis = any_vis();
    struct gains *g = any_gains(vis, &seed);
    const struct gains *gains[STOKES_GAINS] = {g, NULL};
    struct stokes *s;
    struct thermal t;
    double scale;

    (void)state;
    fill(vis, g, &seed);
    assert_int_equal(stokes_new(&s, vis, gains, NULL, NULL, NULL), 0);
    scale = true_scale(vis, s);

    assert_int_equal(thermal_measure(&t, vis, gains, s, 0, NULL), 0);
    assert_string_equal(t.from, "channels");
    near(t.scale, scale, 0.05);
    near(t.sefd_jy, SEFD, 0.08); /* equal receivers behind unequal gains */

    assert_int_equal(thermal_measure(&t, vis, gains, s, 2 * SEFD, NULL), 0);
    assert_string_equal(t.from, "settings");
    near(t.scale, 2 * scale, 1e-4);
    near(t.sefd_jy, 2 * SEFD, 1e-6);

    add_autos(vis, g); /* win over what the settings say */
    assert_int_equal(thermal_measure(&t, vis, gains, s, 2 * SEFD, NULL), 0);
    assert_string_equal(t.from, "autos");
    near(t.scale, scale, 0.01);
    near(t.sefd_jy, SEFD, 0.01);
    near(t.weight, RAW, 1e-6);

    for (size_t i = 0; i < (size_t)NANT * NTIME * NCHAN * NPOL; i++)
        vis->autos[i] = 1; /* normalised: they say nothing of the noise in Jy */
    assert_int_equal(thermal_measure(&t, vis, gains, s, SEFD, NULL), 0);
    assert_string_equal(t.from, "settings");
    near(t.scale, scale, 1e-4);

    memset(vis->weight, 0, (size_t)NROW * NCHAN * NPOL * sizeof *vis->weight);
    assert_int_equal(thermal_measure(&t, vis, gains, s, SEFD, NULL), 0);
    assert_string_equal(t.from, "none");
    assert_true(isnan(t.scale));
    stokes_free(s);
    gains_free(g);
    vis_free(vis);
}

/* Noise of a natural image over the least that there can be with these data. */
static double loss(const struct vis *vis, const struct gains *const *gains,
                   const struct receivers *r, const double *sefd)
{
    double sum = 0, sum_w = 0, best = 0;
    struct stokes *s;

    assert_int_equal(stokes_new(&s, vis, gains, r, NULL, NULL), 0);
    for (size_t row = 0; row < NROW; row++) {
        float complex data[NCHAN];
        float weight[NCHAN];
        double var = sefd[vis->row_ant1[row]] * sefd[vis->row_ant2[row]] / RAW / 2;

        stokes_row(s, row, data, weight);
        for (size_t c = 0; c < NCHAN; c++) {
            sum += (double)weight[c] * (double)weight[c] * var;
            sum_w += (double)weight[c];
            best += weight[c] > 0 ? 1 / var : 0;
        }
    }
    stokes_free(s);
    return sqrt(sum * best) / sum_w;
}

static void weights_are_those_of_the_receivers_whatever_the_gains(void **state)
{
    static const double sefd[NANT] = {500, 900, 350, 500, 1600, 500, 450, 500, 700};
    unsigned long long seed = 5;
    struct vis *vis = any_vis();
    struct gains *g = any_gains(vis, &seed), *noisy = any_gains(vis, &seed);
    const struct gains *gains[STOKES_GAINS] = {g, NULL};
    struct receivers r = {0};

    (void)state;
    for (size_t c = 0; c < NCHAN; c++)
        for (size_t a = 0; a < NANT; a++)
            for (size_t p = 0; p < NPOL;
                 p++) /* noise of SEFD is that of sefd[a] then */
                noisy->g[(c * NANT + a) * NPOL + p] =
                    g->g[(c * NANT + a) * NPOL + p] * (float)sqrt(sefd[a] / SEFD);
    fill(vis, noisy, &seed);
    assert_true(loss(vis, gains, NULL, sefd) > 1.1);
    assert_int_equal(receivers_measure(&r, vis, gains, NULL), 0);
    assert_string_equal(r.from, "channels");
    assert_true(loss(vis, gains, &r, sefd) < 1.02);
    receivers_close(&r);
    add_autos(vis, noisy);
    assert_int_equal(receivers_measure(&r, vis, gains, NULL), 0);
    assert_string_equal(r.from, "autos");
    assert_true(loss(vis, gains, &r, sefd) < 1.001);
    for (size_t k = 0; k < (size_t)NTIME * NCHAN * NPOL; k++)
        r.level[k / NTIME] = vis->autos[k] =
            0; /* antenna 0 is not known: like the others */
    assert_true(loss(vis, gains, &r, sefd) < 1.02);
    receivers_close(&r);
    for (size_t i = 0; i < (size_t)NANT * NTIME * NCHAN * NPOL; i++)
        vis->autos[i] = 1; /* normalised: they tell nothing */
    assert_int_equal(receivers_measure(&r, vis, gains, NULL), 0);
    assert_string_equal(r.from, "channels");
    receivers_close(&r);
    memset(vis->weight, 0, (size_t)NROW * NCHAN * NPOL * sizeof *vis->weight);
    assert_int_equal(receivers_measure(&r, vis, gains, NULL), 0);
    assert_string_equal(r.from, "none");
    receivers_close(&r);
    gains_free(g);
    gains_free(noisy);
    vis_free(vis);
}

/* 180 / sqrt 3 degrees of any phase; 1 / snr of a good one; between them a million samples. */
static void phases_scatter_as_noise_makes_them(void **state)
{
    unsigned long long seed = 3;
    double sum = 0, snr = 1.3;
    enum { N = 200000 };

    (void)state;
    near(thermal_phase_rms_deg(0), 180 / sqrt(3), 1e-6);
    near(thermal_phase_rms_deg(50), 180 / M_PI / 50, 2e-3);
    near(thermal_phase_rms_deg(200), 180 / M_PI / 200, 1e-9);
    for (int i = 0; i < N; i++) {
        double re = snr + gauss(&seed), phase = atan2(gauss(&seed), re);

        sum += phase * phase;
    }
    near(thermal_phase_rms_deg(snr), sqrt(sum / N) * 180 / M_PI, 0.01);
}

static void gains_tell_their_noise_and_what_failed(void **state)
{
    unsigned long long seed = 11;
    struct vis *vis = any_vis();
    struct gains *g = any_gains(vis, &seed);
    struct quality q;

    (void)state;
    fill(vis, g, &seed);
    for (size_t i = 0; i < (size_t)NCHAN * NANT * NPOL; i++) {
        double size = (double)cabsf(g->g[i]) / 20;

        g->g[i] += gain_of((float)(size * gauss(&seed)), (float)(size * gauss(&seed)));
    }
    assert_int_equal(quality_of(&q, g, vis), 0);
    near(q.snr, 20, 0.12);
    assert_true(q.failed == 0);

    for (size_t c = 0; c < NCHAN / 2;
         c++) /* one antenna of nine, half of the channels */
        for (size_t p = 0; p < NPOL; p++)
            g->g[(c * NANT + 4) * NPOL + p] = 0;
    assert_int_equal(quality_of(&q, g, vis), 0);
    near(q.failed, 1.0 / 18, 1e-6);

    for (size_t r = 0; r < NROW; r++) /* an antenna without data has nothing to fail */
        if (vis->row_ant1[r] == 4 || vis->row_ant2[r] == 4)
            memset(vis->weight + r * NCHAN * NPOL, 0,
                   (size_t)NCHAN * NPOL * sizeof *vis->weight);
    assert_int_equal(quality_of(&q, g, vis), 0);
    assert_true(q.failed == 0);
    gains_free(g);
    vis_free(vis);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_noise_is_found_in_each_way_it_can_be_told),
        cmocka_unit_test(weights_are_those_of_the_receivers_whatever_the_gains),
        cmocka_unit_test(phases_scatter_as_noise_makes_them),
        cmocka_unit_test(gains_tell_their_noise_and_what_failed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
