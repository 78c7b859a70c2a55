/*
 * normal.c: see normal.h; the kernels are made in normal_kernels.c.
 *
 * Memory decides what a convolution costs, so each number is touched once a pass:
 *   1. rows: a block of rows of the model, times b_q and powers of -tau, is transformed and
 *      written column by column (a block of rows is a cache line of a column);
 *   2. columns: one column of all planes is transformed, multiplied by the kernels, added up
 *      and transformed back, all inside the cache.  The model fills only half of the
 *      transform, and half of the result is wanted, so both are done as two transforms of
 *      half the size, for even and odd cells: X_2k is the transform of x, X_2k+1 that of
 *      x exp(-2 pi i y / my);
 *   3. rows back, times powers of tau, off the image.
 * Threads take the next block or column; none waits for another.
 */
#include "pipeline/imaging/normal.h"

#include <errno.h>
#include <math.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/mem.h"
#include "core/parallel.h"
#include "pipeline/imaging/columns.h"
#include "pipeline/imaging/fft.h"
#include "pipeline/imaging/imager.h"
#include "pipeline/imaging/normal_parts.h"

enum {
    BLOCK = 8,  /* rows; of complex numbers a cache line */
    PIECE = 256 /* cells of a column */
};

static size_t blocks_of(size_t n)
{
    return (n + BLOCK - 1) / BLOCK;
}

static void close_bench(struct normal_bench *b)
{
    free(b->row);
    free(b->sum);
    free(b->half);
    free(b->column);
    free(b->back);
    free(b->even);
}

void normal_free(struct normal *op)
{
    if (op == NULL)
        return;
    for (size_t i = 0; i < PARALLEL_MOST; i++)
        close_bench(&op->bench[i]);
    fft_lines_free(op->fft);
    free(op->turn);
    free(op->kernel);
    free(op->unit);
    free(op->in_block);
    free(op->near);
    free(op->near_most);
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
    op->hx = fft_good_size(op->nx);
    op->hy = fft_good_size(op->ny);
    op->mx = 2 * op->hx;
    op->my = 2 * op->hy;
    op->beams = imager_beam_terms(op->im);
    for (size_t q = 0; q < op->beams; q++) {
        op->terms[q] = imager_kernel_terms(op->im, q);
        op->slot[q] = op->slots;
        op->slots += op->terms[q];
    }
    op->threads = view.threads < PARALLEL_MOST ? view.threads : PARALLEL_MOST;
    op->beam = view.beam;
    op->tau = view.tau;
    op->room = BLOCK * blocks_of(op->ny);
    op->tall = BLOCK * blocks_of(op->hy);
    op->wide = 2 * BLOCK * blocks_of(op->hx);
    op->half = BLOCK * blocks_of(op->hx + 1);
}

static int open_bench(struct normal_bench *b, const struct normal *op)
{
    size_t terms = op->terms[0];

    b->row = mem_huge(BLOCK * op->wide * sizeof *b->row);
    b->sum = mem_huge(BLOCK * op->nx * sizeof *b->sum);
    b->half = mem_huge(BLOCK * op->half * sizeof *b->half);
    b->column = mem_huge(op->slots * op->tall * sizeof *b->column);
    b->back = mem_huge(terms * op->tall * sizeof *b->back);
    b->even = mem_huge(terms * op->tall * sizeof *b->even);
    return b->row == NULL || b->sum == NULL || b->half == NULL || b->column == NULL ||
                   b->back == NULL || b->even == NULL
               ? -ENOMEM
               : 0;
}

static int open_planes(struct normal *op)
{
    size_t ncol = op->hx + 1, kernel = 2 * op->tall;
    size_t column = op->slots * op->room;

    /* A kernel on its way to its transform takes two planes. */
    op->kernel_bytes = ncol * kernel * sizeof *op->plane;
    op->plane_bytes = ncol * column * sizeof *op->plane;
    if (op->plane_bytes < op->kernel_bytes)
        op->plane_bytes = op->kernel_bytes;
    op->kernel = mem_huge(ncol * 2 * op->slots * op->hy * sizeof *op->kernel);
    op->unit = mem_huge(ncol * 2 * op->slots * sizeof *op->unit);
    op->turn = mem_huge(op->hy * sizeof *op->turn);
    op->in_block = calloc(blocks_of(op->my), 1);
    if (imager_space(op->im, op->plane_bytes) == NULL || op->kernel == NULL ||
        op->unit == NULL || op->turn == NULL || op->in_block == NULL ||
        normal_open_near(op) != 0)
        return -ENOMEM;
    for (size_t y = 0; y < op->hy; y++) {
        double phase = -2.0 * M_PI * (double)y / (double)op->my;
        float *cell = (float *)(op->turn + y);

        cell[0] = (float)cos(phase);
        cell[1] = (float)sin(phase);
    }
    for (size_t i = 0; i < op->threads; i++)
        if (open_bench(&op->bench[i], op) != 0)
            return -ENOMEM;
    return fft_lines_new(&op->fft, op->mx, op->hy);
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
    rc = open_planes(op);
    if (rc == 0)
        rc = normal_make_kernels(op, psf);
out:
    if (rc != 0) {
        normal_free(op);
        return err_set(e, rc, "no memory for the normal operator of %zu x %zu pixels",
                       info.nx, info.ny);
    }
    *out = op;
    return 0;
}

/* ---- threads ---- */

/* One pass; its threads take one item after the other. */
struct pass {
    struct normal *op;
    const struct columns *columns;
    void (*work)(const struct pass *p, struct normal_bench *b, size_t item);
    size_t items;
    atomic_size_t next;
    const float *from; /* the model, or the lags of a kernel */
    float *image;
    size_t slot; /* of a kernel */
    bool odd;
};

static void take_items(void *arg, size_t lo, size_t hi)
{
    struct pass *p = arg;

    for (size_t thread = lo; thread < hi; thread++)
        for (size_t i; (i = atomic_fetch_add(&p->next, 1)) < p->items;)
            p->work(p, &p->op->bench[thread], i);
}

static void run(struct pass *p, size_t items,
                void (*work)(const struct pass *, struct normal_bench *, size_t))
{
    p->work = work;
    p->items = items;
    atomic_store(&p->next, 0);
    parallel_run_by(p->op->threads, p->op->threads, take_items, p);
}

/* ---- rows ---- */

/* Rows [BLOCK][half] go to the cells y .. y + BLOCK - 1 of the columns of a plane. */
static void to_columns(const struct normal *op, const float complex *half,
                       float complex *plane, size_t room, size_t y)
{
    for (size_t c = 0; c <= op->hx; c++)
        for (size_t r = 0; r < BLOCK; r++)
            plane[c * room + y + r] = half[r * op->half + c];
}

static void from_columns(const struct normal *op, float complex *half,
                         const float complex *plane, size_t room, size_t y)
{
    for (size_t c = 0; c <= op->hx; c++)
        for (size_t r = 0; r < BLOCK; r++)
            half[r * op->half + c] = plane[c * room + y + r];
}

static float complex *plane_of(const struct normal *op, size_t slot)
{
    return op->plane + slot * (op->hx + 1) * op->room;
}

static bool any(const float *row, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (row[i] != 0.0f)
            return true;
    return false;
}

/* What term q of the beam sees of row y of the model, times (-tau)^j, from j - 1 on. */
static void see_row(const struct pass *p, float *row, size_t q, size_t j, size_t y)
{
    const struct normal *op = p->op;
    const float *tau = op->tau + y * op->nx;

    if (j == 0) {
        memcpy(row, p->from + y * op->nx, op->nx * sizeof *row);
        if (q > 0)
            beam_series_row(op->beam, q, y, row, op->nx);
        return;
    }
    for (size_t x = 0; x < op->nx; x++)
        row[x] *= -tau[x];
}

/* A block of rows of the model to all planes. */
static void model_rows(const struct pass *p, struct normal_bench *b, size_t block)
{
    struct normal *op = p->op;
    size_t y = block * BLOCK;
    bool full[BLOCK] = {false}, some = false;

    for (size_t r = 0; r < BLOCK && y + r < op->ny; r++) {
        full[r] = any(p->from + (y + r) * op->nx, op->nx);
        some |= full[r];
    }
    op->in_block[block] = some;
    if (!some)
        return;
    for (size_t r = 0; r < BLOCK; r++)
        memset(b->row + r * op->wide + op->nx, 0, (op->mx - op->nx) * sizeof *b->row);
    memset(b->half, 0, BLOCK * op->half * sizeof *b->half);
    for (size_t q = 0; q < op->beams; q++)
        for (size_t j = 0; j < op->terms[q]; j++) {
            for (size_t r = 0; r < BLOCK; r++)
                if (full[r]) {
                    see_row(p, b->row + r * op->wide, q, j, y + r);
                    fft_row_to_half(op->fft, b->row + r * op->wide,
                                    b->half + r * op->half);
                }
            to_columns(op, b->half, plane_of(op, op->slot[q] + j), op->room, y);
        }
}

/* image -= sum over k of tau^k plane k, a block of rows. */
static void image_rows(const struct pass *p, struct normal_bench *b, size_t block)
{
    const struct normal *op = p->op;
    size_t y = block * BLOCK, n = op->ny - y < BLOCK ? op->ny - y : BLOCK;

    memset(b->sum, 0, BLOCK * op->nx * sizeof *b->sum);
    for (size_t k = op->terms[0]; k-- > 0;) {
        from_columns(op, b->half, plane_of(op, k), op->room, y);
        for (size_t r = 0; r < n; r++) {
            const float *tau = op->tau + (y + r) * op->nx;
            float *sum = b->sum + r * op->nx;

            fft_half_to_row(op->fft, b->half + r * op->half, b->row);
            for (size_t x = 0; x < op->nx; x++)
                sum[x] = sum[x] * tau[x] + b->row[x];
        }
    }
    for (size_t i = 0; i < n * op->nx; i++)
        p->image[y * op->nx + i] -= b->sum[i];
}

/* ---- columns ---- */

static double binomial(size_t m, size_t k)
{
    double c = 1.0;

    for (size_t i = 1; i <= k; i++)
        c *= (double)(m - k + i) / (double)i;
    return c;
}

/* The even (0) or odd (1) cells of the transform of a column of the model. */
static void transform_column(const struct pass *p, float complex *to,
                             const float complex *from, size_t odd)
{
    const struct normal *op = p->op;
    size_t nblock = blocks_of(op->ny);

    for (size_t first = 0, end; first < nblock; first = end) {
        size_t y = first * BLOCK, n;

        for (end = first + 1; end < nblock && op->in_block[end] == op->in_block[first];)
            end++;
        n = (end * BLOCK < op->ny ? end * BLOCK : op->ny) - y;
        if (!op->in_block[first])
            memset(to + y, 0, n * sizeof *to);
        else if (!odd)
            memcpy(to + y, from + y, n * sizeof *to);
        else
            p->columns->turn(to + y, from + y, op->turn + y, n);
    }
    memset(to + op->ny, 0, (op->hy - op->ny) * sizeof *to);
    fft_column(op->fft, to);
}

/* One column of all kernels. */
struct kernels {
    const int16_t *cell; /* [slots][hy] */
    const float *unit;   /* [slots] */
};

/* back[k] = sum of C(j + k, k) kernel (q, j + k) column (q, j), for n cells from `at` on. */
static void multiply_cells(const struct pass *p, struct normal_bench *b,
                           const struct kernels *kernels, size_t at, size_t n)
{
    const struct normal *op = p->op;

    for (size_t k = 0; k < op->terms[0]; k++)
        for (size_t q = 0; q < op->beams; q++)
            for (size_t j = 0; j + k < op->terms[q]; j++) {
                size_t slot = op->slot[q] + j + k;

                p->columns->add(b->back + k * op->tall + at,
                                kernels->cell + slot * op->hy + at,
                                b->column + (op->slot[q] + j) * op->tall + at,
                                (float)binomial(j + k, k) * kernels->unit[slot], n,
                                (j + k) % 2 == 1, q == 0 && j == 0);
            }
}

/* The products of column c of all planes, a piece at a time that all stays in the innermost
 * cache. */
static void multiply_column(const struct pass *p, struct normal_bench *b, size_t c,
                            size_t odd)
{
    const struct normal *op = p->op;
    size_t first = (2 * c + odd) * op->slots;
    struct kernels kernels = {op->kernel + first * op->hy, op->unit + first};

    for (size_t slot = 0; slot < op->slots; slot++)
        transform_column(p, b->column + slot * op->tall,
                         plane_of(op, slot) + c * op->room, odd);
    for (size_t at = 0; at < op->hy; at += PIECE)
        multiply_cells(p, b, &kernels, at, op->hy - at < PIECE ? op->hy - at : PIECE);
}

/* Column c of all planes: the sums take the places of the first planes. */
static void one_column(const struct pass *p, struct normal_bench *b, size_t c)
{
    const struct normal *op = p->op;

    for (size_t odd = 0; odd < 2; odd++) {
        multiply_column(p, b, c, odd);
        for (size_t k = 0; k < op->terms[0]; k++) {
            float complex *back = b->back + k * op->tall;

            fft_column_back(op->fft, back);
            if (!odd)
                memcpy(b->even + k * op->tall, back, op->ny * sizeof *back);
        }
    }
    for (size_t k = 0; k < op->terms[0]; k++)
        p->columns->turn_back(plane_of(op, k) + c * op->room, b->even + k * op->tall,
                              b->back + k * op->tall, op->turn, op->ny);
}

void normal_subtract(struct normal *op, const float *model, float *image)
{
    struct pass p = {
        .op = op, .columns = columns_best(), .from = model, .image = image};

    op->plane = imager_space(op->im, op->plane_bytes);
    run(&p, blocks_of(op->ny), model_rows);
    run(&p, op->hx + 1, one_column);
    run(&p, blocks_of(op->ny), image_rows);
}

/* ---- the kernels ---- */

/* Lags on two planes, y < hy and the rest, lag 0 in the first cell. */
static void kernel_rows(const struct pass *p, struct normal_bench *b, size_t block)
{
    const struct normal *op = p->op;
    size_t each = blocks_of(op->hy), top = block / each, y = block % each * BLOCK;

    for (size_t r = 0; r < BLOCK && y + r < op->hy; r++) {
        const float *lag = p->from + (y + r + (top ? 0 : op->hy)) * op->mx;
        float *row = b->row + r * op->wide;

        memcpy(row, lag + op->hx, op->hx * sizeof *row);
        memcpy(row + op->hx, lag, op->hx * sizeof *row);
        fft_row_to_half(op->fft, row, b->half + r * op->half);
    }
    to_columns(op, b->half, op->plane + top * (op->hx + 1) * op->tall, op->tall, y);
}

/*
 * Keep every other number of a column, times `scale`: the roots, as 16 bits over the largest of the
 * column, so that small weights, which are most, err less.  The errors are independent, and an
 * image is the sum over some million cells.
 */
static void keep_column(int16_t *kernel, float *unit, const float *part, float scale,
                        size_t n)
{
    float most = 0.0f, up;

    for (size_t i = 0; i < n; i++)
        most = fabsf(part[2 * i]) > most ? fabsf(part[2 * i]) : most;
    *unit = scale * most / ((float)INT16_MAX * (float)INT16_MAX);
    up = most > 0.0f ? INT16_MAX / sqrtf(most) : 0.0f;
    for (size_t i = 0; i < n; i++)
        kernel[i] =
            (int16_t)lrintf(copysignf(up * sqrtf(fabsf(part[2 * i])), part[2 * i]));
}

static void kernel_column(const struct pass *p, struct normal_bench *b, size_t c)
{
    const struct normal *op = p->op;
    const float *low = (const float *)(op->plane + c * op->tall);
    const float *high = low + 2 * (op->hx + 1) * op->tall;
    float scale = 1.0f / ((float)op->mx * (float)op->my), *to = (float *)b->column;

    for (size_t odd = 0; odd < 2; odd++) {
        size_t slot = (2 * c + odd) * op->slots + p->slot;

        for (size_t i = 0; i < 2 * op->hy; i++)
            to[i] = odd ? low[i] - high[i] : low[i] + high[i];
        if (odd) {
            memcpy(b->back, b->column, op->hy * sizeof *b->back);
            p->columns->turn(b->column, b->back, op->turn, op->hy);
        }
        fft_column(op->fft, b->column);
        /* Of even m only the real part is not 0, of odd m the imaginary one. */
        keep_column(op->kernel + slot * op->hy, op->unit + slot, to + p->odd, scale,
                    op->hy);
    }
}

void normal_set_kernel(struct normal *op, size_t q, size_t m, const float *lag)
{
    struct pass p = {.op = op,
                     .columns = columns_best(),
                     .from = lag,
                     .slot = op->slot[q] + m,
                     .odd = m % 2 == 1};

    op->plane = imager_space(op->im, op->kernel_bytes);
    run(&p, 2 * blocks_of(op->hy), kernel_rows);
    run(&p, op->hx + 1, kernel_column);
}
