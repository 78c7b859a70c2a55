/*
 * flag.c: see flag.h.  The order of the work, and who holds what; loops are in threshold.c.
 */
#include "pipeline/flag/flag.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/mem.h"
#include "core/parallel.h"
#include "pipeline/flag/array.h"
#include "pipeline/flag/bands.h"
#include "pipeline/flag/health.h"
#include "pipeline/flag/shape.h"
#include "pipeline/flag/threshold.h"
#include "pipeline/sky/vis.h"

/* What one baseline may add to the array's average, in its scatter. */
static const float MOST_SCATTERS = 8;
/* The least scatter that is believed, of the level: data without noise have ripple. */
static const float LEAST_SPREAD = 0.02F;
/* What all baselines show is looked for somewhat deeper: it is few numbers. */
static const double TOGETHER = 5.5 / 6;
/* With fewer cells than this nothing is known of their scatter. */
enum { LEAST_CELLS = 48 };
/* Share of bad samples of a cell, channel or integration that makes it bad altogether. */
static const double MOST_BAD = 0.5;

/* Windows on one baseline: longer ones would find the fringes of sources, and the roughness of
 * its band. */
enum { NO_ROW = -1, PLANES = 5, OWN_WINDOWS = 3 };

struct job {
    struct vis *vis;
    const struct threshold_code *code;
    size_t wide; /* nchan npol */
    float chi[THRESHOLD_WINDOWS];
    double first;
    unsigned char *known; /* [nchan] */
    bool any_known;
    size_t nbl;
    int (*pair)[2];        /* [nbl] antennas */
    ptrdiff_t *row;        /* [nbl][ntime] or NO_ROW */
    float *coherence;      /* [nbl][npol] */
    float *samples, *hits; /* [nbl] valid samples, and those found bad among them */
    unsigned char *found;  /* [ntime][nchan] */
    struct worker *worker;
    size_t nworker, next;
    uint64_t count[ARRAY_TIME + 1];
};

/* What a thread writes to. */
struct worker {
    float *all;                                  /* the memory of what follows */
    float *size, *r;                             /* [ntime][wide] of one baseline */
    float *sum, *count, *change, *nchange, *hit; /* [ntime][wide] of all */
    float *scale, *per, *most, *lag_re, *lag_im, *power; /* [wide] */
    float *work;                                         /* [ntime][wide] */
    uint64_t given, known, baseline;
    int rc;
};

static void worker_free(struct worker *w)
{
    free(w->all);
}

static int worker_init(struct worker *w, const struct job *job)
{
    size_t plane = job->vis->ntime * job->wide, lines = 6 * job->wide;
    float **planes[] = {&w->size,   &w->r,       &w->sum, &w->count,
                        &w->change, &w->nchange, &w->hit};
    float **line[] = {&w->scale, &w->per, &w->most, &w->lag_re, &w->lag_im, &w->power};
    float *at = mem_huge(((3 + PLANES) * plane + lines) * sizeof *at);

    *w = (struct worker){.all = at};
    if (at == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < 2 + PLANES; i++, at += plane)
        *planes[i] = at;
    for (size_t i = 0; i < 6; i++, at += job->wide)
        *line[i] = at;
    w->work = at;
    return 0;
}

/* ---- the rows of each baseline ---- */

static int find_baselines(struct job *job)
{
    const struct vis *vis = job->vis;
    int *index = calloc(vis->nant * vis->nant, sizeof *index);

    if (index == NULL)
        return -ENOMEM;
    for (size_t row = 0; row < vis->nrow; row++) {
        int *at =
            &index[(size_t)vis->row_ant1[row] * vis->nant + (size_t)vis->row_ant2[row]];

        if (*at == 0)
            *at = (int)++job->nbl;
    }
    job->pair = calloc(job->nbl, sizeof *job->pair);
    job->row = malloc(job->nbl * vis->ntime * sizeof *job->row);
    job->coherence = calloc(job->nbl * vis->npol, sizeof *job->coherence);
    job->samples = calloc(job->nbl, sizeof *job->samples);
    job->hits = calloc(job->nbl, sizeof *job->hits);
    if (!job->pair || !job->row || !job->coherence || !job->samples || !job->hits) {
        free(index);
        return -ENOMEM;
    }
    for (size_t i = 0; i < job->nbl * vis->ntime; i++)
        job->row[i] = NO_ROW;
    for (size_t row = 0; row < vis->nrow; row++) {
        int a = vis->row_ant1[row], b = vis->row_ant2[row];
        size_t bl = (size_t)index[(size_t)a * vis->nant + (size_t)b] - 1;

        job->pair[bl][0] = a;
        job->pair[bl][1] = b;
        job->row[bl * vis->ntime + (size_t)vis->row_time[row]] = (ptrdiff_t)row;
    }
    free(index);
    return 0;
}

/* ---- one baseline ---- */

/* Weights of known bands, whatever is in them. */
static void drop_known(const struct job *job, struct worker *w, float *weight)
{
    size_t npol = job->vis->npol;

    for (size_t c = 0; job->any_known && c < job->vis->nchan; c++)
        for (size_t p = 0; job->known[c] != 0 && p < npol; p++)
            if (weight[c * npol + p] > 0) {
                weight[c * npol + p] = 0;
                w->known++;
            }
}

static void expect(const struct job *job, struct worker *w)
{
    const struct vis *vis = job->vis;

    for (size_t p = 0; p < vis->npol; p++) {
        int rc = shape_band(w->scale, w->size, vis->ntime, vis->nchan, vis->npol, p);
        float spread = rc != 0 ? NAN
                               : shape_spread(w->size, w->scale, vis->ntime, vis->nchan,
                                              vis->npol, p);

        if (vis->ntime * vis->nchan < LEAST_CELLS)
            rc = -1; /* nothing is far off */
        spread = spread > LEAST_SPREAD ? spread : LEAST_SPREAD;
        for (size_t k = p; k < job->wide; k += vis->npol) {
            w->scale[k] = rc == 0 && w->scale[k] > 0 ? 1 / w->scale[k] : 0;
            w->per[k] = rc == 0 ? 1 / spread : 0;
            w->most[k] = 1 + MOST_SCATTERS * spread;
        }
    }
}

/* Weights to 0 where interference was found; sums of what is left. */
static void finish(const struct job *job, struct worker *w, size_t bl,
                   const size_t *none)
{
    const struct vis *vis = job->vis;

    memset(w->lag_re, 0, job->wide * sizeof *w->lag_re);
    memset(w->lag_im, 0, job->wide * sizeof *w->lag_im);
    memset(w->power, 0, job->wide * sizeof *w->power);
    for (size_t t = 0; t < vis->ntime; t++) {
        ptrdiff_t row = job->row[bl * vis->ntime + t];
        const float *r = w->r + t * job->wide;
        size_t at = (size_t)row * job->wide, bad;

        if (row == NO_ROW || none[t] == job->wide)
            continue;
        bad = job->code->mark(vis->weight + at, w->hit + t * job->wide, r, job->wide) -
              none[t];
        w->baseline += bad;
        job->hits[bl] += (float)bad;
        job->samples[bl] += (float)(job->wide - none[t]);
        if (vis->nchan >= 3)
            job->code->changes(w->change + t * job->wide, w->nchange + t * job->wide,
                               w->lag_re, w->lag_im, w->power, vis->data + at, r,
                               w->scale, job->wide, vis->npol);
    }
    for (size_t p = 0; p < vis->npol; p++) {
        double re = 0, im = 0, power = 0;

        for (size_t k = p; k < job->wide; k += vis->npol) {
            re += (double)w->lag_re[k];
            im += (double)w->lag_im[k];
            power += (double)w->power[k];
        }
        job->coherence[bl * vis->npol + p] =
            power > 0 ? (float)(hypot(re, im) / power) : NAN;
    }
}

static void do_baseline(const struct job *job, struct worker *w, size_t bl,
                        size_t *none)
{
    const struct vis *vis = job->vis;
    size_t valid = 0;

    for (size_t t = 0; t < vis->ntime; t++) {
        ptrdiff_t row = job->row[bl * vis->ntime + t];
        float *size = w->size + t * job->wide;
        size_t at = (size_t)row * job->wide, known = w->known;

        none[t] = job->wide;
        if (row == NO_ROW) {
            for (size_t k = 0; k < job->wide; k++)
                size[k] = THRESHOLD_NONE;
            continue;
        }
        drop_known(job, w, vis->weight + at);
        none[t] = job->code->sizes(size, vis->data + at, vis->weight + at, job->wide);
        w->given += none[t] - (w->known - known);
        valid += job->wide - none[t];
    }
    if (valid == 0) {
        for (size_t p = 0; p < vis->npol; p++)
            job->coherence[bl * vis->npol + p] = NAN;
        return;
    }
    expect(job, w);
    for (size_t t = 0; t < vis->ntime; t++) {
        size_t at = t * job->wide;

        job->code->distance(w->r + at, w->sum + at, w->count + at, w->size + at,
                            w->scale, w->per, w->most, job->wide);
        job->code->windows(w->r + at, job->wide, vis->npol, job->chi, 0, OWN_WINDOWS,
                           w->work);
    }
    job->code->windows(w->r, vis->ntime * job->wide, job->wide, job->chi, 1,
                       OWN_WINDOWS, w->work);
    finish(job, w, bl, none);
}

static void do_baselines(void *arg, size_t lo, size_t hi)
{
    struct job *job = arg;
    struct worker *w =
        &job->worker[__atomic_fetch_add(&job->next, 1, __ATOMIC_RELAXED)];
    size_t *none = malloc(job->vis->ntime * sizeof *none);

    w->rc = none == NULL ? -ENOMEM : worker_init(w, job);
    for (size_t bl = lo; w->rc == 0 && bl < hi; bl++)
        do_baseline(job, w, bl, none);
    free(none);
}

/* ---- all baselines ---- */

/* out [ntime][nchan]: a plane of all threads and hands. */
static void gather(float *out, const struct job *job, size_t plane)
{
    size_t npol = job->vis->npol, cells = job->vis->ntime * job->vis->nchan;

    memset(out, 0, cells * sizeof *out);
    for (size_t i = 0; i < job->nworker; i++) {
        const struct worker *w = &job->worker[i];
        const float *const from[PLANES] = {w->sum, w->count, w->change, w->nchange,
                                           w->hit};

        for (size_t k = 0; w->all != NULL && k < cells; k++)
            for (size_t p = 0; p < npol; p++)
                out[k] += from[plane][k * npol + p];
    }
}

/* Differences across a gap between sub-bands mean nothing. */
static void drop_gaps(float *count, const struct vis *vis)
{
    for (size_t c = 1; c + 1 < vis->nchan; c++) {
        double bend = vis->freq_hz[c + 1] - 2 * vis->freq_hz[c] + vis->freq_hz[c - 1];

        for (size_t t = 0; fabs(bend) > 0.01 * vis->width_hz[c] && t < vis->ntime; t++)
            count[t * vis->nchan + c] = 0;
    }
}

/* Where most baselines found something by themselves, all have it. */
static void find_common(const struct job *job, const float *hit, const float *count)
{
    for (size_t i = 0; i < job->vis->ntime * job->vis->nchan; i++)
        if (job->found[i] == 0 && count[i] > 0 && hit[i] > (float)MOST_BAD * count[i])
            job->found[i] = ARRAY_INTERFERENCE;
}

static int find_together(struct job *job)
{
    const struct vis *vis = job->vis;
    size_t cells = vis->ntime * vis->nchan;
    float *plane = malloc(PLANES * cells * sizeof *plane);
    struct array_plane p = {.ntime = vis->ntime, .nchan = vis->nchan};
    int rc;

    job->found = calloc(cells, 1);
    if (plane == NULL || job->found == NULL) {
        free(plane);
        return -ENOMEM;
    }
    for (size_t i = 0; i < PLANES; i++)
        gather(plane + i * cells, job, i);
    p.sum = plane;
    p.count = plane + cells;
    if (cells < LEAST_CELLS) {
        free(plane);
        return 0;
    }
    rc = array_sizes(job->found, &p, TOGETHER * job->first);
    p.sum = plane + 2 * cells;
    p.count = plane + 3 * cells;
    drop_gaps(plane + 3 * cells, vis);
    if (rc == 0 && vis->nchan >= 3)
        rc = array_changes(job->found, &p, TOGETHER * job->first);
    find_common(job, plane + 4 * cells, plane + cells);
    array_whole(job->found, vis->ntime, vis->nchan, MOST_BAD);
    free(plane);
    return rc;
}

/* Weights of what was found together; rows lo to hi-1. */
static void drop_found(void *arg, size_t lo, size_t hi)
{
    struct job *job = arg;
    const struct vis *vis = job->vis;
    uint64_t count[ARRAY_TIME + 1] = {0};

    for (size_t row = lo; row < hi; row++) {
        const unsigned char *found =
            job->found + (size_t)vis->row_time[row] * vis->nchan;
        float *w = vis->weight + row * job->wide;

        for (size_t c = 0; c < vis->nchan; c++)
            for (size_t p = 0; found[c] != 0 && p < vis->npol; p++)
                if (w[c * vis->npol + p] > 0) {
                    w[c * vis->npol + p] = 0;
                    count[found[c]]++;
                }
    }
    for (int i = 0; i <= ARRAY_TIME; i++)
        __atomic_fetch_add(&job->count[i], count[i], __ATOMIC_RELAXED);
}

/* All samples of antennas that are too noisy; how many they were. */
static uint64_t drop_antennas(struct job *job, const enum flag_health *health)
{
    const struct vis *vis = job->vis;
    uint64_t n = 0;

    for (size_t row = 0; row < vis->nrow; row++) {
        float *w = vis->weight + row * job->wide;

        if (health[vis->row_ant1[row]] != FLAG_NOISY &&
            health[vis->row_ant2[row]] != FLAG_NOISY)
            continue;
        for (size_t k = 0; k < job->wide; k++) {
            n += w[k] > 0;
            w[k] = 0;
        }
    }
    return n;
}

/* ---- in order ---- */

static int prepare(struct job *job, const struct flag_opts *opts)
{
    const struct vis *vis = job->vis;
    int rc;

    job->code = threshold_code();
    job->wide = vis->nchan * vis->npol;
    job->first = opts->threshold > 0 ? opts->threshold : 6;
    threshold_limits(job->chi, job->first);
    job->nworker = opts->threads < 1               ? 1
                   : opts->threads > PARALLEL_MOST ? PARALLEL_MOST
                                                   : opts->threads;
    job->worker = calloc(job->nworker, sizeof *job->worker);
    job->known = calloc(vis->nchan, 1);
    if (job->worker == NULL || job->known == NULL)
        return -ENOMEM;
    for (size_t c = 0; c < vis->nchan; c++) {
        job->known[c] = bands_touch(opts->known, vis->freq_hz[c], vis->width_hz[c]);
        job->any_known |= job->known[c] != 0;
    }
    if ((rc = find_baselines(job)) != 0)
        return rc;
    parallel_run_by(job->nworker, job->nbl, do_baselines, job);
    for (size_t i = 0; rc == 0 && i < job->nworker; i++)
        rc = job->worker[i].rc;
    return rc;
}

static void job_free(struct job *job)
{
    for (size_t i = 0; job->worker != NULL && i < job->nworker; i++)
        worker_free(&job->worker[i]);
    free(job->worker);
    free(job->known);
    free(job->pair);
    free(job->row);
    free(job->coherence);
    free(job->samples);
    free(job->hits);
    free(job->found);
}

static void fill_report(struct flag_report *r, const struct job *job, uint64_t antenna)
{
    double all = (double)job->vis->nrow * (double)job->wide;
    uint64_t given = 0, known = 0, baseline = 0;

    for (size_t i = 0; i < job->nworker; i++) {
        given += job->worker[i].given;
        known += job->worker[i].known;
        baseline += job->worker[i].baseline;
    }
    r->given = (double)given / all;
    r->known = (double)known / all;
    r->baseline = (double)baseline / all;
    r->array = (double)job->count[ARRAY_INTERFERENCE] / all;
    r->channel = (double)job->count[ARRAY_CHANNEL] / all;
    r->time = (double)job->count[ARRAY_TIME] / all;
    r->antenna = (double)antenna / all;
    r->total = r->given + r->known + r->baseline + r->array + r->channel + r->time +
               r->antenna;
}

int flag_samples(struct vis *vis, const struct flag_opts *opts,
                 struct flag_report *report, struct err *e)
{
    struct job job = {.vis = vis};
    struct health_facts facts;
    int rc;

    *report = (struct flag_report){.nant = vis->nant};
    report->health = calloc(vis->nant, sizeof *report->health);
    rc = report->health == NULL ? -ENOMEM : prepare(&job, opts);
    if (rc == 0)
        rc = find_together(&job);
    if (rc == 0) {
        parallel_run_by(job.nworker, vis->nrow, drop_found, &job);
        facts = (struct health_facts){.nbl = job.nbl,
                                      .pair = job.pair,
                                      .samples = job.samples,
                                      .hits = job.hits,
                                      .coherence = job.coherence};
        rc = health_judge(report->health, vis, &facts);
    }
    if (rc == 0)
        fill_report(report, &job, drop_antennas(&job, report->health));
    job_free(&job);
    if (rc != 0) {
        flag_report_free(report);
        return err_set(e, rc, "out of memory to find interference in %zu rows",
                       vis->nrow);
    }
    return 0;
}

void flag_report_free(struct flag_report *report)
{
    free(report->health);
    *report = (struct flag_report){0};
}

const char *flag_health_name(enum flag_health health)
{
    static const char *const name[] = {"well", "absent",  "dead",
                                       "deaf", "swapped", "noisy"};

    return name[health];
}
