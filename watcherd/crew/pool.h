/*
 * pool.h: worker processes (`watcherd-task`), started and watched from the loop.
 *
 * A process works on one task after the other, `max_tasks` of them, and is replaced after a
 * task that did not end well. It is the leader of a session of its own: whatever it starts
 * is killed with it, also what has moved to another session (locks/orphan.h), before the
 * end of the task is told.  Its stderr, and what it says of its steps, goes to its log.
 */
#ifndef WATCHERD_CREW_POOL_H
#define WATCHERD_CREW_POOL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

struct conf;
struct err;
struct pool;
struct task;

struct pool_opts {
    uv_loop_t *loop;
    /* borrowed; max_tasks, memory_mib, log_max_kib as they are at each use */
    const struct conf *conf;
    const char *settings; /* file of settings, handed to every process */
    const char *logs;     /* folder of the tasks' logs */
    const char *program;  /* to be started; NULL: the watcherd-task beside our own */
    /* A line that a worker said, parsed; borrowed. */
    void (*said)(void *arg, const struct task *task, json_t *line);
    /* A task ended: the worker's last word ("done", "bad", ...; see outcome.h), or "failed"
     * with how it died when it had none.  `last` is the last line, or NULL; all borrowed. */
    void (*ended)(void *arg, const struct task *task, const char *outcome,
                  const char *reason, json_t *last);
    void *arg;
};

struct pool *pool_new(const struct pool_opts *opts);
/* When pool_processes has become 0 (pool_trim(pool, 0) ends those that wait). */
void pool_free(struct pool *pool);

/*
 * pool_start: have a task, which is copied, worked on.
 * Status: 0; -EINVAL the task is not UTF-8; -ENOENT there is no watcherd-task; or what
 *   uv_spawn said.  Nothing runs then, and `ended` is not called.
 */
int pool_start(struct pool *pool, const struct task *task, struct err *e);
/* A signal to the process group of a task; SIGKILL also to what has left the group. */
void pool_signal(struct pool *pool, const char *task_id, int sig);
/* End the processes that wait for a task, but for `keep` of them. */
void pool_trim(struct pool *pool, size_t keep);
/* SIGKILL to all of them. */
void pool_kill(struct pool *pool);
/* The settings have changed: each process is replaced before its next task. */
void pool_renew(struct pool *pool);

size_t pool_running(const struct pool *pool); /* tasks */
/* Also those that wait for a task, or are ending. */
size_t pool_processes(const struct pool *pool);

/* Each running task: who works on it and how far it is. */
struct pool_look {
    const struct task *task;
    int pid;
    double started;   /* boot clock */
    const char *step; /* the last one it finished; "" before the first */
    double stepped;   /* when; boot clock */
};
typedef void pool_look_fn(void *arg, const struct pool_look *look);
void pool_each_look(const struct pool *pool, pool_look_fn *fn, void *arg);

#endif
