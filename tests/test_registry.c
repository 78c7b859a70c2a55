#include "tests/test.h"

#include "core/err.h"
#include "core/store/registry.h"

#include <errno.h>
#include <math.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

static struct registry *r;
static struct err e;

static int open_registry(void **state)
{
    r = NULL;
    return in_own_dir(state) == 0 ? registry_open(&r, ".", NULL) : -1;
}

static int close_registry(void **state)
{
    registry_close(r);
    r = NULL;
    return remove_dir(state);
}

/* A statement by the sqlite3 program's way; values joined by |, rows by newlines. */
static int add_row(void *to, int n, char **v, char **names)
{
    char *s = to;

    (void)names;
    for (int i = 0; i < n; i++) {
        size_t len = strlen(s);

        snprintf(s + len, 2048 - len, "%s%s",
                 i > 0     ? "|"
                 : len > 0 ? "\n"
                           : "",
                 v[i] != NULL ? v[i] : "NULL");
    }
    return 0;
}

static const char *ask(const char *file, const char *sql)
{
    static char rows[2048];
    sqlite3 *db;
    char *why = NULL;

    rows[0] = '\0';
    assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, add_row, rows, &why) != SQLITE_OK)
        snprintf(rows, sizeof rows, "error: %s", why);
    sqlite3_free(why);
    sqlite3_close(db);
    return rows;
}

/* A tile of five minutes at `mjd`. */
static struct reg_product image(const char *group, double mjd, uint64_t generation)
{
    struct reg_product p = {.data_type = "image",
                            .table = REG_IMAGES,
                            .data_id = group,
                            .generation = generation,
                            .path = "/products/tile",
                            .fits = "/products/tile/image.fits",
                            .preview = "/products/tile/image.png",
                            .qa_status = "passed",
                            .metadata_json = "{\"beam\":\"airy\"}",
                            .start_mjd = mjd,
                            .end_mjd = mjd + 0.0035,
                            .ra_deg = 187.28,
                            .dec_deg = 2.05,
                            .noise_jy = 0.012,
                            .dynamic_range = 73,
                            .bmaj_arcsec = 31.5,
                            .bmin_arcsec = 17.25,
                            .bpa_deg = -12};

    return p;
}

static struct reg_product mosaic(const char *name, const char *tiles, long n,
                                 uint64_t generation)
{
    struct reg_product p = image(name, 61000.1, generation);

    p.data_type = "mosaic";
    p.table = REG_MOSAICS;
    p.path = "/products/mosaic";
    p.fits = "/products/mosaic/mosaic.fits";
    p.tiles = tiles;
    p.n_tiles = n;
    return p;
}

static void note(struct reg_product p)
{
    assert_int_equal(registry_product(r, &p, &e), 0);
}

static void every_number_of_an_image_is_in_its_column(void **state)
{
    (void)state;
    note(image("g1", 61000.25, 4));
    assert_string_equal(
        ask("products.sqlite3",
            "SELECT group_id, path, type, beam_major_arcsec, beam_minor_arcsec,"
            " beam_pa_deg, noise_jy, dynamic_range, center_ra_deg, center_dec_deg,"
            " start_mjd, end_mjd, cal_applied, qa_status, thumbnail_path, status,"
            " published_path, generation FROM images"),
        "g1|/products/tile/image.fits|image|31.5|17.25|-12.0|0.012|73.0|187.28|2.05|"
        "61000.25|61000.2535|1|passed|/products/tile/image.png|published|"
        "/products/tile|4");
    assert_string_equal(ask("data_registry.sqlite3",
                            "SELECT data_type, data_id, base_path, status, "
                            "published_path, metadata_json,"
                            " qa_status, publish_mode, finalization_status, generation,"
                            " length(published_at), abs(julianday(published_at) - "
                            "julianday('now')) < 0.01"
                            " FROM data_registry"),
                        "image|g1|/products/tile|published|/products/"
                        "tile|{\"beam\":\"airy\"}|passed|auto|"
                        "finalized|4|24|1");
}

static void every_number_of_a_mosaic_is_in_its_column(void **state)
{
    (void)state;
    note(mosaic("m1", "g1,g2,g3", 3, 2));
    assert_string_equal(
        ask("products.sqlite3",
            "SELECT name, path, output_path, n_images, tiles, beam_major_arcsec,"
            " beam_minor_arcsec, beam_pa_deg, noise_jy, dynamic_range, center_ra_deg,"
            " center_dec_deg, start_mjd, end_mjd, qa_status, thumbnail_path, status,"
            " published_path, generation FROM mosaics"),
        "m1|/products/mosaic/mosaic.fits|/products/mosaic/mosaic.fits|3|g1,g2,g3|31.5|"
        "17.25|-12.0|0.012|73.0|187.28|2.05|61000.1|61000.1035|passed|"
        "/products/tile/image.png|published|/products/mosaic|2");
    assert_string_equal(ask("products.sqlite3", "SELECT * FROM mosaic_tiles"),
                        "m1|g1\nm1|g2\nm1|g3");
}

static void an_older_generation_never_replaces_a_newer(void **state)
{
    struct reg_product late = image("g1", 61000.25, 3);

    (void)state;
    note(image("g1", 61000.25, 4));
    late.path = "/products/late";
    assert_int_equal(registry_product(r, &late, &e), -ESTALE);
    assert_string_equal(
        e.text, "image g1 of generation 3 comes after generation 4 was published");
    assert_string_equal(ask("data_registry.sqlite3",
                            "SELECT published_path, generation FROM data_registry"),
                        "/products/tile|4");
    assert_string_equal(
        ask("products.sqlite3", "SELECT published_path, generation FROM images"),
        "/products/tile|4");

    late.generation = 4; /* the same again, after a crash: fine, still one row */
    note(late);
    late.generation = 5;
    note(late);
    assert_string_equal(ask("products.sqlite3",
                            "SELECT count(*), max(generation), min(published_path),"
                            " min(created_at) <= min(published_at) FROM images"),
                        "1|5|/products/late|1");
    assert_string_equal(ask("data_registry.sqlite3",
                            "SELECT count(*), max(generation) FROM data_registry"),
                        "1|5");
}

static void an_image_and_a_mosaic_may_have_one_name(void **state)
{
    (void)state;
    note(image("2026-11-22T01:00:00", 61000.25, 4));
    note(mosaic("2026-11-22T01:00:00", "2026-11-22T01:00:00", 1, 1));
    assert_string_equal(
        ask("data_registry.sqlite3",
            "SELECT data_type, generation FROM data_registry ORDER BY 1"),
        "image|4\nmosaic|1");
}

static void what_was_not_measured_is_null(void **state)
{
    struct reg_product p = image("g1", 61000.25, 1);

    (void)state;
    p.noise_jy = p.bpa_deg = NAN;
    p.preview = NULL;
    p.qa_status = NULL;
    p.uncalibrated = 1;
    note(p);
    assert_string_equal(ask("products.sqlite3",
                            "SELECT noise_jy, beam_pa_deg, thumbnail_path, cal_applied"
                            " FROM images"),
                        "NULL|NULL|NULL|0");
    assert_string_equal(
        ask("data_registry.sqlite3", "SELECT qa_status FROM data_registry"), "pending");
}

static void products_without_name_or_type_are_refused(void **state)
{
    struct reg_product p = image("", 61000.25, 1);

    (void)state;
    assert_int_equal(registry_product(r, &p, &e), -EINVAL);
    p = image("g1", 61000.25, 1);
    p.data_type = "";
    assert_int_equal(registry_product(r, &p, &e), -EINVAL);
    assert_string_equal(
        ask("data_registry.sqlite3", "SELECT count(*) FROM data_registry"), "0");
}

static void a_new_kind_of_product_has_a_row_in_data_registry_alone(void **state)
{
    struct reg_product p = image("g1", 61000.25, 1);

    (void)state;
    p.data_type = "light curve";
    p.table = REG_NO_TABLE;
    note(p);
    assert_string_equal(
        ask("data_registry.sqlite3", "SELECT data_type, data_id FROM data_registry"),
        "light curve|g1");
    assert_string_equal(ask("products.sqlite3", "SELECT (SELECT count(*) FROM images) +"
                                                " (SELECT count(*) FROM mosaics)"),
                        "0");
}

static void tiles_come_in_time_order_with_their_mosaics_mark(void **state)
{
    struct reg_tile *tile;
    size_t n;

    (void)state;
    assert_int_equal(registry_tiles(r, &(int64_t){0}, 600, &tile, &n, &e), 0);
    assert_int_equal(n, 0);
    assert_null(tile);
    note(image("g3", 61000.3, 1));
    note(image("g1", 61000.1, 1));
    note(image("g10", 61000.4, 1)); /* a name that holds another */
    note(image("g2", 61000.2, 1));
    note(mosaic("m1", "g10,g1", 2, 1));
    assert_int_equal(registry_tiles(r, &(int64_t){0}, 600, &tile, &n, &e), 0);
    assert_int_equal(n, 4);
    assert_string_equal(tile[0].group, "g1");
    assert_string_equal(tile[1].group, "g2");
    assert_string_equal(tile[2].group, "g3");
    assert_string_equal(tile[3].group, "g10");
    assert_int_equal(tile[0].in_mosaic, 1);
    assert_int_equal(tile[1].in_mosaic, 0);
    assert_int_equal(tile[2].in_mosaic, 0);
    assert_int_equal(tile[3].in_mosaic, 1);
    assert_true(tile[1].start_mjd == 61000.2 && tile[1].end_mjd == 61000.2 + 0.0035);
    assert_true(tile[1].ra_deg == 187.28 && tile[1].dec_deg == 2.05);
    free(tile);

    note(mosaic("m1", "g2", 1, 2)); /* made again with other tiles: those are free */
    assert_int_equal(registry_tiles(r, &(int64_t){0}, 600, &tile, &n, &e), 0);
    assert_int_equal(tile[0].in_mosaic, 0);
    assert_int_equal(tile[1].in_mosaic, 1);
    free(tile);
}

static void more_tiles_than_fit_at_first_are_listed(void **state)
{
    struct reg_tile *tile;
    size_t n;

    (void)state;
    ask("products.sqlite3",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 201)"
        " INSERT INTO images(group_id, path, created_at, cal_applied, status,"
        " published_path, published_at, generation, start_mjd)"
        " SELECT 'g' || i, '', '', 1, 'published', '', '', 1, 1000 - i FROM n");
    assert_int_equal(registry_tiles(r, &(int64_t){0}, 600, &tile, &n, &e), 0);
    assert_int_equal(n, 201);
    assert_string_equal(tile[0].group, "g201");
    assert_string_equal(tile[200].group, "g1");
    free(tile);
}

static void assert_stretches(int64_t after, const char *want)
{
    struct reg_tile *tile;
    char got[256] = "";
    size_t n;

    assert_int_equal(registry_tiles(r, &after, 600, &tile, &n, &e), 0);
    for (size_t i = 0; i < n; i++) {
        strcat(got, i > 0 ? " " : "");
        strcat(got, tile[i].group);
    }
    free(tile);
    assert_string_equal(got, want);
    snprintf(got, sizeof got, "%lld", (long long)after);
    assert_string_equal(got, ask("products.sqlite3", "SELECT max(id) FROM images"));
}

static void only_stretches_with_a_new_tile_are_listed(void **state)
{
    const double step = 300 / 86400.0;

    (void)state;
    note(image("a1", 61000.0, 1)); /* ids 1, 2, ... */
    note(image("a2", 61000.0 + step, 1));
    note(image("b1", 61000.5, 1));
    note(image("b2", 61000.5 + step, 1));
    note(image("c1", 61001.0, 1));
    assert_stretches(0, "a1 a2 b1 b2 c1");
    assert_stretches(4, "c1");
    assert_stretches(3, "b1 b2 c1");
    assert_stretches(5, "");
    note(image("b0", 61000.5 - step, 1));
    assert_stretches(5, "b0 b1 b2");
    note(image("a3", 61000.0 + 2 * step, 1));
    assert_stretches(5, "a1 a2 a3 b0 b1 b2");
    note(image("a3", 61000.0 + 2 * step, 2)); /* made again: nothing new */
    assert_stretches(7, "");
    note(image("d", 61000.0 + step, 1)); /* at the same time as another */
    assert_stretches(7, "a1 a2 d a3");
}

static void the_nearest_valid_table_is_found(void **state)
{
    struct reg_caltable c = {.set_name = "set1",
                             .path = "/cal/b1",
                             .table_type = "bandpass",
                             .calibrator = "3C273",
                             .telescope = "SZA",
                             .source_group = "g1",
                             .mjd = 61000.0,
                             .valid_start_mjd = 60999.0,
                             .valid_end_mjd = 61001.0};
    struct reg_caltable_want want = {
        .table_type = "bandpass", .telescope = "SZA", .flux_jy = NAN};
    struct reg_caltable_found found;

    (void)state;
    assert_int_equal(registry_caltable(r, &c, &e), 0);
    c.path = "/cal/b2";
    c.source_group = "g2";
    c.mjd = 61000.6;
    assert_int_equal(registry_caltable(r, &c, &e), 0);
    c.path = "/cal/g";
    c.table_type = "gain";
    c.mjd = 61000.5;
    assert_int_equal(registry_caltable(r, &c, &e), 0);
    c.path = "/cal/other";
    c.source_group = "g3";
    c.table_type = "bandpass";
    c.telescope = "DSA-110";
    assert_int_equal(registry_caltable(r, &c, &e), 0);
    c.path = "/cal/short";
    c.source_group = "g4";
    c.telescope = "SZA";
    c.valid_start_mjd = 61000.49;
    c.valid_end_mjd = 61000.495;
    assert_int_equal(registry_caltable(r, &c, &e), 0);

#define FIND(when) (want.mjd = (when), registry_find_caltable(r, &want, &found, &e))
    assert_int_equal(FIND(61000.5), 0);
    assert_string_equal(found.path, "/cal/b2");
    assert_int_equal(FIND(61000.25), 0);
    assert_string_equal(found.path, "/cal/b1");
    assert_int_equal(FIND(61000.492), 0);
    assert_string_equal(found.path, "/cal/short");
    assert_int_equal(FIND(61001.0), 0); /* the end belongs to it */
    assert_int_equal(FIND(61001.1), -ENOENT);
    assert_non_null(strstr(e.text, "no bandpass table of SZA"));
    ask("cal_registry.sqlite3", "UPDATE caltables SET status = 'retired'"
                                " WHERE path = '/cal/b2'");
    assert_int_equal(FIND(61000.6), 0);
    assert_string_equal(found.path, "/cal/b1");

    want.calibrator = "3C48"; /* none is solved on that one */
    assert_int_equal(FIND(61000.6), -ENOENT);
    want.calibrator = "3C273";
    assert_int_equal(FIND(61000.6), 0);

    c.valid_end_mjd = NAN;
    assert_int_equal(registry_caltable(r, &c, &e), -EINVAL);
}

static void put_calibrator(const char *name, double dec_deg, double flux_jy,
                           const char *by)
{
    struct reg_calibrator c = {.ra_deg = name[2] == '1' ? 10 : 24.4,
                               .dec_deg = dec_deg,
                               .flux_jy = flux_jy,
                               .freq_mhz = 1405,
                               .source = "a list"};

    snprintf(c.name, sizeof c.name, "%s", name);
    snprintf(c.by, sizeof c.by, "%s", by);
    assert_int_equal(registry_calibrator_put(r, &c, 1, &e), 0);
}

/* One table that fits, each of a group of its own. */
static void note_table(const char *group, double quality, double dec_deg, double mjd,
                       const char *status)
{
    struct reg_caltable c = {.set_name = "s",
                             .path = group,
                             .table_type = "bandpass",
                             .calibrator = "3C48",
                             .telescope = "DSA-110",
                             .source_group = group,
                             .mjd = mjd,
                             .valid_start_mjd = 60999,
                             .valid_end_mjd = 61001,
                             .quality = quality,
                             .dec_deg = dec_deg,
                             .flux_jy = 16.5,
                             .qa_status = status,
                             .refant = "24",
                             .solver = "this"};

    assert_int_equal(registry_caltable(r, &c, &e), 0);
}

static const char *best(struct reg_caltable_want *want)
{
    static struct reg_caltable_found found;

    return registry_find_caltable(r, want, &found, &e) == 0 ? found.path : "none";
}

static void the_best_table_is_good_then_near_in_declination_then_in_time(void **state)
{
    struct reg_caltable_want want = {.table_type = "bandpass",
                                     .telescope = "DSA-110",
                                     .flux_jy = NAN,
                                     .mjd = 61000,
                                     .dec_deg = 33.2,
                                     .good = 10};

    (void)state;
    note_table("failed", 90, 33.2, 61000, "failed");
    assert_string_equal(best(&want), "none");
    note_table("poor", 9, 33.2, 61000, "passed");
    assert_string_equal(best(&want), "poor");
    note_table("doubtful", 50, 33.2, 61000.001, "warning");
    assert_string_equal(best(&want), "poor");
    note_table("far", 20, 55.6, 61000.001, "passed"); /* no poor one replaces it */
    assert_string_equal(best(&want), "far");
    note_table("old", 12, 33.3, 60999.1, "passed");
    assert_string_equal(best(&want), "old");
    note_table("near", 11, 33.1, 61000.4, "passed");
    assert_string_equal(best(&want), "near");
    want.skip = 1;
    assert_string_equal(best(&want), "old");
    want.skip = 0;
    want.not_group = "near";
    assert_string_equal(best(&want), "old");
    want.not_group = NULL;
    want.calibrator = "3C48";
    want.flux_jy = 16.6;
    assert_string_equal(best(&want), "near");
    want.flux_jy = 8;
    assert_string_equal(best(&want), "none");
    assert_string_equal(ask("cal_registry.sqlite3",
                            "SELECT status, quality, dec_deg, refant, solver_version"
                            " FROM caltables WHERE path = 'failed'"),
                        "failed|90.0|33.2|24|this");
}

static void a_group_has_one_table_of_a_kind(void **state)
{
    struct reg_caltable c = {.set_name = "s",
                             .path = "/gen1",
                             .table_type = "bandpass",
                             .telescope = "DSA-110",
                             .source_group = "g",
                             .mjd = 61000,
                             .valid_start_mjd = 60999,
                             .valid_end_mjd = 61001,
                             .quality = NAN,
                             .dec_deg = NAN,
                             .flux_jy = NAN};

    (void)state;
    assert_int_equal(registry_caltable(r, &c, &e), 0);
    c.path = "/gen2";
    assert_int_equal(registry_caltable(r, &c, &e), 0);
    assert_string_equal(ask("cal_registry.sqlite3",
                            "SELECT group_concat(path || ' ' || status, ', ')"
                            " FROM (SELECT * FROM caltables ORDER BY path)"),
                        "/gen1 retired, /gen2 active");
}

/* Registries as version 1 made them, with what was in them. */
static void registries_of_before_get_their_columns(void **state)
{
    struct reg_caltable_want want = {.table_type = "bandpass",
                                     .telescope = "DSA-110",
                                     .flux_jy = NAN,
                                     .mjd = 61000,
                                     .good = 10};
    static const char *const gone[] = {"stage_path",        "staged_at",
                                       "validation_status", "publish_error",
                                       "photometry_status", "photometry_job_id"};
    char sql[128];

    (void)state;
    note(image("g1", 61000.1, 1));
    note_table("old", 12, 33.3, 60999.1, "passed");
    registry_close(r);
    ask("products.sqlite3", "ALTER TABLE images DROP COLUMN qa_reasons");
    ask("products.sqlite3", "ALTER TABLE mosaics DROP COLUMN qa_reasons");
    ask("products.sqlite3", "ALTER TABLE images ADD COLUMN ms_path TEXT");
    ask("products.sqlite3", "ALTER TABLE mosaics ADD COLUMN validation_issues TEXT");
    ask("products.sqlite3", "ALTER TABLE mosaic_groups ADD COLUMN calibrated_at TEXT");
    ask("products.sqlite3",
        "ALTER TABLE mosaic_groups ADD COLUMN bpcal_solved INTEGER");
    ask("products.sqlite3",
        "ALTER TABLE mosaic_groups ADD COLUMN calibration_ms_path TEXT");
    ask("products.sqlite3", "PRAGMA user_version = 1");
    for (size_t i = 0; i < sizeof gone / sizeof gone[0]; i++) {
        snprintf(sql, sizeof sql, "ALTER TABLE data_registry ADD COLUMN %s TEXT",
                 gone[i]);
        ask("data_registry.sqlite3", sql);
    }
    ask("data_registry.sqlite3", "PRAGMA user_version = 1");
    ask("cal_registry.sqlite3", "ALTER TABLE caltables ADD COLUMN notes TEXT");
    ask("cal_registry.sqlite3", "ALTER TABLE caltables ADD COLUMN solver_command TEXT");
    ask("cal_registry.sqlite3", "ALTER TABLE caltables ADD COLUMN solver_params TEXT");
    ask("cal_registry.sqlite3",
        "ALTER TABLE calibrators ADD COLUMN dec_range_min REAL");
    ask("cal_registry.sqlite3",
        "ALTER TABLE calibrators ADD COLUMN dec_range_max REAL");
    ask("cal_registry.sqlite3", "ALTER TABLE calibrators DROP COLUMN freq_mhz");
    ask("cal_registry.sqlite3", "ALTER TABLE calibrators DROP COLUMN spectrum");
    ask("cal_registry.sqlite3", "ALTER TABLE caltables DROP COLUMN quality");
    ask("cal_registry.sqlite3", "ALTER TABLE caltables DROP COLUMN dec_deg");
    ask("cal_registry.sqlite3", "ALTER TABLE caltables DROP COLUMN cal_flux_jy");
    ask("cal_registry.sqlite3", "ALTER TABLE caltables DROP COLUMN qa_status");
    ask("cal_registry.sqlite3", "PRAGMA user_version = 1");
    assert_int_equal(registry_open(&r, ".", &e), 0);
    assert_string_equal(
        ask("products.sqlite3", "SELECT group_id, qa_reasons FROM images"), "g1|NULL");
    assert_string_equal(best(&want), "old"); /* of no known quality, and still there */
    note_table("new", 12, 33.3, 60999.1, "passed");
    assert_string_equal(best(&want), "new");
    put_calibrator("3C48", 33.1598, 16.5, REG_BY_WATCHERD);
}

static void a_window_knows_whether_its_tiles_were_calibrated(void **state)
{
    struct reg_product raw = image("g2", 61000.2, 1);

    (void)state;
    note(image("g1", 61000.1, 1));
    assert_int_equal(registry_mosaic_group(r, "w", "g1", "imaged", "pending", &e), 0);
    assert_string_equal(
        ask("products.sqlite3", "SELECT cal_applied FROM mosaic_groups"), "1");
    raw.uncalibrated = 1;
    raw.data_id = "g"; /* part of the name g1, and no tile of the window */
    note(raw);
    assert_int_equal(registry_mosaic_group(r, "w", "g1", "imaged", "pending", &e), 0);
    assert_string_equal(
        ask("products.sqlite3", "SELECT cal_applied FROM mosaic_groups"), "1");
    raw.data_id = "g2";
    note(raw);
    assert_int_equal(registry_mosaic_group(r, "w", "g1,g2", "imaged", "pending", &e),
                     0);
    assert_string_equal(ask("products.sqlite3",
                            "SELECT group_id, ms_paths, stage, status, cal_applied"
                            " FROM mosaic_groups"),
                        "w|g1,g2|imaged|pending|0");
    note(mosaic("w", "g1,g2", 2, 1));
    assert_string_equal(ask("products.sqlite3",
                            "SELECT mosaic_id, stage, status, length(mosaicked_at)"
                            " FROM mosaic_groups"),
                        "w|published|completed|24");
}

/* The queries that operators have in their runbooks, word for word. */
static void the_runbooks_queries_work(void **state)
{
    struct reg_caltable c = {.set_name = "set1",
                             .path = "/cal/b1",
                             .table_type = "bandpass",
                             .calibrator = "3C48",
                             .telescope = "DSA-110",
                             .source_group = "g1",
                             .mjd = 61000.0,
                             .valid_start_mjd = 60999.0,
                             .valid_end_mjd = 61001.0};
    const char *rows;

    (void)state;
    note(image("g1", 61000.1, 1));
    assert_int_equal(registry_mosaic_group(r, "m1", "g1", "imaged", "pending", &e), 0);
    rows =
        ask("products.sqlite3", "SELECT\n    group_id,\n    stage,\n    status,\n"
                                "    created_at,\n    cal_applied\nFROM mosaic_groups\n"
                                "ORDER BY created_at DESC\nLIMIT 20;\n");
    assert_memory_equal(rows, "m1|imaged|pending|20", 20);

    note(mosaic("m1", "g1", 1, 1));
    rows = ask("data_registry.sqlite3",
               "SELECT\n    data_id,\n    status,\n    published_path,\n"
               "    published_at\nFROM data_registry\n"
               "WHERE data_type = 'mosaic' AND status = 'published'\n"
               "ORDER BY published_at DESC\nLIMIT 20;\n");
    assert_memory_equal(rows, "m1|published|/products/mosaic|20", 32);

    assert_int_equal(registry_caltable(r, &c, &e), 0);
    assert_string_equal(
        ask("cal_registry.sqlite3", "SELECT name, dec_deg FROM calibrators;"),
        ""); /* no row without what it is for */
    put_calibrator("3C48", 33.1598, 16.5, REG_BY_WATCHERD);
    assert_string_equal(
        ask("cal_registry.sqlite3", "SELECT name, dec_deg FROM calibrators;"),
        "3C48|33.1598");
}

static void what_an_operator_registers_is_not_the_programs_to_change(void **state)
{
    struct reg_calibrator none = {.name = "X", .ra_deg = NAN, .dec_deg = 3, .by = "x"};
    struct reg_calibrator *all;
    size_t n;

    (void)state;
    put_calibrator("3C48", 33.1598, 16.5, REG_BY_WATCHERD);
    put_calibrator("3C48", 33.16, 15, REG_BY_WATCHERD); /* as a later group had it */
    put_calibrator("3C48", 33.17, 4, REG_BY_OPERATOR);
    put_calibrator("3C48", 33.1598, 16.5, REG_BY_WATCHERD);
    put_calibrator("3C19", 33.1690, NAN, REG_BY_IMPORT);
    assert_int_equal(registry_calibrator_put(r, &none, 1, &e), -EINVAL);
    assert_int_equal(registry_calibrator_list(r, &all, &n, &e), 0);
    assert_int_equal(n, 2);
    assert_string_equal(all[1].name, "3C48");
    assert_string_equal(all[1].by, REG_BY_OPERATOR);
    assert_string_equal(all[1].status, "active");
    assert_string_equal(all[1].source, "a list");
    assert_true(all[1].dec_deg == 33.17 && all[1].flux_jy == 4);
    assert_true(isnan(all[0].flux_jy));
    free(all);
    assert_int_equal(registry_calibrator_retire(r, "3C48", &e), 0);
    assert_int_equal(registry_calibrator_retire(r, "3C49", &e), -ENOENT);
    assert_int_equal(registry_calibrator_look(".", &all, &n, &e), 0);
    assert_string_equal(all[1].status, "retired");
    free(all);
    assert_int_equal(registry_calibrator_look("absent", &all, &n, &e), 0);
    assert_int_equal(n, 0);
}

/* What nothing fills is not there; after a window of two tiles all of it is. */
static void no_column_is_empty_for_ever(void **state)
{
    static const char *const table[][2] = {{"products.sqlite3", "images"},
                                           {"products.sqlite3", "mosaics"},
                                           {"products.sqlite3", "mosaic_groups"},
                                           {"data_registry.sqlite3", "data_registry"}};
    struct reg_product m = mosaic("m1", "g1,g2", 2, 1), one = image("g1", 61000.1, 1);
    char sql[256];

    (void)state;
    one.qa_reasons = m.qa_reasons = "[]";
    m.n_sources = 7;
    note(one);
    one = image("g2", 61000.104, 1);
    one.dec_deg = 2.25;
    one.qa_reasons = "[]";
    note(one);
    assert_int_equal(registry_mosaic_group(r, "m1", "g1,g2", "imaged", "pending", &e),
                     0);
    note(m);
    assert_string_equal(ask("products.sqlite3",
                            "SELECT round(integration_sec), dec_min, dec_max, n_sources"
                            " , metrics_path FROM mosaics"),
                        "605.0|2.05|2.25|7|/products/mosaic/qa.json");
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        char name[64];
        const char *names;

        snprintf(sql, sizeof sql,
                 "SELECT group_concat(name) FROM pragma_table_info('%s')", table[i][1]);
        names = strdup(ask(table[i][0], sql));
        for (const char *at = names; *at != '\0';) {
            size_t len = strcspn(at, ",");

            snprintf(name, sizeof name, "%.*s", (int)len, at);
            snprintf(sql, sizeof sql, "SELECT count(*) FROM %s WHERE %s IS NULL",
                     table[i][1], name);
            if (strcmp(ask(table[i][0], sql), "0") != 0)
                fail_msg("%s.%s is empty", table[i][1], name);
            at += len + (at[len] == ',');
        }
        free((void *)(uintptr_t)names);
    }
}

static void registries_are_copied_and_counted_without_making_any(void **state)
{
    size_t n = 9;

    (void)state;
    assert_int_equal(mkdir("copy", 0755), 0);
    assert_int_equal(mkdir("empty", 0755), 0);
    assert_int_equal(registry_calibrators(".", &n, &e), 0);
    assert_int_equal(n, 0);
    put_calibrator("3C48", 33.1598, 16.5, REG_BY_OPERATOR);
    put_calibrator("3C147", 49.852, 22.9, REG_BY_WATCHERD);
    assert_int_equal(registry_calibrators(".", &n, &e), 0);
    assert_int_equal(n, 2);
    /* While it is open and written to. */
    assert_int_equal(registry_backup(".", "copy", &n, &e), 0);
    assert_int_equal(n, 3);
    assert_int_equal(registry_calibrators("copy", &n, &e), 0);
    assert_int_equal(n, 2);

    assert_int_equal(registry_backup("empty", "copy", &n, &e), 0);
    assert_int_equal(n, 0);
    assert_int_equal(registry_calibrators("empty", &n, &e), 0);
    assert_int_equal(n, 0);
    assert_int_equal(rmdir("empty"), 0); /* nothing was made in it */
    assert_int_equal(registry_backup(".", "no/such", &n, &e), -ENOENT);
}

/* Workers write at the same time, and make the files at the same time. */
static void several_processes_write_and_none_is_lost(void **state)
{
    enum { WORKERS = 4, EACH = 12 };
    pid_t pid[WORKERS];
    char want[64];

    (void)state;
    for (int w = 0; w < WORKERS; w++) {
        pid[w] = fork();
        if (pid[w] != 0)
            continue;
        struct registry *mine = NULL;

        for (int i = 0; i < EACH; i++) {
            char name[32];
            struct reg_product p;

            snprintf(name, sizeof name, "g%d-%d", w, i);
            p = image(name, 61000 + w, 1);
            if ((i % 4 == 0 && registry_open(&mine, ".", NULL) != 0) ||
                registry_product(mine, &p, NULL) != 0)
                _exit(1);
            p = image("contested", 61000, (uint64_t)(EACH * w + i));
            if (registry_product(mine, &p, &e) != 0 && e.code != -ESTALE)
                _exit(1);
            if (i % 4 == 3)
                registry_close(mine);
        }
        _exit(0);
    }
    for (int w = 0; w < WORKERS; w++) {
        int status;

        waitpid(pid[w], &status, 0);
        assert_int_equal(status, 0);
    }
    snprintf(want, sizeof want, "%d|%d", WORKERS * EACH + 1, WORKERS * EACH - 1);
    assert_string_equal(
        ask("products.sqlite3", "SELECT count(*), max(generation) FROM images"), want);
    assert_string_equal(ask("data_registry.sqlite3",
                            "SELECT count(*), max(generation) FROM data_registry"),
                        want);
}

static void a_newer_schema_or_foreign_file_is_refused(void **state)
{
    struct registry *second;

    (void)state;
    ask("cal_registry.sqlite3", "PRAGMA user_version = 9");
    assert_int_equal(registry_open(&second, ".", &e), ERR_FORMAT);
    assert_null(second);
    assert_non_null(strstr(e.text, "cal_registry.sqlite3 has schema version 9"));
    assert_int_equal(registry_open(&second, "absent", &e), -ENOENT);
    assert_non_null(strstr(e.text, "absent/products.sqlite3"));
}

#define REGISTRY(test)                                                                 \
    cmocka_unit_test_setup_teardown(test, open_registry, close_registry)

int main(void)
{
    const struct CMUnitTest tests[] = {
        REGISTRY(every_number_of_an_image_is_in_its_column),
        REGISTRY(every_number_of_a_mosaic_is_in_its_column),
        REGISTRY(an_older_generation_never_replaces_a_newer),
        REGISTRY(an_image_and_a_mosaic_may_have_one_name),
        REGISTRY(what_was_not_measured_is_null),
        REGISTRY(products_without_name_or_type_are_refused),
        REGISTRY(a_new_kind_of_product_has_a_row_in_data_registry_alone),
        REGISTRY(tiles_come_in_time_order_with_their_mosaics_mark),
        REGISTRY(more_tiles_than_fit_at_first_are_listed),
        REGISTRY(only_stretches_with_a_new_tile_are_listed),
        REGISTRY(the_nearest_valid_table_is_found),
        REGISTRY(the_best_table_is_good_then_near_in_declination_then_in_time),
        REGISTRY(a_group_has_one_table_of_a_kind),
        REGISTRY(registries_of_before_get_their_columns),
        REGISTRY(a_window_knows_whether_its_tiles_were_calibrated),
        REGISTRY(the_runbooks_queries_work),
        REGISTRY(what_an_operator_registers_is_not_the_programs_to_change),
        REGISTRY(no_column_is_empty_for_ever),
        REGISTRY(registries_are_copied_and_counted_without_making_any),
        OWN_DIR(several_processes_write_and_none_is_lost),
        REGISTRY(a_newer_schema_or_foreign_file_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
