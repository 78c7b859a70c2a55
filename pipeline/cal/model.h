/*
 * model.h: what a perfect array would have measured of a known source.
 */
#ifndef PIPELINE_CAL_MODEL_H
#define PIPELINE_CAL_MODEL_H

#include <complex.h>

struct beam;
struct calibrator;
struct err;
struct vis;

/*
 * model_point: a point source at the calibrator's place, seen through the primary beam around
 * each integration's pointing.
 *
 * Given:    vis: rows, channels and times (its data are not looked at)
 *           cal: position and flux density over frequency; beam
 * Returned: model [nrow][nchan] Jy, Stokes I, with the phases of the rows' stop directions
 * Status:   0; ERR_QUALITY when the source is far outside the beam; -ENOMEM
 */
int model_point(float complex *model, const struct vis *vis,
                const struct calibrator *cal, const struct beam *beam, struct err *e);

#endif
