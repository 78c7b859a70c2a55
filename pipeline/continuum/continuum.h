/*
 * continuum.h: the pipeline from the sub-bands of one group to a calibrated image
 * (a tile), and from the tiles of a window to a mosaic.
 *
 * Both fill a scratch directory and return what the registries want to know; neither
 * publishes, claims, prints or knows a loop.
 */
#ifndef PIPELINE_CONTINUUM_CONTINUUM_H
#define PIPELINE_CONTINUUM_CONTINUUM_H

#include <jansson.h>
#include <stddef.h>

struct conf;
struct err;
struct registry;

struct continuum_env {
    const struct conf *conf;
    struct registry *registry; /* where gain tables are looked up */
    const char *scratch;       /* this generation's own directory, empty */
    /* Told when a step has ended: its name, seconds, and a detail for people. */
    void (*step)(void *arg, const char *step, double took_s, const char *detail);
    int (*cancelled)(void *arg); /* asked between steps; may be NULL */
    void *arg;
};

/*
 * continuum_tile: read, calibrate, image and judge one group.
 *
 * Given:    env; group its name; path[npath] its sub-band files
 * Returned: scratch holds image.fits (Jy/beam, flat noise), image-pb.fits (divided by the beam),
 *           pb.fits, residual.fits, psf.fits, preview.png, sources.csv, qa.json, and gain.h5 and
 *           bandpass.h5 when they were solved; *meta a new JSON object (see README, "Products")
 * Status:   0; ERR_FORMAT, ERR_SHAPE, ERR_QUALITY: the data's fault, trying again is useless;
 *           -ECANCELED; -ENOMEM and other errnos
 */
int continuum_tile(const struct continuum_env *env, const char *group,
                   const char *const *path, size_t npath, json_t **meta, struct err *e);

/*
 * continuum_mosaic: combine published tiles.
 *
 * Given:    env; id its name; group[ngroup] names of published tiles
 * Returned: scratch holds mosaic.fits, weight.fits (Jy^-2), preview.png, sources.csv, qa.json
 * Status:   as above; -ENOENT when a tile is not there, with its name
 */
int continuum_mosaic(const struct continuum_env *env, const char *id,
                     const char *const *group, size_t ngroup, json_t **meta,
                     struct err *e);

#endif
