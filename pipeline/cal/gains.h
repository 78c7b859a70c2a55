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
    /* likewise: amplitude over the error of either part; 0: not known, or interpolated */
    float *snr;
    int refant; /* index of the reference antenna (phase 0) */
    /* of those that were solved, see solve.h: channels or integrations that a solution is of (0:
     * one), and the share of the samples that did not take part */
    size_t block;
    double clipped;
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
 * cross-hands have no gains of their own; they take the two parallel hands'. */
bool gains_parallel(int pol);

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
 * where each integration and channel of vis finds its own: the nearest time, and the nearest
 * channel, at most half a channel width away unless nchan is 1. */
struct gains_lookup {
    size_t nant, ntime, nchan, npol;
    size_t *time_of; /* [vis->ntime] */
    size_t *chan_of; /* [vis->nchan] */
    float complex *g;
    /* the two gains of a polarisation; -1: none */
    int hand1[VIS_MAXPOL], hand2[VIS_MAXPOL];
};

/* lk is zeroed before; gains_lookup_close ends it, also after a failure.
 * Status: 0; ERR_SHAPE antennas, polarisations or channels do not fit vis; -ENOMEM. */
int gains_lookup_init(struct gains_lookup *lk, const struct vis *vis,
                      const struct gains *g, struct err *e);
void gains_lookup_close(struct gains_lookup *lk);

/* g1 conj(g2) along the channels of a row, kept while neither baseline nor gains change. */
struct gains_line {
    const struct gains_lookup *lk; /* NULL: no gains, and no line */
    float *re, *im;                /* 0 without a solution */
    size_t step;                   /* 0: one line is good for all channels; else 1 */
    size_t time, c0, c1;
    int ant1, ant2;
};

/* A line for nchan channels or fewer; lk may be NULL.  Status: 0; -ENOMEM; either way
 * gains_line_close ends it. */
int gains_line_init(struct gains_line *l, const struct gains_lookup *lk, size_t nchan,
                    struct err *e);
void gains_line_close(struct gains_line *l);

/* The line of one row for channels [c0, c1): sample k of it, [channel - c0][npol], and those
 * after it for at most LINE samples are at re, im + k step. */
void gains_line_row(struct gains_line *l, const struct vis *vis, size_t row, size_t c0,
                    size_t c1);

#endif
