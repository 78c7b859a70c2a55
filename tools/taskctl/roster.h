/*
 * roster.h: the workers that the queue knows, and whether they live.
 */
#ifndef TASKCTL_ROSTER_H
#define TASKCTL_ROSTER_H

#include <stddef.h>

#include "locks/owner.h"
#include "tools/taskctl/ctl.h"

struct roster {
    struct queue_worker *worker; /* [n] */
    size_t n, room;
};

enum worker_life {
    WORKER_ALIVE,  /* its last sign is younger than a lease, or its process is there */
    WORKER_SILENT, /* no sign for longer, and it cannot be looked at from here */
    WORKER_GONE,   /* its process has ended, on this machine */
};

/* Ask the queue; the roster is the caller's to clear, also after a failure.  Status as
   queue_workers: ERR_STORE_DOWN when the store does not answer. */
int roster_read(struct roster *r, struct ctl *ctl, struct err *e);
void roster_clear(struct roster *r);
/* NULL: the queue does not know it. */
const struct queue_worker *roster_find(const struct roster *r, const char *id);
/* why: the evidence in words. */
enum worker_life roster_life(const struct ctl *ctl, const struct queue_worker *w,
                             double now, char why[OWNER_WHY]);
const char *roster_life_name(enum worker_life life); /* "alive", "silent", "gone" */
/* How many are alive, the tasks that these can do at the same time, and do now. */
struct roster_sum {
    size_t alive;
    int slots, running;
};
struct roster_sum roster_sum(const struct roster *r, const struct ctl *ctl, double now);
json_t *roster_json(const struct roster *r, const struct ctl *ctl, double now);
void roster_print(const struct roster *r, const struct ctl *ctl, double now, FILE *out,
                  unsigned indent);

/* The verb. */
int roster_workers(struct ctl *ctl);

#endif
