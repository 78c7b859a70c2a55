/*
 * ingest.h: the thread that looks at the watched file systems, so that one that hangs (a hard
 * NFS mount whose server is gone) stops neither signals nor operators nor the workers.
 *
 * It owns a struct watch and a struct settle: nobody else touches them between ingest_start and
 * ingest_stop.  What they tell comes to the loop as a list, in order; what others want of them
 * is asked of the thread, which answers later.
 *
 *     ingest_new(&ing, &opts, e);  roots_open(..., ingest_watch(ing), ...);
 *     ingest_start(ing, e);        opts.news and opts.notice are called from the loop
 *     ingest_stop(ing, 1);         then close the loop's handles and run it once
 *     ingest_free(ing);
 *
 * All functions are the loop's: call them from its thread.
 */
#ifndef WATCHERD_FILES_INGEST_H
#define WATCHERD_FILES_INGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "watcherd/base/thread.h"
#include "watcherd/files/settle.h"
#include "watcherd/files/watch.h"

struct ingest; /* defined in ingest.c */

struct ingest_opts {
    uv_loop_t *loop;
    struct watch_opts watch; /* dirty, notice and arg are ingest's: leave them out */
    struct settle_opts settle;
    settle_news_fn *news;
    watch_notice_fn *notice;
    void (*woke)(void *arg); /* news were told, or (every_round) a round is over */
    /* The file systems have not answered for s; 0: they do again.  Once each. */
    void (*stuck)(void *arg, double s);
    void *arg;
    /* 0 means WATCHERD_STUCK_AFTER_S in the environment, else 10 */
    double stuck_after_s;
    bool by_directory; /* settle_by_directory, with the watcher */
    bool every_round;  /* wake the loop and count anew after each round: for --once */
};

/* Status: 0; what side_new or watch_new said. */
int ingest_new(struct ingest **out, const struct ingest_opts *opts, struct err *e);
/* Status: 0; what side_start said. */
int ingest_start(struct ingest *ing, struct err *e);

/*
 * ingest_stop: end the thread; what was not told yet is dropped, a restart finds it again.
 * Status: 0; -ETIMEDOUT it hangs in a system call and is left there.  It then still uses the
 *   struct watch, the settle and what calls under way point to; those must stay until _exit().
 *   Whoever waits for the process may have to wait for the kernel to let the thread go.
 */
int ingest_stop(struct ingest *ing, double wait_s);
/* After ingest_stop and when the loop has closed its handles.  Leaves a thread that hangs
   alone. */
void ingest_free(struct ingest *ing);

/* The watcher, for roots_open before ingest_start. */
struct watch *ingest_watch(struct ingest *ing);

/* Tell the loop's callbacks now what the thread has put into the list. */
void ingest_deliver(struct ingest *ing);
/* Tell nothing until further notice; the thread looks on, until its list is full. */
void ingest_wait(struct ingest *ing, bool yes);

/*
 * A side_job (base/thread.h says who owns it) that is given watch and settle.  The caller sets
 * job.done, job.free and run.
 */
struct ingest_call {
    struct side_job job;
    void (*run)(struct ingest_call *call, struct watch *watch, struct settle *settle);
};
/* Have it run after the round under way; job.done is called after wait_s at the latest. */
void ingest_ask(struct ingest *ing, struct ingest_call *call, double wait_s);

/* The state of things without asking the thread: at most 0.1 s old, unless it hangs. */
struct ingest_look {
    struct watch_stats watch;
    struct settle_stats settle;
    double last_event; /* boot clock: anything about a file */
    double stuck_s;    /* the file systems have not answered for so long; 0: they do */
    bool scanned;      /* the first scan is over */
    bool idle; /* waits for events or a time to come, and everything has been told */
};
void ingest_look(struct ingest *ing, struct ingest_look *out);

#endif
