/*
 * columns.h: the loops over the cells of one column of a transform, in variants for the
 * instructions that the processor has; all give the same to rounding.
 */
#ifndef PIPELINE_IMAGING_COLUMNS_H
#define PIPELINE_IMAGING_COLUMNS_H

#include <complex.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct columns {
    /* to[i] = from[i] turn[i], n cells */
    void (*turn)(float complex *to, const float complex *from,
                 const float complex *turn, size_t n);
    /* to[i] = add[i] + from[i] conj(turn[i]) */
    void (*turn_back)(float complex *to, const float complex *add,
                      const float complex *from, const float complex *turn, size_t n);
    /* sum[i] += c kernel[i] |kernel[i]| x[i]; and with `odd` i times that; first: sum[i] = */
    void (*add)(float complex *sum, const int16_t *kernel, const float complex *x,
                float c, size_t n, bool odd, bool first);
};

/* The best for this processor. */
const struct columns *columns_best(void);

#endif
