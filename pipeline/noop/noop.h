/*
 * noop.h: the pipeline "noop", which makes nothing: for operators' trials of the queue and
 * its workers, and for tests.
 *
 * Its params, all optional, in the order in which they are heeded:
 *   "steps": N          say N finished steps
 *   "output_kib": N     print so much to stderr
 *   "children": N       start N processes that ignore TERM, live until they are killed, and
 *                       hold stderr open
 *   "escape": true      the first of them moves to a session of its own
 *   "memory_mib": N     take so much memory, and fail when it is not to be had
 *   "ms": N             wait so long, unless told to stop
 *   "deaf": true        while waiting, do not listen
 *   "spin": true        while waiting, use the processor
 *   "crash": true       be killed by a signal
 *   "bad": SENTENCE     end as if the data were wrong
 *   "fail": SENTENCE    end as if something had failed that is worth another attempt
 * Children are killed at the end of a task that was not told to stop; else they are left,
 * as a bad program would.
 */
#ifndef PIPELINE_NOOP_NOOP_H
#define PIPELINE_NOOP_NOOP_H

#include "pipeline/work.h"

/* Status of its step: 0; -ECANCELED told to stop; -ENOMEM; ERR_FORMAT "bad"; -EIO "fail". */
extern const struct work noop_work;

#endif
