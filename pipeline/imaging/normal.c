/* normal.c: see normal.h. */
#include "pipeline/imaging/normal.h"

#include <complex.h>
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/parallel.h"
#include "pipeline/imaging/fft.h"
#include "pipeline/imaging/grid.h"
#include "pipeline/imaging/imager.h"
#include "pipeline/imaging/kernel.h"
#include "pipeline/imaging/samples.h"
#include "pipeline/sky/beam_series.h"

/* The grid of the weights over twice the image: with less the kernel would be too wide. */
#define OVERSAMPLING 1.5

enum { MAX_TERMS = 12, MAX_BEAMS = BEAM_SERIES_MOST };

/* Planes beyond this many bytes are made in several passes over the samples. */
static const size_t plane_bytes = (size_t)640 << 20;

struct normal {
    const struct imager *im; /* for the beam */
    size_t nx, ny;           /* of the image */
    size_t mx, my, stride;   /* of the transforms: my rows of mx / 2 + 1 cells */
    size_t beams, threads;
    size_t terms[MAX_BEAMS]; /* K for each term of the beam; the first has most */
    const float *tau;        /* [ny][nx], the imager's */
    struct fft *fft;         /* mx, my */
    /* [my][stride] the part of each transform that is not 0 */
    float *kernel[MAX_BEAMS][MAX_TERMS];
    float complex *model;          /* [my][stride] transform of b_q (-tau)^j model */
    float complex *sum[MAX_TERMS]; /* [my][stride] of each k */
    float *image;                  /* [ny][nx] */
};

void normal_free(struct normal *op)
{
    if (op == NULL)
        return;
    fft_free(op->fft);
    for (size_t q = 0; q < MAX_BEAMS; q++)
        for (size_t m = 0; m < MAX_TERMS; m++)
            free(op->kernel[q][m]);
    for (size_t k = 0; k < MAX_TERMS; k++)
        free(op->sum[k]);
    free(op->model);
    free(op->image);
    free(op);
}

/* ---- the kernels ---- */

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

/* Transform it; of even m only the real part is not 0, of odd m the imaginary one. */
static float *transformed(const struct normal *op, const float *lag, size_t m)
{
    size_t n = op->my * op->stride;
    const float *part = (const float *)op->model + m % 2;
    float scale = 1.0f / ((float)op->mx * (float)op->my);
    float *kernel = grid_memory(n * sizeof *kernel);

    if (kernel == NULL)
        return NULL;
    fft_image_to_plane(op->fft, lag, op->mx, op->my, op->model, op->stride, op->stride);
    for (size_t i = 0; i < n; i++)
        kernel[i] = scale * part[2 * i];
    return kernel;
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
        op->kernel[q][m] = transformed(op, w->lag, m);
        if (op->kernel[q][m] == NULL)
            return -ENOMEM;
    }
    return 0;
}

static void set_sizes(struct normal *op, const struct weights *w)
{
    op->nx = w->info.nx;
    op->ny = w->info.ny;
    op->mx = fft_good_size(2 * op->nx);
    op->my = fft_good_size(2 * op->ny);
    op->stride = op->mx / 2 + 1;
    op->beams = imager_beam_terms(op->im);
    for (size_t q = 0; q < op->beams; q++)
        op->terms[q] = imager_terms(op->im, q);
    op->threads = w->view.threads;
    op->tau = w->view.tau;
}

/* What applying takes, beyond what making the kernels did. */
static int open_sums(struct normal *op)
{
    size_t n = op->my * op->stride;

    for (size_t k = 0; k < op->terms[0]; k++) {
        op->sum[k] = grid_memory(n * sizeof *op->sum[k]);
        if (op->sum[k] == NULL)
            return -ENOMEM;
    }
    return 0;
}

int normal_new(struct normal **out, const struct imager *im, float *psf, struct err *e)
{
    struct weights w = {0};
    struct normal *op = calloc(1, sizeof *op);
    int rc = -ENOMEM;

    *out = NULL;
    imager_view(im, &w.view);
    imager_info(im, &w.info);
    if (op == NULL)
        goto out;
    op->im = im;
    set_sizes(op, &w);
    op->model = grid_memory(op->my * op->stride * sizeof *op->model);
    op->image = grid_memory(op->nx * op->ny * sizeof *op->image);
    if (op->model == NULL || op->image == NULL ||
        fft_new(&op->fft, op->mx, op->my, op->threads) != 0 ||
        open_weights(&w, op, w.info.accuracy) != 0)
        goto out;
    rc = 0;
    for (size_t q = 0; rc == 0 && q < op->beams; q++)
        rc = make_kernels(op, &w, q, q == 0 ? psf : NULL);
    close_weights(&w);
    w = (struct weights){.info = w.info};
    if (rc == 0)
        rc = open_sums(op);
out:
    close_weights(&w);
    if (rc != 0) {
        normal_free(op);
        return err_set(e, rc, "no memory for the normal operator of %zu x %zu pixels",
                       w.info.nx, w.info.ny);
    }
    *out = op;
    return 0;
}

/* ---- applying it ---- */

struct apply {
    struct normal *op;
    float *image;
    size_t q, power; /* of the beam; j or k */
};

/* op->image *= -tau */
static void next_power(void *arg, size_t lo, size_t hi)
{
    const struct normal *op = ((const struct apply *)arg)->op;

    for (size_t i = lo * op->nx; i < hi * op->nx; i++)
        op->image[i] *= -op->tau[i];
}

/* image -= tau^k op->image */
static void take_off(void *arg, size_t lo, size_t hi)
{
    const struct apply *a = arg;
    size_t nx = a->op->nx;

    for (size_t i = lo * nx; i < hi * nx; i++) {
        float f = a->op->image[i];

        for (size_t k = 0; k < a->power; k++)
            f *= a->op->tau[i];
        a->image[i] -= f;
    }
}

static double binomial(size_t m, size_t k)
{
    double c = 1.0;

    for (size_t i = 1; i <= k; i++)
        c *= (double)(m - k + i) / (double)i;
    return c;
}

/* sum += c kernel model, where the kernel is of even or odd m; the first time sum is set. */
static void add_product(float *sum, const float *kernel, const float *model, float c,
                        size_t n, bool odd, bool first)
{
    if (first)
        memset(sum, 0, 2 * n * sizeof *sum);
    if (odd)
        for (size_t i = 0; i < n; i++) {
            sum[2 * i] -= c * kernel[i] * model[2 * i + 1];
            sum[2 * i + 1] += c * kernel[i] * model[2 * i];
        }
    else
        for (size_t i = 0; i < n; i++) {
            sum[2 * i] += c * kernel[i] * model[2 * i];
            sum[2 * i + 1] += c * kernel[i] * model[2 * i + 1];
        }
}

/* sum[k] += C(j + k, k) kernel[q][j + k] model for all k, rows lo .. hi - 1 */
static void multiply_rows(void *arg, size_t lo, size_t hi)
{
    const struct apply *a = arg;
    struct normal *op = a->op;
    size_t j = a->power, n = op->stride;

    for (size_t row = lo; row < hi; row++)
        for (size_t k = 0; j + k < op->terms[a->q]; k++)
            add_product((float *)(op->sum[k] + row * n),
                        op->kernel[a->q][j + k] + row * n,
                        (const float *)(op->model + row * n), (float)binomial(j + k, k),
                        n, (j + k) % 2 == 1, a->q == 0 && j == 0);
}

void normal_subtract(struct normal *op, const float *model, float *image)
{
    struct apply a = {op, image, 0, 0};

    for (a.q = 0; a.q < op->beams; a.q++) {
        imager_see(op->im, a.q, model, op->image);
        for (a.power = 0; a.power < op->terms[a.q]; a.power++) {
            if (a.power > 0)
                parallel_run_by(op->threads, op->ny, next_power, &a);
            fft_image_to_plane(op->fft, op->image, op->nx, op->ny, op->model,
                               op->stride, op->stride);
            parallel_run_by(op->threads, op->my, multiply_rows, &a);
        }
    }
    for (a.power = 0; a.power < op->terms[0]; a.power++) {
        fft_plane_to_image(op->fft, op->sum[a.power], op->stride, op->stride, op->image,
                           op->nx, op->ny);
        parallel_run_by(op->threads, op->ny, take_off, &a);
    }
}
