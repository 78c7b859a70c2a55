/*
 * normal_eq.h: the sums over visibilities that a solution for gains needs, by baseline.
 *
 * With V = g1 conj(g2) M the least-squares problem depends only on sum w V conj(M) and
 * sum w |M|^2; the other two sums give the noise that a solution leaves.
 */
#ifndef PIPELINE_CAL_NORMAL_EQ_H
#define PIPELINE_CAL_NORMAL_EQ_H

#include <complex.h>
#include <stddef.h>

struct err;
struct gains_lookup;
struct vis;

/* Sums of one baseline for one solution: w V conj(M), w |M|^2, w |V|^2 and the samples. */
struct normal_eq {
    double re, im, den, power, n;
};

/* Solutions made in one pass over the data: one span of times, some blocks of channels, all
 * polarisations.  A slot is one block and polarisation. */
struct normal_eq_batch {
    size_t t0, t1; /* integrations [t0, t1) */
    size_t c0, c1; /* channels [c0, c1) */
    size_t chan_block;
    size_t nslot, nbl;
    size_t *order; /* [nrow] rows by baseline, so that its sums stay in the cache */
    struct normal_eq *sum; /* [nslot][nbl] */
    /* Work space of one row, [channels of the batch][npol] each. */
    size_t nline;
    float complex *known; /* gains that are held fixed */
    float *mr, *mi;       /* model times these */
    double *line;         /* the five sums of one baseline: [5][nline] */
};

/* Index of baseline i < j among n (n - 1) / 2. */
size_t normal_eq_baseline(size_t n, size_t i, size_t j);

/*
 * normal_eq_init: room for as many blocks of chan_block channels as fit some 64 MB.
 *
 * Given:    b zeroed; vis; chan_block, 1 to vis->nchan
 * Returned: b: nslot, order and zeroed work space
 * Status:   0; -ENOMEM; either way normal_eq_close ends it
 */
int normal_eq_init(struct normal_eq_batch *b, const struct vis *vis, size_t chan_block,
                   struct err *e);
void normal_eq_close(struct normal_eq_batch *b);

/*
 * normal_eq_fill: add up the data of times [t0, t1) and channels [c0, c1), which the caller
 * sets in b.
 * known: gains held fixed (they multiply the model), or NULL.
 * Channels where a baseline is shorter than min_uv_lambda do not take part.
 */
void normal_eq_fill(struct normal_eq_batch *b, const struct vis *vis,
                    const float complex *model, const struct gains_lookup *known,
                    double min_uv_lambda);

#endif
