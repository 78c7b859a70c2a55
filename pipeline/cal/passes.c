/*
 * passes.c: see passes.h.  All that a solution needs to know of its data is a few sums per
 * baseline (normal_eq.h).  So the visibilities are read once for each set of solutions, and the
 * iterations run on [nant][nant] matrices whatever the number of integrations and channels.
 */
#include "pipeline/cal/passes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "pipeline/cal/gains.h"
#include "pipeline/cal/receivers.h"
#include "pipeline/sky/vis.h"

enum { MAX_ITER = 100, MIN_BASELINES = 3 };
#define TOLERANCE 1e-6
#define MIN_SNR   4.0
#define WANT_SNR  10.0
#define CLIP      5.0

/* How much the sums of one batch of solutions may take: a bandpass of 100 antennas and 400 channels
 * at once. */
#define BATCH_BYTES ((size_t)80 << 20)

static struct solve_opts with_defaults(const struct solve_opts *opts)
{
    struct solve_opts o = {.refant = -1};

    if (opts != NULL)
        o = *opts;
    if (o.max_iter <= 0)
        o.max_iter = MAX_ITER;
    if (o.tolerance <= 0)
        o.tolerance = TOLERANCE;
    if (o.min_baselines == 0)
        o.min_baselines = MIN_BASELINES;
    if (o.min_snr == 0)
        o.min_snr = MIN_SNR;
    if (o.want_snr == 0)
        o.want_snr = WANT_SNR;
    if (o.clip_sigma == 0)
        o.clip_sigma = CLIP;
    return o;
}

int passes_init(struct passes *v, const struct vis *vis, const struct model *model,
                const struct solve_opts *opts, struct err *e)
{
    int rc;

    v->vis = vis;
    v->model = model;
    v->opts = with_defaults(opts);
    if (v->opts.refant >= 0 && (size_t)v->opts.refant >= vis->nant)
        return err_set(e, -EINVAL, "reference antenna index %d is not below %zu",
                       v->opts.refant, vis->nant);
    v->quiet = malloc(vis->nant * vis->npol * sizeof *v->quiet);
    if (v->quiet == NULL || receivers_quiet(v->quiet, vis) != 0)
        return err_set(e, -ENOMEM, "no memory for the receivers of %zu antennas",
                       vis->nant);
    rc = rows_init(&v->rows, vis, e);
    if (rc != 0)
        return rc;
    v->nslot = rows_parts(&v->rows, v->opts.threads);
    for (size_t i = 0; rc == 0 && i < v->nslot; i++)
        rc = slot_init(&v->slot[i], vis->nant, v->opts.phase_only, e);
    return rc;
}

void passes_close(struct passes *v)
{
    for (size_t i = 0; i < v->nslot; i++)
        slot_close(&v->slot[i]);
    rows_close(&v->rows);
    free(v->quiet);
}

struct slot_how passes_how(const struct passes *v)
{
    return (struct slot_how){.max_iter = v->opts.max_iter,
                             .tolerance = v->opts.tolerance,
                             .min_snr = v->opts.min_snr,
                             .min_baselines = v->opts.min_baselines,
                             .refant = v->opts.refant};
}

static size_t blocks(size_t n, size_t block)
{
    return (n + block - 1) / block;
}

int pass_init(struct pass *p, struct passes *v, size_t time_block, size_t chan_block,
              struct err *e)
{
    const struct vis *vis = v->vis;
    size_t tb = time_block > 0 ? time_block : vis->ntime;
    size_t cb = chan_block > 0 ? chan_block : vis->nchan, slots, n;
    int rc;

    p->v = v;
    p->ntime = blocks(vis->ntime, tb);
    p->nchan = blocks(vis->nchan, cb);
    p->b = (struct normal_eq_batch){.vis = vis,
                                    .rows = &v->rows,
                                    .min_uv_lambda = v->opts.min_uv_lambda,
                                    .max_uv_lambda = v->opts.max_uv_lambda,
                                    .threads = v->opts.threads,
                                    .time_block = tb,
                                    .chan_block = cb};
    slots = BATCH_BYTES / (sizeof(struct normal_eq) * vis->npol * (v->rows.nbl + 1));
    slots = slots > 0 ? slots : 1;
    p->step_c = (slots < p->nchan ? slots : p->nchan) * cb;
    p->step_t = (slots < p->nchan ? 1 : slots / p->nchan) * tb;
    n = p->ntime * p->nchan * vis->npol;
    p->noise2 = calloc(n, sizeof *p->noise2);
    p->weight = calloc(n, sizeof *p->weight);
    rc = gains_alloc(&p->all, vis->nant, p->ntime, p->nchan, vis->npol, e);
    if (rc == 0)
        rc = gains_alloc(&p->judged, vis->nant, p->ntime, p->nchan, vis->npol, e);
    if (rc == 0 && (p->noise2 == NULL || p->weight == NULL))
        rc = err_set(e, -ENOMEM, "no memory for %zu solutions", n);
    return rc;
}

void pass_close(struct pass *p)
{
    normal_eq_close(&p->b);
    gains_free(p->all);
    gains_free(p->judged);
    free(p->noise2);
    free(p->weight);
}

/* ---- solutions of the sums that are there ---- */

static size_t group_of(const struct pass *p)
{
    return p->blocks.size > 1 ? p->blocks.size : 1;
}

/* Some solutions, by one thread. */
struct share {
    const struct pass *pass;
    const struct slot_how *how;
    size_t lo, hi, solved;
    struct slot *w;
};

/* Noise goes through the same amplifiers as the sky: quiet receivers weigh more. */
static void weigh(const struct passes *v, size_t p, struct normal_eq *at)
{
    size_t npol = v->vis->npol;

    for (size_t i = 0; v->vis->autos != NULL && i < v->vis->nant; i++)
        for (size_t j = i + 1; j < v->vis->nant; j++, at++) {
            float f = v->quiet[i * npol + p] * v->quiet[j * npol + p];

            at->re *= f;
            at->im *= f;
            at->den *= f;
            at->power *= f;
        }
}

static void solve_share(struct share *a)
{
    const struct pass *pass = a->pass;
    const struct normal_eq_batch *b = &pass->b;
    const struct vis *vis = b->vis;
    size_t npol = vis->npol, ncb = blocks(b->c1 - b->c0, b->chan_block);
    size_t size = group_of(pass), nslot = normal_eq_slots(b) / npol;
    size_t first = b->t0 / b->time_block * pass->nchan + b->c0 / b->chan_block;

    for (size_t unit = a->lo; unit < a->hi; unit++) {
        size_t p = unit % npol, i = unit / npol * size;
        size_t tb = b->t0 / b->time_block + i / ncb;
        size_t cb = b->c0 / b->chan_block + i % ncb;
        size_t block = tb * pass->nchan + cb, at = block * vis->nant * npol + p;
        const struct slot_out out = {.all = pass->all->g + at,
                                     .judged = pass->judged->g + at,
                                     .snr = pass->judged->snr + at,
                                     .noise2 = pass->noise2 + block * npol + p,
                                     .weight = pass->weight + block * npol + p,
                                     .npol = npol};

        if (!gains_parallel(vis->pol[p]))
            continue;
        if (size > 1)
            blocks_sums(&pass->blocks, b, first, i, i + size < nslot ? i + size : nslot,
                        p, a->w->at, a->w->more);
        else
            normal_eq_get(b, i * npol + p, a->w->at);
        weigh(pass->v, p, a->w->at);
        a->solved += slot_solve(a->w, a->how, &out);
    }
}

static void solve_shares(void *arg, size_t lo, size_t hi)
{
    for (struct share *a = (struct share *)arg + lo; a < (struct share *)arg + hi; a++)
        solve_share(a);
}

static size_t solve_batch(struct pass *p, const struct slot_how *how)
{
    struct share share[PARALLEL_MOST];
    size_t npol = p->v->vis->npol, n = p->v->nslot, solved = 0;
    size_t slots = blocks(normal_eq_slots(&p->b) / npol, group_of(p)) * npol;

    for (size_t i = 0; i < n; i++)
        share[i] = (struct share){.pass = p,
                                  .how = how,
                                  .lo = slots * i / n,
                                  .hi = slots * (i + 1) / n,
                                  .w = &p->v->slot[i]};
    parallel_run_by(n, n, solve_shares, share);
    for (size_t i = 0; i < n; i++)
        solved += share[i].solved;
    return solved;
}

/* What was found by blocks to all of their slots. */
static void spread(struct pass *p)
{
    size_t npol = p->v->vis->npol, n = p->ntime * p->nchan, size = group_of(p);

    if (size == 1)
        return;
    memcpy(p->all->snr, p->judged->snr, n * npol * p->v->vis->nant * sizeof(float));
    blocks_spread(&p->blocks, p->all);
    blocks_spread(&p->blocks, p->judged);
    for (size_t i = n * npol; i-- > 0;) {
        size_t from = i / npol / size * size, in = n - from < size ? n - from : size;

        p->noise2[i] = p->noise2[from * npol + i % npol];
        p->weight[i] = p->weight[from * npol + i % npol] / (float)in;
    }
}

/* ---- batches ---- */

static void clear(struct pass *p)
{
    size_t npol = p->v->vis->npol, n = p->ntime * p->nchan * npol;

    memset(p->all->g, 0, n * p->v->vis->nant * sizeof *p->all->g);
    memset(p->judged->g, 0, n * p->v->vis->nant * sizeof *p->judged->g);
    memset(p->judged->snr, 0, n * p->v->vis->nant * sizeof *p->judged->snr);
    memset(p->noise2, 0, n * sizeof *p->noise2);
    memset(p->weight, 0, n * sizeof *p->weight);
}

static int run_batches(struct pass *p, struct pass *also,
                       const struct normal_eq_known *known, const struct slot_how *how,
                       struct err *e)
{
    const struct vis *vis = p->v->vis;
    struct normal_eq_batch *b = &p->b, *sums = also != NULL ? &also->b : NULL;
    size_t solved = 0;
    int rc = 0;

    if (sums != NULL) {
        sums->t0 = sums->c0 = 0;
        sums->t1 = vis->ntime;
        sums->c1 = vis->nchan;
        clear(also);
        rc = normal_eq_start(sums, e);
    }
    clear(p);
    b->seen = b->clipped = 0;
    for (b->t0 = 0; rc == 0 && b->t0 < vis->ntime; b->t0 += p->step_t) {
        b->t1 = b->t0 + p->step_t < vis->ntime ? b->t0 + p->step_t : vis->ntime;
        for (b->c0 = 0; rc == 0 && b->c0 < vis->nchan; b->c0 += p->step_c) {
            b->c1 = b->c0 + p->step_c < vis->nchan ? b->c0 + p->step_c : vis->nchan;
            rc = normal_eq_fill(b, sums, p->v->model, known, e);
            if (rc == 0)
                solved += solve_batch(p, how);
        }
    }
    if (rc == 0 && (solved == 0 || (also != NULL && solve_batch(also, how) == 0)))
        rc = err_set(e, ERR_QUALITY,
                     "no antenna has a gain: too few unflagged baselines or no signal");
    spread(p);
    if (also != NULL)
        spread(also);
    return rc;
}

int pass_again(struct pass *p, const struct gains *const known[NORMAL_EQ_KNOWN],
               const struct slot_how *how, struct err *e)
{
    const struct vis *vis = p->v->vis;

    if (p->step_t < vis->ntime || p->step_c < vis->nchan)
        return pass_run(p, NULL, known, how, e);
    p->b.t0 = p->b.c0 = 0;
    p->b.t1 = vis->ntime;
    p->b.c1 = vis->nchan;
    clear(p);
    solve_batch(p, how);
    spread(p);
    return 0;
}

int pass_run(struct pass *p, struct pass *also,
             const struct gains *const known[NORMAL_EQ_KNOWN],
             const struct slot_how *how, struct err *e)
{
    struct normal_eq_known held = {0};
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < NORMAL_EQ_KNOWN; i++)
        if (known[i] != NULL)
            rc = gains_lookup_init(&held.lk[held.n++], p->v->vis, known[i], e);
    if (rc == 0)
        rc = run_batches(p, also, &held, how, e);
    for (size_t i = 0; i < held.n; i++)
        gains_lookup_close(&held.lk[i]);
    return rc;
}
