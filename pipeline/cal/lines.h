/*
 * lines.h: what calibration does to each sample, for a short run of samples of one row at a
 * time: [channel][npol], at most LINE of them, in loops that vectorise.
 *
 * Complex numbers of models and gains come in two arrays; data and weights as in struct vis.
 */
#ifndef PIPELINE_CAL_LINES_H
#define PIPELINE_CAL_LINES_H

#include <complex.h>
#include <stddef.h>

/* A multiple of every number of polarisations, and of what a register holds. */
enum { LINE = 96 };

/* The five sums of struct normal_eq for each sample of a line. */
struct line_sums {
    float *re, *im, *den, *power, *n;
};

/* One hand of a row: its samples, and 1 / g of its antennas along the channels. */
struct line_hand {
    const float complex *v; /* [n][npol], this hand the first */
    const float *w;         /* likewise */
    size_t npol;
    const float *re1, *im1, *re2, *im2; /* [n]; 0 without a solution */
    const float *size1, *size2;         /* [n] |1 / g|^2 that weights are divided by */
    float re, im, size; /* multiply all of them: gains over time alone */
};

/* One copy of the loops: for a set of instructions. */
struct line_code {
    const char *name;
    /* m = (re + i im) z flux */
    void (*phasor)(float *mr, float *mi, const float *zr, const float *zi, float re,
                   float im, const float *flux, size_t n);
    /* out = a b; out may be a */
    void (*times)(float *outr, float *outi, const float *ar, const float *ai,
                  const float *br, const float *bi, size_t n);
    /* Add scale z of n channels to both polarisations of m. */
    void (*pair)(float *mr, float *mi, const float *zr, const float *zi, float scale,
                 size_t n);
    /* Add samples [k0, n) with model m to the sums s, and to t if that is not NULL. */
    void (*add)(const struct line_sums *s, const struct line_sums *t,
                const float complex *v, const float *w, const float *mr,
                const float *mi, size_t k0, size_t n);
    /* Of samples [k0, n): out = w, and 0 where w |v - m|^2 is above its limit; seen += 1 where
     * there is a weight, lost += 1 where it is taken away. */
    void (*clip)(float *out, float *seen, float *lost, const float complex *v,
                 const float *w, const float *mr, const float *mi, const float *limit,
                 size_t k0, size_t n);
    /* Divide data by gains k and scale weights by |k|^2; a gain of 0, or one that is not a
     * number to divide by, flags. */
    void (*apply)(float complex *v, float *w, const float *kr, const float *ki,
                  size_t n);
    /* Stokes I and its weight of n channels, from both hands calibrated, or from one (y NULL):
     * v h1 conj(h2), weight w / (size1 size2).  0 and 0 where a hand is flagged, has no solution, or
     * would get a weight that is no number.  out NULL: weights alone. */
    void (*stokes)(float complex *out, float *weight, const struct line_hand *x,
                   const struct line_hand *y, size_t n);
    /* Add w |k|^2 a^2 and w |k|^2 for the phase a of v conj(k m), to 2e-6 rad; use: 0 or 1. */
    void (*phase)(double *sum, double *sum_w, const float complex *v, const float *w,
                  const float *mr, const float *mi, const float *kr, const float *ki,
                  const float *use, size_t n);
    /* sum[k] += w[k]; *total and *count of those above 0. */
    void (*cover)(float *sum, double *total, double *count, const float *w, size_t n);
    /* One row j of the sums of stefcal_sums: sr + i si += num g, sd += den |g|^2. */
    void (*gain_sums)(double *sr, double *si, double *sd, const double *re,
                      const double *im, const double *den, double gr, double gi,
                      size_t n);
};

/* The best copy for this machine. */
const struct line_code *line_code(void);

/* All copies that this machine runs, [*n], the plain one first. */
const struct line_code *line_codes(size_t *n);

#endif
