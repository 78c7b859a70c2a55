/*
 * bench_solve.c: what a bandpass and gains cost, on a made group of full size, for tests/bench.
 *
 *   bench_solve [ANTENNAS INTEGRATIONS CHANNELS [THREADS]]
 *
 * One point source of 8.8 Jy, two hands, gains of 2 % with phases and delays of their own and a
 * drift in time, noise of 3 to 1 a sample.  Prints CPU seconds and the error of the solution
 * relative to what the noise allows.
 */
#include <complex.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "core/err.h"
#include "pipeline/cal/apply.h"
#include "pipeline/cal/gains.h"
#include "pipeline/cal/model.h"
#include "pipeline/cal/solve.h"
#include "pipeline/sky/beam.h"
#include "pipeline/sky/calibrator.h"
#include "pipeline/sky/vis.h"

enum { NPOL = 2 };
#define GAIN 0.02
#define SNR  3.0 /* of a sample, in each part */
#define FLUX 8.8

static double cpu_s(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static double now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Uniform in [-0.5, 0.5). */
static float uniform(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return (float)(*seed >> 40) / 16777216.0F - 0.5F;
}

/* Nearly normal, of rms 1. */
static float noise(uint64_t *seed)
{
    return sqrtf(4) * (uniform(seed) + uniform(seed) + uniform(seed));
}

static struct vis *make_vis(size_t nant, size_t ntime, size_t nchan,
                            const struct calibrator *cal)
{
    struct vis *vis;
    struct err e;
    uint64_t seed = 1234567;
    size_t row = 0;

    if (vis_alloc(&vis, nant, ntime, ntime * nant * (nant - 1) / 2, nchan, NPOL, &e) !=
        0)
        return NULL;
    for (size_t a = 0; a < nant; a++)
        for (int k = 0; k < 3; k++)
            vis->ant_pos_m[a][k] = 2000 * (double)uniform(&seed);
    for (size_t t = 0; t < ntime; t++) {
        struct astro_epoch ep;

        vis->time_jd[t] = 2461000.25 + (double)t * 12.884902 / ASTRO_DAY_S;
        vis->tint_s[t] = 12.884902;
        astro_epoch_init(&ep, vis->time_jd[t], NULL, &vis->site);
        astro_icrs_to_itrf(&ep, cal->ra_rad + 0.005, cal->dec_rad - 0.004,
                           vis->stop[t]);
        memcpy(vis->pointing[t], vis->stop[t], sizeof vis->stop[t]);
        for (size_t a = 0; a < nant; a++)
            for (size_t b = a + 1; b < nant; b++, row++) {
                vis->row_time[row] = (int)t;
                vis->row_ant1[row] = (int)a;
                vis->row_ant2[row] = (int)b;
            }
    }
    for (size_t c = 0; c < nchan; c++) {
        vis->freq_hz[c] = 1.31e9 + (double)c * 244140.625;
        vis->width_hz[c] = 244140.625;
    }
    vis->pol[0] = -5;
    vis->pol[1] = -6;
    return vis;
}

struct truth {
    float complex *bp, *gain; /* [nant][nchan][NPOL], [ntime][nant][NPOL] */
};

static int make_truth(struct truth *t, const struct vis *vis)
{
    uint64_t seed = 99;

    t->bp = calloc(vis->nant * vis->nchan * NPOL, sizeof *t->bp);
    t->gain = calloc(vis->nant * vis->ntime * NPOL, sizeof *t->gain);
    if (t->bp == NULL || t->gain == NULL)
        return -1;
    for (size_t a = 0; a < vis->nant; a++)
        for (size_t p = 0; p < NPOL; p++) {
            double amp = GAIN * (1 + 0.4 * (double)uniform(&seed)),
                   phase = 6.28 * (double)uniform(&seed),
                   delay = 40 * (double)uniform(&seed), drift = (double)uniform(&seed);

            for (size_t c = 0; c < vis->nchan; c++)
                t->bp[(a * vis->nchan + c) * NPOL + p] = (float complex)(
                    amp * (1 + 0.1 * sin(0.02 * (double)c + (double)a)) *
                    cexp(I * (phase + delay * (double)c / (double)vis->nchan)));
            for (size_t i = 0; i < vis->ntime; i++)
                t->gain[(i * vis->nant + a) * NPOL + p] = (float complex)cexp(
                    I * drift * ((double)i / (double)vis->ntime - 0.5));
        }
    return 0;
}

static void fill(struct vis *vis, const struct truth *truth,
                 const struct calibrator *cal)
{
    uint64_t seed = 4242;
    double s[3] = {0};

    for (size_t r = 0; r < vis->nrow; r++) {
        size_t t = (size_t)vis->row_time[r], a = (size_t)vis->row_ant1[r],
               b = (size_t)vis->row_ant2[r], at = r * vis->nchan * NPOL;
        double path = 0;
        double complex turn, step;

        if (r == 0 || vis->row_time[r] != vis->row_time[r - 1]) {
            struct astro_epoch ep;

            astro_epoch_init(&ep, vis->time_jd[t], NULL, &vis->site);
            astro_icrs_to_itrf(&ep, cal->ra_rad, cal->dec_rad, s);
        }
        for (int k = 0; k < 3; k++)
            path += (vis->ant_pos_m[b][k] - vis->ant_pos_m[a][k]) *
                    (s[k] - vis->stop[t][k]) / ASTRO_C_M_S;
        turn = cexp(2 * M_PI * I * fmod(vis->freq_hz[0] * path, 1.0));
        step = cexp(2 * M_PI * I * (vis->freq_hz[1] - vis->freq_hz[0]) * path);
        for (size_t c = 0; c < vis->nchan; c++, turn *= step)
            for (size_t p = 0; p < NPOL; p++, at++) {
                float complex k = truth->bp[(a * vis->nchan + c) * NPOL + p] *
                                  conjf(truth->bp[(b * vis->nchan + c) * NPOL + p]) *
                                  truth->gain[(t * vis->nant + a) * NPOL + p] *
                                  conjf(truth->gain[(t * vis->nant + b) * NPOL + p]);
                float n = (float)(FLUX * GAIN * GAIN / SNR);

                vis->data[at] = (float)FLUX * k * (float complex)turn +
                                gain_of(n * noise(&seed), n * noise(&seed));
                vis->weight[at] = 3000;
            }
    }
}

/* Rms relative error of the bandpass's amplitudes over what the noise allows. */
static double excess(const struct vis *vis, const struct gains *bp,
                     const struct truth *truth)
{
    double sum = 0, n = 0;

    for (size_t c = 0; c < vis->nchan; c++)
        for (size_t a = 0; a < vis->nant; a++)
            for (size_t p = 0; p < NPOL; p++, n++)
                sum += pow((double)(cabsf(bp->g[(c * vis->nant + a) * NPOL + p]) /
                                    cabsf(truth->bp[(a * vis->nchan + c) * NPOL + p])) -
                               1,
                           2);
    return sqrt(sum / n) * SNR * sqrt((double)((vis->nant - 1) * vis->ntime));
}

static int measure(struct vis *vis, const struct truth *truth,
                   const struct calibrator *cal, size_t threads)
{
    struct beam beam = {.kind = BEAM_NONE};
    struct solve_opts opts = {.refant = -1, .threads = threads};
    struct apply apply = {.threads = threads};
    struct model model;
    struct gains *bp, *g;
    struct err e = {0};
    double cpu0 = cpu_s(), wall0 = now_s(), cpu1, wall1;
    int rc = model_init(&model, vis, cal, &beam, &e);

    if (rc == 0)
        rc = solve_bandpass(&bp, &g, vis, &model, &opts, &e);
    if (rc != 0) {
        fprintf(stderr, "bench_solve: %s\n", e.text);
        return 1;
    }
    cpu1 = cpu_s();
    wall1 = now_s();
    apply = (struct apply){.gains = {bp, g}, .model = &model, .threads = threads};
    if (apply_gains(vis, &apply, &e) != 0)
        return 1;
    printf("solve_cpu_s=%.3f solve_s=%.3f apply_cpu_s=%.3f apply_s=%.3f "
           "error_over_thermal=%.4f phase_rms_deg=%.3f,%.4f,%.4f\n",
           cpu1 - cpu0, wall1 - wall0, cpu_s() - cpu1, now_s() - wall1,
           excess(vis, bp, truth), apply.phase_rms_deg[0], apply.phase_rms_deg[1],
           apply.phase_rms_deg[2]);
    gains_free(bp);
    gains_free(g);
    model_close(&model);
    return 0;
}

int main(int argc, char **argv)
{
    size_t nant = argc > 3 ? strtoul(argv[1], NULL, 10) : 96;
    size_t ntime = argc > 3 ? strtoul(argv[2], NULL, 10) : 24;
    size_t nchan = argc > 3 ? strtoul(argv[3], NULL, 10) : 768;
    const struct calibrator cal = {.name = "made",
                                   .ra_rad = 2.2,
                                   .dec_rad = 0.97,
                                   .npoint = 1,
                                   .freq_hz = {1.4e9},
                                   .flux_jy = {FLUX},
                                   .lo_hz = 1e9,
                                   .hi_hz = 2e9};
    struct vis *vis = make_vis(nant, ntime, nchan, &cal);
    struct truth truth;
    int rc;

    if (vis == NULL || make_truth(&truth, vis) != 0) {
        fprintf(stderr, "bench_solve: out of memory\n");
        return 1;
    }
    fill(vis, &truth, &cal);
    rc = measure(vis, &truth, &cal, argc > 4 ? strtoul(argv[4], NULL, 10) : 2);
    free(truth.bp);
    free(truth.gain);
    vis_free(vis);
    return rc;
}
