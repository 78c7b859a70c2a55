/*
 * crew.c: see crew.h; what goes to the store in one round, and how it ends, is in crew_talk.c.
 */
#include "watcherd/crew/crew.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/conf.h"
#include "core/err.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/path.h"
#include "locks/owner.h"
#include "watcherd/crew/crew_slot.h"
#include "watcherd/base/outcome.h"

/* A busy claim is looked at again after this; its owner may be on another machine. */
static const double BUSY_RETRY_S = 5;
/* Processes that die so soon, so many in a row, are no accident of one task. */
static const double CRASH_S = 1;
enum { CRASHES = 3 };
static const double LONGEST_PAUSE_S = 60;
static const double PATIENCE_S = 1; /* for what was claimed ahead */
/* At the end: for the store to take the last ends, and for idle processes. */
static const double LAST_WORD_S = 5, LAST_PROCESS_S = 2;

/* ---- slots ---- */

static struct slot *slot_of(struct crew *crew, const struct task *task)
{
    struct slot *s = crew->slots;

    while (s != NULL &&
           (s->task.fence != task->fence || strcmp(s->task.id, task->id) != 0))
        s = s->next;
    return s;
}

size_t crew_count(const struct crew *crew, enum slot_state state)
{
    size_t n = 0;

    for (const struct slot *s = crew->slots; s != NULL; s = s->next)
        n += s->state == state;
    return n;
}

struct slot *crew_slot_new(struct crew *crew, const struct task *task)
{
    struct slot *s = mem_calloc(1, sizeof *s), **at = &crew->slots;

    s->task = *task;
    s->claimed = clock_boot_s();
    while (*at != NULL)
        at = &(*at)->next;
    *at = s;
    return s;
}

void crew_slot_free(struct crew *crew, struct slot *slot)
{
    struct slot **at = &crew->slots;

    while (*at != slot)
        at = &(*at)->next;
    *at = slot->next;
    task_clear(&slot->task);
    free(slot->text);
    free(slot->path);
    free(slot->usage);
    free(slot);
}

/* ---- how tasks end ---- */

/* What an outcome means for the task: the whole table of retries. */
static const struct {
    const char *outcome;
    enum task_how how;
    enum log_level level;
} verdicts[] = {
    {OUTCOME_DONE, TASK_COMPLETE, LOG_INFO},
    {OUTCOME_SKIPPED, TASK_COMPLETE, LOG_INFO},
    {OUTCOME_BUSY, TASK_RELEASE, LOG_INFO},
    {OUTCOME_LOST, TASK_RELEASE, LOG_WARN},
    {OUTCOME_STOPPED, TASK_RELEASE, LOG_INFO},
    {OUTCOME_MACHINE, TASK_RELEASE, LOG_ERROR},
    {OUTCOME_BAD, TASK_FAIL, LOG_ERROR},
    {OUTCOME_FAILED, TASK_RETRY, LOG_ERROR},
};

/* Why we stopped it ourselves, if we did, comes before what it said of its end. */
static const struct {
    const char *outcome;
    enum task_how how;
    enum log_level level;
} stops[] = {
    [STOP_SOFT] = {"overran", TASK_RETRY, LOG_ERROR},
    [STOP_HARD] = {"overran", TASK_RETRY, LOG_ERROR},
    [STOP_CANCEL] = {"cancelled", TASK_CANCEL, LOG_WARN},
    [STOP_GRACE] = {OUTCOME_STOPPED, TASK_RELEASE, LOG_INFO},
};

/* Twice as long each time, and up to a fifth more, so that what failed together does not
   come together. */
static double retry_delay(struct crew *crew, const struct task *task)
{
    const struct conf *conf = crew->opts.conf;
    double s = conf->workers.retry_delay_s * pow(2, fmin(task->retry_count, 30));

    return fmin(s, conf->workers.retry_max_s) *
           (1 + 0.2 * rand_r(&crew->seed) / RAND_MAX);
}

static double hard_limit(const struct crew *crew, const struct slot *s)
{
    return s->task.timeout_s > 0 ? s->task.timeout_s
                                 : crew->opts.conf->workers.hard_limit_s;
}

static void say_stop(const struct crew *crew, const struct slot *s, char *why,
                     size_t size)
{
    switch (s->stop) {
    case STOP_SOFT:
        snprintf(why, size, "ran longer than soft_limit_s = %g s",
                 crew->opts.conf->workers.soft_limit_s);
        break;
    case STOP_HARD:
        snprintf(why, size, "ran longer than %s = %g s",
                 s->task.timeout_s > 0 ? "its timeout_s" : "hard_limit_s",
                 hard_limit(crew, s));
        break;
    case STOP_CANCEL:
        snprintf(why, size, "cancelled by an operator while it ran");
        break;
    default:
        snprintf(why, size, "the service stops");
    }
}

static double delay_of(struct crew *crew, const struct slot *s)
{
    if (s->end.how == TASK_RETRY || strcmp(s->outcome, OUTCOME_MACHINE) == 0)
        return retry_delay(crew, &s->task);
    return strcmp(s->outcome, OUTCOME_BUSY) == 0 ? BUSY_RETRY_S : 0;
}

static void put_end(struct crew *crew, struct slot *s, const char *reason)
{
    free(s->text);
    s->text = mem_strdup(reason);
    memcpy(s->end.id, s->task.id, sizeof s->end.id);
    s->end.fence = s->task.fence;
    s->end.text = s->end.how == TASK_COMPLETE ? s->path : s->text;
    s->end.usage = s->usage;
    s->end.delay_s = delay_of(crew, s);
    s->state = SLOT_ENDED;
}

static void judge(struct crew *crew, struct slot *s, const char *outcome,
                  const char *reason)
{
    size_t v = 0, last = sizeof verdicts / sizeof verdicts[0] - 1; /* "failed" */
    char why[128];

    while (v < last && strcmp(outcome, verdicts[v].outcome) != 0)
        v++;
    s->outcome = verdicts[v].outcome;
    s->end.how = verdicts[v].how;
    s->level = verdicts[v].level;
    if (s->stop != STOP_NOT && s->end.how != TASK_COMPLETE &&
        (s->stop != STOP_GRACE || s->end.how == TASK_RETRY)) {
        s->outcome = stops[s->stop].outcome;
        s->end.how = stops[s->stop].how;
        s->level = stops[s->stop].level;
        say_stop(crew, s, why, sizeof why);
        reason = why;
    }
    /* A full disk or missing permission is nobody's attempt: a service waits for it. */
    if (strcmp(s->outcome, OUTCOME_MACHINE) == 0 && crew->opts.once)
        s->end.how = TASK_RETRY;
    put_end(crew, s, reason);
}

/* Hand back what was never begun. */
void crew_hand_back(struct crew *crew, struct slot *s, const char *reason)
{
    s->outcome = OUTCOME_STOPPED;
    s->level = LOG_INFO;
    s->end.how = TASK_RELEASE;
    put_end(crew, s, reason);
}

void crew_cancel_waiting(struct crew *crew, struct slot *s)
{
    s->outcome = stops[STOP_CANCEL].outcome;
    s->level = stops[STOP_CANCEL].level;
    s->end.how = TASK_CANCEL;
    put_end(crew, s, "cancelled by an operator before it ran");
}

/* When worker processes die as soon as they begin, starting more of them helps nobody. */
static void count_crash(struct crew *crew, bool crashed, const char *reason)
{
    if (!crashed) {
        if (crew->crashes >= CRASHES)
            log_event(LOG_WARN, "crash_loop", "reason", "workers live again", NULL);
        crew->crashes = 0;
        crew->pause_until = 0;
        return;
    }
    if (++crew->crashes < CRASHES)
        return;
    crew->pause_until =
        clock_boot_s() + fmin(pow(2, crew->crashes - CRASHES), LONGEST_PAUSE_S);
    if (crew->crashes == CRASHES)
        log_event(LOG_ERROR, "crash_loop", "reason", reason, "in_a_row",
                  log_d(crew->crashes), "then",
                  "workers are started after growing pauses until one lives", NULL);
}

static void on_ended(void *arg, const struct task *task, const char *outcome,
                     const char *reason, json_t *last)
{
    struct crew *crew = arg;
    struct slot *s = slot_of(crew, task);
    const char *path = json_string_value(json_object_get(last, "path"));
    json_t *usage = json_object_get(last, "usage");

    if (s == NULL)
        return;
    if (s->stop == STOP_LOST) {
        crew_slot_free(crew, s);
    } else {
        if (s->stop == STOP_NOT)
            count_crash(crew, last == NULL && clock_boot_s() - s->started < CRASH_S,
                        reason);
        s->path = path != NULL && path[0] != '\0' ? mem_strdup(path) : NULL;
        s->usage = usage != NULL
                       ? json_dumps(usage, JSON_COMPACT | JSON_REAL_PRECISION(6))
                       : NULL;
        judge(crew, s, outcome, reason);
    }
    crew->hungry = true;
    crew_work(crew);
}

static void on_said(void *arg, const struct task *task, json_t *line)
{
    const char *step = json_string_value(json_object_get(line, "step"));
    const char *detail = json_string_value(json_object_get(line, "detail"));
    double took_s = json_number_value(json_object_get(line, "took_s"));
    struct crew *crew = arg;

    if (step == NULL)
        return;
    detail = detail != NULL ? detail : "";
    log_event(LOG_INFO, "step", "task", task->name, "group", task->key, "step", step,
              "took_s", log_f(took_s, 2), "detail", detail, NULL);
    crew_add_step(crew, task, step, detail, took_s);
    crew_work(crew);
}

/* ---- limits of a task ---- */

void crew_stop_task(struct crew *crew, struct slot *s, enum slot_stop why)
{
    if (s->state != SLOT_RUNS || (s->stop != STOP_NOT && why <= s->stop))
        return;
    s->stop = why;
    if (why == STOP_LOST || why == STOP_HARD) {
        s->kill_at = clock_boot_s();
    } else {
        pool_signal(crew->pool, s->task.id, SIGTERM);
        s->kill_at = clock_boot_s() + crew->opts.conf->workers.cancel_grace_s;
    }
}

/* Returns when there is something to do next; < 0: never. */
static double check_limits(struct crew *crew, struct slot *s, double now)
{
    double soft = crew->opts.conf->workers.soft_limit_s, hard = hard_limit(crew, s);
    double age = now - s->started;

    if (hard > 0 && age >= hard)
        crew_stop_task(crew, s, STOP_HARD);
    else if (soft > 0 && age >= soft)
        crew_stop_task(crew, s, STOP_SOFT);
    if (s->kill_at > 0 && now >= s->kill_at && !s->killed) {
        s->killed = true;
        pool_signal(crew->pool, s->task.id, SIGKILL);
    }
    if (s->killed)
        return -1;
    if (s->kill_at > 0)
        return s->kill_at;
    if (soft > 0 && (hard <= 0 || soft < hard))
        return s->started + soft;
    return hard > 0 ? s->started + hard : -1;
}

/* ---- starting ---- */

/* Not while an overtaken process of the same task is still dying. */
static bool may_start(const struct crew *crew, const struct slot *s)
{
    for (const struct slot *o = crew->slots; o != NULL; o = o->next)
        if (o->state == SLOT_RUNS && strcmp(o->task.id, s->task.id) == 0)
            return false;
    return true;
}

static bool start(struct crew *crew, struct slot *s)
{
    struct err e = {0};

    if (pool_start(crew->pool, &s->task, &e) != 0) {
        log_event(LOG_ERROR, "start", "task", s->task.name, "group", s->task.key,
                  "reason", e.text, NULL);
        crew_hand_back(crew, s, e.text);
        if (crew->opts.once) /* an attempt, so that there is an end */
            s->end.how = TASK_RETRY;
        s->end.delay_s = crew->opts.once ? retry_delay(crew, &s->task) : BUSY_RETRY_S;
        count_crash(crew, true, e.text);
        return false;
    }
    s->state = SLOT_RUNS;
    s->started = clock_boot_s();
    log_event(LOG_INFO, "start", "task", s->task.name, "group", s->task.key, "attempt",
              log_d(s->task.retry_count + 1), NULL);
    return true;
}

static void start_waiting(struct crew *crew, double now)
{
    size_t running = crew_count(crew, SLOT_RUNS);

    for (struct slot *s = crew->slots; s != NULL; s = s->next) {
        if (s->state != SLOT_WAITS)
            continue;
        if (crew->stopping)
            crew_hand_back(crew, s, "the service stops");
        else if (running < (size_t)crew->nslot && may_start(crew, s))
            running += start(crew, s);
        else if (now - s->claimed > PATIENCE_S)
            crew_hand_back(crew, s, "it was claimed ahead, and all slots are busy");
    }
}

/* ---- the end of it all ---- */

static void hand_all_back(struct crew *crew)
{
    if (crew_count(crew, SLOT_RUNS) > 0)
        log_event(LOG_WARN, "stopping", "reason", "grace is over, workers hand back",
                  NULL);
    for (struct slot *s = crew->slots; s != NULL; s = s->next)
        crew_stop_task(crew, s, STOP_GRACE);
    crew->terminated = true;
}

static void told_stopped(struct crew *crew)
{
    if (crew->stopped)
        return;
    crew->stopped = true;
    uv_timer_stop(&crew->timer);
    crew->opts.stopped(crew->opts.arg);
}

/* All processes have ended: is all said, too? */
static void finish(struct crew *crew, double now)
{
    if (crew->last_word_by == 0) {
        crew->last_word_by = now + LAST_WORD_S;
        pool_trim(crew->pool, 0);
    }
    if (crew->slots == NULL && !crew->in_flight && !crew->buried)
        crew_bury(crew);
    if (!crew->said_last && now >= crew->last_word_by && !crew->buried_done) {
        crew->said_last = true;
        log_event(LOG_ERROR, "stopping", "reason",
                  "the queue's store does not answer; what was in hand is free when "
                  "its lease has run out",
                  NULL);
    }
    if (!crew->buried_done && !crew->said_last)
        return;
    if (pool_processes(crew->pool) > 0 && crew->kill_by == 0)
        crew->kill_by = now + LAST_PROCESS_S;
    if (pool_processes(crew->pool) > 0 && now >= crew->kill_by)
        pool_kill(crew->pool);
    if (pool_processes(crew->pool) == 0)
        told_stopped(crew);
}

/* ---- what is due ---- */

static double sooner(double a, double b)
{
    return b >= 0 && b < a ? b : a;
}

void crew_work(struct crew *crew)
{
    double now = clock_boot_s(), next = now + 60;

    if (crew->stopped || !crew->started)
        return;
    if (crew->stopping && !crew->terminated && now >= crew->stop_at)
        hand_all_back(crew);
    for (struct slot *s = crew->slots; s != NULL; s = s->next)
        next = sooner(next, s->state == SLOT_RUNS    ? check_limits(crew, s, now)
                            : s->state == SLOT_WAITS ? s->claimed + PATIENCE_S + 0.1
                                                     : -1);
    start_waiting(crew, now);
    next = sooner(next, crew_round(crew, now));
    if (crew->stopping) {
        if (crew_count(crew, SLOT_RUNS) == 0)
            finish(crew, now);
        if (crew->stopped)
            return;
        next = sooner(next, now + 0.05);
    }
    uv_update_time(crew->opts.loop);
    uv_timer_start(&crew->timer, crew->on_timer,
                   (uint64_t)ceil(1000 * fmax(next - now, 0)), 0);
}

static void on_timer(uv_timer_t *timer)
{
    struct crew *crew = timer->data;

    crew_work(crew);
    if (!crew->stopped && crew->opts.turned != NULL)
        crew->opts.turned(crew->opts.arg);
}

/* ---- what others want of it ---- */

void crew_start(struct crew *crew)
{
    crew->started = crew->hungry = true;
    crew_work(crew);
}

void crew_wake(struct crew *crew, bool changed)
{
    crew->hungry = true;
    crew->check |= changed;
    crew_work(crew);
}

void crew_scale(struct crew *crew, long slots)
{
    if (slots == crew->nslot)
        return;
    log_event(LOG_INFO, "scale", "slots", log_d(slots), "before", log_d(crew->nslot),
              NULL);
    crew->nslot = slots;
    crew->me.slots = (int)slots;
    crew->beat_at = 0; /* told at once */
    crew->hungry = true;
    crew_trim(crew);
    crew_work(crew);
}

void crew_trim(struct crew *crew)
{
    size_t running = pool_running(crew->pool), slots = (size_t)crew->nslot;

    pool_trim(crew->pool, slots > running ? slots - running : 0);
}

void crew_renew(struct crew *crew)
{
    pool_renew(crew->pool);
    crew_wake(crew, false);
}

void crew_hold(struct crew *crew, const char *reason)
{
    crew->held = reason;
    if (reason == NULL)
        crew_wake(crew, false);
}

void crew_stop(struct crew *crew, double grace_s)
{
    crew->stop_at = clock_boot_s() + grace_s;
    crew->stopping = true;
    snprintf(crew->me.state, sizeof crew->me.state, "stopping");
    crew->beat_at = 0;
    if (!crew->started) {
        told_stopped(crew);
        return;
    }
    crew_work(crew);
}

void crew_look(const struct crew *crew, struct crew_look *out)
{
    size_t all = 0;

    for (const struct slot *s = crew->slots; s != NULL; s = s->next)
        all++;
    *out = (struct crew_look){.slots = crew->nslot,
                              .running = all,
                              .untold = crew_count(crew, SLOT_ENDED),
                              .idle = crew->started && all == 0 && !crew->in_flight &&
                                      (!crew->hungry || crew->nslot == 0),
                              .empty = crew->empty || crew->nslot == 0,
                              .mode = crew->mode,
                              .held = crew->held};
    if (out->held == NULL && crew->pause_until > clock_boot_s())
        out->held = "worker processes die as soon as they begin";
}

void crew_each(const struct crew *crew, pool_look_fn *fn, void *arg)
{
    pool_each_look(crew->pool, fn, arg);
}

const struct queue_worker *crew_me(const struct crew *crew)
{
    return &crew->me;
}

/* ---- its life ---- */

int crew_new(struct crew **out, const struct crew_opts *opts, struct err *e)
{
    struct crew *crew;
    struct queue_worker me;
    int rc = crew_identity(&me, opts->name, e);
    struct pool_opts po = {.loop = opts->loop,
                           .conf = opts->conf,
                           .settings = opts->settings,
                           .said = on_said,
                           .ended = on_ended};

    *out = NULL;
    if (rc != 0)
        return rc;
    crew = mem_calloc(1, sizeof *crew);
    crew->opts = *opts;
    crew->me = me;
    crew->nslot = opts->slots;
    crew->me.slots = (int)opts->slots;
    crew->seed = (unsigned)me.pid ^ (unsigned)(1e6 * clock_wall_s());
    crew->on_timer = on_timer;
    rc = path_join(crew->logs, sizeof crew->logs, opts->conf->paths.state, "logs", e);
    if (rc == 0)
        rc = path_mkdirs(crew->logs, e);
    if (rc != 0) {
        free(crew);
        return rc;
    }
    po.logs = crew->logs;
    po.arg = crew;
    crew->pool = pool_new(&po);
    uv_timer_init(opts->loop, &crew->timer);
    crew->timer.data = crew;
    *out = crew;
    return 0;
}

void crew_free(struct crew *crew)
{
    if (crew == NULL)
        return;
    while (crew->slots != NULL)
        crew_slot_free(crew, crew->slots);
    crew_drop_steps(crew);
    pool_free(crew->pool);
    free(crew);
}
