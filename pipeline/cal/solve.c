/*
 * solve.c: antenna gains by least squares: which data go into a solution, and which
 * antennas; the iteration itself is stefcal.c's.
 *
 * All that a solution needs to know of its data is a few sums per baseline: with
 * V = g1 conj(g2) M the least-squares problem depends only on sum w V conj(M) and
 * sum w |M|^2.  So the visibilities are read once for each solution, and the iterations run on
 * [nant][nant] matrices whatever the number of integrations and channels.
 */
#include "pipeline/cal/solve.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "pipeline/cal/gains.h"
#include "pipeline/cal/normal_eq.h"
#include "pipeline/cal/stefcal.h"
#include "pipeline/sky/astro.h"
#include "pipeline/sky/vis.h"

enum { ROUNDS = 3, MAX_ITER = 100, MIN_BASELINES = 3 };
#define TOLERANCE 1e-6
#define MIN_SNR   3.0

/* An antenna counts as well covered if it has this share of the best antenna's samples. */
#define WELL_COVERED 0.95

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

/* ---- reference antenna ---- */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* The median position of antennas with data: outriggers do not pull it. */
static void array_centre(const struct vis *vis, const double *samples, double *work,
                         double centre[3])
{
    for (int k = 0; k < 3; k++) {
        size_t n = 0;

        for (size_t a = 0; a < vis->nant; a++) {
            if (samples[a] > 0)
                work[n++] = vis->ant_pos_m[a][k];
        }
        qsort(work, n, sizeof *work, by_value);
        centre[k] = n > 0 ? work[n / 2] : 0;
    }
}

static void count_samples(const struct vis *vis, double *samples)
{
    for (size_t row = 0; row < vis->nrow; row++) {
        const float *w = vis->weight + row * vis->nchan * vis->npol;
        size_t n = 0;

        for (size_t k = 0; k < vis->nchan * vis->npol; k++)
            n += w[k] > 0;
        samples[vis->row_ant1[row]] += (double)n;
        samples[vis->row_ant2[row]] += (double)n;
    }
}

/* The well covered antenna nearest to the centre; -1 when there is no data at all. */
static int choose_refant(const struct vis *vis, double *samples, double *work)
{
    double centre[3], most = 0, least_m = INFINITY;
    int best = -1;

    count_samples(vis, samples);
    array_centre(vis, samples, work, centre);
    for (size_t a = 0; a < vis->nant; a++)
        most = fmax(most, samples[a]);
    for (size_t a = 0; a < vis->nant; a++) {
        const double *p = vis->ant_pos_m[a];
        double d_m = hypot(hypot(p[0] - centre[0], p[1] - centre[1]), p[2] - centre[2]);

        if (most > 0 && samples[a] >= WELL_COVERED * most && d_m < least_m) {
            least_m = d_m;
            best = (int)a;
        }
    }
    return best;
}

static int find_refant(int *refant, const struct vis *vis, int wanted, struct err *e)
{
    double *work = calloc(2 * vis->nant, sizeof *work);

    if (work == NULL)
        return err_set(e, -ENOMEM, "no memory to choose a reference antenna");
    *refant = wanted >= 0 ? wanted : choose_refant(vis, work, work + vis->nant);
    free(work);
    if (wanted >= 0 && (size_t)wanted >= vis->nant)
        return err_set(e, -EINVAL, "reference antenna index %d is not below %zu",
                       wanted, vis->nant);
    if (*refant < 0)
        return err_set(e, ERR_QUALITY, "no gains: every sample is flagged");
    return 0;
}

/* ---- one solution ---- */

/* Baselines of antenna a to others of `in` that have data. */
static size_t degree(const struct normal_eq_batch *b, size_t nant, size_t slot,
                     const unsigned char *in, size_t a)
{
    size_t n = 0;

    for (size_t k = 0; k < nant; k++) {
        size_t i = k < a ? k : a, j = k < a ? a : k;

        if (k != a && in[k] &&
            b->sum[slot * b->nbl + normal_eq_baseline(nant, i, j)].den > 0)
            n++;
    }
    return n;
}

/* Keep, of the antennas in `in`, those joined to antenna `seed`; mark[] becomes 1 for them. */
static size_t flood(const struct normal_eq_batch *b, size_t nant, size_t slot,
                    const unsigned char *in, size_t seed, unsigned char *mark)
{
    size_t count = 1, last = 0;

    memset(mark, 0, nant);
    mark[seed] = 1;
    while (count != last) {
        last = count;
        for (size_t i = 0; i < nant; i++) {
            for (size_t j = i + 1; j < nant; j++) {
                if (in[i] && in[j] && mark[i] != mark[j] &&
                    b->sum[slot * b->nbl + normal_eq_baseline(nant, i, j)].den > 0) {
                    mark[i] = mark[j] = 1;
                    count++;
                }
            }
        }
    }
    return count;
}

/* Antennas that take part: enough baselines among themselves, and all joined to each other (the
 * phase between two separate parts is unknown, so the smaller one gets no solution). */
static void choose_antennas(const struct normal_eq_batch *b, size_t nant, size_t slot,
                            size_t min_baselines, unsigned char *in,
                            unsigned char *mark)
{
    size_t most = 0, seed = 0;
    bool again = true;

    while (again) {
        again = false;
        for (size_t a = 0; a < nant; a++) {
            if (in[a] && degree(b, nant, slot, in, a) < min_baselines) {
                in[a] = 0;
                again = true;
            }
        }
    }
    for (size_t a = 0; a < nant && 2 * most < nant; a++) {
        size_t n = in[a] ? flood(b, nant, slot, in, a, mark) : 0;

        if (n > most) {
            most = n;
            seed = a;
        }
    }
    if (most > 0) {
        flood(b, nant, slot, in, seed, mark);
        memcpy(in, mark, nant);
    }
}

/* Both triangles of the matrices for the antennas in `in`. */
static void system_fill(struct stefcal *s, const struct normal_eq_batch *b, size_t nant,
                        size_t slot, const unsigned char *in)
{
    s->n = 0;
    for (size_t a = 0; a < nant; a++) {
        if (in[a])
            s->ant[s->n++] = a;
    }
    for (size_t j = 0; j < s->n; j++) {
        s->re[j * s->n + j] = s->im[j * s->n + j] = s->den[j * s->n + j] = 0;
        for (size_t i = 0; i < j; i++) {
            const struct normal_eq *m =
                b->sum + slot * b->nbl + normal_eq_baseline(nant, s->ant[i], s->ant[j]);

            s->re[j * s->n + i] = s->re[i * s->n + j] = m->re;
            s->im[j * s->n + i] = m->im;  /* V of (i, j) adds g_j to g_i ... */
            s->im[i * s->n + j] = -m->im; /* ... and its conjugate g_i to g_j */
            s->den[j * s->n + i] = s->den[i * s->n + j] = m->den;
        }
    }
}

/*
 * Signal to noise of each gain.  The noise is what the solution leaves: weighted power of the
 * residual per sample, so weights need only be right relative to each other.
 * A solution with no more samples than gains has no residual and passes.
 */
static void system_snr(struct stefcal *s, const struct normal_eq_batch *b, size_t nant,
                       size_t slot)
{
    double rest = 0, samples = 0, noise2;

    for (size_t j = 0; j < s->n; j++) {
        for (size_t i = 0; i < j; i++) {
            const struct normal_eq *m =
                b->sum + slot * b->nbl + normal_eq_baseline(nant, s->ant[i], s->ant[j]);
            double fr = s->gr[i] * s->gr[j] + s->gi[i] * s->gi[j];
            double fi = s->gi[i] * s->gr[j] - s->gr[i] * s->gi[j];

            rest +=
                m->power - 2 * (fr * m->re + fi * m->im) + (fr * fr + fi * fi) * m->den;
            samples += m->n;
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
        bool good = a > 0 && isfinite(a) && s->snr[i] >= min_snr;

        if (good && (count == 0 || s->ant[i] == (size_t)refant)) {
            rr = s->gr[i] / a;
            ri = s->gi[i] / a;
        }
        count += good;
    }
    for (size_t i = 0; i < s->n; i++) {
        double re = s->gr[i] * rr + s->gi[i] * ri, im = s->gi[i] * rr - s->gr[i] * ri;
        double a = hypot(re, im);

        if (a > 0 && isfinite(a) && s->snr[i] >= min_snr)
            out[s->ant[i] * npol] = gain_of((float)re, (float)im);
    }
    return count;
}

/* What the solutions of one pass over the data share. */
struct pass {
    const struct vis *vis;
    const struct solve_opts *opts; /* complete: no field asks for a default */
    struct normal_eq_batch b;
    struct stefcal s;
    unsigned char *in; /* [2][nant] scratch: antennas that take part, marks */
};

/*
 * solve_slot: one solution from the sums of one slot.  An antenna whose gain drowns in its
 * noise is taken out and the rest solved again, since it only adds noise to the others.
 * Returns the antennas solved for; their gains in out [nant][npol], one polarisation of it.
 */
static size_t solve_slot(struct pass *pass, size_t slot, float complex *out)
{
    struct stefcal *s = &pass->s;
    const struct normal_eq_batch *b = &pass->b;
    const struct solve_opts *o = pass->opts;
    size_t nant = pass->vis->nant;
    unsigned char *in = pass->in;
    bool again = true;

    memset(in, 1, nant);
    while (again) {
        again = false;
        choose_antennas(b, nant, slot, o->min_baselines, in, in + nant);
        system_fill(s, b, nant, slot, in);
        if (s->n < 2 || !stefcal_solve(s, o->max_iter, o->tolerance))
            return 0;
        system_snr(s, b, nant, slot);
        for (size_t i = 0; i < s->n; i++) {
            if (s->snr[i] < o->min_snr) {
                in[s->ant[i]] = 0;
                again = true;
            }
        }
    }
    return system_store(s, out, pass->vis->npol, o->refant, o->min_snr);
}

/* ---- all solutions ---- */

/* mean[k] = weighted mean of x in block k; the plain mean where all weights are 0. */
static void block_means(double *mean, const double *x, const double *w, size_t n,
                        size_t step)
{
    for (size_t i0 = 0; i0 < n; i0 += step) {
        double sum = 0, sum_w = 0, plain = 0;
        size_t i1 = i0 + step < n ? i0 + step : n;

        for (size_t i = i0; i < i1; i++) {
            sum += w[i] * (x[i] - x[i0]);
            sum_w += w[i];
            plain += (x[i] - x[i0]) / (double)(i1 - i0);
        }
        mean[i0 / step] = x[i0] + (sum_w > 0 ? sum / sum_w : plain);
    }
}

/* Times and frequencies of the blocks of gains. */
static int fill_axes(struct gains *g, const struct vis *vis, size_t time_block,
                     size_t chan_block, struct err *e)
{
    double *wt = calloc(vis->ntime, sizeof *wt), *wc = calloc(vis->nchan, sizeof *wc);
    int rc = 0;

    if (wt == NULL || wc == NULL) {
        rc = err_set(e, -ENOMEM, "no memory for the weights of %zu channels",
                     vis->nchan);
        goto out;
    }
    for (size_t row = 0; row < vis->nrow; row++) {
        const float *w = vis->weight + row * vis->nchan * vis->npol;
        double sum = 0;

        for (size_t c = 0; c < vis->nchan; c++) {
            double here = 0;

            for (size_t p = 0; p < vis->npol; p++)
                here += w[c * vis->npol + p];
            wc[c] += here;
            sum += here;
        }
        wt[vis->row_time[row]] += sum;
    }
    block_means(g->time_jd, vis->time_jd, wt, vis->ntime, time_block);
    block_means(g->freq_hz, vis->freq_hz, wc, vis->nchan, chan_block);
out:
    free(wt);
    free(wc);
    return rc;
}

/* The slots of a filled batch, into the right places of out. */
static size_t solve_batch(struct pass *pass, struct gains *out, size_t tblock)
{
    const struct normal_eq_batch *b = &pass->b;
    const struct vis *vis = pass->vis;
    size_t blocks = (b->c1 - b->c0 + b->chan_block - 1) / b->chan_block, solved = 0;

    for (size_t k = 0; k < blocks; k++) {
        size_t block = b->c0 / b->chan_block + k;
        float complex *g =
            out->g + (tblock * out->nchan + block) * out->nant * out->npol;

        for (size_t p = 0; p < vis->npol; p++) {
            if (gains_parallel(vis->pol[p]))
                solved += solve_slot(pass, k * vis->npol + p, g + p);
        }
    }
    return solved;
}

/* One pass: gains by blocks, with others (`held`, or NULL) kept fixed.  o is complete. */
static int solve_pass(struct gains **result, const struct vis *vis,
                      const float complex *model, const struct gains *held,
                      size_t time_block, size_t chan_block, const struct solve_opts *o,
                      struct err *e)
{
    size_t tb = time_block > 0 ? time_block : vis->ntime;
    size_t cb = chan_block > 0 ? chan_block : vis->nchan, solved = 0, step;
    struct gains *out = NULL;
    struct gains_lookup lk = {0};
    struct pass pass = {.vis = vis, .opts = o, .in = calloc(2 * vis->nant, 1)};
    struct normal_eq_batch *b = &pass.b;
    int rc;

    *result = NULL;
    rc = pass.in != NULL ? 0
                         : err_set(e, -ENOMEM, "no memory for %zu antennas", vis->nant);
    if (rc == 0)
        rc = gains_alloc(&out, vis->nant, (vis->ntime + tb - 1) / tb,
                         (vis->nchan + cb - 1) / cb, vis->npol, e);
    if (rc == 0)
        rc = fill_axes(out, vis, tb, cb, e);
    if (rc == 0 && held != NULL)
        rc = gains_lookup_init(&lk, vis, held, e);
    if (rc == 0)
        rc = normal_eq_init(b, vis, cb, e);
    if (rc == 0)
        rc = stefcal_init(&pass.s, vis->nant, e);
    if (rc != 0)
        goto out;
    out->refant = o->refant;
    step = b->nslot / vis->npol * cb;
    for (b->t0 = 0; b->t0 < vis->ntime; b->t0 += tb) {
        b->t1 = b->t0 + tb < vis->ntime ? b->t0 + tb : vis->ntime;
        for (b->c0 = 0; b->c0 < vis->nchan; b->c0 += step) {
            b->c1 = b->c0 + step < vis->nchan ? b->c0 + step : vis->nchan;
            normal_eq_fill(b, vis, model, held != NULL ? &lk : NULL, o->min_uv_lambda);
            solved += solve_batch(&pass, out, b->t0 / tb);
        }
    }
    if (solved == 0)
        rc = err_set(e, ERR_QUALITY,
                     "no antenna has a gain: too few unflagged baselines or no signal");
out:
    stefcal_close(&pass.s);
    normal_eq_close(b);
    gains_lookup_close(&lk);
    free(pass.in);
    if (rc == 0)
        *result = out;
    else
        gains_free(out);
    return rc;
}

int solve_gains(struct gains **out, const struct vis *vis, const float complex *model,
                size_t time_block, size_t chan_block, const struct solve_opts *opts,
                struct err *e)
{
    struct solve_opts o = with_defaults(opts);
    int rc;

    *out = NULL;
    rc = find_refant(&o.refant, vis, o.refant, e);
    if (rc != 0)
        return rc;
    return solve_pass(out, vis, model, NULL, time_block, chan_block, &o, e);
}

/* Move scale and phase of one antenna's gains over time into its bandpass. */
static void normalise_one(struct gains *bp, struct gains *gain, size_t a, size_t p)
{
    double amp = 0, re = 0, im = 0, n = 0, size;
    float complex unit;

    for (size_t t = 0; t < gain->ntime; t++) {
        float complex g = gain->g[(t * gain->nant + a) * gain->npol + p];

        amp += cabsf(g);
        re += crealf(g);
        im += cimagf(g);
        n += g != 0;
    }
    size = hypot(re, im);
    if (n == 0 || size <= 0)
        return;
    amp /= n;
    unit = gain_of((float)(re / size * amp), (float)(im / size * amp));
    for (size_t t = 0; t < gain->ntime; t++)
        gain->g[(t * gain->nant + a) * gain->npol + p] /= unit;
    for (size_t c = 0; c < bp->nchan; c++)
        bp->g[(c * bp->nant + a) * bp->npol + p] *= unit;
}

int solve_bandpass(struct gains **bandpass, struct gains **gain, const struct vis *vis,
                   const float complex *model, const struct solve_opts *opts,
                   struct err *e)
{
    struct solve_opts last = with_defaults(opts), o;
    struct gains *bp = NULL, *g = NULL;
    int rc;

    *bandpass = *gain = NULL;
    rc = find_refant(&last.refant, vis, last.refant, e);
    o = last;
    o.min_snr = -1; /* nobody is judged before the last round */
    /* The bandpass goes first: uncorrected delays cancel a sum over the band, while over a few
     * minutes a fringe-stopped array keeps its phase. */
    if (rc == 0)
        rc = solve_pass(&bp, vis, model, NULL, 0, 1, &o, e);
    for (int round = 1; rc == 0 && round <= ROUNDS; round++) {
        const struct solve_opts *now = round < ROUNDS ? &o : &last;

        gains_free(g);
        rc = solve_pass(&g, vis, model, bp, 1, 0, now, e);
        if (rc != 0)
            break;
        gains_free(bp);
        rc = solve_pass(&bp, vis, model, g, 0, 1, now, e);
    }
    if (rc != 0) {
        gains_free(bp);
        gains_free(g);
        return rc;
    }
    for (size_t a = 0; a < vis->nant; a++) {
        for (size_t p = 0; p < vis->npol; p++)
            normalise_one(bp, g, a, p);
    }
    *bandpass = bp;
    *gain = g;
    return 0;
}

double solve_phase_rms_deg(const struct vis *vis, const float complex *model)
{
    double sum = 0, sum_w = 0;

    for (size_t k = 0; k < vis->nrow * vis->nchan; k++) {
        double mr = crealf(model[k]), mi = cimagf(model[k]);

        for (size_t p = 0; p < vis->npol; p++) {
            double w = vis->weight[k * vis->npol + p], phase;
            double vr = crealf(vis->data[k * vis->npol + p]);
            double vi = cimagf(vis->data[k * vis->npol + p]);

            if (!(w > 0) || !gains_parallel(vis->pol[p]))
                continue;
            phase = atan2(vi * mr - vr * mi, vr * mr + vi * mi);
            sum += w * phase * phase;
            sum_w += w;
        }
    }
    return sum_w > 0 ? sqrt(sum / sum_w) / ASTRO_DEG : 0;
}
