/*
 * made_gains.h: data of a made-up array whose gains are known.
 */
#ifndef TESTS_MADE_GAINS_H
#define TESTS_MADE_GAINS_H

#include "tests/test.h"

#include <complex.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "pipeline/cal/model.h"
#include "pipeline/sky/vis.h"

enum { NANT = 11, NTIME = 7, NCHAN = 13, NPOL = 2 };
#define FLUX_JY 8.8

/* A small seeded generator (PCG's output is not needed here): uniform in [0, 1). */
static inline double uniform(unsigned long long *seed)
{
    *seed = *seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return (double)(*seed >> 11) / 9007199254740992.0;
}

static inline double normal(unsigned long long *seed)
{
    double u = 1 - uniform(seed), v = uniform(seed);

    return sqrt(-2 * log(u)) * cos(2 * M_PI * v);
}

/* True gains: bandpass [NCHAN][NANT][NPOL] and per-integration gain [NTIME][NANT][NPOL]. */
struct truth {
    double complex bp[NCHAN][NANT][NPOL], gain[NTIME][NANT][NPOL];
};

static inline void make_truth(struct truth *t, unsigned long long seed)
{
    for (int a = 0; a < NANT; a++) {
        for (int p = 0; p < NPOL; p++) {
            double amp = 0.02 * (0.6 + uniform(&seed)),
                   phase = 2 * M_PI * uniform(&seed);
            double delay = 4 * (uniform(&seed) - 0.5), drift = 0.4 * uniform(&seed);

            for (int c = 0; c < NCHAN; c++)
                t->bp[c][a][p] = amp * (1 + 0.2 * sin(0.5 * c + a)) *
                                 cexp(I * (phase + delay * c / NCHAN));
            for (int i = 0; i < NTIME; i++)
                t->gain[i][a][p] =
                    (1 + 0.05 * cos(i + 2 * a + p)) * cexp(I * drift * (i - NTIME / 2));
        }
    }
}

/* Every antenna pair at every time; positions on a lopsided cross of some hundred metres. */
static inline struct vis *make_vis(void)
{
    struct vis *vis;
    struct err e;
    size_t row = 0;

    assert_int_equal(
        vis_alloc(&vis, NANT, NTIME, NTIME * NANT * (NANT - 1) / 2, NCHAN, NPOL, &e),
        0);
    for (int a = 0; a < NANT; a++) {
        vis->ant_number[a] = 3 * a + 2;
        vis->ant_pos_m[a][0] = 11.0 * a;
        vis->ant_pos_m[a][1] = a % 3 == 0 ? 90.0 * a : -7.0 * a * a;
        vis->ant_pos_m[a][2] = a % 2 == 0 ? 40.0 * a : 5.0 * a;
    }
    for (int t = 0; t < NTIME; t++) {
        vis->time_jd[t] = 2461000.25 + t * 12.884902 / 86400;
        vis->stop[t][0] = vis->pointing[t][0] = 0.6;
        vis->stop[t][2] = vis->pointing[t][2] = 0.8;
    }
    for (int c = 0; c < NCHAN; c++) {
        vis->freq_hz[c] = 1.4e9 + c * 244140.625;
        vis->width_hz[c] = 244140.625;
    }
    vis->pol[0] = -5;
    vis->pol[1] = -6;
    for (int t = 0; t < NTIME; t++) {
        for (int a = 0; a < NANT; a++) {
            for (int b = a + 1; b < NANT; b++, row++) {
                vis->row_time[row] = t;
                vis->row_ant1[row] = a;
                vis->row_ant2[row] = b;
            }
        }
    }
    return vis;
}

/* A model that turns with baseline and channel, so that a conjugation error shows. */
static inline float complex *make_model(const struct vis *vis)
{
    float complex *model = calloc(vis->nrow * vis->nchan, sizeof *model);

    assert_non_null(model);
    for (size_t r = 0; r < vis->nrow; r++) {
        for (size_t c = 0; c < vis->nchan; c++) {
            double turn = 0.1 * (vis->row_ant2[r] - vis->row_ant1[r]) +
                          0.01 * (double)c * vis->row_ant2[r];
            double complex m = FLUX_JY * cexp(2 * M_PI * I * turn);

            model[r * vis->nchan + c] = (float complex)m;
        }
    }
    return model;
}

struct field {
    const float complex *at; /* [nrow][nchan] */
    size_t nchan;
};

static inline void add_field(const void *arg, size_t row, size_t chan, size_t n,
                             float *re, float *im)
{
    const struct field *f = arg;
    const float complex *at = f->at + row * f->nchan + chan;

    for (size_t i = 0; i < n; i++) {
        re[i] += crealf(at[i]);
        im[i] += cimagf(at[i]);
    }
}

/* The same as a struct model, good until the next call. */
static inline const struct model *of(const struct vis *vis, const float complex *at)
{
    static struct model model;
    static struct field field;

    field = (struct field){at, vis->nchan};
    model = (struct model){.field = add_field, .field_arg = &field};
    return &model;
}

/* V = g1 conj(g2) M + noise of this rms in each part. */
static inline void fill(struct vis *vis, const float complex *model,
                        const struct truth *truth, bool with_gain, double sigma,
                        unsigned long long seed)
{
    for (size_t r = 0; r < vis->nrow; r++) {
        int t = vis->row_time[r], a = vis->row_ant1[r], b = vis->row_ant2[r];

        for (int c = 0; c < NCHAN; c++) {
            for (int p = 0; p < NPOL; p++) {
                double complex g1 = truth->bp[c][a][p], g2 = truth->bp[c][b][p], v;
                size_t at = (r * NCHAN + (size_t)c) * NPOL + (size_t)p;

                if (with_gain) {
                    g1 *= truth->gain[t][a][p];
                    g2 *= truth->gain[t][b][p];
                }
                v = g1 * conj(g2) * model[r * NCHAN + (size_t)c];
                v += sigma * (normal(&seed) + I * normal(&seed));
                vis->data[at] = (float complex)v;
                vis->weight[at] = 3.0f + (float)((t + c) % 3);
            }
        }
    }
}

static inline void flag_antenna(struct vis *vis, int ant)
{
    for (size_t r = 0; r < vis->nrow; r++) {
        if (vis->row_ant1[r] == ant || vis->row_ant2[r] == ant)
            memset(vis->weight + r * NCHAN * NPOL, 0, NCHAN * NPOL * sizeof(float));
    }
}

#endif
