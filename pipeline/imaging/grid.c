/*
 * grid.c: the two loops over all visibilities, and the margins of the planes.
 *
 * Complex numbers are written out as pairs of floats: the compiler then sees plain loops
 * of fixed length.
 */
#include "pipeline/imaging/grid.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/imaging/samples.h"
#include "pipeline/sky/astro.h"

enum { TAPS = KERNEL_TAPS };

int grid_init(struct grid *g, size_t nu, size_t nv, size_t nplane, double cell_rad,
              const struct kernel *ker)
{
    *g = (struct grid){.nu = nu,
                       .nv = nv,
                       .nplane = nplane,
                       .cell_rad = cell_rad,
                       .stride = nu / 2 + 1 + 2 * GRID_MARGIN,
                       .nrow = nv + 2 * GRID_MARGIN,
                       .ker = ker};
    g->cell = calloc(nplane * g->nrow * g->stride, sizeof *g->cell);
    return g->cell == NULL ? -ENOMEM : 0;
}

void grid_close(struct grid *g)
{
    free(g->cell);
    g->cell = NULL;
}

void grid_zero(struct grid *g)
{
    memset(g->cell, 0, g->nplane * g->nrow * g->stride * sizeof *g->cell);
}

static float complex *row_start(const struct grid *g, size_t p, size_t row)
{
    return g->cell + (p * g->nrow + row) * g->stride;
}

float complex *grid_plane(const struct grid *g, size_t p)
{
    return row_start(g, p, GRID_MARGIN) + GRID_MARGIN;
}

/* One row of samples, flipped to u >= 0: what a channel multiplies by its frequency. */
struct track {
    double u, v; /* cells per Hz */
    double phi;  /* radians per Hz */
    float conj;  /* -1 when the samples count as their conjugates, else 1 */
};

static struct track track_of(const struct grid *g, const struct plane_fit *fit,
                             const double uvw[3])
{
    double side_u = (double)g->nu * g->cell_rad, side_v = (double)g->nv * g->cell_rad;
    double sign = uvw[0] < 0.0 ? -1.0 : 1.0, per_hz = sign / ASTRO_C_M_S;

    return (struct track){.u = uvw[0] * per_hz * side_u,
                          .v = uvw[1] * per_hz * side_v,
                          .phi = (uvw[2] - fit->a * uvw[0] - fit->b * uvw[1]) * per_hz *
                                 fit->phase,
                          .conj = (float)sign};
}

/* Where a sample's taps fall. */
struct spot {
    size_t offset; /* of the first tap from the start of a plane, in floats */
    float u[TAPS], v[TAPS];
};

static inline void spot_at(const struct grid *g, double u, double v, struct spot *spot)
{
    long col = kernel_taps(g->ker, u, spot->u) + GRID_MARGIN;
    long row = kernel_taps(g->ker, v, spot->v) + (long)(g->nv / 2) + GRID_MARGIN;

    spot->offset = 2 * ((size_t)row * g->stride + (size_t)col);
}

/* Add (re, im) times the taps to one plane: w rows of TAPS cells. */
static inline void add_taps(float *cell, size_t row_floats, int w,
                            const struct spot *spot, float re, float im)
{
    float line[2 * TAPS];

    for (int i = 0; i < TAPS; i++) {
        line[2 * i] = spot->u[i] * re;
        line[2 * i + 1] = spot->u[i] * im;
    }
    for (int j = 0; j < w; j++) {
        float *to = cell + (size_t)j * row_floats, v = spot->v[j];

        for (int i = 0; i < 2 * TAPS; i++)
            to[i] += v * line[i];
    }
}

static inline void read_taps(const float *cell, size_t row_floats, int w,
                             const struct spot *spot, float *re, float *im)
{
    float line[2 * TAPS] = {0};

    for (int j = 0; j < w; j++) {
        const float *from = cell + (size_t)j * row_floats;
        float v = spot->v[j];

        for (int i = 0; i < 2 * TAPS; i++)
            line[i] += v * from[i];
    }
    *re = *im = 0.0f;
    for (int i = 0; i < TAPS; i++) {
        *re += spot->u[i] * line[2 * i];
        *im += spot->u[i] * line[2 * i + 1];
    }
}

void grid_spread(struct grid *g, const struct samples *s, const struct plane_fit *fit,
                 const float *wi, const float complex *data, size_t first, size_t n)
{
    size_t row_floats = 2 * g->stride, plane_floats = row_floats * g->nrow;
    const float *vis = (const float *)data;
    int w = g->ker->w;

    for (size_t r = 0; r < s->nrow; r++) {
        struct track t = track_of(g, fit, s->uvw_m[r]);

        for (size_t c = 0; c < s->nchan; c++) {
            size_t i = r * s->nchan + c;
            struct spot spot;

            if (!(wi[i] > 0.0f))
                continue;
            spot_at(g, t.u * s->freq_hz[c], t.v * s->freq_hz[c], &spot);
            float phi = (float)(t.phi * s->freq_hz[c]);
            float re = vis == NULL ? wi[i] : wi[i] * vis[2 * i];
            float im = vis == NULL ? 0.0f : wi[i] * t.conj * vis[2 * i + 1];
            for (size_t k = 0; k < first + n; k++) {
                float old = re;

                if (k >= first)
                    add_taps((float *)g->cell + (k - first) * plane_floats +
                                 spot.offset,
                             row_floats, w, &spot, re, im);
                re = phi * im; /* times -i phi */
                im = -phi * old;
            }
        }
    }
}

void grid_interpolate(const struct grid *g, const struct samples *s,
                      const struct plane_fit *fit, size_t first, size_t n, float scale,
                      float complex *data)
{
    size_t row_floats = 2 * g->stride, plane_floats = row_floats * g->nrow;
    float *vis = (float *)data;
    int w = g->ker->w;

    for (size_t r = 0; r < s->nrow; r++) {
        struct track t = track_of(g, fit, s->uvw_m[r]);

        for (size_t c = 0; c < s->nchan; c++) {
            double f = s->freq_hz[c], kappa = f / ASTRO_C_M_S;
            size_t i = r * s->nchan + c;
            float phi = (float)(t.phi * f), sum_re = 0.0f, sum_im = 0.0f;
            struct spot spot;

            if (!grid_holds(g->cell_rad, s->uvw_m[r][0] * kappa,
                            s->uvw_m[r][1] * kappa))
                continue;
            spot_at(g, t.u * f, t.v * f, &spot);
            for (size_t k = first + n; k-- > 0;) { /* Horner in i phi */
                float re = 0.0f, im = 0.0f, old = sum_re;

                if (k >= first)
                    read_taps((const float *)g->cell + (k - first) * plane_floats +
                                  spot.offset,
                              row_floats, w, &spot, &re, &im);
                sum_re = re - phi * sum_im;
                sum_im = im + phi * old;
            }
            vis[2 * i] += scale * sum_re;
            vis[2 * i + 1] += scale * t.conj * sum_im;
        }
    }
}

/* The row where v and -v of each row are kept: v mod nv, inside the margins. */
static size_t home_row(const struct grid *g, size_t row)
{
    return GRID_MARGIN + (row - GRID_MARGIN + g->nv) % g->nv;
}

static size_t mirror_row(const struct grid *g, size_t row)
{
    return home_row(g, 2 * GRID_MARGIN + g->nv - row);
}

/* The column inside the half plane that is the conjugate of margin column c. */
static size_t mirror_column(const struct grid *g, size_t c)
{
    return c < GRID_MARGIN ? 2 * GRID_MARGIN - c : g->nu + 2 * GRID_MARGIN - c;
}

void grid_fold(struct grid *g, size_t p)
{
    size_t left = GRID_MARGIN, right = GRID_MARGIN + g->nu / 2;

    for (size_t r = 0; r < g->nrow; r++) {
        float *from = (float *)row_start(g, p, r);
        float *to = (float *)row_start(g, p, home_row(g, r));

        for (size_t c = 0; from != to && c < 2 * g->stride; c++)
            to[c] += from[c];
    }
    for (size_t r = GRID_MARGIN; r < GRID_MARGIN + g->nv; r++) {
        const float *from = (const float *)row_start(g, p, r);
        float *to = (float *)row_start(g, p, mirror_row(g, r));

        for (size_t c = 0; c < g->stride; c = c + 1 == left ? right + 1 : c + 1) {
            size_t m = mirror_column(g, c);

            to[2 * m] += from[2 * c];
            to[2 * m + 1] -= from[2 * c + 1];
        }
    }
    for (size_t r = GRID_MARGIN; r < GRID_MARGIN + g->nv; r++) {
        float *row = (float *)row_start(g, p, r);

        for (size_t c = 2 * (left + 1); c < 2 * right; c++)
            row[c] *= 0.5f;
    }
}

void grid_unfold(struct grid *g, size_t p)
{
    size_t left = GRID_MARGIN, right = GRID_MARGIN + g->nu / 2;

    for (size_t r = GRID_MARGIN; r < GRID_MARGIN + g->nv; r++) {
        const float *from = (const float *)row_start(g, p, mirror_row(g, r));
        float *to = (float *)row_start(g, p, r);

        for (size_t c = 0; c < g->stride; c = c + 1 == left ? right + 1 : c + 1) {
            size_t m = mirror_column(g, c);

            to[2 * c] = from[2 * m];
            to[2 * c + 1] = -from[2 * m + 1];
        }
    }
    for (size_t r = 0; r < g->nrow; r++)
        if (home_row(g, r) != r)
            memcpy(row_start(g, p, r), row_start(g, p, home_row(g, r)),
                   g->stride * sizeof *g->cell);
}
