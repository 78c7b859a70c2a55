/*
 * notify.c: see notify.h.
 */
#include "core/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static int say(const char *text)
{
    const char *name = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    size_t n = name != NULL ? strlen(name) : 0;
    int fd, rc = 0;

    if (n == 0)
        return 0;
    if ((name[0] != '/' && name[0] != '@') || n < 2)
        return -EINVAL;
    if (n >= sizeof to.sun_path)
        return -ENAMETOOLONG;
    memcpy(to.sun_path, name, n);
    if (name[0] == '@')
        to.sun_path[0] = '\0';
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd == -1)
        return -errno;
    /* An abstract name is as long as said; a path may also end in a NUL. */
    if (sendto(fd, text, strlen(text), MSG_NOSIGNAL, (const struct sockaddr *)&to,
               (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)) == -1)
        rc = -errno;
    close(fd);
    return rc;
}

int notify_ready(const char *status)
{
    char text[1024];
    size_t n = (size_t)snprintf(text, sizeof text, "READY=1\nSTATUS=");

    if (status == NULL)
        return say("READY=1");
    for (; *status != '\0' && n + 1 < sizeof text; status++)
        text[n++] = *status == '\n' ? ' ' : *status; /* STATUS= takes one line */
    text[n] = '\0';
    return say(text);
}

int notify_reloading(void)
{
    char text[80];
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%lld",
             (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
    return say(text);
}

int notify_stopping(void)
{
    return say("STOPPING=1");
}

int notify_alive(void)
{
    return say("WATCHDOG=1");
}

/* A decimal number that is all there is of the text; 0 else. */
static unsigned long long number(const char *text)
{
    char *end;
    unsigned long long v;

    if (text == NULL || text[0] < '0' || text[0] > '9')
        return 0;
    errno = 0;
    v = strtoull(text, &end, 10);
    return errno == 0 && *end == '\0' ? v : 0;
}

double notify_watchdog_s(void)
{
    const char *name = getenv("NOTIFY_SOCKET"), *pid = getenv("WATCHDOG_PID");

    if (name == NULL || name[0] == '\0' ||
        (pid != NULL && number(pid) != (unsigned long long)getpid()))
        return 0;
    return (double)number(getenv("WATCHDOG_USEC")) / 1e6;
}
