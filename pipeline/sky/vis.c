/*
 * vis.c: visibilities in memory: make them, turn them to a phase centre, ask where they point.
 */
#include "pipeline/sky/vis.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/mem.h"
#include "core/parallel.h"

static const double TWO_PI = 6.283185307179586;

void vis_free(struct vis *vis)
{
    if (vis == NULL)
        return;
    free(vis->ant_name);
    free(vis->ant_number);
    free(vis->ant_pos_m);
    free(vis->ant_diameter_m);
    free(vis->time_jd);
    free(vis->tint_s);
    free(vis->stop);
    free(vis->pointing);
    free(vis->row_time);
    free(vis->row_ant1);
    free(vis->row_ant2);
    free(vis->freq_hz);
    free(vis->width_hz);
    free(vis->data);
    free(vis->weight);
    free(vis->autos);
    free(vis);
}

static struct vis *try_alloc(size_t nant, size_t ntime, size_t nrow, size_t nchan,
                             size_t npol, size_t nsample)
{
    struct vis *vis = calloc(1, sizeof *vis);

    if (vis == NULL)
        return NULL;
    vis->nant = nant;
    vis->ntime = ntime;
    vis->nrow = nrow;
    vis->nchan = nchan;
    vis->npol = npol;
    vis->ant_name = calloc(nant, sizeof *vis->ant_name);
    vis->ant_number = calloc(nant, sizeof *vis->ant_number);
    vis->ant_pos_m = calloc(nant, sizeof *vis->ant_pos_m);
    vis->ant_diameter_m = calloc(nant, sizeof *vis->ant_diameter_m);
    vis->time_jd = calloc(ntime, sizeof *vis->time_jd);
    vis->tint_s = calloc(ntime, sizeof *vis->tint_s);
    vis->stop = calloc(ntime, sizeof *vis->stop);
    vis->pointing = calloc(ntime, sizeof *vis->pointing);
    vis->row_time = calloc(nrow, sizeof *vis->row_time);
    vis->row_ant1 = calloc(nrow, sizeof *vis->row_ant1);
    vis->row_ant2 = calloc(nrow, sizeof *vis->row_ant2);
    vis->freq_hz = calloc(nchan, sizeof *vis->freq_hz);
    vis->width_hz = calloc(nchan, sizeof *vis->width_hz);
    vis->data = mem_huge(nsample * sizeof *vis->data);
    vis->weight = mem_huge(nsample * sizeof *vis->weight);
    if (vis->ant_name && vis->ant_number && vis->ant_pos_m && vis->ant_diameter_m &&
        vis->time_jd && vis->tint_s && vis->stop && vis->pointing && vis->row_time &&
        vis->row_ant1 && vis->row_ant2 && vis->freq_hz && vis->width_hz && vis->data &&
        vis->weight)
        return vis;
    vis_free(vis);
    return NULL;
}

int vis_alloc(struct vis **out, size_t nant, size_t ntime, size_t nrow, size_t nchan,
              size_t npol, struct err *e)
{
    size_t nsample;

    *out = NULL;
    /* 2^40 samples are 13 TB: no machine's memory, so do not even ask it. */
    if (npol <= VIS_MAXPOL && !__builtin_mul_overflow(nrow, nchan, &nsample) &&
        !__builtin_mul_overflow(nsample, npol, &nsample) && nsample >> 40 == 0)
        *out = try_alloc(nant, ntime, nrow, nchan, npol, nsample);
    if (*out == NULL)
        return err_set(e, -ENOMEM,
                       "no memory for visibilities of %zu rows, %zu channels and %zu "
                       "polarisations (%.1f GB)",
                       nrow, nchan, npol,
                       (double)nrow * (double)nchan * (double)npol * 12e-9);
    return 0;
}

/* b = antenna 2 minus antenna 1, ITRF metres. */
static void row_baseline(const struct vis *vis, size_t row, double b[3])
{
    const double *p1 = vis->ant_pos_m[vis->row_ant1[row]];
    const double *p2 = vis->ant_pos_m[vis->row_ant2[row]];

    for (int k = 0; k < 3; k++)
        b[k] = p2[k] - p1[k];
}

static double dot(const double a[3], const double b[3])
{
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

static void epoch_at(const struct vis *vis, size_t t, struct astro_epoch *ep)
{
    astro_epoch_init(ep, vis->time_jd[t], &vis->earth, &vis->site);
}

void vis_uvw(const struct vis *vis, double ra_rad, double dec_rad, double (*uvw_m)[3])
{
    struct astro_epoch ep;
    double basis[3][3] = {{0}}, b[3];
    int have = -1; /* the integration that basis is of */

    for (size_t row = 0; row < vis->nrow; row++) {
        if (vis->row_time[row] != have) {
            have = vis->row_time[row];
            epoch_at(vis, (size_t)have, &ep);
            astro_uvw_basis(&ep, ra_rad, dec_rad, basis);
        }
        row_baseline(vis, row, b);
        for (int k = 0; k < 3; k++)
            uvw_m[row][k] = dot(basis[k], b);
    }
}

/* ---- to another phase centre ---- */

struct vis_turn {
    const struct vis *vis;
    double ra_rad, dec_rad;
    double (*centre)[3]; /* [ntime] ITRF unit vectors */
    size_t *run_end;     /* [nchan] where the run of equal spacing that it is in ends */
    double *step_hz;     /* [nchan] the spacing there; 0 where it is alone */
};

/*
 * Where does the run of equally spaced channels that starts at `first` end (exclusive)?
 * Within 0.1 mHz, so that a phasor stepped from channel to channel is off by less than
 * 1e-9 turns on a baseline of 3 km, and 5e-6 on any on Earth.
 */
static size_t run_end(const struct vis *vis, size_t first)
{
    size_t end = first + 1;
    double step;

    if (end >= vis->nchan)
        return vis->nchan;
    step = vis->freq_hz[end] - vis->freq_hz[first];
    while (end < vis->nchan && fabs(vis->freq_hz[end] - vis->freq_hz[first] -
                                    step * (double)(end - first)) < 1e-3)
        end++;
    return end;
}

struct vis_turn *vis_turn_new(const struct vis *vis, double ra_rad, double dec_rad)
{
    struct vis_turn *turn = mem_calloc(1, sizeof *turn);
    struct astro_epoch ep;

    *turn = (struct vis_turn){.vis = vis,
                              .ra_rad = ra_rad,
                              .dec_rad = dec_rad,
                              .centre = mem_calloc(vis->ntime, sizeof *turn->centre),
                              .run_end = mem_calloc(vis->nchan, sizeof *turn->run_end),
                              .step_hz = mem_calloc(vis->nchan, sizeof *turn->step_hz)};
    for (size_t t = 0; t < vis->ntime; t++) {
        epoch_at(vis, t, &ep);
        astro_icrs_to_itrf(&ep, ra_rad, dec_rad, turn->centre[t]);
    }
    for (size_t first = 0, end; first < vis->nchan; first = end) {
        double step = 0;

        end = run_end(vis, first);
        if (end > first + 1)
            step = (vis->freq_hz[end - 1] - vis->freq_hz[first]) /
                   (double)(end - 1 - first);
        for (size_t c = first; c < end; c++) {
            turn->run_end[c] = end;
            turn->step_hz[c] = step;
        }
    }
    return turn;
}

void vis_turn_free(struct vis_turn *turn)
{
    if (turn == NULL)
        return;
    free(turn->centre);
    free(turn->run_end);
    free(turn->step_hz);
    free(turn);
}

/* Channels that are turned at once, each with a phasor of its own that is stepped by LANES
 * channels: eight chains of products are eight times as fast as one. */
enum { LANES = 8 };
typedef double lanes __attribute__((vector_size(LANES * sizeof(double))));
typedef float lanes_float __attribute__((vector_size(LANES * sizeof(float))));

/* Two complex numbers. */
typedef float pair __attribute__((vector_size(16)));

/* exp(2 pi i phase), phase in turns */
static void phasor(double phase, double *re, double *im)
{
    sincos(TWO_PI * (phase - rint(phase)), im, re);
}

/* The phasors of LANES channels, and the step (re, im) by LANES channels, from the phase of the
 * first and the phase from channel to channel, in turns. */
static void start_lanes(double phase, double step, lanes *re, lanes *im, double by[2])
{
    double x, y, step_re, step_im;

    phasor(phase, &x, &y);
    phasor(step, &step_re, &step_im);
    for (int k = 0; k < LANES; k++) {
        double next = x * step_re - y * step_im;

        (*re)[k] = x;
        (*im)[k] = y;
        y = x * step_im + y * step_re;
        x = next;
    }
    for (int k = 1; k < LANES; k *= 2) { /* squared */
        double next = step_re * step_re - step_im * step_im;

        step_im = 2 * step_re * step_im;
        step_re = next;
    }
    by[0] = step_re;
    by[1] = step_im;
}

/* v [npol] times re + i im */
static inline void turn_channel(float *v, size_t npol, float re, float im)
{
    const pair by_re = {re, re, re, re}, by_im = {-im, im, -im, im};
    pair x;

    for (; npol >= 2; npol -= 2, v += 4) {
        memcpy(&x, v, sizeof x);
        x = x * by_re + __builtin_shufflevector(x, x, 1, 0, 3, 2) * by_im;
        memcpy(v, &x, sizeof x);
    }
    if (npol > 0) {
        float a = v[0], b = v[1];

        v[0] = a * re - b * im;
        v[1] = a * im + b * re;
    }
}

/* v [n][npol], equally spaced.  In double, where the error after 10,000 steps is still below
 * 1e-11. */
static void turn_run(float *v, size_t n, size_t npol, double phase, double step)
{
    lanes re = {0}, im = {0};
    double by[2];

    start_lanes(phase, step, &re, &im, by);
    for (size_t c = 0; c < n; c += LANES, v += 2 * LANES * npol) {
        lanes_float r = __builtin_convertvector(re, lanes_float);
        lanes_float i = __builtin_convertvector(im, lanes_float);
        lanes next = re * by[0] - im * by[1];

        if (n - c < LANES)
            for (size_t k = 0; k < n - c; k++)
                turn_channel(v + 2 * k * npol, npol, r[k], i[k]);
        else if (npol == 2) /* the usual one, unrolled */
            for (size_t k = 0; k < LANES; k++)
                turn_channel(v + 4 * k, 2, r[k], i[k]);
        else
            for (size_t k = 0; k < LANES; k++)
                turn_channel(v + 2 * k * npol, npol, r[k], i[k]);
        im = re * by[1] + im * by[0];
        re = next;
    }
}

void vis_turn_line(const struct vis_turn *turn, size_t row, size_t chan0, size_t nchan,
                   float complex *line)
{
    const struct vis *vis = turn->vis;
    size_t t = (size_t)vis->row_time[row], stop = chan0 + nchan;
    double b[3], delay_s;

    row_baseline(vis, row, b);
    delay_s = (dot(b, vis->stop[t]) - dot(b, turn->centre[t])) / ASTRO_C_M_S;
    for (size_t c = chan0, end; c < stop; c = end) {
        end = turn->run_end[c] < stop ? turn->run_end[c] : stop;
        turn_run((float *)(line + (c - chan0) * vis->npol), end - c, vis->npol,
                 vis->freq_hz[c] * delay_s, turn->step_hz[c] * delay_s);
    }
}

void vis_turn_done(const struct vis_turn *turn, struct vis *vis)
{
    memcpy(vis->stop, turn->centre, vis->ntime * sizeof *vis->stop);
    vis->phase_ra_rad = turn->ra_rad;
    vis->phase_dec_rad = turn->dec_rad;
    vis->phasing = VIS_SIDEREAL;
}

static void turn_rows(void *arg, size_t lo, size_t hi)
{
    const struct vis_turn *turn = arg;
    const struct vis *vis = turn->vis;

    for (size_t row = lo; row < hi; row++)
        vis_turn_line(turn, row, 0, vis->nchan,
                      vis->data + row * vis->nchan * vis->npol);
}

void vis_rephase(struct vis *vis, double ra_rad, double dec_rad)
{
    struct vis_turn *turn = vis_turn_new(vis, ra_rad, dec_rad);

    parallel_run(vis->nrow, 1000, turn_rows, turn);
    vis_turn_done(turn, vis);
    vis_turn_free(turn);
}

void vis_pointing(const struct vis *vis, size_t t, double *ra_rad, double *dec_rad)
{
    struct astro_epoch ep;

    epoch_at(vis, t, &ep);
    astro_itrf_to_icrs(&ep, vis->pointing[t], ra_rad, dec_rad);
}

void vis_mean_pointing(const struct vis *vis, double *ra_rad, double *dec_rad)
{
    double sum[3] = {0}, ra, dec;

    for (size_t t = 0; t < vis->ntime; t++) {
        vis_pointing(vis, t, &ra, &dec);
        sum[0] += cos(dec) * cos(ra);
        sum[1] += cos(dec) * sin(ra);
        sum[2] += sin(dec);
    }
    *ra_rad = atan2(sum[1], sum[0]);
    if (*ra_rad < 0)
        *ra_rad += TWO_PI;
    *dec_rad = atan2(sum[2], hypot(sum[0], sum[1]));
}

double vis_valid_fraction(const struct vis *vis)
{
    size_t n = vis->nrow * vis->nchan * vis->npol, valid = 0;

    for (size_t i = 0; i < n; i++)
        valid += vis->weight[i] > 0;
    return n > 0 ? (double)valid / (double)n : 0;
}
