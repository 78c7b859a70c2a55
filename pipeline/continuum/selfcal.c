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
#include "pipeline/cal/scale.h"
#include "pipeline/continuum/islands.h"
#include "pipeline/continuum/tile.h"
#include "pipeline/sky/image.h"
#include "pipeline/sky/vis.h"

/* How many times the last step a model goes ahead of what was found. */
#define MOST_AHEAD 3.0

/* A field's scale is looked for when it is known this well and this far from 1, and so far. */
#define SURE       0.02
#define ENOUGH     0.02
#define MOST_TIMES 4.0

/* What goes into a model is above this many times the noise, and this many times what is most
 * negative: what gains in error leave around bright sources must not get into them. */
#define MODEL_SIGMA    10.0
#define MODEL_NEGATIVE 1.2

/* Fluxes of sources above this have settled when no more than this share of all of them together
 * moves, each beyond this many times the noise. */
#define SETTLED_SIGMA 20.0
#define SETTLED       0.005
#define MOVE_SIGMA    3.0

/* A round that lowers the residual by less than this share has nothing more to give. */
#define LITTLE 0.002

/* Gains that were solved without some of the sources have swallowed a little of them, and of the
 * noise with them: with a whole model the residual may be this much noisier, and the fluxes are
 * right.  A round that raises it by less is kept. */
#define UNSURE 0.03

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

/* What is around the calibrator, as a struct model's field. */
struct field {
    const struct imager *im;
    /* [n] each, or NULL: what the last round took for the field's sources; what had been found
     * before it; what had been found more than taken then */
    float *took, *found, *more;
    size_t n;
};

static void forget(struct field *f)
{
    free(f->took);
    free(f->found);
    free(f->more);
    f->took = f->found = f->more = NULL;
}

/*
 * What the next round is to take: gains swallow a part of the sources that a model lacks, so each
 * round finds a part of what is missing, nearly the same one.  From two rounds follows where that
 * leads: Anderson 1965, J. ACM 12, 547, with one round before.
 * pix [n]: found last; more [n]: found more than taken.  Returned: next [n]
 */
static void extrapolate(const struct field *f, const float *pix, const float *more,
                        float *next)
{
    double dot = 0, size = 0, part;

    for (size_t i = 0; i < f->n; i++) {
        double less = (double)f->more[i] - (double)more[i];

        dot += (double)more[i] * less;
        size += less * less;
    }
    part = size > 0 ? fmin(fmax(dot / size, 0), MOST_AHEAD) : 0;
    for (size_t i = 0; i < f->n; i++)
        next[i] = pix[i] + (float)part * (pix[i] - f->found[i]);
}

static double beam_px(const struct tile_run *run)
{
    return run->psf->bmaj_rad / run->psf->wcs.cell_rad;
}

/* Take what is no source out of pix and of the components that CLEAN is to start from. */
static int keep_sources(struct tile_run *run, float *pix, struct err *e)
{
    struct islands is = {0};
    int rc = islands_find(&is, pix, run->psf->nx, run->psf->ny, beam_px(run), e);

    if (rc == 0)
        islands_drop(&is,
                     fmax(MODEL_SIGMA * run->clean.sigma_jy,
                          MODEL_NEGATIVE * islands_most_negative(&is)),
                     pix, run->components);
    islands_close(&is);
    return rc;
}

/*
 * By how much the fluxes of the last image are others than the model that its gains were solved
 * with: the share of all of them that moved, beyond noise; run->selfcal has it.
 */
static int measure_change(struct tile_run *run, const struct field *f, struct err *e)
{
    struct islands is = {0};
    double sigma_jy = run->clean.sigma_jy, limit_jy, r = beam_px(run);
    double all_jy = 0, moved_jy = 0;
    size_t nx = run->psf->nx, ny = run->psf->ny;
    float *pix = other_components(run);
    int rc = pix != NULL ? islands_find(&is, pix, nx, ny, r, e)
                         : err_set(e, -ENOMEM, "out of memory for the fluxes of %s",
                                   run->group);

    limit_jy =
        fmax(SETTLED_SIGMA * sigma_jy, MODEL_NEGATIVE * islands_most_negative(&is));
    for (size_t i = 0; rc == 0 && i < is.n; i++) {
        double jy = islands_flux(pix, nx, ny, is.island[i].pixel, r), moved;

        if (is.island[i].flux_jy < limit_jy || jy < limit_jy)
            continue;
        moved = fabs(jy - islands_flux(f->took, nx, ny, is.island[i].pixel, r));
        moved_jy += fmax(moved - MOVE_SIGMA * sigma_jy, 0);
        all_jy += jy;
    }
    run->selfcal.change = all_jy > 0 ? moved_jy / all_jy : 0;
    run->selfcal.settled = rc == 0 && run->selfcal.change <= SETTLED;
    islands_close(&is);
    free(pix);
    return rc;
}

/* The next round's model: that of the last image, and what follows from the rounds before. */
static int field_model(struct tile_run *run, struct field *f, struct err *e)
{
    size_t n = run->psf->nx * run->psf->ny;
    float *pix = other_components(run), *next = malloc(n * sizeof *next);
    float *more = NULL;
    int rc;

    if (n != f->n)
        forget(f);
    if (f->took != NULL)
        more = malloc(n * sizeof *more);
    if (pix == NULL || next == NULL || (f->took != NULL && more == NULL)) {
        free(pix);
        free(next);
        free(more);
        return err_set(e, -ENOMEM, "out of memory for the field model of %s",
                       run->group);
    }
    if ((rc = keep_sources(run, pix, e)) != 0) {
        free(pix);
        free(next);
        free(more);
        return rc;
    }
    for (size_t i = 0; more != NULL && i < n; i++)
        more[i] = pix[i] - f->took[i];
    memcpy(next, pix, n * sizeof *next);
    if (f->more != NULL)
        extrapolate(f, pix, more, next);
    forget(f);
    f->took = next;
    f->found = pix;
    f->more = more;
    f->n = n;
    f->im = run->imager;
    return imager_predict(run->imager, next, true, e);
}

static void add_field(const void *arg, size_t row, size_t chan, size_t n, float *re,
                      float *im)
{
    const struct field *f = arg;

    imager_predicted_row(f->im, row, chan, n, re, im);
}

/* Gains that a round found, or that it replaced. */
struct found {
    struct gains *bandpass, *gain;
};

static void swap(struct tile_run *run, struct found *f)
{
    struct found was = {run->bandpass, run->gain};

    run->bandpass = f->bandpass;
    run->gain = f->gain;
    *f = was;
}

static void drop(struct found *f)
{
    gains_free(f->bandpass);
    gains_free(f->gain);
}

/* Gains with the field this much brighter, instead of those in *f, and what its scale is then. */
static int solve_scaled(const struct tile_run *run, struct model *model, double times,
                        bool phase_only, struct found *f, struct scale *scale,
                        struct err *e)
{
    struct found old = *f;
    int rc;

    model->field_scale = times;
    rc = solve_round(run, model, phase_only, &f->bandpass, &f->gain, e);
    drop(&old);
    return rc != 0 ? rc
                   : scale_fit(
                         scale, run->vis, model,
                         (const struct gains *const[2]){
                             run->stored != NULL ? run->stored : f->bandpass, f->gain},
                         run->env->threads, e);
}

/*
 * Gains, and by how much the field is brighter than its image was: gains that were solved without
 * it have swallowed a part.  With what the image has they let out some of that; with this much
 * they let out nearly the same part of the rest, and so on: a geometric series.
 */
static int solve_field(const struct tile_run *run, struct model *model, bool phase_only,
                       struct found *f, double *times, struct err *e)
{
    struct scale one, two;
    double ratio;
    int rc = solve_scaled(run, model, 1, phase_only, f, &one, e);

    *times = 1;
    if (rc != 0 || !(one.sigma < SURE) || !(fabs(one.factor - 1) > ENOUGH))
        return rc;
    *times = fmin(fmax(one.factor, 1 / MOST_TIMES), MOST_TIMES);
    rc = solve_scaled(run, model, *times, phase_only, f, &two, e);
    if (rc != 0)
        return rc;
    ratio = fmin(fmax((two.factor - *times) / (*times - 1), 0), 0.8);
    *times += (*times - 1) * ratio / (1 - ratio);
    *times = fmin(fmax(*times, 1 / MOST_TIMES), MOST_TIMES);
    return solve_scaled(run, model, *times, phase_only, f, &two, e);
}

/*
 * One round: *better is whether the residual is not noisier than before.  If it is, run has the
 * gains of before again, and its image is made of the others.
 */
static int try_round(struct tile_run *run, struct field *field, bool phase_only,
                     enum depth depth, bool *better, struct err *e)
{
    struct model model = run->model;
    struct selfcal *log = &run->selfcal;
    double before = run->clean.sigma_jy, times = 1;
    struct found found = {NULL, NULL};
    int rc = field_model(run, field, e);

    model.field = add_field;
    model.field_arg = field;
    if (rc == 0)
        rc = solve_field(run, &model, phase_only, &found, &times, e);
    if (rc != 0) {
        drop(&found);
        return rc;
    }
    for (size_t i = 0; i < field->n; i++)
        field->took[i] *= (float)times;
    swap(run, &found);
    gains_free(run->smooth);
    run->smooth = NULL;
    rc = image_round(run, depth, e);
    if (rc == 0) {
        *better = run->clean.sigma_jy < (1 + UNSURE) * before;
        log->rms_jy[log->tried] = before;
        log->rms_jy[++log->tried] = run->clean.sigma_jy;
        log->kept += *better;
        if (!*better)
            swap(run, &found);
        else
            rc = measure_change(run, field, e);
    }
    drop(&found);
    return rc;
}

/* Until no flux moves any more.  Any round may be the last; only for another program's image that
 * is made at the end. */
static int all_rounds(struct tile_run *run, struct err *e)
{
    enum depth depth = engine_is_wsclean(run) ? DEPTH_MODEL : DEPTH_FULL;
    long rounds = selfcal_rounds(run);
    struct field field = {0};
    const struct selfcal *log = &run->selfcal;
    bool better = true, enough = false;
    int rc = 0;

    for (long i = 0; rc == 0 && better && !enough && i < rounds; i++) {
        rc = try_round(run, &field, i < run->set->calibration.phase_rounds, depth,
                       &better, e);
        enough = log->settled ||
                 (i > 0 && rc == 0 &&
                  log->rms_jy[log->tried] > (1 - LITTLE) * log->rms_jy[log->tried - 1]);
    }
    forget(&field);
    if (rc == 0 && (!better || depth != DEPTH_FULL))
        rc = image_round(run, DEPTH_FULL, e);
    return rc;
}

static void describe(const struct tile_run *run)
{
    const struct selfcal *log = &run->selfcal;
    char *at = run->env->detail, *end = at + sizeof run->env->detail;

    at +=
        snprintf(at, (size_t)(end - at),
                 "%zu rounds with the field's sources in the model, %zu kept, residual",
                 log->tried, log->kept);
    for (size_t i = 0; i <= log->tried && end - at > 16; i++)
        at += snprintf(at, (size_t)(end - at), "%s %.3g", i > 0 ? " ->" : "",
                       log->rms_jy[i] * 1e3);
    if (end - at > 80)
        snprintf(at, (size_t)(end - at), " mJy/beam, fluxes moved by %.2g %%%s",
                 100 * log->change, log->settled ? "" : ", not settled");
}

int tile_refine(void *arg, struct err *e)
{
    struct tile_run *run = arg;
    int rc;

    if (selfcal_rounds(run) == 0) {
        snprintf(run->env->detail, sizeof run->env->detail, "nothing to refine");
        return 0;
    }
    rc = all_rounds(run, e);
    if (rc == 0)
        describe(run);
    return rc;
}
