/*
 * stokes.h: calibrated Stokes I of a row, made from data as correlated where it is read.
 *
 * Gains are never applied in a pass of their own, so that visibilities in memory stay as
 * correlated and can be solved again.
 */
#ifndef PIPELINE_CAL_STOKES_H
#define PIPELINE_CAL_STOKES_H

#include <complex.h>
#include <stddef.h>

struct err;
struct gains;
struct receivers;
struct stokes;
struct vis;

enum { STOKES_GAINS = 2 };

/*
 * stokes_new: how to make Stokes I of vis with gains that multiply: those of gains
 * [STOKES_GAINS] that are not NULL; gains NULL: none.  With receivers, weights go like one over
 * the variance that those have over their gains; without, or of a receiver that is not known beside
 * them, as if all were alike.  With `like`, of the same vis, weights are those of that one wherever
 * both have gains: then an image of better gains has the same point spread function.
 *
 * Returned: *out, the caller's until stokes_free; NULL after a failure.  It has a copy of the
 *           gains; vis must outlive it, and its data and weights may change in between.
 * Status:   0; ERR_FORMAT no polarisation of vis is a parallel hand; ERR_SHAPE antennas,
 *           polarisations or channels of the gains do not fit; -ENOMEM
 */
int stokes_new(struct stokes **out, const struct vis *vis,
               const struct gains *const *gains, const struct receivers *receivers,
               const struct stokes *like, struct err *e);

/* NULL does nothing. */
void stokes_free(struct stokes *s);

/*
 * stokes_row: Stokes I of all channels of a row: (XX + YY) / 2 or (RR + LL) / 2 of the samples
 * over their gains g1 conj(g2), where both hands are valid; the one hand of data that have only
 * one.  Safe from several threads at once.
 *
 * Returned: data [nchan]; weight [nchan] from the variance (1/wx + 1/wy) / 4, wx and wy being
 *           weights over the noise of both receivers, or times |g1 g2|^2 (of `like`); 0, and data
 *           0, where a hand is flagged or has no gain.
 *           data NULL: weights alone, the same to rounding.
 */
void stokes_row(const struct stokes *s, size_t row, float complex *data, float *weight);

/*
 * stokes_weigh: the weights of s onto both hands of vis, which apply_gains has calibrated with the
 * same gains; not of cross-hands.  Without receivers nothing changes.  Status: 0; -ENOMEM
 */
int stokes_weigh(const struct stokes *s, struct vis *vis);

#endif
