/*
 * settings.h: the settings of the two pipelines of this folder.
 */
#ifndef PIPELINE_CONTINUUM_SETTINGS_H
#define PIPELINE_CONTINUUM_SETTINGS_H

#include <limits.h>

#include "core/conf.h"

struct window_opts;

struct continuum_settings {
    struct {
        double dut1_s; /* 0 */
        char beam[16]; /* airy | gaussian | none */
        double dish_m; /* 0: from the file */
    } instrument;
    struct {
        char calibrator
            [512]; /* auto | none | NAME | NAME,RA_DEG,DEC_DEG,FLUX_JY,FREQ_MHZ[,SPIX] */
        double min_beam;         /* 0.3 */
        double min_flux_jy;      /* 0.5, apparent */
        double bandpass_valid_h; /* 24, either side */
        long refant;             /* antenna number; -1 automatic */
        /* solve again with the field's own sources in the model, 1 */
        long model_rounds;
    } calibration;
    struct {
        long size;                        /* pixels a side; 0 from beam and cell */
        double cell_arcsec;               /* 0 from the longest baseline */
        char weighting[16];               /* briggs | natural */
        double robust;                    /* 0.5 */
        long niter;                       /* 20000 */
        double auto_mask, auto_threshold; /* 5, 1 */
        double mgain;                     /* 0.8 */
    } imaging;
    struct {
        long tiles;               /* 10 */
        long overlap;             /* 2; at most tiles - 1 counts */
        double max_gap_s;         /* 420 between successive tiles */
        double pb_cut;            /* 0.2 */
        double dec_tolerance_deg; /* 0.1 */
    } mosaic;
    struct {
        char catalogue[PATH_MAX]; /* CSV; empty: built-in calibrators only */
        double find_sigma;        /* 7 */
    } qa;
};

extern const struct conf_part continuum_part;

/* Those of conf, which was made with pipeline_settings (pipeline.h). */
const struct continuum_settings *continuum_settings(const struct conf *conf);

/* [mosaic]: which tiles make a mosaic. */
void mosaic_window(const struct conf *conf, struct window_opts *opts);

#endif
