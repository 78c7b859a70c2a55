/*
 * gains.c: gains in memory and how rows find theirs (contract in gains.h).
 */
#include "pipeline/cal/gains.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "core/err.h"
#include "pipeline/cal/lines.h"

/* The two hands of each polarisation that has any (AIPS codes, as in UVH5). */
static const struct {
    int pol, first, second;
} hands[] = {
    {1, 1, 1},    {-1, -1, -1}, {-2, -2, -2}, {-3, -1, -2}, {-4, -2, -1},
    {-5, -5, -5}, {-6, -6, -6}, {-7, -5, -6}, {-8, -6, -5},
};

bool gains_parallel(int pol)
{
    for (size_t i = 0; i < sizeof hands / sizeof hands[0]; i++) {
        if (hands[i].pol == pol)
            return hands[i].first == hands[i].second;
    }
    return false;
}

int gains_alloc(struct gains **out, size_t nant, size_t ntime, size_t nchan,
                size_t npol, struct err *e)
{
    struct gains *g = calloc(1, sizeof *g);

    *out = NULL;
    if (g != NULL) {
        g->nant = nant;
        g->ntime = ntime;
        g->nchan = nchan;
        g->npol = npol;
        g->time_jd = calloc(ntime, sizeof *g->time_jd);
        g->freq_hz = calloc(nchan, sizeof *g->freq_hz);
        g->g = calloc(ntime * nchan * nant * npol, sizeof *g->g);
        g->snr = calloc(ntime * nchan * nant * npol, sizeof *g->snr);
    }
    if (g == NULL || g->time_jd == NULL || g->freq_hz == NULL || g->g == NULL ||
        g->snr == NULL) {
        gains_free(g);
        return err_set(
            e, -ENOMEM,
            "no memory for gains of %zu antennas, %zu times, %zu channels and %zu "
            "polarisations",
            nant, ntime, nchan, npol);
    }
    *out = g;
    return 0;
}

void gains_free(struct gains *g)
{
    if (g == NULL)
        return;
    free(g->time_jd);
    free(g->freq_hz);
    free(g->g);
    free(g->snr);
    free(g);
}

static int pol_index(const struct vis *vis, int pol)
{
    for (size_t p = 0; p < vis->npol; p++) {
        if (vis->pol[p] == pol)
            return (int)p;
    }
    return -1;
}

static void find_hands(struct gains_lookup *lk, const struct vis *vis)
{
    for (size_t p = 0; p < vis->npol; p++) {
        lk->hand1[p] = lk->hand2[p] = -1;
        for (size_t i = 0; i < sizeof hands / sizeof hands[0]; i++) {
            if (hands[i].pol == vis->pol[p]) {
                lk->hand1[p] = pol_index(vis, hands[i].first);
                lk->hand2[p] = pol_index(vis, hands[i].second);
            }
        }
    }
}

/* Index of the value nearest to x. */
static size_t nearest(const double *v, size_t n, double x)
{
    size_t best = 0;

    for (size_t i = 1; i < n; i++) {
        if (fabs(v[i] - x) < fabs(v[best] - x))
            best = i;
    }
    return best;
}

/* Half the smallest step of the gains' frequencies: how far a block of channels reaches. */
static double half_step_hz(const struct gains *g)
{
    double least = INFINITY;

    for (size_t c = 1; c < g->nchan; c++)
        least = fmin(least, fabs(g->freq_hz[c] - g->freq_hz[c - 1]));
    return g->nchan > 1 ? 0.5 * least : 0;
}

static int find_channels(struct gains_lookup *lk, const struct vis *vis,
                         const struct gains *g, struct err *e)
{
    double half_hz = half_step_hz(g);

    for (size_t c = 0; c < vis->nchan; c++) {
        size_t k = nearest(g->freq_hz, g->nchan, vis->freq_hz[c]);
        double reach_hz = fmax(half_hz, 0.5 * vis->width_hz[c]) * (1 + 1e-6);

        if (g->nchan > 1 && !(fabs(g->freq_hz[k] - vis->freq_hz[c]) <= reach_hz))
            return err_set(
                e, ERR_SHAPE,
                "the gains have no channel at %.6f MHz, the nearest is at %.6f "
                "MHz",
                vis->freq_hz[c] / 1e6, g->freq_hz[k] / 1e6);
        lk->chan_of[c] = k;
    }
    return 0;
}

/* [ntime][nchan][nant][npol] to [ntime][nant][nchan][npol]. */
static void turn(struct gains_lookup *lk, const struct gains *g)
{
    for (size_t t = 0; t < g->ntime; t++) {
        for (size_t c = 0; c < g->nchan; c++) {
            for (size_t a = 0; a < g->nant; a++) {
                for (size_t p = 0; p < g->npol; p++)
                    lk->g[((t * g->nant + a) * g->nchan + c) * g->npol + p] =
                        g->g[((t * g->nchan + c) * g->nant + a) * g->npol + p];
            }
        }
    }
}

int gains_lookup_init(struct gains_lookup *lk, const struct vis *vis,
                      const struct gains *g, struct err *e)
{
    int rc;

    *lk = (struct gains_lookup){
        .nant = g->nant, .ntime = g->ntime, .nchan = g->nchan, .npol = g->npol};
    if (g->nant != vis->nant || g->npol != vis->npol)
        return err_set(
            e, ERR_SHAPE,
            "the gains are for %zu antennas and %zu polarisations, the data have "
            "%zu and %zu",
            g->nant, g->npol, vis->nant, vis->npol);
    lk->time_of = calloc(vis->ntime, sizeof *lk->time_of);
    lk->chan_of = calloc(vis->nchan, sizeof *lk->chan_of);
    lk->g = calloc(g->ntime * g->nant * g->nchan * g->npol, sizeof *lk->g);
    if (lk->time_of == NULL || lk->chan_of == NULL || lk->g == NULL) {
        rc = err_set(e, -ENOMEM, "no memory for a copy of %zu gains",
                     g->ntime * g->nant * g->nchan * g->npol);
        goto fail;
    }
    find_hands(lk, vis);
    for (size_t t = 0; t < vis->ntime; t++)
        lk->time_of[t] = nearest(g->time_jd, g->ntime, vis->time_jd[t]);
    rc = find_channels(lk, vis, g, e);
    if (rc != 0)
        goto fail;
    turn(lk, g);
    return 0;
fail:
    gains_lookup_close(lk);
    return rc;
}

void gains_lookup_close(struct gains_lookup *lk)
{
    free(lk->time_of);
    free(lk->chan_of);
    free(lk->g);
    lk->time_of = lk->chan_of = NULL;
    lk->g = NULL;
}

int gains_line_init(struct gains_line *l, const struct gains_lookup *lk, size_t nchan,
                    struct err *e)
{
    size_t n;

    *l = (struct gains_line){.lk = lk, .ant1 = -1};
    if (lk == NULL)
        return 0;
    l->step = lk->nchan > 1;
    n = l->step ? nchan * lk->npol : LINE;
    l->re = calloc(n, sizeof *l->re);
    l->im = calloc(n, sizeof *l->im);
    if (l->re == NULL || l->im == NULL)
        return err_set(e, -ENOMEM, "no memory for %zu gains of one row", n);
    return 0;
}

void gains_line_close(struct gains_line *l)
{
    free(l->re);
    free(l->im);
}

void gains_line_row(struct gains_line *l, const struct vis *vis, size_t row, size_t c0,
                    size_t c1)
{
    const struct gains_lookup *lk = l->lk;
    size_t per_ant, t, k = 0;
    const float complex *g1, *g2;

    if (lk == NULL)
        return;
    t = lk->time_of[vis->row_time[row]];
    if (l->ant1 == vis->row_ant1[row] && l->ant2 == vis->row_ant2[row] &&
        l->time == t && l->c0 == c0 && l->c1 == c1)
        return;
    l->ant1 = vis->row_ant1[row];
    l->ant2 = vis->row_ant2[row];
    l->time = t;
    l->c0 = c0;
    l->c1 = c1;
    per_ant = lk->nchan * lk->npol;
    g1 = lk->g + (t * lk->nant + (size_t)l->ant1) * per_ant;
    g2 = lk->g + (t * lk->nant + (size_t)l->ant2) * per_ant;
    if (l->step == 0)
        c1 = c0 + LINE / lk->npol;
    for (size_t c = c0; c < c1; c++) {
        size_t at = l->step ? lk->chan_of[c] * lk->npol : 0;

        for (size_t p = 0; p < lk->npol; p++, k++) {
            int h1 = lk->hand1[p], h2 = lk->hand2[p];
            bool has = h1 >= 0 && h2 >= 0;
            float complex a = has ? g1[at + (size_t)h1] : 0;
            float complex b = has ? g2[at + (size_t)h2] : 0;

            l->re[k] = crealf(a) * crealf(b) + cimagf(a) * cimagf(b);
            l->im[k] = cimagf(a) * crealf(b) - crealf(a) * cimagf(b);
        }
    }
}
