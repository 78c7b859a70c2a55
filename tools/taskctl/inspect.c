#include "tools/taskctl/inspect.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/store/queue_json.h"
#include "core/text.h"
#include "tools/common/options.h"
#include "tools/taskctl/columns.h"
#include "tools/taskctl/roster.h"
#include "tools/taskctl/table.h"

#define OLDER_S  7200.0
#define SILENT_S 60.0
enum { LIST_LIMIT = 20, WALK_MOST = 100000 }; /* tasks: shown; walked through */

/* ---- stats ---- */

/* What a walk through some tasks finds. */
struct walk {
    struct task oldest; /* id "" when there was none */
    bool by_claim;      /* oldest by the time of its claim, not of its making */
    double since;       /* counted: those that ended after this */
    size_t ended;
};

static void walk_task(void *arg, const struct task *t)
{
    struct walk *w = arg;
    double at = w->by_claim ? t->claimed : t->created;
    double best = w->by_claim ? w->oldest.claimed : w->oldest.created;

    w->ended += t->ended > w->since;
    if (w->oldest.id[0] != '\0' && at >= best)
        return;
    w->oldest = *t;
    w->oldest.params = w->oldest.result = NULL;
}

static int walk(struct walk *w, struct ctl *ctl, enum task_status status, struct err *e)
{
    struct task_filter f = {.status = status};

    return queue_each(ctl->q, &f, walk_task, w, e);
}

struct stats {
    struct task_counts counts;
    struct roster roster;
    struct roster_sum sum;
    struct walk pending, claimed, completed;
    bool walked_pending, walked_completed; /* not when there are too many */
    enum queue_mode mode;
    char reason[QUEUE_TEXT];
    double since;
};

static int read_stats(struct stats *s, struct ctl *ctl, struct err *e)
{
    int rc =
        queue_get_mode(ctl->q, &s->mode, s->reason, sizeof s->reason, &s->since, e);

    s->claimed.by_claim = true;
    s->completed.since = ctl->now - 3600;
    if (rc == 0)
        rc = task_counts_read(&s->counts, ctl->q, e);
    if (rc == 0)
        rc = roster_read(&s->roster, ctl, e);
    if (rc == 0)
        rc = walk(&s->claimed, ctl, TASK_CLAIMED, e);
    s->walked_pending = s->counts.of[TASK_PENDING] <= WALK_MOST;
    s->walked_completed = s->counts.of[TASK_COMPLETED] <= WALK_MOST;
    if (rc == 0 && s->walked_pending)
        rc = walk(&s->pending, ctl, TASK_PENDING, e);
    if (rc == 0 && s->walked_completed)
        rc = walk(&s->completed, ctl, TASK_COMPLETED, e);
    s->sum = roster_sum(&s->roster, ctl, ctl->now);
    return rc;
}

static json_t *oldest_json(const struct walk *w)
{
    return w->oldest.id[0] != '\0' ? task_json(&w->oldest, false) : json_null();
}

static int stats_json(const struct stats *s, const struct ctl *ctl)
{
    json_t *o = task_counts_json(&s->counts);

    text_set(o, "store", queue_where(ctl->q));
    text_set(o, "queue", ctl->conf.queue.name);
    text_set(o, "mode", queue_mode_name(s->mode));
    text_set(o, "mode_reason", s->reason);
    text_set_time(o, "mode_since", s->since);
    text_set_time(o, "now", ctl->now);
    json_object_set_new(o, "oldest_pending",
                        s->walked_pending ? oldest_json(&s->pending) : json_null());
    json_object_set_new(o, "oldest_claimed", oldest_json(&s->claimed));
    json_object_set_new(o, "completed_last_hour",
                        s->walked_completed
                            ? json_integer((json_int_t)s->completed.ended)
                            : json_null());
    json_object_set_new(o, "workers",
                        json_pack("{s:I, s:I, s:i, s:i}", "known",
                                  (json_int_t)s->roster.n, "alive",
                                  (json_int_t)s->sum.alive, "slots", s->sum.slots,
                                  "running", s->sum.running));
    return ctl_print_json(o);
}

static void print_counts(const struct task_counts *c)
{
    static const char *const head[] = {
        "NAME", ">PENDING", ">CLAIMED", ">COMPLETED", ">FAILED", ">CANCELLED", NULL};
    struct table *t = table_new(head);

    for (size_t i = 0; i <= c->n; i++) {
        const size_t *of = i < c->n ? c->row[i].of : c->of;

        if (i == c->n && c->n == 1)
            break; /* the sum of one */
        table_put(t, i < c->n ? c->row[i].name : c->n == 0 ? "(no tasks)" : "all");
        for (enum task_status s = TASK_PENDING; s < TASK_STATUSES; s++)
            table_putf(t, "%zu", of[s]);
    }
    table_print(t, stdout, table_width(stdout));
    table_free(t);
}

static void print_oldest(const char *what, const struct walk *w, double now)
{
    char key[4 * QUEUE_TEXT], age[32];

    text_escape(key, sizeof key, w->oldest.key);
    if (w->oldest.id[0] != '\0')
        printf("%-15s %s %s, for %s\n", what, w->oldest.name, key,
               ctl_age(now, w->by_claim ? w->oldest.claimed : w->oldest.created, age));
}

static int print_stats(const struct stats *s, const struct ctl *ctl)
{
    char reason[4 * QUEUE_TEXT], age[32];

    text_escape(reason, sizeof reason, s->reason);
    printf("%-15s %s, queue %s\n", "store", queue_where(ctl->q), ctl->conf.queue.name);
    printf("%-15s %s", "mode", queue_mode_name(s->mode));
    if (s->mode != QUEUE_RUNS)
        printf(", for %s%s%s", ctl_age(ctl->now, s->since, age),
               reason[0] != '\0' ? ": " : "", reason);
    printf("\n%-15s %zu alive of %zu; %d of %d tasks at a time\n", "workers",
           s->sum.alive, s->roster.n, s->sum.running, s->sum.slots);
    if (s->walked_pending)
        print_oldest("oldest pending", &s->pending, ctl->now);
    print_oldest("oldest claimed", &s->claimed, ctl->now);
    if (s->walked_completed)
        printf("%-15s %zu completed\n", "last hour", s->completed.ended);
    putchar('\n');
    print_counts(&s->counts);
    return EX_OK;
}

int inspect_stats(struct ctl *ctl)
{
    struct stats s = {.walked_pending = false};
    struct err e = {0};
    int rc = read_stats(&s, ctl, &e);
    int code = rc != 0     ? ctl_fail(rc, &e)
               : ctl->json ? stats_json(&s, ctl)
                           : print_stats(&s, ctl);

    task_counts_clear(&s.counts);
    roster_clear(&s.roster);
    return code;
}

/* ---- list ---- */

struct listing {
    const struct ctl *ctl;
    json_t *rows;
    struct table *table;
    size_t n;
};

/* The moment that matters most about it. */
static double last_event(const struct task *t)
{
    return t->ended > 0 ? t->ended : t->claimed > 0 ? t->claimed : t->created;
}

static void list_task(void *arg, const struct task *t)
{
    struct listing *l = arg;
    char age[32];

    l->n++;
    if (l->rows != NULL) {
        json_array_append_new(l->rows, task_json(t, l->ctl->columns != NULL));
        return;
    }
    table_put(l->table, t->id);
    table_put(l->table, t->name);
    table_put(l->table, t->key);
    table_put(l->table, t->cancel && t->status == TASK_CLAIMED
                            ? "stopping"
                            : task_status_name(t->status));
    table_putf(l->table, "%d", t->priority);
    table_putf(l->table, "%d/%d", t->retry_count, t->max_retries);
    table_put(l->table, ctl_age(l->ctl->now, last_event(t), age));
    table_put(l->table, t->worker);
    table_put(l->table, t->error);
}

/* "2h" is so long ago; else a UTC time.  NULL: any. */
static bool moment(const struct ctl *ctl, const char *text, double *unix_s)
{
    double ago;

    if (text == NULL)
        return true;
    if (options_time(text, &ago) == 0) {
        *unix_s = ctl->now - ago;
        return true;
    }
    return strlen(text) >= 19 && clock_parse(text, unix_s) == 0;
}

int inspect_list(struct ctl *ctl)
{
    static const char *const head[] = {"ID",    "NAME",     "KEY",    "STATUS",
                                       ">PRIO", ">RETRIES", ">SINCE", "WORKER",
                                       "ERROR", NULL};
    struct task_filter f = ctl_filter(ctl);
    struct listing l = {
        .ctl = ctl,
        .rows = ctl->json || ctl->csv || ctl->columns != NULL ? json_array() : NULL,
        .table = table_new(head)};
    struct err e = {0};
    int rc, code = EX_OK;

    if ((ctl->sort != NULL && strcmp(ctl->sort, "key") != 0) ||
        !moment(ctl, ctl->since, &f.made_from) ||
        !moment(ctl, ctl->until, &f.made_to)) {
        json_decref(l.rows);
        table_free(l.table);
        return ctl_wrong(
            "--sort takes key; --since and --until a time: 90m, 2h, 1d ago, or "
            "2026-01-26T08:00:00");
    }
    f.newest = ctl->sort == NULL;
    f.limit = ctl->limit >= 0 ? (size_t)ctl->limit : LIST_LIMIT;
    rc = queue_each(ctl->q, &f, list_task, &l, &e);
    if (rc != 0)
        code = ctl_fail(rc, &e);
    else if (ctl->json)
        code = ctl_print_json(json_incref(l.rows));
    else if (l.n > 0 && l.rows != NULL)
        code = columns_print(l.rows, ctl->columns, ctl->csv);
    else if (l.n > 0)
        table_print(l.table, stdout, table_width(stdout));
    else
        puts("no task matches");
    json_decref(l.rows);
    table_free(l.table);
    return code != EX_OK ? code : l.n > 0 ? EX_OK : EX_NOT_DONE;
}

/* ---- stuck ---- */

struct stuck {
    const struct ctl *ctl;
    const struct roster *roster;
    double older_s, silent_s; /* 0: does not count */
    json_t *rows;
    struct table *table;
    size_t n;
};

static void stuck_task(void *arg, const struct task *t)
{
    struct stuck *s = arg;
    const struct queue_worker *w = roster_find(s->roster, t->worker);
    double now = s->ctl->now, held = now - t->claimed, silent = now - t->heartbeat;
    bool old = s->older_s > 0 && held > s->older_s;
    bool quiet = s->silent_s > 0 && silent > s->silent_s;
    char why[OWNER_WHY] = "the queue does not know it", age[32];
    const char *life =
        w != NULL ? roster_life_name(roster_life(s->ctl, w, now, why)) : "unknown";

    if (!old && !quiet)
        return;
    s->n++;
    if (s->rows != NULL) {
        json_t *o = task_json(t, false);

        json_object_set_new(o, "claimed_s", json_real(held));
        json_object_set_new(o, "silent_s", json_real(silent));
        json_object_set_new(o, "why",
                            json_string(old && quiet ? "old and silent"
                                        : old        ? "old"
                                                     : "silent"));
        text_set(o, "worker_life", life);
        text_set(o, "worker_evidence", why);
        json_array_append_new(s->rows, o);
        return;
    }
    table_put(s->table, t->id);
    table_put(s->table, t->name);
    table_put(s->table, t->key);
    table_put(s->table, ctl_age(now, t->claimed, age));
    table_put(s->table, ctl_age(now, t->heartbeat, age));
    table_put(s->table, t->worker);
    table_putf(s->table, "%s: %s", life, why);
}

int inspect_stuck(struct ctl *ctl)
{
    static const char *const head[] = {
        "ID", "NAME", "KEY", ">CLAIMED FOR", ">SILENT FOR", "WORKER", "ITS LIFE", NULL};
    struct task_filter f = {.status = TASK_CLAIMED, .name = ctl->name, .key = ctl->key};
    struct roster roster = {0};
    struct stuck s = {.ctl = ctl,
                      .roster = &roster,
                      .older_s = ctl->older_s >= 0 ? ctl->older_s : OLDER_S,
                      .silent_s = ctl->silent_s >= 0 ? ctl->silent_s : SILENT_S,
                      .rows = ctl->json ? json_array() : NULL,
                      .table = table_new(head)};
    struct err e = {0};
    int rc = roster_read(&roster, ctl, &e), code = EX_OK;

    if (rc == 0)
        rc = queue_each(ctl->q, &f, stuck_task, &s, &e);
    if (rc != 0)
        code = ctl_fail(rc, &e);
    else if (ctl->json)
        code = ctl_print_json(json_incref(s.rows));
    else if (s.n > 0)
        table_print(s.table, stdout, table_width(stdout));
    else
        puts("no claimed task is stuck");
    json_decref(s.rows);
    table_free(s.table);
    roster_clear(&roster);
    return code != EX_OK ? code : s.n > 0 ? EX_NOT_DONE : EX_OK;
}
