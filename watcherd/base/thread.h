/*
 * thread.h: threads beside the loop, for what may hang: a file system, a database.
 *
 * A `struct side` is one such thread with its list of jobs.  The loop hands jobs over and never
 * waits for them.  A job is the first member of a struct on the heap that holds all that it
 * needs. From side_post or side_ask on it belongs to the side, whatever happens, and the side
 * calls
 *
 *     run     on the thread: once, or again for as long as it returns SIDE_AGAIN
 *     done    on the loop, once, with what came of it
 *     free    last, when neither thread nor loop uses the job any more
 *
 * What done is given, with a sentence unless it is 0:
 *
 *     what run returned
 *     -ETIMEDOUT      an asked job had not begun by its deadline, and never will
 *     -EINPROGRESS    an asked job has begun and still runs: leave alone what run writes
 *     -ECANCELED      the side was stopped before the job began
 *
 * A job in which the thread hangs when the side is stopped gets no done; if the thread comes
 * back after all, it frees the job.
 */
#ifndef WATCHERD_BASE_THREAD_H
#define WATCHERD_BASE_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <time.h>
#include <uv.h>

#include "core/err.h"

struct side; /* defined in thread.c */

/* What run may return: put the job back to the front of the list.  Far from any status. */
enum { SIDE_AGAIN = 1 };

struct side_job {
    /* `arg` is side_opts'.  Status: whatever done is to be given; SIDE_AGAIN. */
    int (*run)(struct side_job *job, void *arg, struct err *e);
    /* rc: what run returned, -ETIMEDOUT, -EINPROGRESS or -ECANCELED, see above. */
    void (*done)(struct side_job *job, int rc, const struct err *e);
    /* Called from the loop, or from the thread when the loop is gone.  NULL: done frees the
       job, which is possible only for one that is posted. */
    void (*free)(struct side_job *job);
    struct side_job *next; /* this and all that follows is the side's */
    struct err err;
    double asked_at, until; /* boot clock; until 0: it was posted */
    int rc;
    bool told; /* done has been called while it still runs */
};

struct side_opts {
    uv_loop_t *loop;
    /*
     * On the thread, over and over until the side is stopped: side_run, then side_rest, and
     * what the room does between jobs.  NULL: only jobs.
     */
    void (*round)(void *arg);
    void (*end)(void *arg); /* on the thread, last; may be NULL */
    void (*woke)(
        void *arg); /* on the loop, after side_tell and before any done; may be NULL */
    void *arg;
    const char *what; /* "the store has": begins "... not answered for 1.2 s" */
    const char *busy; /* said instead when the thread is late and alive; may be NULL */
};

/* ---- the loop's side ---- */

/*
 * side_new: everything but the thread.  *out is side_free's once the loop has closed the
 * handles.
 * Status: 0; a negated errno with a sentence when the process has too many descriptors.
 */
int side_new(struct side **out, const struct side_opts *opts, struct err *e);
/* Status: 0; what pthread_create said, with a sentence. */
int side_start(struct side *s, struct err *e);

/* Have it run after all others, however long that takes. */
void side_post(struct side *s, struct side_job *job);
/*
 * Have it run before those that were posted, and be told of it after wait_s at the latest; at
 * once when the thread has hung for longer than that already.  Needs job->free.
 */
void side_ask(struct side *s, struct side_job *job, double wait_s);
/* Do not even try: done is given e->code, a negated errno or an ERR_* code, and its sentence,
   from the loop like any other. */
void side_refuse(struct side *s, struct side_job *job, const struct err *e);

/* The thread works and has shown no sign of life for so long; 0: it has, or rests. */
double side_hung_s(struct side *s);

/* Before the loop runs: wait until the thread has set *flag, at most wait_s.  Call it
   locked. */
void side_wait(struct side *s, const bool *flag, double wait_s);

/*
 * side_stop: end the thread after the job in hand.  All that has ended is told, and what has
 * not begun is told -ECANCELED.
 * Status: 0; -ETIMEDOUT it still hangs after wait_s and is left alone.  Then `arg` and what the
 *   job in hand points to must stay; the process may have to end by _exit, because whoever
 *   waits for it waits for the kernel to let the thread go.
 */
int side_stop(struct side *s, double wait_s);
/* Close the handles, if nobody has.  NULL is fine, for side_stop and side_free too. */
void side_close(struct side *s);
/* After side_stop, when the loop has closed the handles. */
void side_free(struct side *s);

/* ---- the thread's side ---- */

/* Run the next job.  Returns whether there was one. */
bool side_run(struct side *s);
/* Wait for a job, for the end, for something to read from fd (-1: none), or in_s (< 0:
   ever). */
void side_rest(struct side *s, int fd, double in_s);
bool side_stopping(struct side *s);
/* A sign of life, for work that is long and not stuck. */
void side_alive(struct side *s);

/* ---- both ---- */

/* Is the job one whose asker will not wait? */
bool side_asked(const struct side_job *job);
/* What the room's two sides share is guarded by the side's own mutex. */
void side_lock(struct side *s);
void side_unlock(struct side *s);
/* Locked: have `woke` called soon; wake whoever is in side_wait. */
void side_tell(struct side *s);
/* End a side_rest early. */
void side_wake(struct side *s);

/* ---- threads of other kinds ---- */

/* A condition whose pthread_cond_timedwait takes a time of thread_in. */
void thread_cond_init(pthread_cond_t *cond);
/* So many seconds from now, by the monotonic clock. */
struct timespec thread_in(double s);

#endif
