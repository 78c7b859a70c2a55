#include "tools/taskctl/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/mem.h"

#define WAIT_S 2.0
enum { MOST_BYTES = 64 * 1024 };

extern char **environ;

/* Start it with its output in a pipe: the pipe's end, and *pid; or a negated errno. */
static int start(char *const argv[], pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    sigset_t none;
    int fd[2], rc;

    if (pipe2(fd, O_CLOEXEC) != 0)
        return -errno;
    sigemptyset(&none);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setsigmask(&attr, &none); /* ours are blocked while we are live */
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
    posix_spawn_file_actions_adddup2(&actions, fd[1], STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    rc = posix_spawnp(pid, argv[0], &actions, &attr, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attr);
    close(fd[1]);
    if (rc == 0)
        return fd[0];
    close(fd[0]);
    return -rc;
}

/* All it writes, as long as it is quick.  False: it was not. */
static bool read_all(int fd, char *text)
{
    double end = clock_boot_s() + WAIT_S;
    size_t n = 0;

    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        double left = end - clock_boot_s();
        ssize_t k;

        text[n] = '\0';
        if (n == MOST_BYTES)
            return true;
        if (left <= 0 || poll(&p, 1, (int)(1e3 * left) + 1) == 0)
            return false;
        k = read(fd, text + n, MOST_BYTES - n);
        if (k == 0 || (k == -1 && errno != EINTR))
            return true;
        n += k > 0 ? (size_t)k : 0;
    }
}

char *journal_tail(int n, char why[160])
{
    char lines[16], *text;
    char *argv[] = {
        "journalctl", "--no-pager", "-q",       "-o", "short-iso",         "-n",
        lines,        "-u",         "watcherd", "-u", "watcherd-worker@*", NULL};
    bool whole;
    pid_t pid;
    int fd;

    snprintf(lines, sizeof lines, "%d", n);
    fd = start(argv, &pid);
    if (fd < 0) {
        snprintf(why, 160, "%s",
                 fd == -ENOENT
                     ? "no journalctl here: the log is where watcherd's stderr goes"
                     : err_text(fd));
        return NULL;
    }
    text = mem_malloc(MOST_BYTES + 1);
    whole = read_all(fd, text);
    close(fd);
    kill(pid, SIGKILL); /* it has ended, or is too slow */
    while (waitpid(pid, NULL, 0) == -1 && errno == EINTR)
        ;
    if (whole && text[0] != '\0')
        return text;
    snprintf(why, 160, "%s",
             whole ? "the journal has no lines of watcherd that this user may read"
                   : "journalctl does not answer");
    free(text);
    return NULL;
}
