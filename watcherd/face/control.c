#include "watcherd/face/control.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
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
#include "watcherd/base/lines.h"
#include "watcherd/face/reply.h"

/* Whoever has connected has so long to say something before it may be dropped for the next. */
enum { PATIENCE_MS = 1000 };

struct client {
    struct reply reply; /* to the request in hand */
    struct client *next;
    struct control *control;
    uv_pipe_t pipe;
    uv_write_t write;
    char *text; /* the answer that is being written, or NULL */
    struct lines lines;
    char room[CONTROL_LINE];
    double heard; /* boot clock */
    bool waits;   /* for the answer to its request */
    bool served;  /* has been answered before */
    bool last;    /* close when the answer has gone out */
    bool closed;  /* and freed when the answer has come */
};

struct control {
    uv_pipe_t pipe;
    control_answer_fn *answer;
    void *arg;
    struct client *clients;
    size_t nclient;
    int dir;    /* O_PATH descriptor of the state directory */
    bool queue; /* somebody is to be accepted when there is room */
    uv_timer_t patience;
    bool closing;
};

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

static void take_request(struct client *cl);
static void on_connection(uv_stream_t *server, int status);

static void accept_next(struct control *c)
{
    if (!c->queue || c->closing)
        return;
    c->queue = false;
    on_connection((uv_stream_t *)&c->pipe, 0);
}

/* When its pipe is closed and nobody will answer it any more. */
static void client_free(struct client *cl)
{
    struct control *c = cl->control;
    struct client **at = &c->clients;

    while (*at != cl)
        at = &(*at)->next;
    *at = cl->next;
    c->nclient--;
    free(cl->text);
    free(cl);
    accept_next(c);
}

static void on_client_closed(uv_handle_t *handle)
{
    struct client *cl = handle->data;

    cl->closed = true;
    if (!cl->waits)
        client_free(cl);
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
    *buf = lines_room(&cl->lines);
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
    cl->lines.used += (size_t)n;
    take_request(cl);
}

static void on_written(uv_write_t *req, int status)
{
    struct client *cl = req->data;

    free(cl->text);
    cl->text = NULL;
    if (status != 0 || cl->last)
        drop(cl);
    else if (!uv_is_closing((uv_handle_t *)&cl->pipe))
        take_request(cl);
    accept_next(cl->control);
}

/* A reply's send. */
static void send_answer(struct reply *r, json_t *answer)
{
    struct client *cl = (struct client *)r;
    bool gone = uv_is_closing((uv_handle_t *)&cl->pipe);
    char *text = gone ? NULL : json_dumps(answer, JSON_COMPACT | JSON_ENSURE_ASCII);
    size_t n;
    uv_buf_t buf;

    json_decref(answer);
    cl->waits = false;
    cl->served = true;
    if (cl->closed)
        client_free(cl);
    if (gone)
        return;
    n = strlen(mem_must(text));
    cl->text = mem_realloc(text, n + 1);
    cl->text[n] = '\n'; /* in place of the NUL: what goes out is a line */
    buf = uv_buf_init(cl->text, (unsigned)n + 1);
    if (uv_write(&cl->write, (uv_stream_t *)&cl->pipe, &buf, 1, on_written) != 0)
        drop(cl);
}

static void answer_request(struct client *cl, json_t *request, const char *why)
{
    if (request == NULL)
        reply_refuse(&cl->reply, "the request is not JSON: %s", why);
    else if (!json_is_object(request))
        reply_refuse(&cl->reply, "the request is not a JSON object");
    else
        cl->control->answer(cl->control->arg, &cl->reply, request);
}

/* Have the first whole line that waits answered, or read on. */
static void take_request(struct client *cl)
{
    json_t *request = NULL;
    json_error_t why;
    int rc = lines_next(&cl->lines, &request, &why);

    if (rc == 0) {
        uv_read_start((uv_stream_t *)&cl->pipe, on_alloc, on_read);
        return;
    }
    uv_read_stop((uv_stream_t *)&cl->pipe);
    cl->waits = true;
    if (rc > 0) {
        answer_request(cl, request, why.text);
    } else {
        cl->last = true;
        reply_refuse(&cl->reply, "the request is longer than %d bytes", CONTROL_LINE);
    }
    json_decref(request);
}

static bool may_be_dropped(const struct client *cl)
{
    return !cl->waits && !uv_is_closing((const uv_handle_t *)&cl->pipe) &&
           (cl->served || clock_boot_s() - cl->heard > 1e-3 * PATIENCE_MS);
}

/* Room for one more?  Whoever waits for an answer keeps its place until it has come. */
static bool make_room(struct control *c)
{
    struct client *silent = NULL;

    if (c->nclient < CONTROL_CLIENTS)
        return true;
    for (struct client *cl = c->clients; cl != NULL; cl = cl->next)
        if (may_be_dropped(cl) && (silent == NULL || cl->heard < silent->heard))
            silent = cl;
    if (silent != NULL)
        drop(silent);
    return silent != NULL;
}

static void on_patience(uv_timer_t *timer)
{
    accept_next(timer->data);
}

static void on_connection(uv_stream_t *server, int status)
{
    struct control *c = server->data;
    struct client *cl;

    if (status != 0)
        return;
    if (!make_room(c)) {
        c->queue = true; /* libuv takes no other before this one is accepted */
        uv_timer_start(&c->patience, on_patience, PATIENCE_MS, 0);
        return;
    }
    cl = mem_calloc(1, sizeof *cl);
    cl->reply.send = send_answer;
    cl->control = c;
    cl->next = c->clients;
    c->clients = cl;
    c->nclient++;
    cl->heard = clock_boot_s();
    cl->lines = (struct lines){cl->room, sizeof cl->room, 0};
    uv_pipe_init(server->loop, &cl->pipe, 0);
    cl->pipe.data = cl->write.data = cl;
    if (uv_accept(server, (uv_stream_t *)&cl->pipe) != 0)
        drop(cl);
    else
        take_request(cl);
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
    uv_timer_init(loop, &c->patience);
    c->pipe.data = c->patience.data = c;
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
    if (!uv_is_closing((uv_handle_t *)&c->patience))
        uv_close((uv_handle_t *)&c->patience, NULL);
}

void control_free(struct control *c)
{
    if (c == NULL)
        return;
    assert(c->clients == NULL);
    close(c->dir);
    free(c);
}
