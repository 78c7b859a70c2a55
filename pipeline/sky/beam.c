/*
 * beam.c: the primary beam of one pointing, and its mean over a drift tile.
 */
#include "pipeline/sky/beam.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/parallel.h"
#include "pipeline/sky/beam_parts.h"
#include "pipeline/sky/vis.h"
#include "pipeline/sky/wcs.h"

static const double PI = 3.141592653589793;
static const double LN2 = 0.6931471805599453;
/* Half-power full width of the Airy power pattern in lambda / D: (2 J1(x)/x)^2 = 1/2 at
 * x = 1.6163399, 2 x / pi. */
static const double AIRY_FWHM = 1.0289939;

enum { MAX_BUNDLE = 32, TABLE = 2048, MAX_STEP = 8 };

/* ---- one pointing ---- */

/* Power at sin(angle); the front hemisphere. */
static double power_at_sine(const struct beam *beam, double sine, double freq_hz)
{
    double d_lambda = beam->diameter_m * freq_hz / ASTRO_C_M_S; /* in wavelengths */

    if (beam->kind == BEAM_AIRY) {
        double x = PI * d_lambda * sine, field;

        if (x < 1e-4)
            return 1 - x * x / 4;
        field = 2 * j1(x) / x;
        return field * field;
    }
    if (beam->kind == BEAM_GAUSSIAN) {
        double r = asin(fmin(sine, 1)) * d_lambda / AIRY_FWHM;

        return exp(-4 * LN2 * r * r);
    }
    return 1;
}

/* Sine of the angle between unit vectors by their cross product, which keeps its accuracy
 * on the axis; > 1 when they are 90 degrees or more apart. */
static double sine_between(const double a[3], const double b[3])
{
    double c[3] = {a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2],
                   a[0] * b[1] - a[1] * b[0]};

    if (a[0] * b[0] + a[1] * b[1] + a[2] * b[2] <= 0)
        return 2;
    return sqrt(c[0] * c[0] + c[1] * c[1] + c[2] * c[2]);
}

double beam_power_at(const struct beam *beam, const double pointing[3],
                     const double dir[3], double freq_hz)
{
    double sine = sine_between(pointing, dir);

    if (beam->kind == BEAM_NONE)
        return 1;
    return sine > 1 ? 0 : power_at_sine(beam, sine, freq_hz);
}

int beam_kind_parse(const char *text, enum beam_kind *kind)
{
    static const struct {
        const char *name;
        enum beam_kind kind;
    } known[] = {{"none", BEAM_NONE}, {"airy", BEAM_AIRY}, {"gaussian", BEAM_GAUSSIAN}};

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(text, known[i].name) == 0) {
            *kind = known[i].kind;
            return 0;
        }
    }
    return -EINVAL;
}

/* ---- mean of a tile ---- */

struct beam_mean {
    struct beam beam;
    size_t ntime, nbundle;
    double (*axis)[3]; /* [ntime] pointing as a unit vector in ICRS */
    double *share;     /* [ntime][nbundle], sum 1 */
    double *freq_hz;   /* [ntime][nbundle] mean frequency of the bundle */
};

void beam_mean_free(struct beam_mean *mean)
{
    if (mean == NULL)
        return;
    free(mean->axis);
    free(mean->share);
    free(mean->freq_hz);
    free(mean);
}

void beam_vector(double ra_rad, double dec_rad, double v[3])
{
    v[0] = cos(dec_rad) * cos(ra_rad);
    v[1] = cos(dec_rad) * sin(ra_rad);
    v[2] = sin(dec_rad);
}

/* Weights by time and channel, a share of the rows in each part. */
struct shares {
    const struct vis *vis;
    size_t parts;
    double *sum; /* [parts][ntime][nchan] */
};

static void add_shares(void *arg, size_t lo, size_t hi)
{
    const struct shares *s = arg;
    const struct vis *vis = s->vis;
    size_t npol = vis->npol;

    for (size_t part = lo; part < hi; part++)
        for (size_t row = vis->nrow * part / s->parts;
             row < vis->nrow * (part + 1) / s->parts; row++) {
            const float *w = vis->weight + row * vis->nchan * npol;
            double *to =
                s->sum + (part * vis->ntime + (size_t)vis->row_time[row]) * vis->nchan;

            if (npol == 2)
                for (size_t c = 0; c < vis->nchan; c++)
                    to[c] += (double)(w[2 * c] + w[2 * c + 1]);
            else
                for (size_t i = 0; i < vis->nchan * npol; i++)
                    to[i / npol] += (double)w[i];
        }
}

void beam_shares(const struct vis *vis, double *sum)
{
    size_t n = vis->ntime * vis->nchan;
    struct shares s = {.vis = vis, .parts = vis->nrow < 64 ? 1 : 4};
    double total = 0;

    s.sum = mem_calloc(s.parts * n, sizeof *s.sum);
    parallel_run(s.parts, 1, add_shares, &s);
    for (size_t i = 0; i < n; i++) {
        for (size_t part = 0; part < s.parts; part++)
            sum[i] += s.sum[part * n + i];
        total += sum[i];
    }
    free(s.sum);
    for (size_t i = 0; i < n; i++)
        sum[i] = total > 0 ? sum[i] / total : 1.0 / (double)n;
}

/* Channels [first, end) of bundle k. */
static size_t bundle_start(const struct beam_mean *mean, const struct vis *vis,
                           size_t k)
{
    return k * vis->nchan / mean->nbundle;
}

static void bundle(struct beam_mean *mean, const struct vis *vis, const double *sum)
{
    for (size_t t = 0; t < mean->ntime; t++) {
        for (size_t k = 0; k < mean->nbundle; k++) {
            size_t first = bundle_start(mean, vis, k),
                   end = bundle_start(mean, vis, k + 1);
            double share = 0, freq = 0;

            for (size_t c = first; c < end; c++) {
                share += sum[t * vis->nchan + c];
                freq += sum[t * vis->nchan + c] * vis->freq_hz[c];
            }
            mean->share[t * mean->nbundle + k] = share;
            mean->freq_hz[t * mean->nbundle + k] =
                share > 0 ? freq / share : vis->freq_hz[first];
        }
    }
}

int beam_mean_new(struct beam_mean **out, const struct beam *beam,
                  const struct vis *vis)
{
    struct beam_mean *mean = calloc(1, sizeof *mean);
    double *sum = calloc(vis->ntime * vis->nchan, sizeof *sum);
    double ra, dec;

    *out = NULL;
    if (mean == NULL || sum == NULL)
        goto fail;
    mean->beam = *beam;
    mean->ntime = vis->ntime;
    mean->nbundle = vis->nchan < MAX_BUNDLE ? vis->nchan : MAX_BUNDLE;
    mean->axis = calloc(mean->ntime, sizeof *mean->axis);
    mean->share = calloc(mean->ntime * mean->nbundle, sizeof *mean->share);
    mean->freq_hz = calloc(mean->ntime * mean->nbundle, sizeof *mean->freq_hz);
    if (mean->axis == NULL || mean->share == NULL || mean->freq_hz == NULL)
        goto fail;
    for (size_t t = 0; t < mean->ntime; t++) {
        vis_pointing(vis, t, &ra, &dec);
        beam_vector(ra, dec, mean->axis[t]);
    }
    beam_shares(vis, sum);
    bundle(mean, vis, sum);
    free(sum);
    *out = mean;
    return 0;
fail:
    free(sum);
    beam_mean_free(mean);
    return -ENOMEM;
}

double beam_mean_at(const struct beam_mean *mean, double ra_rad, double dec_rad)
{
    double dir[3], power = 0;

    if (mean->beam.kind == BEAM_NONE)
        return 1;
    beam_vector(ra_rad, dec_rad, dir);
    for (size_t t = 0; t < mean->ntime; t++) {
        double sine = sine_between(mean->axis[t], dir);

        for (size_t k = 0; sine <= 1 && k < mean->nbundle; k++)
            power +=
                mean->share[t * mean->nbundle + k] *
                power_at_sine(&mean->beam, sine, mean->freq_hz[t * mean->nbundle + k]);
    }
    return power;
}

double beam_tile_at(const struct beam *beam, const struct vis *vis, double ra_rad,
                    double dec_rad)
{
    struct beam_mean *mean;
    double power;

    beam_mean_new(&mean, beam, vis);
    mem_must(mean); /* small: ntime x nchan */
    power = beam_mean_at(mean, ra_rad, dec_rad);
    beam_mean_free(mean);
    return power;
}

/* ---- the same on a grid ---- */

/* Coarse nodes of an image: node (i, j) lies on pixel (i step, j step), the last ones on or
 * beyond the far border. */
struct nodes {
    size_t step, nx, ny;
    double (*dir)[3]; /* [ny][nx] unit vectors; the null vector off the sky */
    double *power;    /* [ny][nx] */
};

static void nodes_free(struct nodes *nodes)
{
    free(nodes->dir);
    free(nodes->power);
}

size_t beam_node_step(const struct beam *beam, double freq_hz, double cell_rad,
                      size_t most)
{
    double k = PI * beam->diameter_m * freq_hz / ASTRO_C_M_S;
    double h = sqrt(5e-5 * 8 / k / k) / cell_rad;

    return h >= (double)most ? most : h >= 1 ? (size_t)h : 1;
}

static size_t node_step(const struct beam_mean *mean, double cell_rad)
{
    double freq_hz = 0;

    for (size_t i = 0; i < mean->ntime * mean->nbundle; i++)
        freq_hz = fmax(freq_hz, mean->freq_hz[i]);
    return beam_node_step(&mean->beam, freq_hz, cell_rad, MAX_STEP);
}

static int nodes_init(struct nodes *nodes, const struct wcs *wcs, size_t step,
                      size_t nx, size_t ny)
{
    nodes->step = step;
    nodes->nx = (nx + step - 2) / step + 2;
    nodes->ny = (ny + step - 2) / step + 2;
    nodes->dir = calloc(nodes->nx * nodes->ny, sizeof *nodes->dir);
    nodes->power = calloc(nodes->nx * nodes->ny, sizeof *nodes->power);
    if (nodes->dir == NULL || nodes->power == NULL)
        return -ENOMEM;
    for (size_t j = 0; j < nodes->ny; j++) {
        for (size_t i = 0; i < nodes->nx; i++) {
            double ra, dec;

            if (wcs_pix_to_radec(wcs, (double)(i * step), (double)(j * step), &ra,
                                 &dec) == 0)
                beam_vector(ra, dec, nodes->dir[j * nodes->nx + i]);
        }
    }
    return 0;
}

/* Largest sine between any node and the axis. */
static double largest_sine(const struct nodes *nodes, const double axis[3])
{
    double largest = 0;

    for (size_t i = 0; i < nodes->nx * nodes->ny; i++) {
        double sine = sine_between(nodes->dir[i], axis);

        if (sine <= 1 && sine > largest)
            largest = sine;
    }
    return largest;
}

/* Add integration t to every node, by a table of its mean over the bundles against sine. */
static void add_integration(struct nodes *nodes, const struct beam_mean *mean, size_t t,
                            double *table)
{
    const double *share = mean->share + t * mean->nbundle;
    const double *freq_hz = mean->freq_hz + t * mean->nbundle;
    double top = fmax(largest_sine(nodes, mean->axis[t]), 1e-9);

    for (size_t i = 0; i <= TABLE; i++) {
        table[i] = 0;
        for (size_t k = 0; k < mean->nbundle; k++)
            table[i] += share[k] *
                        power_at_sine(&mean->beam, top * (double)i / TABLE, freq_hz[k]);
    }
    for (size_t i = 0; i < nodes->nx * nodes->ny; i++) {
        double sine = sine_between(nodes->dir[i], mean->axis[t]), at, part;
        size_t k;

        if (sine > 1)
            continue;
        at = sine / top * TABLE;
        k = at < TABLE - 1 ? (size_t)at : TABLE - 1;
        part = at - (double)k;
        nodes->power[i] += table[k] + part * (table[k + 1] - table[k]);
    }
}

static float interpolate(const struct nodes *nodes, size_t x, size_t y)
{
    size_t i = x / nodes->step, j = y / nodes->step;
    double fx = (double)(x % nodes->step) / (double)nodes->step;
    double fy = (double)(y % nodes->step) / (double)nodes->step;
    const double *p = nodes->power + j * nodes->nx + i, *q = p + nodes->nx;
    double power =
        (1 - fy) * (p[0] + fx * (p[1] - p[0])) + fy * (q[0] + fx * (q[1] - q[0]));

    return (float)fmin(fmax(power, 0), 1);
}

int beam_tile(float *pb, const struct beam *beam, const struct vis *vis,
              const struct wcs *wcs, size_t nx, size_t ny)
{
    struct nodes nodes = {0};
    struct beam_mean *mean = NULL;
    double table[TABLE + 1];
    int rc = beam_mean_new(&mean, beam, vis);

    if (rc != 0 ||
        (rc = nodes_init(&nodes, wcs, node_step(mean, wcs->cell_rad), nx, ny)) != 0)
        goto out;
    for (size_t t = 0; t < mean->ntime; t++)
        add_integration(&nodes, mean, t, table);
    for (size_t y = 0; y < ny; y++)
        for (size_t x = 0; x < nx; x++)
            pb[y * nx + x] = interpolate(&nodes, x, y);
out:
    nodes_free(&nodes);
    beam_mean_free(mean);
    return rc;
}
