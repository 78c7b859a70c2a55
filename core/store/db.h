/*
 * db.h: one SQLite file: opened safely, asked through cached statements, failures as sentences.
 *
 * Every file that we write is in WAL mode with synchronous=FULL: what a call has acknowledged
 * survives a power cut.  WAL keeps its index in shared memory, so a file on a file system
 * that several machines mount is refused.
 */
#ifndef CORE_STORE_DB_H
#define CORE_STORE_DB_H

#include <stddef.h>
#include <stdint.h>

struct err;
struct sqlite3_stmt;
struct db;

/* What a file must be.  The schema is run once, in a new file; `upgrade` in older ones. */
struct db_kind {
    const char *what;   /* for sentences: "task queue" */
    int application_id; /* SQLite's mark in the file's header */
    int version;        /* of the schema; a file with a higher one is refused */
    int busy_ms;        /* wait this long for another writer */
    int exclusive;      /* one watcherd process at a time, until db_close */
    const char *schema;
    const char *const
        *upgrade; /* [version - 1]: SQL from version 1 to 2, 2 to 3 ...; NULL: none */
};

/*
 * db_open: open or make the file.
 * Status: 0; -EBUSY an exclusive one is in use (the sentence names the process); ERR_FORMAT
 * another program's file, damaged, or from a newer watcherd; -ENOTSUP a network file system;
 * else a negated errno.  *out is NULL unless 0.
 * Notes:
 *   1) A flock on `<path>.lock` is held while the file is opened (several processes may make it
 *      at once), or until db_close when exclusive.  Operators' sqlite3 does not look at it.
 *   2) The descriptor is close-on-exec; a child that forks without exec shares the lock.
 */
int db_open(struct db **out, const char *path, const struct db_kind *kind,
            struct err *e);
/*
 * db_use: open a file that somebody else (the daemon) makes, locks and upgrades; several may.
 * Status: 0; -ENOENT it is not there, or has no tables yet; ERR_FORMAT as db_open, or an
 * older version.
 */
int db_use(struct db **out, const char *path, const struct db_kind *kind,
           struct err *e);
void db_close(struct db *db);
/* The schema version of the file at path, 0 when there is none; nothing is changed.
   Status: 0; ERR_FORMAT as db_open; else a negated errno. */
int db_version(const char *path, const struct db_kind *kind, int *version,
               struct err *e);

/*
 * db_start: a statement with its parameters bound, ready for db_row; prepared once per `sql`,
 * which must be a constant (its address is the key).  One letter of `types` for each
 * parameter: t const char * (NULL: null), i int64_t, d double (NaN: null).
 */
int db_start(struct db *db, struct sqlite3_stmt **out, struct err *e, const char *sql,
             const char *types, ...);
/* Next row: 1, no more: 0 (the statement is then reset), or a negated errno as of db_failed. */
int db_row(struct db *db, struct sqlite3_stmt *st, struct err *e);
/* End a statement before its last row. */
void db_done(struct sqlite3_stmt *st);
/* Copy a text column, cut to size, "" for null. */
void db_text(struct sqlite3_stmt *st, int column, char *out, size_t size);

/* Run a statement to its end; *changed (may be NULL) counts the rows.  Status as db_row. */
int db_run(struct db *db, int *changed, struct err *e, const char *sql,
           const char *types, ...);

/*
 * db_copy: a consistent copy of the open file, however busy it is, complete under `path` or not
 * there.  An older copy of that name is replaced.
 * Status: 0; -ENAMETOOLONG; else a negated errno of the file system or as of db_failed.
 */
int db_copy(struct db *db, const char *path, struct err *e);

/*
 * db_restore: put a copy of the file `from` (any version up to ours) in the place of
 * `path`, which is kept as `<path>.replaced`.
 * Status: 0; -EBUSY an exclusive user has it; -ENOENT or ERR_FORMAT when from is no such file.
 */
int db_restore(const char *path, const char *from, const struct db_kind *kind,
               struct err *e);

/* For a statement that is put together for one use, and settings of the connection. */
struct sqlite3 *db_handle(struct db *db);
/* What SQLite said last: a negated errno and a sentence, "cannot <verb> the task queue ...". */
int db_failed(struct db *db, const char *verb, struct err *e);

/* BEGIN IMMEDIATE; then COMMIT when rc is 0, else ROLLBACK.  db_end hands rc or the commit's
 * failure back.  Status as db_failed: -EBUSY another has written for longer than busy_ms.  */
int db_begin(struct db *db, struct err *e);
int db_end(struct db *db, int rc, struct err *e);

#endif
