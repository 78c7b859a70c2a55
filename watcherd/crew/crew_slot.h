/*
 * crew_slot.h: the insides of a crew, for crew.c and crew_talk.c only.
 */
#ifndef WATCHERD_CREW_CREW_SLOT_H
#define WATCHERD_CREW_CREW_SLOT_H

#include <limits.h>

#include "core/log.h"
#include "watcherd/crew/crew.h"

enum slot_state {
    SLOT_WAITS, /* claimed; no process yet */
    SLOT_RUNS,
    SLOT_ENDED, /* its end is to be told to the store */
};

/* Why we stop a task; a later one overrules. */
enum slot_stop { STOP_NOT, STOP_GRACE, STOP_SOFT, STOP_CANCEL, STOP_HARD, STOP_LOST };

struct slot {
    struct slot *next;
    struct task task;
    enum slot_state state;
    enum slot_stop stop;
    double claimed, started, kill_at; /* boot clock; 0: not */
    bool killed;
    struct task_end end; /* points into the next three */
    char *text, *path, *usage;
    const char *outcome; /* for the log */
    enum log_level level;
};

struct crew_step {
    struct crew_step *next;
    struct task_step step; /* points into text */
    char text[];
};

struct crew {
    struct crew_opts opts;
    struct queue_worker me;
    char logs[PATH_MAX];
    struct pool *pool;
    uv_timer_t timer;
    uv_timer_cb on_timer;
    struct slot *slots;
    long nslot;
    unsigned seed;
    struct crew_step *steps, **steps_end;
    size_t nstep;
    /* claim so many more than there are slots: tasks are shorter than a round */
    size_t ahead;

    bool started;
    bool empty;     /* there was no pending task */
    bool hungry;    /* there may be tasks for us */
    bool check;     /* somebody may have edited those that we have */
    bool in_flight; /* a round is at the store */
    double beat_at, reap_at, claim_at, check_at; /* when they are due; boot clock */
    double retry_at;                             /* a round failed: not before */
    char said[256];                              /* how; said once */
    enum queue_mode mode;
    const char *held;

    int crashes; /* in a row */
    double pause_until;

    double stop_at, last_word_by, kill_by;
    bool stopping, terminated, buried, buried_done, said_last, stopped;
};

/* ---- crew.c ---- */

void crew_work(struct crew *crew);
size_t crew_count(const struct crew *crew, enum slot_state state);
/* Takes over what the task owns. */
struct slot *crew_slot_new(struct crew *crew, const struct task *task);
void crew_slot_free(struct crew *crew, struct slot *slot);
/* What was never begun: back, or cancelled as asked. */
void crew_hand_back(struct crew *crew, struct slot *s, const char *reason);
void crew_cancel_waiting(struct crew *crew, struct slot *s);
void crew_stop_task(struct crew *crew, struct slot *s, enum slot_stop why);
void crew_trim(struct crew *crew);

/* ---- crew_talk.c ---- */

/* Send to the store what there is to send.  Returns when a round is due by the clock alone. */
double crew_round(struct crew *crew, double now);
void crew_add_step(struct crew *crew, const struct task *task, const char *step,
                   const char *detail, double took_s);
void crew_drop_steps(struct crew *crew);
void crew_bury(struct crew *crew);
int crew_identity(struct queue_worker *me, const char *name, struct err *e);

#endif
