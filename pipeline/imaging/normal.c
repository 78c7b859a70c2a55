/* normal.c: see normal.h; the kernels are made in normal_kernels.c. */
#include "pipeline/imaging/normal.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/mem.h"
#include "core/parallel.h"
#include "pipeline/imaging/fft.h"
#include "pipeline/imaging/grid.h"
#include "pipeline/imaging/imager.h"
#include "pipeline/imaging/normal_parts.h"

void normal_free(struct normal *op)
{
    if (op == NULL)
        return;
    fft_free(op->fft);
    for (size_t q = 0; q < NORMAL_BEAMS; q++)
        for (size_t m = 0; m < NORMAL_TERMS; m++)
            free(op->kernel[q][m]);
    for (size_t k = 0; k < NORMAL_TERMS; k++)
        free(op->sum[k]);
    free(op->model);
    free(op->image);
    free(op);
}

static void set_sizes(struct normal *op)
{
    struct imager_view view;
    struct imager_info info;

    imager_view(op->im, &view);
    imager_info(op->im, &info);
    op->nx = info.nx;
    op->ny = info.ny;
    op->mx = fft_good_size(2 * op->nx);
    op->my = fft_good_size(2 * op->ny);
    op->stride = op->mx / 2 + 1;
    op->beams = imager_beam_terms(op->im);
    for (size_t q = 0; q < op->beams; q++)
        op->terms[q] = imager_terms(op->im, q);
    op->threads = view.threads;
    op->tau = view.tau;
}

/* What applying takes, beyond what making the kernels did. */
static int open_sums(struct normal *op)
{
    size_t n = op->my * op->stride;

    for (size_t k = 0; k < op->terms[0]; k++) {
        op->sum[k] = mem_huge(n * sizeof *op->sum[k]);
        if (op->sum[k] == NULL)
            return -ENOMEM;
    }
    return 0;
}

int normal_new(struct normal **out, const struct imager *im, float *psf, struct err *e)
{
    struct normal *op = calloc(1, sizeof *op);
    struct imager_info info;
    int rc = -ENOMEM;

    *out = NULL;
    imager_info(im, &info);
    if (op == NULL)
        goto out;
    op->im = im;
    set_sizes(op);
    op->model = mem_huge(op->my * op->stride * sizeof *op->model);
    op->image = mem_huge(op->nx * op->ny * sizeof *op->image);
    if (op->model == NULL || op->image == NULL ||
        fft_new(&op->fft, op->mx, op->my, op->threads) != 0)
        goto out;
    rc = normal_make_kernels(op, psf);
    if (rc == 0)
        rc = open_sums(op);
out:
    if (rc != 0) {
        normal_free(op);
        return err_set(e, rc, "no memory for the normal operator of %zu x %zu pixels",
                       info.nx, info.ny);
    }
    *out = op;
    return 0;
}

int normal_set_kernel(struct normal *op, size_t q, size_t m, const float *lag)
{
    size_t n = op->my * op->stride;
    /* Of even m only the real part is not 0, of odd m the imaginary one. */
    const float *part = (const float *)op->model + m % 2;
    float scale = 1.0f / ((float)op->mx * (float)op->my);
    float *kernel = mem_huge(n * sizeof *kernel);

    if (kernel == NULL)
        return -ENOMEM;
    fft_image_to_plane(op->fft, lag, op->mx, op->my, op->model, op->stride, op->stride);
    for (size_t i = 0; i < n; i++)
        kernel[i] = scale * part[2 * i];
    op->kernel[q][m] = kernel;
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
