/*
 * queue_json.h: what the queue knows, as JSON: one form for the programs that print it and
 * for whoever answers over a socket.
 *
 * The members have the names of the tables' columns.  Texts may hold any bytes (text_set),
 * times are "2026-11-22T01:15:16.123Z"; what is not there is null.  Each function returns a
 * reference that is the caller's.
 */
#ifndef CORE_STORE_QUEUE_JSON_H
#define CORE_STORE_QUEUE_JSON_H

#include <jansson.h>

#include "core/store/queue.h"
#include "core/store/task_counts.h"

/* `whole`: with its time limit, fence, params and result. */
json_t *task_json(const struct task *t, bool whole);
/*
 * The few members that the control socket answers with.  They have names of their own, because
 * clients read them: attempts are counted from 1, and "" stands for no error and no worker.
 */
json_t *task_brief_json(const struct task *t);
json_t *task_attempt_json(const struct task_attempt *a);
json_t *task_step_json(const struct task_step *s);

/* {"pending": N, ...}: how many of each status. */
json_t *task_totals_json(const size_t of[TASK_STATUSES]);
/* {"status": totals of all, "names": {NAME: totals, ...}} */
json_t *task_counts_json(const struct task_counts *c);

/* life, evidence: whether it lives, and how that is known, in words; now: by the store's clock,
   Unix s. */
json_t *queue_worker_json(const struct queue_worker *w, const char *life,
                          const char *evidence, double now);

#endif
