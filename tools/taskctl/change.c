#include "tools/taskctl/change.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/mem.h"
#include "core/store/queue_json.h"

/* cancel --wait gives up after this, unless --timeout says otherwise. */
#define WAIT_S 300.0
#define LOOK_S 0.5

/* ---- submit ---- */

int change_submit(struct ctl *ctl)
{
    struct task_spec spec = {
        .params = ctl->params,
        .priority = (int)ctl->priority,
        .max_retries =
            (int)(ctl->retries >= 0 ? ctl->retries : ctl->conf.workers.max_retries),
        .timeout_s = ctl->timeout_s > 0 ? ctl->timeout_s : 0,
        .delay_s = ctl->delay_s > 0 ? ctl->delay_s : 0,
        .again = ctl->again};
    struct task task = {0};
    struct err e = {0};
    int rc, code = EX_OK;

    if (ctl->nword != 2)
        return ctl_wrong("submit what?  taskctl submit NAME KEY [--params JSON]");
    spec.name = ctl->word[0];
    spec.key = ctl->word[1];
    rc = queue_spawn(ctl->q, &spec, 1, &e);
    if (rc == -EINVAL) {
        fprintf(stderr, "taskctl: %s\n", e.text);
        return EX_DATAERR;
    }
    if (rc == 0)
        rc = queue_status(ctl->q, spec.name, spec.key, &task, &e);
    if (rc != 0) {
        code = ctl_fail(rc, &e);
    } else if (ctl->json) {
        json_t *o = task_json(&task, true);

        json_object_set_new(o, "made", json_boolean(spec.made));
        code = ctl_print_json(o);
    } else if (spec.made) {
        puts(task.id);
    } else {
        fprintf(stderr, "taskctl: that task is there already, %s: %s%s\n",
                task_status_name(task.status), task.id,
                task.status == TASK_PENDING || task.status == TASK_CLAIMED
                    ? ""
                    : "; --again puts it back to pending");
    }
    task_clear(&task);
    return code != EX_OK ? code : spec.made ? EX_OK : EX_NOT_DONE;
}

/* ---- retry, cancel, prioritize ---- */

struct change {
    enum queue_order order;
    const char *verb, *done;
    enum task_status applies[2]; /* statuses to which it applies */
};

static const struct change retry = {
    QUEUE_RETRY, "retry", "pending again", {TASK_FAILED, TASK_CANCELLED}};
static const struct change cancel = {
    QUEUE_CANCEL, "cancel", "cancelled", {TASK_PENDING, TASK_CLAIMED}};
static const struct change prioritize = {
    QUEUE_PRIORITY, "prioritize", "given the priority", {TASK_PENDING, TASK_CLAIMED}};

/* The tasks that somebody works on and that will be asked to stop; and for --dry-run all. */
struct marks {
    const struct change *change;
    struct task *task; /* [n]; without params and result */
    size_t n, room;
    size_t other; /* tasks that match and to which it does not apply */
};

static void take_mark(void *arg, const struct task *t)
{
    struct marks *m = arg;

    if (t->status != m->change->applies[0] && t->status != m->change->applies[1]) {
        m->other++;
        return;
    }
    if (m->n == m->room) {
        m->room = 2 * m->room + 16;
        m->task = mem_realloc(m->task, m->room * sizeof *m->task);
    }
    m->task[m->n] = *t;
    m->task[m->n].params = m->task[m->n].result = NULL;
    m->n++;
}

/* What the command line names: filters, one for each word, or one. */
struct targets {
    struct task_filter *filter; /* [n] */
    char (*id)[QUEUE_ID];       /* [n] */
    size_t n;
};

static void drop_targets(struct targets *t)
{
    free(t->filter);
    free(t->id);
}

static int find_targets(struct targets *t, struct ctl *ctl, char **word, size_t nword,
                        const struct change *c)
{
    bool filter = ctl->status != TASK_NONE || ctl->name != NULL || ctl->key != NULL;
    size_t room = nword > 0 ? nword : 1;
    int code = EX_OK;

    memset(t, 0, sizeof *t);
    if ((nword > 0) + filter + ctl->all != 1)
        return ctl_wrong("%s which tasks?  IDs; or --status, --name, --key; or --all",
                         c->verb);
    t->filter = mem_calloc(room, sizeof *t->filter);
    t->id = mem_calloc(room, sizeof *t->id);
    if (nword == 0)
        t->filter[t->n++] = ctl_filter(ctl);
    for (size_t i = 0; i < nword && code == EX_OK; i++) {
        struct task task;

        code = ctl_find(ctl, word[i], &task);
        if (code == EX_OK) {
            memcpy(t->id[t->n], task.id, sizeof task.id);
            t->filter[t->n].id = t->id[t->n];
            t->n++;
        }
        task_clear(&task);
    }
    return code;
}

/* Tasks of the targets to which it would apply, of one status or of all. */
static int mark(struct marks *m, struct ctl *ctl, const struct targets *t,
                enum task_status status, struct err *e)
{
    int rc = 0;

    for (size_t i = 0; i < t->n && rc == 0; i++) {
        struct task_filter f = t->filter[i];

        if (status != TASK_NONE && f.status != TASK_NONE && status != f.status)
            continue;
        f.status = status != TASK_NONE ? status : f.status;
        rc = queue_each(ctl->q, &f, take_mark, m, e);
    }
    return rc;
}

static const char *plural(size_t n)
{
    return n == 1 ? "" : "s";
}

static int say_dry(const struct ctl *ctl, const struct marks *m)
{
    size_t shown = m->n < CTL_MOST_HITS ? m->n : CTL_MOST_HITS;

    if (ctl->json) {
        json_t *list = json_array();

        for (size_t i = 0; i < m->n; i++)
            json_array_append_new(list, json_string(m->task[i].id));
        return ctl_print_json(json_pack("{s:s, s:b, s:I, s:I, s:o}", "verb",
                                        m->change->verb, "dry_run", 1, "tasks",
                                        (json_int_t)m->n, "not_applicable",
                                        (json_int_t)m->other, "task_ids", list));
    }
    printf("%s would change %zu task%s\n", m->change->verb, m->n, plural(m->n));
    if (shown > 0)
        ctl_print_tasks(stdout, m->task, shown);
    if (m->n > shown)
        printf("and %zu more\n", m->n - shown);
    return EX_OK;
}

/* ---- cancel --wait ---- */

static void take_state(void *arg, const struct task *t)
{
    struct task *mark = arg;

    if (t->status != TASK_CLAIMED || t->fence != mark->fence)
        mark->status = t->status;
}

/* How many are still held as they were.  Those that are not get their new status in `task`. */
static int count_held(struct ctl *ctl, struct marks *m, size_t *held, struct err *e)
{
    int rc = 0;

    *held = 0;
    for (size_t i = 0; i < m->n && rc == 0; i++) {
        struct task_filter f = {.id = m->task[i].id};

        if (m->task[i].status != TASK_CLAIMED)
            continue;
        rc = queue_each(ctl->q, &f, take_state, &m->task[i], e);
        *held += m->task[i].status == TASK_CLAIMED;
    }
    return rc;
}

/* Until all have stopped, the time is over, or the user has had enough. */
static int wait_stopped(struct ctl *ctl, struct marks *m, size_t *held, struct err *e)
{
    double from = clock_boot_s();
    double most = ctl->timeout_s >= 0 ? ctl->timeout_s : WAIT_S;
    int rc;

    ctl_catch_signals();
    while ((rc = count_held(ctl, m, held, e)) == 0 && *held > 0) {
        double left = most - (clock_boot_s() - from);

        ctl_progress("waiting for %zu task%s to stop, %.0f s", *held, plural(*held),
                     clock_boot_s() - from);
        if (left <= 0 || !ctl_wait(ctl, left < LOOK_S ? left : LOOK_S))
            break;
    }
    ctl_progress("%s", "");
    return rc;
}

/* ---- together ---- */

struct outcome {
    size_t changed;
    size_t asked; /* cancel: of these so many were being worked on */
    size_t held;  /* and still are, after --wait */
    bool waited;
};

static int apply(struct ctl *ctl, const struct change *c, const struct targets *t,
                 int priority, struct outcome *out, struct err *e)
{
    struct marks held = {.change = c};
    int rc = c->order == QUEUE_CANCEL ? mark(&held, ctl, t, TASK_CLAIMED, e) : 0;

    for (size_t i = 0; i < t->n && rc == 0; i++) {
        size_t n = 0;

        rc = queue_change(ctl->q, c->order, &t->filter[i], priority, &n, e);
        out->changed += n;
    }
    out->asked = held.n;
    out->waited = ctl->wait && held.n > 0;
    if (rc == 0 && out->waited)
        rc = wait_stopped(ctl, &held, &out->held, e);
    free(held.task);
    return rc;
}

static int say_done(const struct ctl *ctl, const struct change *c,
                    const struct outcome *o)
{
    if (ctl->json) {
        json_t *json =
            json_pack("{s:s, s:I}", "verb", c->verb, "tasks", (json_int_t)o->changed);

        if (c->order == QUEUE_CANCEL)
            json_object_set_new(json, "asked_to_stop",
                                json_integer((json_int_t)o->asked));
        if (o->waited)
            json_object_set_new(json, "still_running",
                                json_integer((json_int_t)o->held));
        return ctl_print_json(json);
    }
    if (o->changed == 0)
        printf("nothing to %s: it applies to tasks that are %s or %s\n", c->verb,
               task_status_name(c->applies[0]), task_status_name(c->applies[1]));
    else if (o->asked == 0)
        printf("%zu task%s %s\n", o->changed, plural(o->changed), c->done);
    else
        printf("%zu task%s %s, %zu of them asked to stop\n", o->changed,
               plural(o->changed), c->done, o->asked);
    if (o->held > 0)
        printf("%zu still run%s\n", o->held, o->held == 1 ? "s" : "");
    else if (o->waited)
        puts("all have stopped");
    return EX_OK;
}

static int run(struct ctl *ctl, const struct change *c, char **word, size_t nword,
               int priority)
{
    struct targets t;
    struct marks marks = {.change = c};
    struct outcome out = {0};
    struct err e = {0};
    int code = find_targets(&t, ctl, word, nword, c), rc = 0;

    if (code == EX_OK && ctl->dry_run) {
        rc = mark(&marks, ctl, &t, TASK_NONE, &e);
        code = rc != 0 ? ctl_fail(rc, &e) : say_dry(ctl, &marks);
        out.changed = marks.n;
    } else if (code == EX_OK) {
        rc = apply(ctl, c, &t, priority, &out, &e);
        code = rc != 0 ? ctl_fail(rc, &e) : say_done(ctl, c, &out);
    }
    free(marks.task);
    drop_targets(&t);
    if (code != EX_OK)
        return code;
    return out.held > 0 ? EX_TEMPFAIL : out.changed > 0 ? EX_OK : EX_NOT_DONE;
}

int change_retry(struct ctl *ctl)
{
    return run(ctl, &retry, ctl->word, ctl->nword, 0);
}

int change_cancel(struct ctl *ctl)
{
    if (ctl->timeout_s >= 0)
        ctl->wait = true;
    return run(ctl, &cancel, ctl->word, ctl->nword, 0);
}

int change_priority(struct ctl *ctl)
{
    char *end;
    long n;

    if (ctl->nword < 1)
        return ctl_wrong("which priority?  taskctl prioritize N ID...");
    errno = 0;
    n = strtol(ctl->word[0], &end, 10);
    if (end == ctl->word[0] || *end != '\0' || errno != 0 || n < INT_MIN || n > INT_MAX)
        return ctl_wrong("%s is no priority: a whole number, higher comes first",
                         ctl->word[0]);
    return run(ctl, &prioritize, ctl->word + 1, ctl->nword - 1, (int)n);
}
