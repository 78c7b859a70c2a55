/*
 * delay.h: by how much phases turn along the band.
 */
#ifndef PIPELINE_CAL_DELAY_H
#define PIPELINE_CAL_DELAY_H

struct err;
struct gains;

/*
 * delay_fit: of gains [1][nchan], delay_s [nant][npol] so that their phases go like
 * 2 pi delay_s freq_hz; NAN where there are too few solutions.
 *
 * Phases of ever wider pairs of channels, each telling how many turns the next wider one makes:
 * good down to a signal to noise of 1 a channel.  Any phase per antenna may be there; one that
 * all have in common must not jump (refant.h).
 */
void delay_fit(double *delay_s, const struct gains *g);

/* *out [1][nchan], of the sizes and channels of g: amplitude 1 and the phases of delay_s, 0 at
 * the first channel.  The caller's; NULL after a failure.  Status: 0; -ENOMEM. */
int delay_gains(struct gains **out, const double *delay_s, const struct gains *g,
                struct err *e);

#endif
