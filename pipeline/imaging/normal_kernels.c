/*
 * normal_kernels.c: the kernels of the normal operator, from the weights of the samples.
 */
#include "pipeline/imaging/normal_parts.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "pipeline/imaging/fft.h"
#include "pipeline/imaging/grid.h"
#include "pipeline/imaging/imager.h"
#include "pipeline/imaging/kernel.h"
#include "pipeline/imaging/samples.h"

/* The grid of the weights over twice the image: with less the kernel would be too wide. */
#define OVERSAMPLING 1.5

/* Planes beyond this many bytes are made in several passes over the samples. */
static const size_t plane_bytes = (size_t)640 << 20;

/* Weights on planes, for lags of mx x my pixels. */
struct weights {
    struct imager_view view;
    struct imager_info info;
    struct kernel ker;
    struct grid grid;
    struct fft *fft;
    size_t ncol;
    float *gain_x, *gain_y; /* [mx] [my] */
    float *lag;             /* [my][mx] */
};

static void close_weights(struct weights *w)
{
    grid_close(&w->grid);
    fft_free(w->fft);
    free(w->gain_x);
    free(w->gain_y);
    free(w->lag);
}

static float *kernel_gain(const struct kernel *ker, size_t n, size_t ngrid)
{
    float *gain = malloc(n * sizeof *gain);

    for (size_t i = 0; gain != NULL && i < n; i++)
        gain[i] = (float)(1.0 / kernel_transform(ker, ((double)i - (double)(n / 2)) /
                                                          (double)ngrid));
    return gain;
}

static int open_weights(struct weights *w, const struct normal *op, double accuracy)
{
    size_t nu = fft_good_size((size_t)(OVERSAMPLING * (double)op->mx));
    size_t nv = fft_good_size((size_t)(OVERSAMPLING * (double)op->my));
    size_t nplane = plane_bytes / (nu * nv / 2 * sizeof(float complex));

    nplane = nplane < 1 ? 1 : nplane > op->terms[0] ? op->terms[0] : nplane;
    kernel_init(&w->ker, accuracy, OVERSAMPLING);
    w->ncol =
        (size_t)(w->info.umax_lambda * (double)nu * w->view.cell_rad) + KERNEL_TAPS + 2;
    w->ncol = w->ncol > nu / 2 + 1 ? nu / 2 + 1 : w->ncol;
    w->gain_x = kernel_gain(&w->ker, op->mx, nu);
    w->gain_y = kernel_gain(&w->ker, op->my, nv);
    w->lag = malloc(op->mx * op->my * sizeof *w->lag);
    if (w->gain_x == NULL || w->gain_y == NULL || w->lag == NULL ||
        grid_init(&w->grid, nu, nv, nplane, w->view.cell_rad, &w->ker) != 0 ||
        fft_new(&w->fft, nu, nv, op->threads) != 0)
        return -ENOMEM;
    w->grid.nthread = op->threads;
    return 0;
}

/* The kernel m at all lags, scaled and corrected for the gridding. */
static void make_lags(struct weights *w, const struct normal *op, size_t m)
{
    double scale = 1.0 / w->info.sum_weight;

    for (size_t j = 2; j <= m; j++)
        scale /= (double)j;
    size_t p = m % w->grid.nplane;

    grid_fold(&w->grid, p);
    fft_plane_to_image(w->fft, grid_plane(&w->grid, p), w->grid.stride, w->ncol, w->lag,
                       op->mx, op->my);
    for (size_t y = 0; y < op->my; y++)
        for (size_t x = 0; x < op->mx; x++)
            w->lag[y * op->mx + x] *=
                (float)(scale * (double)w->gain_y[y]) * w->gain_x[x];
}

/* What a source in the middle, where tau is 0, leaves of term m. */
static void add_to_psf(const struct normal *op, const float *lag, size_t m, float *psf)
{
    size_t x0 = op->mx / 2 - op->nx / 2, y0 = op->my / 2 - op->ny / 2;

    for (size_t y = 0; y < op->ny; y++)
        for (size_t x = 0; x < op->nx; x++) {
            size_t i = y * op->nx + x;
            float term = lag[(y0 + y) * op->mx + x0 + x];

            for (size_t k = 0; k < m; k++)
                term *= op->tau[i];
            psf[i] = m == 0 ? term : psf[i] + term;
        }
}

/* Kernels of term q of the beam; psf: NULL, or to be filled. */
static int make_kernels(struct normal *op, struct weights *w, size_t q, float *psf)
{
    struct plane_fit fit = {w->view.a, w->view.b, 2.0 * M_PI * w->view.tmax};
    struct samples s = imager_samples(op->im, q);
    size_t nplane = w->grid.nplane, terms = op->terms[q];
    int rc;

    for (size_t m = 0; m < terms; m++) {
        if (m % nplane == 0) {
            grid_zero(&w->grid);
            rc = grid_spread(&w->grid, &s, &fit, w->view.wi, NULL, m,
                             terms - m < nplane ? terms - m : nplane);
            if (rc != 0)
                return rc;
        }
        make_lags(w, op, m);
        if (psf != NULL)
            add_to_psf(op, w->lag, m, psf);
        normal_set_kernel(op, q, m, w->lag);
    }
    return 0;
}

int normal_make_kernels(struct normal *op, float *psf)
{
    struct weights w = {0};
    int rc;

    imager_view(op->im, &w.view);
    imager_info(op->im, &w.info);
    rc = open_weights(&w, op, w.info.accuracy);
    for (size_t q = 0; rc == 0 && q < op->beams; q++)
        rc = make_kernels(op, &w, q, q == 0 ? psf : NULL);
    close_weights(&w);
    return rc;
}
