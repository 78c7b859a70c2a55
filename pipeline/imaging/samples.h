/*
 * samples.h: what an imager is fed with.
 */
#ifndef PIPELINE_IMAGING_SAMPLES_H
#define PIPELINE_IMAGING_SAMPLES_H

#include <complex.h>
#include <stddef.h>

/* Stokes I samples to be imaged; arrays are borrowed. */
struct samples {
    size_t nrow, nchan;
    const double (*uvw_m)[3]; /* [nrow][3] for the image's phase centre */
    const double *freq_hz;    /* [nchan] */
    float complex *data;      /* [nrow][nchan] Jy, phased to the image's phase centre */
    float *weight;            /* [nrow][nchan] > 0, or 0 = flagged */
};

#endif
