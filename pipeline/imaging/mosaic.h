/*
 * mosaic.h: tiles of one window to one image of the sky, weighted by primary beam and noise.
 *
 * I = sum_i (P_i F_i / s_i^2) / sum_i (P_i^2 / s_i^2), with F_i the flat-noise tile (not
 * beam-corrected), P_i its effective beam, s_i its noise: the least-squares estimate of the
 * sky.  The weight map is the denominator, in Jy^-2; 1/sqrt of it is the noise.
 */
#ifndef PIPELINE_IMAGING_MOSAIC_H
#define PIPELINE_IMAGING_MOSAIC_H

#include <stddef.h>

struct err;
struct image;

struct mosaic_tile {
    const struct image *flat; /* Jy/beam, not beam-corrected, NaN where invalid */
    const struct image *pb;   /* effective beam on the same grid */
    double sigma_jy;          /* noise of flat */
};

struct mosaic_opts {
    double pb_cut;         /* tile pixels with less beam are not used, e.g. 0.2 */
    double cell_rad;       /* 0: the smallest of the tiles */
    size_t max_side;       /* refuse larger, with a sentence; 0 means 20000 */
    double beam_tolerance; /* tiles whose beams differ more are refused; e.g. 0.2 */
};

/*
 * mosaic_make: combine.
 * Given:    tile[ntile], opts
 * Returned: *sky (Jy/beam, NaN where weight is 0), *weight (Jy^-2) on one SIN grid with
 *           xi = eta = 0, centred on the tiles (right ascension by vector mean, so 0 h is no
 *           seam), that just covers them; both the caller's, NULL after a failure
 * Status:   0; ERR_SHAPE (sentence names the tile's object and what differs); -ENOMEM
 * Note: Lanczos-3 interpolation, beams by bilinear; exact for pixel-aligned tiles.
 */
int mosaic_make(struct image **sky, struct image **weight,
                const struct mosaic_tile *tile, size_t ntile,
                const struct mosaic_opts *opts, struct err *e);

#endif
