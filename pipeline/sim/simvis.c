#include "pipeline/sim/simvis.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "pipeline/sim/simrand.h"
#include "pipeline/sim/simsky.h"

/* Top of the band, from the centre of sub-band 0's first of 48 channels (1498643188.4765625
 * Hz, decoded from real headers); a sub-band is 384 raw channels of 250 MHz / 8192. */
static const double BAND_TOP_HZ = 1498643188.4765625 + 244140.625 / 2;
static const double SUBBAND_HZ = 11718750;

double simvis_width(const struct simvis *sim)
{
    return SUBBAND_HZ / (double)sim->nchan;
}

double simvis_freq(const struct simvis *sim, int sub, size_t chan)
{
    return BAND_TOP_HZ - sub * SUBBAND_HZ - ((double)chan + 0.5) * simvis_width(sim);
}

/* ---- gains ---- */

/* Smooth ripple of unit rms over the band: three waves of random size and phase. */
static double ripple(struct simrand *r, double freq_hz)
{
    double x = (BAND_TOP_HZ - freq_hz) / (SIMVIS_SUBBANDS * SUBBAND_HZ), sum = 0;

    for (int k = 1; k <= 3; k++) {
        double size = simrand_gauss(r), start = 2 * M_PI * simrand_uniform(r);

        sum += size * cos(M_PI * k * x + start);
    }
    return sum * sqrt(2.0 / 3);
}

static double complex bandpass(const struct simvis *sim, int number, int pol, int sub,
                               size_t chan)
{
    const double smooth = sqrt(0.75),
                 rough = 0.5; /* shares of the rms; squares add to 1 */
    struct simrand wave = simrand_start(sim->seed, SIMRAND_BANDPASS, number, pol, -1);
    struct simrand own = simrand_start(sim->seed, SIMRAND_BANDPASS, number, pol,
                                       sub * (int64_t)sim->nchan + (int64_t)chan);
    double freq = simvis_freq(sim, sub, chan);
    double amp = smooth * ripple(&wave, freq) + rough * simrand_gauss(&own);
    double phase = smooth * ripple(&wave, freq) + rough * simrand_gauss(&own);

    amp = fmax(1 + sim->bandpass_rms * amp, 0.1);
    return amp * cexp(I * sim->bandpass_rms * phase);
}

static double complex base_gain(const struct simvis *sim, int number, int pol)
{
    struct simrand r = simrand_start(sim->seed, SIMRAND_GAIN, number, pol, 0);
    double amp = exp(sim->gain_rms * simrand_gauss(&r));
    double phase = 2 * M_PI * simrand_uniform(&r);

    return sqrt(sim->scale) * amp * (sim->gain_rms > 0 ? cexp(I * phase) : 1);
}

/* Phase wander, rad: bounded, so that no reference time is needed. */
static double drift(const struct simvis *sim, int number, int pol, double jd_utc)
{
    struct simrand r = simrand_start(sim->seed, SIMRAND_GAIN, number, pol, 1);
    double period_day = (1 + 2 * simrand_uniform(&r)) / 24, start = simrand_uniform(&r);

    return sim->drift_rad * sin(2 * M_PI * (jd_utc / period_day + start));
}

double complex simvis_gain(const struct simvis *sim, int number, int pol, int sub,
                           size_t chan, double jd_utc)
{
    return base_gain(sim, number, pol) * bandpass(sim, number, pol, sub, chan) *
           cexp(I * drift(sim, number, pol, jd_utc));
}

/* ---- interference ---- */

static int64_t second(double jd_utc)
{
    return llround(jd_utc * ASTRO_DAY_S);
}

int sim_rfi_parse(const char *name, enum sim_rfi *kind)
{
    static const char *const names[] = {"cells", "narrow", "broad", "burst", "weak"};

    for (int i = 0; i < (int)(sizeof names / sizeof names[0]); i++)
        if (strcmp(name, names[i]) == 0) {
            *kind = (enum sim_rfi)i;
            return 0;
        }
    return -EINVAL;
}

/* Everything that is not of kind "cells": what shares a number comes and goes together. */
static double other_rfi(const struct simvis *sim, double jd_utc, int64_t absolute)
{
    enum sim_rfi kind = sim->rfi_kind;
    /* stretches begin in the middle of sub-bands */
    int64_t stretch = (absolute + (int64_t)sim->nchan / 2) / (int64_t)sim->nchan;
    int64_t where = kind == SIM_RFI_BURST   ? 0
                    : kind == SIM_RFI_BROAD ? stretch
                                            : absolute;
    int64_t when = kind == SIM_RFI_NARROW ? 0 : second(jd_utc);
    struct simrand r =
        simrand_start(sim->seed, SIMRAND_RFI, where, when, (int64_t)kind);

    if (simrand_uniform(&r) >= sim->rfi)
        return 0;
    return kind == SIM_RFI_WEAK ? 0.5 : pow(10, 1 + 2 * simrand_uniform(&r));
}

double simvis_rfi(const struct simvis *sim, double jd_utc, int sub, size_t chan)
{
    int64_t absolute = sub * (int64_t)sim->nchan + (int64_t)chan;
    struct simrand fixed =
        simrand_start(sim->seed, SIMRAND_RFI_CHANNEL, absolute, 0, 0);
    struct simrand burst =
        simrand_start(sim->seed, SIMRAND_RFI, absolute, second(jd_utc), 0);
    double always = simrand_uniform(&fixed), now = simrand_uniform(&burst);

    if (sim->rfi > 0 && sim->rfi_kind != SIM_RFI_CELLS)
        return other_rfi(sim, jd_utc, absolute);
    if (!(sim->rfi > 0) || (always >= sim->rfi / 2 && now >= sim->rfi / (2 - sim->rfi)))
        return 0;
    return pow(10, 1 + 2 * simrand_uniform(&burst)); /* 10 to 1000 sigma */
}

/* ---- one integration ---- */

struct work {
    const struct simvis *sim;
    const struct simsky *sky;
    int sub;
    double jd, stop[3], look[3];
    double (*pos)[3]; /* [nant] ITRF metres from the site */
    double (*dir)[3]; /* [nsource] */
    double *phasor;   /* [4][nsource][nant]: re, im, step re, step im */
    float *re, *im;   /* [nsource][nant], rounded */
    float *turn;      /* [nsource][nant] half of what an integration turns it, rad/Hz */
    float *vis_re, *vis_im; /* [nbl] */
    double *flux;           /* [nsource] with the beam */
    double complex *gain;   /* [nant][2] at the present channel */
    double complex *fixed;  /* [nchan][nant][2] gains without drift */
    double complex *wander; /* [nant][2] */
};

static void work_free(struct work *w)
{
    free(w->pos);
    free(w->dir);
    free(w->phasor);
    free(w->re);
    free(w->im);
    free(w->turn);
    free(w->vis_re);
    free(w->vis_im);
    free(w->flux);
    free(w->gain);
    free(w->fixed);
    free(w->wander);
}

static int work_init(struct work *w, const struct simvis *sim, const struct simsky *sky,
                     int sub, struct err *e)
{
    size_t na = sim->nant, ns = sky->n + 1, nbl = na * (na + 1) / 2; /* + 1: never 0 */

    *w = (struct work){.sim = sim, .sky = sky, .sub = sub};
    w->pos = calloc(na, sizeof *w->pos);
    w->dir = calloc(ns, sizeof *w->dir);
    w->phasor = calloc(4 * ns * na, sizeof *w->phasor);
    w->re = calloc(ns * na, sizeof *w->re);
    w->im = calloc(ns * na, sizeof *w->im);
    w->turn = calloc(ns * na, sizeof *w->turn);
    w->vis_re = calloc(nbl, sizeof *w->vis_re);
    w->vis_im = calloc(nbl, sizeof *w->vis_im);
    w->flux = calloc(ns, sizeof *w->flux);
    w->gain = calloc(2 * na, sizeof *w->gain);
    w->fixed = calloc(2 * na * sim->nchan, sizeof *w->fixed);
    w->wander = calloc(2 * na, sizeof *w->wander);
    if (w->pos && w->dir && w->phasor && w->re && w->im && w->turn && w->vis_re &&
        w->vis_im && w->flux && w->gain && w->fixed && w->wander)
        return 0;
    work_free(w);
    return err_set(e, -ENOMEM, "no memory for %zu antennas and %zu sources", na,
                   sky->n);
}

/* What does not change with time: positions, gains. */
static void prepare_fixed(struct work *w)
{
    const struct simvis *sim = w->sim;
    double site_m[3];

    astro_site_xyz(&sim->site, site_m);
    for (size_t a = 0; a < sim->nant; a++) {
        station_itrf(sim->number[a], site_m, w->pos[a]);
        for (int p = 0; p < 2; p++) {
            double complex base = base_gain(sim, sim->number[a], p);

            for (size_t c = 0; c < sim->nchan; c++)
                w->fixed[(c * sim->nant + a) * 2 + (size_t)p] =
                    base * bandpass(sim, sim->number[a], p, w->sub, c);
        }
    }
}

static double dot(const double a[3], const double b[3])
{
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

/*
 * Half the phase by which each antenna's path to a source turns during an integration, rad/Hz.
 * Within it the correlator follows the sky: source and stop turn about the earth's axis
 * together, d(s - stop)/dt = -omega z x (s - stop) in ITRF, on the meridian as when it tracks.
 */
static void prepare_turn(struct work *w, size_t s, const double off[3])
{
    const double omega = 2 * M_PI * ASTRO_TURNS_A_DAY / ASTRO_DAY_S;
    double half_s = w->sim->smear ? w->sim->tint_s / 2 : 0;
    double scale = 2 * M_PI / ASTRO_C_M_S * omega * half_s;

    for (size_t a = 0; a < w->sim->nant; a++)
        w->turn[s * w->sim->nant + a] =
            (float)(scale * (w->pos[a][0] * off[1] - w->pos[a][1] * off[0]));
}

/* Directions at the middle of the integration, and the antennas' phasors at channel 0. */
static void prepare_time(struct work *w, double jd)
{
    const struct simvis *sim = w->sim;
    size_t na = sim->nant, plane = w->sky->n * na;
    double turn = 2 * M_PI / ASTRO_C_M_S;
    double first = turn * simvis_freq(sim, w->sub, 0), step = -turn * simvis_width(sim);
    struct site where = sim->site;
    struct astro_epoch ep;

    if (sim->own_stop)
        where.lon_rad = sim->stop_lon_rad;
    w->jd = jd;
    astro_epoch_init(&ep, jd, &sim->earth, &sim->site);
    if (sim->track)
        astro_icrs_to_itrf(&ep, sim->ra_rad, sim->dec_rad, w->stop);
    else
        astro_meridian(&where, sim->dec_app_rad, w->stop);
    memcpy(w->look, w->stop, sizeof w->look);
    for (size_t a = 0; a < na; a++)
        for (int p = 0; p < 2; p++)
            w->wander[2 * a + (size_t)p] = cexp(I * drift(sim, sim->number[a], p, jd));
    for (size_t s = 0; s < w->sky->n; s++) {
        const struct sim_source *src = &w->sky->source[s];
        double off[3];

        astro_icrs_to_itrf(&ep, src->ra_rad, src->dec_rad, w->dir[s]);
        for (int k = 0; k < 3; k++)
            off[k] = w->dir[s][k] - w->stop[k];
        for (size_t a = 0; a < na; a++) {
            double path_m = dot(w->pos[a], off), *at = w->phasor + s * na + a;

            sincos(first * path_m, &at[plane], &at[0]);
            sincos(step * path_m, &at[3 * plane], &at[2 * plane]);
        }
        prepare_turn(w, s, off);
    }
}

/* The sky of one channel; afterwards the phasors stand at the next. */
static void prepare_channel(struct work *w, size_t chan)
{
    const struct simvis *sim = w->sim;
    size_t na = sim->nant, n = w->sky->n * na;
    double freq = simvis_freq(sim, w->sub, chan);
    double *re = w->phasor, *im = re + n, *str = im + n, *sti = str + n;

    for (size_t s = 0; s < w->sky->n; s++)
        w->flux[s] = simsky_flux(&w->sky->source[s], freq) *
                     beam_power_at(&sim->beam, w->look, w->dir[s], freq);
    for (size_t i = 0; i < n; i++) {
        double r = re[i] * str[i] - im[i] * sti[i];

        w->re[i] = (float)re[i];
        w->im[i] = (float)im[i];
        im[i] = re[i] * sti[i] + im[i] * str[i];
        re[i] = r;
    }
    for (size_t i = 0; i < 2 * na; i++) {
        double complex f = w->fixed[chan * 2 * na + i], d = w->wander[i];

        w->gain[i] = creal(f) * creal(d) - cimag(f) * cimag(d) +
                     (creal(f) * cimag(d) + cimag(f) * creal(d)) * I;
    }
}

/* The terms of sin(x)/x in x^2 that are needed for |x| up to `most`, to 1e-7; 0: another way. */
static int sinc_terms(double most)
{
    return most <= 0.5 ? 4 : most <= 2 ? 7 : most <= 4 ? 10 : 0;
}

static inline float sinc_series(float x, int terms)
{
    static const float over[] = {1.0f,       1 / 6.0f,   1 / 20.0f,  1 / 42.0f,
                                 1 / 72.0f,  1 / 110.0f, 1 / 156.0f, 1 / 210.0f,
                                 1 / 272.0f, 1 / 342.0f};
    float y = x * x, sum = 1;

    for (int k = terms - 1; k > 0;
         k--) /* x^2k / (2k + 1)! is the one before over 2k (2k + 1) */
        sum = 1 - y * over[k] * sum;
    return sum;
}

/* One row of the triangle: sum over the sources of flux conj(E_j) E_i for j <= i. */
static void add_row(size_t n, float *restrict vr, float *restrict vi,
                    const float *restrict er, const float *restrict ei, float ar,
                    float ai)
{
    for (size_t j = 0; j < n; j++) {
        vr[j] += ar * er[j] + ai * ei[j];
        vi[j] += ai * er[j] - ar * ei[j];
    }
}

/* The same smeared: by sin(x) / x, x = freq_hz (turn_i - turn_j). */
static inline void add_smeared(size_t n, float *restrict vr, float *restrict vi,
                               const float *restrict er, const float *restrict ei,
                               const float *restrict turn, float freq_hz, float ar,
                               float ai, int terms)
{
    float own = turn[n - 1];

    for (size_t j = 0; j < n; j++) {
        float f = sinc_series(freq_hz * (own - turn[j]), terms);

        vr[j] += f * (ar * er[j] + ai * ei[j]);
        vi[j] += f * (ai * er[j] - ar * ei[j]);
    }
}

static void add_far(size_t n, float *vr, float *vi, const float *er, const float *ei,
                    const float *turn, float freq_hz, float ar, float ai)
{
    for (size_t j = 0; j < n; j++) {
        double x = (double)freq_hz * ((double)turn[n - 1] - (double)turn[j]);
        float f = x == 0 ? 1 : (float)(sin(x) / x);

        vr[j] += f * (ar * er[j] + ai * ei[j]);
        vi[j] += f * (ai * er[j] - ar * ei[j]);
    }
}

/* The largest |x| of a source on any baseline. */
static double largest_turn(const float *turn, size_t na, double freq_hz)
{
    float lo = turn[0], hi = turn[0];

    for (size_t a = 1; a < na; a++) {
        lo = fminf(lo, turn[a]);
        hi = fmaxf(hi, turn[a]);
    }
    return freq_hz * ((double)hi - (double)lo);
}

static void add_source(struct work *w, size_t s, double freq_hz)
{
    size_t na = w->sim->nant, row = 0;
    const float *er = w->re + s * na, *ei = w->im + s * na, *turn = w->turn + s * na;
    float f = (float)w->flux[s], freq = (float)freq_hz;
    int terms = w->sim->smear ? sinc_terms(largest_turn(turn, na, freq_hz)) : 1;

    for (size_t i = 0; i < na; row += ++i) {
        float *vr = w->vis_re + row, *vi = w->vis_im + row, ar = f * er[i],
              ai = f * ei[i];

        if (terms == 1) /* each with its number of terms, to be unrolled */
            add_row(i + 1, vr, vi, er, ei, ar, ai);
        else if (terms == 4)
            add_smeared(i + 1, vr, vi, er, ei, turn, freq, ar, ai, 4);
        else if (terms == 7)
            add_smeared(i + 1, vr, vi, er, ei, turn, freq, ar, ai, 7);
        else if (terms == 10)
            add_smeared(i + 1, vr, vi, er, ei, turn, freq, ar, ai, 10);
        else
            add_far(i + 1, vr, vi, er, ei, turn, freq, ar, ai);
    }
}

static void add_sources(struct work *w, double freq_hz)
{
    size_t n = w->sim->nant * (w->sim->nant + 1) / 2;

    memset(w->vis_re, 0, n * sizeof *w->vis_re);
    memset(w->vis_im, 0, n * sizeof *w->vis_im);
    for (size_t s = 0; s < w->sky->n; s++)
        add_source(w, s, freq_hz);
}

/* ---- from the sky to the correlator ---- */

/* A transmitter in the south-west horizon's side lobes: what each antenna makes of it. */
static void interference(const struct work *w, size_t chan, float complex *field)
{
    const struct simvis *sim = w->sim;
    double size = simvis_rfi(sim, w->jd, w->sub, chan), freq, from[3];
    double sigma = sim->sefd_jy / sqrt(2 * simvis_width(sim) * sim->tint_s);

    memset(field, 0, sim->nant * sizeof *field);
    if (!(size > 0))
        return;
    if (!(sigma > 0))
        sigma = 1;
    freq = simvis_freq(sim, w->sub, chan);
    astro_meridian(&(struct site){0, sim->site.lon_rad - 0.9, 0}, -0.6, from);
    for (size_t a = 0; a < sim->nant; a++) {
        struct simrand r =
            simrand_start(sim->seed, SIMRAND_RFI_ANTENNA, sim->number[a], 0, 0);
        double path_m = dot(w->pos[a], from) - dot(w->pos[a], w->stop);
        double phase = 2 * M_PI * (freq / ASTRO_C_M_S * path_m + simrand_uniform(&r));
        double amp = sqrt(size * sigma) * exp(0.5 * simrand_gauss(&r));

        field[a] = (float complex)(amp * cexp(I * phase));
    }
}

/* Sky, noise and gains of one baseline and polarisation product. */
static float complex correlate(const struct work *w, struct simrand *r, size_t bl,
                               size_t a1, size_t a2, int p1, int p2,
                               const float complex *field)
{
    const struct simvis *sim = w->sim;
    enum sim_health h1 = sim->health[sim->number[a1]],
                    h2 = sim->health[sim->number[a2]];
    double complex g1 = w->gain[2 * a1 + (size_t)p1], g2 = w->gain[2 * a2 + (size_t)p2];
    double noise = sim->sefd_jy / sqrt(2 * simvis_width(sim) * sim->tint_s);
    double re = 0, im = 0, gre, gim;

    if (p1 == p2 && h1 == SIM_WELL && h2 == SIM_WELL) {
        re = w->vis_re[bl] + crealf(field[a1]) * crealf(field[a2]) +
             cimagf(field[a1]) * cimagf(field[a2]);
        im = w->vis_im[bl] + crealf(field[a1]) * cimagf(field[a2]) -
             cimagf(field[a1]) * crealf(field[a2]);
    }
    if (noise > 0 && a1 == a2 && p1 == p2) {
        re += sim->sefd_jy + M_SQRT2 * noise * simrand_gauss(r);
    } else if (noise > 0) {
        re += noise * simrand_gauss(r);
        im += noise * simrand_gauss(r);
    }
    if (h1 == SIM_DEAD || h2 == SIM_DEAD)
        return 0;
    gre = creal(g1) * creal(g2) + cimag(g1) * cimag(g2);
    gim = cimag(g1) * creal(g2) - creal(g1) * cimag(g2);
    return (float)(gre * re - gim * im) + (float)(gre * im + gim * re) * I;
}

static void fill_channel(const struct work *w, size_t chan, float complex *data)
{
    static const int two[][2] = {{0, 0}, {1, 1}};
    static const int four[][2] = {{0, 0}, {0, 1}, {1, 0}, {1, 1}};
    const struct simvis *sim = w->sim;
    const int(*pol)[2] = sim->npol == 4 ? four : two;
    struct simrand r =
        simrand_start(sim->seed, SIMRAND_NOISE, second(w->jd), w->sub, (int64_t)chan);
    float complex field[STATION_ACTIVE];
    size_t bl = 0;

    interference(w, chan, field);
    for (size_t i = 0; i < sim->nant; i++)
        for (size_t j = 0; j <= i; j++, bl++)
            for (size_t p = 0; p < sim->npol; p++)
                data[(bl * sim->nchan + chan) * sim->npol + p] =
                    correlate(w, &r, bl, j, i, pol[p][0], pol[p][1], field);
}

int simvis_fill(const struct simvis *sim, const struct simsky *sky, double t0_jd,
                int sub, float complex *data, struct err *e)
{
    size_t nbl = sim->nant * (sim->nant + 1) / 2;
    struct work w;
    int rc = work_init(&w, sim, sky, sub, e);

    if (rc != 0)
        return rc;
    prepare_fixed(&w);
    for (size_t t = 0; t < sim->ntime; t++) {
        prepare_time(&w, t0_jd + (double)t * sim->tint_s / ASTRO_DAY_S);
        for (size_t c = 0; c < sim->nchan; c++) {
            prepare_channel(&w, c);
            add_sources(&w, simvis_freq(sim, sub, c));
            fill_channel(&w, c, data + t * nbl * sim->nchan * sim->npol);
        }
    }
    work_free(&w);
    return 0;
}
