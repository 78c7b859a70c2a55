/*
 * tile_calibrate.c: gains of one group: from a calibrator in its field, from the bandpass of
 * another group, or both.
 *
 * A calibrator in the field gives a bandpass and one gain per integration.  Where that bandpass is
 * poor, the best of other groups' (registry.h has the rank) is held instead and the calibrator
 * gives the gains alone; without a calibrator it is all there is.  With neither the group fails:
 * no flux is ever guessed.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/continuum/settings.h"
#include "core/err.h"
#include "core/store/registry.h"
#include "pipeline/cal/apply.h"
#include "pipeline/cal/gains.h"
#include "pipeline/cal/model.h"
#include "pipeline/cal/quality.h"
#include "pipeline/cal/smooth.h"
#include "pipeline/cal/solve.h"
#include "pipeline/continuum/registered.h"
#include "pipeline/continuum/tile.h"
#include "pipeline/io/caltable.h"
#include "pipeline/sky/image.h"
#include "pipeline/sky/vis.h"

/* A bandpass that bends by more than this is needed as it is, in the first image, too. */
#define MOST_ROUGH 0.15

static double mid_mjd(const struct vis *vis)
{
    return 0.5 * (vis->time_jd[0] + vis->time_jd[vis->ntime - 1]) - ASTRO_MJD0_JD;
}

static int solver_opts(struct solve_opts *opts, const struct tile_run *run,
                       struct err *e)
{
    long want = run->set->calibration.refant;

    memset(opts, 0, sizeof *opts);
    opts->refant = -1;
    opts->threads = run->env->threads;
    opts->min_uv_lambda = run->set->calibration.min_uv_lambda;
    if (run->cal != NULL)
        opts->max_uv_lambda = calibrator_uvmax(run->cal, vis_mid_hz(run->vis));
    if (!isfinite(opts->max_uv_lambda))
        opts->max_uv_lambda = 0;
    opts->want_snr = run->set->calibration.solution_snr;
    if (opts->want_snr == 0)
        opts->want_snr = -1;
    opts->clip_sigma = run->set->calibration.clip_sigma;
    if (opts->clip_sigma == 0)
        opts->clip_sigma = -1;
    for (size_t a = 0; want >= 0 && a < run->vis->nant; a++)
        if (run->vis->ant_number[a] == want)
            opts->refant = (int)a;
    if (want >= 0 && opts->refant < 0)
        return err_set(e, -EINVAL, "[calibration] refant %ld is not an antenna of %s",
                       want, run->group);
    return 0;
}

/* The calibrator that the settings name or describe: nothing else is looked at.  One that is no
 * use here is left out, and run->why_not says why.  list [n]: registered ones and the table. */
static int take_given(struct tile_run *run, const struct calibrator *list, size_t n,
                      struct err *e)
{
    const struct continuum_settings *set = run->set;
    const char *want = set->calibration.calibrator;
    const struct calibrator *named = NULL;
    struct err why = {0};
    int rc;

    if (strchr(want, ',') != NULL) {
        if ((rc = calibrator_parse(want, &run->own, e)) != 0)
            return rc;
    } else if ((named = calibrator_find_in(list, n, want)) == NULL) {
        return err_set(
            e, -EINVAL,
            "[calibration] calibrator %s is not registered, nor in the table "
            "of calibrators",
            want);
    } else {
        run->own = *named;
    }
    run->given = &run->own;
    rc = calibrator_usable(run->given, run->vis, &run->beam, set->calibration.min_beam,
                           set->calibration.min_flux_jy, &run->cal_apparent_jy, &why);
    if (rc == 0) {
        run->cal = run->given;
        return 0;
    }
    run->cal_apparent_jy = 0;
    snprintf(run->why_not, sizeof run->why_not, "%s", why.text);
    return 0;
}

/* Registered calibrators and the built-in table: *list [*n], the caller frees. */
static int known_calibrators(const struct tile_run *run, struct calibrator **list,
                             size_t *n, struct err *e)
{
    struct reg_calibrator *row = NULL;
    size_t nrow = 0;
    int rc = 0;

    if (run->env->registry != NULL)
        rc = registry_calibrator_list(run->env->registry, &row, &nrow, e);
    if (rc == 0)
        rc = registered_join(list, n, row, nrow, e);
    free(row);
    return rc;
}

/* Find the calibrator that the settings allow; none in the field is an answer. */
static int find_calibrator(struct tile_run *run, struct err *e)
{
    const struct continuum_settings *set = run->set;
    const char *want = set->calibration.calibrator;
    const struct calibrator *best = NULL;
    struct calibrator *list = NULL;
    size_t n;
    int rc;

    if (strcmp(want, "none") == 0)
        return 0;
    if ((rc = known_calibrators(run, &list, &n, e)) != 0)
        return rc;
    if (strcmp(want, "auto") != 0)
        rc = take_given(run, list, n, e);
    else
        best = calibrator_in_field(list, n, run->vis, &run->beam,
                                   set->calibration.min_beam,
                                   set->calibration.min_flux_jy, &run->cal_apparent_jy);
    if (best != NULL) {
        run->own = *best;
        run->cal = &run->own;
    }
    free(list);
    return rc;
}

/* There is nothing to calibrate with. */
static int no_calibration(const struct tile_run *run, struct err *e)
{
    if (run->given != NULL)
        return err_set(
            e, ERR_QUALITY,
            "%s; the settings give this one for %s, and no bandpass that was "
            "solved on it is valid at that time",
            run->why_not, run->group);
    return err_set(
        e, ERR_QUALITY,
        "No calibrator registered for Dec %.2f: none of the table or of "
        "calctl's is in the field of %s and no bandpass of %s is valid at its "
        "time",
        run->dec_rad / ASTRO_DEG, run->group, run->vis->telescope);
}

/* What the calibrator that the settings give is taken to have; NAN: none is given. */
static double given_jy(const struct tile_run *run)
{
    double jy = NAN;

    if (run->given != NULL &&
        calibrator_flux(run->given, vis_mid_hz(run->vis), &jy, NULL) != 0)
        jy = NAN;
    return jy;
}

/*
 * Find the best stored bandpass that is valid here and better than `quality`: run->stored, or NULL
 * if there is none.  Those that do not fit these data are passed over; without a
 * calibrator the reason of the last one is the group's.
 */
static int find_stored(struct tile_run *run, double quality, struct err *e)
{
    struct reg_caltable_want want = {
        .table_type = "bandpass",
        .telescope = run->vis->telescope,
        .calibrator = run->given != NULL ? run->given->name : NULL,
        .flux_jy = given_jy(run),
        .not_group = run->group, /* one that is made again solves its own again */
        .mjd = mid_mjd(run->vis),
        .dec_deg = run->dec_rad / ASTRO_DEG,
        .good = run->set->calibration.bandpass_snr,
    };
    struct reg_caltable_found found;
    struct caltable_info info;
    struct err why = {0};
    int rc = run->env->registry != NULL ? 0 : -ENOENT, unfit = 0;

    for (; rc == 0 && run->stored == NULL; want.skip++) {
        rc = registry_find_caltable(run->env->registry, &want, &found, e);
        if (rc == 0 && found.quality <= quality)
            rc = -ENOENT;
        if (rc != 0)
            break;
        unfit = caltable_read(&run->stored, &info, found.path, run->vis, &why);
        if (unfit == 0)
            snprintf(run->bandpass_path, sizeof run->bandpass_path, "%s", found.path);
    }
    if (rc != 0 && rc != -ENOENT)
        return rc;
    return unfit != 0 && run->stored == NULL && run->cal == NULL
               ? err_set(e, unfit, "%s", why.text)
               : 0;
}

struct tile_gains tile_gains(const struct tile_run *run)
{
    return (struct tile_gains){
        .set = {run->stored != NULL ? run->stored : run->bandpass, run->gain}};
}

struct tile_gains tile_image_gains(const struct tile_run *run)
{
    struct tile_gains gains = tile_gains(run);

    if (run->smooth != NULL)
        gains.set[0] = run->smooth;
    return gains;
}

int solve_round(const struct tile_run *run, const struct model *model, bool phase_only,
                struct gains **bandpass, struct gains **gain, struct err *e)
{
    struct tile_gains now = tile_gains(run);
    struct solve_opts opts;
    int rc = solver_opts(&opts, run, e);

    *bandpass = *gain = NULL;
    if (rc != 0)
        return rc;
    opts.phase_only = phase_only;
    /* the first model of a field has its brighter sources only: gains are solved again anyway */
    opts.turns = run->smooth != NULL && model->field != NULL ? 1 : 0;
    opts.bandpass = now.set[0];
    opts.gain = now.set[1];
    return run->stored != NULL
               ? solve_gains(gain, run->vis, model, 1, 0, &opts, e)
               : solve_bandpass(bandpass, gain, run->vis, model, &opts, e);
}

/* What the first image takes when others follow: it is to find the field's flux, not to be deep. */
static int find_smooth(struct tile_run *run, struct err *e)
{
    return run->bandpass != NULL && selfcal_rounds(run) > 0
               ? smooth_bandpass(&run->smooth, run->bandpass, MOST_ROUGH, e)
               : 0;
}

/* Which antenna the phases are referred to, when it is not the one that the settings want. */
static void describe_reference(const struct tile_run *run)
{
    long want = run->set->calibration.refant;
    int used = run->vis->ant_number[run->gain->refant];
    size_t n = strlen(run->env->detail);

    if (want >= 0 && used != want)
        snprintf(run->env->detail + n, sizeof run->env->detail - n,
                 ", reference antenna %d: refant %ld has no gains", used, want);
}

/* How far the phases are from the calibrator's, without and with what was found. */
static int measure(struct tile_run *run, struct err *e)
{
    struct tile_gains gains = tile_gains(run);
    struct apply job = {.gains = {gains.set[0], gains.set[1]},
                        .model = &run->model,
                        .threads = run->env->threads};
    int rc = apply_measure(run->vis, &job, e);

    if (rc != 0)
        return rc;
    run->phase_rms_raw_deg = job.phase_rms_deg[0];
    run->phase_rms_bandpass_deg = job.phase_rms_deg[1];
    run->phase_rms_deg = job.phase_rms_deg[2];
    return 0;
}

/*
 * Solve on the calibrator in the field.  Its own bandpass is used when it is good; else the best
 * stored one is held instead, unless it is much poorer still.
 */
static int calibrate(struct tile_run *run, struct err *e)
{
    struct err first = {0};
    int rc = solve_round(run, &run->model, false, &run->bandpass, &run->gain, &first);
    double snr = 0;

    if (rc != 0 && rc != ERR_QUALITY)
        return err_set(e, rc, "%s", first.text);
    if (rc == 0 && quality_of(&run->bandpass_quality, run->bandpass, run->vis) != 0)
        return err_set(e, -ENOMEM, "out of memory for the gains of %s", run->group);
    if (rc == 0)
        snr = run->bandpass_quality.snr;
    if (rc == 0 && !(snr < run->set->calibration.bandpass_snr))
        return 0; /* also of too few channels to tell */
    /* one of other data that is half as good lets the same data find fewer numbers */
    if ((rc = find_stored(run, snr / 2, e)) != 0)
        return rc;
    if (run->stored == NULL)
        return run->bandpass != NULL ? 0 : err_set(e, ERR_QUALITY, "%s", first.text);
    gains_free(run->bandpass);
    gains_free(run->gain);
    run->bandpass = run->gain = NULL;
    return solve_round(run, &run->model, false, &run->bandpass, &run->gain, e);
}

int tile_calibrate(void *arg, struct err *e)
{
    struct tile_run *run = arg;
    struct vis *vis = run->vis;
    int rc = find_calibrator(run, e);

    if (rc != 0)
        return rc;
    if (strcmp(run->set->calibration.calibrator, "none") == 0) {
        snprintf(run->env->detail, sizeof run->env->detail,
                 "not calibrated, as the settings say");
        return 0;
    }
    if (run->cal != NULL &&
        (rc = model_init(&run->model, vis, run->cal, &run->beam, e)) != 0)
        return rc;
    if (run->cal != NULL) {
        if ((rc = calibrate(run, e)) != 0 || (rc = measure(run, e)) != 0 ||
            (rc = find_smooth(run, e)) != 0)
            return rc;
    } else {
        if ((rc = find_stored(run, -1, e)) != 0)
            return rc;
        if (run->stored == NULL)
            return no_calibration(run, e);
    }
    snprintf(run->env->detail, sizeof run->env->detail,
             "calibrator %s, bandpass %s, phase rms %.1f -> %.1f -> %.1f deg",
             run->cal != NULL ? run->cal->name : "not in field",
             run->stored != NULL ? "of another group" : "solved here",
             run->phase_rms_raw_deg, run->phase_rms_bandpass_deg, run->phase_rms_deg);
    if (run->gain != NULL)
        describe_reference(run);
    return 0;
}
