/*
 * imager_parts.h: what imager.c (frame, transforms) and imager_read.c (from samples to nodes)
 * share.
 */
#ifndef PIPELINE_IMAGING_IMAGER_PARTS_H
#define PIPELINE_IMAGING_IMAGER_PARTS_H

#include "pipeline/imaging/imager.h"
#include "pipeline/imaging/kernel.h"
#include "pipeline/imaging/nodes.h"
#include "pipeline/imaging/samples.h"
#include "pipeline/imaging/weight.h"

enum { IMAGER_TERMS = 12 }; /* K, at most */

struct imager {
    struct samples s; /* borrowed */
    struct imager_opts opts;
    double ra_rad, dec_rad;
    struct imager_info info;
    struct plane_fit fit;
    double tmax; /* T above */
    struct kernel ker;
    struct grid grid;
    struct fft *fft;
    size_t ncol;            /* columns that samples reach */
    struct density density; /* robust weights; without cells: natural ones */
    double *row_weight;     /* [nrow] sum of the weights, imaging weights in the end */
    struct nodes nodes;
    float complex *data;    /* [nodes] of imaging weight x sample */
    float *weight;          /* [nodes] of imaging weight */
    float *gain_x, *gain_y; /* [nx] [ny] 1 / transform of the kernel */
    float *tau;             /* [ny][nx] t / T */
    float *work;            /* [ny][nx] */
    double rest[IMAGER_TERMS +
                1]; /* rms, of the series when it ends after so many terms */
    const struct beam_series *beam;
    struct space *space;
};

/* See imager_space. */
struct space {
    void *at;
    size_t bytes;
};

/* The first time: count the samples, their extent, weights and density.
 * Status: 0; ERR_SHAPE more than 1 % are finer than the pixels; ERR_QUALITY all are flagged;
 * -ENOMEM. */
int imager_read_survey(struct imager *im, struct err *e);
/* The second time: what samples and weights leave at the nodes, and the sums that image and noise
 * are scaled by.  Status: 0; -ENOMEM. */
int imager_read_nodes(struct imager *im, struct err *e);
/* Turn a model's nodes into those of the residual.  Status: 0; -ENOMEM, and they are as before. */
int imager_read_residual(struct imager *im, float complex *nodes, struct err *e);
/* Imaging weights of a row instead of natural ones. */
void imager_weigh_row(const struct imager *im, size_t row, struct samples_line *line);

#endif
