#include "pipeline/cal/receivers.h"

#include <complex.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/order.h"
#include "pipeline/cal/gains.h"
#include "pipeline/cal/rows.h"
#include "pipeline/cal/stokes.h"
#include "pipeline/sky/vis.h"

enum {
    ROWS_EACH = 3,     /* of a baseline are looked at, evenly taken */
    FEW_CHANNELS = 12, /* fewer second differences tell no noise */
    QUIET_SAMPLES = 1000,
    TURNS = 50 /* of a fit that takes ten or so */
};

/* Autocorrelations that differ by no more than this share are normalised, not measured. */
#define NORMALISED 1e-3F

void receivers_close(struct receivers *r)
{
    free(r->level);
    free(r->over_time);
    free(r->sefd);
    *r = (struct receivers){0};
}

static float median(float *v, size_t n)
{
    return n > 0 ? order_medianf(v, n) : 0;
}

/* ---- autocorrelations ---- */

static float auto_at(const struct vis *vis, size_t a, size_t p, size_t t, size_t c)
{
    return vis->autos[((a * vis->ntime + t) * vis->nchan + c) * vis->npol + p];
}

/* Channels of which no integration has any get the middle of the others. */
static void fill_level(float *level, float *some, size_t n)
{
    size_t have = 0;
    float typical;

    for (size_t c = 0; c < n; c++)
        if (level[c] > 0)
            some[have++] = level[c];
    typical = median(some, have);
    for (size_t c = 0; c < n; c++)
        if (!(level[c] > 0))
            level[c] = typical;
}

static void one_receiver(struct receivers *r, const struct vis *vis, size_t a, size_t p,
                         float *some)
{
    float *level = r->level + (a * vis->npol + p) * vis->nchan;
    float *over_time = r->over_time + (a * vis->npol + p) * vis->ntime;

    for (size_t c = 0; c < vis->nchan; c++) {
        size_t n = 0;

        for (size_t t = 0; t < vis->ntime; t++)
            if (auto_at(vis, a, p, t, c) > 0)
                some[n++] = auto_at(vis, a, p, t, c);
        level[c] = median(some, n);
    }
    for (size_t t = 0; t < vis->ntime; t++) {
        size_t n = 0;

        for (size_t c = 0; c < vis->nchan; c++)
            if (auto_at(vis, a, p, t, c) > 0)
                some[n++] = auto_at(vis, a, p, t, c) / level[c];
        over_time[t] = n > 0 ? median(some, n) : 1;
    }
    fill_level(level, some, vis->nchan);
}

static int by_autos(struct receivers *r, const struct vis *vis)
{
    size_t n = vis->nant * vis->npol;
    float *some = malloc((vis->nchan + vis->ntime) * sizeof *some);
    float least = INFINITY, most = 0;

    r->level = calloc(n * vis->nchan, sizeof *r->level);
    r->over_time = calloc(n * vis->ntime, sizeof *r->over_time);
    if (some == NULL || r->level == NULL || r->over_time == NULL) {
        free(some);
        return -ENOMEM;
    }
    for (size_t a = 0; a < vis->nant; a++)
        for (size_t p = 0; p < vis->npol; p++)
            one_receiver(r, vis, a, p, some);
    for (size_t i = 0; i < n * vis->nchan; i++)
        if (r->level[i] > 0) {
            least = fminf(least, r->level[i]);
            most = fmaxf(most, r->level[i]);
        }
    r->from = most > least * (1 + NORMALISED) ? "autos" : "none";
    free(some);
    return 0;
}

/* The middle of a good number of an antenna's. */
static float typical_auto(const struct vis *vis, size_t a, size_t p, float *some)
{
    size_t n = vis->ntime * vis->nchan, step = n / QUIET_SAMPLES | 1, have = 0;

    for (size_t k = 0; k < n; k += step) {
        float x = auto_at(vis, a, p, k / vis->nchan, k % vis->nchan);

        if (x > 0)
            some[have++] = x;
    }
    return median(some, have);
}

int receivers_quiet(float *quiet, const struct vis *vis)
{
    size_t n = vis->nant * vis->npol, have = 0, samples = vis->ntime * vis->nchan;
    float *some = malloc((samples + n) * sizeof *some), typical;

    for (size_t i = 0; i < n; i++)
        quiet[i] = 1;
    if (some == NULL)
        return -ENOMEM;
    for (size_t i = 0; vis->autos != NULL && i < n; i++)
        quiet[i] = typical_auto(vis, i / vis->npol, i % vis->npol, some);
    for (size_t i = 0; i < n; i++)
        if (quiet[i] > 0)
            some[have++] = quiet[i];
    typical = median(some, have);
    for (size_t i = 0; i < n; i++)
        quiet[i] = quiet[i] > 0 && typical > 0
                       ? fminf(fmaxf(typical / quiet[i], 1e-3F), 1e3F)
                       : 1;
    free(some);
    return 0;
}

/* ---- differences of channels ---- */

/* One row at work. */
struct row {
    const struct vis *vis;
    const struct stokes *stokes;
    size_t hand[2], nhand;
    float complex *data;        /* [nchan] */
    float *weight, *var, *some; /* [nchan]; var: of a SEFD of 1 */
};

static void find_variances(struct row *w, size_t row)
{
    const struct vis *vis = w->vis;
    float n = (float)w->nhand;

    for (size_t c = 0; c < vis->nchan; c++) {
        w->var[c] = 0;
        for (size_t h = 0; h < w->nhand && w->weight[c] > 0; h++)
            w->var[c] +=
                1 / vis->weight[(row * vis->nchan + c) * vis->npol + w->hand[h]];
        w->var[c] /= n * n;
    }
}

static bool evenly_spaced(const struct vis *vis, size_t c)
{
    return fabs(vis->freq_hz[c - 1] - 2 * vis->freq_hz[c] + vis->freq_hz[c + 1]) <
           0.01 * vis->width_hz[c];
}

/* Product of both antennas' SEFD; 0: not known.  Squares of second differences over what a SEFD of
 * 1 gives them have a median that is ln 2 times their mean. */
static double product(struct row *w, size_t row)
{
    const float complex *v = w->data;
    size_t n = 0;

    stokes_row(w->stokes, row, w->data, w->weight);
    find_variances(w, row);
    for (size_t c = 1; c + 1 < w->vis->nchan; c++) {
        const float *var = w->var + c;
        float complex d = v[c - 1] - 2 * v[c] + v[c + 1];

        if (!(var[-1] > 0 && var[0] > 0 && var[1] > 0) || !evenly_spaced(w->vis, c))
            continue;
        w->some[n++] = (crealf(d) * crealf(d) + cimagf(d) * cimagf(d)) /
                       (2 * (var[-1] + 4 * var[0] + var[1]));
    }
    return n >= FEW_CHANNELS ? (double)median(w->some, n) / M_LN2 : 0;
}

/* Mean product of each baseline, mean [nant][nant], 0: not known. */
static void all_products(struct row *w, const struct rows *rows, double *mean)
{
    size_t nant = w->vis->nant;

    for (size_t bl = 0; bl < rows->nbl; bl++) {
        size_t first = rows->start[bl], n = rows->start[bl + 1] - first, used = 0;
        size_t step = (n + ROWS_EACH - 1) / ROWS_EACH;
        double sum = 0;

        for (size_t i = 0; i < n; i += step) {
            double one = product(w, rows->order[first + i]);

            sum += one;
            used += one > 0;
        }
        if (used > 0) {
            size_t a = (size_t)w->vis->row_ant1[rows->order[first]];
            size_t b = (size_t)w->vis->row_ant2[rows->order[first]];

            mean[a * nant + b] = mean[b * nant + a] = sum / (double)used;
        }
    }
}

/* s [nant] with products s_a s_b nearest to `mean`, in relative terms. */
static void factorise(float *s, const double *mean, size_t nant)
{
    double sum = 0, n = 0;

    for (size_t i = 0; i < nant * nant; i++) {
        sum += mean[i];
        n += mean[i] > 0;
    }
    for (size_t a = 0; a < nant; a++)
        s[a] = n > 0 ? (float)sqrt(sum / n) : 0;
    for (int turn = 0; turn < TURNS; turn++)
        for (size_t a = 0; a < nant; a++) {
            double logs = 0, count = 0;

            for (size_t b = 0; b < nant; b++)
                if (mean[a * nant + b] > 0) {
                    logs += log(mean[a * nant + b] / (double)s[b]);
                    count++;
                }
            s[a] = count > 0 ? (float)sqrt((double)s[a] * exp(logs / count)) : 0;
        }
}

static int by_channels(struct receivers *r, const struct vis *vis,
                       const struct gains *const *gains, struct err *e)
{
    struct row w = {.vis = vis};
    struct rows rows = {0};
    struct stokes *stokes = NULL;
    double *mean = calloc(vis->nant * vis->nant, sizeof *mean);
    int rc = stokes_new(&stokes, vis, gains, NULL, NULL, e);

    w.stokes = stokes;
    w.data = malloc(vis->nchan * sizeof *w.data);
    w.weight = malloc(3 * vis->nchan * sizeof *w.weight);
    w.var = w.weight + vis->nchan;
    w.some = w.var + vis->nchan;
    r->sefd = calloc(vis->nant, sizeof *r->sefd);
    for (size_t p = 0; p < vis->npol && w.nhand < 2; p++)
        if (gains_parallel(vis->pol[p]))
            w.hand[w.nhand++] = p;
    if (rc == 0)
        rc = rows_init(&rows, vis, e);
    if (rc == 0 &&
        (mean == NULL || w.data == NULL || w.weight == NULL || r->sefd == NULL))
        rc = err_set(e, -ENOMEM, "no memory for the noise of %zu antennas", vis->nant);
    if (rc == 0) {
        all_products(&w, &rows, mean);
        factorise(r->sefd, mean, vis->nant);
        for (size_t a = 0; a < vis->nant; a++)
            if (r->sefd[a] > 0)
                r->from = "channels";
    }
    rows_close(&rows);
    stokes_free(stokes);
    free(w.data);
    free(w.weight);
    free(mean);
    return rc;
}

int receivers_measure(struct receivers *r, const struct vis *vis,
                      const struct gains *const *gains, struct err *e)
{
    r->from = "none";
    if (vis->autos != NULL && by_autos(r, vis) != 0)
        return err_set(e, -ENOMEM, "no memory for the receivers of %zu antennas",
                       vis->nant);
    if (strcmp(r->from, "none") != 0)
        return 0;
    receivers_close(r);
    r->from = "none";
    return by_channels(r, vis, gains, e);
}
