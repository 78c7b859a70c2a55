/*
 * imager.c: the plane through the baselines, the number of terms, and the transforms.
 *
 * A pixel's slant coordinates (x, y) and t = n - 1 obey x = l + a t, y = m + b t.  A sample's
 * phase is then 2 pi (u x + v y + w' t), w' = w - a u - b v, and with phi = 2 pi w' T,
 * T = the largest |t| of the image,
 *
 *   image = sum over k of (t / T)^k / k!  Re[ transform of wi (-i phi)^k V ]  /  sum of wi.
 *
 * The series stops where its remainder, |phi t / T|^K / K!, is below the accuracy, rms over the
 * imaging weights and over the image: most pixels are far from the corners, where t is T.  grid.c holds the loops over samples, fft.c the transforms.
 */
#include "pipeline/imaging/imager.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/parallel.h"
#include "pipeline/imaging/fft.h"
#include "pipeline/imaging/grid.h"
#include "pipeline/imaging/kernel.h"
#include "pipeline/imaging/samples.h"
#include "pipeline/imaging/weight.h"
#include "pipeline/sky/astro.h"
#include "pipeline/sky/beam_series.h"
#include "pipeline/sky/wcs.h"

enum { MAX_TERMS = 12, MIN_SIDE = 16, MAX_SIDE = 32768 };

/* The series' part of the wanted accuracy; the rest is the gridding's. */
#define SERIES_SHARE 0.95
/* Corners count as one pixel in fifty: there t is T, and the error largest. */
#define CORNER_SHARE 0.02
/* Of what the series of the beam leaves out about a thirtieth shows in an image; a term may err
 * by less than that. */
#define BEAM_SHARE 0.02

/* Planes beyond this many bytes are made in several passes over the samples. */
static const size_t plane_bytes = (size_t)1 << 30;

struct imager {
    struct samples s; /* arrays borrowed */
    struct imager_opts opts;
    double ra_rad, dec_rad;
    struct imager_info info;
    struct plane_fit fit;
    double tmax; /* T above */
    struct kernel ker;
    struct grid grid;
    struct fft *fft;
    size_t ncol;            /* columns that samples reach */
    float *wi;              /* [nrow][nchan] imaging weight; 0 = not imaged */
    float *gain_x, *gain_y; /* [nx] [ny] 1 / transform of the kernel */
    float *tau;             /* [ny][nx] t / T */
    float *work;            /* [ny][nx] */
    uint32_t *order;        /* [nrow] s.order */
    double
        rest[MAX_TERMS + 1]; /* rms, of the series when it ends after so many terms */
    const struct beam_series *beam;
};

/* t = n - 1 at slant coordinates (x, y); 0, or -EDOM off the sphere. */
static int slant_t(double a, double b, double x, double y, double *t)
{
    double r2 = x * x + y * y, half = 1.0 - a * x - b * y;
    double disc = half * half - (1.0 + a * a + b * b) * r2;

    if (half <= 0.0 || disc <= 0.0)
        return -EDOM;
    *t = -r2 / (half + sqrt(disc));
    return 0;
}

static double pixel_x(const struct imager *im, size_t x)
{
    return -((double)x - (double)(im->opts.nx / 2)) * im->opts.cell_rad;
}

static double pixel_y(const struct imager *im, size_t y)
{
    return ((double)y - (double)(im->opts.ny / 2)) * im->opts.cell_rad;
}

/* The largest |n - 1| (at a corner: it grows outwards); -EDOM if one is off the sphere. */
static int largest_t(const struct imager *im, double a, double b, double *tmax)
{
    *tmax = 0.0;
    for (int i = 0; i < 4; i++) {
        double x = pixel_x(im, i % 2 == 0 ? 0 : im->opts.nx - 1), t;
        double y = pixel_y(im, i / 2 == 0 ? 0 : im->opts.ny - 1);

        if (slant_t(a, b, x, y, &t) != 0)
            return -EDOM;
        *tmax = fmax(*tmax, fabs(t));
    }
    return 0;
}

static int check_opts(const struct samples *s, const struct imager_opts *o,
                      struct err *e)
{
    if (o->nx % 2 != 0 || o->ny % 2 != 0 || o->nx < MIN_SIDE || o->ny < MIN_SIDE ||
        o->nx > MAX_SIDE || o->ny > MAX_SIDE)
        return err_set(e, ERR_SHAPE,
                       "an image of %zu x %zu pixels: both must be even, from %d to %d",
                       o->nx, o->ny, MIN_SIDE, MAX_SIDE);
    if (!(o->cell_rad > 0.0 && o->cell_rad < 1.0))
        return err_set(e, ERR_SHAPE, "a pixel of %g arcsec is not possible",
                       o->cell_rad / ASTRO_ARCSEC);
    if (s->nrow == 0 || s->nchan == 0)
        return err_set(e, ERR_QUALITY, "no visibilities to image");
    return 0;
}

/* Extent of the samples of some rows. */
struct extent {
    double umax, uall, wmax, uvmax;
    size_t nsample, ndropped;
};

static void take_row(struct imager *im, size_t r, struct extent *x)
{
    const struct samples *s = &im->s;
    const float *vis = (const float *)s->data + 2 * r * s->nchan;
    const float *weight = s->weight + r * s->nchan;
    float *wi = im->wi + r * s->nchan;
    const double *uvw = s->uvw_m[r];
    double m = fmax(fabs(uvw[0]), fabs(uvw[1])) / ASTRO_C_M_S, kmax = 0.0;
    bool finite = isfinite(uvw[0]) && isfinite(uvw[1]) && isfinite(uvw[2]);
    size_t n = 0;

    for (size_t c = 0; c < s->nchan; c++) {
        double f = s->freq_hz[c];
        bool good = finite && weight[c] > 0.0f && isfinite(weight[c]) &&
                    isfinite(vis[2 * c]) && isfinite(vis[2 * c + 1]);
        bool on_grid = m * f * im->opts.cell_rad <= 0.5;

        wi[c] = good && on_grid ? weight[c] : 0.0f;
        n += good && on_grid;
        x->ndropped += good && !on_grid;
        if (good)
            x->uall = fmax(x->uall, m * f);
        if (finite && on_grid)
            kmax = fmax(kmax, f / ASTRO_C_M_S);
    }
    x->nsample += n;
    x->umax = fmax(x->umax, fabs(uvw[0]) * kmax);
    if (n > 0) {
        x->wmax = fmax(x->wmax, fabs(uvw[2]) * kmax);
        x->uvmax = fmax(x->uvmax, hypot(uvw[0], uvw[1]) * kmax);
    }
}

/* Natural weights of the samples that can be imaged; counts them and their extent. */
static int take_weights(struct imager *im, struct err *e)
{
    const struct samples *s = &im->s;
    struct imager_info *info = &im->info;
    struct extent x = {0};

    im->wi = malloc(s->nrow * s->nchan * sizeof *im->wi);
    im->order = samples_order(s);
    im->s.order = im->order;
    if (im->wi == NULL || im->order == NULL)
        return err_set(e, -ENOMEM, "no memory for %zu imaging weights",
                       s->nrow * s->nchan);
    for (size_t r = 0; r < s->nrow; r++)
        take_row(im, r, &x);
    info->ndropped = x.ndropped;
    info->nsample = x.nsample;
    info->wmax = x.wmax;
    info->uvmax_lambda = x.uvmax;
    info->umax_lambda = x.umax;
    info->accuracy = im->opts.accuracy;
    im->ncol =
        (size_t)(x.umax * (double)im->grid.nu * im->opts.cell_rad) + KERNEL_TAPS + 2;
    if (info->ndropped > (info->nsample + info->ndropped) / 100)
        return err_set(
            e, ERR_SHAPE,
            "pixels of %.3g arcsec are too large: %zu of %zu visibilities have "
            "finer fringes, at most %.3g arcsec would do",
            im->opts.cell_rad / ASTRO_ARCSEC, info->ndropped,
            info->nsample + info->ndropped, 0.5 / x.uall / ASTRO_ARCSEC);
    if (info->nsample == 0)
        return err_set(e, ERR_QUALITY, "all %zu visibilities are flagged",
                       s->nrow * s->nchan);
    return 0;
}

/*
 * Weighted least squares for w = a u + b v in metres, with the natural weights, so that
 * all weightings of the same data share one frame.  When the baselines lie on a line, the
 * solution of least norm; when the tilted frame leaves the sphere, none.
 */
static int fit_plane(struct imager *im, struct err *e)
{
    double uu = 0.0, uv = 0.0, vv = 0.0, uw = 0.0, vw = 0.0;

    for (size_t r = 0; r < im->s.nrow; r++) {
        const double *uvw = im->s.uvw_m[r];
        double weight = 0.0;

        for (size_t c = 0; c < im->s.nchan; c++)
            weight += (double)im->wi[r * im->s.nchan + c];
        if (!(weight > 0.0))
            continue;
        uu += weight * uvw[0] * uvw[0];
        uv += weight * uvw[0] * uvw[1];
        vv += weight * uvw[1] * uvw[1];
        uw += weight * uvw[0] * uvw[2];
        vw += weight * uvw[1] * uvw[2];
    }
    double mean = 0.5 * (uu + vv), root = hypot(0.5 * (uu - vv), uv);
    double low = mean - root, high = mean + root;
    double a = 0.0, b = 0.0;

    if (low > 1e-6 * high) {
        a = (uw * vv - vw * uv) / (uu * vv - uv * uv);
        b = (vw * uu - uw * uv) / (uu * vv - uv * uv);
    } else if (high > 0.0) { /* along (cos, sin) of the principal axis only */
        double axis = 0.5 * atan2(2.0 * uv, uu - vv), c = cos(axis), d = sin(axis);

        a = c * (c * uw + d * vw) / high;
        b = d * (c * uw + d * vw) / high;
    }
    if (largest_t(im, a, b, &im->tmax) != 0) {
        a = b = 0.0;
        if (largest_t(im, a, b, &im->tmax) != 0)
            return err_set(
                e, ERR_SHAPE,
                "%zu x %zu pixels of %.3g arcsec reach beyond the hemisphere",
                im->opts.nx, im->opts.ny, im->opts.cell_rad / ASTRO_ARCSEC);
    }
    im->fit = (struct plane_fit){.a = a, .b = b, .phase = 2.0 * M_PI * im->tmax};
    im->info.a = a;
    im->info.b = b;
    return 0;
}

/* The mean of tau^(2 k) over the image, k = 1 .. MAX_TERMS, from every few pixels. */
static void tau_moments(const struct imager *im, double moment[MAX_TERMS])
{
    enum { SIDE = 64 };

    for (int k = 0; k < MAX_TERMS; k++)
        moment[k] = CORNER_SHARE;
    for (size_t i = 0; i < SIDE * SIDE; i++) {
        double t = 0.0, power = 1.0;

        slant_t(im->fit.a, im->fit.b, pixel_x(im, i % SIDE * im->opts.nx / SIDE),
                pixel_y(im, i / SIDE * im->opts.ny / SIDE), &t);
        for (int k = 0; k < MAX_TERMS; k++) {
            power *= pow(t / im->tmax, 2.0);
            moment[k] += (1.0 - CORNER_SHARE) * power / (SIDE * SIDE);
        }
    }
}

/* K from the moments of phi and tau; each row counts with its highest frequency. */
static int choose_terms(struct imager *im, struct err *e)
{
    double moment[MAX_TERMS] = {0.0}, sum = 0.0, fmax_hz = 0.0, factorial = 1.0;
    double tau[MAX_TERMS];

    tau_moments(im, tau);
    for (size_t c = 0; c < im->s.nchan; c++)
        fmax_hz = fmax(fmax_hz, im->s.freq_hz[c]);
    for (size_t r = 0; r < im->s.nrow; r++) {
        const double *uvw = im->s.uvw_m[r];
        double weight = 0.0, phi2, power = 1.0, rest;

        for (size_t c = 0; c < im->s.nchan; c++)
            weight += (double)im->wi[r * im->s.nchan + c];
        if (!(weight > 0.0))
            continue;
        rest =
            (uvw[2] - im->fit.a * uvw[0] - im->fit.b * uvw[1]) * fmax_hz / ASTRO_C_M_S;
        im->info.wrest = fmax(im->info.wrest, fabs(rest));
        phi2 = pow(rest * im->fit.phase, 2.0);
        sum += weight;
        for (int k = 0; k < MAX_TERMS; k++) {
            power *= phi2;
            moment[k] += weight * power;
        }
    }
    im->rest[0] = 1.0;
    for (int k = 1; k <= MAX_TERMS; k++) {
        factorial *= k;
        im->rest[k] = sqrt(moment[k - 1] / sum * tau[k - 1]) / factorial;
        if (im->rest[k] < SERIES_SHARE * im->opts.accuracy) {
            im->info.terms = k;
            return 0;
        }
    }
    return err_set(
        e, ERR_SHAPE,
        "field too wide for this array: baselines leave their best plane by up "
        "to %.0f wavelengths, %.1f radians of phase at the corner",
        im->info.wrest, im->info.wrest * im->fit.phase);
}

/* Sums over the imaging weights that image and noise are scaled by. */
static void sum_weights(struct imager *im)
{
    double sum = 0.0, sum_f = 0.0, sum_var = 0.0;

    for (size_t r = 0; r < im->s.nrow; r++) {
        const float *wi = im->wi + r * im->s.nchan;
        const float *weight = im->s.weight + r * im->s.nchan;

        for (size_t c = 0; c < im->s.nchan; c++) {
            if (!(wi[c] > 0.0f))
                continue;
            sum += (double)wi[c];
            sum_f += (double)wi[c] * im->s.freq_hz[c];
            sum_var += (double)wi[c] * (double)wi[c] / (double)weight[c];
        }
    }
    im->info.sum_weight = sum;
    im->info.freq_hz = sum_f / sum;
    im->info.noise_factor = sqrt(sum_var) / sum;
}

/* 1 / transform of the kernel along one axis of n pixels on a grid of ngrid. */
static float *kernel_gain(const struct kernel *ker, size_t n, size_t ngrid)
{
    float *gain = malloc(n * sizeof *gain);

    for (size_t i = 0; gain != NULL && i < n; i++)
        gain[i] = (float)(1.0 / kernel_transform(ker, ((double)i - (double)(n / 2)) /
                                                          (double)ngrid));
    return gain;
}

static void fill_tau(void *arg, size_t lo, size_t hi)
{
    struct imager *im = arg;

    for (size_t y = lo; y < hi; y++)
        for (size_t x = 0; x < im->opts.nx; x++) {
            double t = 0.0;

            slant_t(im->fit.a, im->fit.b, pixel_x(im, x), pixel_y(im, y), &t);
            im->tau[y * im->opts.nx + x] = (float)(t / im->tmax);
        }
}

static int make_planes(struct imager *im, struct err *e)
{
    size_t nx = im->opts.nx, ny = im->opts.ny, nu = im->grid.nu, nv = im->grid.nv;
    size_t bytes = nu * nv / 2 * sizeof(float complex);
    size_t nplane = plane_bytes / bytes, terms = (size_t)im->info.terms;

    nplane = nplane < 1 ? 1 : nplane > terms ? terms : nplane;
    im->ncol = im->ncol > nu / 2 + 1 ? nu / 2 + 1 : im->ncol;
    im->gain_x = kernel_gain(&im->ker, nx, nu);
    im->gain_y = kernel_gain(&im->ker, ny, nv);
    im->work = malloc(nx * ny * sizeof *im->work);
    im->tau = malloc(nx * ny * sizeof *im->tau);
    if (im->tau == NULL || im->gain_x == NULL || im->gain_y == NULL ||
        im->work == NULL || fft_new(&im->fft, nu, nv, im->opts.threads) != 0)
        return err_set(e, -ENOMEM,
                       "no memory for an image of %zu x %zu pixels (%zu planes of "
                       "%zu MB)",
                       nx, ny, nplane, bytes >> 20);
    im->grid.nplane = nplane;
    parallel_run_by(im->opts.threads, ny, fill_tau, im);
    return 0;
}

/* The planes are there only while they are used: they are larger than all else here. */
static int open_planes(struct imager *im, struct err *e)
{
    struct grid *g = &im->grid;

    if (grid_init(g, g->nu, g->nv, g->nplane, im->opts.cell_rad, &im->ker) != 0)
        return err_set(e, -ENOMEM, "no memory for %zu planes of %zu x %zu cells",
                       g->nplane, g->nu, g->nv);
    g->nthread = im->opts.threads;
    return 0;
}

int imager_new(struct imager **out, const struct samples *s,
               const struct imager_opts *opts, double ra_rad, double dec_rad,
               struct err *e)
{
    struct imager *im = NULL;
    int rc;

    *out = NULL;
    rc = check_opts(s, opts, e);
    if (rc != 0)
        return rc;
    im = calloc(1, sizeof *im);
    if (im == NULL)
        return err_set(e, -ENOMEM, "no memory for an imager");
    im->s = *s;
    im->opts = *opts;
    im->opts.accuracy = opts->accuracy > 0.0 ? opts->accuracy : 1e-5;
    im->opts.threads = opts->threads > 0 ? opts->threads : 1;
    im->ra_rad = ra_rad;
    im->dec_rad = dec_rad;
    im->info.nx = opts->nx;
    im->info.ny = opts->ny;
    im->grid.nu = fft_good_size(2 * opts->nx);
    im->grid.nv = fft_good_size(2 * opts->ny);
    kernel_init(&im->ker, im->opts.accuracy, 2.0);

    rc = take_weights(im, e);
    if (rc == 0)
        rc = fit_plane(im, e);
    if (rc == 0 && opts->briggs)
        rc = weight_briggs(im->wi, s, opts->nx, opts->ny, opts->cell_rad, opts->robust,
                           e);
    if (rc == 0)
        rc = choose_terms(im, e);
    if (rc == 0)
        rc = make_planes(im, e);
    if (rc != 0) {
        imager_free(im);
        return rc;
    }
    sum_weights(im);
    *out = im;
    return 0;
}

void imager_free(struct imager *im)
{
    if (im == NULL)
        return;
    fft_free(im->fft);
    grid_close(&im->grid);
    free(im->wi);
    free(im->gain_x);
    free(im->gain_y);
    free(im->tau);
    free(im->work);
    free(im->order);
    free(im);
}

void imager_wcs(const struct imager *im, struct wcs *wcs)
{
    *wcs = (struct wcs){.ra_rad = im->ra_rad,
                        .dec_rad = im->dec_rad,
                        .crpix1 = (double)(im->opts.nx / 2) + 1.0,
                        .crpix2 = (double)(im->opts.ny / 2) + 1.0,
                        .cell_rad = im->opts.cell_rad,
                        .xi = -im->fit.a,
                        .eta = -im->fit.b};
}

void imager_info(const struct imager *im, struct imager_info *info)
{
    *info = im->info;
}

void imager_view(const struct imager *im, struct imager_view *view)
{
    *view = (struct imager_view){.wi = im->wi,
                                 .a = im->fit.a,
                                 .b = im->fit.b,
                                 .cell_rad = im->opts.cell_rad,
                                 .tmax = im->tmax,
                                 .tau = im->tau,
                                 .beam = im->beam,
                                 .threads = im->opts.threads};
}

/* ---- the beam ---- */

void imager_set_beam(struct imager *im, const struct beam_series *beam)
{
    im->beam = beam;
}

size_t imager_beam_terms(const struct imager *im)
{
    return im->beam != NULL ? im->beam->terms : 1;
}

size_t imager_terms(const struct imager *im, size_t q)
{
    double size = im->beam != NULL ? fmin(im->beam->size[q], 1.0) : 1.0;
    double least = SERIES_SHARE * im->opts.accuracy;
    size_t k = 1;

    /* Later terms of the beam need not be better than the beam's own series. */
    if (q > 0)
        least = fmax(least, BEAM_SHARE * im->beam->left);
    while (k < (size_t)im->info.terms && size * im->rest[k] >= least)
        k++;
    return k;
}

struct see {
    const struct imager *im;
    size_t q;
    const float *model;
    float *seen;
};

static void see_rows(void *arg, size_t lo, size_t hi)
{
    const struct see *a = arg;
    size_t nx = a->im->opts.nx;

    for (size_t y = lo; y < hi; y++) {
        memcpy(a->seen + y * nx, a->model + y * nx, nx * sizeof *a->seen);
        if (a->q > 0)
            beam_series_row(a->im->beam, a->q, y, a->seen + y * nx, nx);
    }
}

void imager_see(const struct imager *im, size_t q, const float *model, float *seen)
{
    struct see a = {im, q, model, seen};

    parallel_run_by(im->opts.threads, im->opts.ny, see_rows, &a);
}

struct samples imager_samples(const struct imager *im, size_t q)
{
    struct samples s = im->s;

    if (im->beam != NULL) {
        s.factor = im->beam->factor[q];
        s.row_time = im->beam->row_time;
    }
    return s;
}

/* ---- the transforms ---- */

/* One term of the series in the image plane, row by row. */
struct term {
    const struct imager *im;
    size_t k;
    double scale;
    const float *in; /* [ny][nx] */
    float *out;      /* [ny][nx] */
    bool add;
};

/*
 * Multiply a plane's image by what term k asks for: the kernel's gain and (t / T)^k / k!,
 * times `scale`.  add: out += in * factor, else out = in * factor.
 */
static void apply_rows(void *arg, size_t lo, size_t hi)
{
    const struct term *term = arg;
    const struct imager *im = term->im;
    size_t nx = im->opts.nx;

    for (size_t y = lo; y < hi; y++) {
        const float *tau = im->tau + y * nx, *in = term->in + y * nx;
        float *out = term->out + y * nx,
              c = (float)(term->scale * (double)im->gain_y[y]);

        for (size_t j = 2; j <= term->k; j++)
            c /= (float)j;
        for (size_t x = 0; x < nx; x++) {
            float factor = c * im->gain_x[x];

            for (size_t j = 0; j < term->k; j++)
                factor *= tau[x];
            out[x] = in[x] * factor + (term->add ? out[x] : 0.0f);
        }
    }
}

static void apply_term(const struct imager *im, size_t k, double scale, const float *in,
                       float *out, bool add)
{
    struct term term = {im, k, scale, in, out, add};

    parallel_run_by(im->opts.threads, im->opts.ny, apply_rows, &term);
}

/* Samples (NULL: all 1) to an image, term after term. */
static int transform(struct imager *im, const float complex *data, float *pix,
                     struct err *e)
{
    size_t nx = im->opts.nx, ny = im->opts.ny, terms = (size_t)im->info.terms;
    struct grid *g = &im->grid;
    int rc = open_planes(im, e);

    for (size_t first = 0; rc == 0 && first < terms; first += g->nplane) {
        size_t n = terms - first < g->nplane ? terms - first : g->nplane;

        if (first > 0)
            grid_zero(g);
        rc = grid_spread(g, &im->s, &im->fit, im->wi, data, first, n);
        if (rc != 0) {
            err_set(e, rc, "no memory for the threads that grid");
            break;
        }
        for (size_t p = 0; p < n; p++) {
            size_t k = first + p;

            grid_fold(g, p);
            fft_plane_to_image(im->fft, grid_plane(g, p), g->stride, im->ncol, im->work,
                               nx, ny);
            apply_term(im, k, 1.0 / im->info.sum_weight, im->work, pix, k > 0);
        }
    }
    grid_close(g);
    return rc;
}

int imager_dirty(struct imager *im, const float complex *data, float *pix,
                 struct err *e)
{
    return transform(im, data, pix, e);
}

int imager_psf(struct imager *im, float *pix, struct err *e)
{
    return transform(im, NULL, pix,
                     e); /* a source at the phase centre is 1 everywhere */
}

/* What term q of the beam adds to the visibilities; seen: b_q times the model. */
static void predict_term(struct imager *im, size_t q, const float *seen, float scale,
                         float complex *data)
{
    struct samples s = imager_samples(im, q);
    struct grid *g = &im->grid;
    size_t terms = imager_terms(im, q);

    for (size_t first = 0; first < terms; first += g->nplane) {
        size_t n = terms - first < g->nplane ? terms - first : g->nplane;

        for (size_t p = 0; p < n; p++) {
            apply_term(im, first + p, 1.0, seen, im->work, false);
            fft_image_to_plane(im->fft, im->work, im->opts.nx, im->opts.ny,
                               grid_plane(g, p), g->stride, im->ncol);
            grid_unfold(g, p);
        }
        grid_interpolate(g, &s, &im->fit, first, n, scale, data);
    }
}

int imager_predict(struct imager *im, const float *model, float scale,
                   float complex *data, struct err *e)
{
    float *seen = malloc(im->opts.nx * im->opts.ny * sizeof *seen);
    int rc = seen == NULL ? err_set(e, -ENOMEM, "no memory for a model of %zu x %zu",
                                    im->opts.nx, im->opts.ny)
                          : open_planes(im, e);

    for (size_t q = 0; rc == 0 && q < imager_beam_terms(im); q++) {
        imager_see(im, q, model, seen);
        predict_term(im, q, seen, scale, data);
    }
    grid_close(&im->grid);
    free(seen);
    return rc;
}

double imager_dft(const struct imager *im, const float complex *data, size_t x,
                  size_t y)
{
    double px = pixel_x(im, x), py = pixel_y(im, y), t = 0.0, sum = 0.0;
    const float *vis = (const float *)data;

    slant_t(im->fit.a, im->fit.b, px, py, &t);
    double l = px - im->fit.a * t, m = py - im->fit.b * t;

    for (size_t i = 0; i < im->s.nrow * im->s.nchan; i++) {
        const double *uvw = im->s.uvw_m[i / im->s.nchan];
        double k = 2.0 * M_PI * im->s.freq_hz[i % im->s.nchan] / ASTRO_C_M_S, phase;

        if (!(im->wi[i] > 0.0f))
            continue;
        phase = k * (uvw[0] * l + uvw[1] * m + uvw[2] * t);
        sum += (double)im->wi[i] *
               ((double)vis[2 * i] * cos(phase) + (double)vis[2 * i + 1] * sin(phase));
    }
    return sum / im->info.sum_weight;
}
