/*
 * steps.h: a pipeline is an ordered table of steps; this runs one.
 */
#ifndef PIPELINE_STEPS_H
#define PIPELINE_STEPS_H

#include <jansson.h>
#include <stddef.h>

struct continuum_env;
struct err;

struct step {
    const char *name;
    int (*run)(void *run, struct err *e); /* 0 or what made it fail, with a sentence */
};

/*
 * steps_run: run them in order until one fails.
 *
 * Given:
 *   step[n]   the table; run is handed to each
 *   detail    where a step leaves a sentence about itself; emptied before each
 *   env       told after each step; asked before each whether to stop
 *   what      name of the group or mosaic, for sentences
 * Returned: *seconds: a new JSON object {step: wall seconds}; never NULL
 * Status: 0; the failing step's; -ECANCELED
 */
int steps_run(const struct step *step, size_t n, void *run, char *detail,
              const struct continuum_env *env, const char *what, json_t **seconds,
              struct err *e);

#endif
