/*
 * normal_parts.h: what normal.c (applying) and normal_kernels.c (making the kernels) share.
 */
#ifndef PIPELINE_IMAGING_NORMAL_PARTS_H
#define PIPELINE_IMAGING_NORMAL_PARTS_H

#include <complex.h>
#include <stddef.h>
#include <stdint.h>

#include "core/parallel.h"
#include "pipeline/sky/beam_series.h"

struct imager;

enum { NORMAL_TERMS = 12, NORMAL_BEAMS = BEAM_SERIES_MOST };

/* Kernels that minor cycles know (normal_near.c), and the powers of tau in them. */
enum { NORMAL_NEAR = 4, NORMAL_POWERS = 4 };

/* One of those, and what 1 in its cells stands for. */
struct normal_term {
    size_t q, m;
    float unit;
};

/* What one thread works in; a block of rows is 8. */
struct normal_bench {
    float *row;            /* [block][wide] rows of an image, and zeros */
    float *sum;            /* [block][nx] rows of what is taken off */
    float complex *half;   /* [block][half] their transforms */
    float complex *column; /* [slots][tall] one column of each plane */
    float complex *back;   /* [K][tall] sums of products in one column */
    float complex *even;   /* [K][tall] what their even rows leave in the image */
};

struct normal {
    const struct imager *im;
    const struct beam_series *beam;
    size_t nx, ny; /* of the image */
    size_t hx, hy; /* at least that, good to transform */
    size_t mx, my; /* of the kernels: 2 hx, 2 hy */
    size_t beams, threads;
    size_t terms[NORMAL_BEAMS]; /* K for each term of the beam; the first has most */
    size_t slot[NORMAL_BEAMS];  /* of kernel (q, 0) among all; (q, m) follows */
    size_t slots;
    const float *tau; /* [ny][nx], the imager's */
    struct fft_lines *fft;
    float complex *turn; /* [hy] exp(-2 pi i y / my) */
    /* [hx + 1][2][slots][hy] the part of each transform that is not 0: of a column first its even
     * cells, then the odd ones */
    int16_t *kernel;
    float *unit; /* [hx + 1][2][slots] what 1 of those stands for; x |x| is kept as x */
    /* [slots][hx + 1][room] transforms of rows, column by column: in the imager's space, where a
     * kernel on its way takes two planes */
    float complex *plane;
    size_t plane_bytes, kernel_bytes;
    /* Room for ny cells of a plane's column, hy cells of a thread's, mx pixels of a row, hx + 1
     * cells of its transform: whole cache lines. */
    size_t room, tall, wide, half;
    int16_t
        *near; /* [ny][2 nx][NORMAL_NEAR] kernels at lags of dy rows, dx + nx pixels */
    float *near_most; /* [ny] the largest of a row */
    size_t near_slots;
    struct normal_term near_term[NORMAL_NEAR];
    unsigned char *in_block; /* [blocks of rows] 1: not all of them are 0 */
    struct normal_bench bench[PARALLEL_MOST];
};

/*
 * normal_set_kernel: transform kernel m of term q of the beam and keep it.
 * Given:  lag [my][mx] P_m, of lag 0 at [my/2][mx/2]; for odd m divided by -i
 */
void normal_set_kernel(struct normal *op, size_t q, size_t m, const float *lag);

/* Room for the kernels of minor cycles.  Status: 0; -ENOMEM */
int normal_open_near(struct normal *op);
/* Keep kernel m of term q for them, if it is among the first; lag as for normal_set_kernel. */
void normal_set_near(struct normal *op, size_t q, size_t m, const float *lag);

/*
 * normal_make_kernels: grid the weights and hand all kernels to normal_set_kernel.
 * Returned: psf [ny][nx] (or NULL) what a source of 1 Jy in the middle of the image leaves
 * Status:   0; -ENOMEM
 */
int normal_make_kernels(struct normal *op, float *psf);

#endif
