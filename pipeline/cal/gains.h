/*
 * gains.h: how the gains of solve.h meet the rows of a struct vis; shared by gains.c and solve.c.
 */
#ifndef PIPELINE_CAL_GAINS_H
#define PIPELINE_CAL_GAINS_H

#include <complex.h>
#include <stddef.h>

#include "pipeline/sky/vis.h"

struct err;
struct gains;

/* A complex number of its parts; re + im * I makes some compilers multiply. */
static inline float complex gain_of(float re, float im)
{
    union {
        float part[2];
        float complex z;
    } u = {{re, im}};

    return u.z;
}

/* Gains turned to [ntime][nant][nchan][npol], so that one antenna's channels lie together, and
 * where each integration and channel of vis finds its own. */
struct gains_lookup {
    size_t nant, nchan, npol;
    size_t *time_of; /* [vis->ntime] */
    size_t *chan_of; /* [vis->nchan] */
    float complex *g;
    /* the two gains of a polarisation; -1: none */
    int hand1[VIS_MAXPOL], hand2[VIS_MAXPOL];
};

/* Status: 0, ERR_SHAPE when the gains do not fit vis, -ENOMEM. */
int gains_lookup_init(struct gains_lookup *lk, const struct vis *vis,
                      const struct gains *g, struct err *e);
void gains_lookup_close(struct gains_lookup *lk);

/* g1 conj(g2) of one row for channels [c0, c1), 0 without a solution; out is [c1 - c0][npol]. */
void gains_lookup_row(const struct gains_lookup *lk, const struct vis *vis, size_t row,
                      size_t c0, size_t c1, float complex *out);

#endif
