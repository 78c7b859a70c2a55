/*
 * model.h: what a perfect array would have measured of known sources.
 *
 * A point source is a phasor that turns from channel to channel: it is made where it is
 * needed, a line at a time, and never lies in memory for all samples.
 */
#ifndef PIPELINE_CAL_MODEL_H
#define PIPELINE_CAL_MODEL_H

#include <complex.h>
#include <stddef.h>

#include "pipeline/cal/lines.h"

struct beam;
struct calibrator;
struct err;
struct vis;

/* Stokes I, the same for all polarisations: the sum of what is there.  All zero: nothing. */
struct model {
    /* Add the field's other sources in channels [chan, chan + n) of a row to re, im [n], Jy; or
     * NULL.  Called from several threads at once. */
    void (*field)(const void *arg, size_t row, size_t chan, size_t n, float *re,
                  float *im);
    const void *field_arg;
    double field_scale; /* multiplies what it adds; 0 means 1 */
    /* a point source, by model_init; NULL without one */
    float *flux_jy;   /* [ntime][nchan][npol] apparent */
    double (*dir)[3]; /* [ntime] ITRF unit vectors */
    size_t
        *even_until; /* [nchan] where the evenly spaced channels from this one on end */
};

/*
 * model_init: a point source at the calibrator's place, seen through the primary beam around
 * each integration's pointing; with the phases of the rows' stop directions.
 *
 * Given:    vis: rows, channels and times (its data are not looked at)
 *           cal: position and flux density over frequency; beam
 * Returned: *m without a field
 * Status:   0; ERR_QUALITY when the calibrator's flux is not known at a channel; -ENOMEM; either
 *           way model_close ends it
 */
int model_init(struct model *m, const struct vis *vis, const struct calibrator *cal,
               const struct beam *beam, struct err *e);
void model_close(struct model *m);

/* A walk along the channels of one row. */
struct model_row {
    const struct model *m;
    const struct vis *vis;
    const struct line_code *code;
    size_t row;
    const float *flux_jy;     /* [nchan][npol] of this integration, or NULL */
    double tau_s;             /* what the source's phase turns by per Hz */
    double step_hz;           /* that zr, zi and turn are made for */
    float zr[LINE], zi[LINE]; /* phases of a line's samples, from the first on */
    double turn_re, turn_im;  /* of a whole line */
    double re, im;            /* phasor at channel `next` */
    size_t next;
    int left; /* lines until the next exact sine */
};

void model_row(struct model_row *r, const struct model *m, const struct vis *vis,
               size_t row, const struct line_code *code);

/* The model of channels [c, c + n) into mr, mi [n][npol]; n npol is at most LINE. */
void model_row_line(struct model_row *r, size_t c, size_t n, float *mr, float *mi);

#endif
