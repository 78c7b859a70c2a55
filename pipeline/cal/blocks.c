#include "pipeline/cal/blocks.h"

#include <complex.h>
#include <math.h>
#include <string.h>

#include "pipeline/cal/gains.h"
#include "pipeline/cal/normal_eq.h"
#include "pipeline/cal/rows.h"
#include "pipeline/sky/vis.h"

static size_t length(const struct gains *g)
{
    return g->ntime * g->nchan;
}

static size_t index_of(const struct gains *g, size_t i, size_t a, size_t p)
{
    return (i * g->nant + a) * g->npol + p;
}

/* shape over held of one antenna in slot i; 0: nothing was held. */
static float complex factor(const struct blocks *k, const struct gains *like, size_t i,
                            size_t a, size_t p)
{
    float complex held = k->held != NULL ? k->held->g[index_of(like, i, a, p)] : 1;
    float complex shape = k->shape != NULL ? k->shape->g[index_of(like, i, a, p)] : 1;

    return held != 0 ? shape / held : 0;
}

/* Add the sums `from` against a model f times as large. */
static void add(struct normal_eq *to, const struct normal_eq *from, float complex f)
{
    float fr = crealf(f), fi = cimagf(f);

    to->re += from->re * fr + from->im * fi;
    to->im += from->im * fr - from->re * fi;
    to->den += from->den * (fr * fr + fi * fi);
    to->power += from->power;
    to->n += from->n;
}

void blocks_sums(const struct blocks *k, const struct normal_eq_batch *b, size_t first,
                 size_t lo, size_t hi, size_t p, struct normal_eq *out,
                 struct normal_eq *work)
{
    size_t nant = b->vis->nant, npol = b->vis->npol;
    const struct gains like = {.nant = nant, .npol = npol};

    memset(out, 0, b->rows->nbl * sizeof *out);
    for (size_t i = lo; i < hi; i++) {
        const struct normal_eq *at = work;
        struct normal_eq *to = out;

        normal_eq_get(b, i * npol + p, work);
        for (size_t a = 0; a < nant; a++) {
            float complex f = factor(k, &like, first + i, a, p);

            for (size_t c = a + 1; c < nant; c++, at++, to++)
                if (at->den > 0 && f != 0)
                    add(to, at, f * conjf(factor(k, &like, first + i, c, p)));
        }
    }
}

/* Of one antenna and polarisation along the axis. */
struct line {
    struct gains *g;
    size_t ant, pol;
};

static float complex *at(const struct line *l, size_t i)
{
    return l->g->g + index_of(l->g, i, l->ant, l->pol);
}

static float *snr_at(const struct line *l, size_t i)
{
    return l->g->snr + index_of(l->g, i, l->ant, l->pol);
}

/* What is `part` of the way from a to b. */
static float complex between(float complex a, float complex b, float part)
{
    float size = cabsf(a) + part * (cabsf(b) - cabsf(a));
    float phase = cargf(a) + part * cargf(b * conjf(a));

    return size * (cosf(phase) + sinf(phase) * I);
}

/* The middle of the block that begins at slot `lo`. */
static double middle(const struct line *l, size_t lo, size_t size)
{
    size_t n = length(l->g), hi = lo + size < n ? lo + size : n;

    return 0.5 * (double)(lo + hi - 1);
}

/* From the block that begins at lo, the value x, to the next one: slots behind its middle. */
static void draw(const struct line *l, size_t lo, size_t size, float complex x,
                 float complex next)
{
    size_t n = length(l->g), end = lo + 2 * size < n ? lo + 2 * size : n;
    double here = middle(l, lo, size), there = middle(l, lo + size, size);

    for (size_t i = lo; i < end && (double)i < there; i++)
        if ((double)i > here)
            *at(l, i) = between(x, next, (float)(((double)i - here) / (there - here)));
}

static void spread_line(const struct blocks *k, const struct line *l)
{
    size_t n = length(l->g);
    float complex x = *at(l, 0);

    for (size_t lo = 0; lo < n; lo += k->size) { /* a block's own value first */
        for (size_t i = lo + 1; i < lo + k->size && i < n; i++) {
            *at(l, i) = *at(l, lo);
            *snr_at(l, i) = *snr_at(l, lo);
        }
    }
    for (size_t lo = 0; lo + k->size < n; lo += k->size) {
        /* the last slot of a block is not yet drawn over */
        size_t last = lo + 2 * k->size < n ? lo + 2 * k->size - 1 : n - 1;
        float complex next = *at(l, last);

        if (x != 0 && next != 0)
            draw(l, lo, k->size, x, next);
        x = next;
    }
    for (size_t i = 0; i < n; i++)
        *at(l, i) *= factor(k, l->g, i, l->ant, l->pol);
}

void blocks_spread(const struct blocks *k, struct gains *g)
{
    if (k->size <= 1)
        return;
    for (size_t a = 0; a < g->nant; a++)
        for (size_t p = 0; p < g->npol; p++)
            spread_line(k, &(struct line){g, a, p});
}

static void fill_line(const struct line *l, size_t most)
{
    size_t n = length(l->g), last = n;

    for (size_t i = 0; i < n; i++) {
        if (*at(l, i) == 0)
            continue;
        for (size_t j = last + 1; last < n && i - last - 1 <= most && j < i; j++) {
            *at(l, j) =
                between(*at(l, last), *at(l, i), (float)(j - last) / (float)(i - last));
            *snr_at(l, j) = 0;
        }
        last = i;
    }
}

void blocks_fill(struct gains *g, size_t most)
{
    for (size_t a = 0; a < g->nant; a++)
        for (size_t p = 0; p < g->npol; p++)
            fill_line(&(struct line){g, a, p}, most);
}
