/*
 * thread.c: see thread.h.
 *
 * One mutex guards the lists; it is never held while anything of a job or of the room runs.
 * The loop and the thread each hold the side, and the last of them frees it: a thread that
 * hangs while everything ends may come back later and finds its side still there.
 */
#include "watcherd/base/thread.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/mem.h"

static const double LONGEST_POLL_S = 3600;
static const double NO_HANG_S =
    0.1; /* a thread silent for less than this is only busy */

struct job_list {
    struct side_job *first, **last;
};

struct side {
    struct side_opts opts;
    uv_async_t async;
    uv_timer_t deadline; /* of the asked job whose deadline is next */
    pthread_t thread;
    int wake; /* eventfd */
    bool started;
    _Atomic double alive_at;

    pthread_mutex_t mutex; /* guards all that follows */
    pthread_cond_t changed;
    int holders;
    bool stop, ended, closed, busy;
    struct job_list wanted, finished;
    struct side_job *running;
};

/* ---- lists ---- */

static void list_clear(struct job_list *list)
{
    list->first = NULL;
    list->last = &list->first;
}

static void list_insert(struct job_list *list, struct side_job **at,
                        struct side_job *job)
{
    job->next = *at;
    *at = job;
    if (job->next == NULL)
        list->last = &job->next;
}

static struct side_job *list_take(struct job_list *list, struct side_job **at)
{
    struct side_job *job = *at;

    if (job != NULL && (*at = job->next) == NULL)
        list->last = at;
    return job;
}

/* ---- both sides ---- */

void side_lock(struct side *s)
{
    pthread_mutex_lock(&s->mutex);
}

void side_unlock(struct side *s)
{
    pthread_mutex_unlock(&s->mutex);
}

void side_tell(struct side *s)
{
    if (!s->closed)
        uv_async_send(&s->async);
    pthread_cond_broadcast(&s->changed);
}

void side_wake(struct side *s)
{
    uint64_t one = 1;

    if (write(s->wake, &one, sizeof one) == -1)
        return; /* 2^64 - 1 are waiting: it will wake */
}

bool side_asked(const struct side_job *job)
{
    return job->until > 0;
}

static void job_free(struct side_job *job)
{
    if (job->free != NULL)
        job->free(job);
}

/* Let go of the side; the last one frees it. */
static void drop(struct side *s)
{
    int left;

    side_lock(s);
    left = --s->holders;
    side_unlock(s);
    if (left > 0)
        return;
    close(s->wake);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->mutex);
    free(s);
}

/* Locked. */
static double hung_s(const struct side *s)
{
    return s->busy ? fmax(clock_boot_s() - s->alive_at, 0) : 0;
}

/* ---- the thread ---- */

bool side_stopping(struct side *s)
{
    bool stop;

    side_lock(s);
    stop = s->stop;
    side_unlock(s);
    return stop;
}

void side_alive(struct side *s)
{
    s->alive_at = clock_boot_s();
}

static void set_busy(struct side *s, bool busy)
{
    side_alive(s);
    side_lock(s);
    s->busy = busy;
    side_unlock(s);
}

void side_rest(struct side *s, int fd, double in_s)
{
    struct pollfd fds[] = {{s->wake, POLLIN, 0}, {fd, POLLIN, 0}};
    uint64_t n;

    set_busy(s, false);
    poll(fds, 2, in_s < 0 ? -1 : (int)ceil(1000 * fmin(in_s, LONGEST_POLL_S)));
    if ((fds[0].revents & POLLIN) && read(s->wake, &n, sizeof n) == -1)
        n = 0; /* nobody woke it */
    set_busy(s, true);
}

/* The loop has gone: the job is the thread's to free. */
static void job_ended(struct side *s, struct side_job *job, int rc)
{
    bool gone;

    side_lock(s);
    s->running = NULL;
    gone = s->closed;
    if (gone) {
        /* nobody is there to be told */
    } else if (rc == SIDE_AGAIN && !s->stop) {
        list_insert(&s->wanted, &s->wanted.first, job);
    } else {
        job->rc = rc == SIDE_AGAIN ? -ECANCELED : rc;
        list_insert(&s->finished, s->finished.last, job);
        side_tell(s);
    }
    side_unlock(s);
    if (gone)
        job_free(job);
}

bool side_run(struct side *s)
{
    struct side_job *job;

    side_lock(s);
    job = s->stop ? NULL : list_take(&s->wanted, &s->wanted.first);
    s->running = job;
    side_unlock(s);
    if (job == NULL)
        return false;
    side_alive(s);
    job->err = (struct err){0};
    job_ended(s, job, job->run(job, s->opts.arg, &job->err));
    return true;
}

static void *go_round(void *arg)
{
    struct side *s = arg;

    while (!side_stopping(s)) {
        if (s->opts.round != NULL)
            s->opts.round(s->opts.arg);
        else if (!side_run(s))
            side_rest(s, -1, -1);
    }
    if (s->opts.end != NULL)
        s->opts.end(s->opts.arg);
    side_lock(s);
    s->busy = false;
    s->ended = true;
    pthread_cond_broadcast(&s->changed);
    side_unlock(s);
    drop(s);
    return NULL;
}

/* ---- the loop: what comes back ---- */

static void tell_all(struct side_job *job)
{
    for (struct side_job *next; job != NULL; job = next) {
        void (*end)(struct side_job *) = job->free; /* without it done frees the job */

        next = job->next;
        if (!job->told)
            job->done(job, job->rc, &job->err);
        if (end != NULL)
            end(job);
    }
}

static struct side_job *take_finished(struct side *s)
{
    struct side_job *job;

    side_lock(s);
    job = s->finished.first;
    list_clear(&s->finished);
    side_unlock(s);
    return job;
}

/* What the thread told before it ended a job comes before the job. */
static void on_async(uv_async_t *async)
{
    struct side *s = async->data;
    struct side_job *finished = take_finished(s);

    if (s->opts.woke != NULL)
        s->opts.woke(s->opts.arg);
    tell_all(finished);
}

/* ---- the loop: deadlines ---- */

/* Locked. */
static void say_late(const struct side *s, const struct side_job *job, int rc,
                     struct err *e)
{
    double hung = hung_s(s);

    if (s->opts.busy != NULL && hung <= NO_HANG_S)
        err_set(e, rc, "%s", s->opts.busy);
    else
        err_set(e, rc, "%s not answered for %.1f s", s->opts.what,
                fmax(hung, clock_boot_s() - job->asked_at));
}

static void on_deadline(uv_timer_t *timer);

/* Locked: the job in hand, if somebody still waits for its answer. */
static struct side_job *awaited(const struct side *s)
{
    struct side_job *job = s->running;

    return job != NULL && side_asked(job) && !job->told ? job : NULL;
}

/* Locked: come back for the next deadline. */
static void arm(struct side *s)
{
    double until = INFINITY, in_s;

    for (const struct side_job *job = s->wanted.first; job != NULL; job = job->next)
        if (side_asked(job))
            until = fmin(until, job->until);
    if (awaited(s) != NULL)
        until = fmin(until, s->running->until);
    if (until == INFINITY)
        return;
    in_s = fmax(until - clock_boot_s(), 0);
    uv_update_time(s->opts.loop);
    uv_timer_start(&s->deadline, on_deadline, (uint64_t)ceil(1000 * in_s), 0);
}

static void on_deadline(uv_timer_t *timer)
{
    struct side *s = timer->data;
    struct side_job **at = &s->wanted.first, *job, *running;
    struct job_list late;
    double now = clock_boot_s();
    struct err e;

    list_clear(&late);
    side_lock(s);
    while ((job = *at) != NULL) {
        if (!side_asked(job) || job->until > now) {
            at = &job->next;
            continue;
        }
        list_take(&s->wanted, at);
        say_late(s, job, job->rc = -ETIMEDOUT, &job->err);
        list_insert(&late, late.last, job);
    }
    if ((running = awaited(s)) != NULL && running->until > now)
        running = NULL;
    if (running != NULL) {
        running->told = true;
        say_late(s, running, -EINPROGRESS, &e);
    }
    arm(s);
    side_unlock(s);
    if (running != NULL) /* it comes back to this loop, so it is still there */
        running->done(running, -EINPROGRESS, &e);
    tell_all(late.first);
}

/* ---- the loop: what is handed over ---- */

void side_post(struct side *s, struct side_job *job)
{
    job->told = false;
    job->until = 0;
    side_lock(s);
    list_insert(&s->wanted, s->wanted.last, job);
    side_unlock(s);
    side_wake(s);
}

/* Locked. */
static void refuse(struct side *s, struct side_job *job)
{
    job->told = false;
    job->rc = job->err.code;
    list_insert(&s->finished, s->finished.last, job);
    side_tell(s);
}

void side_refuse(struct side *s, struct side_job *job, const struct err *e)
{
    job->err = *e;
    side_lock(s);
    refuse(s, job);
    side_unlock(s);
}

void side_ask(struct side *s, struct side_job *job, double wait_s)
{
    struct side_job **at = &s->wanted.first;

    assert(job->free != NULL);
    job->told = false;
    job->asked_at = clock_boot_s();
    job->until = job->asked_at + wait_s;
    side_lock(s);
    if (hung_s(s) > wait_s) {
        say_late(s, job, -ETIMEDOUT, &job->err);
        refuse(s, job);
    } else {
        while (*at != NULL && side_asked(*at))
            at = &(*at)->next;
        list_insert(&s->wanted, at, job);
        arm(s);
    }
    side_unlock(s);
    side_wake(s);
}

double side_hung_s(struct side *s)
{
    double hung;

    side_lock(s);
    hung = hung_s(s);
    side_unlock(s);
    return hung;
}

/* ---- its life ---- */

int side_new(struct side **out, const struct side_opts *opts, struct err *e)
{
    int wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct side *s;

    *out = NULL;
    if (wake == -1)
        return err_set(e, -errno, "cannot make an eventfd: %s", err_text(-errno));
    s = mem_calloc(1, sizeof *s);
    s->opts = *opts;
    s->wake = wake;
    s->holders = 1;
    pthread_mutex_init(&s->mutex, NULL);
    thread_cond_init(&s->changed);
    list_clear(&s->wanted);
    list_clear(&s->finished);
    uv_async_init(opts->loop, &s->async, on_async);
    uv_timer_init(opts->loop, &s->deadline);
    s->async.data = s->deadline.data = s;
    *out = s;
    return 0;
}

/* The thread gets no signals: they are the loop's. */
int side_start(struct side *s, struct err *e)
{
    sigset_t all, old;
    int rc;

    s->busy = true;
    s->holders = 2;
    side_alive(s);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    rc = pthread_create(&s->thread, NULL, go_round, s);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc != 0) {
        s->holders = 1;
        return err_set(e, -rc, "cannot start a thread: %s", err_text(-rc));
    }
    s->started = true;
    return 0;
}

void side_wait(struct side *s, const bool *flag, double wait_s)
{
    struct timespec end = thread_in(wait_s);
    int rc = 0;

    while (!*flag && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&s->changed, &s->mutex, &end);
}

/* What has not begun never will. */
static void cancel_wanted(struct side *s)
{
    struct side_job *first;

    side_lock(s);
    first = s->wanted.first;
    list_clear(&s->wanted);
    side_unlock(s);
    for (struct side_job *job = first; job != NULL; job = job->next)
        job->rc = err_set(&job->err, -ECANCELED, "the daemon ends");
    tell_all(first);
}

int side_stop(struct side *s, double wait_s)
{
    bool ended;

    if (s == NULL || !s->started)
        return 0;
    s->started = false;
    side_lock(s);
    s->stop = true;
    side_wake(s);
    side_wait(s, &s->ended, wait_s);
    ended = s->ended;
    s->closed = true;
    side_unlock(s);
    if (ended)
        pthread_join(s->thread, NULL);
    else
        pthread_detach(s->thread);
    tell_all(take_finished(s));
    cancel_wanted(s);
    return ended ? 0 : -ETIMEDOUT;
}

void side_close(struct side *s)
{
    uv_handle_t *handle[] = {(uv_handle_t *)&s->async, (uv_handle_t *)&s->deadline};

    for (size_t i = 0; s != NULL && i < 2; i++)
        if (!uv_is_closing(handle[i]))
            uv_close(handle[i], NULL);
}

void side_free(struct side *s)
{
    if (s != NULL)
        drop(s);
}

/* ---- threads of other kinds ---- */

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
