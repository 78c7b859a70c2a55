#include "tests/queue_suite.h"

#include "tests/pg_rig.h"

#include <glob.h>

static struct rig rig;

static int store_open(struct queue **out, enum queue_role role, long aging,
                      struct err *why)
{
    struct queue_opts opts = {
        .store = rig.store, .role = role, .aging = aging, .longest_wait_s = 100};

    return queue_open(out, &opts, why);
}

static const char *by_hand(const char *sql)
{
    return rig_ask(&rig, sql);
}

static int store_make(void **state)
{
    by_hand("DROP SCHEMA IF EXISTS absurd CASCADE");
    return in_own_dir(state);
}

static int store_remove(void **state)
{
    return remove_dir(state);
}

static int server_up(void **state)
{
    (void)state;
    return rig_make(&rig, NULL, "");
}

static int server_down(void **state)
{
    (void)state;
    rig_end(&rig);
    return 0;
}

static int open_at(const char *store, enum queue_role role)
{
    struct queue_opts opts = {.store = store, .role = role};
    struct queue *other;
    int rc = queue_open(&other, &opts, &e);

    assert_true((other != NULL) == (rc == 0));
    queue_close(other);
    return rc;
}

/* ---- whose tables, which server ---- */

static void workers_and_tools_wait_for_the_daemons_tables(void **state)
{
    (void)state;
    queue_close(q);
    q = NULL;
    by_hand("DROP SCHEMA absurd CASCADE");
    assert_int_equal(open_at(rig.store, QUEUE_AS_WORKER), -ENOENT);
    assert_int_equal(open_at(rig.store, QUEUE_AS_TOOL), -ENOENT);
    assert_non_null(strstr(e.text, "taskctl migrate"));
    assert_string_equal(by_hand("SELECT to_regnamespace('absurd')"), "NULL");
    by_hand("REVOKE CREATE ON DATABASE postgres FROM plain");
    by_hand("CREATE SCHEMA absurd AUTHORIZATION plain"); /* by an administrator */
    assert_int_equal(open_at(rig.store, QUEUE_AS_DAEMON), 0);
    assert_int_equal(open_at(rig.store, QUEUE_AS_WORKER), 0);
    by_hand("GRANT CREATE ON DATABASE postgres TO plain");
}

static void *open_once(void *rc)
{
    struct queue *other;
    struct err why;

    *(int *)rc = store_open(&other, QUEUE_AS_DAEMON, 0, &why);
    queue_close(other);
    return NULL;
}

static void daemons_that_start_together_make_the_tables_once(void **state)
{
    pthread_t thread[6];
    int rc[6];

    (void)state;
    queue_close(q);
    q = NULL;
    for (int round = 0; round < 3; round++) {
        by_hand("DROP SCHEMA absurd CASCADE");
        for (size_t i = 0; i < 6; i++)
            assert_int_equal(pthread_create(&thread[i], NULL, open_once, &rc[i]), 0);
        for (size_t i = 0; i < 6; i++) {
            pthread_join(thread[i], NULL);
            assert_int_equal(rc[i], 0);
        }
        assert_string_equal(by_hand("SELECT count(*) FROM t_schema"), "1");
    }
}

static void another_programs_tables_are_refused_and_not_touched(void **state)
{
    static const char *const theirs[] = {
        "CREATE TABLE t_tasks(task_id uuid, status text)", /* looks like ours */
        "CREATE TABLE tasks(task_id uuid)",                /* DSA-110's */
        "CREATE TABLE queues(queue_name text)",            /* earendil's */
    };

    (void)state;
    queue_close(q);
    q = NULL;
    for (size_t i = 0; i < sizeof theirs / sizeof theirs[0]; i++) {
        struct queue_schema schema;

        by_hand("DROP SCHEMA absurd CASCADE");
        by_hand("CREATE SCHEMA absurd");
        assert_string_equal(by_hand(theirs[i]), "");
        for (int role = QUEUE_AS_DAEMON; role <= QUEUE_AS_TOOL; role++) {
            assert_int_equal(open_at(rig.store, (enum queue_role)role), ERR_FORMAT);
            assert_non_null(strstr(e.text, "is not ours"));
        }
        assert_int_equal(queue_migrate(&(struct queue_opts){.store = rig.store}, false,
                                       &schema, NULL, NULL, &e),
                         ERR_FORMAT);
        assert_string_equal(by_hand("SELECT count(*) FROM pg_class WHERE relkind = 'r'"
                                    " AND relnamespace = 'absurd'::regnamespace"),
                            "1");
    }
}

static void tables_of_another_version_are_refused(void **state)
{
    (void)state;
    by_hand("INSERT INTO t_schema VALUES (2)");
    assert_int_equal(open_at(rig.store, QUEUE_AS_DAEMON), ERR_FORMAT);
    assert_non_null(strstr(e.text, "newer watcherd (version 2"));
    assert_int_equal(
        queue_restore(&(struct queue_opts){.store = rig.store}, "absent", &e), -ENOENT);
    by_hand("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'watcherd'");
    while (queue_now(q, &(double){0}, &e) == ERR_STORE_DOWN) /* found again: too new */
        ;
    assert_int_equal(queue_now(q, &(double){0}, &e), ERR_FORMAT);
}

static void what_keeps_us_out_is_said_without_a_password(void **state)
{
    static const struct {
        const char *store; /* %s: the socket's folder */
        int rc;
        const char *says;
    } tries[] = {
        {"host=%s user=locked password=sekrit1 dbname=postgres", -EACCES, "28P01"},
        {"host=%s user=locked dbname=postgres", -EACCES, "password"},
        {"postgresql://locked:sekrit2@/postgres?host=%s", -EACCES, "28P01"},
        {"host=%s user=nobody_at_all dbname=postgres", -EACCES, "does not exist"},
        {"host=%s user=watcherd dbname=absent", -ENOENT, "3D000"},
        {"host=%s user=watcherd dbname=postgres hots=x", -EINVAL, "hots"},
        {"postgresql://locked:sekrit3@/postgres?host=%s&colour=sekrit4", -EINVAL,
         "connection string"},
        {"host=%s password=sekrit5 'sekrit6", -EINVAL, "connection string"},
        {"postgresql://locked:a@sekrit10@127.0.0.1:1/x?host=%s", -EINVAL, "@ as %40"},
        {"postgres://locked:a/sekrit11@127.0.0.1:1/x?host=%s", -EINVAL, "/ as %2F"},
        {"host=%s port=seven user=watcherd password=sekrit7", -EINVAL, "invalid"},
        {"host=%s/absent user=watcherd password=sekrit8", ERR_STORE_DOWN,
         "No such file or directory"},
        {"host=127.0.0.1 port=1 user=x password=sekrit9#%s", ERR_STORE_DOWN, "refused"},
    };
    char store[512];

    (void)state;
    rig_lock_role(&rig);
    for (size_t i = 0; i < sizeof tries / sizeof tries[0]; i++) {
        snprintf(store, sizeof store, tries[i].store, rig.dir);
        if (open_at(store, QUEUE_AS_DAEMON) != tries[i].rc)
            fail_msg("%s: %d, %s", store, e.code, e.text);
        if (strstr(e.text, tries[i].says) == NULL)
            fail_msg("%s: %s", store, e.text);
        assert_null(strstr(e.text, "sekrit"));
    }
    snprintf(store, sizeof store, "host=%s user=locked password=sekrit dbname=postgres",
             rig.dir);
    by_hand("DROP SCHEMA absurd CASCADE");
    by_hand("REVOKE CREATE ON DATABASE postgres FROM locked");
    assert_int_equal(open_at(store, QUEUE_AS_DAEMON),
                     -EACCES); /* no schema, no right */
    assert_non_null(strstr(e.text, "permission denied"));
}

static void a_server_before_15_is_refused(void **state)
{
    char store[256];
    pid_t pid = rig_old_server(own_dir);

    (void)state;
    snprintf(store, sizeof store, "host=%s user=x dbname=y", own_dir);
    assert_int_equal(open_at(store, QUEUE_AS_DAEMON), -ENOTSUP);
    assert_non_null(strstr(e.text, "14.9"));
    waitpid(pid, NULL, 0);
}

/* ---- being told ---- */

static bool readable(int timeout_ms)
{
    struct pollfd p = {.fd = queue_fd(q), .events = POLLIN};

    return poll(&p, 1, timeout_ms) == 1;
}

/* matrix: queue 13 words of others, also between the words of our own calls */
static void the_descriptor_tells_of_others_and_not_of_us(void **state)
{
    (void)state;
    while (queue_changed(q, &e) == 1)
        ;
    spawn("continuum", "a", 0);
    claim("a");
    assert_int_equal(tell(t.id, t.fence, TASK_RELEASE, NULL, 0), 0);
    assert_int_equal(queue_changed(q, &e), 0);
    assert_false(readable(0));
    by_hand("INSERT INTO t_tasks(task_name, params) VALUES ('x', '{}')");
    assert_true(readable(5000));
    assert_int_equal(queue_changed(q, &e), 1);
    assert_false(readable(0));
    /* The word comes in with another answer: it must not be lost in there. */
    by_hand("UPDATE t_tasks SET priority = 100 WHERE task_name = 'x'");
    for (int i = 0; i < 500 && !readable(0); i++)
        assert_int_equal(queue_now(q, &(double){0}, &e), 0);
    assert_int_equal(queue_now(q, &(double){0}, &e), 0);
    assert_true(readable(0));
    assert_int_equal(queue_changed(q, &e), 1);
    by_hand("INSERT INTO t_queues(name, mode) VALUES ('dsa110-pipeline', 'paused')");
    assert_true(readable(5000));
    assert_int_equal(queue_changed(q, &e), 1);
    by_hand("UPDATE t_tasks SET error = 'no news'");
    assert_false(readable(50));
}

static void a_row_inserted_by_hand_is_a_task(void **state)
{
    (void)state;
    assert_string_equal(
        by_hand("INSERT INTO t_tasks(task_name, params) VALUES ('x', '{\"a\": 1}')"),
        "");
    assert_int_equal(claim_one(q, me.id, LEASE_S, &t, &e), 0);
    assert_string_equal(t.name, "x");
    assert_int_equal(t.id[14], '7');
    assert_int_equal(done(), 0);
    assert_non_null(strstr(by_hand("INSERT INTO t_tasks(task_name, status)"
                                   " VALUES ('x', 'claimed')"),
                           "only a worker claims a task"));
    assert_string_equal(by_hand("SELECT attempt FROM tasks"), "0");
}

static void text_that_is_no_utf8_is_taken(void **state)
{
    (void)state;
    spawn("continuum", "a", 0);
    claim("a");
    assert_int_equal(tell(t.id, t.fence, TASK_FAIL, "cut \xc3", 0), 0);
    look("a");
    assert_string_equal(t.error, "cut ?");
}

/* ---- a store that goes away ---- */

static void end_our_backends(void)
{
    by_hand("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name LIKE 'watcherd%'");
}

/* matrix: queue 1 backend ended by an administrator */
static void a_lost_connection_is_found_again(void **state)
{
    int fd = queue_fd(q), rc;
    size_t n;

    (void)state;
    spawn("continuum", "a", 0);
    claim("a");
    while (queue_changed(q, &e) == 1)
        ;
    end_our_backends();
    assert_true(readable(5000));
    while ((rc = queue_changed(q, &e)) >= 0)
        ;
    assert_int_equal(rc, ERR_STORE_DOWN);
    assert_false(readable(0)); /* or a loop would turn for nothing */
    assert_int_equal(queue_changed(q, &e), ERR_STORE_DOWN);
    assert_int_equal(done(), 0);
    assert_int_equal(queue_fd(q), fd);
    assert_true(readable(0)); /* who knows what happened meanwhile */
    assert_int_equal(queue_changed(q, &e), 1);
    by_hand("UPDATE t_tasks SET status = 'pending'");
    assert_true(readable(5000)); /* it listens again */
    claim("a");
    by_hand("UPDATE t_tasks SET lease_until = NULL");
    end_our_backends();
    while ((rc = queue_reap(q, 3600, &n, &e)) == ERR_STORE_DOWN)
        ;
    assert_int_equal(rc, 0); /* found just now: everybody may still tell */
    assert_int_equal(n, 0);
    assert_string_equal(status_of("a"), "claimed");
}

/* matrix: queue 1 backend killed: the server starts anew */
static void a_killed_backend_takes_the_server_down_for_a_moment(void **state)
{
    double until = clock_boot_s() + PATIENCE_MS / 1000.0;
    int pid, rc;

    (void)state;
    spawn("continuum", "a", 0);
    claim("a");
    assert_int_equal(done(), 0);
    spawn("continuum", "b", 0);
    pid = atoi(by_hand("SELECT pid FROM pg_stat_activity"
                       " WHERE application_name = 'watcherd'"));
    assert_true(pid > 1);
    assert_int_equal(kill(pid, SIGKILL), 0);
    do {
        task_clear(&t);
        rc = claim_one(q, me.id, LEASE_S, &t, &e);
        assert_true(rc == 0 || rc == ERR_STORE_DOWN);
    } while (rc != 0 && clock_boot_s() < until);
    assert_int_equal(rc, 0);
    assert_string_equal(t.key, "b");
    /* The claim may have come before the server had noticed, and ended its other backends. */
    do {
        task_clear(&t);
        rc = queue_status(q, "continuum", "a", &t, &e);
        assert_true(rc == 0 || rc == ERR_STORE_DOWN);
    } while (rc != 0 && clock_boot_s() < until);
    assert_int_equal(t.status, TASK_COMPLETED);
}

enum { NLONG = 240 };
static int acked[NLONG], nacked;

static int ends_so_far(void)
{
    int n;

    pthread_mutex_lock(&racing);
    n = nacked;
    pthread_mutex_unlock(&racing);
    return n;
}

/* Work on until all is done, whatever the store does. */
static void *work_on(void *arg)
{
    struct racer *r = arg;
    struct queue_worker self = me;
    struct task got[3];
    struct task_end end[3];
    struct queue_turn turn = {
        .worker = self.id, .end = end, .lease_s = LEASE_S, .got = got, .want = 3};

    snprintf(self.id, sizeof self.id, "h1:w:%d", r->number);
    while (ends_so_far() < NLONG) {
        memset(got, 0, sizeof got);
        turn_until_answered(r, &turn, &self);
        pthread_mutex_lock(&racing);
        for (size_t i = 0; i < turn.nend; i++)
            if (end[i].rc == 0) {
                acked[atoi(end[i].text)]++;
                nacked++;
            }
        pthread_mutex_unlock(&racing);
        for (size_t i = 0; i < turn.nend; i++)
            free((char *)end[i].text);
        turn.nend = turn.ngot;
        for (size_t i = 0; i < turn.ngot; i++) {
            end[i] = (struct task_end){.fence = got[i].fence, .how = TASK_COMPLETE};
            end[i].text = strdup(got[i].key);
            strcpy(end[i].id, got[i].id);
            task_clear(&got[i]);
        }
    }
    for (size_t i = 0; i < turn.nend; i++)
        free((char *)end[i].text);
    return NULL;
}

/* matrix: queue 1 postmaster ended at once and started again, three times, in full work */
/* matrix: queue 4 the database is away */
static void a_server_that_ends_and_returns_loses_and_doubles_nothing(void **state)
{
    struct racer r[2] = {0};
    double until = clock_boot_s() + PATIENCE_MS / 1000.0;
    char key[16];

    (void)state;
    memset(acked, 0, sizeof acked);
    nacked = 0;
    for (int i = 0; i < NLONG; i++) {
        snprintf(key, sizeof key, "%d", i);
        spawn("continuum", key, 0);
    }
    for (int i = 0; i < 2; i++) {
        r[i].number = i;
        assert_int_equal(store_open(&r[i].q, QUEUE_AS_WORKER, 0, &e), 0);
        assert_int_equal(pthread_create(&r[i].thread, NULL, work_on, &r[i]), 0);
    }
    for (int i = 1; i <= 3; i++) {
        while (ends_so_far() < i * NLONG / 5 && clock_boot_s() < until)
            poll(NULL, 0, 1);
        rig_stop(&rig, SIGQUIT);
        assert_int_equal(queue_now(q, &(double){0}, &e), ERR_STORE_DOWN);
        assert_int_equal(queue_now(q, &(double){0}, &e), ERR_STORE_DOWN);
        assert_int_equal(rig_start(&rig), 0);
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(r[i].thread, NULL);
        queue_close(r[i].q);
    }
    assert_int_equal(count(TASK_COMPLETED), NLONG);
    for (int i = 0; i < NLONG; i++)
        assert_int_equal(acked[i], 1);
    assert_string_equal(
        by_hand("SELECT count(*) FROM t_attempts WHERE outcome = 'completed'"), "240");
}

/* ---- its disk, its clock ---- */

/* A second server: its data on a small file system, or with a clock that can be set. */
static struct rig other;

static int open_other(struct queue **out)
{
    struct queue_opts opts = {.store = other.store, .role = QUEUE_AS_DAEMON};

    return queue_open(out, &opts, &e);
}

static int end_other(void **state)
{
    char cmd[128];

    rig_stop(&other, SIGQUIT);
    snprintf(cmd, sizeof cmd, "umount %s/small 2>/dev/null || :", own_dir);
    if (system(cmd) != 0)
        return -1;
    rig_end(&other);
    memset(&other, 0, sizeof other);
    return suite_close(state);
}

/* matrix: queue 5 no space left for the server */
static void a_full_disk_of_the_server_is_waited_for(void **state)
{
    static char big[8000];
    double until = clock_boot_s() + PATIENCE_MS / 1000.0;
    char cmd[256], dir[96], filler[128], key[16], params[8100];
    struct queue *p;
    int made = 0, rc;
    size_t n;

    (void)state;
    snprintf(dir, sizeof dir, "%s/small", own_dir);
    mkdir(dir, 0755);
    chmod(own_dir, 0755);
    snprintf(cmd, sizeof cmd, "mount -t tmpfs -o size=100m tmpfs %s 2>/dev/null", dir);
    if (system(cmd) != 0) {
        print_message("skipped: may not mount a small tmpfs\n");
        skip();
    }
    assert_int_equal(rig_make(&other, dir, "shared_buffers=16MB"), 0);
    assert_int_equal(open_other(&p), 0);
    snprintf(filler, sizeof filler, "%s/filler", dir);
    rig_fill_disk(filler);
    /* Characters that do not compress, so that they need room. */
    for (size_t i = 0; i < sizeof big - 1; i++)
        big[i] = (char)('a' + rand() % 26);
    snprintf(params, sizeof params, "{\"x\":\"%s\"}", big);
    do {
        snprintf(key, sizeof key, "%d", made);
        rc = spawn_one(
            p, (struct task_spec){.name = "continuum", .key = key, .params = params},
            NULL, &e);
        made += rc == 0;
    } while (rc == 0 && made < 20000);
    assert_int_equal(rc, ERR_STORE_DOWN);
    assert_int_equal(unlink(filler), 0);
    if (waitpid(other.server, NULL, WNOHANG) == other.server)
        assert_int_equal(rig_start(&other), 0);
    do /* the same again */
        rc = spawn_one(
            p, (struct task_spec){.name = "continuum", .key = key, .params = params},
            NULL, &e);
    while (rc == ERR_STORE_DOWN && clock_boot_s() < until);
    assert_int_equal(rc, 0);
    assert_int_equal(queue_count(p, TASK_PENDING, &n, &e), 0);
    assert_int_equal(n, made + 1);
    queue_close(p);
}

/* matrix: queue 10 the server's clock jumps by more than a lease */
static void leases_wait_when_the_servers_clock_jumps(void **state)
{
    char clock_file[128];
    glob_t lib;
    struct queue *p;
    double before, now = 0;
    size_t n;

    (void)state;
    if (glob("/usr/lib/*/faketime/libfaketimeMT.so.1", 0, NULL, &lib) != 0) {
        print_message("skipped: no libfaketime\n");
        skip();
    }
    snprintf(clock_file, sizeof clock_file, "%s/clock", own_dir);
    chmod(own_dir, 0755);
    rig_write_text(clock_file, "+0\n", 0644);
    setenv("FAKETIME_TIMESTAMP_FILE", clock_file, 1);
    setenv("FAKETIME_NO_CACHE", "1", 1);
    setenv("FAKETIME_DONT_FAKE_MONOTONIC", "1", 1);
    setenv("PG_RIG_PRELOAD", lib.gl_pathv[0], 1);
    globfree(&lib);
    assert_int_equal(rig_make(&other, NULL, ""), 0);
    unsetenv("PG_RIG_PRELOAD");
    unsetenv("FAKETIME_TIMESTAMP_FILE");
    assert_int_equal(open_other(&p), 0);
    assert_int_equal(
        spawn_one(p, (struct task_spec){.name = "x", .key = "a", .max_retries = 3},
                  NULL, &e),
        0);
    assert_int_equal(claim_one(p, me.id, 60, &t, &e), 0);
    /* Both clocks are looked at, and the first lease after the start is over. */
    for (double until = clock_boot_s() + 0.3; clock_boot_s() < until; poll(NULL, 0, 10))
        assert_int_equal(queue_reap(p, 0.2, &n, &e), 0);
    assert_int_equal(queue_now(p, &before, &e), 0);
    rig_write_text(clock_file, "+3600\n", 0644);
    for (int i = 0; i < 1000 && now < before + 3000; i++)
        assert_int_equal(queue_now(p, &now, &e), 0);
    assert_true(now > before + 3000);
    assert_int_equal(queue_reap(p, 0.2, &n, &e), 0);
    assert_int_equal(n, 0); /* by its clock the lease ran out an hour ago */
    for (int i = 0; i < 1000 && n == 0; i++) { /* nobody renewed it in a lease */
        poll(NULL, 0, 10);
        assert_int_equal(queue_reap(p, 0.2, &n, &e), 0);
    }
    assert_int_equal(n, 1);
    queue_close(p);
}

/* matrix: queue 10 the server's clock was ahead while tasks were queued */
static void what_a_wrong_clock_left_behind_waits_no_day(void **state)
{
    double in_s;
    size_t n;

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
    by_hand("UPDATE absurd.t_tasks SET run_after = run_after + interval '1 day',"
            " created_at = created_at + interval '1 day'");
    none_due();
    assert_int_equal(queue_reap(q, LEASE_S, &n, &e), 0);
    claim("never");
    assert_int_equal(queue_next_due(q, &in_s, &e), 0);
    assert_true(in_s > 90 && in_s <= 100); /* longest_wait_s */
    by_hand("DELETE FROM absurd.t_tasks WHERE task_key = 'again'");
    assert_int_equal(queue_next_due(q, &in_s, &e), 0);
    assert_true(in_s > 900 && in_s <= 1001); /* as it was asked for */
}

/* ---- plans ---- */

/* Another worker holds so many: ends and beats of others do not read them. */
static void claim_many(size_t n)
{
    struct task *got = calloc(n, sizeof *got);
    struct queue_turn turn = {
        .worker = "h1:w:9", .want = n, .lease_s = LEASE_S, .got = got};
    struct queue *busy;

    assert_int_equal(store_open(&busy, QUEUE_AS_WORKER, 0, &e), 0);
    assert_int_equal(queue_turn(busy, &turn, &e), 0);
    assert_int_equal(turn.ngot, n);
    for (size_t i = 0; i < n; i++)
        task_clear(&got[i]);
    free(got);
    queue_close(busy);
}

/* matrix: queue 8 plans whatever the statistics say */
static void claims_and_ends_read_a_few_rows_whatever_the_statistics_say(void **state)
{
    enum { ROUNDS = 20, MANY = 1000 };
    const char *rows = getenv("QUEUE_ROWS") != NULL ? getenv("QUEUE_ROWS") : "10000";
    const char *const before[] = {
        /* nothing known */
        "ALTER TABLE t_tasks SET (autovacuum_enabled = off)",
        "ANALYZE t_tasks", /* empty, says it, and then comes the backlog */
        "INSERT INTO t_tasks(task_name, params) SELECT 'wait', '{}'"
        " FROM generate_series(1, %s)",
        "INSERT INTO t_tasks(task_name, params, status, completed_at)"
        " SELECT 'old', '{}', 'completed', now() FROM generate_series(1, %s)",
        "ANALYZE t_tasks", /* half of it waits, says it, and then hardly any */
        "UPDATE t_tasks SET status = 'cancelled' WHERE status = 'pending'"
        " AND task_id <> ALL (ARRAY(SELECT task_id FROM t_tasks"
        "  WHERE status = 'pending' LIMIT 200))",
        "VACUUM ANALYZE t_tasks",
    };

    (void)state;
    for (size_t i = 0; i < sizeof before / sizeof before[0]; i++) {
        char sql[400];
        struct task_ref ref;
        long reads;

        queue_close(q);
        q = NULL;
        snprintf(sql, sizeof sql, before[i], rows);
        assert_string_equal(by_hand(sql), "");
        if (i == 5) /* what an index still says of the dead is another matter */
            assert_string_equal(by_hand("VACUUM (ANALYZE off) t_tasks"), "");
        if (i == 4)
            claim_many(MANY); /* that were none by the statistics */
        rig_wait_for_counts(&rig);
        by_hand("SELECT pg_stat_force_next_flush()");
        reads = rig_reads(&rig);
        assert_int_equal(store_open(&q, QUEUE_AS_DAEMON, 3, &e), 0);
        for (int k = 0; k < ROUNDS; k++) {
            task_clear(&t);
            if (claim_one(q, me.id, LEASE_S, &t, &e) != 0)
                continue;
            ref = ref_of(&t);
            assert_int_equal(beat(&ref, 1), 0);
            assert_int_equal(done(), 0);
        }
        assert_int_equal(queue_next_due(q, &(double){0}, &e), 0);
        queue_close(q);
        q = NULL;
        rig_wait_for_counts(&rig);
        reads = rig_reads(&rig) - reads;
        /* What was claimed is passed once more in the index on what waits. */
        if (reads > 40 * ROUNDS + (i == 4 ? 2 * MANY : 0))
            fail_msg("after '%.60s...' %ld rows were read", sql, reads);
    }
}

/* ---- hand edits at any moment ---- */

/* The runbook's own three, and what else an operator may think of. */
static const char *const edits[] = {
    "UPDATE absurd.t_tasks SET status = 'pending', error = NULL, claimed_at = NULL,"
    " worker_id = NULL WHERE status = 'failed' AND task_name = 'continuum'",
    "UPDATE absurd.t_tasks SET priority = 100 WHERE task_name = 'continuum' AND status "
    "="
    " 'pending'",
    "UPDATE absurd.t_tasks SET status = 'cancelled' WHERE task_name = 'continuum' AND"
    " status = 'pending' AND random() < 0.1",
    "UPDATE absurd.t_tasks SET status = 'pending' WHERE status = 'claimed' AND "
    "random() <"
    " 0.3",
    "UPDATE absurd.t_tasks SET status = 'failed' WHERE status = 'claimed' AND random() "
    "<"
    " 0.2",
    "UPDATE absurd.t_tasks SET status = 'pending' WHERE status = 'cancelled'",
    "SELECT task_id FROM absurd.t_tasks WHERE status = 'claimed' AND claimed_at < NOW()"
    " - INTERVAL '2 hours' ORDER BY claimed_at",
    "VACUUM ANALYZE",
};

struct edited {
    struct racer r;
    long told; /* ends that the store has acknowledged */
};
static bool enough;

static bool stop_now(void)
{
    bool stop;

    pthread_mutex_lock(&racing);
    stop = enough;
    pthread_mutex_unlock(&racing);
    return stop;
}

static void *work_among_edits(void *arg)
{
    struct edited *w = arg;
    struct queue_worker self = me;
    struct err why;
    unsigned round = 0;
    size_t dropped;

    snprintf(self.id, sizeof self.id, "h1:w:%d", w->r.number);
    while (!stop_now()) {
        static const enum task_how hows[] = {TASK_COMPLETE, TASK_RETRY, TASK_RELEASE,
                                             TASK_COMPLETE, TASK_FAIL};
        struct task_end end = {.how = hows[++round % 5], .text = "x"};
        struct task_ref ref;
        struct task task;
        int rc = claim_one(w->r.q, self.id, LEASE_S, &task, &why);

        if (rc == -EAGAIN)
            continue;
        assert_int_equal(rc, 0);
        ref = ref_of(&task);
        assert_int_equal(queue_beat(w->r.q, &self, &ref, 1, LEASE_S, &dropped, &why),
                         0);
        assert_int_equal(dropped, 0);
        strcpy(end.id, task.id);
        end.fence = task.fence;
        rc = end_one(w->r.q, &end, &why);
        assert_true(rc == 0 || rc == ERR_LOST_TASK);
        /* What was lost at the beat cannot have come back. */
        assert_false(ref.hold == TASK_LOST && rc == 0);
        w->told += rc == 0;
        task_clear(&task);
    }
    return NULL;
}

/* matrix: queue 6 the runbook's statements at any moment, in full work */
static void edits_at_any_moment_break_nothing(void **state)
{
    /* Each must find nothing. */
    static const char *const broken[] = {
        "SELECT count(*) FROM t_tasks WHERE (status IN ('completed','failed',"
        "'cancelled')) <> (completed_at IS NOT NULL)",
        "SELECT count(*) FROM t_tasks WHERE status = 'claimed' AND"
        " (worker_id IS NULL OR lease_until IS NULL OR claimed_at IS NULL)",
        "SELECT count(*) FROM t_tasks WHERE status <> 'claimed' AND lease_until IS NOT"
        " NULL",
        "SELECT count(*) FROM t_tasks WHERE retry_count > max_retries",
        "SELECT count(*) FROM (SELECT FROM t_attempts GROUP BY task_id, fence"
        " HAVING count(*) > 1) x",
        /* one attempt for each claim, none forgotten */
        "SELECT count(*) FROM t_tasks t WHERE attempts <> (status = 'claimed')::int +"
        " (SELECT count(*) FROM t_attempts a WHERE a.task_id = t.task_id)",
        "SELECT count(*) FROM t_attempts WHERE outcome IS NULL OR ended_at < "
        "claimed_at",
    };
    struct edited w[3] = {0};
    unsigned seed = 20261127;
    long told = 0;
    char key[16];

    (void)state;
    enough = false;
    for (int i = 0; i < 60; i++) {
        snprintf(key, sizeof key, "%d", i);
        spawn("continuum", key, i % 3);
    }
    for (int i = 0; i < 3; i++) {
        w[i].r.number = i;
        assert_int_equal(store_open(&w[i].r.q, QUEUE_AS_WORKER, 0, &e), 0);
        assert_int_equal(pthread_create(&w[i].r.thread, NULL, work_among_edits, &w[i]),
                         0);
    }
    for (int i = 0; i < 200; i++) {
        const char *said =
            by_hand(edits[(size_t)rand_r(&seed) % (sizeof edits / sizeof edits[0])]);

        if (strncmp(said, "error", 5) == 0 && strstr(said, "deadlock") == NULL)
            fail_msg("%s", said);
        by_hand("UPDATE t_tasks SET status = 'pending' WHERE status = 'completed'");
    }
    pthread_mutex_lock(&racing);
    enough = true;
    pthread_mutex_unlock(&racing);
    for (int i = 0; i < 3; i++) {
        pthread_join(w[i].r.thread, NULL);
        queue_close(w[i].r.q);
        told += w[i].told;
    }
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++)
        if (strcmp(by_hand(broken[i]), "0") != 0)
            fail_msg("%s: %s", broken[i], by_hand(broken[i]));
    /* Each end that was acknowledged is one attempt, and there are no others. */
    assert_true(told > 0);
    assert_int_equal(atol(by_hand("SELECT count(*) FROM t_attempts WHERE outcome IN"
                                  " ('completed','failed','released')")),
                     told);
}

/* ---- upkeep ---- */

static void keep_line(void *arg, const char *text)
{
    snprintf(arg, QUEUE_TEXT, "%s", text);
}

static void migrating_says_what_it_does(void **state)
{
    struct queue_opts opts = {.store = rig.store};
    struct queue_schema schema;
    char line[QUEUE_TEXT] = "";

    (void)state;
    queue_close(q);
    q = NULL;
    by_hand("DROP SCHEMA absurd CASCADE");
    assert_int_equal(queue_migrate(&opts, true, &schema, keep_line, line, &e), 0);
    assert_true(schema.have == 0 && schema.want == 1);
    assert_non_null(strstr(line, "version 1"));
    assert_string_equal(by_hand("SELECT to_regnamespace('absurd')"), "NULL");
    assert_int_equal(queue_migrate(&opts, false, &schema, keep_line, line, &e), 0);
    assert_int_equal(open_at(rig.store, QUEUE_AS_WORKER), 0);
    line[0] = '\0';
    assert_int_equal(queue_migrate(&opts, false, &schema, keep_line, line, &e), 0);
    assert_true(schema.have == 1 && line[0] == '\0');
}

static void a_backup_comes_back_when_nobody_works(void **state)
{
    struct queue_opts opts = {.store = rig.store};
    size_t n;

    (void)state;
    spawn("continuum", "a", 0);
    spawn("continuum", "b", 5);
    claim("b");
    assert_int_equal(beat(&(struct task_ref){.fence = 0}, 0), 1);
    claim("b");
    assert_int_equal(queue_backup(q, "copy", &e), 0);
    assert_int_equal(done(), 0);
    spawn("continuum", "c", 0);
    assert_int_equal(queue_restore(&opts, "copy", &e), -EBUSY); /* `me` lives */
    assert_non_null(strstr(e.text, me.id));
    assert_int_equal(queue_bury(q, me.id, &n, &e), 0);
    rig_write_text("rubbish", "SELECT 1;\nthis is no backup;\n", 0644);
    assert_int_equal(queue_restore(&opts, "rubbish", &e), ERR_FORMAT);
    assert_non_null(strstr(e.text, "as it was"));
    rig_write_text("rubbish", "SELECT 1;\n",
                   0644); /* no failure, but no queue either */
    assert_int_equal(queue_restore(&opts, "rubbish", &e), ERR_FORMAT);
    assert_int_equal(queue_restore(&opts, "absent", &e), -ENOENT);
    assert_string_equal(status_of("b"), "completed");
    assert_int_equal(queue_restore(&opts, "copy", &e), 0);
    assert_string_equal(status_of("a"), "pending");
    assert_string_equal(status_of("b"), "pending"); /* nobody has it any more */
    assert_int_equal(count(TASK_PENDING), 2);
    assert_int_equal(count(TASK_COMPLETED), 0);
    claim("b");
    assert_int_equal(done(), 0);
}

/* The programs that we start see the password in their environment, nobody in the list of
   processes. */
static void a_backups_password_is_in_no_command_line(void **state)
{
    struct queue_opts opts = {.role = QUEUE_AS_DAEMON};
    char store[256], path[4096], was[4096], seen[4096] = "";
    FILE *f;

    (void)state;
    queue_close(q);
    q = NULL;
    by_hand("DROP SCHEMA absurd CASCADE");
    rig_lock_role(&rig);
    snprintf(store, sizeof store, "postgresql://locked:sekrit@/postgres?host=%s",
             rig.dir);
    opts.store = store;
    if (queue_open(&q, &opts, &e) != 0)
        fail_msg("%s", e.text);
    assert_null(strstr(queue_where(q), "sekrit"));
    mkdir("bin", 0755);
    rig_write_text(
        "bin/pg_dump",
        "#!/bin/sh\ncat /proc/$$/cmdline >seen\necho \" $PGPASSWORD\" >>seen\n"
        "PATH=$OLD_PATH exec pg_dump \"$@\"\n",
        0755);
    snprintf(was, sizeof was, "%s", getenv("PATH"));
    snprintf(path, sizeof path, "%s/bin:%.3000s", own_dir, was);
    setenv("OLD_PATH", was, 1);
    setenv("PATH", path, 1);
    assert_int_equal(queue_backup(q, "copy", &e), 0);
    setenv("PATH", own_dir, 1);
    assert_int_equal(queue_backup(q, "copy2", &e), -ENOENT);
    assert_non_null(strstr(e.text, "pg_dump"));
    setenv("PATH", was, 1);
    f = fopen("seen", "r");
    assert_non_null(f);
    for (size_t n = fread(seen, 1, sizeof seen - 1, f), i = 0; i < n; i++)
        seen[i] = seen[i] != '\0' ? seen[i] : ' ';
    fclose(f);
    assert_non_null(strstr(seen, "user='locked'"));
    assert_non_null(strstr(seen, " sekrit\n"));
    *strstr(seen, " sekrit\n") = '\0';
    assert_null(strstr(seen, "sekrit"));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        QUEUE_SUITE,
        QUEUE(workers_and_tools_wait_for_the_daemons_tables),
        QUEUE(daemons_that_start_together_make_the_tables_once),
        QUEUE(another_programs_tables_are_refused_and_not_touched),
        QUEUE(tables_of_another_version_are_refused),
        QUEUE(what_keeps_us_out_is_said_without_a_password),
        QUEUE(a_server_before_15_is_refused),
        QUEUE(the_descriptor_tells_of_others_and_not_of_us),
        QUEUE(a_row_inserted_by_hand_is_a_task),
        QUEUE(text_that_is_no_utf8_is_taken),
        QUEUE(a_lost_connection_is_found_again),
        QUEUE(a_killed_backend_takes_the_server_down_for_a_moment),
        QUEUE(a_server_that_ends_and_returns_loses_and_doubles_nothing),
        cmocka_unit_test_setup_teardown(a_full_disk_of_the_server_is_waited_for,
                                        suite_open, end_other),
        cmocka_unit_test_setup_teardown(leases_wait_when_the_servers_clock_jumps,
                                        suite_open, end_other),
        QUEUE(what_a_wrong_clock_left_behind_waits_no_day),
        QUEUE(claims_and_ends_read_a_few_rows_whatever_the_statistics_say),
        QUEUE(edits_at_any_moment_break_nothing),
        QUEUE(migrating_says_what_it_does),
        QUEUE(a_backup_comes_back_when_nobody_works),
        QUEUE(a_backups_password_is_in_no_command_line),
    };

    if (system("tests/pg_rig.sh bin >/dev/null") != 0) {
        puts("[  SKIPPED ] 1 test(s): no PostgreSQL server is installed");
        return 0;
    }
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests_name("queue_pg", tests, server_up, server_down);
}
