/*
 * imager.h: from visibilities to a dirty image and PSF, and from a model back to visibilities.
 *
 * Wide field by the plane fit: for a (nearly) flat array w = a u + b v + w', so the image is
 * made in the slant orthographic projection (xi = -a, eta = -b), where the plane part of w
 * is a shift of coordinates; the small w' is corrected by K two-dimensional transforms,
 * exp(2 pi i w' (n - 1)) = sum over k of (2 pi i w' (n - 1))^k / k!, with K from the data.
 */
#ifndef PIPELINE_IMAGING_IMAGER_H
#define PIPELINE_IMAGING_IMAGER_H

#include <complex.h>
#include <stdbool.h>
#include <stddef.h>

#include "pipeline/imaging/grid.h"

struct beam_series;
struct err;
struct nodes;
struct samples;
struct wcs;

struct imager_opts {
    size_t nx, ny; /* wanted pixels, any even numbers */
    double cell_rad;
    double accuracy; /* wanted rms error over rms image; 0 means 1e-5 */
    int briggs;      /* 0 natural, 1 Briggs */
    double robust;   /* -2 uniform-like .. +2 natural-like */
    size_t threads;  /* for all its loops; 0 counts as 1 */
};

struct imager; /* opaque: plane fit, kernel, FFT plans, nodes of samples and weights */

/*
 * imager_new: fit the plane, choose K, and take from the samples what images are made of.
 * Given: samples (borrowed until imager_free), phase centre ICRS.
 * Status: 0; ERR_QUALITY no unflagged sample; ERR_SHAPE bad size or cell, more than 1 % of the
 * samples finer than the pixels, or a field too wide for the array; -ENOMEM.
 */
int imager_new(struct imager **out, const struct samples *s,
               const struct imager_opts *opts, double ra_rad, double dec_rad,
               struct err *e);
void imager_free(struct imager *im);

/*
 * imager_load: read the samples again, which have other data now.
 * Returned: *changed: their weights are others, too; then it must not be used any more, but made
 *           anew
 * Status:   0; -ENOMEM
 */
int imager_load(struct imager *im, bool *changed, struct err *e);

/*
 * imager_set_beam: from now on a model is in Jy of the mean beam, and predicted as each
 * integration and channel sees it.  Data, dirty images and the PSF stay as they are.
 * Given: beam, of the imager's rows and pixels, borrowed until imager_free; NULL or one term: all
 *        see the same
 * Status: 0; -ENOMEM, and all see the same
 */
int imager_set_beam(struct imager *im, const struct beam_series *beam, struct err *e);

/* The projection of all its images: reference at pixel [ny/2][nx/2] (0-based). */
void imager_wcs(const struct imager *im, struct wcs *wcs);

struct imager_info {
    double a, b;                      /* plane w = a u + b v */
    double wmax, wrest;               /* largest |w| and |w'|, wavelengths */
    int terms;                        /* K */
    double uvmax_lambda, umax_lambda; /* longest baseline; largest |u| on the grid */
    double accuracy;                  /* asked for, or its default */
    double sum_weight;                /* of imaging weights */
    double freq_hz;                   /* weighted mean frequency */
    size_t nsample;                   /* imaged */
    /* unflagged, but finer than the pixels: |u| or |v| > 1 / (2 cell) */
    size_t ndropped;
    size_t nx, ny;
    /* sqrt(sum wi^2 / w) / sum wi: multiply by SEFD-like sigma of unit weight to predict
       the image noise */
    double noise_factor;
};
void imager_info(const struct imager *im, struct imager_info *info);

/* What was found out about the samples, for those who grid them otherwise; all is borrowed. */
struct imager_view {
    const struct nodes *nodes;
    const float *weight;      /* [nodes] of imaging weight */
    const double *row_weight; /* [nrow] sums of the imaging weights */
    struct plane_fit fit;
    double cell_rad;
    double tmax;                    /* the largest |n - 1| of the image */
    const float *tau;               /* [ny][nx] (n - 1) / tmax, from -1 to 0 */
    const struct beam_series *beam; /* or NULL */
    size_t threads;
};
void imager_view(const struct imager *im, struct imager_view *view);

/*
 * imager_space: memory for planes, which the imager's images and the normal operator take in turn.
 * Returned: at least `bytes`, the imager's, in which somebody else may have written since the last
 *           time; NULL when memory is out.  Asking for more moves it.
 */
void *imager_space(const struct imager *im, size_t bytes);

/* The terms of the beam, q = 0 .. Q - 1: what of a model the samples see in each. */
size_t imager_beam_terms(const struct imager *im); /* Q, at least 1 */
size_t imager_terms(const struct imager *im,
                    size_t q); /* K for it: small ones need fewer */
/* K for it in the normal operator, which may be less exact than prediction. */
size_t imager_kernel_terms(const struct imager *im, size_t q);
/* How large its term m is, m < K, rms over the first one's. */
double imager_kernel_size(const struct imager *im, size_t q, size_t m);
/* seen = b_q model, both [ny][nx] */
void imager_see(const struct imager *im, size_t q, const float *model, float *seen);

/*
 * imager_dirty: the dirty image, weighted sum over the samples of data exp(-2 pi i (u l + v m +
 * w (n - 1))), divided by the sum of weights.
 *
 * Returned: pix [ny][nx] Jy/beam
 * Status:   0; -ENOMEM
 */
int imager_dirty(struct imager *im, float *pix, struct err *e);
/* Point spread function at the phase centre: pix [ny][nx], peak 1 at [ny/2][nx/2].  Status as
 * imager_dirty. */
int imager_psf(struct imager *im, float *pix, struct err *e);
/* Give the weights of the nodes back, which only a point spread function and the making of a normal
 * operator ask for: both are over now. */
void imager_drop_weights(struct imager *im);
/* The dirty image of the samples less the prediction of a model [ny][nx] Jy/pixel.  Reads the
 * samples' weights again.  Status as imager_dirty. */
int imager_residual(struct imager *im, const float *model, float *pix, struct err *e);

/*
 * imager_predict: the visibilities of a model image, for imager_predicted_row.  They take the place
 * of what the imager has of the samples, until imager_load.
 *
 * Given:    model [ny][nx] Jy/pixel; rough: terms that the normal operator leaves out (they add some
 *           1e-3 of a source far off the middle) are left out here, too, as a calibration may do
 * Status:   as imager_dirty
 * Note: to float rounding, up to the weights and without a beam it is the adjoint of imager_dirty.
 */
int imager_predict(struct imager *im, const float *model, bool rough, struct err *e);
/* Add the prediction for channels [chan, chan + n) of a row to re, imag [n] Jy.  Safe from
 * several threads. */
void imager_predicted_row(const struct imager *im, size_t row, size_t chan, size_t n,
                          float *re, float *imag);

/*
 * imager_dft: the same dirty image at one pixel, Jy/beam, by direct double-precision sum, with
 * the true w (n - 1); NaN when memory is out.  Slow: it is here for the tests, which judge
 * imager_dirty by it.
 */
double imager_dft(const struct imager *im, size_t x, size_t y);

#endif
