#include "watcherd/base/tasklog.h"

#include <assert.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/mem.h"

static const char cut[] = "\n[cut: [workers] log_max_kib]\n";

struct tasklog {
    uv_work_t work;
    uv_loop_t *loop;
    char path[PATH_MAX], title[128];
    size_t max_bytes, taken;
    bool started, full, ending, busy;
    int fd; /* these three are the working thread's while it is busy */
    char *out;
    size_t nout;
    char *next; /* gathered meanwhile */
    size_t nnext, room;
};

struct tasklog *tasklog_new(uv_loop_t *loop, const char *path, const char *title,
                            size_t max_bytes)
{
    struct tasklog *log = mem_calloc(1, sizeof *log);

    log->loop = loop;
    log->work.data = log;
    log->max_bytes = max_bytes;
    log->fd = -1;
    snprintf(log->path, sizeof log->path, "%s", path);
    snprintf(log->title, sizeof log->title, "%s", title);
    return log;
}

static void tasklog_free(struct tasklog *log)
{
    if (log->fd != -1)
        close(log->fd);
    free(log->next);
    free(log);
}

static void write_all(int fd, const char *data, size_t n)
{
    ssize_t m;

    while (n > 0 && (m = write(fd, data, n)) > 0) {
        data += m;
        n -= (size_t)m;
    }
}

/* A log that cannot be written is no reason to fail anything. */
static void write_out(uv_work_t *work)
{
    struct tasklog *log = work->data;
    size_t size, room;
    struct stat st;

    if (log->fd == -1)
        log->fd = open(log->path,
                       O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (log->fd == -1 || fstat(log->fd, &st) != 0)
        return;
    size = (size_t)st.st_size;
    room = size < log->max_bytes ? log->max_bytes - size : 0;
    write_all(log->fd, log->out, log->nout < room ? log->nout : room);
    if (log->nout > room && size <= log->max_bytes)
        write_all(log->fd, cut, sizeof cut - 1);
}

static void flush(struct tasklog *log);

static void on_written(uv_work_t *work, int status)
{
    struct tasklog *log = work->data;

    (void)status;
    free(log->out);
    log->busy = false;
    flush(log);
}

static void flush(struct tasklog *log)
{
    if (log->busy)
        return;
    if (log->nnext == 0) {
        if (log->ending)
            tasklog_free(log);
        return;
    }
    log->out = log->next;
    log->nout = log->nnext;
    log->next = NULL;
    log->nnext = log->room = 0;
    log->busy = uv_queue_work(log->loop, &log->work, write_out, on_written) == 0;
    assert(log->busy);
}

static void gather(struct tasklog *log, const char *data, size_t n)
{
    if (log->nnext + n > log->room) {
        log->room = 2 * log->room + n;
        log->next = mem_realloc(log->next, log->room);
    }
    memcpy(log->next + log->nnext, data, n);
    log->nnext += n;
}

void tasklog_put(struct tasklog *log, const char *data, size_t n)
{
    if (log == NULL || n == 0 || log->full)
        return;
    if (!log->started) {
        log->started = true;
        gather(log, log->title, strlen(log->title));
        log->taken = strlen(log->title);
    }
    if (n > log->max_bytes - log->taken) {
        n = log->max_bytes - log->taken + 1; /* one too many tells the writer */
        log->full = true;
    }
    gather(log, data, n);
    log->taken += n;
    flush(log);
}

void tasklog_end(struct tasklog *log)
{
    if (log == NULL)
        return;
    log->ending = true;
    flush(log);
}
