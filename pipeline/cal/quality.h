/*
 * quality.h: how good gains are, by the gains themselves.
 */
#ifndef PIPELINE_CAL_QUALITY_H
#define PIPELINE_CAL_QUALITY_H

struct gains;
struct vis;

struct quality {
    double
        failed; /* share of the solutions that are none, of antennas that have data */
    /* Amplitude over the error of either part, of a gain of one channel or integration: median
     * over antennas and polarisations of what the solver knew of its solutions, over the root of
     * their channels; of a table that does not say, by what second differences of adjacent
     * channels scatter, and then a bandpass that really bends from channel to channel counts as
     * noise.  NAN: too few channels. */
    double snr;
    double interpolated; /* share of the solutions that were put into gaps */
};

/* *out of gains that fit vis.  Status: 0; -ENOMEM. */
int quality_of(struct quality *out, const struct gains *g, const struct vis *vis);

#endif
