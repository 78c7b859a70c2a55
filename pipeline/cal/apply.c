/*
 * apply.c: see apply.h.  Baselines are shared out among threads, so that gains which do not
 * change in time are looked up once for each; all that a line of samples needs is done while
 * it is in the cache.
 */
#include "pipeline/cal/apply.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/parallel.h"
#include "pipeline/cal/gains.h"
#include "pipeline/cal/lines.h"
#include "pipeline/cal/model.h"
#include "pipeline/cal/rows.h"
#include "pipeline/sky/vis.h"

/* Of long rows every fourth line is enough for an rms, another one in each row; and of many rows
 * every fourth. */
enum { SPARSE = 4, MANY_ROWS = 20000 };

/* Of one baseline, to be added up in the order of baselines whoever did them. */
struct phase_sum {
    double sum[APPLY_MOST + 1], sum_w[APPLY_MOST + 1];
};

struct job {
    const struct vis *vis;
    struct vis *change;        /* vis, to be calibrated; or NULL */
    const struct model *model; /* or NULL */
    const struct line_code *code;
    struct rows rows;
    size_t ngains, nparts;
    size_t sparse, sparse_rows; /* phases are taken of one line, one row in so many */
    struct gains_lookup lk[APPLY_MOST];
    struct gains_line line[PARALLEL_MOST][APPLY_MOST];
    struct phase_sum *phase; /* [rows.nbl] */
    float use[LINE];         /* 1 for parallel hands, else 0 */
    float one[LINE], zero[LINE];
};

/* Samples [k, k + n) of one row. */
static void do_line(const struct job *job, const struct gains_line *line, size_t row,
                    struct model_row *model, size_t k, size_t n, struct phase_sum *sum)
{
    const struct line_code *code = job->code;
    size_t npol = job->vis->npol, at = row * job->vis->nchan * npol + k;
    const float complex *v = job->vis->data + at;
    const float *w = job->vis->weight + at;
    float mr[LINE], mi[LINE], both_re[LINE], both_im[LINE];
    const float *kr = job->one, *ki = job->zero;
    bool measure = job->model != NULL && (k / LINE + row) % job->sparse == 0;

    if (!measure && job->change == NULL)
        return;
    if (measure) {
        model_row_line(model, k / npol, n / npol, mr, mi);
        code->phase(&sum->sum[0], &sum->sum_w[0], v, w, mr, mi, kr, ki, job->use, n);
    }
    for (size_t i = 0; i < job->ngains; i++) {
        const float *re = line[i].re + k * line[i].step;
        const float *im = line[i].im + k * line[i].step;

        if (i == 0) {
            kr = re;
            ki = im;
        } else {
            code->times(both_re, both_im, kr, ki, re, im, n);
            kr = both_re;
            ki = both_im;
        }
        if (measure)
            code->phase(&sum->sum[i + 1], &sum->sum_w[i + 1], v, w, mr, mi, kr, ki,
                        job->use, n);
    }
    if (job->ngains > 0 && job->change != NULL)
        code->apply(job->change->data + at, job->change->weight + at, kr, ki, n);
}

static void do_part(void *arg, size_t lo, size_t hi)
{
    struct job *job = arg;
    size_t nline = job->vis->nchan * job->vis->npol;

    for (size_t part = lo; part < hi; part++) {
        size_t end = rows_part(&job->rows, part + 1, job->nparts);

        for (size_t bl = rows_part(&job->rows, part, job->nparts); bl < end; bl++) {
            for (size_t i = job->rows.start[bl]; i < job->rows.start[bl + 1]; i++) {
                size_t row = job->rows.order[i];
                struct model_row model;

                if (i % job->sparse_rows != 0)
                    continue;
                for (size_t g = 0; g < job->ngains; g++)
                    gains_line_row(&job->line[part][g], job->vis, row, 0,
                                   job->vis->nchan);
                if (job->model != NULL)
                    model_row(&model, job->model, job->vis, row, job->code);
                for (size_t k = 0; k < nline; k += LINE)
                    do_line(job, job->line[part], row, &model, k,
                            nline - k < LINE ? nline - k : LINE, &job->phase[bl]);
            }
        }
    }
}

static int prepare(struct job *job, const struct apply *a, struct err *e)
{
    const struct vis *vis = job->vis;
    int rc = rows_init(&job->rows, vis, e);

    if (rc != 0)
        return rc;
    job->sparse = vis->nchan * vis->npol >= SPARSE * SPARSE * LINE ? SPARSE : 1;
    job->nparts = rows_parts(&job->rows, a->threads);
    job->phase = calloc(job->rows.nbl + 1, sizeof *job->phase);
    if (job->phase == NULL)
        return err_set(e, -ENOMEM, "no memory for the phases of %zu baselines",
                       job->rows.nbl);
    for (size_t i = 0; rc == 0 && i < APPLY_MOST; i++)
        if (a->gains[i] != NULL)
            rc = gains_lookup_init(&job->lk[job->ngains++], vis, a->gains[i], e);
    for (size_t part = 0; part < job->nparts; part++)
        for (size_t i = 0; rc == 0 && i < job->ngains; i++)
            rc = gains_line_init(&job->line[part][i], &job->lk[i], vis->nchan, e);
    for (size_t k = 0; k < LINE; k++) {
        job->use[k] = gains_parallel(vis->pol[k % vis->npol]) ? 1.0F : 0.0F;
        job->one[k] = 1;
    }
    return rc;
}

/* The sums of all baselines into degrees. */
static void finish_phases(struct apply *a, const struct job *job)
{
    size_t at = 0;

    for (size_t i = 0; i <= APPLY_MOST; i++) {
        double sum = 0, sum_w = 0;

        a->phase_rms_deg[i] = NAN;
        if (job->model == NULL || (i > 0 && a->gains[i - 1] == NULL))
            continue;
        for (size_t bl = 0; bl < job->rows.nbl; bl++) {
            sum += job->phase[bl].sum[at];
            sum_w += job->phase[bl].sum_w[at];
        }
        a->phase_rms_deg[i] = sum_w > 0 ? sqrt(sum / sum_w) / ASTRO_DEG : 0;
        at++;
    }
}

static int run_job(const struct vis *vis, struct vis *change, struct apply *a,
                   struct err *e)
{
    struct job *job = calloc(1, sizeof *job);
    int rc;

    if (job == NULL)
        return err_set(e, -ENOMEM, "no memory to apply gains");
    job->vis = vis;
    job->change = change;
    job->sparse_rows = change == NULL && vis->nrow >= MANY_ROWS ? SPARSE : 1;
    job->model = a->model;
    job->code = line_code();
    rc = prepare(job, a, e);
    if (rc == 0) {
        parallel_run_by(job->nparts, job->nparts, do_part, job);
        finish_phases(a, job);
    }
    for (size_t i = 0; i < APPLY_MOST; i++) {
        for (size_t part = 0; part < PARALLEL_MOST; part++)
            gains_line_close(&job->line[part][i]);
        gains_lookup_close(&job->lk[i]);
    }
    rows_close(&job->rows);
    free(job->phase);
    free(job);
    return rc;
}

int apply_gains(struct vis *vis, struct apply *a, struct err *e)
{
    return run_job(vis, vis, a, e);
}

int apply_measure(const struct vis *vis, struct apply *a, struct err *e)
{
    return run_job(vis, NULL, a, e);
}
