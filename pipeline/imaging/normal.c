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

/* The grid of the weights over twice the image: with less the kernel would be too wide. */
#define OVERSAMPLING 1.5

enum { MAX_TERMS = 12 };

/* Planes beyond this many bytes are made in several passes over the samples. */
static const size_t plane_bytes = (size_t)1 << 30;

struct normal {
    size_t nx, ny; /* of the image */
    size_t mx, my,
        stride; /* of the transforms: lags; my rows of `stride` = mx / 2 + 1 cells */
    size_t terms, threads;
    const float *tau; /* [ny][nx], the imager's */
    struct fft *fft;  /* mx, my */
    float
        *kernel[MAX_TERMS]; /* [my][stride] the part of each transform that is not 0 */
    float complex *model;   /* [terms][my][stride] transforms of (-tau)^j model */
    float complex *sum;     /* [my][stride] */
    float *image;           /* [ny][nx] */
};

void normal_free(struct normal *op)
{
    if (op == NULL)
        return;
    fft_free(op->fft);
    for (size_t m = 0; m < MAX_TERMS; m++)
        free(op->kernel[m]);
    free(op->model);
    free(op->sum);
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

    nplane = nplane < 1 ? 1 : nplane > op->terms ? op->terms : nplane;
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
static int keep_kernel(struct normal *op, const float *lag, size_t m)
{
    size_t n = op->my * op->stride;
    const float *part = (const float *)op->sum + m % 2;
    float scale = 1.0f / ((float)op->mx * (float)op->my);

    op->kernel[m] = malloc(n * sizeof(float));
    if (op->kernel[m] == NULL)
        return -ENOMEM;
    fft_image_to_plane(op->fft, lag, op->mx, op->my, op->sum, op->stride, op->stride);
    for (size_t i = 0; i < n; i++)
        op->kernel[m][i] = scale * part[2 * i];
    return 0;
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

static int make_kernels(struct normal *op, struct weights *w, float *psf)
{
    struct plane_fit fit = {w->view.a, w->view.b, 2.0 * M_PI * w->view.tmax};
    size_t nplane = w->grid.nplane;
    int rc = 0;

    for (size_t m = 0; rc == 0 && m < op->terms; m++) {
        if (m % nplane == 0) {
            if (m > 0)
                grid_zero(&w->grid);
            rc = grid_spread(&w->grid, w->view.s, &fit, w->view.wi, NULL, m,
                             op->terms - m < nplane ? op->terms - m : nplane);
            if (rc != 0)
                break;
        }
        make_lags(w, op, m);
        if (psf != NULL)
            add_to_psf(op, w->lag, m, psf);
        rc = keep_kernel(op, w->lag, m);
    }
    return rc;
}

int normal_new(struct normal **out, const struct imager *im, float *psf, struct err *e)
{
    struct weights w = {0};
    struct normal *op = calloc(1, sizeof *op);
    int rc = -ENOMEM;
    size_t n;

    *out = NULL;
    imager_view(im, &w.view);
    imager_info(im, &w.info);
    if (op == NULL)
        goto out;
    op->nx = w.info.nx;
    op->ny = w.info.ny;
    op->mx = fft_good_size(2 * op->nx);
    op->my = fft_good_size(2 * op->ny);
    op->stride = op->mx / 2 + 1;
    op->terms = (size_t)w.info.terms;
    op->threads = w.view.threads;
    op->tau = w.view.tau;
    n = op->my * op->stride;
    op->sum = malloc(n * sizeof *op->sum);
    op->image = malloc(op->nx * op->ny * sizeof *op->image);
    if (op->sum == NULL || op->image == NULL ||
        fft_new(&op->fft, op->mx, op->my, op->threads) != 0 ||
        open_weights(&w, op, w.info.accuracy) != 0)
        goto out;
    rc = make_kernels(op, &w, psf);
    close_weights(&w);
    w = (struct weights){0};
    if (rc == 0 && (op->model = malloc(op->terms * n * sizeof *op->model)) == NULL)
        rc = -ENOMEM;
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
    const float *model;
    float *image;
    size_t power; /* j or k */
};

/* image = (-tau)^j model */
static void weigh_model(void *arg, size_t lo, size_t hi)
{
    const struct apply *a = arg;
    size_t nx = a->op->nx;

    for (size_t i = lo * nx; i < hi * nx; i++) {
        float f = a->model[i];

        for (size_t j = 0; j < a->power; j++)
            f *= -a->op->tau[i];
        a->op->image[i] = f;
    }
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

/* sum = sum over j of C(j + k, k) kernel[j + k] model[j], rows lo .. hi - 1 */
static void multiply_rows(void *arg, size_t lo, size_t hi)
{
    const struct apply *a = arg;
    struct normal *op = a->op;
    size_t k = a->power, n = op->my * op->stride;

    memset(op->sum + lo * op->stride, 0, (hi - lo) * op->stride * sizeof *op->sum);
    for (size_t j = 0; j + k < op->terms; j++) {
        const float *kernel = op->kernel[j + k],
                    *model = (const float *)(op->model + j * n);
        float *sum = (float *)op->sum, c = (float)binomial(j + k, k);

        if ((j + k) % 2 == 0)
            for (size_t i = lo * op->stride; i < hi * op->stride; i++) {
                sum[2 * i] += c * kernel[i] * model[2 * i];
                sum[2 * i + 1] += c * kernel[i] * model[2 * i + 1];
            }
        else
            for (size_t i = lo * op->stride; i < hi * op->stride; i++) {
                sum[2 * i] -= c * kernel[i] * model[2 * i + 1];
                sum[2 * i + 1] += c * kernel[i] * model[2 * i];
            }
    }
}

void normal_subtract(struct normal *op, const float *model, float *image)
{
    size_t n = op->my * op->stride;
    struct apply a = {op, model, image, 0};

    for (a.power = 0; a.power < op->terms; a.power++) {
        parallel_run_by(op->threads, op->ny, weigh_model, &a);
        fft_image_to_plane(op->fft, op->image, op->nx, op->ny, op->model + a.power * n,
                           op->stride, op->stride);
    }
    for (a.power = 0; a.power < op->terms; a.power++) {
        parallel_run_by(op->threads, op->my, multiply_rows, &a);
        fft_plane_to_image(op->fft, op->sum, op->stride, op->stride, op->image, op->nx,
                           op->ny);
        parallel_run_by(op->threads, op->ny, take_off, &a);
    }
}
