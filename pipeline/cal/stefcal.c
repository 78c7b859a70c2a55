/*
 * stefcal.c: see stefcal.h.  The inner loops run over the columns of a row, so that they
 * vectorise.
 */
#include "pipeline/cal/stefcal.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"

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
    return 0;
}

void stefcal_close(struct stefcal *s)
{
    free(s->ant);
    free(s->store);
}

/* Start: one amplitude for all, phases read off the baselines to the strongest antenna, so that
 * the start depends on neither the order nor the reference antenna. */
static void start(struct stefcal *s)
{
    double strongest = -1, num = 0, den = 0, amp;
    size_t best = 0, n = s->n;

    for (size_t j = 0; j < n; j++) {
        double sum = 0;

        for (size_t i = 0; i < n; i++) {
            sum += hypot(s->re[j * n + i], s->im[j * n + i]);
            den += s->den[j * n + i];
        }
        num += sum;
        if (sum > strongest) {
            strongest = sum;
            best = j;
        }
    }
    amp = den > 0 && num > 0 ? sqrt(num / den) : 1;
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
    for (size_t j = 0; j < n; j++) {
        const double *re = s->re + j * n, *im = s->im + j * n, *den = s->den + j * n;
        double gr = s->gr[j], gi = s->gi[j], g2 = gr * gr + gi * gi;

        for (size_t i = 0; i < n; i++) {
            s->sr[i] += re[i] * gr - im[i] * gi;
            s->si[i] += re[i] * gi + im[i] * gr;
            s->sd[i] += den[i] * g2;
        }
    }
}

/* One step; every second one is averaged with the one before.  Returns the relative change. */
static double step(struct stefcal *s, bool average)
{
    double change = 0, size = 0;

    stefcal_sums(s);
    for (size_t i = 0; i < s->n; i++) {
        double gr = s->sd[i] > 0 ? s->sr[i] / s->sd[i] : 0;
        double gi = s->sd[i] > 0 ? s->si[i] / s->sd[i] : 0;

        change += (gr - s->gr[i]) * (gr - s->gr[i]) + (gi - s->gi[i]) * (gi - s->gi[i]);
        size += gr * gr + gi * gi;
        s->gr[i] = average ? 0.5 * (gr + s->gr[i]) : gr;
        s->gi[i] = average ? 0.5 * (gi + s->gi[i]) : gi;
    }
    return size > 0 ? sqrt(change / size) : INFINITY;
}

bool stefcal_solve(struct stefcal *s, int max_iter, double tolerance)
{
    double change = INFINITY;

    start(s);
    for (int k = 0; k < max_iter && change > tolerance; k++)
        change = step(s, k % 2 == 1);
    return change <= sqrt(tolerance);
}
