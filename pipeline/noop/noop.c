#include "pipeline/noop/noop.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/err.h"

enum { MOST_CHILDREN = 64 };

struct noop {
    const struct run_env *env;
    pid_t child[MOST_CHILDREN];
    int nchild;
};

static double number(const struct noop *n, const char *key)
{
    return json_number_value(json_object_get(n->env->params, key));
}

static bool yes(const struct noop *n, const char *key)
{
    return json_is_true(json_object_get(n->env->params, key));
}

static void say_steps(const struct noop *n)
{
    char step[16];

    for (int i = 1; i <= number(n, "steps"); i++) {
        snprintf(step, sizeof step, "step%d", i);
        n->env->step(n->env->arg, step, 0, "");
    }
}

static void print(double kib)
{
    char line[1025];

    memset(line, '.', sizeof line - 1);
    line[sizeof line - 2] = '\n';
    line[sizeof line - 1] = '\0';
    for (double i = 0; i < kib; i++)
        fputs(line, stderr);
}

static int start_child(struct noop *n, struct err *e)
{
    bool escape = n->nchild == 0 && yes(n, "escape");
    pid_t pid = fork();

    if (pid == -1)
        return err_set(e, -errno, "cannot start a child: %s", strerror(errno));
    if (pid == 0) {
        if (escape)
            setsid();
        signal(SIGTERM, SIG_IGN);
        execl("/bin/sleep", "sleep", "1000", (char *)NULL);
        _exit(127);
    }
    n->child[n->nchild++] = pid;
    return 0;
}

static int take_memory(size_t bytes, struct err *e)
{
    char *all = malloc(bytes);

    if (all == NULL)
        return err_set(e, -ENOMEM, "out of memory for %zu MiB", bytes >> 20);
    for (size_t i = 0; i < bytes; i += 4096)
        ((volatile char *)all)[i] = 1;
    free(all);
    return 0;
}

static int wait_for_end(const struct noop *n, struct err *e)
{
    const struct timespec tick = {0, 5000000};
    double until = clock_boot_s() + 1e-3 * number(n, "ms");
    bool spin = yes(n, "spin"), deaf = yes(n, "deaf");

    while (clock_boot_s() < until) {
        if (!deaf && n->env->cancelled(n->env->arg))
            return err_set(e, -ECANCELED, "told to stop");
        if (!spin)
            nanosleep(&tick, NULL);
    }
    return 0;
}

static void end_children(struct noop *n)
{
    for (int i = 0; i < n->nchild; i++) {
        kill(n->child[i], SIGKILL);
        waitpid(n->child[i], NULL, 0);
    }
}

static int end_as_told(const struct noop *n, struct err *e)
{
    const char *bad = json_string_value(json_object_get(n->env->params, "bad"));
    const char *failure = json_string_value(json_object_get(n->env->params, "fail"));

    if (yes(n, "crash"))
        raise(SIGKILL);
    if (bad != NULL)
        return err_set(e, ERR_FORMAT, "%s", bad);
    return failure != NULL ? err_set(e, -EIO, "%s", failure) : 0;
}

static int do_nothing(void *env, struct err *e)
{
    struct noop n = {.env = env};
    int rc = 0;

    say_steps(&n);
    print(number(&n, "output_kib"));
    while (rc == 0 && n.nchild < number(&n, "children") && n.nchild < MOST_CHILDREN)
        rc = start_child(&n, e);
    if (rc == 0 && number(&n, "memory_mib") > 0)
        rc = take_memory((size_t)number(&n, "memory_mib") << 20, e);
    if (rc == 0)
        rc = wait_for_end(&n, e);
    if (rc != -ECANCELED)
        end_children(&n);
    return rc == 0 ? end_as_told(&n, e) : rc;
}

/* It says its steps itself, and listens only when it is told to. */
static const struct step steps[] = {{NULL, do_nothing}};

const struct work noop_work = {.step = steps, .nstep = 1};
