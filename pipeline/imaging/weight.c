/*
 * weight.c: robust weights; two passes over the samples and one over the cells.
 */
#include "pipeline/imaging/weight.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "core/err.h"
#include "pipeline/imaging/samples.h"
#include "pipeline/sky/astro.h"

/* Half a plane of cells: columns u in [0, ncol), rows v from -nrow/2. */
struct density {
    size_t ncol, nrow;
    double side_u, side_v; /* wavelengths */
    double *sum;           /* [nrow][ncol] natural weight */
    double f2;             /* Briggs' factor, squared */
};

static double *density_at(const struct density *d, double u, double v)
{
    double sign = u < 0.0 || (u == 0.0 && v < 0.0) ? -1.0 : 1.0;
    double c = floor(sign * u / d->side_u);
    double r = floor(sign * v / d->side_v) + (double)(d->nrow / 2);

    return &d->sum[(size_t)r * d->ncol + (size_t)c];
}

static void add_row(const struct density *d, const struct samples *s, size_t r,
                    const float *wi)
{
    const double *uvw = s->uvw_m[r];

    for (size_t c = 0; c < s->nchan; c++) {
        double k = s->freq_hz[c] / ASTRO_C_M_S;
        float w = wi[r * s->nchan + c];

        if (w > 0.0f)
            *density_at(d, uvw[0] * k, uvw[1] * k) += (double)w;
    }
}

static void weigh_row(const struct density *d, const struct samples *s, size_t r,
                      float *wi)
{
    const double *uvw = s->uvw_m[r];

    for (size_t c = 0; c < s->nchan; c++) {
        double k = s->freq_hz[c] / ASTRO_C_M_S;
        float *w = &wi[r * s->nchan + c];

        if (*w > 0.0f)
            *w = (float)((double)*w /
                         (1.0 + *density_at(d, uvw[0] * k, uvw[1] * k) * d->f2));
    }
}

int weight_briggs(float *wi, const struct samples *s, size_t nx, size_t ny,
                  double cell_rad, double robust, struct err *e)
{
    struct density d = {.ncol = nx / 2 + 2,
                        .nrow = ny + 4,
                        .side_u = 1.0 / ((double)nx * cell_rad),
                        .side_v = 1.0 / ((double)ny * cell_rad)};
    double sum_w = 0.0, sum_sq = 0.0;

    d.sum = calloc(d.nrow * d.ncol, sizeof *d.sum);
    if (d.sum == NULL)
        return err_set(e, -ENOMEM, "no memory for the weights of %zu x %zu uv cells",
                       d.ncol, d.nrow);
    for (size_t i = 0; i < s->nrow; i++)
        add_row(&d, s, samples_row(s, i), wi);
    for (size_t k = 0; k < d.nrow * d.ncol; k++) {
        sum_w += d.sum[k];
        sum_sq += d.sum[k] * d.sum[k];
    }
    d.f2 = pow(5.0 * pow(10.0, -robust), 2.0) * sum_w / sum_sq;
    for (size_t i = 0; i < s->nrow; i++)
        weigh_row(&d, s, samples_row(s, i), wi);
    free(d.sum);
    return 0;
}
