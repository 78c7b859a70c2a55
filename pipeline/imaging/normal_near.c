/*
 * normal_near.c: what one component leaves at a few pixels, for minor cycles.
 *
 * With the kernels P_qm of normal.h a component of 1 Jy/pixel at p leaves at x
 *
 *   sum over q of b_q(p)  sum over m of  (tau(x) - tau(p))^m P_qm(x - p),
 *
 * for the binomial sum over k + j = m is a power.  Kept are the first kernels, at lags of less than
 * half the image, 16 bits a cell: one half of the plane, since P_qm is even or odd with m.  A lag's
 * cells lie side by side.
 */
#include "pipeline/imaging/normal_parts.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "core/mem.h"
#include "core/parallel.h"
#include "pipeline/imaging/grid.h"
#include "pipeline/imaging/imager.h"
#include "pipeline/imaging/normal.h"

enum {
    SLOTS = NORMAL_NEAR,
    POWERS = NORMAL_POWERS,
    RIDGE = 16 /* the part of the image around an axis of lags */
};

/* How far lags of dy rows reach to either side: half the image; along the axes, where an array
 * with arms has its far sidelobes, all of it. */
static size_t reach_of(const struct normal *op, size_t dy)
{
    if (dy < op->ny / RIDGE)
        return op->nx;
    return dy < op->ny / 2 ? op->nx / 2 : op->nx / RIDGE;
}

int normal_open_near(struct normal *op)
{
    size_t n = 0;

    op->near_row = malloc(op->ny * sizeof *op->near_row);
    op->near_most = malloc(op->ny * sizeof *op->near_most);
    for (size_t y = 0; op->near_row != NULL && y < op->ny; y++) {
        size_t reach = reach_of(op, y);

        op->near_row[y] = (struct normal_row){n + reach, (ptrdiff_t)reach};
        n += 2 * reach;
    }
    op->near = mem_huge(n * SLOTS * sizeof *op->near);
    for (size_t m = 0; m < POWERS; m++)
        for (size_t q = 0; q < op->beams && op->near_slots < SLOTS; q++)
            if (m < op->terms[q])
                op->near_term[op->near_slots++] = (struct normal_term){q, m, 0.0f};
    return op->near == NULL || op->near_row == NULL || op->near_most == NULL ? -ENOMEM
                                                                             : 0;
}

struct keeping {
    struct normal *op;
    const float *lag;
    size_t slot;
    float *most; /* [ny] the largest |lag| of each row */
    float up;
};

static void find_most(void *arg, size_t lo, size_t hi)
{
    const struct keeping *a = arg;
    const struct normal *op = a->op;

    for (size_t y = lo; y < hi; y++) {
        size_t reach = (size_t)op->near_row[y].reach;
        const float *lag = a->lag + (op->hy + y) * op->mx + op->hx - reach;
        float most = 0.0f;

        for (size_t x = 0; x < 2 * reach; x++)
            most = fabsf(lag[x]) > most ? fabsf(lag[x]) : most;
        a->most[y] = most;
    }
}

/* Rows of lags dy = lo .. hi - 1. */
static void keep_rows(void *arg, size_t lo, size_t hi)
{
    const struct keeping *a = arg;
    const struct normal *op = a->op;

    for (size_t y = lo; y < hi; y++) {
        size_t reach = (size_t)op->near_row[y].reach;
        const float *lag = a->lag + (op->hy + y) * op->mx + op->hx - reach;
        int16_t *cell = op->near + (op->near_row[y].at - reach) * SLOTS + a->slot;

        for (size_t x = 0; x < 2 * reach; x++)
            cell[x * SLOTS] = (int16_t)lrintf(a->up * lag[x]);
    }
}

void normal_set_near(struct normal *op, size_t q, size_t m, const float *lag)
{
    struct keeping a = {op, lag, 0, op->near_most, 0.0f};
    float most = 0.0f;

    while (a.slot < op->near_slots &&
           (op->near_term[a.slot].q != q || op->near_term[a.slot].m != m))
        a.slot++;
    if (a.slot == op->near_slots)
        return;
    parallel_run_by(op->threads, op->ny, find_most, &a);
    for (size_t y = 0; y < op->ny; y++)
        most = fmaxf(most, a.most[y]);
    a.up = most > 0.0f ? INT16_MAX / most : 0.0f;
    op->near_term[a.slot].unit = most / INT16_MAX;
    parallel_run_by(op->threads, op->ny, keep_rows, &a);
}

/* All slots of a lag at once. */
typedef int16_t cells __attribute__((vector_size(SLOTS * sizeof(int16_t))));
typedef float values __attribute__((vector_size(SLOTS * sizeof(float))));

/* A component, as the loop over pixels wants it. */
struct component {
    const int16_t *near;
    const struct normal_row *row;
    const float *tau;
    size_t nx;
    ptrdiff_t x, y;
    float tau_at;
    values
        part[POWERS]; /* flux b_q unit of the kernels of each power m, 0 for others */
};

static inline __attribute__((always_inline)) void
take_pixels(const struct component *c, const uint16_t *restrict px,
            const uint16_t *restrict py, size_t n, float *restrict left)
{
    const values p0 = c->part[0], p1 = c->part[1], p2 = c->part[2], p3 = c->part[3];

    for (size_t i = 0; i < n; i++) {
        ptrdiff_t dx = (ptrdiff_t)px[i] - c->x, dy = (ptrdiff_t)py[i] - c->y;
        /* (-d) turns the sign of odd m, as that of tau does */
        ptrdiff_t sign = dy < 0 ? -1 : 1;
        float tau = (float)sign * (c->tau[py[i] * c->nx + px[i]] - c->tau_at);
        const struct normal_row *row;
        const cells *cell;
        values v;

        dx *= sign;
        row = c->row + dy * sign;
        if (dx < -row->reach || dx >= row->reach)
            continue;
        cell = (const cells *)c->near + (ptrdiff_t)row->at + dx;
        v = __builtin_convertvector(*cell, values) *
            (p0 + tau * (p1 + tau * (p2 + tau * p3)));
        left[i] -= ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7]));
    }
}

#define VARIANT(name, target)                                                          \
    target static void take_##name(const struct component *c, const uint16_t *px,      \
                                   const uint16_t *py, size_t n, float *left)          \
    {                                                                                  \
        take_pixels(c, px, py, n, left);                                               \
    }

#define NO_ATTRIBUTE
VARIANT(plain, NO_ATTRIBUTE)
#ifdef __x86_64__
VARIANT(avx2, __attribute__((target("avx2,fma"))))
#else
#define take_avx2 take_plain
#endif

void normal_take_near(const struct normal *op, size_t x, size_t y, float flux,
                      const uint16_t *px, const uint16_t *py, size_t n, float *left)
{
    struct component c = {.near = op->near,
                          .tau = op->tau,
                          .nx = op->nx,
                          .row = op->near_row,
                          .x = (ptrdiff_t)x,
                          .y = (ptrdiff_t)y,
                          .tau_at = op->tau[y * op->nx + x]};

    for (size_t s = 0; s < op->near_slots; s++) {
        const struct normal_term *term = &op->near_term[s];
        float beam = term->q > 0 ? beam_series_pixel(op->beam, term->q, x, y) : 1.0f;

        c.part[term->m][s] = flux * beam * term->unit;
    }
    (cpu_best() == CPU_PLAIN ? take_plain : take_avx2)(&c, px, py, n, left);
}
