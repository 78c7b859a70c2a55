/*
 * scale.c: see scale.h.  Sums against the field, the point source and both; what the first two
 * have in common is in the third.
 */
#include "pipeline/cal/scale.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "core/err.h"
#include "pipeline/cal/gains.h"
#include "pipeline/cal/model.h"
#include "pipeline/cal/normal_eq.h"
#include "pipeline/cal/rows.h"
#include "pipeline/sky/vis.h"

/* Of all baselines and both hands. */
struct sums {
    double re, den, power, n;
};

static int add_up(struct sums *out, struct normal_eq_batch *b, const struct model *m,
                  const struct normal_eq_known *known, struct err *e)
{
    const struct vis *vis = b->vis;
    struct normal_eq *at = calloc(b->rows->nbl + 1, sizeof *at);
    int rc = at == NULL ? err_set(e, -ENOMEM, "no memory for the sums of %zu baselines",
                                  b->rows->nbl)
                        : normal_eq_fill(b, NULL, m, known, e);

    *out = (struct sums){0};
    for (size_t p = 0; rc == 0 && p < vis->npol; p++) {
        if (!gains_parallel(vis->pol[p]))
            continue;
        normal_eq_get(b, p, at);
        for (size_t bl = 0; bl < b->rows->nbl; bl++) {
            out->re += (double)at[bl].re;
            out->den += (double)at[bl].den;
            out->power += (double)at[bl].power;
            out->n += (double)at[bl].n;
        }
    }
    free(at);
    return rc;
}

static int fit(struct scale *s, struct normal_eq_batch *b, const struct model *model,
               const struct normal_eq_known *known, struct err *e)
{
    struct model field = *model, point = *model, all = *model;
    struct sums f, p, both;
    int rc;

    field.flux_jy = NULL;
    point.field = NULL;
    field.field_scale = all.field_scale = 1;
    if ((rc = add_up(&f, b, &field, known, e)) != 0 ||
        (rc = add_up(&p, b, &point, known, e)) != 0 ||
        (rc = add_up(&both, b, &all, known, e)) != 0)
        return rc;
    *s = (struct scale){1, INFINITY};
    if (f.den > 0 && both.n > 0) {
        double common = (both.den - f.den - p.den) / 2, x = (f.re - common) / f.den;
        double rest =
            both.power - 2 * (p.re + x * f.re) + p.den + 2 * x * common + x * x * f.den;

        s->factor = x;
        s->sigma = sqrt(fmax(rest, 0) / both.n / 2 / f.den);
    }
    return 0;
}

int scale_fit(struct scale *s, const struct vis *vis, const struct model *model,
              const struct gains *const gains[2], size_t threads, struct err *e)
{
    struct normal_eq_known known = {0};
    struct rows rows = {0};
    size_t some = (vis->ntime + 3) / 4;
    struct normal_eq_batch b = {.vis = vis,
                                .rows = &rows,
                                .threads = threads,
                                .time_block = vis->ntime,
                                .chan_block = vis->nchan,
                                .t0 = (vis->ntime - some) / 2,
                                .t1 = (vis->ntime - some) / 2 + some,
                                .c1 = vis->nchan};
    int rc = rows_init(&rows, vis, e);

    for (size_t i = 0; rc == 0 && i < 2; i++)
        if (gains[i] != NULL)
            rc = gains_lookup_init(&known.lk[known.n++], vis, gains[i], e);
    if (rc == 0)
        rc = fit(s, &b, model, &known, e);
    for (size_t i = 0; i < known.n; i++)
        gains_lookup_close(&known.lk[i]);
    normal_eq_close(&b);
    rows_close(&rows);
    return rc;
}
