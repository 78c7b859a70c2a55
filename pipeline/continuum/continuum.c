#include "pipeline/continuum/continuum.h"

#include <math.h>
#include <stdlib.h>

#include "pipeline/cal/gains.h"
#include "pipeline/continuum/tile.h"
#include "pipeline/imaging/samples.h"
#include "pipeline/sky/image.h"
#include "pipeline/sky/source.h"
#include "pipeline/sky/vis.h"
#include "pipeline/steps.h"

/* The steps of a tile, in order: adding one is adding a row. */
static const struct step steps[] = {
    {"convert", tile_convert}, {"calibrate", tile_calibrate},
    {"image", tile_image},     {"refine", tile_refine},
    {"qa", tile_qa},           {"write", tile_write},
};

void tile_drop_images(struct tile_run *run)
{
    imager_free(run->imager);
    image_free(run->psf);
    image_free(run->residual);
    image_free(run->flat);
    image_free(run->pb);
    image_free(run->corrected);
    free(run->components);
    free(run->uvw_m);
    free(run->stokes_i);
    free(run->stokes_w);
    run->imager = NULL;
    run->psf = run->residual = run->flat = run->pb = run->corrected = NULL;
    run->components = run->stokes_w = NULL;
    run->uvw_m = NULL;
    run->stokes_i = NULL;
}

static void run_close(struct tile_run *run)
{
    tile_drop_images(run);
    source_list_free(&run->sources);
    gains_free(run->bandpass);
    gains_free(run->gain);
    free(run->model);
    vis_free(run->vis);
}

int continuum_tile(const struct continuum_env *env, const char *group,
                   const char *const *path, size_t npath, json_t **meta, struct err *e)
{
    struct tile_run run = {
        .env = env,
        .group = group,
        .path = path,
        .npath = npath,
        .phase_rms_raw_deg = NAN,
        .phase_rms_bandpass_deg = NAN,
        .phase_rms_deg = NAN,
    };
    json_t *seconds;
    int rc;

    *meta = NULL;
    rc = steps_run(steps, sizeof steps / sizeof steps[0], &run, run.detail, env, group,
                   &seconds, e);
    if (rc == 0) {
        *meta = tile_meta(&run);
        json_object_set(*meta, "seconds", seconds);
    }
    json_decref(seconds);
    run_close(&run);
    return rc;
}
