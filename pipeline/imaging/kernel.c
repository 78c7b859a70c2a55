/*
 * kernel.c: support and shape of the gridding kernel, its tap polynomials, its transform.
 */
#include "pipeline/imaging/kernel.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* Supports by the error they reach on a doubled grid, measured against direct sums. */
static const struct {
    double accuracy;
    int w;
} support[] = {{2e-3, 4}, {2e-4, 5}, {3e-5, 6}, {3e-6, 7}, {0.0, KERNEL_TAPS}};

/* The kernel itself at `d` cells from its middle. */
static double value_at(const struct kernel *ker, double d)
{
    double z = 2.0 * d / ker->w, s = 1.0 - z * z;

    return s < 0.0 ? 0.0 : exp(ker->beta * (sqrt(s) - 1.0));
}

/* Polynomial of one tap: Chebyshev interpolation across the cell, then powers of t. */
static void fit_tap(struct kernel *ker, int tap)
{
    double value[KERNEL_MAXCOEF], power[KERNEL_MAXCOEF] = {0};
    double t0[KERNEL_MAXCOEF] = {1.0}, t1[KERNEL_MAXCOEF] = {0.0, 1.0};
    int n = ker->ncoef;

    for (int j = 0; j < n; j++) {
        double t = cos(M_PI * (j + 0.5) / n);

        value[j] = value_at(ker, tap - 0.5 * ker->w + 0.5 * (t + 1.0));
    }
    for (int m = 0; m < n; m++) {
        double c = 0.0, next[KERNEL_MAXCOEF] = {0};

        for (int j = 0; j < n; j++)
            c += value[j] * cos(M_PI * m * (j + 0.5) / n);
        c *= (m == 0 ? 1.0 : 2.0) / n;
        for (int p = 0; p < n; p++) /* t0 holds the powers of T_m, t1 those of T_m+1 */
            power[p] += c * t0[p];
        for (int p = 0; p < n; p++)
            next[p] = (p > 0 ? 2.0 * t1[p - 1] : 0.0) - t0[p];
        memcpy(t0, t1, sizeof t0);
        memcpy(t1, next, sizeof t1);
    }
    for (int p = 0; p < n; p++)
        ker->coef[n - 1 - p][tap] = (float)power[p];
}

/*
 * The error falls with each cell of support by exp(-pi sqrt(1 - 1 / oversampling)), and the
 * best beta is near pi w (1 - 1 / (2 oversampling)): Barnett et al. 2019, equations 4.5 and 4.3.
 */
void kernel_init(struct kernel *ker, double accuracy, double oversampling)
{
    size_t i = 0;
    double gain = sqrt((1.0 - 1.0 / 2.0) / (1.0 - 1.0 / oversampling));

    memset(ker, 0, sizeof *ker);
    while (accuracy < support[i].accuracy)
        i++;
    ker->w = (int)fmin(ceil(support[i].w * gain - 1e-9), KERNEL_TAPS);
    ker->beta = 0.976 * M_PI * ker->w * (1.0 - 0.5 / oversampling);
    ker->ncoef = ker->w + 5;
    for (int tap = 0; tap < ker->w; tap++)
        fit_tap(ker, tap);
}

/*
 * With z = sin(theta) the integrand is smooth up to the ends, so that Simpson's rule with
 * 400 intervals is exact to a few times 1e-12 for the frequencies of an image (f <= 1/4).
 */
double kernel_transform(const struct kernel *ker, double f)
{
    enum { N = 400 };
    double sum = 0.0, h = M_PI / N;

    for (int i = 0; i <= N; i++) {
        double theta = -M_PI / 2 + i * h, c = cos(theta);
        double weight = i == 0 || i == N ? 1.0 : i % 2 == 1 ? 4.0 : 2.0;

        sum += weight * exp(ker->beta * (c - 1.0)) * c *
               cos(M_PI * ker->w * f * sin(theta));
    }
    return 0.5 * ker->w * sum * h / 3.0;
}

float *kernel_gain(const struct kernel *ker, size_t n, size_t ngrid)
{
    float *gain = malloc(n * sizeof *gain);

    for (size_t i = 0; gain != NULL && i < n; i++)
        gain[i] = (float)(1.0 / kernel_transform(ker, ((double)i - (double)(n / 2)) /
                                                          (double)ngrid));
    return gain;
}
