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

/*
 * gains_alloc: *out, zeroed (no solution anywhere), with all arrays of these sizes (each > 0).
 * Status: 0; -ENOMEM, and *out is NULL
 */
int gains_alloc(struct gains **out, size_t nant, size_t ntime, size_t nchan,
                size_t npol, struct err *e);
/* Free the arrays and the struct; NULL does nothing. */
void gains_free(struct gains *g);

/* Whether gains are solved for this polarisation (AIPS code): XX, YY, RR, LL and Stokes I.  The
 * cross-hands have no gains of their own; gains_apply uses the two parallel hands'. */
bool gains_parallel(int pol);

/*
 * gains_apply: calibrate in place.
 *
 * Given and returned: vis->data, divided by g1 conj(g2); vis->weight, times |g1 g2|^2, and 0
 *   where an antenna has no solution
 * Status: 0; ERR_SHAPE antennas, polarisations or channels do not fit; -ENOMEM.  After a
 *   failure vis is as it was.
 * Note: a sample takes the gain of the nearest time and of the nearest channel, at most half
 *   a channel width away unless g->nchan is 1.
 */
int gains_apply(struct vis *vis, const struct gains *g, struct err *e);

/* A complex number from its parts; for re + im * I some compilers multiply. */
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

/* lk is zeroed before; gains_lookup_close ends it, also after a failure.
 * Status: 0; ERR_SHAPE the gains do not fit vis; -ENOMEM. */
int gains_lookup_init(struct gains_lookup *lk, const struct vis *vis,
                      const struct gains *g, struct err *e);
void gains_lookup_close(struct gains_lookup *lk);

/* g1 conj(g2) of one row for channels [c0, c1), 0 without a solution.
 * Returned: out [c1 - c0][npol]. */
void gains_lookup_row(const struct gains_lookup *lk, const struct vis *vis, size_t row,
                      size_t c0, size_t c1, float complex *out);

#endif
