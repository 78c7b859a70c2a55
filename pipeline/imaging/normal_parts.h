/*
 * normal_parts.h: what normal.c (applying) and normal_kernels.c (making the kernels) share.
 */
#ifndef PIPELINE_IMAGING_NORMAL_PARTS_H
#define PIPELINE_IMAGING_NORMAL_PARTS_H

#include <complex.h>
#include <stddef.h>

#include "pipeline/sky/beam_series.h"

struct imager;

enum { NORMAL_TERMS = 12, NORMAL_BEAMS = BEAM_SERIES_MOST };

struct normal {
    const struct imager *im; /* for the beam */
    size_t nx, ny;           /* of the image */
    size_t mx, my, stride;   /* of the transforms: my rows of mx / 2 + 1 cells */
    size_t beams, threads;
    size_t terms[NORMAL_BEAMS]; /* K for each term of the beam; the first has most */
    const float *tau;           /* [ny][nx], the imager's */
    struct fft *fft;            /* mx, my */
    /* [my][stride] the part of each transform that is not 0 */
    float *kernel[NORMAL_BEAMS][NORMAL_TERMS];
    float complex *model;             /* [my][stride] transform of b_q (-tau)^j model */
    float complex *sum[NORMAL_TERMS]; /* [my][stride] of each k */
    float *image;                     /* [ny][nx] */
};

/*
 * normal_set_kernel: transform kernel m of term q of the beam and keep it.
 * Given:  lag [my][mx] P_m, of lag 0 at [my/2][mx/2]; for odd m divided by -i
 * Status: 0; -ENOMEM
 */
int normal_set_kernel(struct normal *op, size_t q, size_t m, const float *lag);

/*
 * normal_make_kernels: grid the weights and hand all kernels to normal_set_kernel.
 * Returned: psf [ny][nx] (or NULL) what a source of 1 Jy in the middle of the image leaves
 * Status:   0; -ENOMEM
 */
int normal_make_kernels(struct normal *op, float *psf);

#endif
