/*
 * outcome.h: how a task ended, as its worker process says it and the crew reads it.
 */
#ifndef WATCHERD_BASE_OUTCOME_H
#define WATCHERD_BASE_OUTCOME_H

#define OUTCOME_DONE    "done"    /* published by this process */
#define OUTCOME_SKIPPED "skipped" /* a complete product was there */
#define OUTCOME_BUSY    "busy"    /* somebody else holds the claim */
#define OUTCOME_LOST    "lost"    /* somebody else took it over */
#define OUTCOME_STOPPED "stopped" /* by SIGTERM; handed back */
#define OUTCOME_BAD     "bad"     /* the data's fault: trying again is useless */
#define OUTCOME_MACHINE "machine" /* disk full, no permission: the machine's fault */
#define OUTCOME_FAILED  "failed"  /* anything else: worth another attempt */

#endif
