/*
 * ctl.h: what the verbs of taskctl share: settings, options, the open queue, answers.
 *
 * A verb is a function that prints its answer and returns the exit status of the program
 * (sysexits.h); it knows core/store/queue.h and nothing of the stores behind it.
 */
#ifndef TASKCTL_CTL_H
#define TASKCTL_CTL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "core/conf.h"
#include "core/store/queue.h"
#include "tools/common/program.h"

struct err;

enum { EX_NOT_DONE = 1, CTL_MOST_HITS = 10 };

struct ctl {
    struct conf conf;
    char file[PATH_MAX]; /* of the settings */
    struct queue *q;     /* open, for verbs that want it */
    double now;          /* by the store's clock, when it was opened */
    /* the command line; what was not said is zero or what the table of options says */
    const char *settings; /* --conf */
    char **word;
    size_t nword;
    enum task_status status; /* --status; TASK_NONE: not given */
    const char *name, *key, *reason, *params, *since, *until, *columns, *sort;
    bool follow, csv, help, json, all, newest, dry_run, wait, undo, once, yes, again;
    long limit, keep, priority, retries; /* limit, keep, retries: -1 when not said */
    double older_s, silent_s, timeout_s, every_s, delay_s; /* -1 when not said */
};

/* ---- saying what went wrong ---- */

/* Exit status for a status of core/: 0 or a negative one (errno, ERR_*). */
int ctl_code(int rc);
/* Say the sentence of a failure of Status rc; hands ctl_code(rc) back. */
int ctl_fail(int rc, const struct err *e);
/* Say why the command line cannot be; EX_USAGE. */
#define ctl_wrong(...) program_wrong("taskctl", __VA_ARGS__)

/* ---- the queue ---- */

/* Open it; 0 or the exit status, which has been explained. */
int ctl_open(struct ctl *ctl);
/* Wait for news of the store, at most so long.  False when the user wants out (INT, TERM). */
bool ctl_wait(struct ctl *ctl, double s);
/* From now on INT and TERM end ctl_wait instead of the program. */
void ctl_catch_signals(void);
bool ctl_interrupted(void);
/* A line that is written over again and again, on a terminal only; "" wipes it. */
void ctl_progress(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/*
 * ctl_find: the one task that a word names: its id or the first or last characters of it (4
 * and more), NAME/KEY, or KEY. Returns 0 with *out yours (task_clear), or the exit status:
 * nothing or several match, which has been said.
 */
int ctl_find(struct ctl *ctl, const char *word, struct task *out);
/* The filter of --status, --name, --key. */
struct task_filter ctl_filter(const struct ctl *ctl);
/* "ID  NAME KEY  STATUS" of up to n tasks in a table. */
void ctl_print_tasks(FILE *out, const struct task *t, size_t n);
/* A copy with params and result of its own. */
void ctl_copy(struct task *to, const struct task *from);

/* ---- words ---- */

/* "12 min" from then to now, "-" when `then` is 0. */
const char *ctl_age(double now, double then, char out[32]);
/* Print it, and drop it; EX_OK, or EX_IOERR. */
int ctl_print_json(json_t *json);
#endif
