/*
 * normal_near.c: what one component leaves at a few pixels, for minor cycles.
 *
 * With the kernels P_qm of normal.h a component of 1 Jy/pixel at p leaves at x
 *
 *   sum over q of b_q(p)  sum over m of  (tau(x) - tau(p))^m P_qm(x - p),
 *
 * for the binomial sum over k + j = m is a power.  Kept are the largest of these kernels, 16 bits a
 * cell, in one half of the plane, since P_qm is even or odd with m.  All lags are there: a response
 * that is cut somewhere is not positive definite, and minor cycles over many pixels would not
 * converge.
 */
#include "pipeline/imaging/normal_parts.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "core/mem.h"
#include "core/parallel.h"
#include "pipeline/imaging/grid.h"
#include "pipeline/imaging/imager.h"
#include "pipeline/imaging/normal.h"

enum { SLOTS = NORMAL_NEAR, POWERS = NORMAL_POWERS };

static bool has_term(const struct normal *op, size_t q, size_t m)
{
    for (size_t s = 0; s < op->near_slots; s++)
        if (op->near_term[s].q == q && op->near_term[s].m == m)
            return true;
    return false;
}

/* The largest term that is not among those kept joins them.  False: there is none. */
static bool add_term(struct normal *op)
{
    struct normal_term best = {0};
    double most = 0.0;

    for (size_t q = 0; q < op->beams; q++)
        for (size_t m = 0; m < op->terms[q] && m < POWERS; m++) {
            double size = imager_kernel_size(op->im, q, m);

            if (size > most && !has_term(op, q, m)) {
                best = (struct normal_term){q, m, 0.0f};
                most = size;
            }
        }
    if (most > 0.0)
        op->near_term[op->near_slots++] = best;
    return most > 0.0;
}

int normal_open_near(struct normal *op)
{
    while (op->near_slots < SLOTS && add_term(op))
        ;
    op->near = mem_huge(op->ny * 2 * op->nx * SLOTS * sizeof *op->near);
    op->near_most = malloc(op->ny * sizeof *op->near_most);
    return op->near == NULL || op->near_most == NULL ? -ENOMEM : 0;
}

struct keeping {
    struct normal *op;
    const float *lag;
    size_t slot;
    float up;
};

/* Lags dx = -nx .. nx - 1 of row dy. */
static const float *lag_row(const struct keeping *a, size_t dy)
{
    return a->lag + (a->op->hy + dy) * a->op->mx + a->op->hx - a->op->nx;
}

/* The largest |lag| of rows dy = lo .. hi - 1. */
static void find_most(void *arg, size_t lo, size_t hi)
{
    const struct keeping *a = arg;

    for (size_t y = lo; y < hi; y++) {
        const float *lag = lag_row(a, y);
        float most = 0.0f;

        for (size_t x = 0; x < 2 * a->op->nx; x++)
            most = fabsf(lag[x]) > most ? fabsf(lag[x]) : most;
        a->op->near_most[y] = most;
    }
}

static void keep_rows(void *arg, size_t lo, size_t hi)
{
    const struct keeping *a = arg;
    size_t n = 2 * a->op->nx;

    for (size_t y = lo; y < hi; y++) {
        const float *lag = lag_row(a, y);
        int16_t *cell = a->op->near + y * n * SLOTS + a->slot;

        for (size_t x = 0; x < n; x++)
            cell[x * SLOTS] = (int16_t)lrintf(a->up * lag[x]);
    }
}

void normal_set_near(struct normal *op, size_t q, size_t m, const float *lag)
{
    struct keeping a = {op, lag, 0, 0.0f};
    float most = 0.0f;

    while (a.slot < op->near_slots &&
           (op->near_term[a.slot].q != q || op->near_term[a.slot].m != m))
        a.slot++;
    if (a.slot == op->near_slots)
        return;
    parallel_run_by(op->threads, op->ny, find_most, &a);
    for (size_t y = 0; y < op->ny; y++)
        most = fmaxf(most, op->near_most[y]);
    a.up = most > 0.0f ? INT16_MAX / most : 0.0f;
    op->near_term[a.slot].unit = most / INT16_MAX;
    parallel_run_by(op->threads, op->ny, keep_rows, &a);
}

/* All slots of a lag at once. */
typedef int16_t cells __attribute__((vector_size(SLOTS * sizeof(int16_t))));
typedef float values __attribute__((vector_size(SLOTS * sizeof(float))));

/* A component, as the loop over pixels wants it. */
struct component {
    const cells *near; /* lag 0 */
    const float *tau;
    ptrdiff_t nx, x, y;
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
        values v =
            __builtin_convertvector(c->near[sign * (dy * 2 * c->nx + dx)], values) *
            (p0 + tau * (p1 + tau * (p2 + tau * p3)));

        left[i] -= (v[0] + v[2]) + (v[1] + v[3]);
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
    struct component c = {.near = (const cells *)op->near + op->nx,
                          .tau = op->tau,
                          .nx = (ptrdiff_t)op->nx,
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
