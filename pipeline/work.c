#include "pipeline/work.h"

#include <errno.h>
#include <string.h>

#include "core/clock.h"
#include "core/err.h"
#include "pipeline/continuum/continuum.h"
#include "pipeline/noop/noop.h"
#include "pipeline/pipeline.h"

const struct work *work_of(const struct pipeline *pipeline)
{
    static const struct {
        const char *name;
        const struct work *work;
    } table[] = {
#define PIPELINE(name, input, items, folder, data_type, prefix, window, work)          \
    {name, &work},
#include "pipeline/table.h"
#undef PIPELINE
    };

    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (strcmp(table[i].name, pipeline->name) == 0)
            return table[i].work;
    return NULL;
}

static int run_step(const struct step *step, void *run, struct run_env *env,
                    json_t *seconds, struct err *e)
{
    double start = clock_boot_s(), took;
    int rc;

    if (step->name == NULL)
        return step->run(run, e);
    if (env->cancelled != NULL && env->cancelled(env->arg))
        return err_set(e, -ECANCELED, "%s was stopped before step %s", env->key,
                       step->name);
    env->detail[0] = '\0';
    rc = step->run(run, e);
    took = clock_boot_s() - start;
    json_object_set_new(seconds, step->name, json_real(took));
    if (rc == 0 && env->step != NULL)
        env->step(env->arg, step->name, took, env->detail);
    return rc;
}

int work_run(const struct work *work, struct run_env *env, json_t **meta, struct err *e)
{
    json_t *seconds;
    void *run = env;
    int rc = work->open != NULL ? work->open(&run, env, e) : 0;

    *meta = NULL;
    if (rc != 0)
        return rc;
    seconds = json_object();
    for (size_t i = 0; rc == 0 && i < work->nstep; i++)
        rc = run_step(&work->step[i], run, env, seconds, e);
    if (rc == 0 && work->meta != NULL) {
        *meta = work->meta(run);
        json_object_set(*meta, "seconds", seconds);
    }
    json_decref(seconds);
    if (work->close != NULL)
        work->close(run);
    return rc;
}
