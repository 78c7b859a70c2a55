/*
 * clean.c: major and minor cycles, the beam and the restored image.
 *
 * A minor cycle looks only at the active pixels, those above the level that it may clean
 * down to, and takes off the part of the PSF that matters; the rest waits for the next major
 * cycle, which takes the new components off by convolutions (normal.h).  At the end the residual
 * is made once from the visibilities, as a check and as the result.  Stopping follows WSClean:
 * down to auto_mask sigma anywhere, then to auto_threshold sigma where components were found;
 * sigma is measured anew after each major cycle.
 */
#include "pipeline/imaging/clean.h"

#include <complex.h>
#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "pipeline/imaging/fft.h"
#include "pipeline/imaging/imager.h"
#include "pipeline/imaging/normal.h"
#include "pipeline/imaging/samples.h"
#include "pipeline/sky/astro.h"
#include "pipeline/sky/image.h"

enum {
    MAX_MAJOR = 60,      /* major cycles, whatever the thresholds say */
    MAX_ACTIVE = 100000, /* active pixels of a minor cycle; more raise its level */
    MAX_LATE = 20000,    /* components of a minor cycle since its lowest peak */
    BLOCK = 256,         /* active pixels whose largest is remembered */
    MAX_CHECKS = 3,      /* passes over the visibilities at the end */
    MAX_FIT = 4096       /* pixels of the PSF's main lobe taking part in the fit */
};

/* A minor cycle whose peak rises by this from its lowest does not converge.  (One component can
 * raise another peak by gain x sidelobe, a few per cent.) */
#define GROWTH 1.25f
/* The pixels of the PSF that a beam is fitted to. */
#define BEAM_CUT 0.5f
/* What of the PSF a minor cycle leaves to the next major one. */
#define PATCH_LEVEL 2e-3f
/* CLEAN goes on when the residual from the visibilities differs by more of the noise. */
#define CHECK_SIGMA 0.2

/* A component that may have to be taken back. */
struct late {
    size_t pixel;
    float flux;
};

struct state {
    struct imager *im;
    const struct samples *s;
    const struct clean_opts *opts;
    struct normal *op;
    const float *psf;
    size_t nx, ny;
    size_t rx,
        ry; /* the PSF further than this from its middle waits for a major cycle */
    float *model, *residual;
    float *delta;          /* [ny][nx] components of this minor cycle */
    float *scratch;        /* [ny][nx] for medians */
    unsigned char *domain; /* [ny][nx] 1 where components may be placed */
    struct late *late;     /* [MAX_LATE] */
    /* Active pixels in order of rows: what is left there, and where. */
    size_t nactive;
    float *left;       /* [MAX_ACTIVE] Jy/beam */
    uint16_t *x, *y;   /* [MAX_ACTIVE] */
    size_t *row_first; /* [ny + 1] first active pixel of each row */
    float *top;        /* [MAX_ACTIVE / BLOCK + 1] largest |left| of each block */
    bool masked;       /* the domain is the auto mask */
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

/* 1.4826 x the median absolute deviation of the finite pixels. */
static double robust_sigma(const float *pix, float *scratch, size_t n)
{
    size_t m = 0;
    float median;

    for (size_t i = 0; i < n; i++)
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

/* Peak inside the domain (a NaN is never larger) and noise of the whole residual. */
static void measure(struct state *st)
{
    float peak = 0.0f;

    for (size_t i = 0; i < st->nx * st->ny; i++)
        if (st->domain[i] && fabsf(st->residual[i]) > peak)
            peak = fabsf(st->residual[i]);
    st->res->peak_jy = (double)peak;
    st->res->sigma_jy = robust_sigma(st->residual, st->scratch, st->nx * st->ny);
}

/* What the search stops at now, Jy/beam. */
static double floor_level(const struct state *st)
{
    const struct clean_opts *o = st->opts;
    double nsigma =
        o->auto_mask > 0.0 && !st->masked ? o->auto_mask : o->auto_threshold;

    return fmax(o->threshold_jy, fmax(nsigma, 0.0) * st->res->sigma_jy);
}

static void find_top(struct state *st, size_t b)
{
    size_t end = (b + 1) * BLOCK < st->nactive ? (b + 1) * BLOCK : st->nactive;
    float top = 0.0f;

    for (size_t i = b * BLOCK; i < end; i++)
        top = fabsf(st->left[i]) > top ? fabsf(st->left[i]) : top;
    st->top[b] = top;
}

/* Collect the pixels above `level`; returns the level, raised if they were too many. */
static float collect_active(struct state *st, float level)
{
    size_t n = 0, npix = st->nx * st->ny;

    for (size_t i = 0; i < npix; i++)
        if (st->domain[i] && fabsf(st->residual[i]) > level)
            st->scratch[n++] = fabsf(st->residual[i]);
    if (n > MAX_ACTIVE)
        level = kth_smallest(st->scratch, n, n - MAX_ACTIVE);
    st->nactive = 0;
    for (size_t y = 0; y < st->ny; y++) {
        st->row_first[y] = st->nactive;
        for (size_t x = 0; x < st->nx; x++) {
            size_t i = y * st->nx + x;

            if (st->domain[i] && fabsf(st->residual[i]) > level &&
                st->nactive < MAX_ACTIVE) {
                st->left[st->nactive] = st->residual[i];
                st->x[st->nactive] = (uint16_t)x;
                st->y[st->nactive++] = (uint16_t)y;
            }
        }
    }
    st->row_first[st->ny] = st->nactive;
    for (size_t b = 0; b * BLOCK < st->nactive; b++)
        find_top(st, b);
    return level;
}

/* Take flux times the PSF centred on (cx, cy) off the active pixels near it. */
static void subtract_psf(struct state *st, size_t cx, size_t cy, float flux)
{
    size_t nx = st->nx, ny = st->ny, hx = nx / 2, hy = ny / 2, first, last;
    size_t y0 = cy > st->ry ? cy - st->ry : 0;
    size_t y1 = cy + st->ry + 1 < ny ? cy + st->ry + 1 : ny;
    size_t x0 = cx > st->rx ? cx - st->rx : 0;
    size_t x1 = cx + st->rx + 1 < nx ? cx + st->rx + 1 : nx;

    for (size_t y = y0; y < y1; y++) {
        const float *psf = st->psf + (y + hy - cy) * nx + hx - cx;

        for (size_t i = st->row_first[y]; i < st->row_first[y + 1]; i++) {
            size_t x = st->x[i];

            if (x >= x0 && x < x1)
                st->left[i] -= flux * psf[x];
        }
    }
    first = st->row_first[y0];
    last = st->row_first[y1];
    for (size_t b = first / BLOCK; b * BLOCK < last; b++)
        find_top(st, b);
}

/* The active pixel that is furthest from 0. */
static size_t brightest(const struct state *st)
{
    size_t best = 0, at = 0, end;

    for (size_t b = 1; b * BLOCK < st->nactive; b++)
        if (st->top[b] > st->top[best])
            best = b;
    end = (best + 1) * BLOCK < st->nactive ? (best + 1) * BLOCK : st->nactive;
    for (at = best * BLOCK; at + 1 < end && fabsf(st->left[at]) < st->top[best];)
        at++;
    return at;
}

/* Place or, with a negative flux, take back a component of this minor cycle. */
static void place(struct state *st, size_t pixel, float flux)
{
    st->delta[pixel] += flux;
    st->res->model_jy += (double)flux;
}

/*
 * Hogbom over the active pixels; components go to delta.
 *
 * Over many active pixels close together the PSF image, cut at its border, need not be positive
 * definite: a pattern that it hardly sees may grow while the peak no longer falls.  Then the
 * components since the lowest peak are taken back and the next major cycle starts from there.
 */
static void minor_cycle(struct state *st, double floor_jy)
{
    double start = st->res->peak_jy, mgain = st->opts->mgain;
    float level = (float)fmax(floor_jy, start * (1.0 - mgain)), lowest = INFINITY;
    size_t nlate = 0;

    memset(st->delta, 0, st->nx * st->ny * sizeof *st->delta);
    level = collect_active(st, level);
    while (st->nactive > 0 && st->res->niter < st->opts->niter) {
        size_t at = brightest(st), x = st->x[at], y = st->y[at];
        float peak = fabsf(st->left[at]), flux = (float)st->opts->gain * st->left[at];

        if (!(peak > level))
            return;
        if (peak < lowest) {
            lowest = peak;
            nlate = 0;
        }
        if (peak > GROWTH * lowest || nlate == MAX_LATE) {
            while (nlate-- > 0)
                place(st, st->late[nlate].pixel, -st->late[nlate].flux);
            return;
        }
        st->late[nlate++] = (struct late){y * st->nx + x, flux};
        place(st, y * st->nx + x, flux);
        st->res->niter++;
        subtract_psf(st, x, y, flux);
    }
}

/* Take the new components off the residual. */
static void major_cycle(struct state *st)
{
    for (size_t i = 0; i < st->nx * st->ny; i++)
        st->model[i] += st->delta[i];
    st->res->nmajor++;
    normal_subtract(st->op, st->delta, st->residual);
}

/* Cycle until a level, a limit, or no more progress.  residual holds the dirty image. */
static int cycle(struct state *st, struct err *e)
{
    double first, best;
    int slow = 0;

    measure(st);
    first = best = st->res->peak_jy;
    while (st->res->niter < st->opts->niter && st->res->nmajor < MAX_MAJOR) {
        double floor_jy = floor_level(st);

        /* Near enough: sigma falls a little with each cycle and the floor with it.  A search
         * that no longer gains still goes on inside the mask. */
        if (!(st->res->peak_jy > 1.02 * floor_jy) || slow == 2) {
            if (st->masked || !(st->opts->auto_mask > st->opts->auto_threshold) ||
                !mask_domain(st))
                break;
            measure(st);
            best = st->res->peak_jy;
            slow = 0;
            continue;
        }
        minor_cycle(st, floor_jy);
        major_cycle(st);
        measure(st);
        if (st->opts->progress != NULL)
            st->opts->progress(st->opts->arg, st->res->niter, st->res->peak_jy,
                               st->res->sigma_jy);
        if (st->res->peak_jy > 2.0 * best && st->res->peak_jy > 1e-4 * first)
            return err_set(e, ERR_QUALITY,
                           "CLEAN diverged in major cycle %zu: the residual grew from "
                           "%.3g to %.3g Jy",
                           st->res->nmajor, best, st->res->peak_jy);
        slow = st->res->peak_jy > 0.95 * best ? slow + 1 : 0;
        best = fmin(best, st->res->peak_jy);
    }
    return 0;
}

/*
 * The residual from the visibilities.  *differs: by how much, at most, it is not the one that
 * the convolutions left, Jy/beam.
 */
static int check(struct state *st, double *differs, struct err *e)
{
    size_t nvis = st->s->nrow * st->s->nchan, npix = st->nx * st->ny;
    float complex *vis = malloc(nvis * sizeof *vis);
    float *before = st->scratch;
    int rc;

    if (vis == NULL)
        return err_set(e, -ENOMEM, "no memory for the residuals of %zu visibilities",
                       nvis);
    memcpy(vis, st->s->data, nvis * sizeof *vis);
    memcpy(before, st->residual, npix * sizeof *before);
    rc = imager_predict(st->im, st->model, -1.0f, vis, e);
    if (rc == 0)
        rc = imager_dirty(st->im, vis, st->residual, e);
    *differs = 0.0;
    for (size_t i = 0; rc == 0 && i < npix; i++)
        *differs = fmax(*differs, fabs((double)(st->residual[i] - before[i])));
    free(vis);
    return rc;
}

/* CLEAN, and again while the residual proves to be another than it was taken for. */
static int cycle_and_check(struct state *st, struct err *e)
{
    int rc = 0;

    for (int i = 0; rc == 0 && i < MAX_CHECKS; i++) {
        rc = cycle(st, e);
        if (st->opts->unchecked)
            return rc;
        if (rc == 0)
            rc = check(st, &st->res->check_jy, e);
        if (rc == 0)
            measure(st);
        if (st->res->check_jy <= CHECK_SIGMA * st->res->sigma_jy)
            break;
    }
    return rc;
}

/* How far from its middle the PSF is worth a minor cycle's while. */
static void choose_patch(struct state *st)
{
    size_t hx = st->nx / 2, hy = st->ny / 2;

    st->rx = st->ry = 1;
    for (size_t y = 0; y < st->ny; y++)
        for (size_t x = 0; x < st->nx; x++)
            if (fabsf(st->psf[y * st->nx + x]) > PATCH_LEVEL) {
                size_t dx = x > hx ? x - hx : hx - x, dy = y > hy ? y - hy : hy - y;

                st->rx = dx > st->rx ? dx : st->rx;
                st->ry = dy > st->ry ? dy : st->ry;
            }
}

static bool state_alloc(struct state *st)
{
    size_t npix = st->nx * st->ny;

    st->delta = malloc(npix * sizeof *st->delta);
    st->scratch = malloc(npix * sizeof *st->scratch);
    st->domain = malloc(npix);
    st->left = malloc(MAX_ACTIVE * sizeof *st->left);
    st->x = malloc(MAX_ACTIVE * sizeof *st->x);
    st->y = malloc(MAX_ACTIVE * sizeof *st->y);
    st->top = calloc(MAX_ACTIVE / BLOCK + 1, sizeof *st->top);
    st->late = malloc(MAX_LATE * sizeof *st->late);
    st->row_first = malloc((st->ny + 1) * sizeof *st->row_first);
    return st->delta != NULL && st->scratch != NULL && st->domain != NULL &&
           st->left != NULL && st->x != NULL && st->y != NULL && st->top != NULL &&
           st->late != NULL && st->row_first != NULL;
}

static void state_free(struct state *st)
{
    free(st->delta);
    free(st->scratch);
    free(st->domain);
    free(st->left);
    free(st->x);
    free(st->y);
    free(st->top);
    free(st->late);
    free(st->row_first);
}

/* The dirty image, less the model that one starts with. */
static int start(struct state *st, struct err *e)
{
    size_t npix = st->nx * st->ny;
    int rc = imager_dirty(st->im, st->s->data, st->residual, e);

    if (!st->opts->warm)
        memset(st->model, 0, npix * sizeof *st->model);
    else if (rc == 0)
        normal_subtract(st->op, st->model, st->residual);
    for (size_t i = 0; st->opts->warm && i < npix; i++)
        st->res->model_jy += (double)st->model[i];
    first_domain(st);
    choose_patch(st);
    return rc;
}

int clean_run(struct imager *im, struct normal *op, const struct samples *s,
              const struct clean_opts *opts, const struct clean_planes *planes,
              struct clean_result *res, struct err *e)
{
    struct imager_info info;
    int rc;

    imager_info(im, &info);
    *res = (struct clean_result){0};
    if (!(opts->gain > 0.0 && opts->gain <= 1.0 && opts->mgain > 0.0 &&
          opts->mgain <= 1.0))
        return err_set(e, -EINVAL, "CLEAN gains of %g and %g: both must be in (0, 1]",
                       opts->gain, opts->mgain);
    struct state st = {.im = im,
                       .op = op,
                       .s = s,
                       .opts = opts,
                       .psf = planes->psf,
                       .nx = info.nx,
                       .ny = info.ny,
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

/* ---- the beam ---- */

/* PSF pixels of the main lobe: offsets from the centre and values. */
struct lobe {
    size_t n;
    double dx[MAX_FIT], dy[MAX_FIT], value[MAX_FIT];
};

/*
 * Pixels above `cut` that one reaches from the centre without going up, row by row outwards:
 * each row is walked from its peak below that of the row before.  Arrays with equal steps have
 * sidelobes of 0.7 that touch the core.
 */
static void take_lobe(struct lobe *lobe, const float *psf, size_t nx, size_t ny,
                      float cut)
{
    lobe->n = 0;
    for (int dir = -1; dir <= 1; dir += 2) {
        size_t cx = nx / 2, y = dir < 0 ? ny / 2 : ny / 2 + 1;
        float top = INFINITY;

        for (; y < ny;
             y = dir < 0 ? y - 1 : y + 1) { /* y - 1 wraps past 0 to the end */
            const float *row = psf + y * nx;
            size_t lo = cx, hi = cx;

            while (cx > 0 && row[cx - 1] > row[cx])
                cx--;
            while (cx + 1 < nx && row[cx + 1] > row[cx])
                cx++;
            if (!(row[cx] > cut) || row[cx] > top)
                break;
            top = row[cx];
            for (lo = cx; lo > 0 && row[lo - 1] > cut && row[lo - 1] <= row[lo];)
                lo--;
            for (hi = cx; hi + 1 < nx && row[hi + 1] > cut && row[hi + 1] <= row[hi];)
                hi++;
            for (size_t x = lo; x <= hi && lobe->n < MAX_FIT; x++, lobe->n++) {
                lobe->dx[lobe->n] = (double)x - (double)(nx / 2);
                lobe->dy[lobe->n] = (double)y - (double)(ny / 2);
                lobe->value[lobe->n] = (double)row[x];
            }
        }
    }
}

/* Solve the symmetric 3 x 3 system m p = r in place by Cholesky; false if singular. */
static bool solve3(double m[3][3], double r[3])
{
    for (int i = 0; i < 3; i++) {
        for (int j = 0; j <= i; j++) {
            double sum = m[i][j];

            for (int k = 0; k < j; k++)
                sum -= m[i][k] * m[j][k];
            if (i == j && !(sum > 1e-12 * m[i][i]))
                return false;
            m[i][j] = i == j ? sqrt(sum) : sum / m[j][j];
        }
    }
    for (int i = 0; i < 3; i++) {
        for (int k = 0; k < i; k++)
            r[i] -= m[i][k] * r[k];
        r[i] /= m[i][i];
    }
    for (int i = 2; i >= 0; i--) {
        for (int k = i + 1; k < 3; k++)
            r[i] -= m[k][i] * r[k];
        r[i] /= m[i][i];
    }
    return true;
}

/*
 * One step of least squares for value = exp(-q), q = p0 dx^2 + p1 dx dy + p2 dy^2, weighted by
 * value^2, so that the core counts and not the plinth that it stands on.
 * start: linear in the logarithm; otherwise Gauss-Newton.
 */
static bool fit_step(const struct lobe *lobe, double p[3], bool start)
{
    double m[3][3] = {{0.0}}, r[3] = {0.0};

    for (size_t i = 0; i < lobe->n; i++) {
        double x = lobe->dx[i], y = lobe->dy[i], value = lobe->value[i];
        double g[3] = {x * x, x * y, y * y};
        double q = p[0] * g[0] + p[1] * g[1] + p[2] * g[2];
        double slope = value * (start ? value : exp(-q)); /* -d value / d q, weighted */
        double miss = value * (start ? -value * log(value) : exp(-q) - value);

        for (int a = 0; a < 3; a++) {
            for (int b = 0; b < 3; b++)
                m[a][b] += slope * slope * g[a] * g[b];
            r[a] += slope * g[a] * miss;
        }
    }
    if (!solve3(m, r))
        return false;
    for (int a = 0; a < 3; a++)
        p[a] = start ? r[a] : p[a] + r[a];
    return true;
}

/* The Gaussian of p in pixels as the image's beam; false when it is none. */
static bool set_beam(struct image *psf, const double p[3])
{
    double mean = 0.5 * (p[0] + p[2]), root = hypot(0.5 * (p[0] - p[2]), 0.5 * p[1]);
    /* The major axis is where q grows least: at angle `axis` from +x in pixels. */
    double axis = 0.5 * atan2(p[1], p[0] - p[2]) + M_PI / 2;

    if (!(mean - root > 0.0))
        return false;
    psf->bmaj_rad = 2.0 * sqrt(M_LN2 / (mean - root)) * psf->wcs.cell_rad;
    psf->bmin_rad = 2.0 * sqrt(M_LN2 / (mean + root)) * psf->wcs.cell_rad;
    psf->bpa_rad = atan2(-cos(axis), sin(axis)); /* east is -x */
    if (psf->bpa_rad <= -M_PI / 2)
        psf->bpa_rad += M_PI;
    else if (psf->bpa_rad > M_PI / 2)
        psf->bpa_rad -= M_PI;
    return true;
}

/* How well the beam describes the PSF: inside the lobe, and what is left outside. */
static void judge_beam(const struct image *psf, const struct lobe *lobe,
                       const double p[3], struct clean_beam *how)
{
    double reach = 1.5 * psf->bmaj_rad / psf->wcs.cell_rad, sum = 0.0;

    for (size_t i = 0; i < lobe->n; i++) {
        double x = lobe->dx[i], y = lobe->dy[i];

        sum +=
            pow(lobe->value[i] - exp(-p[0] * x * x - p[1] * x * y - p[2] * y * y), 2.0);
    }
    how->residual = sqrt(sum / (double)lobe->n);
    how->sidelobe = 0.0;
    for (size_t y = 0; y < psf->ny; y++)
        for (size_t x = 0; x < psf->nx; x++)
            if (hypot((double)x - (double)(psf->nx / 2),
                      (double)y - (double)(psf->ny / 2)) > reach)
                how->sidelobe =
                    fmax(how->sidelobe, fabs((double)psf->pix[y * psf->nx + x]));
}

int clean_fit_beam(struct image *psf, struct clean_beam *how, struct err *e)
{
    struct lobe *lobe = malloc(sizeof *lobe);
    double p[3] = {0.0};

    psf->bmaj_rad = psf->bmin_rad = psf->bpa_rad = 0.0;
    if (lobe == NULL)
        return err_set(e, -ENOMEM, "no memory to fit the beam");
    take_lobe(lobe, psf->pix, psf->nx, psf->ny, BEAM_CUT);
    how->gaussian = lobe->n >= 5 && fit_step(lobe, p, true);
    for (int i = 0; how->gaussian && i < 20; i++)
        how->gaussian = fit_step(lobe, p, false);
    if (!how->gaussian || !set_beam(psf, p)) {
        /* A round one whose half-power area is the lobe's: pi / 4 FWHM^2. */
        how->gaussian = false;
        p[0] = p[2] = M_PI * M_LN2 / (double)(lobe->n > 4 ? lobe->n : 4);
        p[1] = 0.0;
        set_beam(psf, p);
    }
    judge_beam(psf, lobe, p, how);
    free(lobe);
    return 0;
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
