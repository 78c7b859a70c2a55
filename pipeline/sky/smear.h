/*
 * smear.h: what the average over an integration costs a source off the centre.
 *
 * Within an integration the correlator follows one point of the sky, and the fringes of all
 * others turn: a baseline b loses a factor sin(x) / x, x = pi nu/c tint omega b . (z x (s - stop)),
 * omega z the earth's rotation, s and stop in ITRF (Bridle & Schwab 1999, ASP Conf. Ser. 180,
 * p. 371).  In the image a source's peak loses the weighted mean of that.  As x is linear in s, the
 * mean of 1 - x^2/6 + x^4/120 - x^6/5040 follows for all directions from a few sums over the
 * baselines of each integration.
 */
#ifndef PIPELINE_SKY_SMEAR_H
#define PIPELINE_SKY_SMEAR_H

#include <stddef.h>

struct vis;
struct wcs;

struct smear; /* opaque: the sums */

/* No baseline yet.  vis->pointing is what the correlator followed; vis must live as long. */
struct smear *smear_new(const struct vis *vis);
void smear_free(struct smear *smear);

/* Count a row with these weights [nchan] of its samples, as they are in the image. */
void smear_add(struct smear *smear, size_t row, const float *weight);

/*
 * smear_at: the share of its flux that a source keeps, in (0, 1]; 1 when no weight was counted.
 * Good to 3e-6 where no baseline turns by more than 1 rad (x above), to 7e-4 up to 2 rad; NAN beyond
 * 2.5 rad.
 */
double smear_at(const struct smear *smear, double ra_rad, double dec_rad);

/* The same for all pixels [ny][nx] of an image; interpolated between nodes of 0.1 degrees. */
void smear_map(const struct smear *smear, const struct wcs *wcs, size_t nx, size_t ny,
               float *map);

#endif
