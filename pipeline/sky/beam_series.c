/* beam_series.c: see beam_series.h. */
#include "pipeline/sky/beam_series.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/parallel.h"
#include "pipeline/sky/beam.h"
#include "pipeline/sky/beam_parts.h"
#include "pipeline/sky/vis.h"
#include "pipeline/sky/wcs.h"

/* Powers of time and frequency from which the terms are chosen. */
static const struct {
    int time, freq;
} power[] = {{0, 0}, {1, 0}, {0, 1}, {2, 0}, {1, 1}, {3, 0}, {0, 2}, {2, 1}, {4, 0}};

enum { NPOWER = sizeof power / sizeof power[0], MAX_BAND = 8, MAX_STEP = 16 };

static const double faint = 0.02; /* mean beam under which b_q fades */
static const double dim = 0.2;    /* mean beam under which more may be left out ... */
static const double edge = 0.05;  /* ... and under which all may be */

struct work {
    const struct beam *beam;
    const struct vis *vis;
    size_t nband, nnode, nvalue; /* nnode = ntime nband; nvalue = nnode + ntime nchan */
    double *share;               /* [ntime][nchan] of all weights */
    double *weight;              /* [ntime][nband] */
    double *freq_hz;             /* [ntime][nband] mean */
    double *poly; /* [NPOWER][nvalue] at times and bands, then at times and channels */
    double (*axis)[3];   /* [ntime] */
    size_t step, nx, ny; /* nodes in the image */
    double *b;           /* [NPOWER][ny][nx] */
    double *rest;        /* [ny][nx] mean square of what is left out */
    double
        *tolerable; /* [ny][nx] what may be left out, by the tolerance; HUGE_VAL: all */
};

static void work_free(struct work *w)
{
    free(w->share);
    free(w->poly);
    free(w->weight);
    free(w->freq_hz);
    free(w->axis);
    free(w->b);
    free(w->rest);
    free(w->tolerable);
}

static int work_init(struct work *w, const struct beam *beam, const struct vis *vis,
                     const struct wcs *wcs, size_t nx, size_t ny)
{
    size_t n;

    w->beam = beam;
    w->vis = vis;
    w->nband = vis->nchan < MAX_BAND ? vis->nchan : MAX_BAND;
    w->nnode = vis->ntime * w->nband;
    w->nvalue = w->nnode + vis->ntime * vis->nchan;
    w->step =
        beam_node_step(beam, vis->freq_hz[vis->nchan - 1], wcs->cell_rad, MAX_STEP);
    w->nx = (nx + w->step - 2) / w->step + 2;
    w->ny = (ny + w->step - 2) / w->step + 2;
    n = w->nx * w->ny;
    w->share = calloc(vis->ntime * vis->nchan, sizeof *w->share);
    w->weight = calloc(w->nnode, sizeof *w->weight);
    w->freq_hz = calloc(w->nnode, sizeof *w->freq_hz);
    w->poly = calloc(NPOWER * w->nvalue, sizeof *w->poly);
    w->axis = calloc(vis->ntime, sizeof *w->axis);
    w->b = calloc(NPOWER * n, sizeof *w->b);
    w->rest = calloc(n, sizeof *w->rest);
    w->tolerable = calloc(n, sizeof *w->tolerable);
    return w->share == NULL || w->poly == NULL || w->weight == NULL ||
                   w->freq_hz == NULL || w->axis == NULL || w->b == NULL ||
                   w->rest == NULL || w->tolerable == NULL
               ? -ENOMEM
               : 0;
}

/* ---- the polynomials ---- */

/* Channels are taken in a few bands: the beam is nearly straight within one. */
static void make_bands(struct work *w)
{
    const struct vis *vis = w->vis;

    beam_shares(vis, w->share);
    for (size_t i = 0; i < vis->ntime * vis->nchan; i++) {
        size_t band = i % vis->nchan * w->nband / vis->nchan;
        size_t at = i / vis->nchan * w->nband + band;

        w->weight[at] += w->share[i];
        w->freq_hz[at] += w->share[i] * vis->freq_hz[i % vis->nchan];
    }
    for (size_t at = 0; at < w->nnode; at++)
        w->freq_hz[at] =
            w->weight[at] > 0 ? w->freq_hz[at] / w->weight[at] : vis->freq_hz[0];
    for (size_t t = 0; t < vis->ntime; t++) {
        double ra, dec;

        vis_pointing(vis, t, &ra, &dec);
        beam_vector(ra, dec, w->axis[t]);
    }
}

static double product(const struct work *w, const double *a, const double *b)
{
    double sum = 0;

    for (size_t i = 0; i < w->nnode; i++)
        sum += w->weight[i] * a[i] * b[i];
    return sum;
}

/* From the middle, in units of the half range; 0 when there is no range. */
static double scaled(const double *range, size_t n, double value)
{
    double half = 0.5 * (range[n - 1] - range[0]);

    return half > 0 ? (value - range[0]) / half - 1 : 0;
}

static double power_of(const struct work *w, size_t q, size_t i)
{
    const struct vis *vis = w->vis;
    bool node = i < w->nnode;
    size_t n = node ? w->nband : vis->nchan, at = node ? i : i - w->nnode;
    double freq_hz = node ? w->freq_hz[at] : vis->freq_hz[at % n];

    return pow(scaled(vis->time_jd, vis->ntime, vis->time_jd[at / n]), power[q].time) *
           pow(scaled(vis->freq_hz, vis->nchan, freq_hz), power[q].freq);
}

/* Powers, made orthonormal at the nodes, one after the other. */
static void make_polynomials(struct work *w)
{
    for (size_t q = 0; q < NPOWER; q++) {
        double *p = w->poly + q * w->nvalue, norm;

        for (size_t i = 0; i < w->nvalue; i++)
            p[i] = power_of(w, q, i);
        for (size_t k = 0; k < q; k++) {
            const double *other = w->poly + k * w->nvalue;
            double along = product(w, p, other);

            for (size_t i = 0; i < w->nvalue; i++)
                p[i] -= along * other[i];
        }
        norm = sqrt(product(w, p, p));
        for (size_t i = 0; i < w->nvalue; i++)
            p[i] = norm > 1e-4 ? p[i] / norm : 0; /* 0: not independent */
    }
}

/* ---- the sky ---- */

/* b_q of all candidates in one direction, and what is left when only b_0 is taken. */
static void project(struct work *w, size_t at, const double dir[3])
{
    size_t n = w->nx * w->ny;
    double sum[NPOWER] = {0}, square = 0, mean;

    for (size_t i = 0; i < w->nnode; i++) {
        double beam = w->weight[i] > 0 ? beam_power_at(w->beam, w->axis[i / w->nband],
                                                       dir, w->freq_hz[i])
                                       : 0;

        for (size_t q = 0; q < NPOWER; q++)
            sum[q] += w->weight[i] * w->poly[q * w->nvalue + i] * beam;
        square += w->weight[i] * beam * beam;
    }
    mean = fmax(sum[0], faint);
    if (sum[0] > edge)
        w->tolerable[at] = dim / fmin(mean, dim);
    for (size_t q = 0; q < NPOWER; q++)
        w->b[q * n + at] = sum[q] / mean;
    w->rest[at] = (square - sum[0] * sum[0]) / mean / mean;
}

struct projection {
    struct work *w;
    const struct wcs *wcs;
};

static void project_rows(void *arg, size_t lo, size_t hi)
{
    const struct projection *p = arg;
    struct work *w = p->w;

    for (size_t at = lo * w->nx; at < hi * w->nx; at++) {
        double ra, dec, dir[3];
        double x = (double)(at % w->nx * w->step), y = (double)(at / w->nx * w->step);

        w->tolerable[at] = HUGE_VAL;
        if (wcs_pix_to_radec(p->wcs, x, y, &ra, &dec) != 0)
            continue;
        beam_vector(ra, dec, dir);
        project(w, at, dir);
    }
}

/* The largest |b_q|, or for q = 0 the largest rms left out, by what is tolerable there. */
static double largest(const struct work *w, size_t q)
{
    size_t n = w->nx * w->ny;
    double most = 0;

    for (size_t at = 0; at < n; at++) {
        double value = q == 0 ? sqrt(fmax(w->rest[at], 0)) : fabs(w->b[q * n + at]);

        most = fmax(most, value / w->tolerable[at]);
    }
    return most;
}

/* ---- choosing ---- */

/* The rms of b_q over the image, by what is tolerable there. */
static double rms_size(const struct work *w, size_t q)
{
    size_t n = w->nx * w->ny;
    double sum = 0;

    for (size_t at = 0; at < n; at++)
        sum += pow(w->b[q * n + at] / w->tolerable[at], 2.0);
    return sqrt(sum / (double)n);
}

static int take_term(struct beam_series *s, struct work *w, size_t q)
{
    size_t n = w->nx * w->ny, term = s->terms++;

    s->size[term] = rms_size(w, q);
    s->factor[term] = malloc((w->nvalue - w->nnode) * sizeof(float));
    s->node[term] = malloc(n * sizeof(float));
    if (s->factor[term] == NULL || s->node[term] == NULL)
        return -ENOMEM;
    for (size_t i = w->nnode; i < w->nvalue; i++)
        s->factor[term][i - w->nnode] = (float)w->poly[q * w->nvalue + i];
    for (size_t at = 0; at < n; at++) {
        double b = w->b[q * n + at];

        s->node[term][at] = (float)b;
        w->rest[at] -= b * b;
    }
    return 0;
}

/* The largest terms, until what is left is tolerable. */
static int choose_terms(struct beam_series *s, struct work *w, double tolerance)
{
    bool taken[NPOWER] = {true};
    int rc = 0;

    s->left = largest(w, 0);
    while (rc == 0 && s->left > tolerance && s->terms < BEAM_SERIES_MOST) {
        size_t best = 0;
        double size = 0;

        for (size_t q = 1; q < NPOWER; q++)
            if (!taken[q] && largest(w, q) > size) {
                best = q;
                size = largest(w, q);
            }
        if (best == 0 || size < 0.1 * tolerance)
            break;
        taken[best] = true;
        rc = take_term(s, w, best);
        s->left = largest(w, 0);
    }
    return rc;
}

int beam_series_new(struct beam_series **out, const struct beam *beam,
                    const struct vis *vis, const struct wcs *wcs, size_t nx, size_t ny,
                    double tolerance)
{
    struct work w = {0};
    struct beam_series *s = calloc(1, sizeof *s);
    int rc = -ENOMEM;

    *out = NULL;
    if (s == NULL)
        return -ENOMEM;
    s->terms = 1;
    s->size[0] = 1;
    if (beam->kind == BEAM_NONE) {
        rc = 0;
    } else if ((rc = work_init(&w, beam, vis, wcs, nx, ny)) == 0) {
        s->ntime = vis->ntime;
        s->nchan = vis->nchan;
        s->row_time = vis->row_time;
        s->step = w.step;
        s->nx = w.nx;
        s->ny = w.ny;
        make_bands(&w);
        make_polynomials(&w);
        parallel_run(w.ny, 1, project_rows, &(struct projection){&w, wcs});
        rc = choose_terms(s, &w, tolerance);
    }
    work_free(&w);
    if (rc != 0) {
        beam_series_free(s);
        return rc;
    }
    *out = s;
    return 0;
}

void beam_series_free(struct beam_series *series)
{
    for (size_t q = 0; series != NULL && q < BEAM_SERIES_MOST; q++) {
        free(series->factor[q]);
        free(series->node[q]);
    }
    free(series);
}

float beam_series_at(const struct beam_series *series, size_t q, size_t t,
                     const double *freq_hz, double f_hz)
{
    size_t last = series->nchan - 1, at[3] = {0, last / 2, last};
    size_t n = last > 1 ? 3 : last + 1;
    const float *g;
    double sum = 0;

    if (q == 0)
        return 1;
    g = series->factor[q] + t * series->nchan;
    if (n == 2)
        at[1] = last;
    for (size_t i = 0; i < n; i++) { /* Lagrange's polynomials */
        double part = (double)g[at[i]];

        for (size_t j = 0; j < n; j++)
            if (j != i)
                part *= (f_hz - freq_hz[at[j]]) / (freq_hz[at[i]] - freq_hz[at[j]]);
        sum += part;
    }
    return (float)sum;
}

void beam_series_row(const struct beam_series *series, size_t q, size_t y, float *row,
                     size_t nx)
{
    const float *up = series->node[q], *down;
    size_t step = series->step;
    float fy;

    if (up == NULL)
        return;
    fy = (float)(y % step) / (float)step;
    up += y / step * series->nx;
    down = up + series->nx;
    for (size_t x = 0, i = 0; x < nx; i++) {
        float left = up[i] + fy * (down[i] - up[i]);
        float right = up[i + 1] + fy * (down[i + 1] - up[i + 1]);
        float slope = (right - left) / (float)step;

        for (size_t k = 0; k < step && x < nx; k++, x++)
            row[x] *= left + slope * (float)k;
    }
}

float beam_series_pixel(const struct beam_series *series, size_t q, size_t x, size_t y)
{
    size_t step = series->step;
    const float *up = series->node[q], *down;
    float fx = (float)(x % step) / (float)step, fy = (float)(y % step) / (float)step;
    float left, right;

    if (up == NULL)
        return 1.0f;
    up += y / step * series->nx + x / step;
    down = up + series->nx;
    left = up[0] + fy * (down[0] - up[0]);
    right = up[1] + fy * (down[1] - up[1]);
    return left + fx * (right - left);
}
