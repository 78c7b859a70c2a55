/*
 * queue_pg_tool.c: the queue in PostgreSQL: looking and operators' edits.
 */
#include "core/store/queue_pg.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"

static const char sql_attempts[] =
    "SELECT attempt, fence, worker_id, extract(epoch from claimed_at)::float8,"
    " extract(epoch from ended_at)::float8, outcome, error, rusage FROM ("
    " SELECT attempt, fence, worker_id, claimed_at, ended_at, outcome, error, rusage"
    "  FROM absurd.t_attempts WHERE task_id = $1::uuid UNION ALL"
    " SELECT attempts, fence, worker_id, claimed_at, NULL, NULL, NULL, NULL"
    "  FROM absurd.t_tasks WHERE task_id = $1::uuid AND status = 'claimed') a"
    " ORDER BY attempt";
static const char sql_steps[] =
    "SELECT step, detail, took_s, extract(epoch from at)::float8, fence"
    " FROM absurd.t_steps WHERE task_id = $1::uuid ORDER BY at, step";
static const char sql_workers[] =
    "SELECT worker_id, machine, boot, host, pid, start, state, slots, running,"
    " extract(epoch from started_at)::float8, extract(epoch from last_seen)::float8"
    " FROM absurd.t_workers WHERE queue_name = $1 ORDER BY worker_id";
static const char sql_counts[] =
    "SELECT task_name, status, count(*) FROM absurd.t_tasks WHERE queue_name = $1"
    " GROUP BY status, task_name ORDER BY status, task_name";
static const char sql_count[] =
    "SELECT count(*) FROM absurd.t_tasks WHERE queue_name = $1 AND status = $2";
static const char sql_due[] =
    "SELECT greatest(0, extract(epoch from due - clock_timestamp())::float8),"
    " due IS NOT NULL FROM absurd.wd_due($1) AS due";
static const char sql_ahead[] =
    "SELECT count(*) FROM absurd.t_tasks WHERE queue_name = $1 AND status = 'pending'"
    " AND (priority > $2::int OR (priority = $2::int"
    " AND (task_key, task_id) < ($3::text COLLATE \"C\", $4::uuid)))";
/* Of each priority the first key, by t_ready, and those of the few claimed. */
static const char sql_first_open[] =
    "WITH RECURSIVE p(priority) AS ("
    " (SELECT priority FROM absurd.t_tasks WHERE queue_name = $1 AND status = 'pending'"
    "  ORDER BY priority DESC LIMIT 1)"
    " UNION ALL SELECT n.priority FROM p CROSS JOIN LATERAL ("
    "  SELECT priority FROM absurd.t_tasks WHERE queue_name = $1"
    "  AND status = 'pending' AND priority < p.priority"
    "  ORDER BY priority DESC LIMIT 1) AS n)"
    "SELECT coalesce(min(task_key COLLATE \"C\"), '') FROM (SELECT f.task_key FROM p"
    " CROSS JOIN LATERAL (SELECT task_key FROM absurd.t_tasks WHERE queue_name = $1"
    "  AND status = 'pending' AND priority = p.priority AND task_name = $2"
    "  ORDER BY task_key LIMIT 1) AS f"
    " UNION ALL SELECT task_key FROM absurd.t_tasks WHERE queue_name = $1"
    "  AND status = 'claimed' AND task_name = $2) AS k";
static const char sql_now[] = "SELECT extract(epoch from clock_timestamp())::float8";
static const char sql_set_mode[] =
    "INSERT INTO absurd.t_queues AS q(name, mode, reason) VALUES ($1, $2, $3)"
    " ON CONFLICT (name) DO UPDATE SET mode = excluded.mode, reason = excluded.reason,"
    " since = CASE WHEN q.mode = excluded.mode THEN q.since ELSE excluded.since END";
static const char sql_get_mode[] =
    "SELECT mode, reason, extract(epoch from since)::float8 FROM absurd.t_queues"
    " WHERE name = $1";

/* ---- filters ---- */

/* A filter as the text of a WHERE, its parameters from $1 on. */
struct where {
    char sql[1024], range[2][QUEUE_ID + 1], number[4][32], limit[40];
    const char *value[12];
    int n;
    bool nothing; /* no id begins so */
};

static void add(struct where *w, const char *condition, const char *value)
{
    size_t at = strlen(w->sql);

    w->value[w->n++] = value;
    snprintf(w->sql + at, sizeof w->sql - at, " AND %s$%d", condition, w->n);
}

/* The first and last id that begin so: a range that the primary key serves. */
static void add_id(struct where *w, const char *start)
{
    static const char *const ends[] = {"00000000-0000-0000-0000-000000000000",
                                       "ffffffff-ffff-ffff-ffff-ffffffffffff"};
    size_t n = strlen(start);

    w->nothing = n >= QUEUE_ID;
    for (size_t i = 0; i < n && !w->nothing; i++)
        w->nothing =
            ends[0][i] == '-' ? start[i] != '-' : !isxdigit((unsigned char)start[i]);
    if (w->nothing)
        return;
    for (size_t i = 0; i < 2; i++)
        snprintf(w->range[i], QUEUE_ID, "%s%s", start, ends[i] + n);
    add(w, "task_id >= ", w->range[0]);
    add(w, "task_id <= ", w->range[1]);
}

static int read_filter(struct where *w, const struct pg_queue *q,
                       const struct task_filter *f, struct err *e)
{
    *w = (struct where){.n = 0};
    if (f->id != NULL && strlen(f->id) < QUEUE_KEEPS_ID)
        return err_set(e, -EINVAL, "'%s' is too short for the start of a task's id",
                       f->id);
    snprintf(w->sql, sizeof w->sql, "queue_name = $1");
    w->value[w->n++] = q->name;
    if (f->id != NULL && f->id_end) {
        snprintf(w->range[0], sizeof w->range[0], "%%%.36s", f->id);
        add(w, "task_id::text LIKE ", w->range[0]);
    } else if (f->id != NULL) {
        add_id(w, f->id);
    }
    snprintf(w->number[2], sizeof w->number[2], "%.6f", f->made_from);
    if (f->made_from > 0)
        add(w, "extract(epoch FROM created_at) >= ", w->number[2]);
    snprintf(w->number[3], sizeof w->number[3], "%.6f", f->made_to);
    if (f->made_to > 0)
        add(w, "extract(epoch FROM created_at) < ", w->number[3]);
    if (f->name != NULL)
        add(w, "task_name = ", f->name);
    if (f->key != NULL)
        add(w, "task_key = ", f->key);
    if (f->status != TASK_NONE)
        add(w, "status = ", task_status_name(f->status));
    snprintf(w->number[0], sizeof w->number[0], "%.6f", f->claimed_before_s);
    if (f->claimed_before_s > 0)
        add(w,
            "status = 'claimed' AND extract(epoch FROM clock_timestamp() - claimed_at) "
            "> ",
            w->number[0]);
    snprintf(w->number[1], sizeof w->number[1], "%.6f", f->silent_s);
    if (f->silent_s > 0)
        add(w,
            "status = 'claimed' AND extract(epoch FROM clock_timestamp() - "
            "last_heartbeat) > ",
            w->number[1]);
    if (f->limit > 0)
        snprintf(w->limit, sizeof w->limit, " LIMIT %zu", f->limit);
    return 0;
}

static const char *order_of(const struct task_filter *f)
{
    return f->newest ? "task_id DESC" : "task_key, task_name";
}

/* ---- looking ---- */

struct each {
    queue_each_fn *fn;
    void *arg;
};

static int give_task(void *arg, const PGresult *row, struct err *e)
{
    struct each *each = arg;
    struct task task;
    int rc = queue_pg_fill(row, 0, 0, &task, e);

    if (rc == 0)
        each->fn(each->arg, &task);
    task_clear(&task);
    return rc;
}

int queue_pg_each(struct queue *base, const struct task_filter *filter,
                  queue_each_fn *fn, void *arg, struct err *e)
{
    struct pg_queue *q = pg_of(base);
    struct each each = {fn, arg};
    char sql[2048];
    struct where w;
    int rc = read_filter(&w, q, filter, e);

    if (rc != 0 || w.nothing)
        return rc;
    snprintf(sql, sizeof sql,
             "SELECT " PG_TASK_COLUMNS " FROM absurd.t_tasks WHERE %s ORDER BY %s%s",
             w.sql, order_of(filter), w.limit);
    return pg_rows(q->pg, sql, w.n, w.value, give_task, &each, e);
}

int queue_pg_attempts(struct queue *base, const char *id, queue_attempt_fn *fn,
                      void *arg, struct err *e)
{
    const char *const value[] = {id};
    PGresult *r;
    int rc = pg_ask(pg_of(base)->pg, &r, e, sql_attempts, 1, value);

    for (int i = 0; rc == 0 && i < PQntuples(r); i++) {
        struct task_attempt a = {.attempt = (int)pg_int(r, i, 0),
                                 .fence = pg_int(r, i, 1),
                                 .claimed = pg_real(r, i, 3),
                                 .ended = pg_real(r, i, 4)};

        pg_text(r, i, 2, a.worker, sizeof a.worker);
        pg_text(r, i, 5, a.outcome, sizeof a.outcome);
        pg_text(r, i, 6, a.error, sizeof a.error);
        pg_text(r, i, 7, a.usage, sizeof a.usage);
        fn(arg, &a);
    }
    PQclear(r);
    return rc;
}

int queue_pg_steps(struct queue *base, const char *id, queue_step_fn *fn, void *arg,
                   struct err *e)
{
    const char *const value[] = {id};
    PGresult *r;
    int rc = pg_ask(pg_of(base)->pg, &r, e, sql_steps, 1, value);

    for (int i = 0; rc == 0 && i < PQntuples(r); i++) {
        struct task_step s = {.step = PQgetvalue(r, i, 0),
                              .detail = PQgetvalue(r, i, 1),
                              .took_s = pg_real(r, i, 2),
                              .at = pg_real(r, i, 3),
                              .fence = pg_int(r, i, 4)};

        snprintf(s.id, sizeof s.id, "%s", id);
        fn(arg, &s);
    }
    PQclear(r);
    return rc;
}

int queue_pg_workers(struct queue *base, queue_worker_fn *fn, void *arg, struct err *e)
{
    struct pg_queue *q = pg_of(base);
    const char *const value[] = {q->name};
    PGresult *r;
    int rc = pg_ask(q->pg, &r, e, sql_workers, 1, value);

    for (int i = 0; rc == 0 && i < PQntuples(r); i++) {
        struct queue_worker w = {.pid = pg_int(r, i, 4),
                                 .start = pg_int(r, i, 5),
                                 .slots = (int)pg_int(r, i, 7),
                                 .running = (int)pg_int(r, i, 8),
                                 .started = pg_real(r, i, 9),
                                 .seen = pg_real(r, i, 10)};

        pg_text(r, i, 0, w.id, sizeof w.id);
        pg_text(r, i, 1, w.machine, sizeof w.machine);
        pg_text(r, i, 2, w.boot, sizeof w.boot);
        pg_text(r, i, 3, w.host, sizeof w.host);
        pg_text(r, i, 6, w.state, sizeof w.state);
        fn(arg, &w);
    }
    PQclear(r);
    return rc;
}

int queue_pg_counts(struct queue *base, queue_count_fn *fn, void *arg, struct err *e)
{
    struct pg_queue *q = pg_of(base);
    const char *const value[] = {q->name};
    PGresult *r;
    int rc = pg_ask(q->pg, &r, e, sql_counts, 1, value);

    for (int i = 0; rc == 0 && i < PQntuples(r); i++)
        fn(arg, PQgetvalue(r, i, 0), task_status_of(PQgetvalue(r, i, 1)),
           (size_t)pg_int(r, i, 2));
    PQclear(r);
    return rc;
}

int queue_pg_count(struct queue *base, enum task_status status, size_t *n,
                   struct err *e)
{
    const char *const value[] = {pg_of(base)->name, task_status_name(status)};
    PGresult *r;
    int rc = pg_ask(pg_of(base)->pg, &r, e, sql_count, 2, value);

    if (rc == 0)
        *n = (size_t)pg_int(r, 0, 0);
    PQclear(r);
    return rc;
}

int queue_pg_next_due(struct queue *base, double *in_s, struct err *e)
{
    const char *const value[] = {pg_of(base)->name};
    PGresult *r;
    int rc = pg_ask(pg_of(base)->pg, &r, e, sql_due, 1, value);

    if (rc == 0 && PQgetvalue(r, 0, 1)[0] == 't')
        *in_s = pg_real(r, 0, 0);
    PQclear(r);
    return rc;
}

int queue_pg_ahead(struct queue *base, const struct task *task, size_t *n,
                   struct err *e)
{
    char priority[16];
    const char *const value[] = {pg_of(base)->name, priority, task->key, task->id};
    PGresult *r;
    int rc;

    snprintf(priority, sizeof priority, "%d", task->priority);
    rc = pg_ask(pg_of(base)->pg, &r, e, sql_ahead, 4, value);
    if (rc == 0)
        *n = (size_t)pg_int(r, 0, 0);
    PQclear(r);
    return rc;
}

int queue_pg_first_open(struct queue *base, const char *name, char key[QUEUE_TEXT],
                        struct err *e)
{
    const char *const value[] = {pg_of(base)->name, name};
    PGresult *r;
    int rc = pg_ask(pg_of(base)->pg, &r, e, sql_first_open, 2, value);

    snprintf(key, QUEUE_TEXT, "%s", rc == 0 ? PQgetvalue(r, 0, 0) : "");
    PQclear(r);
    return rc;
}

int queue_pg_now(struct queue *base, double *unix_s, struct err *e)
{
    PGresult *r;
    int rc = pg_ask(pg_of(base)->pg, &r, e, sql_now, 0, NULL);

    if (rc == 0)
        *unix_s = pg_real(r, 0, 0);
    PQclear(r);
    return rc;
}

/* ---- edits ---- */

/* What an order changes, of which tasks.  Triggers do the rest, as for an UPDATE by hand. */
static const struct {
    const char *set, *of;
} orders[] = {
    [QUEUE_RETRY] = {"status = 'pending', error = NULL, worker_id = NULL,"
                     " claimed_at = NULL",
                     "status IN ('failed','cancelled')"},
    [QUEUE_CANCEL] = {"status = CASE WHEN status = 'pending' THEN 'cancelled'"
                      " ELSE status END, cancel_requested = (status = 'claimed')",
                      "status IN ('pending','claimed')"},
    [QUEUE_PRIORITY] = {"priority = ", "status IN ('pending','claimed')"},
};

int queue_pg_change(struct queue *base, enum queue_order order,
                    const struct task_filter *filter, int priority, size_t *n,
                    struct err *e)
{
    struct pg_queue *q = pg_of(base);
    char sql[2048], number[16] = "";
    PGresult *r = NULL;
    struct where w;
    int rc = read_filter(&w, q, filter, e);

    if (rc != 0 || w.nothing)
        return rc;
    if (order == QUEUE_PRIORITY)
        snprintf(number, sizeof number, "%d", priority);
    /* Locked in the order of ids, so that two edits do not stand in each other's way. */
    snprintf(
        sql, sizeof sql,
        "WITH found AS (SELECT task_id FROM absurd.t_tasks WHERE %s ORDER BY %s%s),"
        " mine AS (SELECT t.task_id FROM absurd.t_tasks t JOIN found"
        "  USING (task_id) WHERE t.%s ORDER BY t.task_id FOR UPDATE OF t),"
        " done AS (UPDATE absurd.t_tasks t SET %s%s FROM mine"
        "  WHERE t.task_id = mine.task_id RETURNING 1)"
        " SELECT count(*) FROM done",
        w.sql, order_of(filter), w.limit, orders[order].of, orders[order].set, number);
    rc = pg_ask_once(q->pg, &r, e, sql, w.n, w.value);
    if (rc == 0)
        *n = (size_t)pg_int(r, 0, 0);
    PQclear(r);
    return rc;
}

int queue_pg_set_mode(struct queue *base, enum queue_mode mode, const char *reason,
                      struct err *e)
{
    char *text = pg_utf8(reason);
    const char *const value[] = {pg_of(base)->name, queue_mode_name(mode), text};
    PGresult *r;
    int rc = pg_ask(pg_of(base)->pg, &r, e, sql_set_mode, 3, value);

    PQclear(r);
    free(text);
    return rc;
}

int queue_pg_get_mode(struct queue *base, enum queue_mode *mode, char *reason,
                      size_t size, double *since, struct err *e)
{
    const char *const value[] = {pg_of(base)->name};
    PGresult *r;
    int rc = pg_ask(pg_of(base)->pg, &r, e, sql_get_mode, 1, value);

    *mode = QUEUE_RUNS;
    *since = 0;
    if (reason != NULL && size > 0)
        reason[0] = '\0';
    if (rc == 0 && PQntuples(r) > 0) {
        queue_mode_by_name(PQgetvalue(r, 0, 0), mode);
        if (reason != NULL && size > 0)
            pg_text(r, 0, 1, reason, size);
        *since = pg_real(r, 0, 2);
    }
    PQclear(r);
    return rc;
}
