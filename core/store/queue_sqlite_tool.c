/*
 * queue_sqlite_tool.c: the queue in an SQLite file: looking, operators' edits, upkeep.
 */
#include "core/store/queue_sqlite.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/store/db.h"
#include "core/err.h"

/* A worker heard of within this is taken for alive when its queue is to be replaced. */
#define ALIVE_S 120

static const char sql_attempts[] =
    "SELECT attempt, fence, worker_id, claimed_at, ended_at, outcome, error, rusage"
    " FROM t_attempts WHERE task_id = ?1 ORDER BY attempt";
static const char sql_steps[] = "SELECT step, detail, took_s, at, fence FROM t_steps"
                                " WHERE task_id = ?1 ORDER BY at, step";
static const char sql_workers[] =
    "SELECT worker_id, machine, boot, host, pid, start, state, slots, running,"
    " started_at, last_seen FROM t_workers ORDER BY worker_id";
static const char sql_counts[] = "SELECT task_name, status, count(*) FROM t_tasks "
                                 "INDEXED BY t_status GROUP BY status, task_name";
static const char sql_count[] = "SELECT count(*) FROM t_tasks WHERE status = ?1";
static const char sql_ahead[] =
    "SELECT count(*) FROM t_tasks INDEXED BY t_ready WHERE status = 'pending'"
    " AND (priority > ?1 OR (priority = ?1 AND (task_key, task_id) < (?2, ?3)))";
/* Of each priority the first key, by t_ready, and those of the few claimed. */
static const char sql_first_open[] =
    "WITH RECURSIVE p(priority) AS ("
    " SELECT max(priority) FROM t_tasks INDEXED BY t_ready WHERE status = 'pending'"
    " UNION ALL SELECT (SELECT max(priority) FROM t_tasks INDEXED BY t_ready"
    "  WHERE status = 'pending' AND priority < p.priority)"
    "  FROM p WHERE p.priority IS NOT NULL)"
    "SELECT min(task_key) FROM (SELECT (SELECT task_key FROM t_tasks INDEXED BY t_ready"
    "  WHERE status = 'pending' AND priority = p.priority AND task_name = ?1"
    "  ORDER BY task_key LIMIT 1) AS task_key FROM p WHERE p.priority IS NOT NULL"
    " UNION ALL SELECT task_key FROM t_tasks INDEXED BY t_held"
    "  WHERE status = 'claimed' AND task_name = ?1)";
static const char sql_due[] =
    "SELECT min(run_after) FROM t_tasks INDEXED BY t_due WHERE status = 'pending'";
static const char sql_alive[] = "SELECT count(*) FROM t_workers WHERE last_seen > ?1";
static const char sql_set_mode[] =
    "INSERT INTO t_queues(queue_name, mode, reason, since) VALUES (?1, ?2, ?3, ?4)"
    " ON CONFLICT(queue_name) DO UPDATE SET mode = ?2, reason = ?3,"
    " since = CASE WHEN mode = ?2 THEN since ELSE ?4 END";
static const char sql_get_mode[] =
    "SELECT mode, reason, since FROM t_queues WHERE queue_name = ?1";
/* What an order does, and to which tasks; ?8 is the priority, ?9 now in Unix seconds, ?10
   in ISO. */
static const char *const orders[] = {
    [QUEUE_RETRY] = "UPDATE t_tasks SET status = 'pending', error = NULL, worker_id = "
                    "NULL, claimed_at = NULL, run_after = ?9"
                    " WHERE status IN ('failed','cancelled')",
    [QUEUE_CANCEL] =
        "UPDATE t_tasks SET completed_at = CASE status WHEN 'pending' THEN "
        "?10 END, cancel_requested = (status = 'claimed'),"
        " status = CASE status WHEN 'pending' THEN 'cancelled' ELSE status "
        "END WHERE status IN ('pending','claimed')",
    [QUEUE_PRIORITY] =
        "UPDATE t_tasks SET priority = ?8 WHERE status IN ('pending','claimed')",
};

/* ---- looking ---- */

/* The conditions of a filter; its parameters are ?1 to ?6, ?8 and ?9 whatever it uses. */
static void write_where(const struct task_filter *f, char *sql, size_t size)
{
    const char *id = f->id == NULL ? ""
                     : f->id_end   ? " AND substr(task_id, -length(?1)) = ?1"
                                   : " AND task_id >= ?1 AND task_id < ?1 || 'g'";

    snprintf(sql, size, "%s%s%s%s%s%s%s%s", id,
             f->made_from > 0 ? " AND created_at >= ?8" : "",
             f->made_to > 0 ? " AND created_at < ?9" : "",
             f->name != NULL ? " AND task_name = ?2" : "",
             f->key != NULL ? " AND task_key = ?3" : "",
             f->status != TASK_NONE ? " AND status = ?4" : "",
             f->claimed_before_s > 0 ? " AND status = 'claimed' AND claimed_at < ?5"
                                     : "",
             f->silent_s > 0 ? " AND status = 'claimed' AND last_heartbeat < ?6" : "");
}

static int check_filter(const struct task_filter *f, struct err *e)
{
    if (f->id != NULL && strlen(f->id) < QUEUE_KEEPS_ID)
        return err_set(e, -EINVAL, "'%s' is too short for the start of a task's id",
                       f->id);
    return 0;
}

static void bind_query(sqlite3_stmt *st, const struct task_filter *f)
{
    double now = clock_wall_s();
    char text[32];

    if (f->id != NULL)
        sqlite3_bind_text(st, 1, f->id, -1, SQLITE_TRANSIENT);
    if (f->name != NULL)
        sqlite3_bind_text(st, 2, f->name, -1, SQLITE_TRANSIENT);
    if (f->key != NULL)
        sqlite3_bind_text(st, 3, f->key, -1, SQLITE_TRANSIENT);
    if (f->status != TASK_NONE)
        sqlite3_bind_text(st, 4, task_status_name(f->status), -1, SQLITE_STATIC);
    clock_iso(now - f->claimed_before_s, text);
    if (f->claimed_before_s > 0)
        sqlite3_bind_text(st, 5, text, -1, SQLITE_TRANSIENT);
    clock_iso(now - f->silent_s, text);
    if (f->silent_s > 0)
        sqlite3_bind_text(st, 6, text, -1, SQLITE_TRANSIENT);
    clock_iso(f->made_from, text);
    if (f->made_from > 0)
        sqlite3_bind_text(st, 8, text, -1, SQLITE_TRANSIENT);
    clock_iso(f->made_to, text);
    if (f->made_to > 0)
        sqlite3_bind_text(st, 9, text, -1, SQLITE_TRANSIENT);
    if (f->limit > 0)
        sqlite3_bind_int64(st, 7, (sqlite3_int64)f->limit);
}

int queue_sqlite_each(struct queue *base, const struct task_filter *filter,
                      queue_each_fn *fn, void *arg, struct err *e)
{
    struct sqlite_queue *q = sqlite_of(base);
    char where[512], sql[1024];
    sqlite3_stmt *st = NULL;
    struct task task;
    int rc = check_filter(filter, e);

    if (rc != 0)
        return rc;
    write_where(filter, where, sizeof where);
    snprintf(sql, sizeof sql,
             "SELECT " TASK_COLUMNS " FROM t_tasks WHERE 1%s ORDER BY %s%s", where,
             filter->newest ? "task_id DESC" : "task_key, task_name",
             filter->limit > 0 ? " LIMIT ?7" : "");
    if (sqlite3_prepare_v2(db_handle(q->db), sql, -1, &st, NULL) != SQLITE_OK)
        return queue_sqlite_down(db_failed(q->db, "read", e));
    bind_query(st, filter);
    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
        rc = queue_sqlite_fill(st, &task, e);
        if (rc != 0)
            break;
        fn(arg, &task);
        task_clear(&task);
    }
    if (rc == SQLITE_DONE)
        rc = 0;
    else if (rc > 0)
        rc = queue_sqlite_down(db_failed(q->db, "read", e));
    sqlite3_finalize(st);
    return rc;
}

int queue_sqlite_attempts(struct queue *base, const char *id, queue_attempt_fn *fn,
                          void *arg, struct err *e)
{
    struct sqlite_queue *q = sqlite_of(base);
    sqlite3_stmt *st;
    int rc = db_start(q->db, &st, e, sql_attempts, "t", id);

    while (rc == 0 && (rc = db_row(q->db, st, e)) == 1) {
        struct task_attempt a = {.attempt = sqlite3_column_int(st, 0),
                                 .fence = sqlite3_column_int64(st, 1),
                                 .claimed = queue_sqlite_time(st, 3),
                                 .ended = queue_sqlite_time(st, 4)};

        db_text(st, 2, a.worker, sizeof a.worker);
        db_text(st, 5, a.outcome, sizeof a.outcome);
        db_text(st, 6, a.error, sizeof a.error);
        db_text(st, 7, a.usage, sizeof a.usage);
        fn(arg, &a);
        rc = 0;
    }
    return queue_sqlite_down(rc);
}

int queue_sqlite_steps(struct queue *base, const char *id, queue_step_fn *fn, void *arg,
                       struct err *e)
{
    struct sqlite_queue *q = sqlite_of(base);
    sqlite3_stmt *st;
    int rc = db_start(q->db, &st, e, sql_steps, "t", id);

    while (rc == 0 && (rc = db_row(q->db, st, e)) == 1) {
        char step[QUEUE_TEXT], detail[QUEUE_TEXT];
        struct task_step s = {.step = step,
                              .detail = detail,
                              .took_s = sqlite3_column_double(st, 2),
                              .at = queue_sqlite_time(st, 3),
                              .fence = sqlite3_column_int64(st, 4)};

        snprintf(s.id, sizeof s.id, "%s", id);
        db_text(st, 0, step, sizeof step);
        db_text(st, 1, detail, sizeof detail);
        fn(arg, &s);
        rc = 0;
    }
    return queue_sqlite_down(rc);
}

int queue_sqlite_workers(struct queue *base, queue_worker_fn *fn, void *arg,
                         struct err *e)
{
    struct sqlite_queue *q = sqlite_of(base);
    sqlite3_stmt *st;
    int rc = db_start(q->db, &st, e, sql_workers, "");

    while (rc == 0 && (rc = db_row(q->db, st, e)) == 1) {
        struct queue_worker w = {.pid = sqlite3_column_int64(st, 4),
                                 .start = sqlite3_column_int64(st, 5),
                                 .slots = sqlite3_column_int(st, 7),
                                 .running = sqlite3_column_int(st, 8),
                                 .started = queue_sqlite_time(st, 9),
                                 .seen = queue_sqlite_time(st, 10)};

        db_text(st, 0, w.id, sizeof w.id);
        db_text(st, 1, w.machine, sizeof w.machine);
        db_text(st, 2, w.boot, sizeof w.boot);
        db_text(st, 3, w.host, sizeof w.host);
        db_text(st, 6, w.state, sizeof w.state);
        fn(arg, &w);
        rc = 0;
    }
    return queue_sqlite_down(rc);
}

int queue_sqlite_counts(struct queue *base, queue_count_fn *fn, void *arg,
                        struct err *e)
{
    struct sqlite_queue *q = sqlite_of(base);
    sqlite3_stmt *st;
    int rc = db_start(q->db, &st, e, sql_counts, "");

    while (rc == 0 && (rc = db_row(q->db, st, e)) == 1) {
        char name[QUEUE_NAME];

        db_text(st, 0, name, sizeof name);
        fn(arg, name, queue_sqlite_status(st, 1), (size_t)sqlite3_column_int64(st, 2));
        rc = 0;
    }
    return queue_sqlite_down(rc);
}

int queue_sqlite_count(struct queue *base, enum task_status status, size_t *n,
                       struct err *e)
{
    struct sqlite_queue *q = sqlite_of(base);
    int64_t v;
    sqlite3_stmt *st;
    int rc = db_start(q->db, &st, e, sql_count, "t", task_status_name(status));

    rc = queue_sqlite_number(q, rc, st, &v, e);
    *n = (size_t)v;
    return queue_sqlite_down(rc);
}

int queue_sqlite_next_due(struct queue *base, double *in_s, struct err *e)
{
    struct sqlite_queue *q = sqlite_of(base);
    sqlite3_stmt *st;
    int rc = db_start(q->db, &st, e, sql_due, "");

    if (rc == 0)
        rc = db_row(q->db, st, e);
    if (rc != 1)
        return queue_sqlite_down(rc);
    if (sqlite3_column_type(st, 0) != SQLITE_NULL) {
        double in = sqlite3_column_double(st, 0) - clock_wall_s();

        *in_s = in > 0 ? in : 0;
    }
    db_done(st);
    return 0;
}

int queue_sqlite_ahead(struct queue *base, const struct task *task, size_t *n,
                       struct err *e)
{
    struct sqlite_queue *q = sqlite_of(base);
    int64_t v;
    sqlite3_stmt *st;
    int rc = db_start(q->db, &st, e, sql_ahead, "itt", (int64_t)task->priority,
                      task->key, task->id);

    rc = queue_sqlite_number(q, rc, st, &v, e);
    *n = (size_t)v;
    return queue_sqlite_down(rc);
}

int queue_sqlite_first_open(struct queue *base, const char *name, char key[QUEUE_TEXT],
                            struct err *e)
{
    struct sqlite_queue *q = sqlite_of(base);
    sqlite3_stmt *st;
    int rc = db_start(q->db, &st, e, sql_first_open, "t", name);

    key[0] = '\0';
    if (rc == 0 && (rc = db_row(q->db, st, e)) == 1) {
        db_text(st, 0, key, QUEUE_TEXT);
        db_done(st);
        rc = 0;
    }
    return queue_sqlite_down(rc);
}

int queue_sqlite_now(struct queue *base, double *unix_s, struct err *e)
{
    *unix_s = clock_wall_s();
    return queue_sqlite_there(sqlite_of(base), e);
}

/* ---- edits ---- */

int queue_sqlite_change(struct queue *base, enum queue_order order,
                        const struct task_filter *filter, int priority, size_t *n,
                        struct err *e)
{
    struct sqlite_queue *q = sqlite_of(base);
    char where[512], sql[1024], now[32];
    sqlite3_stmt *st = NULL;
    int rc = check_filter(filter, e);

    if (rc != 0)
        return rc;
    write_where(filter, where, sizeof where);
    snprintf(sql, sizeof sql, "%s%s", orders[order], where);
    if (sqlite3_prepare_v2(db_handle(q->db), sql, -1, &st, NULL) != SQLITE_OK)
        return queue_sqlite_down(db_failed(q->db, "change", e));
    bind_query(st, filter);
    clock_iso(clock_wall_s(), now);
    sqlite3_bind_int(st, 8,
                     priority); /* those that the order does not name are ignored */
    sqlite3_bind_double(st, 9, clock_wall_s());
    sqlite3_bind_text(st, 10, now, -1, SQLITE_STATIC);
    queue_sqlite_forced(q, true);
    if (sqlite3_step(st) != SQLITE_DONE)
        rc = queue_sqlite_down(db_failed(q->db, "change", e));
    else
        *n = (size_t)sqlite3_changes(db_handle(q->db));
    sqlite3_finalize(st);
    return rc;
}

int queue_sqlite_set_mode(struct queue *base, enum queue_mode mode, const char *reason,
                          struct err *e)
{
    struct sqlite_queue *q = sqlite_of(base);
    char now[32];

    clock_iso(clock_wall_s(), now);
    queue_sqlite_forced(q, true);
    return queue_sqlite_down(db_run(q->db, NULL, e, sql_set_mode, "tttt", q->name,
                                    queue_mode_name(mode), reason, now));
}

int queue_sqlite_get_mode(struct queue *base, enum queue_mode *mode, char *reason,
                          size_t size, double *since, struct err *e)
{
    struct sqlite_queue *q = sqlite_of(base);
    char name[16] = "";
    sqlite3_stmt *st;
    int rc = db_start(q->db, &st, e, sql_get_mode, "t", q->name);

    *mode = QUEUE_RUNS;
    *since = 0;
    if (reason != NULL && size > 0)
        reason[0] = '\0';
    if (rc == 0)
        rc = db_row(q->db, st, e);
    if (rc != 1)
        return queue_sqlite_down(rc);
    db_text(st, 0, name, sizeof name);
    queue_mode_by_name(name, mode);
    if (reason != NULL && size > 0)
        db_text(st, 1, reason, size);
    *since = queue_sqlite_time(st, 2);
    db_done(st);
    return 0;
}

/* ---- upkeep ---- */

int queue_sqlite_vacuum(struct queue *base, struct err *e)
{
    struct sqlite_queue *q = sqlite_of(base);

    if (sqlite3_exec(db_handle(q->db),
                     "VACUUM; ANALYZE; PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL,
                     NULL) != SQLITE_OK)
        return queue_sqlite_down(db_failed(q->db, "vacuum", e));
    return 0;
}

int queue_sqlite_backup(struct queue *base, const char *path, struct err *e)
{
    return db_copy(sqlite_of(base)->db, path, e);
}

/* Nobody may be at work on the queue that is replaced.  The daemon is kept out by its lock. */
static int nobody_works(const char *path, struct err *e)
{
    int64_t v;
    char limit[32];
    struct sqlite_queue q = {0};
    sqlite3_stmt *st;
    int rc = db_use(&q.db, path, &queue_sqlite_kind, NULL);

    if (rc != 0) /* missing, damaged or older: that is what a backup is for */
        return 0;
    clock_iso(clock_wall_s() - ALIVE_S, limit);
    rc = db_start(q.db, &st, e, sql_alive, "t", limit);
    rc = queue_sqlite_number(&q, rc, st, &v, e);
    db_close(q.db);
    if (rc == 0 && v > 0)
        return err_set(e, -EBUSY,
                       "%" PRId64
                       " worker%s of %s told of itself less than %d s ago: stop "
                       "the workers first",
                       v, v > 1 ? "s" : "", path, ALIVE_S);
    return queue_sqlite_down(rc);
}

int queue_sqlite_restore(const struct queue_opts *opts, const char *from, struct err *e)
{
    const char *path = queue_sqlite_path(opts);
    int rc = nobody_works(path, e);

    return rc != 0 ? rc : db_restore(path, from, &queue_sqlite_kind, e);
}

int queue_sqlite_migrate(const struct queue_opts *opts, bool dry,
                         struct queue_schema *schema, queue_say_fn *say, void *arg,
                         struct err *e)
{
    const char *path = queue_sqlite_path(opts);
    char line[PATH_MAX + 64];
    struct db *db = NULL;
    int rc = db_version(path, &queue_sqlite_kind, &schema->have, e);

    schema->want = queue_sqlite_kind.version;
    if (rc != 0 || schema->have == schema->want)
        return rc;
    if (schema->have == 0) {
        snprintf(line, sizeof line, "make the tables in %s", path);
        say(arg, line);
    } else {
        snprintf(line, sizeof line, "copy %s to %s.v%d", path, path, schema->have);
        say(arg, line);
    }
    for (int v = schema->have; v > 0 && v < schema->want; v++) {
        snprintf(line, sizeof line, "bring its tables from version %d to %d", v, v + 1);
        say(arg, line);
    }
    if (dry)
        return 0;
    rc = db_open(&db, path, &queue_sqlite_kind, e);
    db_close(db);
    return rc;
}
