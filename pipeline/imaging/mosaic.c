/*
 * mosaic.c: see mosaic.h.
 *
 * Each tile is read where the output's pixels fall on it.  The way there (output pixel, sky,
 * tile pixel) costs about twenty times as much as an interpolation, so it is computed only at
 * the nodes of a coarse grid and interpolated between them; image and beam share the answer.
 * The two outputs serve as accumulators, so the only other memory is that grid.
 */
#include "pipeline/imaging/mosaic.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "pipeline/sky/image.h"

#define TAPS      6    /* Lanczos-3: pixels -2 .. +3 around the one below */
#define TABLE     1024 /* steps of the kernel's table inside a pixel */
#define SNAP      1e-6 /* pixels; closer to a pixel's centre than this is on it */
#define MAP_ERROR 1e-4 /* pixels; the coarse map is made finer until it is this good */
#define MAP_STEP  16   /* pixels between its nodes, at most */
#define MAX_SIDE  20000

/* A rectangle of output pixels, ends included; empty when x1 < x0. */
struct box {
    double x0, x1, y0, y1;
};

/* The outline of a tile's usable pixels: the first and last of every row and column. */
struct outline {
    size_t n;
    double (*xy)[2]; /* [n] 0-based tile pixels */
    double mean[2];  /* their mean */
    struct box box;  /* where they lie in the output */
};

static const char *tile_name(const struct mosaic_tile *t)
{
    return t->flat->object[0] != '\0' ? t->flat->object : "(no name)";
}

/*
 * Are these tiles to be combined?
 */

static int check_tile(const struct mosaic_tile *t, const struct mosaic_tile *first,
                      const struct mosaic_opts *opts, struct err *e)
{
    const struct image *img = t->flat, *ref = first->flat;
    double major = fabs(img->bmaj_rad - ref->bmaj_rad);
    double minor = fabs(img->bmin_rad - ref->bmin_rad);

    if (img->nx != t->pb->nx || img->ny != t->pb->ny)
        return err_set(e, ERR_SHAPE,
                       "tile %s has %zu x %zu pixels and its beam %zu x %zu",
                       tile_name(t), img->nx, img->ny, t->pb->nx, t->pb->ny);
    if (!(t->sigma_jy > 0.0) || !isfinite(t->sigma_jy))
        return err_set(e, ERR_SHAPE, "tile %s has a noise of %g Jy", tile_name(t),
                       t->sigma_jy);
    if (!(img->wcs.cell_rad > 0.0))
        return err_set(e, ERR_SHAPE, "tile %s has pixels of %g rad", tile_name(t),
                       img->wcs.cell_rad);
    if (strcmp(img->unit, ref->unit) != 0)
        return err_set(e, ERR_SHAPE, "tile %s is in %s, tile %s in %s", tile_name(t),
                       img->unit, tile_name(first), ref->unit);
    if (major > opts->beam_tolerance * ref->bmaj_rad ||
        minor > opts->beam_tolerance * ref->bmin_rad)
        return err_set(
            e, ERR_SHAPE,
            "tile %s has a beam of %.4g x %.4g arcsec, tile %s one of %.4g x "
            "%.4g, more than %g %% apart",
            tile_name(t), img->bmaj_rad * 648e3 / M_PI, img->bmin_rad * 648e3 / M_PI,
            tile_name(first), ref->bmaj_rad * 648e3 / M_PI,
            ref->bmin_rad * 648e3 / M_PI, 100.0 * opts->beam_tolerance);
    return 0;
}

/*
 * The output's grid
 */

static bool usable(const struct mosaic_tile *t, size_t i, double cut)
{
    return t->pb->pix[i] >= (float)cut && isfinite(t->flat->pix[i]);
}

static int outline_find(struct outline *o, const struct mosaic_tile *t, double cut)
{
    size_t nx = t->flat->nx, ny = t->flat->ny;
    size_t *first = malloc(nx * sizeof *first), *last = malloc(nx * sizeof *last);
    size_t y, x;

    o->n = 0;
    o->mean[0] = o->mean[1] = 0.0;
    o->xy = malloc(2 * (nx + ny) * sizeof *o->xy);
    if (first == NULL || last == NULL || o->xy == NULL) {
        free(first);
        free(last);
        return -ENOMEM;
    }
    for (x = 0; x < nx; x++)
        first[x] = SIZE_MAX;
    for (y = 0; y < ny; y++) {
        size_t left = SIZE_MAX, right = 0;

        for (x = 0; x < nx; x++) {
            if (!usable(t, y * nx + x, cut))
                continue;
            if (left == SIZE_MAX)
                left = x;
            right = x;
            if (first[x] == SIZE_MAX)
                first[x] = y;
            last[x] = y;
        }
        if (left == SIZE_MAX)
            continue;
        o->xy[o->n][0] = (double)left, o->xy[o->n++][1] = (double)y;
        o->xy[o->n][0] = (double)right, o->xy[o->n++][1] = (double)y;
    }
    for (x = 0; x < nx; x++) {
        if (first[x] == SIZE_MAX)
            continue;
        o->xy[o->n][0] = (double)x, o->xy[o->n++][1] = (double)first[x];
        o->xy[o->n][0] = (double)x, o->xy[o->n++][1] = (double)last[x];
    }
    free(first);
    free(last);
    for (size_t i = 0; i < o->n; i++) {
        o->mean[0] += o->xy[i][0] / (double)o->n;
        o->mean[1] += o->xy[i][1] / (double)o->n;
    }
    return 0;
}

/* All tiles on one pixel grid: then the output keeps it and nothing is interpolated. */
static bool on_one_grid(const struct mosaic_tile *tile, size_t ntile, double cell_rad)
{
    const struct wcs *a = &tile[0].flat->wcs;

    for (size_t i = 0; i < ntile; i++) {
        const struct wcs *b = &tile[i].flat->wcs;
        double dx = b->crpix1 - a->crpix1, dy = b->crpix2 - a->crpix2;

        if (b->xi != 0.0 || b->eta != 0.0 || b->cell_rad != cell_rad ||
            b->ra_rad != a->ra_rad || b->dec_rad != a->dec_rad ||
            fabs(dx - round(dx)) > SNAP || fabs(dy - round(dy)) > SNAP)
            return false;
    }
    return true;
}

/* Direction of the mean of the outlines' unit vectors, every tile counting alike. */
static void sky_centre(struct wcs *out, const struct mosaic_tile *tile,
                       const struct outline *outline, size_t ntile)
{
    double sum[3] = {0.0, 0.0, 0.0};

    for (size_t t = 0; t < ntile; t++) {
        for (size_t i = 0; i < outline[t].n; i++) {
            double ra, dec, w = 1.0 / (double)outline[t].n;

            if (wcs_pix_to_radec(&tile[t].flat->wcs, outline[t].xy[i][0],
                                 outline[t].xy[i][1], &ra, &dec) != 0)
                continue;
            sum[0] += w * cos(dec) * cos(ra);
            sum[1] += w * cos(dec) * sin(ra);
            sum[2] += w * sin(dec);
        }
    }
    out->ra_rad = atan2(sum[1], sum[0]);
    if (out->ra_rad < 0.0)
        out->ra_rad += 2.0 * M_PI;
    out->dec_rad = atan2(sum[2], hypot(sum[0], sum[1]));
}

/* Pixel (x, y) of one grid as pixel of another; NaN when it has none. */
static void pix_to_pix(const struct wcs *from, double x, double y, const struct wcs *to,
                       double xy[2])
{
    double ra, dec;

    if (wcs_pix_to_radec(from, x, y, &ra, &dec) != 0 ||
        wcs_radec_to_pix(to, ra, dec, &xy[0], &xy[1]) != 0)
        xy[0] = xy[1] = NAN;
}

/* Whole output pixels inside an outline. */
static int outline_box(struct outline *o, const struct mosaic_tile *t,
                       const struct wcs *out, struct err *e)
{
    struct box b = {INFINITY, -INFINITY, INFINITY, -INFINITY};

    for (size_t i = 0; i < o->n; i++) {
        double xy[2];

        pix_to_pix(&t->flat->wcs, o->xy[i][0], o->xy[i][1], out, xy);
        if (!isfinite(xy[0]))
            return err_set(
                e, ERR_SHAPE,
                "tile %s reaches more than 90 degrees from the mosaic's centre",
                tile_name(t));
        b.x0 = fmin(b.x0, xy[0]), b.x1 = fmax(b.x1, xy[0]);
        b.y0 = fmin(b.y0, xy[1]), b.y1 = fmax(b.y1, xy[1]);
    }
    o->box = (struct box){ceil(b.x0 - SNAP), floor(b.x1 + SNAP), ceil(b.y0 - SNAP),
                          floor(b.y1 + SNAP)};
    return 0;
}

/* The grid that just covers all outlines: wcs, size; the outlines' boxes move onto it. */
static int plan_grid(struct wcs *out, size_t size[2], const struct mosaic_tile *tile,
                     struct outline *outline, size_t ntile,
                     const struct mosaic_opts *opts, struct err *e)
{
    size_t max_side = opts->max_side > 0 ? opts->max_side : MAX_SIDE;
    struct box all = {INFINITY, -INFINITY, INFINITY, -INFINITY};
    double nx, ny, cell = opts->cell_rad;

    if (!(cell > 0.0)) {
        cell = tile[0].flat->wcs.cell_rad;
        for (size_t t = 1; t < ntile; t++)
            cell = fmin(cell, tile[t].flat->wcs.cell_rad);
    }
    *out = tile[0].flat->wcs;
    if (!on_one_grid(tile, ntile, cell)) {
        *out = (struct wcs){.cell_rad = cell};
        sky_centre(out, tile, outline, ntile);
    }
    for (size_t t = 0; t < ntile; t++) {
        struct outline *o = &outline[t];
        int rc = outline_box(o, &tile[t], out, e);

        if (rc != 0)
            return rc;
        all.x0 = fmin(all.x0, o->box.x0), all.x1 = fmax(all.x1, o->box.x1);
        all.y0 = fmin(all.y0, o->box.y0), all.y1 = fmax(all.y1, o->box.y1);
    }
    nx = all.x1 - all.x0 + 1.0, ny = all.y1 - all.y0 + 1.0;
    if (!(nx >= 1.0) || !(ny >= 1.0))
        return err_set(e, ERR_SHAPE,
                       "no tile has a valid pixel where its beam is at least %g",
                       opts->pb_cut);
    if (nx > (double)max_side || ny > (double)max_side)
        return err_set(
            e, ERR_SHAPE,
            "the mosaic of %zu tiles from %s on would have %.0f x %.0f pixels, "
            "more than %zu a side",
            ntile, tile_name(tile), nx, ny, max_side);
    for (size_t t = 0; t < ntile; t++) {
        outline[t].box.x0 -= all.x0, outline[t].box.x1 -= all.x0;
        outline[t].box.y0 -= all.y0, outline[t].box.y1 -= all.y0;
    }
    out->crpix1 -= all.x0;
    out->crpix2 -= all.y0;
    size[0] = (size_t)nx;
    size[1] = (size_t)ny;
    return 0;
}

/*
 * What the header says of the whole: frequency and beam are means by 1 / sigma^2.
 */

/*
 * The mean beam is that of the mean of the beams' covariances (squared radians, x east,
 * y north).  A tile's position angle counts from its own north; near the pole the
 * mosaic's is another, hence the turn.
 */
static void mean_beam(struct image *sky, const struct mosaic_tile *tile,
                      const struct outline *outline, size_t ntile)
{
    double xx = 0.0, yy = 0.0, xy = 0.0, wsum = 0.0, mean, diff, root;

    for (size_t t = 0; t < ntile; t++) {
        const struct image *img = tile[t].flat;
        double w = 1.0 / (tile[t].sigma_jy * tile[t].sigma_jy);
        double a2 = img->bmaj_rad * img->bmaj_rad, b2 = img->bmin_rad * img->bmin_rad;
        const double *c = outline[t].mean;
        double here[2], north[2], pa, s, k;

        if (outline[t].n == 0)
            continue;
        pix_to_pix(&img->wcs, c[0], c[1], &sky->wcs, here);
        pix_to_pix(&img->wcs, c[0], c[1] + 1.0, &sky->wcs, north);
        pa = img->bpa_rad;
        if (isfinite(here[0] + north[0]))
            pa += atan2(here[0] - north[0], north[1] - here[1]);
        sincos(pa, &s, &k);
        xx += w * (a2 * s * s + b2 * k * k);
        yy += w * (a2 * k * k + b2 * s * s);
        xy += w * (a2 - b2) * s * k;
        wsum += w;
    }
    mean = 0.5 * (xx + yy) / wsum;
    diff = 0.5 * (yy - xx) / wsum;
    root = hypot(diff, xy / wsum);
    sky->bmaj_rad = sqrt(mean + root);
    sky->bmin_rad = sqrt(fmax(mean - root, 0.0));
    sky->bpa_rad = root > 1e-9 * mean ? 0.5 * atan2(xy / wsum, diff) : 0.0;
}

static void describe(struct image *sky, const struct mosaic_tile *tile,
                     const struct outline *outline, size_t ntile)
{
    const struct image *first = tile[0].flat;
    double wsum = 0.0;

    memcpy(sky->unit, first->unit, sizeof sky->unit);
    memcpy(sky->telescope, first->telescope, sizeof sky->telescope);
    memcpy(sky->object, first->object, sizeof sky->object);
    sky->mjd_beg = first->mjd_beg;
    for (size_t t = 0; t < ntile; t++) {
        const struct image *img = tile[t].flat;
        double w = 1.0 / (tile[t].sigma_jy * tile[t].sigma_jy);

        sky->freq_hz += w * img->freq_hz;
        wsum += w;
        sky->width_hz = fmax(sky->width_hz, img->width_hz);
        sky->mjd_beg = fmin(sky->mjd_beg, img->mjd_beg);
        sky->mjd_end = fmax(sky->mjd_end, img->mjd_end);
    }
    sky->freq_hz /= wsum;
    mean_beam(sky, tile, outline, ntile);
}

/*
 * The coarse map
 */

struct map {
    size_t step, ncol, nrow; /* pixels between nodes; nodes */
    double x0, y0;           /* output pixel of the first node */
    double (*node)[2];       /* [nrow][ncol] tile pixels; NaN off the sky */
};

static int map_fill(struct map *map, size_t step, const struct box *box,
                    const struct wcs *out, const struct wcs *tile)
{
    map->step = step;
    map->x0 = box->x0;
    map->y0 = box->y0;
    map->ncol = (size_t)(box->x1 - box->x0) / step + 2;
    map->nrow = (size_t)(box->y1 - box->y0) / step + 2;
    free(map->node);
    map->node = malloc(map->nrow * map->ncol * sizeof *map->node);
    if (map->node == NULL)
        return -ENOMEM;
    for (size_t j = 0; j < map->nrow; j++)
        for (size_t i = 0; i < map->ncol; i++)
            pix_to_pix(out, map->x0 + (double)(i * step), map->y0 + (double)(j * step),
                       tile, map->node[j * map->ncol + i]);
    return 0;
}

/* Largest error of the interpolation in the middle of four nodes, tile pixels. */
static double map_error(const struct map *map, const struct wcs *out,
                        const struct wcs *tile)
{
    double worst = 0.0, half = 0.5 * (double)map->step, n = (double)map->step;

    for (size_t j = 0; j + 1 < map->nrow; j++) {
        for (size_t i = 0; i + 1 < map->ncol; i++) {
            const double(*a)[2] = (const double(*)[2])map->node + j * map->ncol + i;
            const double(*b)[2] = a + map->ncol;
            double xy[2];

            pix_to_pix(out, map->x0 + (double)i * n + half,
                       map->y0 + (double)j * n + half, tile, xy);
            for (int k = 0; k < 2; k++) /* fmax passes over NaN */
                worst =
                    fmax(worst,
                         fabs(0.25 * (a[0][k] + a[1][k] + b[0][k] + b[1][k]) - xy[k]));
        }
    }
    return worst;
}

static int map_make(struct map *map, const struct box *box, const struct wcs *out,
                    const struct wcs *tile)
{
    for (size_t step = MAP_STEP;; step /= 2) {
        int rc = map_fill(map, step, box, out, tile);

        if (rc != 0 || step == 1 || map_error(map, out, tile) < MAP_ERROR)
            return rc;
    }
}

/*
 * Interpolation
 */

/*
 * Six taps for a place f (0..1) beyond the third of them: Lanczos-3, moved by the least
 * change (in squares) that makes it exact for constants, slopes and parabolas.  Lanczos
 * scaled to sum 1 misses the peak of a beam 12 pixels wide by 0.04 % each way, this by
 * 0.01 %; at 5 pixels both miss 0.2 %.  1, t and t^2 - 35/12 are orthogonal on the taps.
 */
static void kernel_taps(double f, float tap[TAPS])
{
    static const double norm[3] = {6.0, 17.5, 112.0 / 3.0};
    double w[TAPS], u = f - 0.5, miss[3] = {1.0, u, u * u - 35.0 / 12.0};

    for (int k = 0; k < TAPS; k++) {
        double x = M_PI * (f + 2.0 - k), t = k - 2.5;

        w[k] = fabs(x) < 1e-9 ? 1.0 : 3.0 * sin(x) * sin(x / 3.0) / (x * x);
        miss[0] -= w[k];
        miss[1] -= w[k] * t;
        miss[2] -= w[k] * (t * t - 35.0 / 12.0);
    }
    for (int k = 0; k < TAPS; k++) {
        double t = k - 2.5;

        tap[k] = (float)(w[k] + miss[0] / norm[0] + miss[1] / norm[1] * t +
                         miss[2] / norm[2] * (t * t - 35.0 / 12.0));
    }
}

/* [TABLE + 1][TAPS]; the first and last row are exactly one pixel. */
static float (*kernel_table(void))[TAPS]
{
    float(*table)[TAPS] = calloc(TABLE + 1, sizeof *table);

    if (table == NULL)
        return NULL;
    for (int s = 1; s < TABLE; s++)
        kernel_taps((double)s / TABLE, table[s]);
    table[0][2] = table[TABLE][3] = 1.0f;
    return table;
}

static void kernel_at(const float (*table)[TAPS], double f, float tap[TAPS])
{
    double at = f * TABLE;
    int s = (int)at;
    float t = (float)(at - s);

    for (int k = 0; k < TAPS; k++) /* f < 1, so s + 1 <= TABLE */
        tap[k] = table[s][k] + t * (table[s + 1][k] - table[s][k]);
}

/* A position on a tile: the pixel below and left of it and how far beyond (0 <= f < 1). */
struct spot {
    long ix, iy;
    double fx, fy;
};

static inline double split(double x, long *whole)
{
    double f, w = floor(x);

    f = x - w;
    if (f > 1.0 - SNAP) {
        w += 1.0;
        f = 0.0;
    } else if (f < SNAP) {
        f = 0.0;
    }
    *whole = (long)w;
    return f;
}

/* NaN unless all pixels that count lie inside and are finite. */
static double bilinear(const struct image *img, const struct spot *s)
{
    long nx = (long)img->nx, ny = (long)img->ny;
    long right = s->fx > 0.0 ? 1 : 0, up = s->fy > 0.0 ? 1 : 0;
    const float *p;
    double low, high;

    if (s->ix < 0 || s->iy < 0 || s->ix + right >= nx || s->iy + up >= ny)
        return NAN;
    p = img->pix + s->iy * nx + s->ix;
    low = p[0] + s->fx * (p[right] - p[0]);
    p += up * nx;
    high = p[0] + s->fx * (p[right] - p[0]);
    return low + s->fy * (high - low);
}

/* The same near an edge or a blank pixel: taps of weight 0 need no pixel. */
static float lanczos_careful(const struct image *img, const struct spot *s,
                             const float wx[TAPS], const float wy[TAPS])
{
    long nx = (long)img->nx, ny = (long)img->ny;
    float sum = 0.0f;

    for (int j = 0; j < TAPS; j++) {
        for (int i = 0; i < TAPS; i++) {
            long x = s->ix - 2 + i, y = s->iy - 2 + j;

            if (wx[i] == 0.0f || wy[j] == 0.0f)
                continue;
            if (x < 0 || y < 0 || x >= nx || y >= ny)
                return NAN;
            sum += wx[i] * wy[j] * img->pix[y * nx + x];
        }
    }
    return sum;
}

static float lanczos(const struct image *img, const struct spot *s,
                     const float (*table)[TAPS])
{
    long nx = (long)img->nx, ny = (long)img->ny;
    float wx[TAPS], wy[TAPS], sum = 0.0f;
    const float *p;

    kernel_at(table, s->fx, wx);
    kernel_at(table, s->fy, wy);
    if (s->ix < 2 || s->iy < 2 || s->ix + 3 >= nx || s->iy + 3 >= ny || s->fx == 0.0 ||
        s->fy == 0.0)
        return lanczos_careful(img, s, wx, wy);
    p = img->pix + (s->iy - 2) * nx + s->ix - 2;
    for (int j = 0; j < TAPS; j++, p += nx)
        sum += wy[j] * (wx[0] * p[0] + wx[1] * p[1] + wx[2] * p[2] + wx[3] * p[3] +
                        wx[4] * p[4] + wx[5] * p[5]);
    return sum;
}

/*
 * Adding a tile
 */

struct adding {
    const struct mosaic_tile *tile;
    double cut, inv_var; /* Jy^-2 */
    const float (*table)[TAPS];
    float *sum, *weight; /* the output row */
};

static inline void add_pixel(const struct adding *a, size_t out_x, double x, double y)
{
    struct spot s;
    double pb, pixel;

    if (!(fabs(x) < 1e9) || !(fabs(y) < 1e9)) /* NaN: off the sky */
        return;
    s.fx = split(x, &s.ix);
    s.fy = split(y, &s.iy);
    pb = bilinear(a->tile->pb, &s);
    if (!(pb >= a->cut))
        return;
    pixel = lanczos(a->tile->flat, &s, a->table);
    if (!isfinite(pixel))
        return;
    a->sum[out_x] += (float)(a->inv_var * pb * pixel);
    a->weight[out_x] += (float)(a->inv_var * pb * pb);
}

/* One output row `y` of the box, between the node rows below and above it. */
static void add_row(const struct adding *a, const struct map *map,
                    const struct box *box, size_t y)
{
    size_t row = (size_t)((double)y - map->y0), j = row / map->step;
    double t = (double)(row % map->step) / (double)map->step;
    const double(*low)[2] = (const double(*)[2])map->node + j * map->ncol;
    const double(*high)[2] = low + map->ncol;
    size_t first = (size_t)box->x0, last = (size_t)box->x1;

    for (size_t i = 0, x = first; x <= last; i++) {
        double ax = low[i][0] + t * (high[i][0] - low[i][0]);
        double ay = low[i][1] + t * (high[i][1] - low[i][1]);
        double bx = low[i + 1][0] + t * (high[i + 1][0] - low[i + 1][0]);
        double by = low[i + 1][1] + t * (high[i + 1][1] - low[i + 1][1]);

        for (size_t k = 0; k < map->step && x <= last; k++, x++) {
            double u = (double)k / (double)map->step;

            add_pixel(a, x, ax + u * (bx - ax), ay + u * (by - ay));
        }
    }
}

static int add_tile(struct image *sky, struct image *weight,
                    const struct mosaic_tile *tile, const struct box *box, double cut,
                    const float (*table)[TAPS])
{
    struct adding a = {.tile = tile,
                       .cut = cut,
                       .inv_var = 1.0 / (tile->sigma_jy * tile->sigma_jy),
                       .table = table};
    struct map map = {0};
    int rc = 0;

    if (box->x1 < box->x0 || box->y1 < box->y0)
        return 0;
    rc = map_make(&map, box, &sky->wcs, &tile->flat->wcs);
    for (size_t y = (size_t)box->y0; rc == 0 && y <= (size_t)box->y1; y++) {
        a.sum = sky->pix + y * sky->nx;
        a.weight = weight->pix + y * sky->nx;
        add_row(&a, &map, box, y);
    }
    free(map.node);
    return rc;
}

int mosaic_make(struct image **sky, struct image **weight,
                const struct mosaic_tile *tile, size_t ntile,
                const struct mosaic_opts *opts, struct err *e)
{
    struct outline *outline = calloc(ntile > 0 ? ntile : 1, sizeof *outline);
    float(*table)[TAPS] = kernel_table();
    struct image *img = NULL, *den = NULL;
    struct wcs wcs;
    size_t size[2] = {0, 0};
    int rc = outline == NULL || table == NULL ? -ENOMEM : 0;

    *sky = *weight = NULL;
    if (ntile == 0)
        rc = err_set(e, ERR_SHAPE, "a mosaic of no tiles");
    for (size_t t = 0; rc == 0 && t < ntile; t++)
        rc = check_tile(&tile[t], &tile[0], opts, e);
    for (size_t t = 0; rc == 0 && t < ntile; t++)
        rc = outline_find(&outline[t], &tile[t], opts->pb_cut);
    if (rc == 0)
        rc = plan_grid(&wcs, size, tile, outline, ntile, opts, e);
    if (rc == 0)
        rc = image_alloc(&img, size[0], size[1], e);
    if (rc != 0)
        goto out;
    img->wcs = wcs;
    describe(img, tile, outline, ntile);
    rc = image_like(&den, img, e);
    for (size_t t = 0; rc == 0 && t < ntile; t++)
        rc = add_tile(img, den, &tile[t], &outline[t].box, opts->pb_cut,
                      (const float(*)[TAPS])table);
    if (rc != 0)
        goto out;
    snprintf(den->unit, sizeof den->unit, "Jy-2"); /* the FITS spelling of Jy^-2 */
    for (size_t i = 0; i < img->nx * img->ny; i++)
        img->pix[i] = den->pix[i] > 0.0f ? img->pix[i] / den->pix[i] : NAN;
    *sky = img;
    *weight = den;
    img = den = NULL;

out:
    if (rc == -ENOMEM)
        err_set(e, rc, "no memory for a mosaic of %zu tiles", ntile);
    for (size_t t = 0; outline != NULL && t < ntile; t++)
        free(outline[t].xy);
    free(outline);
    free(table);
    image_free(img);
    image_free(den);
    return rc;
}
