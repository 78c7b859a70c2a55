/*
 * smooth.h: a bandpass without what changes fast along the band.
 *
 * Sources that a model lacks are partly swallowed by the gains that are solved with it, most by
 * those that are free in every channel: seen from one antenna their fringes turn along the band.
 * A bandpass that cannot follow leaves their flux in the data, where the first image finds it.
 */
#ifndef PIPELINE_CAL_SMOOTH_H
#define PIPELINE_CAL_SMOOTH_H

struct err;
struct gains;

/*
 * smooth_bandpass: of each antenna and polarisation one amplitude and a delay over the whole band,
 * or, if the bandpass bends by more than most_rough from that (rms of the relative difference, the
 * median of antennas), straight lines between the means of quarters.
 *
 * Given:    bp [1][nchan]
 * Returned: *out, with solutions where bp has them, the caller's; NULL when both are too rough, or
 *           after a failure
 * Status:   0; -ENOMEM
 */
int smooth_bandpass(struct gains **out, const struct gains *bp, double most_rough,
                    struct err *e);

#endif
