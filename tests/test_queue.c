#include "tests/queue_suite.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "core/store/db.h"

static int open_file(struct queue **out, const char *path, struct err *why)
{
    char store[128];
    struct queue_opts opts = {.store = store, .role = QUEUE_AS_DAEMON};

    snprintf(store, sizeof store, "sqlite:%s", path);
    return queue_open(out, &opts, why);
}

static int store_open(struct queue **out, enum queue_role role, long aging,
                      struct err *why)
{
    struct queue_opts opts = {.store = "sqlite:queue.sqlite3",
                              .role = role,
                              .aging = aging,
                              .longest_wait_s = 100};

    return queue_open(out, &opts, why);
}

static int store_make(void **state)
{
    return in_own_dir(state);
}

static int store_remove(void **state)
{
    return remove_dir(state);
}

/* What an operator types into the sqlite3 program, beside the open queue; the first value of
 * the last row, or the error's text. */
static int keep_first(void *to, int n, char **v, char **names)
{
    (void)n;
    (void)names;
    snprintf(to, 256, "%s", v[0] != NULL ? v[0] : "NULL");
    return 0;
}

static const char *by_hand(const char *sql)
{
    static char first[256];
    sqlite3 *db;
    char *why = NULL;

    first[0] = '\0';
    assert_int_equal(sqlite3_open("queue.sqlite3", &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, keep_first, first, &why) != SQLITE_OK)
        snprintf(first, sizeof first, "error: %s", why);
    sqlite3_free(why);
    sqlite3_close(db);
    return first;
}

/* ---- whose file it is ---- */

/* matrix: queue 11 two daemons */
static void a_second_daemon_is_refused_and_told_whose_it_is(void **state)
{
    struct queue *second;
    char pid[32];

    (void)state;
    assert_int_equal(store_open(&second, QUEUE_AS_DAEMON, 0, &e), -EBUSY);
    assert_null(second);
    snprintf(pid, sizeof pid, "process %ld", (long)getpid());
    assert_non_null(strstr(e.text, "queue.sqlite3 is in use by "));
    assert_non_null(strstr(e.text, pid));
    assert_int_equal(store_open(&second, QUEUE_AS_TOOL, 0, &e), 0);
    queue_close(second);
    queue_close(q);
    assert_int_equal(store_open(&q, QUEUE_AS_DAEMON, 0, &e), 0);
}

static void workers_and_tools_wait_for_the_daemons_tables(void **state)
{
    struct queue *other;

    (void)state;
    queue_close(q);
    q = NULL;
    remove("queue.sqlite3");
    assert_int_equal(store_open(&other, QUEUE_AS_WORKER, 0, &e), -ENOENT);
    assert_non_null(strstr(e.text, "there is no task queue queue.sqlite3"));
    assert_true(access("queue.sqlite3", F_OK) != 0);
    fclose(fopen("queue.sqlite3", "w"));
    assert_int_equal(store_open(&other, QUEUE_AS_TOOL, 0, &e), -ENOENT);
}

static void leases_of_an_earlier_boot_have_run_out(void **state)
{
    size_t n;

    (void)state;
    spawn("continuum", "a", 0);
    claim("a");
    by_hand("UPDATE t_tasks SET lease_boot = 'another', lease_until = 1e12");
    assert_int_equal(queue_reap(q, 0, &n, &e), 0);
    assert_int_equal(n, 1);
}

/* Tells how long task a still has to wait before and after its wall clock is set back by an
 * hour; runs under libfaketime, which reads its time from the file ./clock. */
static int wait_over_a_jump(void)
{
    double before, after;
    FILE *f;

    if (store_open(&q, QUEUE_AS_DAEMON, 0, &e) != 0)
        return 1;
    claim_one(q, me.id, LEASE_S, &t, &e);
    tell(t.id, t.fence, TASK_RETRY, "x", 60);
    task_clear(&t);
    claim_one(q, me.id, LEASE_S, &t, &e);
    queue_next_due(q, &before, &e);
    tell(t.id, t.fence, TASK_RETRY, "x", 0); /* due when the clock is set */
    task_clear(&t);
    f = fopen("clock", "w");
    fprintf(f, "-3600");
    fclose(f);
    if (claim_one(q, me.id, LEASE_S, &t, &e) != 0 || strcmp(t.key, "b") != 0)
        return 1;
    task_clear(&t);
    queue_next_due(q, &after, &e);
    printf("%.0f %.0f\n", before, after);
    queue_close(q);
    return 0;
}

static char *self;

/* matrix: queue 10 wall clock set back while a retry waits */
static void a_clock_that_is_set_back_prolongs_no_wait(void **state)
{
    static const char lib[] = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";
    char command[PATH_MAX + 512], said[64] = "";
    FILE *f;

    (void)state;
    if (access(lib, R_OK) != 0) {
        print_message("skipped: no libfaketime here\n");
        skip();
    }
    spawn("continuum", "a", 1);
    spawn("continuum", "b", 0);
    queue_close(q);
    q = NULL;
    f = fopen("clock", "w");
    fprintf(f, "+0");
    fclose(f);
    snprintf(
        command, sizeof command,
        "LD_PRELOAD=%s FAKETIME_TIMESTAMP_FILE=clock FAKETIME_NO_CACHE=1"
        " FAKETIME_DONT_FAKE_MONOTONIC=1 ASAN_OPTIONS=verify_asan_link_order=0 %s jump",
        lib, self);
    f = popen(command, "r");
    assert_non_null(fgets(said, sizeof said, f));
    assert_int_equal(pclose(f), 0);
    assert_string_equal(said, "60 60\n");
}

/* matrix: queue 10 wall clock ahead while tasks were queued, right at the next start */
static void what_a_wrong_clock_left_behind_waits_no_day(void **state)
{
    double in_s;

    (void)state;
    spawn("continuum", "never", 0);
    assert_int_equal(spawn_one(q,
                               (struct task_spec){.name = "continuum",
                                                  .key = "asked",
                                                  .max_retries = 2,
                                                  .delay_s = 1000},
                               NULL, &e),
                     0);
    spawn("continuum", "again", 5);
    claim("again");
    assert_int_equal(tell(t.id, t.fence, TASK_RETRY, "x", 60), 0);
    queue_close(q);
    q = NULL;
    by_hand("UPDATE t_tasks SET run_after = CASE task_key WHEN 'never' THEN"
            "  strftime('%s', created_at, '+1 day') + 0.0 ELSE run_after + 86400 END,"
            " created_at = strftime('%Y-%m-%dT%H:%M:%fZ', created_at, '+1 day')");
    assert_int_equal(store_open(&q, QUEUE_AS_DAEMON, 0, &e), 0);
    claim("never");
    assert_int_equal(queue_next_due(q, &in_s, &e), 0);
    assert_true(in_s > 90 && in_s <= 100); /* longest_wait_s */
    by_hand("DELETE FROM t_tasks WHERE task_key = 'again'");
    assert_int_equal(queue_next_due(q, &in_s, &e), 0);
    assert_true(in_s > 900 && in_s <= 1001); /* as it was asked for */
}

/* `rm`, or a restore, while the daemon has it open: what we would write is lost. */
static void a_file_that_is_removed_or_replaced_is_noticed(void **state)
{
    double now;

    (void)state;
    spawn("continuum", "a", 0);
    assert_int_equal(rename("queue.sqlite3", "aside"), 0);
    assert_int_equal(queue_changed(q, &e), ERR_STORE_DOWN);
    assert_non_null(strstr(e.text, "queue.sqlite3 was removed or replaced"));
    assert_int_equal(queue_now(q, &now, &e), ERR_STORE_DOWN);
    assert_int_equal(claim_one(q, me.id, LEASE_S, &t, &e), ERR_STORE_DOWN);
    fclose(fopen("queue.sqlite3", "w"));
    assert_int_equal(claim_one(q, me.id, LEASE_S, &t, &e), ERR_STORE_DOWN);
    assert_int_equal(rename("aside", "queue.sqlite3"), 0);
    claim("a");
}

/* matrix: queue 5 no space for the database */
static void a_full_disk_is_told_and_passes(void **state)
{
    struct queue *small = NULL;
    char big[4096];
    bool made;
    FILE *f;
    int rc = 0;

    (void)state;
    assert_int_equal(mkdir("disk", 0755), 0);
    if (mount("tmpfs", "disk", "tmpfs", 0, "size=2m") != 0) {
        print_message("skipped: may not mount: %s\n", strerror(errno));
        skip();
    }
    assert_int_equal(open_file(&small, "disk/queue.sqlite3", &e), 0);
    memset(big, 'x', sizeof big);
    f = fopen("disk/filler", "w");
    setvbuf(f, NULL, _IONBF, 0);
    while (fwrite(big, 1, sizeof big, f) == sizeof big)
        ;
    fclose(f);
    for (int i = 0; rc == 0 && i < 1000; i++) {
        snprintf(big, 16, "%d", i);
        rc = spawn_one(small, (struct task_spec){.name = "continuum", .key = big},
                       &made, &e);
    }
    assert_int_equal(rc, ERR_STORE_DOWN);
    assert_non_null(strstr(e.text, "disk/queue.sqlite3"));
    assert_non_null(strstr(e.text, "full"));
    assert_int_equal(remove("disk/filler"), 0);
    assert_int_equal(spawn_one(small,
                               (struct task_spec){.name = "continuum", .key = big},
                               &made, &e),
                     0);
    assert_true(made);
    queue_close(small);
    assert_int_equal(umount("disk"), 0);
}

/* ---- upgrade ---- */

/* The tables as version 0.1.0 made them. */
static const char version_1[] =
    "CREATE TABLE t_tasks("
    " task_id TEXT PRIMARY KEY NOT NULL, task_name TEXT NOT NULL, task_key TEXT NOT "
    "NULL,"
    " params TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(params)),"
    " status TEXT NOT NULL DEFAULT 'pending'"
    "  CHECK (status IN ('pending','claimed','completed','failed','cancelled')),"
    " priority INTEGER NOT NULL DEFAULT 0, error TEXT,"
    " retry_count INTEGER NOT NULL DEFAULT 0, max_retries INTEGER NOT NULL DEFAULT 3,"
    " worker_id TEXT, run_after REAL NOT NULL DEFAULT 0,"
    " created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now')),"
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
    " UPDATE t_attempts SET ended_at = strftime('%Y-%m-%dT%H:%M:%fZ','now'), outcome = "
    "'fenced'"
    "  WHERE task_id = NEW.task_id AND ended_at IS NULL;"
    " UPDATE t_fence SET value = value + 1;"
    " UPDATE t_tasks SET fence = (SELECT value FROM t_fence)"
    "  WHERE task_id = NEW.task_id;"
    " END;";

/* Columns, indexes and triggers of a file, as text without the blanks that differ. */
static const char *shape_of(const char *file)
{
    static char shape[16384];
    char sql[256];
    FILE *p;
    size_t n;

    snprintf(
        sql, sizeof sql,
        "sqlite3 %s \"SELECT m.name, p.name, p.type, p.\\\"notnull\\\", p.dflt_value,"
        " p.pk FROM sqlite_master m, pragma_table_info(m.name) p WHERE m.type ="
        " 'table' ORDER BY 1, 2\"",
        file);
    p = popen(sql, "r");
    n = fread(shape, 1, sizeof shape - 1, p);
    pclose(p);
    snprintf(
        sql, sizeof sql,
        "sqlite3 %s \"SELECT sql FROM sqlite_master WHERE type IN ('index', 'trigger')"
        " ORDER BY name\"",
        file);
    p = popen(sql, "r");
    n += fread(shape + n, 1, sizeof shape - 1 - n, p);
    pclose(p);
    shape[n] = '\0';
    return shape;
}

static void make_version_1(void)
{
    queue_close(q);
    q = NULL;
    assert_int_equal(rename("queue.sqlite3", "fresh"), 0);
    assert_string_equal(by_hand(version_1), "");
    by_hand("PRAGMA application_id = 2003071281; PRAGMA user_version = 1;"
            "PRAGMA journal_mode = WAL");
    assert_string_equal(
        by_hand(
            "INSERT INTO t_tasks(task_id, task_name, task_key, params, status,"
            " priority, error, retry_count, fence, worker_id) VALUES"
            " ('01900000-0000-7000-8000-000000000001', 'continuum', 'a', '{\"n\":7}',"
            " 'completed', 0, NULL, 0, 1, 'h:1'),"
            " ('01900000-0000-7000-8000-000000000002', 'continuum', 'b', '{\"n\":7}',"
            " 'claimed', 4, NULL, 1, 2, 'h:1'),"
            " ('01900000-0000-7000-8000-000000000003', 'mosaic', 'm', '{}',"
            " 'failed', 0, 'why', 3, 3, NULL);"
            "UPDATE t_fence SET value = 3;"
            "INSERT INTO t_attempts(task_id, attempt, fence, worker_id, claimed_at)"
            " VALUES ('01900000-0000-7000-8000-000000000002', 1, 2, 'h:1',"
            " '2026-11-22T01:00:00.000Z')"),
        "");
}

/* matrix: queue 15 upgrade */
static void a_file_of_version_1_is_brought_up_to_date(void **state)
{
    char *upgraded;
    struct queue *other;

    (void)state;
    make_version_1();
    assert_int_equal(store_open(&other, QUEUE_AS_TOOL, 0, &e), ERR_FORMAT);
    assert_non_null(strstr(e.text, "has schema version 1, not 2"));
    assert_int_equal(store_open(&q, QUEUE_AS_DAEMON, 0, &e), 0);
    upgraded = strdup(shape_of("queue.sqlite3"));
    assert_string_equal(upgraded, shape_of("fresh"));
    assert_true(strlen(upgraded) > 2000);
    free(upgraded);
    assert_string_equal(by_hand("PRAGMA user_version"), "2");
    assert_string_equal(by_hand("PRAGMA integrity_check"), "ok");
    claim("b"); /* its daemon had died */
    assert_int_equal(t.retry_count, 1);
    assert_true(t.fence > 3);
    assert_string_equal(attempts(t.id), "1fenced 2 ");
    assert_int_equal(done(), 0);
    assert_int_equal(count(TASK_COMPLETED), 2);
    assert_int_equal(count(TASK_FAILED), 1);
    assert_int_equal(access("queue.sqlite3.v1", R_OK), 0); /* as it was before */
}

static void keep_line(void *arg, const char *text)
{
    char *s = arg;

    snprintf(s + strlen(s), 1024 - strlen(s), "%s\n", text);
}

static void migrating_dry_says_what_it_would_do_and_does_nothing(void **state)
{
    struct queue_opts opts = {.store = "sqlite:queue.sqlite3"};
    struct queue_schema schema;
    char said[1024] = "";

    (void)state;
    assert_int_equal(queue_migrate(&opts, true, &schema, keep_line, said, &e), 0);
    assert_true(schema.have == 2 && schema.want == 2 && said[0] == '\0');
    make_version_1();
    assert_int_equal(queue_migrate(&opts, true, &schema, keep_line, said, &e), 0);
    assert_true(schema.have == 1 && schema.want == 2);
    assert_string_equal(said, "copy queue.sqlite3 to queue.sqlite3.v1\n"
                              "bring its tables from version 1 to 2\n");
    assert_string_equal(by_hand("PRAGMA user_version"), "1");
    assert_int_equal(queue_migrate(&opts, false, &schema, keep_line, said, &e), 0);
    assert_string_equal(by_hand("PRAGMA user_version"), "2");
    assert_int_equal(store_open(&q, QUEUE_AS_DAEMON, 0, &e), 0);
    assert_int_equal(queue_migrate(&opts, true, &schema, keep_line, said, &e), 0);
}

static void a_backup_is_put_back_when_nobody_works(void **state)
{
    struct queue_opts opts = {.store = "sqlite:queue.sqlite3"};
    struct queue *old;
    size_t n;

    (void)state;
    spawn("continuum", "a", 0);
    assert_int_equal(queue_backup(q, "copy", &e), 0);
    claim("a");
    assert_int_equal(done(), 0);
    beat(NULL, 0);
    assert_int_equal(queue_restore(&opts, "copy", &e), -EBUSY);
    assert_non_null(strstr(e.text, "1 worker "));
    assert_int_equal(queue_bury(q, me.id, &n, &e), 0);
    assert_int_equal(queue_restore(&opts, "copy", &e), -EBUSY);
    assert_non_null(strstr(e.text, "in use by process"));
    queue_close(q);
    q = NULL;
    assert_int_equal(queue_restore(&opts, "absent", &e), -ENOENT);
    fclose(fopen("empty", "w"));
    assert_int_equal(queue_restore(&opts, "empty", &e), ERR_FORMAT);
    assert_int_equal(queue_restore(&opts, "copy", &e), 0);
    assert_int_equal(store_open(&q, QUEUE_AS_DAEMON, 0, &e), 0);
    assert_string_equal(status_of("a"), "pending");
    assert_int_equal(open_file(&old, "queue.sqlite3.replaced", &e), 0);
    queue_close(old);
}

/* ---- kill -9 ---- */

/* Spawn without end; a byte for each task whose spawn was acknowledged. */
static void spawn_for_ever(int acks)
{
    struct queue *mine;
    char key[16];
    bool made;

    if (store_open(&mine, QUEUE_AS_DAEMON, 0, NULL) != 0)
        _exit(1);
    for (int i = 0;; i++) {
        snprintf(key, sizeof key, "%08d", i);
        if (spawn_one(
                mine,
                (struct task_spec){.name = "continuum", .key = key, .params = "{}"},
                &made, NULL) != 0 ||
            !made)
            _exit(1);
        if (write(acks, "x", 1) != 1)
            _exit(1);
    }
}

/* matrix: queue 1 kill -9 while spawning */
static void what_was_acknowledged_survives_kill_9(void **state)
{
    (void)state;
    for (int round = 0; round < 3; round++) {
        size_t acked = 0, n;
        char buf[256];
        ssize_t k;
        int p[2], status;
        pid_t pid;

        queue_close(q);
        q = NULL;
        remove("queue.sqlite3");
        assert_int_equal(pipe(p), 0);
        pid = fork();
        if (pid == 0)
            spawn_for_ever(p[1]);
        close(p[1]);
        while (acked < 60 + 37 * (size_t)round && (k = read(p[0], buf, 16)) > 0)
            acked += (size_t)k;
        kill(pid, SIGKILL);
        while ((k = read(p[0], buf, sizeof buf)) > 0)
            acked += (size_t)k;
        waitpid(pid, &status, 0);
        close(p[0]);
        assert_true(WIFSIGNALED(status));

        assert_int_equal(store_open(&q, QUEUE_AS_DAEMON, 0, &e), 0);
        n = count(TASK_PENDING);
        assert_true(n == acked || n == acked + 1); /* one may lack its answer */
        assert_string_equal(by_hand("PRAGMA integrity_check"), "ok");
    }
}

/* ---- operators' hands ---- */

/* The statements of the operator's runbook, word for word, with the queue attached as the
 * schema `absurd`, as they say. */
/* matrix: queue 6 the seed's statements */
static void the_runbooks_statements_work(void **state)
{
#define ATTACH "ATTACH 'queue.sqlite3' AS absurd;"
    (void)state;
    spawn("validation", "a", 0);
    spawn("calibration-solve", "b", 0);
    spawn("continuum", "c", 50);
    claim("c");
    assert_int_equal(tell(t.id, t.fence, TASK_FAIL, "OSError", 0), 0);
    assert_string_equal(by_hand(ATTACH "SELECT task_id, task_name, error, created_at"
                                       " FROM absurd.t_tasks WHERE status = 'failed'"
                                       " ORDER BY created_at DESC LIMIT 10;"),
                        t.id);
    by_hand(ATTACH "SELECT task_id, task_name, params, error, retry_count"
                   " FROM absurd.t_tasks WHERE task_id = 'TASK_ID_HERE';");
    assert_string_equal(
        by_hand(ATTACH "UPDATE absurd.t_tasks SET status = 'pending', error = NULL,"
                       " claimed_at = NULL, worker_id = NULL"
                       " WHERE status = 'failed' AND task_name = 'continuum';"),
        "");
    assert_string_equal(by_hand(ATTACH "SELECT status, COUNT(*) FROM absurd.t_tasks"
                                       " GROUP BY status;"),
                        "pending");
    by_hand(ATTACH "UPDATE absurd.t_tasks SET priority = 100"
                   " WHERE task_name = 'calibration-solve' AND status = 'pending';");
    by_hand(ATTACH "UPDATE absurd.t_tasks SET status = 'cancelled'"
                   " WHERE task_name = 'validation' AND status = 'pending';");
    assert_string_equal(
        by_hand(ATTACH "SELECT COUNT(*) FROM absurd.t_tasks WHERE status='pending';"),
        "2");
    claim("b"); /* its priority is 100 now */
    assert_string_equal(
        by_hand(ATTACH
                "SELECT task_id, task_name, worker_id, claimed_at, last_heartbeat"
                " FROM absurd.t_tasks WHERE status = 'claimed'"
                " ORDER BY claimed_at;"),
        t.id);
    assert_string_equal(
        by_hand("SELECT abs(julianday(claimed_at) - julianday('now')) < 0.01"
                " AND length(claimed_at) = 24 FROM t_tasks WHERE status = 'claimed'"),
        "1");
    claim("c"); /* failed -> pending by hand: tried once more */
}

/* ---- the file ---- */

/* SQLite's own count of steps, with 2 pending rows among 20 002. */
static int steps_to_find_the_next(void)
{
    sqlite3 *db;
    sqlite3_stmt *st;
    int steps;

    assert_int_equal(sqlite3_open("queue.sqlite3", &db), SQLITE_OK);
    assert_int_equal(
        sqlite3_prepare_v2(db,
                           "SELECT task_id FROM t_tasks INDEXED BY t_ready"
                           " WHERE status = 'pending' AND run_after <= 1e12"
                           " ORDER BY priority DESC, task_key, task_id"
                           " LIMIT 1",
                           -1, &st, NULL),
        SQLITE_OK);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    assert_int_equal(sqlite3_stmt_status(st, SQLITE_STMTSTATUS_SORT, 0), 0);
    steps = sqlite3_stmt_status(st, SQLITE_STMTSTATUS_VM_STEP, 0);
    sqlite3_finalize(st);
    sqlite3_close(db);
    return steps;
}

/* matrix: queue 8 history */
static void claims_read_no_history(void **state)
{
    (void)state;
    by_hand("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < "
            "20000)"
            " INSERT INTO t_tasks(task_id, task_name, task_key, status)"
            " SELECT 'x' || i, 'old', i, 'completed' FROM n");
    spawn("continuum", "a", 0);
    spawn("continuum", "b", 0);
    assert_in_range(steps_to_find_the_next(), 1, 99);
    claim("a");
    by_hand("DROP INDEX t_ready"); /* and a claim asks by this very index */
    task_clear(&t);
    assert_true(claim_one(q, "w1", LEASE_S, &t, &e) != 0);
    assert_non_null(strstr(e.text, "no such index: t_ready"));
}

static void files_that_are_not_ours_are_refused(void **state)
{
    struct queue *other;
    FILE *f;

    (void)state;
    queue_close(q);
    q = NULL;
    by_hand("PRAGMA user_version = 3");
    assert_int_equal(open_file(&other, "queue.sqlite3", &e), ERR_FORMAT);
    assert_non_null(strstr(e.text, "has schema version 3 and this watcherd knows 2"));

    f = fopen("text", "w");
    fprintf(f, "%01000d this is no database", 0);
    fclose(f);
    assert_int_equal(open_file(&other, "text", &e), ERR_FORMAT);
    assert_non_null(strstr(e.text, "file is not a database"));

    assert_int_equal(rename("queue.sqlite3", "foreign"), 0);
    by_hand("CREATE TABLE theirs(x)"); /* a new queue.sqlite3, not by us */
    assert_int_equal(open_file(&other, "queue.sqlite3", &e), ERR_FORMAT);
    assert_non_null(strstr(e.text, "no task queue of watcherd"));
    assert_string_equal(by_hand("PRAGMA journal_mode"), "delete"); /* untouched */

    assert_int_equal(open_file(&other, "no/such/folder/queue", &e), -ENOENT);
    assert_non_null(strstr(e.text, "no/such/folder"));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        QUEUE_SUITE,
        QUEUE(a_clock_that_is_set_back_prolongs_no_wait),
        QUEUE(a_file_that_is_removed_or_replaced_is_noticed),
        QUEUE(what_a_wrong_clock_left_behind_waits_no_day),
        QUEUE(a_full_disk_is_told_and_passes),
        QUEUE(a_second_daemon_is_refused_and_told_whose_it_is),
        QUEUE(workers_and_tools_wait_for_the_daemons_tables),
        QUEUE(leases_of_an_earlier_boot_have_run_out),
        QUEUE(a_file_of_version_1_is_brought_up_to_date),
        QUEUE(migrating_dry_says_what_it_would_do_and_does_nothing),
        QUEUE(a_backup_is_put_back_when_nobody_works),
        QUEUE(what_was_acknowledged_survives_kill_9),
        QUEUE(the_runbooks_statements_work),
        QUEUE(claims_read_no_history),
        QUEUE(files_that_are_not_ours_are_refused),
    };

    if (argc > 1)
        return wait_over_a_jump();
    self = realpath(argv[0], NULL);
    argc = cmocka_run_group_tests(tests, NULL, NULL);
    free(self);
    return argc;
}
