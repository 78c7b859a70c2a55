/*
 * imager_read.c: the samples are read row by row, by threads that each have a share of the rows;
 * what is left of them are nodes, weights and sums.
 */
#include "pipeline/imaging/imager_parts.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/mem.h"
#include "core/parallel.h"
#include "pipeline/imaging/kernel.h"
#include "pipeline/sky/astro.h"

/* What one thread finds in its share of the rows. */
struct share {
    struct samples_line line;
    struct density density;
    float complex *nodes; /* [nchan + NODE_TAPS] of one row */
    float *re, *im;       /* [nchan] */
    double umax, uall, wmax, uvmax;
    size_t nsample, ndropped;
    double sum, sum_f, sum_var;
    bool changed;
};

struct reading {
    struct imager *im;
    void (*row)(struct reading *rd, size_t row, struct share *share);
    float complex *seen; /* [nodes] a model's, and then the residual's */
    bool weights;        /* no data are wanted */
    size_t nshare;
    struct share share[PARALLEL_MOST];
};

static void close_shares(struct reading *rd)
{
    for (size_t i = 0; i < rd->nshare; i++) {
        samples_line_close(&rd->share[i].line);
        density_close(&rd->share[i].density);
        free(rd->share[i].nodes);
        free(rd->share[i].re);
        free(rd->share[i].im);
    }
}

static int open_shares(struct reading *rd)
{
    const struct imager *im = rd->im;
    size_t nchan = im->s.nchan;
    int rc = 0;

    rd->nshare = im->opts.threads < im->s.nrow ? im->opts.threads : im->s.nrow;
    rd->nshare = rd->nshare < PARALLEL_MOST ? rd->nshare : PARALLEL_MOST;
    for (size_t i = 0; rc == 0 && i < rd->nshare; i++) {
        struct share *share = &rd->share[i];

        rc = samples_line_init(&share->line, nchan);
        share->nodes = malloc((nchan + NODE_TAPS) * sizeof *share->nodes);
        share->re = malloc(nchan * sizeof *share->re);
        share->im = malloc(nchan * sizeof *share->im);
        if (share->nodes == NULL || share->re == NULL || share->im == NULL)
            rc = -ENOMEM;
    }
    return rc;
}

/* Weights of samples that are finer than the pixels are 0. */
static size_t drop_fine(const struct imager *im, size_t r, struct samples_line *line)
{
    const struct samples *s = &im->s;
    const double *uvw = s->uvw_m[r];
    double m = fmax(fabs(uvw[0]), fabs(uvw[1])) / ASTRO_C_M_S;
    size_t dropped = 0;

    if (m * s->freq_hz[s->nchan - 1] * im->opts.cell_rad <= 0.5)
        return 0;
    for (size_t c = 0; c < s->nchan; c++)
        if (line->weight[c] > 0.0f && m * s->freq_hz[c] * im->opts.cell_rad > 0.5) {
            line->weight[c] = 0.0f;
            dropped++;
        }
    return dropped;
}

/* The first time: extent, natural weights and their density. */
static void survey_row(struct reading *rd, size_t r, struct share *share)
{
    struct imager *im = rd->im;
    const struct samples *s = &im->s;
    const double *uvw = s->uvw_m[r];
    const float *w = share->line.weight;
    double m = fmax(fabs(uvw[0]), fabs(uvw[1])) / ASTRO_C_M_S, kmax = 0.0, sum = 0.0;
    size_t n = 0;

    for (size_t c = s->nchan; c-- > 0;)
        if (w[c] > 0.0f) {
            share->uall = fmax(share->uall, m * s->freq_hz[c]);
            break;
        }
    share->ndropped += drop_fine(im, r, &share->line);
    for (size_t c = 0; c < s->nchan; c++) {
        n += w[c] > 0.0f;
        sum += (double)w[c];
    }
    im->row_weight[r] = sum;
    for (size_t c = s->nchan; n > 0 && c-- > 0;)
        if (w[c] > 0.0f) {
            kmax = s->freq_hz[c] / ASTRO_C_M_S;
            break;
        }
    share->nsample += n;
    if (n > 0) {
        share->umax = fmax(share->umax, fabs(uvw[0]) * kmax);
        share->wmax = fmax(share->wmax, fabs(uvw[2]) * kmax);
        share->uvmax = fmax(share->uvmax, hypot(uvw[0], uvw[1]) * kmax);
    }
    if (share->density.cell != NULL && n > 0)
        density_add(&share->density, uvw, s->freq_hz, s->nchan, w);
}

void imager_weigh_row(const struct imager *im, size_t r, struct samples_line *line)
{
    drop_fine(im, r, line);
    if (im->density.cell != NULL && im->row_weight[r] > 0.0)
        density_weigh(&im->density, im->s.uvw_m[r], im->s.freq_hz, im->s.nchan,
                      line->weight);
}

/* The second time: what the samples and their weights leave at the nodes. */
static void gather_row(struct reading *rd, size_t r, struct share *share)
{
    struct imager *im = rd->im;
    const struct samples *s = &im->s;
    const float *w = share->line.weight;
    double natural = im->row_weight[r], sum = 0.0, sum_f = 0.0, sum_var = 0.0;

    if (im->density.cell == NULL || !(natural > 0.0)) {
        imager_weigh_row(im, r, &share->line);
        for (size_t c = 0; c < s->nchan; c++)
            sum_var += (double)w[c];
    } else {
        memcpy(share->re, w, s->nchan * sizeof *w);
        imager_weigh_row(im, r, &share->line);
        for (size_t c = 0; c < s->nchan; c++)
            sum_var += w[c] > 0.0f ? (double)(w[c] * w[c] / share->re[c]) : 0.0;
    }
    for (size_t c = 0; c < s->nchan; c++) {
        sum += (double)w[c];
        sum_f += (double)w[c] * s->freq_hz[c];
    }
    im->row_weight[r] = sum;
    share->sum += sum;
    share->sum_f += sum_f;
    share->sum_var += sum_var;
    nodes_gather(&im->nodes, r, share->line.data, w, im->data + im->nodes.start[r],
                 im->weight + im->nodes.start[r]);
}

/* Other data, the same weights: then their sum is the same to the last bit. */
static void load_row(struct reading *rd, size_t r, struct share *share)
{
    struct imager *im = rd->im;
    const float *w = share->line.weight;
    double sum = 0.0;

    imager_weigh_row(im, r, &share->line);
    for (size_t c = 0; c < im->s.nchan; c++)
        sum += (double)w[c];
    share->changed |= sum < im->row_weight[r] || sum > im->row_weight[r];
    nodes_gather(&im->nodes, r, share->line.data, w, im->data + im->nodes.start[r],
                 NULL);
}

static void read_rows(void *arg, size_t lo, size_t hi)
{
    struct reading *rd = arg;
    size_t nrow = rd->im->s.nrow;

    for (size_t i = lo; i < hi; i++)
        for (size_t r = nrow * i / rd->nshare; r < nrow * (i + 1) / rd->nshare; r++) {
            (rd->weights ? samples_weights : samples_fetch)(&rd->im->s, r,
                                                            &rd->share[i].line);
            rd->row(rd, r, &rd->share[i]);
        }
}

static void read_all(struct reading *rd)
{
    parallel_run_by(rd->nshare, rd->nshare, read_rows, rd);
}

/* Join the shares of survey_row. */
static void join_survey(struct imager *im, const struct reading *rd, double *uall)
{
    struct imager_info *info = &im->info;

    for (size_t i = 0; i < rd->nshare; i++) {
        const struct share *share = &rd->share[i];

        info->ndropped += share->ndropped;
        info->nsample += share->nsample;
        info->wmax = fmax(info->wmax, share->wmax);
        info->uvmax_lambda = fmax(info->uvmax_lambda, share->uvmax);
        info->umax_lambda = fmax(info->umax_lambda, share->umax);
        *uall = fmax(*uall, share->uall);
        if (i > 0 && im->density.cell != NULL)
            density_join(&im->density, &share->density);
    }
}

int imager_read_survey(struct imager *im, struct err *e)
{
    struct reading rd = {.im = im, .row = survey_row, .weights = true};
    struct imager_info *info = &im->info;
    double uall = 0.0;
    int rc = open_shares(&rd);

    im->row_weight = calloc(im->s.nrow, sizeof *im->row_weight);
    if (im->row_weight == NULL)
        rc = -ENOMEM;
    for (size_t i = 0; rc == 0 && im->opts.briggs && i < rd.nshare; i++)
        rc = density_init(&rd.share[i].density, im->opts.nx, im->opts.ny,
                          im->opts.cell_rad);
    if (rc == 0) {
        read_all(&rd);
        im->density = rd.share[0].density;
        rd.share[0].density.cell = NULL;
        join_survey(im, &rd, &uall);
        if (im->density.cell != NULL)
            density_robust(&im->density, im->opts.robust);
    }
    close_shares(&rd);
    if (rc != 0)
        return err_set(e, rc, "no memory for the weights of %zu rows", im->s.nrow);
    info->accuracy = im->opts.accuracy;
    im->ncol = (size_t)(info->umax_lambda * (double)im->grid.nu * im->opts.cell_rad) +
               KERNEL_TAPS + 2;
    if (info->ndropped > (info->nsample + info->ndropped) / 100)
        return err_set(
            e, ERR_SHAPE,
            "pixels of %.3g arcsec are too large: %zu of %zu visibilities have "
            "finer fringes, at most %.3g arcsec would do",
            im->opts.cell_rad / ASTRO_ARCSEC, info->ndropped,
            info->nsample + info->ndropped, 0.5 / uall / ASTRO_ARCSEC);
    if (info->nsample == 0)
        return err_set(e, ERR_QUALITY, "all %zu visibilities are flagged",
                       im->s.nrow * im->s.nchan);
    return 0;
}

int imager_read_nodes(struct imager *im, struct err *e)
{
    struct reading rd = {.im = im, .row = gather_row};
    double cell = im->opts.cell_rad, sum = 0.0, sum_f = 0.0, sum_var = 0.0;
    /* lags of the normal operator: twice the image */
    int rc = nodes_init(&im->nodes, &im->s, (double)im->opts.nx * cell,
                        (double)im->opts.ny * cell, 0.5 * ASTRO_C_M_S / cell);

    if (rc == 0) {
        im->data = mem_huge(nodes_count(&im->nodes) * sizeof *im->data);
        im->weight = mem_huge(nodes_count(&im->nodes) * sizeof *im->weight);
        rc = im->data == NULL || im->weight == NULL ? -ENOMEM : open_shares(&rd);
    }
    if (rc == 0)
        read_all(&rd);
    for (size_t i = 0; i < rd.nshare; i++) {
        sum += rd.share[i].sum;
        sum_f += rd.share[i].sum_f;
        sum_var += rd.share[i].sum_var;
    }
    close_shares(&rd);
    if (rc != 0)
        return err_set(e, rc, "no memory for the nodes of %zu rows", im->s.nrow);
    im->info.sum_weight = sum;
    im->info.freq_hz = sum_f / sum;
    im->info.noise_factor = sqrt(sum_var) / sum;
    return 0;
}

int imager_load(struct imager *im, bool *changed, struct err *e)
{
    struct reading rd = {.im = im, .row = load_row};
    int rc = open_shares(&rd);

    if (rc == 0)
        read_all(&rd);
    *changed = false;
    for (size_t i = 0; i < rd.nshare; i++)
        *changed |= rd.share[i].changed;
    close_shares(&rd);
    return rc == 0 ? 0 : err_set(e, rc, "no memory for a row of %zu", im->s.nchan);
}

/* Of the model's nodes those of the residual. */
static void residual_row(struct reading *rd, size_t r, struct share *share)
{
    struct imager *im = rd->im;
    float complex *model = rd->seen;
    size_t first = im->nodes.start[r], n = im->nodes.start[r + 1] - first;
    float *line = (float *)share->line.data, *to = (float *)(model + first);
    const float *have = (const float *)(im->data + first);
    const float *taken = (const float *)share->nodes;

    imager_weigh_row(im, r, &share->line);
    memset(share->re, 0, im->s.nchan * sizeof *share->re);
    memset(share->im, 0, im->s.nchan * sizeof *share->im);
    nodes_channels(&im->nodes, r, model + first, 0, im->s.nchan, share->re, share->im);
    for (size_t c = 0; c < im->s.nchan; c++) {
        line[2 * c] = share->re[c];
        line[2 * c + 1] = share->im[c];
    }
    nodes_gather(&im->nodes, r, share->line.data, share->line.weight, share->nodes,
                 NULL);
    for (size_t i = 0; i < 2 * n; i++)
        to[i] = have[i] - taken[i];
}

int imager_read_residual(struct imager *im, float complex *nodes, struct err *e)
{
    struct reading rd = {.im = im, .row = residual_row, .seen = nodes, .weights = true};
    int rc = open_shares(&rd);

    if (rc == 0)
        read_all(&rd);
    close_shares(&rd);
    return rc == 0 ? 0 : err_set(e, rc, "no memory for a row of %zu", im->s.nchan);
}
