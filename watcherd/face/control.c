#include "watcherd/face/control.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/control_client.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/mem.h"

struct client {
    struct client *next;
    struct control *control;
    uv_pipe_t pipe;
    uv_write_t write;
    char *reply; /* being written, or NULL */
    char line[CONTROL_LINE];
    size_t used;
    double heard; /* boot clock */
    bool last;    /* close when the reply has gone out */
};

struct control {
    uv_pipe_t pipe;
    control_answer_fn *answer;
    void *arg;
    struct client *clients;
    size_t nclient;
    int dir; /* O_PATH descriptor of the state directory */
    bool closing;
};

json_t *control_error(const char *fmt, ...)
{
    char text[1024];
    json_t *word, *answer = json_object();
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    word = json_string(text);
    json_object_set_new(answer, "error",
                        word != NULL ? word : json_string("a name is not UTF-8"));
    return answer;
}

/* ---- listening ---- */

/*
 * Make a listening socket and give it its name in one step, so that a client finds the old one
 * (and is refused) or the new one.  The descriptor, or a negated errno.
 */
static int listening(int dir, const char *state, struct err *e)
{
    static const char fresh[] = ".control.new";
    struct sockaddr_un a = client_address(dir, fresh);
    struct stat st;
    int fd, saved;

    if (fstatat(dir, CALL_SOCKET, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
        !S_ISSOCK(st.st_mode))
        return err_set(e, -EEXIST, "%s/%s is in the way: it is no socket", state,
                       CALL_SOCKET);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd == -1)
        return err_set(e, -errno, "cannot make a socket: %s", strerror(errno));
    unlinkat(dir, fresh, 0);
    /* The mode set before bind(2) is the file's from its first moment. */
    if (fchmod(fd, 0600) == 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0 &&
        listen(fd, 64) == 0 && renameat(dir, fresh, dir, CALL_SOCKET) == 0)
        return fd;
    saved = errno;
    unlinkat(dir, fresh, 0);
    close(fd);
    return err_set(e, -saved, "cannot listen at %s/%s: %s", state, CALL_SOCKET,
                   strerror(saved));
}

/* ---- clients ---- */

static void take_lines(struct client *cl);

static void on_client_closed(uv_handle_t *handle)
{
    struct client *cl = handle->data;
    struct client **at = &cl->control->clients;

    while (*at != cl)
        at = &(*at)->next;
    *at = cl->next;
    cl->control->nclient--;
    free(cl->reply);
    free(cl);
}

static void drop(struct client *cl)
{
    if (!uv_is_closing((uv_handle_t *)&cl->pipe))
        uv_close((uv_handle_t *)&cl->pipe, on_client_closed);
}

static void on_alloc(uv_handle_t *handle, size_t hint, uv_buf_t *buf)
{
    struct client *cl = handle->data;

    (void)hint;
    buf->base = cl->line + cl->used;
    buf->len = sizeof cl->line - cl->used;
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct client *cl = stream->data;

    (void)buf;
    if (n < 0) {
        drop(cl);
        return;
    }
    cl->heard = clock_boot_s();
    cl->used += (size_t)n;
    take_lines(cl);
}

static void on_written(uv_write_t *req, int status)
{
    struct client *cl = req->data;

    free(cl->reply);
    cl->reply = NULL;
    if (status != 0 || cl->last)
        drop(cl);
    else if (!uv_is_closing((uv_handle_t *)&cl->pipe))
        take_lines(cl);
}

/* Send an answer, which is consumed. */
static void reply(struct client *cl, json_t *answer)
{
    char *text = mem_must(json_dumps(answer, JSON_COMPACT | JSON_ENSURE_ASCII));
    size_t n = strlen(text);
    uv_buf_t buf;

    json_decref(answer);
    cl->reply = text;
    cl->reply[n] = '\n'; /* in place of the NUL: what goes out is a line */
    buf = uv_buf_init(cl->reply, (unsigned)n + 1);
    uv_read_stop((uv_stream_t *)&cl->pipe);
    if (uv_write(&cl->write, (uv_stream_t *)&cl->pipe, &buf, 1, on_written) != 0)
        drop(cl);
}

static json_t *answer_line(struct client *cl, size_t len)
{
    json_error_t why;
    json_t *answer, *request = json_loadb(cl->line, len, JSON_REJECT_DUPLICATES, &why);

    if (request == NULL)
        answer = control_error("the request is not JSON: %s", why.text);
    else if (!json_is_object(request))
        answer = control_error("the request is not a JSON object");
    else
        answer = cl->control->answer(cl->control->arg, request);
    json_decref(request);
    return answer;
}

/* Answer the first whole line that waits, or read on. */
static void take_lines(struct client *cl)
{
    char *end = memchr(cl->line, '\n', cl->used);

    if (end != NULL) {
        size_t len = (size_t)(end - cl->line) + 1;
        json_t *answer = answer_line(cl, len - 1);

        cl->used -= len;
        memmove(cl->line, cl->line + len, cl->used);
        reply(cl, answer);
    } else if (cl->used == sizeof cl->line) {
        cl->last = true;
        reply(cl, control_error("the request is longer than %d bytes", CONTROL_LINE));
    } else {
        uv_read_start((uv_stream_t *)&cl->pipe, on_alloc, on_read);
    }
}

static void make_room(struct control *c)
{
    struct client *silent = NULL;

    for (struct client *cl = c->clients; cl != NULL; cl = cl->next)
        if (!uv_is_closing((uv_handle_t *)&cl->pipe) &&
            (silent == NULL || cl->heard < silent->heard))
            silent = cl;
    if (c->nclient >= CONTROL_CLIENTS && silent != NULL)
        drop(silent);
}

static void on_connection(uv_stream_t *server, int status)
{
    struct control *c = server->data;
    struct client *cl;

    if (status != 0)
        return;
    make_room(c);
    cl = mem_calloc(1, sizeof *cl);
    cl->control = c;
    cl->next = c->clients;
    c->clients = cl;
    c->nclient++;
    cl->heard = clock_boot_s();
    uv_pipe_init(server->loop, &cl->pipe, 0);
    cl->pipe.data = cl->write.data = cl;
    if (uv_accept(server, (uv_stream_t *)&cl->pipe) != 0)
        drop(cl);
    else
        take_lines(cl);
}

/* ---- the socket's life ---- */

int control_new(struct control **out, uv_loop_t *loop, const char *state,
                control_answer_fn *answer, void *arg, struct err *e)
{
    struct control *c;
    int dir = client_open_dir(state, e), fd, rc;

    *out = NULL;
    if (dir < 0)
        return dir;
    fd = listening(dir, state, e);
    if (fd < 0) {
        close(dir);
        return fd;
    }
    c = mem_calloc(1, sizeof *c);
    c->answer = answer;
    c->arg = arg;
    c->dir = dir;
    uv_pipe_init(loop, &c->pipe, 0);
    c->pipe.data = c;
    *out = c;
    rc = uv_pipe_open(&c->pipe, fd);
    if (rc != 0)
        close(fd);
    else
        rc = uv_listen((uv_stream_t *)&c->pipe, 64, on_connection);
    return rc == 0 ? 0
                   : err_set(e, rc, "cannot listen at %s/%s: %s", state, CALL_SOCKET,
                             uv_strerror(rc));
}

void control_close(struct control *c)
{
    if (c == NULL || c->closing)
        return;
    c->closing = true;
    unlinkat(c->dir, CALL_SOCKET, 0);
    for (struct client *cl = c->clients; cl != NULL; cl = cl->next)
        drop(cl);
    if (!uv_is_closing((uv_handle_t *)&c->pipe))
        uv_close((uv_handle_t *)&c->pipe, NULL);
}

void control_free(struct control *c)
{
    if (c == NULL)
        return;
    assert(c->clients == NULL);
    close(c->dir);
    free(c);
}
