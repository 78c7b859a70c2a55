#include "pipeline/continuum/continuum.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "core/err.h"
#include "pipeline/cal/gains.h"
#include "pipeline/cal/stokes.h"
#include "pipeline/continuum/note.h"
#include "pipeline/continuum/tile.h"
#include "pipeline/imaging/samples.h"
#include "pipeline/sky/image.h"
#include "pipeline/sky/source.h"
#include "pipeline/sky/vis.h"

void tile_drop_images(struct tile_run *run)
{
    image_free(run->residual);
    image_free(run->flat);
    image_free(run->pb);
    image_free(run->corrected);
    free(run->components);
    run->residual = run->flat = run->pb = run->corrected = NULL;
    run->components = NULL;
}

void tile_drop_imager(struct tile_run *run)
{
    normal_free(run->normal);
    imager_free(run->imager);
    beam_series_free(run->series);
    image_free(run->psf);
    run->normal = NULL;
    run->imager = NULL;
    run->series = NULL;
    run->psf = NULL;
}

void tile_drop_stokes(struct tile_run *run)
{
    free(run->uvw_m);
    stokes_free(run->stokes);
    run->uvw_m = NULL;
    run->stokes = NULL;
}

static int tile_open(void **out, struct run_env *env, struct err *e)
{
    struct tile_run *run = calloc(1, sizeof *run);

    if (run == NULL)
        return err_set(e, -ENOMEM, "out of memory for group %s", env->key);
    run->env = env;
    run->group = env->key;
    run->path = env->item;
    run->npath = env->nitem;
    run->set = continuum_settings(env->conf);
    run->pb_cut = run->set->mosaic.pb_cut; /* so that mosaics and images agree */
    run->phase_rms_raw_deg = NAN;
    run->phase_rms_bandpass_deg = NAN;
    run->phase_rms_deg = NAN;
    run->selfcal.change = NAN;
    *out = run;
    return 0;
}

static void tile_close(void *arg)
{
    struct tile_run *run = arg;

    tile_drop_images(run);
    tile_drop_imager(run);
    free(run->first_model);
    tile_drop_stokes(run);
    verdict_close(&run->verdict);
    source_list_free(&run->sources);
    gains_free(run->bandpass);
    gains_free(run->smooth);
    gains_free(run->gain);
    gains_free(run->stored);
    model_close(&run->model);
    flag_report_free(&run->flags);
    vis_free(run->vis);
    free(run);
}

static const struct step steps[] = {
    {"convert", tile_convert}, {"flag", tile_flag},     {"calibrate", tile_calibrate},
    {"image", tile_image},     {"refine", tile_refine}, {"qa", tile_qa},
    {"write", tile_write},
};

const struct work continuum_work = {.step = steps,
                                    .nstep = sizeof steps / sizeof steps[0],
                                    .open = tile_open,
                                    .meta = tile_meta,
                                    .close = tile_close,
                                    .note = note_tile};
