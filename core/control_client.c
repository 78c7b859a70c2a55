#include "core/control_client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "core/err.h"

struct sockaddr_un client_address(int dir, const char *name)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};

    snprintf(a.sun_path, sizeof a.sun_path, "/proc/self/fd/%d/%s", dir, name);
    return a;
}

int client_open_dir(const char *state, struct err *e)
{
    int fd = open(state, O_PATH | O_DIRECTORY | O_CLOEXEC);

    return fd >= 0 ? fd
                   : err_set(e, -errno, "cannot open the state directory %s: %s", state,
                             strerror(errno));
}

static int say_failed(struct err *e, int code, const char *state)
{
    if (code == EAGAIN || code == EINPROGRESS)
        return err_set(e, -ETIMEDOUT, "the daemon of %s does not answer in time",
                       state);
    if (code == ENOENT || code == ECONNREFUSED)
        return err_set(e, -ECONNREFUSED, "no daemon runs on the state directory %s",
                       state);
    return err_set(e, -code, "cannot ask the daemon of %s: %s", state, strerror(code));
}

static int send_all(int fd, const char *text, size_t n)
{
    while (n > 0) {
        ssize_t k = send(fd, text, n, MSG_NOSIGNAL);

        if (k == -1 && errno != EINTR)
            return errno;
        if (k > 0) {
            text += k;
            n -= (size_t)k;
        }
    }
    return 0;
}

/* One line, malloc'ed; an errno when it did not come whole. */
static int receive_line(int fd, char **out, size_t *n)
{
    enum { LONGEST = 64 << 20 };
    size_t room = 0;

    *out = NULL;
    *n = 0;
    for (;;) {
        ssize_t k;

        if (*n == room) {
            char *more = room < LONGEST ? realloc(*out, room = room * 2 + 8192) : NULL;

            if (more == NULL)
                return EMSGSIZE;
            *out = more;
        }
        k = recv(fd, *out + *n, room - *n, 0);
        if (k == -1 && errno == EINTR)
            continue;
        if (k <= 0)
            return k == 0 ? ECONNRESET : errno;
        *n += (size_t)k;
        if ((*out)[*n - 1] == '\n')
            return 0;
    }
}

static int exchange(int fd, json_t *request, char **line, size_t *n)
{
    char *text = json_dumps(request, JSON_COMPACT);
    int rc = text == NULL ? EINVAL : send_all(fd, text, strlen(text));

    free(text);
    *line = NULL;
    if (rc == 0)
        rc = send_all(fd, "\n", 1);
    return rc == 0 ? receive_line(fd, line, n) : rc;
}

int client_call(const char *state, json_t *request, double wait_s, json_t **answer,
                struct err *e)
{
    struct timeval wait = {.tv_sec = (time_t)wait_s,
                           .tv_usec =
                               (suseconds_t)(1e6 * (wait_s - (double)(time_t)wait_s))};
    int dir = client_open_dir(state, e), fd, rc;
    struct sockaddr_un a;
    char *line = NULL;
    size_t n = 0;

    *answer = NULL;
    if (dir == -ENOENT)
        return say_failed(e, ENOENT, state);
    if (dir < 0)
        return dir;
    a = client_address(dir, CALL_SOCKET);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd == -1) {
        rc = errno;
    } else {
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
        rc = connect(fd, (struct sockaddr *)&a, sizeof a) == 0
                 ? exchange(fd, request, &line, &n)
                 : errno;
        close(fd);
    }
    close(dir);
    if (rc != 0) {
        rc = say_failed(e, rc, state);
    } else {
        *answer = json_loadb(line, n, 0, NULL);
        if (!json_is_object(*answer)) {
            json_decref(*answer);
            *answer = NULL;
            rc = err_set(e, ERR_FORMAT, "the daemon of %s answered with no JSON object",
                         state);
        }
    }
    free(line);
    return rc;
}
