/*
 * caltable_parts.h: what caltable.c and calfits.c share; nobody else includes it.
 */
#ifndef PIPELINE_IO_CALTABLE_PARTS_H
#define PIPELINE_IO_CALTABLE_PARTS_H

#include <complex.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pipeline/io/h5.h"

struct caltable_info;
struct err;

/* A table as it is in the file. */
struct caltable {
    size_t dim[H5_MAXDIM]; /* antennas, channels, times, polarisations */
    int64_t *ant, *jones;
    double *time_jd, *freq_hz;
    double complex *g;   /* [dim] to divide by: V = g1 conj(g2) M */
    unsigned char *flag; /* [dim] */
    double *snr;         /* [dim] zeros where the file has none */
};

/* All arrays, zeroed, for t->dim.  Status: 0; -ENOMEM; caltable_close ends it either way. */
int caltable_alloc(struct caltable *t, const char *path, struct err *e);
void caltable_close(struct caltable *t);

/* Does the file begin as FITS does? */
bool calfits_is(const char *path);
/*
 * calfits_read: pyuvdata's calfits: gains [antenna][spw][frequency][time][jones][re, im, flag ...] in
 * the first HDU, axes found by their CTYPE, antenna numbers in the table ANTENNAS.  Gains to
 * multiply by become those to divide by.
 * Returned: *t (caltable_close ends it, also after a failure), info's telescope and time
 * Status:   0; ERR_FORMAT not such a file (delays, axes, sizes: which); -ENOMEM; a negated errno
 */
int calfits_read(struct caltable *t, struct caltable_info *info, const char *path,
                 struct err *e);

#endif
