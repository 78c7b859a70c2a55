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
 * imaging weights and over the image: most pixels are far from the corners, where t is T.  The
 * samples themselves are read twice, for the weights and for what they leave at the nodes
 * (nodes.h); all else is made of nodes.  runs.c holds the loops over them, fft.c the transforms.
 */
#include "pipeline/imaging/imager_parts.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/mem.h"
#include "core/parallel.h"
#include "pipeline/imaging/fft.h"
#include "pipeline/imaging/grid.h"
#include "pipeline/imaging/kernel.h"
#include "pipeline/imaging/nodes.h"
#include "pipeline/imaging/samples.h"
#include "pipeline/imaging/weight.h"
#include "pipeline/sky/astro.h"
#include "pipeline/sky/beam_series.h"
#include "pipeline/sky/wcs.h"

enum { MIN_SIDE = 16, MAX_SIDE = 32768 };

/* The series' part of the wanted accuracy; the rest is the gridding's. */
#define SERIES_SHARE 0.95
/* Corners count as one pixel in fifty: there t is T, and the error largest. */
#define CORNER_SHARE 0.02
/* What the terms of the normal operator may err by, over the wanted accuracy of an image.  Their
 * error is 0 at the source itself and has another phase in each sample elsewhere: a hundredth of
 * it and less shows beside the source's peak, and the residual is made from samples in the end. */
#define KERNEL_SHARE 15.0
/* Of what the series of the beam leaves out about a thirtieth shows in an image; a term may err
 * by less than that. */
#define BEAM_SHARE 0.03

/* Planes beyond this many bytes are made in several passes over the nodes. */
static const size_t plane_bytes = (size_t)480 << 20;

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

/* ---- the frame ---- */

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
        double weight = im->row_weight[r];

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

/* The mean of tau^(2 k) over the image, k = 1 .. IMAGER_TERMS, from every few pixels. */
static void tau_moments(const struct imager *im, double moment[IMAGER_TERMS])
{
    enum { SIDE = 64 };

    for (int k = 0; k < IMAGER_TERMS; k++)
        moment[k] = CORNER_SHARE;
    for (size_t i = 0; i < SIDE * SIDE; i++) {
        double t = 0.0, power = 1.0;

        slant_t(im->fit.a, im->fit.b, pixel_x(im, i % SIDE * im->opts.nx / SIDE),
                pixel_y(im, i / SIDE * im->opts.ny / SIDE), &t);
        for (int k = 0; k < IMAGER_TERMS; k++) {
            power *= pow(t / im->tmax, 2.0);
            moment[k] += (1.0 - CORNER_SHARE) * power / (SIDE * SIDE);
        }
    }
}

/* K from the moments of phi and tau; each row counts with its highest frequency. */
static int choose_terms(struct imager *im, struct err *e)
{
    double moment[IMAGER_TERMS] = {0.0}, sum = 0.0, fmax_hz = 0.0, factorial = 1.0;
    double tau[IMAGER_TERMS];

    tau_moments(im, tau);
    for (size_t c = 0; c < im->s.nchan; c++)
        fmax_hz = fmax(fmax_hz, im->s.freq_hz[c]);
    for (size_t r = 0; r < im->s.nrow; r++) {
        const double *uvw = im->s.uvw_m[r];
        double weight = im->row_weight[r], phi2, power = 1.0, rest;

        if (!(weight > 0.0))
            continue;
        rest =
            (uvw[2] - im->fit.a * uvw[0] - im->fit.b * uvw[1]) * fmax_hz / ASTRO_C_M_S;
        im->info.wrest = fmax(im->info.wrest, fabs(rest));
        phi2 = pow(rest * im->fit.phase, 2.0);
        sum += weight;
        for (int k = 0; k < IMAGER_TERMS; k++) {
            power *= phi2;
            moment[k] += weight * power;
        }
    }
    im->rest[0] = 1.0;
    for (int k = 1; k <= IMAGER_TERMS; k++) {
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

/* How many planes are held at a time, of g's size and n in all; where there is memory for them, no
 * more than it holds. */
static size_t most_planes(const struct imager *im, const struct grid *g, size_t n)
{
    size_t room = im->space->bytes > 0 ? im->space->bytes : plane_bytes;
    size_t most = room / (grid_bytes(g) / g->nplane);

    return most < 1 ? 1 : most > n ? n : most;
}

static int make_planes(struct imager *im, struct err *e)
{
    size_t nx = im->opts.nx, ny = im->opts.ny, nu = im->grid.nu, nv = im->grid.nv;
    const struct node_tiles *t = &im->nodes.tiles;
    size_t terms = (size_t)im->info.terms;

    grid_init(&im->grid, nu, nv, 1, 2, im->opts.cell_rad, &im->ker);
    grid_crop(&im->grid, (double)t->ncol * t->side_u,
              (double)(t->nrow / 2) * t->side_v + t->reach_v, ny);
    im->space = calloc(1, sizeof *im->space);
    if (im->space == NULL)
        return err_set(e, -ENOMEM, "no memory for an imager");
    im->grid.nplane = most_planes(im, &im->grid, terms);
    im->grid.nthread = im->opts.threads;
    im->ncol = im->ncol > nu / 2 + 1 ? nu / 2 + 1 : im->ncol;
    im->gain_x = kernel_gain(&im->ker, nx, nu);
    im->gain_y = kernel_gain(&im->ker, ny, nv);
    im->work = malloc(nx * ny * sizeof *im->work);
    im->tau = malloc(nx * ny * sizeof *im->tau);
    if (im->tau == NULL || im->gain_x == NULL || im->gain_y == NULL ||
        im->work == NULL || fft_new(&im->fft, nu, nv, im->opts.threads) != 0)
        return err_set(e, -ENOMEM,
                       "no memory for an image of %zu x %zu pixels (%zu planes, "
                       "%zu MB)",
                       nx, ny, im->grid.nplane, grid_bytes(&im->grid) >> 20);
    parallel_run_by(im->opts.threads, ny, fill_tau, im);
    return 0;
}

void *imager_space(const struct imager *im, size_t bytes)
{
    struct space *space = im->space;

    if (bytes > space->bytes) {
        free(space->at);
        space->at = mem_huge(bytes);
        space->bytes = space->at != NULL ? bytes : 0;
    }
    return space->at;
}

/* The planes of g, all 0. */
static int open_planes(const struct imager *im, struct grid *g, struct err *e)
{
    void *memory = imager_space(im, grid_bytes(g));

    if (memory == NULL)
        return err_set(e, -ENOMEM, "no memory for %zu planes of %zu x %zu cells",
                       g->nplane, g->nu, g->nv);
    grid_borrow(g, memory);
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

    rc = imager_read_survey(im, e);
    if (rc == 0)
        rc = fit_plane(im, e);
    if (rc == 0)
        rc = imager_read_nodes(im, e);
    if (rc == 0)
        rc = choose_terms(im, e);
    if (rc == 0)
        rc = make_planes(im, e);
    if (rc != 0) {
        imager_free(im);
        return rc;
    }
    *out = im;
    return 0;
}

void imager_free(struct imager *im)
{
    if (im == NULL)
        return;
    fft_free(im->fft);
    if (im->space != NULL)
        free(im->space->at);
    free(im->space);
    density_close(&im->density);
    free(im->row_weight);
    nodes_close(&im->nodes);
    free(im->data);
    free(im->weight);
    free(im->gain_x);
    free(im->gain_y);
    free(im->tau);
    free(im->work);
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
    *view = (struct imager_view){.nodes = &im->nodes,
                                 .weight = im->weight,
                                 .row_weight = im->row_weight,
                                 .fit = im->fit,
                                 .cell_rad = im->opts.cell_rad,
                                 .tmax = im->tmax,
                                 .tau = im->tau,
                                 .beam = im->beam,
                                 .threads = im->opts.threads};
}

/* ---- the beam ---- */

int imager_set_beam(struct imager *im, const struct beam_series *beam, struct err *e)
{
    im->beam = beam;
    if (nodes_set_beam(&im->nodes, &im->s, beam) == 0)
        return 0;
    im->beam = NULL;
    return err_set(e, -ENOMEM, "no memory for the beam of %zu rows", im->s.nrow);
}

size_t imager_beam_terms(const struct imager *im)
{
    return im->beam != NULL ? im->beam->terms : 1;
}

/* Terms until what is left of term q of the beam is below least. */
static size_t terms_to(const struct imager *im, size_t q, double least)
{
    double size = im->beam != NULL ? fmin(im->beam->size[q], 1.0) : 1.0;
    size_t k = 1;

    /* Later terms of the beam need not be better than the beam's own series. */
    if (q > 0)
        least = fmax(least, BEAM_SHARE * im->beam->left);
    while (k < (size_t)im->info.terms && size * im->rest[k] >= least)
        k++;
    return k;
}

size_t imager_terms(const struct imager *im, size_t q)
{
    return terms_to(im, q, SERIES_SHARE * im->opts.accuracy);
}

size_t imager_kernel_terms(const struct imager *im, size_t q)
{
    return terms_to(im, q, KERNEL_SHARE * im->opts.accuracy);
}

double imager_kernel_size(const struct imager *im, size_t q, size_t m)
{
    return q > 0 && q < BEAM_SERIES_MOST ? im->beam->size[q] * im->rest[m]
                                         : im->rest[m];
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

/* What is at the nodes to an image, term after term. */
static int transform(struct imager *im, const float complex *data, float *pix,
                     struct err *e)
{
    size_t nx = im->opts.nx, ny = im->opts.ny, terms = (size_t)im->info.terms;
    struct grid_term term[IMAGER_TERMS];
    struct grid *g = &im->grid;
    int rc = open_planes(im, g, e);

    for (size_t k = 0; k < terms; k++)
        term[k] = (struct grid_term){0, k};
    for (size_t first = 0; rc == 0 && first < terms; first += g->nplane) {
        size_t n = terms - first < g->nplane ? terms - first : g->nplane;

        if (first > 0)
            grid_zero(g);
        rc = grid_spread(g, &im->nodes, &im->fit, (const float *)data, term + first, n);
        if (rc != 0) {
            err_set(e, rc, "no memory for the threads that grid");
            break;
        }
        for (size_t p = 0; p < n; p++) {
            size_t k = first + p;

            grid_fold(g, p);
            fft_plane_to_image(im->fft, grid_plane(g, p), g->rows, g->stride, im->ncol,
                               im->work, nx, ny);
            apply_term(im, k, 1.0 / im->info.sum_weight, im->work, pix, k > 0);
        }
    }
    return rc;
}

int imager_dirty(struct imager *im, float *pix, struct err *e)
{
    return transform(im, im->data, pix, e);
}

int imager_psf(struct imager *im, float *pix, struct err *e)
{
    size_t n = nodes_count(&im->nodes);
    float complex *one = mem_huge(n * sizeof *one);
    int rc;

    if (one == NULL)
        return err_set(e, -ENOMEM, "no memory for %zu nodes", n);
    for (size_t i = 0; i < n; i++)
        one[i] = im->weight[i]; /* a source at the phase centre is 1 everywhere */
    rc = transform(im, one, pix, e);
    free(one);
    return rc;
}

void imager_drop_weights(struct imager *im)
{
    free(im->weight);
    im->weight = NULL;
}

/* The planes of a model, one after the other; seen [ny][nx] is the beam's term of the last one. */
static void fill_planes(struct imager *im, struct grid *g, const struct grid_term *term,
                        size_t n, const float *model, float *seen)
{
    for (size_t p = 0; p < n; p++) {
        if (p == 0 || term[p].q != term[p - 1].q)
            imager_see(im, term[p].q, model, seen);
        apply_term(im, term[p].m, 1.0, seen, im->work, false);
        fft_image_to_plane(im->fft, im->work, im->opts.nx, im->opts.ny,
                           grid_plane(g, p), g->rows, g->stride, im->ncol);
        grid_unfold(g, p);
    }
}

/* All terms of the beam, and of each those in phi.  term: IMAGER_TERMS NODES_BEAMS at most */
static size_t all_terms(const struct imager *im, bool rough, struct grid_term *term)
{
    size_t n = 0;

    for (size_t q = 0; q < imager_beam_terms(im); q++) {
        size_t terms = rough ? imager_kernel_terms(im, q) : imager_terms(im, q);

        for (size_t m = 0; m < terms; m++)
            term[n++] = (struct grid_term){q, m};
    }
    return n;
}

/* Add a model's nodes to data [nodes]; seen [ny][nx] is worked in. */
static int predict(struct imager *im, const float *model, bool rough, float *seen,
                   float complex *data, struct err *e)
{
    struct grid_term term[IMAGER_TERMS * NODES_BEAMS];
    size_t all = all_terms(im, rough, term);
    struct grid g = im->grid;
    int rc;

    g.nplane = most_planes(im, &im->grid, all);
    rc = seen == NULL || data == NULL
             ? err_set(e, -ENOMEM, "no memory for a model of %zu x %zu", im->opts.nx,
                       im->opts.ny)
             : open_planes(im, &g, e);
    for (size_t at = 0; rc == 0 && at < all; at += g.nplane) {
        size_t some = all - at < g.nplane ? all - at : g.nplane;

        fill_planes(im, &g, term + at, some, model, seen);
        grid_interpolate(&g, &im->nodes, &im->fit, term + at, some, data);
    }
    return rc;
}

int imager_predict(struct imager *im, const float *model, bool rough, struct err *e)
{
    float *seen = malloc(im->opts.nx * im->opts.ny * sizeof *seen);
    int rc;

    parallel_zero(im->opts.threads, im->data,
                  nodes_count(&im->nodes) * sizeof *im->data);
    rc = predict(im, model, rough, seen, im->data, e);
    free(seen);
    return rc;
}

void imager_predicted_row(const struct imager *im, size_t row, size_t chan, size_t n,
                          float *re, float *imag)
{
    nodes_channels(&im->nodes, row, im->data + im->nodes.start[row], chan, n, re, imag);
}

int imager_residual(struct imager *im, const float *model, float *pix, struct err *e)
{
    float complex *nodes = mem_huge(nodes_count(&im->nodes) * sizeof *nodes);
    int rc = predict(im, model, false, pix, nodes, e);

    if (rc == 0)
        rc = imager_read_residual(im, nodes, e);
    if (rc == 0)
        rc = transform(im, nodes, pix, e);
    free(nodes);
    return rc;
}

double imager_dft(const struct imager *im, size_t x, size_t y)
{
    double px = pixel_x(im, x), py = pixel_y(im, y), t = 0.0, sum = 0.0;
    struct samples_line line;

    slant_t(im->fit.a, im->fit.b, px, py, &t);
    double l = px - im->fit.a * t, m = py - im->fit.b * t;

    if (samples_line_init(&line, im->s.nchan) != 0) {
        samples_line_close(&line);
        return NAN;
    }
    for (size_t r = 0; r < im->s.nrow; r++) {
        const double *uvw = im->s.uvw_m[r];
        const float *vis = (const float *)line.data;

        samples_fetch(&im->s, r, &line);
        imager_weigh_row(im, r, &line);
        for (size_t c = 0; c < im->s.nchan; c++) {
            double k = 2.0 * M_PI * im->s.freq_hz[c] / ASTRO_C_M_S;
            double phase = k * (uvw[0] * l + uvw[1] * m + uvw[2] * t);

            if (line.weight[c] > 0.0f)
                sum += (double)line.weight[c] * ((double)vis[2 * c] * cos(phase) +
                                                 (double)vis[2 * c + 1] * sin(phase));
        }
    }
    samples_line_close(&line);
    return sum / im->info.sum_weight;
}
