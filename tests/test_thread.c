/*
 * test_thread.c: the thread beside the loop: jobs that are posted and asked, deadlines, one
 * that hangs, and who frees what.
 */
#include "tests/test.h"

#include <errno.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <string.h>

#include "core/clock.h"
#include "watcherd/base/thread.h"

struct rig {
    uv_loop_t loop;
    uv_timer_t limit;
    struct side *side;
    char order[64]; /* a letter for each done, in order */
    _Atomic int freed;
    int woke;
    bool limited;
};

static void on_woke(void *arg)
{
    struct rig *r = arg;

    r->woke++;
}

static void on_limit(uv_timer_t *timer)
{
    struct rig *r = timer->data;

    r->limited = true;
    uv_stop(timer->loop);
}

/* Go round the loop until something has come back. */
static void go(struct rig *r)
{
    r->limited = false;
    uv_update_time(&r->loop);
    uv_timer_start(&r->limit, on_limit, PATIENCE_MS, 0);
    uv_run(&r->loop, UV_RUN_DEFAULT);
    uv_timer_stop(&r->limit);
    assert_false(r->limited);
}

static void go_until(struct rig *r, const char *order, int freed)
{
    while (strcmp(r->order, order) != 0 || r->freed < freed) {
        assert_true(strlen(r->order) <= strlen(order));
        go(r);
    }
}

static void begin(struct rig *r)
{
    memset(r, 0, sizeof *r);
    uv_loop_init(&r->loop);
    uv_timer_init(&r->loop, &r->limit);
    r->limit.data = r;
    assert_int_equal(
        side_new(&r->side,
                 &(struct side_opts){
                     .loop = &r->loop, .woke = on_woke, .arg = r, .what = "it has"},
                 NULL),
        0);
    assert_int_equal(side_start(r->side, NULL), 0);
}

static void end(struct rig *r, double wait_s, int rc)
{
    assert_int_equal(side_stop(r->side, wait_s), rc);
    side_close(r->side);
    uv_close((uv_handle_t *)&r->limit, NULL);
    while (uv_run(&r->loop, UV_RUN_DEFAULT) != 0) /* what ended last has stopped it */
        continue;
    assert_int_equal(uv_loop_close(&r->loop), 0);
    side_free(r->side);
}

/* A job that waits for its gates, and fails `again` times before. */
struct job {
    struct side_job job;
    struct rig *rig;
    char letter;
    int again, rc, got, runs;
    char said[256];
    sem_t *begun, *gate, *freed;
};

static int run(struct side_job *side, void *arg, struct err *e)
{
    struct job *j = (struct job *)side;

    assert_ptr_equal(arg, j->rig);
    j->runs++;
    if (j->begun != NULL)
        sem_post(j->begun);
    if (j->gate != NULL)
        sem_wait(j->gate);
    if (j->runs <= j->again)
        return SIDE_AGAIN;
    return j->rc == 0 ? 0 : err_set(e, j->rc, "as told");
}

static void done(struct side_job *side, int rc, const struct err *e)
{
    struct job *j = (struct job *)side;
    struct rig *r = j->rig;

    j->got = rc;
    snprintf(j->said, sizeof j->said, "%s", e->text);
    r->order[strlen(r->order)] = j->letter;
    uv_stop(&r->loop);
}

static void on_free(struct side_job *side)
{
    struct job *j = (struct job *)side;
    sem_t *freed = j->freed;

    if (freed != NULL) { /* the loop is gone, and the rig with it */
        sem_post(freed);
        return;
    }
    j->rig->freed++;
    uv_stop(&j->rig->loop);
}

static struct job job(struct rig *r, char letter)
{
    return (struct job){.job = {.run = run, .done = done, .free = on_free},
                        .rig = r,
                        .letter = letter,
                        .got = 1};
}

static void jobs_come_back_in_order_with_what_they_returned(void **state)
{
    struct rig r;
    struct job a, b, c;

    (void)state;
    begin(&r);
    a = job(&r, 'a');
    b = job(&r, 'b');
    c = job(&r, 'c');
    b.rc = -ENOSPC;
    c.again = 2;
    side_post(r.side, &a.job);
    side_post(r.side, &b.job);
    side_post(r.side, &c.job);
    assert_string_equal(r.order, ""); /* never before the loop goes round */
    go_until(&r, "abc", 3);
    assert_int_equal(a.got, 0);
    assert_string_equal(a.said, "");
    assert_int_equal(b.got, -ENOSPC);
    assert_string_equal(b.said, "as told");
    assert_int_equal(c.runs, 3);
    assert_true(r.woke > 0);
    end(&r, 20, 0);
}

static void who_asks_is_served_before_who_posted_and_in_turn(void **state)
{
    struct rig r;
    struct job a, b, c, d;
    sem_t begun, gate;

    (void)state;
    sem_init(&begun, 0, 0);
    sem_init(&gate, 0, 0);
    begin(&r);
    a = job(&r, 'a');
    b = job(&r, 'b');
    c = job(&r, 'c');
    d = job(&r, 'd');
    a.begun = &begun;
    a.gate = &gate;
    side_post(r.side, &a.job);
    sem_wait(&begun);
    side_post(r.side, &b.job);
    side_ask(r.side, &c.job, 60);
    side_ask(r.side, &d.job, 60);
    sem_post(&gate);
    go_until(&r, "acdb", 4);
    end(&r, 20, 0);
}

static void a_deadline_is_kept_while_the_thread_hangs(void **state)
{
    struct rig r;
    struct job hangs, waits, refused, later;
    double before, took;
    sem_t begun, gate;

    (void)state;
    sem_init(&begun, 0, 0);
    sem_init(&gate, 0, 0);
    begin(&r);
    hangs = job(&r, 'h');
    hangs.begun = &begun;
    hangs.gate = &gate;
    waits = job(&r, 'w');
    refused = job(&r, 'r');
    later = job(&r, 'l');
    side_ask(r.side, &hangs.job, 0.3);
    sem_wait(&begun);
    side_post(r.side, &later.job);
    side_ask(r.side, &waits.job, 0.6);
    assert_true(side_hung_s(r.side) >= 0);
    /* The one that has begun is left to the thread, and not freed. */
    go_until(&r, "h", 0);
    assert_int_equal(hangs.got, -EINPROGRESS);
    assert_int_equal(r.freed, 0);
    assert_non_null(strstr(hangs.said, "it has not answered for 0."));
    /* The one that has not never runs. */
    go_until(&r, "hw", 1);
    assert_int_equal(waits.got, -ETIMEDOUT);
    assert_int_equal(waits.runs, 0);
    /* Who would wait for less than it has hung is told at once, but from the loop. */
    before = clock_boot_s();
    side_ask(r.side, &refused.job, 0.5);
    assert_string_equal(r.order, "hw");
    go_until(&r, "hwr", 2);
    took = clock_boot_s() - before;
    print_message("refused after %.3f s\n", took);
    assert_int_equal(refused.got, -ETIMEDOUT);
    assert_int_equal(refused.runs, 0);
    /* It comes back: the job is freed without a second done, and the thread goes on. */
    sem_post(&gate);
    go_until(&r, "hwrl", 4);
    assert_int_equal(hangs.got, -EINPROGRESS);
    assert_int_equal(later.got, 0);
    end(&r, 20, 0);
}

static void what_is_refused_is_told_from_the_loop(void **state)
{
    struct rig r;
    struct job a;
    struct err e = {0};

    (void)state;
    begin(&r);
    a = job(&r, 'a');
    err_set(&e, -EPERM, "not today");
    side_refuse(r.side, &a.job, &e);
    assert_int_equal(a.got, 1);
    go_until(&r, "a", 1);
    assert_int_equal(a.got, -EPERM);
    assert_string_equal(a.said, "not today");
    assert_int_equal(a.runs, 0);
    end(&r, 20, 0);
}

static void the_end_waits_for_the_job_in_hand_and_tells_of_it(void **state)
{
    struct rig r;
    struct job a;
    sem_t begun, gate;

    (void)state;
    sem_init(&begun, 0, 0);
    sem_init(&gate, 0, 1);
    begin(&r);
    a = job(&r, 'a');
    a.begun = &begun;
    a.gate = &gate;
    side_post(r.side, &a.job);
    sem_wait(&begun);
    end(&r, 20, 0); /* the loop has not gone round since */
    assert_string_equal(r.order, "a");
    assert_int_equal(a.got, 0);
    assert_int_equal(r.freed, 1);
}

static void a_thread_that_hangs_is_left_alone_and_frees_its_job_later(void **state)
{
    static struct job hangs; /* as what a thread left alone still uses must stay */
    static sem_t begun, gate, freed;
    static struct rig r;
    struct job waits;

    (void)state;
    sem_init(&begun, 0, 0);
    sem_init(&gate, 0, 0);
    sem_init(&freed, 0, 0);
    begin(&r);
    hangs = job(&r, 'h');
    hangs.begun = &begun;
    hangs.gate = &gate;
    hangs.freed = &freed;
    waits = job(&r, 'w');
    side_post(r.side, &hangs.job);
    sem_wait(&begun);
    side_ask(r.side, &waits.job, 60);
    end(&r, 0.05, -ETIMEDOUT);
    assert_string_equal(r.order, "w"); /* the one that hangs is not told */
    assert_int_equal(waits.got, -ECANCELED);
    assert_int_equal(sem_trywait(&freed), -1);
    sem_post(&gate);
    sem_wait(&freed);
    assert_int_equal(hangs.got, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jobs_come_back_in_order_with_what_they_returned),
        cmocka_unit_test(who_asks_is_served_before_who_posted_and_in_turn),
        cmocka_unit_test(a_deadline_is_kept_while_the_thread_hangs),
        cmocka_unit_test(what_is_refused_is_told_from_the_loop),
        cmocka_unit_test(the_end_waits_for_the_job_in_hand_and_tells_of_it),
        cmocka_unit_test(a_thread_that_hangs_is_left_alone_and_frees_its_job_later),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
