/*
 * grid.h: samples spread onto uv-planes, and uv-planes interpolated at the samples.
 *
 * In the slant frame a sample has the phase 2 pi (u x + v y + w' (n - 1)), where
 * w' = w - a u - b v is its height over the plane.  The last part is expanded: with
 * phi = phase w', so that |phi| <= 2 pi |w'| max |n - 1|, term k of the series needs a
 * plane of (-i phi)^k V.  All planes share the kernel's taps.
 *
 * Only u >= 0 is kept: a sample at u < 0 counts as its conjugate at (-u, -v, -w').  The planes
 * have a margin on all sides, so that no tap has to ask where it is; grid_fold brings
 * the margin home before a transform, grid_unfold fills it after one.
 */
#ifndef PIPELINE_IMAGING_GRID_H
#define PIPELINE_IMAGING_GRID_H

#include <complex.h>
#include <stddef.h>

#include "core/cpu.h"
#include "pipeline/imaging/kernel.h"

struct nodes;

enum { GRID_MARGIN = KERNEL_TAPS };

/* What a plane holds: the term of the beam, and the power of phi. */
struct grid_term {
    size_t q, m;
};

struct plane_fit {
    double a, b;  /* w = a u + b v + w' */
    double phase; /* 2 pi max |n - 1| over the image: radians per wavelength of w' */
};

struct grid {
    size_t nu, nv;   /* full size of the transform, even */
    size_t nplane;   /* planes held at a time */
    double cell_rad; /* image pixel: a cell is 1 / (nu cell_rad) by 1 / (nv cell_rad) */
    size_t rows;     /* that are kept, v from -rows / 2 on; nv but for grid_crop */
    size_t stride, nrow; /* nu/2 + 1 + 2 margins (or fewer), rows + 2 margins */
    size_t part;         /* floats of a cell: 2 for complex planes, 1 for real ones */
    float *cell;         /* [nplane][nrow][stride][part] */
    void *own;           /* the cells, if they are not somebody else's */
    const struct kernel *ker;
    size_t nthread;     /* that the loops over samples may use; 1 */
    enum cpu_code code; /* the instructions that they use: cpu_best() */
};

/* Complex planes (part 2) or real ones (1), which have no cells yet; ker is borrowed. */
void grid_init(struct grid *g, size_t nu, size_t nv, size_t nplane, size_t part,
               double cell_rad, const struct kernel *ker);
/* Keep no cells beyond |u| and |v| wavelengths, where no node has its place; but `least` rows,
 * which an image that is transformed in the plane takes. */
void grid_crop(struct grid *g, double u, double v, size_t least);
/* What the cells take. */
size_t grid_bytes(const struct grid *g);
/* Zeroed cells of its own, for free().  Status 0 or -ENOMEM. */
int grid_open(struct grid *g);
/* Forget cells of its own, if there are any. */
void grid_close(struct grid *g);
/* Cells in somebody else's memory, grid_bytes of it; zeroed. */
void grid_borrow(struct grid *g, void *memory);
void grid_zero(struct grid *g);

/* Complex plane p without its margin: row v = -rows/2 at [0], stride g->stride; for fft.h. */
float complex *grid_plane(const struct grid *g, size_t p);

/* Whether a sample at (u, v) wavelengths lies on the grid, |u| and |v| <= 1 / (2 cell). */
static inline int grid_holds(double cell_rad, double u, double v)
{
    return fabs(u) * cell_rad <= 0.5 && fabs(v) * cell_rad <= 0.5;
}

/*
 * grid_spread: add to plane p, p < n, from every node
 *   of complex planes: g_q (-i phi)^m value, value [nodes] complex;
 *   of real planes:    g_q phi^m value,      value [nodes] real.
 * Given: term [n]: q and m of each plane, sorted by q, then by m
 * Status: 0; -ENOMEM, nothing was added
 */
int grid_spread(struct grid *g, const struct nodes *nodes, const struct plane_fit *fit,
                const float *value, const struct grid_term *term, size_t n);

/* Plane 0 of `to` = (-i)^m times the real plane p of `from`, of the same nu and nv. */
void grid_turn(struct grid *to, const struct grid *from, size_t p, size_t m);

/* Bring the margins of plane p home and halve the columns that stand for two. */
void grid_fold(struct grid *g, size_t p);

/* Fill the margins of plane p from the half plane: the adjoint's counterpart. */
void grid_unfold(struct grid *g, size_t p);

/*
 * grid_interpolate: data += sum over planes of g_q (i phi)^m plane p, p < n, at every node that lies
 * on the grid; data [nodes] complex.
 * Given: term [n]: q and m of each plane, sorted by q, then by m, of one q one after the other
 */
void grid_interpolate(const struct grid *g, const struct nodes *nodes,
                      const struct plane_fit *fit, const struct grid_term *term,
                      size_t n, float complex *data);

#endif
