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
    const double *freq_hz;    /* [nchan] ascending */
    float complex *data;      /* [nrow][nchan] Jy, phased to the image's phase centre */
    float *weight;            /* [nrow][nchan] > 0, or 0 = flagged */
    /*
     * Instead of the two arrays: make one row of them, data [nchan] and weight [nchan].  Called
     * from several threads at once.  data NULL: the weights alone are wanted.
     */
    void (*row)(const void *arg, size_t row, float complex *data, float *weight);
    const void *arg;
};

/* Memory for a row, where the samples are not in arrays. */
struct samples_line {
    float complex *data; /* [nchan] */
    float *weight;       /* [nchan] */
};

/* Status: 0; -ENOMEM; either way samples_line_close ends it. */
int samples_line_init(struct samples_line *line, size_t nchan);
void samples_line_close(struct samples_line *line);

/*
 * samples_fetch: one row as it may be imaged: into the line, where weights that are not finite
 * or belong to a sample that is not finite are 0, and such samples too.
 */
void samples_fetch(const struct samples *s, size_t row, struct samples_line *line);

/* samples_weights: the line's weights as samples_fetch gives them; its data may be anything. */
void samples_weights(const struct samples *s, size_t row, struct samples_line *line);

#endif
