/*
 * mosaic_steps.c: the published tiles of one window to a mosaic.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/conf.h"
#include "core/err.h"
#include "core/path.h"
#include "pipeline/continuum/continuum.h"
#include "pipeline/continuum/note.h"
#include "pipeline/continuum/settings.h"
#include "pipeline/continuum/tile_header.h"
#include "pipeline/continuum/verdict.h"
#include "pipeline/imaging/mosaic.h"
#include "pipeline/io/fits.h"
#include "pipeline/product/product.h"
#include "pipeline/sky/astro.h"
#include "pipeline/sky/image.h"
#include "pipeline/sky/qa.h"
#include "pipeline/sky/source.h"

struct mosaic_run {
    struct run_env *env;
    const struct continuum_settings *set;
    const char *id;
    const char *const *group;
    size_t ngroup;
    struct mosaic_tile *tile;  /* [ngroup] */
    struct image **flat, **pb; /* [ngroup] what tile[] borrows */
    struct image *sky, *weight;
    float *noise;                       /* [ny][nx] 1 / sqrt(weight) */
    struct source_list sources, solved; /* solved: [ngroup] what tiles were solved on */
    struct qa_match match;
    double noise_jy, peak_jy, min_noise_jy;
    char telescope[32];
    struct verdict verdict;
};

/* A mosaic is no better than its worst tile; and what a tile was solved on proves nothing. */
static void take_verdict(struct mosaic_run *run, size_t i, const json_t *meta)
{
    const char *status = json_string_value(json_object_get(meta, "qa_status"));
    enum verdict_grade grade = verdict_grade_of(status);
    const json_t *cal = json_object_get(meta, "calibration");
    const json_t *ra = json_object_get(cal, "ra_deg");

    if (grade != VERDICT_PASSED)
        verdict_add(&run->verdict, grade, "tile %s is %s", run->group[i],
                    status != NULL ? status : "not judged");
    if (json_is_number(ra))
        run->solved.src[run->solved.n++] = (struct source){
            .ra_rad = json_number_value(ra) * ASTRO_DEG,
            .dec_rad = json_number_value(json_object_get(cal, "dec_deg")) * ASTRO_DEG};
}

static int read_tile(struct mosaic_run *run, size_t i, struct err *e)
{
    char tiles[PATH_MAX], dir[PATH_MAX], path[PATH_MAX];
    json_t *manifest = NULL;
    double noise = 0;
    int rc = path_join(tiles, sizeof tiles, run->env->conf->paths.products, "tiles", e);

    if (rc == 0)
        rc = product_current(&manifest, dir, tiles, run->group[i], 0, e);
    if (rc != 0)
        return rc;
    noise = json_number_value(
        json_object_get(json_object_get(manifest, "meta"), "noise_jy"));
    if (!(noise > 0))
        rc = err_set(e, ERR_FORMAT, "the manifest of tile %s has no noise_jy",
                     run->group[i]);
    if (rc == 0)
        take_verdict(run, i, json_object_get(manifest, "meta"));
    json_decref(manifest);
    if (rc == 0 && (rc = path_join(path, sizeof path, dir, "image.fits", e)) == 0 &&
        (rc = fits_read_image(&run->flat[i], path, e)) == 0 &&
        (rc = path_join(path, sizeof path, dir, "pb.fits", e)) == 0)
        rc = fits_read_image(&run->pb[i], path, e);
    if (rc == 0)
        run->tile[i] = (struct mosaic_tile){run->flat[i], run->pb[i], noise};
    return rc;
}

static int step_tiles(void *arg, struct err *e)
{
    struct mosaic_run *run = arg;
    int rc = 0;

    run->tile = calloc(run->ngroup, sizeof *run->tile);
    run->flat = calloc(run->ngroup, sizeof *run->flat);
    run->pb = calloc(run->ngroup, sizeof *run->pb);
    run->solved.src = calloc(run->ngroup, sizeof *run->solved.src);
    if (run->tile == NULL || run->flat == NULL || run->pb == NULL ||
        run->solved.src == NULL)
        return err_set(e, -ENOMEM, "out of memory for %zu tiles", run->ngroup);
    for (size_t i = 0; rc == 0 && i < run->ngroup; i++)
        rc = read_tile(run, i, e);
    snprintf(run->env->detail, sizeof run->env->detail, "%zu tiles", run->ngroup);
    return rc;
}

static int step_mosaic(void *arg, struct err *e)
{
    struct mosaic_run *run = arg;
    struct mosaic_opts opts = {.pb_cut = run->set->mosaic.pb_cut,
                               .beam_tolerance = 0.2};
    int rc = mosaic_make(&run->sky, &run->weight, run->tile, run->ngroup, &opts, e);

    if (rc != 0)
        return rc;
    snprintf(run->sky->object, sizeof run->sky->object, "%.63s", run->id);
    snprintf(run->weight->object, sizeof run->weight->object, "%.63s", run->id);
    snprintf(run->telescope, sizeof run->telescope, "%.31s", run->sky->telescope);
    snprintf(run->env->detail, sizeof run->env->detail,
             "%zu x %zu pixels of %.3g arcsec", run->sky->nx, run->sky->ny,
             run->sky->wcs.cell_rad * 180 * 3600 / M_PI);
    return 0;
}

static int step_qa(void *arg, struct err *e)
{
    struct mosaic_run *run = arg;
    const struct continuum_settings *set = run->set;
    size_t n = run->sky->nx * run->sky->ny;
    double best = 0;
    int rc;

    run->noise = malloc(n * sizeof *run->noise);
    if (run->noise == NULL)
        return err_set(e, -ENOMEM, "out of memory for the noise map of %s", run->id);
    for (size_t i = 0; i < n; i++) {
        double w = run->weight->pix[i];

        run->noise[i] = w > 0 ? (float)(1 / sqrt(w)) : NAN;
        if (w > best)
            best = w;
        if (run->sky->pix[i] > run->peak_jy)
            run->peak_jy = run->sky->pix[i];
    }
    run->min_noise_jy = best > 0 ? 1 / sqrt(best) : NAN;
    run->noise_jy = qa_noise(run->sky->pix, n);
    rc = qa_find(&run->sources, run->sky, run->noise, set->qa.find_sigma, e);
    run->match = (struct qa_match){0, 0, NAN, NAN, NAN, NAN};
    if (rc == 0 && strcmp(run->sky->unit, "Jy/beam") == 0)
        rc = verdict_catalogue(&run->match, run->sky, run->noise, &run->sources,
                               &run->solved, set, e);
    if (rc != 0)
        return rc;
    if (run->verdict.grade != VERDICT_UNCALIBRATED)
        verdict_judge_image(&run->verdict, run->peak_jy / run->noise_jy, &run->match,
                            set);
    snprintf(run->env->detail, sizeof run->env->detail,
             "noise %.3g mJy/beam, peak %.4g Jy/beam, %zu sources, %zu of %zu in the "
             "catalogue found, flux ratio %.3f, offset %.2f arcsec, %s",
             run->noise_jy * 1e3, run->peak_jy, run->sources.n, run->match.nfound,
             run->match.nexpected, run->match.flux_ratio,
             run->match.offset_rad * 180 * 3600 / M_PI,
             verdict_word(run->verdict.grade));
    return 0;
}

static json_t *mosaic_meta(const void *arg)
{
    const struct mosaic_run *run = arg;
    json_t *m = json_object(), *tiles = json_array();

    verdict_put(m, "kind", "mosaic");
    verdict_put(m, "group", run->id);
    verdict_put(m, "fits", "mosaic.fits");
    verdict_put(m, "preview", "preview.png");
    verdict_meta(m, &run->verdict);
    verdict_put(m, "unit", run->sky->unit);
    verdict_put(m, "telescope", run->telescope);
    verdict_number(m, "noise_jy", run->noise_jy);
    verdict_number(m, "best_noise_jy", run->min_noise_jy);
    verdict_number(m, "peak_jy", run->peak_jy);
    verdict_number(m, "dynamic_range", run->peak_jy / run->noise_jy);
    verdict_number(m, "sources", (double)run->sources.n);
    verdict_image(m, run->sky);
    verdict_match(m, &run->match);
    for (size_t i = 0; i < run->ngroup; i++)
        json_array_append_new(tiles, json_string(run->group[i]));
    json_object_set_new(m, "tiles", tiles);
    json_object_set_new(m, "settings", tile_settings(run->env->conf));
    return m;
}

static int step_write(void *arg, struct err *e)
{
    struct mosaic_run *run = arg;
    struct fits_card cards[3 + VERDICT_CARDS] = {
        {"NTILES", NULL, (double)run->ngroup, "tiles combined"},
        {"NOISE", NULL, run->noise_jy, "[unit of mosaic.fits] robust rms"},
    };
    char path[PATH_MAX];
    json_t *meta;
    int rc = path_join(path, sizeof path, run->env->scratch, "mosaic.fits", e);

    verdict_cards(cards + 2, &run->verdict);
    if (rc == 0)
        rc = fits_write_image(path, run->sky, cards, e);
    if (rc == 0)
        rc = path_join(path, sizeof path, run->env->scratch, "weight.fits", e);
    if (rc == 0)
        rc = fits_write_image(path, run->weight, cards, e);
    if (rc != 0)
        return rc;
    meta = mosaic_meta(run);
    rc = verdict_write(run->env->scratch, run->sky, &run->sources, meta, e);
    json_decref(meta);
    return rc;
}

static int mosaic_open(void **out, struct run_env *env, struct err *e)
{
    struct mosaic_run *run = calloc(1, sizeof *run);

    if (run == NULL)
        return err_set(e, -ENOMEM, "out of memory for mosaic %s", env->key);
    run->env = env;
    run->set = continuum_settings(env->conf);
    run->id = env->key;
    run->group = env->item;
    run->ngroup = env->nitem;
    *out = run;
    return 0;
}

static void mosaic_close(void *arg)
{
    struct mosaic_run *run = arg;

    for (size_t i = 0; i < run->ngroup; i++) {
        if (run->flat != NULL)
            image_free(run->flat[i]);
        if (run->pb != NULL)
            image_free(run->pb[i]);
    }
    free(run->tile);
    free(run->flat);
    free(run->pb);
    free(run->noise);
    image_free(run->sky);
    image_free(run->weight);
    source_list_free(&run->sources);
    source_list_free(&run->solved);
    verdict_close(&run->verdict);
    free(run);
}

static const struct step steps[] = {
    {"tiles", step_tiles},
    {"mosaic", step_mosaic},
    {"qa", step_qa},
    {"write", step_write},
};

const struct work mosaic_work = {.step = steps,
                                 .nstep = sizeof steps / sizeof steps[0],
                                 .open = mosaic_open,
                                 .meta = mosaic_meta,
                                 .close = mosaic_close,
                                 .note = note_mosaic};
