/*
 * tile_image.c: calibrated visibilities to dirty image, CLEAN, restored and beam maps.
 */
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/continuum/settings.h"
#include "core/err.h"
#include "pipeline/cal/receivers.h"
#include "pipeline/cal/stokes.h"
#include "pipeline/continuum/tile.h"
#include "pipeline/imaging/fft.h"
#include "pipeline/imaging/samples.h"
#include "pipeline/sky/image.h"
#include "pipeline/sky/vis.h"

/* Wanted error of a dirty image, rms over rms. */
#define ACCURACY 1e-4

/* How much of a source may change from sample to sample unseen by its model, rms over mean.  About
   a thirtieth of it shows in the image, as false sources around the true one. */
#define BEAM_LEFT 0.03

/* Pixels to the finest fringe, when the settings leave it open: half as many again as it takes. */
#define FRINGE_PIXELS 3.0

/* What an image that only serves as the model for the next calibration is searched and cleaned
 * down to: what gains in error leave around bright sources must not get into it. */
#define ROUGH_MASK  10.0
#define ROUGH_SIGMA 3.0

/* A row as struct samples asks for it. */
static void make_row(const void *arg, size_t row, float complex *data, float *weight)
{
    const struct tile_run *run = arg;

    stokes_row(run->stokes, row, data, weight);
}

int tile_stokes(struct tile_run *run, struct stokes **out, struct err *e)
{
    struct tile_gains gains = tile_image_gains(run);
    struct receivers receivers = {.from = "none"};
    bool solved = gains.set[0] != NULL || gains.set[1] != NULL;
    int rc = 0;

    *out = NULL;
    if (solved) /* others' calibrated data have others' weights */
        rc = receivers_measure(&receivers, run->vis, gains.set, e);
    run->weights_from = receivers.from;
    if (rc == 0)
        rc = stokes_new(out, run->vis, gains.set, solved ? &receivers : NULL, NULL, e);
    receivers_close(&receivers);
    return rc;
}

/* The samples of this round: Stokes I with the gains as they are now. */
static int take_samples(struct tile_run *run, struct err *e)
{
    const struct vis *vis = run->vis;
    struct tile_gains gains = tile_image_gains(run);
    struct stokes *before = run->stokes;
    int rc = before == NULL ? tile_stokes(run, &run->stokes, e)
                            : stokes_new(&run->stokes, vis, gains.set, NULL, before, e);

    stokes_free(before);
    if (rc != 0 || run->uvw_m != NULL)
        return rc;
    run->uvw_m = malloc(vis->nrow * sizeof *run->uvw_m);
    if (run->uvw_m == NULL)
        return err_set(e, -ENOMEM, "out of memory for %zu rows of %s", vis->nrow,
                       run->group);
    vis_uvw(vis, run->ra_rad, run->dec_rad, run->uvw_m);
    run->samples = (struct samples){.nrow = vis->nrow,
                                    .nchan = vis->nchan,
                                    .uvw_m = (const double(*)[3])run->uvw_m,
                                    .freq_hz = vis->freq_hz,
                                    .row = make_row,
                                    .arg = run};
    return 0;
}

/* The largest |u| or |v| of an unflagged sample, wavelengths; NAN: out of memory. */
static double longest_lambda(const struct tile_run *run)
{
    const struct vis *vis = run->vis;
    double longest = 0, top = vis->freq_hz[vis->nchan - 1];
    struct samples_line line;

    if (samples_line_init(&line, vis->nchan) != 0)
        longest = NAN;
    for (size_t r = 0; !isnan(longest) && r < vis->nrow; r++) {
        double uv = fmax(fabs(run->uvw_m[r][0]), fabs(run->uvw_m[r][1])) / ASTRO_C_M_S;

        if (!(uv * top > longest))
            continue;
        samples_weights(&run->samples, r, &line);
        for (size_t c = vis->nchan; c-- > 0 && uv * vis->freq_hz[c] > longest;)
            if (line.weight[c] > 0)
                longest = uv * vis->freq_hz[c];
    }
    samples_line_close(&line);
    return longest;
}

size_t tile_pixels(const struct tile_run *run, double cell_rad, double lo_hz)
{
    double beam = 1.029 * ASTRO_C_M_S / lo_hz / run->beam.diameter_m / cell_rad;
    double n = run->beam.kind == BEAM_NONE ? 1024 : 1.5 * beam;

    if (run->set->imaging.size > 0)
        return (size_t)run->set->imaging.size;
    return n > 64 && n < 1e6 ? fft_near_size(n) : n > 64 ? 1000000 : 64;
}

/* Pixels: a third of the finest fringe along either axis. */
static int choose_grid(const struct tile_run *run, struct imager_opts *opts,
                       struct err *e)
{
    const struct continuum_settings *set = run->set;
    const struct vis *vis = run->vis;
    double longest = longest_lambda(run);

    opts->cell_rad = set->imaging.cell_arcsec * ASTRO_ARCSEC;
    if (isnan(longest))
        return err_set(e, -ENOMEM, "out of memory for a row of %s", run->group);
    if (!(opts->cell_rad > 0)) {
        if (!(longest > 0))
            return err_set(e, ERR_QUALITY, "%s has no unflagged baseline", run->group);
        opts->cell_rad = 1 / (FRINGE_PIXELS * longest);
    }
    opts->nx = tile_pixels(run, opts->cell_rad, vis->freq_hz[0]);
    opts->ny = opts->nx;
    opts->briggs = strcmp(set->imaging.weighting, "briggs") == 0;
    opts->robust = set->imaging.robust;
    opts->accuracy = ACCURACY;
    opts->threads = run->env->threads;
    return 0;
}

void tile_describe(struct image *img, const struct tile_run *run)
{
    const struct vis *vis = run->vis;

    img->width_hz = 0;
    for (size_t c = 0; c < vis->nchan; c++)
        img->width_hz += vis->width_hz[c];
    img->mjd_beg = vis->time_jd[0] - vis->tint_s[0] / 2 / ASTRO_DAY_S - ASTRO_MJD0_JD;
    img->mjd_end = vis->time_jd[vis->ntime - 1] +
                   vis->tint_s[vis->ntime - 1] / 2 / ASTRO_DAY_S - ASTRO_MJD0_JD;
    snprintf(img->unit, sizeof img->unit, "%s",
             tile_calibrated(run) ? "Jy/beam" : "uncalib/beam");
    snprintf(img->object, sizeof img->object, "%.63s", run->group);
    snprintf(img->telescope, sizeof img->telescope, "%.31s", vis->telescope);
}

static int deconvolve(struct tile_run *run, enum depth depth, struct err *e)
{
    const struct continuum_settings *set = run->set;
    struct clean_opts opts = {
        .niter = (size_t)set->imaging.niter,
        .gain = 0.1,
        .mgain = set->imaging.mgain,
        .auto_mask = depth == DEPTH_MODEL ? fmax(ROUGH_MASK, set->imaging.auto_mask)
                                          : set->imaging.auto_mask,
        .auto_threshold = depth == DEPTH_MODEL
                              ? fmax(ROUGH_SIGMA, set->imaging.auto_threshold)
                              : set->imaging.auto_threshold,
        .border = 0.02,
        .beam_pix = run->psf->bmaj_rad / run->psf->wcs.cell_rad,
        .sidelobe = run->beam_fit.sidelobe,
        .warm = run->first_model != NULL,
        .unchecked = depth == DEPTH_MODEL,
    };
    size_t n = run->psf->nx * run->psf->ny;
    struct clean_planes planes;
    int rc;

    run->components = run->first_model != NULL ? run->first_model
                                               : calloc(n, sizeof *run->components);
    run->first_model = NULL;
    if (run->components == NULL)
        return err_set(e, -ENOMEM, "out of memory for the CLEAN model of %s",
                       run->group);
    planes =
        (struct clean_planes){.model = run->components, .residual = run->residual->pix};
    rc = clean_run(run->imager, run->normal, &opts, &planes, &run->clean, e);
    if (rc != 0 || depth == DEPTH_MODEL)
        return rc;
    rc = image_like(&run->flat, run->residual, e);
    if (rc == 0)
        rc = clean_restore(run->flat, run->components, run->residual->pix, e);
    return rc;
}

static int beam_maps(struct tile_run *run, struct err *e)
{
    size_t n = run->flat->nx * run->flat->ny;
    int rc;

    if ((rc = image_like(&run->pb, run->flat, e)) != 0 ||
        (rc = image_like(&run->corrected, run->flat, e)) != 0)
        return rc;
    snprintf(run->pb->unit, sizeof run->pb->unit, "%s", "");
    rc = beam_tile(run->pb->pix, &run->beam, run->vis, &run->flat->wcs, run->flat->nx,
                   run->flat->ny);
    if (rc != 0)
        return err_set(e, rc, "out of memory for the primary beam of %s", run->group);
    if ((rc = tile_smear(run, e)) != 0)
        return rc;
    for (size_t i = 0; i < n; i++)
        run->corrected->pix[i] =
            run->pb->pix[i] >= run->pb_cut ? run->flat->pix[i] / run->pb->pix[i] : NAN;
    return 0;
}

/* The beam of each integration and channel over their mean, for the model. */
static int follow_beam(struct tile_run *run, const struct imager_opts *opts,
                       struct err *e)
{
    struct wcs wcs;
    int rc;

    imager_wcs(run->imager, &wcs);
    rc = beam_series_new(&run->series, &run->beam, run->vis, &wcs, opts->nx, opts->ny,
                         BEAM_LEFT);
    if (rc != 0)
        return err_set(e, rc, "out of memory for the moving beam of %s", run->group);
    return imager_set_beam(run->imager, run->series, e);
}

/* Imager, PSF and restoring beam for one choice of pixels. */
static int make_psf(struct tile_run *run, const struct imager_opts *opts, struct err *e)
{
    struct image *psf;
    int rc;

    if ((rc = imager_new(&run->imager, &run->samples, opts, run->ra_rad, run->dec_rad,
                         e)) != 0)
        return rc;
    imager_info(run->imager, &run->info);
    if ((rc = follow_beam(run, opts, e)) != 0 ||
        (rc = image_alloc(&run->psf, opts->nx, opts->ny, e)) != 0 ||
        (rc = normal_new(&run->normal, run->imager, run->psf->pix, e)) != 0)
        return rc;
    imager_drop_weights(run->imager);
    psf = run->psf;
    imager_wcs(run->imager, &psf->wcs);
    psf->freq_hz = run->info.freq_hz;
    tile_describe(psf, run);
    return beam_fit_psf(psf, &run->beam_fit, e);
}

/*
 * What can stay of the round before: while the weights are the same its imager does, and all
 * that was made of the weights; and on the same pixels its model is what CLEAN starts with.
 */
static int make_grid(struct tile_run *run, struct err *e)
{
    struct imager_opts opts = {0};
    bool changed = true;
    float *model;
    int rc;

    if (run->normal != NULL && (rc = imager_load(run->imager, &changed, e)) != 0)
        return rc;
    if (!changed) {
        run->first_model = run->components;
        run->components = NULL;
        tile_drop_images(run);
        return 0;
    }
    model = run->components;
    run->components = NULL;
    tile_drop_images(run);
    tile_drop_imager(run);
    rc = choose_grid(run, &opts, e);
    if (rc == 0 && opts.nx == run->opts.nx && opts.ny == run->opts.ny &&
        opts.cell_rad == run->opts.cell_rad)
        run->first_model = model;
    else
        free(model);
    run->opts = opts;
    return rc != 0 ? rc : make_psf(run, &opts, e);
}

/* The last round by another program: all that it does not need is given back before. */
static int other_round(struct tile_run *run, struct err *e)
{
    int rc = choose_grid(run, &run->opts, e);

    tile_drop_images(run);
    tile_drop_imager(run);
    tile_drop_stokes(run);
    if (rc == 0)
        rc = engine_wsclean(run, e);
    if (rc == 0)
        rc = beam_maps(run, e);
    if (rc == 0)
        snprintf(run->env->detail, sizeof run->env->detail,
                 "%zu x %zu pixels of %.3g arcsec, beam %.3g x %.3g arcsec, by WSClean",
                 run->opts.nx, run->opts.ny, run->opts.cell_rad / ASTRO_ARCSEC,
                 run->psf->bmaj_rad / ASTRO_ARCSEC, run->psf->bmin_rad / ASTRO_ARCSEC);
    return rc;
}

bool engine_is_wsclean(const struct tile_run *run)
{
    return strcmp(run->set->imaging.engine, "wsclean") == 0;
}

int image_round(struct tile_run *run, enum depth depth, struct err *e)
{
    int rc;

    if (depth == DEPTH_FULL && engine_is_wsclean(run))
        return (rc = take_samples(run, e)) != 0 ? rc : other_round(run, e);
    if ((rc = take_samples(run, e)) != 0 || (rc = make_grid(run, e)) != 0 ||
        (rc = image_like(&run->residual, run->psf, e)) != 0 ||
        (rc = deconvolve(run, depth, e)) != 0 ||
        (depth == DEPTH_FULL && (rc = beam_maps(run, e)) != 0))
        return rc;
    snprintf(run->env->detail, sizeof run->env->detail,
             "%zu x %zu pixels of %.3g arcsec, beam %.3g x %.3g arcsec, %zu "
             "components in %zu major cycles, %d w terms, %zu beam terms",
             run->opts.nx, run->opts.ny, run->opts.cell_rad / ASTRO_ARCSEC,
             run->psf->bmaj_rad / ASTRO_ARCSEC, run->psf->bmin_rad / ASTRO_ARCSEC,
             run->clean.niter, run->clean.nmajor, run->info.terms, run->series->terms);
    return 0;
}

int tile_image(void *arg, struct err *e)
{
    struct tile_run *run = arg;

    return image_round(run, selfcal_rounds(run) > 0 ? DEPTH_MODEL : DEPTH_FULL, e);
}
