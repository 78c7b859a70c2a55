/*
 * ingest.c: see ingest.h.
 *
 * The thread goes round: read events, scan what is due, look at files that are due, do what the
 * loop asked for, then poll(2) the inotify descriptor and an eventfd until the next of these is
 * due.  One mutex guards what both sides see; it is never held during a system call that could
 * touch a watched file system.
 *
 * Every sign of life (a file found, a piece of news, the next stage of a round) sets alive_at;
 * how long ago that is, inside a round, is how long the file systems have not answered.  A scan
 * that takes minutes but goes on is not stuck.
 */
#include "watcherd/files/ingest.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/mem.h"
#include "watcherd/base/thread.h"

/* So much untold news and the thread waits until the loop has caught up. */
enum { MOST_UNTOLD = 16384 };
static const double COUNT_EVERY_S = 0.1; /* settle_stats costs O(waiting files) */
static const double PULSE_S = 1;         /* how often the loop looks at the thread */

enum { CALL_WAITS, CALL_RUNS, CALL_ENDED, CALL_LEFT };

/* One thing to tell the loop. */
struct word {
    struct word *next;
    bool notice;
    struct settle_news news; /* path and reason point into text */
    char text[];             /* path NUL reason NUL, or the notice */
};

struct ingest {
    struct ingest_opts opts;
    struct watch *watch;
    struct settle *settle;
    uv_async_t async;
    uv_timer_t pulse;
    bool stuck_said; /* the loop's, as waits */
    bool waits;
    pthread_t thread;
    int wake; /* eventfd */
    _Atomic double alive_at, last_event;

    pthread_mutex_t mutex; /* guards all that follows */
    pthread_cond_t changed;
    bool started, ended, stop, closed;
    bool busy; /* in a round */
    bool idle; /* nothing was due when the last round ended */
    bool held; /* the thread waits until the list is shorter */
    struct word *first, **last;
    size_t nword;
    struct ingest_call *calls, **calls_end;
    uint64_t rounds;
    struct watch_stats watch_stats;
    struct settle_stats settle_stats;
    double counted_at;
};

/* ---- the thread: what it tells ---- */

static void wake_loop(struct ingest *ing)
{
    if (!ing->closed)
        uv_async_send(&ing->async);
}

static void tell(struct ingest *ing, struct word *word)
{
    pthread_mutex_lock(&ing->mutex);
    word->next = NULL;
    *ing->last = word;
    ing->last = &word->next;
    ing->nword++;
    if (ing->nword == 1) /* else it is already on its way */
        wake_loop(ing);
    pthread_mutex_unlock(&ing->mutex);
}

static struct word *word_new(const char *first, const char *second)
{
    size_t n = strlen(first) + 1, m = strlen(second) + 1;
    struct word *word = mem_malloc(sizeof *word + n + m);

    memcpy(word->text, first, n);
    memcpy(word->text + n, second, m);
    word->notice = false;
    return word;
}

static void on_dirty(void *arg, const char *path, enum watch_how how)
{
    struct ingest *ing = arg;
    double now = clock_boot_s();

    ing->alive_at = ing->last_event = now;
    settle_dirty(ing->settle, path, how, now);
}

static void on_notice(void *arg, const char *text)
{
    struct word *word = word_new(text, "");

    word->notice = true;
    tell(arg, word);
}

static void on_settle(void *arg, const struct settle_news *news)
{
    struct ingest *ing = arg;
    struct word *word = word_new(news->path, news->reason);

    ing->alive_at = ing->last_event = clock_boot_s();
    word->news = *news;
    word->news.path = word->text;
    word->news.reason = word->text + strlen(news->path) + 1;
    tell(ing, word);
}

/* ---- the thread: its rounds ---- */

static void alive(struct ingest *ing)
{
    ing->alive_at = clock_boot_s();
}

/* Returns whether there were any. */
static bool run_calls(struct ingest *ing)
{
    struct ingest_call *call;
    bool any = false;

    pthread_mutex_lock(&ing->mutex);
    while ((call = ing->calls) != NULL) {
        ing->calls = call->next;
        if (ing->calls == NULL)
            ing->calls_end = &ing->calls;
        call->state = CALL_RUNS;
        pthread_mutex_unlock(&ing->mutex);
        alive(ing);
        call->run(call, ing->watch, ing->settle);
        pthread_mutex_lock(&ing->mutex);
        any = true;
        if (call->state == CALL_LEFT) {
            pthread_mutex_unlock(&ing->mutex);
            call->free(call);
            pthread_mutex_lock(&ing->mutex);
        } else {
            call->state = CALL_ENDED;
            pthread_cond_broadcast(&ing->changed);
        }
    }
    pthread_mutex_unlock(&ing->mutex);
    return any;
}

static bool begin_round(struct ingest *ing, bool *held)
{
    bool go;

    alive(ing);
    pthread_mutex_lock(&ing->mutex);
    go = !ing->stop;
    ing->busy = go;
    ing->held = *held = ing->nword >= MOST_UNTOLD;
    pthread_mutex_unlock(&ing->mutex);
    return go;
}

/* Publish the counts if it is time to.  Returns seconds until then; < 0: never. */
static double end_round(struct ingest *ing, bool fresh, double next_s)
{
    double now = clock_boot_s(), old_s = now - ing->counted_at, in_s = -1;
    struct settle_stats files;
    struct watch_stats watch;
    bool count = fresh || ing->opts.every_round || old_s >= COUNT_EVERY_S;

    if (count) {
        settle_stats(ing->settle, now, &files);
        watch_stats(ing->watch, &watch);
    } else {
        in_s = COUNT_EVERY_S - old_s;
    }
    pthread_mutex_lock(&ing->mutex);
    if (count) {
        ing->settle_stats = files;
        ing->watch_stats = watch;
        ing->counted_at = now;
    }
    ing->rounds++;
    ing->busy = false;
    ing->idle = next_s != 0;
    if (ing->opts.every_round)
        wake_loop(ing);
    pthread_mutex_unlock(&ing->mutex);
    return in_s;
}

static double sooner(double a, double b)
{
    return a < 0 || (b >= 0 && b < a) ? b : a;
}

/* Until an event, a word of the loop, or next_s (< 0: for ever). */
static void rest(struct ingest *ing, double next_s)
{
    struct pollfd fd[] = {{watch_fd(ing->watch), POLLIN, 0}, {ing->wake, POLLIN, 0}};

    poll(fd, 2, next_s < 0 ? -1 : (int)ceil(1000 * fmin(next_s, 3600)));
    if (fd[1].revents & POLLIN)
        thread_woken(ing->wake);
}

static void *go_round(void *arg)
{
    struct ingest *ing = arg;
    bool held;

    while (begin_round(ing, &held)) {
        bool more = watch_read(ing->watch) == 1, asked;
        double now = clock_boot_s(), next_s;

        alive(ing);
        if (watch_tick(ing->watch, now) > 0)
            settle_recheck(ing->settle, NULL, now);
        alive(ing);
        if (!held)
            settle_tick(ing->settle, clock_boot_s(), on_settle, ing);
        asked = run_calls(ing);
        now = clock_boot_s();
        next_s = more ? 0 : watch_next_scan_s(ing->watch, now);
        if (!held)
            next_s = sooner(next_s, settle_next_s(ing->settle, now));
        rest(ing, sooner(next_s, end_round(ing, asked, next_s)));
    }
    pthread_mutex_lock(&ing->mutex);
    ing->ended = true;
    pthread_cond_broadcast(&ing->changed);
    pthread_mutex_unlock(&ing->mutex);
    return NULL;
}

/* ---- the loop's side ---- */

void ingest_deliver(struct ingest *ing)
{
    struct word *word, *next;
    bool held;

    if (ing->waits)
        return;
    pthread_mutex_lock(&ing->mutex);
    word = ing->first;
    ing->first = NULL;
    ing->last = &ing->first;
    ing->nword = 0;
    held = ing->held;
    ing->held = false;
    pthread_mutex_unlock(&ing->mutex);
    if (held)
        thread_wake(ing->wake);
    for (; word != NULL; word = next) {
        next = word->next;
        if (word->notice)
            ing->opts.notice(ing->opts.arg, word->text);
        else
            ing->opts.news(ing->opts.arg, &word->news);
        free(word);
    }
}

void ingest_wait(struct ingest *ing, bool yes)
{
    ing->waits = yes;
}

static void on_async(uv_async_t *async)
{
    struct ingest *ing = async->data;

    ingest_deliver(ing);
    ing->opts.woke(ing->opts.arg);
}

static double stuck_s(const struct ingest *ing)
{
    return ing->busy ? fmax(clock_boot_s() - ing->alive_at, 0) : 0;
}

static void on_pulse(uv_timer_t *timer)
{
    struct ingest *ing = timer->data;
    double s;

    pthread_mutex_lock(&ing->mutex);
    s = stuck_s(ing);
    pthread_mutex_unlock(&ing->mutex);
    if (!ing->stuck_said && s > ing->opts.stuck_after_s)
        ing->opts.stuck(ing->opts.arg, s);
    else if (ing->stuck_said && s < fmin(ing->opts.stuck_after_s, 1))
        ing->opts.stuck(ing->opts.arg, 0);
    else
        return;
    ing->stuck_said = !ing->stuck_said;
}

void ingest_look(struct ingest *ing, struct ingest_look *out)
{
    pthread_mutex_lock(&ing->mutex);
    out->watch = ing->watch_stats;
    out->settle = ing->settle_stats;
    out->last_event = ing->last_event;
    out->stuck_s = stuck_s(ing);
    out->scanned = ing->rounds > 0;
    out->idle = ing->idle && !ing->busy && ing->nword == 0;
    pthread_mutex_unlock(&ing->mutex);
}

void ingest_say(struct ingest *ing, char *buf, size_t size)
{
    struct ingest_look look;

    ingest_look(ing, &look);
    if (look.stuck_s > 0.1)
        snprintf(buf, size, "the watched file systems have not answered for %.1f s",
                 look.stuck_s);
    else
        snprintf(buf, size, "the watched directories are being scanned; ask again");
}

/* ---- calls ---- */

static void take_back(struct ingest *ing, const struct ingest_call *call)
{
    struct ingest_call **at = &ing->calls;

    while (*at != call)
        at = &(*at)->next;
    *at = call->next;
    if (*at == NULL)
        ing->calls_end = at;
}

int ingest_call(struct ingest *ing, struct ingest_call *call, double wait_s)
{
    struct timespec end = thread_in(wait_s);
    int rc = 0;

    pthread_mutex_lock(&ing->mutex);
    if (stuck_s(ing) > wait_s) {
        pthread_mutex_unlock(&ing->mutex);
        call->free(call);
        return -ETIMEDOUT;
    }
    call->state = CALL_WAITS;
    call->next = NULL;
    *ing->calls_end = call;
    ing->calls_end = &call->next;
    thread_wake(ing->wake);
    while (call->state != CALL_ENDED && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&ing->changed, &ing->mutex, &end);
    rc = call->state == CALL_ENDED  ? 0
         : call->state == CALL_RUNS ? -EINPROGRESS
                                    : -ETIMEDOUT;
    if (rc == -EINPROGRESS)
        call->state = CALL_LEFT; /* the thread frees it */
    if (rc == -ETIMEDOUT)
        take_back(ing, call);
    pthread_mutex_unlock(&ing->mutex);
    if (rc == -ETIMEDOUT)
        call->free(call);
    return rc;
}

/* ---- its life ---- */

static void init_shared(struct ingest *ing)
{
    pthread_mutex_init(&ing->mutex, NULL);
    thread_cond_init(&ing->changed);
    ing->last = &ing->first;
    ing->calls_end = &ing->calls;
    ing->alive_at = ing->last_event = clock_boot_s();
}

int ingest_new(struct ingest **out, const struct ingest_opts *opts, struct err *e)
{
    struct ingest *ing = mem_calloc(1, sizeof *ing);
    struct watch_opts wo = opts->watch;
    const char *impatience = getenv("WATCHERD_STUCK_AFTER_S"); /* for tests */
    int rc;

    *out = NULL;
    ing->opts = *opts;
    ing->opts.watch.extensions = NULL; /* borrowed, and needed only here */
    if (ing->opts.stuck_after_s <= 0 && impatience != NULL)
        ing->opts.stuck_after_s = strtod(impatience, NULL);
    if (ing->opts.stuck_after_s <= 0)
        ing->opts.stuck_after_s = 10;
    init_shared(ing);
    ing->wake = rc = thread_wake_new(e);
    if (rc < 0) {
        free(ing);
        return rc;
    }
    uv_async_init(opts->loop, &ing->async, on_async);
    uv_timer_init(opts->loop, &ing->pulse);
    ing->async.data = ing->pulse.data = ing;
    ing->settle = settle_new(&opts->settle);
    wo.dirty = on_dirty;
    wo.notice = on_notice;
    wo.arg = ing;
    *out = ing; /* the loop has handles in it: it is freed as any other */
    if ((rc = watch_new(&ing->watch, &wo, e)) == 0 && opts->by_directory)
        settle_by_directory(ing->settle, ing->watch);
    return rc;
}

struct watch *ingest_watch(struct ingest *ing)
{
    return ing->watch;
}

int ingest_start(struct ingest *ing, struct err *e)
{
    int rc = thread_start(&ing->thread, go_round, ing, e);

    if (rc != 0)
        return rc;
    ing->started = true;
    uv_timer_start(&ing->pulse, on_pulse, (uint64_t)(1000 * PULSE_S),
                   (uint64_t)(1000 * PULSE_S));
    return 0;
}

int ingest_stop(struct ingest *ing, double wait_s)
{
    struct timespec end = thread_in(wait_s);
    bool ended;
    int rc = 0;

    if (ing == NULL || !ing->started)
        return 0;
    pthread_mutex_lock(&ing->mutex);
    ing->stop = true;
    thread_wake(ing->wake);
    while (!ing->ended && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&ing->changed, &ing->mutex, &end);
    ended = ing->ended;
    ing->closed = true;
    pthread_mutex_unlock(&ing->mutex);
    if (!ended) {
        pthread_detach(ing->thread);
        return -ETIMEDOUT;
    }
    pthread_join(ing->thread, NULL);
    ing->started = false;
    return 0;
}

void ingest_free(struct ingest *ing)
{
    struct word *next;

    if (ing == NULL || ing->started)
        return;
    for (struct word *word = ing->first; word != NULL; word = next) {
        next = word->next;
        free(word);
    }
    watch_free(ing->watch);
    settle_free(ing->settle);
    close(ing->wake);
    pthread_cond_destroy(&ing->changed);
    pthread_mutex_destroy(&ing->mutex);
    free(ing);
}
