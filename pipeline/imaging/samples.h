/*
 * samples.h: what an imager is fed with.
 */
#ifndef PIPELINE_IMAGING_SAMPLES_H
#define PIPELINE_IMAGING_SAMPLES_H

#include <complex.h>
#include <stddef.h>
#include <stdint.h>

/* Stokes I samples to be imaged; arrays are borrowed. */
struct samples {
    size_t nrow, nchan;
    const double (*uvw_m)[3]; /* [nrow][3] for the image's phase centre */
    const double *freq_hz;    /* [nchan] */
    float complex *data;      /* [nrow][nchan] Jy, phased to the image's phase centre */
    float *weight;            /* [nrow][nchan] > 0, or 0 = flagged */
    const uint32_t *order; /* [nrow] rows in the order to be taken; NULL: as they lie */
    /* A factor of all samples of a time and channel, for the gridding; NULL: 1. */
    const float *factor; /* [ntime][nchan] */
    const int *row_time; /* [nrow] index of the time; NULL without a factor */
};

/* The factors of the channels of a row; NULL: 1. */
static inline const float *samples_factor(const struct samples *s, size_t row)
{
    return s->factor != NULL ? s->factor + (size_t)s->row_time[row] * s->nchan : NULL;
}

/* The at-th row to be taken. */
static inline size_t samples_row(const struct samples *s, size_t at)
{
    return s->order != NULL ? s->order[at] : at;
}

/*
 * samples_order: rows by the direction of their baseline, then by its length, so that
 * neighbours touch the same cells of a uv-plane.
 * Returns: [nrow], to be freed by the caller; NULL when memory is out.
 */
uint32_t *samples_order(const struct samples *s);

#endif
