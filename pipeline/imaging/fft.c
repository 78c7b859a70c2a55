/*
 * fft.c: two-dimensional real transforms as batches of one-dimensional ones.
 *
 * Columns first (towards the image): BATCH columns are gathered into a contiguous buffer
 * that fits the cache, transformed, and the rows inside the image written back.  Then
 * each of these rows goes through a complex-to-real transform.  The adjoint runs the other way.
 */
#include "pipeline/imaging/fft.h"

#include <errno.h>
#include <fftw3.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 16 };

struct fft {
    size_t nu, nv;
    float complex *column;         /* [BATCH][nv] */
    float complex *half;           /* [nu/2 + 1] one row of the plane */
    float *row;                    /* [nu] one row of the image, origin at [0] */
    fftwf_plan to_image, to_plane; /* BATCH columns, in place */
    fftwf_plan row_to_image, row_to_plane;
};

size_t fft_good_size(size_t n)
{
    for (size_t m = n < 2 ? 2 : n + n % 2;; m += 2) {
        size_t rest = m;

        for (size_t p = 2; p <= 5; p += p == 2 ? 1 : 2)
            while (rest % p == 0)
                rest /= p;
        if (rest == 1)
            return m;
    }
}

void fft_free(struct fft *fft)
{
    if (fft == NULL)
        return;
    fftwf_plan plans[] = {fft->to_image, fft->to_plane, fft->row_to_image,
                          fft->row_to_plane};
    for (size_t i = 0; i < sizeof plans / sizeof plans[0]; i++)
        if (plans[i] != NULL)
            fftwf_destroy_plan(plans[i]);
    fftwf_free(fft->column);
    fftwf_free(fft->half);
    fftwf_free(fft->row);
    free(fft);
}

int fft_new(struct fft **out, size_t nu, size_t nv)
{
    struct fft *fft = calloc(1, sizeof *fft);
    int n_u = (int)nu, n_v = (int)nv;

    *out = NULL;
    if (fft == NULL)
        return -ENOMEM;
    fft->nu = nu;
    fft->nv = nv;
    fft->column = fftwf_malloc(BATCH * nv * sizeof *fft->column);
    fft->half = fftwf_malloc((nu / 2 + 1) * sizeof *fft->half);
    fft->row = fftwf_malloc(nu * sizeof *fft->row);
    if (fft->column == NULL || fft->half == NULL || fft->row == NULL)
        goto fail;
    fft->to_image =
        fftwf_plan_many_dft(1, &n_v, BATCH, fft->column, NULL, 1, n_v, fft->column,
                            NULL, 1, n_v, FFTW_FORWARD, FFTW_ESTIMATE);
    fft->to_plane =
        fftwf_plan_many_dft(1, &n_v, BATCH, fft->column, NULL, 1, n_v, fft->column,
                            NULL, 1, n_v, FFTW_BACKWARD, FFTW_ESTIMATE);
    fft->row_to_image = fftwf_plan_dft_c2r_1d(n_u, fft->half, fft->row, FFTW_ESTIMATE);
    fft->row_to_plane = fftwf_plan_dft_r2c_1d(n_u, fft->row, fft->half, FFTW_ESTIMATE);
    if (fft->to_image == NULL || fft->to_plane == NULL || fft->row_to_image == NULL ||
        fft->row_to_plane == NULL)
        goto fail;
    *out = fft;
    return 0;

fail:
    fft_free(fft);
    return -ENOMEM;
}

/* Columns first .. first + n - 1; the rows of the image end up as rows 0 .. ny - 1. */
static void columns_to_image(struct fft *fft, float complex *plane, size_t stride,
                             size_t first, size_t n, size_t ny)
{
    size_t nv = fft->nv;

    memset(fft->column, 0, BATCH * nv * sizeof *fft->column);
    for (size_t r = 0; r < nv; r++) {
        size_t v = r < nv / 2 ? r + nv / 2 : r - nv / 2; /* v mod nv */

        for (size_t b = 0; b < n; b++)
            fft->column[b * nv + v] = plane[r * stride + first + b];
    }
    fftwf_execute(fft->to_image);
    for (size_t y = 0; y < ny; y++) {
        size_t v = y < ny / 2 ? y + nv - ny / 2 : y - ny / 2;

        for (size_t b = 0; b < n; b++)
            plane[y * stride + first + b] = fft->column[b * nv + v];
    }
}

static void columns_to_plane(struct fft *fft, float complex *plane, size_t stride,
                             size_t first, size_t n, size_t ny)
{
    size_t nv = fft->nv;

    memset(fft->column, 0, BATCH * nv * sizeof *fft->column);
    for (size_t y = 0; y < ny; y++) {
        size_t v = y < ny / 2 ? y + nv - ny / 2 : y - ny / 2;

        for (size_t b = 0; b < n; b++)
            fft->column[b * nv + v] = plane[y * stride + first + b];
    }
    fftwf_execute(fft->to_plane);
    for (size_t r = 0; r < nv; r++) {
        size_t v = r < nv / 2 ? r + nv / 2 : r - nv / 2;

        for (size_t b = 0; b < n; b++)
            plane[r * stride + first + b] = fft->column[b * nv + v];
    }
}

void fft_plane_to_image(struct fft *fft, float complex *plane, size_t stride,
                        size_t ncol, float *image, size_t nx, size_t ny)
{
    size_t h = nx / 2, nu = fft->nu, nhalf = nu / 2 + 1;

    for (size_t c = 0; c < ncol; c += BATCH)
        columns_to_image(fft, plane, stride, c, ncol - c < BATCH ? ncol - c : BATCH,
                         ny);
    for (size_t y = 0; y < ny; y++) {
        memcpy(fft->half, plane + y * stride, ncol * sizeof *fft->half);
        memset(fft->half + ncol, 0, (nhalf - ncol) * sizeof *fft->half);
        fftwf_execute(fft->row_to_image);
        memcpy(image + y * nx, fft->row + nu - h, h * sizeof *image);
        memcpy(image + y * nx + h, fft->row, (nx - h) * sizeof *image);
    }
}

void fft_image_to_plane(struct fft *fft, const float *image, size_t nx, size_t ny,
                        float complex *plane, size_t stride, size_t ncol)
{
    size_t h = nx / 2, nu = fft->nu;

    for (size_t y = 0; y < ny; y++) {
        memset(fft->row, 0, nu * sizeof *fft->row);
        memcpy(fft->row + nu - h, image + y * nx, h * sizeof *image);
        memcpy(fft->row, image + y * nx + h, (nx - h) * sizeof *image);
        fftwf_execute(fft->row_to_plane);
        memcpy(plane + y * stride, fft->half, ncol * sizeof *fft->half);
    }
    for (size_t c = 0; c < ncol; c += BATCH)
        columns_to_plane(fft, plane, stride, c, ncol - c < BATCH ? ncol - c : BATCH,
                         ny);
}

int fft_convolve(float *image, size_t nx, size_t ny, const float *kernel, size_t kx,
                 size_t ky)
{
    size_t nu = fft_good_size(nx + kx), nv = fft_good_size(ny + ky), nhalf = nu / 2 + 1;
    float scale = 1.0f / ((float)nu * (float)nv);
    struct fft *fft = NULL;
    float complex *a = fftwf_malloc(nv * nhalf * sizeof *a);
    float complex *b = fftwf_malloc(nv * nhalf * sizeof *b);
    int rc = -ENOMEM;

    if (a == NULL || b == NULL || (rc = fft_new(&fft, nu, nv)) != 0)
        goto out;
    fft_image_to_plane(fft, image, nx, ny, a, nhalf, nhalf);
    fft_image_to_plane(fft, kernel, kx, ky, b, nhalf, nhalf);
    float *fa = (float *)a, *fb = (float *)b;
    for (size_t i = 0; i < 2 * nv * nhalf; i += 2) {
        float re = fa[i] * fb[i] - fa[i + 1] * fb[i + 1];
        float im = fa[i] * fb[i + 1] + fa[i + 1] * fb[i];

        fa[i] = scale * re;
        fa[i + 1] = scale * im;
    }
    fft_plane_to_image(fft, a, nhalf, nhalf, image, nx, ny);
    rc = 0;
out:
    fft_free(fft);
    fftwf_free(a);
    fftwf_free(b);
    return rc;
}
