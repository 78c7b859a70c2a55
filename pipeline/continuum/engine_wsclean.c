/*
 * engine_wsclean.c: [imaging] engine = wsclean: the images of a tile by WSClean (Offringa et al.
 * 2014, MNRAS 444, 606), from a Measurement Set of the calibrated visibilities.
 *
 * Pixels, weights and CLEAN's limits are those of the settings, the restoring beam is fitted to its
 * PSF as to ours, and the restored image made of its model and residual by clean_restore.  The
 * images are in plain SIN at the phase centre, without the slant of our own imager.  All that it
 * needs lies in a folder of its own in scratch, which is removed whatever happens.
 */
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/child.h"
#include "core/err.h"
#include "core/path.h"
#include "pipeline/continuum/settings.h"
#include "pipeline/continuum/tile.h"
#include "pipeline/imaging/beam_fit.h"
#include "pipeline/io/fits.h"
#include "pipeline/sky/astro.h"
#include "pipeline/sky/image.h"
#include "pipeline/sky/qa.h"

enum { MOST_ARGS = 64, TEXT = 32 };

/* Less than this free after a failure: the disk was full. */
#define FULL_BYTES (64u << 20)

/* The command line; numbers are kept in `text`. */
struct command {
    const char *arg[MOST_ARGS];
    char text[MOST_ARGS][TEXT];
    size_t n;
};

static void say(struct command *c, const char *word)
{
    if (c->n < MOST_ARGS - 1)
        c->arg[c->n++] = word;
}

static void say_number(struct command *c, const char *option, double value)
{
    if (option != NULL)
        say(c, option);
    snprintf(c->text[c->n], TEXT, "%.12g", value);
    say(c, c->text[c->n]);
}

static void say_weights(struct command *c, const struct imager_opts *opts)
{
    say(c, "-weight");
    say(c, opts->briggs ? "briggs" : "natural");
    if (opts->briggs)
        say_number(c, NULL, opts->robust);
}

/* Its gridder that is exact is not the default, nor are its inversions at the size asked for. */
static void say_gridder(struct command *c, const struct imager_opts *opts)
{
    static const char *const words[] = {"-use-wgridder",
                                        "-wgridder-accuracy",
                                        "1e-5",
                                        "-padding",
                                        "1.0",
                                        "-no-small-inversion",
                                        "-no-reorder",
                                        "-no-update-model-required",
                                        "-make-psf",
                                        "-pol",
                                        "I"};

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        say(c, words[i]);
    say_number(c, "-j", (double)opts->threads);
}

static void say_clean(struct command *c, const struct continuum_settings *set)
{
    say_number(c, "-niter", (double)set->imaging.niter);
    if (set->imaging.niter == 0)
        return;
    say_number(c, "-gain", 0.1);
    say_number(c, "-mgain", set->imaging.mgain);
    if (set->imaging.auto_mask > 0)
        say_number(c, "-auto-mask", set->imaging.auto_mask);
    if (set->imaging.auto_threshold > 0)
        say_number(c, "-auto-threshold", set->imaging.auto_threshold);
}

static void make_command(struct command *c, const struct tile_run *run,
                         const struct imager_opts *opts)
{
    say(c, "wsclean");
    say(c, "-name");
    say(c, "out");
    say_number(c, "-size", (double)opts->nx);
    say_number(c, NULL, (double)opts->ny);
    snprintf(c->text[0], TEXT, "%.12gasec", opts->cell_rad / ASTRO_ARCSEC);
    say(c, "-scale");
    say(c, c->text[0]);
    say_weights(c, opts);
    say_gridder(c, opts);
    say_clean(c, run->set);
    say(c, "set.ms");
}

/* Why it failed, while what it wrote is still there. */
static int name_full(const char *dir, int rc, struct err *e)
{
    char said[160];
    uint64_t left;

    if (rc != -ECHILD || path_free_bytes(dir, &left, NULL) != 0 || left > FULL_BYTES)
        return rc;
    snprintf(said, sizeof said, "%.150s", e != NULL ? e->text : "");
    return err_set(e, -ENOSPC, "No space left on the disk of scratch: %s", said);
}

static int run_it(const struct tile_run *run, const struct imager_opts *opts,
                  const char *dir, struct err *e)
{
    struct command command = {.n = 0};
    char log[PATH_MAX];
    struct child_opts child = {.dir = dir,
                               .log = log,
                               .timeout_s = run->set->imaging.engine_timeout_s,
                               .extra = "OPENBLAS_NUM_THREADS=1", /* it refuses more */
                               .cancelled = run->env->cancelled,
                               .arg = run->env->arg};
    int rc = path_join(log, sizeof log, dir, "log", e);

    make_command(&command, run, opts);
    if (rc == 0)
        rc = child_run(command.arg, &child, e);
    if (rc == -ENOENT)
        return err_set(e, rc,
                       "there is no program wsclean, which [imaging] engine asks for");
    if (rc == -ETIMEDOUT)
        return err_set(e, rc,
                       "wsclean was killed after %g s ([imaging] engine_timeout_s)",
                       run->set->imaging.engine_timeout_s);
    return name_full(dir, rc, e);
}

/* An image that it has made, of the size that was asked for. */
static int read_plane(struct image **out, const struct tile_run *run, const char *dir,
                      const char *name, struct err *e)
{
    char path[PATH_MAX];
    int rc = path_join(path, sizeof path, dir, name, e);

    if (rc == 0)
        rc = fits_read_image(out, path, e);
    if (rc == 0 && ((*out)->nx != run->opts.nx || (*out)->ny != run->opts.ny))
        rc = err_set(e, -EIO, "%s: %zu x %zu pixels instead of %zu x %zu", path,
                     (*out)->nx, (*out)->ny, run->opts.nx, run->opts.ny);
    return rc;
}

static float largest(const struct image *img)
{
    float most = 0;

    for (size_t i = 0; i < img->nx * img->ny; i++)
        if (!(fabsf(img->pix[i]) <= most)) /* NaN, too */
            most = fabsf(img->pix[i]);
    return most;
}

/* It goes on when its CLEAN diverges, and ends well. */
static int check_residual(const struct tile_run *run, const char *dir, struct err *e)
{
    struct image *dirty = NULL;
    int rc = read_plane(&dirty, run, dir, "out-dirty.fits", e);
    float left = largest(run->residual), had = rc == 0 ? largest(dirty) : 0;

    image_free(dirty);
    if (rc == 0 && !(left <= had))
        rc =
            err_set(e, ERR_QUALITY,
                    "WSClean's CLEAN diverged: a peak of %.3g Jy/beam was left of %.3g "
                    "(a smaller [imaging] mgain may help)",
                    (double)left, (double)had);
    return rc;
}

/* PSF with its beam, residual, and the model as components. */
static int read_planes(struct tile_run *run, const char *dir, struct err *e)
{
    bool dirty = run->set->imaging.niter == 0;
    size_t n = run->opts.nx * run->opts.ny;
    struct image *model = NULL;
    int rc = read_plane(&run->psf, run, dir, "out-psf.fits", e);

    if (rc == 0) {
        tile_describe(run->psf, run);
        rc = beam_fit_psf(run->psf, &run->beam_fit, e);
    }
    if (rc == 0)
        rc = read_plane(&run->residual, run, dir,
                        dirty ? "out-dirty.fits" : "out-residual.fits", e);
    if (rc != 0)
        return rc;
    run->residual->wcs = run->psf->wcs;
    run->residual->bmaj_rad = run->psf->bmaj_rad;
    run->residual->bmin_rad = run->psf->bmin_rad;
    run->residual->bpa_rad = run->psf->bpa_rad;
    run->residual->freq_hz = run->psf->freq_hz;
    tile_describe(run->residual, run);
    run->components = calloc(n, sizeof *run->components);
    if (run->components == NULL)
        return err_set(e, -ENOMEM, "out of memory for the CLEAN model of %s",
                       run->group);
    if (dirty)
        return 0;
    rc = check_residual(run, dir, e);
    if (rc == 0)
        rc = read_plane(&model, run, dir, "out-model.fits", e);
    if (rc == 0)
        memcpy(run->components, model->pix, n * sizeof *run->components);
    image_free(model);
    return rc;
}

static int restore(struct tile_run *run, struct err *e)
{
    int rc = image_like(&run->flat, run->residual, e);

    if (rc == 0)
        rc = clean_restore(run->flat, run->components, run->residual->pix, e);
    if (rc != 0)
        return rc;
    /* what only our own CLEAN counts is not known */
    run->clean = (struct clean_result){.check_jy = NAN};
    for (size_t i = 0; i < run->flat->nx * run->flat->ny; i++) {
        run->clean.model_jy += (double)run->components[i];
        run->clean.niter += run->components[i] != 0;
    }
    run->clean.sigma_jy = qa_noise(run->residual->pix, run->flat->nx * run->flat->ny);
    run->info = (struct imager_info){.freq_hz = run->psf->freq_hz};
    return 0;
}

int engine_wsclean(struct tile_run *run, struct err *e)
{
    char dir[PATH_MAX], ms[PATH_MAX];
    int rc = path_join(dir, sizeof dir, run->env->scratch, "wsclean", e), gone;

    if (rc == 0)
        rc = path_join(ms, sizeof ms, dir, "set.ms", e);
    if (rc == 0)
        rc = path_mkdirs(dir, e);
    if (rc != 0)
        return rc;
    rc = tile_ms(run, ms, false, true, e); /* it insists on a column DATA */
    if (rc == 0)
        rc = run_it(run, &run->opts, dir, e);
    if (rc == 0)
        rc = read_planes(run, dir, e);
    gone = path_remove_tree(dir, rc == 0 ? e : NULL);
    if (rc == 0)
        rc = gone;
    return rc != 0 ? rc : restore(run, e);
}
