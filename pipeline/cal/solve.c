/*
 * solve.c: gains, and a bandpass with gains, from passes over the data (passes.h).
 */
#include "pipeline/cal/solve.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/order.h"
#include "pipeline/cal/cover.h"
#include "pipeline/cal/delay.h"
#include "pipeline/cal/gains.h"
#include "pipeline/cal/model.h"
#include "pipeline/cal/passes.h"
#include "pipeline/cal/refant.h"
#include "pipeline/sky/vis.h"

enum { ROUNDS = 3 };

/* A bandpass that only serves the next one. */
#define FIRST_TOLERANCE 1e-3

/* The last corrections to a bandpass and to gains, both found with the others held, may be this
 * large, or this part of their noise: what they leave of each other is then their product, and
 * what uneven weights make of them, a tenth or so. */
#define NEAR       3e-4
#define NEAR_NOISE 0.2

/* And the share of samples that are clipped changes by no more than this, in a turn more. */
#define NEAR_CLIPPED 1e-4

/* A block is at most this part of the channels or integrations, and the gains of one are of no use
 * with less than this share of the signal to noise wanted. */
#define MOST_PART    4
#define LEAST_WANTED 0.5

/* Gaps of so many channels and integrations are interpolated. */
enum { GAP_CHANNELS = 4, GAP_TIMES = 2 };

/* a *= b, solution by solution. */
static void gains_times(struct gains *a, const struct gains *b)
{
    for (size_t i = 0; i < a->ntime * a->nchan * a->nant * a->npol; i++)
        a->g[i] = gain_of(
            crealf(a->g[i]) * crealf(b->g[i]) - cimagf(a->g[i]) * cimagf(b->g[i]),
            crealf(a->g[i]) * cimagf(b->g[i]) + cimagf(a->g[i]) * crealf(b->g[i]));
}

static bool same_shape(const struct gains *a, const struct gains *b)
{
    return a->ntime == b->ntime && a->nchan == b->nchan && a->nant == b->nant &&
           a->npol == b->npol;
}

/* *out = from, or its like full of ones. */
static int copy_of(struct gains **out, const struct gains *like,
                   const struct gains *from, struct err *e)
{
    size_t n = like->ntime * like->nchan * like->nant * like->npol;
    int rc = gains_alloc(out, like->nant, like->ntime, like->nchan, like->npol, e);

    if (rc != 0)
        return rc;
    if (from != NULL && !same_shape(from, like))
        return err_set(e, ERR_SHAPE,
                       "gains of %zu times and %zu channels are no start for those of "
                       "%zu and %zu",
                       from->ntime, from->nchan, like->ntime, like->nchan);
    for (size_t i = 0; i < n; i++)
        (*out)->g[i] = from != NULL ? from->g[i] : 1;
    (*out)->block = from != NULL ? from->block : 0;
    return 0;
}

/* Mean signal to noise of each antenna's solutions, snr [nant], and its samples if wanted. */
static void heard(const struct passes *v, double *snr, double *samples)
{
    for (size_t a = 0; a < v->vis->nant; a++) {
        double sum = 0, n = 0;

        for (size_t i = 0; i < v->nslot; i++) {
            sum += v->slot[i].snr[a];
            n += v->slot[i].solved[a];
            if (samples != NULL)
                samples[a] += v->slot[i].samples[a];
        }
        snr[a] = n > 0 ? sum / n : 0;
    }
}

/* Choose the reference of gains that are solved, those of the two that are not NULL. */
static int refer(struct gains *one, struct gains *two, const struct passes *v,
                 const struct cover *cover, struct err *e)
{
    int refant, rc = refant_choose(&refant, v->vis,
                                   (const struct gains *const[REFANT_TABLES]){one, two},
                                   cover->samples, cover->snr, v->opts.refant, e);

    if (rc == 0 && one != NULL)
        refant_refer(one, refant);
    if (rc == 0 && two != NULL)
        refant_refer(two, refant);
    return rc;
}

/* Signal to noise of the last pass's solutions: two thirds have less, since in half of an array
 * there may be nothing.  0: no solutions; -1: no memory. */
static double typical_snr(const struct pass *p)
{
    const struct gains *g = p->judged;
    size_t all = g->ntime * g->nchan * g->nant * g->npol, n = 0;
    float *some = malloc(all * sizeof *some);
    double snr = 0;

    if (some == NULL)
        return -1;
    for (size_t i = 0; i < all; i++)
        if (g->snr[i] > 0)
            some[n++] = g->snr[i];
    if (n > 0)
        snr = (double)order_kthf(some, n, 2 * n / 3);
    free(some);
    return snr;
}

/* Solve again, by larger and larger blocks, until there is the signal to noise wanted. */
static int grow(struct pass *p, const struct gains *const known[NORMAL_EQ_KNOWN],
                const struct slot_how *how, struct err *e)
{
    double want = p->v->opts.want_snr, snr = typical_snr(p);
    size_t n = p->ntime * p->nchan, most = n / MOST_PART > 1 ? n / MOST_PART : 1;
    int rc = 0;

    while (rc == 0 && snr >= 0 && snr < want && p->blocks.size < most) {
        double now = p->blocks.size > 1 ? (double)p->blocks.size : 1;
        double need = now * fmax(want * want / fmax(snr * snr, 1), 1.5);

        p->blocks.size = need < (double)most ? (size_t)ceil(need) : most;
        rc = pass_again(p, known, how, e);
        snr = typical_snr(p);
    }
    if (rc == 0 && snr < 0)
        return err_set(e, -ENOMEM, "no memory for the signal to noise of %zu gains", n);
    if (rc == 0 && want > 0 && snr < LEAST_WANTED * want)
        return err_set(e, ERR_QUALITY,
                       "the calibrator is too faint: gains of %zu %s at a time have a "
                       "signal to noise of %.2g, and %.3g is wanted",
                       p->blocks.size > 1 ? p->blocks.size : 1,
                       p->nchan > 1 ? "channels" : "integrations", snr, want);
    return rc;
}

/* One pass: total, which is known already if `known`, times what is found, and clipped then. */
static int gains_pass(struct pass *pass, struct gains *total, bool known, bool clip,
                      struct err *e)
{
    const struct gains *held[NORMAL_EQ_KNOWN] = {pass->v->opts.bandpass};
    struct slot_how how = passes_how(pass->v);
    int rc;

    how.from_one = known;
    if (known)
        held[1] = total;
    pass->b.clip_sigma = known && clip ? pass->v->opts.clip_sigma : 0;
    pass->blocks.size = total->block;
    pass->blocks.held = known ? total : NULL;
    rc = pass_run(pass, NULL, held, &how, e);
    if (rc == 0 && !known && (pass->ntime == 1 || pass->nchan == 1))
        rc = grow(pass, held, &how, e);
    if (rc == 0) {
        total->block = pass->blocks.size;
        gains_times(total, pass->judged);
        total->clipped = pass_clipped(pass);
    }
    return rc;
}

int solve_gains(struct gains **out, const struct vis *vis, const struct model *model,
                size_t time_block, size_t chan_block, const struct solve_opts *opts,
                struct err *e)
{
    struct passes v = {0};
    struct pass pass = {0};
    struct cover cover = {0};
    struct gains *total = NULL;
    int rc = passes_init(&v, vis, model, opts, e);
    bool known, clip;

    *out = NULL;
    if (rc == 0)
        rc = cover_init(&cover, vis, v.opts.threads, e);
    if (rc == 0)
        rc = pass_init(&pass, &v, time_block, chan_block, e);
    if (rc == 0)
        rc = copy_of(&total, pass.all, v.opts.gain, e);
    if (rc == 0) {
        cover_axes(&cover, total, vis, pass.b.time_block, pass.b.chan_block);
        known = v.opts.gain != NULL;
        /* samples of other blocks take the nearest one's gains, not always their own */
        clip = (time_block == 1 || pass.ntime == 1) &&
               (chan_block == 1 || pass.nchan == 1) && v.opts.clip_sigma > 0;
        rc = gains_pass(&pass, total, known, clip, e);
        if (rc == 0 && clip && !known)
            rc = gains_pass(&pass, total, true, clip, e);
    }
    if (rc == 0) {
        memcpy(total->snr, pass.judged->snr,
               pass.ntime * pass.nchan * vis->nant * vis->npol * sizeof(float));
        heard(&v, cover.snr, NULL);
        rc = refer(total, NULL, &v, &cover, e);
    }
    if (rc == 0) {
        *out = total;
        total = NULL;
    }
    gains_free(total);
    cover_close(&cover);
    pass_close(&pass);
    passes_close(&v);
    return rc;
}

/* ---- bandpass and gains ---- */

/* Mean over the n solutions of an antenna and polarisation that it has. */
static double complex mean_gain(const struct gains *g, size_t a, size_t p, size_t *n)
{
    double complex sum = 0;

    *n = 0;
    for (size_t i = 0; i < g->ntime * g->nchan; i++) {
        float complex z = g->g[(i * g->nant + a) * g->npol + p];

        sum += (double complex)z;
        *n += z != 0;
    }
    return *n > 0 ? sum / (double)*n : 0;
}

/* Mean amplitude with the phase of the mean; 0 without any. */
static double complex typical_gain(const struct gains *g, size_t a, size_t p)
{
    double amp = 0;
    size_t n;
    double complex mean = mean_gain(g, a, p, &n);

    for (size_t i = 0; i < g->ntime * g->nchan; i++)
        amp += (double)cabsf(g->g[(i * g->nant + a) * g->npol + p]);
    return n > 0 && cabs(mean) > 0 ? mean / cabs(mean) * amp / (double)n : 0;
}

/* Rms of solutions around the mean of their antenna, relative to that. */
static double spread(const struct gains *g)
{
    double sum = 0, count = 0;

    for (size_t a = 0; a < g->nant; a++) {
        for (size_t p = 0; p < g->npol; p++) {
            size_t n;
            double complex mean = mean_gain(g, a, p, &n);

            for (size_t i = 0; n > 0 && i < g->ntime * g->nchan; i++) {
                float complex z = g->g[(i * g->nant + a) * g->npol + p];
                double off = cabs((double complex)z / mean - 1);

                sum += z != 0 ? off * off : 0;
            }
            count += (double)n;
        }
    }
    return count > 0 ? sqrt(sum / count) : 0;
}

/* Whether the corrections of a pass are small. */
static bool is_near(const struct pass *p)
{
    size_t n = p->ntime * p->nchan * p->v->vis->npol, used = 0;
    double noise2 = 0;

    for (size_t i = 0; i < n; i++) {
        noise2 += (double)p->noise2[i];
        used += p->noise2[i] > 0;
    }
    noise2 = used > 0 ? noise2 / (double)used : 0;
    return spread(p->all) <= fmax(NEAR, NEAR_NOISE * sqrt(noise2));
}

/* What solve_bandpass works on. */
struct turns {
    struct passes v;
    struct pass by_chan, by_time;
    struct gains *bp, *gain,
        *shape; /* shape: what the bandpass looks like within a block */
};

/* A factor that an antenna has at all times belongs into its bandpass; one that has no gain any
 * more has no bandpass.  share: its bandpass does not have the factor yet. */
static void normalise(struct gains *bp, struct gains *gain, bool share)
{
    for (size_t a = 0; a < gain->nant; a++) {
        for (size_t p = 0; p < gain->npol; p++) {
            double complex own = typical_gain(gain, a, p);
            float complex with = own == 0 ? 0 : share ? (float complex)own : 1;
            float complex inverse = own != 0 ? (float complex)(1 / own) : 0;

            for (size_t c = 0; c < bp->nchan; c++)
                bp->g[(c * bp->nant + a) * bp->npol + p] *= with;
            for (size_t t = 0; t < gain->ntime; t++)
                gain->g[(t * gain->nant + a) * gain->npol + p] *= inverse;
        }
    }
}

/* Blocks of channels need to know how the phases turn within one: by delays, as far as a
 * bandpass by channels shows them. */
static int find_shape(struct turns *s, const struct gains *bp, struct err *e)
{
    const struct vis *vis = s->v.vis;
    double *delay_s = calloc(vis->nant * vis->npol, sizeof *delay_s);
    int rc =
        delay_s != NULL
            ? 0
            : err_set(e, -ENOMEM, "no memory for delays of %zu antennas", vis->nant);

    gains_free(s->shape);
    s->shape = NULL;
    if (rc == 0)
        delay_fit(delay_s, bp);
    if (rc == 0)
        rc = delay_gains(&s->shape, delay_s, bp, e);
    s->by_chan.blocks.shape = s->shape;
    free(delay_s);
    return rc;
}

/* The first bandpass in larger blocks, if it has to be. */
static int grow_bandpass(struct turns *s, const struct slot_how *how, struct err *e)
{
    const struct gains *known[NORMAL_EQ_KNOWN] = {NULL};
    const struct vis *vis = s->v.vis;
    struct cover cover = {0};
    struct gains *bp = s->by_chan.all;
    int rc = cover_alloc(&cover, vis, e);

    memcpy(bp->freq_hz, vis->freq_hz, vis->nchan * sizeof *vis->freq_hz);
    if (rc == 0)
        heard(&s->v, cover.snr, cover.samples);
    if (rc == 0)
        rc = refer(bp, NULL, &s->v, &cover, e);
    if (rc == 0)
        rc = find_shape(s, bp, e);
    if (rc == 0)
        rc = grow(&s->by_chan, known, how, e);
    cover_close(&cover);
    return rc;
}

/* The bandpass goes first: uncorrected delays cancel a sum over the band, while over a few
 * minutes a fringe-stopped array keeps its phase.  Nobody is judged yet. */
static int first_turns(struct turns *s, struct err *e)
{
    const struct gains *known[NORMAL_EQ_KNOWN] = {NULL};
    struct slot_how how = passes_how(&s->v);
    int rc;

    how.min_snr = -1;
    how.tolerance = fmax(FIRST_TOLERANCE, how.tolerance);
    rc = pass_run(&s->by_chan, NULL, known, &how, e);
    if (rc == 0)
        rc = grow_bandpass(s, &how, e);
    if (rc != 0)
        return rc;
    gains_times(s->bp, s->by_chan.all);
    known[0] = s->bp;
    how.tolerance = s->v.opts.tolerance;
    rc = pass_run(&s->by_time, NULL, known, &how, e);
    if (rc == 0)
        rc = grow(&s->by_time, known, &how, e);
    if (rc == 0)
        gains_times(s->gain, s->by_time.all);
    return rc;
}

/* Corrections to both from one pass, until they are small: then some are thrown out. */
static int both_turns(struct turns *s, struct err *e)
{
    struct slot_how how = passes_how(&s->v);
    bool near = false;
    double clipped = 0;
    int rc = 0, most = s->v.opts.turns > 0 ? s->v.opts.turns : ROUNDS;

    how.from_one = true;
    s->by_chan.blocks.held = s->bp;
    s->by_time.blocks.held = s->gain;
    s->by_chan.b.clip_sigma = fmax(s->v.opts.clip_sigma, 0);
    for (int round = 1; rc == 0 && !near; round++) {
        const struct gains *known[NORMAL_EQ_KNOWN] = {s->bp, s->gain};

        rc = pass_run(&s->by_chan, &s->by_time, known, &how, e);
        if (rc != 0)
            return rc;
        near = round == most ||
               (is_near(&s->by_chan) && is_near(&s->by_time) &&
                fabs(pass_clipped(&s->by_chan) - clipped) <= NEAR_CLIPPED);
        clipped = pass_clipped(&s->by_chan);
        gains_times(s->bp, near ? s->by_chan.judged : s->by_chan.all);
        /* the corrections have a factor in common: both saw it */
        normalise(s->bp, near ? s->by_time.judged : s->by_time.all, false);
        gains_times(s->gain, near ? s->by_time.judged : s->by_time.all);
    }
    return rc;
}

/* Times and frequencies, and who is the reference, from the sums of the last pass. */
static int describe(struct turns *s, struct err *e)
{
    const struct vis *vis = s->v.vis;
    struct cover cover = {0};
    int rc = cover_alloc(&cover, vis, e);

    for (size_t i = 0; rc == 0 && i < vis->ntime * vis->npol; i++)
        cover.time_w[i / vis->npol] += (double)s->by_time.weight[i];
    for (size_t i = 0; rc == 0 && i < vis->nchan * vis->npol; i++)
        cover.chan_w[i / vis->npol] += (double)s->by_chan.weight[i];
    if (rc == 0) {
        heard(&s->v, cover.snr, cover.samples);
        cover_axes(&cover, s->bp, vis, vis->ntime, 1);
        cover_axes(&cover, s->gain, vis, 1, vis->nchan);
        rc = refer(s->bp, s->gain, &s->v, &cover, e);
    }
    cover_close(&cover);
    return rc;
}

/* How good they are, and what stands in for solutions that are missing. */
static void finish(struct turns *s)
{
    size_t n = s->v.vis->nant * s->v.vis->npol;

    memcpy(s->bp->snr, s->by_chan.judged->snr, s->bp->nchan * n * sizeof(float));
    memcpy(s->gain->snr, s->by_time.judged->snr, s->gain->ntime * n * sizeof(float));
    s->bp->block = s->by_chan.blocks.size;
    s->gain->block = s->by_time.blocks.size;
    s->bp->clipped = s->gain->clipped = pass_clipped(&s->by_chan);
    blocks_fill(s->bp, GAP_CHANNELS);
    blocks_fill(s->gain, GAP_TIMES);
    normalise(s->bp, s->gain, true);
}

static int turns_init(struct turns *s, const struct vis *vis, const struct model *model,
                      const struct solve_opts *opts, struct err *e)
{
    int rc = passes_init(&s->v, vis, model, opts, e);

    if (rc == 0)
        rc = pass_init(&s->by_chan, &s->v, 0, 1, e);
    if (rc == 0)
        rc = pass_init(&s->by_time, &s->v, 1, 0, e);
    if (rc == 0)
        rc = copy_of(&s->bp, s->by_chan.all, s->v.opts.bandpass, e);
    if (rc == 0)
        rc = copy_of(&s->gain, s->by_time.all, s->v.opts.gain, e);
    if (rc == 0) {
        s->bp->time_jd[0] = vis->time_jd[0];
        memcpy(s->bp->freq_hz, vis->freq_hz, vis->nchan * sizeof *vis->freq_hz);
        memcpy(s->gain->time_jd, vis->time_jd, vis->ntime * sizeof *vis->time_jd);
        s->by_chan.blocks.size = s->bp->block;
        s->by_time.blocks.size = s->gain->block;
    }
    if (rc == 0 && s->bp->block > 1)
        rc = find_shape(s, s->bp, e);
    return rc;
}

int solve_bandpass(struct gains **bandpass, struct gains **gain, const struct vis *vis,
                   const struct model *model, const struct solve_opts *opts,
                   struct err *e)
{
    struct turns s = {0};
    int rc = turns_init(&s, vis, model, opts, e);

    *bandpass = *gain = NULL;
    if (rc == 0 && s.v.opts.bandpass == NULL)
        rc = first_turns(&s, e);
    if (rc == 0)
        rc = both_turns(&s, e);
    if (rc == 0)
        rc = describe(&s, e);
    if (rc == 0) {
        finish(&s);
        *bandpass = s.bp;
        *gain = s.gain;
        s.bp = s.gain = NULL;
    }
    pass_close(&s.by_chan);
    pass_close(&s.by_time);
    passes_close(&s.v);
    gains_free(s.bp);
    gains_free(s.gain);
    gains_free(s.shape);
    return rc;
}
