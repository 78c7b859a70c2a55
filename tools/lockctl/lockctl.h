/*
 * lockctl.h: what the commands of lockctl share: the command line, the observer, answers.
 *
 * A command prints its answer and returns the exit status of the program.
 */
#ifndef TOOLS_LOCKCTL_LOCKCTL_H
#define TOOLS_LOCKCTL_LOCKCTL_H

#include <jansson.h>
#include <stdbool.h>

#include "locks/locklist.h"
#include "locks/observer.h"

struct err;

enum {
    EX_LOST = 76,
    EX_OPAQUE = 65
}; /* EX_PROTOCOL and EX_DATAERR: the nearest there are */

struct args {
    const char *dir, *group, *peer, *task, *state, *settings;
    char **program; /* run: what to run, ended by NULL */
    double lease_s, heartbeat_s;
    bool force, commit, foreign, relaxed;
    double timeout_s; /* an expired lock younger than this is left alone */
    double wait_s; /* cleanup: how long to watch owners that cannot be judged at once */
    long gen;      /* break: which */
    bool dry_run, json, verbose, strict;
};

/* ---- lists.c, explain.c, measure.c, hold.c ---- */
int lockctl_list(const struct args *args);
int lockctl_cleanup(const struct args *args);
int lockctl_explain(const struct args *args);
int lockctl_break(const struct args *args);
int lockctl_doctor(const struct args *args);
int lockctl_run(const struct args *args);

/* ---- shared.c ---- */

/* Say the sentence of e on standard error.  Returned: code, an exit status and no errno. */
int lockctl_fail(int code, const struct err *e);
/* The exit status for a negated errno of locks/. */
int lockctl_code(int rc);
/* An observer that knows what earlier runs on this machine saw of heartbeats. */
struct observer *lockctl_recall(const struct args *args);
/* For later runs.  Best effort: without it the next one merely starts to time anew. */
void lockctl_remember(const struct observer *obs, const struct args *args);
/* Takes the reference. */
void lockctl_print_json(json_t *json);
void lockctl_print_entry(const struct lock_entry *entry, bool verbose);

#endif
