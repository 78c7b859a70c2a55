#include "pipeline/cal/thermal.h"

#include <complex.h>
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/order.h"
#include "pipeline/cal/gains.h"
#include "pipeline/cal/stokes.h"
#include "pipeline/sky/astro.h"
#include "pipeline/sky/vis.h"

enum {
    ROWS = 4096,     /* about so many are looked at */
    FEW_CHANNELS = 5 /* fewer have no second differences to speak of */
};

/* An autocorrelation above this many times the median of its antenna is interference. */
#define LOUD 4.0

/* Autocorrelations that say so many times more or less noise than the channels show are not in
 * the unit of the data. */
#define FAR 3.0

/* What is at hand while rows are looked at. */
struct job {
    const struct vis *vis;
    const struct stokes *stokes;
    struct gains_lookup lk[STOKES_GAINS];
    size_t nlk;
    size_t hand[2], nhand;
    double sefd_jy;
    const float *loudest; /* [nant][npol] no autocorrelation above it counts; or NULL */
    float complex *line;  /* [nchan] of Stokes I */
    float *weight, *scratch;    /* [nchan] its weight; anything */
    double sum_w, sum, sum_wsq; /* of W, W^2 var, and W x var x raw weight x hands */
    double sum_raw;             /* and of raw weights, for their mean */
    size_t nraw;
};

static float median(float *v, size_t n)
{
    return n > 0 ? order_medianf(v, n) : 0;
}

/* |g1 g2|^2 of all gains of one sample of one polarisation. */
static double power(const struct job *job, size_t row, size_t c, size_t p)
{
    const struct vis *vis = job->vis;
    size_t ant[2] = {(size_t)vis->row_ant1[row], (size_t)vis->row_ant2[row]};
    double all = 1;

    for (size_t i = 0; i < job->nlk; i++) {
        const struct gains_lookup *lk = &job->lk[i];

        for (size_t k = 0; k < 2; k++) {
            size_t line = lk->time_of[vis->row_time[row]] * lk->nant + ant[k];
            float complex g = lk->g[(line * lk->nchan + lk->chan_of[c]) * lk->npol + p];

            all *= (double)crealf(g) * (double)crealf(g) +
                   (double)cimagf(g) * (double)cimagf(g);
        }
    }
    return all;
}

/* The autocorrelation of one sample's antenna; 0 where it does not count. */
static double auto_of(const struct job *job, size_t row, size_t ant, size_t c, size_t p)
{
    const struct vis *vis = job->vis;
    size_t line = ant * vis->ntime + (size_t)vis->row_time[row];
    float a = vis->autos[(line * vis->nchan + c) * vis->npol + p];

    return a > 0 && a <= job->loudest[ant * vis->npol + p] ? (double)a : 0;
}

/* The variance of Stokes I of a sample; 0 when it cannot be told. */
static double variance(const struct job *job, size_t row, size_t c)
{
    const struct vis *vis = job->vis;
    double sum = 0, n = (double)job->nhand;

    for (size_t h = 0; h < job->nhand; h++) {
        size_t p = job->hand[h];
        double w = (double)vis->weight[(row * vis->nchan + c) * vis->npol + p];
        double a = job->sefd_jy * job->sefd_jy;

        if (job->loudest != NULL)
            a = auto_of(job, row, (size_t)vis->row_ant1[row], c, p) *
                auto_of(job, row, (size_t)vis->row_ant2[row], c, p) /
                power(job, row, c, p);
        if (!(w > 0) || !(a > 0) || !isfinite(a))
            return 0;
        sum += a / w;
    }
    return sum / (n * n);
}

static double raw_weight(const struct job *job, size_t row, size_t c)
{
    const struct vis *vis = job->vis;
    double sum = 0;

    for (size_t h = 0; h < job->nhand; h++)
        sum += (double)vis->weight[(row * vis->nchan + c) * vis->npol + job->hand[h]];
    return sum / (double)job->nhand;
}

static void add_row(struct job *job, size_t row)
{
    for (size_t c = 0; c < job->vis->nchan; c++) {
        double w = (double)job->weight[c], var;

        if (!(w > 0) || !((var = variance(job, row, c)) > 0))
            continue;
        job->sum_w += w;
        job->sum += w * w * var;
        job->sum_wsq += w * var * raw_weight(job, row, c) * (double)job->nhand;
    }
}

static bool evenly_spaced(const struct vis *vis, size_t c)
{
    return fabs(vis->freq_hz[c - 1] - 2 * vis->freq_hz[c] + vis->freq_hz[c + 1]) <
           0.01 * vis->width_hz[c];
}

/* A row by its second differences: their squares over what the weights say have the mean scale^2,
 * and a median that is ln 2 times that. */
static void add_differences(struct job *job, size_t row)
{
    const float complex *v = job->line;
    const float *w = job->weight;
    double sum_w = 0, sum_per = 0, scale2;
    size_t n = 0;

    for (size_t c = 1; c + 1 < job->vis->nchan; c++) {
        float complex d;
        float var;

        if (!(w[c - 1] > 0 && w[c] > 0 && w[c + 1] > 0) || !evenly_spaced(job->vis, c))
            continue;
        d = v[c - 1] - 2 * v[c] + v[c + 1];
        var = 1 / w[c - 1] + 4 / w[c] + 1 / w[c + 1];
        job->scratch[n++] = (crealf(d) * crealf(d) + cimagf(d) * cimagf(d)) / (2 * var);
        sum_w += (double)w[c];
        sum_per += raw_weight(job, row, c) * (double)job->nhand;
    }
    if (n + 2 < FEW_CHANNELS)
        return;
    scale2 = (double)median(job->scratch, n) / M_LN2;
    job->sum_w += sum_w;
    job->sum += sum_w * scale2;
    job->sum_wsq += sum_per * scale2;
}

static void look(struct job *job, bool differences)
{
    const struct vis *vis = job->vis;
    size_t step = vis->nrow / ROWS | 1; /* odd: all baselines have their turn */

    job->sum_w = job->sum = job->sum_wsq = job->sum_raw = 0;
    job->nraw = 0;
    for (size_t row = 0; row < vis->nrow; row += step) {
        stokes_row(job->stokes, row, job->line, job->weight);
        for (size_t c = 0; c < vis->nchan; c++)
            if (job->weight[c] > 0) {
                job->sum_raw += raw_weight(job, row, c);
                job->nraw++;
            }
        if (differences)
            add_differences(job, row);
        else
            add_row(job, row);
    }
}

/* For each antenna and polarisation LOUD times the median over a good number of its samples. */
static int find_loudest(const struct vis *vis, float *loudest)
{
    size_t n = vis->ntime * vis->nchan, step = n / 1000 | 1;
    float *some = malloc((n / step + 1) * sizeof *some);

    if (some == NULL)
        return -ENOMEM;
    for (size_t a = 0; a < vis->nant; a++) {
        for (size_t p = 0; p < vis->npol; p++) {
            size_t have = 0;

            for (size_t k = 0; k < n; k += step) {
                float x = vis->autos[(a * n + k) * vis->npol + p];

                if (x > 0)
                    some[have++] = x;
            }
            loudest[a * vis->npol + p] = (float)LOUD * median(some, have);
        }
    }
    free(some);
    return 0;
}

static void finish(const struct job *job, struct thermal *out, const char *from)
{
    if (!(job->sum_w > 0) || !(job->sum > 0))
        return;
    out->from = from;
    out->scale = sqrt(job->sum / job->sum_w);
    out->weight = job->sum_raw / (double)job->nraw;
}

static int by_autos(struct job *job, struct thermal *out)
{
    const struct vis *vis = job->vis;
    float *loudest = calloc(vis->nant * vis->npol, sizeof *loudest);
    int rc = loudest != NULL ? find_loudest(vis, loudest) : -ENOMEM;

    if (rc == 0) {
        job->loudest = loudest;
        look(job, false);
        finish(job, out, "autos");
        if (job->sum_w > 0)
            out->sefd_jy = sqrt(job->sum_wsq / job->sum_w);
        job->loudest = NULL;
    }
    free(loudest);
    return rc;
}

/* By sefd_jy of the job; by differences of channels when that is not known. */
static void by_rows(struct job *job, struct thermal *out)
{
    bool differences = !(job->sefd_jy > 0);

    look(job, differences);
    finish(job, out, differences ? "channels" : "settings");
    if (job->sum_w > 0)
        out->sefd_jy = differences ? sqrt(job->sum_wsq / job->sum_w) : job->sefd_jy;
}

static int measure(struct job *job, struct thermal *out)
{
    double sefd_jy = job->sefd_jy;
    struct thermal channels = *out;
    int rc = job->vis->autos != NULL ? by_autos(job, out) : 0;

    if (rc != 0)
        return rc;
    if (isfinite(out->scale)) { /* in the unit of the data?  Some are normalised. */
        job->sefd_jy = 0;
        by_rows(job, &channels);
        job->sefd_jy = sefd_jy;
        if (!(out->scale > FAR * channels.scale || out->scale * FAR < channels.scale))
            return 0;
    }
    by_rows(job, out);
    return 0;
}

static int open_job(struct job *job, const struct gains *const *gains, struct err *e)
{
    const struct vis *vis = job->vis;

    for (size_t p = 0; p < vis->npol && job->nhand < 2; p++)
        if (gains_parallel(vis->pol[p]))
            job->hand[job->nhand++] = p;
    job->line = malloc(vis->nchan * sizeof *job->line);
    job->weight = malloc(vis->nchan * sizeof *job->weight);
    job->scratch = malloc(vis->nchan * sizeof *job->scratch);
    if (job->line == NULL || job->weight == NULL || job->scratch == NULL)
        return err_set(e, -ENOMEM, "no memory for a row of %s", vis->object);
    for (size_t i = 0; i < STOKES_GAINS; i++) {
        int rc = gains[i] != NULL
                     ? gains_lookup_init(&job->lk[job->nlk++], vis, gains[i], e)
                     : 0;

        if (rc != 0)
            return rc;
    }
    return 0;
}

int thermal_measure(struct thermal *out, const struct vis *vis,
                    const struct gains *const *gains, const struct stokes *stokes,
                    double sefd_jy, struct err *e)
{
    struct job job = {.vis = vis, .stokes = stokes, .sefd_jy = sefd_jy};
    int rc = open_job(&job, gains, e);

    *out =
        (struct thermal){.from = "none", .scale = NAN, .sefd_jy = NAN, .weight = NAN};
    if (rc == 0 && (rc = measure(&job, out)) != 0)
        err_set(e, rc, "no memory for the autocorrelations of %s", vis->object);
    for (size_t i = 0; i < job.nlk; i++)
        gains_lookup_close(&job.lk[i]);
    free(job.line);
    free(job.weight);
    free(job.scratch);
    return rc;
}

/*
 * The phase of s + n, n complex with variance 1 in either part, has the density
 *   exp(-s^2/2) / 2 pi  +  x phi(s sin t) Phi(x),  x = s cos t
 * (Thompson, Moran & Swenson 2017, eq. 6.63b); its second moment by Simpson's rule.
 */
double thermal_phase_rms_deg(double snr)
{
    enum { STEPS = 2000 };
    double sum = 0, h = M_PI / STEPS;

    if (!(snr > 0))
        snr = 0;
    if (snr > 100)
        return 1 / snr / ASTRO_DEG;
    for (int i = 0; i <= STEPS; i++) {
        double t = i * h, x = snr * cos(t), y = snr * sin(t);
        double p = exp(-0.5 * snr * snr) / (2 * M_PI) +
                   x * exp(-0.5 * y * y) / sqrt(2 * M_PI) * 0.5 * erfc(-x / M_SQRT2);

        sum += (i == 0 || i == STEPS ? 1 : i % 2 ? 4 : 2) * t * t * p;
    }
    return sqrt(2 * sum * h / 3) / ASTRO_DEG;
}
