#include "core/queue.h"

#include "core/clock.h"
#include "core/db.h"
#include "core/err.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

struct queue {
    struct db *db;
    uint64_t last_ms; /* of the newest task_id */
    unsigned seq;     /* its 12-bit counter */
};

#define NOW_ISO "strftime('%Y-%m-%dT%H:%M:%fZ','now')"

/*
 * The indexes on pending tasks are partial: what is done costs a claim nothing, however many
 * years of it there are.  The triggers make an operator's UPDATE safe at any moment: a task that
 * leaves `claimed`, whoever does it, gets a new fence, so that its worker's later words are refused.
 */
static const char schema[] =
    "CREATE TABLE t_tasks("
    " task_id TEXT PRIMARY KEY NOT NULL, task_name TEXT NOT NULL, task_key TEXT NOT "
    "NULL,"
    " params TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(params)),"
    " status TEXT NOT NULL DEFAULT 'pending'"
    "  CHECK (status IN ('pending','claimed','completed','failed','cancelled')),"
    " priority INTEGER NOT NULL DEFAULT 0, error TEXT,"
    " retry_count INTEGER NOT NULL DEFAULT 0, max_retries INTEGER NOT NULL DEFAULT 3,"
    " worker_id TEXT, run_after REAL NOT NULL DEFAULT 0,"
    " created_at TEXT NOT NULL DEFAULT (" NOW_ISO "),"
    " claimed_at TEXT, last_heartbeat TEXT, completed_at TEXT,"
    " fence INTEGER NOT NULL DEFAULT 0, result TEXT,"
    " UNIQUE (task_name, task_key)) STRICT;"
    "CREATE INDEX t_ready ON t_tasks(priority DESC, task_key, task_id, run_after)"
    " WHERE status = 'pending';"
    "CREATE INDEX t_due ON t_tasks(run_after) WHERE status = 'pending';"
    "CREATE INDEX t_status ON t_tasks(status);"
    "CREATE TABLE t_attempts("
    " task_id TEXT NOT NULL, attempt INTEGER NOT NULL, fence INTEGER NOT NULL,"
    " worker_id TEXT, claimed_at TEXT NOT NULL, ended_at TEXT,"
    " outcome TEXT, error TEXT, PRIMARY KEY (task_id, attempt)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE t_fence(value INTEGER NOT NULL) STRICT;"
    "INSERT INTO t_fence VALUES (0);"
    "CREATE TRIGGER t_claims BEFORE UPDATE OF status ON t_tasks"
    " WHEN NEW.status = 'claimed' AND OLD.status <> 'claimed' AND NEW.fence = OLD.fence"
    " BEGIN SELECT RAISE(ABORT, 'only a worker claims a task: set it to pending'); END;"
    "CREATE TRIGGER t_leaves AFTER UPDATE OF status ON t_tasks"
    " WHEN OLD.status = 'claimed' AND NEW.status <> 'claimed' BEGIN"
    " UPDATE t_attempts SET ended_at = " NOW_ISO ", outcome = 'fenced'"
    "  WHERE task_id = NEW.task_id AND ended_at IS NULL;"
    " UPDATE t_fence SET value = value + 1;"
    " UPDATE t_tasks SET fence = (SELECT value FROM t_fence)"
    "  WHERE task_id = NEW.task_id;"
    " END;";

static const struct db_kind kind = {
    .what = "task queue",
    .application_id = 0x77647131, /* "wdq1" */
    .version = 1,
    .busy_ms = 5000,
    .exclusive = 1,
    .schema = schema,
};

#define TASK_COLUMNS                                                                   \
    "task_id, task_name, task_key, params, status, priority, retry_count, "            \
    "max_retries,"                                                                     \
    " fence, run_after, error, worker_id"

static const char sql_spawn[] =
    "INSERT INTO t_tasks(task_id, task_name, task_key, params, priority, max_retries,"
    " run_after, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"
    " ON CONFLICT(task_name, task_key) DO NOTHING";
static const char sql_again[] =
    "UPDATE t_tasks SET status = 'pending', params = ?3, priority = ?4, max_retries = "
    "?5,"
    " run_after = ?6, retry_count = 0, error = NULL, result = NULL, worker_id = NULL,"
    " claimed_at = NULL, last_heartbeat = NULL, completed_at = NULL"
    " WHERE task_name = ?1 AND task_key = ?2"
    " AND status IN ('completed','failed','cancelled')";
static const char sql_next[] = "SELECT task_id FROM t_tasks INDEXED BY t_ready"
                               " WHERE status = 'pending' AND run_after <= ?1"
                               " ORDER BY priority DESC, task_key, task_id LIMIT 1";
static const char sql_fence[] = "UPDATE t_fence SET value = value + 1";
static const char sql_claim[] =
    "UPDATE t_tasks SET status = 'claimed', worker_id = ?2, claimed_at = ?3,"
    " last_heartbeat = ?3, fence = (SELECT value FROM t_fence) WHERE task_id = ?1";
static const char sql_attempt[] =
    "INSERT INTO t_attempts(task_id, attempt, fence, worker_id, claimed_at)"
    " SELECT ?1, coalesce(max(attempt), 0) + 1, (SELECT value FROM t_fence), ?2, ?3"
    " FROM t_attempts WHERE task_id = ?1";
static const char sql_by_id[] =
    "SELECT " TASK_COLUMNS " FROM t_tasks WHERE task_id = ?1";
static const char sql_by_key[] =
    "SELECT " TASK_COLUMNS " FROM t_tasks WHERE task_name = ?1 AND task_key = ?2";
static const char sql_each[] =
    "SELECT " TASK_COLUMNS " FROM t_tasks WHERE task_name = ?1 ORDER BY task_key";
static const char sql_end_attempt[] =
    "UPDATE t_attempts SET ended_at = ?3, outcome = ?4, error = ?5"
    " WHERE task_id = ?1 AND fence = ?2 AND ended_at IS NULL AND EXISTS"
    " (SELECT 1 FROM t_tasks WHERE task_id = ?1 AND fence = ?2 AND status = 'claimed')";
static const char sql_outcome[] =
    "SELECT outcome FROM t_attempts WHERE task_id = ?1 AND fence = ?2";
static const char sql_complete[] = "UPDATE t_tasks SET status = 'completed', "
                                   "completed_at = ?2, result = ?3, error = NULL"
                                   " WHERE task_id = ?1";
static const char sql_fail[] =
    "UPDATE t_tasks SET"
    " status = CASE WHEN ?4 AND retry_count < max_retries THEN 'pending' ELSE 'failed' "
    "END,"
    " retry_count = retry_count + (?4 AND retry_count < max_retries),"
    " completed_at = CASE WHEN ?4 AND retry_count < max_retries THEN NULL ELSE ?2 END,"
    " worker_id = CASE WHEN ?4 AND retry_count < max_retries THEN NULL ELSE worker_id "
    "END,"
    " error = ?3, run_after = ?5 WHERE task_id = ?1";
static const char sql_release[] =
    "UPDATE t_tasks SET status = 'pending', run_after = ?2, worker_id = NULL,"
    " claimed_at = NULL WHERE task_id = ?1";
static const char sql_heartbeat[] =
    "UPDATE t_tasks SET last_heartbeat = ?3"
    " WHERE task_id = ?1 AND fence = ?2 AND status = 'claimed'";
static const char sql_abandon[] =
    "UPDATE t_attempts SET ended_at = ?1, outcome = 'abandoned' WHERE ended_at IS NULL"
    " AND task_id IN (SELECT task_id FROM t_tasks WHERE status = 'claimed')";
static const char sql_recover[] =
    "UPDATE t_tasks SET status = 'pending', run_after = 0, worker_id = NULL,"
    " claimed_at = NULL WHERE status = 'claimed'";
static const char sql_count[] = "SELECT count(*) FROM t_tasks WHERE status = ?1";
static const char sql_ahead[] =
    "SELECT count(*) FROM t_tasks INDEXED BY t_ready WHERE status = 'pending'"
    " AND (priority > ?1 OR (priority = ?1 AND (task_key, task_id) < (?2, ?3)))";
static const char sql_due[] =
    "SELECT min(run_after) FROM t_tasks INDEXED BY t_due WHERE status = 'pending'";

void task_clear(struct task *t)
{
    free(t->params);
    memset(t, 0, sizeof *t);
}

int queue_open(struct queue **out, const char *path, struct err *e)
{
    struct queue *q = calloc(1, sizeof *q);
    int rc;

    *out = NULL;
    if (q == NULL)
        return err_set(e, -ENOMEM, "out of memory opening %s", path);
    rc = db_open(&q->db, path, &kind, e);
    if (rc != 0) {
        free(q);
        return rc;
    }
    *out = q;
    return 0;
}

void queue_close(struct queue *q)
{
    if (q == NULL)
        return;
    db_close(q->db);
    free(q);
}

/*
 * UUID version 7 (RFC 9562, 5.7 and 6.2 method 1): 48 bits of Unix milliseconds, a 12-bit counter
 * that starts anew in its lower half each millisecond, 62 random bits.  Grows from call to call,
 * also when the clock is set back.
 */
static int new_id(struct queue *q, char id[QUEUE_ID], struct err *e)
{
    uint64_t ms = (uint64_t)(clock_wall_s() * 1e3), r[2];

    if (getrandom(r, sizeof r, 0) != sizeof r)
        return err_set(e, -EIO, "no random numbers for a task's name");
    if (ms > q->last_ms) {
        q->last_ms = ms;
        q->seq = (unsigned)(r[1] & 0x7ff);
    } else if (++q->seq > 0xfff) {
        q->last_ms++;
        q->seq = 0;
    }
    snprintf(id, QUEUE_ID, "%08llx-%04llx-7%03x-%04llx-%012llx",
             (unsigned long long)(q->last_ms >> 16 & 0xffffffff),
             (unsigned long long)(q->last_ms & 0xffff), q->seq & 0xfff,
             (unsigned long long)((r[0] >> 48 & 0x3fff) | 0x8000),
             (unsigned long long)(r[0] & 0xffffffffffff));
    return 0;
}

int queue_spawn(struct queue *q, const char *name, const char *key, const char *params,
                int priority, int max_retries, int overwrite, int *made, struct err *e)
{
    char id[QUEUE_ID], created[32];
    double now = clock_wall_s();
    int rc, n = 0;

    if (made != NULL)
        *made = 0;
    if (name[0] == '\0' || strlen(name) >= sizeof((struct task *)0)->name ||
        strlen(key) >= QUEUE_TEXT)
        return err_set(e, -EINVAL,
                       "a task's name '%.70s' or key '%.80s' is empty or too long",
                       name, key);
    if (params == NULL)
        params = "{}";
    clock_iso(now, created);
    rc = new_id(q, id, e);
    if (rc == 0)
        rc = db_begin(q->db, e);
    if (rc != 0)
        return rc;
    rc = db_run(q->db, &n, e, sql_spawn, "ttttiidt", id, name, key, params,
                (int64_t)priority, (int64_t)max_retries, now, created);
    if (rc == 0 && n == 0 && overwrite)
        rc = db_run(q->db, &n, e, sql_again, "tttiid", name, key, params,
                    (int64_t)priority, (int64_t)max_retries, now);
    rc = db_end(q->db, rc, e);
    if (rc == 0 && made != NULL)
        *made = n;
    return rc;
}

/* The current row of a TASK_COLUMNS statement. */
static int fill_task(sqlite3_stmt *st, struct task *out, struct err *e)
{
    const char *params = (const char *)sqlite3_column_text(st, 3);

    memset(out, 0, sizeof *out);
    out->params = strdup(params != NULL ? params : "{}");
    if (out->params == NULL)
        return err_set(e, -ENOMEM, "out of memory reading a task");
    db_text(st, 0, out->id, sizeof out->id);
    db_text(st, 1, out->name, sizeof out->name);
    db_text(st, 2, out->key, sizeof out->key);
    db_text(st, 4, out->status, sizeof out->status);
    out->priority = sqlite3_column_int(st, 5);
    out->retry_count = sqlite3_column_int(st, 6);
    out->max_retries = sqlite3_column_int(st, 7);
    out->fence = sqlite3_column_int64(st, 8);
    out->run_after = sqlite3_column_double(st, 9);
    db_text(st, 10, out->error, sizeof out->error);
    db_text(st, 11, out->worker, sizeof out->worker);
    return 0;
}

/* The one row of a started TASK_COLUMNS statement; -ENOENT when there is none. */
static int read_task(struct queue *q, sqlite3_stmt *st, struct task *out, struct err *e)
{
    int rc = db_row(q->db, st, e);

    if (rc != 1)
        return rc == 0 ? -ENOENT : rc;
    rc = fill_task(st, out, e);
    db_done(st);
    return rc;
}

/* Mark task `id` as this worker's and read it; inside a transaction. */
static int claim_id(struct queue *q, const char *id, const char *worker,
                    const char *now, struct task *out, struct err *e)
{
    sqlite3_stmt *st;
    int rc;

    if ((rc = db_run(q->db, NULL, e, sql_fence, "")) != 0 ||
        (rc = db_run(q->db, NULL, e, sql_claim, "ttt", id, worker, now)) != 0 ||
        (rc = db_run(q->db, NULL, e, sql_attempt, "ttt", id, worker, now)) != 0 ||
        (rc = db_start(q->db, &st, e, sql_by_id, "t", id)) != 0)
        return rc;
    return read_task(q, st, out, e);
}

int queue_claim(struct queue *q, const char *worker, struct task *out, struct err *e)
{
    char id[QUEUE_TEXT], now_iso[32]; /* an id made by hand may be longer than ours */
    double now = clock_wall_s();
    sqlite3_stmt *st;
    int rc;

    memset(out, 0, sizeof *out);
    clock_iso(now, now_iso);
    rc = db_begin(q->db, e);
    if (rc != 0)
        return rc;
    rc = db_start(q->db, &st, e, sql_next, "d", now);
    if (rc == 0)
        rc = db_row(q->db, st, e);
    if (rc == 1) {
        db_text(st, 0, id, sizeof id);
        db_done(st);
        rc = claim_id(q, id, worker, now_iso, out, e);
    } else if (rc == 0) {
        rc = err_set(e, -EAGAIN, "no task is due");
    }
    rc = db_end(q->db, rc, e);
    if (rc != 0)
        task_clear(out);
    return rc;
}

static int lost(struct err *e, const char *id, int64_t fence)
{
    return err_set(e, ERR_LOST_TASK, "task %s is no longer held under fence %lld", id,
                   (long long)fence);
}

/*
 * Begin a transaction and end the attempt `fence` of a task.
 * Status: 1 ended, the caller now changes the task; 0 this very outcome was told before (a repeat);
 * ERR_LOST_TASK; or a failure.  The transaction is open only when 1.
 */
static int begin_end(struct queue *q, const char *id, int64_t fence, const char *now,
                     const char *outcome, const char *error, struct err *e)
{
    char told[32] = "";
    sqlite3_stmt *st;
    int rc, n = 0;

    rc = db_begin(q->db, e);
    if (rc != 0)
        return rc;
    rc = db_run(q->db, &n, e, sql_end_attempt, "tittt", id, fence, now, outcome, error);
    if (rc == 0 && n > 0)
        return 1;
    if (rc == 0)
        rc = db_start(q->db, &st, e, sql_outcome, "ti", id, fence);
    if (rc == 0)
        rc = db_row(q->db, st, e);
    if (rc == 1) {
        db_text(st, 0, told, sizeof told);
        db_done(st);
        rc = 0;
    }
    if (rc == 0 && strcmp(told, outcome) != 0)
        rc = lost(e, id, fence);
    db_end(q->db, -ECANCELED, NULL); /* nothing was changed */
    return rc;
}

int queue_complete(struct queue *q, const char *id, int64_t fence, const char *result,
                   struct err *e)
{
    char now[32];
    int rc;

    clock_iso(clock_wall_s(), now);
    rc = begin_end(q, id, fence, now, "completed", NULL, e);
    if (rc != 1)
        return rc;
    rc = db_run(q->db, NULL, e, sql_complete, "ttt", id, now, result);
    return db_end(q->db, rc, e);
}

int queue_fail(struct queue *q, const char *id, int64_t fence, const char *error,
               int retry, double delay_s, struct err *e)
{
    double now_s = clock_wall_s();
    char now[32];
    int rc;

    clock_iso(now_s, now);
    rc = begin_end(q, id, fence, now, "failed", error, e);
    if (rc != 1)
        return rc;
    rc = db_run(q->db, NULL, e, sql_fail, "tttid", id, now, error,
                (int64_t)(retry != 0), now_s + delay_s);
    return db_end(q->db, rc, e);
}

int queue_release(struct queue *q, const char *id, int64_t fence, double delay_s,
                  struct err *e)
{
    double now_s = clock_wall_s();
    char now[32];
    int rc;

    clock_iso(now_s, now);
    rc = begin_end(q, id, fence, now, "released", NULL, e);
    if (rc != 1)
        return rc;
    rc = db_run(q->db, NULL, e, sql_release, "td", id, now_s + delay_s);
    return db_end(q->db, rc, e);
}

int queue_heartbeat(struct queue *q, const char *id, int64_t fence, struct err *e)
{
    char now[32];
    int rc, n = 0;

    clock_iso(clock_wall_s(), now);
    rc = db_run(q->db, &n, e, sql_heartbeat, "tit", id, fence, now);
    return rc != 0 || n > 0 ? rc : lost(e, id, fence);
}

int queue_recover(struct queue *q, size_t *n, struct err *e)
{
    char now[32];
    int rc, changed = 0;

    *n = 0;
    clock_iso(clock_wall_s(), now);
    rc = db_begin(q->db, e);
    if (rc != 0)
        return rc;
    rc = db_run(q->db, NULL, e, sql_abandon, "t", now);
    if (rc == 0)
        rc = db_run(q->db, &changed, e, sql_recover, "");
    rc = db_end(q->db, rc, e);
    if (rc == 0)
        *n = (size_t)changed;
    return rc;
}

int queue_status(struct queue *q, const char *name, const char *key, struct task *out,
                 struct err *e)
{
    sqlite3_stmt *st;
    int rc;

    memset(out, 0, sizeof *out);
    rc = db_start(q->db, &st, e, sql_by_key, "tt", name, key);
    if (rc == 0)
        rc = read_task(q, st, out, e);
    return rc != -ENOENT ? rc : err_set(e, rc, "there is no task %s %s", name, key);
}

int queue_each(struct queue *q, const char *name, queue_each_fn *fn, void *arg,
               struct err *e)
{
    sqlite3_stmt *st;
    struct task task;
    int rc = db_start(q->db, &st, e, sql_each, "t", name);

    if (rc != 0)
        return rc;
    while ((rc = db_row(q->db, st, e)) == 1) {
        rc = fill_task(st, &task, e);
        if (rc != 0) {
            db_done(st);
            break;
        }
        fn(arg, &task);
        task_clear(&task);
    }
    return rc;
}

int queue_count(struct queue *q, const char *status, size_t *n, struct err *e)
{
    sqlite3_stmt *st;
    int rc = db_start(q->db, &st, e, sql_count, "t", status);

    *n = 0;
    if (rc == 0)
        rc = db_row(q->db, st, e);
    if (rc != 1)
        return rc;
    *n = (size_t)sqlite3_column_int64(st, 0);
    db_done(st);
    return 0;
}

int queue_next_due(struct queue *q, double *in_s, struct err *e)
{
    sqlite3_stmt *st;
    int rc = db_start(q->db, &st, e, sql_due, "");

    *in_s = -1;
    if (rc == 0)
        rc = db_row(q->db, st, e);
    if (rc != 1)
        return rc;
    if (sqlite3_column_type(st, 0) != SQLITE_NULL) {
        double in = sqlite3_column_double(st, 0) - clock_wall_s();

        *in_s = in > 0 ? in : 0;
    }
    db_done(st);
    return 0;
}

int queue_ahead(struct queue *q, const struct task *task, size_t *n, struct err *e)
{
    sqlite3_stmt *st;
    int rc = db_start(q->db, &st, e, sql_ahead, "itt", (int64_t)task->priority,
                      task->key, task->id);

    *n = 0;
    if (rc == 0)
        rc = db_row(q->db, st, e);
    if (rc != 1)
        return rc;
    *n = (size_t)sqlite3_column_int64(st, 0);
    db_done(st);
    return 0;
}
