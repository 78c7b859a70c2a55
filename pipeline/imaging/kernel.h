/*
 * kernel.h: the gridding kernel, "exponential of semicircle":
 * K(d) = exp(beta (sqrt(1 - (2 d / w)^2) - 1)) for |d| <= w/2 cells, 0 outside.
 *
 * On a grid that is twice as large as the image beta = 2.3 w is near the best choice and each
 * cell of support gains a digit; on smaller grids less.  The taps are polynomials in the
 * position inside a cell, so that the compiler can evaluate all of them side by side.
 *
 * Barnett, Magland & af Klinteberg 2019, SIAM J. Sci. Comput. 41, C479.
 */
#ifndef PIPELINE_IMAGING_KERNEL_H
#define PIPELINE_IMAGING_KERNEL_H

#include <math.h>
#include <stddef.h>

enum { KERNEL_TAPS = 8, KERNEL_MAXCOEF = 15 };

struct kernel {
    int w;       /* support, cells: 4 to KERNEL_TAPS */
    double beta; /* shape */
    int ncoef;   /* polynomial coefficients of a tap */
    /* highest power first, in t of [-1, 1] across a cell; taps from w on are 0 */
    float coef[KERNEL_MAXCOEF][KERNEL_TAPS];
};

/*
 * kernel_init: choose support and shape for this relative error (1e-3 to 1e-7) on a grid that
 * is `oversampling` (1.25 to 2) times as large as the image, and fit the polynomials.
 */
void kernel_init(struct kernel *ker, double accuracy, double oversampling);

/* Its Fourier transform, the integral of K(d) cos(2 pi f d): f in cycles per cell. */
double kernel_transform(const struct kernel *ker, double f);

/* 1 / that transform for the n pixels of one axis on a grid of ngrid cells: [n] for free(); NULL
 * when memory is out. */
float *kernel_gain(const struct kernel *ker, size_t n, size_t ngrid);

/*
 * kernel_taps: what a sample at `pos` (cells) gives to the cells around it.
 * Returned: tap[KERNEL_TAPS], those from w on are 0.
 * Value: the cell of tap[0]; pos - w/2 rounded up.
 */
static inline long kernel_taps(const struct kernel *ker, double pos,
                               float tap[KERNEL_TAPS])
{
    double left = pos - 0.5 * ker->w, first = ceil(left);
    float t = (float)(2.0 * (first - left) - 1.0), sum[KERNEL_TAPS];

    for (int i = 0; i < KERNEL_TAPS; i++)
        sum[i] = ker->coef[0][i];
    for (int c = 1; c < ker->ncoef; c++)
        for (int i = 0; i < KERNEL_TAPS; i++)
            sum[i] = sum[i] * t + ker->coef[c][i];
    for (int i = 0; i < KERNEL_TAPS; i++)
        tap[i] = sum[i];
    return (long)first;
}

#endif
