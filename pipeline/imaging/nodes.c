/* nodes.c: see nodes.h. */
#include "pipeline/imaging/nodes.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/cpu.h"
#include "pipeline/imaging/samples.h"
#include "pipeline/sky/astro.h"
#include "pipeline/sky/beam_series.h"

enum {
    WIDE = 8,      /* channels that are made at a time */
    CHANNELS = 128 /* and so many before they are added to what is there */
};

/* Nodes are closer than they must be by this. */
static const double spare = 2.0;
/* How much more an error at delays inside the image counts than one at all lags. */
static const double inner = 1e4;
/* Spacings from class to class. */
static const double ladder = 1.17;

/* ---- the plan ---- */

static double sinc(double x)
{
    return fabs(x) < 1e-9 ? 1.0 : sin(M_PI * x) / (M_PI * x);
}

/* The transform of what errors at the delays count, for places x nodes apart. */
static double together(double x)
{
    x /= spare;
    return (sinc(x) + 0.5 * inner * sinc(0.5 * x)) / (1.0 + 0.5 * inner);
}

/* The equations of nodes.h, whose matrix is the same for all channels: by Cholesky. */
struct taps {
    double low[NODE_TAPS][NODE_TAPS];
};

static void taps_init(struct taps *t)
{
    for (int i = 0; i < NODE_TAPS; i++)
        for (int j = 0; j <= i; j++) {
            double sum = together(i - j) + (i == j ? 1e-14 : 0.0);

            for (int k = 0; k < j; k++)
                sum -= t->low[i][k] * t->low[j][k];
            t->low[i][j] = i == j ? sqrt(sum) : sum / t->low[j][j];
        }
}

/* Of a channel at `pos` nodes from the first tap's. */
static void taps_at(const struct taps *t, double pos, float tap[NODE_TAPS])
{
    double x[NODE_TAPS];

    for (int i = 0; i < NODE_TAPS; i++) {
        x[i] = together(i - pos);
        for (int k = 0; k < i; k++)
            x[i] -= t->low[i][k] * x[k];
        x[i] /= t->low[i][i];
    }
    for (int i = NODE_TAPS - 1; i >= 0; i--) {
        for (int k = i + 1; k < NODE_TAPS; k++)
            x[i] -= t->low[k][i] * x[k];
        x[i] /= t->low[i][i];
        tap[i] = (float)x[i];
    }
}

/* The class where each channel is a node. */
static int class_of_channels(struct node_class *c, const struct samples *s)
{
    c->n = s->nchan;
    c->freq_hz = malloc(s->nchan * sizeof *c->freq_hz);
    if (c->freq_hz == NULL)
        return -ENOMEM;
    memcpy(c->freq_hz, s->freq_hz, s->nchan * sizeof *c->freq_hz);
    return 0;
}

/* Nodes step_hz apart, from three before the lowest channel. */
static int class_of_step(struct node_class *c, const struct samples *s, double step_hz,
                         const struct taps *taps)
{
    double low = s->freq_hz[0] - (NODE_TAPS / 2 - 1) * step_hz;
    double last = (s->freq_hz[s->nchan - 1] - low) / step_hz;

    c->n = (size_t)last + NODE_TAPS / 2 + 1;
    c->freq_hz = malloc(c->n * sizeof *c->freq_hz);
    c->tap = malloc(s->nchan * NODE_TAPS * sizeof *c->tap);
    c->turned = calloc(s->nchan * NODE_TAPS + WIDE, sizeof *c->turned);
    c->run = malloc(s->nchan * sizeof *c->run);
    if (c->freq_hz == NULL || c->tap == NULL || c->turned == NULL || c->run == NULL)
        return -ENOMEM;
    for (size_t j = 0; j < c->n; j++)
        c->freq_hz[j] = low + (double)j * step_hz;
    for (size_t i = 0; i < s->nchan; i++) {
        double pos = (s->freq_hz[i] - low) / step_hz;
        size_t at = (size_t)pos < NODE_TAPS / 2 - 1 ? NODE_TAPS / 2 - 1 : (size_t)pos;
        uint32_t first = (uint32_t)(at - (NODE_TAPS / 2 - 1));
        struct node_run *run = c->nrun > 0 ? &c->run[c->nrun - 1] : NULL;

        taps_at(taps, pos - (double)first, c->tap + i * NODE_TAPS);
        for (size_t j = 0; j < NODE_TAPS; j++)
            c->turned[j * s->nchan + i] = c->tap[i * NODE_TAPS + j];
        if (run != NULL && run->first == first)
            run->nchan++;
        else
            c->run[c->nrun++] = (struct node_run){(uint32_t)i, 1, first};
    }
    return 0;
}

/* All classes, from the finest spacing on, as long as they save nodes. */
static int make_classes(struct nodes *n, const struct samples *s)
{
    double band = s->freq_hz[s->nchan - 1] - s->freq_hz[0];
    double step = s->nchan > 1 ? band / (double)(s->nchan - 1) : 0.0;
    struct taps taps = {0};
    int rc = class_of_channels(&n->cls[n->nclass++], s);

    taps_init(&taps);
    while (rc == 0 && step > 0.0 && step < band && n->nclass < NODES_CLASSES) {
        /* at least a fifth fewer, or the taps are not worth their while */
        if (band / step + NODE_TAPS < 0.8 * (double)s->nchan)
            rc = class_of_step(&n->cls[n->nclass++], s, step, &taps);
        step *= ladder;
    }
    return rc;
}

/* The class of fewest nodes for a row; none may lie off the grid. */
static size_t choose_class(const struct nodes *n, const double uvw[3], double reach_x,
                           double reach_y, double uv_max_m_hz)
{
    double u = fabs(uvw[0]), v = fabs(uvw[1]), m = fmax(u, v);
    double step = ASTRO_C_M_S / (2.0 * spare * (u * reach_x + v * reach_y));
    size_t best = 0;

    for (size_t i = 1; i < n->nclass; i++) {
        const struct node_class *c = &n->cls[i];

        if (c->freq_hz[0] > 0.0 && c->freq_hz[1] - c->freq_hz[0] <= step &&
            m * c->freq_hz[c->n - 1] <= uv_max_m_hz)
            best = i;
    }
    return best;
}

/* ---- tiles ---- */

/* A row's u and v for 1 Hz, wavelengths, turned to u >= 0. */
struct slope {
    double u, v;
};

static struct slope slope_of(const double uvw[3])
{
    double per_hz = (uvw[0] < 0.0 ? -1.0 : 1.0) / ASTRO_C_M_S;

    return (struct slope){uvw[0] * per_hz, uvw[1] * per_hz};
}

static bool is_placed(const double uvw[3])
{
    return isfinite(uvw[0]) && isfinite(uvw[1]) && isfinite(uvw[2]);
}

/* How far apart in frequency the ends of a piece are, at most. */
static double piece_hz(const struct node_class *c)
{
    double most = 0.0;

    for (size_t i = 0; i < c->n; i += NODES_PIECE) {
        size_t last = i + NODES_PIECE < c->n ? i + NODES_PIECE - 1 : c->n - 1;

        most = fmax(most, c->freq_hz[last] - c->freq_hz[i]);
    }
    return most;
}

/* Tiles for all nodes; larger ones when they would be too many. */
static int open_tiles(struct nodes *n, double reach_x, double reach_y)
{
    struct node_tiles *t = &n->tiles;
    double u = 0.0, v = 0.0, span[NODES_CLASSES];

    for (size_t i = 0; i < n->nclass; i++)
        span[i] = piece_hz(&n->cls[i]);
    for (size_t r = 0; r < n->nrow; r++) {
        const struct node_class *c = &n->cls[n->class_of[r]];
        struct slope s = slope_of(n->uvw_m[r]);

        if (is_placed(n->uvw_m[r])) {
            u = fmax(u, s.u * c->freq_hz[c->n - 1]);
            v = fmax(v, fabs(s.v) * c->freq_hz[c->n - 1]);
            t->reach_v = fmax(t->reach_v, fabs(s.v) * span[n->class_of[r]]);
            t->npiece += (c->n + NODES_PIECE - 1) / NODES_PIECE;
        }
    }
    t->side_u = 0.5 * NODES_TILE / reach_x;
    t->side_v = 0.5 * NODES_TILE / reach_y;
    while (u / t->side_u > 1000.0)
        t->side_u *= 2.0;
    while (v / t->side_v > 500.0)
        t->side_v *= 2.0;
    t->ncol = (size_t)(u / t->side_u) + 1;
    t->nrow = 2 * ((size_t)(v / t->side_v) + 1);
    t->start = calloc(t->nrow + 1, sizeof *t->start);
    t->piece = malloc((t->npiece + 1) * sizeof *t->piece);
    return t->start == NULL || t->piece == NULL ? -ENOMEM : 0;
}

/* The tile of a row's node. */
static size_t tile_of(const struct nodes *n, size_t row, size_t node)
{
    const struct node_tiles *t = &n->tiles;
    double f = n->cls[n->class_of[row]].freq_hz[node];
    struct slope s = slope_of(n->uvw_m[row]);
    size_t col = (size_t)(s.u * f / t->side_u);

    return (size_t)(s.v * f / t->side_v + (double)(t->nrow / 2)) * t->ncol + col;
}

/* Counting sort: at first at [tiles] counts the pieces of each tile, then it is where the next one
 * is put. */
static void each_piece(struct nodes *n, size_t *at, bool put)
{
    for (size_t r = 0; r < n->nrow; r++) {
        size_t all = n->cls[n->class_of[r]].n;

        for (size_t c = 0; is_placed(n->uvw_m[r]) && c < all; c += NODES_PIECE) {
            size_t place = at[tile_of(n, r, c)]++, left = all - c;

            if (put)
                n->tiles.piece[place] = (struct node_piece){
                    (uint32_t)r, (uint16_t)c,
                    (uint16_t)(left < NODES_PIECE ? left : NODES_PIECE)};
        }
    }
}

static int sort_pieces(struct nodes *n)
{
    struct node_tiles *t = &n->tiles;
    size_t *place = calloc(t->nrow * t->ncol + 1, sizeof *place), at = 0;

    if (place == NULL)
        return -ENOMEM;
    each_piece(n, place, false);
    for (size_t i = 0; i < t->nrow * t->ncol; i++) {
        size_t here = place[i];

        if (i % t->ncol == 0)
            t->start[i / t->ncol] = at;
        place[i] = at;
        at += here;
    }
    t->start[t->nrow] = at;
    each_piece(n, place, true);
    free(place);
    return 0;
}

int nodes_init(struct nodes *n, const struct samples *s, double reach_x, double reach_y,
               double uv_max_m_hz)
{
    size_t count = 0;
    int rc;

    *n = (struct nodes){.nrow = s->nrow, .nchan = s->nchan, .uvw_m = s->uvw_m};
    n->class_of = malloc(s->nrow * sizeof *n->class_of);
    n->start = malloc((s->nrow + 1) * sizeof *n->start);
    if (n->class_of == NULL || n->start == NULL || make_classes(n, s) != 0)
        return -ENOMEM;
    for (size_t r = 0; r < s->nrow; r++) {
        size_t c = choose_class(n, s->uvw_m[r], reach_x, reach_y, uv_max_m_hz);

        n->class_of[r] = (uint8_t)c;
        n->start[r] = count;
        count += n->cls[c].n;
    }
    n->start[s->nrow] = count;
    rc = open_tiles(n, reach_x, reach_y);
    return rc == 0 ? sort_pieces(n) : rc;
}

void nodes_close(struct nodes *n)
{
    for (size_t i = 0; i < n->nclass; i++) {
        free(n->cls[i].freq_hz);
        free(n->cls[i].tap);
        free(n->cls[i].turned);
        free(n->cls[i].run);
    }
    for (size_t q = 0; q < NODES_BEAMS; q++)
        free(n->factor[q]);
    free(n->class_of);
    free(n->start);
    free(n->tiles.start);
    free(n->tiles.piece);
    *n = (struct nodes){0};
}

int nodes_set_beam(struct nodes *n, const struct samples *s,
                   const struct beam_series *beam)
{
    size_t terms = beam != NULL ? beam->terms : 1, total = 0;

    for (size_t q = 0; q < NODES_BEAMS; q++) {
        free(n->factor[q]);
        n->factor[q] = NULL;
    }
    if (terms <= 1)
        return 0;
    n->row_time = beam->row_time;
    for (size_t i = 0; i < n->nclass; i++) {
        n->cls[i].factor_at = total;
        total += beam->ntime * n->cls[i].n;
    }
    for (size_t q = 1; q < terms; q++) {
        float *to = n->factor[q] = malloc(total * sizeof *to);

        if (to == NULL)
            return -ENOMEM;
        for (size_t i = 0; i < n->nclass; i++)
            for (size_t t = 0; t < beam->ntime; t++)
                for (size_t j = 0; j < n->cls[i].n; j++)
                    *to++ =
                        beam_series_at(beam, q, t, s->freq_hz, n->cls[i].freq_hz[j]);
    }
    return 0;
}

/* ---- channels to nodes, and back ---- */

typedef float v8 __attribute__((vector_size(32), aligned(4), may_alias));

#define INLINE static inline __attribute__((always_inline))

INLINE void gather(const struct node_class *c, const float *value, const float *weight,
                   float *data, float *sum)
{
    for (size_t k = 0; k < c->nrun; k++) {
        const struct node_run *run = &c->run[k];
        v8 sr = {0}, si = {0}, sw = {0};

        for (size_t i = run->chan; i < run->chan + run->nchan; i++) {
            v8 tap = *(const v8 *)(c->tap + i * NODE_TAPS) * weight[i];

            sw += tap;
            if (value != NULL) {
                sr += tap * value[2 * i];
                si += tap * value[2 * i + 1];
            }
        }
        if (sum != NULL)
            *(v8 *)(sum + run->first) += sw;
        if (value == NULL)
            continue;
        v8 left = __builtin_shufflevector(sr, si, 0, 8, 1, 9, 2, 10, 3, 11);
        v8 right = __builtin_shufflevector(sr, si, 4, 12, 5, 13, 6, 14, 7, 15);

        *(v8 *)(data + 2 * run->first) += left;
        *(v8 *)(data + 2 * run->first + NODE_TAPS) += right;
    }
}

/* Channels lo .. hi - 1 of a run, and some beyond that are not right. */
INLINE void run_channels(const struct node_class *c, const struct node_run *run,
                         const float *data, size_t nchan, size_t lo, size_t hi,
                         float *re, float *im)
{
    const float *from = data + 2 * (size_t)run->first;

    for (size_t i = lo; i < hi; i += WIDE) {
        v8 r = {0}, m = {0};

        for (size_t j = 0; j < NODE_TAPS; j++) {
            v8 tap = *(const v8 *)(c->turned + j * nchan + i);

            r += tap * from[2 * j];
            m += tap * from[2 * j + 1];
        }
        *(v8 *)(re + i - lo) = r;
        *(v8 *)(im + i - lo) = m;
    }
}

/* Channels c0 .. c1 - 1, the first of them in run k; *k: the run of the next. */
INLINE void some_channels(const struct node_class *c, size_t *k, const float *data,
                          size_t nchan, size_t c0, size_t c1, float *re, float *im)
{
    float r[CHANNELS + WIDE] = {0}, m[CHANNELS + WIDE] = {0};

    /* what a run leaves beyond its end the next one overwrites */
    for (size_t lo = c0, hi; lo < c1; lo = hi) {
        const struct node_run *run = &c->run[*k];

        hi = run->chan + run->nchan < c1 ? run->chan + run->nchan : c1;
        run_channels(c, run, data, nchan, lo, hi, r + (lo - c0), m + (lo - c0));
        *k += hi == run->chan + run->nchan;
    }
    for (size_t i = 0; i < c1 - c0; i++) {
        re[i] += r[i];
        im[i] += m[i];
    }
}

INLINE void channels(const struct node_class *c, const float *data, size_t nchan,
                     size_t c0, size_t c1, float *re, float *im)
{
    size_t k = 0;

    while (c0 < c1 && c->run[k].chan + c->run[k].nchan <= c0)
        k++;
    for (size_t lo = c0; lo < c1; lo += CHANNELS)
        some_channels(c, &k, data, nchan, lo, lo + CHANNELS < c1 ? lo + CHANNELS : c1,
                      re + (lo - c0), im + (lo - c0));
}

static void gather_plain(const struct node_class *c, const float *value,
                         const float *weight, float *data, float *sum)
{
    gather(c, value, weight, data, sum);
}

static void channels_plain(const struct node_class *c, const float *data, size_t nchan,
                           size_t c0, size_t c1, float *re, float *im)
{
    channels(c, data, nchan, c0, c1, re, im);
}

#ifdef __x86_64__
#define AVX2 __attribute__((target("avx2,fma")))

AVX2 static void gather_avx2(const struct node_class *c, const float *value,
                             const float *weight, float *data, float *sum)
{
    gather(c, value, weight, data, sum);
}

AVX2 static void channels_avx2(const struct node_class *c, const float *data,
                               size_t nchan, size_t c0, size_t c1, float *re, float *im)
{
    channels(c, data, nchan, c0, c1, re, im);
}
#else
#define gather_avx2   gather_plain
#define channels_avx2 channels_plain
#endif

void nodes_gather(const struct nodes *n, size_t row, const float complex *value,
                  const float *weight, float complex *data, float *sum)
{
    const struct node_class *c = &n->cls[n->class_of[row]];

    if (c->tap == NULL) {
        for (size_t i = 0; i < n->nchan && value != NULL; i++)
            data[i] = weight[i] * value[i];
        if (sum != NULL)
            memcpy(sum, weight, n->nchan * sizeof *sum);
        return;
    }
    if (value != NULL)
        memset(data, 0, c->n * sizeof *data);
    if (sum != NULL)
        memset(sum, 0, c->n * sizeof *sum);
    (cpu_best() >= CPU_AVX2 ? gather_avx2 : gather_plain)(c, (const float *)value,
                                                          weight, (float *)data, sum);
}

void nodes_channels(const struct nodes *n, size_t row, const float complex *data,
                    size_t c, size_t count, float *re, float *im)
{
    const struct node_class *cls = &n->cls[n->class_of[row]];
    const float *from = (const float *)data;

    if (cls->tap != NULL)
        (cpu_best() >= CPU_AVX2 ? channels_avx2 : channels_plain)(cls, from, n->nchan,
                                                                  c, c + count, re, im);
    else
        for (size_t i = 0; i < count; i++) {
            re[i] += from[2 * (c + i)];
            im[i] += from[2 * (c + i) + 1];
        }
}
