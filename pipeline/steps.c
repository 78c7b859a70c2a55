#include "pipeline/steps.h"

#include <errno.h>

#include "core/clock.h"
#include "core/err.h"
#include "pipeline/continuum/continuum.h"

int steps_run(const struct step *step, size_t n, void *run, char *detail,
              const struct continuum_env *env, const char *what, json_t **seconds,
              struct err *e)
{
    int rc = 0;

    *seconds = json_object();
    for (size_t i = 0; rc == 0 && i < n; i++) {
        double start = clock_boot_s(), took;

        if (env->cancelled != NULL && env->cancelled(env->arg))
            return err_set(e, -ECANCELED, "%s was stopped before step %s", what,
                           step[i].name);
        detail[0] = '\0';
        rc = step[i].run(run, e);
        took = clock_boot_s() - start;
        json_object_set_new(*seconds, step[i].name, json_real(took));
        if (rc == 0 && env->step != NULL)
            env->step(env->arg, step[i].name, took, detail);
    }
    return rc;
}
