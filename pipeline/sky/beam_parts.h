/*
 * beam_parts.h: what the files of the beam share; for beam*.c only.
 */
#ifndef PIPELINE_SKY_BEAM_PARTS_H
#define PIPELINE_SKY_BEAM_PARTS_H

#include <stddef.h>

#include "pipeline/sky/beam.h"

/* Unit vector of a direction. */
void beam_vector(double ra_rad, double dec_rad, double v[3]);

/* sum[ntime][nchan]: the share that each integration and channel has of all weights. */
void beam_shares(const struct vis *vis, double *sum);

/*
 * Pixels between nodes of a coarse grid.  Linear interpolation over a distance h is off by h^2 / 8
 * times the curvature, in each of two directions; a beam is most curved on its axis, where an Airy
 * pattern is 1 - x^2 / 4, x = pi D theta / lambda (and the Gaussian 12 % less).
 */
size_t beam_node_step(const struct beam *beam, double freq_hz, double cell_rad,
                      size_t most);

#endif
