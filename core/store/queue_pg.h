/*
 * queue_pg.h: what the files of the queue in PostgreSQL share; for nobody else.
 *
 *   queue_pg.c       life, tasks, workers
 *   queue_pg_tool.c  looking, operators' edits
 *   queue_pg_copy.c  vacuum, backup, restore, migrate
 *   queue_pg_sql.c   the tables and functions of schema absurd
 *
 * Contracts: see core/store/queue.h
 */
#ifndef CORE_STORE_QUEUE_PG_H
#define CORE_STORE_QUEUE_PG_H

#include "core/store/pg.h"
#include "core/store/queue_store.h"

struct pg_queue {
    struct queue base;
    struct pg *pg;
    char name[QUEUE_NAME];
    char *store, *listen; /* what the connection borrows */
    enum queue_role role;
    double longest_wait_s;
    long aging, nclaim;
    double server_s, boot_s; /* both clocks at the last queue_reap; 0: none yet */
    double quiet_s; /* boot clock: the server's clock jumped, no reaping before */
};

static inline struct pg_queue *pg_of(struct queue *q)
{
    return (struct pg_queue *)(void *)q;
}

/* The columns that queue_pg_fill reads. */
#define PG_TASK_COLUMNS                                                                \
    "task_id, task_name, task_key, params::text, result, status, priority, "           \
    "retry_count, max_retries, timeout_sec, cancel_requested, fence, "                 \
    "extract(epoch from run_after)::float8, extract(epoch from created_at)::float8, "  \
    "extract(epoch from claimed_at)::float8, "                                         \
    "extract(epoch from last_heartbeat)::float8, "                                     \
    "extract(epoch from completed_at)::float8, error, worker_id"
/* Row `row` from column `first` on into *out, which was clear.  Status: 0; -ENOMEM. */
int queue_pg_fill(const PGresult *r, int row, int first, struct task *out,
                  struct err *e);

/* ---- queue_pg_sql.c ---- */

enum { PG_VERSION = 1 };
/*
 * queue_pg_version: which version of our tables is there; 0: none, and room for them.
 * Status: 0; ERR_FORMAT schema absurd is another program's.
 */
int queue_pg_version(struct pg *pg, int *version, struct err *e);
/* From one version (0: nothing) to the next, in one transaction; of several that try at the
   same time one does it.  Status as pg_ask. */
int queue_pg_upgrade(struct pg *pg, int from, struct err *e);

/* ---- members of struct queue_ops ---- */

int queue_pg_each(struct queue *q, const struct task_filter *filter, queue_each_fn *fn,
                  void *arg, struct err *e);
int queue_pg_attempts(struct queue *q, const char *id, queue_attempt_fn *fn, void *arg,
                      struct err *e);
int queue_pg_steps(struct queue *q, const char *id, queue_step_fn *fn, void *arg,
                   struct err *e);
int queue_pg_workers(struct queue *q, queue_worker_fn *fn, void *arg, struct err *e);
int queue_pg_counts(struct queue *q, queue_count_fn *fn, void *arg, struct err *e);
int queue_pg_count(struct queue *q, enum task_status status, size_t *n, struct err *e);
int queue_pg_next_due(struct queue *q, double *in_s, struct err *e);
int queue_pg_first_open(struct queue *q, const char *name, char key[QUEUE_TEXT],
                        struct err *e);
int queue_pg_ahead(struct queue *q, const struct task *task, size_t *n, struct err *e);
int queue_pg_now(struct queue *q, double *unix_s, struct err *e);
int queue_pg_change(struct queue *q, enum queue_order order,
                    const struct task_filter *filter, int priority, size_t *n,
                    struct err *e);
int queue_pg_set_mode(struct queue *q, enum queue_mode mode, const char *reason,
                      struct err *e);
int queue_pg_get_mode(struct queue *q, enum queue_mode *mode, char *reason, size_t size,
                      double *since, struct err *e);
int queue_pg_vacuum(struct queue *q, struct err *e);
int queue_pg_backup(struct queue *q, const char *path, struct err *e);
int queue_pg_restore(const struct queue_opts *opts, const char *path, struct err *e);
int queue_pg_migrate(const struct queue_opts *opts, bool dry,
                     struct queue_schema *schema, queue_say_fn *say, void *arg,
                     struct err *e);

#endif
