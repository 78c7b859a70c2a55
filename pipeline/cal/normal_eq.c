/*
 * normal_eq.c: see normal_eq.h.  Rows are taken baseline by baseline, so that the sums of one
 * stay in the cache; baselines are shared out among threads.
 *
 * Sums lie in groups of NEXT slots, [slots / NEXT][nbl][NEXT]: written a baseline and read a
 * slot at a time, both in pieces that fill lines of the cache.
 */
#include "pipeline/cal/normal_eq.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/order.h"
#include "core/mem.h"
#include "core/parallel.h"
#include "pipeline/cal/gains.h"
#include "pipeline/cal/lines.h"
#include "pipeline/cal/model.h"
#include "pipeline/sky/astro.h"
#include "pipeline/sky/vis.h"

enum {
    NEXT = 16,
    SUMS = 5,
    FOLD_ROWS = 32,  /* rows that are added in float before the sums are folded */
    PROBE_ROWS = 8,  /* of a baseline, a line of each, tell its noise */
    FEW_SAMPLES = 20 /* no noise is told from fewer */
};

static size_t blocks(size_t n, size_t block)
{
    return (n + block - 1) / block;
}

size_t normal_eq_slots(const struct normal_eq_batch *b)
{
    return blocks(b->t1 - b->t0, b->time_block) * blocks(b->c1 - b->c0, b->chan_block) *
           b->vis->npol;
}

void normal_eq_close(struct normal_eq_batch *b)
{
    free(b->sum);
}

static struct normal_eq *at_slot(const struct normal_eq_batch *b, size_t slot,
                                 size_t bl)
{
    return b->sum + (slot / NEXT * b->rows->nbl + bl) * NEXT + slot % NEXT;
}

void normal_eq_get(const struct normal_eq_batch *b, size_t slot, struct normal_eq *out)
{
    for (size_t bl = 0; bl < b->rows->nbl; bl++)
        out[bl] = *at_slot(b, slot, bl);
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

/* Channels [*c0, *c1) at which a row's baseline is neither too short nor too long. */
static void find_channels(const struct normal_eq_batch *b, size_t row, size_t *c0,
                          size_t *c1)
{
    double length_m;

    *c0 = b->c0;
    *c1 = b->c1;
    if (!(b->min_uv_lambda > 0) && !(b->max_uv_lambda > 0))
        return;
    length_m = projected_m(b->vis, row);
    while (*c0 < *c1 &&
           length_m * b->vis->freq_hz[*c0] < b->min_uv_lambda * ASTRO_C_M_S)
        ++*c0;
    while (b->max_uv_lambda > 0 && *c1 > *c0 &&
           length_m * b->vis->freq_hz[*c1 - 1] > b->max_uv_lambda * ASTRO_C_M_S)
        --*c1;
}

/* One thread's share and what it works with. */
struct part {
    const struct normal_eq_batch *b, *also;
    const struct model *model;
    const struct line_code *code;
    size_t lo, hi; /* baselines */
    size_t nline;
    struct gains_line line[NORMAL_EQ_KNOWN]; /* of the gains held fixed */
    float *store;          /* [SUMS][nacc] sums of one baseline, channel by channel */
    float row[SUMS][LINE]; /* of one row, for `also` */
    size_t nacc;           /* the channels' samples, or LINE where all are one block */
    bool one_block;
    struct line_sums acc, row_acc;
    /* to clip, or NULL: residuals of some samples, [npol][PROBE_ROWS LINE / npol]; limits of the
     * baseline at hand */
    float *probe, limit[LINE], bl_seen[LINE], bl_lost[LINE];
    double seen, clipped;
};

static int part_init(struct part *p, const struct normal_eq_batch *b,
                     const struct normal_eq_known *known, struct err *e)
{
    float *at;
    int rc = 0;

    p->b = b;
    p->code = line_code();
    p->one_block = b->chan_block >= b->c1 - b->c0;
    p->nacc = p->one_block ? LINE : (b->c1 - b->c0) * b->vis->npol;
    p->store = at = calloc(SUMS * p->nacc, sizeof *p->store);
    if (b->clip_sigma > 0)
        p->probe = malloc(PROBE_ROWS * LINE * sizeof *p->probe);
    if (at == NULL || (b->clip_sigma > 0 && p->probe == NULL))
        return err_set(e, -ENOMEM, "no memory for the sums of %zu channels",
                       b->c1 - b->c0);
    p->acc = (struct line_sums){at, at + p->nacc, at + 2 * p->nacc, at + 3 * p->nacc,
                                at + 4 * p->nacc};
    p->row_acc =
        (struct line_sums){p->row[0], p->row[1], p->row[2], p->row[3], p->row[4]};
    for (size_t i = 0; rc == 0 && i < known->n; i++)
        rc = gains_line_init(&p->line[p->nline++], &known->lk[i], b->c1 - b->c0, e);
    return rc;
}

static void part_close(struct part *p)
{
    for (size_t i = 0; i < p->nline; i++)
        gains_line_close(&p->line[i]);
    free(p->store);
    free(p->probe);
}

/* A row's model times the gains held, a line at a time. */
static void start_row(struct part *p, struct model_row *model, size_t row)
{
    const struct normal_eq_batch *b = p->b;

    model_row(model, p->model, b->vis, row, p->code);
    for (size_t i = 0; i < p->nline; i++)
        gains_line_row(&p->line[i], b->vis, row, b->c0, b->c1);
}

static void model_line(const struct part *p, struct model_row *model, size_t k,
                       size_t len, float *mr, float *mi)
{
    size_t npol = p->b->vis->npol;

    model_row_line(model, p->b->c0 + k / npol, len / npol, mr, mi);
    for (size_t i = 0; i < p->nline; i++)
        p->code->times(mr, mi, mr, mi, p->line[i].re + k * p->line[i].step,
                       p->line[i].im + k * p->line[i].step, len);
}

/* The samples of a line that go into the sums. */
static const float *kept(struct part *p, float *out, size_t at, const float *mr,
                         const float *mi, size_t k0, size_t n)
{
    const struct vis *vis = p->b->vis;
    const float *w = vis->weight + at;

    if (p->probe == NULL)
        return w;
    p->code->clip(out, p->bl_seen, p->bl_lost, vis->data + at, w, mr, mi, p->limit, k0,
                  n);
    return out;
}

/* Counts of a baseline into those of all; then 0 again. */
static void count_clipped(struct part *p)
{
    for (size_t k = 0; p->probe != NULL && k < LINE; k++) {
        p->seen += (double)p->bl_seen[k];
        p->clipped += (double)p->bl_lost[k];
        p->bl_seen[k] = p->bl_lost[k] = 0;
    }
}

static void add_row(struct part *p, size_t row)
{
    const struct normal_eq_batch *b = p->b;
    const struct vis *vis = b->vis;
    size_t npol = vis->npol, start = (row * vis->nchan + b->c0) * npol;
    size_t from, n;
    struct model_row model;

    find_channels(b, row, &from, &n);
    from = (from - b->c0) * npol;
    n = (n - b->c0) * npol;
    if (from >= n)
        return;

    start_row(p, &model, row);
    for (size_t k = from / LINE * LINE; k < n; k += LINE) {
        size_t len = n - k < LINE ? n - k : LINE, at = p->one_block ? 0 : k;
        const struct line_sums acc = {p->acc.re + at, p->acc.im + at, p->acc.den + at,
                                      p->acc.power + at, p->acc.n + at};
        size_t k0 = from > k ? from - k : 0;
        float mr[LINE], mi[LINE], some[LINE];

        model_line(p, &model, k, len, mr, mi);
        p->code->add(&acc, p->also != NULL ? &p->row_acc : NULL, vis->data + start + k,
                     kept(p, some, start + k, mr, mi, k0, len), mr, mi, k0, len);
    }
}

/* Add samples [k, end) of the sums, each npol-th. */
static void fold_some(struct normal_eq *at, const struct line_sums *s, size_t k,
                      size_t end, size_t npol)
{
    double re = 0, im = 0, den = 0, power = 0, n = 0;

    for (; k < end; k += npol) {
        re += (double)s->re[k];
        im += (double)s->im[k];
        den += (double)s->den[k];
        power += (double)s->power[k];
        n += (double)s->n[k];
    }
    at->re += (float)re;
    at->im += (float)im;
    at->den += (float)den;
    at->power += (float)power;
    at->n += (float)n;
}

/* The sums of one row into the slots of its integration; then empty again. */
static void fold_row(struct part *p, size_t bl, size_t t)
{
    size_t npol = p->b->vis->npol;

    for (size_t pol = 0; pol < npol; pol++)
        fold_some(at_slot(p->also, t * npol + pol, bl), &p->row_acc, pol, LINE, npol);
    memset(p->row, 0, sizeof p->row);
}

/* The sums of one baseline into its slots of block tb of times; then empty again. */
static void fold(struct part *p, size_t bl, size_t tb)
{
    const struct normal_eq_batch *b = p->b;
    size_t npol = b->vis->npol;
    size_t slot = tb * blocks(b->c1 - b->c0, b->chan_block) * npol;
    size_t per_block = p->one_block ? p->nacc : b->chan_block * npol;

    for (size_t k = 0; k < p->nacc; k += per_block) {
        size_t end = k + per_block < p->nacc ? k + per_block : p->nacc;

        for (size_t pol = 0; pol < npol; pol++, slot++)
            fold_some(at_slot(b, slot, bl), &p->acc, k + pol, end, npol);
    }
    memset(p->store, 0, SUMS * p->nacc * sizeof *p->store);
}

/* What some samples of a baseline show of one polarisation. */
struct probe {
    size_t n;
    double model; /* sum of w |M|^2 */
};

static void probe_line(struct part *p, struct probe *of, size_t row, size_t k,
                       struct model_row *model)
{
    const struct vis *vis = p->b->vis;
    size_t npol = vis->npol, n = (p->b->c1 - p->b->c0) * npol;
    size_t len = n - k < LINE ? n - k : LINE, room = PROBE_ROWS * LINE / npol;
    size_t at = (row * vis->nchan + p->b->c0) * npol + k;
    float mr[LINE], mi[LINE];

    model_line(p, model, k, len, mr, mi);
    for (size_t i = 0; i < len; i++) {
        float w = vis->weight[at + i], m2 = mr[i] * mr[i] + mi[i] * mi[i];
        float dr = crealf(vis->data[at + i]) - mr[i];
        float di = cimagf(vis->data[at + i]) - mi[i];
        struct probe *to = of + i % npol;

        if (!(w > 0) || !(m2 > 0))
            continue;
        p->probe[i % npol * room + to->n++] = w * (dr * dr + di * di);
        to->model += (double)(w * m2);
    }
}

/* How far residuals of a baseline may go: its noise is told by some of its samples, others of
 * each row.  Of a complex Gaussian the median square is ln 2 times the mean, that of both parts. */
static void find_limits(struct part *p, size_t bl)
{
    const struct normal_eq_batch *b = p->b;
    size_t npol = b->vis->npol, lines = ((b->c1 - b->c0) * npol + LINE - 1) / LINE;
    size_t first = b->rows->start[bl], nrow = b->rows->start[bl + 1] - first;
    size_t step = (nrow + PROBE_ROWS - 1) / PROBE_ROWS, room = PROBE_ROWS * LINE / npol;
    struct probe of[VIS_MAXPOL] = {{0, 0}};

    for (size_t i = 0; i < nrow; i += step) {
        size_t row = b->rows->order[first + i], t = (size_t)b->vis->row_time[row];
        struct model_row model;

        if (t < b->t0 || t >= b->t1)
            continue;
        start_row(p, &model, row);
        probe_line(p, of, row, (7 * i / step + bl) % lines * LINE, &model);
    }
    for (size_t q = 0; q < npol; q++) {
        double noise2 = 0, limit = INFINITY; /* noise2: of one part */

        if (of[q].n >= FEW_SAMPLES) {
            noise2 = (double)order_kthf(p->probe + q * room, of[q].n, of[q].n / 2) /
                     (2 * M_LN2);
            limit = fmax(b->clip_sigma * b->clip_sigma * noise2,
                         CLIP_NEVER * CLIP_NEVER * of[q].model / (double)of[q].n);
        }
        for (size_t k = q; k < LINE; k += npol)
            p->limit[k] = (float)limit;
    }
}

static void add_baseline(struct part *p, size_t bl)
{
    const struct normal_eq_batch *b = p->b;
    size_t rows = 0, last = 0;

    if (p->probe != NULL && b->rows->start[bl + 1] > b->rows->start[bl])
        find_limits(p, bl);
    for (size_t i = b->rows->start[bl]; i < b->rows->start[bl + 1]; i++) {
        size_t row = b->rows->order[i], t = (size_t)b->vis->row_time[row], tb;

        if (t < b->t0 || t >= b->t1)
            continue;
        tb = (t - b->t0) / b->time_block;
        if (rows > 0 && (tb != last || rows == FOLD_ROWS)) {
            fold(p, bl, last);
            rows = 0;
        }
        add_row(p, row);
        if (p->also != NULL)
            fold_row(p, bl, t);
        last = tb;
        rows++;
    }
    if (rows > 0)
        fold(p, bl, last);
    count_clipped(p);
}

static void do_parts(void *arg, size_t lo, size_t hi)
{
    struct part *part = arg;

    for (struct part *p = part + lo; p < part + hi; p++)
        for (size_t bl = p->lo; bl < p->hi; bl++)
            add_baseline(p, bl);
}

int normal_eq_start(struct normal_eq_batch *b, struct err *e)
{
    size_t slots = blocks(normal_eq_slots(b), NEXT) * NEXT, n = slots * b->rows->nbl;

    if (slots <= b->room) {
        memset(b->sum, 0, n * sizeof *b->sum);
        return 0;
    }
    free(b->sum);
    b->sum = mem_huge((n + 1) * sizeof *b->sum);
    b->room = b->sum != NULL ? slots : 0;
    if (b->sum == NULL)
        return err_set(e, -ENOMEM, "no memory for the sums of %zu baselines",
                       b->rows->nbl);
    return 0;
}

int normal_eq_fill(struct normal_eq_batch *b, struct normal_eq_batch *also,
                   const struct model *model, const struct normal_eq_known *known,
                   struct err *e)
{
    size_t nparts = rows_parts(b->rows, b->threads);
    struct part *part = calloc(nparts, sizeof *part);
    int rc = normal_eq_start(b, e);

    if (rc == 0 && part == NULL)
        rc = err_set(e, -ENOMEM, "no memory for the sums of %zu threads", nparts);
    for (size_t i = 0; rc == 0 && i < nparts; i++) {
        part[i].also = also;
        part[i].model = model;
        part[i].lo = rows_part(b->rows, i, nparts);
        part[i].hi = rows_part(b->rows, i + 1, nparts);
        rc = part_init(&part[i], b, known, e);
    }
    if (rc == 0)
        parallel_run_by(nparts, nparts, do_parts, part);
    for (size_t i = 0; part != NULL && i < nparts; i++) {
        b->seen += part[i].seen;
        b->clipped += part[i].clipped;
        part_close(&part[i]);
    }
    free(part);
    return rc;
}
