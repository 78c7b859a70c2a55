/*
 * test_solve.c: known gains come back, to rounding without noise and to the thermal limit with
 * it, whatever the order of the antennas; and what 3C273 looks like with a bandpass.
 */
#include "tests/test.h"

#include <complex.h>
#include <glob.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "core/err.h"
#include "pipeline/sky/beam.h"
#include "pipeline/sky/calibrator.h"
#include "pipeline/cal/apply.h"
#include "pipeline/cal/gains.h"
#include "pipeline/cal/lines.h"
#include "pipeline/cal/model.h"
#include "pipeline/cal/scale.h"
#include "pipeline/cal/solve.h"
#include "pipeline/io/uvh5.h"
#include "pipeline/sky/vis.h"
#include "tests/made_gains.h"

static int apply_one(struct vis *vis, const struct gains *g, struct err *e)
{
    return apply_gains(vis, &(struct apply){.gains = {g}, .threads = 3}, e);
}

static double phase_rms_deg(const struct vis *vis, const float complex *field)
{
    struct apply job = {.model = of(vis, field)};
    struct err e;

    assert_int_equal(apply_measure(vis, &job, &e), 0);
    assert_true(isnan(job.phase_rms_deg[1]));
    return job.phase_rms_deg[0];
}

/* Largest relative deviation of calibrated data from the model. */
static double worst_residual(const struct vis *vis, const float complex *model)
{
    double worst = 0;

    for (size_t k = 0; k < vis->nrow * vis->nchan; k++) {
        for (size_t p = 0; p < vis->npol; p++) {
            if (vis->weight[k * vis->npol + p] > 0)
                worst = fmax(worst, cabsf(vis->data[k * vis->npol + p] - model[k]) /
                                        cabsf(model[k]));
        }
    }
    return worst;
}

static void known_gains_come_back_without_noise(void **state)
{
    struct truth truth;
    struct vis *vis = make_vis();
    float complex *model = make_model(vis);
    struct gains *g;
    struct err e;
    const struct solve_opts opts = {.refant = 4};

    (void)state;
    make_truth(&truth, 17);
    fill(vis, model, &truth, false, 0, 1);
    assert_int_equal(solve_gains(&g, vis, of(vis, model), 0, 1, &opts, &e), 0);
    assert_int_equal(g->ntime, 1);
    assert_int_equal(g->nchan, NCHAN);
    assert_int_equal(g->refant, 4);
    assert_true(fabs(g->freq_hz[5] - vis->freq_hz[5]) < 1);
    for (int c = 0; c < NCHAN; c++) {
        for (int p = 0; p < NPOL; p++) {
            double complex ref = truth.bp[c][4][p];

            for (int a = 0; a < NANT; a++) {
                double complex want = truth.bp[c][a][p] * conj(ref) / cabs(ref);
                float complex got = g->g[(c * NANT + a) * NPOL + p];

                assert_true(cabs(got - want) < 1e-4 * cabs(want));
            }
        }
    }
    gains_free(g);
    free(model);
    vis_free(vis);
}

static void bandpass_and_gain_in_turns_make_the_data_equal_to_the_model(void **state)
{
    struct truth truth;
    struct vis *vis = make_vis();
    float complex *model = make_model(vis);
    struct gains *bp, *g;
    struct err e;

    (void)state;
    make_truth(&truth, 99);
    fill(vis, model, &truth, true, 0, 1);
    assert_int_equal(solve_bandpass(&bp, &g, vis, of(vis, model), NULL, &e), 0);
    assert_int_equal(bp->ntime, 1);
    assert_int_equal(bp->nchan, NCHAN);
    assert_int_equal(g->ntime, NTIME);
    assert_int_equal(g->nchan, 1);
    for (int a = 0; a < NANT; a++) {
        for (int p = 0; p < NPOL; p++) {
            double amp = 0;
            double complex sum = 0;

            for (int t = 0; t < NTIME; t++) {
                amp += cabsf(g->g[(t * NANT + a) * NPOL + p]) / NTIME;
                sum += g->g[(t * NANT + a) * NPOL + p];
            }
            assert_true(fabs(amp - 1) < 1e-5);
            assert_true(fabs(carg(sum)) < 1e-5);
        }
    }
    assert_int_equal(apply_one(vis, bp, &e), 0);
    assert_true(worst_residual(vis, model) > 0.02); /* the drift is still there */
    assert_int_equal(apply_one(vis, g, &e), 0);
    assert_true(worst_residual(vis, model) < 1e-4);
    assert_true(phase_rms_deg(vis, model) < 0.01);
    gains_free(bp);
    gains_free(g);
    free(model);
    vis_free(vis);
}

/* The same data with antennas renumbered: row (a, b) becomes (to[a], to[b]), conjugated when
 * that turns it round. */
static struct vis *renumbered(const struct vis *vis, const float complex *model,
                              const int *to, float complex *new_model)
{
    struct vis *out = make_vis();

    for (size_t r = 0; r < vis->nrow; r++) {
        int a = to[vis->row_ant1[r]], b = to[vis->row_ant2[r]];

        out->row_ant1[r] = a < b ? a : b;
        out->row_ant2[r] = a < b ? b : a;
        for (size_t k = 0; k < NCHAN; k++) {
            float complex m = model[r * NCHAN + k];

            new_model[r * NCHAN + k] = a < b ? m : conjf(m);
            for (size_t p = 0; p < NPOL; p++) {
                size_t at = (r * NCHAN + k) * NPOL + p;

                out->data[at] = a < b ? vis->data[at] : conjf(vis->data[at]);
                out->weight[at] = vis->weight[at];
            }
        }
    }
    for (int a = 0; a < NANT; a++)
        memcpy(out->ant_pos_m[to[a]], vis->ant_pos_m[a], sizeof vis->ant_pos_m[a]);
    return out;
}

static void antenna_order_and_reference_do_not_change_relative_gains(void **state)
{
    static const int to[NANT] = {6, 2, 9, 0, 10, 3, 1, 8, 5, 7, 4};
    struct truth truth;
    struct vis *vis = make_vis(), *other;
    float complex *model = make_model(vis),
                  *model2 = calloc(vis->nrow * NCHAN, sizeof *model2);
    struct gains *g, *h;
    struct err e;
    const struct solve_opts opts = {.refant = 1}, opts2 = {.refant = 8};

    (void)state;
    make_truth(&truth, 5);
    fill(vis, model, &truth, false, 0.0008, 3);
    other = renumbered(vis, model, to, model2);
    assert_int_equal(solve_gains(&g, vis, of(vis, model), 3, 4, &opts, &e), 0);
    assert_int_equal(solve_gains(&h, other, of(other, model2), 3, 4, &opts2, &e), 0);
    assert_int_equal(g->ntime, 3); /* 3 + 3 + 1 integrations */
    assert_int_equal(g->nchan, 4); /* 4 + 4 + 4 + 1 channels */
    for (size_t k = 0; k < g->ntime * g->nchan; k++) {
        for (int p = 0; p < NPOL; p++) {
            for (int a = 1; a < NANT; a++) {
                float complex was = g->g[(k * NANT + (size_t)a) * NPOL + (size_t)p] *
                                    conjf(g->g[k * NANT * NPOL + (size_t)p]);
                size_t a2 = (size_t)to[a], z2 = (size_t)to[0];
                float complex now = h->g[(k * NANT + a2) * NPOL + (size_t)p] *
                                    conjf(h->g[(k * NANT + z2) * NPOL + (size_t)p]);

                assert_true(cabsf(was - now) < 1e-4f * cabsf(was));
            }
        }
    }
    gains_free(g);
    gains_free(h);
    free(model);
    free(model2);
    vis_free(vis);
    vis_free(other);
}

/*
 * N antennas of equal gain, noise sigma in each part of V, K samples a baseline: the error of
 * each part of a gain is sigma / (|g| S sqrt(K (N - 1))) at high signal to noise, up to the
 * part that the other antennas' errors add, (N - 1) / (N - 2) or so; tolerance 20 %.
 */
static void noise_on_gains_is_thermal(void **state)
{
    struct truth truth;
    struct vis *vis = make_vis();
    float complex *model = make_model(vis);
    struct gains *g;
    struct err e;
    const struct solve_opts opts = {.refant = 0};
    double sigma = 0.0004, sum = 0, want, n = 0;

    (void)state;
    make_truth(&truth, 21);
    for (int c = 0; c < NCHAN; c++) {
        for (int a = 0; a < NANT; a++) {
            for (int p = 0; p < NPOL; p++)
                truth.bp[c][a][p] = 0.02 * cexp(I * (0.7 * a + 0.1 * c * p));
        }
    }
    fill(vis, model, &truth, false, sigma, 77);
    for (size_t k = 0; k < vis->nrow * NCHAN * NPOL; k++)
        vis->weight[k] = 1;
    assert_int_equal(solve_gains(&g, vis, of(vis, model), 1, 1, &opts, &e), 0);
    for (int t = 0; t < NTIME; t++) {
        for (int c = 0; c < NCHAN; c++) {
            for (int p = 0; p < NPOL; p++) {
                for (int a = 0; a < NANT; a++) {
                    float complex got = g->g[((t * NCHAN + c) * NANT + a) * NPOL + p];

                    /* amplitudes are free of the common phase */
                    sum += pow(cabsf(got) - 0.02, 2);
                    n += 1;
                }
            }
        }
    }
    want = sigma / (0.02 * FLUX_JY * sqrt(NANT - 1));
    print_message("gain error %.3g, thermal %.3g\n", sqrt(sum / n), want);
    assert_true(fabs(sqrt(sum / n) / want - 1) < 0.2);
    gains_free(g);
    free(model);
    vis_free(vis);
}

static void dead_antennas_get_no_solution_and_their_data_are_flagged(void **state)
{
    struct truth truth;
    struct vis *vis = make_vis();
    float complex *model = make_model(vis);
    struct gains *bp, *g;
    struct err e;
    size_t kept = 0;

    (void)state;
    make_truth(&truth, 8);
    for (int c = 0; c < NCHAN; c++) /* 9 hears nothing but its own noise */
        truth.bp[c][9][0] = truth.bp[c][9][1] = 0;
    fill(vis, model, &truth, true, 0.0004, 12);
    flag_antenna(vis, 6); /* 6 has no data */
    assert_int_equal(solve_bandpass(&bp, &g, vis, of(vis, model), NULL, &e), 0);
    for (int c = 0; c < NCHAN; c++) {
        for (int a = 0; a < NANT; a++) {
            for (int p = 0; p < NPOL; p++) {
                float complex got = bp->g[(c * NANT + a) * NPOL + p];

                assert_true(isfinite(cabsf(got)));
                assert_int_equal(got == 0, a == 6 || a == 9);
            }
        }
    }
    assert_int_equal(apply_one(vis, bp, &e), 0);
    assert_int_equal(apply_one(vis, g, &e), 0);
    for (size_t r = 0; r < vis->nrow; r++) {
        int a = vis->row_ant1[r], b = vis->row_ant2[r];
        bool dead = a == 6 || b == 6 || a == 9 || b == 9;

        for (size_t k = r * NCHAN * NPOL; k < (r + 1) * NCHAN * NPOL; k++) {
            assert_true(isfinite(cabsf(vis->data[k])) && isfinite(vis->weight[k]));
            assert_int_equal(vis->weight[k] > 0, !dead);
            kept += vis->weight[k] > 0;
        }
    }
    assert_int_equal(kept, NTIME * 9 * 8 / 2 * NCHAN * NPOL);
    gains_free(bp);
    gains_free(g);
    free(model);
    vis_free(vis);
}

static void weights_scale_by_the_power_of_both_gains(void **state)
{
    struct truth truth;
    struct vis *vis = make_vis();
    float complex *model = make_model(vis);
    struct gains *g;
    struct err e;
    float before;
    double want;

    (void)state;
    make_truth(&truth, 31);
    fill(vis, model, &truth, false, 0, 1);
    assert_int_equal(solve_gains(&g, vis, of(vis, model), 0, 1, NULL, &e), 0);
    before = vis->weight[(20 * NCHAN + 3) * NPOL + 1];
    want = before * pow(cabs(truth.bp[3][vis->row_ant1[20]][1]), 2) *
           pow(cabs(truth.bp[3][vis->row_ant2[20]][1]), 2);
    assert_int_equal(apply_one(vis, g, &e), 0);
    assert_true(fabs(vis->weight[(20 * NCHAN + 3) * NPOL + 1] / want - 1) < 1e-3);
    gains_free(g);
    free(model);
    vis_free(vis);
}

static void cross_hands_take_the_two_parallel_gains(void **state)
{
    struct vis *vis;
    struct gains *g;
    struct err e;
    static const float complex gx[2] = {2, 3 * I}, gy[2] = {5, 1 + I};

    (void)state;
    assert_int_equal(vis_alloc(&vis, 2, 1, 1, 1, 4, &e), 0);
    assert_int_equal(gains_alloc(&g, 2, 1, 1, 4, &e), 0);
    for (int p = 0; p < 4; p++) {
        static const int codes[4] = {-5, -7, -6, -8};

        vis->pol[p] = codes[p];
        vis->data[p] = 1;
        vis->weight[p] = 1;
    }
    vis->row_ant2[0] = 1;
    vis->freq_hz[0] = 1.4e9;
    vis->width_hz[0] = 1e6;
    for (int a = 0; a < 2; a++) {
        g->g[a * 4 + 0] = gx[a];
        g->g[a * 4 + 2] = gy[a];
    }
    assert_int_equal(apply_one(vis, g, &e), 0);
    assert_true(cabsf(vis->data[0] - 1 / (gx[0] * conjf(gx[1]))) < 1e-6f);
    assert_true(cabsf(vis->data[1] - 1 / (gx[0] * conjf(gy[1]))) < 1e-6f); /* XY */
    assert_true(cabsf(vis->data[2] - 1 / (gy[0] * conjf(gy[1]))) < 1e-6f);
    assert_true(cabsf(vis->data[3] - 1 / (gy[0] * conjf(gx[1]))) < 1e-6f); /* YX */
    gains_free(g);
    vis_free(vis);
}

static void gains_of_other_channels_or_antennas_are_refused(void **state)
{
    struct truth truth;
    struct vis *vis = make_vis();
    float complex *model = make_model(vis);
    struct gains *g;
    struct err e;

    (void)state;
    make_truth(&truth, 2);
    fill(vis, model, &truth, false, 0, 1);
    assert_int_equal(solve_gains(&g, vis, of(vis, model), 0, 1, NULL, &e), 0);
    for (int c = 0; c < NCHAN; c++)
        vis->freq_hz[c] += 3 * 244140.625;
    assert_int_equal(apply_one(vis, g, &e), ERR_SHAPE);
    assert_non_null(strstr(e.text, "no channel at 1403.173828 MHz"));
    g->nant--;
    assert_int_equal(apply_one(vis, g, &e), ERR_SHAPE);
    assert_non_null(strstr(e.text, "10 antennas"));
    g->nant++;
    gains_free(g);
    free(model);
    vis_free(vis);
}

static void baselines_too_short_or_too_long_take_no_part(void **state)
{
    struct truth truth;
    struct vis *vis = make_vis();
    float complex *model = make_model(vis);
    struct gains *g;
    struct err e;
    const double lambda_m = 299792458.0 / 1.4e9;
    struct solve_opts opts = {.refant = 1,
                              .clip_sigma = -1,
                              .min_uv_lambda = 100 / lambda_m,
                              .max_uv_lambda = 600 / lambda_m};

    (void)state;
    make_truth(&truth, 9);
    fill(vis, model, &truth, false, 0, 1);
    for (size_t r = 0; r < vis->nrow;
         r++) { /* what is too short or too long is spoilt */
        const double *a = vis->ant_pos_m[vis->row_ant1[r]], *stop = vis->stop[0];
        const double *b = vis->ant_pos_m[vis->row_ant2[r]];
        double d[3] = {b[0] - a[0], b[1] - a[1], b[2] - a[2]};
        double along = d[0] * stop[0] + d[1] * stop[1] + d[2] * stop[2];
        double m = sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2] - along * along);

        for (size_t k = 0; (m < 100.5 || m > 599.5) && k < NCHAN * NPOL; k++)
            vis->data[r * NCHAN * NPOL + k] *= 5;
    }
    assert_int_equal(solve_gains(&g, vis, of(vis, model), 0, 1, &opts, &e), 0);
    assert_int_equal(apply_one(vis, g, &e), 0);
    for (size_t k = 0; k < NANT; k++) {
        double size = cabs(truth.bp[3][k][0]);
        double got = (double)cabsf(g->g[(3 * NANT + k) * NPOL]);

        assert_true(got == 0 || fabs(got - size) < 1e-4 * size);
    }
    gains_free(g);
    free(model);
    vis_free(vis);
}

static void no_data_is_refused(void **state)
{
    struct vis *vis = make_vis();
    float complex *model = make_model(vis);
    struct gains *g;
    struct err e;

    (void)state;
    assert_int_equal(solve_gains(&g, vis, of(vis, model), 0, 1, NULL, &e), ERR_QUALITY);
    assert_null(g);
    free(model);
    vis_free(vis);
}

/* Noise alone, however much of it, is no calibrator. */
static void noise_without_a_source_gives_no_solution(void **state)
{
    struct truth truth = {0};
    struct vis *vis = make_vis();
    float complex *model = make_model(vis);
    struct gains *g;
    struct err e;

    (void)state;
    fill(vis, model, &truth, false, 0.01, 4);
    assert_int_equal(solve_gains(&g, vis, of(vis, model), 0, 0, NULL, &e), ERR_QUALITY);
    assert_null(g);
    free(model);
    vis_free(vis);
}

/* All of a model, out [nrow][nchan]; equal in all polarisations. */
static void spread(const struct model *m, const struct vis *vis, float complex *out)
{
    size_t most = LINE / vis->npol;

    for (size_t r = 0; r < vis->nrow; r++) {
        struct model_row row;

        model_row(&row, m, vis, r, line_code());
        for (size_t c = 0; c < vis->nchan; c += most) {
            size_t n = vis->nchan - c < most ? vis->nchan - c : most;
            float re[LINE], im[LINE];

            model_row_line(&row, c, n, re, im);
            for (size_t k = 0; k < n * vis->npol; k++) {
                float complex here = gain_of(re[k], im[k]);

                if (k % vis->npol == 0)
                    out[r * vis->nchan + c + k / vis->npol] = here;
                else
                    assert_true(here == out[r * vis->nchan + c + k / vis->npol]);
            }
        }
    }
}

/* The convention in one number: V = exp(+2 pi i nu/c b . (s - stop)), b = antenna 2 - antenna 1. */
static void model_is_the_fringe_of_the_offset_from_the_stop_direction(void **state)
{
    struct vis *vis = make_vis();
    float complex *model = calloc(vis->nrow * NCHAN, sizeof *model);
    struct calibrator cal = {.name = "x",
                             .ra_rad = 1,
                             .dec_rad = 0.5,
                             .npoint = 1,
                             .freq_hz = {1.4e9},
                             .flux_jy = {3},
                             .lo_hz = 1e9,
                             .hi_hz = 2e9};
    struct beam beam = {.kind = BEAM_NONE};
    struct model point;
    struct err e;

    (void)state;
    assert_non_null(model);
    for (int t = 0; t < NTIME; t++) {
        struct astro_epoch ep;

        astro_epoch_init(&ep, vis->time_jd[t], NULL, &vis->site);
        astro_icrs_to_itrf(&ep, cal.ra_rad + 0.01, cal.dec_rad - 0.004, vis->stop[t]);
    }
    assert_int_equal(model_init(&point, vis, &cal, &beam, &e), 0);
    spread(&point, vis, model);
    model_close(&point);
    for (size_t r = 0; r < vis->nrow; r += 17) {
        int t = vis->row_time[r];
        const double *p1 = vis->ant_pos_m[vis->row_ant1[r]];
        const double *p2 = vis->ant_pos_m[vis->row_ant2[r]];
        struct astro_epoch ep;
        double s[3], path_m = 0;

        astro_epoch_init(&ep, vis->time_jd[t], NULL, &vis->site);
        astro_icrs_to_itrf(&ep, cal.ra_rad, cal.dec_rad, s);
        for (int k = 0; k < 3; k++)
            path_m += (p2[k] - p1[k]) * (s[k] - vis->stop[t][k]);
        for (size_t c = 0; c < NCHAN; c++) {
            double complex want =
                3 * cexp(2 * M_PI * I * vis->freq_hz[c] / 299792458.0 * path_m);

            assert_true(cabs(model[r * NCHAN + c] - want) < 1e-5);
        }
    }
    cal.hi_hz = 1.3e9;
    assert_int_equal(model_init(&point, vis, &cal, &beam, &e), ERR_QUALITY);
    model_close(&point);
    free(model);
    vis_free(vis);
}

/* Data of a point source and a field 1.7 times as bright as the model's, with known gains. */
static void the_scale_of_a_field_comes_back(void **state)
{
    struct truth truth;
    struct vis *vis = make_vis();
    float complex *field = make_model(vis), *sky = make_model(vis);
    struct calibrator cal = {.name = "x",
                             .ra_rad = 1,
                             .dec_rad = 0.5,
                             .npoint = 1,
                             .freq_hz = {1.4e9},
                             .flux_jy = {9},
                             .lo_hz = 1e9,
                             .hi_hz = 2e9};
    struct beam beam = {.kind = BEAM_NONE};
    struct model model;
    struct gains *bp, *g;
    struct scale scale;
    struct err e;

    (void)state;
    make_truth(&truth, 16);
    assert_int_equal(model_init(&model, vis, &cal, &beam, &e), 0);
    spread(&model, vis, sky);
    for (size_t i = 0; i < vis->nrow * NCHAN; i++) {
        field[i] *= 0.1F; /* 0.88 Jy */
        sky[i] += 1.7F * field[i];
    }
    fill(vis, sky, &truth, true, 0.00002, 8);
    assert_int_equal(solve_bandpass(&bp, &g, vis, of(vis, sky), NULL, &e), 0);
    model.field = of(vis, field)->field;
    model.field_arg = of(vis, field)->field_arg;
    model.field_scale = 5; /* nobody's business */
    assert_int_equal(
        scale_fit(&scale, vis, &model, (const struct gains *const[2]){bp, g}, 3, &e),
        0);
    print_message("scale %.4f +- %.4f of 1.7\n", scale.factor, scale.sigma);
    assert_true(scale.sigma > 1e-4 && scale.sigma < 5e-3);
    assert_true(fabs(scale.factor - 1.7) < 4 * scale.sigma + 2e-3);
    memset(field, 0, vis->nrow * NCHAN * sizeof *field);
    assert_int_equal(scale_fit(&scale, vis, &model,
                               (const struct gains *const[2]){NULL, NULL}, 1, &e),
                     0);
    assert_true(isinf(scale.sigma));
    gains_free(bp);
    gains_free(g);
    model_close(&model);
    free(field);
    free(sky);
    vis_free(vis);
}

/* Long lines of many even channels, a gap, and channels of another width. */
static void a_phasor_turned_along_the_channels_stays_exact(void **state)
{
    enum { MANY = 1000 };
    struct vis *vis;
    struct beam beam = {.kind = BEAM_NONE};
    struct calibrator cal = {.name = "x",
                             .ra_rad = 1,
                             .dec_rad = 0.5,
                             .npoint = 1,
                             .freq_hz = {1.4e9},
                             .flux_jy = {1},
                             .lo_hz = 1e9,
                             .hi_hz = 2e9};
    struct model point;
    struct err e;
    float complex got[MANY];
    double worst = 0;

    (void)state;
    assert_int_equal(vis_alloc(&vis, 2, 1, 1, MANY, 3, &e), 0);
    vis->row_ant2[0] = 1;
    vis->ant_pos_m[1][0] = 2600;
    vis->ant_pos_m[1][1] = -900;
    vis->time_jd[0] = 2461000.25;
    for (size_t c = 0; c < MANY; c++)
        vis->freq_hz[c] = c < 500   ? 1.3e9 + (double)c * 244140.625
                          : c < 501 ? 1.45e9
                                    : 1.46e9 + (double)c * 30517.1;
    assert_int_equal(model_init(&point, vis, &cal, &beam, &e), 0);
    spread(&point, vis, got);
    for (size_t c = 0; c < MANY; c++) {
        double turns = (2600 * point.dir[0][0] - 900 * point.dir[0][1]) *
                       vis->freq_hz[c] / 299792458.0;

        worst = fmax(worst, cabs(got[c] - cexp(2 * M_PI * I * (turns - rint(turns)))));
    }
    print_message("phasor: worst error %.2g\n", worst);
    assert_true(worst < 1e-6);
    model_close(&point);
    vis_free(vis);
}

static void threads_change_nothing_in_the_result(void **state)
{
    struct truth truth;
    struct vis *vis = make_vis();
    float complex *model = make_model(vis);
    struct gains *bp[2], *g[2];
    struct err e;

    (void)state;
    make_truth(&truth, 55);
    fill(vis, model, &truth, true, 0.0004, 6);
    for (size_t k = 0; k < 2; k++) {
        const struct solve_opts opts = {.refant = 2, .threads = k == 0 ? 1 : 5};

        assert_int_equal(solve_bandpass(&bp[k], &g[k], vis, of(vis, model), &opts, &e),
                         0);
    }
    assert_memory_equal(bp[0]->g, bp[1]->g, NCHAN * NANT * NPOL * sizeof *bp[0]->g);
    assert_memory_equal(g[0]->g, g[1]->g, NTIME * NANT * NPOL * sizeof *g[0]->g);
    for (size_t k = 0; k < 2; k++) {
        gains_free(bp[k]);
        gains_free(g[k]);
    }
    free(model);
    vis_free(vis);
}

/* Largest relative difference of gains that both have. */
static double worst_difference(const struct gains *a, const struct gains *b)
{
    double worst = 0;

    assert_true(a->ntime == b->ntime && a->nchan == b->nchan);
    for (size_t i = 0; i < a->ntime * a->nchan * a->nant * a->npol; i++) {
        assert_int_equal(a->g[i] == 0, b->g[i] == 0);
        if (a->g[i] != 0)
            worst = fmax(worst, cabsf(b->g[i] / a->g[i] - 1));
    }
    return worst;
}

/* The data of gains known already, against a model that is a little different. */
static void gains_from_a_start_are_those_from_none(void **state)
{
    struct truth truth;
    struct vis *vis = make_vis();
    float complex *model = make_model(vis);
    struct gains *bp, *g, *bp2, *g2, *bp3, *g3;
    const struct solve_opts cold = {.refant = 3};
    struct solve_opts warm = {.refant = 3};
    struct err e;

    (void)state;
    make_truth(&truth, 14);
    fill(vis, model, &truth, true, 0.0004, 5);
    flag_antenna(vis, 6);
    assert_int_equal(solve_bandpass(&bp, &g, vis, of(vis, model), &cold, &e), 0);
    for (size_t r = 0; r < vis->nrow; r++)
        for (size_t c = 0; c < NCHAN; c++)
            model[r * NCHAN + c] +=
                (float complex)(0.4 * cexp(I * (0.3 * (double)r + 0.5 * (double)c)));
    assert_int_equal(solve_bandpass(&bp2, &g2, vis, of(vis, model), &cold, &e), 0);
    warm.bandpass = bp;
    warm.gain = g;
    assert_int_equal(solve_bandpass(&bp3, &g3, vis, of(vis, model), &warm, &e), 0);
    print_message("moved by %.2g and %.2g; apart by %.2g and %.2g\n",
                  worst_difference(bp, bp2), worst_difference(g, g2),
                  worst_difference(bp2, bp3), worst_difference(g2, g3));
    assert_true(worst_difference(g, g2) > 1e-2);
    assert_true(worst_difference(bp2, bp3) < 1e-3);
    assert_true(worst_difference(g2, g3) < 1e-3);
    gains_free(bp2);
    gains_free(g2);
    gains_free(bp3);
    gains_free(g3);
    /* phases alone: amplitudes are those of the start */
    warm.phase_only = true;
    assert_int_equal(solve_bandpass(&bp3, &g3, vis, of(vis, model), &warm, &e), 0);
    for (size_t i = 0; i < (size_t)NCHAN * NANT * NPOL; i++)
        assert_true(fabsf(cabsf(bp3->g[i]) - cabsf(bp->g[i])) <= 1e-5F);
    warm.gain = bp;
    assert_int_equal(solve_bandpass(&bp2, &g2, vis, of(vis, model), &warm, &e),
                     ERR_SHAPE);
    assert_null(bp2);
    gains_free(bp);
    gains_free(g);
    gains_free(bp3);
    gains_free(g3);
    free(model);
    vis_free(vis);
}

static void a_bandpass_that_is_held_is_one_that_was_applied(void **state)
{
    struct truth truth;
    struct vis *vis = make_vis();
    float complex *model = make_model(vis);
    struct gains *bp, *g, *held, *applied;
    struct solve_opts opts = {.refant = 3};
    struct err e;

    (void)state;
    make_truth(&truth, 15);
    fill(vis, model, &truth, true, 0.0004, 5);
    assert_int_equal(solve_bandpass(&bp, &g, vis, of(vis, model), &opts, &e), 0);
    for (size_t c = 0; c < NCHAN; c++) /* nor has it a solution for antenna 5 */
        bp->g[(c * NANT + 5) * NPOL] = 0;
    opts.bandpass = bp;
    assert_int_equal(solve_gains(&held, vis, of(vis, model), 1, 0, &opts, &e), 0);
    assert_int_equal(apply_one(vis, bp, &e), 0);
    opts.bandpass = NULL;
    assert_int_equal(solve_gains(&applied, vis, of(vis, model), 1, 0, &opts, &e), 0);
    assert_true(held->g[5 * NPOL] == 0 && held->g[5 * NPOL + 1] != 0);
    assert_true(worst_difference(held, applied) < 1e-4);
    gains_free(bp);
    gains_free(g);
    gains_free(held);
    gains_free(applied);
    free(model);
    vis_free(vis);
}

static void gains_of_phase_only_have_amplitude_one(void **state)
{
    struct truth truth;
    struct vis *vis = make_vis();
    float complex *model = make_model(vis);
    const struct solve_opts opts = {.refant = 0, .phase_only = true};
    struct gains *g;
    struct err e;

    (void)state;
    make_truth(&truth, 7);
    for (int c = 0; c < NCHAN; c++)
        for (int a = 0; a < NANT; a++)
            for (int p = 0; p < NPOL; p++)
                truth.bp[c][a][p] = (1 + 0.03 * a) * cexp(I * (0.3 * a + p * a));
    fill(vis, model, &truth, false, 0, 1);
    assert_int_equal(solve_gains(&g, vis, of(vis, model), 1, 0, &opts, &e), 0);
    for (int a = 0; a < NANT; a++)
        for (int p = 0; p < NPOL; p++)
            assert_true(cabs(g->g[a * NPOL + p] - cexp(I * (0.3 * a + p * a))) < 1e-4);
    gains_free(g);
    free(model);
    vis_free(vis);
}

/* Every set of instructions of this machine, on lines of odd length with flags and dead gains. */
/* Rms over antennas, channels and hands of how far the gains of two solutions are apart. */
static double apart(const struct gains *a, const struct gains *b)
{
    size_t n = a->ntime * a->nchan * a->nant * a->npol;
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        sum +=
            pow(cabs((double complex)(a->g[i] - b->g[i]) / (double complex)b->g[i]), 2);
    return sqrt(sum / (double)n);
}

static void what_sticks_out_of_the_noise_takes_no_part(void **state)
{
    enum { EVERY = 97 };
    const double sigma = 0.0008;
    const struct solve_opts opts = {.refant = 3}, all = {.refant = 3, .clip_sigma = -1};
    struct truth truth;
    struct vis *vis = make_vis();
    float complex *model = make_model(vis);
    struct gains *bp[4], *g[4];
    unsigned long long seed = 8;
    size_t n = vis->nrow * NCHAN * NPOL, hit = 0;
    struct err e;
    double noise;

    (void)state;
    make_truth(&truth, 4);
    fill(vis, model, &truth, true, 0, 1);
    assert_int_equal(solve_bandpass(&bp[0], &g[0], vis, of(vis, model), &opts, &e), 0);
    assert_true(bp[0]->clipped == 0); /* where there is no noise nothing sticks out */
    fill(vis, model, &truth, true, sigma, 6);
    assert_int_equal(solve_bandpass(&bp[1], &g[1], vis, of(vis, model), &all, &e), 0);
    assert_int_equal(solve_bandpass(&bp[2], &g[2], vis, of(vis, model), &opts, &e), 0);
    assert_true(bp[1]->clipped == 0 && bp[2]->clipped < 2e-4);
    noise = apart(bp[1], bp[0]);
    assert_true(apart(bp[2], bp[1]) < 0.1 * noise);
    for (size_t i = 0; i < n; i += EVERY, hit++) /* 30 sigma, in any direction */
        vis->data[i] +=
            (float complex)(30 * sigma * cexp(2 * M_PI * I * uniform(&seed)));
    gains_free(bp[2]);
    gains_free(g[2]);
    assert_int_equal(solve_bandpass(&bp[2], &g[2], vis, of(vis, model), &opts, &e), 0);
    assert_int_equal(solve_bandpass(&bp[3], &g[3], vis, of(vis, model), &all, &e), 0);
    print_message("error %.4f clean, %.4f clipped, %.4f all; %.5f of %.5f clipped\n",
                  noise, apart(bp[2], bp[0]), apart(bp[3], bp[0]), bp[2]->clipped,
                  (double)hit / (double)n);
    assert_true(apart(bp[2], bp[0]) < 1.1 * noise && apart(bp[3], bp[0]) > 2 * noise);
    assert_true(fabs(bp[2]->clipped * (double)n / (double)hit - 1) < 0.02);
    assert_true(g[2]->clipped == bp[2]->clipped);
    for (int i = 0; i < 4; i++) {
        gains_free(bp[i]);
        gains_free(g[i]);
    }
    free(model);
    vis_free(vis);
}

static void all_copies_of_the_loops_agree(void **state)
{
    enum { N = LINE - 3 };
    size_t ncode;
    const struct line_code *code = line_codes(&ncode);
    float sums[2][5][LINE] = {0}, also[5][LINE], w[2][LINE] = {0}, m[2][LINE],
          k[2][LINE], use[LINE], some[2][LINE], seen[2][LINE] = {0},
          lost[2][LINE] = {0};
    float complex v[2][LINE] = {0};
    double phase[2][2] = {{0}};
    unsigned long long seed = 3;

    (void)state;
    for (size_t c = 0; c < ncode; c++) {
        size_t at = c > 0;
        const struct line_sums s = {sums[at][0], sums[at][1], sums[at][2], sums[at][3],
                                    sums[at][4]};

        const struct line_sums both = {also[0], also[1], also[2], also[3], also[4]};

        memset(sums[at], 0, sizeof sums[at]);
        memset(also, 0, sizeof also);
        phase[at][0] = phase[at][1] = 0;
        seed = 3;
        for (size_t i = 0; i < N; i++) {
            v[at][i] = (float complex)(uniform(&seed) - 0.5 + I * uniform(&seed));
            w[at][i] = i % 7 == 0 ? 0 : (float)uniform(&seed);
            for (int part = 0; part < 2; part++) {
                m[part][i] = (float)uniform(&seed) - 0.5F;
                k[part][i] = i % 11 == 3 ? 0 : (float)uniform(&seed);
            }
            use[i] = i % 2 ? 1.0F : 0.0F;
        }
        code[c].clip(some[at], seen[at], lost[at], v[at], w[at], m[0], m[1], use, 0, N);
        code[c].add(&s, c % 2 ? &both : NULL, v[at], w[at], m[0], m[1], 5, N);
        code[c].phase(&phase[at][0], &phase[at][1], v[at], w[at], m[0], m[1], k[0],
                      k[1], use, N);
        code[c].apply(v[at], w[at], k[0], k[1], N);
        for (size_t i = 0; i < N; i++) {
            for (int q = 0; q < 5; q++) {
                assert_true(fabsf(sums[at][q][i] - sums[0][q][i]) < 1e-6f);
                assert_true(c % 2 == 0 || also[q][i] == sums[at][q][i]);
            }
            assert_true(cabsf(v[at][i] - v[0][i]) <= 1e-5f * cabsf(v[0][i]));
            assert_true(fabsf(w[at][i] - w[0][i]) <= 1e-6f);
            assert_int_equal(sums[at][4][i] > 0, i >= 5 && i % 7 != 0);
            assert_true(some[at][i] == some[0][i] && (i % 2 == 1 || some[at][i] == 0));
            assert_true(seen[at][i] > 0 || i % 7 == 0);
            assert_true((lost[at][i] > 0) == (i % 7 != 0 && some[at][i] == 0));
            assert_true(i % 11 != 3 || (v[at][i] == 0 && w[at][i] == 0));
        }
        assert_true(fabs(phase[at][0] / phase[0][0] - 1) < 1e-5);
        assert_true(fabs(phase[at][1] / phase[0][1] - 1) < 1e-5);
    }
    print_message("%zu copies, the best %s\n", ncode, line_code()->name);
}

/* ---- real data: CARMA/SZA, 3C273 ---- */

static struct vis *read_sza(const char *group)
{
    char pattern[4200];
    glob_t files;
    struct vis *vis = NULL;
    struct err e = {0};
    struct uvh5_opts opts = {0};

    if (shared_data() == NULL)
        return NULL;
    snprintf(pattern, sizeof pattern, "%s/sza-3c273/groups/%s_sb*.hdf5", shared_data(),
             group);
    if (glob(pattern, 0, NULL, &files) != 0)
        return NULL;
    assert_int_equal(files.gl_pathc, 16);
    if (uvh5_read_group(&vis, (const char *const *)files.gl_pathv, files.gl_pathc,
                        &opts, &e) != 0)
        fail_msg("%s", e.text);
    globfree(&files);
    return vis;
}

static float complex *model_3c273(const struct vis *vis)
{
    float complex *model = calloc(vis->nrow * vis->nchan, sizeof *model);
    struct beam beam = {.kind = BEAM_NONE};
    struct model point;
    struct err e;

    assert_non_null(model);
    if (model_init(&point, vis, calibrator_find("3C273"), &beam, &e) != 0)
        fail_msg("%s", e.text);
    spread(&point, vis, model);
    model_close(&point);
    return model;
}

/* Expected: known.json, from other software on the same files: 100, 7.8 and 2.3 degrees. */
static void bandpass_of_one_3c273_group_calibrates_the_next(void **state)
{
    struct vis *first = read_sza("2010-08-03T21:12:10"),
               *second = read_sza("2010-08-03T21:17:10");
    float complex *m1, *m2;
    struct gains *bp, *gain, *each;
    struct err e;
    double raw, with_bp, with_gain;

    (void)state;
    if (first == NULL || second == NULL) {
        print_message("skipped: no sza-3c273 data beside this checkout\n");
        skip();
    }
    m1 = model_3c273(first);
    m2 = model_3c273(second);
    raw = phase_rms_deg(second, m2);
    assert_int_equal(solve_bandpass(&bp, &gain, first, of(first, m1), NULL, &e), 0);
    assert_int_equal(apply_one(second, bp, &e), 0);
    with_bp = phase_rms_deg(second, m2);
    assert_int_equal(solve_gains(&each, second, of(second, m2), 1, 0, NULL, &e), 0);
    assert_int_equal(apply_one(second, each, &e), 0);
    with_gain = phase_rms_deg(second, m2);
    print_message("3C273 phase rms: raw %.1f, bandpass %.2f, and gain %.2f deg\n", raw,
                  with_bp, with_gain);
    assert_true(fabs(raw - 100) < 10);
    assert_true(fabs(with_bp - 7.8) < 1.5);
    assert_true(fabs(with_gain - 2.3) < 0.5);
    gains_free(bp);
    gains_free(gain);
    gains_free(each);
    free(m1);
    free(m2);
    vis_free(first);
    vis_free(second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_gains_come_back_without_noise),
        cmocka_unit_test(bandpass_and_gain_in_turns_make_the_data_equal_to_the_model),
        cmocka_unit_test(antenna_order_and_reference_do_not_change_relative_gains),
        cmocka_unit_test(noise_on_gains_is_thermal),
        cmocka_unit_test(dead_antennas_get_no_solution_and_their_data_are_flagged),
        cmocka_unit_test(weights_scale_by_the_power_of_both_gains),
        cmocka_unit_test(cross_hands_take_the_two_parallel_gains),
        cmocka_unit_test(gains_of_other_channels_or_antennas_are_refused),
        cmocka_unit_test(baselines_too_short_or_too_long_take_no_part),
        cmocka_unit_test(no_data_is_refused),
        cmocka_unit_test(noise_without_a_source_gives_no_solution),
        cmocka_unit_test(model_is_the_fringe_of_the_offset_from_the_stop_direction),
        cmocka_unit_test(the_scale_of_a_field_comes_back),
        cmocka_unit_test(a_phasor_turned_along_the_channels_stays_exact),
        cmocka_unit_test(threads_change_nothing_in_the_result),
        cmocka_unit_test(gains_from_a_start_are_those_from_none),
        cmocka_unit_test(a_bandpass_that_is_held_is_one_that_was_applied),
        cmocka_unit_test(gains_of_phase_only_have_amplitude_one),
        cmocka_unit_test(what_sticks_out_of_the_noise_takes_no_part),
        cmocka_unit_test(all_copies_of_the_loops_agree),
        cmocka_unit_test(bandpass_of_one_3c273_group_calibrates_the_next),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
