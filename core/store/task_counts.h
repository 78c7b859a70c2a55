/*
 * task_counts.h: how many tasks there are of each name and status.
 */
#ifndef CORE_STORE_TASK_COUNTS_H
#define CORE_STORE_TASK_COUNTS_H

#include "core/store/queue.h"

struct task_counts {
    struct {
        char name[QUEUE_NAME];
        size_t of[TASK_STATUSES];
    } * row; /* [n], by name */
    size_t n, room;
    size_t of[TASK_STATUSES]; /* of all names */
};

/* Ask the queue.  *c is the caller's to clear, also after a failure.  Status as queue_each:
   ERR_STORE_DOWN when the store does not answer. */
int task_counts_read(struct task_counts *c, struct queue *q, struct err *e);
void task_counts_clear(struct task_counts *c);

#endif
