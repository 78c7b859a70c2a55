/* run_held.c: see run_held.h. */
#include "locks/run_held.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/err.h"
#include "locks/claim.h"
#include "locks/orphan.h"

static const int passed_on[] = {SIGTERM, SIGINT, SIGHUP};

static void watched_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGCHLD);
    for (size_t i = 0; i < sizeof passed_on / sizeof *passed_on; i++)
        sigaddset(set, passed_on[i]);
}

/* In the child. */
static void become(char *const argv[], const struct claim *claim, const char *group,
                   const sigset_t *old, pid_t parent)
{
    char gen[24];

    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(127); /* it went before we asked to follow it */
    snprintf(gen, sizeof gen, "%" PRIu64, claim_generation(claim));
    setenv("WATCHERD_GROUP", group, 1);
    setenv("WATCHERD_GENERATION", gen, 1);
    setenv(ORPHAN_MARK, claim_mark(claim), 1);
    sigprocmask(SIG_SETMASK, old, NULL);
    execvp(argv[0], argv);
    fprintf(stderr, "cannot run %s: %s\n", argv[0], strerror(errno));
    _exit(errno == ENOENT ? 127 : 126);
}

/* Wait for a signal, at most until the next beat is due. */
static int wait_signal(const sigset_t *set, double until_s)
{
    double left = fmax(until_s - clock_boot_s(), 0);
    struct timespec ts = {.tv_sec = (time_t)left,
                          .tv_nsec = (long)((left - floor(left)) * 1e9)};

    return sigtimedwait(set, NULL, &ts);
}

static int watch_over(struct claim *claim, pid_t pid, double heartbeat_s,
                      const sigset_t *set, int *code, struct err *e)
{
    double due = clock_boot_s() + heartbeat_s;
    int status, sig;

    while (waitpid(pid, &status, WNOHANG) != pid) {
        sig = wait_signal(set, due);
        if (sig > 0 && sig != SIGCHLD)
            kill(-pid, sig);
        if (clock_boot_s() < due)
            continue;
        due = clock_boot_s() + heartbeat_s;
        if (claim_heartbeat(claim, e) == ERR_LOST) {
            kill(-pid, SIGKILL);
            waitpid(pid, &status, 0);
            return ERR_LOST;
        }
    }
    *code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return 0;
}

int run_held(struct claim *claim, const char *group, double heartbeat_s,
             char *const argv[], int *code, struct err *e)
{
    pid_t pid, parent = getpid();
    sigset_t set, old;
    int rc;

    watched_signals(&set);
    sigprocmask(SIG_BLOCK, &set, &old);
    fflush(NULL);
    pid = fork();
    if (pid == 0)
        become(argv, claim, group, &old, parent);
    if (pid > 0) {
        setpgid(pid, pid); /* here too: whichever of us comes first */
        rc = watch_over(claim, pid, heartbeat_s, &set, code, e);
    } else {
        rc = err_set(e, -errno, "cannot start %s: %s", argv[0], strerror(errno));
    }
    sigprocmask(SIG_SETMASK, &old, NULL);
    return rc;
}
