/*
 * tile.h: one group on its way through the steps of continuum_work; known to the files of
 * this folder only.
 */
#ifndef PIPELINE_CONTINUUM_TILE_H
#define PIPELINE_CONTINUUM_TILE_H

#include <complex.h>
#include <jansson.h>
#include <stdbool.h>

#include "pipeline/sky/beam.h"
#include "pipeline/sky/earth.h"
#include "pipeline/sky/beam_series.h"
#include "pipeline/sky/calibrator.h"
#include "pipeline/cal/model.h"
#include "pipeline/flag/flag.h"
#include "pipeline/cal/quality.h"
#include "pipeline/cal/thermal.h"
#include "pipeline/imaging/beam_fit.h"
#include "pipeline/imaging/clean.h"
#include "pipeline/continuum/continuum.h"
#include "pipeline/continuum/settings.h"
#include "pipeline/continuum/verdict.h"
#include "pipeline/imaging/imager.h"
#include "pipeline/imaging/normal.h"
#include "pipeline/imaging/samples.h"
#include "pipeline/sky/qa.h"
#include "pipeline/sky/source.h"

struct gains;
struct image;
struct stokes;
struct vis;

/* Rounds of self-calibration. */
enum { SELFCAL_MOST = 100 };
struct selfcal {
    size_t tried, kept;
    double rms_jy[SELFCAL_MOST +
                  1]; /* of the residual, before the first and after each tried */
    bool settled;     /* no flux moves any more */
    double
        change; /* share of the field's flux that the last round moved; NAN: not known */
};

struct tile_run {
    struct run_env *env;
    const char *group;
    const char *const *path;
    size_t npath;
    const struct continuum_settings *set;
    double pb_cut; /* no flux is given where the primary beam is below this */

    /* from convert on; phased to (ra_rad, dec_rad), and as correlated until it is written */
    struct vis *vis;
    bool applied; /* the gains, to vis */
    double ra_rad, dec_rad;
    struct earth_note earth; /* what directions are worth */
    struct beam beam;

    struct flag_report flags; /* from step "flag" on; empty when it is off */

    struct calibrator
        own; /* what `given` or `cal` is, from settings, registry or table */
    const struct calibrator
        *given;                   /* the one that they allow; NULL: any of the table */
    char why_not[256];            /* why `given` is no use for this group, or empty */
    const struct calibrator *cal; /* the one in the field, NULL for none */
    double cal_apparent_jy;
    struct model model;     /* the calibrator's; nothing without one */
    struct gains *bandpass; /* solved here; NULL when an older one is used */
    struct gains *smooth; /* what the first image takes instead of bandpass, or NULL */
    struct gains *gain;   /* per integration, solved here */
    struct gains *stored; /* the older bandpass, or NULL */
    char bandpass_path[4096]; /* its table, or empty */
    /* against model, as observed and after each solution; NAN: not measured */
    double phase_rms_raw_deg, phase_rms_bandpass_deg, phase_rms_deg;

    double (*uvw_m)[3];       /* [nrow] */
    struct stokes *stokes;    /* what samples are made by */
    const char *weights_from; /* see receivers.h; NULL: nothing was imaged by us */
    struct samples samples;
    struct imager_opts opts; /* of the last round of imaging */
    struct imager *imager;
    struct beam_series *series; /* that the imager sees the model through */
    struct normal *normal;
    struct imager_info info;
    float *components; /* [ny][nx] Jy/pixel */
    float *
        first_model; /* what CLEAN is to start from, the components of the round before; or NULL */
    struct clean_result clean;
    struct selfcal selfcal;
    struct beam_fit beam_fit;
    struct image *psf, *residual, *flat, *pb, *corrected;

    /* Share of its flux that a source loses to time smearing: where the beam is a half and a
       fifth, mean over all directions, and in the corners; the largest where it is a fifth.  NAN
       where the image ends before, or it is beyond smear.h. */
    struct {
        double half, fifth, corner, worst;
    } smearing;
    double noise_jy, peak_jy;
    struct source_list sources;
    struct qa_match match;

    /* by tile_judge */
    struct thermal thermal;
    double thermal_jy; /* noise of the image by the receivers alone; NAN: not known */
    double imaged_fraction;  /* of the samples; the rest is flagged or has no gains */
    double failed_solutions; /* the larger share, of the bandpass and of the gains */
    double phase_excess_deg; /* of the phases' scatter, what noise does not explain */
    struct quality bandpass_quality; /* of the one solved here */
    struct verdict verdict;
};

/* The steps; `run` is a struct tile_run.  Status: see work.h. */
int tile_convert(void *run, struct err *e);
int tile_flag(void *run, struct err *e);
int tile_calibrate(void *run, struct err *e);
int tile_image(void *run, struct err *e);
int tile_refine(void *run, struct err *e);
int tile_qa(void *run, struct err *e);
int tile_write(void *run, struct err *e);
json_t *tile_meta(const void *run);
/* What step "flag" found, for qa.json: shares of all samples by cause, antennas by fault. */
json_t *tile_flag_meta(const struct tile_run *run);

/* Gains that multiply: of a group's calibration, any of them NULL. */
struct tile_gains {
    const struct gains *set[2]; /* a bandpass, and gains per integration */
};

/* Those that the group has now; and those that it is imaged with. */
struct tile_gains tile_gains(const struct tile_run *run);
struct tile_gains tile_image_gains(const struct tile_run *run);

/*
 * solve_round: solve the data as correlated against a model, from the gains that there are: gains
 * per integration and, unless an older one is used, a bandpass.
 * Returned: *bandpass (NULL with an older one) and *gain, the caller's; run keeps its own
 * Status: 0; -EINVAL [calibration] refant is no antenna; those of solve.h, and both are NULL
 */
int solve_round(const struct tile_run *run, const struct model *model, bool phase_only,
                struct gains **bandpass, struct gains **gain, struct err *e);

/* Stokes I with the gains that there are, weights by the receivers (receivers.h) when any are.
 * *out is the caller's.  Status: those of receivers_measure and stokes_new. */
int tile_stokes(struct tile_run *run, struct stokes **out, struct err *e);

/* Pixels a side of cell_rad: down to a fifth of the beam at the lowest frequency (2.92 times the
 * half width at half maximum of an Airy pattern), or what the settings say. */
size_t tile_pixels(const struct tile_run *run, double cell_rad, double lo_hz);

/* Whether pixels are in Jy: the data have gains, or came in Jy. */
bool tile_calibrated(const struct tile_run *run);

/*
 * tile_judge: the numbers by which a tile is believed or not, and run->verdict.
 * Status: 0; ERR_SHAPE gains that do not fit the data; -ENOMEM.
 */
int tile_judge(struct tile_run *run, struct err *e);

/* What an image is for. */
enum depth {
    DEPTH_MODEL, /* only the model of the next calibration: not cleaned to the end, no maps */
    DEPTH_FULL
};

/*
 * image_round: all images of the visibilities as they are now, instead of those of the round
 * before.  Status: 0; ERR_QUALITY no unflagged baseline, no beam to be fitted; ERR_FORMAT no
 * parallel hand; -ENOMEM.
 */
int image_round(struct tile_run *run, enum depth depth, struct err *e);

/*
 * tile_smear: the smearing of the image that was made last, after run->pb and before it is used;
 * with [imaging] correct_smearing, run->pb is multiplied by what is kept.  Status: 0; -ENOMEM.
 */
int tile_smear(struct tile_run *run, struct err *e);

/* Instead of [imaging] engine = own. */
bool engine_is_wsclean(const struct tile_run *run);
/*
 * engine_wsclean: run->psf, residual, components and flat of run->opts by WSClean.
 * Status: 0; -ENOENT it is not installed; -ETIMEDOUT, -ECHILD, -ECANCELED: child.h; ERR_QUALITY its
 * CLEAN diverged; -ENOSPC the disk is full; -ENOMEM; others of ms_write and fits_read_image.
 */
int engine_wsclean(struct tile_run *run, struct err *e);

/* What an image of the tile is called, and its times; not its projection and frequency. */
void tile_describe(struct image *img, const struct tile_run *run);

/* The calibrated visibilities as the Measurement Set `path`, in CORRECTED_DATA or else DATA, with
 * weights by channel if wanted.  Nobody may need the data as correlated any more: the gains are
 * applied to them.  Status: 0; those of ms_write and apply_gains. */
int tile_ms(struct tile_run *run, const char *path, bool corrected, bool by_channel,
            struct err *e);

/* How often step "refine" will solve and image again; 0 without a calibrator in the field. */
long selfcal_rounds(const struct tile_run *run);

/* The images of a round, its model too. */
void tile_drop_images(struct tile_run *run);
/* The imager, and what was made of the weights alone. */
void tile_drop_imager(struct tile_run *run);
/* Stokes I and its coordinates; the imager must be gone. */
void tile_drop_stokes(struct tile_run *run);

#endif
