/*
 * uvh5.h: read the sub-band files of one group into one struct vis.
 *
 * Accepts DSA-110's drift files (fringe-stopped to hour angle 0: VIS_MERIDIAN), one sidereal
 * centre in ICRS or FK5 J2000 (taken for ICRS: 20 mas), unprojected ones, and visdata
 * [Nblts][1][Nfreqs][Npols] (DSA-110 and UVH5 before 1.0) and [Nblts][Nfreqs][Npols] (UVH5
 * 1.x with a phase-centre catalogue), complex64 or compound integers; channel_width and
 * freq_array scalar, [Nfreqs] or [1][Nfreqs], either sign and order; absent nsamples, flags
 * and lst_array.
 */
#ifndef PIPELINE_IO_UVH5_H
#define PIPELINE_IO_UVH5_H

#include <stdbool.h>
#include <stddef.h>

#include "pipeline/sky/astro.h"

struct err;
struct vis;

struct uvh5_opts {
    struct earth earth; /* at the group's time; see earth.h */
    /* longitude at which hour angles are counted that fringes were stopped to (VIS_MERIDIAN), rad;
     * 0 with own_stop false: the header's */
    bool own_stop;
    double stop_lon_rad;
    size_t threads; /* that may work at once, three at most do; 0 counts as 1 */
    /* turn what was stopped to hour angle 0 to its mean pointing, as vis_rephase would */
    bool one_centre;
};

/*
 * uvh5_read_group: read and join sub-bands.
 *
 * Given:    path[nfile], in any order; opts
 * Returned: *out: cross-correlations (rows conjugated to ant1 < ant2) and autocorrelations apart,
 *           channels of all files in one ascending axis; weight 0 where the value is NaN, Inf,
 *           exactly zero or beyond 1e15, or the file flags it or counts no samples, and data 0
 *           there; the same bits for any number of threads.
 * Status:   0; ERR_FORMAT (not UVH5: which file, which data set, why); ERR_SHAPE (files of the
 *           group disagree in antennas, times, baselines, polarisations or pointing, or overlap
 *           in frequency: names both files); -ENOMEM; a negated errno.
 */
int uvh5_read_group(struct vis **out, const char *const *path, size_t nfile,
                    const struct uvh5_opts *opts, struct err *e);

#endif
