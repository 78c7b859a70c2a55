/*
 * clean.h: Cotton-Schwab CLEAN (Hogbom minor cycles, residuals from the visibilities at
 * every major cycle), beam fit and restoration.
 * Hogbom 1974, A&AS 15, 417; Schwab 1984, AJ 89, 1076; Clark 1980, A&A 89, 377.
 */
#ifndef PIPELINE_IMAGING_CLEAN_H
#define PIPELINE_IMAGING_CLEAN_H

#include <stddef.h>
#include <stdint.h>

struct err;
struct image;
struct imager;
struct samples;

struct clean_opts {
    size_t niter;     /* components at most */
    double gain;      /* loop gain, e.g. 0.1 */
    double mgain;     /* share of the peak taken off per major cycle, e.g. 0.8 */
    double auto_mask; /* first stop at this many sigma (finding components) ... */
    /* ... then down to this many sigma inside the mask so found */
    double auto_threshold;
    double threshold_jy; /* never below this */
    double border;       /* share of each side not searched, e.g. 0.02 */
    const float *search; /* [ny][nx] > 0 where components may lie; NULL everywhere */
    void (*progress)(void *arg, size_t iter, double peak_jy, double sigma_jy);
    void *arg;
};

struct clean_result {
    size_t niter, nmajor;
    double peak_jy, sigma_jy; /* of the residual; sigma = 1.4826 x MAD */
    double model_jy;          /* sum of components */
};

/*
 * clean_run: deconvolve.
 * Given:    im, s (data: Jy); opts; psf [ny][nx]
 * Returned: model [ny][nx] Jy/pixel; residual [ny][nx] Jy/beam, of data minus model
 * Status: 0, -ENOMEM, ERR_QUALITY when the residual grows (diverged), -EINVAL for a gain or
 * mgain outside (0, 1].
 */
int clean_run(struct imager *im, const struct samples *s, const struct clean_opts *opts,
              const float *psf, float *model, float *residual, struct clean_result *res,
              struct err *e);

/* Fit an elliptical Gaussian to the PSF's main lobe.  FWHM rad, PA north to east. */
int clean_fit_beam(const float *psf, size_t nx, size_t ny, double cell_rad,
                   double *bmaj, double *bmin, double *bpa, struct err *e);

/* restored = residual + model convolved by the Gaussian beam of `img` (peak 1), by FFT. */
int clean_restore(struct image *restored, const float *model, const float *residual,
                  struct err *e);

#endif
