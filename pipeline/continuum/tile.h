/*
 * tile.h: one group on its way through the steps of continuum_tile; known to the files of
 * the steps only (tile_calibrate.c, tile_image.c, tile_write.c, continuum.c).
 */
#ifndef PIPELINE_CONTINUUM_TILE_H
#define PIPELINE_CONTINUUM_TILE_H

#include <complex.h>
#include <jansson.h>
#include <stdbool.h>

#include "pipeline/sky/beam.h"
#include "pipeline/sky/calibrator.h"
#include "pipeline/imaging/clean.h"
#include "pipeline/continuum/continuum.h"
#include "pipeline/imaging/imager.h"
#include "pipeline/imaging/samples.h"
#include "pipeline/sky/qa.h"
#include "pipeline/sky/source.h"

struct gains;
struct image;
struct vis;

struct tile_run {
    const struct continuum_env *env;
    const char *group;
    const char *const *path;
    size_t npath;

    /* from convert on; phased to (ra_rad, dec_rad) and calibrated in place */
    struct vis *vis;
    double ra_rad, dec_rad;
    struct beam beam;

    struct calibrator own;        /* a calibrator given in the settings */
    const struct calibrator *cal; /* the one in the field, NULL for none */
    double cal_apparent_jy;
    float complex
        *model; /* [nrow][nchan] the calibrator's visibilities; NULL without one */
    struct gains *bandpass;   /* solved here; NULL when an older one was applied */
    struct gains *gain;       /* per integration, solved here */
    char bandpass_path[4096]; /* the older table that was applied, or empty */
    double phase_rms_raw_deg, phase_rms_bandpass_deg,
        phase_rms_deg; /* against model; NAN */

    double (*uvw_m)[3];      /* [nrow] */
    float complex *stokes_i; /* [nrow][nchan] */
    float *stokes_w;         /* [nrow][nchan] */
    struct samples samples;
    struct imager *imager;
    struct imager_info info;
    float *components; /* [ny][nx] Jy/pixel */
    bool rough;        /* the image will be made again: do not clean it to the end */
    struct clean_result clean;
    struct image *psf, *residual, *flat, *pb, *corrected;

    double noise_jy, peak_jy;
    struct source_list sources;
    struct qa_match match;
    char qa_status[16];
    char detail[200]; /* what the last step says of itself */
};

/* The steps; `run` is a struct tile_run. */
int tile_convert(void *run, struct err *e);
int tile_calibrate(void *run, struct err *e);
int tile_image(void *run, struct err *e);
/* Solve again with the field's own sources in the model, and image again. */
int tile_refine(void *run, struct err *e);
int tile_qa(void *run, struct err *e);
int tile_write(void *run, struct err *e);
json_t *tile_meta(const struct tile_run *run);

/* Everything that image and refine made, so that they can run again. */
void tile_drop_images(struct tile_run *run);

#endif
