#include "pipeline/cal/refant.h"

#include <complex.h>
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/order.h"
#include "pipeline/cal/gains.h"
#include "pipeline/sky/vis.h"

/* An antenna is well off with this share of the samples and solutions of the best, and this
 * share of the median signal to noise. */
#define WELL_COVERED 0.95
#define WELL_HEARD   0.5

/* ---- choice ---- */

static double median(double *v, size_t n)
{
    return n > 0 ? order_kth(v, n, n / 2) : 0;
}

/* Solutions of an antenna; 0 when one of the tables has none. */
static double solutions(const struct gains *const gains[REFANT_TABLES], size_t a)
{
    double all = 0;

    for (size_t i = 0; i < REFANT_TABLES; i++) {
        const struct gains *g = gains[i];
        size_t n = 0;

        if (g == NULL)
            continue;
        for (size_t k = 0; k < g->ntime * g->nchan; k++)
            for (size_t p = 0; p < g->npol; p++)
                n += g->g[(k * g->nant + a) * g->npol + p] != 0;
        if (n == 0)
            return 0;
        all += (double)n;
    }
    return all;
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
        centre[k] = median(work, n);
    }
}

/* What makes an antenna fit, the least that is asked of each. */
struct health {
    const double *samples, *snr, *solved; /* [nant] */
    double least_samples, least_snr, least_solved;
};

static bool is_fit(const struct health *h, size_t a)
{
    return h->solved[a] > 0 && h->samples[a] > 0 && h->samples[a] >= h->least_samples &&
           h->solved[a] >= h->least_solved && h->snr[a] >= h->least_snr;
}

/* The fit antenna nearest to the centre; -1: there is none. */
static int nearest(const struct vis *vis, const struct health *h, double *work)
{
    double centre[3], least_m = INFINITY;
    int best = -1;

    array_centre(vis, h->samples, work, centre);
    for (size_t a = 0; a < vis->nant; a++) {
        const double *p = vis->ant_pos_m[a];
        double d_m = hypot(hypot(p[0] - centre[0], p[1] - centre[1]), p[2] - centre[2]);

        if (is_fit(h, a) && d_m < least_m) {
            least_m = d_m;
            best = (int)a;
        }
    }
    return best;
}

static int choose(const struct vis *vis, const double *samples, const double *snr,
                  const double *solved, double *work)
{
    struct health h = {.samples = samples, .snr = snr, .solved = solved};
    double most = 0, most_solved = 0;
    size_t n = 0;
    int best;

    for (size_t a = 0; a < vis->nant; a++) {
        most = fmax(most, samples[a]);
        most_solved = fmax(most_solved, solved[a]);
        if (solved[a] > 0)
            work[n++] = snr[a];
    }
    h.least_samples = WELL_COVERED * most;
    h.least_solved = WELL_COVERED * most_solved;
    h.least_snr = WELL_HEARD * median(work, n);
    best = nearest(vis, &h, work);
    if (best >= 0)
        return best;
    h.least_samples = h.least_snr = 0; /* nobody is well off in all respects */
    return nearest(vis, &h, work);
}

int refant_choose(int *refant, const struct vis *vis,
                  const struct gains *const gains[REFANT_TABLES], const double *samples,
                  const double *snr, int wanted, struct err *e)
{
    double *work = calloc(2 * vis->nant, sizeof *work);
    double *solved = work != NULL ? work + vis->nant : NULL;
    bool has;

    if (work == NULL)
        return err_set(e, -ENOMEM, "no memory to choose a reference antenna");
    for (size_t a = 0; a < vis->nant; a++)
        solved[a] = solutions(gains, a);
    has = wanted >= 0 && (size_t)wanted < vis->nant && solved[wanted] > 0;
    *refant = has ? wanted : choose(vis, samples, snr, solved, work);
    free(work);
    if (*refant < 0)
        return err_set(e, ERR_QUALITY, "no gains: every sample is flagged");
    return 0;
}

/* ---- phases ---- */

/* Solutions of one polarisation along channels or times. */
struct line {
    float complex *g; /* [n] with stride `step`, each [nant] with stride npol */
    size_t n, step, nant, npol, ref;
};

static float complex *at(const struct line *l, size_t i, size_t a)
{
    return l->g + i * l->step + a * l->npol;
}

static void turn(const struct line *l, size_t i, float complex by)
{
    for (size_t a = 0; a < l->nant; a++)
        *at(l, i, a) *= by;
}

static bool is_empty(const struct line *l, size_t i)
{
    for (size_t a = 0; a < l->nant; a++)
        if (*at(l, i, a) != 0)
            return false;
    return true;
}

/* The mean phase, as a number of modulus 1, by which solution j is ahead of i; 1: none in
 * common. */
static float complex ahead(const struct line *l, size_t i, size_t j)
{
    float complex sum = 0;
    float size;

    for (size_t a = 0; a < l->nant; a++)
        sum += conjf(*at(l, i, a)) * *at(l, j, a);
    size = cabsf(sum);
    return size > 0 ? sum / size : 1;
}

/* Phase 0 at antenna a of solution i. */
static void anchor(const struct line *l, size_t i, size_t a)
{
    float size = cabsf(*at(l, i, a));

    turn(l, i, conjf(*at(l, i, a)) / size);
    *at(l, i, a) = size;
}

/* Where refant has a solution, or the first with any, at its first antenna; n: none at all. */
static size_t anchor_all(const struct line *l)
{
    size_t first = l->n, a = 0;

    for (size_t i = 0; i < l->n; i++) {
        if (*at(l, i, l->ref) == 0)
            continue;
        anchor(l, i, l->ref);
        first = first < l->n ? first : i;
    }
    if (first < l->n)
        return first;
    for (first = 0; first < l->n && is_empty(l, first);)
        first++;
    while (first < l->n && *at(l, first, a) == 0)
        a++;
    if (first < l->n)
        anchor(l, first, a);
    return first;
}

/* Solutions between i and j, both of refant: what is missing at j, bit by bit. */
static void spread(const struct line *l, size_t i, size_t j, size_t last)
{
    float missing = cargf(ahead(l, last, j));

    for (size_t k = i + 1; k < j; k++) {
        float phase = missing * (float)(k - i) / (float)(j - i);

        turn(l, k, cosf(phase) + sinf(phase) * I);
    }
}

static void go_on(const struct line *l)
{
    size_t first = anchor_all(l), last = first, anchored = first;

    for (size_t i = first + 1; i < l->n; i++) {
        if (is_empty(l, i))
            continue;
        if (*at(l, i, l->ref) == 0) {
            turn(l, i, conjf(ahead(l, last, i)));
        } else {
            if (last != anchored && *at(l, anchored, l->ref) != 0)
                spread(l, anchored, i, last);
            anchored = i;
        }
        last = i;
    }
    last = first;
    for (size_t i = first < l->n ? first : 0; i-- > 0;) {
        if (is_empty(l, i))
            continue;
        turn(l, i, conjf(ahead(l, last, i)));
        last = i;
    }
}

void refant_refer(struct gains *g, int refant)
{
    size_t slot = g->nant * g->npol;
    bool along = g->nchan > 1;

    g->refant = refant;
    for (size_t i = 0; i < (along ? g->ntime : 1); i++)
        for (size_t p = 0; p < g->npol; p++)
            go_on(&(struct line){.g = g->g + i * g->nchan * slot + p,
                                 .n = along ? g->nchan : g->ntime,
                                 .step = slot,
                                 .nant = g->nant,
                                 .npol = g->npol,
                                 .ref = (size_t)refant});
}
