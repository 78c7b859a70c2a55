/* thread.c: see thread.h. */
#include "watcherd/base/thread.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/err.h"

int thread_start(pthread_t *thread, void *(*run)(void *arg), void *arg, struct err *e)
{
    sigset_t all, old;
    int rc;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    rc = pthread_create(thread, NULL, run, arg);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return rc == 0 ? 0 : err_set(e, -rc, "cannot start a thread: %s", strerror(rc));
}

void thread_cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attr;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &attr);
    pthread_condattr_destroy(&attr);
}

struct timespec thread_in(double s)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    s += 1e-9 * (double)t.tv_nsec;
    t.tv_sec += (time_t)floor(s);
    t.tv_nsec = (long)(1e9 * (s - floor(s)));
    return t;
}

int thread_wake_new(struct err *e)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    return fd != -1 ? fd
                    : err_set(e, -errno, "cannot make an eventfd: %s", strerror(errno));
}

void thread_wake(int wake)
{
    uint64_t one = 1;

    if (write(wake, &one, sizeof one) == -1)
        return; /* 2^64 - 1 are waiting: it will wake */
}

void thread_woken(int wake)
{
    uint64_t n;

    if (read(wake, &n, sizeof n) == -1)
        return; /* nobody woke it */
}
