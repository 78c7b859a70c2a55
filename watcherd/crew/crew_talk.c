#include "watcherd/crew/crew_talk.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/conf.h"
#include "core/err.h"
#include "core/log.h"
#include "core/mem.h"
#include "watcherd/base/store.h"
#include "watcherd/crew/burial.h"

static const double FAILED_PAUSE_S = 1; /* after a round that the store refused */
static const double CHECK_EVERY_S = 0.1;
static const double QUICK_S = 0.1; /* a task that took less */
enum { MOST_AHEAD = 128 };

/* A step that waits for the next round. */
struct told_step {
    struct told_step *next;
    struct task_step step; /* points into text */
    char text[];
};

struct crew_talk {
    struct crew_talk_opts opts;
    struct crew_talk_may may; /* as the crew said last */
    struct told_step *steps, **steps_end;
    size_t nstep;
    /* claim so many more than there are slots: tasks are shorter than a round */
    size_t ahead;
    bool hungry, empty, check, in_flight;        /* as in crew_talk_look */
    double beat_at, reap_at, claim_at, check_at; /* when they are due; boot clock */
    double retry_at;                             /* a round failed: not before */
    char said[256];                              /* how it failed: logged once */
    enum queue_mode mode;
    bool buried, forgotten;
};

struct round {
    struct store_job job;
    struct crew_talk *talk; /* for the loop only */
    struct queue_worker me;
    struct task_ref *ref;
    size_t nref;
    struct queue_turn turn;
    struct task_step *step;
    size_t nstep;
    struct told_step *steps; /* what step points into */
    double lease_s;
    bool beat, check, reap;
    size_t dropped, reaped; /* returned, as hold in ref and rc in turn.end */
    double due_s;           /* seconds until the next task; < 0: none */
};

/* ---- on the store's thread ---- */

struct hold_check {
    struct task_ref *ref;
    bool seen;
};

static void check_one(void *arg, const struct task *t)
{
    struct hold_check *c = arg;

    c->seen = true;
    c->ref->hold = t->status != TASK_CLAIMED || t->fence != c->ref->fence ? TASK_LOST
                   : t->cancel ? TASK_TO_CANCEL
                               : TASK_HELD;
}

/* Only looks: a sign of life is a change, at which the others would look in turn. */
static int check_tasks(struct round *r, struct queue *q, struct err *e)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < r->nref; i++) {
        struct hold_check c = {&r->ref[i], false};

        rc = queue_each(q, &(struct task_filter){.id = r->ref[i].id}, check_one, &c, e);
        if (rc == 0 && !c.seen)
            r->ref[i].hold = TASK_LOST;
    }
    return rc;
}

/* After a time without the store the first thing it hears is that we live. */
static int run_round(struct store_job *job, struct queue *q, struct err *e)
{
    struct round *r = (struct round *)job;
    int rc = 0;

    if (job->tries > 0)
        r->beat = true;
    if (r->beat)
        rc = queue_beat(q, &r->me, r->ref, r->nref, r->lease_s, &r->dropped, e);
    else if (r->check)
        rc = check_tasks(r, q, e);
    if (rc == 0 && r->nstep > 0)
        rc = queue_put_steps(q, r->step, r->nstep, e);
    if (rc == 0 && (r->turn.nend > 0 || r->turn.want > 0))
        rc = queue_turn(q, &r->turn, e);
    if (rc == 0 && r->reap)
        rc = queue_reap(q, r->lease_s, &r->reaped, e);
    if (rc == 0 && r->turn.ngot < r->turn.want)
        rc = queue_next_due(q, &r->due_s, e);
    return rc;
}

/* ---- answers ---- */

static void steps_free(struct told_step *s)
{
    for (struct told_step *next; s != NULL; s = next) {
        next = s->next;
        free(s);
    }
}

static void round_free(struct round *r)
{
    steps_free(r->steps);
    free(r->ref);
    free(r->step);
    free(r->turn.end);
    free(r->turn.got);
    free(r);
}

static void take_holds(struct crew_talk *t, const struct round *r)
{
    for (size_t i = 0; i < r->nref; i++) {
        struct slot *s = slots_find(t->opts.slots, r->ref[i].id, r->ref[i].fence);

        if (s == NULL || s->state == SLOT_ENDED || r->ref[i].hold == TASK_HELD)
            continue;
        if (r->ref[i].hold == TASK_TO_CANCEL) {
            if (s->state == SLOT_WAITS)
                slot_cancel(t->opts.slots, s);
            else
                t->opts.stop(t->opts.arg, s, STOP_CANCEL);
            continue;
        }
        if (s->stop != STOP_LOST)
            log_event(
                LOG_WARN, "lost", "task", s->task.name, "group", s->task.key, "reason",
                "it was taken from its worker (lease, or an operator's edit)", NULL);
        if (s->state == SLOT_WAITS)
            slots_remove(t->opts.slots, s);
        else
            t->opts.stop(t->opts.arg, s, STOP_LOST);
    }
}

static enum crew_how how_of(const struct slot *s, int rc)
{
    if (rc == ERR_LOST_TASK)
        return CREW_LOST;
    switch (s->end.how) {
    case TASK_COMPLETE:
        return CREW_DONE;
    case TASK_FAIL:
        return CREW_FAILED;
    case TASK_CANCEL:
        return CREW_CANCELLED;
    case TASK_RETRY:
        return s->task.retry_count < s->task.max_retries ? CREW_AGAIN : CREW_FAILED;
    default:
        return CREW_AGAIN;
    }
}

/* One line for each end: its event says already whether another attempt follows. */
static void say_end(const struct slot *s, enum crew_how how)
{
    if (how == CREW_LOST)
        log_event(LOG_WARN, "late_word", "task", s->task.name, "group", s->task.key,
                  "reason", "it was taken from its worker before its end", NULL);
    else
        log_event(s->level, how == CREW_FAILED ? "task_failed" : s->outcome, "task",
                  s->task.name, "group", s->task.key, "reason", s->text, "path",
                  s->path != NULL ? s->path : "", NULL);
}

/*
 * Tasks that take less time than a commit leave their slot empty for most of it.  When a
 * whole round of them has ended, some are claimed ahead, so that slots are filled while the
 * next ends are written.
 */
static void look_ahead(struct crew_talk *t, const struct round *r)
{
    double now = clock_boot_s();
    bool quick = t->may.slots > 0 && r->turn.nend >= (size_t)t->may.slots;

    for (size_t i = 0; quick && i < r->turn.nend; i++) {
        const struct slot *s =
            slots_find(t->opts.slots, r->turn.end[i].id, r->turn.end[i].fence);

        quick = s != NULL && s->end.how == TASK_COMPLETE && now - s->started < QUICK_S;
    }
    t->ahead = !quick                          ? 0
               : 2 * r->turn.nend < MOST_AHEAD ? 2 * r->turn.nend
                                               : MOST_AHEAD;
}

static void take_ends(struct crew_talk *t, const struct round *r)
{
    if (r->turn.nend > 0)
        look_ahead(t, r);
    for (size_t i = 0; i < r->turn.nend; i++) {
        const struct task_end *end = &r->turn.end[i];
        struct slot *s = slots_find(t->opts.slots, end->id, end->fence);
        enum crew_how how;

        if (s == NULL)
            continue;
        how = how_of(s, end->rc);
        say_end(s, how);
        t->opts.ended(t->opts.arg, &s->task, how);
        slots_remove(t->opts.slots, s);
    }
}

static void take_tasks(struct crew_talk *t, const struct round *r)
{
    for (size_t i = 0; i < r->turn.ngot; i++)
        slots_add(t->opts.slots, &r->turn.got[i]);
    if (r->turn.want > 0) {
        if (r->turn.mode != t->mode)
            log_event(LOG_WARN, "queue_mode", "mode", queue_mode_name(r->turn.mode),
                      NULL);
        t->mode = r->turn.mode;
    }
    if (r->turn.want > 0 && r->turn.ngot < r->turn.want) {
        t->hungry = false;
        t->empty = r->due_s < 0;
        t->claim_at = r->due_s < 0 || r->turn.mode == QUEUE_PAUSED
                          ? 0
                          : clock_boot_s() + fmax(r->due_s, 0.02);
    }
}

static void take_counts(struct crew_talk *t, const struct round *r)
{
    if (r->dropped > 0 || r->reaped > 0)
        log_event(
            LOG_WARN, "recovered", "tasks", log_u(r->dropped + r->reaped), "reason",
            r->reaped > 0 ? "their workers were silent for longer than their lease"
                          : "they were claimed for us and we do not work on them",
            NULL);
    if (r->dropped > 0 || r->reaped > 0)
        t->hungry = true;
}

static void round_failed(struct crew_talk *t, int rc, const struct err *e)
{
    t->retry_at = clock_boot_s() + FAILED_PAUSE_S;
    if (rc != -ECANCELED && strcmp(t->said, e->text) != 0)
        log_event(LOG_ERROR, "queue", "reason", e->text, "code", err_name(e->code),
                  "then", "it is tried again", NULL);
    snprintf(t->said, sizeof t->said, "%s", e->text);
}

static void end_round(struct store_job *job, int rc, const struct err *e)
{
    struct round *r = (struct round *)job;
    struct crew_talk *t = r->talk;

    t->in_flight = false;
    if (rc == 0) {
        t->said[0] = '\0';
        if (r->beat || r->check)
            take_holds(t, r);
        take_ends(t, r);
        take_tasks(t, r);
        take_counts(t, r);
    } else {
        t->hungry = true;
        round_failed(t, rc, e);
    }
    round_free(r);
    if (rc == -ECANCELED)
        return; /* the store has stopped: no more rounds */
    t->opts.turned(t->opts.arg, true);
}

/* ---- making one ---- */

static void put_refs(struct round *r, const struct crew_talk *t)
{
    size_t n = 0;

    for (const struct slot *s = t->opts.slots->first; s != NULL; s = s->next)
        n++;
    r->ref = mem_calloc(n + 1, sizeof *r->ref);
    for (const struct slot *s = t->opts.slots->first; s != NULL; s = s->next) {
        memcpy(r->ref[r->nref].id, s->task.id, sizeof s->task.id);
        r->ref[r->nref++].fence = s->task.fence;
    }
}

/* The slots stay as they are until the answer is there, so their text may be borrowed. */
static void put_ends(struct round *r, const struct crew_talk *t)
{
    r->turn.end =
        mem_calloc(slots_count(t->opts.slots, SLOT_ENDED) + 1, sizeof *r->turn.end);
    for (const struct slot *s = t->opts.slots->first; s != NULL; s = s->next)
        if (s->state == SLOT_ENDED)
            r->turn.end[r->turn.nend++] = s->end;
}

static void put_steps(struct round *r, struct crew_talk *t)
{
    if (t->nstep == 0)
        return;
    r->steps = t->steps;
    r->step = mem_calloc(t->nstep, sizeof *r->step);
    for (struct told_step *s = r->steps; s != NULL; s = s->next)
        r->step[r->nstep++] = s->step;
    t->steps = NULL;
    t->nstep = 0;
}

static bool may_claim(const struct crew_talk *t, double now)
{
    return !t->may.stopping && !t->may.held && now >= t->may.not_until;
}

static size_t free_slots(const struct crew_talk *t)
{
    size_t busy =
        slots_count(t->opts.slots, SLOT_WAITS) + slots_count(t->opts.slots, SLOT_RUNS);
    size_t all = (size_t)t->may.slots + t->ahead;

    return all > busy ? all - busy : 0;
}

static struct round *round_new(struct crew_talk *t, double now)
{
    const struct conf *conf = t->opts.conf;
    struct round *r = mem_calloc(1, sizeof *r);

    r->job.run = run_round;
    r->job.done = end_round;
    r->talk = t;
    r->lease_s = r->turn.lease_s = conf->workers.lease_s;
    r->due_s = -1;
    r->me = *t->opts.me;
    r->turn.worker = r->me.id;
    r->beat = now >= t->beat_at;
    r->check = t->check && now >= t->check_at;
    r->reap = now >= t->reap_at && !t->may.stopping;
    put_refs(r, t);
    put_ends(r, t);
    if (t->hungry && may_claim(t, now))
        r->turn.want = free_slots(t);
    r->me.running = (int)(slots_count(t->opts.slots, SLOT_RUNS) +
                          slots_count(t->opts.slots, SLOT_WAITS));
    return r;
}

static void dispatch(struct crew_talk *t, struct round *r, double now)
{
    const struct conf *conf = t->opts.conf;

    put_steps(r, t);
    if (r->turn.want > 0)
        r->turn.got = mem_calloc(r->turn.want, sizeof *r->turn.got);
    if (r->beat)
        t->beat_at = now + conf->workers.heartbeat_s;
    if (r->reap)
        t->reap_at = now + conf->workers.lease_s / 4;
    if (r->beat || r->check) {
        t->check = false;
        t->check_at = now + CHECK_EVERY_S;
    }
    t->in_flight = true;
    store_post(t->opts.store, &r->job);
}

static double sooner(double a, double b)
{
    return b > 0 && b < a ? b : a;
}

static double next_round(const struct crew_talk *t, double now)
{
    /* one that stops reaps nobody: its reap_at stays in the past */
    double next = t->may.stopping ? t->beat_at : sooner(t->beat_at, t->reap_at);

    if (t->check)
        next = sooner(next, t->check_at);
    next = sooner(next, t->claim_at);
    if (t->hungry && t->may.not_until > now)
        next = sooner(next, t->may.not_until);
    return fmax(next, t->retry_at);
}

double crew_talk_round(struct crew_talk *t, double now, const struct crew_talk_may *may)
{
    struct round *r;

    t->may = *may;
    if (t->in_flight || t->buried)
        return now + 60; /* its answer comes by itself */
    if (now < t->retry_at)
        return t->retry_at;
    if (t->claim_at > 0 && now >= t->claim_at) {
        t->claim_at = 0;
        t->hungry = true;
    }
    r = round_new(t, now);
    if (r->beat || r->check || r->reap || r->turn.nend > 0 || r->turn.want > 0 ||
        t->nstep > 0) {
        dispatch(t, r, now);
        return now + 60;
    }
    round_free(r);
    return next_round(t, now);
}

/* ---- steps ---- */

void crew_talk_step(struct crew_talk *t, const struct task *task, const char *step,
                    const char *detail, double took_s)
{
    size_t n = strlen(step) + 1, m = strlen(detail) + 1;
    struct told_step *s = mem_malloc(sizeof *s + n + m);

    memcpy(s->text, step, n);
    memcpy(s->text + n, detail, m);
    s->next = NULL;
    s->step = (struct task_step){
        .fence = task->fence, .step = s->text, .detail = s->text + n, .took_s = took_s};
    memcpy(s->step.id, task->id, sizeof s->step.id);
    if (t->steps == NULL)
        t->steps_end = &t->steps;
    *t->steps_end = s;
    t->steps_end = &s->next;
    t->nstep++;
}

/* ---- the last word ---- */

static void on_buried(void *arg, const char *worker_id, int rc, size_t tasks)
{
    struct crew_talk *t = arg;

    (void)worker_id;
    (void)tasks;
    t->forgotten = true;
    if (rc != -ECANCELED)
        t->opts.turned(t->opts.arg, false);
}

void crew_talk_bury(struct crew_talk *t)
{
    t->buried = true;
    burial_post(t->opts.store, t->opts.me->id, on_buried, t);
}

/* ---- its life ---- */

void crew_talk_hungry(struct crew_talk *t)
{
    t->hungry = true;
}

void crew_talk_check(struct crew_talk *t)
{
    t->check = true;
}

void crew_talk_beat(struct crew_talk *t)
{
    t->beat_at = 0;
}

void crew_talk_look(const struct crew_talk *t, struct crew_talk_look *out)
{
    *out = (struct crew_talk_look){.in_flight = t->in_flight,
                                   .hungry = t->hungry,
                                   .empty = t->empty,
                                   .buried = t->buried,
                                   .forgotten = t->forgotten,
                                   .mode = t->mode};
}

struct crew_talk *crew_talk_new(const struct crew_talk_opts *opts)
{
    struct crew_talk *t = mem_calloc(1, sizeof *t);

    t->opts = *opts;
    return t;
}

void crew_talk_free(struct crew_talk *t)
{
    if (t != NULL)
        steps_free(t->steps);
    free(t);
}
