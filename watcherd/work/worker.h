/*
 * worker.h: tasks in a process of their own, so that no file can take the daemon down.
 *
 * A task comes as one JSON object on stdin, the next one when it has ended well:
 *   {"name": PIPELINE, "key": GROUP or ID, "params": {ITEMS: [PATH or GROUP...]}}
 * (names and ITEMS are those of pipeline/table.h; the params of noop: pipeline/noop/noop.h).
 * What happens goes as JSON lines to stdout:
 *   {"event": "step", "step": NAME, "took_s": 3.2, "detail": "..."}
 *   {"event": "end", "outcome": OUTCOME, "reason": SENTENCE, "path": PUBLISHED,
 *    "usage": {"user_s", "sys_s", "maxrss_kib", "in_blocks", "out_blocks", "wall_s"}}
 * OUTCOME is one of outcome.h.  The process ends with its stdin, or after a task that did
 * not end well.
 */
#ifndef WATCHERD_WORK_WORKER_H
#define WATCHERD_WORK_WORKER_H

struct conf;

/* The whole life of `watcherd-task`; returns the exit status (0 all done or skipped,
 * 65 bad, 75 busy, stopped, lost or machine, 1 failed). */
int worker_main(const struct conf *conf);

#endif
