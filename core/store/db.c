#include "core/store/db.h"

#include "core/err.h"
#include "core/fstype.h"
#include "core/path.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum { CACHED = 64 }; /* more than the statements of any one user */

struct db {
    sqlite3 *handle;
    char *path;
    int lock_fd;
    const struct db_kind *kind;
    size_t n;
    struct {
        const char *sql;
        sqlite3_stmt *stmt;
    } cache[CACHED];
};

/* ------------------------------------------------------------------ failures ---- */

/* SQLite's primary result codes that have an errno of their own; all others are -EIO. */
static const struct {
    int sqlite, code;
} codes[] = {
    {SQLITE_BUSY, -EBUSY},        {SQLITE_LOCKED, -EBUSY},
    {SQLITE_NOMEM, -ENOMEM},      {SQLITE_READONLY, -EROFS},
    {SQLITE_FULL, -ENOSPC},       {SQLITE_PERM, -EACCES},
    {SQLITE_CORRUPT, ERR_FORMAT}, {SQLITE_NOTADB, ERR_FORMAT},
    {SQLITE_CONSTRAINT, -EINVAL}, {SQLITE_TOOBIG, -E2BIG},
};

int db_failed(struct db *db, const char *verb, struct err *e)
{
    int rc = sqlite3_errcode(db->handle) & 0xff;
    int system_errno = sqlite3_system_errno(db->handle);
    int code = -EIO;

    if ((rc == SQLITE_CANTOPEN || rc == SQLITE_IOERR) && system_errno != 0)
        code = -system_errno;
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (codes[i].sqlite == rc)
            code = codes[i].code;
    return err_set(e, code, "cannot %s the %s %s: %s", verb, db->kind->what, db->path,
                   sqlite3_errmsg(db->handle));
}

/* ---------------------------------------------------------------- statements ---- */

/* The prepared statement of this text; NULL when it cannot be prepared. */
static sqlite3_stmt *cached(struct db *db, const char *sql)
{
    for (size_t i = 0; i < db->n; i++)
        if (db->cache[i].sql == sql)
            return db->cache[i].stmt;
    assert(db->n < CACHED);
    if (sqlite3_prepare_v3(db->handle, sql, -1, SQLITE_PREPARE_PERSISTENT,
                           &db->cache[db->n].stmt, NULL) != SQLITE_OK)
        return NULL;
    db->cache[db->n].sql = sql;
    return db->cache[db->n++].stmt;
}

static int start(struct db *db, sqlite3_stmt **out, struct err *e, const char *sql,
                 const char *types, va_list ap)
{
    sqlite3_stmt *st = cached(db, sql);

    *out = NULL;
    if (st == NULL)
        return db_failed(db, "use", e);
    assert(sqlite3_bind_parameter_count(st) == (int)strlen(types));
    for (int i = 0; types[i] != '\0'; i++) {
        int rc = types[i] == 't'
                     ? sqlite3_bind_text(st, i + 1, va_arg(ap, const char *), -1,
                                         SQLITE_TRANSIENT)
                 : types[i] == 'i' ? sqlite3_bind_int64(st, i + 1, va_arg(ap, int64_t))
                                   : sqlite3_bind_double(st, i + 1, va_arg(ap, double));

        if (rc != SQLITE_OK) {
            rc = db_failed(db, "use", e);
            db_done(st);
            return rc;
        }
    }
    *out = st;
    return 0;
}

int db_start(struct db *db, sqlite3_stmt **out, struct err *e, const char *sql,
             const char *types, ...)
{
    va_list ap;
    int rc;

    va_start(ap, types);
    rc = start(db, out, e, sql, types, ap);
    va_end(ap);
    return rc;
}

int db_row(struct db *db, sqlite3_stmt *st, struct err *e)
{
    int rc = sqlite3_step(st);

    if (rc == SQLITE_ROW)
        return 1;
    rc = rc == SQLITE_DONE ? 0 : db_failed(db, "use", e);
    db_done(st);
    return rc;
}

void db_done(sqlite3_stmt *st)
{
    sqlite3_reset(st); /* repeats the failure of the step, which has been told */
    sqlite3_clear_bindings(st);
}

void db_text(sqlite3_stmt *st, int column, char *out, size_t size)
{
    const unsigned char *s = sqlite3_column_text(st, column);

    snprintf(out, size, "%s", s != NULL ? (const char *)s : "");
}

int db_run(struct db *db, int *changed, struct err *e, const char *sql,
           const char *types, ...)
{
    sqlite3_stmt *st;
    va_list ap;
    int rc;

    va_start(ap, types);
    rc = start(db, &st, e, sql, types, ap);
    va_end(ap);
    if (rc != 0)
        return rc;
    do
        rc = db_row(db, st,
                    e); /* to its end: before that a RETURNING row proves nothing */
    while (rc == 1);
    if (changed != NULL)
        *changed = sqlite3_changes(db->handle);
    return rc;
}

int db_begin(struct db *db, struct err *e)
{
    return db_run(db, NULL, e, "BEGIN IMMEDIATE", "");
}

int db_end(struct db *db, int rc, struct err *e)
{
    if (rc == 0)
        rc = db_run(db, NULL, e, "COMMIT", "");
    /* after some failures (a full disk) SQLite has rolled back by itself */
    if (rc != 0 && !sqlite3_get_autocommit(db->handle))
        db_run(db, NULL, NULL, "ROLLBACK", "");
    return rc;
}

/* ------------------------------------------------------------------- opening ---- */

/* Say who holds an exclusive file: its lock file's one line. */
static int report_holder(int fd, const char *path, const struct db_kind *kind,
                         struct err *e)
{
    char line[128];
    ssize_t n = pread(fd, line, sizeof line - 1, 0);

    line[n > 0 ? n : 0] = '\0';
    line[strcspn(line, "\n")] = '\0';
    return err_set(e, -EBUSY, "the %s %s is in use by %s", kind->what, path,
                   line[0] != '\0' ? line : "another process");
}

/* Open and flock `<path>.lock`; the descriptor, or a negated errno. */
static int lock_file(const char *path, const struct db_kind *kind, struct err *e)
{
    char lock[PATH_MAX], host[64] = "";
    int fd, rc;

    if (snprintf(lock, sizeof lock, "%s.lock", path) >= (int)sizeof lock)
        return err_set(e, -ENAMETOOLONG, "path too long: %.80s", path);
    fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd == -1)
        return err_set(e, -errno, "cannot open %s: %s", lock, strerror(errno));
    do
        rc = flock(fd, LOCK_EX | (kind->exclusive ? LOCK_NB : 0));
    while (rc != 0 && errno == EINTR);
    if (rc != 0) {
        rc = errno == EWOULDBLOCK
                 ? report_holder(fd, path, kind, e)
                 : err_set(e, -errno, "cannot lock %s: %s", lock, strerror(errno));
        close(fd);
        return rc;
    }
    if (kind->exclusive &&
        ftruncate(fd, 0) == 0) { /* for people: may fail on a full disk */
        gethostname(host, sizeof host - 1);
        dprintf(fd, "process %ld on %s\n", (long)getpid(), host);
    }
    return fd;
}

/* Refuse a shared file system.  The lock file stands where the database is to be. */
static int check_fs(int lock_fd, const char *path, const struct db_kind *kind,
                    struct err *e)
{
    const struct fstype *type = fstype_of(lock_fd, NULL);

    if (type == NULL || !type->shared)
        return 0;
    return err_set(
        e, -ENOTSUP,
        "the %s %s lies on %s, where SQLite is not safe: put [paths] state on "
        "a local file system",
        kind->what, path, type->name);
}

/* The integer that a pragma or a count gives. */
static int ask(struct db *db, const char *sql, int64_t *v, struct err *e)
{
    sqlite3_stmt *st;
    int rc = db_start(db, &st, e, sql, "");

    if (rc != 0)
        return rc;
    rc = db_row(db, st, e);
    if (rc != 1)
        return rc < 0 ? rc : err_set(e, -EIO, "%s: no answer to %s", db->path, sql);
    *v = sqlite3_column_int64(st, 0);
    db_done(st);
    return 0;
}

static int execute(struct db *db, const char *sql, struct err *e)
{
    return sqlite3_exec(db->handle, sql, NULL, NULL, NULL) == SQLITE_OK
               ? 0
               : db_failed(db, "open", e);
}

/* Everything of a new file in one transaction, so that a kill leaves it whole or empty. */
static int make_schema(struct db *db, struct err *e)
{
    char mark[96];
    int rc;

    snprintf(mark, sizeof mark, "PRAGMA application_id=%d; PRAGMA user_version=%d;",
             db->kind->application_id, db->kind->version);
    rc = db_begin(db, e);
    if (rc != 0)
        return rc;
    rc = execute(db, db->kind->schema, e);
    if (rc == 0)
        rc = execute(db, mark, e);
    return db_end(db, rc, e);
}

/* Is the file new (*version 0), ours (its version), or neither? */
static int check_file(struct db *db, int *have, struct err *e)
{
    int64_t id = 0, version = 0, tables = 0;
    int rc;

    *have = 0;
    if ((rc = ask(db, "PRAGMA application_id", &id, e)) != 0 ||
        (rc = ask(db, "PRAGMA user_version", &version, e)) != 0 ||
        (rc = ask(db, "SELECT count(*) FROM sqlite_master", &tables, e)) != 0)
        return rc;
    if (tables != 0)
        *have = (int)version;
    if (tables != 0 && id != db->kind->application_id)
        return err_set(e, ERR_FORMAT, "%s is a database, but no %s of watcherd",
                       db->path, db->kind->what);
    if (version > db->kind->version)
        return err_set(e, ERR_FORMAT,
                       "the %s %s has schema version %lld and this watcherd knows %d: "
                       "use the newer watcherd that made it",
                       db->kind->what, db->path, (long long)version, db->kind->version);
    return 0;
}

static int set_wal(struct db *db, struct err *e)
{
    char mode[16];
    sqlite3_stmt *st;
    int rc = db_start(db, &st, e, "PRAGMA journal_mode=WAL", "");

    if (rc != 0)
        return rc;
    rc = db_row(db, st, e);
    if (rc < 0)
        return rc;
    db_text(st, 0, mode, sizeof mode);
    db_done(st);
    if (strcmp(mode, "wal") != 0)
        return err_set(e, -ENOTSUP, "the %s %s cannot have a write-ahead log here",
                       db->kind->what, db->path);
    return execute(db, "PRAGMA synchronous=FULL; PRAGMA recursive_triggers=OFF;", e);
}

/* A copy of the file as it is, "<path>.v<version>"; one that is there already is the one of
   before. */
static int keep_copy(struct db *db, int version, struct err *e)
{
    char copy[PATH_MAX];

    if (snprintf(copy, sizeof copy, "%s.v%d", db->path, version) >= (int)sizeof copy)
        return err_set(e, -ENAMETOOLONG, "path too long: %.80s", db->path);
    return access(copy, F_OK) == 0 ? 0 : db_copy(db, copy, e);
}

static int upgrade(struct db *db, int version, struct err *e)
{
    char mark[48];
    int rc;

    if (db->kind->upgrade == NULL)
        return err_set(e, ERR_FORMAT, "the %s %s has schema version %d, not %d",
                       db->kind->what, db->path, version, db->kind->version);
    rc = keep_copy(db, version, e);
    if (rc == 0)
        rc = db_begin(db, e);
    if (rc != 0)
        return rc;
    snprintf(mark, sizeof mark, "PRAGMA user_version=%d", db->kind->version);
    for (int v = version; rc == 0 && v < db->kind->version; v++)
        rc = execute(db, db->kind->upgrade[v - 1], e);
    if (rc == 0)
        rc = execute(db, mark, e);
    return db_end(db, rc, e);
}

static int open_handle(struct db *db, int flags, struct err *e)
{
    if (sqlite3_open_v2(db->path, &db->handle, flags, NULL) != SQLITE_OK)
        return db->handle == NULL
                   ? err_set(e, -ENOMEM, "out of memory opening %s", db->path)
                   : db_failed(db, "open", e);
    sqlite3_extended_result_codes(db->handle, 1);
    sqlite3_busy_timeout(db->handle, db->kind->busy_ms);
    return 0;
}

static int open_or_make(struct db *db, struct err *e)
{
    int version = 0;
    int rc = open_handle(db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, e);

    if (rc == 0)
        rc = check_file(db, &version,
                        e); /* first: another program's file is not touched */
    if (rc == 0)
        rc = set_wal(db, e);
    if (rc == 0 && version == 0)
        rc = make_schema(db, e);
    else if (rc == 0 && version < db->kind->version)
        rc = upgrade(db, version, e);
    return rc;
}

static int open_there(struct db *db, int flags, int *version, struct err *e)
{
    int rc;

    *version = 0;
    if (access(db->path, F_OK) != 0)
        return err_set(e, -errno, "there is no %s %s: %s", db->kind->what, db->path,
                       strerror(errno));
    rc = open_handle(db, flags, e);
    if (rc == 0)
        rc = check_file(db, version, e);
    return rc;
}

static struct db *db_new(const char *path, const struct db_kind *kind, struct err *e)
{
    struct db *db = calloc(1, sizeof *db);

    if (db != NULL && (db->path = strdup(path)) == NULL) {
        free(db);
        db = NULL;
    }
    if (db == NULL) {
        err_set(e, -ENOMEM, "out of memory opening %s", path);
        return NULL;
    }
    db->kind = kind;
    db->lock_fd = -1;
    return db;
}

int db_use(struct db **out, const char *path, const struct db_kind *kind, struct err *e)
{
    struct db *db = db_new(path, kind, e);
    int rc, version;

    *out = NULL;
    if (db == NULL)
        return -ENOMEM;
    rc = open_there(db, SQLITE_OPEN_READWRITE, &version, e);
    if (rc == 0)
        rc = set_wal(db, e);
    if (rc == 0 && version == 0)
        rc = err_set(e, -ENOENT, "the %s %s has no tables yet", kind->what, path);
    else if (rc == 0 && version < kind->version)
        rc = err_set(e, ERR_FORMAT,
                     "the %s %s has schema version %d, not %d: the daemon of this "
                     "version, or taskctl migrate, brings it up to date",
                     kind->what, path, version, kind->version);
    if (rc != 0)
        db_close(db);
    else
        *out = db;
    return rc;
}

int db_version(const char *path, const struct db_kind *kind, int *version,
               struct err *e)
{
    struct db *db = db_new(path, kind, e);
    int rc;

    *version = 0;
    if (db == NULL)
        return -ENOMEM;
    rc = open_there(db, SQLITE_OPEN_READONLY, version, e);
    db_close(db);
    return rc == -ENOENT ? 0 : rc;
}

int db_copy(struct db *db, const char *path, struct err *e)
{
    char temp[PATH_MAX];
    sqlite3_stmt *st;
    int rc;

    if (snprintf(temp, sizeof temp, "%s.part", path) >= (int)sizeof temp)
        return err_set(e, -ENAMETOOLONG, "path too long: %.80s", path);
    unlink(temp);
    if (sqlite3_prepare_v2(db->handle, "VACUUM INTO ?1", -1, &st, NULL) != SQLITE_OK)
        return db_failed(db, "copy", e);
    sqlite3_bind_text(st, 1, temp, -1, SQLITE_STATIC);
    rc = sqlite3_step(st) == SQLITE_DONE ? 0 : db_failed(db, "copy", e);
    sqlite3_finalize(st);
    if (rc == 0)
        rc = path_replace(temp, path, e);
    else
        unlink(temp);
    return rc;
}

struct sqlite3 *db_handle(struct db *db)
{
    return db->handle;
}

int db_open(struct db **out, const char *path, const struct db_kind *kind,
            struct err *e)
{
    struct db *db;
    int rc, lock_fd;

    *out = NULL;
    lock_fd = lock_file(path, kind, e);
    if (lock_fd < 0)
        return lock_fd;
    db = db_new(path, kind, e);
    if (db == NULL) {
        close(lock_fd);
        return -ENOMEM;
    }
    db->lock_fd = lock_fd;
    rc = check_fs(lock_fd, path, kind, e);
    if (rc == 0)
        rc = open_or_make(db, e);
    if (rc != 0) {
        db_close(db);
        return rc;
    }
    if (!kind->exclusive) {
        close(lock_fd);
        db->lock_fd = -1;
    }
    *out = db;
    return 0;
}

void db_close(struct db *db)
{
    if (db == NULL)
        return;
    for (size_t i = 0; i < db->n; i++)
        sqlite3_finalize(db->cache[i].stmt);
    sqlite3_close(db->handle);
    if (db->lock_fd != -1)
        close(db->lock_fd); /* last: the next one finds the log written back */
    free(db->path);
    free(db);
}

/* A whole copy of the database `from` at `to`. */
static int clone(const char *from, const char *to, const struct db_kind *kind,
                 struct err *e)
{
    struct db *db = db_new(from, kind, e);
    int rc, version = 0;

    if (db == NULL)
        return -ENOMEM;
    rc = open_there(db, SQLITE_OPEN_READONLY, &version, e);
    if (rc == 0 && version == 0)
        rc = err_set(e, ERR_FORMAT, "%s is no %s", from, kind->what);
    if (rc == 0)
        rc = db_copy(db, to, e);
    db_close(db);
    return rc;
}

int db_restore(const char *path, const char *from, const struct db_kind *kind,
               struct err *e)
{
    static const char *const part[] = {"", "-wal", "-shm"};
    char temp[PATH_MAX], old[PATH_MAX], aside[PATH_MAX];
    int rc, lock_fd;

    if (strlen(path) + 16 >= sizeof temp)
        return err_set(e, -ENAMETOOLONG, "path too long: %.80s", path);
    lock_fd = lock_file(path, kind, e);
    if (lock_fd < 0)
        return lock_fd;
    snprintf(temp, sizeof temp, "%s.restored", path);
    rc = clone(from, temp, kind, e);
    for (size_t i = 0; rc == 0 && i < 3; i++) {
        snprintf(old, sizeof old, "%.4000s%s", path, part[i]);
        snprintf(aside, sizeof aside, "%.4000s.replaced%s", path, part[i]);
        if (rename(old, aside) != 0 && errno != ENOENT)
            rc = err_set(e, -errno, "cannot rename %s: %s", old, strerror(errno));
    }
    if (rc == 0)
        rc = path_replace(temp, path, e);
    close(lock_fd);
    return rc;
}
