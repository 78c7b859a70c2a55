/*
 * stefcal.c: see stefcal.h.  The inner loop runs over the columns of a row, so that it
 * vectorises (lines.c).
 */
#include "pipeline/cal/stefcal.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "pipeline/cal/lines.h"

int stefcal_init(struct stefcal *s, size_t nant, struct err *e)
{
    double *at;

    s->ant = calloc(nant, sizeof *s->ant);
    s->store = calloc(3 * nant * nant + 6 * nant, sizeof *s->store);
    if (s->ant == NULL || s->store == NULL)
        return err_set(e, -ENOMEM, "no memory to solve for %zu antennas", nant);
    at = s->store;
    s->re = at, at += nant * nant;
    s->im = at, at += nant * nant;
    s->den = at, at += nant * nant;
    s->gr = at, at += nant;
    s->gi = at, at += nant;
    s->sr = at, at += nant;
    s->si = at, at += nant;
    s->sd = at, at += nant;
    s->snr = at;
    s->code = line_code();
    return 0;
}

void stefcal_close(struct stefcal *s)
{
    free(s->ant);
    free(s->store);
}

/* Phases are read off the baselines to the strongest antenna, so that the start depends on
 * neither the order nor the reference antenna. */
void stefcal_start(struct stefcal *s)
{
    double strongest = -1, num = 0, den = 0, amp;
    size_t best = 0, n = s->n;

    for (size_t j = 0; j < n; j++) {
        double sum = 0;

        for (size_t i = 0; i < n; i++) {
            double re = s->re[j * n + i], im = s->im[j * n + i];

            sum += sqrt(re * re + im * im);
            den += s->den[j * n + i];
        }
        num += sum;
        if (sum > strongest) {
            strongest = sum;
            best = j;
        }
    }
    amp = den > 0 && num > 0 && !s->phase_only ? sqrt(num / den) : 1;
    for (size_t i = 0; i < n; i++) {
        double re = s->re[best * n + i], im = s->im[best * n + i], a = hypot(re, im);

        s->gr[i] = a > 0 ? amp * re / a : amp;
        s->gi[i] = a > 0 ? amp * im / a : 0;
    }
}

void stefcal_sums(struct stefcal *s)
{
    size_t n = s->n;

    memset(s->sr, 0, n * sizeof *s->sr);
    memset(s->si, 0, n * sizeof *s->si);
    memset(s->sd, 0, n * sizeof *s->sd);
    for (size_t j = 0; j < n; j++)
        s->code->gain_sums(s->sr, s->si, s->sd, s->re + j * n, s->im + j * n,
                           s->den + j * n, s->gr[j], s->gi[j], n);
}

static void to_amplitude_1(double *re, double *im)
{
    double a = hypot(*re, *im);

    *re = a > 0 ? *re / a : 0;
    *im = a > 0 ? *im / a : 0;
}

/* One step; every second one is averaged with the one before.  Returns the relative change. */
static double step(struct stefcal *s, bool average)
{
    double change = 0, size = 0;

    stefcal_sums(s);
    for (size_t i = 0; i < s->n; i++) {
        double gr = s->sd[i] > 0 ? s->sr[i] / s->sd[i] : 0;
        double gi = s->sd[i] > 0 ? s->si[i] / s->sd[i] : 0;

        if (s->phase_only)
            to_amplitude_1(&gr, &gi);
        change += (gr - s->gr[i]) * (gr - s->gr[i]) + (gi - s->gi[i]) * (gi - s->gi[i]);
        size += gr * gr + gi * gi;
        s->gr[i] = average ? 0.5 * (gr + s->gr[i]) : gr;
        s->gi[i] = average ? 0.5 * (gi + s->gi[i]) : gi;
        if (s->phase_only && average)
            to_amplitude_1(&s->gr[i], &s->gi[i]);
    }
    return size > 0 ? sqrt(change / size) : INFINITY;
}

bool stefcal_solve(struct stefcal *s, int max_iter, double tolerance)
{
    double change = INFINITY;

    for (int k = 0; k < max_iter && change > tolerance; k++)
        change = step(s, k % 2 == 1);
    return change <= sqrt(tolerance);
}
