/*
 * shape.h: the level that most samples of a line or plane have, whatever a few of them do:
 * medians, and what is smooth of them over the band.
 */
#ifndef PIPELINE_FLAG_SHAPE_H
#define PIPELINE_FLAG_SHAPE_H

#include <stddef.h>

enum { SHAPE_BLOCKS = 32, SHAPE_SAMPLES = 640 };

/* The middle of those of x [n] that are finite; x is put in another order.  NAN: none is. */
float shape_median(float *x, size_t n);

/* 1.4826 x the median size of those of x [n] that are finite, about 0: the standard deviation
 * of Gaussian noise.  work [n]; NAN: none is. */
float shape_scatter(const float *x, size_t n, float *work);

/*
 * shape_smooth: the median of the finite ones of x [n] within `half` of each, fewer near the
 * ends so that a slope goes on to them; at every (half / 8)-th, joined by lines.
 * Returned: out [n], NAN where there is none; work [2 half + 1]
 */
void shape_smooth(float *out, const float *x, size_t n, size_t half, float *work);

/*
 * shape_band: the sizes that one hand of a baseline has over the band: medians of blocks of
 * channels over all integrations, the median of each with its four neighbours, joined by
 * lines. Some 50 samples of a block are looked at.
 *
 * Given:    size [ntime][nchan][npol], 1e29 and more where there is no sample
 * Returned: level [nchan][npol] of that hand
 * Status:   0; -1 the hand has no samples
 */
int shape_band(float *level, const float *size, size_t ntime, size_t nchan, size_t npol,
               size_t hand);

/* How much most samples of a hand differ from its level, as a share of it: the difference of
 * the median and the 16th percentile of 640 of them or more.  Made larger where it is large,
 * so that it is the standard deviation of a Rayleigh distribution (noise alone) as it is of a
 * Gaussian one (a source far above it). */
float shape_spread(const float *size, const float *level, size_t ntime, size_t nchan,
                   size_t npol, size_t hand);

#endif
