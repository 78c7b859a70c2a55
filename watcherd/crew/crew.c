/*
 * crew.c: see crew.h.  slot.c knows which tasks are in hand, crew_talk.c talks to the store;
 * this file decides when tasks are started and stopped, and how a crew ends.
 */
#include "watcherd/crew/crew.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/conf.h"
#include "core/err.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/path.h"
#include "locks/owner.h"
#include "watcherd/base/outcome.h"
#include "watcherd/crew/crew_talk.h"
#include "watcherd/crew/slot.h"

/* So many processes in a row that die so soon are not the fault of one task. */
static const double CRASH_S = 1;
enum { CRASHES = 3 };
static const double LONGEST_PAUSE_S = 60;
static const double PATIENCE_S = 1; /* for what was claimed ahead */
/* When we stop: how long the store has for the last ends, and idle processes to end. */
static const double LAST_WORD_S = 5, LAST_PROCESS_S = 2;

/* Processes that die as soon as they begin. */
struct crashes {
    int in_a_row;
    double pause_until; /* boot clock; 0: no pause */
};

/* From crew_stop on. */
struct ending {
    bool begun, terminated, said_last, over;
    double stop_at, last_word_by, kill_by; /* boot clock; 0: not yet */
};

struct crew {
    struct crew_opts opts;
    struct queue_worker me;
    char logs[PATH_MAX];
    struct pool *pool;
    struct crew_talk *talk;
    uv_timer_t timer;
    struct slots slots;
    long nslot;
    bool started;
    const char *held; /* why nothing is claimed; NULL */
    struct crashes crashes;
    struct ending end;
};

static void work(struct crew *crew);
static void on_timer(uv_timer_t *timer);

/* ---- how processes end ---- */

/* When worker processes die as soon as they begin, starting more of them helps nobody. */
static void count_crash(struct crashes *c, bool crashed, const char *reason)
{
    if (!crashed) {
        if (c->in_a_row >= CRASHES)
            log_event(LOG_WARN, "crash_loop", "reason", "workers live again", NULL);
        c->in_a_row = 0;
        c->pause_until = 0;
        return;
    }
    if (++c->in_a_row < CRASHES)
        return;
    c->pause_until =
        clock_boot_s() + fmin(pow(2, c->in_a_row - CRASHES), LONGEST_PAUSE_S);
    if (c->in_a_row == CRASHES)
        log_event(LOG_ERROR, "crash_loop", "reason", reason, "in_a_row",
                  log_d(c->in_a_row), "then",
                  "workers are started after growing pauses until one lives", NULL);
}

static void on_ended(void *arg, const struct task *task, const char *outcome,
                     const char *reason, json_t *last)
{
    struct crew *crew = arg;
    struct slot *s = slots_find(&crew->slots, task->id, task->fence);
    const char *path = json_string_value(json_object_get(last, "path"));
    json_t *usage = json_object_get(last, "usage");

    if (s == NULL)
        return;
    if (s->stop == STOP_LOST) {
        slots_remove(&crew->slots, s);
    } else {
        if (s->stop == STOP_NOT)
            count_crash(&crew->crashes,
                        last == NULL && clock_boot_s() - s->started < CRASH_S, reason);
        s->path = path != NULL && path[0] != '\0' ? mem_strdup(path) : NULL;
        s->usage = usage != NULL
                       ? json_dumps(usage, JSON_COMPACT | JSON_REAL_PRECISION(6))
                       : NULL;
        slot_end(&crew->slots, s, outcome, reason);
    }
    crew_talk_hungry(crew->talk);
    work(crew);
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
    crew_talk_step(crew->talk, task, step, detail, took_s);
    work(crew);
}

/* ---- limits of a task ---- */

/* Also called from crew_talk.c. */
static void stop_task(void *arg, struct slot *s, enum slot_stop why)
{
    struct crew *crew = arg;

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
    double soft = crew->opts.conf->workers.soft_limit_s,
           hard = slot_hard_limit(&crew->slots, s);
    double age = now - s->started;

    if (hard > 0 && age >= hard)
        stop_task(crew, s, STOP_HARD);
    else if (soft > 0 && age >= soft)
        stop_task(crew, s, STOP_SOFT);
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
    for (const struct slot *o = crew->slots.first; o != NULL; o = o->next)
        if (o->state == SLOT_RUNS && strcmp(o->task.id, s->task.id) == 0)
            return false;
    return true;
}

static bool start(struct crew *crew, struct slot *s)
{
    struct err e = {0};
    int rc = pool_start(crew->pool, &s->task, &e);

    if (rc == ERR_FORMAT) { /* no worker can be told of it, now or later */
        slot_end(&crew->slots, s, OUTCOME_BAD, e.text);
        return false;
    }
    if (rc != 0) {
        log_event(LOG_ERROR, "start", "task", s->task.name, "group", s->task.key,
                  "reason", e.text, NULL);
        slot_not_started(&crew->slots, s, e.text);
        count_crash(&crew->crashes, true, e.text);
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
    size_t running = slots_count(&crew->slots, SLOT_RUNS);

    for (struct slot *s = crew->slots.first; s != NULL; s = s->next) {
        if (s->state != SLOT_WAITS)
            continue;
        if (crew->end.begun)
            slot_hand_back(&crew->slots, s, "the service stops");
        else if (running < (size_t)crew->nslot && may_start(crew, s))
            running += start(crew, s);
        else if (now - s->claimed > PATIENCE_S)
            slot_hand_back(&crew->slots, s,
                           "it was claimed ahead, and all slots are busy");
    }
}

/* ---- stopping ---- */

static void hand_all_back(struct crew *crew)
{
    if (slots_count(&crew->slots, SLOT_RUNS) > 0)
        log_event(LOG_WARN, "stopping", "reason", "grace is over, workers hand back",
                  NULL);
    for (struct slot *s = crew->slots.first; s != NULL; s = s->next)
        stop_task(crew, s, STOP_GRACE);
    crew->end.terminated = true;
}

static void told_stopped(struct crew *crew)
{
    if (crew->end.over)
        return;
    crew->end.over = true;
    uv_timer_stop(&crew->timer);
    crew->opts.stopped(crew->opts.arg);
}

/* All processes have ended: has the store accepted all that we had to say, too? */
static void finish(struct crew *crew, double now)
{
    struct crew_talk_look talk;

    if (crew->end.last_word_by == 0) {
        crew->end.last_word_by = now + LAST_WORD_S;
        pool_trim(crew->pool, 0);
    }
    crew_talk_look(crew->talk, &talk);
    if (crew->slots.first == NULL && !talk.in_flight && !talk.buried)
        crew_talk_bury(crew->talk);
    if (!crew->end.said_last && now >= crew->end.last_word_by && !talk.forgotten) {
        crew->end.said_last = true;
        log_event(LOG_ERROR, "stopping", "reason",
                  "the queue's store does not answer; what was in hand is free when "
                  "its lease has run out",
                  NULL);
    }
    if (!talk.forgotten && !crew->end.said_last)
        return;
    if (pool_processes(crew->pool) > 0 && crew->end.kill_by == 0)
        crew->end.kill_by = now + LAST_PROCESS_S;
    if (pool_processes(crew->pool) > 0 && now >= crew->end.kill_by)
        pool_kill(crew->pool);
    if (pool_processes(crew->pool) == 0)
        told_stopped(crew);
}

/* ---- what is due ---- */

static double sooner(double a, double b)
{
    return b >= 0 && b < a ? b : a;
}

static void work(struct crew *crew)
{
    double now = clock_boot_s(), next = now + 60;

    if (crew->end.over || !crew->started)
        return;
    if (crew->end.begun && !crew->end.terminated && now >= crew->end.stop_at)
        hand_all_back(crew);
    for (struct slot *s = crew->slots.first; s != NULL; s = s->next)
        next = sooner(next, s->state == SLOT_RUNS    ? check_limits(crew, s, now)
                            : s->state == SLOT_WAITS ? s->claimed + PATIENCE_S + 0.1
                                                     : -1);
    start_waiting(crew, now);
    next = sooner(next, crew_talk_round(crew->talk, now,
                                        &(struct crew_talk_may){
                                            .slots = crew->nslot,
                                            .stopping = crew->end.begun,
                                            .held = crew->held != NULL,
                                            .not_until = crew->crashes.pause_until}));
    if (crew->end.begun) {
        if (slots_count(&crew->slots, SLOT_RUNS) == 0)
            finish(crew, now);
        if (crew->end.over)
            return;
        next = sooner(next, now + 0.05);
    }
    uv_update_time(crew->opts.loop);
    uv_timer_start(&crew->timer, on_timer, (uint64_t)ceil(1000 * fmax(next - now, 0)),
                   0);
}

static void on_timer(uv_timer_t *timer)
{
    struct crew *crew = timer->data;

    work(crew);
    if (!crew->end.over && crew->opts.turned != NULL)
        crew->opts.turned(crew->opts.arg);
}

static void on_talked(void *arg, bool round)
{
    struct crew *crew = arg;

    work(crew);
    if (round && crew->opts.turned != NULL)
        crew->opts.turned(crew->opts.arg);
}

static void on_accepted(void *arg, const struct task *task, enum crew_how how)
{
    struct crew *crew = arg;

    if (crew->opts.ended != NULL)
        crew->opts.ended(crew->opts.arg, task, how);
}

/* ---- calls from outside ---- */

void crew_start(struct crew *crew)
{
    crew->started = true;
    crew_talk_hungry(crew->talk);
    work(crew);
}

void crew_wake(struct crew *crew, bool changed)
{
    crew_talk_hungry(crew->talk);
    if (changed)
        crew_talk_check(crew->talk);
    work(crew);
}

static void trim(struct crew *crew)
{
    size_t running = pool_running(crew->pool), slots = (size_t)crew->nslot;

    pool_trim(crew->pool, slots > running ? slots - running : 0);
}

void crew_scale(struct crew *crew, long slots)
{
    if (slots == crew->nslot)
        return;
    log_event(LOG_INFO, "scale", "slots", log_d(slots), "before", log_d(crew->nslot),
              NULL);
    crew->nslot = slots;
    crew->me.slots = (int)slots;
    crew_talk_beat(crew->talk); /* told at once */
    crew_talk_hungry(crew->talk);
    trim(crew);
    work(crew);
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
    crew->end.stop_at = clock_boot_s() + grace_s;
    crew->end.begun = true;
    snprintf(crew->me.state, sizeof crew->me.state, "stopping");
    crew_talk_beat(crew->talk);
    if (!crew->started) {
        told_stopped(crew);
        return;
    }
    work(crew);
}

void crew_look(const struct crew *crew, struct crew_look *out)
{
    struct crew_talk_look talk;
    size_t all = 0;

    crew_talk_look(crew->talk, &talk);
    for (const struct slot *s = crew->slots.first; s != NULL; s = s->next)
        all++;
    *out = (struct crew_look){.slots = crew->nslot,
                              .running = all,
                              .untold = slots_count(&crew->slots, SLOT_ENDED),
                              .idle = crew->started && all == 0 && !talk.in_flight &&
                                      (!talk.hungry || crew->nslot == 0),
                              .empty = talk.empty || crew->nslot == 0,
                              .mode = talk.mode,
                              .held = crew->held};
    if (out->held == NULL && crew->crashes.pause_until > clock_boot_s())
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

/* ---- who we are ---- */

/*
 * Processes of another PID namespace cannot be judged from here, so a machine's name carries
 * the namespace, unless it is the kernel's first (whose inode is PROC_PID_INIT_INO,
 * linux/proc_fs.h).
 */
static int identity(struct queue_worker *me, const char *name, struct err *e)
{
    const uint64_t first = 0xEFFFFFFC;
    struct owner self;
    int rc = owner_self(&self, e);

    if (rc != 0)
        return rc;
    memset(me, 0, sizeof *me);
    snprintf(me->host, sizeof me->host, "%.*s", (int)sizeof me->host - 1, self.host);
    snprintf(me->boot, sizeof me->boot, "%s", self.boot);
    if (self.machine[0] != '\0' && self.pidns != first)
        snprintf(me->machine, sizeof me->machine, "%s.%06x", self.machine,
                 (unsigned)(self.pidns & 0xFFFFFF));
    else
        snprintf(me->machine, sizeof me->machine, "%s", self.machine);
    me->pid = self.pid;
    me->start = (int64_t)self.start;
    snprintf(me->id, sizeof me->id, "%.60s:%.40s:%lld", me->host, name,
             (long long)me->pid);
    snprintf(me->state, sizeof me->state, "running");
    return 0;
}

/* ---- its life ---- */

int crew_new(struct crew **out, const struct crew_opts *opts, struct err *e)
{
    struct crew *crew;
    struct queue_worker me;
    int rc = identity(&me, opts->name, e);
    struct pool_opts po = {.loop = opts->loop,
                           .conf = opts->conf,
                           .settings = opts->settings,
                           .program = opts->program,
                           .said = on_said,
                           .ended = on_ended};
    struct crew_talk_opts to = {.store = opts->store,
                                .conf = opts->conf,
                                .stop = stop_task,
                                .ended = on_accepted,
                                .turned = on_talked};

    *out = NULL;
    if (rc != 0)
        return rc;
    crew = mem_calloc(1, sizeof *crew);
    crew->opts = *opts;
    crew->me = me;
    crew->nslot = opts->slots;
    crew->me.slots = (int)opts->slots;
    crew->slots.conf = opts->conf;
    crew->slots.once = opts->once;
    crew->slots.seed = (unsigned)me.pid ^ (unsigned)(1e6 * clock_wall_s());
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
    to.me = &crew->me;
    to.slots = &crew->slots;
    to.arg = crew;
    crew->talk = crew_talk_new(&to);
    uv_timer_init(opts->loop, &crew->timer);
    crew->timer.data = crew;
    *out = crew;
    return 0;
}

void crew_free(struct crew *crew)
{
    if (crew == NULL)
        return;
    slots_clear(&crew->slots);
    crew_talk_free(crew->talk);
    pool_free(crew->pool);
    free(crew);
}
