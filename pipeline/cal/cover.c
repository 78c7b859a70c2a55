#include "pipeline/cal/cover.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/parallel.h"
#include "pipeline/cal/gains.h"
#include "pipeline/cal/lines.h"
#include "pipeline/sky/vis.h"

/* Parts of the rows that are added up apart, whatever the threads; rows added in float. */
enum { PARTS = 16, FOLD_ROWS = 32 };

struct job {
    const struct vis *vis;
    struct cover part[PARTS];
    float *line; /* [PARTS][nchan npol] */
};

static size_t cover_doubles(const struct vis *vis)
{
    return vis->ntime + vis->nchan + 2 * vis->nant;
}

static void cover_place(struct cover *c, const struct vis *vis, double *store)
{
    *c = (struct cover){.time_w = store,
                        .chan_w = store + vis->ntime,
                        .samples = store + vis->ntime + vis->nchan,
                        .snr = store + vis->ntime + vis->nchan + vis->nant};
}

static void fold(struct cover *c, const struct vis *vis, float *line)
{
    for (size_t k = 0; k < vis->nchan * vis->npol; k++)
        c->chan_w[k / vis->npol] += (double)line[k];
    memset(line, 0, vis->nchan * vis->npol * sizeof *line);
}

static void add_row(struct cover *c, const struct vis *vis, size_t row, float *line)
{
    const struct line_code *code = line_code();
    size_t n = vis->nchan * vis->npol;
    const float *w = vis->weight + row * n;
    double count = 0;

    for (size_t k = 0; k < n; k += LINE)
        code->cover(line + k, &c->time_w[vis->row_time[row]], &count, w + k,
                    n - k < LINE ? n - k : LINE);
    c->samples[vis->row_ant1[row]] += count;
    c->samples[vis->row_ant2[row]] += count;
}

static void do_parts(void *arg, size_t lo, size_t hi)
{
    struct job *job = arg;
    const struct vis *vis = job->vis;

    for (size_t i = lo; i < hi; i++) {
        float *line = job->line + i * vis->nchan * vis->npol;
        size_t first = vis->nrow * i / PARTS, end = vis->nrow * (i + 1) / PARTS;

        for (size_t row = first; row < end; row++) {
            add_row(&job->part[i], vis, row, line);
            if ((row - first) % FOLD_ROWS == FOLD_ROWS - 1 || row + 1 == end)
                fold(&job->part[i], vis, line);
        }
    }
}

int cover_alloc(struct cover *c, const struct vis *vis, struct err *e)
{
    double *store = calloc(cover_doubles(vis), sizeof *store);

    if (store == NULL)
        return err_set(e, -ENOMEM, "no memory for the weights of %zu channels",
                       vis->nchan);
    cover_place(c, vis, store);
    c->store = store;
    return 0;
}

int cover_init(struct cover *c, const struct vis *vis, size_t threads, struct err *e)
{
    struct job job = {.vis = vis};
    size_t n = cover_doubles(vis);
    double *store = calloc((PARTS + 1) * n, sizeof *store);
    int rc = 0;

    job.line = calloc(PARTS * vis->nchan * vis->npol, sizeof *job.line);
    if (store == NULL || job.line == NULL) {
        free(store);
        rc = err_set(e, -ENOMEM, "no memory for the weights of %zu channels",
                     vis->nchan);
        goto out;
    }
    for (size_t i = 0; i < PARTS; i++)
        cover_place(&job.part[i], vis, store + (i + 1) * n);
    parallel_run_by(threads, PARTS, do_parts, &job);
    for (size_t i = 1; i <= PARTS; i++)
        for (size_t k = 0; k < n; k++)
            store[k] += store[i * n + k];
    cover_place(c, vis, store);
    c->store = store;
out:
    free(job.line);
    return rc;
}

void cover_close(struct cover *c)
{
    free(c->store);
    *c = (struct cover){0};
}

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

void cover_axes(const struct cover *c, struct gains *g, const struct vis *vis,
                size_t time_block, size_t chan_block)
{
    block_means(g->time_jd, vis->time_jd, c->time_w, vis->ntime, time_block);
    block_means(g->freq_hz, vis->freq_hz, c->chan_w, vis->nchan, chan_block);
}
