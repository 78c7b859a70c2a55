/*
 * uvh5_header.h: one UVH5 file's header, read and checked.
 */
#ifndef PIPELINE_IO_UVH5_HEADER_H
#define PIPELINE_IO_UVH5_HEADER_H

#include <stddef.h>
#include <stdint.h>

#include "pipeline/sky/vis.h"

struct err;

/* What a file's header says, cheaply; for checking a file against its name. */
struct uvh5_info {
    double t0_jd, t1_jd;             /* first and last integration centre, UTC */
    double freq_lo_hz, freq_hi_hz;   /* lowest and highest channel centre */
    double dec_app_rad;              /* MERIDIAN pointing; NAN when the file has none */
    size_t ntime, nrow, nchan, npol; /* nrow: cross-correlations */
    size_t nant;                     /* in the header, also those without data */
    char telescope[32], instrument[32], object[64];
    char unit
        [16]; /* of the visibilities: Jy, or uncalib, also when the file does not say */
    char convention[32],
        x_orientation[32]; /* pol_convention; "" when it does not say */
    struct site site;
    double dut1_s; /* UT1 - UTC as the file has it; NAN when it does not say */
    enum vis_phasing phasing;
    double phase_ra_rad, phase_dec_rad; /* VIS_SIDEREAL: ICRS; else NAN */
    double tint_s, width_hz;            /* of the first row and channel */
    int pol[VIS_MAXPOL];                /* AIPS codes */
};

/* Fill *info; *info is not touched by a failure.  Status as uvh5_read_group's: 0; ERR_FORMAT;
 * ERR_SHAPE (more than one phase centre); -ENOMEM; a negated errno. */
int uvh5_info(const char *path, struct uvh5_info *info, struct err *e);

/* One file's header.  Row arrays are as in the file, autocorrelations included. */
struct uvh5_header {
    const char *path; /* borrowed */
    struct uvh5_info info;
    size_t nblt;
    double *time_jd, *tint_s;   /* [nblt] */
    int64_t *ant1, *ant2;       /* [nblt] antenna numbers, then indices */
    double *freq_hz, *width_hz; /* [nchan] as in the file; width positive */
    size_t *order; /* [nchan] channels of the file, ascending in frequency */
    char (*ant_name)[VIS_NAME]; /* [nant] */
    int64_t *ant_number;        /* [nant] */
    double (*ant_pos_m)[3];     /* [nant][3] */
    double *ant_diameter_m;     /* [nant] */
};

/* Fill *h; uvh5_header_free empties it, also after a failure.  Status as uvh5_read_group. */
int uvh5_header_read(struct uvh5_header *h, const char *path, struct err *e);
void uvh5_header_free(struct uvh5_header *h);
void uvh5_header_free_rows(struct uvh5_header *h); /* the row arrays alone */

/* The distinct times of the rows, JD UTC: *out [*n], ascending; the caller frees.  Status: 0;
 * -ENOMEM. */
int uvh5_header_times(const struct uvh5_header *h, double **out, size_t *n,
                      struct err *e);

#endif
