/*
 * gains.h: antenna-based complex gains, and how they meet the rows of a struct vis.
 *
 * A row (ant1, ant2) obeys V = g1 conj(g2) M; so V_calibrated = V / (g1 conj(g2)).
 */
#ifndef PIPELINE_CAL_GAINS_H
#define PIPELINE_CAL_GAINS_H

#include <complex.h>
#include <stdbool.h>
#include <stddef.h>

#include "pipeline/sky/vis.h"

struct err;

/* Gains of one kind.  A gain of 0 means no solution: data of that antenna are flagged. */
struct gains {
    size_t nant, ntime, nchan, npol; /* ntime or nchan 1: the same for all */
    double *time_jd;                 /* [ntime] */
    double *freq_hz;                 /* [nchan] (mean frequency when nchan is 1) */
    float complex *g;                /* [ntime][nchan][nant][npol] */
    int refant;                      /* index of the reference antenna (phase 0) */
};

int gains_alloc(struct gains **out, size_t nant, size_t ntime, size_t nchan,
                size_t npol, struct err *e);
void gains_free(struct gains *g);

/* Whether gains are solved for this polarisation (AIPS code): XX, YY, RR, LL and Stokes I.  The
 * cross-hands have no gains of their own; gains_apply uses the two parallel hands'. */
bool gains_parallel(int pol);

/*
 * gains_apply: divide data by g1 conj(g2), scale weights by |g1 g2|^2; antennas without
 * solution become flagged.  Gains are matched by nearest time and by channel frequency
 * (nearest, at most half a channel width away unless nchan is 1).
 * Status: 0; ERR_SHAPE when antennas, polarisations or channels do not fit: one sentence.
 */
int gains_apply(struct vis *vis, const struct gains *g, struct err *e);

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
