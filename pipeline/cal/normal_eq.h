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

#include "pipeline/cal/gains.h"
#include "pipeline/cal/rows.h"

struct err;
struct model;
struct vis;

/* Sums of one baseline for one solution: w V conj(M), w |M|^2, w |V|^2 and the samples. */
struct normal_eq {
    float re, im, den, power, n;
};

/*
 * The sums of some solutions, made in one pass over their data: blocks of time_block
 * integrations [t0, t1) and chan_block channels [c0, c1), each polarisation.  Solution
 * (block of times, block of channels, polarisation), row-major, is a slot.
 */
struct normal_eq_batch {
    const struct vis *vis;
    const struct rows *rows;
    /* channels where a baseline is shorter, or longer (0: none is), do not take part */
    double min_uv_lambda, max_uv_lambda;
    size_t threads;
    size_t time_block, chan_block;
    size_t t0, t1, c0, c1; /* multiples of the blocks, but for the ends of vis */
    struct normal_eq *sum; /* see normal_eq_get */
    size_t room;           /* slots that sum has room for */
    /* Samples whose residual from the model is above this many times the noise in either part,
     * which half of those of their baseline and polarisation are quieter than, do not take part;
     * nor do those count that are within CLIP_NEVER of the model.  0: all take part. */
    double clip_sigma;
    double seen, clipped; /* samples so far; the caller zeroes them */
};

/* A residual below this share of the model may be the gains' as well as interference. */
#define CLIP_NEVER 0.02

/* Slots of the blocks t0 .. c1. */
size_t normal_eq_slots(const struct normal_eq_batch *b);

/* Gains that multiply the model, the first `n` of lk. */
enum { NORMAL_EQ_KNOWN = 3 };
struct normal_eq_known {
    size_t n;
    struct gains_lookup lk[NORMAL_EQ_KNOWN];
};

/*
 * normal_eq_start: sums of the blocks t0 .. c1, all 0; the caller sets what stands above `sum`,
 * and zeroes b before the first time; memory is used again.
 * Status: 0; -ENOMEM; either way normal_eq_close ends it
 */
int normal_eq_start(struct normal_eq_batch *b, struct err *e);

/*
 * normal_eq_fill: start b and add up the data of its blocks, against the model times `known`.
 * The same data are added to those of `also`, if that is not NULL: started, of all integrations
 * one by one, and of one block of channels.
 * Status: 0; -ENOMEM; either way normal_eq_close ends it
 */
int normal_eq_fill(struct normal_eq_batch *b, struct normal_eq_batch *also,
                   const struct model *model, const struct normal_eq_known *known,
                   struct err *e);
void normal_eq_close(struct normal_eq_batch *b);

/* The sums of one slot: out [rows->nbl]. */
void normal_eq_get(const struct normal_eq_batch *b, size_t slot, struct normal_eq *out);

#endif
