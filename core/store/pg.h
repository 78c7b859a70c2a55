/*
 * pg.h: one connection to PostgreSQL that is found again after it was lost; waits that end;
 * failures as sentences.
 *
 * A call that fails with ERR_STORE_DOWN (core/store/queue.h) may or may not have happened;
 * the next call connects anew by itself.  No wait is longer than the call's limit.  No
 * sentence holds a password.
 */
#ifndef CORE_STORE_PG_H
#define CORE_STORE_PG_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct err;
struct pg;

struct pg_opts {
    const char *store; /* connection string; borrowed until pg_close, as is `session` */
    const char *app;   /* shown in pg_stat_activity */
    const char *session; /* statements for each new connection */
    /* Asked at each new connection: is what is there what we need?  Status: 0, or what
       pg_open and the call that connected anew hand back. */
    int (*found)(void *arg, struct pg *pg, struct err *e);
    void *arg;
};

/*
 * pg_open: connect, once.  *out is NULL unless 0.
 * Status: 0; -EINVAL a wrong connection string; -EACCES password, user or permission; -ENOENT
 * no such database; -ENOTSUP a server before PostgreSQL 15; ERR_STORE_DOWN not reached just
 * now; or what `found` says.
 */
int pg_open(struct pg **out, const struct pg_opts *opts, struct err *e);
void pg_close(struct pg *pg);
const char *pg_where(const struct pg *pg); /* "PostgreSQL dsa110 at db7:5432" */
/* Boot clock at which it was opened or last found again. */
double pg_found_s(const struct pg *pg);

/*
 * pg_ask: run one statement, prepared once a connection (the address of `sql`, a constant, is
 * the key).  *out is the caller's (PQclear), NULL unless 0.  Deadlocks and serialization
 * failures are tried again inside.
 * Status: 0; ERR_STORE_DOWN not reached, or the connection was lost; -EACCES no permission;
 * -EINVAL a value that cannot be; -ENOENT no such table; -ENOSPC too many prepared statements;
 * -EIO any other refusal; what pg_open hands back, when it had to connect anew.
 */
int pg_ask(struct pg *pg, PGresult **out, struct err *e, const char *sql, int n,
           const char *const *value);
/* The same, not prepared, for sql that is made for this call; and with more patience: it
   may change a million rows.  Status as pg_ask. */
int pg_ask_once(struct pg *pg, PGresult **out, struct err *e, const char *sql, int n,
                const char *const *value);
/* Statements without parameters, all one transaction; limit_s 0: as long as it takes.
   Status as pg_ask. */
int pg_run(struct pg *pg, const char *sql, double limit_s, struct err *e);
/* Rows one by one, so that a long list needs no memory; fn may not call pg.  Not prepared.
   Status as pg_ask, or what fn handed back, which ends it. */
typedef int pg_row_fn(void *arg, const PGresult *row, struct err *e);
int pg_rows(struct pg *pg, const char *sql, int n, const char *const *value,
            pg_row_fn *fn, void *arg, struct err *e);

/* Readable when somebody else's NOTIFY has come, or the connection went away; stays the
   same descriptor. */
int pg_fd(const struct pg *pg);
/* A NOTIFY since the last call, or a new connection: 1; 0; ERR_STORE_DOWN while there is
   none.  Never waits. */
int pg_told(struct pg *pg, struct err *e);

/* The connection's options for a program to be started, "host='...' dbname='...'", without the
 * password, which *password borrows (NULL: none was given).  Free it; NULL: no memory. */
char *pg_conninfo(struct pg *pg, const char **password);

/* ---- values ---- */

/* An array parameter in the making: "{...}".  Bytes that are no UTF-8 become '?', for a
   store refuses them. */
struct pg_array {
    FILE *f;
    char *text;
    size_t size;
    bool more;
};
void pg_array_begin(struct pg_array *a);
void pg_array_text(struct pg_array *a, const char *s); /* NULL: null */
void pg_array_int(struct pg_array *a, int64_t v);
void pg_array_real(struct pg_array *a, double v);
const char *pg_array_end(struct pg_array *a); /* NULL: no memory */
void pg_array_free(struct pg_array *a);
/* A copy that is UTF-8; NULL for NULL. */
char *pg_utf8(const char *s);

/* Columns: text cut to size, "" for null; numbers 0 for null. */
void pg_text(const PGresult *r, int row, int column, char *out, size_t size);
double pg_real(const PGresult *r, int row, int column);
int64_t pg_int(const PGresult *r, int row, int column);

#endif
