/*
 * store.c: see store.h.  What the thread does between jobs: open the store, find it again, look
 * whether somebody changed it.
 */
#include "watcherd/base/store.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/conf.h"
#include "core/err.h"
#include "core/log.h"
#include "core/mem.h"

static const double OPEN_WAIT_S = 5;
static const double FIRST_PAUSE_S = 0.1, LONGEST_PAUSE_S = 10;
static const double FREED_S = 1;  /* for the lock of a process that has just died */
static const double PEEK_S = 0.2; /* at a store that has no descriptor to wait for */

struct store {
    struct store_opts opts;
    struct conf *conf; /* as it was at the start */
    struct side *side;
    bool hangs; /* the thread was left alone */

    struct queue *queue; /* these are the thread's */
    double pause_s, looked_at, polled_at;
    unsigned seed;

    bool tried; /* to open it, once; this and what follows is guarded by the side */
    int open_rc;
    struct err open_err;
    bool up, up_told;
    double turned_at,
        lasted_s; /* when it went or came; how long it was the other way */
    char why[256], where[QUEUE_TEXT];
    bool news, news_changed;
};

/* ---- the thread ---- */

/* `why` NULL: it answers. */
static void note_state(struct store *s, const char *why)
{
    side_lock(s->side);
    if (s->up != (why == NULL)) {
        double now = clock_boot_s();

        s->up = why == NULL;
        s->lasted_s = now - s->turned_at;
        s->turned_at = now;
        side_tell(s->side);
    }
    snprintf(s->why, sizeof s->why, "%s", why != NULL ? why : "");
    side_unlock(s->side);
    if (why == NULL)
        s->pause_s = 0;
}

static void note_news(struct store *s, bool changed)
{
    side_lock(s->side);
    if (!s->news)
        side_tell(s->side);
    s->news = true;
    s->news_changed |= changed;
    side_unlock(s->side);
}

/* Until a job comes, the store says something, or in_s. */
static void rest(struct store *s, double in_s)
{
    side_rest(s->side, s->queue != NULL && s->up ? queue_fd(s->queue) : -1, in_s);
}

/* Jobs that are posted meanwhile do not shorten it. */
static void pause_longer(struct store *s)
{
    double jitter = 1 + 0.2 * rand_r(&s->seed) / RAND_MAX, until, left;

    s->pause_s = s->pause_s > 0 ? fmin(2 * s->pause_s, LONGEST_PAUSE_S) : FIRST_PAUSE_S;
    until = clock_boot_s() + s->pause_s * jitter;
    while (!side_stopping(s->side) && (left = until - clock_boot_s()) > 0)
        rest(s, left);
}

/* What may pass by itself is waited for; anything else wants a person. */
static bool may_pass(const struct store *s, int rc)
{
    return rc == ERR_STORE_DOWN || (rc == -ENOENT && s->opts.role != QUEUE_AS_DAEMON);
}

/* A daemon that was just killed may have left a child between fork and exec, which holds the
   lock for some milliseconds more. */
static int open_patiently(struct store *s, struct err *e)
{
    double until = clock_boot_s() + FREED_S;
    int rc;

    while ((rc = queue_open_conf(&s->queue, s->conf, s->opts.role, e)) == -EBUSY &&
           clock_boot_s() < until)
        rest(s, FREED_S / 20);
    return rc;
}

/* The first attempt decides whether starting is useless. */
static void note_tried(struct store *s, int rc, const struct err *e)
{
    side_lock(s->side);
    if (!s->tried) {
        s->tried = true;
        s->open_rc = may_pass(s, rc) ? 0 : rc;
        s->open_err = *e;
        side_tell(s->side);
    }
    side_unlock(s->side);
}

static int open_queue(struct store *s)
{
    struct err e = {0};
    int rc = open_patiently(s, &e);

    side_lock(s->side);
    if (rc == 0)
        snprintf(s->where, sizeof s->where, "%s", queue_where(s->queue));
    side_unlock(s->side);
    note_state(s, rc == 0 ? NULL : e.text);
    note_tried(s, rc, &e);
    return rc;
}

/* A side_job's run.  What was posted waits until the store answers; who asks is told. */
static int run_job(struct side_job *side, void *arg, struct err *e)
{
    struct store_job *job = (struct store_job *)side;
    struct store *s = arg;
    int rc = job->run(job, s->queue, e);

    job->tries++;
    note_state(s, rc == ERR_STORE_DOWN ? e->text : NULL);
    return rc == ERR_STORE_DOWN && !side_asked(side) ? SIDE_AGAIN : rc;
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

static void go_round(void *arg)
{
    struct store *s = arg;

    if (s->open_rc != 0) {
        rest(s, -1); /* useless: only the end is waited for */
        return;
    }
    if (s->queue == NULL) {
        if (open_queue(s) != 0)
            pause_longer(s);
        return;
    }
    if (s->up && clock_boot_s() - s->looked_at >= look_every(s))
        peek(s);
    if (side_run(s->side)) {
        if (!s->up)
            pause_longer(s);
    } else if (!s->up) {
        probe(s);
    } else {
        rest(s, look_every(s));
        peek(s);
    }
}

static void on_end(void *arg)
{
    struct store *s = arg;

    queue_close(s->queue);
    s->queue = NULL;
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

static void on_woke(void *arg)
{
    struct store *s = arg;
    bool up, turned, news, changed;
    char why[sizeof s->why];
    double for_s;

    side_lock(s->side);
    up = s->up;
    turned = up != s->up_told;
    for_s = s->lasted_s;
    snprintf(why, sizeof why, "%s", s->why);
    s->up_told = up;
    news = s->news;
    changed = s->news_changed;
    s->news = s->news_changed = false;
    side_unlock(s->side);
    if (turned)
        tell_state(s, up, for_s, why);
    if (news)
        s->opts.news(s->opts.arg, changed);
}

static void on_done(struct side_job *side, int rc, const struct err *e)
{
    struct store_job *job = (struct store_job *)side;

    job->done(job, rc, e);
}

static void on_free(struct side_job *side)
{
    struct store_job *job = (struct store_job *)side;

    job->free(job);
}

static void prepare(struct store_job *job)
{
    job->tries = 0;
    job->side.run = run_job;
    job->side.done = on_done;
    job->side.free = job->free != NULL ? on_free : NULL;
}

void store_post(struct store *s, struct store_job *job)
{
    prepare(job);
    side_post(s->side, &job->side);
}

void store_ask(struct store *s, struct store_job *job, double wait_s)
{
    struct err e = {0};

    prepare(job);
    side_lock(s->side);
    if (!s->up)
        err_set(&e, ERR_STORE_DOWN, "the queue's store has not answered for %.0f s: %s",
                clock_boot_s() - s->turned_at, s->why);
    side_unlock(s->side);
    if (e.code != 0)
        side_refuse(s->side, &job->side, &e);
    else
        side_ask(s->side, &job->side, wait_s);
}

void store_look(struct store *s, struct store_look *out)
{
    side_lock(s->side);
    out->up = s->up;
    out->since_s = clock_boot_s() - s->turned_at;
    snprintf(out->why, sizeof out->why, "%s", s->why);
    snprintf(out->where, sizeof out->where, "%s", s->where);
    side_unlock(s->side);
}

/* ---- its life ---- */

static struct store *store_alloc(const struct store_opts *opts)
{
    struct store *s = mem_calloc(1, sizeof *s);

    s->opts = *opts;
    s->conf = mem_malloc(sizeof *s->conf);
    *s->conf = *opts->conf;
    s->turned_at = clock_boot_s();
    s->up_told = true; /* being up from the start is not worth a line */
    s->seed = (unsigned)getpid() ^ (unsigned)(1e6 * clock_wall_s());
    return s;
}

/* What the first attempt to open it came to, as far as it is known by now. */
static int first_attempt(struct store *s, struct err *e)
{
    int rc;

    side_lock(s->side);
    side_wait(s->side, &s->tried, OPEN_WAIT_S);
    if (!s->tried) {
        snprintf(s->why, sizeof s->why, "it has not answered yet");
        s->tried = true; /* whatever it says now is waited out */
    }
    if (!s->up)
        side_tell(s->side); /* and said */
    rc = s->open_rc;
    if (rc != 0 && e != NULL)
        *e = s->open_err;
    side_unlock(s->side);
    return rc;
}

int store_new(struct store **out, const struct store_opts *opts, struct err *e)
{
    struct store *s = store_alloc(opts);
    int rc = side_new(&s->side,
                      &(struct side_opts){.loop = opts->loop,
                                          .round = go_round,
                                          .end = on_end,
                                          .woke = on_woke,
                                          .arg = s,
                                          .what = "the queue's store has"},
                      e);

    *out = NULL;
    if (rc != 0) {
        store_free(s);
        return rc;
    }
    *out = s; /* the loop has handles in it: it is freed as any other */
    rc = side_start(s->side, e);
    return rc != 0 ? rc : first_attempt(s, e);
}

int store_stop(struct store *s, double wait_s)
{
    int rc = s != NULL ? side_stop(s->side, wait_s) : 0;

    if (rc != 0)
        s->hangs = true;
    return rc;
}

void store_free(struct store *s)
{
    if (s == NULL || s->hangs)
        return;
    side_free(s->side);
    free(s->conf);
    free(s);
}
