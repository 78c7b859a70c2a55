#include "pipeline/continuum/verdict.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/path.h"
#include "pipeline/continuum/settings.h"
#include "pipeline/io/fits.h"
#include "pipeline/io/preview.h"
#include "pipeline/sky/astro.h"
#include "pipeline/sky/calibrator.h"
#include "pipeline/sky/catalogue.h"
#include "pipeline/sky/image.h"
#include "pipeline/sky/source.h"

enum { PREVIEW_SIDE = 1200 };

/* Calibrators as catalogue sources with the local slope at the image's frequency. */
static int add_calibrators(struct source_list *list, double freq_hz)
{
    size_t n;
    const struct calibrator *cal = calibrator_table(&n);
    struct source *grown = realloc(list->src, (list->n + n) * sizeof *grown);

    if (grown == NULL)
        return -ENOMEM;
    list->src = grown;
    for (size_t i = 0; i < n; i++) {
        struct source s = {.ra_rad = cal[i].ra_rad, .dec_rad = cal[i].dec_rad};
        bool known = false;

        for (size_t k = 0; k < list->n; k++)
            if (astro_separation(list->src[k].ra_rad, list->src[k].dec_rad, s.ra_rad,
                                 s.dec_rad) < 5 * ASTRO_ARCSEC)
                known = true;
        if (known || calibrator_flux(&cal[i], freq_hz, &s.flux_jy, NULL) != 0)
            continue;
        s.freq_hz = freq_hz;
        snprintf(s.name, sizeof s.name, "%.31s", cal[i].name);
        list->src[list->n++] = s;
    }
    return 0;
}

/* Leave out what lies within a beam of s: its flux was put in by solving. */
static void leave_out(struct source_list *list, const struct source *s, double beam_rad)
{
    size_t kept = 0;

    for (size_t i = 0; i < list->n; i++)
        if (!(astro_separation(list->src[i].ra_rad, list->src[i].dec_rad, s->ra_rad,
                               s->dec_rad) <= beam_rad))
            list->src[kept++] = list->src[i];
    list->n = kept;
}

int verdict_catalogue(struct qa_match *match, const struct image *img,
                      const float *noise, const struct source_list *found,
                      const struct source_list *solved,
                      const struct continuum_settings *set, struct err *e)
{
    struct source_list cat = {0};
    int rc = 0;

    if (set->qa.catalogue[0] != '\0')
        rc = catalogue_read(&cat, set->qa.catalogue, e);
    if (rc == 0 && (rc = add_calibrators(&cat, img->freq_hz)) != 0)
        err_set(e, rc, "out of memory for the catalogue");
    for (size_t i = 0; rc == 0 && solved != NULL && i < solved->n; i++)
        leave_out(&cat, &solved->src[i], fmax(img->bmaj_rad, 5 * ASTRO_ARCSEC));
    if (rc == 0)
        rc = qa_match(match, img, noise, found, &cat, set->qa.find_sigma);
    source_list_free(&cat);
    return rc;
}

/* ------------------------------------------------------------------ reasons ---- */

static const char *const words[] = {
    [VERDICT_PASSED] = "passed",
    [VERDICT_WARNING] = "warning",
    [VERDICT_UNCALIBRATED] = "uncalibrated",
    [VERDICT_FAILED] = "failed",
};

const char *verdict_word(enum verdict_grade grade)
{
    return words[grade];
}

enum verdict_grade verdict_grade_of(const char *word)
{
    for (size_t i = 0; word != NULL && i < sizeof words / sizeof words[0]; i++)
        if (strcmp(words[i], word) == 0)
            return (enum verdict_grade)i;
    return VERDICT_FAILED;
}

/* Behind those that are as bad or worse. */
static void insert_reason(json_t *reasons, enum verdict_grade grade, const char *text)
{
    json_t *value = json_string(text);
    size_t i = 0;

    for (; i < json_array_size(reasons); i++) {
        const char *other = json_string_value(json_array_get(reasons, i));
        char word[16] = "";

        snprintf(word, sizeof word, "%.*s", (int)strcspn(other, ":"), other);
        if (verdict_grade_of(word) < grade)
            break;
    }
    json_array_insert_new(reasons, i, value != NULL ? value : json_string("?"));
}

void verdict_add(struct verdict *v, enum verdict_grade grade, const char *format, ...)
{
    char text[256];
    va_list ap;
    int n = snprintf(text, sizeof text, "%s: ", words[grade]);

    va_start(ap, format);
    vsnprintf(text + n, sizeof text - (size_t)n, format, ap);
    va_end(ap);
    if (grade > v->grade)
        v->grade = grade;
    if (v->reasons == NULL)
        v->reasons = json_array();
    if (v->reasons != NULL)
        insert_reason(v->reasons, grade, text);
}

static bool beyond(double x, double limit, bool below)
{
    return limit > 0 && (below ? x < limit : x > limit);
}

void verdict_limits(struct verdict *v, double x, double warn, double fail,
                    const char *what, const char *unit)
{
    bool below = warn > fail && fail > 0, failed = beyond(x, fail, below);
    double limit = failed ? fail : warn;

    if (failed || beyond(x, limit, below))
        verdict_add(v, failed ? VERDICT_FAILED : VERDICT_WARNING,
                    "%s is %.3g%s, %s than %.3g", what, x, unit,
                    below ? "less" : "more", limit);
}

void verdict_close(struct verdict *v)
{
    json_decref(v->reasons);
    *v = (struct verdict){VERDICT_PASSED, NULL};
}

void verdict_judge_image(struct verdict *v, double dynamic_range,
                         const struct qa_match *match,
                         const struct continuum_settings *set)
{
    double found =
        match->nexpected > 0 ? (double)match->nfound / (double)match->nexpected : NAN;

    if (!(dynamic_range >= set->qa.min_dynamic_range))
        verdict_add(v, VERDICT_FAILED, "the dynamic range is %.3g, less than %.3g",
                    dynamic_range, set->qa.min_dynamic_range);
    if (found < set->qa.min_found)
        verdict_add(v, VERDICT_WARNING, "%zu of %zu catalogue sources are found",
                    match->nfound, match->nexpected);
    if (match->nfound > 0 && !(fabs(match->flux_ratio - 1) <= set->qa.max_flux_error))
        verdict_add(v, VERDICT_WARNING,
                    "fluxes are %.3g of the catalogue's, median of %zu",
                    match->flux_ratio, match->nfound);
}

void verdict_meta(json_t *m, const struct verdict *v)
{
    verdict_put(m, "qa_status", verdict_word(v->grade));
    json_object_set_new(m, "reasons",
                        v->reasons != NULL ? json_copy(v->reasons) : json_array());
}

size_t verdict_cards(struct fits_card *card, const struct verdict *v)
{
    static const char *const key[] = {"QAREAS1", "QAREAS2", "QAREAS3",
                                      "QAREAS4", "QAREAS5", "QAREAS6",
                                      "QAREAS7", "QAREAS8", "QAREAS9"};
    size_t n = 0;

    card[n++] = (struct fits_card){"QASTATUS", verdict_word(v->grade), 0,
                                   "verdict: the worst of its reasons"};
    for (size_t i = 0;
         i < json_array_size(v->reasons) && i < sizeof key / sizeof key[0]; i++)
        card[n++] = (struct fits_card){
            key[i], json_string_value(json_array_get(v->reasons, i)), 0, ""};
    return n;
}

int verdict_write(const char *dir, const struct image *img,
                  const struct source_list *sources, const json_t *meta, struct err *e)
{
    char path[4096], *text = NULL;
    int rc = path_join(path, sizeof path, dir, "sources.csv", e);

    if (rc == 0)
        rc = catalogue_write(path, sources, e);
    if (rc == 0)
        rc = path_join(path, sizeof path, dir, "preview.png", e);
    if (rc == 0)
        rc = preview_write(path, img, PREVIEW_SIDE, e);
    if (rc == 0)
        rc = path_join(path, sizeof path, dir, "qa.json", e);
    if (rc == 0 && (text = json_dumps(meta, JSON_INDENT(1))) == NULL)
        rc = err_set(e, -ENOMEM, "cannot encode %s", path);
    if (rc == 0)
        rc = path_write(path, text, strlen(text), e);
    free(text);
    return rc;
}

void verdict_put(json_t *m, const char *key, const char *text)
{
    json_t *value = json_string(text);

    json_object_set_new(m, key, value != NULL ? value : json_string("?"));
}

void verdict_number(json_t *m, const char *key, double value)
{
    json_object_set_new(m, key, isfinite(value) ? json_real(value) : json_null());
}

void verdict_image(json_t *m, const struct image *img)
{
    verdict_number(m, "ra_deg", img->wcs.ra_rad / ASTRO_DEG);
    verdict_number(m, "dec_deg", img->wcs.dec_rad / ASTRO_DEG);
    verdict_number(m, "cell_arcsec", img->wcs.cell_rad / ASTRO_ARCSEC);
    verdict_number(m, "nx", (double)img->nx);
    verdict_number(m, "ny", (double)img->ny);
    verdict_number(m, "bmaj_arcsec", img->bmaj_rad / ASTRO_ARCSEC);
    verdict_number(m, "bmin_arcsec", img->bmin_rad / ASTRO_ARCSEC);
    verdict_number(m, "bpa_deg", img->bpa_rad / ASTRO_DEG);
    verdict_number(m, "freq_hz", img->freq_hz);
    verdict_number(m, "mjd_beg", img->mjd_beg);
    verdict_number(m, "mjd_end", img->mjd_end);
}

void verdict_match(json_t *m, const struct qa_match *match)
{
    json_t *c = json_object();

    verdict_number(c, "expected", (double)match->nexpected);
    verdict_number(c, "found", (double)match->nfound);
    verdict_number(c, "flux_ratio", match->flux_ratio);
    verdict_number(c, "offset_arcsec", match->offset_rad / ASTRO_ARCSEC);
    verdict_number(c, "worst_ratio", match->worst_ratio);
    verdict_number(c, "worst_offset_arcsec", match->worst_offset_rad / ASTRO_ARCSEC);
    json_object_set_new(m, "catalogue", c);
}
