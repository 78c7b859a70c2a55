/*
 * runs.c: the two loops over all samples, a run at a time.
 *
 * Neighbouring channels of a baseline mostly fall into the same cell of the uv-plane (13 of
 * them, on average, for 96 antennas and 768 channels).  So the taps of such a run are added
 * up in registers and reach the plane once; on the way back its cells are loaded once.
 *
 * A patch is `w` rows of eight complex cells, two registers of eight floats each.  The same
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
#include <stdlib.h>
#include <string.h>

#include "core/parallel.h"
#include "pipeline/imaging/samples.h"
#include "pipeline/sky/astro.h"

enum {
    TAPS = KERNEL_TAPS,
    BLOCK = 64,       /* samples of a row that are prepared at a time */
    MAX_BAND = 8,     /* threads */
    SPREAD_ROWS = 256 /* rows of samples that are worth a thread */
};

typedef float v8 __attribute__((vector_size(32), aligned(4), may_alias));
typedef double d4 __attribute__((vector_size(32), aligned(8), may_alias));

#define INLINE static inline __attribute__((always_inline))

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

/* Some samples of one row: where they fall, and the taps of each. */
struct block {
    int n;
    int chan[BLOCK];        /* index of the channel */
    int col[BLOCK];         /* first cell that it touches, counted from u = 0 ... */
    int row[BLOCK];         /* ... and from the plane's first row, margin included */
    float phi[BLOCK];       /* radians */
    float z[BLOCK][2];      /* value, weighted */
    v8 u[BLOCK][2];         /* tap of column i in lanes 2 i and 2 i + 1 of the two */
    float v[BLOCK][TAPS];   /* tap of row j */
    float inside[2][BLOCK]; /* place inside the cell, -1 to 1: u, v */
};

/* Where channels c0 .. c0 + n - 1 of a row fall; all of them, wanted or not. */
INLINE void locate(const struct grid *g, const struct samples *s, const struct track *t,
                   size_t c0, int n, struct block *b)
{
    double half = 0.5 * g->ker->w, up = (double)(g->nv / 2 + GRID_MARGIN);

    for (int i = 0; i < n; i++) {
        double f = s->freq_hz[c0 + (size_t)i];
        double u = t->u * f - half, v = t->v * f - half;
        double cu = ceil(u), cv = ceil(v);

        b->col[i] = (int)cu + GRID_MARGIN;
        b->row[i] = (int)(cv + up);
        b->inside[0][i] = (float)(2.0 * (cu - u) - 1.0);
        b->inside[1][i] = (float)(2.0 * (cv - v) - 1.0);
        b->phi[i] = (float)(t->phi * f);
        b->chan[i] = (int)c0 + i;
    }
}

/* Keep sample i as the m-th of the block. */
INLINE void keep(struct block *b, int m, int i)
{
    b->chan[m] = b->chan[i];
    b->col[m] = b->col[i];
    b->row[m] = b->row[i];
    b->phi[m] = b->phi[i];
    b->inside[0][m] = b->inside[0][i];
    b->inside[1][m] = b->inside[1][i];
}

/* The taps of all samples: polynomials in the place inside the cell, eight at a time. */
INLINE void make_taps(const struct kernel *ker, struct block *b)
{
    v8 coef[KERNEL_MAXCOEF];

    memcpy(coef, ker->coef, sizeof coef);
    for (int i = 0; i < b->n; i++) {
        float x = b->inside[0][i], y = b->inside[1][i];
        v8 u = coef[0], v = coef[0];

        for (int c = 1; c < ker->ncoef; c++) {
            u = u * x + coef[c];
            v = v * y + coef[c];
        }
        b->u[i][0] = __builtin_shufflevector(u, u, 0, 0, 1, 1, 2, 2, 3, 3);
        b->u[i][1] = __builtin_shufflevector(u, u, 4, 4, 5, 5, 6, 6, 7, 7);
        memcpy(b->v[i], &v, sizeof v);
    }
}

/* How many samples from i on share a patch. */
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
    float *strip; /* [n planes][TAPS][stride] complex */
};

struct spread {
    struct grid *g;
    const struct samples *s;
    const struct plane_fit *fit;
    const float *wi, *vis;
    size_t first, n;
    struct band band[MAX_BAND];
    size_t nband;
};

/* Samples of the band that are wanted, with their values times (-i phi)^first. */
INLINE void select_samples(const struct spread *a, const struct band *band, size_t r,
                           float conj, int n, struct block *b)
{
    const float *factor = samples_factor(a->s, r);
    int m = 0;

    for (int i = 0; i < n; i++) {
        size_t at = r * a->s->nchan + (size_t)b->chan[i];
        float w = a->wi[at];

        if (!(w > 0.0f) || (size_t)b->row[i] < band->lo ||
            (size_t)b->row[i] >= band->hi)
            continue;
        if (factor != NULL)
            w *= factor[b->chan[i]];
        keep(b, m, i);
        b->z[m][0] = a->vis == NULL ? w : w * a->vis[2 * at];
        b->z[m][1] = a->vis == NULL ? 0.0f : w * conj * a->vis[2 * at + 1];
        m++;
    }
    b->n = m;
}

INLINE void times_minus_i_phi(struct block *b)
{
    for (int i = 0; i < b->n; i++) {
        float re = b->z[i][0];

        b->z[i][0] = b->phi[i] * b->z[i][1];
        b->z[i][1] = -b->phi[i] * re;
    }
}

/* Add up samples i .. i + n - 1 times their taps, and give the patch to plane p. */
INLINE void spread_run(const struct spread *a, const struct band *band,
                       const struct block *b, int i, int n, size_t p, int w)
{
    const struct grid *g = a->g;
    size_t row_floats = 2 * g->stride, row = (size_t)b->row[i];
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
        float *to = row < band->hi
                        ? (float *)g->cell + (p * g->nrow + row) * row_floats
                        : band->strip + (p * TAPS + row - band->hi) * row_floats;
        v8 *cell = (v8 *)(to + 2 * b->col[i]);

        cell[0] += sum[j][0];
        cell[1] += sum[j][1];
    }
}

INLINE void spread_rows(const struct spread *a, const struct band *band, int w)
{
    const struct samples *s = a->s;
    struct block b;

    for (size_t at = 0; at < s->nrow; at++) {
        size_t r = samples_row(s, at);
        struct track t = track_of(a->g, a->fit, s->uvw_m[r]);

        for (size_t c = 0; c < s->nchan; c += BLOCK) {
            int n = (int)(s->nchan - c < BLOCK ? s->nchan - c : BLOCK);

            locate(a->g, s, &t, c, n, &b);
            select_samples(a, band, r, t.conj, n, &b);
            if (b.n == 0)
                continue;
            make_taps(a->g->ker, &b);
            for (size_t k = 0; k < a->first; k++)
                times_minus_i_phi(&b);
            for (size_t p = 0; p < a->n; p++) {
                for (int i = 0, len; i < b.n; i += len) {
                    len = run_length(&b, i);
                    spread_run(a, band, &b, i, len, p, w);
                }
                times_minus_i_phi(&b);
            }
        }
    }
}

/* ---- interpolating ---- */

struct interpolate {
    const struct grid *g;
    const struct samples *s;
    const struct plane_fit *fit;
    size_t first, n;
    float scale;
    float *vis;
};

/* Samples that lie on the grid. */
INLINE void select_on_grid(const struct interpolate *a, size_t r, int n,
                           struct block *b)
{
    const double *uvw = a->s->uvw_m[r];
    int m = 0;

    for (int i = 0; i < n; i++) {
        double kappa = a->s->freq_hz[b->chan[i]] / ASTRO_C_M_S;

        if (grid_holds(a->g->cell_rad, uvw[0] * kappa, uvw[1] * kappa))
            keep(b, m++, i);
    }
    b->n = m;
}

/* z = i phi z + plane p at samples i .. i + n - 1: one step of Horner's rule. */
INLINE void interpolate_run(const struct interpolate *a, struct block *b, int i, int n,
                            size_t p, int w)
{
    size_t row_floats = 2 * a->g->stride;
    const float *from = (const float *)a->g->cell +
                        (p * a->g->nrow + (size_t)b->row[i]) * row_floats +
                        2 * b->col[i];
    v8 patch[TAPS][2];

    for (int j = 0; j < w; j++) {
        patch[j][0] = *(const v8 *)(from + (size_t)j * row_floats);
        patch[j][1] = *(const v8 *)(from + (size_t)j * row_floats + TAPS);
    }
    for (int s = i; s < i + n; s++) {
        v8 left = b->v[s][0] * patch[0][0], right = b->v[s][0] * patch[0][1];
        float re = b->z[s][0], im = b->z[s][1];

        for (int j = 1; j < w; j++) {
            left += b->v[s][j] * patch[j][0];
            right += b->v[s][j] * patch[j][1];
        }
        left = left * b->u[s][0] + right * b->u[s][1];
        left += __builtin_shufflevector(left, left, 4, 5, 6, 7, 4, 5, 6, 7);
        b->z[s][0] = left[0] + left[2] - b->phi[s] * im;
        b->z[s][1] = left[1] + left[3] + b->phi[s] * re;
    }
}

INLINE void times_i_phi(struct block *b)
{
    for (int i = 0; i < b->n; i++) {
        float re = b->z[i][0];

        b->z[i][0] = -b->phi[i] * b->z[i][1];
        b->z[i][1] = b->phi[i] * re;
    }
}

INLINE void interpolate_rows(const struct interpolate *a, size_t lo, size_t hi, int w)
{
    const struct samples *s = a->s;
    struct block b;

    for (size_t at = lo; at < hi; at++) {
        size_t r = samples_row(s, at);
        struct track t = track_of(a->g, a->fit, s->uvw_m[r]);
        const float *factor = samples_factor(s, r);

        for (size_t c = 0; c < s->nchan; c += BLOCK) {
            int n = (int)(s->nchan - c < BLOCK ? s->nchan - c : BLOCK);

            locate(a->g, s, &t, c, n, &b);
            select_on_grid(a, r, n, &b);
            make_taps(a->g->ker, &b);
            memset(b.z, 0, sizeof b.z);
            for (size_t p = a->n; p-- > 0;)
                for (int i = 0, len; i < b.n; i += len) {
                    len = run_length(&b, i);
                    interpolate_run(a, &b, i, len, p, w);
                }
            for (size_t k = 0; k < a->first; k++)
                times_i_phi(&b);
            for (int i = 0; i < b.n; i++) {
                float *to = a->vis + 2 * (r * s->nchan + (size_t)b.chan[i]);
                float scale = a->scale * (factor != NULL ? factor[b.chan[i]] : 1.0f);

                to[0] += scale * b.z[i][0];
                to[1] += scale * t.conj * b.z[i][1];
            }
        }
    }
}

/* ---- one copy for each set of instructions and width of the kernel ---- */

#define VARIANTS(name, attr)                                                           \
    attr static void spread_##name(const struct spread *a, const struct band *band)    \
    {                                                                                  \
        if (a->g->ker->w == 6)                                                         \
            spread_rows(a, band, 6);                                                   \
        else if (a->g->ker->w == 7)                                                    \
            spread_rows(a, band, 7);                                                   \
        else                                                                           \
            spread_rows(a, band, TAPS);                                                \
    }                                                                                  \
    attr static void interpolate_##name(const struct interpolate *a, size_t lo,        \
                                        size_t hi)                                     \
    {                                                                                  \
        if (a->g->ker->w == 6)                                                         \
            interpolate_rows(a, lo, hi, 6);                                            \
        else if (a->g->ker->w == 7)                                                    \
            interpolate_rows(a, lo, hi, 7);                                            \
        else                                                                           \
            interpolate_rows(a, lo, hi, TAPS);                                         \
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
    [GRID_PLAIN] = {spread_plain, interpolate_plain},
    [GRID_AVX2] = {spread_avx2, interpolate_avx2},
    [GRID_AVX512] = {spread_avx512, interpolate_avx512},
};

enum grid_code grid_best_code(void)
{
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl"))
        return GRID_AVX512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return GRID_AVX2;
#endif
    return GRID_PLAIN;
}

/* ---- threads ---- */

/* Samples by row of the plane, roughly: each row of samples is a straight line. */
static void count_rows(const struct spread *a, double *count)
{
    const struct grid *g = a->g;
    enum { STEPS = 16 };

    for (size_t r = 0; r < a->s->nrow; r++) {
        struct track t = track_of(g, a->fit, a->s->uvw_m[r]);

        for (size_t i = 0; i < STEPS; i++) {
            double f = a->s->freq_hz[i * (a->s->nchan - 1) / (STEPS - 1)];
            double row = t.v * f + (double)(g->nv / 2 + GRID_MARGIN);

            if (row >= 0 && row < (double)g->nrow)
                count[(size_t)row] += 1;
        }
    }
}

/* Bands with equal numbers of samples, each at least as high as a patch. */
static void make_bands(struct spread *a, size_t nband)
{
    size_t nrow = a->g->nrow, row = 0;
    double *count = calloc(nrow, sizeof *count), total = 0, sum = 0;

    a->nband = 0;
    if (nband > 1 && count != NULL) {
        count_rows(a, count);
        for (size_t r = 0; r < nrow; r++)
            total += count[r];
    }
    for (size_t i = 0; i < nband; i++) {
        size_t lo = row, left = nband - 1 - i;

        while (row < nrow &&
               (left == 0 ||
                ((sum < total * (double)(i + 1) / (double)nband || row < lo + TAPS) &&
                 row + left * TAPS < nrow))) {
            sum += count != NULL ? count[row] : 1;
            row++;
        }
        a->band[a->nband++] = (struct band){.lo = lo, .hi = row};
    }
    free(count);
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
    size_t row_floats = 2 * a->g->stride;

    for (size_t p = 0; p < a->n; p++)
        for (size_t j = 0; j < TAPS && band->hi + j < a->g->nrow; j++) {
            float *to =
                (float *)a->g->cell + (p * a->g->nrow + band->hi + j) * row_floats;
            const float *from = band->strip + (p * TAPS + j) * row_floats;

            for (size_t c = 0; c < row_floats; c++)
                to[c] += from[c];
        }
}

int grid_spread(struct grid *g, const struct samples *s, const struct plane_fit *fit,
                const float *wi, const float complex *data, size_t first, size_t n)
{
    struct spread a = {.g = g,
                       .s = s,
                       .fit = fit,
                       .wi = wi,
                       .vis = (const float *)data,
                       .first = first,
                       .n = n};
    size_t nband = s->nrow / SPREAD_ROWS, strip = n * TAPS * 2 * g->stride;
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

void grid_interpolate(const struct grid *g, const struct samples *s,
                      const struct plane_fit *fit, size_t first, size_t n, float scale,
                      float complex *data)
{
    struct interpolate a = {.g = g,
                            .s = s,
                            .fit = fit,
                            .first = first,
                            .n = n,
                            .scale = scale,
                            .vis = (float *)data};

    if (g->nthread > 1)
        parallel_run(s->nrow, (s->nrow + g->nthread - 1) / g->nthread,
                     interpolate_range, &a);
    else
        interpolate_range(&a, 0, s->nrow);
}
