/*
 * clean.h: CLEAN (Hogbom minor cycles; major cycles by convolution, normal.h, and a last residual
 * from the visibilities) and restoration.
 * Hogbom 1974, A&AS 15, 417; Schwab 1984, AJ 89, 1076; Clark 1980, A&A 89, 377.
 */
#ifndef PIPELINE_IMAGING_CLEAN_H
#define PIPELINE_IMAGING_CLEAN_H

#include <stdbool.h>
#include <stddef.h>

struct err;
struct image;
struct imager;
struct normal;

struct clean_opts {
    size_t niter;     /* components at most */
    double gain;      /* loop gain, e.g. 0.1 */
    double mgain;     /* share of the peak taken off per major cycle, e.g. 0.8 */
    double auto_mask; /* first stop at this many sigma (finding components) ... */
    /* ... then down to this many sigma inside the mask so found */
    double auto_threshold;
    /* Major axis of the beam, pixels: sigma is that around each pixel (qa_noise_map); 0: it is
     * that of the whole image. */
    double beam_pix;
    /* Largest of the PSF outside its main lobe: what stands out of the highest pixel's sidelobes is
     * searched, however large the noise around it seems; 0: not known. */
    double sidelobe;
    double threshold_jy; /* never below this */
    double border;       /* share of each side not searched, e.g. 0.02 */
    const float *search; /* [ny][nx] > 0 where components may lie; NULL everywhere */
    bool warm;           /* start from planes->model instead of from nothing */
    bool unchecked;      /* no residual from the visibilities at the end */
    void (*progress)(void *arg, size_t iter, double peak_jy, double sigma_jy);
    void *arg;
};

struct clean_result {
    size_t niter, nmajor;
    double peak_jy, sigma_jy; /* of the whole residual; sigma = 1.4826 x MAD, sampled */
    double model_jy;          /* sum of components */
    /* By how much, at most, the residual from the visibilities differs from the one that the
       convolutions had left, Jy/beam; after components that came later still, what their flux
       makes of it in proportion. */
    double check_jy;
};

/* The planes that CLEAN works on, each [ny][nx] as the imager's; all are the caller's. */
struct clean_planes {
    float *model;    /* returned (with `warm` also given): Jy/pixel */
    float *residual; /* returned: Jy/beam, of data minus model */
};

/*
 * clean_run: deconvolve.
 *
 * Given:    im, with data in Jy; op: its normal operator; opts
 * Returned: planes->model, planes->residual; *res
 * Status:   0; ERR_QUALITY the residual grows (diverged); -EINVAL a gain or mgain outside
 *           (0, 1]; -ENOMEM
 */
int clean_run(struct imager *im, struct normal *op, const struct clean_opts *opts,
              const struct clean_planes *planes, struct clean_result *res,
              struct err *e);

/*
 * clean_restore: the residual plus the model convolved by the beam of `restored`, of peak 1.
 *
 * Given:    model [ny][nx] Jy/pixel, residual [ny][nx] Jy/beam; of restored its size,
 *           wcs.cell_rad and beam
 * Returned: restored->pix, Jy/beam
 * Status:   0; ERR_SHAPE `restored` has no beam; -ENOMEM
 */
int clean_restore(struct image *restored, const float *model, const float *residual,
                  struct err *e);

#endif
