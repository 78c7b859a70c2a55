/*
 * apply.h: gains onto visibilities, and how far the phases are then from a model's.
 */
#ifndef PIPELINE_CAL_APPLY_H
#define PIPELINE_CAL_APPLY_H

#include <stddef.h>

struct err;
struct gains;
struct model;
struct vis;

enum { APPLY_MOST = 2 };

/* Gains that are multiplied, and what is measured on the way. */
struct apply {
    const struct gains
        *gains[APPLY_MOST];    /* those that are not NULL, the first first */
    const struct model *model; /* phases are compared with it; or NULL */
    size_t threads;            /* 0: one */
    /* With a model: weighted rms of the phase of data x conj(model), degrees, over all
     * parallel-hand samples (of rows longer than 16 LINE over a quarter of them, evenly taken), as
     * they came [0] and after each of the gains.  Else NAN. */
    double phase_rms_deg[APPLY_MOST + 1];
};

/*
 * apply_gains: calibrate in place, in one pass over the data.
 *
 * Given and returned: vis->data, divided by g1 conj(g2); vis->weight, times |g1 g2|^2, and 0
 *   where an antenna has no solution.  Without any gains vis stays as it is.
 * Returned: a->phase_rms_deg
 * Status: 0; ERR_SHAPE antennas, polarisations or channels do not fit; -ENOMEM.  After a
 *   failure vis is as it was.
 * Note: a sample takes the gain of the nearest time and of the nearest channel, at most half
 *   a channel width away unless the gains have one channel only.
 */
int apply_gains(struct vis *vis, struct apply *a, struct err *e);

/* apply_measure: a->phase_rms_deg as apply_gains has it, of a quarter of the rows when there are
 * many; vis stays as it is.  Status: that of apply_gains. */
int apply_measure(const struct vis *vis, struct apply *a, struct err *e);

#endif
