#include "pipeline/continuum/note.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/path.h"
#include "core/store/registry.h"
#include "pipeline/continuum/settings.h"
#include "pipeline/work.h"

static const char *text_of(json_t *m, const char *key)
{
    const char *text = json_string_value(json_object_get(m, key));

    return text != NULL ? text : "";
}

static double number_of(json_t *m, const char *key)
{
    return json_number_value(json_object_get(m, key));
}

/* "a,b,c" of the names in a JSON array; yours to free, NULL without memory. */
static char *comma_list(json_t *names)
{
    size_t i, size = 1;
    char *list, *end;
    json_t *name;

    json_array_foreach(names, i, name)
    {
        size += json_string_length(name) + 1;
    }
    list = end = malloc(size);
    if (list == NULL)
        return NULL;
    *end = '\0';
    json_array_foreach(names, i, name)
    {
        if (i > 0)
            *end++ = ',';
        end = stpcpy(end, json_is_string(name) ? json_string_value(name) : "");
    }
    return list;
}

/* The row of the product itself; `tiles` is its comma list. */
static int note_product(const struct run_env *env, const char *path, json_t *manifest,
                        enum reg_table table, const char *tiles, struct err *e)
{
    json_t *meta = json_object_get(manifest, "meta");
    char fits[PATH_MAX], preview[PATH_MAX], *text = json_dumps(meta, JSON_COMPACT);
    char *reasons = json_dumps(json_object_get(meta, "reasons"), JSON_COMPACT);
    /* Jy are then nobody's business */
    bool uncalibrated = strcmp(text_of(meta, "unit"), "Jy/beam") != 0;
    struct reg_product p = {
        .data_type = text_of(meta, "kind"),
        .table = table,
        .data_id = env->key,
        .generation = (uint64_t)number_of(manifest, "generation"),
        .path = path,
        .fits = fits,
        .preview = preview,
        .qa_status = text_of(meta, "qa_status"),
        .qa_reasons = reasons,
        .metadata_json = text,
        .start_mjd = number_of(meta, "mjd_beg"),
        .end_mjd = number_of(meta, "mjd_end"),
        .ra_deg = number_of(meta, "ra_deg"),
        .dec_deg = number_of(meta, "dec_deg"),
        .noise_jy = uncalibrated ? NAN : number_of(meta, "noise_jy"),
        .dynamic_range = number_of(meta, "dynamic_range"),
        .bmaj_arcsec = number_of(meta, "bmaj_arcsec"),
        .bmin_arcsec = number_of(meta, "bmin_arcsec"),
        .bpa_deg = number_of(meta, "bpa_deg"),
        .n_tiles = (long)json_array_size(json_object_get(meta, "tiles")),
        .n_sources = (long)number_of(meta, "sources"),
        .tiles = tiles,
        .uncalibrated = uncalibrated,
    };
    int rc = text == NULL || tiles == NULL
                 ? err_set(e, -ENOMEM, "out of memory registering %s", env->key)
                 : 0;

    if (rc == 0)
        rc = path_join(fits, sizeof fits, path, text_of(meta, "fits"), e);
    if (rc == 0)
        rc = path_join(preview, sizeof preview, path, text_of(meta, "preview"), e);
    if (rc == 0)
        rc = registry_product(env->registry, &p, e);
    free(text);
    free(reasons);
    return rc;
}

/* The number at key; NAN where there is none. */
static double number_or_nan(json_t *m, const char *key)
{
    json_t *v = json_object_get(m, key);

    return json_is_number(v) ? json_number_value(v) : NAN;
}

/* Numbers of a bandpass for people, yours to free; NULL without memory. */
static char *quality_json(json_t *meta, json_t *cal)
{
    static const char *const of_cal[] = {"bandpass_snr", "phase_rms_deg",
                                         "phase_excess_deg", "failed_solutions"};
    json_t *q = json_object();
    char *text;

    for (size_t i = 0; i < sizeof of_cal / sizeof of_cal[0]; i++)
        json_object_set(q, of_cal[i], json_object_get(cal, of_cal[i]));
    json_object_set(q, "imaged_fraction", json_object_get(meta, "imaged_fraction"));
    json_object_set(q, "reasons", json_object_get(meta, "reasons"));
    text = json_dumps(q, JSON_COMPACT);
    json_decref(q);
    return text;
}

/* The calibrator that was solved on, as it was taken to be. */
static int note_calibrator(const struct run_env *env, json_t *cal, struct err *e)
{
    struct reg_calibrator c = {.ra_deg = number_or_nan(cal, "ra_deg"),
                               .dec_deg = number_or_nan(cal, "dec_deg"),
                               .flux_jy = number_or_nan(cal, "flux_jy"),
                               .freq_mhz = number_or_nan(cal, "freq_mhz"),
                               .by = REG_BY_WATCHERD};

    snprintf(c.name, sizeof c.name, "%s", text_of(cal, "name"));
    snprintf(c.source, sizeof c.source, "%s", text_of(cal, "source"));
    return registry_calibrator_put(env->registry, &c, 1, e);
}

static int note_bandpass(const struct run_env *env, const char *product, json_t *meta,
                         struct err *e)
{
    json_t *cal = json_object_get(meta, "calibration");
    double mid = 0.5 * (number_of(meta, "mjd_beg") + number_of(meta, "mjd_end"));
    double valid_d = continuum_settings(env->conf)->calibration.bandpass_valid_h / 24;
    char path[PATH_MAX], *quality = quality_json(meta, cal);
    struct reg_caltable row = {
        .set_name = env->key,
        .path = path,
        .table_type = "bandpass",
        .calibrator = text_of(cal, "name"),
        .telescope = text_of(meta, "telescope"),
        .source_group = env->key,
        .mjd = mid,
        .valid_start_mjd = mid - valid_d,
        .valid_end_mjd = mid + valid_d,
        .quality = number_or_nan(cal, "bandpass_snr"),
        .dec_deg = number_or_nan(meta, "dec_deg"),
        .flux_jy = number_or_nan(cal, "flux_jy"),
        .qa_status = text_of(meta, "qa_status"),
        .refant = text_of(cal, "refant"),
        .quality_json = quality,
        .solver = "watcherd " VERSION,
    };
    int rc = 0;

    if (number_of(cal, "solved_bandpass") > 0) {
        rc = path_join(path, sizeof path, product, "bandpass.h5", e);
        if (rc == 0)
            rc = registry_caltable(env->registry, &row, e);
        if (rc == 0)
            rc = note_calibrator(env, cal, e);
    }
    free(quality);
    return rc;
}

int note_tile(const struct run_env *env, const char *path, json_t *manifest,
              struct err *e)
{
    int rc = note_product(env, path, manifest, REG_IMAGES, "", e);

    return rc != 0 ? rc
                   : note_bandpass(env, path, json_object_get(manifest, "meta"), e);
}

int note_mosaic(const struct run_env *env, const char *path, json_t *manifest,
                struct err *e)
{
    char *tiles =
        comma_list(json_object_get(json_object_get(manifest, "meta"), "tiles"));
    int rc = note_product(env, path, manifest, REG_MOSAICS, tiles, e);

    if (rc == 0)
        rc = registry_mosaic_group(env->registry, env->key, tiles, "mosaicked",
                                   "completed", e);
    free(tiles);
    return rc;
}
