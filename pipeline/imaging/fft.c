/*
 * fft.c: two-dimensional real transforms as batches of one-dimensional ones.
 *
 * Columns first (towards the image): BATCH columns are gathered into a contiguous buffer
 * that fits the cache, transformed, and the rows inside the image written back.  Then
 * each of these rows goes through a complex-to-real transform.  The adjoint runs the other way.
 */
#include "pipeline/imaging/fft.h"

#include <errno.h>
#include <math.h>
#include <fftw3.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/parallel.h"

enum { BATCH = 16 };

/* What one thread works in. */
struct bench {
    float complex *column; /* [BATCH][nv] */
    float complex *half;   /* [nu/2 + 1] one row of the plane */
    float *row;            /* [nu] one row of the image, origin at [0] */
};

struct fft {
    size_t nu, nv, nthread;
    struct bench bench[PARALLEL_MOST];
    fftwf_plan to_image, to_plane; /* BATCH columns, in place */
    fftwf_plan row_to_image, row_to_plane;
};

size_t fft_good_size(size_t n)
{
    /* 2560 takes a third of the time of 2430 = 2 3^5 5 */
    size_t step = n < 256 ? 2 : 32;

    for (size_t m = n < 2 ? 2 : (n + step - 1) / step * step;; m += step) {
        size_t rest = m;

        for (size_t p = 2; p <= 5; p += p == 2 ? 1 : 2)
            while (rest % p == 0)
                rest /= p;
        if (rest == 1)
            return m;
    }
}

size_t fft_near_size(double n)
{
    size_t up = fft_good_size((size_t)ceil(n)), down = up;

    for (size_t m = up; m > 2 && down == up; m--)
        if (fft_good_size(m - 1) < up)
            down = m - 1;
    return n - (double)down < (double)up - n ? down : up;
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
    for (size_t i = 0; i < PARALLEL_MOST; i++) {
        fftwf_free(fft->bench[i].column);
        fftwf_free(fft->bench[i].half);
        fftwf_free(fft->bench[i].row);
    }
    free(fft);
}

static bool make_bench(struct bench *b, size_t nu, size_t nv)
{
    b->column = fftwf_malloc(BATCH * nv * sizeof *b->column);
    b->half = fftwf_malloc((nu / 2 + 1) * sizeof *b->half);
    b->row = fftwf_malloc(nu * sizeof *b->row);
    return b->column != NULL && b->half != NULL && b->row != NULL;
}

int fft_new(struct fft **out, size_t nu, size_t nv, size_t nthread)
{
    struct fft *fft = calloc(1, sizeof *fft);
    int n_u = (int)nu, n_v = (int)nv;
    struct bench *b;

    *out = NULL;
    if (fft == NULL)
        return -ENOMEM;
    fft->nu = nu;
    fft->nv = nv;
    fft->nthread = nthread < 1 ? 1 : nthread > PARALLEL_MOST ? PARALLEL_MOST : nthread;
    for (size_t i = 0; i < fft->nthread; i++)
        if (!make_bench(&fft->bench[i], nu, nv))
            goto fail;
    b = &fft->bench
             [0]; /* the plans hold for the others, too: fftwf_malloc aligns all alike */
    fft->to_image =
        fftwf_plan_many_dft(1, &n_v, BATCH, b->column, NULL, 1, n_v, b->column, NULL, 1,
                            n_v, FFTW_FORWARD, FFTW_ESTIMATE);
    fft->to_plane =
        fftwf_plan_many_dft(1, &n_v, BATCH, b->column, NULL, 1, n_v, b->column, NULL, 1,
                            n_v, FFTW_BACKWARD, FFTW_ESTIMATE);
    fft->row_to_image = fftwf_plan_dft_c2r_1d(n_u, b->half, b->row, FFTW_ESTIMATE);
    fft->row_to_plane = fftwf_plan_dft_r2c_1d(n_u, b->row, b->half, FFTW_ESTIMATE);
    if (fft->to_image == NULL || fft->to_plane == NULL || fft->row_to_image == NULL ||
        fft->row_to_plane == NULL)
        goto fail;
    *out = fft;
    return 0;

fail:
    fft_free(fft);
    return -ENOMEM;
}

/* One transform under way; its threads take every nthread-th batch of columns or rows. */
struct pass {
    struct fft *fft;
    float complex *plane;
    size_t rows, stride, ncol;
    float *image;
    const float *from;
    size_t nx, ny;
};

/* Where row y of an image of ny lies among n cells that begin with the origin. */
static size_t wrapped(size_t y, size_t ny, size_t n)
{
    return y < ny / 2 ? y + n - ny / 2 : y - ny / 2;
}

/* Columns first .. first + n - 1; the rows of the image end up as rows 0 .. ny - 1. */
static void columns_to_image(const struct pass *p, float complex *column, size_t first,
                             size_t n)
{
    size_t nv = p->fft->nv;

    memset(column, 0, BATCH * nv * sizeof *column);
    for (size_t r = 0; r < p->rows; r++) {
        size_t v = wrapped(r, p->rows, nv);

        for (size_t b = 0; b < n; b++)
            column[b * nv + v] = p->plane[r * p->stride + first + b];
    }
    fftwf_execute_dft(p->fft->to_image, column, column);
    for (size_t y = 0; y < p->ny; y++) {
        size_t v = wrapped(y, p->ny, nv);

        for (size_t b = 0; b < n; b++)
            p->plane[y * p->stride + first + b] = column[b * nv + v];
    }
}

static void columns_to_plane(const struct pass *p, float complex *column, size_t first,
                             size_t n)
{
    size_t nv = p->fft->nv;

    memset(column, 0, BATCH * nv * sizeof *column);
    for (size_t y = 0; y < p->ny; y++) {
        size_t v = wrapped(y, p->ny, nv);

        for (size_t b = 0; b < n; b++)
            column[b * nv + v] = p->plane[y * p->stride + first + b];
    }
    fftwf_execute_dft(p->fft->to_plane, column, column);
    for (size_t r = 0; r < p->rows; r++) {
        size_t v = wrapped(r, p->rows, nv);

        for (size_t b = 0; b < n; b++)
            p->plane[r * p->stride + first + b] = column[b * nv + v];
    }
}

/* The batches of columns of one thread. */
static void all_columns(const struct pass *p, size_t thread,
                        void (*one)(const struct pass *p, float complex *column,
                                    size_t first, size_t n))
{
    for (size_t c = thread * BATCH; c < p->ncol; c += p->fft->nthread * BATCH)
        one(p, p->fft->bench[thread].column, c,
            p->ncol - c < BATCH ? p->ncol - c : BATCH);
}

static void image_columns(void *arg, size_t lo, size_t hi)
{
    for (size_t i = lo; i < hi; i++)
        all_columns(arg, i, columns_to_image);
}

static void plane_columns(void *arg, size_t lo, size_t hi)
{
    for (size_t i = lo; i < hi; i++)
        all_columns(arg, i, columns_to_plane);
}

static void image_rows(void *arg, size_t lo, size_t hi)
{
    const struct pass *p = arg;
    size_t h = p->nx / 2, nu = p->fft->nu, nhalf = nu / 2 + 1;

    for (size_t i = lo; i < hi; i++)
        for (size_t y = i; y < p->ny; y += p->fft->nthread) {
            const struct bench *b = &p->fft->bench[i];
            float *to = p->image + y * p->nx;

            memcpy(b->half, p->plane + y * p->stride, p->ncol * sizeof *b->half);
            memset(b->half + p->ncol, 0, (nhalf - p->ncol) * sizeof *b->half);
            fftwf_execute_dft_c2r(p->fft->row_to_image, b->half, b->row);
            memcpy(to, b->row + nu - h, h * sizeof *to);
            memcpy(to + h, b->row, (p->nx - h) * sizeof *to);
        }
}

static void plane_rows(void *arg, size_t lo, size_t hi)
{
    const struct pass *p = arg;
    size_t h = p->nx / 2, nu = p->fft->nu;

    for (size_t i = lo; i < hi; i++)
        for (size_t y = i; y < p->ny; y += p->fft->nthread) {
            const struct bench *b = &p->fft->bench[i];
            const float *from = p->from + y * p->nx;

            memset(b->row, 0, nu * sizeof *b->row);
            memcpy(b->row + nu - h, from, h * sizeof *from);
            memcpy(b->row, from + h, (p->nx - h) * sizeof *from);
            fftwf_execute_dft_r2c(p->fft->row_to_plane, b->row, b->half);
            memcpy(p->plane + y * p->stride, b->half, p->ncol * sizeof *b->half);
        }
}

void fft_plane_to_image(struct fft *fft, float complex *plane, size_t rows,
                        size_t stride, size_t ncol, float *image, size_t nx, size_t ny)
{
    struct pass p = {fft, plane, rows, stride, ncol, image, NULL, nx, ny};

    parallel_run_by(fft->nthread, fft->nthread, image_columns, &p);
    parallel_run_by(fft->nthread, fft->nthread, image_rows, &p);
}

void fft_image_to_plane(struct fft *fft, const float *image, size_t nx, size_t ny,
                        float complex *plane, size_t rows, size_t stride, size_t ncol)
{
    struct pass p = {fft, plane, rows, stride, ncol, NULL, image, nx, ny};

    parallel_run_by(fft->nthread, fft->nthread, plane_rows, &p);
    parallel_run_by(fft->nthread, fft->nthread, plane_columns, &p);
}

/* ---- lines ---- */

struct fft_lines {
    fftwf_plan to_half, to_row, column, column_back;
};

void fft_lines_free(struct fft_lines *fft)
{
    if (fft == NULL)
        return;
    fftwf_plan plans[] = {fft->to_half, fft->to_row, fft->column, fft->column_back};
    for (size_t i = 0; i < sizeof plans / sizeof plans[0]; i++)
        if (plans[i] != NULL)
            fftwf_destroy_plan(plans[i]);
    free(fft);
}

int fft_lines_new(struct fft_lines **out, size_t nreal, size_t ncomplex)
{
    struct fft_lines *fft = calloc(1, sizeof *fft);
    float complex *half = fftwf_malloc((nreal / 2 + 1) * sizeof *half);
    float complex *column = fftwf_malloc(ncomplex * sizeof *column);
    float *row = fftwf_malloc(nreal * sizeof *row);
    bool done = false;

    *out = NULL;
    if (fft != NULL && half != NULL && column != NULL && row != NULL) {
        fft->to_half = fftwf_plan_dft_r2c_1d((int)nreal, row, half, FFTW_ESTIMATE);
        fft->to_row = fftwf_plan_dft_c2r_1d((int)nreal, half, row, FFTW_ESTIMATE);
        fft->column = fftwf_plan_dft_1d((int)ncomplex, column, column, FFTW_FORWARD,
                                        FFTW_ESTIMATE);
        fft->column_back = fftwf_plan_dft_1d((int)ncomplex, column, column,
                                             FFTW_BACKWARD, FFTW_ESTIMATE);
        done = fft->to_half != NULL && fft->to_row != NULL && fft->column != NULL &&
               fft->column_back != NULL;
    }
    fftwf_free(half);
    fftwf_free(column);
    fftwf_free(row);
    if (!done) {
        fft_lines_free(fft);
        return -ENOMEM;
    }
    *out = fft;
    return 0;
}

void fft_row_to_half(const struct fft_lines *fft, const float *row, float complex *half)
{
    fftwf_execute_dft_r2c(fft->to_half, (float *)row, half);
}

void fft_half_to_row(const struct fft_lines *fft, float complex *half, float *row)
{
    fftwf_execute_dft_c2r(fft->to_row, half, row);
}

void fft_column(const struct fft_lines *fft, float complex *column)
{
    fftwf_execute_dft(fft->column, column, column);
}

void fft_column_back(const struct fft_lines *fft, float complex *column)
{
    fftwf_execute_dft(fft->column_back, column, column);
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

    if (a == NULL || b == NULL || (rc = fft_new(&fft, nu, nv, 1)) != 0)
        goto out;
    fft_image_to_plane(fft, image, nx, ny, a, nv, nhalf, nhalf);
    fft_image_to_plane(fft, kernel, kx, ky, b, nv, nhalf, nhalf);
    float *fa = (float *)a, *fb = (float *)b;
    for (size_t i = 0; i < 2 * nv * nhalf; i += 2) {
        float re = fa[i] * fb[i] - fa[i + 1] * fb[i + 1];
        float im = fa[i] * fb[i + 1] + fa[i + 1] * fb[i];

        fa[i] = scale * re;
        fa[i + 1] = scale * im;
    }
    fft_plane_to_image(fft, a, nv, nhalf, nhalf, image, nx, ny);
    rc = 0;
out:
    fft_free(fft);
    fftwf_free(a);
    fftwf_free(b);
    return rc;
}
