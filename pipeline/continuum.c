#include "pipeline/continuum.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/err.h"
#include "pipeline/image.h"
#include "pipeline/solve.h"
#include "pipeline/tile.h"
#include "pipeline/vis.h"

/* The steps of a tile, in order: adding one is adding a row. */
static const struct {
    const char *name;
    int (*run)(struct tile_run *run, struct err *e);
} steps[] = {
    {"convert", tile_convert}, {"calibrate", tile_calibrate}, {"image", tile_image},
    {"refine", tile_refine},   {"qa", tile_qa},               {"write", tile_write},
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
    json_t *seconds = json_object();
    int rc = 0;

    *meta = NULL;
    for (size_t i = 0; rc == 0 && i < sizeof steps / sizeof steps[0]; i++) {
        double start = clock_boot_s(), took;

        if (env->cancelled != NULL && env->cancelled(env->arg)) {
            rc = err_set(e, -ECANCELED, "%s was stopped before step %s", group,
                         steps[i].name);
            break;
        }
        run.detail[0] = '\0';
        rc = steps[i].run(&run, e);
        took = clock_boot_s() - start;
        json_object_set_new(seconds, steps[i].name, json_real(took));
        if (rc == 0 && env->step != NULL)
            env->step(env->arg, steps[i].name, took, run.detail);
    }
    if (rc == 0) {
        *meta = tile_meta(&run);
        json_object_set(*meta, "seconds", seconds);
    }
    json_decref(seconds);
    run_close(&run);
    return rc;
}
