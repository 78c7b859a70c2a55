/*
 * step.h: the numbered points at which a test can end or stop a process.
 *
 * lock_step stands before every system call that changes a lock directory.  With
 * WATCHERD_CRASH_AT=n in the environment the n-th call of the process ends it at once
 * (exit code 86, nothing flushed, as kill -9 would); with WATCHERD_STOP_AT=n it raises
 * SIGSTOP there.  Without either it costs one comparison.
 */
#ifndef LOCKS_STEP_H
#define LOCKS_STEP_H

enum { LOCK_CRASH_EXIT = 86 };

void lock_step(void);
/* Read the environment anew at the next step: for a test's forked child. */
void lock_step_restart(void);

#endif
