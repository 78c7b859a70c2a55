/*
 * slot.h: one solution from the sums of its baselines: which antennas take part, and which of
 * their gains are to be believed; the iteration itself is stefcal.c's.
 */
#ifndef PIPELINE_CAL_SLOT_H
#define PIPELINE_CAL_SLOT_H

#include <complex.h>
#include <stdbool.h>
#include <stddef.h>

#include "pipeline/cal/normal_eq.h"
#include "pipeline/cal/stefcal.h"

struct err;

/* How well a solution is made, and from where it starts. */
struct slot_how {
    int max_iter;
    double tolerance; /* relative change */
    /* A gain below this many times the error of either part is none; negative: no test. */
    double min_snr;
    size_t min_baselines; /* antennas with fewer do not take part */
    int refant;           /* gets phase 0, or the first antenna that has a solution */
    bool from_one;        /* start from gains of 1, not from what the sums say */
};

/* What one thread works with. */
struct slot {
    struct stefcal s;
    size_t nant;
    struct normal_eq *at;   /* [baselines] sums, the caller's to fill */
    struct normal_eq *more; /* [baselines] room for the caller */
    unsigned char *in;      /* [2][nant] antennas that take part, marks */
    size_t *degree;         /* [nant] */
    double *last;           /* [nant][re, im] gains of the last iteration */
    double noise2;          /* that it left, of either part, for a weight of 1 */
    double
        *samples; /* [nant] all that were in sums so far, of an antenna's baselines */
    /* [nant] likewise: signal to noise of its gains, at most a million each; their number */
    double *snr, *solved;
};

/* Of one polarisation; all are left as they are without a solution. */
struct slot_out {
    float complex *all;    /* [nant] with stride npol: gains as they are; or NULL */
    float complex *judged; /* likewise, of those that pass min_snr; or NULL */
    float *snr;    /* likewise, amplitude over the error of either part; or NULL */
    float *noise2; /* mean square of the relative errors, both parts; or NULL */
    float *weight; /* sum of w |M|^2; or NULL */
    size_t npol;
};

/* w is zeroed before; slot_close ends it, also after a failure.  Status: 0; -ENOMEM. */
int slot_init(struct slot *w, size_t nant, bool phase_only, struct err *e);
void slot_close(struct slot *w);

/*
 * slot_solve: gains from the sums w->at.  The antenna whose gain drowns most in its noise is taken
 * out and the rest solved again, since it only adds noise to the others, until all pass; who is
 * then heard by the others comes back.
 * Returns the antennas that have a gain: judged, or any where that is not asked for.
 */
size_t slot_solve(struct slot *w, const struct slot_how *how,
                  const struct slot_out *out);

#endif
