/*
 * crew_talk.h: what a crew says to the store and asks of it, in one round at a time.
 *
 * A round is made on the loop from what is known there, run on the store's thread, and its
 * answers are taken on the loop.  Never two at a time: else a sign of life, made before the
 * answer to a claim, would hand back what was just claimed.  For the same reason a sign of
 * life also names the tasks whose end is told in the same round.
 */
#ifndef WATCHERD_CREW_CREW_TALK_H
#define WATCHERD_CREW_CREW_TALK_H

#include <stdbool.h>
#include <stddef.h>

#include "watcherd/crew/crew.h"
#include "watcherd/crew/slot.h"

struct crew_talk; /* defined in crew_talk.c */

struct crew_talk_opts {
    struct store *store;
    const struct conf *conf; /* borrowed, read at each use */
    struct queue_worker *me; /* borrowed */
    struct slots *slots;     /* borrowed: claims are added, accepted ends removed */
    /* A running task was cancelled (STOP_CANCEL) or taken from us (STOP_LOST). */
    void (*stop)(void *arg, struct slot *s, enum slot_stop why);
    /* The store has accepted the end of a task, or it was lost. */
    void (*ended)(void *arg, const struct task *task, enum crew_how how);
    /* A round is over, and its answers are taken; or the burial is. */
    void (*turned)(void *arg, bool round);
    void *arg;
};

struct crew_talk *crew_talk_new(const struct crew_talk_opts *opts);
/* When no round is under way, or the store has stopped. */
void crew_talk_free(struct crew_talk *t);

/* There may be tasks for us. */
void crew_talk_hungry(struct crew_talk *t);
/* Somebody may have edited the tasks that we have. */
void crew_talk_check(struct crew_talk *t);
/* The next round is due now and is a sign of life. */
void crew_talk_beat(struct crew_talk *t);
/* A step that a task has finished goes with the next round; all is copied. */
void crew_talk_step(struct crew_talk *t, const struct task *task, const char *step,
                    const char *detail, double took_s);

/* What the crew lets a round do. */
struct crew_talk_may {
    long slots;       /* so many tasks may be in hand */
    bool stopping;    /* nothing is claimed any more, nobody is looked after */
    bool held;        /* nothing is claimed now */
    double not_until; /* nothing is claimed before; boot clock */
};
/* Send to the store what there is to send.  Returns when a round is due by the clock alone. */
double crew_talk_round(struct crew_talk *t, double now,
                       const struct crew_talk_may *may);

/* The last word: what is still ours is handed back; the store forgets us.  No rounds follow. */
void crew_talk_bury(struct crew_talk *t);

struct crew_talk_look {
    bool in_flight; /* a round is at the store */
    bool hungry;    /* there may be tasks for us */
    bool empty;     /* there was no pending task at all when the store was asked last */
    bool buried;    /* crew_talk_bury was called ... */
    bool forgotten; /* ... and is over, done or failed */
    enum queue_mode mode;
};
void crew_talk_look(const struct crew_talk *t, struct crew_talk_look *out);

#endif
