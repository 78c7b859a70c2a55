#include "pipeline/cal/delay.h"

#include <complex.h>
#include <math.h>
#include <string.h>

#include "pipeline/cal/gains.h"

enum { FEW_PAIRS = 4 };

static double complex gain_at(const struct gains *g, size_t c, size_t a, size_t p)
{
    return (double complex)g->g[(c * g->nant + a) * g->npol + p];
}

/* Mean product of channels `apart` from each other, turned back by the delay known so far. */
static double complex product(const struct gains *g, size_t a, size_t p, size_t apart,
                              double delay_s, size_t *n)
{
    double step_hz = (double)apart * (g->freq_hz[1] - g->freq_hz[0]);
    double complex sum = 0;

    *n = 0;
    for (size_t c = 0; c + apart < g->nchan; c++) {
        double complex z = gain_at(g, c, a, p), w = gain_at(g, c + apart, a, p);
        double off_hz = g->freq_hz[c + apart] - g->freq_hz[c] - step_hz;

        if (z == 0 || w == 0 || fabs(off_hz) > 0.01 * fabs(step_hz))
            continue;
        sum += w * conj(z);
        (*n)++;
    }
    return sum * cexp(-2 * M_PI * I * delay_s * step_hz);
}

static double fit_one(const struct gains *g, size_t a, size_t p)
{
    double delay_s = 0;
    size_t n = 0;

    for (size_t apart = 1; apart <= g->nchan / 2; apart *= 2) {
        double complex sum = product(g, a, p, apart, delay_s, &n);
        double step_hz = (double)apart * (g->freq_hz[1] - g->freq_hz[0]);

        if (n < FEW_PAIRS)
            return apart > 1 ? delay_s : NAN;
        delay_s += carg(sum) / (2 * M_PI * step_hz);
    }
    return n > 0 ? delay_s : NAN;
}

void delay_fit(double *delay_s, const struct gains *g)
{
    for (size_t a = 0; a < g->nant; a++)
        for (size_t p = 0; p < g->npol; p++)
            delay_s[a * g->npol + p] = g->nchan > 1 ? fit_one(g, a, p) : NAN;
}

int delay_gains(struct gains **out, const double *delay_s, const struct gains *g,
                struct err *e)
{
    int rc = gains_alloc(out, g->nant, 1, g->nchan, g->npol, e);

    if (rc != 0)
        return rc;
    memcpy((*out)->freq_hz, g->freq_hz, g->nchan * sizeof *g->freq_hz);
    for (size_t c = 0; c < g->nchan; c++)
        for (size_t i = 0; i < g->nant * g->npol; i++) {
            double turns =
                isfinite(delay_s[i]) ? delay_s[i] * (g->freq_hz[c] - g->freq_hz[0]) : 0;

            (*out)->g[c * g->nant * g->npol + i] =
                (float complex)cexp(2 * M_PI * I * turns);
        }
    return 0;
}
