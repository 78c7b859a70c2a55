/*
 * vis.c: visibilities in memory: make them, turn them to a phase centre, ask where they point.
 */
#include "pipeline/sky/vis.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/mem.h"

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
    astro_epoch_init(ep, vis->time_jd[t], vis->dut1_s);
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

/*
 * turn[chan] = exp(2 pi i freq delay), interleaved re, im: a sincos at the start of each run
 * of equal spacing, a step by one complex product after that.  In double, where the error
 * after 10,000 steps is still below 1e-11.
 */
static void phasors(const struct vis *vis, double delay_s, double (*turn)[2])
{
    for (size_t first = 0, end; first < vis->nchan; first = end) {
        double phase = vis->freq_hz[first] * delay_s, re, im, step_re = 1, step_im = 0;

        end = run_end(vis, first);
        if (end > first + 1) {
            double step = (vis->freq_hz[end - 1] - vis->freq_hz[first]) /
                          (double)(end - 1 - first) * delay_s;

            sincos(TWO_PI * (step - rint(step)), &step_im, &step_re);
        }
        sincos(TWO_PI * (phase - rint(phase)), &im, &re);
        for (size_t c = first; c < end; c++) {
            double next = re * step_re - im * step_im;

            turn[c][0] = re;
            turn[c][1] = im;
            im = re * step_im + im * step_re;
            re = next;
        }
    }
}

static void turn_row(struct vis *vis, size_t row, const double (*turn)[2])
{
    float *v = (float *)(vis->data + row * vis->nchan * vis->npol);

    for (size_t c = 0; c < vis->nchan; c++) {
        float re = (float)turn[c][0], im = (float)turn[c][1];

        for (size_t p = 0; p < vis->npol; p++, v += 2) {
            float x = v[0], y = v[1];

            v[0] = x * re - y * im;
            v[1] = x * im + y * re;
        }
    }
}

void vis_rephase(struct vis *vis, double ra_rad, double dec_rad)
{
    double(*centre)[3] = mem_calloc(vis->ntime, sizeof *centre);
    double(*turn)[2] = mem_calloc(vis->nchan, sizeof *turn);
    struct astro_epoch ep;

    for (size_t t = 0; t < vis->ntime; t++) {
        epoch_at(vis, t, &ep);
        astro_icrs_to_itrf(&ep, ra_rad, dec_rad, centre[t]);
    }
    for (size_t row = 0; row < vis->nrow; row++) {
        size_t t = (size_t)vis->row_time[row];
        double b[3];

        row_baseline(vis, row, b);
        phasors(vis, (dot(b, vis->stop[t]) - dot(b, centre[t])) / ASTRO_C_M_S, turn);
        turn_row(vis, row, (const double(*)[2])turn);
    }
    for (size_t t = 0; t < vis->ntime; t++)
        for (int k = 0; k < 3; k++)
            vis->stop[t][k] = centre[t][k];
    vis->phase_ra_rad = ra_rad;
    vis->phase_dec_rad = dec_rad;
    vis->phasing = VIS_SIDEREAL;
    free(centre);
    free(turn);
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
