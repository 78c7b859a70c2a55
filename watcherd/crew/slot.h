/*
 * slot.h: the tasks that a crew has in hand, from their claim until their end is accepted,
 * and what the end of a worker process means for its task.
 */
#ifndef WATCHERD_CREW_SLOT_H
#define WATCHERD_CREW_SLOT_H

#include <stdbool.h>
#include <stddef.h>

#include "core/log.h"
#include "core/store/queue.h"

struct conf;

enum slot_state {
    SLOT_WAITS, /* claimed; no process yet */
    SLOT_RUNS,
    SLOT_ENDED, /* the store has not accepted its end yet */
};

/* Why we stop a task; a later reason overrules an earlier one. */
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

/* A list in the order of the claims. */
struct slots {
    struct slot *first;
    const struct conf *conf; /* borrowed; [workers] is read at each use */
    bool once; /* a full disk counts as an attempt, so that there is an end */
    unsigned seed;
};

/* Takes over what the task owns. */
struct slot *slots_add(struct slots *all, const struct task *task);
void slots_remove(struct slots *all, struct slot *s);
void slots_clear(struct slots *all);
/* The task that is held under this fence, or NULL. */
struct slot *slots_find(const struct slots *all, const char *id, int64_t fence);
size_t slots_count(const struct slots *all, enum slot_state state);

/* Seconds that the task may run before it is killed; <= 0: for ever. */
double slot_hard_limit(const struct slots *all, const struct slot *s);
/* Its process ended with that outcome (base/outcome.h; another word counts as "failed").  If we
   had stopped it ourselves, that comes first. */
void slot_end(struct slots *all, struct slot *s, const char *outcome,
              const char *reason);
/* It was never begun: it is handed back, or cancelled as an operator asked. */
void slot_hand_back(struct slots *all, struct slot *s, const char *reason);
void slot_cancel(struct slots *all, struct slot *s);
/* No process could be started for it.  It is handed back; with `once` it is an attempt. */
void slot_not_started(struct slots *all, struct slot *s, const char *reason);

#endif
