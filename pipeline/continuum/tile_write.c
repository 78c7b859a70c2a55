/*
 * tile_write.c: the files of a tile, and what its manifest says of it.
 */
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/conf.h"
#include "core/err.h"
#include "core/path.h"
#include "pipeline/cal/apply.h"
#include "pipeline/cal/gains.h"
#include "pipeline/cal/stokes.h"
#include "pipeline/continuum/tile.h"
#include "pipeline/continuum/tile_header.h"
#include "pipeline/continuum/verdict.h"
#include "pipeline/io/caltable.h"
#include "pipeline/io/fits.h"
#include "pipeline/io/ms.h"
#include "pipeline/sky/image.h"
#include "pipeline/sky/qa.h"
#include "pipeline/sky/vis.h"

static int write_gains(const struct tile_run *run, const struct gains *g,
                       const char *kind, struct err *e)
{
    const struct vis *vis = run->vis;
    struct caltable_info info = {0};
    char path[4096], name[32];
    int rc;

    if (g == NULL)
        return 0;
    snprintf(info.telescope, sizeof info.telescope, "%.31s", vis->telescope);
    snprintf(info.calibrator, sizeof info.calibrator, "%.31s", run->cal->name);
    snprintf(info.group, sizeof info.group, "%.63s", run->group);
    snprintf(info.kind, sizeof info.kind, "%s", kind);
    info.t_jd = 0.5 * (vis->time_jd[0] + vis->time_jd[vis->ntime - 1]);
    snprintf(name, sizeof name, "%s.h5", kind);
    rc = path_join(path, sizeof path, run->env->scratch, name, e);
    return rc != 0 ? rc : caltable_write(path, g, vis, &info, e);
}

/* Data and weights as the imager takes them. */
static int calibrate_in_place(struct tile_run *run, struct apply *apply, struct err *e)
{
    struct stokes *mine = NULL;
    int rc = run->stokes == NULL ? tile_stokes(run, &mine, e) : 0;

    if (rc == 0)
        rc = apply_gains(run->vis, apply, e);
    if (rc == 0 &&
        stokes_weigh(run->stokes != NULL ? run->stokes : mine, run->vis) != 0)
        rc = err_set(e, -ENOMEM, "out of memory for the weights of %s", run->group);
    stokes_free(mine);
    return rc;
}

int tile_ms(struct tile_run *run, const char *path, bool corrected, bool by_channel,
            struct err *e)
{
    struct tile_gains gains = tile_gains(run);
    struct apply apply = {.gains = {gains.set[0], gains.set[1]},
                          .threads = run->env->threads};
    struct ms_opts opts = {.corrected = corrected,
                           .weight_spectrum = by_channel,
                           .field = run->group,
                           .dish_m = run->beam.diameter_m,
                           .origin = "watcherd " VERSION,
                           .message = "calibrated, in Jy"};
    int rc = run->applied ? 0 : calibrate_in_place(run, &apply, e);

    if (rc != 0)
        return rc;
    run->applied = true;
    return ms_write(path, run->vis, &opts, e);
}

/*
 * The calibrated visibilities, where `batchctl clean` looks: scratch/GROUP.ms, instead of
 * that of an older generation.  It is made in scratch/GROUP/GENERATION, so that a killed worker
 * leaves nothing that is not cleared with that.
 * Status: 0; those of ms_write.
 */
static int keep_ms(struct tile_run *run, struct err *e)
{
    const char *how = run->set->imaging.keep_ms;
    char name[128], made[PATH_MAX], kept[PATH_MAX];
    int rc;

    if (strcmp(how, "no") == 0)
        return 0;
    snprintf(name, sizeof name, "%s.ms", run->group);
    rc = path_join(made, sizeof made, run->env->scratch, name, e);
    if (rc == 0)
        rc = path_join(kept, sizeof kept, run->env->conf->paths.scratch, name, e);
    if (rc == 0)
        rc = tile_ms(run, made, true, strcmp(how, "full") == 0, e);
    if (rc == 0)
        rc = path_remove_tree(kept, e);
    if (rc == 0 && rename(made, kept) != 0)
        rc = err_set(e, -errno, "cannot make %s: %s", kept, strerror(errno));
    return rc;
}

int tile_write(void *arg, struct err *e)
{
    struct tile_run *run = arg;
    struct tile_header header;
    const struct {
        const char *name;
        const struct image *img;
    } out[] = {
        {"image.fits", run->flat}, {"image-pb.fits", run->corrected},
        {"pb.fits", run->pb},      {"residual.fits", run->residual},
        {"psf.fits", run->psf},
    };
    char path[4096];
    json_t *meta;
    int rc = 0;

    tile_header(&header, run);
    for (size_t i = 0; rc == 0 && i < sizeof out / sizeof out[0]; i++) {
        rc = path_join(path, sizeof path, run->env->scratch, out[i].name, e);
        if (rc == 0)
            rc = fits_write_image(path, out[i].img, header.card, e);
    }
    if (rc == 0)
        rc = write_gains(run, run->bandpass, "bandpass", e);
    if (rc == 0)
        rc = write_gains(run, run->gain, "gain", e);
    if (rc == 0)
        rc = keep_ms(run, e);
    if (rc != 0)
        return rc;
    meta = tile_meta(run);
    rc = verdict_write(run->env->scratch, run->corrected, &run->sources, meta, e);
    json_decref(meta);
    return rc;
}

static json_t *smearing(const struct tile_run *run)
{
    json_t *s = json_object();

    verdict_number(s, "loss_half_beam", run->smearing.half);
    verdict_number(s, "loss_fifth_beam", run->smearing.fifth);
    verdict_number(s, "worst_fifth_beam", run->smearing.worst);
    verdict_number(s, "loss_corners", run->smearing.corner);
    json_object_set_new(s, "corrected",
                        json_boolean(run->set->imaging.correct_smearing));
    return s;
}

/* How the rounds of self-calibration went. */
static json_t *selfcal(const struct selfcal *rounds)
{
    json_t *m = json_object(), *rms = json_array();

    verdict_number(m, "rounds", (double)rounds->tried);
    verdict_number(m, "kept", (double)rounds->kept);
    for (size_t i = 0; rounds->tried > 0 && i <= rounds->tried; i++)
        json_array_append_new(rms, json_real(rounds->rms_jy[i]));
    json_object_set_new(m, "residual_rms_jy", rms);
    verdict_number(m, "last_change", rounds->change);
    json_object_set_new(m, "settled", json_boolean(rounds->settled));
    return m;
}

/* What directions are worth. */
static json_t *earth(const struct tile_run *run)
{
    json_t *m = json_object();

    verdict_number(m, "ut1_utc_s", run->vis->earth.dut1_s);
    verdict_number(m, "pole_x_arcsec", run->vis->earth.x_rad / ASTRO_ARCSEC);
    verdict_number(m, "pole_y_arcsec", run->vis->earth.y_rad / ASTRO_ARCSEC);
    verdict_number(m, "error_arcsec", run->earth.error_arcsec);
    verdict_put(m, "from", run->earth.text);
    return m;
}

static json_t *thermal(const struct tile_run *run)
{
    json_t *t = json_object();

    verdict_put(t, "from", run->thermal.from);
    verdict_number(t, "noise_jy", run->thermal_jy);
    verdict_number(t, "ratio", run->noise_jy / run->thermal_jy);
    verdict_number(t, "sefd_jy", run->thermal.sefd_jy);
    return t;
}

/* Of the calibrator in the middle of the band, without the beam. */
static double calibrator_jy(const struct tile_run *run)
{
    double jy;

    return calibrator_flux(run->cal, vis_mid_hz(run->vis), &jy, NULL) == 0 ? jy : NAN;
}

static double calibrator_jy_or_nan(const struct tile_run *run)
{
    return run->cal != NULL ? calibrator_jy(run) : NAN;
}

static double per_solution(const struct gains *g)
{
    return g->block > 1 ? (double)g->block : 1;
}

json_t *tile_meta(const void *arg)
{
    const struct tile_run *run = arg;
    const struct image *img = run->flat;
    json_t *m = json_object(), *cal = json_object();
    char digest[PATH_SHA256];

    verdict_put(m, "kind", "image");
    verdict_put(m, "group", run->group);
    verdict_put(m, "fits", "image.fits");
    verdict_put(m, "preview", "preview.png");
    verdict_meta(m, &run->verdict);
    verdict_put(m, "engine", run->set->imaging.engine);
    verdict_put(m, "telescope", run->vis->telescope);
    verdict_number(m, "noise_jy", run->noise_jy);
    json_object_set_new(m, "thermal", thermal(run));
    if (run->weights_from != NULL)
        verdict_put(m, "weights_from", run->weights_from);
    verdict_put(m, "unit", run->flat->unit);
    verdict_number(m, "peak_jy", run->peak_jy);
    verdict_number(m, "dynamic_range", run->peak_jy / run->noise_jy);
    verdict_number(m, "clean_jy", run->clean.model_jy);
    verdict_number(m, "clean_check_sigma", run->clean.check_jy / run->clean.sigma_jy);
    verdict_number(m, "beam_residual", run->beam_fit.residual);
    verdict_number(m, "psf_sidelobe", run->beam_fit.sidelobe);
    verdict_number(m, "valid_fraction", vis_valid_fraction(run->vis));
    json_object_set_new(m, "flagging", tile_flag_meta(run));
    verdict_number(m, "imaged_fraction", run->imaged_fraction);
    json_object_set_new(m, "earth", earth(run));
    json_object_set_new(m, "time_smearing", smearing(run));
    verdict_image(m, img);
    verdict_match(m, &run->match);
    verdict_number(m, "sources", (double)run->sources.n);
    verdict_put(cal, "name", run->cal != NULL ? run->cal->name : "none");
    if (run->cal != NULL) {
        verdict_number(cal, "ra_deg", run->cal->ra_rad / ASTRO_DEG);
        verdict_number(cal, "dec_deg", run->cal->dec_rad / ASTRO_DEG);
        verdict_number(cal, "flux_jy", calibrator_jy(run));
        verdict_number(cal, "freq_mhz", vis_mid_hz(run->vis) * 1e-6);
        verdict_put(cal, "source", run->cal->source);
    }
    verdict_number(cal, "apparent_jy", run->cal_apparent_jy);
    verdict_number(cal, "beam", run->cal_apparent_jy / calibrator_jy_or_nan(run));
    verdict_put(cal, "bandpass",
                run->bandpass != NULL           ? "bandpass.h5"
                : run->bandpass_path[0] != '\0' ? run->bandpass_path
                                                : "none");
    verdict_number(cal, "solved_bandpass", run->bandpass != NULL);
    verdict_number(cal, "phase_rms_raw_deg", run->phase_rms_raw_deg);
    verdict_number(cal, "phase_rms_bandpass_deg", run->phase_rms_bandpass_deg);
    verdict_number(cal, "phase_rms_deg", run->phase_rms_deg);
    verdict_number(cal, "phase_excess_deg", run->phase_excess_deg);
    verdict_number(cal, "failed_solutions", run->failed_solutions);
    if (run->bandpass != NULL) {
        verdict_number(cal, "bandpass_snr", run->bandpass_quality.snr);
        verdict_number(cal, "interpolated", run->bandpass_quality.interpolated);
        verdict_number(cal, "channels_per_solution", per_solution(run->bandpass));
    }
    if (run->gain != NULL)
        verdict_number(cal, "integrations_per_solution", per_solution(run->gain));
    if (run->gain != NULL) /* the bandpass, if it is solved here, has the same */
        verdict_put(cal, "refant", run->vis->ant_name[run->gain->refant]);
    verdict_number(cal, "clipped_samples",
                   run->gain != NULL ? run->gain->clipped : NAN);
    if (run->stored != NULL && path_sha256(run->bandpass_path, digest, NULL, NULL) == 0)
        verdict_put(cal, "bandpass_sha256", digest);
    json_object_set_new(m, "calibration", cal);
    json_object_set_new(m, "settings", tile_settings(run->env->conf));
    json_object_set_new(m, "selfcal", selfcal(&run->selfcal));
    return m;
}
