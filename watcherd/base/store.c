/*
 * store.c: see store.h.
 *
 * One mutex guards the lists and what is known of the store; it is never held during a call
 * into it.
 */
#include "watcherd/base/store.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/conf.h"
#include "core/err.h"
#include "core/log.h"
#include "core/mem.h"
#include "watcherd/base/thread.h"

static const double OPEN_WAIT_S = 5;
static const double FIRST_PAUSE_S = 0.1, LONGEST_PAUSE_S = 10;
static const double FREED_S = 1;  /* for the lock of who has just died */
static const double PEEK_S = 0.2; /* at a store that has no descriptor to wait for */

enum { JOB_WAITS, JOB_RUNS, JOB_ENDED, JOB_LEFT };

struct job_list {
    struct store_job *first, **last;
};

struct store {
    struct store_opts opts;
    struct conf *conf; /* as it was at the start */
    uv_async_t async;
    pthread_t thread;
    int wake; /* eventfd */

    struct queue *queue; /* these are the thread's */
    double pause_s, looked_at, polled_at;
    unsigned seed;

    pthread_mutex_t mutex; /* guards all that follows */
    pthread_cond_t changed;
    bool started, ended, stop, closed;
    bool tried; /* to open it, once */
    int open_rc;
    struct err open_err;
    struct job_list wanted, finished;
    double busy_since; /* 0: no job runs */
    bool up, up_told;
    double turned_at;
    char why[256], where[QUEUE_TEXT];
    bool news, news_changed;
};

/* ---- lists ---- */

static void list_clear(struct job_list *list)
{
    list->first = NULL;
    list->last = &list->first;
}

static void list_append(struct job_list *list, struct store_job *job)
{
    job->next = NULL;
    *list->last = job;
    list->last = &job->next;
}

static void list_prepend(struct job_list *list, struct store_job *job)
{
    job->next = list->first;
    list->first = job;
    if (job->next == NULL)
        list->last = &job->next;
}

static struct store_job *list_take(struct job_list *list)
{
    struct store_job *job = list->first;

    if (job != NULL && (list->first = job->next) == NULL)
        list->last = &list->first;
    return job;
}

static void list_remove(struct job_list *list, const struct store_job *job)
{
    struct store_job **at = &list->first;

    while (*at != job)
        at = &(*at)->next;
    if ((*at = job->next) == NULL)
        list->last = at;
}

/* ---- the thread ---- */

static void wake_loop(struct store *s)
{
    if (!s->closed)
        uv_async_send(&s->async);
}

/* `why` NULL: it answers. */
static void note_state(struct store *s, const char *why)
{
    pthread_mutex_lock(&s->mutex);
    if (s->up != (why == NULL)) {
        s->up = why == NULL;
        s->turned_at = clock_boot_s();
        wake_loop(s);
    }
    snprintf(s->why, sizeof s->why, "%s", why != NULL ? why : "");
    pthread_mutex_unlock(&s->mutex);
    if (why == NULL)
        s->pause_s = 0;
}

static void note_news(struct store *s, bool changed)
{
    pthread_mutex_lock(&s->mutex);
    if (!s->news)
        wake_loop(s);
    s->news = true;
    s->news_changed |= changed;
    pthread_mutex_unlock(&s->mutex);
}

/* Until a word of the loop, one of the store, or in_s. */
static void rest(struct store *s, double in_s)
{
    struct pollfd fd[] = {{s->wake, POLLIN, 0}, {-1, POLLIN, 0}};

    if (s->queue != NULL && s->up)
        fd[1].fd = queue_fd(s->queue);
    poll(fd, 2, (int)ceil(1000 * in_s));
    if (fd[0].revents & POLLIN)
        thread_woken(s->wake);
}

static bool stopping(struct store *s)
{
    bool stop;

    pthread_mutex_lock(&s->mutex);
    stop = s->stop;
    pthread_mutex_unlock(&s->mutex);
    return stop;
}

/* Jobs that are posted meanwhile do not shorten it. */
static void pause_longer(struct store *s)
{
    double jitter = 1 + 0.2 * rand_r(&s->seed) / RAND_MAX, until, left;

    s->pause_s = s->pause_s > 0 ? fmin(2 * s->pause_s, LONGEST_PAUSE_S) : FIRST_PAUSE_S;
    until = clock_boot_s() + s->pause_s * jitter;
    while (!stopping(s) && (left = until - clock_boot_s()) > 0)
        rest(s, left);
}

/* What may pass by itself is waited for; anything else wants a person. */
static bool may_pass(const struct store *s, int rc)
{
    return rc == ERR_STORE_DOWN || (rc == -ENOENT && s->opts.role != QUEUE_AS_DAEMON);
}

/* A daemon that was just killed may have left a child between fork and exec, which holds
   its lock for
 * some milliseconds more. */
static int open_patiently(struct store *s, struct err *e)
{
    double until = clock_boot_s() + FREED_S;
    int rc;

    while ((rc = queue_open_conf(&s->queue, s->conf, s->opts.role, e)) == -EBUSY &&
           clock_boot_s() < until)
        rest(s, FREED_S / 20);
    return rc;
}

static int open_queue(struct store *s)
{
    struct err e = {0};
    int rc = open_patiently(s, &e);

    pthread_mutex_lock(&s->mutex);
    if (rc == 0)
        snprintf(s->where, sizeof s->where, "%s", queue_where(s->queue));
    pthread_mutex_unlock(&s->mutex);
    note_state(s, rc == 0 ? NULL : e.text);
    pthread_mutex_lock(&s->mutex);
    if (!s->tried) {
        s->tried = true;
        s->open_rc = may_pass(s, rc) ? 0 : rc;
        s->open_err = e;
        if (s->open_rc != 0)
            s->stop = true;
        pthread_cond_broadcast(&s->changed);
    }
    pthread_mutex_unlock(&s->mutex);
    return rc;
}

static struct store_job *next_job(struct store *s)
{
    struct store_job *job;

    pthread_mutex_lock(&s->mutex);
    job = list_take(&s->wanted);
    if (job != NULL) {
        if (job->state == JOB_WAITS)
            job->state = JOB_RUNS;
        s->busy_since = clock_boot_s();
    }
    pthread_mutex_unlock(&s->mutex);
    return job;
}

/* Somebody waits for it in store_ask: then JOB_RUNS says so and the answer is his. */
static void job_ended(struct store *s, struct store_job *job, int rc, bool asked)
{
    pthread_mutex_lock(&s->mutex);
    s->busy_since = 0;
    job->rc = rc;
    if (asked && job->state == JOB_RUNS) {
        job->state = JOB_ENDED;
        pthread_cond_broadcast(&s->changed);
    } else {
        if (s->finished.first == NULL)
            wake_loop(s);
        list_append(&s->finished, job);
    }
    pthread_mutex_unlock(&s->mutex);
}

static void run_job(struct store *s, struct store_job *job)
{
    bool asked = job->state != JOB_LEFT;
    int rc;

    job->err = (struct err){0};
    rc = job->run(job, s->queue, &job->err);
    job->tries++;
    if (rc != ERR_STORE_DOWN) {
        note_state(s, NULL);
        job_ended(s, job, rc, asked);
        return;
    }
    note_state(s, job->err.text);
    if (asked) {
        job_ended(s, job, rc, true);
    } else {
        pthread_mutex_lock(&s->mutex);
        s->busy_since = 0;
        list_prepend(&s->wanted, job);
        pthread_mutex_unlock(&s->mutex);
    }
    pause_longer(s);
}

/* Has somebody changed something?  Never waits. */
static void peek(struct store *s)
{
    struct err e = {0};
    double now = clock_boot_s();
    int rc = queue_changed(s->queue, &e);

    s->looked_at = now;
    if (rc == ERR_STORE_DOWN) {
        note_state(s, e.text);
        return;
    }
    if (rc == 1 || now - s->polled_at >= s->conf->queue.poll_s) {
        s->polled_at = now;
        note_news(s, rc == 1);
    }
}

/* Nothing is asked for: is it there again? */
static void probe(struct store *s)
{
    struct err e = {0};
    double now;
    int rc = queue_now(s->queue, &now, &e);

    note_state(s, rc == ERR_STORE_DOWN ? e.text : NULL);
    if (rc == ERR_STORE_DOWN)
        pause_longer(s);
}

static double look_every(const struct store *s)
{
    double poll_s = s->conf->queue.poll_s;

    return queue_fd(s->queue) == -1 ? fmin(poll_s, PEEK_S) : poll_s;
}

static void *serve(void *arg)
{
    struct store *s = arg;
    struct store_job *job;

    while (!stopping(s)) {
        if (s->queue == NULL) {
            if (open_queue(s) != 0)
                pause_longer(s);
            continue;
        }
        if (s->up && clock_boot_s() - s->looked_at >= look_every(s))
            peek(s);
        if ((job = next_job(s)) != NULL) {
            run_job(s, job);
        } else if (!s->up) {
            probe(s);
        } else {
            rest(s, look_every(s));
            peek(s);
        }
    }
    queue_close(s->queue);
    s->queue = NULL;
    pthread_mutex_lock(&s->mutex);
    s->ended = true;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->mutex);
    return NULL;
}

/* ---- the loop's side ---- */

/* One line when it goes and one when it comes. */
static void tell_state(struct store *s, bool up, double since, const char *why)
{
    if (up)
        log_event(LOG_WARN, "store_up", "reason", "the queue's store answers again",
                  "after_s", log_f(since, 1), NULL);
    else
        log_event(LOG_ERROR, "store_down", "reason", why, "then",
                  "running tasks go on; it is tried again until it answers", NULL);
    if (s->opts.turned != NULL)
        s->opts.turned(s->opts.arg, up);
}

static void tell_finished(struct store *s)
{
    struct store_job *job, *next;

    pthread_mutex_lock(&s->mutex);
    job = s->finished.first;
    list_clear(&s->finished);
    pthread_mutex_unlock(&s->mutex);
    for (; job != NULL; job = next) {
        next = job->next;
        job->done(job, job->rc, &job->err);
    }
}

static void on_async(uv_async_t *async)
{
    struct store *s = async->data;
    bool up, turned, news, changed;
    char why[sizeof s->why];
    double for_s;

    pthread_mutex_lock(&s->mutex);
    up = s->up;
    turned = up != s->up_told;
    for_s = clock_boot_s() - s->turned_at;
    snprintf(why, sizeof why, "%s", s->why);
    s->up_told = up;
    news = s->news;
    changed = s->news_changed;
    s->news = s->news_changed = false;
    pthread_mutex_unlock(&s->mutex);
    if (turned)
        tell_state(s, up, for_s, why);
    tell_finished(s);
    if (news)
        s->opts.news(s->opts.arg, changed);
}

static void post(struct store *s, struct store_job *job, bool first)
{
    if (first)
        list_prepend(&s->wanted, job);
    else
        list_append(&s->wanted, job);
    thread_wake(s->wake);
}

void store_post(struct store *s, struct store_job *job)
{
    job->tries = 0;
    job->state = JOB_LEFT;
    pthread_mutex_lock(&s->mutex);
    post(s, job, false);
    pthread_mutex_unlock(&s->mutex);
}

static int say_down(const struct store *s, struct err *e)
{
    return err_set(e, ERR_STORE_DOWN,
                   "the queue's store has not answered for %.0f s: %s",
                   clock_boot_s() - s->turned_at, s->why);
}

int store_ask(struct store *s, struct store_job *job, double wait_s, struct err *e)
{
    struct timespec end = thread_in(wait_s);
    double busy_s;
    int rc = 0;

    job->tries = 0;
    job->state = JOB_WAITS;
    pthread_mutex_lock(&s->mutex);
    busy_s = s->busy_since > 0 ? clock_boot_s() - s->busy_since : 0;
    if (!s->up || busy_s > wait_s) { /* many who ask must not stop the loop either */
        rc = s->up ? err_set(e, ERR_STORE_DOWN,
                             "the queue's store has not answered for %.1f s", busy_s)
                   : say_down(s, e);
        pthread_mutex_unlock(&s->mutex);
        return rc;
    }
    post(s, job, true);
    while (job->state != JOB_ENDED && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&s->changed, &s->mutex, &end);
    if (job->state == JOB_ENDED) {
        rc = job->rc;
        if (e != NULL)
            *e = job->err;
    } else if (job->state == JOB_WAITS) {
        list_remove(&s->wanted, job);
        rc = err_set(e, ERR_STORE_DOWN, "the queue's store has not answered for %.1f s",
                     busy_s + wait_s);
    } else {
        job->state = JOB_LEFT;
        rc = err_set(e, -ETIMEDOUT, "the queue's store has not answered for %.1f s",
                     wait_s);
    }
    pthread_mutex_unlock(&s->mutex);
    return rc;
}

void store_look(struct store *s, struct store_look *out)
{
    pthread_mutex_lock(&s->mutex);
    out->up = s->up;
    out->since_s = clock_boot_s() - s->turned_at;
    snprintf(out->why, sizeof out->why, "%s", s->why);
    snprintf(out->where, sizeof out->where, "%s", s->where);
    pthread_mutex_unlock(&s->mutex);
}

/* ---- its life ---- */

static void init_shared(struct store *s)
{
    pthread_mutex_init(&s->mutex, NULL);
    thread_cond_init(&s->changed);
    list_clear(&s->wanted);
    list_clear(&s->finished);
    s->turned_at = clock_boot_s();
    s->up_told = true; /* that it is there is no news */
    s->seed = (unsigned)getpid() ^ (unsigned)(1e6 * clock_wall_s());
}

int store_new(struct store **out, const struct store_opts *opts, struct err *e)
{
    struct store *s = mem_calloc(1, sizeof *s);
    struct timespec end = thread_in(OPEN_WAIT_S);
    int rc;

    *out = NULL;
    s->opts = *opts;
    s->conf = mem_malloc(sizeof *s->conf);
    *s->conf = *opts->conf;
    s->wake = rc = thread_wake_new(e);
    if (rc < 0) {
        free(s->conf);
        free(s);
        return rc;
    }
    init_shared(s);
    uv_async_init(opts->loop, &s->async, on_async);
    s->async.data = s;
    *out = s; /* the loop has a handle in it: it is freed as any other */
    if ((rc = thread_start(&s->thread, serve, s, e)) != 0)
        return rc;
    s->started = true;
    pthread_mutex_lock(&s->mutex);
    while (!s->tried && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&s->changed, &s->mutex, &end);
    if (!s->tried) {
        snprintf(s->why, sizeof s->why, "it has not answered yet");
        s->tried = true; /* whatever it says now is waited out */
    }
    if (!s->up)
        wake_loop(s); /* and said */
    rc = s->open_rc;
    if (rc != 0 && e != NULL)
        *e = s->open_err;
    pthread_mutex_unlock(&s->mutex);
    return rc;
}

int store_stop(struct store *s, double wait_s)
{
    struct timespec end = thread_in(wait_s);
    struct store_job *job;
    bool ended;
    int rc = 0;

    if (s == NULL || !s->started)
        return 0;
    pthread_mutex_lock(&s->mutex);
    s->stop = true;
    thread_wake(s->wake);
    while (!s->ended && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&s->changed, &s->mutex, &end);
    ended = s->ended;
    s->closed = true;
    pthread_mutex_unlock(&s->mutex);
    if (!ended) {
        pthread_detach(s->thread);
        return -ETIMEDOUT;
    }
    pthread_join(s->thread, NULL);
    s->started = false;
    tell_finished(s);
    while ((job = list_take(&s->wanted)) != NULL)
        job->done(job, -ECANCELED, &job->err);
    return 0;
}

void store_free(struct store *s)
{
    if (s == NULL || s->started)
        return;
    close(s->wake);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->mutex);
    free(s->conf);
    free(s);
}
