/*
 * runs.c: the two loops over all nodes, a run at a time.
 *
 * Neighbouring nodes of a baseline often fall into the same cell of the uv-plane.  The taps of
 * such a run are added up in registers and reach the plane once; on the way back its cells are
 * loaded once.
 *
 * A patch is `w` rows of eight cells, each two registers of eight floats where cells are
 * complex and one where they are real.  The same
 * source is compiled for AVX-512, for AVX2 and for any processor, and for each usual width of
 * the kernel; which one runs is decided when the grid is made.
 *
 * Threads own bands of the plane's rows.  What the last rows of a band would give to the next
 * one goes to a strip of its own, which is added when all threads have ended: no locks, and
 * the result differs between numbers of threads by rounding only.
 */
#include "pipeline/imaging/grid.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/parallel.h"
#include "pipeline/imaging/nodes.h"
#include "pipeline/sky/astro.h"

enum {
    TAPS = KERNEL_TAPS,
    BLOCK = NODES_PIECE, /* nodes of a row that are prepared at a time */
    MAX_BAND = 8,        /* threads */
    SPREAD_PIECES = 500  /* pieces of rows that are worth a thread */
};

typedef float v8 __attribute__((vector_size(32), aligned(4), may_alias));
typedef double d4 __attribute__((vector_size(32), aligned(8), may_alias));

#define INLINE static inline __attribute__((always_inline))

/* One row of nodes, flipped to u >= 0: what a node multiplies by its frequency. */
struct track {
    double u, v; /* cells per Hz */
    double phi;  /* radians per Hz */
    float conj;  /* -1 when the nodes count as their conjugates, else 1 */
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

/* Some nodes of one row: where they fall, and the taps of each. */
struct block {
    int n;
    int at[BLOCK];        /* index in the row */
    int col[BLOCK];       /* first cell that it touches, counted from u = 0 ... */
    int row[BLOCK];       /* ... and from the plane's first row, margin included */
    float phi[BLOCK];     /* radians */
    float base[BLOCK][2]; /* value */
    float z[BLOCK][2];    /* value times what a plane asks for */
    v8 u[BLOCK]
        [2]; /* tap of column i: in lanes 2 i and 2 i + 1 of the two, or in [0] */
    float v[BLOCK][TAPS];   /* tap of row j */
    float inside[2][BLOCK]; /* place inside the cell, -1 to 1: u, v */
};

/* Where nodes c0 .. c0 + n - 1 of a row fall; all of them, wanted or not. */
INLINE void locate(const struct grid *g, const double *freq_hz, const struct track *t,
                   size_t c0, int n, struct block *b)
{
    double half = 0.5 * g->ker->w, up = (double)(g->rows / 2 + GRID_MARGIN);

    for (int i = 0; i < n; i++) {
        double f = freq_hz[c0 + (size_t)i];
        double u = t->u * f - half, v = t->v * f - half;
        double cu = ceil(u), cv = ceil(v);

        b->col[i] = (int)cu + GRID_MARGIN;
        b->row[i] = (int)(cv + up);
        b->inside[0][i] = (float)(2.0 * (cu - u) - 1.0);
        b->inside[1][i] = (float)(2.0 * (cv - v) - 1.0);
        b->phi[i] = (float)(t->phi * f);
        b->at[i] = (int)c0 + i;
    }
}

/* Keep node i as the m-th of the block. */
INLINE void keep(struct block *b, int m, int i)
{
    b->at[m] = b->at[i];
    b->col[m] = b->col[i];
    b->row[m] = b->row[i];
    b->phi[m] = b->phi[i];
    b->inside[0][m] = b->inside[0][i];
    b->inside[1][m] = b->inside[1][i];
}

/* Whether the patch of node i lies on the planes. */
INLINE bool on_grid(const struct grid *g, const struct block *b, int i)
{
    return b->col[i] >= 0 && (size_t)b->col[i] + TAPS <= g->stride && b->row[i] >= 0 &&
           (size_t)b->row[i] + TAPS <= g->nrow;
}

/* The taps of all nodes: polynomials in the place inside the cell, eight at a time. */
INLINE void make_taps(const struct kernel *ker, struct block *b, bool real)
{
    const v8 *coef = (const v8 *)ker->coef;

    for (int i = 0; i < b->n; i++) {
        float x = b->inside[0][i], y = b->inside[1][i];
        v8 u = coef[0], v = coef[0];

        for (int c = 1; c < ker->ncoef; c++) {
            u = u * x + coef[c];
            v = v * y + coef[c];
        }
        b->u[i][0] = u;
        if (!real)
            b->u[i][0] = __builtin_shufflevector(u, u, 0, 0, 1, 1, 2, 2, 3, 3);
        b->u[i][1] = __builtin_shufflevector(u, u, 4, 4, 5, 5, 6, 6, 7, 7);
        memcpy(b->v[i], &v, sizeof v);
    }
}

/* How many nodes from i on share a patch. */
INLINE int run_length(const struct block *b, int i)
{
    int n = 1;

    while (i + n < b->n && b->col[i + n] == b->col[i] && b->row[i + n] == b->row[i])
        n++;
    return n;
}

/* ---- spreading ---- */

/* What one thread gives to: rows lo .. hi - 1 of the planes, and a strip for rows hi .. */
struct band {
    size_t lo, hi;
    size_t first_tile, end_tile; /* rows of tiles with nodes that may lie in it */
    float *strip;                /* [n planes][TAPS][stride][part] */
};

struct spread {
    struct grid *g;
    const struct nodes *nodes;
    const struct plane_fit *fit;
    const float *value;
    const struct grid_term *term;
    size_t n;
    struct band band[MAX_BAND];
    size_t nband;
};

/* Nodes of the band that hold something. */
INLINE void select_nodes(const struct spread *a, const struct band *band, size_t start,
                         float conj, int n, struct block *b, bool real)
{
    int m = 0;

    for (int i = 0; i < n; i++) {
        size_t at = start + (size_t)b->at[i];
        float re = real ? a->value[at] : a->value[2 * at];
        float im = real ? 0.0f : conj * a->value[2 * at + 1];

        if ((re == 0.0f && im == 0.0f) || (size_t)b->row[i] < band->lo ||
            (size_t)b->row[i] >= band->hi || !on_grid(a->g, b, i))
            continue;
        keep(b, m, i);
        b->base[m][0] = re;
        b->base[m++][1] = im;
    }
    b->n = m;
}

INLINE void times_phi(struct block *b, bool real)
{
    for (int i = 0; i < b->n; i++) {
        float re = b->z[i][0];

        b->z[i][0] = b->phi[i] * (real ? re : b->z[i][1]);
        b->z[i][1] = -b->phi[i] * re;
    }
}

/* The values for a plane, from those for the plane before it. */
INLINE void take_term(const struct spread *a, size_t row, size_t p, struct block *b,
                      bool real)
{
    struct grid_term term = a->term[p];
    size_t have = 0;

    if (p > 0 && a->term[p - 1].q == term.q) {
        have = a->term[p - 1].m;
    } else {
        const float *factor = nodes_factor(a->nodes, term.q, row);

        for (int i = 0; i < b->n; i++) {
            float g = factor != NULL ? factor[b->at[i]] : 1.0f;

            b->z[i][0] = g * b->base[i][0];
            b->z[i][1] = g * b->base[i][1];
        }
    }
    for (; have < term.m; have++)
        times_phi(b, real);
}

/* Where row `row` of plane p is, for this thread. */
INLINE float *row_of(const struct spread *a, const struct band *band, size_t p,
                     size_t row)
{
    const struct grid *g = a->g;
    size_t row_floats = g->part * g->stride;

    return row < band->hi ? g->cell + (p * g->nrow + row) * row_floats
                          : band->strip + (p * TAPS + row - band->hi) * row_floats;
}

/* Add up nodes i .. i + n - 1 times their taps, and give the patch to plane p. */
INLINE void spread_run(const struct spread *a, const struct band *band,
                       const struct block *b, int i, int n, size_t p, int w)
{
    size_t row = (size_t)b->row[i];
    v8 sum[TAPS][2] = {{{0}}};

    for (int s = i; s < i + n; s++) {
        double pair;

        memcpy(&pair, b->z[s], sizeof pair);
        d4 pairs = {pair, pair, pair, pair};
        v8 left = (v8)pairs * b->u[s][0], right = (v8)pairs * b->u[s][1];

        for (int j = 0; j < w; j++) {
            sum[j][0] += b->v[s][j] * left;
            sum[j][1] += b->v[s][j] * right;
        }
    }
    for (int j = 0; j < w; j++, row++) {
        v8 *cell = (v8 *)(row_of(a, band, p, row) + 2 * b->col[i]);

        cell[0] += sum[j][0];
        cell[1] += sum[j][1];
    }
}

INLINE void spread_real_run(const struct spread *a, const struct band *band,
                            const struct block *b, int i, int n, size_t p, int w)
{
    size_t row = (size_t)b->row[i];
    v8 sum[TAPS] = {{0}};

    for (int s = i; s < i + n; s++) {
        v8 u = b->z[s][0] * b->u[s][0];

        for (int j = 0; j < w; j++)
            sum[j] += b->v[s][j] * u;
    }
    for (int j = 0; j < w; j++, row++)
        *(v8 *)(row_of(a, band, p, row) + b->col[i]) += sum[j];
}

INLINE void spread_piece(const struct spread *a, const struct band *band,
                         const struct node_piece *piece, int w, bool real)
{
    const struct nodes *nodes = a->nodes;
    const struct node_class *cls = &nodes->cls[nodes->class_of[piece->row]];
    struct track t = track_of(a->g, a->fit, nodes->uvw_m[piece->row]);
    struct block b;

    locate(a->g, cls->freq_hz, &t, piece->first, piece->n, &b);
    select_nodes(a, band, nodes->start[piece->row], t.conj, piece->n, &b, real);
    if (b.n == 0)
        return;
    make_taps(a->g->ker, &b, real);
    for (size_t p = 0; p < a->n; p++) {
        take_term(a, piece->row, p, &b, real);
        for (int i = 0, len; i < b.n; i += len) {
            len = run_length(&b, i);
            if (real)
                spread_real_run(a, band, &b, i, len, p, w);
            else
                spread_run(a, band, &b, i, len, p, w);
        }
    }
}

/* A piece of the tiles that the band touches may reach over a tile's border, but not far. */
INLINE void spread_pieces(const struct spread *a, const struct band *band, int w,
                          bool real)
{
    const struct node_tiles *t = &a->nodes->tiles;

    for (size_t i = t->start[band->first_tile]; i < t->start[band->end_tile]; i++)
        spread_piece(a, band, &t->piece[i], w, real);
}

/* ---- interpolating ---- */

struct interpolate {
    const struct grid *g;
    const struct nodes *nodes;
    const struct plane_fit *fit;
    const struct grid_term *term;
    size_t n;
    float *data;
};

/* Four complex numbers times i phi. */
INLINE void times_i(v8 *z, float phi)
{
    *z = __builtin_shufflevector(*z, *z, 1, 0, 3, 2, 5, 4, 7, 6) *
         (v8){-phi, phi, -phi, phi, -phi, phi, -phi, phi};
}

/*
 * z = i phi z + plane p at nodes i .. i + n - 1: one step of Horner's rule.  z: four parts of each
 * node's sum over the cells, which are added up when all planes are through.
 */
INLINE void interpolate_run(const struct interpolate *a, const struct block *b, int i,
                            int n, size_t p, int w, v8 *z)
{
    size_t row_floats = 2 * a->g->stride;
    const float *from =
        a->g->cell + (p * a->g->nrow + (size_t)b->row[i]) * row_floats + 2 * b->col[i];
    v8 patch[TAPS][2];

    for (int j = 0; j < w; j++) {
        patch[j][0] = *(const v8 *)(from + (size_t)j * row_floats);
        patch[j][1] = *(const v8 *)(from + (size_t)j * row_floats + TAPS);
    }
    for (int s = i; s < i + n; s++) {
        v8 left = b->v[s][0] * patch[0][0], right = b->v[s][0] * patch[0][1];

        for (int j = 1; j < w; j++) {
            left += b->v[s][j] * patch[j][0];
            right += b->v[s][j] * patch[j][1];
        }
        times_i(&z[s], b->phi[s]);
        z[s] += left * b->u[s][0] + right * b->u[s][1];
    }
}

/* Planes lo .. hi - 1, of one term of the beam: sum += g_q times the series in i phi. */
INLINE void interpolate_term(const struct interpolate *a, const struct block *b,
                             size_t row, size_t lo, size_t hi, int w, v8 *sum)
{
    const float *factor = nodes_factor(a->nodes, a->term[lo].q, row);
    v8 z[BLOCK] = {{0}};

    for (size_t p = hi; p-- > lo;)
        for (int i = 0, len; i < b->n; i += len) {
            len = run_length(b, i);
            interpolate_run(a, b, i, len, p, w, z);
        }
    for (int i = 0; i < b->n; i++) {
        for (size_t k = 0; k < a->term[lo].m; k++)
            times_i(&z[i], b->phi[i]);
        sum[i] += z[i] * (factor != NULL ? factor[b->at[i]] : 1.0f);
    }
}

INLINE void interpolate_block(const struct interpolate *a, size_t row, float conj,
                              struct block *b, int w)
{
    float *to = a->data + 2 * a->nodes->start[row];
    v8 sum[BLOCK] = {{0}};

    make_taps(a->g->ker, b, false);
    for (size_t lo = 0, hi; lo < a->n; lo = hi) {
        for (hi = lo + 1; hi < a->n && a->term[hi].q == a->term[lo].q;)
            hi++;
        interpolate_term(a, b, row, lo, hi, w, sum);
    }
    for (int i = 0; i < b->n; i++) {
        v8 z = sum[i];

        to[2 * b->at[i]] += z[0] + z[2] + (z[4] + z[6]);
        to[2 * b->at[i] + 1] += conj * (z[1] + z[3] + (z[5] + z[7]));
    }
}

INLINE void interpolate_pieces(const struct interpolate *a, size_t lo, size_t hi, int w)
{
    const struct nodes *nodes = a->nodes;
    struct block b;

    for (size_t k = lo; k < hi; k++) {
        struct node_piece piece = nodes->tiles.piece[k];
        const struct node_class *cls = &nodes->cls[nodes->class_of[piece.row]];
        struct track t = track_of(a->g, a->fit, nodes->uvw_m[piece.row]);
        int m = 0;

        locate(a->g, cls->freq_hz, &t, piece.first, piece.n, &b);
        for (int i = 0; i < piece.n; i++)
            if (on_grid(a->g, &b, i))
                keep(&b, m++, i);
        b.n = m;
        interpolate_block(a, piece.row, t.conj, &b, w);
    }
}

/* ---- one copy for each set of instructions and width of the kernel ---- */

#define VARIANTS(name, attr)                                                           \
    attr static void spread_##name(const struct spread *a, const struct band *band)    \
    {                                                                                  \
        if (a->g->part == 1)                                                           \
            spread_pieces(a, band, TAPS, true);                                        \
        else if (a->g->ker->w == 6)                                                    \
            spread_pieces(a, band, 6, false);                                          \
        else if (a->g->ker->w == 7)                                                    \
            spread_pieces(a, band, 7, false);                                          \
        else                                                                           \
            spread_pieces(a, band, TAPS, false);                                       \
    }                                                                                  \
    attr static void interpolate_##name(const struct interpolate *a, size_t lo,        \
                                        size_t hi)                                     \
    {                                                                                  \
        if (a->g->ker->w == 6)                                                         \
            interpolate_pieces(a, lo, hi, 6);                                          \
        else if (a->g->ker->w == 7)                                                    \
            interpolate_pieces(a, lo, hi, 7);                                          \
        else                                                                           \
            interpolate_pieces(a, lo, hi, TAPS);                                       \
    }

#define NO_ATTRIBUTE
VARIANTS(plain, NO_ATTRIBUTE)
#ifdef __x86_64__
VARIANTS(avx2, __attribute__((target("avx2,fma"))))
VARIANTS(avx512, __attribute__((target("avx512f,avx512dq,avx512vl,avx2,fma"))))
#else
#define spread_avx2        spread_plain
#define spread_avx512      spread_plain
#define interpolate_avx2   interpolate_plain
#define interpolate_avx512 interpolate_plain
#endif

static const struct {
    void (*spread)(const struct spread *a, const struct band *band);
    void (*interpolate)(const struct interpolate *a, size_t lo, size_t hi);
} variant[] = {
    [CPU_PLAIN] = {spread_plain, interpolate_plain},
    [CPU_AVX2] = {spread_avx2, interpolate_avx2},
    [CPU_AVX512] = {spread_avx512, interpolate_avx512},
};

/* ---- threads ---- */

/* The row of the plane, margin included, of v wavelengths. */
static double plane_row(const struct grid *g, double v)
{
    return v * (double)g->nv * g->cell_rad + (double)(g->rows / 2 + GRID_MARGIN);
}

/* Where tile row `tile` begins, wavelengths. */
static double tile_v(const struct node_tiles *t, size_t tile)
{
    return ((double)tile - (double)(t->nrow / 2)) * t->side_v;
}

/* The rows of tiles whose pieces may have patches that begin in the band. */
static void find_tiles(const struct spread *a, struct band *band)
{
    const struct node_tiles *t = &a->nodes->tiles;
    double reach = t->reach_v * (double)a->g->nv * a->g->cell_rad + TAPS;

    band->first_tile = 0;
    while (band->first_tile < t->nrow &&
           plane_row(a->g, tile_v(t, band->first_tile + 1)) + reach < (double)band->lo)
        band->first_tile++;
    band->end_tile = band->first_tile;
    while (band->end_tile < t->nrow &&
           plane_row(a->g, tile_v(t, band->end_tile)) - reach < (double)band->hi)
        band->end_tile++;
}

/* Bands with about equal numbers of pieces, each at least as high as a patch. */
static void make_bands(struct spread *a, size_t nband)
{
    const struct node_tiles *t = &a->nodes->tiles;
    size_t nrow = a->g->nrow, lo = 0, tile = 0;

    a->nband = 0;
    for (size_t i = 0; i < nband && lo < nrow; i++) {
        size_t hi = nrow;

        while (tile < t->nrow && t->start[tile] * nband < t->npiece * (i + 1))
            tile++;
        if (i + 1 < nband) {
            double end = plane_row(a->g, tile_v(t, tile));

            hi = end < (double)(lo + TAPS) ? lo + TAPS : (size_t)end;
        }
        if (hi + TAPS > nrow)
            hi = nrow;
        a->band[a->nband] = (struct band){.lo = lo, .hi = hi};
        find_tiles(a, &a->band[a->nband++]);
        lo = hi;
    }
}

static void spread_bands(void *arg, size_t lo, size_t hi)
{
    const struct spread *a = arg;

    for (size_t i = lo; i < hi; i++)
        variant[a->g->code].spread(a, &a->band[i]);
}

/* What a band has of the rows of the next. */
static void add_strip(const struct spread *a, const struct band *band)
{
    size_t row_floats = a->g->part * a->g->stride;

    for (size_t p = 0; p < a->n; p++)
        for (size_t j = 0; j < TAPS && band->hi + j < a->g->nrow; j++) {
            float *to = a->g->cell + (p * a->g->nrow + band->hi + j) * row_floats;
            const float *from = band->strip + (p * TAPS + j) * row_floats;

            for (size_t c = 0; c < row_floats; c++)
                to[c] += from[c];
        }
}

int grid_spread(struct grid *g, const struct nodes *nodes, const struct plane_fit *fit,
                const float *value, const struct grid_term *term, size_t n)
{
    struct spread a = {
        .g = g, .nodes = nodes, .fit = fit, .value = value, .term = term, .n = n};
    size_t nband = nodes->tiles.npiece / SPREAD_PIECES,
           strip = n * TAPS * g->part * g->stride;
    float *strips;

    nband = nband > g->nthread ? g->nthread : nband;
    nband = nband > MAX_BAND ? MAX_BAND : nband < 1 ? 1 : nband;
    strips = calloc(nband * strip, sizeof *strips);
    if (strips == NULL)
        return -ENOMEM;
    make_bands(&a, nband);
    for (size_t i = 0; i < a.nband; i++)
        a.band[i].strip = strips + i * strip;
    parallel_run(a.nband, 1, spread_bands, &a);
    for (size_t i = 0; i < a.nband; i++)
        add_strip(&a, &a.band[i]);
    free(strips);
    return 0;
}

static void interpolate_range(void *arg, size_t lo, size_t hi)
{
    const struct interpolate *a = arg;

    variant[a->g->code].interpolate(a, lo, hi);
}

void grid_interpolate(const struct grid *g, const struct nodes *nodes,
                      const struct plane_fit *fit, const struct grid_term *term,
                      size_t n, float complex *data)
{
    struct interpolate a = {.g = g,
                            .nodes = nodes,
                            .fit = fit,
                            .term = term,
                            .n = n,
                            .data = (float *)data};

    parallel_run_by(g->nthread, nodes->tiles.npiece, interpolate_range, &a);
}
