#include "core/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/mem.h"

extern char **environ;

enum { LOOK_MS = 500, TAIL = 4096 };

/* Our environment with `extra` in it; the list is the caller's, its strings are not. */
static char **environment(const char *extra)
{
    size_t n = 0, to = 0, name;
    char **list;

    while (environ[n] != NULL)
        n++;
    list = mem_calloc(n + 2, sizeof *list);
    name = extra != NULL ? strcspn(extra, "=") + 1 : 0;
    for (size_t i = 0; i < n; i++)
        if (name == 0 || strncmp(environ[i], extra, name) != 0)
            list[to++] = environ[i];
    list[to] = (char *)(uintptr_t)extra;
    return list;
}

static int start(pid_t *pid, const char *const *argv, const struct child_opts *opts)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    char **env = environment(opts->extra);
    sigset_t none, all;
    int rc;

    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attr);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&files, 1, opts->log,
                                     O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0644);
    posix_spawn_file_actions_adddup2(&files, 1, 2);
    if (opts->dir != NULL)
        posix_spawn_file_actions_addchdir_np(&files, opts->dir);
    posix_spawnattr_setpgroup(&attr, 0);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &all);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                        POSIX_SPAWN_SETSIGDEF);
    /* posix_spawnp does not change the strings */
    rc = posix_spawnp(pid, argv[0], &files, &attr, (char *const *)(uintptr_t)argv, env);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attr);
    free(env);
    return -rc;
}

/* The last line of the log that says something. */
static void last_words(const char *log, char *line, size_t size)
{
    char text[TAIL + 1], *at, *last = text;
    int fd = open(log, O_RDONLY | O_CLOEXEC);
    off_t end = fd != -1 ? lseek(fd, 0, SEEK_END) : 0;
    ssize_t n = 0;

    if (fd != -1) {
        n = pread(fd, text, TAIL, end > TAIL ? end - TAIL : 0);
        close(fd);
    }
    text[n > 0 ? n : 0] = '\0';
    for (at = strtok_r(text, "\r\n", &last); at != NULL;
         at = strtok_r(NULL, "\r\n", &last)) {
        at += strspn(at, " \t-+*>");
        if (*at != '\0')
            snprintf(line, size, "%s", at);
    }
}

static int judge(const char *name, int status, const char *log, struct err *e)
{
    char line[160] = "it said nothing";

    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    last_words(log, line, sizeof line);
    if (WIFSIGNALED(status))
        return err_set(e, -ECHILD, "%s was killed by signal %d: %s", name,
                       WTERMSIG(status), line);
    return err_set(e, -ECHILD, "%s ended with %d: %s", name, WEXITSTATUS(status), line);
}

static bool has_ended(pid_t pid)
{
    siginfo_t info = {.si_pid = 0};

    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
           info.si_pid == pid;
}

/* Wait a little for its end; whatever is the matter with the descriptor, not longer. */
static void look(int pidfd)
{
    struct pollfd p = {.fd = pidfd, .events = POLLIN};

    poll(&p, 1, LOOK_MS);
}

int child_run(const char *const *argv, const struct child_opts *opts, struct err *e)
{
    double until = clock_boot_s() + opts->timeout_s;
    pid_t pid;
    int status = 0, pidfd, why = 0, rc = start(&pid, argv, opts);

    if (rc == -ENOENT && access(opts->log, F_OK) == 0)
        return err_set(e, rc, "there is no program %s", argv[0]);
    if (rc != 0)
        return err_set(e, rc, "cannot start %s: %s", argv[0], strerror(-rc));
    pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    while (why == 0 && !has_ended(pid)) {
        if (opts->cancelled != NULL && opts->cancelled(opts->arg))
            why = -ECANCELED;
        else if (opts->timeout_s > 0 && clock_boot_s() >= until)
            why = -ETIMEDOUT;
        else
            look(pidfd);
    }
    kill(-pid, SIGKILL); /* while its number is still ours: all that is in its group */
    waitpid(pid, &status, 0);
    if (pidfd != -1)
        close(pidfd);
    if (why == -ECANCELED)
        return err_set(e, why, "told to stop");
    if (why == -ETIMEDOUT)
        return err_set(e, why, "%s was killed after %.0f s", argv[0], opts->timeout_s);
    return judge(argv[0], status, opts->log, e);
}
