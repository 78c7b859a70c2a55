/*
 * queue_store.h: what a store of tasks has to do; for core/store/queue*.c and tests only.
 *
 * Each member does what the function queue_<member> of core/store/queue.h promises.  A
 * store's own struct begins with a struct queue.
 *
 * Contracts: see core/store/queue.h
 */
#ifndef CORE_STORE_QUEUE_STORE_H
#define CORE_STORE_QUEUE_STORE_H

#include "core/store/queue.h"

struct queue_ops {
    void (*close)(struct queue *q);
    int (*spawn)(struct queue *q, struct task_spec *spec, size_t n, struct err *e);
    int (*turn)(struct queue *q, struct queue_turn *turn, struct err *e);
    int (*beat)(struct queue *q, const struct queue_worker *me, struct task_ref *ref,
                size_t n, double lease_s, size_t *dropped, struct err *e);
    int (*bury)(struct queue *q, const char *worker, size_t *n, struct err *e);
    int (*reap)(struct queue *q, double lease_s, size_t *n, struct err *e);
    int (*put_steps)(struct queue *q, const struct task_step *step, size_t n,
                     struct err *e);
    int (*fd)(const struct queue *q);
    int (*changed)(struct queue *q, struct err *e);
    int (*each)(struct queue *q, const struct task_filter *filter, queue_each_fn *fn,
                void *arg, struct err *e);
    int (*attempts)(struct queue *q, const char *id, queue_attempt_fn *fn, void *arg,
                    struct err *e);
    int (*steps)(struct queue *q, const char *id, queue_step_fn *fn, void *arg,
                 struct err *e);
    int (*workers)(struct queue *q, queue_worker_fn *fn, void *arg, struct err *e);
    int (*counts)(struct queue *q, queue_count_fn *fn, void *arg, struct err *e);
    int (*count)(struct queue *q, enum task_status status, size_t *n, struct err *e);
    int (*next_due)(struct queue *q, double *in_s, struct err *e);
    int (*ahead)(struct queue *q, const struct task *task, size_t *n, struct err *e);
    int (*first_open)(struct queue *q, const char *name, char key[QUEUE_TEXT],
                      struct err *e);
    int (*now)(struct queue *q, double *unix_s, struct err *e);
    int (*change)(struct queue *q, enum queue_order order,
                  const struct task_filter *filter, int priority, size_t *n,
                  struct err *e);
    int (*set_mode)(struct queue *q, enum queue_mode mode, const char *reason,
                    struct err *e);
    int (*get_mode)(struct queue *q, enum queue_mode *mode, char *reason, size_t size,
                    double *since, struct err *e);
    int (*vacuum)(struct queue *q, struct err *e);
    int (*backup)(struct queue *q, const char *path, struct err *e);
};

struct queue {
    const struct queue_ops *ops;
    char where[QUEUE_TEXT];
};

/* The two stores: queue_open, queue_restore and queue_migrate for each. */
struct queue_kind {
    int (*open)(struct queue **out, const struct queue_opts *opts, struct err *e);
    int (*restore)(const struct queue_opts *opts, const char *path, struct err *e);
    int (*migrate)(const struct queue_opts *opts, bool dry, struct queue_schema *schema,
                   queue_say_fn *say, void *arg, struct err *e);
};
extern const struct queue_kind queue_sqlite, queue_pg;

/* ---- for both stores: core/store/queue.c ---- */

enum { QUEUE_KEEPS_ID = 4 }; /* shortest start of an id that a filter takes */

/* Is this a task that can be?  0, or -EINVAL with the sentence. */
int queue_check_spec(const struct task_spec *spec, struct err *e);
/* A new task_id: UUID version 7 (RFC 9562), growing from call to call in this thread.
   Status: 0; -EIO no random numbers. */
int queue_new_id(char id[QUEUE_ID], struct err *e);
/* Words of t_attempts.outcome and of t_queues.mode. */
const char *queue_outcome(enum task_how how);
bool queue_mode_by_name(const char *name, enum queue_mode *mode);

#endif
