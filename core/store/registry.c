#include "core/store/registry.h"

#include "core/clock.h"
#include "core/store/db.h"
#include "core/err.h"
#include "core/path.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct registry {
    struct db *products, *data, *cal;
};

/* Columns have the names that the scripts of the telescope use; each is filled by something, or
 * not there. */
static const char products_schema[] =
    "CREATE TABLE images("
    " id INTEGER PRIMARY KEY, group_id TEXT NOT NULL UNIQUE, path TEXT NOT NULL,"
    " created_at TEXT NOT NULL, type TEXT NOT NULL DEFAULT 'image',"
    " beam_major_arcsec REAL, beam_minor_arcsec REAL, beam_pa_deg REAL, noise_jy REAL,"
    " dynamic_range REAL, pbcor INTEGER NOT NULL DEFAULT 0, center_ra_deg REAL, "
    "center_dec_deg REAL,"
    " start_mjd REAL, end_mjd REAL, cal_applied INTEGER NOT NULL, qa_status TEXT,"
    " thumbnail_path TEXT, status TEXT NOT NULL, published_path TEXT NOT NULL,"
    " published_at TEXT NOT NULL, generation INTEGER NOT NULL,"
    " qa_reasons TEXT) STRICT;"
    "CREATE INDEX images_time ON images(start_mjd);"
    "CREATE TABLE mosaics("
    " id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, path TEXT NOT NULL,"
    " created_at TEXT NOT NULL, start_mjd REAL, end_mjd REAL, integration_sec REAL,"
    " n_images INTEGER, center_ra_deg REAL, center_dec_deg REAL, dec_min REAL,"
    " dec_max REAL, noise_jy REAL, dynamic_range REAL, beam_major_arcsec REAL,"
    " beam_minor_arcsec REAL, beam_pa_deg REAL, n_sources INTEGER, thumbnail_path TEXT,"
    " status TEXT NOT NULL, method TEXT, tiles TEXT, output_path TEXT,"
    " metrics_path TEXT, qa_status TEXT,"
    " published_path TEXT NOT NULL, published_at TEXT NOT NULL,"
    " generation INTEGER NOT NULL, qa_reasons TEXT) STRICT;"
    "CREATE TABLE mosaic_tiles(mosaic TEXT NOT NULL, tile TEXT NOT NULL,"
    " PRIMARY KEY (mosaic, tile)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX mosaic_tiles_tile ON mosaic_tiles(tile);"
    "CREATE TABLE mosaic_groups("
    " group_id TEXT PRIMARY KEY NOT NULL, mosaic_id TEXT, ms_paths TEXT NOT NULL,"
    " created_at TEXT NOT NULL, imaged_at TEXT, mosaicked_at TEXT,"
    " stage TEXT NOT NULL, status TEXT NOT NULL,"
    " cal_applied INTEGER NOT NULL DEFAULT 0) STRICT;";

static const char *const products_upgrade[] = {
    "ALTER TABLE images ADD COLUMN qa_reasons TEXT;" /* 1 to 2 */
    "ALTER TABLE mosaics ADD COLUMN qa_reasons TEXT;",
    "ALTER TABLE images DROP COLUMN ms_path;" /* 2 to 3: what nothing ever filled */
    "UPDATE images SET pbcor = 0 WHERE pbcor IS NULL;"
    "ALTER TABLE mosaics DROP COLUMN validation_issues;"
    "ALTER TABLE mosaic_groups DROP COLUMN calibration_ms_path;"
    "ALTER TABLE mosaic_groups DROP COLUMN bpcal_solved;"
    "ALTER TABLE mosaic_groups DROP COLUMN calibrated_at;",
};

static const char data_schema[] =
    "CREATE TABLE data_registry("
    " id INTEGER PRIMARY KEY, data_type TEXT NOT NULL, data_id TEXT NOT NULL,"
    " base_path TEXT NOT NULL, status TEXT NOT NULL,"
    " published_path TEXT, created_at TEXT NOT NULL, published_at TEXT,"
    " publish_mode TEXT NOT NULL DEFAULT 'auto', metadata_json TEXT,"
    " qa_status TEXT NOT NULL DEFAULT 'pending',"
    " finalization_status TEXT NOT NULL DEFAULT 'pending',"
    " auto_publish_enabled INTEGER NOT NULL DEFAULT 1,"
    " publish_attempts INTEGER NOT NULL DEFAULT 0, generation INTEGER NOT NULL,"
    " UNIQUE (data_type, data_id)) STRICT;"
    "CREATE INDEX data_published ON data_registry(data_type, status, published_at);";

static const char *const data_upgrade[] = {
    "ALTER TABLE data_registry DROP COLUMN stage_path;" /* 1 to 2 */
    "ALTER TABLE data_registry DROP COLUMN staged_at;"
    "ALTER TABLE data_registry DROP COLUMN validation_status;"
    "ALTER TABLE data_registry DROP COLUMN publish_error;"
    "ALTER TABLE data_registry DROP COLUMN photometry_status;"
    "ALTER TABLE data_registry DROP COLUMN photometry_job_id;",
};

static const char cal_schema[] =
    "CREATE TABLE caltables("
    " id INTEGER PRIMARY KEY, set_name TEXT NOT NULL, path TEXT NOT NULL UNIQUE,"
    " table_type TEXT NOT NULL, order_index INTEGER NOT NULL DEFAULT 0, cal_field TEXT,"
    " refant TEXT, created_at TEXT NOT NULL, valid_start_mjd REAL NOT NULL,"
    " valid_end_mjd REAL NOT NULL, status TEXT NOT NULL DEFAULT 'active',"
    " source_ms_path TEXT, solver_version TEXT,"
    " quality_metrics TEXT, telescope TEXT, mjd REAL NOT NULL, quality REAL,"
    " dec_deg REAL, cal_flux_jy REAL, qa_status TEXT) STRICT;"
    "CREATE INDEX caltables_time ON caltables(table_type, telescope, mjd);"
    "CREATE TABLE calibrators("
    " name TEXT PRIMARY KEY NOT NULL, ra_deg REAL, dec_deg REAL, flux_jy REAL,"
    " freq_mhz REAL, spectrum TEXT, source_catalog TEXT,"
    " registered_at TEXT NOT NULL, registered_by TEXT,"
    " status TEXT NOT NULL DEFAULT 'active', notes TEXT) STRICT;";

static const char *const cal_upgrade[] = {
    "ALTER TABLE caltables ADD COLUMN quality REAL;" /* 1 to 2 */
    "ALTER TABLE caltables ADD COLUMN dec_deg REAL;"
    "ALTER TABLE caltables ADD COLUMN cal_flux_jy REAL;"
    "ALTER TABLE caltables ADD COLUMN qa_status TEXT;",
    "ALTER TABLE caltables DROP COLUMN notes;" /* 2 to 3: what nothing ever filled */
    "ALTER TABLE caltables DROP COLUMN solver_command;"
    "ALTER TABLE caltables DROP COLUMN solver_params;"
    "ALTER TABLE calibrators DROP COLUMN dec_range_min;"
    "ALTER TABLE calibrators DROP COLUMN dec_range_max;"
    "ALTER TABLE calibrators ADD COLUMN freq_mhz REAL;"
    "ALTER TABLE calibrators ADD COLUMN spectrum TEXT;",
};

/* Another worker's transaction is over in milliseconds; half a minute is a sick disk. */
enum { BUSY_MS = 30000 };

static const struct db_kind products_kind = {.what = "product registry",
                                             .application_id = 0x77647270, /* "wdrp" */
                                             .version = 3,
                                             .busy_ms = BUSY_MS,
                                             .schema = products_schema,
                                             .upgrade = products_upgrade};
static const struct db_kind data_kind = {.what = "data registry",
                                         .application_id = 0x77647264, /* "wdrd" */
                                         .version = 2,
                                         .busy_ms = BUSY_MS,
                                         .schema = data_schema,
                                         .upgrade = data_upgrade};
static const struct db_kind cal_kind = {.what = "calibration registry",
                                        .application_id = 0x77647263, /* "wdrc" */
                                        .version = 3,
                                        .busy_ms = BUSY_MS,
                                        .schema = cal_schema,
                                        .upgrade = cal_upgrade};

static const struct {
    const char *name;
    const struct db_kind *kind;
} files[] = {
    {"products.sqlite3", &products_kind},
    {"data_registry.sqlite3", &data_kind},
    {"cal_registry.sqlite3", &cal_kind},
};
enum { FILES = sizeof files / sizeof files[0], CAL_FILE = 2 };

int registry_open(struct registry **out, const char *state_dir, struct err *e)
{
    struct registry *r = calloc(1, sizeof *r);
    char path[PATH_MAX];
    int rc;

    *out = NULL;
    if (r == NULL)
        return err_set(e, -ENOMEM, "out of memory opening the registries");
    struct db **const db[FILES] = {&r->products, &r->data, &r->cal};

    for (size_t i = 0; i < FILES; i++) {
        rc = path_join(path, sizeof path, state_dir, files[i].name, e);
        if (rc == 0)
            rc = db_open(db[i], path, files[i].kind, e);
        if (rc != 0) {
            registry_close(r);
            return rc;
        }
    }
    *out = r;
    return 0;
}

void registry_close(struct registry *r)
{
    if (r == NULL)
        return;
    db_close(r->products);
    db_close(r->data);
    db_close(r->cal);
    free(r);
}

/* Open one that is there, as it is. */
static int use(struct db **out, const char *state_dir, size_t i, struct err *e)
{
    char path[PATH_MAX];
    int rc = path_join(path, sizeof path, state_dir, files[i].name, e);

    *out = NULL;
    return rc == 0 ? db_use(out, path, files[i].kind, e) : rc;
}

int registry_backup(const char *state_dir, const char *to, size_t *n, struct err *e)
{
    *n = 0;
    for (size_t i = 0; i < FILES; i++) {
        char path[PATH_MAX];
        struct db *db;
        int rc = use(&db, state_dir, i, e);

        if (rc == -ENOENT)
            continue;
        if (rc == 0)
            rc = path_join(path, sizeof path, to, files[i].name, e);
        if (rc == 0)
            rc = db_copy(db, path, e);
        db_close(db);
        if (rc != 0)
            return rc;
        ++*n;
    }
    return 0;
}

int registry_calibrators(const char *state_dir, size_t *n, struct err *e)
{
    sqlite3_stmt *st;
    struct db *db;
    int rc = use(&db, state_dir, CAL_FILE, e);

    *n = 0;
    if (rc != 0)
        return rc == -ENOENT ? 0 : rc;
    rc = db_start(db, &st, e, "SELECT count(*) FROM calibrators", "");
    if (rc == 0 && (rc = db_row(db, st, e)) == 1) {
        *n = (size_t)sqlite3_column_int64(st, 0);
        db_done(st);
        rc = 0;
    }
    db_close(db);
    return rc;
}

/* ------------------------------------------------------------------ products ---- */

static const char sql_generation[] =
    "SELECT generation FROM data_registry WHERE data_type = ?1 AND data_id = ?2";
static const char sql_data[] =
    "INSERT INTO data_registry(data_type, data_id, base_path, status, published_path,"
    " created_at, published_at, metadata_json, qa_status, finalization_status,"
    " publish_attempts, generation)"
    " VALUES (?1, ?2, ?3, 'published', ?3, ?4, ?4, ?5, coalesce(?6, 'pending'),"
    " 'finalized', 1, ?7)"
    " ON CONFLICT(data_type, data_id) DO UPDATE SET base_path = excluded.base_path,"
    " status = 'published', published_path = excluded.published_path,"
    " published_at = excluded.published_at, metadata_json = excluded.metadata_json,"
    " qa_status = excluded.qa_status, finalization_status = 'finalized',"
    " publish_attempts = publish_attempts + 1,"
    " generation = excluded.generation";
static const char sql_image[] =
    "INSERT INTO images(group_id, path, created_at, beam_major_arcsec, "
    "beam_minor_arcsec,"
    " beam_pa_deg, noise_jy, dynamic_range, center_ra_deg, center_dec_deg, start_mjd,"
    " end_mjd, cal_applied, qa_status, thumbnail_path, status, published_path,"
    " published_at, generation, qa_reasons)"
    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15,"
    " 'published', ?16, ?3, ?17, ?18)"
    " ON CONFLICT(group_id) DO UPDATE SET path = excluded.path,"
    " beam_major_arcsec = excluded.beam_major_arcsec,"
    " beam_minor_arcsec = excluded.beam_minor_arcsec, beam_pa_deg = "
    "excluded.beam_pa_deg,"
    " noise_jy = excluded.noise_jy, dynamic_range = excluded.dynamic_range,"
    " center_ra_deg = excluded.center_ra_deg, center_dec_deg = excluded.center_dec_deg,"
    " start_mjd = excluded.start_mjd, end_mjd = excluded.end_mjd,"
    " cal_applied = excluded.cal_applied, qa_status = excluded.qa_status,"
    " thumbnail_path = excluded.thumbnail_path, status = 'published',"
    " published_path = excluded.published_path, published_at = excluded.published_at,"
    " generation = excluded.generation, qa_reasons = excluded.qa_reasons"
    " WHERE excluded.generation >= generation";
static const char sql_mosaic[] =
    "INSERT INTO mosaics(name, path, created_at, beam_major_arcsec, beam_minor_arcsec,"
    " beam_pa_deg, noise_jy, dynamic_range, center_ra_deg, center_dec_deg, start_mjd,"
    " end_mjd, n_images, qa_status, thumbnail_path, status, published_path, "
    "output_path,"
    " published_at, generation, tiles, qa_reasons, n_sources, method, metrics_path)"
    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15,"
    " 'published', ?16, ?2, ?3, ?17, ?18, ?19, ?20, 'linear', ?16 || '/qa.json')"
    " ON CONFLICT(name) DO UPDATE SET path = excluded.path,"
    " beam_major_arcsec = excluded.beam_major_arcsec,"
    " beam_minor_arcsec = excluded.beam_minor_arcsec, beam_pa_deg = "
    "excluded.beam_pa_deg,"
    " noise_jy = excluded.noise_jy, dynamic_range = excluded.dynamic_range,"
    " center_ra_deg = excluded.center_ra_deg, center_dec_deg = excluded.center_dec_deg,"
    " start_mjd = excluded.start_mjd, end_mjd = excluded.end_mjd,"
    " n_images = excluded.n_images, qa_status = excluded.qa_status,"
    " thumbnail_path = excluded.thumbnail_path, status = 'published',"
    " published_path = excluded.published_path, output_path = excluded.output_path,"
    " published_at = excluded.published_at, generation = excluded.generation,"
    " tiles = excluded.tiles, qa_reasons = excluded.qa_reasons,"
    " n_sources = excluded.n_sources, method = excluded.method,"
    " metrics_path = excluded.metrics_path WHERE excluded.generation >= generation";
/* What its tiles say: their times added up, and between which declinations they lie. */
static const char sql_mosaic_of_tiles[] =
    "UPDATE mosaics SET (integration_sec, dec_min, dec_max) ="
    " (SELECT sum(end_mjd - start_mjd) * 86400, min(center_dec_deg),"
    "  max(center_dec_deg) FROM images JOIN mosaic_tiles ON tile = group_id"
    "  WHERE mosaic = ?1) WHERE name = ?1";
static const char sql_forget_tiles[] = "DELETE FROM mosaic_tiles WHERE mosaic = ?1";
static const char sql_tile[] = "INSERT OR IGNORE INTO mosaic_tiles VALUES (?1, ?2)";
static const char sql_group_done[] =
    "UPDATE mosaic_groups SET mosaic_id = ?1, mosaicked_at = ?2, stage = 'published',"
    " status = 'completed' WHERE group_id = ?1";

int registry_generation(struct registry *r, const char *data_type, const char *data_id,
                        uint64_t *generation, struct err *e)
{
    sqlite3_stmt *st;
    int rc = db_start(r->data, &st, e, sql_generation, "tt", data_type, data_id);

    *generation = 0;
    if (rc == 0)
        rc = db_row(r->data, st, e);
    if (rc != 1)
        return rc;
    *generation = (uint64_t)sqlite3_column_int64(st, 0);
    db_done(st);
    return 0;
}

/* Refuse a generation that is older than the one noted. */
static int check_generation(struct registry *r, const struct reg_product *p,
                            struct err *e)
{
    uint64_t noted;
    int rc = registry_generation(r, p->data_type, p->data_id, &noted, e);

    if (rc != 0 || noted <= p->generation)
        return rc;
    return err_set(e, -ESTALE,
                   "%s %s of generation %llu comes after generation %llu was published",
                   p->data_type, p->data_id, (unsigned long long)p->generation,
                   (unsigned long long)noted);
}

/* One row of mosaic_tiles for each name of the comma list. */
static int write_tiles(struct registry *r, const struct reg_product *p, struct err *e)
{
    char tile[NAME_MAX + 1];
    int rc = db_run(r->products, NULL, e, sql_forget_tiles, "t", p->data_id);

    for (const char *s = p->tiles != NULL ? p->tiles : ""; rc == 0 && *s != '\0';) {
        size_t n = strcspn(s, ",");

        if (n >= sizeof tile)
            return err_set(e, -EINVAL,
                           "mosaic %s has a tile with too long a name: %.80s",
                           p->data_id, s);
        memcpy(tile, s, n);
        tile[n] = '\0';
        if (n > 0)
            rc = db_run(r->products, NULL, e, sql_tile, "tt", p->data_id, tile);
        s += n + (s[n] == ',');
    }
    return rc;
}

static int write_image(struct registry *r, const struct reg_product *p, const char *now,
                       struct err *e)
{
    return db_run(r->products, NULL, e, sql_image, "tttddddddddditttit", p->data_id,
                  p->fits != NULL ? p->fits : p->path, now, p->bmaj_arcsec,
                  p->bmin_arcsec, p->bpa_deg, p->noise_jy, p->dynamic_range, p->ra_deg,
                  p->dec_deg, p->start_mjd, p->end_mjd, (int64_t)!p->uncalibrated,
                  p->qa_status, p->preview, p->path, (int64_t)p->generation,
                  p->qa_reasons);
}

static int write_mosaic(struct registry *r, const struct reg_product *p,
                        const char *now, struct err *e)
{
    int rc = db_run(
        r->products, NULL, e, sql_mosaic, "tttddddddddditttitti", p->data_id,
        p->fits != NULL ? p->fits : p->path, now, p->bmaj_arcsec, p->bmin_arcsec,
        p->bpa_deg, p->noise_jy, p->dynamic_range, p->ra_deg, p->dec_deg, p->start_mjd,
        p->end_mjd, (int64_t)p->n_tiles, p->qa_status, p->preview, p->path,
        (int64_t)p->generation, p->tiles, p->qa_reasons, (int64_t)p->n_sources);

    if (rc == 0)
        rc = write_tiles(r, p, e);
    if (rc == 0)
        rc = db_run(r->products, NULL, e, sql_mosaic_of_tiles, "t", p->data_id);
    if (rc == 0)
        rc = db_run(r->products, NULL, e, sql_group_done, "tt", p->data_id, now);
    return rc;
}

static int check_product(const struct reg_product *p, struct err *e)
{
    if (p->data_type == NULL || p->data_type[0] == '\0' || p->data_id == NULL ||
        p->data_id[0] == '\0' || p->path == NULL)
        return err_set(e, -EINVAL, "a product without type, name or path");
    if (strlen(p->data_id) >= sizeof((struct reg_tile *)0)->group)
        return err_set(e, -EINVAL, "the name of a product is too long: %.80s",
                       p->data_id);
    return 0;
}

int registry_product(struct registry *r, const struct reg_product *p, struct err *e)
{
    char now[32];
    int rc;

    rc = check_product(p, e);
    if (rc != 0)
        return rc;
    clock_iso(clock_wall_s(), now);
    rc = db_begin(r->data,
                  e); /* always data before products: two workers cannot cross */
    if (rc != 0)
        return rc;
    rc = db_begin(r->products, e);
    if (rc != 0)
        return db_end(r->data, rc, e);
    rc = check_generation(r, p, e);
    if (rc == 0)
        rc = db_run(r->data, NULL, e, sql_data, "tttttti", p->data_type, p->data_id,
                    p->path, now, p->metadata_json, p->qa_status,
                    (int64_t)p->generation);
    if (rc == 0 && p->table == REG_IMAGES)
        rc = write_image(r, p, now, e);
    if (rc == 0 && p->table == REG_MOSAICS)
        rc = write_mosaic(r, p, now, e);
    /* A kill between the two commits leaves products behind: the product is then found whole
     * by its manifest, noted again, and older generations are refused already. */
    rc = db_end(r->data, rc, e);
    return db_end(r->products, rc, e);
}

/* -------------------------------------------------------------- calibrations ---- */

static const char sql_caltable[] =
    "INSERT INTO caltables(set_name, path, table_type, cal_field, created_at,"
    " valid_start_mjd, valid_end_mjd, status, source_ms_path, telescope, mjd, quality,"
    " dec_deg, cal_flux_jy, qa_status, refant, quality_metrics, solver_version)"
    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7,"
    " CASE ?14 WHEN 'failed' THEN 'failed' ELSE 'active' END, ?8, ?9, ?10, ?11, ?12,"
    " ?13, ?14, ?15, ?16, ?17)"
    " ON CONFLICT(path) DO UPDATE SET set_name = excluded.set_name,"
    " table_type = excluded.table_type, cal_field = excluded.cal_field,"
    " created_at = excluded.created_at, valid_start_mjd = excluded.valid_start_mjd,"
    " valid_end_mjd = excluded.valid_end_mjd, status = excluded.status,"
    " source_ms_path = excluded.source_ms_path, telescope = excluded.telescope,"
    " mjd = excluded.mjd, quality = excluded.quality, dec_deg = excluded.dec_deg,"
    " cal_flux_jy = excluded.cal_flux_jy, qa_status = excluded.qa_status,"
    " refant = excluded.refant, quality_metrics = excluded.quality_metrics,"
    " solver_version = excluded.solver_version";
static const char sql_retire[] =
    "UPDATE caltables SET status = 'retired' WHERE table_type = ?1"
    " AND source_ms_path = ?2 AND path <> ?3 AND status = 'active'";
/* What an operator has registered is not touched by the program. */
static const char sql_calibrator[] =
    "INSERT INTO calibrators(name, ra_deg, dec_deg, flux_jy, freq_mhz, spectrum,"
    " source_catalog, registered_at, registered_by, notes)"
    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"
    " ON CONFLICT(name) DO UPDATE SET ra_deg = excluded.ra_deg,"
    " dec_deg = excluded.dec_deg, flux_jy = excluded.flux_jy,"
    " freq_mhz = excluded.freq_mhz, spectrum = excluded.spectrum,"
    " source_catalog = excluded.source_catalog, notes = excluded.notes,"
    " registered_at = excluded.registered_at, registered_by = excluded.registered_by,"
    " status = 'active'"
    " WHERE excluded.registered_by <> '" REG_BY_WATCHERD "'"
    " OR registered_by IS '" REG_BY_WATCHERD "'";
static const char sql_calibrators[] =
    "SELECT name, ra_deg, dec_deg, flux_jy, freq_mhz, spectrum, source_catalog,"
    " registered_at, registered_by, status, notes FROM calibrators"
    " WHERE ra_deg IS NOT NULL AND dec_deg IS NOT NULL ORDER BY ra_deg, name";
static const char sql_retire_calibrator[] =
    "UPDATE calibrators SET status = 'retired' WHERE name = ?1";
/* A table of before version 2 has no declination: it is as far as it can be. */
static const char sql_find[] =
    "SELECT path, coalesce(quality, 0) FROM caltables"
    " WHERE table_type = ?1 AND telescope IS ?2 AND status = 'active'"
    " AND valid_start_mjd <= ?3 AND valid_end_mjd >= ?3"
    " AND (?4 IS NULL OR cal_field = ?4)"
    " AND (?5 IS NULL OR cal_flux_jy IS NULL OR abs(cal_flux_jy / ?5 - 1) <= 0.01)"
    " AND (?6 IS NULL OR source_ms_path IS NOT ?6)"
    " ORDER BY (coalesce(qa_status, '') = 'passed' AND coalesce(quality, 0) >= ?8) "
    "DESC,"
    " round(coalesce(abs(dec_deg - ?7), 180) / 0.5), abs(mjd - ?3), created_at DESC,"
    " id DESC LIMIT 1 OFFSET ?9";

int registry_caltable(struct registry *r, const struct reg_caltable *c, struct err *e)
{
    char now[32];
    int rc;

    if (!(c->valid_start_mjd <= c->valid_end_mjd))
        return err_set(e, -EINVAL, "%s is valid from MJD %.6f to %.6f, which is never",
                       c->path, c->valid_start_mjd, c->valid_end_mjd);
    clock_iso(clock_wall_s(), now);
    rc = db_begin(r->cal, e);
    if (rc != 0)
        return rc;
    rc =
        db_run(r->cal, NULL, e, sql_caltable, "tttttddttddddtttt", c->set_name, c->path,
               c->table_type, c->calibrator, now, c->valid_start_mjd, c->valid_end_mjd,
               c->source_group, c->telescope, c->mjd, c->quality, c->dec_deg,
               c->flux_jy, c->qa_status, c->refant, c->quality_json, c->solver);
    if (rc == 0)
        rc = db_run(r->cal, NULL, e, sql_retire, "ttt", c->table_type, c->source_group,
                    c->path);
    return db_end(r->cal, rc, e);
}

/* NULL for "". */
static const char *or_null(const char *text)
{
    return text[0] != '\0' ? text : NULL;
}

static int put_calibrator(struct registry *r, const struct reg_calibrator *c,
                          const char *now, struct err *e)
{
    if (c->name[0] == '\0' || !isfinite(c->ra_deg) || !isfinite(c->dec_deg))
        return err_set(e, -EINVAL, "calibrator '%s' has no position", c->name);
    return db_run(r->cal, NULL, e, sql_calibrator, "tddddttttt", c->name, c->ra_deg,
                  c->dec_deg, c->flux_jy, c->freq_mhz, or_null(c->spectrum),
                  or_null(c->source), now, c->by, or_null(c->notes));
}

int registry_calibrator_put(struct registry *r, const struct reg_calibrator *c,
                            size_t n, struct err *e)
{
    char now[32];
    int rc = db_begin(r->cal, e);

    clock_iso(clock_wall_s(), now);
    if (rc != 0)
        return rc;
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = put_calibrator(r, &c[i], now, e);
    return db_end(r->cal, rc, e);
}

int registry_calibrator_retire(struct registry *r, const char *name, struct err *e)
{
    int changed = 0, rc = db_run(r->cal, &changed, e, sql_retire_calibrator, "t", name);

    return rc == 0 && changed == 0
               ? err_set(e, -ENOENT, "no calibrator %s is registered", name)
               : rc;
}

static double number_at(sqlite3_stmt *st, int column)
{
    return sqlite3_column_type(st, column) == SQLITE_NULL
               ? NAN
               : sqlite3_column_double(st, column);
}

static struct reg_calibrator calibrator_at(sqlite3_stmt *st)
{
    struct reg_calibrator c = {.ra_deg = number_at(st, 1),
                               .dec_deg = number_at(st, 2),
                               .flux_jy = number_at(st, 3),
                               .freq_mhz = number_at(st, 4)};

    db_text(st, 0, c.name, sizeof c.name);
    db_text(st, 5, c.spectrum, sizeof c.spectrum);
    db_text(st, 6, c.source, sizeof c.source);
    db_text(st, 7, c.at, sizeof c.at);
    db_text(st, 8, c.by, sizeof c.by);
    db_text(st, 9, c.status, sizeof c.status);
    db_text(st, 10, c.notes, sizeof c.notes);
    return c;
}

/* The rows of db, one after the other. */
static int list_calibrators(struct db *db, struct reg_calibrator **out, size_t *n,
                            struct err *e)
{
    struct reg_calibrator *all = NULL;
    size_t room = 0;
    sqlite3_stmt *st;
    int rc = db_start(db, &st, e, sql_calibrators, "");

    *n = 0;
    while (rc == 0 && (rc = db_row(db, st, e)) == 1) {
        rc = 0;
        if (*n == room) {
            struct reg_calibrator *more;

            room = room == 0 ? 64 : 2 * room;
            more = realloc(all, room * sizeof *all);
            if (more == NULL) {
                db_done(st);
                rc = err_set(e, -ENOMEM, "out of memory listing the calibrators");
                break;
            }
            all = more;
        }
        all[(*n)++] = calibrator_at(st);
    }
    if (rc != 0) {
        free(all);
        all = NULL;
        *n = 0;
    }
    *out = all;
    return rc;
}

int registry_calibrator_list(struct registry *r, struct reg_calibrator **out, size_t *n,
                             struct err *e)
{
    return list_calibrators(r->cal, out, n, e);
}

int registry_calibrator_look(const char *state_dir, struct reg_calibrator **out,
                             size_t *n, struct err *e)
{
    struct db *db;
    int rc = use(&db, state_dir, CAL_FILE, e);

    *out = NULL;
    *n = 0;
    if (rc != 0)
        return rc == -ENOENT ? 0 : rc;
    rc = list_calibrators(db, out, n, e);
    db_close(db);
    return rc;
}

int registry_find_caltable(struct registry *r, const struct reg_caltable_want *want,
                           struct reg_caltable_found *out, struct err *e)
{
    sqlite3_stmt *st;
    int rc = db_start(r->cal, &st, e, sql_find, "ttdtdtddi", want->table_type,
                      want->telescope, want->mjd, want->calibrator, want->flux_jy,
                      want->not_group, want->dec_deg, want->good, (int64_t)want->skip);

    *out = (struct reg_caltable_found){.quality = 0};
    if (rc == 0)
        rc = db_row(r->cal, st, e);
    if (rc == 0)
        return err_set(
            e, -ENOENT, "no %s table of %s is valid at MJD %.6f", want->table_type,
            want->telescope != NULL ? want->telescope : "any telescope", want->mjd);
    if (rc < 0)
        return rc;
    rc = (size_t)sqlite3_column_bytes(st, 0) < sizeof out->path ? 0 : -ENAMETOOLONG;
    db_text(st, 0, out->path, sizeof out->path);
    out->quality = sqlite3_column_double(st, 1);
    db_done(st);
    return rc == 0 ? 0
                   : err_set(e, rc, "path of a %s table too long: %.80s",
                             want->table_type, out->path);
}

/* ------------------------------------------------------------------- windows ---- */

#define TILE                                                                           \
    "SELECT id, group_id, start_mjd, end_mjd, center_ra_deg, center_dec_deg,"          \
    " EXISTS (SELECT 1 FROM mosaic_tiles WHERE tile = group_id) FROM images"
static const char sql_new_tiles[] =
    TILE " WHERE id > ?1 AND status = 'published' ORDER BY start_mjd, group_id";
/* Before and after a tile; those without a time come first, as times of 0. */
static const char sql_earlier[] =
    TILE " INDEXED BY images_time WHERE start_mjd < ?1 AND status = 'published'"
         " ORDER BY start_mjd DESC, group_id DESC";
static const char sql_since[] =
    TILE " INDEXED BY images_time WHERE start_mjd >= ?1 AND status = 'published'"
         " ORDER BY start_mjd, group_id";
static const char sql_group[] =
    "INSERT INTO mosaic_groups(group_id, ms_paths, stage, status, created_at, "
    "cal_applied, imaged_at)"
    " SELECT ?1, ?2, ?3, ?4, ?5, coalesce(min(cal_applied), 0), max(published_at)"
    "  FROM images WHERE instr(',' || ?2 || ',', ',' || images.group_id || ',') > 0"
    " ON CONFLICT(group_id) DO UPDATE SET ms_paths = excluded.ms_paths,"
    " stage = excluded.stage, status = excluded.status,"
    " cal_applied = excluded.cal_applied, imaged_at = excluded.imaged_at";

struct tiles {
    struct reg_tile *item; /* [n] */
    size_t n, room;
};

/* One more tile at the end of the list. */
static int append(struct tiles *t, sqlite3_stmt *st, struct err *e)
{
    struct reg_tile *tile;

    if (t->n == t->room) {
        size_t room = t->room == 0 ? 64 : 2 * t->room;
        struct reg_tile *more = realloc(t->item, room * sizeof *more);

        if (more == NULL)
            return err_set(e, -ENOMEM, "out of memory listing the tiles");
        t->item = more;
        t->room = room;
    }
    tile = &t->item[t->n++];
    tile->id = sqlite3_column_int64(st, 0);
    db_text(st, 1, tile->group, sizeof tile->group);
    tile->start_mjd = sqlite3_column_double(st, 2);
    tile->end_mjd = sqlite3_column_double(st, 3);
    tile->ra_deg = sqlite3_column_double(st, 4);
    tile->dec_deg = sqlite3_column_double(st, 5);
    tile->in_mosaic = sqlite3_column_int(st, 6);
    return 0;
}

static double gap_s(const struct reg_tile *a, const struct reg_tile *b)
{
    return 0.5 * (b->start_mjd + b->end_mjd - a->start_mjd - a->end_mjd) * 86400;
}

/* Start of the stretch that holds *tile: go back until there is a gap. */
static int find_start(struct registry *r, const struct reg_tile *tile, double max_gap_s,
                      double *start_mjd, struct err *e)
{
    struct tiles last = {NULL, 0, 0};
    struct reg_tile at = *tile;
    sqlite3_stmt *st;
    int rc = db_start(r->products, &st, e, sql_earlier, "d", tile->start_mjd);
    bool gap = false;

    while (rc == 0 && !gap && (rc = db_row(r->products, st, e)) == 1) {
        last.n = 0;
        if ((rc = append(&last, st, e)) == 0 &&
            !(gap = gap_s(&last.item[0], &at) > max_gap_s))
            at = last.item[0];
        if (rc != 0 || gap)
            db_done(st);
    }
    free(last.item);
    *start_mjd = at.start_mjd;
    return rc;
}

/* The stretch from start_mjd on, at the end of the list. */
static int add_stretch(struct registry *r, struct tiles *t, double start_mjd,
                       double max_gap_s, struct err *e)
{
    size_t first = t->n;
    sqlite3_stmt *st;
    int rc = db_start(r->products, &st, e, sql_since, "d", start_mjd);

    while (rc == 0 && (rc = db_row(r->products, st, e)) == 1) {
        rc = append(t, st, e);
        if (rc == 0 && t->n > first + 1 &&
            gap_s(&t->item[t->n - 2], &t->item[t->n - 1]) > max_gap_s) {
            t->n--;
            db_done(st);
            return 0;
        }
        if (rc != 0)
            db_done(st);
    }
    return rc;
}

int registry_tiles(struct registry *r, int64_t *seen, double max_gap_s,
                   struct reg_tile **out, size_t *n, struct err *e)
{
    struct tiles fresh = {NULL, 0, 0}, all = {NULL, 0, 0};
    int64_t newest = *seen;
    sqlite3_stmt *st;
    int rc = db_start(r->products, &st, e, sql_new_tiles, "i", *seen);

    while (rc == 0 && (rc = db_row(r->products, st, e)) == 1)
        if ((rc = append(&fresh, st, e)) != 0)
            db_done(st);
    for (size_t i = 0; rc == 0 && i < fresh.n; i++) /* not of what comes meanwhile */
        newest = fresh.item[i].id > newest ? fresh.item[i].id : newest;
    for (size_t i = 0; rc == 0 && *seen > 0 && i < fresh.n; i++) {
        double start_mjd;

        if (all.n > 0 && fresh.item[i].start_mjd <= all.item[all.n - 1].start_mjd)
            continue; /* in the stretch before */
        rc = find_start(r, &fresh.item[i], max_gap_s, &start_mjd, e);
        if (rc == 0)
            rc = add_stretch(r, &all, start_mjd, max_gap_s, e);
    }
    if (*seen <= 0) { /* everything is new */
        all = fresh;
        fresh.item = NULL;
    }
    free(fresh.item);
    if (rc != 0) {
        free(all.item);
        all = (struct tiles){NULL, 0, 0};
    } else {
        *seen = newest;
    }
    *out = all.item;
    *n = all.n;
    return rc;
}

int registry_mosaic_group(struct registry *r, const char *id, const char *tiles,
                          const char *stage, const char *status, struct err *e)
{
    char now[32];

    clock_iso(clock_wall_s(), now);
    return db_run(r->products, NULL, e, sql_group, "ttttt", id, tiles, stage, status,
                  now);
}
