/*
 * job.h: one task of any pipeline: skip what is there, claim, make, publish, note.
 */
#ifndef WATCHERD_WORK_JOB_H
#define WATCHERD_WORK_JOB_H

#include <jansson.h>
#include <limits.h>

struct conf;
struct err;
struct pipeline;
struct work;

struct job {
    const struct conf *conf;
    const struct pipeline *pipeline;
    const struct work *work; /* its code */
    const char *key;
    json_t *params;
    void (*step)(void *arg, const char *step, double took_s, const char *detail);
    int (*cancelled)(void *arg); /* told to stop from outside */
    void *arg;
    char published[PATH_MAX]; /* filled: the product, or empty */
};

/*
 * job_run: do the task.  A pipeline without products neither claims nor publishes.
 *
 * Given:    all of job but the last
 * Returned: *outcome, the word for how it ended (outcome.h); job->published
 * Status:   0 made, 1 skipped (e->text is empty); else what outcome says, as an errno or ERR_*
 */
int job_run(struct job *job, const char **outcome, struct err *e);

#endif
