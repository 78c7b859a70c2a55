#include "pipeline/continuum/registered.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/store/registry.h"
#include "pipeline/sky/astro.h"
#include "pipeline/sky/calibrator.h"

static const double L_BAND_HZ = 1.465e9; /* the VLA manual's 20 cm */
static const double EXTEND = 1.5;        /* as the built-in table's points */

void registered_row(struct reg_calibrator *row, const struct calibrator *cal,
                    const char *by)
{
    json_t *points = json_array();
    char *text;

    memset(row, 0, sizeof *row);
    snprintf(row->name, sizeof row->name, "%s", cal->name);
    snprintf(row->by, sizeof row->by, "%s", by);
    snprintf(row->source, sizeof row->source, "%s",
             cal->source != NULL ? cal->source : "");
    row->ra_deg = cal->ra_rad / ASTRO_DEG;
    row->dec_deg = cal->dec_rad / ASTRO_DEG;
    row->freq_mhz = cal->npoint == 1 ? cal->freq_hz[0] * 1e-6 : L_BAND_HZ * 1e-6;
    if (calibrator_flux(cal, row->freq_mhz * 1e6, &row->flux_jy, NULL) != 0) {
        row->freq_mhz = cal->freq_hz[0] * 1e-6;
        row->flux_jy = cal->flux_jy[0];
    }
    for (int i = 0; i < cal->npoint; i++)
        json_array_append_new(
            points, json_pack("[ff]", cal->freq_hz[i] * 1e-6, cal->flux_jy[i]));
    text = json_dumps(points, JSON_COMPACT | JSON_REAL_PRECISION(9));
    if (cal->npoint > 1 && text != NULL)
        snprintf(row->spectrum, sizeof row->spectrum, "%s", text);
    free(text);
    json_decref(points);
}

/* [[MHz, Jy], ...], ascending, into cal's points. */
static bool take_spectrum(struct calibrator *cal, const char *text)
{
    json_t *points = json_loads(text, 0, NULL), *point;
    size_t i, n = json_array_size(points);
    bool good = n > 0 && n <= CAL_MAXPOINT;

    json_array_foreach(points, i, point)
    {
        if (!good)
            break;
        cal->freq_hz[i] = json_number_value(json_array_get(point, 0)) * 1e6;
        cal->flux_jy[i] = json_number_value(json_array_get(point, 1));
        good = isfinite(cal->freq_hz[i]) && cal->flux_jy[i] > 0 &&
               isfinite(cal->flux_jy[i]) &&
               cal->freq_hz[i] > (i > 0 ? cal->freq_hz[i - 1] : 0);
    }
    cal->npoint = good ? (int)n : 0;
    json_decref(points);
    return good;
}

/* The entry of the table whose polynomial a row stands for (registered_row keeps one point). */
static const struct calibrator *polynomial_of(const struct reg_calibrator *row)
{
    size_t n;
    const struct calibrator *table = calibrator_table(&n);
    const struct calibrator *known =
        calibrator_at(table, n, row->ra_deg * ASTRO_DEG, row->dec_deg * ASTRO_DEG);

    return known != NULL && known->ncoeff > 0 && strcmp(row->source, known->source) == 0
               ? known
               : NULL;
}

int registered_calibrator(struct calibrator *cal, const struct reg_calibrator *row,
                          struct err *e)
{
    const struct calibrator *known = polynomial_of(row);

    if (known != NULL) {
        *cal = *known;
        snprintf(cal->name, sizeof cal->name, "%s", row->name);
        return 0;
    }
    memset(cal, 0, sizeof *cal);
    snprintf(cal->name, sizeof cal->name, "%s", row->name);
    cal->ra_rad = row->ra_deg * ASTRO_DEG;
    cal->dec_rad = row->dec_deg * ASTRO_DEG;
    cal->source = strcmp(row->by, REG_BY_IMPORT) == 0
                      ? "registered: VLA calibrator manual (NRAO)"
                      : "registered";
    if (row->spectrum[0] != '\0') {
        if (!take_spectrum(cal, row->spectrum))
            return err_set(e, ERR_QUALITY,
                           "calibrator %s is registered with a spectrum that is not "
                           "[[MHz, Jy], ...], ascending: %.80s",
                           row->name, row->spectrum);
    } else if (row->flux_jy > 0 && row->freq_mhz > 0) {
        cal->npoint = 1;
        cal->freq_hz[0] = row->freq_mhz * 1e6;
        cal->flux_jy[0] = row->flux_jy;
    } else {
        return err_set(e, ERR_QUALITY,
                       "calibrator %s is registered without a flux and its frequency",
                       row->name);
    }
    cal->lo_hz = cal->freq_hz[0] / EXTEND;
    cal->hi_hz = cal->freq_hz[cal->npoint - 1] * EXTEND;
    return 0;
}

/* Has the built-in table this one? */
static bool in_table(const struct calibrator *cal)
{
    size_t n;
    const struct calibrator *table = calibrator_table(&n);

    return calibrator_find(cal->name) != NULL ||
           calibrator_at(table, n, cal->ra_rad, cal->dec_rad) != NULL;
}

int registered_join(struct calibrator **out, size_t *n,
                    const struct reg_calibrator *row, size_t nrow, struct err *e)
{
    struct calibrator *own = calloc(nrow + 1, sizeof *own);
    size_t nown = 0;
    int rc;

    *out = NULL;
    *n = 0;
    if (own == NULL)
        return err_set(e, -ENOMEM, "no memory for %zu calibrators", nrow);
    for (size_t i = 0; i < nrow; i++) {
        if (strcmp(row[i].status, "active") != 0 ||
            strcmp(row[i].by, REG_BY_WATCHERD) == 0 ||
            registered_calibrator(&own[nown], &row[i], NULL) != 0 ||
            (strcmp(row[i].by, REG_BY_IMPORT) == 0 && in_table(&own[nown])))
            continue;
        nown++;
    }
    rc = calibrator_join(out, n, own, nown, e);
    free(own);
    return rc;
}
