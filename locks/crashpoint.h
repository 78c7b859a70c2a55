/*
 * crashpoint.h: the points at which a test can end or stop a process, or let another go first.
 *
 * crash_step stands before every system call that changes a lock directory, crash_look before
 * every reading of what others may change meanwhile.  With WATCHERD_CRASH_AT=n in the
 * environment the n-th crash_step of the process ends it at once (exit code 86, nothing
 * flushed, as kill -9 would); with WATCHERD_STOP_AT=n it raises SIGSTOP there.  Without
 * either it costs one comparison.
 */
#ifndef LOCKS_CRASHPOINT_H
#define LOCKS_CRASHPOINT_H

enum { LOCK_CRASH_EXIT = 86 };

/* what: a word for traces; it begins with "own" when nobody else can see what the step does,
 * and ends with a question mark when it is a look. */
void crash_step(const char *what);
void crash_look(const char *what);
/* Read the environment anew at the next step: for a test's forked child. */
void crash_restart(void);
/* From now on call this at every step and look, too (tests/test_explore.c); NULL: no more. */
void crash_hook(void (*hook)(const char *what));

#endif
