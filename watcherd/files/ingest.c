/*
 * ingest.c: see ingest.h.
 *
 * The thread goes round: read events, scan what is due, look at files that are due, do what the
 * loop asked for, then rest until an event comes or the next of these is due.  What both sides
 * see is guarded by the side; its mutex is never held during a system call that could touch a
 * watched file system.
 *
 * Every sign of life (a file found, a piece of news, the next stage of a round) is told to the
 * side: how long ago that is, inside a round, is how long the file systems have not answered.
 * A scan that takes minutes but goes on is not stuck.
 */
#include "watcherd/files/ingest.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/mem.h"

/* So much untold news and the thread waits until the loop has caught up. */
enum { MOST_UNTOLD = 16384 };
static const double COUNT_EVERY_S = 0.1; /* settle_stats costs O(waiting files) */
static const double PULSE_S = 1;         /* how often the loop looks at the thread */

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
    struct side *side;
    uv_timer_t pulse;
    bool stuck_said; /* the loop's, as waits and hangs */
    bool waits;
    bool hangs; /* the thread was left alone */
    _Atomic double last_event;

    bool
        idle; /* nothing was due when the last round ended; guarded by the side from here on */
    bool held; /* the thread waits until the list is shorter */
    struct word *first, **last;
    size_t nword;
    uint64_t rounds;
    struct watch_stats watch_stats;
    struct settle_stats settle_stats;
    double counted_at;
};

/* ---- the thread: what it tells ---- */

static void tell(struct ingest *ing, struct word *word)
{
    side_lock(ing->side);
    word->next = NULL;
    *ing->last = word;
    ing->last = &word->next;
    ing->nword++;
    if (ing->nword == 1) /* else it is already on its way */
        side_tell(ing->side);
    side_unlock(ing->side);
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
    static const enum settle_how as[] = {[WATCH_CLOSED] = SETTLE_CLOSED,
                                         [WATCH_RENAMED] = SETTLE_RENAMED,
                                         [WATCH_SCANNED] = SETTLE_SCANNED};
    struct ingest *ing = arg;
    double now = clock_boot_s();

    side_alive(ing->side);
    ing->last_event = now;
    settle_dirty(ing->settle, path, as[how], now);
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

    side_alive(ing->side);
    ing->last_event = clock_boot_s();
    word->news = *news;
    word->news.path = word->text;
    word->news.reason = word->text + strlen(news->path) + 1;
    tell(ing, word);
}

/* ---- the thread: its rounds ---- */

/* A side_job's run. */
static int run_call(struct side_job *job, void *arg, struct err *e)
{
    struct ingest_call *call = (struct ingest_call *)job;
    struct ingest *ing = arg;

    (void)e;
    call->run(call, ing->watch, ing->settle);
    return 0;
}

/* Returns whether the list of untold words is so long that no file may be looked at. */
static bool begin_round(struct ingest *ing)
{
    bool held;

    side_lock(ing->side);
    ing->idle = false;
    ing->held = held = ing->nword >= MOST_UNTOLD;
    side_unlock(ing->side);
    return held;
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
    side_lock(ing->side);
    if (count) {
        ing->settle_stats = files;
        ing->watch_stats = watch;
        ing->counted_at = now;
    }
    ing->rounds++;
    ing->idle = next_s != 0;
    if (ing->opts.every_round)
        side_tell(ing->side);
    side_unlock(ing->side);
    return in_s;
}

static double sooner(double a, double b)
{
    return a < 0 || (b >= 0 && b < a) ? b : a;
}

static void go_round(void *arg)
{
    struct ingest *ing = arg;
    bool held = begin_round(ing), more = watch_read(ing->watch) == 1, asked = false;
    double now = clock_boot_s(), next_s;

    side_alive(ing->side);
    if (watch_tick(ing->watch, now) > 0)
        settle_recheck(ing->settle, NULL, now);
    side_alive(ing->side);
    if (!held)
        settle_tick(ing->settle, clock_boot_s(), on_settle, ing);
    while (side_run(ing->side))
        asked = true;
    now = clock_boot_s();
    next_s = more ? 0 : watch_next_scan_s(ing->watch, now);
    if (!held)
        next_s = sooner(next_s, settle_next_s(ing->settle, now));
    side_rest(ing->side, watch_fd(ing->watch),
              sooner(next_s, end_round(ing, asked, next_s)));
}

/* ---- the loop's side ---- */

void ingest_deliver(struct ingest *ing)
{
    struct word *word, *next;
    bool held;

    if (ing->waits)
        return;
    side_lock(ing->side);
    word = ing->first;
    ing->first = NULL;
    ing->last = &ing->first;
    ing->nword = 0;
    held = ing->held;
    ing->held = false;
    side_unlock(ing->side);
    if (held)
        side_wake(ing->side);
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

static void on_woke(void *arg)
{
    struct ingest *ing = arg;

    ingest_deliver(ing);
    ing->opts.woke(ing->opts.arg);
}

static void on_pulse(uv_timer_t *timer)
{
    struct ingest *ing = timer->data;
    double s = side_hung_s(ing->side);

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
    out->stuck_s = side_hung_s(ing->side);
    side_lock(ing->side);
    out->watch = ing->watch_stats;
    out->settle = ing->settle_stats;
    out->last_event = ing->last_event;
    out->scanned = ing->rounds > 0;
    out->idle = ing->idle && ing->nword == 0;
    side_unlock(ing->side);
}

void ingest_ask(struct ingest *ing, struct ingest_call *call, double wait_s)
{
    call->job.run = run_call;
    side_ask(ing->side, &call->job, wait_s);
}

/* ---- its life ---- */

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
    ing->last = &ing->first;
    ing->last_event = clock_boot_s();
    rc = side_new(&ing->side,
                  &(struct side_opts){
                      .loop = opts->loop,
                      .round = go_round,
                      .woke = on_woke,
                      .arg = ing,
                      .what = "the watched file systems have",
                      .busy = "the watched directories are being scanned; ask again"},
                  e);
    if (rc != 0) {
        free(ing);
        return rc;
    }
    uv_timer_init(opts->loop, &ing->pulse);
    ing->pulse.data = ing;
    ing->settle = settle_new(&opts->settle);
    wo.dirty = on_dirty;
    wo.notice = on_notice;
    wo.arg = ing;
    *out = ing; /* the loop has handles in it: it is freed as any other */
    rc = watch_new(&ing->watch, &wo, e);
    if (rc == 0 && opts->by_directory) {
        struct settle_rule rule = watch_rule(ing->watch);

        settle_by_directory(ing->settle, &rule);
    }
    return rc;
}

struct watch *ingest_watch(struct ingest *ing)
{
    return ing->watch;
}

int ingest_start(struct ingest *ing, struct err *e)
{
    int rc = side_start(ing->side, e);

    if (rc == 0)
        uv_timer_start(&ing->pulse, on_pulse, (uint64_t)(1000 * PULSE_S),
                       (uint64_t)(1000 * PULSE_S));
    return rc;
}

int ingest_stop(struct ingest *ing, double wait_s)
{
    int rc = ing != NULL ? side_stop(ing->side, wait_s) : 0;

    if (rc != 0)
        ing->hangs = true;
    return rc;
}

void ingest_free(struct ingest *ing)
{
    struct word *next;

    if (ing == NULL || ing->hangs)
        return;
    for (struct word *word = ing->first; word != NULL; word = next) {
        next = word->next;
        free(word);
    }
    watch_free(ing->watch);
    settle_free(ing->settle);
    side_free(ing->side);
    free(ing);
}
