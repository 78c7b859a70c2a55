/* orphan.c: see orphan.h. */
#include "locks/orphan.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    WAIT_MS = 2000,
    ENVIRON_MAX = 1 << 21 /* the kernel's own limit is about that */
};

/* Is this "NAME=value" a mark with this nonce? */
static bool is_mark(const char *text, const char *nonce)
{
    static const char *const name[] = {ORPHAN_MARK "=", ORPHAN_TASK "="};

    for (size_t i = 0; i < sizeof name / sizeof name[0]; i++)
        if (strncmp(text, name[i], strlen(name[i])) == 0)
            return strcmp(text + strlen(name[i]), nonce) == 0;
    return false;
}

/* Is the mark in the environment with which this process was started? */
static bool carries(const char *pid, const char *nonce)
{
    size_t size = 65536, used = 0;
    char *text = malloc(size), path[64];
    bool found = false;
    int fd;

    snprintf(path, sizeof path, "/proc/%.20s/environ", pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    while (fd != -1 && text != NULL && used < ENVIRON_MAX) {
        ssize_t n = read(fd, text + used, size - used - 1);

        if (n <= 0)
            break;
        used += (size_t)n;
        if (used + 1 == size) {
            char *bigger = realloc(text, 2 * size);

            if (bigger == NULL)
                break;
            text = bigger;
            size *= 2;
        }
    }
    for (size_t at = 0; text != NULL && at < used && !found;
         at += strlen(text + at) + 1) {
        text[used] = '\0';
        found = is_mark(text + at, nonce);
    }
    if (fd != -1)
        close(fd);
    free(text);
    return found;
}

/* The pidfd is opened first: what is read afterwards is of that very process. */
static int kill_one(const char *name, const char *nonce)
{
    struct pollfd end = {.events = POLLIN};
    long pid = strtol(name, NULL, 10);
    int killed = 0;

    if (pid <= 1 || pid == (long)getpid())
        return 0;
    end.fd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
    if (end.fd == -1)
        return 0;
    if (carries(name, nonce) &&
        syscall(SYS_pidfd_send_signal, end.fd, SIGKILL, NULL, 0) == 0) {
        poll(&end, 1, WAIT_MS);
        killed = 1;
    }
    close(end.fd);
    return killed;
}

int orphan_kill(const char *nonce)
{
    struct dirent *entry;
    int killed = 0, before;
    DIR *proc;

    if (strlen(nonce) != 32) /* not one that we drew */
        return 0;
    do { /* until none is found: one may just have started another */
        before = killed;
        proc = opendir("/proc");
        while (proc != NULL && (entry = readdir(proc)) != NULL)
            if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
                killed += kill_one(entry->d_name, nonce);
        if (proc != NULL)
            closedir(proc);
    } while (killed > before && killed < 10000);
    return killed;
}
