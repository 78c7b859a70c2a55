/*
 * child.h: another program that does a part of a task's work, waited for and never left behind.
 *
 * It is the leader of a process group of its own, which is killed whole when the task is to stop
 * or its time is up.  What it inherits of the environment marks it as the task's, so whoever kills
 * our process finds it, too (locks/orphan.h).
 */
#ifndef CORE_CHILD_H
#define CORE_CHILD_H

struct err;

struct child_opts {
    const char *dir;   /* where it runs; NULL: here */
    const char *log;   /* what it says on stdout and stderr; replaced */
    double timeout_s;  /* 0: no limit */
    const char *extra; /* "NAME=value" for its environment, instead of ours; or NULL */
    int (*cancelled)(void *arg); /* asked twice a second: 1 to stop it; may be NULL */
    void *arg;
};

/*
 * child_run: run argv[0] of $PATH, and wait for its end.
 *
 * Given:  argv, ends with NULL
 * Status: 0, it ended with 0; -ENOENT there is no such program; -ETIMEDOUT it was killed after
 *         timeout_s; -ECANCELED it was killed because the task is to stop; -ECHILD it failed: the
 *         sentence has its exit code or signal and the last line that it said; other errnos: it
 *         could not be started
 */
int child_run(const char *const *argv, const struct child_opts *opts, struct err *e);

#endif
