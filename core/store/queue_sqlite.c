/*
 * queue_sqlite.c: the queue in an SQLite file: its tables, and what daemons and workers do
 * with them.
 *
 * One file is one queue of one machine.  Spawns, ends and edits are forced to disk before they
 * are acknowledged; claims and heartbeats are not (a power cut ends their owners, too), which
 * saves half the fsyncs.  The indexes on pending tasks are partial: what is done costs a claim
 * nothing, however many years of it there are; INDEXED BY keeps the planner from ever thinking
 * otherwise.
 */
#include "core/store/queue_sqlite.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/clock.h"
#include "core/store/db.h"
#include "core/err.h"
#include "core/path.h"

/* A step of the wall clock; adjustments (adjtime) stay far below between two turns. */
#define JUMP_S 1.0

/* ---- the tables ---- */

/* Version 2's own: made in new files, and in those of version 1 by the upgrade. */
#define TABLES_2                                                                       \
    "CREATE TABLE t_steps("                                                            \
    " task_id TEXT NOT NULL, step TEXT NOT NULL, fence INTEGER NOT NULL,"              \
    " at TEXT NOT NULL, took_s REAL NOT NULL, detail TEXT,"                            \
    " PRIMARY KEY (task_id, step)) STRICT, WITHOUT ROWID;"                             \
    "CREATE TABLE t_workers("                                                          \
    " worker_id TEXT PRIMARY KEY NOT NULL, machine TEXT, boot TEXT, host TEXT,"        \
    " pid INTEGER, start INTEGER, state TEXT, slots INTEGER, running INTEGER,"         \
    " started_at TEXT NOT NULL, last_seen TEXT NOT NULL) STRICT, WITHOUT ROWID;"       \
    "CREATE TABLE t_queues("                                                           \
    " queue_name TEXT PRIMARY KEY NOT NULL, mode TEXT NOT NULL DEFAULT 'running'"      \
    "  CHECK (mode IN ('running','draining','paused')),"                               \
    " reason TEXT, since TEXT NOT NULL) STRICT, WITHOUT ROWID;"                        \
    "CREATE INDEX t_ready ON t_tasks(priority DESC, task_key, task_id, run_after)"     \
    " WHERE status = 'pending';"                                                       \
    "CREATE INDEX t_oldest ON t_tasks(task_id, run_after) WHERE status = 'pending';"   \
    "CREATE INDEX t_due ON t_tasks(run_after) WHERE status = 'pending';"               \
    "CREATE INDEX t_held ON t_tasks(worker_id) WHERE status = 'claimed';"              \
    "CREATE INDEX t_status ON t_tasks(status, task_name, task_id);"

/*
 * An operator's UPDATE is safe at any moment: only a worker claims; a task that leaves
 * `claimed` by hand ends its attempt, so that its worker's later words are refused; an
 * ended one put back to pending has all its retries and is due.
 */
#define TRIGGERS_2                                                                     \
    "CREATE TRIGGER t_claims BEFORE UPDATE OF status ON t_tasks"                       \
    " WHEN NEW.status = 'claimed' AND OLD.status <> 'claimed' AND NEW.fence = "        \
    "OLD.fence"                                                                        \
    " BEGIN SELECT RAISE(ABORT, 'only a worker claims a task: set it to pending'); "   \
    "END;"                                                                             \
    "CREATE TRIGGER t_leaves AFTER UPDATE OF status ON t_tasks"                        \
    " WHEN OLD.status = 'claimed' AND NEW.status <> 'claimed' BEGIN"                   \
    " UPDATE t_attempts SET ended_at = " NOW_ISO ", outcome = 'fenced'"                \
    "  WHERE task_id = NEW.task_id AND ended_at IS NULL;"                              \
    " END;"                                                                            \
    "CREATE TRIGGER t_again AFTER UPDATE OF status ON t_tasks"                         \
    " WHEN NEW.status = 'pending' AND OLD.status IN "                                  \
    "('completed','failed','cancelled') BEGIN"                                         \
    " UPDATE t_tasks SET retry_count = 0, completed_at = NULL, cancel_requested = 0,"  \
    "  run_after = min(run_after, (julianday('now') - 2440587.5) * 86400.0)"           \
    "  WHERE task_id = NEW.task_id;"                                                   \
    " END;"                                                                            \
    "CREATE TRIGGER t_ends AFTER UPDATE OF status ON t_tasks"                          \
    " WHEN NEW.status IN ('failed','cancelled') AND NEW.completed_at IS NULL BEGIN"    \
    " UPDATE t_tasks SET completed_at = " NOW_ISO ", cancel_requested = 0"             \
    "  WHERE task_id = NEW.task_id;"                                                   \
    " END;"

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
    " timeout_sec REAL, cancel_requested INTEGER NOT NULL DEFAULT 0,"
    " lease_until REAL, lease_boot TEXT,"
    " UNIQUE (task_name, task_key)) STRICT;"
    "CREATE TABLE t_attempts("
    " task_id TEXT NOT NULL, attempt INTEGER NOT NULL, fence INTEGER NOT NULL,"
    " worker_id TEXT, claimed_at TEXT NOT NULL, ended_at TEXT,"
    " outcome TEXT, error TEXT, rusage TEXT,"
    " PRIMARY KEY (task_id, attempt)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE t_fence(value INTEGER NOT NULL) STRICT;"
    "INSERT INTO t_fence VALUES (0);" TABLES_2 TRIGGERS_2;

static const char *const upgrades[] = {
    /* 1 -> 2 */
    "ALTER TABLE t_tasks ADD COLUMN timeout_sec REAL;"
    "ALTER TABLE t_tasks ADD COLUMN cancel_requested INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE t_tasks ADD COLUMN lease_until REAL;"
    "ALTER TABLE t_tasks ADD COLUMN lease_boot TEXT;"
    "ALTER TABLE t_attempts ADD COLUMN rusage TEXT;"
    "DROP INDEX t_ready; DROP INDEX t_due; DROP INDEX t_status;"
    "DROP TRIGGER t_claims; DROP TRIGGER t_leaves;" TABLES_2 TRIGGERS_2
    /* its daemon, the only one who claimed, has ended: its lock is ours */
    "UPDATE t_tasks SET status = 'pending', run_after = 0, worker_id = NULL,"
    " claimed_at = NULL WHERE status = 'claimed';",
};

const struct db_kind queue_sqlite_kind = {
    .what = "task queue",
    .application_id = 0x77647131, /* "wdq1" */
    .version = 2,
    .busy_ms = 5000,
    .exclusive = 1,
    .schema = schema,
    .upgrade = upgrades,
};

/* ---- what is asked ---- */

static const char sql_spawn[] =
    "INSERT INTO t_tasks(task_id, task_name, task_key, params, priority, max_retries,"
    " run_after, created_at, timeout_sec) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"
    " ON CONFLICT(task_name, task_key) DO NOTHING";
static const char sql_again[] =
    "UPDATE t_tasks SET status = 'pending', params = ?3, priority = ?4, max_retries = "
    "?5, run_after = ?6, timeout_sec = ?7, retry_count = 0, error = NULL, result = "
    "NULL, worker_id = NULL, claimed_at = NULL, last_heartbeat = NULL,"
    " completed_at = NULL WHERE task_name = ?1 AND task_key = ?2"
    " AND status IN ('completed','failed','cancelled')";
static const char sql_next[] = "SELECT task_id FROM t_tasks INDEXED BY t_ready"
                               " WHERE status = 'pending' AND run_after <= ?1"
                               " ORDER BY priority DESC, task_key, task_id LIMIT 1";
static const char sql_oldest[] = "SELECT task_id FROM t_tasks INDEXED BY t_oldest"
                                 " WHERE status = 'pending' AND run_after <= ?1"
                                 " ORDER BY task_id LIMIT 1";
/* Without RETURNING, and without an INSERT that selects from its own table: both go through a
 * table of their own, which costs more than the rest of the claim. */
static const char sql_fence[] = "UPDATE t_fence SET value = value + 1";
static const char sql_get_fence[] = "SELECT value FROM t_fence";
static const char sql_claim[] =
    "UPDATE t_tasks SET status = 'claimed', worker_id = ?2, claimed_at = ?3,"
    " last_heartbeat = ?3, fence = ?4, lease_until = ?5, lease_boot = ?6,"
    " cancel_requested = 0 WHERE task_id = ?1";
static const char sql_by_id[] =
    "SELECT " TASK_COLUMNS " FROM t_tasks WHERE task_id = ?1";
static const char sql_attempts_so_far[] =
    "SELECT max(attempt) FROM t_attempts WHERE task_id = ?1";
static const char sql_attempt[] =
    "INSERT INTO t_attempts(task_id, attempt, fence, worker_id, claimed_at)"
    " VALUES (?1, ?2, ?3, ?4, ?5)";
static const char sql_end_attempt[] =
    "UPDATE t_attempts SET ended_at = ?3, outcome = ?4, error = ?5, rusage = ?6"
    " WHERE task_id = ?1 AND fence = ?2 AND ended_at IS NULL AND EXISTS"
    " (SELECT 1 FROM t_tasks WHERE task_id = ?1 AND fence = ?2 AND status = 'claimed')";
static const char sql_outcome[] =
    "SELECT outcome FROM t_attempts WHERE task_id = ?1 AND fence = ?2";
static const char sql_complete[] =
    "UPDATE t_tasks SET status = 'completed', completed_at = ?2, result = ?3,"
    " error = NULL, cancel_requested = 0 WHERE task_id = ?1";
static const char sql_fail[] =
    "UPDATE t_tasks SET status = 'failed', completed_at = ?2, error = ?3,"
    " cancel_requested = 0 WHERE task_id = ?1";
static const char sql_cancelled[] =
    "UPDATE t_tasks SET status = 'cancelled', completed_at = ?2,"
    " error = coalesce(?3, error), cancel_requested = 0 WHERE task_id = ?1";
/* One that was asked to stop does not come back. */
static const char sql_retry[] =
    "UPDATE t_tasks SET"
    " status = CASE WHEN cancel_requested THEN 'cancelled'"
    "  WHEN retry_count < max_retries THEN 'pending' ELSE 'failed' END,"
    " completed_at = CASE WHEN NOT cancel_requested AND retry_count < max_retries"
    "  THEN NULL ELSE ?2 END,"
    " worker_id = CASE WHEN NOT cancel_requested AND retry_count < max_retries"
    "  THEN NULL ELSE worker_id END,"
    " retry_count = retry_count + (NOT cancel_requested AND retry_count < "
    "max_retries),"
    " error = ?3, run_after = ?4, cancel_requested = 0 WHERE task_id = ?1";
static const char sql_release[] =
    "UPDATE t_tasks SET"
    " status = CASE WHEN cancel_requested THEN 'cancelled' ELSE 'pending' END,"
    " completed_at = CASE WHEN cancel_requested THEN ?2 ELSE NULL END,"
    " error = coalesce(?4, error), run_after = ?3, worker_id = NULL,"
    " claimed_at = NULL, cancel_requested = 0 WHERE task_id = ?1";
static const char sql_beat[] =
    "UPDATE t_tasks SET last_heartbeat = ?3, lease_until = ?4, lease_boot = ?5"
    " WHERE task_id = ?1 AND fence = ?2 AND status = 'claimed'";
static const char sql_to_stop[] =
    "SELECT cancel_requested FROM t_tasks WHERE task_id = ?1";
static const char sql_held[] = "SELECT task_id, fence FROM t_tasks INDEXED BY t_held"
                               " WHERE status = 'claimed' AND worker_id = ?1";
static const char sql_expired[] =
    "SELECT task_id, fence FROM t_tasks INDEXED BY t_held WHERE status = 'claimed'"
    " AND worker_id IS NOT NULL AND (lease_until IS NULL OR lease_until < ?1 OR "
    "lease_boot <> ?2)";
static const char sql_worker[] =
    "INSERT INTO t_workers(worker_id, machine, boot, host, pid, start, state, slots,"
    " running, started_at, last_seen) VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?10)"
    " ON CONFLICT(worker_id) DO UPDATE SET state = ?7, slots = ?8, running = ?9,"
    " last_seen = ?10";
static const char sql_forget[] = "DELETE FROM t_workers WHERE worker_id = ?1";
static const char sql_step[] =
    "INSERT INTO t_steps(task_id, step, fence, at, took_s, detail)"
    " SELECT ?1, ?3, ?2, ?4, ?5, ?6 WHERE EXISTS (SELECT 1 FROM t_tasks"
    "  WHERE task_id = ?1 AND fence = ?2 AND status = 'claimed')"
    " ON CONFLICT(task_id, step) DO UPDATE SET"
    " fence = ?2, at = ?4, took_s = ?5, detail = ?6";
/* ?1: the clock before it was set by ?2 seconds.  What was due stays due. */
static const char sql_shift[] =
    "UPDATE t_tasks INDEXED BY t_due SET"
    " run_after = CASE WHEN run_after > ?1 THEN run_after + ?2 ELSE 0 END"
    " WHERE status = 'pending' AND run_after > min(?1, ?1 + ?2)";
/* ?1 now, ?2 the longest wait.  Of a task never tried: what was asked for when it was made. */
#define ASKED "run_after - (julianday(created_at) - 2440587.5) * 86400.0"
static const char sql_cap[] =
    "UPDATE t_tasks INDEXED BY t_due SET run_after = min(run_after, ?1 + CASE WHEN "
    "EXISTS"
    " (SELECT 1 FROM t_attempts a WHERE a.task_id = t_tasks.task_id) THEN ?2"
    "  WHEN " ASKED " < 1 THEN 0 ELSE " ASKED " END)"
    " WHERE status = 'pending' AND run_after > ?1";
static const char sql_mode[] = "SELECT mode FROM t_queues WHERE queue_name = ?1";

/* ---- small things ---- */

int queue_sqlite_down(int rc)
{
    static const int passing[] = {-ENOSPC, -EDQUOT, -EIO, -EBUSY, -EROFS, -EACCES};

    for (size_t i = 0; i < sizeof passing / sizeof passing[0]; i++)
        if (rc == passing[i])
            return ERR_STORE_DOWN;
    return rc;
}

double queue_sqlite_time(sqlite3_stmt *st, int column)
{
    char text[32];
    double s;

    db_text(st, column, text, sizeof text);
    if (strlen(text) < 19 || clock_parse(text, &s) != 0)
        return 0;
    return text[19] == '.' ? s + strtod(text + 19, NULL) : s;
}

enum task_status queue_sqlite_status(sqlite3_stmt *st, int column)
{
    char word[16];

    db_text(st, column, word, sizeof word);
    return task_status_of(word);
}

int queue_sqlite_fill(sqlite3_stmt *st, struct task *out, struct err *e)
{
    const char *params = (const char *)sqlite3_column_text(st, 3);
    const char *result = (const char *)sqlite3_column_text(st, 18);

    memset(out, 0, sizeof *out);
    out->params = strdup(params != NULL ? params : "{}");
    out->result = result != NULL ? strdup(result) : NULL;
    if (out->params == NULL || (result != NULL && out->result == NULL)) {
        task_clear(out);
        return err_set(e, -ENOMEM, "out of memory reading a task");
    }
    db_text(st, 0, out->id, sizeof out->id);
    db_text(st, 1, out->name, sizeof out->name);
    db_text(st, 2, out->key, sizeof out->key);
    out->status = queue_sqlite_status(st, 4);
    out->priority = sqlite3_column_int(st, 5);
    out->retry_count = sqlite3_column_int(st, 6);
    out->max_retries = sqlite3_column_int(st, 7);
    out->fence = sqlite3_column_int64(st, 8);
    out->run_after = sqlite3_column_double(st, 9);
    db_text(st, 10, out->error, sizeof out->error);
    db_text(st, 11, out->worker, sizeof out->worker);
    out->timeout_s = sqlite3_column_double(st, 12);
    out->cancel = sqlite3_column_int(st, 13) != 0;
    out->created = queue_sqlite_time(st, 14);
    out->claimed = queue_sqlite_time(st, 15);
    out->heartbeat = queue_sqlite_time(st, 16);
    out->ended = queue_sqlite_time(st, 17);
    return 0;
}

void queue_sqlite_forced(struct sqlite_queue *q, bool yes)
{
    sqlite3_exec(db_handle(q->db),
                 yes ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL", NULL,
                 NULL, NULL);
}

/* What was queued under a clock that was ahead does not wait for that day. */
static int cap_waits(struct sqlite_queue *q, struct err *e)
{
    return q->longest_wait_s <= 0 ? 0
                                  : db_run(q->db, NULL, e, sql_cap, "dd",
                                           clock_wall_s(), q->longest_wait_s);
}

/*
 * A wall clock that was set takes along what is to run later, so that a wait of a minute
 * stays one.  Inside a transaction; one process does it.
 */
static int follow_clock(struct sqlite_queue *q, struct err *e)
{
    double now = clock_wall_s(), offset = now - clock_boot_s();
    double by = offset - q->offset_s;
    int rc = 0;

    if (fabs(by) < JUMP_S)
        return 0;
    if (q->daemon)
        rc = db_run(q->db, NULL, e, sql_shift, "dd", now - by, by);
    if (rc == 0 && q->daemon)
        rc = cap_waits(q, e);
    if (rc == 0)
        q->offset_s = offset;
    return rc;
}

int queue_sqlite_there(const struct sqlite_queue *q, struct err *e)
{
    struct stat st;

    if (stat(q->path, &st) == 0 && st.st_dev == q->dev && st.st_ino == q->ino)
        return 0;
    return err_set(
        e, ERR_STORE_DOWN,
        "the task queue %.120s was removed or replaced while it was in use: put "
        "the file back, or restart watcherd",
        q->path);
}

static int begin(struct sqlite_queue *q, bool force, struct err *e)
{
    int rc = queue_sqlite_there(q, e);

    if (rc != 0)
        return rc;
    queue_sqlite_forced(q, force);
    return db_begin(q->db, e);
}

static int end(struct sqlite_queue *q, int rc, struct err *e)
{
    return queue_sqlite_down(db_end(q->db, rc, e));
}

/* ---- life ---- */

const char *queue_sqlite_path(const struct queue_opts *opts)
{
    return opts->store + strlen("sqlite:");
}

static void close_queue(struct queue *base)
{
    struct sqlite_queue *q = sqlite_of(base);

    db_close(q->db);
    free(q);
}

static int no_fd(const struct queue *q)
{
    (void)q;
    return -1;
}

static int changed(struct queue *base, struct err *e)
{
    struct sqlite_queue *q = sqlite_of(base);
    int64_t before = q->version;
    sqlite3_stmt *st;
    int rc = queue_sqlite_there(q, e);

    if (rc == 0)
        rc = db_start(q->db, &st, e, "PRAGMA data_version", "");
    if (rc == 0)
        rc = db_row(q->db, st, e);
    if (rc != 1)
        return queue_sqlite_down(rc);
    q->version = sqlite3_column_int64(st, 0);
    db_done(st);
    return q->version != before;
}

static int spawn_one(struct sqlite_queue *q, struct task_spec *spec, double now,
                     struct err *e)
{
    double timeout = spec->timeout_s > 0 ? spec->timeout_s : (double)NAN;
    double due = spec->delay_s > 0 ? now + spec->delay_s : 0; /* 0: by any clock */
    const char *params = spec->params != NULL ? spec->params : "{}";
    char id[QUEUE_ID], created[32];
    int rc, n = 0;

    clock_iso(now, created);
    rc = queue_new_id(id, e);
    if (rc == 0)
        rc = db_run(q->db, &n, e, sql_spawn, "ttttiidtd", id, spec->name, spec->key,
                    params, (int64_t)spec->priority, (int64_t)spec->max_retries, due,
                    created, timeout);
    if (rc == 0 && n == 0 && spec->again)
        rc = db_run(q->db, &n, e, sql_again, "tttiidd", spec->name, spec->key, params,
                    (int64_t)spec->priority, (int64_t)spec->max_retries, due, timeout);
    spec->made = rc == 0 && n > 0;
    return rc;
}

static int spawn(struct queue *base, struct task_spec *spec, size_t n, struct err *e)
{
    struct sqlite_queue *q = sqlite_of(base);
    double now = clock_wall_s();
    int rc = begin(q, true, e);

    if (rc != 0)
        return queue_sqlite_down(rc);
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = spawn_one(q, &spec[i], now, e);
    return end(q, rc, e);
}

/* ---- ends ---- */

/* Change the task's row as it ended; its attempt has been ended. */
static int put_end(struct sqlite_queue *q, const struct task_end *t, double now_s,
                   const char *now, struct err *e)
{
    switch (t->how) {
    case TASK_COMPLETE:
        return db_run(q->db, NULL, e, sql_complete, "ttt", t->id, now, t->text);
    case TASK_FAIL:
        return db_run(q->db, NULL, e, sql_fail, "ttt", t->id, now, t->text);
    case TASK_RETRY:
        return db_run(q->db, NULL, e, sql_retry, "tttd", t->id, now, t->text,
                      now_s + t->delay_s);
    case TASK_RELEASE:
        return db_run(q->db, NULL, e, sql_release, "ttdt", t->id, now,
                      now_s + t->delay_s, t->text);
    case TASK_CANCEL:
        return db_run(q->db, NULL, e, sql_cancelled, "ttt", t->id, now, t->text);
    }
    return -EINVAL;
}

/* Not held any more: was this very end told before (a repeat), or is the word late? */
static int late_word(struct sqlite_queue *q, const struct task_end *t,
                     const char *outcome, int *verdict, struct err *e)
{
    char told[32] = "";
    sqlite3_stmt *st;
    int rc = db_start(q->db, &st, e, sql_outcome, "ti", t->id, t->fence);

    if (rc == 0)
        rc = db_row(q->db, st, e);
    if (rc == 1) {
        db_text(st, 0, told, sizeof told);
        db_done(st);
        rc = 0;
    }
    *verdict = strcmp(told, outcome) == 0 ? 0 : ERR_LOST_TASK;
    return rc;
}

static int end_one(struct sqlite_queue *q, struct task_end *t, const char *outcome,
                   struct err *e)
{
    double now_s = clock_wall_s();
    char now[32];
    int rc, n = 0;

    clock_iso(now_s, now);
    rc = db_run(q->db, &n, e, sql_end_attempt, "titttt", t->id, t->fence, now, outcome,
                t->how == TASK_COMPLETE ? NULL : t->text, t->usage);
    if (rc == 0 && n == 0)
        return late_word(q, t, outcome, &t->rc, e);
    t->rc = 0;
    return rc != 0 ? rc : put_end(q, t, now_s, now, e);
}

/* ---- claims ---- */

/* The best task that is due; 1, or 0: there is none. */
static int next_id(struct sqlite_queue *q, double now_s, char *id, size_t size,
                   struct err *e)
{
    bool oldest = q->aging > 0 && (q->nclaim + 1) % q->aging == 0;
    sqlite3_stmt *st;
    int rc = db_start(q->db, &st, e, oldest ? sql_oldest : sql_next, "d", now_s);

    if (rc == 0)
        rc = db_row(q->db, st, e);
    if (rc == 1) {
        db_text(st, 0, id, size);
        db_done(st);
    }
    return rc;
}

int queue_sqlite_number(struct sqlite_queue *q, int rc, sqlite3_stmt *st, int64_t *v,
                        struct err *e)
{
    *v = 0;
    if (rc == 0)
        rc = db_row(q->db, st, e);
    if (rc != 1)
        return rc;
    *v = sqlite3_column_int64(st, 0);
    db_done(st);
    return 0;
}

static int next_fence(struct sqlite_queue *q, int64_t *fence, struct err *e)
{
    sqlite3_stmt *st;
    int rc = db_run(q->db, NULL, e, sql_fence, "");

    if (rc == 0)
        rc = db_start(q->db, &st, e, sql_get_fence, "");
    return rc != 0 ? rc : queue_sqlite_number(q, rc, st, fence, e);
}

static int put_attempt(struct sqlite_queue *q, const char *id, int64_t fence,
                       const char *worker, const char *now, struct err *e)
{
    int64_t before;
    sqlite3_stmt *st;
    int rc = db_start(q->db, &st, e, sql_attempts_so_far, "t", id);

    rc = queue_sqlite_number(q, rc, st, &before, e);
    return rc != 0 ? rc
                   : db_run(q->db, NULL, e, sql_attempt, "tiitt", id, before + 1, fence,
                            worker, now);
}

/* Claim one due task into *out: 1, or 0: there is none. */
static int claim_one(struct sqlite_queue *q, const struct queue_turn *turn,
                     struct task *out, struct err *e)
{
    char id[QUEUE_TEXT], now[32]; /* an id made by hand may be longer than ours */
    double now_s = clock_wall_s();
    sqlite3_stmt *st;
    int64_t fence = 0;
    int rc = next_id(q, now_s, id, sizeof id, e);

    if (rc != 1)
        return rc;
    clock_iso(now_s, now);
    if ((rc = next_fence(q, &fence, e)) != 0 ||
        (rc = db_run(q->db, NULL, e, sql_claim, "tttidt", id, turn->worker, now, fence,
                     clock_boot_s() + turn->lease_s, q->boot)) != 0 ||
        (rc = put_attempt(q, id, fence, turn->worker, now, e)) != 0 ||
        (rc = db_start(q->db, &st, e, sql_by_id, "t", id)) != 0)
        return rc;
    q->nclaim++;
    rc = db_row(q->db, st, e);
    if (rc != 1)
        return rc == 0 ? err_set(e, -EIO, "task %s vanished while it was claimed", id)
                       : rc;
    rc = queue_sqlite_fill(st, out, e);
    db_done(st);
    return rc != 0 ? rc : 1;
}

static int mode_of(struct sqlite_queue *q, enum queue_mode *mode, struct err *e)
{
    char name[16] = "";
    sqlite3_stmt *st;
    int rc = db_start(q->db, &st, e, sql_mode, "t", q->name);

    *mode = QUEUE_RUNS;
    if (rc == 0)
        rc = db_row(q->db, st, e);
    if (rc == 1) {
        db_text(st, 0, name, sizeof name);
        db_done(st);
        queue_mode_by_name(name, mode);
        rc = 0;
    }
    return rc;
}

static int turn(struct queue *base, struct queue_turn *turn, struct err *e)
{
    struct sqlite_queue *q = sqlite_of(base);
    int rc = begin(q, turn->nend > 0, e);

    if (rc != 0)
        return queue_sqlite_down(rc);
    for (size_t i = 0; rc == 0 && i < turn->nend; i++)
        rc = end_one(q, &turn->end[i], queue_outcome(turn->end[i].how), e);
    if (rc == 0)
        rc = follow_clock(q, e);
    if (rc == 0)
        rc = mode_of(q, &turn->mode, e);
    while (rc == 0 && turn->ngot < turn->want && turn->mode != QUEUE_PAUSED) {
        rc = claim_one(q, turn, &turn->got[turn->ngot], e);
        if (rc != 1)
            break;
        turn->ngot++;
        rc = 0;
    }
    rc = end(q, rc, e);
    while (rc != 0 && turn->ngot > 0)
        task_clear(&turn->got[--turn->ngot]);
    return rc;
}

/* ---- who lives ---- */

/* Tasks to be taken from a worker, collected first because their rows are changed then. */
struct taken {
    struct task_end *end;
    size_t n, capacity;
};

static int add_taken(struct taken *t, sqlite3_stmt *st)
{
    if (t->n == t->capacity) {
        size_t capacity = t->capacity > 0 ? 2 * t->capacity : 16;
        struct task_end *grown = realloc(t->end, capacity * sizeof *grown);

        if (grown == NULL)
            return -ENOMEM;
        t->end = grown;
        t->capacity = capacity;
    }
    t->end[t->n] = (struct task_end){.fence = sqlite3_column_int64(st, 1)};
    db_text(st, 0, t->end[t->n].id, sizeof t->end[t->n].id);
    t->n++;
    return 0;
}

static int collect(struct sqlite_queue *q, sqlite3_stmt *st, struct taken *t,
                   struct err *e)
{
    int rc;

    while ((rc = db_row(q->db, st, e)) == 1)
        if (add_taken(t, st) != 0) {
            db_done(st);
            return err_set(e, -ENOMEM, "out of memory looking at claimed tasks");
        }
    return rc;
}

static bool among(const struct task_ref *ref, size_t n, const struct task_end *t)
{
    for (size_t i = 0; i < n; i++)
        if (ref[i].fence == t->fence && strcmp(ref[i].id, t->id) == 0)
            return true;
    return false;
}

/* Take from a worker all but the n tasks of ref. */
static int take_back(struct sqlite_queue *q, const char *worker,
                     const struct task_ref *ref, size_t n, size_t *count, struct err *e)
{
    struct taken held = {0};
    sqlite3_stmt *st;
    int rc = db_start(q->db, &st, e, sql_held, "t", worker);

    if (rc == 0)
        rc = collect(q, st, &held, e);
    for (size_t i = 0; rc == 0 && i < held.n; i++) {
        if (among(ref, n, &held.end[i]))
            continue;
        held.end[i].how = TASK_RELEASE;
        rc = end_one(q, &held.end[i], "abandoned", e);
        ++*count;
    }
    free(held.end);
    return rc;
}

static int beat_one(struct sqlite_queue *q, struct task_ref *ref, const char *now,
                    double lease_s, struct err *e)
{
    int64_t stop;
    sqlite3_stmt *st;
    int n, rc = db_run(q->db, &n, e, sql_beat, "titdt", ref->id, ref->fence, now,
                       clock_boot_s() + lease_s, q->boot);

    ref->hold = TASK_LOST;
    if (rc != 0 || n == 0)
        return rc;
    rc = db_start(q->db, &st, e, sql_to_stop, "t", ref->id);
    rc = queue_sqlite_number(q, rc, st, &stop, e);
    ref->hold = stop != 0 ? TASK_TO_CANCEL : TASK_HELD;
    return rc;
}

static int beat(struct queue *base, const struct queue_worker *me, struct task_ref *ref,
                size_t n, double lease_s, size_t *dropped, struct err *e)
{
    struct sqlite_queue *q = sqlite_of(base);
    char now[32];
    int rc = begin(q, false, e);

    if (rc != 0)
        return queue_sqlite_down(rc);
    clock_iso(clock_wall_s(), now);
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = beat_one(q, &ref[i], now, lease_s, e);
    if (rc == 0)
        rc = take_back(q, me->id, ref, n, dropped, e);
    if (rc == 0)
        rc = db_run(q->db, NULL, e, sql_worker, "ttttiitiit", me->id, me->machine,
                    me->boot, me->host, me->pid, me->start, me->state,
                    (int64_t)me->slots, (int64_t)me->running, now);
    return end(q, rc, e);
}

static int bury(struct queue *base, const char *worker, size_t *n, struct err *e)
{
    struct sqlite_queue *q = sqlite_of(base);
    int rc = begin(q, true, e);

    if (rc != 0)
        return queue_sqlite_down(rc);
    rc = take_back(q, worker, NULL, 0, n, e);
    if (rc == 0)
        rc = db_run(q->db, NULL, e, sql_forget, "t", worker);
    return end(q, rc, e);
}

static int reap(struct queue *base, double lease_s, size_t *n, struct err *e)
{
    struct sqlite_queue *q = sqlite_of(base);
    struct taken late = {0};
    double now = clock_boot_s();
    sqlite3_stmt *st;
    int rc;

    if (now - q->opened_s < lease_s)
        return 0;
    rc = begin(q, true, e);
    if (rc != 0)
        return queue_sqlite_down(rc);
    rc = db_start(q->db, &st, e, sql_expired, "dt", now, q->boot);
    if (rc == 0)
        rc = collect(q, st, &late, e);
    for (size_t i = 0; rc == 0 && i < late.n; i++) {
        late.end[i].how = TASK_RETRY;
        late.end[i].text = "its worker was not heard of for a whole lease";
        rc = end_one(q, &late.end[i], "expired", e);
    }
    *n = rc == 0 ? late.n : 0;
    free(late.end);
    return end(q, rc, e);
}

static int put_steps(struct queue *base, const struct task_step *step, size_t n,
                     struct err *e)
{
    struct sqlite_queue *q = sqlite_of(base);
    char now[32];
    int rc = begin(q, false, e);

    if (rc != 0)
        return queue_sqlite_down(rc);
    clock_iso(clock_wall_s(), now);
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = db_run(q->db, NULL, e, sql_step, "tittdt", step[i].id, step[i].fence,
                    step[i].step, now, step[i].took_s, step[i].detail);
    return end(q, rc, e);
}

static const struct queue_ops ops = {
    .close = close_queue,
    .spawn = spawn,
    .turn = turn,
    .beat = beat,
    .bury = bury,
    .reap = reap,
    .put_steps = put_steps,
    .fd = no_fd,
    .changed = changed,
    .each = queue_sqlite_each,
    .attempts = queue_sqlite_attempts,
    .steps = queue_sqlite_steps,
    .workers = queue_sqlite_workers,
    .counts = queue_sqlite_counts,
    .count = queue_sqlite_count,
    .next_due = queue_sqlite_next_due,
    .ahead = queue_sqlite_ahead,
    .first_open = queue_sqlite_first_open,
    .now = queue_sqlite_now,
    .change = queue_sqlite_change,
    .set_mode = queue_sqlite_set_mode,
    .get_mode = queue_sqlite_get_mode,
    .vacuum = queue_sqlite_vacuum,
    .backup = queue_sqlite_backup,
};

static int open_queue(struct queue **out, const struct queue_opts *opts, struct err *e)
{
    const char *path = queue_sqlite_path(opts);
    struct sqlite_queue *q = calloc(1, sizeof *q);
    char *boot = NULL;
    struct stat st;
    int rc;

    if (q == NULL)
        return err_set(e, -ENOMEM, "out of memory opening %s", path);
    q->base.ops = &ops;
    q->aging = opts->aging;
    q->opened_s = clock_boot_s();
    q->offset_s = clock_wall_s() - q->opened_s;
    q->daemon = opts->role == QUEUE_AS_DAEMON;
    q->longest_wait_s = opts->longest_wait_s;
    snprintf(q->base.where, sizeof q->base.where, "SQLite %.240s", path);
    snprintf(q->name, sizeof q->name, "%s",
             opts->name != NULL ? opts->name : "dsa110-pipeline");
    rc = path_read(&boot, NULL, "/proc/sys/kernel/random/boot_id", 64, e);
    if (rc == 0) {
        snprintf(q->boot, sizeof q->boot, "%.36s", boot);
        rc = opts->role == QUEUE_AS_DAEMON
                 ? db_open(&q->db, path, &queue_sqlite_kind, e)
                 : db_use(&q->db, path, &queue_sqlite_kind, e);
    }
    free(boot);
    if (rc != 0) {
        free(q);
        return rc;
    }
    snprintf(q->path, sizeof q->path, "%s", path);
    if (stat(path, &st) == 0) {
        q->dev = st.st_dev;
        q->ino = st.st_ino;
    }
    if (q->daemon && (rc = cap_waits(q, e)) != 0) {
        close_queue(&q->base);
        return queue_sqlite_down(rc);
    }
    *out = &q->base;
    changed(*out, NULL);
    return 0;
}

const struct queue_kind queue_sqlite = {open_queue, queue_sqlite_restore,
                                        queue_sqlite_migrate};
