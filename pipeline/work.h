/*
 * work.h: how the pipelines of table.h do their work: an ordered table of steps each.
 *
 * Only a worker process needs this; it links to all that reads and writes data.
 */
#ifndef PIPELINE_WORK_H
#define PIPELINE_WORK_H

#include <jansson.h>
#include <stddef.h>

struct conf;
struct err;
struct pipeline;
struct registry;

/* What one task is given to work with; all of it borrowed. */
struct run_env {
    const struct conf *conf;
    struct registry *registry; /* where gain tables are looked up; NULL: nowhere */
    const char *scratch;       /* this generation's own directory, empty; NULL: none */
    const char *key;           /* of the task: the name of its group or product */
    const char *const *item;   /* [nitem] files of the group, or names of groups */
    size_t nitem;
    json_t *params; /* of the task */
    size_t threads; /* that a step may use, at least 1 */
    /* Told when a step has ended: its name, seconds, and a detail for people. */
    void (*step)(void *arg, const char *step, double took_s, const char *detail);
    int (*cancelled)(void *arg); /* asked between steps: 1 to stop; may be NULL */
    void *arg;
    char detail[200]; /* what the running step says of itself */
};

struct step {
    const char *name; /* NULL: it says its own steps, and asks itself whether to stop */
    /* Status: 0, or what made it fail, with a sentence. */
    int (*run)(void *run, struct err *e);
};

/* The code of a pipeline.  `run` is its own; the environment where open is NULL. */
struct work {
    const struct step *step; /* [nstep] in order: adding one is adding a row */
    size_t nstep;
    /* Status: 0 and *run, to be closed; or why not, and nothing to close. */
    int (*open)(void **run, struct run_env *env, struct err *e);
    json_t *(*meta)(const void *run); /* what the manifest says of it, a new object */
    void (*close)(void *run);
    /*
     * Say in the registries what the manifest of the published product `path` says; safe to
     * repeat.  Status: 0; -ESTALE when they know of a newer one; other failures of theirs.
     */
    int (*note)(const struct run_env *env, const char *path, json_t *manifest,
                struct err *e);
};

/* The code of a row of the table. */
const struct work *work_of(const struct pipeline *pipeline);

/*
 * work_run: one task through the steps of its pipeline, until one fails.
 *
 * Returned: scratch holds the files; *meta a new JSON object, with "seconds" {step: wall
 *           seconds}; NULL for a pipeline without products and unless 0
 * Status:   0; the failing step's: ERR_FORMAT, ERR_SHAPE, ERR_QUALITY: the data's fault,
 *           trying again is useless; -ECANCELED; -ENOMEM and other errnos
 */
int work_run(const struct work *work, struct run_env *env, json_t **meta,
             struct err *e);

#endif
