/*
 * stefcal.h: the least-squares iteration on the matrices of one solution.
 *
 * Given the sums num = sum w V conj(M) and den = sum w |M|^2 of every baseline, it finds the
 * gains with V = g_i conj(g_j) M.
 *
 * Reference: Salvini & Wijnholds 2014, A&A 571, A97 (with its average of every second step).
 */
#ifndef PIPELINE_CAL_STEFCAL_H
#define PIPELINE_CAL_STEFCAL_H

#include <stdbool.h>
#include <stddef.h>

struct err;
struct line_code;

/* Antennas with data only; the caller fills n, ant and both triangles of the matrices. */
struct stefcal {
    size_t n;
    size_t *ant;           /* [n] the caller's antenna index */
    double *re, *im, *den; /* [n][n]: row j, column i: num and den of baseline (i, j) */
    double *gr, *gi;       /* [n] the solution, of any common phase */
    double *sr, *si, *sd;  /* [n] sums of the last stefcal_sums */
    double *snr;           /* [n] for the caller */
    double *store;         /* all of the above doubles */
    bool phase_only;       /* all gains have amplitude 1 */
    const struct line_code *code;
};

/* Room for n <= nant antennas.  s is zeroed before.  Status: 0; -ENOMEM; either way
 * stefcal_close ends it. */
int stefcal_init(struct stefcal *s, size_t nant, struct err *e);
void stefcal_close(struct stefcal *s);

/* Phases to start from in gr, gi, and one amplitude for all. */
void stefcal_start(struct stefcal *s);

/* Iterate from gr, gi until the relative change is below the tolerance.  False when it is still
 * above the square root of the tolerance after max_iter steps. */
bool stefcal_solve(struct stefcal *s, int max_iter, double tolerance);

/* sr + i si = sum_j num_ij g_j and sd = sum_j den_ij |g_j|^2, for all i at once. */
void stefcal_sums(struct stefcal *s);

#endif
