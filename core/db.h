/*
 * db.h: one SQLite file: opened safely, asked through cached statements, failures as sentences.
 *
 * Every file that we write is in WAL mode with synchronous=FULL: what a call has acknowledged
 * survives a power cut.  WAL keeps its index in shared memory, so a file on a file system
 * that several machines mount is refused.
 */
#ifndef CORE_DB_H
#define CORE_DB_H

#include <stddef.h>
#include <stdint.h>

struct err;
struct sqlite3_stmt;
struct db;

/* What a file must be.  The schema is run once, in a new file. */
struct db_kind {
    const char *what;   /* for sentences: "task queue" */
    int application_id; /* SQLite's mark in the file's header */
    int version;        /* of the schema; a file with a higher one is refused */
    int busy_ms;        /* wait this long for another writer */
    int exclusive;      /* one watcherd process at a time, until db_close */
    const char *schema;
};

/*
 * db_open: open or make the file.
 * Status: 0; -EBUSY an exclusive one is in use (the sentence names the process); ERR_FORMAT another
 * program's file, damaged, or from a newer watcherd; -ENOTSUP a network file system; else a negated
 * errno.  *out is NULL unless 0.
 * Notes:
 *   1) A flock on `<path>.lock` is held while the file is opened (several processes may make it at
 *      once), or until db_close when exclusive.  Operators' sqlite3 does not look at it.
 *   2) The descriptor is close-on-exec; a child that forks without exec shares the lock.
 */
int db_open(struct db **out, const char *path, const struct db_kind *kind,
            struct err *e);
void db_close(struct db *db);
/* Name of a file system that several machines share, by statfs(2) magic; else NULL. */
const char *db_shared_fs(unsigned long magic);

/*
 * db_start: a statement with its parameters bound, ready for db_row; prepared once per `sql`, which
 * must be a constant (its address is the key).  One letter of `types` for each parameter:
 * t const char * (NULL: null), i int64_t, d double (NaN: null).
 */
int db_start(struct db *db, struct sqlite3_stmt **out, struct err *e, const char *sql,
             const char *types, ...);
/* Next row: 1, no more: 0 (the statement is then reset), or negative. */
int db_row(struct db *db, struct sqlite3_stmt *st, struct err *e);
/* End a statement before its last row. */
void db_done(struct sqlite3_stmt *st);
/* Copy a text column, cut to size, "" for null. */
void db_text(struct sqlite3_stmt *st, int column, char *out, size_t size);

/* Run a statement to its end; *changed (may be NULL) counts the rows. */
int db_run(struct db *db, int *changed, struct err *e, const char *sql,
           const char *types, ...);

/* BEGIN IMMEDIATE; then COMMIT when rc is 0, else ROLLBACK.  db_end hands rc or the commit's
 * failure back. */
int db_begin(struct db *db, struct err *e);
int db_end(struct db *db, int rc, struct err *e);

#endif
