/*
 * clean.c: major and minor cycles, and the restored image.
 *
 * A minor cycle (clean_minor.c) looks only at the pixels that matter; a major cycle takes the new
 * components off the whole image by convolutions (normal.h).  When the mask is found, or else at
 * the end, the residual is made from the visibilities, as a check and as the result.  Stopping
 * follows WSClean:
 * down to auto_mask sigma anywhere, then to auto_threshold sigma where components were found;
 * sigma is measured anew after each major cycle, around each pixel (its -local-rms).
 */
#include "pipeline/imaging/clean_parts.h"

#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/order.h"
#include "core/parallel.h"
#include "pipeline/imaging/fft.h"
#include "pipeline/imaging/imager.h"
#include "pipeline/imaging/normal.h"
#include "pipeline/sky/image.h"
#include "pipeline/sky/qa.h"

enum {
    MAX_MAJOR = 60,       /* major cycles, whatever the thresholds say */
    MAX_SAMPLES = 250000, /* pixels that the noise of the image is taken from */
    MAX_CHECKS = 3        /* passes over the visibilities at the end */
};

/* A residual of so many floors is done: at once, ... */
#define NEAR_FLOOR 1.02f
/* ... or after a cycle, when the noise fell by less than STEADY with it. */
#define NEAR_STEADY 1.5f
#define STEADY      0.05
/* The same of an image that is only a model for calibration. */
#define NEAR_ROUGH   2.0f
#define STEADY_ROUGH 0.2
/* A cycle inside the mask that makes the highest pixel higher by this is taken back. */
#define WORSE 1.5
/* CLEAN goes on when the residual from the visibilities differs by more of the noise. */
#define CHECK_SIGMA 0.2

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
    median = order_kthf(scratch, m, m / 2);
    for (size_t i = 0; i < m; i++)
        scratch[i] = fabsf(scratch[i] - median);
    return 1.4826 * (double)order_kthf(scratch, m, m / 2);
}

/* Where components may be at first: inside the border and the caller's mask. */
static void first_domain(struct clean_state *st)
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
static bool mask_domain(struct clean_state *st)
{
    size_t found = 0;

    for (size_t i = 0; i < st->nx * st->ny; i++) {
        st->domain[i] = st->domain[i] && st->model[i] != 0.0f;
        found += st->domain[i];
    }
    st->masked = true;
    return found > 0;
}

float clean_floor_sigma(const struct clean_state *st)
{
    const struct clean_opts *o = st->opts;
    double nsigma =
        o->auto_mask > 0.0 && !st->masked ? o->auto_mask : o->auto_threshold;

    return (float)fmax(nsigma, 0.0);
}

/* Rows lo .. hi - 1 of the residual (a NaN is never larger). */
static void measure_rows(void *arg, size_t lo, size_t hi)
{
    struct clean_state *st = arg;
    float nsigma = clean_floor_sigma(st), lowest = (float)st->opts->threshold_jy;

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
static void find_peaks(struct clean_state *st)
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

void clean_spare(struct clean_state *st, size_t x, size_t y)
{
    size_t reach = (size_t)(0.5 * st->opts->beam_pix) + 1;
    float whole = (float)st->res->sigma_jy;

    if (st->masked || !(st->opts->beam_pix > 0.0) || x < reach || y < reach ||
        x + reach >= st->nx || y + reach >= st->ny)
        return;
    for (size_t v = y - reach; v <= y + reach; v++)
        for (size_t u = x - reach; u <= x + reach; u++)
            st->sigma[v * st->nx + u] = fminf(st->sigma[v * st->nx + u], whole);
}

static void spare_found(struct clean_state *st)
{
    for (size_t i = 0; i < st->nx * st->ny; i++)
        if (st->model[i] != 0.0f)
            clean_spare(st, i % st->nx, i / st->nx);
}

/*
 * The sidelobes of a bright source look like noise around it: with few antennas its own peak is
 * less than ten times that.  What is twice as high as any sidelobe of the highest pixel can be is a
 * source all the same; sigma around each pixel is at most what lets it be searched, and at least
 * that of the whole image.
 */
static void spare_high(struct clean_state *st)
{
    float nsigma = clean_floor_sigma(st), peak = 0.0f, most;

    for (size_t i = 0; i < st->nx * st->ny; i++)
        if (st->domain[i] && fabsf(st->residual[i]) > peak)
            peak = fabsf(st->residual[i]);
    most = 2.0f * (float)st->opts->sidelobe * peak / fmaxf(nsigma, 1.0f);
    most = fmaxf(most, (float)st->res->sigma_jy);
    for (size_t i = 0; i < st->nx * st->ny; i++)
        st->sigma[i] = st->sigma[i] < most ? st->sigma[i] : most;
}

/* Noise of the whole residual and around each pixel, and the peaks. */
static int measure(struct clean_state *st, struct err *e)
{
    size_t npix = st->nx * st->ny;
    int rc = 0;

    st->res->sigma_jy = robust_sigma(st->residual, st->sample, npix);
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

/* Take the new components off the residual. */
static void major_cycle(struct clean_state *st)
{
    for (size_t i = 0; i < st->nx * st->ny; i++) {
        st->model[i] += st->delta[i];
        st->since_jy += fabs((double)st->delta[i]);
    }
    st->res->nmajor++;
    normal_subtract(st->op, st->delta, st->residual);
}

/* The last major cycle made it worse: as it was before. */
static int take_back(struct clean_state *st, struct err *e)
{
    for (size_t i = 0; i < st->nx * st->ny; i++)
        st->delta[i] = -st->delta[i];
    for (size_t i = 0; i < st->nx * st->ny; i++)
        st->res->model_jy += (double)st->delta[i];
    major_cycle(st);
    return measure(st, e);
}

/* The search is over: go on inside the mask of what was found.  False: there is no such phase. */
static bool go_deeper(struct clean_state *st)
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
static bool is_done(const struct clean_state *st, double sigma_jy, bool few)
{
    double steady = st->opts->unchecked ? STEADY_ROUGH : STEADY;
    float near = st->opts->unchecked ? NEAR_ROUGH : NEAR_STEADY;

    if (!(st->excess > NEAR_FLOOR))
        return true;
    return sigma_jy > 0.0 && st->res->sigma_jy > (1.0 - steady) * sigma_jy &&
           (st->excess <= near || (few && !st->masked));
}

/* One minor and one major cycle; false: nothing was found to take off. */
static bool one_cycle(struct clean_state *st, int *rc, struct err *e)
{
    if (!clean_minor_cycle(st))
        return false;
    major_cycle(st);
    *rc = measure(st, e);
    if (*rc == 0 && st->opts->progress != NULL)
        st->opts->progress(st->opts->arg, st->res->niter, st->res->peak_jy,
                           st->res->sigma_jy);
    return true;
}

/*
 * The residual from the visibilities.  res->check_jy: by how much, at most, it is not the one
 * that the convolutions left, Jy/beam.
 */
static int check(struct clean_state *st, struct err *e)
{
    size_t npix = st->nx * st->ny;
    float *before = st->delta;
    float differs = 0.0f;
    int rc;

    memcpy(before, st->residual, npix * sizeof *before);
    clean_minor_free(st->minor); /* room for the prediction */
    rc = imager_residual(st->im, st->model, st->residual, e);
    st->minor = clean_minor_new(st->nx, st->ny);
    if (rc == 0 && st->minor == NULL)
        rc = err_set(e, -ENOMEM, "no memory for minor cycles of %zu x %zu pixels",
                     st->nx, st->ny);
    for (size_t i = 0; rc == 0 && i < npix; i++) {
        float v = fabsf(st->residual[i] - before[i]);

        differs = v > differs ? v : differs;
    }
    st->res->check_jy = (double)differs;
    st->per_jy = st->since_jy > 0.0 ? st->res->check_jy / st->since_jy : HUGE_VAL;
    st->since_jy = 0.0;
    st->checks++;
    if (rc == 0)
        rc = measure(st, e);
    if (rc == 0 && st->res->peak_jy > 2.0 * st->first_jy)
        rc = err_set(e, ERR_QUALITY,
                     "CLEAN diverged: after %zu major cycles the visibilities leave "
                     "%.3g Jy instead of the first %.3g Jy",
                     st->res->nmajor, st->res->peak_jy, st->first_jy);
    return rc;
}

/* Cycle until a level, a limit, or no more progress.  residual holds the dirty image. */
static int cycle(struct clean_state *st, struct err *e)
{
    double first, best, sigma_jy = 0.0;
    bool few = false; /* the last cycle gave less than a twentieth of the components */
    size_t had;
    int slow = 0, patience = st->opts->unchecked ? 1 : 2, rc = 0;

    first = best = (double)st->top_jy;
    while (rc == 0 && st->res->niter < st->opts->niter && st->res->nmajor < MAX_MAJOR) {
        double before = st->res->sigma_jy;

        /* A search that no longer gains (a twentieth of the peak, or components) still goes
         * on inside the mask. */
        had = st->res->niter;
        if (is_done(st, sigma_jy, few) || slow == patience || !one_cycle(st, &rc, e)) {
            if (!go_deeper(st))
                break;
            /* the mask is found: a good moment to make sure of the residual */
            rc = st->opts->unchecked ? measure(st, e) : check(st, e);
            best = (double)st->top_jy;
            sigma_jy = 0.0;
            slow = 0;
            continue;
        }
        sigma_jy = before;
        if (rc == 0 && st->masked && (double)st->top_jy > WORSE * best) {
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
 * CLEAN, and again while the residual proves to be another than it was taken for.  What a pass
 * over the visibilities has found holds for the components since then in proportion to their
 * flux; another one is made only when that is too much.
 */
static int cycle_and_check(struct clean_state *st, struct err *e)
{
    int rc = measure(st, e);

    st->first_jy = st->res->peak_jy;
    st->per_jy = HUGE_VAL;
    while (rc == 0) {
        rc = cycle(st, e);
        if (rc != 0 || st->opts->unchecked)
            return rc;
        if (st->per_jy * st->since_jy <= CHECK_SIGMA * st->res->sigma_jy) {
            st->res->check_jy = st->per_jy * st->since_jy;
            return 0;
        }
        rc = check(st, e);
        if (st->res->check_jy <= CHECK_SIGMA * st->res->sigma_jy ||
            st->checks >= MAX_CHECKS)
            return rc;
    }
    return rc;
}

static bool state_alloc(struct clean_state *st)
{
    size_t npix = st->nx * st->ny;

    st->delta = malloc(npix * sizeof *st->delta);
    st->sample = malloc(2 * MAX_SAMPLES * sizeof *st->sample);
    st->sigma = malloc(npix * sizeof *st->sigma);
    st->domain = malloc(npix);
    st->minor = clean_minor_new(st->nx, st->ny);
    st->row_peak = malloc(3 * st->ny * sizeof *st->row_peak);
    if (st->row_peak != NULL) {
        st->row_top = st->row_peak + st->ny;
        st->row_excess = st->row_top + st->ny;
    }
    return st->delta != NULL && st->sample != NULL && st->sigma != NULL &&
           st->domain != NULL && st->minor != NULL && st->row_peak != NULL;
}

static void state_free(struct clean_state *st)
{
    free(st->delta);
    free(st->sample);
    free(st->sigma);
    free(st->domain);
    clean_minor_free(st->minor);
    free(st->row_peak);
}

/* The dirty image, less the model that one starts with. */
static int start(struct clean_state *st, struct err *e)
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
    struct clean_state st = {.im = im,
                             .op = op,
                             .opts = opts,
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
