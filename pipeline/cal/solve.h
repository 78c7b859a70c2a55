/*
 * solve.h: antenna-based gains from data and a model by least squares (StefCal, Salvini &
 * Wijnholds 2014, A&A 571, A97).
 */
#ifndef PIPELINE_CAL_SOLVE_H
#define PIPELINE_CAL_SOLVE_H

#include <stdbool.h>
#include <stddef.h>

struct err;
struct gains;
struct model;
struct vis;

struct solve_opts {
    /* antenna index, used if it has solutions; -1, or else: chosen by refant.h */
    int refant;
    int max_iter;         /* 0 means 100 */
    double tolerance;     /* relative change; 0 means 1e-6 */
    size_t min_baselines; /* antennas with fewer get no solution; 0 means 3 */
    /* baselines shorter, or longer (0: none is), than this do not take part */
    double min_uv_lambda, max_uv_lambda;
    /* a gain below this many times the error of either part is none; 0 means 4, negative: no test */
    double min_snr;
    /* Where most gains of a channel, or of an integration, have less than this, one solution is
     * made of several, as many as it takes (blocks.h); 0 means 10, negative: none is */
    double want_snr;
    /* Samples this many times the noise away from the model with the gains found so far do not
     * take part (normal_eq.h); 0 means 5, negative: all do. */
    double clip_sigma;
    int turns;       /* of solve_bandpass from known gains, at most; 0: 3 */
    bool phase_only; /* amplitudes stay 1, or those of the start */
    size_t threads;  /* 0: one; they change nothing in the result but its speed */
    /* what is known already, or NULL: to start from and to be improved, in blocks as large as its
     * own; the bandpass of solve_gains is held */
    const struct gains *bandpass, *gain;
};

/*
 * solve_gains: one gain per antenna and polarisation for each interval of times and channels; a
 * second time without the samples that are then clipped, if there are any to speak of.
 *
 * Given:
 *   vis             data and weights
 *   model           what a perfect array would have measured
 *   time_block      integrations per solution; 0: all in one
 *   chan_block      channels per solution; 0: all in one
 * Returned: *out (ntime, nchan = number of blocks; time_jd/freq_hz weighted block means), the
 *           caller's; NULL after a failure
 * Status:   0; ERR_QUALITY no antenna has a solution, or all is flagged; -EINVAL there is no
 *           antenna opts->refant; ERR_SHAPE gains to start from do not fit; -ENOMEM
 */
int solve_gains(struct gains **out, const struct vis *vis, const struct model *model,
                size_t time_block, size_t chan_block, const struct solve_opts *opts,
                struct err *e);

/*
 * solve_bandpass: a bandpass and a gain per integration, solved in turns until they agree and the
 * same samples are clipped: three passes over good data, five at most; one or two with a start.
 *
 * Given:    vis; model; opts
 * Returned: *bandpass of [1][nchan], with scale and phase; *gain of [ntime][1], whose mean over
 *           time has amplitude 1 and phase 0 for each antenna and polarisation.  Small gaps are
 *           interpolated, with signal to noise 0.  Both are the caller's, NULL after a failure.
 * Status:   0; ERR_QUALITY no antenna has a solution, all is flagged, or even blocks of a quarter of
 *           the band or of the time have less than half the signal to noise wanted; -EINVAL there is no
 *           antenna opts->refant; ERR_SHAPE gains to start from do not fit; -ENOMEM
 */
int solve_bandpass(struct gains **bandpass, struct gains **gain, const struct vis *vis,
                   const struct model *model, const struct solve_opts *opts,
                   struct err *e);

#endif
