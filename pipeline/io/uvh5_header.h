/*
 * uvh5_header.h: one UVH5 file's header, read and checked; the inside of uvh5.c.
 */
#ifndef PIPELINE_IO_UVH5_HEADER_H
#define PIPELINE_IO_UVH5_HEADER_H

#include <stddef.h>
#include <stdint.h>

#include "pipeline/io/uvh5.h"

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

/* The distinct times of the rows: *out [*n], ascending; the caller frees. */
int uvh5_header_times(const struct uvh5_header *h, double **out, size_t *n,
                      struct err *e);

#endif
