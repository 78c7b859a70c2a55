/*
 * made_samples.h: a made-up array and sky for the imaging tests: tilted, not flat, longer
 * in one direction than in the other, sources off centre and none the mirror of another.
 */
#ifndef TESTS_MADE_SAMPLES_H
#define TESTS_MADE_SAMPLES_H

#include <complex.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "pipeline/sky/astro.h"
#include "pipeline/imaging/imager.h"
#include "pipeline/imaging/imager.h"
#include "pipeline/imaging/samples.h"

struct point {
    double l, m, flux_jy;
};

/* Uniform in [0, 1), the same on every machine (Knuth's MMIX constants). */
static inline double made_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (double)(*seed >> 11) / 9007199254740992.0;
}

static inline double made_gauss(uint64_t *seed)
{
    double r = sqrt(-2.0 * log(1.0 - made_random(seed)));

    return r * cos(2.0 * M_PI * made_random(seed));
}

/*
 * nrow baselines, Gaussian in u (sigma_m[0]) and v (sigma_m[1]) and cut at 2.2 sigma;
 * w = a u + b v + a roughness of sigma_m[2]; weights between 0.5 and 1.5, one in 17 flagged.
 */
static inline void made_samples(struct samples *s, size_t nrow, size_t nchan,
                                const double sigma_m[3], double a, double b)
{
    double(*uvw)[3] = malloc(nrow * sizeof *uvw);
    double *freq = malloc(nchan * sizeof *freq);
    uint64_t seed = 11;

    for (size_t r = 0; r < nrow; r++) {
        for (int i = 0; i < 3; i++)
            do
                uvw[r][i] = made_gauss(&seed);
            while (fabs(uvw[r][i]) > 2.2);
        for (int i = 0; i < 3; i++)
            uvw[r][i] *= sigma_m[i];
        uvw[r][2] += a * uvw[r][0] + b * uvw[r][1];
    }
    for (size_t c = 0; c < nchan; c++)
        freq[c] = 1.40e9 + 3e6 * (double)c;
    *s = (struct samples){.nrow = nrow,
                          .nchan = nchan,
                          .uvw_m = (const double(*)[3])uvw,
                          .freq_hz = freq,
                          .data = calloc(nrow * nchan, sizeof *s->data),
                          .weight = malloc(nrow * nchan * sizeof *s->weight)};
    for (size_t i = 0; i < nrow * nchan; i++)
        s->weight[i] = i % 17 == 5 ? 0.0f : (float)(0.5 + made_random(&seed));
}

static inline void made_free(struct samples *s)
{
    free((void *)s->uvw_m);
    free((void *)s->freq_hz);
    free(s->data);
    free(s->weight);
}

/* Add point sources: V = S exp(+2 pi i (u l + v m + w (n - 1))), u = uvw_m nu / c. */
static inline void made_sky(const struct samples *s, const struct point *src, size_t n,
                            float complex *data)
{
    for (size_t i = 0; i < s->nrow * s->nchan; i++) {
        const double *uvw = s->uvw_m[i / s->nchan];
        double k = 2.0 * M_PI * s->freq_hz[i % s->nchan] / 299792458.0;

        for (size_t j = 0; j < n; j++) {
            double t = sqrt(1.0 - src[j].l * src[j].l - src[j].m * src[j].m) - 1.0;
            double phase = k * (uvw[0] * src[j].l + uvw[1] * src[j].m + uvw[2] * t);

            ((float *)data)[2 * i] += (float)(src[j].flux_jy * cos(phase));
            ((float *)data)[2 * i + 1] += (float)(src[j].flux_jy * sin(phase));
        }
    }
}

/* data [nrow][nchan] += scale x what the imager predicts of a model, which then is what
 * it has of the samples until it loads them; 0 or its status. */
static inline int made_prediction(struct imager *im, const struct samples *s,
                                  const float *model, float scale, float complex *data)
{
    float *re = malloc(2 * s->nchan * sizeof *re);
    int rc = imager_predict(im, model, false, NULL);

    for (size_t r = 0; rc == 0 && r < s->nrow; r++) {
        for (size_t c = 0; c < 2 * s->nchan; c++)
            re[c] = 0.0f;
        /* in two parts, as who wants a row may ask for it */
        imager_predicted_row(im, r, 0, s->nchan / 3, re, re + s->nchan);
        imager_predicted_row(im, r, s->nchan / 3, s->nchan - s->nchan / 3,
                             re + s->nchan / 3, re + s->nchan + s->nchan / 3);
        for (size_t c = 0; c < s->nchan; c++) {
            ((float *)data)[2 * (r * s->nchan + c)] += scale * re[c];
            ((float *)data)[2 * (r * s->nchan + c) + 1] += scale * re[s->nchan + c];
        }
    }
    free(re);
    return rc;
}

/* The dirty image of what the samples hold now; 0 or its status. */
static inline int made_dirty(struct imager *im, float *pix)
{
    bool changed;
    int rc = imager_load(im, &changed, NULL);

    return rc != 0 ? rc : imager_dirty(im, pix, NULL);
}

#endif
