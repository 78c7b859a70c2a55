/* beam_fit.c: see beam_fit.h. */
#include "pipeline/imaging/beam_fit.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "core/err.h"
#include "pipeline/sky/image.h"

/* Pixels of the PSF's main lobe taking part in the fit. */
enum { MAX_FIT = 4096 };

/* The pixels of the PSF that a beam is fitted to. */
#define BEAM_CUT 0.35f
/* What rises by more belongs to a sidelobe. */
#define BEAM_RISE 0.1f

/* PSF pixels of the main lobe: offsets from the centre and values. */
struct lobe {
    size_t n;
    double dx[MAX_FIT], dy[MAX_FIT], value[MAX_FIT];
};

/*
 * Pixels above `cut` that one reaches from the centre without going up again by more than
 * BEAM_RISE, row by row outwards: each row is walked from its peak below that of the row
 * before.  Arrays with equal steps have sidelobes of 0.7 that touch the main lobe.
 */
static void take_lobe(struct lobe *lobe, const float *psf, size_t nx, size_t ny,
                      float cut)
{
    lobe->n = 0;
    for (int dir = -1; dir <= 1; dir += 2) {
        size_t cx = nx / 2, y = dir < 0 ? ny / 2 : ny / 2 + 1;
        float low = INFINITY;

        for (; y < ny;
             y = dir < 0 ? y - 1 : y + 1) { /* y - 1 wraps past 0 to the end */
            const float *row = psf + y * nx;
            size_t lo = cx, hi = cx;

            while (cx > 0 && row[cx - 1] > row[cx])
                cx--;
            while (cx + 1 < nx && row[cx + 1] > row[cx])
                cx++;
            if (!(row[cx] > cut) || row[cx] > low + BEAM_RISE)
                break;
            low = fminf(low, row[cx]);
            lo = hi = cx;
            for (float least = row[lo];
                 lo > 0 && row[lo - 1] > cut && row[lo - 1] <= least + BEAM_RISE;
                 least = fminf(least, row[lo]))
                lo--;
            for (float least = row[hi];
                 hi + 1 < nx && row[hi + 1] > cut && row[hi + 1] <= least + BEAM_RISE;
                 least = fminf(least, row[hi]))
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
                       const double p[3], struct beam_fit *how)
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

int beam_fit_psf(struct image *psf, struct beam_fit *how, struct err *e)
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
