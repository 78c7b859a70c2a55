#include "pipeline/flag/array.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/order.h"
#include "pipeline/flag/shape.h"
#include "pipeline/flag/threshold.h"

/*
 * Differences that are no interference, whatever the noise: the ripple of an array's band and
 * its change in time are not better known than this.
 */
static const float LEAST_CHANNEL = 0.009F, LEAST_CELL = 0.001F, LEAST_TIME = 0.01F;

/* Windows over channels that are bad all the time: longer ones would find the band's ripple.
 * */
enum { LEAST_CHANNELS = 64, CHANNEL_WINDOWS = 3, TIME_NEIGHBOURS = 3 };
/* The window, 4 cells, whose excess tells how much cells are like their neighbours. */
enum { ALIKE = 2 };

struct work {
    size_t ntime, nchan, cells;
    float *ratio; /* [ntime][nchan] average over its channel's median */
    float *rest;  /* [ntime][nchan] minus its integration's neighbourhood */
    float *channel, *smooth, *column,
        *some;        /* [nchan], [nchan], [2 ntime], [2 cells] */
    float *threshold; /* of SumThreshold */
};

static void work_free(struct work *w)
{
    free(w->ratio);
    free(w->rest);
    free(w->channel);
    free(w->smooth);
    free(w->column);
    free(w->some);
    free(w->threshold);
}

static int work_init(struct work *w, const struct array_plane *p)
{
    size_t most = p->ntime > p->nchan ? p->ntime : p->nchan;

    *w = (struct work){
        .ntime = p->ntime, .nchan = p->nchan, .cells = p->ntime * p->nchan};
    w->ratio = malloc(w->cells * sizeof *w->ratio);
    w->rest = malloc(w->cells * sizeof *w->rest);
    w->channel = malloc(p->nchan * sizeof *w->channel);
    w->smooth = malloc(p->nchan * sizeof *w->smooth);
    w->column = malloc(2 * p->ntime * sizeof *w->column);
    w->some = malloc((2 * w->cells + 2 * most + 1) * sizeof *w->some);
    w->threshold = malloc(w->cells * sizeof *w->threshold);
    if (w->ratio && w->rest && w->channel && w->smooth && w->column && w->some &&
        w->threshold)
        return 0;
    work_free(w);
    return -ENOMEM;
}

static size_t half_of(size_t nchan, size_t part)
{
    return nchan / part > 4 ? nchan / part : 4;
}

/* ratio = average; NAN where it is of less than a quarter as many samples as the best, or
 * found before. */
static void averages(struct work *w, const struct array_plane *p,
                     const unsigned char *found)
{
    float most = 0;

    for (size_t i = 0; i < w->cells; i++)
        most = p->count[i] > most ? p->count[i] : most;
    for (size_t i = 0; i < w->cells; i++)
        w->ratio[i] = found[i] == 0 && p->count[i] > 0 && p->count[i] >= 0.25F * most
                          ? p->sum[i] / p->count[i]
                          : NAN;
}

/* Divide by the channels' medians over time, which go to w->channel. */
static void over_channels(struct work *w)
{
    for (size_t c = 0; c < w->nchan; c++) {
        for (size_t t = 0; t < w->ntime; t++)
            w->column[t] = w->ratio[t * w->nchan + c];
        w->channel[c] = shape_median(w->column, w->ntime);
        for (size_t t = 0; t < w->ntime; t++)
            w->ratio[t * w->nchan + c] /= w->channel[c] > 0 ? w->channel[c] : NAN;
    }
}

/* x [n] in units of its scatter, NONE where it is not finite. */
static void in_sigma(struct work *w, float *x, size_t n, float least)
{
    float *some = w->some + w->cells, sigma;
    size_t m = 0;

    /* one that is its own median says nothing: of three integrations each third is */
    for (size_t i = 0; i < n; i++)
        if (fabsf(x[i]) > 0)
            some[m++] = x[i];
    sigma = fmaxf(shape_scatter(some, m, w->some), least);
    for (size_t i = 0; i < n; i++)
        x[i] = isfinite(x[i]) && sigma > 0 ? x[i] / sigma : THRESHOLD_NONE;
}

/* The mean of 2^log cells, `step` apart, from each; NAN where one does not count. */
static size_t window_means(float *out, const float *x, size_t n, size_t step,
                           size_t log, size_t line)
{
    size_t long_ = (size_t)1 << log, m = 0;

    for (size_t i = 0; i + (long_ - 1) * step < n; i++) {
        float sum = 0;

        if (step == 1 && i % line + long_ > line)
            continue; /* goes on in the next integration */
        for (size_t j = 0; j < long_; j++)
            sum += x[i + j * step];
        out[m++] = sum < THRESHOLD_NONE / 2 ? sum / (float)long_ : NAN;
    }
    return m;
}

/*
 * How much more the means over M = 1, 2, 4 ... cells along (step 1) or across (step line)
 * scatter than those of noise would, at least 1: where fringes of several sources beat, cells
 * are like their neighbours.  Cells x [n] are in units of their scatter; work [2 n].
 */
static void measure_excess(float excess[THRESHOLD_WINDOWS], const float *x, size_t n,
                           size_t step, size_t line, float *work)
{
    for (size_t log = 0; log < THRESHOLD_WINDOWS; log++) {
        size_t m = window_means(work, x, n, step, log, line);
        float sigma = m > 0 ? shape_scatter(work, m, work + n) : NAN;

        excess[log] = fmaxf(1, sigma * sqrtf((float)((size_t)1 << log)));
    }
}

/* Limits: `first` standard deviations of means of that many cells, and more the less like
 * noise they are altogether, because the tails of such fringes are longer than those of noise.
 * */
static void measured_limits(float chi[THRESHOLD_WINDOWS], double first,
                            const float excess[THRESHOLD_WINDOWS], float structure)
{
    for (size_t log = 0; log < THRESHOLD_WINDOWS; log++)
        chi[log] =
            (float)first / sqrtf((float)((size_t)1 << log)) * excess[log] * structure;
}

/* w->rest [nchan] = how far channels' medians are above those of their neighbours, in sigma. */
static void channel_excess(struct work *w, float least)
{
    shape_smooth(w->smooth, w->channel, w->nchan, half_of(w->nchan, 32), w->some);
    for (size_t c = 0; c < w->nchan; c++)
        w->rest[c] = w->channel[c] / w->smooth[c] - 1;
    in_sigma(w, w->rest, w->nchan, least);
    for (size_t c = 0; c < w->nchan; c++) /* for note_channels: whether there is any */
        w->smooth[c] = w->rest[c] < THRESHOLD_NONE ? 1 : 0;
}

static void note_channels(unsigned char *found, const struct work *w)
{
    for (size_t c = 0; c < w->nchan; c++)
        for (size_t t = 0;
             w->smooth[c] > 0 && w->rest[c] >= THRESHOLD_NONE && t < w->ntime; t++)
            found[t * w->nchan + c] = ARRAY_INTERFERENCE;
}

static void channels(unsigned char *found, struct work *w, double first)
{
    float chi[THRESHOLD_WINDOWS], excess[THRESHOLD_WINDOWS];

    if (w->nchan < LEAST_CHANNELS)
        return;
    channel_excess(w, LEAST_CHANNEL);
    measure_excess(excess, w->rest, w->nchan, 1, w->nchan, w->some);
    measured_limits(chi, first, excess, excess[ALIKE]);
    threshold_code()->windows(w->rest, w->nchan, 1, chi, 0, CHANNEL_WINDOWS,
                              w->threshold);
    note_channels(found, w);
}

/* Is the level of t off those up to TIME_NEIGHBOURS before and after that are not off: below all
 * (sign -1) or above their lower quartile (1)? */
static bool is_off(const float *level, const unsigned char *off, size_t ntime, size_t t,
                   int sign, float limit, float *some)
{
    size_t n = 0;
    float usual;

    for (size_t i = 0; i < ntime; i++)
        if (i != t && i + TIME_NEIGHBOURS >= t && i <= t + TIME_NEIGHBOURS &&
            off[i] == 0 && isfinite(level[i]))
            some[n++] = level[i];
    if (n == 0 || off[t] != 0)
        return false;
    usual = order_kthf(some, n, sign < 0 || n < 3 ? 0 : n < 8 ? 1 : n / 4);
    return (float)sign * (level[t] / usual - 1) > limit;
}

/* level [ntime] of the integrations, medians over channels; says what noise they have. */
static float time_levels(float *level, struct work *w)
{
    for (size_t t = 0; t < w->ntime; t++) {
        const float *x = w->ratio + t * w->nchan;

        memcpy(w->some, x, w->nchan * sizeof *w->some);
        level[t] = shape_median(w->some, w->nchan);
        for (size_t c = 0; c < w->nchan; c++)
            w->rest[t * w->nchan + c] = x[c] / level[t] - 1;
    }
    return 1.25F * shape_scatter(w->rest, w->cells, w->some) / sqrtf((float)w->nchan);
}

static bool mark_off(unsigned char *off, const float *level, struct work *w, int sign,
                     float limit)
{
    bool any = false;

    for (size_t t = 0; t < w->ntime; t++)
        if (is_off(level, off, w->ntime, t, sign, limit, w->some)) {
            off[t] = 1;
            any = true;
        }
    return any;
}

/*
 * Integrations whose level is off that of those around them.  Interference only adds: up to
 * three quarters of them may have it.  What is found does not count when the others are looked
 * at again.
 */
static void times(unsigned char *found, struct work *w, double first)
{
    float *level = w->column, noise, limit;
    unsigned char *off = (unsigned char *)(w->column + w->ntime);

    if (w->ntime < TIME_NEIGHBOURS + 2)
        return;
    noise = time_levels(level, w);
    limit = (float)first * (noise > LEAST_TIME ? noise : LEAST_TIME);
    memset(off, 0, w->ntime);
    while (mark_off(off, level, w, 1, limit))
        ;
    mark_off(off, level, w, -1, limit);
    for (size_t t = 0; t < w->ntime; t++)
        if (off[t] != 0)
            memset(found + t * w->nchan, ARRAY_TIME, w->nchan);
}

/* rest = ratio without what is smooth along frequency, in sigma; NONE where found. */
static void cells(struct work *w, const unsigned char *found, float least)
{
    for (size_t i = 0; i < w->cells; i++)
        if (found[i] != 0)
            w->ratio[i] = NAN;
    for (size_t t = 0; t < w->ntime; t++) {
        const float *x = w->ratio + t * w->nchan;

        shape_smooth(w->smooth, x, w->nchan, half_of(w->nchan, 6), w->some);
        for (size_t c = 0; c < w->nchan; c++)
            w->rest[t * w->nchan + c] = x[c] - w->smooth[c];
    }
    in_sigma(w, w->rest, w->cells, least);
}

static void find_cells(unsigned char *found, struct work *w, double first)
{
    const struct threshold_code *code = threshold_code();
    float along[THRESHOLD_WINDOWS], across[THRESHOLD_WINDOWS];
    float more[2][THRESHOLD_WINDOWS], structure;

    measure_excess(more[0], w->rest, w->cells, 1, w->nchan, w->some);
    measure_excess(more[1], w->rest, w->cells, w->nchan, w->nchan, w->some);
    structure = fmaxf(more[0][ALIKE], more[1][ALIKE]);
    measured_limits(along, first, more[0], structure);
    measured_limits(across, first, more[1], structure);
    for (size_t i = 0; i < w->cells; i++)
        w->some[i] = w->rest[i] < THRESHOLD_NONE ? 1.0F : 0.0F;
    for (size_t t = 0; t < w->ntime; t++)
        code->windows(w->rest + t * w->nchan, w->nchan, 1, along, 0, THRESHOLD_WINDOWS,
                      w->threshold);
    code->windows(w->rest, w->cells, w->nchan, across, 0, THRESHOLD_WINDOWS,
                  w->threshold);
    for (size_t i = 0; i < w->cells; i++)
        if (w->some[i] > 0 && w->rest[i] >= THRESHOLD_NONE)
            found[i] = ARRAY_INTERFERENCE;
}

int array_sizes(unsigned char *found, const struct array_plane *p, double first)
{
    struct work w;
    int rc = work_init(&w, p);

    if (rc != 0)
        return rc;
    averages(&w, p, found);
    over_channels(&w);
    times(found, &w, first);
    averages(&w, p, found); /* again, of what is left */
    over_channels(&w);
    channels(found, &w, first);
    cells(&w, found, LEAST_CELL);
    find_cells(found, &w, first);
    work_free(&w);
    return 0;
}

/* ---- second differences ---- */

/* Take from the neighbours of what stands out a quarter of it, the strongest first. */
static void unspread(float *x, size_t n, float limit)
{
    for (size_t i = 0; i < n; i++) {
        size_t best = n;

        for (size_t c = 0; c < n; c++)
            if (x[c] > limit && x[c] < THRESHOLD_NONE && (best == n || x[c] > x[best]))
                best = c;
        if (best == n)
            return;
        if (best > 0 && x[best - 1] < THRESHOLD_NONE)
            x[best - 1] -= x[best] / 4;
        if (best + 1 < n && x[best + 1] < THRESHOLD_NONE)
            x[best + 1] -= x[best] / 4;
        x[best] = THRESHOLD_NONE; /* found */
    }
}

static void spread_found(unsigned char *near, const unsigned char *found, size_t ntime,
                         size_t nchan)
{
    for (size_t i = 0; i < ntime * nchan; i++)
        near[i] = found[i] != 0 || (i % nchan > 0 && found[i - 1] != 0) ||
                  (i % nchan + 1 < nchan && found[i + 1] != 0);
}

/* Cells of w->rest that stand out along their integrations; neighbours in time are compared to
 * know how much they are like each other, those in frequency share samples. */
static void find_changes(unsigned char *found, struct work *w, double first)
{
    float excess[THRESHOLD_WINDOWS];
    unsigned char *counts = (unsigned char *)w->some;

    measure_excess(excess, w->rest, w->cells, w->nchan, w->nchan, w->some);
    for (size_t i = 0; i < w->cells; i++)
        counts[i] = w->rest[i] < THRESHOLD_NONE;
    for (size_t t = 0; t < w->ntime; t++)
        unspread(w->rest + t * w->nchan, w->nchan, (float)first * excess[ALIKE]);
    for (size_t i = 0; i < w->cells; i++)
        if (counts[i] != 0 && w->rest[i] >= THRESHOLD_NONE)
            found[i] = ARRAY_INTERFERENCE;
}

int array_changes(unsigned char *found, const struct array_plane *p, double first)
{
    unsigned char *near = malloc(p->ntime * p->nchan);
    struct work w;
    int rc = near == NULL ? -ENOMEM : work_init(&w, p);

    if (rc != 0) {
        free(near);
        return rc;
    }
    spread_found(near, found, p->ntime, p->nchan);
    averages(&w, p, near);
    over_channels(&w);
    cells(&w, near, LEAST_CELL);
    find_changes(found, &w, first);
    work_free(&w);
    free(near);
    return 0;
}

void array_whole(unsigned char *found, size_t ntime, size_t nchan, double most)
{
    for (size_t t = 0; t < ntime; t++) {
        size_t n = 0;

        for (size_t c = 0; c < nchan; c++)
            n += found[t * nchan + c] == ARRAY_INTERFERENCE;
        for (size_t c = 0; (double)n > most * (double)nchan && c < nchan; c++)
            if (found[t * nchan + c] == 0)
                found[t * nchan + c] = ARRAY_TIME;
    }
    for (size_t c = 0; c < nchan; c++) {
        size_t n = 0;

        for (size_t t = 0; t < ntime; t++)
            n += found[t * nchan + c] == ARRAY_INTERFERENCE;
        for (size_t t = 0; (double)n > most * (double)ntime && t < ntime; t++)
            if (found[t * nchan + c] == 0)
                found[t * nchan + c] = ARRAY_CHANNEL;
    }
}
