/*
 * crew.h: claims tasks and has them worked on; the same in the daemon and in a worker service.
 *
 * There are so many slots; each holds one task and one process.  One round at a time goes
 * to the store, with everything that has gathered meanwhile: ends, finished steps, a sign
 * of life for all tasks, a claim for the free slots; a busy crew therefore pays for one
 * commit a round, not one a task.
 *
 * Promises: a task whose end was not accepted by the store is told again until it is; a
 * task that was lost or cancelled (by an operator's SQL, too) has its processes killed;
 * when the crew has stopped nothing of it is `claimed`, unless the store did not answer:
 * then its lease ends it.
 */
#ifndef WATCHERD_CREW_CREW_H
#define WATCHERD_CREW_CREW_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "core/store/queue.h"
#include "watcherd/crew/pool.h"

struct conf;
struct crew; /* defined in crew.c */
struct store;

/* What the end of a task means for it. */
enum crew_how { CREW_DONE, CREW_FAILED, CREW_AGAIN, CREW_CANCELLED, CREW_LOST };

struct crew_opts {
    uv_loop_t *loop;
    struct store *store;
    const struct conf *conf; /* borrowed, read at each use */
    const char *settings;    /* file for the worker processes */
    const char *program;     /* of the worker processes; NULL: see pool.h */
    const char *name;        /* the middle of the worker's id "host:name:pid" */
    long slots;
    bool once; /* a full disk counts as an attempt, so that there is an end */
    /* The store has accepted the end of a task (or it was lost). */
    void (*ended)(void *arg, const struct task *task, enum crew_how how);
    void (*turned)(void *arg);  /* a round is over, or a process ended */
    void (*stopped)(void *arg); /* after crew_stop: nothing is left */
    void *arg;
};

/*
 * crew_new: make one, which claims nothing yet.  *out is NULL unless the status is 0.
 * Status: 0; a negated errno: who we are is not known (owner_self), or the folder of the logs
 *   cannot be made.
 */
int crew_new(struct crew **out, const struct crew_opts *opts, struct err *e);
/* When it has stopped (or the store has), and the loop has closed its handles. */
void crew_free(struct crew *crew);

/* Begin to claim.  */
void crew_start(struct crew *crew);
/* There may be tasks; `changed`: also those in hand may have been edited. */
void crew_wake(struct crew *crew, bool changed);
/* From now on so many slots; tasks above it are worked to their end. */
void crew_scale(struct crew *crew, long slots);
/* The settings were read anew: processes are replaced. */
void crew_renew(struct crew *crew);
/* Do not claim while `reason` (borrowed until the next call) is not NULL. */
void crew_hold(struct crew *crew, const char *reason);
/* Claim nothing more; after grace_s running tasks are stopped and handed back.  May be
   called again with less. */
void crew_stop(struct crew *crew, double grace_s);

struct crew_look {
    long slots;
    size_t running; /* tasks in hand, also those whose end is not accepted yet */
    size_t untold;  /* of these: their end is not accepted yet */
    bool idle;      /* nothing in hand, and the store had nothing for us */
    /* when the store was asked last there was no pending task at all, due or not */
    bool empty;
    enum queue_mode mode; /* as the store said last */
    const char *held;     /* why nothing is claimed; NULL */
};
void crew_look(const struct crew *crew, struct crew_look *out);
void crew_each(const struct crew *crew, pool_look_fn *fn, void *arg);
/* Who we are. */
const struct queue_worker *crew_me(const struct crew *crew);

#endif
