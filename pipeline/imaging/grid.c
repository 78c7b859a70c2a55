/*
 * grid.c: planes, and their margins; the loops over the samples are in runs.c.
 */
#include "pipeline/imaging/grid.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/parallel.h"

void grid_init(struct grid *g, size_t nu, size_t nv, size_t nplane, size_t part,
               double cell_rad, const struct kernel *ker)
{
    *g = (struct grid){.part = part,
                       .nu = nu,
                       .nv = nv,
                       .rows = nv,
                       .nplane = nplane,
                       .cell_rad = cell_rad,
                       .stride = nu / 2 + 1 + 2 * GRID_MARGIN,
                       .nrow = nv + 2 * GRID_MARGIN,
                       .ker = ker,
                       .nthread = 1,
                       .code = cpu_best()};
}

void grid_crop(struct grid *g, double u, double v, size_t least)
{
    double cols = u * (double)g->nu * g->cell_rad,
           half = v * (double)g->nv * g->cell_rad;

    half = fmax(half, 0.5 * (double)least);
    if (half + GRID_MARGIN < (double)(g->nv / 2))
        g->rows = 2 * ((size_t)half + GRID_MARGIN);
    if (cols + GRID_MARGIN < (double)(g->nu / 2))
        g->stride = (size_t)cols + 3 * GRID_MARGIN;
    g->nrow = g->rows + 2 * GRID_MARGIN;
}

size_t grid_bytes(const struct grid *g)
{
    return g->nplane * g->nrow * g->stride * g->part * sizeof *g->cell;
}

int grid_open(struct grid *g)
{
    /* A patch touches a page a row and plane. */
    g->own = g->cell = mem_huge(grid_bytes(g));
    return g->cell == NULL ? -ENOMEM : 0;
}

void grid_close(struct grid *g)
{
    free(g->own);
    g->own = g->cell = NULL;
}

void grid_borrow(struct grid *g, void *memory)
{
    grid_close(g);
    g->cell = memory;
    grid_zero(g);
}

void grid_zero(struct grid *g)
{
    parallel_zero(g->nthread, g->cell, grid_bytes(g));
}

static float complex *row_start(const struct grid *g, size_t p, size_t row)
{
    return (float complex *)g->cell + (p * g->nrow + row) * g->stride;
}

float complex *grid_plane(const struct grid *g, size_t p)
{
    return row_start(g, p, GRID_MARGIN) + GRID_MARGIN;
}

/* The row where v and -v of each row are kept: v mod nv, inside the margins.  (With fewer rows than
 * nv there is nothing where they end, and it is no matter that the ends meet.) */
static size_t home_row(const struct grid *g, size_t row)
{
    return GRID_MARGIN + (row - GRID_MARGIN + g->rows) % g->rows;
}

static size_t mirror_row(const struct grid *g, size_t row)
{
    return home_row(g, 2 * GRID_MARGIN + g->rows - row);
}

/* The column inside the half plane that is the conjugate of margin column c. */
static size_t mirror_column(const struct grid *g, size_t c)
{
    return c < GRID_MARGIN ? 2 * GRID_MARGIN - c : g->nu + 2 * GRID_MARGIN - c;
}

struct halve {
    const struct grid *g;
    size_t p;
};

/* Columns that stand for two: all but u = 0 and the last of a whole plane. */
static void halve_rows(void *arg, size_t lo, size_t hi)
{
    const struct halve *h = arg;
    size_t end = GRID_MARGIN + h->g->nu / 2;

    end = end < h->g->stride ? end : h->g->stride;
    for (size_t r = GRID_MARGIN + lo; r < GRID_MARGIN + hi; r++) {
        float *row = (float *)row_start(h->g, h->p, r);

        for (size_t c = 2 * (GRID_MARGIN + 1); c < 2 * end; c++)
            row[c] *= 0.5f;
    }
}

void grid_fold(struct grid *g, size_t p)
{
    size_t left = GRID_MARGIN, right = GRID_MARGIN + g->nu / 2;

    for (size_t r = 0; r < g->nrow; r++) {
        float *from = (float *)row_start(g, p, r);
        float *to = (float *)row_start(g, p, home_row(g, r));

        for (size_t c = 0; from != to && c < 2 * g->stride; c++)
            to[c] += from[c];
    }
    for (size_t r = GRID_MARGIN; r < GRID_MARGIN + g->rows; r++) {
        const float *from = (const float *)row_start(g, p, r);
        float *to = (float *)row_start(g, p, mirror_row(g, r));

        for (size_t c = 0; c < g->stride; c = c + 1 == left ? right + 1 : c + 1) {
            size_t m = mirror_column(g, c);

            to[2 * m] += from[2 * c];
            to[2 * m + 1] -= from[2 * c + 1];
        }
    }
    parallel_run_by(g->nthread, g->rows, halve_rows, &(struct halve){g, p});
}

void grid_unfold(struct grid *g, size_t p)
{
    size_t left = GRID_MARGIN, right = GRID_MARGIN + g->nu / 2;

    for (size_t r = GRID_MARGIN; r < GRID_MARGIN + g->rows; r++) {
        const float *from = (const float *)row_start(g, p, mirror_row(g, r));
        float *to = (float *)row_start(g, p, r);

        for (size_t c = 0; c < g->stride; c = c + 1 == left ? right + 1 : c + 1) {
            size_t m = mirror_column(g, c);

            to[2 * c] = from[2 * m];
            to[2 * c + 1] = -from[2 * m + 1];
        }
    }
    for (size_t r = 0; r < g->nrow; r++)
        if (home_row(g, r) != r)
            memcpy(row_start(g, p, r), row_start(g, p, home_row(g, r)),
                   g->stride * sizeof(float complex));
}

struct turn {
    struct grid *to;
    const struct grid *from;
    size_t p, m;
};

static void turn_rows(void *arg, size_t lo, size_t hi)
{
    static const float sign[4] = {1, -1, -1, 1};
    const struct turn *t = arg;
    const struct grid *from = t->from;
    size_t odd = t->m % 2, above = (t->to->rows - from->rows) / 2;

    for (size_t r = lo; r < hi; r++) {
        float *cell = t->to->cell + r * t->to->stride * 2;
        const float *real;

        memset(cell, 0, t->to->stride * 2 * sizeof *cell);
        if (r < above || r - above >= from->nrow)
            continue;
        real = from->cell + (t->p * from->nrow + r - above) * from->stride;
        for (size_t c = 0; c < from->stride; c++)
            cell[2 * c + odd] = sign[t->m % 4] * real[c];
    }
}

void grid_turn(struct grid *to, const struct grid *from, size_t p, size_t m)
{
    struct turn t = {to, from, p, m};

    parallel_run_by(from->nthread, to->nrow, turn_rows, &t);
}
