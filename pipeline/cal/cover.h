/*
 * cover.h: how much data there is at each time, in each channel and of each antenna.
 */
#ifndef PIPELINE_CAL_COVER_H
#define PIPELINE_CAL_COVER_H

#include <stddef.h>

struct err;
struct gains;
struct vis;

struct cover {
    double *time_w;  /* [ntime] sum of weights */
    double *chan_w;  /* [nchan] */
    double *samples; /* [nant] unflagged samples of its baselines */
    double *snr;     /* [nant] left at 0: for the signal to noise of its gains */
    double *store;
};

/* All zero.  Status: 0; -ENOMEM; either way cover_close ends it. */
int cover_alloc(struct cover *c, const struct vis *vis, struct err *e);

/* c is zeroed before; cover_close ends it, also after a failure.  Status: 0; -ENOMEM. */
int cover_init(struct cover *c, const struct vis *vis, size_t threads, struct err *e);
void cover_close(struct cover *c);

/* Times and frequencies of gains by blocks: weighted means. */
void cover_axes(const struct cover *c, struct gains *g, const struct vis *vis,
                size_t time_block, size_t chan_block);

#endif
