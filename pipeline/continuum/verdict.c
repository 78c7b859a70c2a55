#include "pipeline/continuum/verdict.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/path.h"
#include "pipeline/continuum/settings.h"
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

int verdict_catalogue(struct qa_match *match, const struct image *img,
                      const float *noise, const struct source_list *found,
                      const struct continuum_settings *set, struct err *e)
{
    struct source_list cat = {0};
    int rc = 0;

    if (set->qa.catalogue[0] != '\0')
        rc = catalogue_read(&cat, set->qa.catalogue, e);
    if (rc == 0 && (rc = add_calibrators(&cat, img->freq_hz)) != 0)
        err_set(e, rc, "out of memory for the catalogue");
    if (rc == 0)
        rc = qa_match(match, img, noise, found, &cat, set->qa.find_sigma);
    source_list_free(&cat);
    return rc;
}

const char *verdict_status(double dynamic_range, const struct qa_match *match)
{
    if (!(dynamic_range >= 5))
        return "failed";
    if (match->nexpected > 0 &&
        ((double)match->nfound < 0.6 * (double)match->nexpected ||
         !(match->flux_ratio > 0.8 && match->flux_ratio < 1.2)))
        return "warning";
    return "passed";
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
