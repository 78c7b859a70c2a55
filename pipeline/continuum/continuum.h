/*
 * continuum.h: two pipelines: from the sub-bands of one group to a calibrated image (a
 * tile), and from the tiles of a window to a mosaic.
 *
 * Both fill a scratch directory and say what the registries want to know; neither publishes,
 * claims, prints or knows a loop.
 */
#ifndef PIPELINE_CONTINUUM_CONTINUUM_H
#define PIPELINE_CONTINUUM_CONTINUUM_H

#include "pipeline/work.h"

/*
 * Read, calibrate, image and judge one group.
 *
 * Given:    env->item[nitem] the group's sub-band files
 * Returned: scratch holds image.fits (Jy/beam, flat noise), image-pb.fits (divided by the
 *           beam), pb.fits, residual.fits, psf.fits, preview.png, sources.csv, qa.json, and
 *           gain.h5 and bandpass.h5 when they were solved; its meta: see README, "Products"
 */
extern const struct work continuum_work;

/*
 * Combine published tiles.
 *
 * Given:    env->item[nitem] names of published groups; -ENOENT when one is not there
 * Returned: scratch holds mosaic.fits, weight.fits (Jy^-2), preview.png, sources.csv, qa.json
 */
extern const struct work mosaic_work;

#endif
