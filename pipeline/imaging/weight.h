/*
 * weight.h: imaging weights from natural ones.
 *
 * Robust weighting of Briggs 1995 (thesis, New Mexico Tech, section 3), as CASA and
 * WSClean define it: natural weights summed over uv cells of 1 / (image side) give W_k; a
 * sample of weight w in cell k then gets w / (1 + W_k f^2), with
 * f^2 = (5 * 10^-robust)^2 / (sum of W_k^2 / sum of w).
 */
#ifndef PIPELINE_IMAGING_WEIGHT_H
#define PIPELINE_IMAGING_WEIGHT_H

#include <stddef.h>

struct err;
struct samples;

/*
 * weight_briggs: turn natural weights into robust ones.
 *
 * Given:              s: uvw and frequencies (its weight is not looked at)
 *                     nx, ny, cell_rad: the image
 * Given and returned: wi [nrow][nchan]; samples with 0 stay 0.  All others must lie
 *                     inside |u|, |v| <= 1 / (2 cell).
 * Status: 0, -ENOMEM
 *
 * Note: a sample and its conjugate at (-u, -v) both count; a cell's edges lie on whole
 * multiples of its side, so the half plane u >= 0 holds every pair once.
 */
int weight_briggs(float *wi, const struct samples *s, size_t nx, size_t ny,
                  double cell_rad, double robust, struct err *e);

#endif
