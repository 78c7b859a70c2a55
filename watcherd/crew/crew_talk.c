/*
 * crew_talk.c: what a crew says and asks in one round at the store.
 *
 * A round is made on the loop from what is known there, run on the store's thread, and its
 * answers are taken on the loop.  Never two at a time: else a sign of life, made before the
 * answer to a claim, would hand back what was just claimed.  For the same reason a sign of
 * life also names the tasks whose end is told in the same round.
 */
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
#include "locks/owner.h"
#include "watcherd/crew/crew_slot.h"
#include "watcherd/base/store.h"

static const double FAILED_PAUSE_S = 1; /* after a round that the store refused */
static const double CHECK_EVERY_S = 0.1;
static const double QUICK_S = 0.1; /* a task that took less */
enum { MOST_AHEAD = 128 };

struct round {
    struct store_job job;
    struct crew *crew; /* for the loop only */
    struct queue_worker me;
    struct task_ref *ref;
    size_t nref;
    struct queue_turn turn;
    struct task_step *step;
    size_t nstep;
    struct crew_step *steps; /* what step points into */
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

/* A look, not a sign of life: that would be a change, which others would look at in turn. */
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

static void round_free(struct round *r)
{
    for (struct crew_step *s = r->steps, *next; s != NULL; s = next) {
        next = s->next;
        free(s);
    }
    free(r->ref);
    free(r->step);
    free(r->turn.end);
    free(r->turn.got);
    free(r);
}

static struct slot *slot_by_fence(struct crew *crew, const char *id, int64_t fence)
{
    struct slot *s = crew->slots;

    while (s != NULL && (s->task.fence != fence || strcmp(s->task.id, id) != 0))
        s = s->next;
    return s;
}

static void take_holds(struct crew *crew, const struct round *r)
{
    for (size_t i = 0; i < r->nref; i++) {
        struct slot *s = slot_by_fence(crew, r->ref[i].id, r->ref[i].fence);

        if (s == NULL || s->state == SLOT_ENDED || r->ref[i].hold == TASK_HELD)
            continue;
        if (r->ref[i].hold == TASK_TO_CANCEL) {
            if (s->state == SLOT_WAITS)
                crew_cancel_waiting(crew, s);
            else
                crew_stop_task(crew, s, STOP_CANCEL);
            continue;
        }
        if (s->stop != STOP_LOST)
            log_event(
                LOG_WARN, "lost", "task", s->task.name, "group", s->task.key, "reason",
                "it was taken from its worker (lease, or an operator's edit)", NULL);
        if (s->state == SLOT_WAITS)
            crew_slot_free(crew, s);
        else
            crew_stop_task(crew, s, STOP_LOST);
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

/* One line an end: that no further attempt follows is its event, not a second line. */
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
static void look_ahead(struct crew *crew, const struct round *r)
{
    double now = clock_boot_s();
    bool quick = crew->nslot > 0 && r->turn.nend >= (size_t)crew->nslot;

    for (size_t i = 0; quick && i < r->turn.nend; i++) {
        const struct slot *s =
            slot_by_fence(crew, r->turn.end[i].id, r->turn.end[i].fence);

        quick = s != NULL && s->end.how == TASK_COMPLETE && now - s->started < QUICK_S;
    }
    crew->ahead = !quick                          ? 0
                  : 2 * r->turn.nend < MOST_AHEAD ? 2 * r->turn.nend
                                                  : MOST_AHEAD;
}

static void take_ends(struct crew *crew, const struct round *r)
{
    if (r->turn.nend > 0)
        look_ahead(crew, r);
    for (size_t i = 0; i < r->turn.nend; i++) {
        const struct task_end *end = &r->turn.end[i];
        struct slot *s = slot_by_fence(crew, end->id, end->fence);
        enum crew_how how;

        if (s == NULL)
            continue;
        how = how_of(s, end->rc);
        say_end(s, how);
        if (crew->opts.ended != NULL)
            crew->opts.ended(crew->opts.arg, &s->task, how);
        crew_slot_free(crew, s);
    }
}

static void take_tasks(struct crew *crew, const struct round *r)
{
    for (size_t i = 0; i < r->turn.ngot; i++)
        crew_slot_new(crew, &r->turn.got[i]);
    if (r->turn.want > 0) {
        if (r->turn.mode != crew->mode)
            log_event(LOG_WARN, "queue_mode", "mode", queue_mode_name(r->turn.mode),
                      NULL);
        crew->mode = r->turn.mode;
    }
    if (r->turn.want > 0 && r->turn.ngot < r->turn.want) {
        crew->hungry = false;
        crew->empty = r->due_s < 0;
        crew->claim_at = r->due_s < 0 || r->turn.mode == QUEUE_PAUSED
                             ? 0
                             : clock_boot_s() + fmax(r->due_s, 0.02);
    }
}

static void take_counts(struct crew *crew, const struct round *r)
{
    if (r->dropped > 0 || r->reaped > 0)
        log_event(
            LOG_WARN, "recovered", "tasks", log_u(r->dropped + r->reaped), "reason",
            r->reaped > 0 ? "their workers were silent for longer than their lease"
                          : "they were claimed for us and we do not work on them",
            NULL);
    if (r->dropped > 0 || r->reaped > 0)
        crew->hungry = true;
}

static void round_failed(struct crew *crew, int rc, const struct err *e)
{
    crew->retry_at = clock_boot_s() + FAILED_PAUSE_S;
    if (rc != -ECANCELED && strcmp(crew->said, e->text) != 0)
        log_event(LOG_ERROR, "queue", "reason", e->text, "code", err_name(e->code),
                  "then", "it is tried again", NULL);
    snprintf(crew->said, sizeof crew->said, "%s", e->text);
}

static void end_round(struct store_job *job, int rc, const struct err *e)
{
    struct round *r = (struct round *)job;
    struct crew *crew = r->crew;

    crew->in_flight = false;
    if (rc == 0) {
        crew->said[0] = '\0';
        if (r->beat || r->check)
            take_holds(crew, r);
        take_ends(crew, r);
        take_tasks(crew, r);
        take_counts(crew, r);
    } else {
        crew->hungry = true;
        round_failed(crew, rc, e);
    }
    round_free(r);
    if (rc == -ECANCELED)
        return; /* the store has stopped: no more rounds */
    crew_work(crew);
    if (crew->opts.turned != NULL)
        crew->opts.turned(crew->opts.arg);
}

/* ---- making one ---- */

static void put_refs(struct round *r, const struct crew *crew)
{
    size_t n = 0;

    for (const struct slot *s = crew->slots; s != NULL; s = s->next)
        n++;
    r->ref = mem_calloc(n + 1, sizeof *r->ref);
    for (const struct slot *s = crew->slots; s != NULL; s = s->next) {
        memcpy(r->ref[r->nref].id, s->task.id, sizeof s->task.id);
        r->ref[r->nref++].fence = s->task.fence;
    }
}

/* The slots stay as they are until the answer is there, so their text may be borrowed. */
static void put_ends(struct round *r, const struct crew *crew)
{
    r->turn.end = mem_calloc(crew_count(crew, SLOT_ENDED) + 1, sizeof *r->turn.end);
    for (const struct slot *s = crew->slots; s != NULL; s = s->next)
        if (s->state == SLOT_ENDED)
            r->turn.end[r->turn.nend++] = s->end;
}

static void put_steps(struct round *r, struct crew *crew)
{
    if (crew->nstep == 0)
        return;
    r->steps = crew->steps;
    r->step = mem_calloc(crew->nstep, sizeof *r->step);
    for (struct crew_step *s = r->steps; s != NULL; s = s->next)
        r->step[r->nstep++] = s->step;
    crew->steps = NULL;
    crew->nstep = 0;
}

static bool may_claim(const struct crew *crew, double now)
{
    return !crew->stopping && crew->held == NULL && now >= crew->pause_until;
}

static size_t free_slots(const struct crew *crew)
{
    size_t busy = crew_count(crew, SLOT_WAITS) + crew_count(crew, SLOT_RUNS);
    size_t all = (size_t)crew->nslot + crew->ahead;

    return all > busy ? all - busy : 0;
}

static struct round *round_new(struct crew *crew, double now)
{
    const struct conf *conf = crew->opts.conf;
    struct round *r = mem_calloc(1, sizeof *r);

    r->job.run = run_round;
    r->job.done = end_round;
    r->crew = crew;
    r->lease_s = r->turn.lease_s = conf->workers.lease_s;
    r->due_s = -1;
    r->me = crew->me;
    r->turn.worker = r->me.id;
    r->beat = now >= crew->beat_at;
    r->check = crew->check && now >= crew->check_at;
    r->reap = now >= crew->reap_at && !crew->stopping;
    put_refs(r, crew);
    put_ends(r, crew);
    if (crew->hungry && may_claim(crew, now))
        r->turn.want = free_slots(crew);
    r->me.running = (int)(crew_count(crew, SLOT_RUNS) + crew_count(crew, SLOT_WAITS));
    return r;
}

static void dispatch(struct crew *crew, struct round *r, double now)
{
    const struct conf *conf = crew->opts.conf;

    put_steps(r, crew);
    if (r->turn.want > 0) {
        r->turn.got = mem_calloc(r->turn.want, sizeof *r->turn.got);
    }
    if (r->beat)
        crew->beat_at = now + conf->workers.heartbeat_s;
    if (r->reap)
        crew->reap_at = now + conf->workers.lease_s / 4;
    if (r->beat || r->check) {
        crew->check = false;
        crew->check_at = now + CHECK_EVERY_S;
    }
    crew->in_flight = true;
    store_post(crew->opts.store, &r->job);
}

static double sooner(double a, double b)
{
    return b > 0 && b < a ? b : a;
}

static double next_round(const struct crew *crew, double now)
{
    double next = sooner(crew->beat_at, crew->reap_at);

    if (crew->check)
        next = sooner(next, crew->check_at);
    next = sooner(next, crew->claim_at);
    if (crew->hungry && crew->pause_until > now)
        next = sooner(next, crew->pause_until);
    return fmax(next, crew->retry_at);
}

double crew_round(struct crew *crew, double now)
{
    struct round *r;

    if (crew->in_flight || crew->buried)
        return now + 60; /* its answer comes by itself */
    if (now < crew->retry_at)
        return crew->retry_at;
    if (crew->claim_at > 0 && now >= crew->claim_at) {
        crew->claim_at = 0;
        crew->hungry = true;
    }
    r = round_new(crew, now);
    if (r->beat || r->check || r->reap || r->turn.nend > 0 || r->turn.want > 0 ||
        crew->nstep > 0) {
        dispatch(crew, r, now);
        return now + 60;
    }
    round_free(r);
    return next_round(crew, now);
}

/* ---- steps ---- */

void crew_add_step(struct crew *crew, const struct task *task, const char *step,
                   const char *detail, double took_s)
{
    size_t n = strlen(step) + 1, m = strlen(detail) + 1;
    struct crew_step *s = mem_malloc(sizeof *s + n + m);

    memcpy(s->text, step, n);
    memcpy(s->text + n, detail, m);
    s->next = NULL;
    s->step = (struct task_step){
        .fence = task->fence, .step = s->text, .detail = s->text + n, .took_s = took_s};
    memcpy(s->step.id, task->id, sizeof s->step.id);
    if (crew->steps == NULL)
        crew->steps_end = &crew->steps;
    *crew->steps_end = s;
    crew->steps_end = &s->next;
    crew->nstep++;
}

void crew_drop_steps(struct crew *crew)
{
    for (struct crew_step *s = crew->steps, *next; s != NULL; s = next) {
        next = s->next;
        free(s);
    }
}

/* ---- the last word ---- */

struct burial {
    struct store_job job;
    struct crew *crew;
    char id[QUEUE_WORKER];
    size_t n;
};

static int run_burial(struct store_job *job, struct queue *q, struct err *e)
{
    struct burial *b = (struct burial *)job;

    return queue_bury(q, b->id, &b->n, e);
}

static void end_burial(struct store_job *job, int rc, const struct err *e)
{
    struct burial *b = (struct burial *)job;
    struct crew *crew = b->crew;

    if (rc != 0 && rc != -ECANCELED)
        log_event(LOG_ERROR, "queue", "reason", e->text, "code", err_name(e->code),
                  NULL);
    crew->buried_done = true;
    free(b);
    if (rc != -ECANCELED)
        crew_work(crew);
}

void crew_bury(struct crew *crew)
{
    struct burial *b = mem_calloc(1, sizeof *b);

    b->job.run = run_burial;
    b->job.done = end_burial;
    b->crew = crew;
    memcpy(b->id, crew->me.id, sizeof b->id);
    crew->buried = true;
    store_post(crew->opts.store, &b->job);
}

/* ---- who we are ---- */

/*
 * Processes of another PID namespace cannot be judged from here, so a machine's name carries the
 * namespace, unless it is the kernel's first (whose inode is PROC_PID_INIT_INO, linux/proc_fs.h).
 */
int crew_identity(struct queue_worker *me, const char *name, struct err *e)
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
