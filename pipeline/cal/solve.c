/*
 * solve.c: antenna gains by least squares: which data go into a solution, and which
 * antennas; the iteration itself is stefcal.c's.
 *
 * All that a solution needs to know of its data is a few sums per baseline (normal_eq.h).  So
 * the visibilities are read once for each set of solutions, and the iterations run on
 * [nant][nant] matrices whatever the number of integrations and channels.
 */
#include "pipeline/cal/solve.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/parallel.h"
#include "pipeline/cal/cover.h"
#include "pipeline/cal/gains.h"
#include "pipeline/cal/model.h"
#include "pipeline/cal/normal_eq.h"
#include "pipeline/cal/stefcal.h"
#include "pipeline/sky/vis.h"

enum { ROUNDS = 3, MAX_ITER = 100, MIN_BASELINES = 3 };
#define TOLERANCE 1e-6
#define MIN_SNR   3.0

/* Solutions that only serve the next ones: the first bandpass, and those after it. */
#define FIRST_TOLERANCE 1e-3
#define NEXT_TOLERANCE  1e-4

/* Gains agree with those of the round before when they differ by no more than this, but for a
 * factor that each antenna has at all times.  The bandpass changes by less. */
#define AGREE 1e-4

/* How much the sums of one batch of solutions may take: a bandpass of 100 antennas and 1,000
 * channels at once. */
#define BATCH_BYTES ((size_t)256 << 20)

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
    return o;
}

/* ---- one solution ---- */

/* What one thread works with; the sums of its slot. */
struct worker {
    struct stefcal s;
    size_t nant;
    struct normal_eq *at; /* [baselines] */
    unsigned char *in;    /* [2][nant] antennas that take part, marks */
    size_t *degree;       /* [nant] */
};

static int worker_init(struct worker *w, size_t nant, struct err *e)
{
    w->nant = nant;
    w->at = calloc(nant * nant, sizeof *w->at);
    w->in = calloc(2 * nant, sizeof *w->in);
    w->degree = calloc(nant, sizeof *w->degree);
    if (w->at == NULL || w->in == NULL || w->degree == NULL)
        return err_set(e, -ENOMEM, "no memory to solve for %zu antennas", nant);
    return stefcal_init(&w->s, nant, e);
}

static void worker_close(struct worker *w)
{
    stefcal_close(&w->s);
    free(w->at);
    free(w->in);
    free(w->degree);
}

/* Baselines with data among the antennas that take part, for each of them. */
static void count_degrees(struct worker *w)
{
    const struct normal_eq *at = w->at;

    memset(w->degree, 0, w->nant * sizeof *w->degree);
    for (size_t i = 0; i < w->nant; i++) {
        for (size_t j = i + 1; j < w->nant; j++, at++) {
            size_t has = at->den > 0 && w->in[i] && w->in[j];

            w->degree[i] += has;
            w->degree[j] += has;
        }
    }
}

/* Mark, of the antennas that take part, those joined to antenna `seed`; returns how many. */
static size_t flood(struct worker *w, size_t seed)
{
    unsigned char *in = w->in, *mark = w->in + w->nant;
    size_t count = 1, last = 0;

    memset(mark, 0, w->nant);
    mark[seed] = 1;
    while (count != last) {
        const struct normal_eq *at = w->at;

        last = count;
        for (size_t i = 0; i < w->nant; i++) {
            for (size_t j = i + 1; j < w->nant; j++, at++) {
                if (in[i] && in[j] && mark[i] != mark[j] && at->den > 0) {
                    mark[i] = mark[j] = 1;
                    count++;
                }
            }
        }
    }
    return count;
}

/* Of parts that no baseline joins, the largest takes part. */
static void keep_largest_part(struct worker *w)
{
    size_t most = 0, seed = 0, n = w->nant;

    for (size_t a = 0; a < n && 2 * most < n; a++) {
        size_t count = w->in[a] ? flood(w, a) : 0;

        if (count > most) {
            most = count;
            seed = a;
        }
    }
    if (most > 0) {
        flood(w, seed);
        memcpy(w->in, w->in + n, n);
    }
}

/* Antennas that take part: enough baselines among themselves, and all joined to each other (the
 * phase between two separate parts is unknown, so the smaller one gets no solution). */
static void choose_antennas(struct worker *w, size_t min_baselines)
{
    size_t least = 0, count = 0;
    bool again = true;

    while (again) {
        again = false;
        count_degrees(w);
        least = SIZE_MAX;
        count = 0;
        for (size_t a = 0; a < w->nant; a++) {
            if (!w->in[a])
                continue;
            if (w->degree[a] < min_baselines) {
                w->in[a] = 0;
                again = true;
            }
            least = w->degree[a] < least ? w->degree[a] : least;
            count++;
        }
    }
    /* any two of count that have count / 2 neighbours or more are joined or share one */
    if (count > 0 && 2 * least < count)
        keep_largest_part(w);
}

/* Both triangles of the matrices for the antennas that take part. */
static void system_fill(struct worker *w)
{
    struct stefcal *s = &w->s;

    s->n = 0;
    for (size_t a = 0; a < w->nant; a++) {
        if (w->in[a])
            s->ant[s->n++] = a;
    }
    for (size_t i = 0; i < s->n; i++) {
        s->re[i * s->n + i] = s->im[i * s->n + i] = s->den[i * s->n + i] = 0;
        for (size_t j = i + 1; j < s->n; j++) {
            const struct normal_eq *m =
                w->at + rows_baseline(w->nant, s->ant[i], s->ant[j]);
            size_t up = i * s->n + j, down = j * s->n + i;

            s->re[down] = s->re[up] = (double)m->re;
            s->im[down] = (double)m->im; /* V of (i, j) adds g_j to g_i ... */
            s->im[up] = -(double)m->im;  /* ... and its conjugate g_i to g_j */
            s->den[down] = s->den[up] = (double)m->den;
        }
    }
}

/*
 * Signal to noise of each gain.  The noise is what the solution leaves: weighted power of the
 * residual per sample, so weights need only be right relative to each other.
 * A solution with no more samples than gains has no residual and passes.
 */
static void system_snr(struct worker *w)
{
    struct stefcal *s = &w->s;
    double rest = 0, samples = 0, noise2;

    for (size_t i = 0; i < s->n; i++) {
        for (size_t j = i + 1; j < s->n; j++) {
            const struct normal_eq *m =
                w->at + rows_baseline(w->nant, s->ant[i], s->ant[j]);
            double fr = s->gr[i] * s->gr[j] + s->gi[i] * s->gi[j];
            double fi = s->gi[i] * s->gr[j] - s->gr[i] * s->gi[j];

            rest += (double)m->power - 2 * (fr * (double)m->re + fi * (double)m->im) +
                    (fr * fr + fi * fi) * (double)m->den;
            samples += (double)m->n;
        }
    }
    noise2 = samples > (double)s->n ? fmax(rest, 0) / (samples - (double)s->n) : 0;
    stefcal_sums(s);
    for (size_t i = 0; i < s->n; i++) {
        double g2 = s->gr[i] * s->gr[i] + s->gi[i] * s->gi[i];

        s->snr[i] = noise2 > 0 ? sqrt(g2 * s->sd[i] / noise2) : INFINITY;
    }
}

/* Gains into out [nant] with stride npol, phase 0 at the reference (or, when that has no
 * solution here, at the first antenna that has: a common phase drops out of every baseline). */
static size_t system_store(const struct stefcal *s, float complex *out, size_t npol,
                           int refant, double min_snr)
{
    double rr = 0, ri = 0;
    size_t count = 0;

    for (size_t i = 0; i < s->n; i++) {
        double a = hypot(s->gr[i], s->gi[i]);
        bool good = a > 0 && isfinite(a) && (min_snr < 0 || s->snr[i] >= min_snr);

        if (good && (count == 0 || s->ant[i] == (size_t)refant)) {
            rr = s->gr[i] / a;
            ri = s->gi[i] / a;
        }
        count += good;
    }
    for (size_t i = 0; i < s->n; i++) {
        double re = s->gr[i] * rr + s->gi[i] * ri, im = s->gi[i] * rr - s->gr[i] * ri;
        double a = hypot(re, im);

        if (a > 0 && isfinite(a) && (min_snr < 0 || s->snr[i] >= min_snr))
            out[s->ant[i] * npol] = gain_of((float)re, (float)im);
    }
    return count;
}

/* What the solutions of one call share. */
struct solver {
    const struct vis *vis;
    const struct model *model;
    struct solve_opts opts; /* complete: no field asks for a default */
    struct rows rows;
    struct cover cover;
    size_t nworker;
    struct worker worker[PARALLEL_MOST];
};

static int solver_init(struct solver *v, const struct vis *vis,
                       const struct model *model, const struct solve_opts *opts,
                       struct err *e)
{
    int rc;

    *v = (struct solver){.vis = vis, .model = model, .opts = with_defaults(opts)};
    rc = cover_init(&v->cover, vis, v->opts.threads, e);
    if (rc == 0)
        rc = cover_refant(&v->opts.refant, &v->cover, vis, v->opts.refant, e);
    if (rc == 0)
        rc = rows_init(&v->rows, vis, e);
    if (rc != 0)
        return rc;
    v->nworker = rows_parts(&v->rows, v->opts.threads);
    for (size_t i = 0; rc == 0 && i < v->nworker; i++) {
        rc = worker_init(&v->worker[i], vis->nant, e);
        v->worker[i].s.phase_only = v->opts.phase_only;
    }
    return rc;
}

static void solver_close(struct solver *v)
{
    for (size_t i = 0; i < v->nworker; i++)
        worker_close(&v->worker[i]);
    rows_close(&v->rows);
    cover_close(&v->cover);
}

/* How well a set of solutions is made, and from where it starts. */
struct how {
    double tolerance, min_snr;
    const struct gains *guess; /* of the same blocks, or NULL */
};

/* Start from the guess [nant] with stride npol where all have one. */
static void start_from(struct stefcal *s, const float complex *guess, size_t npol)
{
    for (size_t i = 0; i < s->n; i++) {
        float complex g = guess != NULL ? guess[s->ant[i] * npol] : 0;

        if (g == 0) {
            stefcal_start(s);
            return;
        }
        s->gr[i] = (double)crealf(g);
        s->gi[i] = (double)cimagf(g);
    }
}

/*
 * solve_slot: one solution from the sums w->at.  An antenna whose gain drowns in its noise is
 * taken out and the rest solved again, since it only adds noise to the others.
 * Returns the antennas solved for; their gains in out [nant][npol], one polarisation of it.
 */
static size_t solve_slot(struct worker *w, const struct solver *v,
                         const struct how *how, const float complex *guess,
                         float complex *out)
{
    const struct solve_opts *o = &v->opts;
    struct stefcal *s = &w->s;
    bool again = true;

    memset(w->in, 1, w->nant);
    while (again) {
        again = false;
        choose_antennas(w, o->min_baselines);
        system_fill(w);
        start_from(s, guess, v->vis->npol);
        if (s->n < 2 || !stefcal_solve(s, o->max_iter, how->tolerance))
            return 0;
        if (how->min_snr < 0)
            break;
        system_snr(w);
        for (size_t i = 0; i < s->n; i++) {
            if (s->snr[i] < how->min_snr) {
                w->in[s->ant[i]] = 0;
                again = true;
            }
        }
    }
    return system_store(s, out, v->vis->npol, o->refant, how->min_snr);
}

/* ---- all solutions of one kind ---- */

/* Gains by blocks; their sums stay when all of them fit one batch. */
struct pass {
    struct solver *v;
    struct normal_eq_batch b;
    size_t tb, cb;         /* block sizes */
    size_t step_t, step_c; /* integrations and channels of a batch */
};

static void pass_init(struct pass *p, struct solver *v, size_t time_block,
                      size_t chan_block)
{
    const struct vis *vis = v->vis;
    size_t slots, ncb;

    *p = (struct pass){.v = v};
    p->tb = time_block > 0 ? time_block : vis->ntime;
    p->cb = chan_block > 0 ? chan_block : vis->nchan;
    p->b = (struct normal_eq_batch){.vis = vis,
                                    .rows = &v->rows,
                                    .min_uv_lambda = v->opts.min_uv_lambda,
                                    .threads = v->opts.threads,
                                    .time_block = p->tb,
                                    .chan_block = p->cb};
    ncb = (vis->nchan + p->cb - 1) / p->cb;
    slots = BATCH_BYTES / (sizeof(struct normal_eq) * vis->npol * (v->rows.nbl + 1));
    slots = slots > 0 ? slots : 1;
    p->step_c = (slots < ncb ? slots : ncb) * p->cb;
    p->step_t = (slots < ncb ? 1 : slots / ncb) * p->tb;
}

/* Some slots, by one thread. */
struct share {
    const struct pass *pass;
    const struct how *how;
    struct gains *out;
    size_t lo, hi, solved;
    struct worker *w;
};

static void solve_share(struct share *a)
{
    const struct normal_eq_batch *b = &a->pass->b;
    const struct vis *vis = b->vis;
    size_t npol = vis->npol, ncb = (b->c1 - b->c0 + b->chan_block - 1) / b->chan_block;

    for (size_t slot = a->lo; slot < a->hi; slot++) {
        size_t p = slot % npol, tb = b->t0 / b->time_block + slot / (ncb * npol);
        size_t cb = b->c0 / b->chan_block + slot / npol % ncb;
        size_t at = (tb * a->out->nchan + cb) * a->out->nant * npol + p;

        if (!gains_parallel(vis->pol[p]))
            continue;
        normal_eq_get(b, slot, a->w->at);
        a->solved += solve_slot(a->w, a->pass->v, a->how,
                                a->how->guess != NULL ? a->how->guess->g + at : NULL,
                                a->out->g + at);
    }
}

static void solve_shares(void *arg, size_t lo, size_t hi)
{
    for (struct share *a = (struct share *)arg + lo; a < (struct share *)arg + hi; a++)
        solve_share(a);
}

static size_t solve_batch(struct pass *p, const struct how *how, struct gains *out)
{
    struct share share[PARALLEL_MOST];
    size_t slots = normal_eq_slots(&p->b), n = p->v->nworker, solved = 0;

    for (size_t i = 0; i < n; i++)
        share[i] = (struct share){.pass = p,
                                  .how = how,
                                  .out = out,
                                  .lo = slots * i / n,
                                  .hi = slots * (i + 1) / n,
                                  .w = &p->v->worker[i]};
    parallel_run_by(n, n, solve_shares, share);
    for (size_t i = 0; i < n; i++)
        solved += share[i].solved;
    return solved;
}

/* All batches, with other gains held fixed; `same`: nothing changed since the sums were made. */
static int run_batches(struct pass *p, const struct gains_lookup *held, bool same,
                       const struct how *how, struct gains *out, struct err *e)
{
    const struct vis *vis = p->v->vis;
    struct normal_eq_batch *b = &p->b;
    size_t solved = 0;
    bool whole = p->step_t >= vis->ntime && p->step_c >= vis->nchan;

    for (b->t0 = 0; b->t0 < vis->ntime; b->t0 += p->step_t) {
        b->t1 = b->t0 + p->step_t < vis->ntime ? b->t0 + p->step_t : vis->ntime;
        for (b->c0 = 0; b->c0 < vis->nchan; b->c0 += p->step_c) {
            int rc = 0;

            b->c1 = b->c0 + p->step_c < vis->nchan ? b->c0 + p->step_c : vis->nchan;
            if (!same || !whole)
                rc = normal_eq_fill(b, p->v->model, held, e);
            if (rc != 0)
                return rc;
            solved += solve_batch(p, how, out);
        }
    }
    if (solved == 0)
        return err_set(
            e, ERR_QUALITY,
            "no antenna has a gain: too few unflagged baselines or no signal");
    return 0;
}

/*
 * pass_run: gains by blocks, with others (`held`, or NULL) kept fixed, instead of those in
 * *result, which may be the guess.
 */
static int pass_run(struct pass *p, struct gains **result, const struct gains *held,
                    bool same, const struct how *how, struct err *e)
{
    const struct vis *vis = p->v->vis;
    struct gains_lookup lk = {0};
    struct gains *out = NULL;
    int rc = gains_alloc(&out, vis->nant, (vis->ntime + p->tb - 1) / p->tb,
                         (vis->nchan + p->cb - 1) / p->cb, vis->npol, e);

    if (rc == 0 && held != NULL)
        rc = gains_lookup_init(&lk, vis, held, e);
    if (rc == 0) {
        out->refant = p->v->opts.refant;
        cover_axes(&p->v->cover, out, vis, p->tb, p->cb);
        rc = run_batches(p, held != NULL ? &lk : NULL, same, how, out, e);
    }
    gains_lookup_close(&lk);
    gains_free(rc == 0 ? *result : out);
    if (rc == 0)
        *result = out;
    return rc;
}

int solve_gains(struct gains **out, const struct vis *vis, const struct model *model,
                size_t time_block, size_t chan_block, const struct solve_opts *opts,
                struct err *e)
{
    struct solver v;
    struct pass pass = {0};
    int rc = solver_init(&v, vis, model, opts, e);

    *out = NULL;
    if (rc == 0) {
        const struct how how = {v.opts.tolerance, v.opts.min_snr, NULL};

        pass_init(&pass, &v, time_block, chan_block);
        rc = pass_run(&pass, out, NULL, false, &how, e);
    }
    normal_eq_close(&pass.b);
    solver_close(&v);
    return rc;
}

/* ---- bandpass and gains in turns ---- */

/* A gain over time of one antenna and polarisation. */
static float complex *over_time(const struct gains *gain, size_t t, size_t a, size_t p)
{
    return gain->g + (t * gain->nant + a) * gain->npol + p;
}

/* Their mean amplitude with the phase of their mean; 0 without any. */
static float complex mean_gain(const struct gains *gain, size_t a, size_t p)
{
    double amp = 0, re = 0, im = 0, n = 0, size;

    for (size_t t = 0; t < gain->ntime; t++) {
        float complex g = *over_time(gain, t, a, p);

        amp += (double)cabsf(g);
        re += (double)crealf(g);
        im += (double)cimagf(g);
        n += g != 0;
    }
    size = hypot(re, im);
    if (n == 0 || size <= 0)
        return 0;
    return gain_of((float)(re / size * amp / n), (float)(im / size * amp / n));
}

/* Whether one antenna's gains differ from those before by no more than a factor; no when some
 * of its solutions are gone and not all. */
static bool one_agrees(const struct gains *was, const struct gains *now, size_t a,
                       size_t p)
{
    float complex r0 = mean_gain(was, a, p), r1 = mean_gain(now, a, p);

    if (r0 == 0 || r1 == 0)
        return true; /* never had any, or lost all */
    for (size_t t = 0; t < was->ntime; t++) {
        float complex g0 = *over_time(was, t, a, p) / r0;
        float complex g1 = *over_time(now, t, a, p) / r1;

        if (!(cabsf(g1 - g0) <= (float)AGREE))
            return false;
    }
    return true;
}

static bool all_agree(const struct gains *was, const struct gains *now)
{
    for (size_t a = 0; was != NULL && a < was->nant; a++) {
        for (size_t p = 0; p < was->npol; p++)
            if (!one_agrees(was, now, a, p))
                return false;
    }
    return was != NULL;
}

/* Scale and phase of one antenna's gains over time belong into its bandpass, which was solved
 * with the gains `with`; an antenna that has no gain any more has no bandpass. */
static void normalise_one(struct gains *bp, float complex with, struct gains *gain,
                          size_t a, size_t p)
{
    float complex own = mean_gain(gain, a, p);

    for (size_t c = 0; c < bp->nchan; c++)
        bp->g[(c * bp->nant + a) * bp->npol + p] *= own != 0 ? with : 0;
    for (size_t t = 0; own != 0 && t < gain->ntime; t++)
        *over_time(gain, t, a, p) /= own;
}

/* What solve_bandpass works on. */
struct turns {
    struct solver v;
    struct pass by_chan, by_time;
    struct gains *bp, *gain, *was; /* was: the gains that bp was solved with */
    bool agree;                    /* gain and was, but for a factor for each antenna */
};

/* Nobody is judged yet.  The bandpass goes first: uncorrected delays cancel a sum over the band,
 * while over a few minutes a fringe-stopped array keeps its phase. */
static int take_turns(struct turns *s, struct err *e)
{
    struct how bp = {FIRST_TOLERANCE, -1, NULL}, gain = {s->v.opts.tolerance, -1, NULL};
    int rc = pass_run(&s->by_chan, &s->bp, NULL, false, &bp, e);

    for (int round = 1; rc == 0; round++) {
        gains_free(s->was);
        s->was = s->gain;
        s->gain = NULL;
        gain.guess = s->was;
        rc = pass_run(&s->by_time, &s->gain, s->bp, false, &gain, e);
        s->agree = rc == 0 && all_agree(s->was, s->gain);
        if (rc != 0 || s->agree || round == ROUNDS)
            break;
        bp = (struct how){NEXT_TOLERANCE, -1, s->bp};
        rc = pass_run(&s->by_chan, &s->bp, s->gain, false, &bp, e);
    }
    return rc;
}

/* The last solutions, judged; from the sums that are there when the turns came to agree. */
static int judge(struct turns *s, struct err *e)
{
    struct how how = {s->v.opts.tolerance, s->v.opts.min_snr, s->gain};
    int rc = pass_run(&s->by_time, &s->gain, s->bp, true, &how, e);

    if (rc != 0)
        return rc;
    s->agree = s->agree && all_agree(s->was, s->gain);
    how.guess = s->bp;
    return pass_run(&s->by_chan, &s->bp, s->gain, s->agree, &how, e);
}

int solve_bandpass(struct gains **bandpass, struct gains **gain, const struct vis *vis,
                   const struct model *model, const struct solve_opts *opts,
                   struct err *e)
{
    struct turns s = {0};
    int rc = solver_init(&s.v, vis, model, opts, e);

    *bandpass = *gain = NULL;
    if (rc == 0) {
        pass_init(&s.by_chan, &s.v, 0, 1);
        pass_init(&s.by_time, &s.v, 1, 0);
        rc = take_turns(&s, e);
    }
    if (rc == 0)
        rc = judge(&s, e);
    for (size_t a = 0; rc == 0 && a < vis->nant; a++) {
        for (size_t p = 0; p < vis->npol; p++)
            normalise_one(s.bp, mean_gain(s.agree ? s.was : s.gain, a, p), s.gain, a,
                          p);
    }
    normal_eq_close(&s.by_chan.b);
    normal_eq_close(&s.by_time.b);
    solver_close(&s.v);
    gains_free(s.was);
    if (rc != 0) {
        gains_free(s.bp);
        gains_free(s.gain);
        return rc;
    }
    *bandpass = s.bp;
    *gain = s.gain;
    return 0;
}
