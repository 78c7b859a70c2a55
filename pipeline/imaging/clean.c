/*
 * clean.c: major and minor cycles, and the restored image.
 *
 * A minor cycle looks only at the active pixels, those above the level that it may clean
 * down to, and takes off the part of the PSF that matters; the rest waits for the next major
 * cycle, which takes the new components off by convolutions (normal.h).  At the end the residual
 * is made once from the visibilities, as a check and as the result.  Stopping follows WSClean:
 * down to auto_mask sigma anywhere, then to auto_threshold sigma where components were found;
 * sigma is measured anew after each major cycle, around each pixel (its -local-rms).
 */
#include "pipeline/imaging/clean.h"

#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/parallel.h"
#include "pipeline/imaging/fft.h"
#include "pipeline/imaging/imager.h"
#include "pipeline/imaging/normal.h"
#include "pipeline/sky/image.h"
#include "pipeline/sky/qa.h"

enum {
    MAX_MAJOR = 60,       /* major cycles, whatever the thresholds say */
    REACH = 2,            /* so many pixels around an active one are active with it */
    MAX_MARKED = 60000,   /* pixels that a minor cycle is for; more raise its level */
    MAX_ACTIVE = 400000,  /* those and the ones around them */
    MAX_CHOSEN = 2048,    /* pixels that a batch is for */
    MAX_BATCH = 8192,     /* those and the ones around them */
    MAX_LATE = 20000,     /* components of a batch since its lowest peak */
    BLOCK = 256,          /* pixels of a batch whose largest is remembered */
    MAX_SAMPLES = 250000, /* pixels that the noise of the image is taken from */
    MAX_CHECKS = 3        /* passes over the visibilities at the end */
};

/* A minor cycle whose peak rises by this from its lowest does not converge.  (One component can
 * raise another peak by gain x sidelobe, a few per cent.) */
#define GROWTH 1.25f
/* The same of a batch after the other: pixels outside see what was done in it only at its end. */
#define BATCH_GROWTH 2.0f
/* A batch is cleaned down to this share of its highest pixel. */
#define BATCH_DEPTH 0.5f
/* A residual of so many floors is done: at once, ... */
#define NEAR_FLOOR 1.02f
/* ... or after a cycle, when the noise fell by less than STEADY with it. */
#define NEAR_STEADY 1.5f
#define STEADY      0.05
/* CLEAN goes on when the residual from the visibilities differs by more of the noise. */
#define CHECK_SIGMA 0.2

/* A component that may have to be taken back. */
struct late {
    size_t at; /* in the batch */
    float flux;
};

/* Pixels that a minor cycle looks at, in order of rows. */
struct active {
    size_t n;
    float *left;     /* what is left there, Jy/beam */
    float *least;    /* nothing is done there below this */
    uint16_t *x, *y; /* where */
};

struct state {
    struct imager *im;
    const struct clean_opts *opts;
    struct normal *op;
    const float *psf;
    size_t nx, ny, threads;
    float *model, *residual;
    float *delta;          /* [ny][nx] components of this minor cycle */
    float *scratch;        /* [ny][nx] for medians */
    float *sigma;          /* [ny][nx] noise around each pixel */
    unsigned char *domain; /* [ny][nx] 1 where components may be placed */
    unsigned char *near;   /* [ny][nx] 1 next to what is cleaned; all 0 in between */
    struct active all;     /* [MAX_ACTIVE] of a minor cycle */
    struct active batch;   /* [MAX_BATCH] the highest of them */
    float *placed;         /* [MAX_BATCH] components of this batch */
    float *top;            /* [MAX_BATCH / BLOCK] what is furthest above `least` */
    struct late *late;     /* [MAX_LATE] */
    /* Of each row inside the domain: the largest |residual|, that above the floor, and how many
     * floors that is at most.  [ny] each. */
    float *row_peak, *row_top, *row_excess;
    float top_jy, excess; /* the largest of the latter two */
    bool masked;          /* the domain is the auto mask */
    double
        since_jy; /* sum of |flux| taken off since the residual was made of visibilities */
    struct clean_result *res;
};

/* The k-th smallest (from 0) of n values, which are reordered. */
static float kth_smallest(float *v, size_t n, size_t k)
{
    size_t lo = 0, hi = n - 1;

    while (lo < hi) {
        float pivot = v[lo + (hi - lo) / 2];
        size_t i = lo, j = hi;

        for (;;) {
            while (v[i] < pivot)
                i++;
            while (v[j] > pivot)
                j--;
            if (i >= j)
                break;
            float swap = v[i];
            v[i++] = v[j];
            v[j--] = swap;
        }
        if (v[j] > pivot)
            j--;
        if (k <= j)
            hi = j;
        else
            lo = j + 1;
    }
    return v[k];
}

/* 1.4826 x the median absolute deviation of the finite pixels, of a part of them when they are
 * many. */
static double robust_sigma(const float *pix, float *scratch, size_t n)
{
    size_t m = 0, step = n / MAX_SAMPLES | 1;
    float median;

    for (size_t i = 0; i < n; i += step)
        if (isfinite(pix[i]))
            scratch[m++] = pix[i];
    if (m == 0)
        return 0.0;
    median = kth_smallest(scratch, m, m / 2);
    for (size_t i = 0; i < m; i++)
        scratch[i] = fabsf(scratch[i] - median);
    return 1.4826 * (double)kth_smallest(scratch, m, m / 2);
}

/* Where components may be at first: inside the border and the caller's mask. */
static void first_domain(struct state *st)
{
    double border = st->opts->border;
    size_t bx = border > 0.0 ? (size_t)(border * (double)st->nx) : 0;
    size_t by = border > 0.0 ? (size_t)(border * (double)st->ny) : 0;

    for (size_t y = 0; y < st->ny; y++)
        for (size_t x = 0; x < st->nx; x++) {
            size_t i = y * st->nx + x;

            st->domain[i] = x >= bx && x + bx < st->nx && y >= by && y + by < st->ny &&
                            (st->opts->search == NULL || st->opts->search[i] > 0.0f);
        }
}

/* Narrow the domain to the pixels with components; false when there are none. */
static bool mask_domain(struct state *st)
{
    size_t found = 0;

    for (size_t i = 0; i < st->nx * st->ny; i++) {
        st->domain[i] = st->domain[i] && st->model[i] != 0.0f;
        found += st->domain[i];
    }
    st->masked = true;
    return found > 0;
}

/* How many sigma the search goes down to now. */
static float floor_sigma(const struct state *st)
{
    const struct clean_opts *o = st->opts;
    double nsigma =
        o->auto_mask > 0.0 && !st->masked ? o->auto_mask : o->auto_threshold;

    return (float)fmax(nsigma, 0.0);
}

/* Rows lo .. hi - 1 of the residual (a NaN is never larger). */
static void measure_rows(void *arg, size_t lo, size_t hi)
{
    struct state *st = arg;
    float nsigma = floor_sigma(st), lowest = (float)st->opts->threshold_jy;

    for (size_t y = lo; y < hi; y++) {
        const float *residual = st->residual + y * st->nx;
        const float *sigma = st->sigma + y * st->nx;
        const unsigned char *domain = st->domain + y * st->nx;
        float peak = 0.0f, top = 0.0f, excess = 0.0f;

        for (size_t x = 0; x < st->nx; x++) {
            float v = domain[x] ? fabsf(residual[x]) : 0.0f;
            float least = nsigma * sigma[x] > lowest ? nsigma * sigma[x] : lowest;

            peak = v > peak ? v : peak;
            top = v > least && v > top ? v : top;
            excess = v > excess * least ? v / least : excess;
        }
        st->row_peak[y] = peak;
        st->row_top[y] = top;
        st->row_excess[y] = excess;
    }
}

/* The residual against the floor. */
static void find_peaks(struct state *st)
{
    float peak = 0.0f;

    parallel_run_by(st->threads, st->ny, measure_rows, st);
    st->top_jy = st->excess = 0.0f;
    for (size_t y = 0; y < st->ny; y++) {
        peak = fmaxf(peak, st->row_peak[y]);
        st->top_jy = fmaxf(st->top_jy, st->row_top[y]);
        st->excess = fmaxf(st->excess, st->row_excess[y]);
    }
    st->res->peak_jy = (double)peak;
}

/*
 * Around what has been found the noise of the whole image holds while one still searches: there
 * the residual of the source itself is most of the local noise, and would stop its own removal.
 */
static void spare_found(struct state *st)
{
    size_t reach = (size_t)(0.5 * st->opts->beam_pix) + 1;
    float whole = (float)st->res->sigma_jy;

    for (size_t i = 0; i < st->nx * st->ny; i++) {
        size_t x = i % st->nx, y = i / st->nx;

        if (st->model[i] == 0.0f || x < reach || y < reach || x + reach >= st->nx ||
            y + reach >= st->ny)
            continue;
        for (size_t v = y - reach; v <= y + reach; v++)
            for (size_t u = x - reach; u <= x + reach; u++)
                st->sigma[v * st->nx + u] = fminf(st->sigma[v * st->nx + u], whole);
    }
}

/*
 * The sidelobes of a bright source look like noise around it: with few antennas its own peak is
 * less than ten times that.  What is twice as high as any sidelobe of the highest pixel can be is a
 * source all the same; sigma around each pixel is at most what lets it be searched, and at least
 * that of the whole image.
 */
static void spare_high(struct state *st)
{
    float nsigma = floor_sigma(st), peak = 0.0f, most;

    for (size_t i = 0; i < st->nx * st->ny; i++)
        if (st->domain[i] && fabsf(st->residual[i]) > peak)
            peak = fabsf(st->residual[i]);
    most = 2.0f * (float)st->opts->sidelobe * peak / fmaxf(nsigma, 1.0f);
    most = fmaxf(most, (float)st->res->sigma_jy);
    for (size_t i = 0; i < st->nx * st->ny; i++)
        st->sigma[i] = fminf(st->sigma[i], most);
}

/* Noise of the whole residual and around each pixel, and the peaks. */
static int measure(struct state *st, struct err *e)
{
    size_t npix = st->nx * st->ny;
    int rc = 0;

    st->res->sigma_jy = robust_sigma(st->residual, st->scratch, npix);
    if (st->opts->beam_pix > 0.0)
        rc = qa_noise_map(st->sigma, st->residual, st->nx, st->ny, st->opts->beam_pix,
                          st->threads);
    else
        for (size_t i = 0; i < npix; i++)
            st->sigma[i] = (float)st->res->sigma_jy;
    if (rc != 0)
        return err_set(e, rc, "no memory for the noise of %zu x %zu pixels", st->nx,
                       st->ny);
    if (st->opts->beam_pix > 0.0 && !st->masked)
        spare_found(st);
    if (st->opts->beam_pix > 0.0 && !st->masked && st->opts->sidelobe > 0.0)
        spare_high(st);
    find_peaks(st);
    return 0;
}

/* What is done at a pixel down to, Jy/beam; at least `level`. */
static float least_at(const struct state *st, size_t pixel, float level)
{
    float least = floor_sigma(st) * st->sigma[pixel];

    least = fmaxf(least, (float)st->opts->threshold_jy);
    return least > level ? least : level;
}

/* Mark (or unmark) the pixels around (x, y) that may rise when it is cleaned. */
static void mark_near(struct state *st, size_t x, size_t y, unsigned char mark)
{
    size_t r = REACH, x0 = x > r ? x - r : 0, y0 = y > r ? y - r : 0;
    size_t x1 = x + r < st->nx ? x + r : st->nx - 1;
    size_t y1 = y + r < st->ny ? y + r : st->ny - 1;

    for (size_t v = y0; v <= y1; v++)
        memset(st->near + v * st->nx + x0, mark, x1 - x0 + 1);
}

/* The pixels above `level` and their floors, or the highest if they are too many, are marked. */
static void mark_active(struct state *st, float level)
{
    size_t n = 0, npix = st->nx * st->ny;

    for (size_t i = 0; i < npix; i++)
        if (st->domain[i] && fabsf(st->residual[i]) > level &&
            fabsf(st->residual[i]) > least_at(st, i, level))
            st->scratch[n++] = fabsf(st->residual[i]);
    if (n > MAX_MARKED)
        level = kth_smallest(st->scratch, n, n - MAX_MARKED);
    memset(st->near, 0, npix);
    for (size_t i = 0; i < npix; i++)
        if (st->domain[i] && fabsf(st->residual[i]) > level &&
            fabsf(st->residual[i]) > least_at(st, i, level))
            mark_near(st, i % st->nx, i / st->nx, 1);
}

/*
 * Collect the pixels above `level` and their floors and those around them: a component off the
 * centre of its source leaves the pixels next to it too low or too high, and they would have to
 * wait for the next major cycle.
 */
static void collect_active(struct state *st, float level)
{
    struct active *all = &st->all;

    mark_active(st, level);
    all->n = 0;
    for (size_t y = 0; y < st->ny; y++)
        for (size_t x = 0; x < st->nx; x++) {
            size_t i = y * st->nx + x;

            if (!st->near[i] || !st->domain[i] || all->n == MAX_ACTIVE)
                continue;
            all->left[all->n] = st->residual[i];
            all->least[all->n] = least_at(st, i, level);
            all->x[all->n] = (uint16_t)x;
            all->y[all->n++] = (uint16_t)y;
        }
    memset(st->near, 0, st->nx * st->ny);
}

/* The largest |left| that is above its `least`, of the pixels lo .. hi - 1; 0: there is none. */
static float highest(const struct active *a, size_t lo, size_t hi)
{
    float top = 0.0f;

    for (size_t i = lo; i < hi; i++) {
        float v = fabsf(a->left[i]) > a->least[i] ? fabsf(a->left[i]) : 0.0f;

        top = v > top ? v : top;
    }
    return top;
}

static size_t block_end(const struct active *a, size_t b)
{
    return (b + 1) * BLOCK < a->n ? (b + 1) * BLOCK : a->n;
}

/* Mark the pixels of a batch: all, or when they are too many those above `depth` (which rises
 * until they are few enough) and those around them. */
static void mark_batch(struct state *st, float top, float *depth)
{
    const struct active *all = &st->all;
    size_t n = 0;

    for (size_t i = 0; i < all->n; i++)
        if (fabsf(all->left[i]) > *depth && fabsf(all->left[i]) > all->least[i])
            st->scratch[n++] = fabsf(all->left[i]);
    if (n > MAX_CHOSEN)
        *depth = fminf(kth_smallest(st->scratch, n, n - MAX_CHOSEN), 0.99f * top);
    for (size_t i = 0; i < all->n; i++)
        if (fabsf(all->left[i]) > *depth && fabsf(all->left[i]) > all->least[i])
            mark_near(st, all->x[i], all->y[i], 1);
}

/* The pixels of a batch: they are cleaned down to half of `top`. */
static void choose_batch(struct state *st, float top)
{
    const struct active *all = &st->all;
    struct active *batch = &st->batch;
    bool whole = all->n <= MAX_BATCH;
    float depth = BATCH_DEPTH * top;

    if (!whole)
        mark_batch(st, top, &depth);
    batch->n = 0;
    for (size_t i = 0; i < all->n && batch->n < MAX_BATCH; i++) {
        if (!whole && !st->near[all->y[i] * st->nx + all->x[i]])
            continue;
        batch->left[batch->n] = all->left[i];
        batch->least[batch->n] = all->least[i] > depth ? all->least[i] : depth;
        batch->x[batch->n] = all->x[i];
        batch->y[batch->n] = all->y[i];
        st->placed[batch->n++] = 0.0f;
    }
    for (size_t i = 0; !whole && i < all->n; i++)
        mark_near(st, all->x[i], all->y[i], 0);
    for (size_t b = 0; b * BLOCK < batch->n; b++)
        st->top[b] = highest(batch, b * BLOCK, block_end(batch, b));
}

/* Take `flux` times the PSF centred on (cx, cy) off the pixels lo .. hi - 1. */
static void subtract_psf(const struct state *st, struct active *a, size_t lo, size_t hi,
                         size_t cx, size_t cy, float flux)
{
    size_t nx = st->nx, ny = st->ny;
    /* Where the PSF has its first pixel; lags beyond its last wait for a major cycle. */
    ptrdiff_t x0 = (ptrdiff_t)cx - (ptrdiff_t)(nx / 2);
    ptrdiff_t y0 = (ptrdiff_t)cy - (ptrdiff_t)(ny / 2);

    for (size_t i = lo; i < hi; i++) {
        size_t x = (size_t)((ptrdiff_t)a->x[i] - x0);
        size_t y = (size_t)((ptrdiff_t)a->y[i] - y0);
        bool inside = x < nx && y < ny;
        float psf = st->psf[inside ? y * nx + x : 0];

        a->left[i] -= inside ? flux * psf : 0.0f;
    }
}

/* The batch's pixel that is furthest from 0 and above its floor. */
static size_t brightest(const struct state *st)
{
    const struct active *a = &st->batch;
    size_t best = 0, at, end;

    for (size_t b = 1; b * BLOCK < a->n; b++)
        if (st->top[b] > st->top[best])
            best = b;
    end = block_end(a, best);
    for (at = best * BLOCK; at + 1 < end; at++)
        if (fabsf(a->left[at]) >= st->top[best] && fabsf(a->left[at]) > a->least[at])
            break;
    return at;
}

/*
 * Hogbom over the pixels of the batch.
 *
 * Over many active pixels close together the PSF image, cut at its border, need not be positive
 * definite: then peaks grow.  The components since the lowest peak are taken back, and it is
 * time for a major cycle.  Returns whether all pixels came down to where they should.
 */
static bool clean_batch(struct state *st)
{
    struct active *a = &st->batch;
    float lowest = INFINITY;
    size_t nlate = 0;

    while (st->res->niter < st->opts->niter) {
        size_t at = brightest(st);
        float peak = fabsf(a->left[at]), flux = (float)st->opts->gain * a->left[at];

        if (!(peak > a->least[at]))
            return true;
        if (peak < lowest) {
            lowest = peak;
            nlate = 0;
        }
        if (peak > GROWTH * lowest || nlate == MAX_LATE) {
            while (nlate-- > 0)
                st->placed[st->late[nlate].at] -= st->late[nlate].flux;
            return false;
        }
        st->late[nlate++] = (struct late){at, flux};
        st->placed[at] += flux;
        st->res->niter++;
        subtract_psf(st, a, 0, a->n, a->x[at], a->y[at], flux);
        for (size_t b = 0; b * BLOCK < a->n; b++)
            st->top[b] = highest(a, b * BLOCK, block_end(a, b));
    }
    return true;
}

/* Take the batch's components off the active pixels lo .. hi - 1. */
static void subtract_batch(void *arg, size_t lo, size_t hi)
{
    struct state *st = arg;

    for (size_t k = 0; k < st->batch.n; k++)
        if (st->placed[k] != 0.0f)
            subtract_psf(st, &st->all, lo, hi, st->batch.x[k], st->batch.y[k],
                         st->placed[k]);
}

/* The batch's components join those of the minor cycle; sign -1: leave them again. */
static void keep_batch(struct state *st, float sign)
{
    for (size_t k = 0; k < st->batch.n; k++) {
        st->delta[st->batch.y[k] * st->nx + st->batch.x[k]] += sign * st->placed[k];
        st->res->model_jy += (double)(sign * st->placed[k]);
    }
}

/*
 * Down to the floors or to what mgain allows; components go to delta.  The highest pixels are
 * cleaned by themselves, batch after batch, and all the others see a batch's components at once
 * (as Clark's minor cycles, with the PSF as far as the image goes).  False: nothing is left of
 * what was done.
 */
static bool minor_cycle(struct state *st)
{
    float start = st->top_jy, lowest = INFINITY;
    size_t kept = 0;
    bool whole = true;

    memset(st->delta, 0, st->nx * st->ny * sizeof *st->delta);
    collect_active(st, start * (float)(1.0 - st->opts->mgain));
    st->batch.n = 0;
    while (st->res->niter < st->opts->niter) {
        float top = highest(&st->all, 0, st->all.n);

        if (top > BATCH_GROWTH * lowest) {
            keep_batch(st, -1.0f);
            kept--;
        }
        if (!(top > 0.0f) || top > BATCH_GROWTH * lowest || !whole)
            break;
        lowest = fminf(lowest, top);
        choose_batch(st, top);
        whole = clean_batch(st);
        parallel_run_by(st->threads, st->all.n, subtract_batch, st);
        keep_batch(st, 1.0f);
        kept++;
    }
    return kept > 0;
}

/* Take the new components off the residual. */
static void major_cycle(struct state *st)
{
    for (size_t i = 0; i < st->nx * st->ny; i++) {
        st->model[i] += st->delta[i];
        st->since_jy += fabs((double)st->delta[i]);
    }
    st->res->nmajor++;
    normal_subtract(st->op, st->delta, st->residual);
}

/* The last major cycle made it worse: as it was before. */
static int take_back(struct state *st, struct err *e)
{
    for (size_t i = 0; i < st->nx * st->ny; i++)
        st->delta[i] = -st->delta[i];
    for (size_t i = 0; i < st->nx * st->ny; i++)
        st->res->model_jy += (double)st->delta[i];
    major_cycle(st);
    return measure(st, e);
}

/* The search is over: go on inside the mask of what was found.  False: there is no such phase. */
static bool go_deeper(struct state *st)
{
    return !st->masked && st->opts->auto_mask > st->opts->auto_threshold &&
           mask_domain(st);
}

/*
 * Near enough to the floor.  The floor falls a little with each cycle, for sigma does; what then
 * stands out a little is not worth a cycle of its own.  Nor are the artefacts around a bright
 * source, when the search finds little else.
 * sigma_jy: before the last cycle, 0: there was none at this level; few: it gave few components
 */
static bool is_done(const struct state *st, double sigma_jy, bool few)
{
    if (!(st->excess > NEAR_FLOOR))
        return true;
    return sigma_jy > 0.0 && st->res->sigma_jy > (1.0 - STEADY) * sigma_jy &&
           (st->excess <= NEAR_STEADY || (few && !st->masked));
}

/* One minor and one major cycle; false: nothing was found to take off. */
static bool one_cycle(struct state *st, int *rc, struct err *e)
{
    if (!minor_cycle(st))
        return false;
    major_cycle(st);
    *rc = measure(st, e);
    if (*rc == 0 && st->opts->progress != NULL)
        st->opts->progress(st->opts->arg, st->res->niter, st->res->peak_jy,
                           st->res->sigma_jy);
    return true;
}

/* Cycle until a level, a limit, or no more progress.  residual holds the dirty image. */
static int cycle(struct state *st, struct err *e)
{
    double first, best, sigma_jy = 0.0;
    bool few = false; /* the last cycle gave less than a twentieth of the components */
    size_t had;
    int slow = 0, rc = measure(st, e);

    first = best = (double)st->top_jy;
    while (rc == 0 && st->res->niter < st->opts->niter && st->res->nmajor < MAX_MAJOR) {
        double before = st->res->sigma_jy;

        /* A search that no longer gains (a twentieth of the peak, or components) still goes
         * on inside the mask. */
        had = st->res->niter;
        if (is_done(st, sigma_jy, few) || slow == 2 || !one_cycle(st, &rc, e)) {
            if (!go_deeper(st))
                break;
            rc = measure(st, e);
            best = (double)st->top_jy;
            sigma_jy = 0.0;
            slow = 0;
            continue;
        }
        sigma_jy = before;
        if (rc == 0 && st->masked && (double)st->top_jy > best) {
            rc = take_back(st, e);
            break;
        }
        if (rc == 0 && (double)st->top_jy > 2.0 * best &&
            (double)st->top_jy > 1e-4 * first)
            rc = err_set(e, ERR_QUALITY,
                         "CLEAN diverged in major cycle %zu: the residual grew from "
                         "%.3g to %.3g Jy",
                         st->res->nmajor, best, (double)st->top_jy);
        few = 20 * (st->res->niter - had) < had;
        slow = (double)st->top_jy > 0.95 * best || few ? slow + 1 : 0;
        best = fmin(best, (double)st->top_jy);
    }
    return rc;
}

/*
 * The residual from the visibilities.  *differs: by how much, at most, it is not the one that
 * the convolutions left, Jy/beam.
 */
static int check(struct state *st, double *differs, struct err *e)
{
    size_t npix = st->nx * st->ny;
    float *before = st->scratch;
    int rc;

    memcpy(before, st->residual, npix * sizeof *before);
    rc = imager_residual(st->im, st->model, st->residual, e);
    *differs = 0.0;
    for (size_t i = 0; rc == 0 && i < npix; i++)
        *differs = fmax(*differs, fabs((double)(st->residual[i] - before[i])));
    return rc;
}

/*
 * CLEAN, and again while the residual proves to be another than it was taken for.  What a pass
 * over the visibilities has found holds for the components since then in proportion to their
 * flux; another one is made only when that is too much.
 */
static int cycle_and_check(struct state *st, struct err *e)
{
    double per_jy = HUGE_VAL;
    int rc = 0;

    for (int i = 0; rc == 0 && i < MAX_CHECKS; i++) {
        rc = cycle(st, e);
        if (rc != 0 || st->opts->unchecked)
            return rc;
        if (per_jy * st->since_jy <= CHECK_SIGMA * st->res->sigma_jy) {
            st->res->check_jy = per_jy * st->since_jy;
            return 0;
        }
        rc = check(st, &st->res->check_jy, e);
        if (rc == 0)
            rc = measure(st, e);
        if (st->res->check_jy <= CHECK_SIGMA * st->res->sigma_jy)
            break;
        per_jy = st->res->check_jy / st->since_jy;
        st->since_jy = 0.0;
    }
    return rc;
}

static bool active_alloc(struct active *a, size_t n)
{
    a->left = malloc(n * sizeof *a->left);
    a->least = malloc(n * sizeof *a->least);
    a->x = malloc(n * sizeof *a->x);
    a->y = malloc(n * sizeof *a->y);
    return a->left != NULL && a->least != NULL && a->x != NULL && a->y != NULL;
}

static void active_free(struct active *a)
{
    free(a->left);
    free(a->least);
    free(a->x);
    free(a->y);
}

static bool state_alloc(struct state *st)
{
    size_t npix = st->nx * st->ny;

    st->delta = malloc(npix * sizeof *st->delta);
    st->scratch = malloc(npix * sizeof *st->scratch);
    st->sigma = malloc(npix * sizeof *st->sigma);
    st->domain = malloc(npix);
    st->near = calloc(npix, 1);
    st->placed = malloc(MAX_BATCH * sizeof *st->placed);
    st->top = calloc(MAX_BATCH / BLOCK, sizeof *st->top);
    st->late = malloc(MAX_LATE * sizeof *st->late);
    st->row_peak = malloc(3 * st->ny * sizeof *st->row_peak);
    if (st->row_peak != NULL) {
        st->row_top = st->row_peak + st->ny;
        st->row_excess = st->row_top + st->ny;
    }
    return active_alloc(&st->all, MAX_ACTIVE) && active_alloc(&st->batch, MAX_BATCH) &&
           st->delta != NULL && st->scratch != NULL && st->sigma != NULL &&
           st->domain != NULL && st->placed != NULL && st->top != NULL &&
           st->late != NULL && st->near != NULL && st->row_peak != NULL;
}

static void state_free(struct state *st)
{
    active_free(&st->all);
    active_free(&st->batch);
    free(st->delta);
    free(st->scratch);
    free(st->sigma);
    free(st->domain);
    free(st->placed);
    free(st->top);
    free(st->late);
    free(st->near);
    free(st->row_peak);
}

/* The dirty image, less the model that one starts with. */
static int start(struct state *st, struct err *e)
{
    size_t npix = st->nx * st->ny;
    int rc = imager_dirty(st->im, st->residual, e);

    if (!st->opts->warm)
        memset(st->model, 0, npix * sizeof *st->model);
    else if (rc == 0)
        normal_subtract(st->op, st->model, st->residual);
    for (size_t i = 0; st->opts->warm && i < npix; i++) {
        st->res->model_jy += (double)st->model[i];
        st->since_jy += fabs((double)st->model[i]);
    }
    first_domain(st);
    return rc;
}

int clean_run(struct imager *im, struct normal *op, const struct clean_opts *opts,
              const struct clean_planes *planes, struct clean_result *res,
              struct err *e)
{
    struct imager_info info;
    struct imager_view view;
    int rc;

    imager_info(im, &info);
    imager_view(im, &view);
    *res = (struct clean_result){0};
    if (!(opts->gain > 0.0 && opts->gain <= 1.0 && opts->mgain > 0.0 &&
          opts->mgain <= 1.0))
        return err_set(e, -EINVAL, "CLEAN gains of %g and %g: both must be in (0, 1]",
                       opts->gain, opts->mgain);
    struct state st = {.im = im,
                       .op = op,
                       .opts = opts,
                       .psf = planes->psf,
                       .nx = info.nx,
                       .ny = info.ny,
                       .threads = view.threads,
                       .model = planes->model,
                       .residual = planes->residual,
                       .res = res};
    if (state_alloc(&st)) {
        rc = start(&st, e);
        if (rc == 0)
            rc = cycle_and_check(&st, e);
    } else {
        rc = err_set(e, -ENOMEM, "no memory to CLEAN %zu x %zu pixels", info.nx,
                     info.ny);
    }
    state_free(&st);
    return rc;
}

int clean_restore(struct image *restored, const float *model, const float *residual,
                  struct err *e)
{
    size_t npix = restored->nx * restored->ny;
    double cell = restored->wcs.cell_rad, sp = sin(restored->bpa_rad);
    double cp = cos(restored->bpa_rad);
    double maj = restored->bmaj_rad / cell, min = restored->bmin_rad / cell;
    size_t half, side;
    float *stamp;
    int rc;

    if (!(min > 0.0 && maj >= min && isfinite(maj)))
        return err_set(e, ERR_SHAPE, "no beam to restore with: %g x %g pixels", maj,
                       min);
    half = (size_t)(2.2 * maj) + 2; /* exp(-4 ln2 2.2^2) is 1.5e-6 */
    side = 2 * half;
    stamp = malloc(side * side * sizeof *stamp);
    if (stamp == NULL)
        return err_set(e, -ENOMEM, "no memory for a beam of %zu pixels", side);
    for (size_t i = 0; i < side * side; i++) {
        double east = (double)half - (double)(i % side);
        double north = (double)(i / side) - (double)half;
        double along = (east * sp + north * cp) / maj;
        double across = (east * cp - north * sp) / min;

        stamp[i] = (float)exp(-4.0 * M_LN2 * (along * along + across * across));
    }
    memcpy(restored->pix, model, npix * sizeof *model);
    rc = fft_convolve(restored->pix, restored->nx, restored->ny, stamp, side, side);
    free(stamp);
    if (rc != 0)
        return err_set(e, rc, "no memory to restore %zu x %zu pixels", restored->nx,
                       restored->ny);
    for (size_t i = 0; i < npix; i++)
        restored->pix[i] += residual[i];
    return 0;
}
