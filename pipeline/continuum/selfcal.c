/*
 * selfcal.c: "refine": solve again with the field's own sources in the model, and image
 * again, a few times.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/continuum/settings.h"
#include "core/err.h"
#include "pipeline/cal/gains.h"
#include "pipeline/continuum/tile.h"
#include "pipeline/sky/image.h"
#include "pipeline/sky/vis.h"

long selfcal_rounds(const struct tile_run *run)
{
    return run->cal != NULL ? run->set->calibration.model_rounds : 0;
}

/* The field's components without the calibrator's own, which the point model has. */
static float *other_components(const struct tile_run *run)
{
    const struct image *img = run->psf;
    size_t n = img->nx * img->ny;
    float *pix = malloc(n * sizeof *pix);
    double x, y, r = img->bmaj_rad / img->wcs.cell_rad;

    if (pix == NULL)
        return NULL;
    memcpy(pix, run->components, n * sizeof *pix);
    if (wcs_radec_to_pix(&img->wcs, run->cal->ra_rad, run->cal->dec_rad, &x, &y) != 0)
        return pix;
    for (size_t row = 0; row < img->ny; row++)
        for (size_t col = 0; col < img->nx; col++)
            if (hypot((double)col - x, (double)row - y) <= r)
                pix[row * img->nx + col] = 0;
    return pix;
}

/* What was found around the calibrator in the last image, as a struct model's field. */
struct field {
    const struct imager *im;
    float complex *nodes;
};

static int field_model(const struct tile_run *run, struct field *field, struct err *e)
{
    float *pix = other_components(run);
    int rc;

    free(field->nodes);
    *field = (struct field){.im = run->imager};
    if (pix == NULL)
        return err_set(e, -ENOMEM, "out of memory for the field model of %s",
                       run->group);
    rc = imager_model(run->imager, pix, &field->nodes, e);
    free(pix);
    return rc;
}

static void add_field(const void *arg, size_t row, size_t chan, size_t n, float *re,
                      float *im)
{
    const struct field *f = arg;

    imager_model_row(f->im, f->nodes, row, chan, n, re, im);
}

/* Gains instead of those that there are. */
static int solve_again(struct tile_run *run, const struct model *model, struct err *e)
{
    struct gains *bandpass, *gain;
    int rc = solve_round(run, model, false, &bandpass, &gain, e);

    if (rc != 0)
        return rc;
    gains_free(run->bandpass);
    gains_free(run->gain);
    run->bandpass = bandpass;
    run->gain = gain;
    return 0;
}

int tile_refine(void *arg, struct err *e)
{
    struct tile_run *run = arg;
    long rounds = selfcal_rounds(run);
    struct model model = run->model;
    struct field field = {0};
    int rc = 0;

    if (rounds == 0) {
        snprintf(run->env->detail, sizeof run->env->detail, "nothing to refine");
        return 0;
    }
    model.field = add_field;
    model.field_arg = &field;
    for (long left = rounds - 1; rc == 0 && left >= 0; left--) {
        rc = field_model(run, &field, e);
        if (rc == 0)
            rc = solve_again(run, &model, e);
        if (rc == 0)
            rc = image_round(run, left > 0 ? DEPTH_MODEL : DEPTH_FULL, e);
    }
    free(field.nodes);
    if (rc == 0)
        snprintf(run->env->detail, sizeof run->env->detail,
                 "%ld rounds with the field's sources in the model", rounds);
    return rc;
}
