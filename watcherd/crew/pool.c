/*
 * pool.c: see pool.h.
 *
 * The end of a process is known when it was reaped.  What it had said by then is read
 * without waiting for the end of the pipe, because something that it has left behind may
 * hold the other side open.
 */
#include "watcherd/crew/pool.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/conf.h"
#include "core/err.h"
#include "core/mem.h"
#include "core/path.h"
#include "core/store/queue.h"
#include "locks/orphan.h"
#include "locks/record.h"
#include "watcherd/base/lines.h"
#include "watcherd/base/tasklog.h"
#include "watcherd/base/outcome.h"

extern char **environ;

enum { LINE_MAX_BYTES = 65536, PIPES = 3 };

struct proc {
    struct proc *next;
    struct pool *pool;
    uv_process_t process;
    uv_pipe_t pipe[PIPES]; /* its stdin, stdout, stderr */
    uv_work_t sweep;
    struct record mark; /* only its nonce counts */
    int pid;
    int open_handles;
    long ntask;
    bool spawned, exited, swept;
    bool retired; /* gets no further task */
    int64_t status;
    int sig;

    bool busy; /* these are of the task in hand */
    struct task task;
    json_t *last;  /* the line with event "end" */
    char step[32]; /* the last one that it said it had finished */
    double started, stepped;
    struct tasklog *log;

    struct lines lines;
    char line[LINE_MAX_BYTES], err[LINE_MAX_BYTES];
};

struct pool {
    struct pool_opts opts;
    struct proc *procs;
    size_t running, processes;
    int program; /* watcherd-task, opened once; -errno */
};

/*
 * The program beside our own, unless another is asked for.  It is kept open, so that a daemon
 * that still runs while newer programs are installed starts the worker processes that it knows.
 */
static int open_program(const char *program)
{
    char path[PATH_MAX];
    ssize_t n;
    char *slash;
    int fd;

    if (program == NULL) {
        if ((n = readlink("/proc/self/exe", path, sizeof path - 16)) < 0)
            return -errno;
        path[n] = '\0';
        slash = strrchr(path, '/');
        strcpy(slash != NULL ? slash + 1 : path, "watcherd-task");
        program = path;
    }
    fd = open(program, O_PATH | O_CLOEXEC);
    return fd == -1 ? -errno : fd;
}

struct pool *pool_new(const struct pool_opts *opts)
{
    struct pool *pool = mem_calloc(1, sizeof *pool);

    pool->opts = *opts;
    pool->program = open_program(opts->program);
    return pool;
}

void pool_free(struct pool *pool)
{
    assert(pool == NULL || pool->procs == NULL);
    if (pool != NULL && pool->program >= 0)
        close(pool->program);
    free(pool);
}

size_t pool_running(const struct pool *pool)
{
    return pool->running;
}

size_t pool_processes(const struct pool *pool)
{
    return pool->processes;
}

void pool_each_look(const struct pool *pool, pool_look_fn *fn, void *arg)
{
    for (const struct proc *p = pool->procs; p != NULL; p = p->next) {
        struct pool_look look = {.task = &p->task,
                                 .pid = p->pid,
                                 .started = p->started,
                                 .step = p->step,
                                 .stepped = p->stepped};

        if (p->busy)
            fn(arg, &look);
    }
}

/* ---- the end of a task ---- */

static void task_ended(struct proc *p, const char *outcome, const char *reason)
{
    struct pool *pool = p->pool;
    struct task task = p->task;
    json_t *last = p->last;

    /* All is ready for the next task before anybody is told of this one's end. */
    p->busy = false;
    p->task = (struct task){0};
    p->last = NULL;
    pool->running--;
    tasklog_end(p->log);
    p->log = NULL;
    pool->opts.ended(pool->opts.arg, &task, outcome, reason, last);
    json_decref(last);
    task_clear(&task);
}

static const char *text_in(json_t *line, const char *key)
{
    return json_string_value(json_object_get(line, key));
}

/* The process has ended, with a word or without. */
static void task_died(struct proc *p)
{
    const char *outcome = text_in(p->last, "outcome"),
               *reason = text_in(p->last, "reason");
    long mib = p->pool->opts.conf->workers.memory_mib;
    char how[192];
    int n;

    if (outcome == NULL || reason == NULL) {
        if (p->sig != 0)
            n = snprintf(how, sizeof how, "the worker was ended by signal %d (%s)",
                         p->sig, strsignal(p->sig));
        else
            n = snprintf(how, sizeof how,
                         "the worker ended with status %lld and no word",
                         (long long)p->status);
        if (mib > 0 && (p->sig == SIGABRT || p->sig == SIGSEGV))
            snprintf(how + n, sizeof how - (size_t)n,
                     ", perhaps for want of memory: [workers] memory_mib = %ld", mib);
        outcome = OUTCOME_FAILED;
        reason = how;
    }
    task_ended(p, outcome, reason);
}

/* ---- the end of a process ---- */

static void proc_free(struct proc *p)
{
    struct proc **at = &p->pool->procs;

    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    json_decref(p->last);
    task_clear(&p->task);
    tasklog_end(p->log);
    free(p);
}

static void proc_ended(struct proc *p)
{
    if (p->open_handles > 0 || (p->spawned && !p->swept))
        return;
    p->pool->processes -= p->spawned;
    if (p->busy)
        task_died(p);
    proc_free(p);
}

static void on_closed(uv_handle_t *handle)
{
    struct proc *p = handle->data;

    p->open_handles--;
    proc_ended(p);
}

static void close_once(uv_handle_t *handle)
{
    if (!uv_is_closing(handle))
        uv_close(handle, on_closed);
}

/* No further task: it ends when it has read the end of its stdin. */
static void retire(struct proc *p)
{
    p->retired = true;
    close_once((uv_handle_t *)&p->pipe[0]);
}

/* On a thread of libuv: it waits until all that it kills is dead. */
static void sweep(uv_work_t *work)
{
    struct proc *p = work->data;

    orphan_kill(p->mark.nonce);
}

static void on_swept(uv_work_t *work, int status)
{
    struct proc *p = work->data;

    (void)status;
    p->swept = true;
    proc_ended(p);
}

static void take_lines(struct proc *p);

/* What is in a pipe now, without waiting for more. */
static size_t read_now(uv_pipe_t *pipe, char *buf, size_t size)
{
    int fd;
    ssize_t n;

    if (uv_is_closing((uv_handle_t *)pipe) ||
        uv_fileno((uv_handle_t *)pipe, &fd) != 0 || (n = read(fd, buf, size)) < 0)
        return 0;
    return (size_t)n;
}

/* A process that does not stop printing must not keep us here for ever. */
static void drain_err(struct proc *p)
{
    size_t n, all = 0;

    while (all < (1 << 20) && (n = read_now(&p->pipe[2], p->err, sizeof p->err)) > 0) {
        tasklog_put(p->log, p->err, n);
        all += n;
    }
}

static void drain_out(struct proc *p)
{
    uv_buf_t room;
    size_t n;

    while (p->busy && (room = lines_room(&p->lines)).len > 0 &&
           (n = read_now(&p->pipe[1], room.base, room.len)) > 0) {
        p->lines.used += n;
        take_lines(p);
    }
}

static void on_exit_cb(uv_process_t *process, int64_t status, int sig)
{
    struct proc *p = process->data;

    p->exited = p->retired = true;
    p->status = status;
    p->sig = sig;
    kill(-p->pid, SIGKILL); /* what it has left in its group */
    drain_out(p);
    drain_err(p);
    for (int i = 0; i < PIPES; i++)
        close_once((uv_handle_t *)&p->pipe[i]);
    close_once((uv_handle_t *)&p->process);
    p->sweep.data = p;
    p->swept = uv_queue_work(p->pool->opts.loop, &p->sweep, sweep, on_swept) != 0;
}

/* ---- what a process says ---- */

static bool ended_well(const char *outcome)
{
    return strcmp(outcome, OUTCOME_DONE) == 0 || strcmp(outcome, OUTCOME_SKIPPED) == 0;
}

static void log_step(struct proc *p, json_t *line)
{
    const char *detail = text_in(line, "detail");
    char text[512];
    int n = snprintf(text, sizeof text, "%s: %.2f s%s%.400s\n", p->step,
                     json_number_value(json_object_get(line, "took_s")),
                     detail != NULL && detail[0] != '\0' ? ": " : "",
                     detail != NULL ? detail : "");

    tasklog_put(p->log, text, (size_t)n);
}

/* After this word the worker waits for its next task, or ends: on_exit_cb. */
static void take_end(struct proc *p, json_t *line)
{
    const char *outcome = text_in(line, "outcome"), *reason = text_in(line, "reason");

    json_decref(p->last);
    p->last = json_incref(line);
    if (outcome == NULL || reason == NULL || !ended_well(outcome) || p->exited) {
        if (!p->exited)
            retire(p);
        return;
    }
    if (p->ntask >= p->pool->opts.conf->workers.max_tasks || p->retired)
        retire(p);
    drain_err(p);
    task_ended(p, outcome, reason);
}

static void take_line(struct proc *p, json_t *line)
{
    const char *event = text_in(line, "event"), *step = text_in(line, "step");

    if (p->busy && event != NULL) {
        if (step != NULL) {
            snprintf(p->step, sizeof p->step, "%s", step);
            p->stepped = clock_boot_s();
            log_step(p, line);
        }
        p->pool->opts.said(p->pool->opts.arg, &p->task, line);
        if (strcmp(event, "end") == 0)
            take_end(p, line);
    }
}

static void take_lines(struct proc *p)
{
    json_error_t why;
    json_t *line;
    int rc;

    while ((rc = lines_next(&p->lines, &line, &why)) > 0) {
        take_line(p, line);
        json_decref(line);
    }
    if (rc < 0)
        p->lines.used = 0; /* a line that long is none of ours */
}

static void on_alloc_out(uv_handle_t *handle, size_t hint, uv_buf_t *buf)
{
    struct proc *p = handle->data;

    (void)hint;
    *buf = lines_room(&p->lines);
}

static void on_out(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct proc *p = stream->data;

    (void)buf;
    if (n < 0) {
        close_once((uv_handle_t *)stream);
        return;
    }
    p->lines.used += (size_t)n;
    take_lines(p);
}

static void on_alloc_err(uv_handle_t *handle, size_t hint, uv_buf_t *buf)
{
    struct proc *p = handle->data;

    (void)hint;
    buf->base = p->err;
    buf->len = sizeof p->err;
}

static void on_err(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct proc *p = stream->data;

    (void)buf;
    if (n < 0)
        close_once((uv_handle_t *)stream);
    else if (n > 0)
        tasklog_put(p->log, p->err, (size_t)n);
}

/* ---- a process begins ---- */

/* Is it for us alone?  A worker has a mark of its own, and nothing to say to systemd. */
static bool is_ours(const char *variable)
{
    static const char *const name[] = {
        ORPHAN_TASK "=", "NOTIFY_SOCKET=", "WATCHDOG_USEC=", "WATCHDOG_PID="};

    for (size_t i = 0; i < sizeof name / sizeof name[0]; i++)
        if (strncmp(variable, name[i], strlen(name[i])) == 0)
            return true;
    return false;
}

/* Our environment and the mark, by which all that comes of this process is found again. */
static char **marked_environ(const char *mark)
{
    size_t n = 0, used = 0;
    char **env;

    while (environ[n] != NULL)
        n++;
    env = mem_calloc(n + 2, sizeof *env);
    env[used++] = (char *)mark;
    for (size_t i = 0; i < n; i++)
        if (!is_ours(environ[i]))
            env[used++] = environ[i];
    return env;
}

static int spawn(struct proc *p, struct err *e)
{
    char mark[sizeof ORPHAN_TASK + sizeof p->mark.nonce + 1];
    char *args[] = {"watcherd-task", "-c", (char *)p->pool->opts.settings, NULL};
    char program[32];
    uv_stdio_container_t io[PIPES];
    uv_process_options_t po = {.file = program,
                               .args = args,
                               .stdio = io,
                               .stdio_count = PIPES,
                               .flags = UV_PROCESS_DETACHED,
                               .exit_cb = on_exit_cb};
    int rc = record_init(&p->mark, e);

    if (rc != 0)
        return rc;
    if (p->pool->program < 0)
        return err_set(e, p->pool->program,
                       "cannot start a worker: there is no watcherd-task beside "
                       "watcherd: %s",
                       err_text(p->pool->program));
    snprintf(program, sizeof program, "/proc/self/fd/%d", p->pool->program);
    snprintf(mark, sizeof mark, "%s=%s", ORPHAN_TASK, p->mark.nonce);
    po.env = marked_environ(mark);
    for (int i = 0; i < PIPES; i++) {
        io[i].flags = UV_CREATE_PIPE | (i == 0 ? UV_READABLE_PIPE : UV_WRITABLE_PIPE);
        io[i].data.stream = (uv_stream_t *)&p->pipe[i];
    }
    rc = uv_spawn(p->pool->opts.loop, &p->process, &po);
    free(po.env);
    if (rc != 0)
        return err_set(e, rc, "cannot start a worker: %s", uv_strerror(rc));
    p->spawned = true;
    p->pool->processes++;
    p->pid = p->process.pid;
    uv_read_start((uv_stream_t *)&p->pipe[1], on_alloc_out, on_out);
    uv_read_start((uv_stream_t *)&p->pipe[2], on_alloc_err, on_err);
    return 0;
}

static struct proc *proc_new(struct pool *pool, struct err *e)
{
    struct proc *p = mem_calloc(1, sizeof *p);

    p->pool = pool;
    p->lines = (struct lines){p->line, sizeof p->line, 0};
    p->next = pool->procs;
    pool->procs = p;
    for (int i = 0; i < PIPES; i++) {
        uv_pipe_init(pool->opts.loop, &p->pipe[i], 0);
        p->pipe[i].data = p;
    }
    p->process.data = p;
    p->open_handles = PIPES + 1;
    if (spawn(p, e) == 0)
        return p;
    if (p->process.type != UV_PROCESS) /* libuv has not begun with it */
        p->open_handles--;
    else
        close_once((uv_handle_t *)&p->process);
    for (int i = 0; i < PIPES; i++)
        close_once((uv_handle_t *)&p->pipe[i]);
    return NULL;
}

static struct proc *waiting_one(struct pool *pool)
{
    struct proc *p = pool->procs;

    while (p != NULL && (p->busy || p->retired))
        p = p->next;
    return p;
}

/* ---- a task begins ---- */

struct letter {
    uv_write_t write;
    char text[];
};

static void on_written(uv_write_t *write, int status)
{
    (void)status; /* a worker that does not read has ended: on_exit_cb */
    free(write->data);
}

static struct letter *task_letter(const struct task *task)
{
    json_t *params = json_loads(task->params != NULL ? task->params : "{}", 0, NULL);
    json_t *all =
        json_pack("{s:s, s:s, s:s, s:o}", "id", task->id, "name", task->name, "key",
                  task->key, "params", params != NULL ? params : json_object());
    char *text = all != NULL ? json_dumps(all, JSON_COMPACT) : NULL;
    struct letter *letter = NULL;

    json_decref(all);
    if (text != NULL) {
        letter = mem_malloc(sizeof *letter + strlen(text) + 2);
        sprintf(letter->text, "%s\n", text);
        letter->write.data = letter;
    }
    free(text);
    return letter;
}

static void copy_task(struct task *to, const struct task *from)
{
    *to = *from;
    to->params = from->params != NULL ? mem_strdup(from->params) : NULL;
    to->result = NULL;
}

static struct tasklog *open_log(const struct proc *p)
{
    char name[QUEUE_ID + 8], path[PATH_MAX], title[160], at[32];

    snprintf(name, sizeof name, "%s.log", p->task.id);
    if (path_join(path, sizeof path, p->pool->opts.logs, name, NULL) != 0)
        return NULL;
    clock_iso(clock_wall_s(), at);
    snprintf(title, sizeof title, "== attempt %d, pid %d, %s\n",
             p->task.retry_count + 1, p->pid, at);
    return tasklog_new(p->pool->opts.loop, path, title,
                       (size_t)p->pool->opts.conf->workers.log_max_kib << 10);
}

int pool_start(struct pool *pool, const struct task *task, struct err *e)
{
    struct letter *letter;
    struct proc *p;
    uv_buf_t buf;
    int rc = path_component(task->id, "the task's id", e); /* names its log */

    if (rc != 0)
        return rc;
    letter = task_letter(task);
    if (letter == NULL)
        return err_set(e, ERR_FORMAT, "the task's name, key or params are not UTF-8");
    if ((p = waiting_one(pool)) == NULL && (p = proc_new(pool, e)) == NULL) {
        free(letter);
        return e != NULL && e->code != 0 ? e->code : -EIO;
    }
    copy_task(&p->task, task);
    p->busy = true;
    p->ntask++;
    p->step[0] = '\0';
    p->started = clock_boot_s();
    p->log = open_log(p);
    pool->running++;
    buf = uv_buf_init(letter->text, (unsigned)strlen(letter->text));
    if (uv_write(&letter->write, (uv_stream_t *)&p->pipe[0], &buf, 1, on_written) != 0)
        free(letter); /* its end will be heard of */
    return 0;
}

void pool_signal(struct pool *pool, const char *task_id, int sig)
{
    for (struct proc *p = pool->procs; p != NULL; p = p->next)
        if (p->busy && !p->exited && strcmp(p->task.id, task_id) == 0) {
            p->retired = true; /* the signal may come after the task's end */
            kill(-p->pid, sig);
        }
}

void pool_trim(struct pool *pool, size_t keep)
{
    for (struct proc *p = pool->procs; p != NULL; p = p->next) {
        if (p->busy || p->retired)
            continue;
        if (keep > 0)
            keep--;
        else
            retire(p);
    }
}

void pool_kill(struct pool *pool)
{
    for (struct proc *p = pool->procs; p != NULL; p = p->next)
        if (p->spawned && !p->exited)
            kill(-p->pid, SIGKILL);
}

void pool_renew(struct pool *pool)
{
    for (struct proc *p = pool->procs; p != NULL; p = p->next) {
        if (!p->busy && !p->retired)
            retire(p);
        p->retired = true;
    }
}
