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

#include <stddef.h>

#include "pipeline/sky/vis.h"

struct err;

struct uvh5_opts {
    double dut1_s; /* UT1 - UTC */
};

/* What a file's header says, cheaply; for checking a file against its name. */
struct uvh5_info {
    double t0_jd, t1_jd;             /* first and last integration centre, UTC */
    double freq_lo_hz, freq_hi_hz;   /* lowest and highest channel centre */
    double dec_app_rad;              /* MERIDIAN pointing; NAN when the file has none */
    size_t ntime, nrow, nchan, npol; /* nrow: cross-correlations */
    size_t nant;                     /* in the header, also those without data */
    char telescope[32], instrument[32], object[64];
    struct site site;
    enum vis_phasing phasing;
    double phase_ra_rad, phase_dec_rad; /* VIS_SIDEREAL: ICRS; else NAN */
    double tint_s, width_hz;            /* of the first row and channel */
    int pol[VIS_MAXPOL];                /* AIPS codes */
};

int uvh5_info(const char *path, struct uvh5_info *info, struct err *e);

/*
 * uvh5_read_group: read and join sub-bands.
 *
 * Given:    path[nfile], in any order; opts
 * Returned: *out: cross-correlations only (rows conjugated to ant1 < ant2), channels of all
 *           files in one ascending axis; weight 0 where the value is NaN, Inf, exactly zero or
 *           beyond 1e15, or the file flags it or counts no samples, and data 0 there.
 * Status:   0; ERR_FORMAT (not UVH5: which file, which data set, why); ERR_SHAPE (files of the
 *           group disagree in antennas, times, baselines, polarisations or pointing, or overlap
 *           in frequency: names both files); -ENOMEM; a negated errno.
 */
int uvh5_read_group(struct vis **out, const char *const *path, size_t nfile,
                    const struct uvh5_opts *opts, struct err *e);

#endif
