#include "pipeline/cal/quality.h"

#include <complex.h>
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/order.h"
#include "pipeline/cal/gains.h"
#include "pipeline/sky/vis.h"

enum { FEW_CHANNELS = 8 }; /* no scatter is told from fewer differences */

static double median(double *v, size_t n)
{
    return n > 0 ? order_kth(v, n, n / 2) : NAN;
}

/* Mark antennas with an unflagged sample. */
static void find_used(const struct vis *vis, bool *used)
{
    size_t per_row = vis->nchan * vis->npol;

    memset(used, 0, vis->nant * sizeof *used);
    for (size_t r = 0; r < vis->nrow; r++) {
        const float *w = vis->weight + r * per_row;

        if (used[vis->row_ant1[r]] && used[vis->row_ant2[r]])
            continue;
        for (size_t k = 0; k < per_row; k++)
            if (w[k] > 0) {
                used[vis->row_ant1[r]] = used[vis->row_ant2[r]] = true;
                break;
            }
    }
}

static float complex gain_at(const struct gains *g, size_t t, size_t c, size_t a,
                             size_t p)
{
    return g->g[((t * g->nchan + c) * g->nant + a) * g->npol + p];
}

/* Second differences of the channels of one antenna over the gain: of noise alone the mean
 * square is 12 times the variance of either part, and the median ln 2 times that. */
static double scatter(const struct gains *g, size_t t, size_t a, size_t p, double *some)
{
    size_t n = 0;

    for (size_t c = 1; c + 1 < g->nchan; c++) {
        float complex before = gain_at(g, t, c - 1, a, p), mid = gain_at(g, t, c, a, p);
        float complex after = gain_at(g, t, c + 1, a, p);
        double d, m = (double)cabsf(mid);

        if (m == 0 || before == 0 || after == 0)
            continue;
        d = (double)cabsf(before - 2 * mid + after) / m;
        some[n++] = d * d;
    }
    return n >= FEW_CHANNELS ? sqrt(median(some, n) / (12 * M_LN2)) : NAN;
}

/* What the solver knew of antenna a, the median; NAN when it is not known.  some [n] */
static double known(const struct gains *g, size_t a, size_t p, double *some)
{
    size_t n = 0;

    for (size_t i = 0; i < g->ntime * g->nchan; i++) {
        double snr = (double)g->snr[(i * g->nant + a) * g->npol + p];

        if (snr > 0)
            some[n++] = snr;
    }
    return n > 0 ? median(some, n) / sqrt(g->block > 1 ? (double)g->block : 1) : NAN;
}

static size_t count(const struct gains *g, size_t a, size_t p, bool interpolated)
{
    size_t n = 0;

    for (size_t i = 0; i < g->ntime * g->nchan; i++) {
        size_t at = (i * g->nant + a) * g->npol + p;

        n += interpolated ? g->g[at] != 0 && !(g->snr[at] > 0) : g->g[at] == 0;
    }
    return n;
}

int quality_of(struct quality *out, const struct gains *g, const struct vis *vis)
{
    size_t per = g->ntime * g->nchan, failed = 0, filled = 0, all = 0, n = 0;
    bool *used = malloc(vis->nant * sizeof *used), solver = false;
    double *some = malloc((per + g->ntime * g->nant * g->npol) * sizeof *some);
    double *each = some != NULL ? some + per : NULL;

    *out = (struct quality){NAN, NAN, NAN};
    if (used == NULL || some == NULL) {
        free(used);
        free(some);
        return -ENOMEM;
    }
    find_used(vis, used);
    for (size_t i = 0; i < per * g->nant * g->npol && !solver; i++)
        solver = g->snr[i] > 0;
    for (size_t a = 0; a < g->nant; a++)
        for (size_t p = 0; p < g->npol; p++) {
            if (!used[a] || !gains_parallel(vis->pol[p]))
                continue;
            all += per;
            failed += count(g, a, p, false);
            filled += solver ? count(g, a, p, true) : 0;
            for (size_t t = 0; t < (solver ? 1 : g->ntime); t++) {
                each[n] = solver ? known(g, a, p, some) : scatter(g, t, a, p, some);
                n += isfinite(each[n]);
            }
        }
    if (all > 0) {
        out->failed = (double)failed / (double)all;
        out->interpolated = (double)filled / (double)all;
    }
    if (n > 0)
        out->snr = solver ? median(each, n) : 1 / median(each, n);
    free(used);
    free(some);
    return 0;
}
