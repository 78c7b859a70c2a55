/*
 * uvh5_phase.c: what a UVH5 file is phased to.
 */
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "pipeline/io/h5.h"
#include "pipeline/io/uvh5_parts.h"

static int check_dec(const struct uvh5_header *h, double dec_rad, struct err *e)
{
    if (fabs(dec_rad) <= 90 * ASTRO_DEG)
        return 0;
    return err_set(e, ERR_FORMAT, "%s: a phase centre at declination %g rad cannot be",
                   h->path, dec_rad);
}

/* DSA-110: every integration stopped to hour angle 0 at one apparent declination. */
static int read_meridian(const struct h5 *h5, struct uvh5_header *h, struct err *e)
{
    static const char *const dec_name[] = {"Header/phase_center_app_dec",
                                           "Header/extra_keywords/phase_center_dec"};
    static const char ha_name[] = "Header/extra_keywords/ha_phase_center";
    size_t dim[H5_MAXDIM];
    double ha = 0;
    int ndim, rc = 0;
    int k = 1;

    if (h5_shape(h5, dec_name[0], dim, &ndim, NULL) == 0 &&
        (ndim == 0 || (ndim == 1 && dim[0] == 1)))
        k = 0;
    if (h5_has(h5, ha_name))
        rc = uvh5_read_one(h5, ha_name, &ha, e);
    if (rc == 0 && fabs(ha) > 1e-6)
        rc = err_set(e, ERR_FORMAT, "%s: stopped to hour angle %g rad instead of 0",
                     h->path, ha);
    if (rc == 0)
        rc = uvh5_read_one(h5, dec_name[k], &h->info.dec_app_rad, e);
    if (rc == 0)
        rc = check_dec(h, h->info.dec_app_rad, e);
    h->info.phasing = VIS_MERIDIAN;
    return rc;
}

/* A phase centre as a file describes it. */
struct centre {
    char type[16], frame[16], name[64];
    double lon_rad, lat_rad, epoch_year;
    double moves; /* proper motion, radial velocity: the largest number */
};

/* A sidereal centre: ICRS, or FK5 of 2000, which is taken for it. */
static int set_sidereal(struct uvh5_header *h, const struct centre *c, struct err *e)
{
    const char *frame = c->frame;
    int rc = check_dec(h, c->lat_rad, e);

    if (rc != 0)
        return rc;
    if (!isfinite(c->lon_rad) ||
        (frame[0] != '\0' && strcmp(frame, "icrs") != 0 && strcmp(frame, "fk5") != 0) ||
        (strcmp(frame, "icrs") != 0 && c->epoch_year != 2000))
        return err_set(e, ERR_FORMAT,
                       "%s: a phase centre in frame %s of epoch %g is not supported",
                       h->path, frame, c->epoch_year);
    if (c->moves != 0)
        return err_set(
            e, ERR_FORMAT,
            "%s: a phase centre that moves (cat_pm_ra, cat_pm_dec, cat_vrad) "
            "is not supported",
            h->path);
    h->info.phasing = VIS_SIDEREAL;
    h->info.phase_ra_rad = c->lon_rad;
    h->info.phase_dec_rad = c->lat_rad;
    return 0;
}

/* The centre of a "phased" file, before there were catalogues. */
static int read_phased(const struct h5 *h5, struct uvh5_header *h, struct err *e)
{
    struct centre c = {.epoch_year = 2000};
    int rc;

    if ((rc = uvh5_read_one(h5, "Header/phase_center_ra", &c.lon_rad, e)) != 0 ||
        (rc = uvh5_read_one(h5, "Header/phase_center_dec", &c.lat_rad, e)) != 0 ||
        (rc = uvh5_read_label(h5, "Header/phase_center_frame", c.frame, sizeof c.frame,
                              e)) != 0)
        return rc;
    if (strcmp(c.frame, "icrs") != 0 && h5_has(h5, "Header/phase_center_epoch"))
        rc = uvh5_read_one(h5, "Header/phase_center_epoch", &c.epoch_year, e);
    return rc == 0 ? set_sidereal(h, &c, e) : rc;
}

/* UVH5 0.1 and 1.0 without catalogue. */
static int read_phase_type(const struct h5 *h5, struct uvh5_header *h, struct err *e)
{
    char type[16], epoch[16];
    int rc;

    if ((rc = h5_read_text(h5, "Header/phase_type", type, sizeof type, e)) != 0 ||
        (rc = uvh5_read_label(h5, "Header/extra_keywords/phase_center_epoch", epoch,
                              sizeof epoch, e)) != 0)
        return rc;
    if (strcmp(type, "phased") == 0)
        return read_phased(h5, h, e);
    if (strcmp(epoch, "HADEC") == 0 ||
        h5_has(h5, "Header/extra_keywords/ha_phase_center"))
        return read_meridian(h5, h, e);
    if (strcmp(type, "drift") != 0 && strcmp(type, "unknown") != 0)
        return err_set(e, ERR_FORMAT, "%s: Header/phase_type: unknown type '%s'",
                       h->path, type);
    h->info.phasing = VIS_UNPHASED;
    return 0;
}

/* The one id of all rows. */
static int read_centre_id(const struct h5 *h5, struct uvh5_header *h, int64_t *id,
                          struct err *e)
{
    static const char name[] = "Header/phase_center_id_array";
    int64_t *all = calloc(h->nblt, sizeof *all);
    int rc;

    if (all == NULL)
        return err_set(e, -ENOMEM, "%s: no memory for %zu rows", h->path, h->nblt);
    rc = h5_read_i64(h5, name, all, h->nblt, e);
    for (size_t i = 1; rc == 0 && i < h->nblt; i++)
        if (all[i] != all[0])
            rc = err_set(e, ERR_SHAPE, "%s: %s: more than one phase centre", h->path,
                         name);
    *id = all[0]; /* nblt is not 0 */
    free(all);
    return rc;
}

/* No more names of a catalogue are looked through: each costs a walk from its begin. */
enum { MOST_CENTRES = 1000 };

/* The catalogue's group of this id: named after it (1.1 on), or one with this cat_id. */
static int find_centre(const struct h5 *h5, struct uvh5_header *h, int64_t id,
                       char *group, size_t size, struct err *e)
{
    static const char catalog[] = "Header/phase_center_catalog";
    char child[96], name[256];
    int64_t cat_id;

    snprintf(group, size, "%s/%lld", catalog, (long long)id);
    if (h5_has(h5, group))
        return 0;
    for (size_t i = 0;
         i < MOST_CENTRES && h5_child(h5, catalog, i, child, sizeof child) == 0; i++) {
        snprintf(group, size, "%s/%s", catalog, child);
        snprintf(name, sizeof name, "%s/cat_id", group);
        if (h5_read_i64(h5, name, &cat_id, 1, NULL) == 0 && cat_id == id)
            return 0;
    }
    return err_set(e, ERR_FORMAT, "%s: %s: has no phase centre %lld", h->path, catalog,
                   (long long)id);
}

/* The centre of this id out of the catalogue's groups. */
static int group_centre(const struct h5 *h5, struct uvh5_header *h, int64_t id,
                        struct centre *c, struct err *e)
{
    static const char *const motion[] = {"cat_pm_ra", "cat_pm_dec", "cat_vrad"};
    enum { NUMBERS = 3, TEXTS = 3 };
    const struct {
        const char *name;
        double *to;
    } number[NUMBERS] = {{"cat_lon", &c->lon_rad},
                         {"cat_lat", &c->lat_rad},
                         {"cat_epoch", &c->epoch_year}};
    const struct {
        const char *name;
        char *to;
        size_t size;
    } text[TEXTS] = {{"cat_type", c->type, sizeof c->type},
                     {"cat_frame", c->frame, sizeof c->frame},
                     {"cat_name", c->name, sizeof c->name}};
    char group[160], name[192];
    double x;
    int rc = find_centre(h5, h, id, group, sizeof group, e);

    for (int k = 0; rc == 0 && k < TEXTS; k++) {
        snprintf(name, sizeof name, "%s/%s", group, text[k].name);
        rc = uvh5_read_label(h5, name, text[k].to, text[k].size, e);
    }
    for (int k = 0; rc == 0 && k < NUMBERS; k++) {
        snprintf(name, sizeof name, "%s/%s", group, number[k].name);
        if (h5_has(h5, name))
            h5_read_f64(h5, name, number[k].to, 1, NULL); /* an ephemeris has many */
    }
    for (int k = 0; rc == 0 && k < 3; k++) {
        snprintf(name, sizeof name, "%s/%s", group, motion[k]);
        if (h5_has(h5, name) && h5_read_f64(h5, name, &x, 1, NULL) == 0 && x != 0)
            c->moves = x;
    }
    return rc;
}

static double json_f64(const json_t *entry, const char *key, double absent)
{
    const json_t *x = json_object_get(entry, key);

    return json_is_number(x) ? json_number_value(x) : absent;
}

static void json_label(const json_t *entry, const char *key, char *out, size_t size)
{
    const char *text = json_string_value(json_object_get(entry, key));

    snprintf(out, size, "%s", text != NULL ? text : "");
}

/* The same out of JSON: {"name": {"cat_id": 0, "cat_type": ...}} or {"0": {...}}. */
static int json_centre(const char *text, struct uvh5_header *h, int64_t id,
                       struct centre *c, struct err *e)
{
    static const char *const motion[] = {"cat_pm_ra", "cat_pm_dec", "cat_vrad"};
    json_error_t why;
    json_t *all = json_loads(text, JSON_REJECT_DUPLICATES, &why), *entry, *found = NULL;
    const char *key;
    int rc = 0;

    if (!json_is_object(all)) {
        rc = err_set(e, ERR_FORMAT, "%s: Header/phase_center_catalog: not JSON: %.80s",
                     h->path, all == NULL ? why.text : "no object");
        goto out;
    }
    json_object_foreach(all, key, entry)
    {
        char number[24];

        snprintf(number, sizeof number, "%lld", (long long)id);
        if ((int64_t)json_f64(entry, "cat_id", (double)(id - 1)) != id &&
            strcmp(key, number) != 0)
            continue;
        found = entry;
        snprintf(c->name, sizeof c->name, "%s", key);
    }
    if (found == NULL) {
        rc = err_set(e, ERR_FORMAT,
                     "%s: Header/phase_center_catalog: has no phase centre %lld",
                     h->path, (long long)id);
        goto out;
    }
    json_label(found, "cat_type", c->type, sizeof c->type);
    json_label(found, "cat_frame", c->frame, sizeof c->frame);
    if (json_object_get(found, "cat_name") != NULL)
        json_label(found, "cat_name", c->name, sizeof c->name);
    c->lon_rad = json_f64(found, "cat_lon", c->lon_rad);
    c->lat_rad = json_f64(found, "cat_lat", c->lat_rad);
    c->epoch_year = json_f64(found, "cat_epoch", c->epoch_year);
    for (int k = 0; k < 3; k++)
        if (json_f64(found, motion[k], 0) != 0)
            c->moves = json_f64(found, motion[k], 0);
out:
    json_decref(all);
    return rc;
}

/* What the file says of the centre of this id, in either form. */
static int read_centre(const struct h5 *h5, struct uvh5_header *h, int64_t id,
                       struct centre *c, struct err *e)
{
    static const char name[] = "Header/phase_center_catalog";
    enum { MOST_JSON = 1 << 20 };
    size_t dim[H5_MAXDIM];
    int ndim, rc;
    char *text;

    if (h5_shape(h5, name, dim, &ndim, NULL) != 0) /* a group, then */
        return group_centre(h5, h, id, c, e);
    text = malloc(MOST_JSON);
    if (text == NULL)
        return err_set(e, -ENOMEM, "%s: %s: no memory", h->path, name);
    rc = h5_read_text(h5, name, text, MOST_JSON, e);
    if (rc == 0)
        rc = json_centre(text, h, id, c, e);
    free(text);
    return rc;
}

/* Stopped to a fixed point of the sky over the ground.  The zenith is hour angle 0 at the
 * declination of the latitude. */
static int set_driftscan(struct uvh5_header *h, const struct centre *c, struct err *e)
{
    if (!(fabs(c->lat_rad - 90 * ASTRO_DEG) <= 1e-6))
        return err_set(e, ERR_FORMAT,
                       "%s: a drift scan off the zenith is not supported", h->path);
    h->info.phasing = VIS_MERIDIAN;
    h->info.dec_app_rad = h->info.site.lat_rad;
    return 0;
}

static int read_catalog(const struct h5 *h5, struct uvh5_header *h, struct err *e)
{
    struct centre c = {.lon_rad = NAN, .lat_rad = NAN, .epoch_year = 2000};
    int64_t id = 0;
    int rc;

    if ((rc = read_centre_id(h5, h, &id, e)) != 0 ||
        (rc = read_centre(h5, h, id, &c, e)) != 0)
        return rc;
    if (h->info.object[0] == '\0')
        snprintf(h->info.object, sizeof h->info.object, "%s", c.name);
    if (strcmp(c.type, "sidereal") == 0)
        return set_sidereal(h, &c, e);
    if (strcmp(c.type, "driftscan") == 0)
        return set_driftscan(h, &c, e);
    if (strcmp(c.type, "unprojected") != 0)
        return err_set(e, ERR_FORMAT,
                       "%s: a phase centre of type '%s' is not supported", h->path,
                       c.type);
    h->info.phasing = VIS_UNPHASED;
    return 0;
}

int uvh5_read_phasing(const struct h5 *h5, struct uvh5_header *h, struct err *e)
{
    h->info.dec_app_rad = h->info.phase_ra_rad = h->info.phase_dec_rad = NAN;
    if (h5_has(h5, "Header/phase_center_catalog"))
        return read_catalog(h5, h, e);
    return read_phase_type(h5, h, e);
}
