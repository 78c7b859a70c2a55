/*
 * normal_eq.c: see normal_eq.h.  Rows are taken baseline by baseline, so that the sums of
 * one stay in the cache, and added channel by channel in loops that vectorise.
 */
#include "pipeline/cal/normal_eq.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "pipeline/cal/gains.h"
#include "pipeline/sky/astro.h"
#include "pipeline/sky/vis.h"

/* Below any product of weight and squared model that means something. */
#define TINY 1e-37F

/* How much the sums of one batch of solutions may take. */
#define BATCH_BYTES ((size_t)64 << 20)

size_t normal_eq_baseline(size_t n, size_t i, size_t j)
{
    return i * (2 * n - i - 1) / 2 + (j - i - 1);
}

static size_t row_baseline(const struct vis *vis, size_t row)
{
    return normal_eq_baseline(vis->nant, (size_t)vis->row_ant1[row],
                              (size_t)vis->row_ant2[row]);
}

/* Projected length of a row's baseline, metres; the full length when nothing is stopped. */
static double projected_m(const struct vis *vis, size_t row)
{
    const double *p1 = vis->ant_pos_m[vis->row_ant1[row]];
    const double *p2 = vis->ant_pos_m[vis->row_ant2[row]];
    const double *s = vis->stop[vis->row_time[row]];
    double b2 = 0, along = 0;

    for (int k = 0; k < 3; k++) {
        b2 += (p2[k] - p1[k]) * (p2[k] - p1[k]);
        along += (p2[k] - p1[k]) * s[k];
    }
    return sqrt(fmax(b2 - along * along, 0));
}

/* Rows by baseline, by counting. */
static int sort_rows(struct normal_eq_batch *b, const struct vis *vis, struct err *e)
{
    size_t *start = calloc(b->nbl + 1, sizeof *start), sum = 0;

    b->order = calloc(vis->nrow, sizeof *b->order);
    if (start == NULL || b->order == NULL) {
        free(start);
        return err_set(e, -ENOMEM, "no memory to sort %zu rows", vis->nrow);
    }
    for (size_t row = 0; row < vis->nrow; row++)
        start[row_baseline(vis, row)]++;
    for (size_t i = 0; i < b->nbl; i++) {
        size_t n = start[i];

        start[i] = sum;
        sum += n;
    }
    for (size_t row = 0; row < vis->nrow; row++)
        b->order[start[row_baseline(vis, row)]++] = row;
    free(start);
    return 0;
}

int normal_eq_init(struct normal_eq_batch *b, const struct vis *vis, size_t chan_block,
                   struct err *e)
{
    size_t per_block, blocks, span;

    b->chan_block = chan_block;
    b->nbl = vis->nant * (vis->nant - 1) / 2;
    per_block = b->nbl * vis->npol * sizeof *b->sum;
    blocks = per_block > 0 ? BATCH_BYTES / per_block : 1;
    blocks = blocks > 0 ? blocks : 1;
    span = (vis->nchan + chan_block - 1) / chan_block;
    blocks = blocks < span ? blocks : span;
    b->nslot = blocks * vis->npol;
    b->sum = calloc(b->nbl * b->nslot + 1, sizeof *b->sum);
    b->nline = vis->nchan * vis->npol;
    b->known = calloc(b->nline, sizeof *b->known);
    b->mr = calloc(b->nline, sizeof *b->mr);
    b->mi = calloc(b->nline, sizeof *b->mi);
    b->line = calloc(5 * b->nline, sizeof *b->line);
    if (b->sum == NULL || b->known == NULL || b->mr == NULL || b->mi == NULL ||
        b->line == NULL)
        return err_set(e, -ENOMEM, "no memory for the sums of %zu baselines", b->nbl);
    return sort_rows(b, vis, e);
}

void normal_eq_close(struct normal_eq_batch *b)
{
    free(b->sum);
    free(b->known);
    free(b->mr);
    free(b->mi);
    free(b->line);
    free(b->order);
}

/* Model of one row seen through the fixed gains, [chan][npol] in two parts. */
static void row_model(struct normal_eq_batch *b, const struct vis *vis,
                      const float complex *model)
{
    const float complex *known = b->known;
    size_t k = 0;

    for (size_t c = b->c0; c < b->c1; c++) {
        float mr = crealf(model[c]), mi = cimagf(model[c]);

        for (size_t p = 0; p < vis->npol; p++, k++) {
            float kr = crealf(known[k]), ki = cimagf(known[k]);

            b->mr[k] = mr * kr - mi * ki;
            b->mi[k] = mr * ki + mi * kr;
        }
    }
}

/* Add samples [k0, n) of one row to the lines: v and w are its data and weights. */
static void add_row(struct normal_eq_batch *b, const float complex *v, const float *w,
                    size_t k0, size_t n)
{
    double *restrict re = b->line, *restrict im = re + b->nline;
    double *restrict den = im + b->nline, *restrict power = den + b->nline;
    double *restrict count = power + b->nline;
    const float *restrict mr = b->mr, *restrict mi = b->mi;

    for (size_t k = k0; k < n; k++) {
        /* use is 1, or 0 when weight or model is 0: by sign and not by comparison, which gcc
         * does not vectorise while it honours traps.  Flagged data are finite (vis.h). */
        float m2 = mr[k] * mr[k] + mi[k] * mi[k];
        float use = 0.5F + copysignf(0.5F, w[k] * m2 - TINY);
        float vr = crealf(v[k]), vi = cimagf(v[k]), wk = w[k] * use;

        re[k] += wk * (vr * mr[k] + vi * mi[k]);
        im[k] += wk * (vi * mr[k] - vr * mi[k]);
        den[k] += wk * m2;
        power[k] += wk * (vr * vr + vi * vi);
        count[k] += use;
    }
}

/* Lines of one baseline into its slots; the lines are then empty again. */
static void fold_lines(struct normal_eq_batch *b, const struct vis *vis, size_t bl)
{
    double *re = b->line, *im = re + b->nline, *den = im + b->nline;
    double *power = den + b->nline, *count = power + b->nline;
    size_t k = 0;

    for (size_t c = 0; c < b->c1 - b->c0; c++) {
        size_t first = c / b->chan_block * vis->npol;

        for (size_t p = 0; p < vis->npol; p++, k++) {
            struct normal_eq *at = b->sum + (first + p) * b->nbl + bl;

            at->re += re[k];
            at->im += im[k];
            at->den += den[k];
            at->power += power[k];
            at->n += count[k];
        }
    }
    memset(b->line, 0, 5 * b->nline * sizeof *b->line);
}

/* First channel at which a row's baseline is long enough; c1 when none. */
static size_t first_channel(const struct normal_eq_batch *b, const struct vis *vis,
                            size_t row, double min_uv_lambda)
{
    size_t c = b->c0;

    if (min_uv_lambda > 0) {
        double length_m = projected_m(vis, row);

        while (c < b->c1 && length_m * vis->freq_hz[c] < min_uv_lambda * ASTRO_C_M_S)
            c++;
    }
    return c;
}

void normal_eq_fill(struct normal_eq_batch *b, const struct vis *vis,
                    const float complex *model, const struct gains_lookup *known,
                    double min_uv_lambda)
{
    size_t n = (b->c1 - b->c0) * vis->npol;

    memset(b->sum, 0, b->nbl * b->nslot * sizeof *b->sum);
    for (size_t k = 0; k < n; k++)
        b->known[k] = 1;
    for (size_t i = 0; i < vis->nrow; i++) {
        size_t row = b->order[i], at = (row * vis->nchan + b->c0) * vis->npol;
        size_t bl = row_baseline(vis, row), t = (size_t)vis->row_time[row];

        if (t >= b->t0 && t < b->t1) {
            size_t k0 = (first_channel(b, vis, row, min_uv_lambda) - b->c0) * vis->npol;

            if (known != NULL)
                gains_lookup_row(known, vis, row, b->c0, b->c1, b->known);
            row_model(b, vis, model + row * vis->nchan);
            add_row(b, vis->data + at, vis->weight + at, k0, n);
        }
        if (i + 1 == vis->nrow || row_baseline(vis, b->order[i + 1]) != bl)
            fold_lines(b, vis, bl);
    }
}
