/*
 * queue_sqlite.h: what queue_sqlite.c and queue_sqlite_tool.c share; for nobody else.
 *
 * Contracts: see core/store/queue.h
 */
#ifndef CORE_STORE_QUEUE_SQLITE_H
#define CORE_STORE_QUEUE_SQLITE_H

#include <limits.h>

#include "core/store/queue_store.h"

struct db;
struct sqlite3_stmt;

struct sqlite_queue {
    struct queue base;
    struct db *db;
    char name[QUEUE_NAME];
    char boot[40];   /* of this machine: leases of another one have run out */
    double opened_s; /* boot clock */
    long aging, nclaim;
    int64_t version; /* SQLite's data_version: changed by others */
    double offset_s; /* wall clock - boot clock, as last seen */
    double longest_wait_s;
    char path[PATH_MAX]; /* of the file, and which one it was when it was opened */
    uint64_t dev, ino;
    bool daemon;
};

static inline struct sqlite_queue *sqlite_of(struct queue *q)
{
    return (struct sqlite_queue *)(void *)q;
}

/* The columns that queue_sqlite_fill reads. */
#define TASK_COLUMNS                                                                   \
    "task_id, task_name, task_key, params, status, priority, retry_count, "            \
    "max_retries, fence, run_after, error, worker_id, timeout_sec, "                   \
    "cancel_requested, created_at, claimed_at, last_heartbeat, completed_at, result"

/* Times in the tables are ISO 8601 UTC, run_after is Unix seconds. */
#define NOW_ISO "strftime('%Y-%m-%dT%H:%M:%fZ','now')"

/* A column that has the word of a status. */
enum task_status queue_sqlite_status(struct sqlite3_stmt *st, int column);
/* The current row of a TASK_COLUMNS statement into a clear *out.  Status: 0; -ENOMEM. */
int queue_sqlite_fill(struct sqlite3_stmt *st, struct task *out, struct err *e);
/* A column of ISO time in Unix seconds; 0 for null. */
double queue_sqlite_time(struct sqlite3_stmt *st, int column);
/* The whole number that a statement started with status rc gives first; 0 for null or none.
   Ends it.  Status: 0, rc, or as db_row. */
int queue_sqlite_number(struct sqlite_queue *q, int rc, struct sqlite3_stmt *st,
                        int64_t *v, struct err *e);
/* Is the file that we have open still the one of that name?  Status: 0; ERR_STORE_DOWN. */
int queue_sqlite_there(const struct sqlite_queue *q, struct err *e);
/* What the disk, another process's lock or the file system refused just now can be tried
   again: ERR_STORE_DOWN. */
int queue_sqlite_down(int rc);

/* Is the next transaction forced to disk before it ends?  Call it between transactions only. */
void queue_sqlite_forced(struct sqlite_queue *q, bool yes);

/* The file's mark and version, and how it is opened by whom. */
extern const struct db_kind queue_sqlite_kind;
/* The file's path behind "sqlite:". */
const char *queue_sqlite_path(const struct queue_opts *opts);

/* The members of struct queue_ops that look, edit and keep up: queue_sqlite_tool.c. */
int queue_sqlite_each(struct queue *q, const struct task_filter *filter,
                      queue_each_fn *fn, void *arg, struct err *e);
int queue_sqlite_attempts(struct queue *q, const char *id, queue_attempt_fn *fn,
                          void *arg, struct err *e);
int queue_sqlite_steps(struct queue *q, const char *id, queue_step_fn *fn, void *arg,
                       struct err *e);
int queue_sqlite_workers(struct queue *q, queue_worker_fn *fn, void *arg,
                         struct err *e);
int queue_sqlite_counts(struct queue *q, queue_count_fn *fn, void *arg, struct err *e);
int queue_sqlite_count(struct queue *q, enum task_status status, size_t *n,
                       struct err *e);
int queue_sqlite_next_due(struct queue *q, double *in_s, struct err *e);
int queue_sqlite_first_open(struct queue *q, const char *name, char key[QUEUE_TEXT],
                            struct err *e);
int queue_sqlite_ahead(struct queue *q, const struct task *task, size_t *n,
                       struct err *e);
int queue_sqlite_now(struct queue *q, double *unix_s, struct err *e);
int queue_sqlite_change(struct queue *q, enum queue_order order,
                        const struct task_filter *filter, int priority, size_t *n,
                        struct err *e);
int queue_sqlite_set_mode(struct queue *q, enum queue_mode mode, const char *reason,
                          struct err *e);
int queue_sqlite_get_mode(struct queue *q, enum queue_mode *mode, char *reason,
                          size_t size, double *since, struct err *e);
int queue_sqlite_vacuum(struct queue *q, struct err *e);
int queue_sqlite_backup(struct queue *q, const char *path, struct err *e);
int queue_sqlite_restore(const struct queue_opts *opts, const char *path,
                         struct err *e);
int queue_sqlite_migrate(const struct queue_opts *opts, bool dry,
                         struct queue_schema *schema, queue_say_fn *say, void *arg,
                         struct err *e);

#endif
