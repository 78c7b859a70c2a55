/*
 * ms.h: visibilities as a Measurement Set, version 2 (casacore note 229), for WSClean, CASA,
 * AOFlagger and whoever else reads those.
 *
 * One spectral window with all channels, ascending; one field, at the phase centre (ICRS);
 * UVW = position of ANTENNA2 minus position of ANTENNA1, V with the sign of vis.h, which is how
 * WSClean takes it.  Antennas are numbered as in struct vis, also those without data.
 *
 * Behind this header stands the only C++ of the tree.  No exception leaves it.
 */
#ifndef PIPELINE_IO_MS_H
#define PIPELINE_IO_MS_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

struct err;
struct vis;

struct ms_opts {
    bool corrected; /* the column is CORRECTED_DATA, else DATA */
    bool
        weight_spectrum; /* weights by channel, too; WEIGHT is their mean over the channels */
    const char *field;   /* name of the field; NULL or empty: the object */
    double dish_m;       /* diameter of antennas whose file gives none */
    const char *origin;  /* who writes: program and version, for HISTORY */
    const char *message; /* what it is, for HISTORY */
    /* Told how much is written, from 0 to 1; not 0 to stop.  May be NULL. */
    int (*progress)(void *arg, double share);
    void *arg;
};

/*
 * ms_write: make the Measurement Set `path`.
 *
 * Given:  vis phased to one centre (VIS_SIDEREAL)
 * Status: 0, and it is whole and on the disk; otherwise nothing is left behind:
 *         -EEXIST something has this name; -ENOSPC the disk is too full, or became so; -EINVAL
 *         not phased to one centre; ERR_FORMAT a polarisation that a Measurement Set does not
 *         know; -ECANCELED progress said so; -ENOMEM; other errnos; -EIO casacore says why.
 * Notes:
 *   1) It is written in a folder of its own beside the target, and renamed at the end.
 *   2) Polarisations are put in the order of CASA (XX XY YX YY, RR RL LR LL, I Q U V).
 *   3) WEIGHT is in the units of vis.h, SIGMA is its inverse root; both are 0 where all is
 *      flagged.
 */
int ms_write(const char *path, const struct vis *vis, const struct ms_opts *opts,
             struct err *e);

#ifdef __cplusplus
}
#endif

#endif
