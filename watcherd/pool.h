/*
 * pool.h: worker processes, started and watched from the loop.
 */
#ifndef WATCHERD_POOL_H
#define WATCHERD_POOL_H

#include <jansson.h>
#include <stddef.h>
#include <uv.h>

struct err;
struct pool;
struct task;

struct pool_opts {
    uv_loop_t *loop;
    const char *conf_path; /* handed to every worker */
    /* A line that a worker said, parsed; borrowed. */
    void (*said)(void *arg, const struct task *task, json_t *line);
    /* A worker ended: its last word ("done", "bad", ...; see worker.h), or "failed" with how it
     * died when it had none.  `result` is the last line, or NULL; all borrowed. */
    void (*ended)(void *arg, const struct task *task, const char *outcome,
                  const char *reason, json_t *result);
    void *arg;
};

struct pool *pool_new(const struct pool_opts *opts);
/* After pool_running has become 0. */
void pool_free(struct pool *pool);

/* Start a worker on a task, which is copied.  Status: 0 or what uv_spawn said. */
int pool_start(struct pool *pool, const struct task *task, struct err *e);
size_t pool_running(const struct pool *pool);
/* Each running task. */
void pool_each(const struct pool *pool, void (*fn)(void *arg, const struct task *task),
               void *arg);
/* Each running worker: what it works on and how far it is. */
struct pool_look {
    const struct task *task;
    int pid;
    double started;   /* boot clock */
    const char *step; /* the last one it finished; "" before the first */
    double stepped;   /* when; boot clock */
};
typedef void pool_look_fn(void *arg, const struct pool_look *look);
void pool_each_look(const struct pool *pool, pool_look_fn *fn, void *arg);
/* SIGTERM or SIGKILL to all. */
void pool_signal(struct pool *pool, int sig);

#endif
