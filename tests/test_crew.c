/*
 * A crew on a real queue (SQLite), with worker processes that do as the key of their task says:
 * tasks that end well and badly, die, overrun, are cancelled and taken away; and the end.
 */
#include "tests/queue_one.h"
#include "tests/test.h"

#include "tests/fake_worker.h"

#include <sys/stat.h>
#include <uv.h>

#include "core/conf.h"
#include "core/err.h"
#include "core/mem.h"
#include "core/store/queue.h"
#include "pipeline/pipeline.h"
#include "watcherd/base/outcome.h"
#include "watcherd/base/store.h"
#include "watcherd/crew/crew.h"
#include "watcherd/crew/slot.h"

/* ---- what an end means: no process, no queue ---- */

static struct conf conf; /* large */

/* A task that runs and was stopped for that reason; its slot after it has ended so. */
static struct slot *ended_as(struct slots *all, const char *outcome,
                             enum slot_stop stop)
{
    struct task task = {.id = "a", .fence = 7, .timeout_s = 5, .retry_count = 1};
    struct slot *s = slots_add(all, &task);

    s->state = SLOT_RUNS;
    s->stop = stop;
    slot_end(all, s, outcome, "its word");
    assert_int_equal(s->state, SLOT_ENDED);
    assert_string_equal(s->end.id, "a");
    assert_int_equal(s->end.fence, 7);
    return s;
}

static struct slots no_slots(bool once)
{
    conf_defaults(&conf, "/nowhere", &pipeline_settings);
    conf.workers.retry_delay_s = 10;
    conf.workers.retry_max_s = 100;
    return (struct slots){.conf = &conf, .once = once, .seed = 1};
}

static void each_outcome_has_its_meaning(void **state)
{
    static const struct {
        const char *outcome;
        enum task_how how;
        double least_s,
            most_s; /* until the next attempt; the second one waits twice as long */
    } want[] = {
        {OUTCOME_DONE, TASK_COMPLETE, 0, 0},   {OUTCOME_SKIPPED, TASK_COMPLETE, 0, 0},
        {OUTCOME_BUSY, TASK_RELEASE, 5, 5},    {OUTCOME_LOST, TASK_RELEASE, 0, 0},
        {OUTCOME_STOPPED, TASK_RELEASE, 0, 0}, {OUTCOME_MACHINE, TASK_RELEASE, 20, 24},
        {OUTCOME_BAD, TASK_FAIL, 0, 0},        {OUTCOME_FAILED, TASK_RETRY, 20, 24},
        {"no such word", TASK_RETRY, 20, 24},
    };
    struct slots all = no_slots(false);

    (void)state;
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        struct slot *s = ended_as(&all, want[i].outcome, STOP_NOT);

        assert_int_equal(s->end.how, want[i].how);
        assert_true(s->end.delay_s >= want[i].least_s);
        assert_true(s->end.delay_s <= want[i].most_s);
        if (want[i].how != TASK_COMPLETE)
            assert_string_equal(s->end.text, "its word");
        slots_clear(&all);
    }
    all.once = true; /* nobody waits for the disk */
    assert_int_equal(ended_as(&all, OUTCOME_MACHINE, STOP_NOT)->end.how, TASK_RETRY);
    slots_clear(&all);
}

static void why_we_stopped_it_comes_before_what_it_said(void **state)
{
    static const struct {
        enum slot_stop stop;
        const char *said;
        enum task_how how;
        const char *text;
    } want[] = {
        {STOP_HARD, OUTCOME_STOPPED, TASK_RETRY, "ran longer than its timeout_s = 5 s"},
        {STOP_SOFT, OUTCOME_FAILED, TASK_RETRY, "ran longer than soft_limit_s = 3 s"},
        {STOP_CANCEL, OUTCOME_FAILED, TASK_CANCEL,
         "cancelled by an operator while it ran"},
        {STOP_GRACE, OUTCOME_FAILED, TASK_RELEASE, "the service stops"},
        {STOP_GRACE, OUTCOME_BAD, TASK_FAIL, "its word"},
    };
    struct slots all = no_slots(false);

    (void)state;
    conf.workers.soft_limit_s = 3;
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        struct slot *s = ended_as(&all, want[i].said, want[i].stop);

        assert_int_equal(s->end.how, want[i].how);
        assert_string_equal(s->end.text, want[i].text);
        slots_clear(&all);
    }
    /* done in the last moment is done */
    assert_int_equal(ended_as(&all, OUTCOME_DONE, STOP_HARD)->end.how, TASK_COMPLETE);
    slots_clear(&all);
}

static void a_task_is_found_by_its_fence_only(void **state)
{
    struct slots all = no_slots(false);
    struct task first = {.id = "a", .fence = 1}, again = {.id = "a", .fence = 2};
    struct slot *one = slots_add(&all, &first), *two = slots_add(&all, &again);

    (void)state;
    assert_ptr_equal(slots_find(&all, "a", 1), one);
    assert_ptr_equal(slots_find(&all, "a", 2), two);
    assert_null(slots_find(&all, "a", 3));
    assert_null(slots_find(&all, "b", 1));
    assert_int_equal(slots_count(&all, SLOT_WAITS), 2);
    slots_remove(&all, one);
    assert_null(slots_find(&all, "a", 1));
    slots_clear(&all);
}

/* ---- a crew at work ---- */

static struct {
    uv_loop_t loop;
    uv_timer_t limit;
    struct store *store;
    struct crew *crew;
    struct queue *q; /* ours, to look and to edit */
    int ended, stopped;
    enum crew_how how; /* of the last end */
} r;

static void on_news(void *arg, bool changed)
{
    (void)arg;
    if (r.crew != NULL)
        crew_wake(r.crew, changed);
}

static void on_ended(void *arg, const struct task *task, enum crew_how how)
{
    (void)arg;
    (void)task;
    r.ended++;
    r.how = how;
}

static void on_stopped(void *arg)
{
    (void)arg;
    r.stopped++;
}

static void too_late(uv_timer_t *timer)
{
    (void)timer;
    fail_msg("nothing happened");
}

static void until(bool (*done)(void))
{
    while (!done())
        uv_run(&r.loop, UV_RUN_ONCE);
}

static bool store_is_up(void)
{
    struct store_look look;

    store_look(r.store, &look);
    return look.up;
}

static int set_up(void **state)
{
    struct store_opts so = {.loop = &r.loop, .conf = &conf, .news = on_news};
    struct crew_opts co = {.loop = &r.loop,
                           .conf = &conf,
                           .settings = "none",
                           .program = "/proc/self/exe",
                           .name = "test",
                           .slots = 2,
                           .ended = on_ended,
                           .stopped = on_stopped};

    memset(&r, 0, sizeof r);
    if (in_own_dir(state) != 0)
        return -1;
    conf_defaults(&conf, own_dir, &pipeline_settings);
    conf.workers.retry_delay_s = 0;
    conf.workers.cancel_grace_s = PATIENCE_MS / 1000;
    if (mkdir(conf.paths.state, 0777) != 0)
        return -1;
    uv_loop_init(&r.loop);
    uv_timer_init(&r.loop, &r.limit);
    uv_timer_start(&r.limit, too_late, PATIENCE_MS, 0);
    if (store_new(&r.store, &so, NULL) != 0)
        return -1;
    until(store_is_up); /* the tables are made */
    co.store = r.store;
    if (crew_new(&r.crew, &co, NULL) != 0 ||
        queue_open_conf(&r.q, &conf, QUEUE_AS_TOOL, NULL) != 0)
        return -1;
    crew_start(r.crew);
    return 0;
}

static void close_handle(uv_handle_t *handle, void *arg)
{
    (void)arg;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static bool has_stopped(void)
{
    return r.stopped > 0;
}

static int tear_down(void **state)
{
    crew_stop(r.crew, 0);
    until(has_stopped);
    if (store_stop(r.store, PATIENCE_MS / 1000) != 0)
        return -1;
    uv_walk(&r.loop, close_handle, NULL);
    uv_run(&r.loop, UV_RUN_DEFAULT);
    crew_free(r.crew);
    store_free(r.store);
    queue_close(r.q);
    return uv_loop_close(&r.loop) == 0 ? remove_dir(state) : -1;
}

static void submit(const char *key, int max_retries, double timeout_s)
{
    struct task_spec spec = {.name = "trial",
                             .key = key,
                             .max_retries = max_retries,
                             .timeout_s = timeout_s};

    assert_int_equal(queue_spawn(r.q, &spec, 1, NULL), 0);
    crew_wake(r.crew, false);
}

static struct task task_now(const char *key)
{
    struct task t, out;

    assert_int_equal(queue_status(r.q, "trial", key, &t, NULL), 0);
    out = t;
    out.params = out.result = NULL;
    task_clear(&t);
    return out;
}

static bool one_has_ended(void)
{
    return r.ended > 0;
}

static bool all_have_ended(void)
{
    return r.ended >= 20;
}

static bool all_is_idle(void)
{
    struct crew_look look;

    crew_look(r.crew, &look);
    return look.idle && look.empty;
}

static void find_step(void *arg, const struct pool_look *look)
{
    *(bool *)arg |= strcmp(look->step, "hangs") == 0;
}

static bool one_hangs(void)
{
    bool found = false;

    crew_each(r.crew, find_step, &found);
    return found;
}

static void tasks_are_worked_on_until_none_is_left(void **state)
{
    char key[16];

    (void)state;
    for (int i = 0; i < 20; i++) {
        snprintf(key, sizeof key, "k%d", i);
        submit(key, 0, 0);
    }
    /* idle may be said before the tasks were seen */
    until(all_have_ended);
    until(all_is_idle);
    assert_int_equal(r.ended, 20);
    assert_int_equal(r.how, CREW_DONE);
    assert_int_equal(task_now("k7").status, TASK_COMPLETED);
}

static void bad_data_is_not_tried_again(void **state)
{
    (void)state;
    submit("bad", 5, 0);
    until(one_has_ended);
    assert_int_equal(r.how, CREW_FAILED);
    assert_int_equal(task_now("bad").status, TASK_FAILED);
    assert_string_equal(task_now("bad").error, "no such data");
}

static void
a_task_whose_worker_dies_is_tried_again_until_its_retries_are_used_up(void **state)
{
    (void)state;
    submit("dies", 1, 0);
    until(one_has_ended);
    assert_int_equal(r.how, CREW_AGAIN);
    r.ended = 0;
    until(one_has_ended);
    assert_int_equal(r.how, CREW_FAILED);
    assert_int_equal(task_now("dies").status, TASK_FAILED);
    assert_non_null(strstr(task_now("dies").error, "ended by signal 9"));
}

static void a_task_that_overruns_is_killed(void **state)
{
    (void)state;
    submit("hangs", 0, 0.05);
    until(one_has_ended);
    assert_int_equal(r.how, CREW_FAILED);
    assert_string_equal(task_now("hangs").error,
                        "ran longer than its timeout_s = 0.05 s");
}

static void a_task_is_cancelled_while_it_runs(void **state)
{
    struct task_filter filter = {.key = "hangs"};
    size_t n;

    (void)state;
    submit("hangs", 3, 0);
    until(one_hangs);
    assert_int_equal(queue_change(r.q, QUEUE_CANCEL, &filter, 0, &n, NULL), 0);
    assert_int_equal(n, 1);
    until(one_has_ended);
    assert_int_equal(r.how, CREW_CANCELLED);
    assert_int_equal(task_now("hangs").status, TASK_CANCELLED);
}

static void a_task_that_was_taken_away_is_killed_and_not_told(void **state)
{
    struct task_end end = {.how = TASK_COMPLETE};
    struct task t;

    (void)state;
    submit("hangs", 3, 0);
    until(one_hangs);
    t = task_now("hangs");
    end.fence = t.fence;
    memcpy(end.id, t.id, sizeof end.id);
    assert_int_equal(end_one(r.q, &end, NULL), 0);
    until(all_is_idle);
    assert_int_equal(r.ended, 0);
    assert_int_equal(task_now("hangs").status, TASK_COMPLETED);
}

static void the_end_hands_back_what_runs(void **state)
{
    (void)state;
    submit("hangs", 3, 0);
    until(one_hangs);
    crew_stop(r.crew, 0);
    until(has_stopped);
    assert_int_equal(r.how, CREW_AGAIN);
    assert_int_equal(task_now("hangs").status, TASK_PENDING);
    assert_int_equal(task_now("hangs").retry_count, 0);
}

static void while_it_is_held_nothing_is_claimed(void **state)
{
    struct crew_look look;

    (void)state;
    until(all_is_idle); /* a round that began before would still claim */
    crew_hold(r.crew, "the disk is full");
    submit("waits", 0, 0);
    for (int i = 0; i < 20; i++)
        uv_run(&r.loop, UV_RUN_NOWAIT);
    crew_look(r.crew, &look);
    assert_int_equal(look.running, 0);
    assert_string_equal(look.held, "the disk is full");
    crew_hold(r.crew, NULL);
    until(one_has_ended);
    assert_int_equal(r.how, CREW_DONE);
}

#define CREW(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_outcome_has_its_meaning),
        cmocka_unit_test(why_we_stopped_it_comes_before_what_it_said),
        cmocka_unit_test(a_task_is_found_by_its_fence_only),
        CREW(tasks_are_worked_on_until_none_is_left),
        CREW(bad_data_is_not_tried_again),
        CREW(a_task_whose_worker_dies_is_tried_again_until_its_retries_are_used_up),
        CREW(a_task_that_overruns_is_killed),
        CREW(a_task_is_cancelled_while_it_runs),
        CREW(a_task_that_was_taken_away_is_killed_and_not_told),
        CREW(the_end_hands_back_what_runs),
        CREW(while_it_is_held_nothing_is_claimed),
    };

    (void)argc;
    if (is_worker(argv))
        return work();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
