/*
 * registry.h: the three databases that operators and scripts ask: products.sqlite3 (images,
 * mosaics, mosaic_groups), data_registry.sqlite3 (data_registry), cal_registry.sqlite3
 * (caltables, calibrators).  A row is written after its product is visible, in one
 * transaction, only if its generation is not older than the row's.
 */
#ifndef CORE_STORE_REGISTRY_H
#define CORE_STORE_REGISTRY_H

#include <stddef.h>
#include <stdint.h>

struct err;
struct registry;

/* Open or make the three files; several processes may have them open.
   Status as db_open (db.h); *out is NULL unless 0. */
int registry_open(struct registry **out, const char *state_dir, struct err *e);
void registry_close(struct registry *r);
/* Consistent copies of those of the three that are there into directory `to`, while
   everything runs; *n counts them.  None of them is made.  Status as db_use and db_copy. */
int registry_backup(const char *state_dir, const char *to, size_t *n, struct err *e);
/* How many calibrators are registered in state_dir; none when there is no registry, which
   is not made.  Status as db_use. */
int registry_calibrators(const char *state_dir, size_t *n, struct err *e);

/* Where a product has a row beside that of data_registry. */
enum reg_table { REG_NO_TABLE, REG_IMAGES, REG_MOSAICS };

struct reg_product {
    const char *data_type; /* what data_registry calls it */
    enum reg_table table;
    const char *data_id; /* group or mosaic name */
    uint64_t generation;
    const char *path;       /* published directory */
    const char *fits;       /* main image in it */
    const char *preview;    /* PNG */
    const char *qa_status;  /* passed | warning | uncalibrated | failed */
    const char *qa_reasons; /* JSON array of the verdict's sentences, or NULL */
    const char *metadata_json;
    double start_mjd, end_mjd, ra_deg, dec_deg, noise_jy, dynamic_range, bmaj_arcsec,
        bmin_arcsec, bpa_deg;
    long n_tiles;      /* mosaic */
    long n_sources;    /* found in it (mosaic) */
    const char *tiles; /* comma list of groups (mosaic) */
    int uncalibrated;  /* 1: imaged without gains; shown as cal_applied = 0 */
};
/*
 * registry_product: note a published product: a row in data_registry, and one in its table, if
 * any (of mosaics also in mosaic_tiles, and a mosaic_groups row of this name becomes
 * completed).  NaN is noted as NULL. Repeating is harmless.
 * Status: 0; -ESTALE a newer generation is noted already, nothing was changed; -EINVAL no
 * type, name or path, or a name that is too long; else a negated errno of the database.
 */
int registry_product(struct registry *r, const struct reg_product *p, struct err *e);

/* The generation of this product that is noted; 0: none.  Status: 0, or a negated errno of the
 * database. */
int registry_generation(struct registry *r, const char *data_type, const char *data_id,
                        uint64_t *generation, struct err *e);

struct reg_caltable {
    const char *set_name, *path, *table_type; /* bandpass | gain */
    const char *calibrator, *telescope, *source_group;
    double mjd, valid_start_mjd, valid_end_mjd;
    /* What it is worth: amplitude over the error of a gain; where the dishes looked; the flux
     * that the calibrator was taken to have; the verdict on its group.  NaN, NULL: not known. */
    double quality, dec_deg, flux_jy;
    const char *qa_status, *refant;
    const char *quality_json; /* more numbers, for people */
    const char *solver;       /* program and version */
};
/* Note a table under its path.  Tables of
   this type that an earlier generation of the group gave are retired.  One of a group whose
   verdict is failed is noted as failed, and never found.
   Status: 0; -EINVAL valid at no time; else a negated errno of the database. */
int registry_caltable(struct registry *r, const struct reg_caltable *c, struct err *e);
/* Who has written a row of calibrators: the program itself, of what it has solved on; an operator;
   a list that an operator has imported. */
#define REG_BY_WATCHERD "watcherd"
#define REG_BY_OPERATOR "calctl"
#define REG_BY_IMPORT   "calctl import"

struct reg_calibrator {
    char name[32];
    double ra_deg, dec_deg;   /* ICRS */
    double flux_jy, freq_mhz; /* a flux, and where in frequency; NaN: not known */
    char spectrum[512];       /* all fluxes: JSON [[MHz, Jy], ...], ascending; or "" */
    char source[128];         /* where these are from */
    char by[16], notes[128];  /* REG_BY_ ... */
    char at[32], status[16];  /* returned: when; active or retired */
};
/*
 * registry_calibrator_put: register or correct n calibrators, all or none.  Rows by the program
 * (REG_BY_WATCHERD) never replace those of an operator.  Their `at` and `status` are not looked at.
 * Status: 0; -EINVAL no name or no position; else a negated errno of the database.
 */
int registry_calibrator_put(struct registry *r, const struct reg_calibrator *c,
                            size_t n, struct err *e);
/* Use it no longer; registering it again brings it back.  Status: 0; -ENOENT there is none of this
   name; else a negated errno of the database. */
int registry_calibrator_retire(struct registry *r, const char *name, struct err *e);
/* All that have a position, retired ones, too: *out [*n] by right ascension, yours to free.
   Status: 0; -ENOMEM; else a negated errno of the database. */
int registry_calibrator_list(struct registry *r, struct reg_calibrator **out, size_t *n,
                             struct err *e);
/* The same from state_dir, where nothing is made or changed; none when there is no registry.
   Status as db_use, and -ENOMEM. */
int registry_calibrator_look(const char *state_dir, struct reg_calibrator **out,
                             size_t *n, struct err *e);
/* What a table is wanted for. */
struct reg_caltable_want {
    const char *table_type, *telescope;
    const char *calibrator; /* solved on this one; NULL: on any */
    double flux_jy;         /* taken to have this flux, to 1 %; NaN: any */
    const char *not_group;  /* and not by this group */
    double mjd;             /* valid then */
    double dec_deg;         /* where the dishes look */
    double good;            /* quality from which a table is good */
    int skip;               /* leave out so many of the best */
};
struct reg_caltable_found {
    char path[4096];
    double quality; /* 0: not known */
};
/*
 * registry_find_caltable: the best of the active tables that fit.  A good one (quality at least
 * `good`, of a group that passed) goes before any other; then the one nearer in declination, in
 * steps of half a degree; then the one nearer in time, and the newer one.
 * Status: 0; -ENOENT there is none; -ENAMETOOLONG; else a negated errno of the database.
 */
int registry_find_caltable(struct registry *r, const struct reg_caltable_want *want,
                           struct reg_caltable_found *out, struct err *e);

/* A published tile, for window forming. */
struct reg_tile {
    int64_t id; /* grows: a tile that was not there before has a larger one */
    char group[64];
    double start_mjd, end_mjd, ra_deg, dec_deg;
    int in_mosaic; /* 1 when a mosaic already holds it */
};
/*
 * registry_tiles: the stretches of time in which there is a new tile.
 *
 * Given:    *seen: new is what has a larger id; <= 0: everything
 *           max_gap_s: a longer gap between the middles of two tiles ends a stretch
 * Returned: *out [*n] all published images of these stretches by start_mjd, yours to free, NULL
 *           when there are none; *seen the largest id of what was new
 * Status:   0; failures of the file; -ENOMEM
 * Note:     reads, by their indexes, what is new and its stretches, and nothing else.
 */
int registry_tiles(struct registry *r, int64_t *seen, double max_gap_s,
                   struct reg_tile **out, size_t *n, struct err *e);
/* mosaic_groups: group_id, mosaic_id, ms_paths (comma list of tiles), stage, status,
 * created_at, cal_applied, ... : note a window that is to be made.  Status: 0, or a negated
 * errno of the database.  */
int registry_mosaic_group(struct registry *r, const char *id, const char *tiles,
                          const char *stage, const char *status, struct err *e);

#endif
