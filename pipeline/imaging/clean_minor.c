/*
 * clean_minor.c: minor cycles.
 *
 * A minor cycle looks only at the active pixels: those above the level that it may clean down to,
 * and some around them.  What a component leaves at them is known as well as a major cycle knows
 * it, but for a part in a thousand (normal_take_near): so the level can be low.  The highest pixels
 * are cleaned by themselves, batch after batch, and all the others see a batch's components at once
 * (as Clark's minor cycles).
 *
 * Around a bright source most of the noise is its own sidelobes, which go with it: what a batch has
 * found is spared from the local noise at once (clean_spare), or a cycle would end with it.
 */
#include "pipeline/imaging/clean_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/order.h"
#include "core/parallel.h"
#include "pipeline/imaging/normal.h"

enum {
    REACH = 2,        /* so many pixels around an active one are active with it, ... */
    REACH_MASKED = 6, /* ... and inside the mask, where all are near to their floors */
    MAX_MARKED = 20000,  /* pixels that a minor cycle is for; more raise its level */
    MAX_ACTIVE = 200000, /* those and the ones around them */
    MAX_CHOSEN = 2048,   /* pixels that a batch is for */
    MAX_BATCH = 8192,    /* those and the ones around them */
    MAX_ROWS = 1 << 21,  /* numbers of responses that a batch remembers */
    MAX_LATE = 20000,    /* components of a batch since its lowest peak */
    SOME = 1024,         /* active pixels that a batch is taken off at a time */
    BLOCK = 256,         /* pixels of a batch whose largest is remembered */
};

/* A minor cycle whose peak rises by this from its lowest does not converge.  (One component can
 * raise another peak by gain x sidelobe, a few per cent.) */
#define GROWTH 2.0f
/* The same of a batch after the other: pixels outside see what was done in it only at its end. */
#define BATCH_GROWTH 2.0f
/* A batch is cleaned down to this share of its highest pixel. */
#define BATCH_DEPTH 0.5f
/* A component that may have to be taken back. */
struct late {
    size_t at; /* in the batch */
    float flux;
};

struct clean_minor {
    float level;               /* nothing is done below, Jy/beam */
    struct clean_pixels all;   /* [MAX_ACTIVE] */
    float *least;              /* [MAX_ACTIVE] nothing is done there below this */
    float *high;               /* [MAX_ACTIVE] for medians */
    struct clean_pixels batch; /* [MAX_BATCH] the highest of them */
    float *batch_least;        /* [MAX_BATCH] */
    float *placed;             /* [MAX_BATCH] components of this batch */
    float *top;  /* [MAX_BATCH / BLOCK] what is furthest above its least */
    float *row;  /* [MAX_ROWS / batch.n][batch.n] responses to components */
    int *row_of; /* [MAX_BATCH] which is that of a pixel; -1: none yet */
    size_t nrow;
    struct late *late;   /* [MAX_LATE] */
    unsigned char *near; /* [ny][nx] 1 next to what is cleaned; all 0 in between */
};

static bool pixels_alloc(struct clean_pixels *a, size_t n)
{
    a->left = malloc(n * sizeof *a->left);
    a->x = malloc(n * sizeof *a->x);
    a->y = malloc(n * sizeof *a->y);
    return a->left != NULL && a->x != NULL && a->y != NULL;
}

static void pixels_free(struct clean_pixels *a)
{
    free(a->left);
    free(a->x);
    free(a->y);
}

struct clean_minor *clean_minor_new(size_t nx, size_t ny)
{
    struct clean_minor *m = calloc(1, sizeof *m);

    if (m == NULL)
        return NULL;
    m->least = malloc(MAX_ACTIVE * sizeof *m->least);
    m->high = malloc(MAX_ACTIVE * sizeof *m->high);
    m->batch_least = malloc(MAX_BATCH * sizeof *m->batch_least);
    m->placed = malloc(MAX_BATCH * sizeof *m->placed);
    m->top = calloc(MAX_BATCH / BLOCK, sizeof *m->top);
    m->row = malloc(MAX_ROWS * sizeof *m->row);
    m->row_of = malloc(MAX_BATCH * sizeof *m->row_of);
    m->late = malloc(MAX_LATE * sizeof *m->late);
    m->near = calloc(nx * ny, 1);
    if (pixels_alloc(&m->all, MAX_ACTIVE) && pixels_alloc(&m->batch, MAX_BATCH) &&
        m->least != NULL && m->high != NULL && m->batch_least != NULL &&
        m->placed != NULL && m->top != NULL && m->row != NULL && m->row_of != NULL &&
        m->late != NULL && m->near != NULL)
        return m;
    clean_minor_free(m);
    return NULL;
}

void clean_minor_free(struct clean_minor *m)
{
    if (m == NULL)
        return;
    pixels_free(&m->all);
    pixels_free(&m->batch);
    free(m->least);
    free(m->high);
    free(m->batch_least);
    free(m->placed);
    free(m->top);
    free(m->row);
    free(m->row_of);
    free(m->late);
    free(m->near);
    free(m);
}

/* ---- active pixels ---- */

/* The floors of the active pixels with the noise as it is taken at this time. */
static void set_floors(struct clean_state *st)
{
    struct clean_minor *m = st->minor;
    float nsigma = clean_floor_sigma(st);

    for (size_t i = 0; i < m->all.n; i++) {
        float least = nsigma * st->sigma[m->all.y[i] * st->nx + m->all.x[i]];

        m->least[i] = least > m->level ? least : m->level;
    }
}

/* Mark (or unmark) the pixels around (x, y) that may rise when it is cleaned. */
static void mark_near(struct clean_state *st, size_t x, size_t y, unsigned char mark)
{
    size_t r = st->masked ? REACH_MASKED : REACH, x0 = x > r ? x - r : 0,
           y0 = y > r ? y - r : 0;
    size_t x1 = x + r < st->nx ? x + r : st->nx - 1;
    size_t y1 = y + r < st->ny ? y + r : st->ny - 1;

    for (size_t v = y0; v <= y1; v++)
        memset(st->minor->near + v * st->nx + x0, mark, x1 - x0 + 1);
}

static inline bool is_above(const struct clean_state *st, size_t i, float nsigma)
{
    float v = fabsf(st->residual[i]);

    return v > st->minor->level && st->domain[i] && v > nsigma * st->sigma[i];
}

/* The pixels above their floors, or the highest if they are too many, are marked. */
static void mark_active(struct clean_state *st)
{
    size_t n = 0, npix = st->nx * st->ny;
    float nsigma = clean_floor_sigma(st), *high = st->delta; /* no components yet */

    for (size_t i = 0; i < npix; i++)
        if (is_above(st, i, nsigma))
            high[n++] = fabsf(st->residual[i]);
    if (n > MAX_MARKED)
        st->minor->level = order_kthf(high, n, n - MAX_MARKED);
    for (size_t i = 0; i < npix; i++)
        if (is_above(st, i, nsigma))
            mark_near(st, i % st->nx, i / st->nx, 1);
}

/*
 * Collect the marked pixels and those around them: a component off the centre of its source leaves
 * the pixels next to it too low or too high, and they would have to wait for the next major cycle.
 */
static void collect_active(struct clean_state *st)
{
    struct clean_minor *m = st->minor;
    struct clean_pixels *all = &m->all;

    mark_active(st);
    all->n = 0;
    for (size_t y = 0; y < st->ny; y++)
        for (size_t x = 0; x < st->nx; x++) {
            size_t i = y * st->nx + x;

            if (!m->near[i] || !st->domain[i] || all->n == MAX_ACTIVE)
                continue;
            all->left[all->n] = st->residual[i];
            all->x[all->n] = (uint16_t)x;
            all->y[all->n++] = (uint16_t)y;
        }
    memset(m->near, 0, st->nx * st->ny);
    set_floors(st);
}

/* The largest |left| that is above its `least`, of the pixels lo .. hi - 1; 0: there is none. */
static float highest(const struct clean_pixels *a, const float *least, size_t lo,
                     size_t hi)
{
    float top = 0.0f;

    for (size_t i = lo; i < hi; i++) {
        float v = fabsf(a->left[i]) > least[i] ? fabsf(a->left[i]) : 0.0f;

        top = v > top ? v : top;
    }
    return top;
}

/* ---- a batch ---- */

static size_t block_end(const struct clean_pixels *a, size_t b)
{
    return (b + 1) * BLOCK < a->n ? (b + 1) * BLOCK : a->n;
}

/* What is highest in each block of the batch. */
static void find_tops(struct clean_minor *m)
{
    for (size_t b = 0; b * BLOCK < m->batch.n; b++)
        m->top[b] =
            highest(&m->batch, m->batch_least, b * BLOCK, block_end(&m->batch, b));
}

/* Mark the pixels of a batch: all, or when they are too many those above `depth` (which rises
 * until they are few enough) and those around them. */
static void mark_batch(struct clean_state *st, float top, float *depth)
{
    const struct clean_pixels *all = &st->minor->all;
    const float *least = st->minor->least;
    float *high = st->minor->high;
    size_t n = 0;

    for (size_t i = 0; i < all->n; i++)
        if (fabsf(all->left[i]) > *depth && fabsf(all->left[i]) > least[i])
            high[n++] = fabsf(all->left[i]);
    if (n > MAX_CHOSEN)
        *depth = fminf(order_kthf(high, n, n - MAX_CHOSEN), 0.99f * top);
    for (size_t i = 0; i < all->n; i++)
        if (fabsf(all->left[i]) > *depth && fabsf(all->left[i]) > least[i])
            mark_near(st, all->x[i], all->y[i], 1);
}

/* The pixels of a batch: they are cleaned down to half of `top`. */
static void choose_batch(struct clean_state *st, float top)
{
    struct clean_minor *m = st->minor;
    const struct clean_pixels *all = &m->all;
    struct clean_pixels *batch = &m->batch;
    bool whole = all->n <= MAX_BATCH;
    float depth = BATCH_DEPTH * top;

    if (!whole)
        mark_batch(st, top, &depth);
    batch->n = 0;
    for (size_t i = 0; i < all->n && batch->n < MAX_BATCH; i++) {
        if (!whole && !m->near[all->y[i] * st->nx + all->x[i]])
            continue;
        batch->left[batch->n] = all->left[i];
        batch->x[batch->n] = all->x[i];
        batch->y[batch->n] = all->y[i];
        m->batch_least[batch->n] = fmaxf(m->least[i], depth);
        m->placed[batch->n] = 0.0f;
        m->row_of[batch->n++] = -1;
    }
    m->nrow = 0;
    for (size_t i = 0; !whole && i < all->n; i++)
        mark_near(st, all->x[i], all->y[i], 0);
    find_tops(m);
}

/* What -1 Jy/pixel at pixel `at` of the batch leaves at all of them. */
static const float *response_at(struct clean_state *st, size_t at)
{
    struct clean_minor *m = st->minor;
    const struct clean_pixels *a = &m->batch;
    float *row;

    if (m->row_of[at] < 0) {
        if (m->nrow == MAX_ROWS / a->n) {
            memset(m->row_of, -1, a->n * sizeof *m->row_of);
            m->nrow = 0;
        }
        m->row_of[at] = (int)m->nrow++;
        row = m->row + (size_t)m->row_of[at] * a->n;
        memset(row, 0, a->n * sizeof *row);
        normal_take_near(st->op, a->x[at], a->y[at], 1.0f, a->x, a->y, a->n, row);
    }
    return m->row + (size_t)m->row_of[at] * a->n;
}

/* A component at pixel `at` of the batch. */
static void subtract_at(struct clean_state *st, size_t at, float flux)
{
    const float *restrict row = response_at(st, at);
    float *restrict left = st->minor->batch.left;

    for (size_t i = 0; i < st->minor->batch.n; i++)
        left[i] += flux * row[i];
}

/* The batch's pixel that is furthest from 0 and above its floor. */
static size_t brightest(const struct clean_minor *m)
{
    const struct clean_pixels *a = &m->batch;
    size_t best = 0, at, end;

    for (size_t b = 1; b * BLOCK < a->n; b++)
        if (m->top[b] > m->top[best])
            best = b;
    end = block_end(a, best);
    for (at = best * BLOCK; at + 1 < end; at++)
        if (fabsf(a->left[at]) >= m->top[best] &&
            fabsf(a->left[at]) > m->batch_least[at])
            break;
    return at;
}

/*
 * Hogbom over the pixels of the batch.
 *
 * The response, rounded and without its last terms, need not be positive definite over many pixels
 * close together: then peaks grow.  The components since the lowest peak are taken back, and it is
 * time for a major cycle.  Returns whether all pixels came down to where they should.
 */
static bool clean_batch(struct clean_state *st)
{
    struct clean_minor *m = st->minor;
    const struct clean_pixels *a = &m->batch;
    float lowest = INFINITY;
    size_t nlate = 0;

    while (st->res->niter < st->opts->niter) {
        size_t at = brightest(m);
        float peak = fabsf(a->left[at]), flux = (float)st->opts->gain * a->left[at];

        if (!(peak > m->batch_least[at]))
            return true;
        if (peak < lowest) {
            lowest = peak;
            nlate = 0;
        }
        if (peak > GROWTH * lowest || nlate == MAX_LATE) {
            while (nlate-- > 0)
                m->placed[m->late[nlate].at] -= m->late[nlate].flux;
            return false;
        }
        m->late[nlate++] = (struct late){at, flux};
        m->placed[at] += flux;
        st->res->niter++;
        subtract_at(st, at, flux);
        find_tops(m);
    }
    return true;
}

/* ---- the cycle ---- */

/* Take the batch's components off the active pixels lo .. hi - 1, some at a time: neighbours see
 * the same lags of neighbouring components. */
static void subtract_batch(void *arg, size_t lo, size_t hi)
{
    const struct clean_state *st = arg;
    const struct clean_minor *m = st->minor;
    const struct clean_pixels *all = &m->all;

    for (size_t at = lo, n; at < hi; at += n) {
        n = hi - at < SOME ? hi - at : SOME;
        for (size_t k = 0; k < m->batch.n; k++)
            if (m->placed[k] != 0.0f)
                normal_take_near(st->op, m->batch.x[k], m->batch.y[k], m->placed[k],
                                 all->x + at, all->y + at, n, all->left + at);
    }
}

/* The batch's components join those of the minor cycle; sign -1: leave them again. */
static void keep_batch(struct clean_state *st, float sign)
{
    const struct clean_minor *m = st->minor;

    for (size_t k = 0; k < m->batch.n; k++) {
        st->delta[m->batch.y[k] * st->nx + m->batch.x[k]] += sign * m->placed[k];
        st->res->model_jy += (double)(sign * m->placed[k]);
    }
}

/* The batch's components have been found: see clean_spare. */
static void spare_placed(struct clean_state *st)
{
    const struct clean_minor *m = st->minor;

    for (size_t k = 0; k < m->batch.n; k++)
        if (m->placed[k] != 0.0f)
            clean_spare(st, m->batch.x[k], m->batch.y[k]);
    set_floors(st);
}

/* One batch, and what all pixels see of it.  False: it did not converge. */
static bool do_batch(struct clean_state *st, float top)
{
    struct clean_minor *m = st->minor;
    bool whole;

    choose_batch(st, top);
    whole = clean_batch(st);
    parallel_run_by(st->threads, m->all.n, subtract_batch, st);
    keep_batch(st, 1.0f);
    spare_placed(st);
    return whole;
}

bool clean_minor_cycle(struct clean_state *st)
{
    struct clean_minor *m = st->minor;
    float start = st->top_jy, lowest = INFINITY;
    size_t kept = 0;
    bool whole = true;

    m->level =
        fmaxf(start * (float)(1.0 - st->opts->mgain), (float)st->opts->threshold_jy);
    collect_active(st);
    memset(st->delta, 0, st->nx * st->ny * sizeof *st->delta);
    m->batch.n = 0;
    while (st->res->niter < st->opts->niter) {
        float top = highest(&m->all, m->least, 0, m->all.n);

        if (top > BATCH_GROWTH * lowest) {
            keep_batch(st, -1.0f);
            kept--;
        }
        if (!(top > 0.0f) || top > BATCH_GROWTH * lowest || !whole)
            break;
        lowest = fminf(lowest, top);
        whole = do_batch(st, top);
        kept++;
    }
    return kept > 0;
}
