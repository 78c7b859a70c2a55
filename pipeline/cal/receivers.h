/*
 * receivers.h: how noisy each receiver is, as far as the data tell: what the weights of calibrated
 * data are to be made of.
 *
 * A sample as correlated has the variance A1 A2 / (2 x bandwidth x time), A being the
 * autocorrelations (Thompson, Moran & Swenson 2017, eq. 6.50): noise passes through the same
 * amplifiers as the sky.  Over its gains it has the weight 2 dnu dt |g1 g2|^2 / (A1 A2).
 */
#ifndef PIPELINE_CAL_RECEIVERS_H
#define PIPELINE_CAL_RECEIVERS_H

#include <stdbool.h>
#include <stddef.h>

struct err;
struct gains;
struct vis;

struct receivers {
    const char *from; /* autos | channels | none */
    /* autos: power as correlated, [nant][npol][nchan], median over the integrations, and what an
     * integration differs by, [nant][npol][ntime]; 0: not known */
    float *level, *over_time;
    /* channels: SEFD of an antenna, [nant], both hands alike, in the unit of calibrated data; 0:
     * not known */
    float *sefd;
};

/*
 * receivers_measure: from the autocorrelations; without them from second differences of adjacent
 * channels of calibrated Stokes I, so that neither sources nor a bandpass count, in a few rows of
 * each baseline.
 *
 * Given:    vis; gains [STOKES_GAINS] that calibrate it, those that are not NULL
 * Returned: *r, zeroed before; receivers_close ends it, also after a failure.  "none" when there is
 *           nothing to tell by, which is no failure
 * Status:   0; ERR_FORMAT no parallel hand; ERR_SHAPE the gains do not fit; -ENOMEM
 */
int receivers_measure(struct receivers *r, const struct vis *vis,
                      const struct gains *const *gains, struct err *e);
void receivers_close(struct receivers *r);

/*
 * receivers_quiet: by how much less noise each receiver has than the middle one, quiet
 * [nant][npol], as correlated: 1 where the autocorrelations do not tell, and everywhere without
 * them.  Status: 0; -ENOMEM
 */
int receivers_quiet(float *quiet, const struct vis *vis);

#endif
