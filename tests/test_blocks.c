/*
 * test_blocks.c: where one channel or integration has too little signal for a gain, several have
 * enough; who alone is faint does not take the others along.
 */
#include "tests/test.h"

#include <complex.h>
#include <math.h>

#include "core/err.h"
#include "pipeline/cal/blocks.h"
#include "pipeline/cal/delay.h"
#include "pipeline/cal/gains.h"
#include "pipeline/cal/smooth.h"
#include "pipeline/cal/solve.h"
#include "tests/made_gains.h"

/* More channels than made_gains.h has: antennas with delays of up to 25 ns and noise. */
enum { WIDE = 96, TIMES = 3 };

static double delay_of(size_t a, size_t p)
{
    return 5e-9 * (double)((7 * a + 3 * p) % 11) - 25e-9;
}

static double complex wide_gain(const struct vis *vis, size_t c, size_t a, size_t p)
{
    double turns = delay_of(a, p) * (vis->freq_hz[c] - vis->freq_hz[0]);

    return (0.8 + 0.04 * (double)a) * cexp(I * (double)a + 2 * M_PI * I * turns);
}

/* 1 Jy in the middle; sigma is the noise of either part. */
static struct vis *wide_vis(double sigma)
{
    size_t row = 0, nrow = (size_t)TIMES * NANT * (NANT - 1) / 2;
    struct vis *vis;
    unsigned long long seed = 11;

    assert_int_equal(vis_alloc(&vis, NANT, TIMES, nrow, WIDE, NPOL, NULL), 0);
    vis->pol[0] = -5;
    vis->pol[1] = -6;
    for (size_t c = 0; c < WIDE; c++) {
        vis->freq_hz[c] = 1.3e9 + 2e6 * (double)c;
        vis->width_hz[c] = 2e6;
    }
    for (size_t a = 0; a < NANT; a++)
        vis->ant_pos_m[a][0] = 20.0 * (double)a;
    for (int t = 0; t < TIMES; t++) {
        vis->time_jd[t] = 2461000.5 + 1e-4 * t;
        for (int a = 0; a < NANT; a++)
            for (int b = a + 1; b < NANT; b++, row++) {
                vis->row_time[row] = t;
                vis->row_ant1[row] = a;
                vis->row_ant2[row] = b;
            }
    }
    for (size_t r = 0; r < nrow; r++)
        for (size_t k = 0; k < WIDE * NPOL; k++) {
            double complex v =
                wide_gain(vis, k / NPOL, (size_t)vis->row_ant1[r], k % NPOL) *
                conj(wide_gain(vis, k / NPOL, (size_t)vis->row_ant2[r], k % NPOL));

            v += sigma * (normal(&seed) + I * normal(&seed));
            vis->data[r * WIDE * NPOL + k] = (float complex)v;
            vis->weight[r * WIDE * NPOL + k] = 1;
        }
    return vis;
}

static void add_one_jy(const void *arg, size_t row, size_t chan, size_t n, float *re,
                       float *im)
{
    (void)arg;
    (void)row;
    (void)chan;
    (void)im;
    for (size_t i = 0; i < n; i++)
        re[i] += 1;
}

/* Rms of the relative error of gains, any common phase of a channel aside; with *chi2, of either
 * part in errors that the solver gives. */
static double error_of(const struct gains *g, const struct vis *vis, double *chi2)
{
    double sum = 0, sum_chi2 = 0, n = 0;

    for (size_t c = 0; c < WIDE; c++)
        for (size_t p = 0; p < NPOL; p++) {
            double complex common = 0;

            for (size_t a = 0; a < NANT; a++)
                common += (double complex)g->g[(c * NANT + a) * NPOL + p] /
                          wide_gain(vis, c, a, p);
            for (size_t a = 0; a < NANT; a++) {
                size_t at = (c * NANT + a) * NPOL + p;
                double complex z = (double complex)g->g[at] / wide_gain(vis, c, a, p);
                double off = cabs(z * conj(common) / cabs(common) - 1);

                sum += off * off;
                sum_chi2 += off * off * (double)(g->snr[at] * g->snr[at]) / 2;
                n++;
            }
        }
    *chi2 = sum_chi2 / n;
    return sqrt(sum / n);
}

static void
faint_calibrators_are_solved_by_blocks_and_fainter_ones_refused(void **state)
{
    /* noise, blocks, error: of a gain of one channel sigma / sqrt(TIMES (NANT - 1)), each part */
    static const double sigma[] = {0.2, 1.2, 2.4, 40};
    const struct model model = {.field = add_one_jy};

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct vis *vis = wide_vis(sigma[i]);
        struct gains *bp, *g;
        struct err e = {0};
        double one = M_SQRT2 * sigma[i] / sqrt(TIMES * (NANT - 1.0)), err, chi2;
        int rc = solve_bandpass(&bp, &g, vis, &model, NULL, &e);

        if (i == 3) {
            assert_int_equal(rc, ERR_QUALITY);
            assert_non_null(strstr(e.text, "too faint"));
            vis_free(vis);
            continue;
        }
        assert_int_equal(rc, 0);
        err = error_of(bp, vis, &chi2);
        print_message(
            "%zu channels a solution, error %.3f, of one channel %.3f, chi2 %.2f\n",
            bp->block, err, one, chi2);
        assert_true(i == 0 ? bp->block <= 1 : bp->block > 1 && bp->block <= WIDE / 4);
        assert_true(err < (i == 0 ? 1.15 * one : 0.2) && chi2 > 0.4 && chi2 < 1.4);
        for (size_t k = 0; k < WIDE * NANT * NPOL; k++)
            assert_true(bp->g[k] != 0);
        gains_free(bp);
        gains_free(g);
        vis_free(vis);
    }
}

static void a_faint_antenna_leaves_alone(void **state)
{
    const struct solve_opts opts = {.want_snr = -1};
    const struct model model = {.field = add_one_jy};
    struct vis *vis = wide_vis(0.7);
    struct gains *g;
    struct err e;
    size_t solved = 0;

    (void)state;
    for (size_t r = 0; r < vis->nrow; r++) /* antenna 4 hears little */
        for (size_t k = 0; k < WIDE * NPOL; k++)
            if (vis->row_ant1[r] == 4 || vis->row_ant2[r] == 4)
                vis->data[r * WIDE * NPOL + k] *= 0.3F,
                    vis->weight[r * WIDE * NPOL + k] = 1;
    assert_int_equal(solve_gains(&g, vis, &model, 0, 1, &opts, &e), 0);
    for (size_t k = 0; k < WIDE * NANT * NPOL; k++)
        solved += g->g[k] != 0 && k / NPOL % NANT != 4;
    assert_true(solved > 0.97 * WIDE * (NANT - 1) * NPOL);
    gains_free(g);
    vis_free(vis);
}

static void delays_come_back_from_gains_as_noisy_as_they_are_large(void **state)
{
    struct vis *vis = wide_vis(0);
    struct gains *g;
    double delay_s[NANT * NPOL];
    unsigned long long seed = 2;

    (void)state;
    for (int noisy = 0; noisy < 2; noisy++) {
        assert_int_equal(gains_alloc(&g, NANT, 1, WIDE, NPOL, NULL), 0);
        memcpy(g->freq_hz, vis->freq_hz, sizeof *g->freq_hz * WIDE);
        for (size_t k = 0; k < WIDE * NANT * NPOL; k++) {
            double complex z =
                wide_gain(vis, k / NPOL / NANT, k / NPOL % NANT, k % NPOL);

            if (noisy)
                z += 0.7 * cabs(z) * (normal(&seed) + I * normal(&seed));
            if (k / NPOL / NANT % 9 != 4) /* some channels are missing */
                g->g[k] = (float complex)z;
        }
        delay_fit(delay_s, g);
        for (size_t i = 0; i < NANT * NPOL; i++)
            assert_true(fabs(delay_s[i] - delay_of(i / NPOL, i % NPOL)) <
                        (noisy ? 1.2e-9 : 1e-12));
        gains_free(g);
    }
    vis_free(vis);
}

static void small_gaps_are_filled_and_marked_and_large_ones_stay(void **state)
{
    enum { N = 30 };
    struct gains *g;

    (void)state;
    assert_int_equal(gains_alloc(&g, 2, 1, N, 1, NULL), 0);
    for (size_t c = 0; c < N; c++)
        for (size_t a = 0; a < 2; a++) {
            bool gap = (c >= 5 && c < 8) || (c >= 12 && c < 17) || c == 0 || c >= 28;

            g->snr[c * 2 + a] = gap && a == 1 ? 0 : 20;
            g->g[c * 2 + a] = gap && a == 1
                                  ? 0
                                  : (float complex)((1 + 0.1 * (double)c) *
                                                    cexp(0.9 * I * (double)c));
        }
    blocks_fill(g, 4);
    for (size_t c = 0; c < N; c++) {
        bool filled = c >= 5 && c < 8, open = (c >= 12 && c < 17) || c == 0 || c >= 28;

        assert_true((g->g[2 * c + 1] == 0) == open);
        assert_true((g->snr[2 * c + 1] > 0) == (!filled && !open));
        if (filled) /* 3.6 rad from side to side: the short way round is taken */
            assert_true(fabsf(cabsf(g->g[2 * c + 1]) - (1 + 0.1F * (float)c)) < 1e-5F);
        assert_true(g->g[2 * c] != 0 && g->snr[2 * c] == 20);
    }
    gains_free(g);
}

static void a_smooth_bandpass_has_no_fringes_and_a_rough_one_stays(void **state)
{
    struct vis *vis = wide_vis(0);
    struct gains *bp, *smooth;
    double worst = 0;

    (void)state;
    assert_int_equal(gains_alloc(&bp, NANT, 1, WIDE, NPOL, NULL), 0);
    memcpy(bp->freq_hz, vis->freq_hz, sizeof *bp->freq_hz * WIDE);
    for (size_t k = 0; k < WIDE * NANT * NPOL;
         k++) { /* 0.1 of a source that is swallowed */
        double fringe = 1 + 0.1 * sin(0.4 * (double)(k / NPOL / NANT));

        bp->g[k] = (float complex)(
            fringe * wide_gain(vis, k / NPOL / NANT, k / NPOL % NANT, k % NPOL));
    }
    bp->g[7 * NANT * NPOL + 5] = 0;
    assert_int_equal(smooth_bandpass(&smooth, bp, 0.15, NULL), 0);
    assert_non_null(smooth);
    assert_true(smooth->g[7 * NANT * NPOL + 5] == 0);
    for (size_t k = 0; k < WIDE * NANT * NPOL; k++) {
        double complex want =
            wide_gain(vis, k / NPOL / NANT, k / NPOL % NANT, k % NPOL);

        if (k != 7 * NANT * NPOL + 5)
            worst = fmax(worst, cabs((double complex)smooth->g[k] / want - 1));
    }
    assert_true(worst < 0.02);
    gains_free(smooth);
    assert_int_equal(smooth_bandpass(&smooth, bp, 0.01, NULL), 0);
    assert_null(smooth);
    gains_free(bp);
    vis_free(vis);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            faint_calibrators_are_solved_by_blocks_and_fainter_ones_refused),
        cmocka_unit_test(a_faint_antenna_leaves_alone),
        cmocka_unit_test(delays_come_back_from_gains_as_noisy_as_they_are_large),
        cmocka_unit_test(a_smooth_bandpass_has_no_fringes_and_a_rough_one_stays),
        cmocka_unit_test(small_gaps_are_filled_and_marked_and_large_ones_stay),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
