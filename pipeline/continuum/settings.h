/*
 * settings.h: the settings of the two pipelines of this folder.
 */
#ifndef PIPELINE_CONTINUUM_SETTINGS_H
#define PIPELINE_CONTINUUM_SETTINGS_H

#include <limits.h>
#include <stdbool.h>

#include "core/conf.h"

struct window_opts;

/* Units are in the names; ranges, defaults and meanings in the rows of settings.c. */
struct continuum_settings {
    struct {
        double dut1_s;           /* 0: from the table */
        char earth[PATH_MAX];    /* table of earth orientation; empty: the program's */
        char stop_longitude[32]; /* file, or degrees */
        char beam[16];
        double dish_m;  /* 0: from the file */
        double sefd_jy; /* 0: not known */
    } instrument;
    struct {
        bool enabled;
        double threshold;           /* sigma, of a single sample */
        char known_bands[PATH_MAX]; /* CSV; empty: none */
        double max_share;           /* of the valid samples */
    } flagging;
    struct {
        /* auto | none | NAME | NAME,RA_DEG,DEC_DEG,FLUX_JY,FREQ_MHZ[,SPIX] */
        char calibrator[512];
        double min_beam;
        double min_flux_jy;      /* apparent */
        double bandpass_valid_h; /* either side */
        double bandpass_snr;     /* good from here on */
        double min_uv_lambda;
        double solution_snr; /* 0: as it comes */
        double clip_sigma;   /* 0: none */
        long refant;         /* antenna number; -1: automatic */
        long model_rounds, phase_rounds;
    } calibration;
    struct {
        char engine[16]; /* own | wsclean */
        double engine_timeout_s;
        long size;          /* pixels a side; 0: from beam and cell */
        double cell_arcsec; /* 0: from the longest baseline */
        char weighting[16];
        double robust;
        long niter;
        double auto_mask, auto_threshold; /* sigma */
        double mgain;
        bool correct_smearing;
        char keep_ms[8]; /* no | yes | full */
    } imaging;
    struct {
        long tiles;
        long overlap;     /* at most tiles - 1 counts */
        double max_gap_s; /* between successive tiles */
        double pb_cut;    /* of images, too */
        double dec_tolerance_deg;
    } mosaic;
    struct {
        char catalogue[PATH_MAX]; /* CSV; empty: built-in calibrators only */
        double find_sigma;
        /* A warning beyond _warn, failed beyond _fail; 0: not judged. */
        double noise_warn, noise_fail; /* times the expected noise */
        double dynamic_range;          /* peak over the noise that it explains */
        double valid_warn, valid_fail; /* share of the samples imaged */
        double phase_warn_deg, phase_fail_deg; /* scatter beyond noise */
        double solutions_warn, solutions_fail; /* share of failed ones */
        double min_dynamic_range, min_found, max_flux_error, max_flux_move;
    } qa;
};

extern const struct conf_part continuum_part;

/* [instrument] stop_longitude: *deg, NAN for "file"; false when it is neither. */
bool settings_stop_longitude(const struct continuum_settings *s, double *deg);

/* Those of conf, which was made with pipeline_settings (pipeline.h). */
const struct continuum_settings *continuum_settings(const struct conf *conf);

/* [mosaic]: which tiles make a mosaic. */
void mosaic_window(const struct conf *conf, struct window_opts *opts);

#endif
