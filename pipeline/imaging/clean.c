/*
 * clean.c: major and minor cycles, the beam and the restored image.
 *
 * A minor cycle looks only at the active pixels, those above the level to which it may clean;
 * their residuals are exact under the PSF image, all others wait for the next major cycle,
 * which takes the new components off the visibilities.  Stopping follows WSClean: down to
 * auto_mask sigma anywhere, then to auto_threshold sigma where components were found; sigma is
 * measured anew after each major cycle.
 */
#include "pipeline/imaging/clean.h"

#include <complex.h>
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "pipeline/imaging/fft.h"
#include "pipeline/imaging/imager.h"
#include "pipeline/imaging/samples.h"
#include "pipeline/sky/astro.h"
#include "pipeline/sky/image.h"

enum {
    MAX_MAJOR = 60,      /* major cycles, whatever the thresholds say */
    MAX_ACTIVE = 100000, /* active pixels of a minor cycle; more raise its level */
    MAX_LATE = 20000,    /* components of a minor cycle since its lowest peak */
    MAX_FIT = 4096       /* pixels of the PSF's main lobe taking part in the fit */
};

/* A minor cycle whose peak rises by this from its lowest does not converge.  (One component can
 * raise another peak by gain x sidelobe, a few per cent.) */
#define GROWTH 1.25f

/* One active pixel, in order of rows. */
struct active {
    size_t x, y;
    float residual;
};

/* A component that may have to be taken back. */
struct late {
    size_t pixel;
    float flux;
};

struct state {
    struct imager *im;
    const struct samples *s;
    const struct clean_opts *opts;
    const float *psf;
    size_t nx, ny;
    float *model, *residual;
    float *delta;          /* [ny][nx] components of this minor cycle */
    float *scratch;        /* [ny][nx] for medians */
    float complex *vis;    /* [nrow][nchan] data minus model */
    unsigned char *domain; /* [ny][nx] 1 where components may be placed */
    struct active *active; /* [MAX_ACTIVE] */
    struct late *late;     /* [MAX_LATE] */
    size_t nactive;
    size_t *row_first; /* [ny + 1] first active pixel of each row */
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
                st->nactive < MAX_ACTIVE)
                st->active[st->nactive++] =
                    (struct active){.x = x, .y = y, .residual = st->residual[i]};
        }
    }
    st->row_first[st->ny] = st->nactive;
    return level;
}

/* Take flux times the PSF centred on (cx, cy) off the active pixels that it covers. */
static void subtract_psf(struct state *st, size_t cx, size_t cy, float flux)
{
    size_t nx = st->nx, ny = st->ny, hx = nx / 2, hy = ny / 2;
    size_t y0 = cy > hy ? cy - hy : 0, y1 = cy + ny - hy < ny ? cy + ny - hy : ny;
    size_t x0 = cx > hx ? cx - hx : 0, x1 = cx + nx - hx < nx ? cx + nx - hx : nx;

    for (size_t y = y0; y < y1; y++) {
        const float *psf = st->psf + (y + hy - cy) * nx;

        for (size_t i = st->row_first[y]; i < st->row_first[y + 1]; i++) {
            size_t x = st->active[i].x;

            if (x >= x0 && x < x1)
                st->active[i].residual -= flux * psf[x + hx - cx];
        }
    }
}

static size_t brightest(const struct state *st)
{
    size_t best = 0;

    for (size_t i = 1; i < st->nactive; i++)
        if (fabsf(st->active[i].residual) > fabsf(st->active[best].residual))
            best = i;
    return best;
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
        struct active at = st->active[brightest(st)];
        float flux = (float)st->opts->gain * at.residual;

        if (!(fabsf(at.residual) > level))
            return;
        if (fabsf(at.residual) < lowest) {
            lowest = fabsf(at.residual);
            nlate = 0;
        }
        if (fabsf(at.residual) > GROWTH * lowest || nlate == MAX_LATE) {
            while (nlate-- > 0)
                place(st, st->late[nlate].pixel, -st->late[nlate].flux);
            return;
        }
        st->late[nlate++] = (struct late){at.y * st->nx + at.x, flux};
        place(st, at.y * st->nx + at.x, flux);
        st->res->niter++;
        subtract_psf(st, at.x, at.y, flux);
    }
}

/* Subtract the new components from the visibilities and image what is left. */
static int major_cycle(struct state *st, struct err *e)
{
    int rc;

    for (size_t i = 0; i < st->nx * st->ny; i++)
        st->model[i] += st->delta[i];
    st->res->nmajor++;
    rc = imager_predict(st->im, st->delta, -1.0f, st->vis, e);
    return rc != 0 ? rc : imager_dirty(st->im, st->vis, st->residual, e);
}

/* Cycle until a level, a limit, or no more progress.  residual holds the dirty image. */
static int cycle(struct state *st, struct err *e)
{
    double first, best;
    int slow = 0, rc;

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
        rc = major_cycle(st, e);
        if (rc != 0)
            return rc;
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

int clean_run(struct imager *im, const struct samples *s, const struct clean_opts *opts,
              const struct clean_planes *planes, struct clean_result *res,
              struct err *e)
{
    struct imager_info info;
    size_t nvis = s->nrow * s->nchan, npix;
    int rc;

    imager_info(im, &info);
    npix = info.nx * info.ny;
    *res = (struct clean_result){0};
    if (!(opts->gain > 0.0 && opts->gain <= 1.0 && opts->mgain > 0.0 &&
          opts->mgain <= 1.0))
        return err_set(e, -EINVAL, "CLEAN gains of %g and %g: both must be in (0, 1]",
                       opts->gain, opts->mgain);
    struct state st = {.im = im,
                       .s = s,
                       .opts = opts,
                       .psf = planes->psf,
                       .nx = info.nx,
                       .ny = info.ny,
                       .model = planes->model,
                       .residual = planes->residual,
                       .res = res};
    st.delta = malloc(npix * sizeof *st.delta);
    st.scratch = malloc(npix * sizeof *st.scratch);
    st.domain = malloc(npix);
    st.active = malloc(MAX_ACTIVE * sizeof *st.active);
    st.late = malloc(MAX_LATE * sizeof *st.late);
    st.row_first = malloc((info.ny + 1) * sizeof *st.row_first);
    st.vis = malloc(nvis * sizeof *st.vis);
    if (st.delta == NULL || st.scratch == NULL || st.domain == NULL ||
        st.active == NULL || st.late == NULL || st.row_first == NULL ||
        st.vis == NULL) {
        rc = err_set(e, -ENOMEM,
                     "no memory to CLEAN %zu visibilities and %zu x %zu pixels", nvis,
                     info.nx, info.ny);
        goto out;
    }
    memset(st.model, 0, npix * sizeof *st.model);
    memcpy(st.vis, s->data, nvis * sizeof *st.vis);
    first_domain(&st);
    rc = imager_dirty(im, st.vis, st.residual, e);
    if (rc == 0)
        rc = cycle(&st, e);

out:
    free(st.delta);
    free(st.scratch);
    free(st.domain);
    free(st.active);
    free(st.late);
    free(st.row_first);
    free(st.vis);
    return rc;
}

/* ---- the beam ---- */

/* PSF pixels of the main lobe: offsets from the centre and values. */
struct lobe {
    size_t n;
    double dx[MAX_FIT], dy[MAX_FIT], value[MAX_FIT];
};

/*
 * Pixels above `cut` that hang together with the centre, row by row outwards: each row is
 * walked from the brightest lobe pixel of the row before.
 */
static void take_lobe(struct lobe *lobe, const float *psf, size_t nx, size_t ny,
                      float cut)
{
    lobe->n = 0;
    for (int dir = -1; dir <= 1; dir += 2) {
        size_t cx = nx / 2, y = dir < 0 ? ny / 2 : ny / 2 + 1;

        for (; y < ny;
             y = dir < 0 ? y - 1 : y + 1) { /* y - 1 wraps past 0 to the end */
            const float *row = psf + y * nx;
            size_t lo = cx, hi = cx;

            while (cx > 0 && row[cx - 1] > row[cx])
                cx--;
            while (cx + 1 < nx && row[cx + 1] > row[cx])
                cx++;
            if (!(row[cx] > cut))
                break;
            for (lo = cx; lo > 0 && row[lo - 1] > cut;)
                lo--;
            for (hi = cx; hi + 1 < nx && row[hi + 1] > cut;)
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
 * One step of least squares for value = exp(-q), q = p0 dx^2 + p1 dx dy + p2 dy^2.
 * start: linear in the logarithm, weighted by value^2; otherwise Gauss-Newton.
 */
static bool fit_step(const struct lobe *lobe, double p[3], bool start)
{
    double m[3][3] = {{0.0}}, r[3] = {0.0};

    for (size_t i = 0; i < lobe->n; i++) {
        double x = lobe->dx[i], y = lobe->dy[i], value = lobe->value[i];
        double g[3] = {x * x, x * y, y * y};
        double q = p[0] * g[0] + p[1] * g[1] + p[2] * g[2];
        double slope = start ? value : exp(-q); /* -d value / d q */
        double miss = start ? -value * log(value) : exp(-q) - value;

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

int clean_fit_beam(struct image *psf, struct err *e)
{
    struct lobe *lobe = malloc(sizeof *lobe);
    double p[3] = {0.0};
    bool good;

    psf->bmaj_rad = psf->bmin_rad = psf->bpa_rad = 0.0;
    if (lobe == NULL)
        return err_set(e, -ENOMEM, "no memory to fit the beam");
    take_lobe(lobe, psf->pix, psf->nx, psf->ny, 0.35f);
    good = lobe->n >= 5 && fit_step(lobe, p, true);
    for (int i = 0; good && i < 20; i++)
        good = fit_step(lobe, p, false);
    double npix = (double)lobe->n, mean = 0.5 * (p[0] + p[2]);
    double root = hypot(0.5 * (p[0] - p[2]), 0.5 * p[1]);
    free(lobe);
    if (!good || !(mean - root > 0.0))
        return err_set(
            e, ERR_QUALITY,
            "no Gaussian beam fits the main lobe of the PSF (%.0f pixels above "
            "0.35)",
            npix);
    /* The major axis is where q grows least: at angle `axis` from +x in pixels. */
    double axis = 0.5 * atan2(p[1], p[0] - p[2]) + M_PI / 2;
    psf->bmaj_rad = 2.0 * sqrt(M_LN2 / (mean - root)) * psf->wcs.cell_rad;
    psf->bmin_rad = 2.0 * sqrt(M_LN2 / (mean + root)) * psf->wcs.cell_rad;
    psf->bpa_rad = atan2(-cos(axis), sin(axis)); /* east is -x */
    if (psf->bpa_rad <= -M_PI / 2)
        psf->bpa_rad += M_PI;
    else if (psf->bpa_rad > M_PI / 2)
        psf->bpa_rad -= M_PI;
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
