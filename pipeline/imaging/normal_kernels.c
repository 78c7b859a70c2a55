/*
 * normal_kernels.c: the kernels of the normal operator, from the weights of the samples.
 */
#include "pipeline/imaging/normal_parts.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "core/mem.h"
#include "core/parallel.h"
#include "pipeline/imaging/fft.h"
#include "pipeline/imaging/grid.h"
#include "pipeline/imaging/imager.h"
#include "pipeline/imaging/kernel.h"
#include "pipeline/imaging/nodes.h"

/* The grid of the weights over twice the image: eight taps are good to 1e-5 on the smaller one. */
#define OVERSAMPLING_LEAST 1.25
#define OVERSAMPLING_FINE  1.5
#define FINE               3e-5

/* Planes beyond this many bytes, about what a major cycle takes, are made in several passes over the nodes. */
static const size_t plane_bytes = (size_t)480 << 20;

enum { MOST = NORMAL_BEAMS * NORMAL_TERMS };

/* Weights on planes, for lags of mx x my pixels. */
struct weights {
    struct imager_view view;
    struct imager_info info;
    struct kernel ker;
    struct grid real, plane; /* several; one, complex */
    struct fft *fft;
    size_t ncol;
    float *gain_x, *gain_y; /* [mx] [my] */
    float *lag;             /* [my][mx] */
    struct grid_term term[MOST];
    size_t nterm;
};

static void close_weights(struct weights *w)
{
    grid_close(&w->plane);
    fft_free(w->fft);
    free(w->gain_x);
    free(w->gain_y);
    free(w->lag);
}

static int open_weights(struct weights *w, const struct normal *op, double accuracy)
{
    double over = accuracy < FINE ? OVERSAMPLING_FINE : OVERSAMPLING_LEAST;
    size_t nu = fft_good_size((size_t)(over * (double)op->mx));
    size_t nv = fft_good_size((size_t)(over * (double)op->my));
    const struct node_tiles *t = &w->view.nodes->tiles;
    double u = (double)t->ncol * t->side_u;
    double v = (double)(t->nrow / 2) * t->side_v + t->reach_v;
    size_t nplane;
    char *space;

    for (size_t q = 0; q < op->beams; q++)
        for (size_t m = 0; m < op->terms[q]; m++)
            w->term[w->nterm++] = (struct grid_term){q, m};
    kernel_init(&w->ker, accuracy, over);
    grid_init(&w->real, nu, nv, 1, 1, w->view.cell_rad, &w->ker);
    grid_crop(&w->real, u, v, 0);
    nplane = plane_bytes / grid_bytes(&w->real);
    nplane = nplane < 1 ? 1 : nplane > w->nterm ? w->nterm : nplane;
    w->real.nplane = nplane;
    w->ncol =
        (size_t)(w->info.umax_lambda * (double)nu * w->view.cell_rad) + KERNEL_TAPS + 2;
    w->ncol = w->ncol > nu / 2 + 1 ? nu / 2 + 1 : w->ncol;
    w->gain_x = kernel_gain(&w->ker, op->mx, nu);
    w->gain_y = kernel_gain(&w->ker, op->my, nv);
    w->lag = mem_huge(op->mx * op->my * sizeof *w->lag);
    if (w->gain_x == NULL || w->gain_y == NULL || w->lag == NULL ||
        fft_new(&w->fft, nu, nv, op->threads) != 0)
        return -ENOMEM;
    grid_init(&w->plane, nu, nv, 1, 2, w->view.cell_rad, &w->ker);
    grid_crop(&w->plane, u, v, op->my);
    w->real.nthread = w->plane.nthread = op->threads;
    space = imager_space(op->im, op->kernel_bytes + grid_bytes(&w->real));
    if (space == NULL || grid_open(&w->plane) != 0)
        return -ENOMEM;
    grid_borrow(&w->real, space + op->kernel_bytes);
    return 0;
}

struct scaling {
    struct weights *w;
    const struct normal *op;
    double scale;
};

static void scale_rows(void *arg, size_t lo, size_t hi)
{
    const struct scaling *a = arg;
    const struct weights *w = a->w;
    size_t mx = a->op->mx;

    for (size_t y = lo; y < hi; y++) {
        float *lag = w->lag + y * mx, c = (float)(a->scale * (double)w->gain_y[y]);

        for (size_t x = 0; x < mx; x++)
            lag[x] *= c * w->gain_x[x];
    }
}

/* The kernel of real plane p at all lags, scaled and corrected for the gridding. */
static void make_lags(struct weights *w, const struct normal *op, size_t p, size_t m)
{
    struct scaling a = {w, op, 1.0 / w->info.sum_weight};

    for (size_t j = 2; j <= m; j++)
        a.scale /= (double)j;
    grid_turn(&w->plane, &w->real, p, m);
    grid_fold(&w->plane, 0);
    fft_plane_to_image(w->fft, grid_plane(&w->plane, 0), w->plane.rows, w->plane.stride,
                       w->ncol, w->lag, op->mx, op->my);
    parallel_run_by(op->threads, op->my, scale_rows, &a);
}

/* What a source in the middle, where tau is 0, leaves of term m. */
static void add_to_psf(const struct normal *op, const float *lag, size_t m, float *psf)
{
    size_t x0 = op->mx / 2 - op->nx / 2, y0 = op->my / 2 - op->ny / 2;

    for (size_t y = 0; y < op->ny; y++)
        for (size_t x = 0; x < op->nx; x++) {
            size_t i = y * op->nx + x;
            float term = lag[(y0 + y) * op->mx + x0 + x];

            for (size_t k = 0; k < m; k++)
                term *= op->tau[i];
            psf[i] = m == 0 ? term : psf[i] + term;
        }
}

/* All kernels, as many planes at a time as there is room for; psf: NULL, or to be filled. */
static int make_kernels(struct normal *op, struct weights *w, float *psf)
{
    int rc = 0;

    for (size_t at = 0, n; rc == 0 && at < w->nterm; at += n) {
        n = w->nterm - at < w->real.nplane ? w->nterm - at : w->real.nplane;
        if (at > 0)
            grid_zero(&w->real);
        rc = grid_spread(&w->real, w->view.nodes, &w->view.fit, w->view.weight,
                         w->term + at, n);
        for (size_t p = 0; rc == 0 && p < n; p++) {
            struct grid_term term = w->term[at + p];

            make_lags(w, op, p, term.m);
            if (psf != NULL && term.q == 0)
                add_to_psf(op, w->lag, term.m, psf);
            normal_set_near(op, term.q, term.m, w->lag);
            normal_set_kernel(op, term.q, term.m, w->lag);
        }
    }
    return rc;
}

int normal_make_kernels(struct normal *op, float *psf)
{
    struct weights w = {0};
    int rc;

    imager_view(op->im, &w.view);
    imager_info(op->im, &w.info);
    rc = open_weights(&w, op, w.info.accuracy);
    if (rc == 0)
        rc = make_kernels(op, &w, psf);
    close_weights(&w);
    return rc;
}
