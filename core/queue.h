/*
 * queue.h: what is to be done to which group; survives restarts.
 *
 * One interface; the store behind it is SQLite (queue_sqlite.c) and, for several machines, will be PostgreSQL.
 * Table `t_tasks` has the columns of the operator's runbook (task_id, task_name, params,
 * status, priority, error, retry_count, worker_id, created_at, claimed_at, last_heartbeat).
 *
 * Every operation is safe to repeat.  `fence` is given at each claim and checked by all that
 * follows, so that an old worker's word does not count (ERR_LOST_TASK).
 */
#ifndef CORE_QUEUE_H
#define CORE_QUEUE_H

#include <stddef.h>
#include <stdint.h>

struct err;
struct queue;

enum { QUEUE_ID = 37, QUEUE_TEXT = 256, ERR_LOST_TASK = -10012 };

struct task {
    char id[QUEUE_ID];    /* UUID version 7: sorts by creation */
    char name[64];        /* "continuum", "mosaic" */
    char key[QUEUE_TEXT]; /* group or window: with name, unique */
    char *params;         /* JSON; owned by the struct, task_clear frees */
    char status[16];      /* pending claimed completed failed cancelled */
    int priority, retry_count, max_retries;
    int64_t fence;
    double run_after; /* Unix s */
    char error[QUEUE_TEXT];
    char worker[64];
};
void task_clear(struct task *t);

int queue_open(struct queue **out, const char *path,
               struct err *e); /* one process at a time */
void queue_close(struct queue *q);

/*
 * queue_spawn: make a pending task unless (name, key) exists; *made tells.  `overwrite` puts
 * an existing completed, failed or cancelled one back to pending with the new params.
 */
int queue_spawn(struct queue *q, const char *name, const char *key, const char *params,
                int priority, int max_retries, int overwrite, int *made, struct err *e);
/* Claim the best pending task with run_after <= now: highest priority, then smallest
 * order_by (see queue_spawn's key: group names sort by time).  -EAGAIN: none. */
int queue_claim(struct queue *q, const char *worker, struct task *out, struct err *e);
int queue_complete(struct queue *q, const char *id, int64_t fence, const char *result,
                   struct err *e);
/* retry: back to pending after delay_s while retry_count < max_retries, else failed. */
int queue_fail(struct queue *q, const char *id, int64_t fence, const char *error,
               int retry, double delay_s, struct err *e);
/* Hand back, retry_count unchanged, not before delay_s from now. */
int queue_release(struct queue *q, const char *id, int64_t fence, double delay_s,
                  struct err *e);
int queue_heartbeat(struct queue *q, const char *id, int64_t fence, struct err *e);
/* At start: tasks left `claimed` by a dead daemon go back to pending.  *n counts them. */
int queue_recover(struct queue *q, size_t *n, struct err *e);
/* Status of (name, key); -ENOENT. */
int queue_status(struct queue *q, const char *name, const char *key, struct task *out,
                 struct err *e);
/* Every task of this name in key order; fn borrows it and may not call the queue. */
typedef void queue_each_fn(void *arg, const struct task *task);
int queue_each(struct queue *q, const char *name, queue_each_fn *fn, void *arg,
               struct err *e);
/* Number of tasks in a state; seconds until the next pending one is due (< 0: none). */
int queue_count(struct queue *q, const char *status, size_t *n, struct err *e);
int queue_next_due(struct queue *q, double *in_s, struct err *e);
/* Number of pending tasks that are claimed before this pending one, due or not. */
int queue_ahead(struct queue *q, const struct task *task, size_t *n, struct err *e);

#endif
