#include "watcherd/crew/slot.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/conf.h"
#include "core/mem.h"
#include "watcherd/base/outcome.h"

/* A busy claim is looked at again after this; its owner may be on another machine. */
static const double BUSY_RETRY_S = 5;

struct slot *slots_find(const struct slots *all, const char *id, int64_t fence)
{
    struct slot *s = all->first;

    while (s != NULL && (s->task.fence != fence || strcmp(s->task.id, id) != 0))
        s = s->next;
    return s;
}

size_t slots_count(const struct slots *all, enum slot_state state)
{
    size_t n = 0;

    for (const struct slot *s = all->first; s != NULL; s = s->next)
        n += s->state == state;
    return n;
}

struct slot *slots_add(struct slots *all, const struct task *task)
{
    struct slot *s = mem_calloc(1, sizeof *s), **at = &all->first;

    s->task = *task;
    s->claimed = clock_boot_s();
    while (*at != NULL)
        at = &(*at)->next;
    *at = s;
    return s;
}

void slots_remove(struct slots *all, struct slot *s)
{
    struct slot **at = &all->first;

    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    task_clear(&s->task);
    free(s->text);
    free(s->path);
    free(s->usage);
    free(s);
}

void slots_clear(struct slots *all)
{
    while (all->first != NULL)
        slots_remove(all, all->first);
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

/* If we stopped it ourselves, our reason counts before what it said at its end. */
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

/* Twice as long each time, and up to a fifth more, so that what failed together is
   not tried again together. */
static double retry_delay(struct slots *all, const struct task *task)
{
    const struct conf *conf = all->conf;
    double s = conf->workers.retry_delay_s * pow(2, fmin(task->retry_count, 30));

    return fmin(s, conf->workers.retry_max_s) *
           (1 + 0.2 * rand_r(&all->seed) / RAND_MAX);
}

double slot_hard_limit(const struct slots *all, const struct slot *s)
{
    return s->task.timeout_s > 0 ? s->task.timeout_s : all->conf->workers.hard_limit_s;
}

static void say_stop(const struct slots *all, const struct slot *s, char *why,
                     size_t size)
{
    switch (s->stop) {
    case STOP_SOFT:
        snprintf(why, size, "ran longer than soft_limit_s = %g s",
                 all->conf->workers.soft_limit_s);
        break;
    case STOP_HARD:
        snprintf(why, size, "ran longer than %s = %g s",
                 s->task.timeout_s > 0 ? "its timeout_s" : "hard_limit_s",
                 slot_hard_limit(all, s));
        break;
    case STOP_CANCEL:
        snprintf(why, size, "cancelled by an operator while it ran");
        break;
    default:
        snprintf(why, size, "the service stops");
    }
}

static double delay_of(struct slots *all, const struct slot *s)
{
    if (s->end.how == TASK_RETRY || strcmp(s->outcome, OUTCOME_MACHINE) == 0)
        return retry_delay(all, &s->task);
    return strcmp(s->outcome, OUTCOME_BUSY) == 0 ? BUSY_RETRY_S : 0;
}

static void put_end(struct slots *all, struct slot *s, const char *reason)
{
    free(s->text);
    s->text = mem_strdup(reason);
    memcpy(s->end.id, s->task.id, sizeof s->end.id);
    s->end.fence = s->task.fence;
    s->end.text = s->end.how == TASK_COMPLETE ? s->path : s->text;
    s->end.usage = s->usage;
    s->end.delay_s = delay_of(all, s);
    s->state = SLOT_ENDED;
}

void slot_end(struct slots *all, struct slot *s, const char *outcome,
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
        say_stop(all, s, why, sizeof why);
        reason = why;
    }
    /* A full disk or missing permission costs no attempt: a service waits for the repair. */
    if (strcmp(s->outcome, OUTCOME_MACHINE) == 0 && all->once)
        s->end.how = TASK_RETRY;
    put_end(all, s, reason);
}

void slot_hand_back(struct slots *all, struct slot *s, const char *reason)
{
    s->outcome = OUTCOME_STOPPED;
    s->level = LOG_INFO;
    s->end.how = TASK_RELEASE;
    put_end(all, s, reason);
}

void slot_cancel(struct slots *all, struct slot *s)
{
    s->outcome = stops[STOP_CANCEL].outcome;
    s->level = stops[STOP_CANCEL].level;
    s->end.how = TASK_CANCEL;
    put_end(all, s, "cancelled by an operator before it ran");
}

void slot_not_started(struct slots *all, struct slot *s, const char *reason)
{
    slot_hand_back(all, s, reason);
    if (all->once)
        s->end.how = TASK_RETRY;
    s->end.delay_s = all->once ? retry_delay(all, &s->task) : BUSY_RETRY_S;
}
