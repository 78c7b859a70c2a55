/* Worker processes: what they say, how they end, and what is left of them. */
#include "tests/test.h"

#include "tests/fake_worker.h"

#include <errno.h>
#include <sys/stat.h>
#include <uv.h>

#include "core/conf.h"
#include "core/err.h"
#include "core/store/queue.h"
#include "pipeline/pipeline.h"
#include "watcherd/crew/pool.h"

static uv_loop_t loop;
static struct conf conf; /* large */
static struct pool *pool;
static struct {
    int ended, said;
    char outcome[32], reason[256], path[64], step[32];
} got;

static void on_said(void *arg, const struct task *task, json_t *line)
{
    const char *step = json_string_value(json_object_get(line, "step"));

    (void)arg;
    (void)task;
    got.said++;
    snprintf(got.step, sizeof got.step, "%s", step != NULL ? step : "");
}

static void on_ended(void *arg, const struct task *task, const char *outcome,
                     const char *reason, json_t *last)
{
    const char *path = json_string_value(json_object_get(last, "path"));

    (void)arg;
    (void)task;
    got.ended++;
    snprintf(got.outcome, sizeof got.outcome, "%s", outcome);
    snprintf(got.reason, sizeof got.reason, "%s", reason);
    snprintf(got.path, sizeof got.path, "%s", path != NULL ? path : "");
}

static void too_late(uv_timer_t *timer)
{
    (void)timer;
    fail_msg("nothing happened");
}

/* Go round the loop until `done`. */
static void run_until(bool (*done)(void))
{
    uv_timer_t limit;

    uv_timer_init(&loop, &limit);
    uv_timer_start(&limit, too_late, PATIENCE_MS, 0);
    while (!done())
        uv_run(&loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&limit, NULL);
    uv_run(&loop, UV_RUN_NOWAIT);
}

static bool one_has_ended(void)
{
    return got.ended > 0;
}
static bool one_has_spoken(void)
{
    return got.said > 0;
}
static bool no_process_is_left(void)
{
    return pool_processes(pool) == 0;
}

static void start(const char *key)
{
    struct task task = {.name = "trial", .retry_count = 1};
    struct err e = {0};

    memset(&got, 0, sizeof got);
    snprintf(task.id, sizeof task.id, "id-of-%.8s", key);
    snprintf(task.key, sizeof task.key, "%s", key);
    if (pool_start(pool, &task, &e) != 0)
        fail_msg("%s", e.text);
}

/* The task is worked on to its end. */
static void trial(const char *key)
{
    start(key);
    run_until(one_has_ended);
}

static void note_pid(void *arg, const struct pool_look *look)
{
    *(int *)arg = look->pid;
}

/* The process that works now. */
static int pid_now(void)
{
    int pid = 0;

    pool_each_look(pool, note_pid, &pid);
    assert_true(pid > 0);
    return pid;
}

static void begin(const char *program)
{
    struct pool_opts opts = {.loop = &loop,
                             .conf = &conf,
                             .settings = "none",
                             .logs = own_dir,
                             .program = program,
                             .said = on_said,
                             .ended = on_ended};

    uv_loop_init(&loop);
    pool = pool_new(&opts);
}

static int set_up(void **state)
{
    if (in_own_dir(state) != 0)
        return -1;
    conf_defaults(&conf, own_dir, &pipeline_settings);
    begin("/proc/self/exe");
    return 0;
}

static int tear_down(void **state)
{
    pool_trim(pool, 0);
    run_until(no_process_is_left);
    pool_free(pool);
    if (uv_run(&loop, UV_RUN_DEFAULT) != 0 || uv_loop_close(&loop) != 0)
        return -1;
    return remove_dir(state);
}

static void a_process_works_on_one_task_after_the_other(void **state)
{
    int pid;

    (void)state;
    start("steps");
    pid = pid_now();
    run_until(one_has_ended);
    assert_string_equal(got.outcome, "done");
    assert_string_equal(got.path, "/a/product");
    assert_int_equal(got.said, 2); /* the step and the end */
    start("again");
    assert_int_equal(pid_now(), pid);
    run_until(one_has_ended);
    assert_int_equal(pool_processes(pool), 1);
    assert_int_equal(pool_running(pool), 0);
}

static void after_max_tasks_a_process_is_replaced(void **state)
{
    int pid;

    (void)state;
    conf.workers.max_tasks = 1;
    start("one");
    pid = pid_now();
    run_until(one_has_ended);
    start("two");
    assert_int_not_equal(pid_now(), pid);
    run_until(one_has_ended);
    assert_string_equal(got.outcome, "done");
}

static void after_new_settings_a_process_is_replaced(void **state)
{
    int pid;

    (void)state;
    start("one");
    pid = pid_now();
    pool_renew(pool);
    run_until(one_has_ended); /* what it has in hand it ends */
    assert_string_equal(got.outcome, "done");
    start("two");
    assert_int_not_equal(pid_now(), pid);
    run_until(one_has_ended);
}

static void a_task_that_did_not_end_well_is_told_when_its_process_has_gone(void **state)
{
    (void)state;
    trial("bad");
    assert_string_equal(got.outcome, "bad");
    assert_string_equal(got.reason, "no such data");
    assert_int_equal(pool_processes(pool), 0);
}

static void a_worker_that_dies_without_a_word_has_failed(void **state)
{
    (void)state;
    trial("dies");
    assert_string_equal(got.outcome, "failed");
    assert_non_null(strstr(got.reason, "ended by signal 9"));
    trial("ends");
    assert_string_equal(got.outcome, "failed");
    assert_string_equal(got.reason, "the worker ended with status 3 and no word");
}

static void rubbish_is_no_word(void **state)
{
    (void)state;
    trial("rubbish");
    assert_string_equal(got.outcome, "done");
    assert_int_equal(got.said, 2); /* "end of what?" is an event that nobody knows */
}

static void what_a_task_prints_is_in_its_log_up_to_the_limit(void **state)
{
    struct stat st;

    (void)state;
    conf.workers.log_max_kib = 16;
    trial("prints");
    assert_string_equal(got.outcome, "done");
    assert_int_equal(stat("id-of-prints.log", &st), 0);
    assert_in_range(st.st_size, 16 << 10, (16 << 10) + 500);
    trial("quiet");
    assert_int_equal(stat("id-of-quiet.log", &st), -1);
}

static void a_signal_ends_a_task_that_hangs(void **state)
{
    struct task other = {.id = "another"};

    (void)state;
    start("hangs");
    run_until(one_has_spoken);
    assert_string_equal(got.step, "hangs");
    pool_signal(pool, other.id, SIGKILL); /* of nobody */
    assert_int_equal(pool_running(pool), 1);
    pool_signal(pool, "id-of-hangs", SIGTERM);
    run_until(one_has_ended);
    assert_string_equal(got.outcome, "failed");
    assert_non_null(strstr(got.reason, "ended by signal 15"));
}

/* A process that nobody has fetched yet has ended, too. */
static bool lives(int pid)
{
    char path[64], state = 'Z';
    FILE *f;

    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    if ((f = fopen(path, "r")) == NULL)
        return false;
    if (fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
        state = 'Z';
    fclose(f);
    return state != 'Z' && state != 'X';
}

static void what_a_dead_worker_leaves_is_killed_before_its_end_is_told(void **state)
{
    FILE *f;
    int pid;

    (void)state;
    trial("leaves a child");
    assert_string_equal(got.outcome, "failed");
    assert_non_null(f = fopen("child", "r"));
    assert_int_equal(fscanf(f, "%d", &pid), 1);
    fclose(f);
    assert_false(lives(pid));
}

static void a_task_that_is_not_utf8_is_refused(void **state)
{
    struct task task = {.id = "x", .name = "trial", .key = "\xff"};
    struct err e = {0};

    (void)state;
    assert_int_equal(pool_start(pool, &task, &e), ERR_FORMAT);
    assert_non_null(strstr(e.text, "not UTF-8"));
    assert_int_equal(pool_processes(pool), 0);
}

/* Its id names its log. */
static void a_task_whose_id_is_a_path_is_refused(void **state)
{
    struct task task = {.id = "../../elsewhere", .name = "trial", .key = "g"};
    struct err e = {0};

    (void)state;
    assert_int_equal(pool_start(pool, &task, &e), ERR_FORMAT);
    assert_non_null(strstr(e.text, "the task's id \"../../elsewhere\""));
    assert_int_equal(pool_processes(pool), 0);
}

static void without_its_program_nothing_is_started(void **state)
{
    struct task task = {.id = "x", .name = "trial", .key = "y"};
    struct err e = {0};

    (void)state;
    pool_free(pool);
    assert_int_equal(uv_loop_close(&loop), 0);
    begin(NULL); /* there is no watcherd-task beside this test */
    assert_int_equal(pool_start(pool, &task, &e), -ENOENT);
    assert_non_null(strstr(e.text, "there is no watcherd-task beside"));
    assert_int_equal(pool_running(pool), 0);
}

#define POOL(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        POOL(a_process_works_on_one_task_after_the_other),
        POOL(after_max_tasks_a_process_is_replaced),
        POOL(after_new_settings_a_process_is_replaced),
        POOL(a_task_that_did_not_end_well_is_told_when_its_process_has_gone),
        POOL(a_worker_that_dies_without_a_word_has_failed),
        POOL(rubbish_is_no_word),
        POOL(what_a_task_prints_is_in_its_log_up_to_the_limit),
        POOL(a_signal_ends_a_task_that_hangs),
        POOL(what_a_dead_worker_leaves_is_killed_before_its_end_is_told),
        POOL(a_task_that_is_not_utf8_is_refused),
        POOL(a_task_whose_id_is_a_path_is_refused),
        POOL(without_its_program_nothing_is_started),
    };

    (void)argc;
    if (is_worker(argv))
        return work();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
