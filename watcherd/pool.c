#include "watcherd/pool.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/queue.h"

enum { LINE_MAX_BYTES = 65536 };

struct job {
    struct job *next;
    struct pool *pool;
    struct task task;
    uv_process_t process;
    uv_pipe_t in, out;
    uv_write_t write;
    char *params; /* what is written to stdin */
    char line[LINE_MAX_BYTES];
    size_t used;
    json_t *last; /* the line with event "end" */
    int open_handles;
    bool exited, running;
    char step[32];           /* the last one that it said it had finished */
    double started, stepped; /* boot clock */
    int64_t status;
    int sig;
};

struct pool {
    struct pool_opts opts;
    struct job *jobs;
    size_t running;
};

struct pool *pool_new(const struct pool_opts *opts)
{
    struct pool *pool = calloc(1, sizeof *pool);

    assert(pool != NULL);
    pool->opts = *opts;
    return pool;
}

void pool_free(struct pool *pool)
{
    assert(pool == NULL || pool->jobs == NULL);
    free(pool);
}

size_t pool_running(const struct pool *pool)
{
    return pool->running;
}

void pool_each(const struct pool *pool, void (*fn)(void *arg, const struct task *task),
               void *arg)
{
    for (const struct job *job = pool->jobs; job != NULL; job = job->next)
        if (job->running)
            fn(arg, &job->task);
}

void pool_each_look(const struct pool *pool, pool_look_fn *fn, void *arg)
{
    for (const struct job *job = pool->jobs; job != NULL; job = job->next) {
        struct pool_look look = {.task = &job->task,
                                 .pid = (int)job->process.pid,
                                 .started = job->started,
                                 .step = job->step,
                                 .stepped = job->stepped};

        if (job->running)
            fn(arg, &look);
    }
}

void pool_signal(struct pool *pool, int sig)
{
    for (struct job *job = pool->jobs; job != NULL; job = job->next)
        if (job->running && !job->exited)
            uv_process_kill(&job->process, sig);
}

static void job_free(struct job *job)
{
    struct job **at = &job->pool->jobs;

    while (*at != job)
        at = &(*at)->next;
    *at = job->next;
    json_decref(job->last);
    task_clear(&job->task);
    free(job->params);
    free(job);
}

/* The end of a worker is known when it was reaped and its output was read to the end. */
static void job_ended(struct job *job)
{
    struct pool *pool = job->pool;
    const char *outcome = "failed", *reason = NULL;
    char how[128];

    if (job->last != NULL) {
        const char *o = json_string_value(json_object_get(job->last, "outcome"));

        outcome = o != NULL ? o : outcome;
        reason = json_string_value(json_object_get(job->last, "reason"));
    }
    if (reason == NULL || (job->last == NULL && reason[0] == '\0')) {
        if (job->sig != 0)
            snprintf(how, sizeof how, "the worker was ended by signal %d (%s)",
                     job->sig, strsignal(job->sig));
        else
            snprintf(how, sizeof how, "the worker ended with status %lld and no word",
                     (long long)job->status);
        reason = how;
    }
    job->running = false;
    pool->running--;
    pool->opts.ended(pool->opts.arg, &job->task, outcome, reason, job->last);
}

static void on_closed(uv_handle_t *handle)
{
    struct job *job = handle->data;

    if (--job->open_handles > 0)
        return;
    if (job->running)
        job_ended(job);
    job_free(job);
}

static void close_once(uv_handle_t *handle)
{
    if (!uv_is_closing(handle))
        uv_close(handle, on_closed);
}

static void on_exit_cb(uv_process_t *process, int64_t status, int sig)
{
    struct job *job = process->data;

    job->exited = true;
    job->status = status;
    job->sig = sig;
    close_once((uv_handle_t *)&job->process);
    close_once((uv_handle_t *)&job->in);
}

static void take_line(struct job *job, size_t len)
{
    json_t *line = json_loadb(job->line, len, 0, NULL);
    const char *event = json_string_value(json_object_get(line, "event"));
    const char *step = json_string_value(json_object_get(line, "step"));

    if (step != NULL) {
        snprintf(job->step, sizeof job->step, "%s", step);
        job->stepped = clock_boot_s();
    }
    if (event != NULL) {
        job->pool->opts.said(job->pool->opts.arg, &job->task, line);
        if (strcmp(event, "end") == 0) {
            json_decref(job->last);
            job->last = json_incref(line);
        }
    }
    json_decref(line);
}

static void on_alloc(uv_handle_t *handle, size_t hint, uv_buf_t *buf)
{
    struct job *job = handle->data;

    (void)hint;
    if (job->used == sizeof job->line)
        job->used = 0; /* a line that long is none of ours */
    buf->base = job->line + job->used;
    buf->len = sizeof job->line - job->used;
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct job *job = stream->data;
    char *end;

    (void)buf;
    if (n < 0) {
        close_once((uv_handle_t *)&job->out);
        return;
    }
    job->used += (size_t)n;
    while ((end = memchr(job->line, '\n', job->used)) != NULL) {
        size_t len = (size_t)(end - job->line) + 1;

        take_line(job, len - 1);
        job->used -= len;
        memmove(job->line, job->line + len, job->used);
    }
}

static void on_written(uv_write_t *req, int status)
{
    struct job *job = req->data;

    (void)status; /* a worker that does not read has ended, and says so by that */
    close_once((uv_handle_t *)&job->in);
}

static char *task_json(const struct task *task)
{
    json_t *params = json_loads(task->params != NULL ? task->params : "{}", 0, NULL);
    json_t *all =
        json_pack("{s:s, s:s, s:s, s:o}", "id", task->id, "name", task->name, "key",
                  task->key, "params", params != NULL ? params : json_object());
    char *text = all != NULL ? json_dumps(all, JSON_COMPACT) : NULL;

    json_decref(all);
    return text;
}

static int copy_task(struct task *to, const struct task *from)
{
    *to = *from;
    to->params = from->params != NULL ? strdup(from->params) : NULL;
    return 0;
}

int pool_start(struct pool *pool, const struct task *task, struct err *e)
{
    char *args[] = {"watcherd", "worker", "-c", (char *)pool->opts.conf_path, NULL};
    struct job *job = calloc(1, sizeof *job);
    uv_stdio_container_t io[3];
    uv_process_options_t po = {.file = "/proc/self/exe",
                               .args = args,
                               .stdio = io,
                               .stdio_count = 3,
                               .exit_cb = on_exit_cb};
    uv_buf_t buf;
    int rc;

    assert(job != NULL);
    job->pool = pool;
    job->next = pool->jobs;
    pool->jobs = job;
    copy_task(&job->task, task);
    uv_pipe_init(pool->opts.loop, &job->in, 0);
    uv_pipe_init(pool->opts.loop, &job->out, 0);
    job->in.data = job->out.data = job->process.data = job->write.data = job;
    io[0].flags = UV_CREATE_PIPE | UV_READABLE_PIPE;
    io[0].data.stream = (uv_stream_t *)&job->in;
    io[1].flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE;
    io[1].data.stream = (uv_stream_t *)&job->out;
    io[2].flags = UV_INHERIT_FD;
    io[2].data.fd = 2;
    job->open_handles = 3;
    rc = uv_spawn(pool->opts.loop, &job->process, &po);
    job->params = task_json(task);
    if (rc != 0 || job->params == NULL) {
        close_once((uv_handle_t *)&job->process);
        close_once((uv_handle_t *)&job->in);
        close_once((uv_handle_t *)&job->out);
        return err_set(e, rc != 0 ? rc : -EINVAL, "cannot start a worker: %s",
                       rc != 0 ? uv_strerror(rc) : "the task is not UTF-8");
    }
    job->running = true;
    job->started = clock_boot_s();
    pool->running++;
    buf = uv_buf_init(job->params, (unsigned)strlen(job->params));
    uv_write(&job->write, (uv_stream_t *)&job->in, &buf, 1, on_written);
    uv_read_start((uv_stream_t *)&job->out, on_alloc, on_read);
    return 0;
}
