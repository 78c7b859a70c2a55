/*
 * uvh5_write.h: write one sub-band of DSA-110 as its correlator's writer does.
 *
 * The 4-D layout has the data sets, types, chunks and string lengths of production files:
 * 96 antennas, 24 integrations, 48 channels and 2 polarisations make exactly
 * 145,348,600 bytes.  The 3-D layout is that of UVH5 1.x: no axis of spectral
 * windows, and a phase-centre catalogue.
 */
#ifndef PIPELINE_IO_UVH5_WRITE_H
#define PIPELINE_IO_UVH5_WRITE_H

#include <complex.h>
#include <stddef.h>

#include "pipeline/sky/astro.h"

struct err;

enum { UVH5_MAXCHAN = 4096 };

enum uvh5_layout {
    UVH5_4D, /* fringe-stopped to the meridian at dec_app_rad ("drift", "HADEC") */
    UVH5_3D  /* tracks one ICRS position ("sidereal") */
};

struct uvh5_sub { /* arrays are borrowed, row-major */
    enum uvh5_layout layout;
    struct site site;       /* header location; antenna positions are relative to it */
    double dec_app_rad;     /* 4-D: apparent declination of the meridian point */
    double ra_rad, dec_rad; /* 3-D: ICRS phase centre */
    struct earth earth;
    size_t ntime, nant, nchan, npol;
    const int *number;     /* [nant] stations (1-based), correlator's order */
    double t0_jd, tint_s;  /* centre of the first integration, UTC; length */
    const double *freq_hz; /* [nchan] centres */
    double width_hz;
    double nsamples; /* raw samples averaged into each; 96 in production */
    /* [ntime][nbl][nchan][npol], nbl = nant (nant + 1) / 2 */
    const float complex *data;
};

/*
 * uvh5_write: make the file `path`, which must not exist, and write all of it.
 *
 * Status: 0; ERR_SHAPE more antennas or channels than fit; -EEXIST; -ENOMEM; -EIO and other
 *         errnos
 *
 * Notes:
 *   1) Baselines are the lower triangle with autocorrelations: for i, for j <= i,
 *      antenna 1 = number[j], antenna 2 = number[i].
 *   2) A failure leaves no file behind.  Nothing is synced.
 *   3) Polarisations are XX, YY (and XY, YX in the order XX, XY, YX, YY when 4).
 */
int uvh5_write(const char *path, const struct uvh5_sub *sub, struct err *e);

/*
 * uvh5_chunk: the chunk that h5py guesses for a growing data set of shape
 * [0][...], element size in bytes; what the telescope's writer gets.  Exposed for its test.
 */
void uvh5_chunk(int ndim, const size_t *dim, size_t element, size_t *chunk);

#endif
