/*
 * qa.c: see qa.h.  Noise, the sources of an image, and how they agree with a catalogue.
 */
#include "pipeline/sky/qa.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/parallel.h"
#include "pipeline/sky/image.h"
#include "pipeline/sky/source.h"

#define CLIP_SIGMA    5.0
#define CLIP_ROUNDS   3
#define MAD_TO_SIGMA  1.4826             /* of a normal distribution */
#define HALF_LEVEL    (2.0 * M_LN2)      /* beam form where it is half its peak */
#define ONE_BEAM      (4.0 * HALF_LEVEL) /* beam form one FWHM away */
#define FIT_ROUNDS    20
#define FIT_REACH     30  /* pixels; the fit uses no more of a very wide beam */
#define NO_BEAM_CELLS 3.0 /* "one beam" in an image that has none */

/*
 * Noise
 */

static float key(float v, bool absolute)
{
    return absolute ? fabsf(v) : v;
}

/* Pixels that are enough for the noise of an image: it is then known to 0.1 %. */
enum { MANY = 1000000 };

/* Hoare's FIND: the k-th smallest key ends at v[k], smaller ones before it. */
static float select_kth(float *v, size_t n, size_t k, bool absolute)
{
    ptrdiff_t low = 0, high = (ptrdiff_t)n - 1, want = (ptrdiff_t)k;

    while (low < high) {
        float pivot = key(v[want], absolute);
        ptrdiff_t i = low, j = high;

        while (i <= j) {
            while (key(v[i], absolute) < pivot)
                i++;
            while (key(v[j], absolute) > pivot)
                j--;
            if (i <= j) {
                float swap = v[i];

                v[i++] = v[j];
                v[j--] = swap;
            }
        }
        if (j < want)
            low = i;
        if (want < i)
            high = j;
    }
    return key(v[want], absolute);
}

/* n > 0.  Reorders v. */
static double median(float *v, size_t n, bool absolute)
{
    double upper = select_kth(v, n, n / 2, absolute), lower = 0.0;

    if (n % 2 == 1)
        return upper;
    lower = key(v[0], absolute);
    for (size_t i = 1; i < n / 2; i++)
        lower = fmax(lower, key(v[i], absolute));
    return 0.5 * (lower + upper);
}

/* Subtracts the median from v and returns 1.4826 x the median of what is then |v|. */
static double centre_and_mad(float *v, size_t n)
{
    float middle = (float)median(v, n, false);

    for (size_t i = 0; i < n; i++)
        v[i] -= middle;
    return MAD_TO_SIGMA * median(v, n, true);
}

double qa_noise(const float *pix, size_t n)
{
    size_t step = n / MANY | 1, kept = 0;
    float *v = malloc((n / step + 1) * sizeof *v);
    double sigma = NAN;

    if (v == NULL)
        return NAN;
    for (size_t i = 0; i < n; i += step)
        if (isfinite(pix[i]))
            v[kept++] = pix[i];
    if (kept > 0)
        sigma = centre_and_mad(v, kept);
    for (int round = 0; round < CLIP_ROUNDS && sigma > 0.0; round++) {
        size_t before = kept;

        kept = 0;
        for (size_t i = 0; i < before; i++)
            if (fabs(v[i]) <= CLIP_SIGMA * sigma)
                v[kept++] = v[i];
        if (kept == before)
            break;
        sigma = centre_and_mad(v, kept);
    }
    free(v);
    return sigma;
}

/*
 * Local noise
 */

/* Sides of the boxes in beams, and the pixels looked at along each. */
#define WIDE_BEAMS  30.0
#define CLOSE_BEAMS 8.0
enum { WIDE_SAMPLES = 32, CLOSE_SAMPLES = 16, MAX_SAMPLES = 4 * 32 * 32 };

/* From this much more than in the wide box the noise of the close one begins to count; from
 * FULL_EXCESS on it counts wholly.  (MAD of a hundred beams scatters by 12 %.) */
#define EXCESS      1.3
#define FULL_EXCESS 1.8

/* Noise at the middles of boxes that overlap by half. */
struct boxes {
    const float *pix; /* [ny][nx] */
    size_t nx, ny;
    size_t side_x, side_y; /* pixels */
    size_t samples;        /* pixels looked at along a side, about */
    size_t mx, my;         /* boxes along x and y, at least 2 */
    float *node;           /* [my][mx]; NAN without pixels */
};

static int boxes_init(struct boxes *b, const float *pix, size_t nx, size_t ny,
                      double side, size_t samples)
{
    size_t whole = side < 4.0 ? 4 : side > 1e6 ? 1000000 : (size_t)side;

    *b = (struct boxes){.pix = pix, .nx = nx, .ny = ny, .samples = samples};
    b->side_x = whole < nx ? whole : nx;
    b->side_y = whole < ny ? whole : ny;
    b->mx = 2 * nx / b->side_x;
    b->my = 2 * ny / b->side_y;
    b->node = malloc(b->mx * b->my * sizeof *b->node);
    return b->node != NULL ? 0 : -ENOMEM;
}

/* The first pixel of box k of m, `side` pixels long, spread evenly over n pixels. */
static size_t box_start(size_t k, size_t m, size_t side, size_t n)
{
    return k * (n - side) / (m - 1);
}

/* Rows lo .. hi - 1 of the boxes. */
static void measure_boxes(void *arg, size_t lo, size_t hi)
{
    const struct boxes *b = arg;
    size_t step_x = b->side_x / b->samples, step_y = b->side_y / b->samples;
    float v[MAX_SAMPLES];

    step_x = step_x > 0 ? step_x : 1;
    step_y = step_y > 0 ? step_y : 1;
    for (size_t k = lo * b->mx; k < hi * b->mx; k++) {
        size_t x0 = box_start(k % b->mx, b->mx, b->side_x, b->nx);
        size_t y0 = box_start(k / b->mx, b->my, b->side_y, b->ny), n = 0;

        for (size_t y = y0; y < y0 + b->side_y; y += step_y)
            for (size_t x = x0; x < x0 + b->side_x && n < MAX_SAMPLES; x += step_x)
                if (isfinite(b->pix[y * b->nx + x]))
                    v[n++] = b->pix[y * b->nx + x];
        b->node[k] = n >= 16 ? (float)centre_and_mad(v, n) : NAN;
    }
}

/* Boxes without pixels have the median noise of the others. */
static void fill_boxes(struct boxes *b)
{
    size_t n = b->mx * b->my, kept = 0;
    float *v = malloc(n * sizeof *v), typical = 0.0f;

    for (size_t i = 0; v != NULL && i < n; i++)
        if (isfinite(b->node[i]))
            v[kept++] = b->node[i];
    if (kept > 0)
        typical = (float)median(v, kept, false);
    for (size_t i = 0; i < n; i++)
        b->node[i] = isfinite(b->node[i]) ? b->node[i] : typical;
    free(v);
}

/* Where pixel `at` lies between the middles of the boxes: box *k, and the share of the next. */
static float between_boxes(double at, size_t m, size_t side, size_t n, size_t *k)
{
    double place =
        n > side ? (at - 0.5 * (double)side) * (double)(m - 1) / (double)(n - side)
                 : 0.0;

    place = fmin(fmax(place, 0.0), (double)(m - 1));
    *k = (size_t)fmin(place, (double)(m - 2));
    return (float)(place - (double)*k);
}

static float boxes_at(const struct boxes *b, double x, double y)
{
    size_t i, j;
    float fx = between_boxes(x, b->mx, b->side_x, b->nx, &i);
    float fy = between_boxes(y, b->my, b->side_y, b->ny, &j);
    const float *p = b->node + j * b->mx + i, *q = p + b->mx;

    return (1 - fy) * ((1 - fx) * p[0] + fx * p[1]) +
           fy * ((1 - fx) * q[0] + fx * q[1]);
}

/* The close boxes get the noise of the wide ones where theirs is not markedly more. */
static void join_boxes(struct boxes *close, const struct boxes *wide)
{
    for (size_t k = 0; k < close->mx * close->my; k++) {
        size_t x = box_start(k % close->mx, close->mx, close->side_x, close->nx);
        size_t y = box_start(k / close->mx, close->my, close->side_y, close->ny);
        double calm = (double)boxes_at(wide, (double)x + 0.5 * (double)close->side_x,
                                       (double)y + 0.5 * (double)close->side_y);
        double excess = (double)close->node[k] / calm;
        double counts =
            1.0 + (FULL_EXCESS - 1.0) * (excess - EXCESS) / (FULL_EXCESS - EXCESS);

        if (calm > 0.0)
            close->node[k] = (float)(calm * fmax(1.0, fmin(excess, counts)));
    }
}

struct spread {
    const struct boxes *boxes;
    float *map;
};

/* Rows lo .. hi - 1 of the map. */
static void spread_boxes(void *arg, size_t lo, size_t hi)
{
    const struct spread *s = arg;
    const struct boxes *b = s->boxes;

    for (size_t y = lo; y < hi; y++) {
        float *row = s->map + y * b->nx;
        size_t j, x = 0;
        float fy = between_boxes((double)y, b->my, b->side_y, b->ny, &j);

        for (size_t i = 0; i + 1 < b->mx; i++) { /* a straight line from box to box */
            const float *p = b->node + j * b->mx + i, *q = p + b->mx;
            double x0 =
                (double)box_start(i, b->mx, b->side_x, b->nx) + 0.5 * (double)b->side_x;
            double x1 = (double)box_start(i + 1, b->mx, b->side_x, b->nx) +
                        0.5 * (double)b->side_x;
            float left = (1 - fy) * p[0] + fy * q[0];
            float right = (1 - fy) * p[1] + fy * q[1];
            float slope = x1 > x0 ? (right - left) / (float)(x1 - x0) : 0.0f;
            size_t end = i + 2 < b->mx ? (size_t)x1 : b->nx;

            for (; x < end; x++) {
                float along =
                    fminf(fmaxf((float)((double)x - x0), 0.0f), (float)(x1 - x0));

                row[x] = left + along * slope;
            }
        }
    }
}

int qa_noise_map(float *map, const float *pix, size_t nx, size_t ny, double beam_pix,
                 size_t nthread)
{
    struct boxes wide = {0}, close = {0};
    struct spread spread = {&close, map};
    int rc = boxes_init(&wide, pix, nx, ny, WIDE_BEAMS * beam_pix, WIDE_SAMPLES);

    if (rc == 0)
        rc = boxes_init(&close, pix, nx, ny, CLOSE_BEAMS * beam_pix, CLOSE_SAMPLES);
    if (rc == 0) {
        parallel_run_by(nthread, wide.my, measure_boxes, &wide);
        parallel_run_by(nthread, close.my, measure_boxes, &close);
        fill_boxes(&wide);
        fill_boxes(&close);
        join_boxes(&close, &wide);
        parallel_run_by(nthread, ny, spread_boxes, &spread);
    }
    free(wide.node);
    free(close.node);
    return rc;
}

/*
 * Sources
 */

/* The beam in pixels: exp(-form / 2), form = a dx^2 + 2 b dx dy + c dy^2. */
struct shape {
    double a, b, c;
    long reach;  /* pixels to either side that the fit looks at; 0 without a beam */
    double fwhm; /* pixels, the longer one */
};

/* A local maximum. */
struct peak {
    double x, y; /* 0-based pixels, fitted */
    double flux, noise;
    size_t next; /* in the same bin; NONE at its end */
};

struct peaks {
    size_t n, room;
    struct peak *peak;
};

#define NONE SIZE_MAX

static double form(const struct shape *s, double dx, double dy)
{
    return s->a * dx * dx + 2.0 * s->b * dx * dy + s->c * dy * dy;
}

/* Position angle counts from north (+y) to east (-x). */
static struct shape beam_shape(const struct image *img)
{
    struct shape s = {0};
    double cell = img->wcs.cell_rad, sin_pa, cos_pa, u, v;

    if (!(img->bmaj_rad > 0.0) || !(img->bmin_rad > 0.0)) {
        s.fwhm = NO_BEAM_CELLS;
        s.a = s.c = ONE_BEAM / (s.fwhm * s.fwhm);
        return s;
    }
    s.fwhm = img->bmaj_rad / cell;
    sincos(img->bpa_rad, &sin_pa, &cos_pa);
    u = ONE_BEAM / (s.fwhm * s.fwhm); /* 1 / sigma^2 along the major axis */
    v = ONE_BEAM * cell * cell / (img->bmin_rad * img->bmin_rad);
    s.a = u * sin_pa * sin_pa + v * cos_pa * cos_pa;
    s.b = (v - u) * sin_pa * cos_pa;
    s.c = u * cos_pa * cos_pa + v * sin_pa * sin_pa;
    s.reach = (long)fmin(ceil(0.5 * s.fwhm), FIT_REACH);
    return s;
}

/* Strictly above the neighbours that come first, so that a plateau counts once. */
static bool is_peak(const struct image *img, size_t x, size_t y)
{
    const float *p = img->pix + y * img->nx + x;

    for (int j = -1; j <= 1; j++) {
        for (int i = -1; i <= 1; i++) {
            float other = p[j * (ptrdiff_t)img->nx + i];
            bool earlier = j < 0 || (j == 0 && i < 0);

            if (i == 0 && j == 0)
                continue;
            if (!isfinite(other) || other > *p || (earlier && !(other < *p)))
                return false;
        }
    }
    return true;
}

/* Solve the symmetric 3 x 3 system by Cramer's rule; false when it is singular. */
static bool solve3(const double m[6], const double r[3], double x[3])
{
    /* m: 00 01 02 11 12 22 */
    double c00 = m[3] * m[5] - m[4] * m[4];
    double c01 = m[2] * m[4] - m[1] * m[5];
    double c02 = m[1] * m[4] - m[2] * m[3];
    double c11 = m[0] * m[5] - m[2] * m[2];
    double c12 = m[1] * m[2] - m[0] * m[4];
    double c22 = m[0] * m[3] - m[1] * m[1];
    double det = m[0] * c00 + m[1] * c01 + m[2] * c02;

    if (!(fabs(det) > 1e-12 * fabs(m[0] * m[3] * m[5])))
        return false;
    x[0] = (c00 * r[0] + c01 * r[1] + c02 * r[2]) / det;
    x[1] = (c01 * r[0] + c11 * r[1] + c12 * r[2]) / det;
    x[2] = (c02 * r[0] + c12 * r[1] + c22 * r[2]) / det;
    return true;
}

/*
 * One Gauss-Newton step for peak and position on the pixels around (x, y) where the beam
 * there is above its half, the inner 3 x 3 always.
 */
static bool fit_step(const struct image *img, const struct shape *s, long x, long y,
                     struct peak *p)
{
    double m[6] = {0}, r[3] = {0}, step[3];

    for (long j = -s->reach; j <= s->reach; j++) {
        for (long i = -s->reach; i <= s->reach; i++) {
            double dx = (double)(x + i) - p->x, dy = (double)(y + j) - p->y;
            double d[3], rest;

            if ((labs(i) > 1 || labs(j) > 1) &&
                form(s, (double)i, (double)j) > HALF_LEVEL)
                continue;
            if (x + i < 0 || y + j < 0 || x + i >= (long)img->nx ||
                y + j >= (long)img->ny)
                continue;
            rest = img->pix[(size_t)(y + j) * img->nx + (size_t)(x + i)];
            if (!isfinite(rest))
                continue;
            d[0] = exp(-0.5 * form(s, dx, dy));
            d[1] = p->flux * d[0] * (s->a * dx + s->b * dy);
            d[2] = p->flux * d[0] * (s->b * dx + s->c * dy);
            rest -= p->flux * d[0];
            for (int k = 0, q = 0; k < 3; k++) {
                r[k] += d[k] * rest;
                for (int l = k; l < 3; l++)
                    m[q++] += d[k] * d[l];
            }
        }
    }
    if (!solve3(m, r, step))
        return false;
    p->flux += step[0];
    p->x += step[1];
    p->y += step[2];
    return fabs(p->x - (double)x) < 0.5 * s->fwhm + 1.0 &&
           fabs(p->y - (double)y) < 0.5 * s->fwhm + 1.0 && p->flux > 0.0;
}

/* Peak and position; those of the pixel when the beam does not fit there. */
static void fit_peak(const struct image *img, const struct shape *s, size_t x, size_t y,
                     struct peak *p)
{
    const double pixel = img->pix[y * img->nx + x];

    p->x = (double)x;
    p->y = (double)y;
    p->flux = pixel;
    for (int round = 0; round < FIT_ROUNDS && s->reach > 0; round++) {
        double before[2] = {p->x, p->y};

        if (!fit_step(img, s, (long)x, (long)y, p) || p->flux > 3.0 * pixel) {
            p->x = (double)x;
            p->y = (double)y;
            p->flux = pixel;
            return;
        }
        if (hypot(p->x - before[0], p->y - before[1]) < 1e-7)
            return;
    }
}

static int add_peak(struct peaks *list, const struct peak *p)
{
    if (list->n == list->room) {
        size_t room = list->room > 0 ? 2 * list->room : 256;
        struct peak *bigger = reallocarray(list->peak, room, sizeof *bigger);

        if (bigger == NULL)
            return -ENOMEM;
        list->peak = bigger;
        list->room = room;
    }
    list->peak[list->n++] = *p;
    return 0;
}

static int find_peaks(struct peaks *list, const struct image *img, const float *noise,
                      double nsigma, const struct shape *s)
{
    double one = noise == NULL ? qa_noise(img->pix, img->nx * img->ny) : 0.0;

    for (size_t y = 1; y + 1 < img->ny; y++) {
        for (size_t x = 1; x + 1 < img->nx; x++) {
            size_t i = y * img->nx + x;
            struct peak p = {.noise = noise != NULL ? noise[i] : one, .next = NONE};

            if (!(p.noise >= 0.0) || !(img->pix[i] > nsigma * p.noise) ||
                !isfinite(img->pix[i]) || !is_peak(img, x, y))
                continue;
            fit_peak(img, s, x, y, &p);
            if (add_peak(list, &p) != 0)
                return -ENOMEM;
        }
    }
    return 0;
}

static int brightest_first(const void *a, const void *b)
{
    const struct peak *p = a, *q = b;

    if (p->flux != q->flux)
        return p->flux < q->flux ? 1 : -1;
    return p->y != q->y ? (p->y > q->y) - (p->y < q->y) : (p->x > q->x) - (p->x < q->x);
}

/* Pixels in bins one beam wide: what is closer than a beam is in a bin next to it. */
struct bins {
    double side;
    size_t nx, ny;
    size_t *first; /* [ny][nx] index of a peak, NONE for empty */
};

static size_t bin_of(double at, double side, size_t n)
{
    double b = floor(at / side);

    return b <= 0.0 ? 0 : b >= (double)n ? n - 1 : (size_t)b;
}

static bool near_brighter(const struct bins *bins, const struct peaks *list,
                          const struct peak *p, const struct shape *s)
{
    size_t bx = bin_of(p->x, bins->side, bins->nx);
    size_t by = bin_of(p->y, bins->side, bins->ny);

    for (size_t y = by > 0 ? by - 1 : 0; y <= by + 1 && y < bins->ny; y++) {
        for (size_t x = bx > 0 ? bx - 1 : 0; x <= bx + 1 && x < bins->nx; x++) {
            size_t k = bins->first[y * bins->nx + x];

            for (; k != NONE; k = list->peak[k].next)
                if (form(s, list->peak[k].x - p->x, list->peak[k].y - p->y) < ONE_BEAM)
                    return true;
        }
    }
    return false;
}

/* Sort brightest first, and drop what lies within a beam of a brighter one. */
static int merge_peaks(struct peaks *list, const struct image *img,
                       const struct shape *s)
{
    struct bins bins = {.side = fmax(s->fwhm, 1.0)};
    size_t kept = 0;

    bins.nx = (size_t)((double)img->nx / bins.side) + 1;
    bins.ny = (size_t)((double)img->ny / bins.side) + 1;
    bins.first = malloc(bins.nx * bins.ny * sizeof *bins.first);
    if (bins.first == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < bins.nx * bins.ny; i++)
        bins.first[i] = NONE;
    if (list->n > 0)
        qsort(list->peak, list->n, sizeof *list->peak, brightest_first);
    for (size_t i = 0; i < list->n; i++) {
        struct peak p = list->peak[i];
        size_t *first = &bins.first[bin_of(p.y, bins.side, bins.ny) * bins.nx +
                                    bin_of(p.x, bins.side, bins.nx)];

        if (near_brighter(&bins, list, &p, s))
            continue;
        p.next = *first;
        *first = kept;
        list->peak[kept++] = p;
    }
    list->n = kept;
    free(bins.first);
    return 0;
}

int qa_find(struct source_list *out, const struct image *img, const float *noise,
            double nsigma, struct err *e)
{
    struct shape shape = beam_shape(img);
    struct peaks list = {0};
    int rc = find_peaks(&list, img, noise, nsigma, &shape);

    *out = (struct source_list){0};
    if (rc == 0)
        rc = merge_peaks(&list, img, &shape);
    if (rc == 0 && list.n > 0 && (out->src = calloc(list.n, sizeof *out->src)) == NULL)
        rc = -ENOMEM;
    for (size_t i = 0; rc == 0 && i < list.n; i++) {
        const struct peak *p = &list.peak[i];
        struct source *s = &out->src[out->n];

        if (wcs_pix_to_radec(&img->wcs, p->x, p->y, &s->ra_rad, &s->dec_rad) != 0)
            continue; /* a corner off the sphere */
        s->flux_jy = p->flux;
        s->freq_hz = img->freq_hz;
        s->snr = p->flux / p->noise;
        out->n++;
    }
    free(list.peak);
    if (rc != 0)
        err_set(e, rc, "no memory for the sources of %s", img->object);
    return rc;
}

/*
 * Against a catalogue
 */

static double separation(const struct source *a, const struct source *b)
{
    double sdec = sin(0.5 * (a->dec_rad - b->dec_rad));
    double sra = sin(0.5 * (a->ra_rad - b->ra_rad));
    double h = sdec * sdec + cos(a->dec_rad) * cos(b->dec_rad) * sra * sra;

    return 2.0 * asin(fmin(sqrt(h), 1.0));
}

/* Flux at the image's frequency; as it stands when either frequency is not known. */
static double flux_at(const struct source *s, double freq_hz)
{
    if (!(freq_hz > 0.0) || !(s->freq_hz > 0.0))
        return s->flux_jy;
    return s->flux_jy * pow(freq_hz / s->freq_hz, s->spix);
}

/* Is the source on a valid pixel, and bright enough there? */
static bool expected(const struct image *img, const float *noise, double one,
                     const struct source *s, double nsigma)
{
    double x, y, sigma;
    size_t i;

    if (wcs_radec_to_pix(&img->wcs, s->ra_rad, s->dec_rad, &x, &y) != 0)
        return false;
    x = round(x);
    y = round(y);
    if (!(x >= 0.0 && x < (double)img->nx && y >= 0.0 && y < (double)img->ny))
        return false;
    i = (size_t)y * img->nx + (size_t)x;
    sigma = noise != NULL ? noise[i] : one;
    return isfinite(img->pix[i]) && isfinite(sigma) &&
           flux_at(s, img->freq_hz) > nsigma * sigma;
}

static const struct source *nearest(const struct source_list *found,
                                    const struct source *to, double within_rad,
                                    double *offset_rad)
{
    const struct source *best = NULL;

    for (size_t i = 0; i < found->n; i++) {
        double sep;

        if (fabs(found->src[i].dec_rad - to->dec_rad) > within_rad)
            continue;
        sep = separation(&found->src[i], to);
        if (sep <= within_rad) {
            best = &found->src[i];
            within_rad = sep;
        }
    }
    *offset_rad = within_rad;
    return best;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double sorted_median(double *v, size_t n)
{
    if (n == 0)
        return NAN;
    qsort(v, n, sizeof *v, by_value);
    return 0.5 * (v[(n - 1) / 2] + v[n / 2]);
}

int qa_match(struct qa_match *out, const struct image *img, const float *noise,
             const struct source_list *found, const struct source_list *cat,
             double nsigma)
{
    double one = noise == NULL ? qa_noise(img->pix, img->nx * img->ny) : 0.0;
    double beam =
        img->bmaj_rad > 0.0 ? img->bmaj_rad : NO_BEAM_CELLS * img->wcs.cell_rad;
    size_t room = cat->n > 0 ? cat->n : 1;
    double *ratio = malloc(2 * room * sizeof *ratio), *offset;

    *out = (struct qa_match){.flux_ratio = NAN,
                             .offset_rad = NAN,
                             .worst_ratio = NAN,
                             .worst_offset_rad = NAN};
    if (ratio == NULL)
        return -ENOMEM;
    offset = ratio + room;
    for (size_t i = 0; i < cat->n; i++) {
        const struct source *s = &cat->src[i], *f;
        size_t n = out->nfound;

        if (!expected(img, noise, one, s, nsigma))
            continue;
        out->nexpected++;
        f = nearest(found, s, beam, &offset[n]);
        if (f == NULL)
            continue;
        ratio[n] = f->flux_jy / flux_at(s, img->freq_hz);
        if (n == 0 || fabs(log(ratio[n])) > fabs(log(out->worst_ratio)))
            out->worst_ratio = ratio[n];
        if (n == 0 || offset[n] > out->worst_offset_rad)
            out->worst_offset_rad = offset[n];
        out->nfound++;
    }
    out->flux_ratio = sorted_median(ratio, out->nfound);
    out->offset_rad = sorted_median(offset, out->nfound);
    free(ratio);
    return 0;
}
