/*
 * tile_judge.c: the verdict on a tile: what of its numbers is to be believed.
 */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "core/err.h"
#include "pipeline/cal/gains.h"
#include "pipeline/cal/quality.h"
#include "pipeline/cal/thermal.h"
#include "pipeline/continuum/settings.h"
#include "pipeline/continuum/tile.h"
#include "pipeline/continuum/verdict.h"
#include "pipeline/sky/image.h"
#include "pipeline/sky/vis.h"

bool tile_calibrated(const struct tile_run *run)
{
    struct tile_gains gains = tile_gains(run);

    return gains.set[0] != NULL || gains.set[1] != NULL ||
           strcmp(run->vis->unit, "Jy") == 0; /* somebody else's */
}

/* The noise that the receivers alone leave in the image. */
static int measure_thermal(struct tile_run *run, struct err *e)
{
    struct tile_gains gains = tile_gains(run);
    /* a SEFD is in Jy, and so are calibrated data alone */
    double sefd_jy = tile_calibrated(run) ? run->set->instrument.sefd_jy : 0;
    int rc;

    run->thermal_jy = NAN;
    if (run->stokes == NULL) /* another engine's weights are not known */
        return 0;
    rc = thermal_measure(&run->thermal, run->vis, gains.set, run->stokes, sefd_jy, e);
    run->thermal_jy = run->thermal.scale * run->info.noise_factor;
    return rc;
}

/* The larger share of solutions that failed, of the bandpass and of the gains. */
static int measure_gains(struct tile_run *run, struct err *e)
{
    struct tile_gains gains = tile_gains(run);

    run->failed_solutions = NAN;
    for (size_t i = 0; i < sizeof gains.set / sizeof gains.set[0]; i++) {
        struct quality q;

        if (gains.set[i] == NULL)
            continue;
        if (quality_of(&q, gains.set[i], run->vis) != 0)
            return err_set(e, -ENOMEM, "out of memory for the gains of %s", run->group);
        run->failed_solutions = fmax(run->failed_solutions, q.failed);
        if (gains.set[i] == run->bandpass)
            run->bandpass_quality = q;
    }
    return 0;
}

/* What of the phases' scatter noise does not explain: nothing is said where noise alone gives
 * most of a radian. */
static double phase_excess_deg(const struct tile_run *run)
{
    const struct thermal *t = &run->thermal;
    double snr = run->cal_apparent_jy / t->sefd_jy * sqrt(t->weight), noise, excess;

    if (!isfinite(snr)) /* nothing is known of the noise: all of it counts */
        return run->phase_rms_deg;
    noise = thermal_phase_rms_deg(snr);
    excess = run->phase_rms_deg * run->phase_rms_deg - noise * noise;
    return noise < 50 ? sqrt(fmax(excess, 0)) : NAN;
}

/* Noise that CLEAN and calibration leave around the brightest source counts as expected, too. */
static double expected_noise(const struct tile_run *run)
{
    double limit = run->set->qa.dynamic_range;

    return limit > 0 ? hypot(run->thermal_jy, run->peak_jy / limit) : run->thermal_jy;
}

static void judge_noise(struct tile_run *run)
{
    const struct continuum_settings *set = run->set;
    double ratio = run->noise_jy / expected_noise(run);

    verdict_limits(&run->verdict, ratio, set->qa.noise_warn, set->qa.noise_fail,
                   "the noise over what the receivers explain", "");
}

int tile_judge(struct tile_run *run, struct err *e)
{
    const struct continuum_settings *set = run->set;
    struct verdict *v = &run->verdict;
    double samples = (double)run->vis->nrow * (double)run->vis->nchan;
    int rc;

    if ((rc = measure_thermal(run, e)) != 0 || (rc = measure_gains(run, e)) != 0)
        return rc;
    run->imaged_fraction =
        run->stokes != NULL ? (double)(run->info.nsample + run->info.ndropped) / samples
                            : vis_valid_fraction(run->vis);
    run->phase_excess_deg = NAN;
    verdict_close(v);
    verdict_limits(v, run->imaged_fraction, set->qa.valid_warn, set->qa.valid_fail,
                   "the share of valid data", "");
    if (!tile_calibrated(run)) {
        verdict_add(v, VERDICT_UNCALIBRATED, "imaged without any gains");
        return 0;
    }
    judge_noise(run);
    run->phase_excess_deg = phase_excess_deg(run);
    verdict_limits(v, run->phase_excess_deg, set->qa.phase_warn_deg,
                   set->qa.phase_fail_deg, "the phases' scatter beyond noise", " deg");
    verdict_limits(v, run->failed_solutions, set->qa.solutions_warn,
                   set->qa.solutions_fail, "the share of failed solutions", "");
    if (run->selfcal.change > run->set->qa.max_flux_move)
        verdict_add(v, VERDICT_WARNING,
                    "fluxes still moved by %.2g %% when the rounds of self-calibration "
                    "ended",
                    100 * run->selfcal.change);
    verdict_judge_image(v, run->peak_jy / run->noise_jy, &run->match, set);
    return 0;
}
