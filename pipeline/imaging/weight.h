/*
 * weight.h: imaging weights from natural ones.
 *
 * Robust weighting of Briggs 1995 (thesis, New Mexico Tech, section 3), as CASA and
 * WSClean define it: natural weights summed over uv cells of 1 / (image side) give W_k; a
 * sample of weight w in cell k then gets w / (1 + W_k f^2), with
 * f^2 = (5 * 10^-robust)^2 / (sum of W_k^2 / sum of w).
 *
 * A sample and its conjugate at (-u, -v) both count; a cell's edges lie on whole multiples of
 * its side, so the half plane u >= 0 holds every pair once.
 */
#ifndef PIPELINE_IMAGING_WEIGHT_H
#define PIPELINE_IMAGING_WEIGHT_H

#include <stddef.h>

/* Half a plane of cells: columns u in [0, ncol), rows v from -nrow/2. */
struct density {
    size_t ncol, nrow;
    double side_u, side_v; /* wavelengths */
    double *cell; /* [nrow][ncol] W_k; after density_robust 1 / (1 + W_k f^2) */
};

/* Empty, for an image of nx x ny pixels.  Status: 0; -ENOMEM; either way density_close ends it. */
int density_init(struct density *d, size_t nx, size_t ny, double cell_rad);
void density_close(struct density *d);

/* Add natural weights w [nchan] of one row, uvw in metres; those above 0 must lie inside |u|, |v|
 * <= 1 / (2 cell). */
void density_add(struct density *d, const double uvw_m[3], const double *freq_hz,
                 size_t nchan, const float *w);
/* Add another's cells, of the same image. */
void density_join(struct density *d, const struct density *other);

/* From sums to factors. */
void density_robust(struct density *d, double robust);
/* w [nchan] of one row times its cells' factors. */
void density_weigh(const struct density *d, const double uvw_m[3],
                   const double *freq_hz, size_t nchan, float *w);

#endif
