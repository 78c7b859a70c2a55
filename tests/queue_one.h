/*
 * queue_one.h: a turn of the queue for one task, as tests and benches want it.
 */
#ifndef TESTS_QUEUE_ONE_H
#define TESTS_QUEUE_ONE_H

#include <errno.h>
#include <string.h>

#include "core/err.h"
#include "core/store/queue.h"

/* queue_spawn of one; *made (may be NULL): it was made, or put back. */
static inline int spawn_one(struct queue *q, struct task_spec spec, bool *made,
                            struct err *e)
{
    int rc = queue_spawn(q, &spec, 1, e);

    if (made != NULL)
        *made = rc == 0 && spec.made;
    return rc;
}

/* Claim one; -EAGAIN: none is due, or the queue is paused. */
static inline int claim_one(struct queue *q, const char *worker, double lease_s,
                            struct task *out, struct err *e)
{
    struct queue_turn turn = {
        .worker = worker, .want = 1, .lease_s = lease_s, .got = out};
    int rc;

    memset(out, 0, sizeof *out);
    rc = queue_turn(q, &turn, e);
    return rc == 0 && turn.ngot == 0 ? err_set(e, -EAGAIN, "no task is due") : rc;
}

/* End one; ERR_LOST_TASK as a failure. */
static inline int end_one(struct queue *q, struct task_end *end, struct err *e)
{
    struct queue_turn turn = {.worker = "", .end = end, .nend = 1};
    int rc = queue_turn(q, &turn, e);

    return rc != 0 ? rc : end->rc;
}

#endif
