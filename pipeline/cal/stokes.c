/*
 * stokes.c: see stokes.h.  Gains are turned into 1 / g, along the channels of each antenna for
 * those that change with frequency, and one number for each integration for the others.
 */
#include "pipeline/cal/stokes.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/order.h"
#include "pipeline/cal/gains.h"
#include "pipeline/cal/lines.h"
#include "pipeline/cal/receivers.h"
#include "pipeline/sky/vis.h"

/* What a receiver is taken to have at most and at least, of the middle one: products of four
 * sizes stay numbers, and none outweighs all others. */
#define FAR_NOISE 1e3F

/* A gain above this or below 1 over it is none: four of them multiplied are still a float. */
#define MOST 1e9

struct stokes {
    const struct vis *vis;
    const struct line_code *code;
    size_t hand[2], nhand; /* polarisations that make Stokes I */
    size_t *table_of;      /* [ntime] which of the tables an integration takes */
    size_t ntable;
    float
        *table; /* [ntable][nant][nhand][re, im, size][nchan] 1 / g, noise over |g|^2 */
    float *
        over_time; /* [ntime][nant][nhand][re, im, size] likewise, what a time differs by */
};

enum { PARTS = 3 };

/* Tables of 1 / g while they are made. */
struct maker {
    struct stokes *s;
    struct gains_lookup lk[STOKES_GAINS];
    size_t n;
};

/* z *= 1 / g; 0 without a gain to divide by. */
static void times_inverse(float z[2], float complex g)
{
    double gr = (double)crealf(g), gi = (double)cimagf(g), power = gr * gr + gi * gi;
    double re = ((double)z[0] * gr + (double)z[1] * gi) / power;
    double im = ((double)z[1] * gr - (double)z[0] * gi) / power;
    double size = hypot(re, im);
    bool good = power > 0 && size >= 1 / MOST && size <= MOST;

    z[0] = good ? (float)re : 0;
    z[1] = good ? (float)im : 0;
}

static float complex gain_at(const struct gains_lookup *lk, size_t t, size_t ant,
                             size_t c, size_t pol)
{
    size_t line = lk->time_of[t] * lk->nant + ant;

    return lk->g[(line * lk->nchan + lk->chan_of[c]) * lk->npol + pol];
}

/* Where integration t takes the table of an earlier one, of which all gains over frequency are
 * the same: that one; else t. */
static size_t first_like(const struct maker *m, size_t t)
{
    for (size_t u = 0; u < t; u++) {
        bool same = true;

        for (size_t i = 0; i < m->n; i++)
            same = same &&
                   (m->lk[i].nchan == 1 || m->lk[i].time_of[u] == m->lk[i].time_of[t]);
        if (same)
            return u;
    }
    return t;
}

static void fill_table(const struct maker *m, size_t t, float *at)
{
    const struct stokes *s = m->s;
    size_t nchan = s->vis->nchan;

    for (size_t a = 0; a < s->vis->nant; a++) {
        for (size_t h = 0; h < s->nhand; h++, at += PARTS * nchan) {
            for (size_t c = 0; c < nchan; c++) {
                float z[2] = {1, 0};

                for (size_t i = 0; i < m->n; i++)
                    if (m->lk[i].nchan > 1)
                        times_inverse(z, gain_at(&m->lk[i], t, a, c, s->hand[h]));
                at[c] = z[0];
                at[nchan + c] = z[1];
                at[2 * nchan + c] = z[0] * z[0] + z[1] * z[1];
            }
        }
    }
}

static void fill_over_time(const struct maker *m)
{
    const struct stokes *s = m->s;
    float *at = s->over_time;

    for (size_t t = 0; t < s->vis->ntime; t++) {
        for (size_t a = 0; a < s->vis->nant; a++) {
            for (size_t h = 0; h < s->nhand; h++, at += PARTS) {
                at[0] = 1;
                at[1] = 0;
                for (size_t i = 0; i < m->n; i++)
                    if (m->lk[i].nchan == 1)
                        times_inverse(at, gain_at(&m->lk[i], t, a, 0, s->hand[h]));
                at[2] = at[0] * at[0] + at[1] * at[1];
            }
        }
    }
}

static int make_tables(const struct maker *m, struct err *e)
{
    struct stokes *s = m->s;
    const struct vis *vis = s->vis;
    size_t one = vis->nant * s->nhand * PARTS;

    s->table_of = calloc(vis->ntime, sizeof *s->table_of);
    s->over_time = calloc(vis->ntime * one, sizeof *s->over_time);
    for (size_t t = 0; s->table_of != NULL && t < vis->ntime; t++) {
        size_t like = first_like(m, t);

        s->table_of[t] = like < t ? s->table_of[like] : s->ntable++;
    }
    s->table = calloc(s->ntable * one * vis->nchan, sizeof *s->table);
    if (s->table_of == NULL || s->over_time == NULL || s->table == NULL)
        return err_set(e, -ENOMEM,
                       "no memory for gains of %zu antennas in %zu channels", vis->nant,
                       vis->nchan);
    for (size_t t = 0, next = 0; t < vis->ntime; t++)
        if (s->table_of[t] == next)
            fill_table(m, t, s->table + next++ * one * vis->nchan);
    fill_over_time(m);
    return 0;
}

/* Noise of one receiver as correlated, and of the integrations; NULL: not known. */
static const float *level_of(const struct stokes *s, const struct receivers *r,
                             size_t a, size_t h)
{
    const float *level =
        r->level != NULL ? r->level + (a * s->vis->npol + s->hand[h]) * s->vis->nchan
                         : NULL;

    return level != NULL && level[0] > 0 ? level : NULL;
}

/* The sizes of one line of a table by its receiver; 0 where that is not known. */
static void weigh_line(const struct stokes *s, const struct receivers *r, size_t a,
                       size_t h, float *size)
{
    const float *level = level_of(s, r, a, h);

    for (size_t c = 0; c < s->vis->nchan; c++)
        if (level != NULL)
            size[c] *= level[c];
        else if (size[c] > 0)
            size[c] = r->sefd != NULL ? r->sefd[a] : 0;
}

/* The middle of all sizes; 0: there are none; negative: no memory. */
static float typical_size(const struct stokes *s)
{
    size_t nline = s->ntable * s->vis->nant * s->nhand, n = 0;
    float *some = malloc((nline + 1) * sizeof *some), typical;

    if (some == NULL)
        return -1;
    for (size_t i = 0; i < nline; i++) { /* one of each line is enough */
        float x = s->table[(i * PARTS + 2) * s->vis->nchan + s->vis->nchan / 2];

        if (x > 0)
            some[n++] = x;
    }
    typical = n > 0 ? order_kthf(some, n, n / 2) : 0;
    free(some);
    return typical;
}

/* In units of the typical one: who is not known is like the others, who is not to be believed is at
 * the border. */
static void bound_sizes(struct stokes *s, float typical)
{
    size_t nchan = s->vis->nchan, nline = s->ntable * s->vis->nant * s->nhand;

    for (size_t i = 0; i < nline; i++) {
        float *re = s->table + i * PARTS * nchan, *im = re + nchan, *size = im + nchan;

        for (size_t c = 0; c < nchan; c++) {
            bool has = re[c] != 0 || im[c] != 0;

            if (has)
                size[c] =
                    size[c] > 0 && typical > 0
                        ? fminf(fmaxf(size[c] / typical, 1 / FAR_NOISE), FAR_NOISE)
                        : 1;
        }
    }
}

/* Sizes by what the receivers have.  Where nothing is known they stay as they are. */
static int weigh(struct stokes *s, const struct receivers *r, struct err *e)
{
    const struct vis *vis = s->vis;
    size_t nline = s->ntable * vis->nant * s->nhand;
    float typical;

    if (r->level == NULL && r->sefd == NULL)
        return 0;
    for (size_t i = 0; i < nline; i++)
        weigh_line(s, r, i / s->nhand % vis->nant, i % s->nhand,
                   s->table + (i * PARTS + 2) * vis->nchan);
    for (size_t i = 0; i < vis->ntime * vis->nant * s->nhand; i++) {
        size_t h = i % s->nhand, a = i / s->nhand % vis->nant,
               t = i / s->nhand / vis->nant;
        float *size = s->over_time + i * PARTS + 2;

        if (level_of(s, r, a, h) != NULL)
            *size *= r->over_time[(a * vis->npol + s->hand[h]) * vis->ntime + t];
        else if (*size > 0)
            *size = 1;
    }
    if ((typical = typical_size(s)) < 0)
        return err_set(e, -ENOMEM, "no memory for the noise of %zu antennas",
                       vis->nant);
    bound_sizes(s, typical);
    return 0;
}

/* Sizes of another, where both have a solution. */
static void take_sizes(float *table, const float *other, size_t nline, size_t n)
{
    for (size_t line = 0; line < nline; line++)
        for (size_t k = 0; k < n; k++) {
            size_t at = (line * PARTS + 2) * n + k;

            if (table[at] > 0 && other[at] > 0)
                table[at] = other[at];
        }
}

static void weigh_like(struct stokes *s, const struct stokes *like)
{
    const struct vis *vis = s->vis;
    size_t nline = vis->nant * s->nhand;

    if (like->vis != vis || like->ntable != s->ntable)
        return;
    take_sizes(s->table, like->table, s->ntable * nline, vis->nchan);
    take_sizes(s->over_time, like->over_time, vis->ntime * nline, 1);
}

int stokes_new(struct stokes **out, const struct vis *vis,
               const struct gains *const *gains, const struct receivers *receivers,
               const struct stokes *like, struct err *e)
{
    struct stokes *s = calloc(1, sizeof *s);
    struct maker m = {.s = s};
    int rc = 0;

    *out = NULL;
    if (s == NULL)
        return err_set(e, -ENOMEM, "no memory for Stokes I");
    s->vis = vis;
    s->code = line_code();
    for (size_t p = 0; p < vis->npol && s->nhand < 2; p++)
        if (gains_parallel(vis->pol[p]))
            s->hand[s->nhand++] = p;
    if (s->nhand == 0)
        rc =
            err_set(e, ERR_FORMAT, "%s has no parallel-hand polarisation", vis->object);
    for (size_t i = 0; rc == 0 && gains != NULL && i < STOKES_GAINS; i++)
        if (gains[i] != NULL)
            rc = gains_lookup_init(&m.lk[m.n++], vis, gains[i], e);
    if (rc == 0)
        rc = make_tables(&m, e);
    if (rc == 0 && receivers != NULL && strcmp(receivers->from, "none") != 0)
        rc = weigh(s, receivers, e);
    if (rc == 0 && like != NULL)
        weigh_like(s, like);
    for (size_t i = 0; i < m.n; i++)
        gains_lookup_close(&m.lk[i]);
    if (rc != 0)
        stokes_free(s);
    else
        *out = s;
    return rc;
}

void stokes_free(struct stokes *s)
{
    if (s == NULL)
        return;
    free(s->table_of);
    free(s->table);
    free(s->over_time);
    free(s);
}

void stokes_row(const struct stokes *s, size_t row, float complex *data, float *weight)
{
    const struct vis *vis = s->vis;
    size_t t = (size_t)vis->row_time[row], a1 = (size_t)vis->row_ant1[row];
    size_t a2 = (size_t)vis->row_ant2[row], at = row * vis->nchan * vis->npol;
    size_t nant = vis->nant, nchan = vis->nchan;
    struct line_hand hand[2];

    for (size_t h = 0; h < s->nhand; h++) {
        size_t i1 = a1 * s->nhand + h, i2 = a2 * s->nhand + h;
        const float *line = s->table + s->table_of[t] * nant * s->nhand * PARTS * nchan;
        const float *time1 = s->over_time + (t * nant * s->nhand + i1) * PARTS;
        const float *time2 = s->over_time + (t * nant * s->nhand + i2) * PARTS;

        hand[h] = (struct line_hand){
            .v = vis->data + at + s->hand[h],
            .w = vis->weight + at + s->hand[h],
            .npol = vis->npol,
            .re1 = line + PARTS * i1 * nchan,
            .im1 = line + (PARTS * i1 + 1) * nchan,
            .size1 = line + (PARTS * i1 + 2) * nchan,
            .re2 = line + PARTS * i2 * nchan,
            .im2 = line + (PARTS * i2 + 1) * nchan,
            .size2 = line + (PARTS * i2 + 2) * nchan,
            .re = time1[0] * time2[0] + time1[1] * time2[1],
            .im = time1[1] * time2[0] - time1[0] * time2[1],
            .size = time1[2] * time2[2],
        };
    }
    s->code->stokes(data, weight, &hand[0], s->nhand > 1 ? &hand[1] : NULL, nchan);
}

/* What of one receiver's size is not its gain, over all channels: out [nchan]; 0: no gain. */
static void beyond_gain(const struct stokes *s, size_t t, size_t a, size_t h,
                        float *out)
{
    size_t nchan = s->vis->nchan, i = a * s->nhand + h;
    const float *re = s->table +
                      s->table_of[t] * s->vis->nant * s->nhand * PARTS * nchan +
                      PARTS * i * nchan;
    const float *im = re + nchan, *size = im + nchan;
    const float *time = s->over_time + (t * s->vis->nant * s->nhand + i) * PARTS;
    float of_time = time[0] * time[0] + time[1] * time[1];

    for (size_t c = 0; c < nchan; c++) {
        float gain = (re[c] * re[c] + im[c] * im[c]) * of_time;

        out[c] = gain > 0 ? size[c] * time[2] / gain : 0;
    }
}

int stokes_weigh(const struct stokes *s, struct vis *vis)
{
    size_t nchan = vis->nchan, per_time = vis->nant * s->nhand * nchan,
           last = vis->ntime;
    float *noise = malloc(per_time * sizeof *noise);

    if (noise == NULL)
        return -ENOMEM;
    for (size_t row = 0; row < vis->nrow; row++) {
        size_t t = (size_t)vis->row_time[row], a1 = (size_t)vis->row_ant1[row];
        size_t a2 = (size_t)vis->row_ant2[row];

        for (size_t i = 0; t != last && i < vis->nant * s->nhand; i++)
            beyond_gain(s, t, i / s->nhand, i % s->nhand, noise + i * nchan);
        last = t;
        for (size_t h = 0; h < s->nhand; h++) {
            const float *n1 = noise + (a1 * s->nhand + h) * nchan;
            const float *n2 = noise + (a2 * s->nhand + h) * nchan;
            float *w = vis->weight + row * nchan * vis->npol + s->hand[h];

            for (size_t c = 0; c < nchan; c++)
                if (n1[c] > 0 && n2[c] > 0)
                    w[c * vis->npol] /= n1[c] * n2[c];
        }
    }
    free(noise);
    return 0;
}
