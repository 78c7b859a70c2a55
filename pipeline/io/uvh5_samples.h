/*
 * uvh5_samples.h: the samples of UVH5 files to their places in a struct vis.
 *
 * The caller's thread reads (libhdf5 is called from no other); one or two others, and it too
 * when they do not keep up, scatter, mask, weigh and turn what has been read, through a few
 * buffers that stay in the cache.
 */
#ifndef PIPELINE_IO_UVH5_SAMPLES_H
#define PIPELINE_IO_UVH5_SAMPLES_H

#include <stddef.h>

#include "pipeline/sky/vis.h"

struct err;
struct uvh5_header;
struct uvh5_scatter;

enum uvh5_kind {
    UVH5_SKIP,   /* goes nowhere: a second autocorrelation of one antenna and time */
    UVH5_CROSS,  /* to a row of vis->data */
    UVH5_TURNED, /* the same, conjugated: antennas swapped */
    UVH5_AUTO    /* to vis->autos */
};

/* Where each row of the files goes, no two to the same place; the same for a whole group. */
struct uvh5_place {
    unsigned char *kind;  /* [nblt] enum uvh5_kind */
    size_t *to;           /* [nblt] row of the vis; UVH5_AUTO: antenna * ntime + time */
    const double *tint_s; /* [nblt] */
    int swap[VIS_MAXPOL]; /* polarisation that becomes p when antennas swap; -1 none */
    const struct vis_turn *turn; /* that every row is to be given; NULL: none */
};

/* Begin to fill vis, whose channels are known; vis and place are borrowed until the end.
 * nthread < 2, or no thread to be had: the caller's does it all. */
struct uvh5_scatter *uvh5_scatter_begin(struct vis *vis, const struct uvh5_place *place,
                                        size_t nthread);

/*
 * uvh5_scatter_file: read one file and see its samples off; they are in place after the end.
 *
 * Given:  h, its row arrays not looked at; chan0, the vis's channel of its lowest
 * Returned: *full, the nsamples that weights were made by (the file's largest); 0: it has none
 * Status: 0; -ENOENT no such data set; ERR_SHAPE not as many samples as the header says;
 *         ERR_FORMAT cannot be read; -ENOMEM; a negated errno
 */
int uvh5_scatter_file(struct uvh5_scatter *s, const struct uvh5_header *h, size_t chan0,
                      double *full, struct err *e);

/* Wait until all is in place, and free. */
void uvh5_scatter_end(struct uvh5_scatter *s);

#endif
