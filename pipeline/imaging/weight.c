/*
 * weight.c: robust weights; neighbouring channels mostly share a cell.
 */
#include "pipeline/imaging/weight.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "pipeline/sky/astro.h"

enum { BLOCK = 128 };

int density_init(struct density *d, size_t nx, size_t ny, double cell_rad)
{
    *d = (struct density){.ncol = nx / 2 + 2,
                          .nrow = ny + 4,
                          .side_u = 1.0 / ((double)nx * cell_rad),
                          .side_v = 1.0 / ((double)ny * cell_rad)};
    d->cell = calloc(d->nrow * d->ncol, sizeof *d->cell);
    return d->cell == NULL ? -ENOMEM : 0;
}

void density_close(struct density *d)
{
    free(d->cell);
    d->cell = NULL;
}

/* Index of the cells of n channels; of those that are off the plane any. */
static void find_cells(const struct density *d, const double uvw_m[3],
                       const double *freq_hz, int n, int *at)
{
    double sign = uvw_m[0] < 0.0 || (uvw_m[0] == 0.0 && uvw_m[1] < 0.0) ? -1.0 : 1.0;
    double u = sign * uvw_m[0] / ASTRO_C_M_S / d->side_u;
    double v = sign * uvw_m[1] / ASTRO_C_M_S / d->side_v;
    double up = (double)(d->nrow / 2);
    double most_u = (double)(d->ncol - 1), most_v = (double)(d->nrow - 1);
    int ncol = (int)d->ncol;

    for (int i = 0; i < n; i++) {
        double c = u * freq_hz[i], r = v * freq_hz[i] + up;

        c = c < most_u ? c : most_u;
        r = r > 0.0 ? r : 0.0;
        r = r < most_v ? r : most_v;
        at[i] = (int)r * ncol + (int)c;
    }
}

void density_add(struct density *d, const double uvw_m[3], const double *freq_hz,
                 size_t nchan, const float *w)
{
    int at[BLOCK];

    for (size_t c = 0; c < nchan; c += BLOCK) {
        int n = (int)(nchan - c < BLOCK ? nchan - c : BLOCK);

        find_cells(d, uvw_m, freq_hz + c, n, at);
        for (int i = 0; i < n;) {
            int cell = at[i];
            double sum = 0.0;

            for (; i < n && at[i] == cell; i++)
                sum += (double)w[c + (size_t)i];
            d->cell[cell] += sum;
        }
    }
}

void density_join(struct density *d, const struct density *other)
{
    for (size_t k = 0; k < d->nrow * d->ncol; k++)
        d->cell[k] += other->cell[k];
}

void density_robust(struct density *d, double robust)
{
    double sum_w = 0.0, sum_sq = 0.0, f2;

    for (size_t k = 0; k < d->nrow * d->ncol; k++) {
        sum_w += d->cell[k];
        sum_sq += d->cell[k] * d->cell[k];
    }
    f2 = sum_sq > 0.0 ? pow(5.0 * pow(10.0, -robust), 2.0) * sum_w / sum_sq : 0.0;
    for (size_t k = 0; k < d->nrow * d->ncol; k++)
        d->cell[k] = 1.0 / (1.0 + d->cell[k] * f2);
}

void density_weigh(const struct density *d, const double uvw_m[3],
                   const double *freq_hz, size_t nchan, float *w)
{
    int at[BLOCK];

    for (size_t c = 0; c < nchan; c += BLOCK) {
        int n = (int)(nchan - c < BLOCK ? nchan - c : BLOCK);

        find_cells(d, uvw_m, freq_hz + c, n, at);
        for (int i = 0; i < n; i++)
            w[c + (size_t)i] *= (float)d->cell[at[i]];
    }
}
