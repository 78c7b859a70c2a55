#include "pipeline/cal/slot.h"

#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "pipeline/cal/gains.h"
#include "pipeline/cal/rows.h"

/* Without noise it has no end, and one solution without would hide all others. */
#define MOST_SNR 1e6

int slot_init(struct slot *w, size_t nant, bool phase_only, struct err *e)
{
    w->nant = nant;
    w->s.phase_only = phase_only;
    w->at = calloc(nant * nant, sizeof *w->at);
    w->more = w->at + nant * nant / 2;
    w->in = calloc(2 * nant, sizeof *w->in);
    w->degree = calloc(nant, sizeof *w->degree);
    w->last = calloc(2 * nant, sizeof *w->last);
    w->samples = calloc(3 * nant, sizeof *w->samples);
    w->snr = w->samples + nant;
    w->solved = w->samples + 2 * nant;
    if (w->at == NULL || w->in == NULL || w->degree == NULL || w->last == NULL ||
        w->samples == NULL)
        return err_set(e, -ENOMEM, "no memory to solve for %zu antennas", nant);
    return stefcal_init(&w->s, nant, e);
}

void slot_close(struct slot *w)
{
    stefcal_close(&w->s);
    free(w->at);
    free(w->in);
    free(w->degree);
    free(w->last);
    free(w->samples);
}

/* Baselines with data among the antennas that take part, for each of them. */
static void count_degrees(struct slot *w)
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
static size_t flood(struct slot *w, size_t seed)
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
static void keep_largest_part(struct slot *w)
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
static void choose_antennas(struct slot *w, size_t min_baselines)
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
static void system_fill(struct slot *w)
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
 * Signal to noise of each gain: its amplitude over the error of either part.  The noise is what
 * the solution leaves: weighted power of the residual per sample, so weights need only be right
 * relative to each other.
 * A solution with no more samples than gains has no residual and passes.
 */
static void system_snr(struct slot *w)
{
    struct stefcal *s = &w->s;
    double rest = 0, samples = 0;

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
    /* of either part: half of both */
    w->noise2 =
        samples > (double)s->n ? 0.5 * fmax(rest, 0) / (samples - (double)s->n) : 0;
    stefcal_sums(s);
    for (size_t i = 0; i < s->n; i++) {
        double g2 = s->gr[i] * s->gr[i] + s->gi[i] * s->gi[i];

        s->snr[i] = w->noise2 > 0 ? sqrt(g2 * s->sd[i] / w->noise2) : INFINITY;
    }
}

/* Gains into out [nant] with stride npol, phase 0 at the reference (or, when that has no
 * solution here, at the first antenna that has: a common phase drops out of every baseline). */
static size_t system_store(const struct stefcal *s, float complex *out, float *snr,
                           size_t npol, int refant, double min_snr)
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

        if (!(a > 0 && isfinite(a) && (min_snr < 0 || s->snr[i] >= min_snr)))
            continue;
        out[s->ant[i] * npol] = gain_of((float)re, (float)im);
        if (snr != NULL)
            snr[s->ant[i] * npol] = (float)fmin(s->snr[i], MOST_SNR);
    }
    return count;
}

/* From what the sums say, from gains of 1, or from those of the last time. */
enum from { FROM_SUMS, FROM_ONE, FROM_LAST };

static void start(struct slot *w, enum from from)
{
    struct stefcal *s = &w->s;

    if (from == FROM_SUMS) {
        stefcal_start(s);
        return;
    }
    for (size_t i = 0; i < s->n; i++) {
        const double *last = w->last + 2 * s->ant[i];

        s->gr[i] = from == FROM_LAST ? last[0] : 1;
        s->gi[i] = from == FROM_LAST ? last[1] : 0;
    }
}

/* How much data there is, by antenna and in all. */
static double count_data(struct slot *w)
{
    const struct normal_eq *at = w->at;
    double weight = 0;

    for (size_t i = 0; i < w->nant; i++) {
        for (size_t j = i + 1; j < w->nant; j++, at++) {
            w->samples[i] += (double)at->n;
            w->samples[j] += (double)at->n;
            weight += (double)at->den;
        }
    }
    return weight;
}

/* Mean square of the relative errors. */
static double noise2(const struct stefcal *s)
{
    double sum = 0;

    for (size_t i = 0; i < s->n; i++)
        sum += 2 / fmax(s->snr[i] * s->snr[i], 2);
    return sum / (double)s->n;
}

/* Solve for the antennas that take part. */
static bool solve_system(struct slot *w, const struct slot_how *how, enum from from)
{
    struct stefcal *s = &w->s;

    choose_antennas(w, how->min_baselines);
    system_fill(w);
    start(w, from);
    if (s->n < 2 || !stefcal_solve(s, how->max_iter, how->tolerance))
        return false;
    system_snr(w);
    for (size_t i = 0; i < s->n; i++) {
        w->last[2 * s->ant[i]] = s->gr[i];
        w->last[2 * s->ant[i] + 1] = s->gi[i];
    }
    return true;
}

/* Of the antennas that have a gain. */
static void count_snr(struct slot *w)
{
    const struct stefcal *s = &w->s;

    for (size_t i = 0; i < s->n; i++) {
        w->snr[s->ant[i]] += fmin(s->snr[i], MOST_SNR);
        w->solved[s->ant[i]]++;
    }
}

/* Take out the antenna that drowns most, of many such an eighth.  False: there is none. */
static bool take_out_worst(struct slot *w, double min_snr)
{
    const struct stefcal *s = &w->s;
    size_t bad = 0;

    for (size_t i = 0; i < s->n; i++)
        bad += s->snr[i] < min_snr;
    for (size_t out = 0; bad > 0 && out < 1 + bad / 8; out++) {
        size_t worst = s->n;

        for (size_t i = 0; i < s->n; i++)
            if (w->in[s->ant[i]] && (worst == s->n || s->snr[i] < s->snr[worst]))
                worst = i;
        if (worst < s->n)
            w->in[s->ant[worst]] = 0;
    }
    return bad > 0;
}

/* Gain of an antenna that took no part against those of the others that did; its signal to
 * noise. */
static double against_others(struct slot *w, size_t ant, double g[2])
{
    const struct stefcal *s = &w->s;
    double re = 0, im = 0, den = 0;

    for (size_t j = 0; j < s->n; j++) {
        size_t b = s->ant[j];
        const struct normal_eq *m =
            w->at + rows_baseline(w->nant, ant < b ? ant : b, ant < b ? b : ant);
        double mi = ant < b ? (double)m->im : -(double)m->im;

        re += (double)m->re * s->gr[j] - mi * s->gi[j];
        im += (double)m->re * s->gi[j] + mi * s->gr[j];
        den += (double)m->den * (s->gr[j] * s->gr[j] + s->gi[j] * s->gi[j]);
    }
    g[0] = den > 0 ? re / den : 0;
    g[1] = den > 0 ? im / den : 0;
    return den > 0 && w->noise2 > 0
               ? sqrt((g[0] * g[0] + g[1] * g[1]) * den / w->noise2)
               : 0;
}

/* Antennas that were taken out and are heard by those that stayed.  False: there is none. */
static bool bring_back(struct slot *w, double min_snr)
{
    bool any = false;

    for (size_t a = 0; a < w->nant; a++) {
        if (w->in[a] || against_others(w, a, w->last + 2 * a) < min_snr)
            continue;
        w->in[a] = 1;
        any = true;
    }
    return any;
}

/* Until all that take part pass; then those that are out have another chance. */
static bool solve_judged(struct slot *w, const struct slot_how *how)
{
    bool out = false;

    while (take_out_worst(w, how->min_snr)) {
        out = true;
        if (!solve_system(w, how, FROM_LAST))
            return false;
    }
    return !out || !bring_back(w, how->min_snr) || solve_system(w, how, FROM_LAST);
}

size_t slot_solve(struct slot *w, const struct slot_how *how,
                  const struct slot_out *out)
{
    const struct stefcal *s = &w->s;
    double weight = count_data(w);
    size_t n = 0;

    if (out->weight != NULL)
        *out->weight = (float)weight;
    memset(w->in, 1, w->nant);
    if (!solve_system(w, how, how->from_one ? FROM_ONE : FROM_SUMS))
        return 0;
    if (out->noise2 != NULL)
        *out->noise2 = (float)noise2(s);
    if (out->all != NULL)
        n = system_store(s, out->all, out->snr, out->npol, how->refant, -1);
    if (out->judged == NULL)
        return n;
    if (how->min_snr > 0 && !solve_judged(w, how))
        return 0;
    count_snr(w);
    return system_store(s, out->judged, out->snr, out->npol, how->refant, how->min_snr);
}
