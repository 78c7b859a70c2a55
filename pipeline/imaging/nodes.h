/*
 * nodes.h: the samples of each row, resampled along frequency onto few nodes.
 *
 * A direction inside the image adds exp(2 pi i f tau) to a row, with |tau| <= T, T being what
 * the row's baseline sees at the edge.  A function of f of such delays is known from its values
 * at nodes that are less than 1 / (2 T) apart: short baselines need a few tens of them where
 * there are hundreds of channels.  From nodes f_j to a channel,
 *
 *   exp(2 pi i f tau) = sum over j of t_j(f) exp(2 pi i f_j tau),
 *
 * with the eight taps around f that make the mean square error over all |tau| <= T least, where
 * those inside the image count most.  With R(x) the transform of that measure, two sincs,
 *
 *   sum over k of R(f_j - f_k) t_k = R(f_j - f).
 *
 * So an image of samples w V is that of the sums over channels of t_j w V at the nodes; nothing
 * is averaged.  Polynomials of f, as the series in w' has them, go along.  T is that of the
 * lags of the normal operator, twice the image, and nodes are 1 / (4 T) apart: the error is 1e-3
 * of a sample at the largest lags and 2e-5 inside the image, in no fixed direction.
 */
#ifndef PIPELINE_IMAGING_NODES_H
#define PIPELINE_IMAGING_NODES_H

#include <complex.h>
#include <stddef.h>
#include <stdint.h>

struct beam_series;
struct samples;

enum {
    NODE_TAPS = 8,
    NODES_CLASSES = 64,
    NODES_BEAMS = 7,
    NODES_PIECE = 16, /* nodes of a piece, at most */
    NODES_TILE = 24   /* cells of an image's grid along the side of a tile */
};

/* Channels that share their taps' first node. */
struct node_run {
    uint32_t chan, nchan, first;
};

/* How the channels of rows of about the same length meet their nodes. */
struct node_class {
    size_t n;        /* nodes */
    double *freq_hz; /* [n] ascending */
    float *tap;      /* [nchan][NODE_TAPS]; NULL: each channel is a node */
    float *turned;   /* [NODE_TAPS][nchan], and some room behind */
    struct node_run *run;
    size_t nrun;
    size_t factor_at; /* of nodes->factor */
};

/* A few neighbouring nodes of one row. */
struct node_piece {
    uint32_t row;
    uint16_t first, n;
};

/* The pieces by where they lie in the uv-plane, u >= 0: tile after tile, row of tiles after row of
 * tiles, so that neighbours touch the same cells. */
struct node_tiles {
    double side_u, side_v; /* wavelengths */
    size_t ncol, nrow;     /* the first row begins at v = -side_v nrow / 2 */
    double reach_v;        /* largest change of v along a piece, wavelengths */
    size_t *start;         /* [nrow + 1] first piece of each row of tiles */
    struct node_piece *piece;
    size_t npiece;
};

struct nodes {
    size_t nrow, nchan;
    const double (*uvw_m)[3]; /* [nrow] borrowed */
    size_t nclass;
    struct node_class cls[NODES_CLASSES];
    uint8_t *class_of; /* [nrow] */
    size_t *start;     /* [nrow + 1] first node of each row */
    struct node_tiles tiles;
    const int *row_time; /* [nrow] borrowed; NULL without factors */
    /* g_q of times and nodes, see nodes_factor; NULL: 1 */
    float *factor[NODES_BEAMS];
};

/*
 * nodes_init: plan the nodes for delays up to (|u| reach_x + |v| reach_y) / c.
 * Given:    s: rows, uvw (borrowed until nodes_close) and channels; reach_x, reach_y: radians;
 *           uv_max_m_hz: |u| f and |v| f that no node may exceed, metres Hz
 * Status:   0; -ENOMEM; either way nodes_close ends it
 */
int nodes_init(struct nodes *n, const struct samples *s, double reach_x, double reach_y,
               double uv_max_m_hz);
void nodes_close(struct nodes *n);

/* How many there are. */
static inline size_t nodes_count(const struct nodes *n)
{
    return n->start[n->nrow];
}

/* Take the terms of a beam, at the nodes.  Status: 0; -ENOMEM, and there are none. */
int nodes_set_beam(struct nodes *n, const struct samples *s,
                   const struct beam_series *beam);

/* g_q of the nodes of a row; NULL: 1. */
static inline const float *nodes_factor(const struct nodes *n, size_t q, size_t row)
{
    const struct node_class *c = &n->cls[n->class_of[row]];

    return n->factor[q] == NULL
               ? NULL
               : n->factor[q] + c->factor_at + (size_t)n->row_time[row] * c->n;
}

/*
 * nodes_gather: from the channels of one row to its nodes.
 * Given:    value [nchan] Jy and weight [nchan], or value NULL
 * Returned: data [its nodes] sums of tap x weight x value, unless value is NULL;
 *           sum [its nodes] of tap x weight, unless NULL
 */
void nodes_gather(const struct nodes *n, size_t row, const float complex *value,
                  const float *weight, float complex *data, float *sum);

/* Add what the nodes of a row (its data) say of channels [c, c + count) to re, im [count]. */
void nodes_channels(const struct nodes *n, size_t row, const float complex *data,
                    size_t c, size_t count, float *re, float *im);

#endif
