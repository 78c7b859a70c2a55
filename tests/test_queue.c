#include "tests/test.h"

#include "core/db.h"
#include "core/err.h"
#include "core/queue.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

static struct queue *q;
static struct err e;
static struct task t;

static int open_queue(void **state)
{
    q = NULL;
    return in_own_dir(state) == 0 ? queue_open(&q, "queue.sqlite3", NULL) : -1;
}

static int close_queue(void **state)
{
    task_clear(&t);
    queue_close(q);
    q = NULL;
    return remove_dir(state);
}

static void spawn(const char *name, const char *key, int priority)
{
    int made;

    assert_int_equal(queue_spawn(q, name, key, "{\"n\":7}", priority, 2, 0, &made, &e),
                     0);
    assert_int_equal(made, 1);
}

/* Claim into t: the key it must give. */
static void claim(const char *key)
{
    task_clear(&t);
    assert_int_equal(queue_claim(q, "w1", &t, &e), 0);
    assert_string_equal(t.key, key);
}

static void none_due(void)
{
    task_clear(&t);
    assert_int_equal(queue_claim(q, "w1", &t, &e), -EAGAIN);
}

/* The state of a task into t. */
static void look(const char *key)
{
    task_clear(&t);
    assert_int_equal(queue_status(q, "continuum", key, &t, &e), 0);
}

static size_t count(const char *status)
{
    size_t n;

    assert_int_equal(queue_count(q, status, &n, &e), 0);
    return n;
}

static const char *status_of(const char *key)
{
    static struct task s;

    task_clear(&s);
    assert_int_equal(queue_status(q, "continuum", key, &s, &e), 0);
    free(s.params);
    s.params = NULL;
    return s.status;
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

static void spawning_twice_makes_one_task(void **state)
{
    int made;

    (void)state;
    spawn("continuum", "2026-11-22T01:00:00", 0);
    assert_int_equal(queue_spawn(q, "continuum", "2026-11-22T01:00:00", "{\"n\":8}", 5,
                                 2, 0, &made, &e),
                     0);
    assert_int_equal(made, 0);
    spawn("mosaic", "2026-11-22T01:00:00", 0); /* another name: another task */
    assert_int_equal(count("pending"), 2);
    look("2026-11-22T01:00:00");
    assert_string_equal(t.params, "{\"n\":7}");
    assert_string_equal(t.status, "pending");
    assert_int_equal(t.max_retries, 2);
    task_clear(&t);
    assert_int_equal(queue_status(q, "continuum", "absent", &t, &e), -ENOENT);
}

static void claims_go_by_priority_then_key(void **state)
{
    (void)state;
    spawn("continuum", "c", 0);
    spawn("continuum", "b", 0);
    spawn("continuum", "z", 10);
    spawn("continuum", "a", -1);
    claim("z");
    assert_string_equal(t.status, "claimed");
    assert_string_equal(t.worker, "w1");
    assert_string_equal(t.params, "{\"n\":7}");
    assert_int_equal(strlen(t.id), 36);
    assert_int_equal(t.id[14], '7'); /* UUID version, RFC 9562 section 4.2 */
    assert_non_null(strchr("89ab", t.id[19]));
    claim("b");
    claim("c");
    claim("a");
    none_due();
    assert_null(t.params);
}

static void add_key(void *arg, const struct task *task)
{
    char *s = arg;

    assert_string_equal(task->params, "{\"n\":7}");
    snprintf(s + strlen(s), 64 - strlen(s), "%s:%s ", task->key, task->status);
}

static void each_task_of_a_name_is_listed_in_key_order(void **state)
{
    char keys[64] = "";

    (void)state;
    spawn("continuum", "c", 9);
    spawn("continuum", "a", 0);
    spawn("mosaic", "m", 0);
    spawn("continuum", "b", 5);
    claim("c");
    assert_int_equal(queue_each(q, "continuum", add_key, keys, &e), 0);
    assert_string_equal(keys, "a:pending b:pending c:claimed ");
    keys[0] = '\0';
    assert_int_equal(queue_each(q, "none", add_key, keys, &e), 0);
    assert_string_equal(keys, "");
}

static void names_of_tasks_sort_by_creation(void **state)
{
    char last[QUEUE_ID] = "", key[16];

    (void)state;
    for (int i = 0; i < 50; i++) {
        snprintf(key, sizeof key, "%d", 99 - i);
        spawn("continuum", key, 0);
        look(key);
        assert_true(strcmp(last, t.id) < 0);
        strcpy(last, t.id);
    }
}

static void each_claim_gets_a_higher_fence(void **state)
{
    int64_t fence;

    (void)state;
    spawn("continuum", "a", 0);
    spawn("continuum", "b", 0);
    claim("a");
    fence = t.fence;
    assert_true(fence > 0);
    assert_int_equal(queue_release(q, t.id, fence, 0, &e), 0);
    claim("a");
    assert_true(t.fence > fence);
    fence = t.fence;
    claim("b");
    assert_true(t.fence > fence);
}

static void a_stale_fence_is_refused_by_every_call(void **state)
{
    char id[QUEUE_ID];
    int64_t old;

    (void)state;
    spawn("continuum", "a", 0);
    claim("a");
    strcpy(id, t.id);
    old = t.fence;
    assert_int_equal(queue_release(q, id, old, 0, &e), 0);
    claim("a"); /* by someone else, meanwhile */
    assert_int_equal(queue_heartbeat(q, id, old, &e), ERR_LOST_TASK);
    assert_int_equal(queue_complete(q, id, old, NULL, &e), ERR_LOST_TASK);
    assert_int_equal(queue_fail(q, id, old, "late", 1, 0, &e), ERR_LOST_TASK);
    assert_non_null(strstr(e.text, id));
    assert_string_equal(status_of("a"), "claimed");
    assert_int_equal(queue_heartbeat(q, id, t.fence, &e), 0);
    assert_int_equal(queue_complete(q, id, t.fence, "{}", &e), 0);
    assert_int_equal(queue_complete(q, "no-such-task", 1, NULL, &e), ERR_LOST_TASK);
}

/* The commit succeeded and the answer was lost: the worker says it again. */
static void telling_the_same_end_again_changes_nothing(void **state)
{
    (void)state;
    spawn("continuum", "a", 0);
    claim("a");
    assert_int_equal(queue_fail(q, t.id, t.fence, "x", 1, 0, &e), 0);
    assert_int_equal(queue_fail(q, t.id, t.fence, "x", 1, 0, &e), 0);
    look("a");
    assert_int_equal(t.retry_count, 1); /* counted once */
    claim("a");
    assert_int_equal(queue_complete(q, t.id, t.fence, "{}", &e), 0);
    assert_int_equal(queue_complete(q, t.id, t.fence, "{}", &e), 0);
    assert_int_equal(queue_fail(q, t.id, t.fence, "x", 1, 0, &e), ERR_LOST_TASK);
    assert_string_equal(status_of("a"), "completed");
}

static void a_failed_task_is_tried_again_later_and_then_fails(void **state)
{
    double in_s;

    (void)state;
    spawn("continuum", "a", 0); /* max_retries 2 */
    claim("a");
    assert_int_equal(queue_fail(q, t.id, t.fence, "disk full", 1, 3600, &e), 0);
    assert_string_equal(status_of("a"), "pending");
    none_due(); /* not yet due */
    assert_int_equal(queue_next_due(q, &in_s, &e), 0);
    assert_true(in_s > 3590 && in_s <= 3600);

    by_hand("UPDATE t_tasks SET run_after = 0");
    claim("a");
    assert_int_equal(t.retry_count, 1);
    assert_string_equal(t.error, "disk full");
    assert_int_equal(queue_fail(q, t.id, t.fence, "again", 1, 0, &e), 0);
    claim("a");
    assert_int_equal(t.retry_count, 2);
    assert_int_equal(queue_fail(q, t.id, t.fence, "for good", 1, 0, &e), 0);
    assert_string_equal(status_of("a"), "failed");
    none_due();
    assert_int_equal(queue_next_due(q, &in_s, &e), 0);
    assert_true(in_s < 0);
    assert_string_equal(by_hand("SELECT group_concat(attempt || outcome || error, ' ')"
                                " FROM t_attempts"),
                        "1faileddisk full 2failedagain 3failedfor good");
}

static void a_failure_that_is_not_to_be_retried_is_final(void **state)
{
    (void)state;
    spawn("continuum", "a", 0);
    claim("a");
    assert_int_equal(queue_fail(q, t.id, t.fence, "not HDF5", 0, 0, &e), 0);
    assert_string_equal(status_of("a"), "failed");
    assert_string_equal(by_hand("SELECT retry_count || error FROM t_tasks"),
                        "0not HDF5");
}

static void releasing_counts_no_retry(void **state)
{
    (void)state;
    spawn("continuum", "a", 0);
    claim("a");
    assert_int_equal(queue_release(q, t.id, t.fence, 3600, &e), 0);
    none_due();
    look("a");
    assert_int_equal(t.retry_count, 0);
    assert_string_equal(t.status, "pending");
    assert_string_equal(t.worker, "");
}

static void overwrite_takes_up_only_what_has_ended(void **state)
{
    int made;

    (void)state;
    spawn("continuum", "a", 0);
    claim("a");
    queue_spawn(q, "continuum", "a", "{\"n\":9}", 3, 1, 1, &made, &e);
    assert_int_equal(made, 0); /* it is being worked on */
    assert_int_equal(queue_fail(q, t.id, t.fence, "x", 0, 0, &e), 0);
    assert_int_equal(queue_spawn(q, "continuum", "a", "{\"n\":9}", 3, 1, 1, &made, &e),
                     0);
    assert_int_equal(made, 1);
    claim("a");
    assert_string_equal(t.params, "{\"n\":9}");
    assert_int_equal(t.priority, 3);
    assert_int_equal(t.retry_count, 0);
    assert_string_equal(t.error, "");
    assert_int_equal(queue_complete(q, t.id, t.fence, NULL, &e), 0);
    queue_spawn(q, "continuum", "a", "{}", 0, 1, 0, &made, &e);
    assert_int_equal(made, 0); /* without overwrite it stays done */
    assert_string_equal(status_of("a"), "completed");
}

static void params_must_be_json_and_names_short(void **state)
{
    static char big[QUEUE_TEXT + 1];
    int made;

    (void)state;
    assert_int_equal(queue_spawn(q, "continuum", "a", "{n:", 0, 0, 0, &made, &e),
                     -EINVAL);
    memset(big, 'x', QUEUE_TEXT);
    assert_int_equal(queue_spawn(q, "continuum", big, NULL, 0, 0, 0, &made, &e),
                     -EINVAL);
    assert_int_equal(queue_spawn(q, "", "a", NULL, 0, 0, 0, &made, &e), -EINVAL);
    assert_int_equal(count("pending"), 0);
}

static void a_second_daemon_is_refused_and_told_whose_it_is(void **state)
{
    struct queue *second;
    char pid[32];

    (void)state;
    assert_int_equal(queue_open(&second, "queue.sqlite3", &e), -EBUSY);
    assert_null(second);
    snprintf(pid, sizeof pid, "process %ld", (long)getpid());
    assert_non_null(strstr(e.text, "queue.sqlite3 is in use by "));
    assert_non_null(strstr(e.text, pid));
    queue_close(q);
    assert_int_equal(queue_open(&q, "queue.sqlite3", &e), 0);
}

static void tasks_of_a_dead_daemon_are_recovered(void **state)
{
    char id[QUEUE_ID];
    int64_t old;
    size_t n;

    (void)state;
    spawn("continuum", "a", 0);
    spawn("continuum", "b", 0);
    spawn("continuum", "c", 0);
    claim("a");
    assert_int_equal(queue_complete(q, t.id, t.fence, NULL, &e), 0);
    claim("b");
    strcpy(id, t.id);
    old = t.fence;
    queue_close(q); /* as after kill -9: nothing was handed back */
    assert_int_equal(queue_open(&q, "queue.sqlite3", &e), 0);
    assert_int_equal(queue_recover(q, &n, &e), 0);
    assert_int_equal(n, 1);
    assert_int_equal(count("pending"), 2);
    assert_int_equal(count("completed"), 1);
    assert_int_equal(queue_complete(q, id, old, NULL, &e), ERR_LOST_TASK);
    claim("b");
    assert_int_equal(t.retry_count, 0);
    assert_true(t.fence > old);
    assert_string_equal(by_hand("SELECT outcome FROM t_attempts WHERE fence < 3"
                                " ORDER BY fence DESC LIMIT 1"),
                        "completed");
}

/* ---------------------------------------------------------------- kill -9 ---- */

/* Spawn without end; a byte for each task whose spawn was acknowledged. */
static void spawn_for_ever(int acks)
{
    struct queue *mine;
    char key[16];
    int made;

    if (queue_open(&mine, "queue.sqlite3", NULL) != 0)
        _exit(1);
    for (int i = 0;; i++) {
        snprintf(key, sizeof key, "%08d", i);
        if (queue_spawn(mine, "continuum", key, "{}", 0, 0, 0, &made, NULL) != 0 ||
            !made)
            _exit(1);
        if (write(acks, "x", 1) != 1)
            _exit(1);
    }
}

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

        assert_int_equal(queue_open(&q, "queue.sqlite3", &e), 0);
        n = count("pending");
        assert_true(n == acked || n == acked + 1); /* one may lack its answer */
        assert_string_equal(by_hand("PRAGMA integrity_check"), "ok");
        assert_int_equal(queue_recover(q, &n, &e), 0);
        assert_int_equal(n, 0);
    }
}

/* --------------------------------------------------------- operators' hands ---- */

static void a_hand_edit_fences_the_running_worker(void **state)
{
    static const char *const edits[] = {
        "UPDATE t_tasks SET status = 'pending' WHERE status = 'claimed'",
        "UPDATE t_tasks SET status = 'cancelled' WHERE status = 'claimed'",
        "DELETE FROM t_tasks WHERE status = 'claimed'",
        ("REPLACE INTO t_tasks(task_id, task_name, task_key) SELECT task_id, task_name,"
         " task_key FROM t_tasks WHERE status = 'claimed'"), /* no UPDATE: no trigger */
    };

    (void)state;
    for (size_t i = 0; i < sizeof edits / sizeof edits[0]; i++) {
        char key[8];

        snprintf(key, sizeof key, "k%zu", i);
        by_hand("UPDATE t_tasks SET status = 'cancelled'");
        spawn("continuum", key, 0);
        claim(key);
        assert_string_equal(by_hand(edits[i]), "");
        assert_int_equal(queue_heartbeat(q, t.id, t.fence, &e), ERR_LOST_TASK);
        assert_int_equal(queue_complete(q, t.id, t.fence, NULL, &e), ERR_LOST_TASK);
        assert_int_equal(count("completed"), 0);
    }
    assert_string_equal(by_hand("SELECT group_concat(outcome) FROM t_attempts"
                                " WHERE outcome IS NOT NULL"),
                        "fenced,fenced");
}

static void a_hand_edit_back_and_forth_fences_too(void **state)
{
    (void)state;
    spawn("continuum", "a", 0);
    claim("a");
    by_hand("UPDATE t_tasks SET status = 'pending'");
    assert_string_equal(by_hand("UPDATE t_tasks SET status = 'claimed'"),
                        "error: only a worker claims a task: set it to pending");
    assert_int_equal(queue_complete(q, t.id, t.fence, NULL, &e), ERR_LOST_TASK);
    assert_string_equal(by_hand("UPDATE t_tasks SET status = 'done'"),
                        "error: CHECK constraint failed: status IN "
                        "('pending','claimed','completed','failed','cancelled')");
}

/* The statements of the operator's runbook, word for word, with the queue attached as the schema
 * `absurd`, as they say. */
static void the_runbooks_statements_work(void **state)
{
#define ATTACH "ATTACH 'queue.sqlite3' AS absurd;"
    (void)state;
    spawn("validation", "a", 0);
    spawn("calibration-solve", "b", 0);
    spawn("continuum", "c", 50);
    claim("c");
    assert_int_equal(queue_fail(q, t.id, t.fence, "OSError", 0, 0, &e), 0);
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

/* -------------------------------------------------------------- the file ---- */

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
    by_hand("DROP INDEX t_ready"); /* and queue_claim asks by this very index */
    task_clear(&t);
    assert_true(queue_claim(q, "w1", &t, &e) != 0);
    assert_non_null(strstr(e.text, "no such index: t_ready"));
}

static void files_that_are_not_ours_are_refused(void **state)
{
    struct queue *other;
    FILE *f;

    (void)state;
    queue_close(q);
    q = NULL;
    by_hand("PRAGMA user_version = 2");
    assert_int_equal(queue_open(&other, "queue.sqlite3", &e), ERR_FORMAT);
    assert_non_null(strstr(e.text, "has schema version 2 and this watcherd knows 1"));

    f = fopen("text", "w");
    fprintf(f, "%01000d this is no database", 0);
    fclose(f);
    assert_int_equal(queue_open(&other, "text", &e), ERR_FORMAT);
    assert_non_null(strstr(e.text, "file is not a database"));

    assert_int_equal(rename("queue.sqlite3", "foreign"), 0);
    by_hand("CREATE TABLE theirs(x)"); /* a new queue.sqlite3, not by us */
    assert_int_equal(queue_open(&other, "queue.sqlite3", &e), ERR_FORMAT);
    assert_non_null(strstr(e.text, "no task queue of watcherd"));
    assert_string_equal(by_hand("PRAGMA journal_mode"), "delete"); /* untouched */

    assert_int_equal(queue_open(&other, "no/such/folder/queue", &e), -ENOENT);
    assert_non_null(strstr(e.text, "no/such/folder"));
}

/* Magic numbers from statfs(2). */
static void network_file_systems_are_known(void **state)
{
    (void)state;
    assert_string_equal(db_shared_fs(0x6969), "NFS");
    assert_string_equal(db_shared_fs(0xff534d42), "CIFS");
    assert_string_equal(db_shared_fs((unsigned long)(int)0xff534d42), "CIFS");
    assert_string_equal(db_shared_fs(0xfe534d42), "SMB2");
    assert_null(db_shared_fs(0xef53));     /* ext4 */
    assert_null(db_shared_fs(0x01021994)); /* tmpfs */
}

#define QUEUE(test) cmocka_unit_test_setup_teardown(test, open_queue, close_queue)

int main(void)
{
    const struct CMUnitTest tests[] = {
        QUEUE(spawning_twice_makes_one_task),
        QUEUE(claims_go_by_priority_then_key),
        QUEUE(each_task_of_a_name_is_listed_in_key_order),
        QUEUE(names_of_tasks_sort_by_creation),
        QUEUE(each_claim_gets_a_higher_fence),
        QUEUE(a_stale_fence_is_refused_by_every_call),
        QUEUE(telling_the_same_end_again_changes_nothing),
        QUEUE(a_failed_task_is_tried_again_later_and_then_fails),
        QUEUE(a_failure_that_is_not_to_be_retried_is_final),
        QUEUE(releasing_counts_no_retry),
        QUEUE(overwrite_takes_up_only_what_has_ended),
        QUEUE(params_must_be_json_and_names_short),
        QUEUE(a_second_daemon_is_refused_and_told_whose_it_is),
        QUEUE(tasks_of_a_dead_daemon_are_recovered),
        QUEUE(what_was_acknowledged_survives_kill_9),
        QUEUE(a_hand_edit_fences_the_running_worker),
        QUEUE(a_hand_edit_back_and_forth_fences_too),
        QUEUE(the_runbooks_statements_work),
        QUEUE(claims_read_no_history),
        QUEUE(files_that_are_not_ours_are_refused),
        cmocka_unit_test(network_file_systems_are_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
