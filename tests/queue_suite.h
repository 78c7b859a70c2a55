/*
 * queue_suite.h: what every store of tasks must do; included by test_queue.c (SQLite) and
 * test_queue_pg.c (PostgreSQL), each of which gives
 *
 *   static int store_open(struct queue **out, enum queue_role role, long aging,
 *                         struct err *e);
 *       this test's own store
 *   static const char *by_hand(const char *sql);
 *       what an operator types beside the open queue, the tables named without schema: the
 *       first value of the last row ("" none), or "error: ..."
 *   static int store_make(void **state), store_remove(void **state);
 *       set-up and tear-down of that store
 *
 * and runs QUEUE_SUITE.  Its last tests go through a wrapper that loses every third answer
 * after the store has committed, whose caller repeats, as queue.h says that it may.
 */
#ifndef TESTS_QUEUE_SUITE_H
#define TESTS_QUEUE_SUITE_H

#include "tests/queue_one.h"
#include "tests/test.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/store/queue.h"
#include "core/store/queue_store.h"

static int store_open(struct queue **out, enum queue_role role, long aging,
                      struct err *e);
static const char *by_hand(const char *sql);
static int store_make(void **state);
static int store_remove(void **state);

#define LEASE_S 60.0

static struct queue *q;
static struct err e;
static struct task t;
static struct queue_worker me = {.id = "h1:w:1",
                                 .machine = "m1",
                                 .boot = "b1",
                                 .host = "h1",
                                 .pid = 1,
                                 .start = 7,
                                 .state = "running",
                                 .slots = 4};

/* ---- a store that loses answers ---- */

struct lossy {
    struct queue base;
    struct queue *inner;
    unsigned call;
};

/* Every third answer is lost on its way back, whatever it was. */
static int lose(struct queue *base, int rc, struct err *why)
{
    struct lossy *l = (struct lossy *)(void *)base;

    if (rc != 0 || ++l->call % 3 != 0)
        return rc;
    return err_set(why, ERR_STORE_DOWN, "the answer was lost");
}

static struct queue *inner(struct queue *base)
{
    return ((struct lossy *)(void *)base)->inner;
}

static int lossy_spawn(struct queue *b, struct task_spec *s, size_t n, struct err *w)
{
    return lose(b, queue_spawn(inner(b), s, n, w), w);
}

static int lossy_turn(struct queue *b, struct queue_turn *turn, struct err *w)
{
    int rc = lose(b, queue_turn(inner(b), turn, w), w);

    while (rc != 0 && turn->ngot > 0) /* nobody hears of these claims */
        task_clear(&turn->got[--turn->ngot]);
    return rc;
}

static int lossy_beat(struct queue *b, const struct queue_worker *w,
                      struct task_ref *ref, size_t n, double lease_s, size_t *dropped,
                      struct err *why)
{
    return lose(b, queue_beat(inner(b), w, ref, n, lease_s, dropped, why), why);
}

static int lossy_bury(struct queue *b, const char *w, size_t *n, struct err *why)
{
    return lose(b, queue_bury(inner(b), w, n, why), why);
}

static int lossy_change(struct queue *b, enum queue_order order,
                        const struct task_filter *f, int priority, size_t *n,
                        struct err *why)
{
    return lose(b, queue_change(inner(b), order, f, priority, n, why), why);
}

static void lossy_close(struct queue *b)
{
    queue_close(inner(b));
    free(b);
}

static struct queue *lossy_new(struct queue *of)
{
    static const struct queue_ops ops = {.close = lossy_close,
                                         .spawn = lossy_spawn,
                                         .turn = lossy_turn,
                                         .beat = lossy_beat,
                                         .bury = lossy_bury,
                                         .change = lossy_change};
    struct lossy *l = calloc(1, sizeof *l);

    assert_non_null(l);
    l->base.ops = &ops;
    l->inner = of;
    return &l->base;
}

/* ---- what the tests say ---- */

static int suite_open(void **state)
{
    q = NULL;
    return store_make(state) == 0 ? store_open(&q, QUEUE_AS_DAEMON, 0, &e) : -1;
}

static int suite_open_aging(void **state)
{
    q = NULL;
    return store_make(state) == 0 ? store_open(&q, QUEUE_AS_DAEMON, 3, &e) : -1;
}

static int suite_close(void **state)
{
    task_clear(&t);
    queue_close(q);
    q = NULL;
    return store_remove(state);
}

static void spawn(const char *name, const char *key, int priority)
{
    bool made;

    assert_int_equal(spawn_one(q,
                               (struct task_spec){.name = name,
                                                  .key = key,
                                                  .params = "{\"n\":7}",
                                                  .priority = priority,
                                                  .max_retries = 2},
                               &made, &e),
                     0);
    assert_true(made);
}

/* Claim into t: the key it must give. */
static void claim(const char *key)
{
    task_clear(&t);
    assert_int_equal(claim_one(q, me.id, LEASE_S, &t, &e), 0);
    assert_string_equal(t.key, key);
}

static void none_due(void)
{
    task_clear(&t);
    assert_int_equal(claim_one(q, me.id, LEASE_S, &t, &e), -EAGAIN);
}

/* Tell how the task of (id, fence) ended. */
static int tell(const char *id, int64_t fence, enum task_how how, const char *text,
                double delay_s)
{
    struct task_end end = {
        .fence = fence, .how = how, .text = text, .delay_s = delay_s};

    snprintf(end.id, sizeof end.id, "%s", id);
    return end_one(q, &end, &e);
}

static int done(void)
{
    return tell(t.id, t.fence, TASK_COMPLETE, "{}", 0);
}

/* The state of a task into t. */
static void look(const char *key)
{
    task_clear(&t);
    assert_int_equal(queue_status(q, "continuum", key, &t, &e), 0);
}

static size_t count(enum task_status status)
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
    free(s.result);
    s.params = s.result = NULL;
    return task_status_name(s.status);
}

/* A sign of life with the n tasks of ref; how many others were handed back. */
static size_t beat(struct task_ref *ref, size_t n)
{
    size_t dropped;

    me.running = (int)n;
    assert_int_equal(queue_beat(q, &me, ref, n, LEASE_S, &dropped, &e), 0);
    return dropped;
}

static struct task_ref ref_of(const struct task *task)
{
    struct task_ref ref = {.fence = task->fence};

    snprintf(ref.id, sizeof ref.id, "%s", task->id);
    return ref;
}

/* ---- making and claiming ---- */

static void spawning_twice_makes_one_task(void **state)
{
    bool made;

    (void)state;
    spawn("continuum", "2026-11-22T01:00:00", 0);
    assert_int_equal(spawn_one(q,
                               (struct task_spec){.name = "continuum",
                                                  .key = "2026-11-22T01:00:00",
                                                  .params = "{\"n\":8}",
                                                  .priority = 5,
                                                  .max_retries = 2},
                               &made, &e),
                     0);
    assert_false(made);
    spawn("mosaic", "2026-11-22T01:00:00", 0); /* another name: another task */
    assert_int_equal(count(TASK_PENDING), 2);
    look("2026-11-22T01:00:00");
    assert_non_null(strstr(t.params, "7"));
    assert_int_equal(t.status, TASK_PENDING);
    assert_int_equal(t.max_retries, 2);
    assert_true(t.created > 1.7e9 && t.claimed == 0 && t.ended == 0);
    task_clear(&t);
    assert_int_equal(queue_status(q, "continuum", "absent", &t, &e), -ENOENT);
}

static void a_batch_of_tasks_is_made_whole_or_not_at_all(void **state)
{
    struct task_spec spec[] = {{.name = "continuum", .key = "a", .priority = 3},
                               {.name = "continuum", .key = "b", .timeout_s = 77},
                               {.name = "continuum", .key = "c", .params = "{n:"}};

    (void)state;
    assert_int_equal(queue_spawn(q, spec, 3, &e), -EINVAL);
    assert_int_equal(count(TASK_PENDING), 0);
    assert_int_equal(queue_spawn(q, spec, 2, &e), 0);
    assert_true(spec[0].made && spec[1].made);
    look("b");
    assert_true(t.timeout_s == 77 && t.priority == 0);
    assert_string_equal(t.params, "{}");
}

static void claims_go_by_priority_then_key(void **state)
{
    (void)state;
    spawn("continuum", "c", 0);
    spawn("continuum", "b", 0);
    spawn("continuum", "z", 10);
    spawn("continuum", "a", -1);
    claim("z");
    assert_int_equal(t.status, TASK_CLAIMED);
    assert_string_equal(t.worker, me.id);
    assert_true(t.claimed >= t.created && t.heartbeat == t.claimed);
    assert_int_equal(strlen(t.id), 36);
    assert_int_equal(t.id[14], '7'); /* UUID version, RFC 9562 section 4.2 */
    assert_non_null(strchr("89ab", t.id[19]));
    claim("b");
    claim("c");
    claim("a");
    none_due();
    assert_null(t.params);
}

static void one_turn_ends_and_claims_many(void **state)
{
    struct task got[8] = {0};
    struct task_end end[3] = {{.how = TASK_COMPLETE}, {.how = TASK_RETRY, .text = "x"}};
    struct queue_turn turn = {
        .worker = me.id, .want = 8, .lease_s = LEASE_S, .got = got};

    (void)state;
    for (char key[] = "a"; key[0] <= 'e'; key[0]++)
        spawn("continuum", key, 0);
    turn.want = 2;
    assert_int_equal(queue_turn(q, &turn, &e), 0);
    assert_int_equal(turn.ngot, 2);
    for (size_t i = 0; i < 2; i++) {
        strcpy(end[i].id, got[i].id);
        end[i].fence = got[i].fence;
        task_clear(&got[i]);
    }
    strcpy(end[2].id, end[0].id); /* a late word beside good ones harms nobody */
    end[2].fence = end[0].fence - 1;
    end[2].how = TASK_COMPLETE;
    turn.end = end;
    turn.nend = 3;
    turn.want = 8;
    assert_int_equal(queue_turn(q, &turn, &e), 0);
    assert_int_equal(end[0].rc, 0);
    assert_int_equal(end[1].rc, 0);
    assert_int_equal(end[2].rc, ERR_LOST_TASK);
    assert_int_equal(turn.ngot, 4); /* b again, c, d, e */
    assert_string_equal(got[0].key, "b");
    assert_int_equal(got[0].retry_count, 1);
    assert_string_equal(got[3].key, "e");
    assert_true(got[0].fence != got[1].fence);
    assert_string_equal(status_of("a"), "completed");
    for (size_t i = 0; i < 4; i++)
        task_clear(&got[i]);
}

static void add_key(void *arg, const struct task *task)
{
    char *s = arg;

    snprintf(s + strlen(s), 64 - strlen(s), "%s:%s ", task->key,
             task_status_name(task->status));
}

static const char *listed(struct task_filter filter)
{
    static char keys[64];

    keys[0] = '\0';
    assert_int_equal(queue_each(q, &filter, add_key, keys, &e), 0);
    return keys;
}

static void tasks_are_listed_by_what_one_asks_for(void **state)
{
    char start[10];

    (void)state;
    spawn("continuum", "c", 9);
    spawn("continuum", "a", 0);
    spawn("mosaic", "m", 0);
    spawn("continuum", "b", 5);
    claim("c");
    assert_string_equal(listed((struct task_filter){.name = "continuum"}),
                        "a:pending b:pending c:claimed ");
    assert_string_equal(listed((struct task_filter){.name = "none"}), "");
    assert_string_equal(listed((struct task_filter){
                            .status = TASK_PENDING, .newest = true, .limit = 2}),
                        "b:pending m:pending ");
    snprintf(start, sizeof start, "%.8s", t.id);
    assert_non_null(strstr(listed((struct task_filter){.id = t.id}), "c:claimed "));
    assert_non_null(strstr(listed((struct task_filter){.id = start}), "c:claimed "));
    assert_int_equal(
        queue_each(q, &(struct task_filter){.id = "01"}, add_key, start, &e), -EINVAL);
    assert_string_equal(listed((struct task_filter){.claimed_before_s = 3600}), "");
    assert_string_equal(listed((struct task_filter){.silent_s = 3600}), "");
    by_hand("UPDATE t_tasks SET claimed_at = '2026-01-01T00:00:00.000Z'"
            " WHERE status = 'claimed'");
    assert_string_equal(listed((struct task_filter){.claimed_before_s = 3600}),
                        "c:claimed ");
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

/* ---- fences ---- */

static void each_claim_gets_a_higher_fence(void **state)
{
    int64_t fence;

    (void)state;
    spawn("continuum", "a", 0);
    spawn("continuum", "b", 0);
    claim("a");
    fence = t.fence;
    assert_true(fence > 0);
    assert_int_equal(tell(t.id, fence, TASK_RELEASE, NULL, 0), 0);
    claim("a");
    assert_true(t.fence > fence);
    fence = t.fence;
    claim("b");
    assert_true(t.fence > fence);
}

/* matrix: queue 2 late word of an overtaken worker */
static void a_stale_fence_is_refused_by_every_call(void **state)
{
    char id[QUEUE_ID];
    struct task_ref old;

    (void)state;
    spawn("continuum", "a", 0);
    claim("a");
    strcpy(id, t.id);
    old = ref_of(&t);
    assert_int_equal(tell(id, old.fence, TASK_RELEASE, NULL, 0), 0);
    claim("a"); /* by someone else, meanwhile */
    assert_int_equal(tell(id, old.fence, TASK_COMPLETE, NULL, 0), ERR_LOST_TASK);
    assert_int_equal(tell(id, old.fence, TASK_RETRY, "late", 0), ERR_LOST_TASK);
    assert_string_equal(status_of("a"), "claimed");
    assert_int_equal(done(), 0);
    assert_int_equal(
        tell("01900000-0000-7000-8000-000000000000", 1, TASK_COMPLETE, NULL, 0),
        ERR_LOST_TASK);
}

/* The commit succeeded and the answer was lost: the worker says it again. */
/* matrix: queue 3 the same end told twice */
static void telling_the_same_end_again_changes_nothing(void **state)
{
    (void)state;
    spawn("continuum", "a", 0);
    claim("a");
    assert_int_equal(tell(t.id, t.fence, TASK_RETRY, "x", 0), 0);
    assert_int_equal(tell(t.id, t.fence, TASK_RETRY, "x", 0), 0);
    look("a");
    assert_int_equal(t.retry_count, 1); /* counted once */
    claim("a");
    assert_int_equal(done(), 0);
    assert_int_equal(done(), 0);
    assert_int_equal(tell(t.id, t.fence, TASK_FAIL, "x", 0), ERR_LOST_TASK);
    assert_string_equal(status_of("a"), "completed");
}

/* ---- ends ---- */

static void keep_attempt(void *arg, const struct task_attempt *a)
{
    char *s = arg;

    assert_true(a->claimed > 1.7e9 && (a->ended == 0 || a->ended >= a->claimed));
    snprintf(s + strlen(s), QUEUE_TEXT - strlen(s), "%d%s%s ", a->attempt, a->outcome,
             a->error);
}

static const char *attempts(const char *id)
{
    static char s[QUEUE_TEXT];

    s[0] = '\0';
    assert_int_equal(queue_attempts(q, id, keep_attempt, s, &e), 0);
    return s;
}

static void a_failed_task_is_tried_again_later_and_then_fails(void **state)
{
    double in_s;

    (void)state;
    spawn("continuum", "a", 0); /* max_retries 2 */
    claim("a");
    assert_int_equal(tell(t.id, t.fence, TASK_RETRY, "disk full", 3600), 0);
    assert_string_equal(status_of("a"), "pending");
    none_due(); /* not yet due */
    assert_int_equal(queue_next_due(q, &in_s, &e), 0);
    assert_true(in_s > 3500 && in_s <= 3600);
    assert_int_equal(
        queue_change(q, QUEUE_RETRY, &(struct task_filter){0}, 0, &(size_t){0}, &e),
        0); /* for those that have ended: this one waits */
    none_due();
    look("a");
    assert_int_equal(t.retry_count, 1);
    assert_string_equal(t.error, "disk full");
    assert_true(t.run_after > t.created + 3500);
}

static void the_last_retry_is_the_last(void **state)
{
    double in_s;

    (void)state;
    spawn("continuum", "a", 0); /* max_retries 2 */
    for (int i = 0; i < 3; i++) {
        claim("a");
        assert_int_equal(t.retry_count, i);
        assert_int_equal(
            tell(t.id, t.fence, TASK_RETRY, i < 2 ? "again" : "for good", 0), 0);
    }
    assert_string_equal(status_of("a"), "failed");
    none_due();
    assert_int_equal(queue_next_due(q, &in_s, &e), 0);
    assert_true(in_s < 0);
    look("a");
    assert_string_equal(attempts(t.id), "1failedagain 2failedagain 3failedfor good ");
    assert_string_equal(t.error, "for good");
    assert_true(t.ended >= t.created);
    assert_int_equal(queue_change(q, QUEUE_RETRY,
                                  &(struct task_filter){.status = TASK_FAILED}, 0,
                                  &(size_t){0}, &e),
                     0);
    claim("a");
    assert_int_equal(t.retry_count, 0); /* all of them again */
}

static void a_failure_that_is_not_to_be_retried_is_final(void **state)
{
    (void)state;
    spawn("continuum", "a", 0);
    claim("a");
    assert_int_equal(tell(t.id, t.fence, TASK_FAIL, "not HDF5", 0), 0);
    look("a");
    assert_int_equal(t.status, TASK_FAILED);
    assert_string_equal(t.error, "not HDF5");
    assert_int_equal(t.retry_count, 0);
    assert_string_equal(t.worker, me.id); /* who had it last */
}

static void releasing_counts_no_retry(void **state)
{
    (void)state;
    spawn("continuum", "a", 0);
    claim("a");
    assert_int_equal(tell(t.id, t.fence, TASK_RELEASE, "no room", 3600), 0);
    none_due();
    look("a");
    assert_int_equal(t.retry_count, 0);
    assert_int_equal(t.status, TASK_PENDING);
    assert_string_equal(t.worker, "");
    assert_string_equal(t.error, "no room");
}

static void what_an_attempt_used_and_its_steps_are_kept(void **state)
{
    struct task_step step[] = {{.step = "convert", .detail = "d", .took_s = 1.5},
                               {.step = "image", .took_s = 2.25}};
    struct task_end end = {
        .how = TASK_COMPLETE, .text = "/products/x", .usage = "{\"user_s\": 1.25}"};

    (void)state;
    spawn("continuum", "a", 0);
    claim("a");
    for (size_t i = 0; i < 2; i++) {
        strcpy(step[i].id, t.id);
        step[i].fence = t.fence;
    }
    assert_int_equal(queue_put_steps(q, step, 2, &e), 0);
    step[1].took_s = 3.5;
    assert_int_equal(queue_put_steps(q, step, 2, &e), 0); /* again: no second row */
    assert_string_equal(by_hand("SELECT count(*) FROM t_steps"), "2");
    assert_string_equal(by_hand("SELECT took_s FROM t_steps WHERE step = 'image'"),
                        "3.5");
    step[0].fence--;
    step[0].step = "late";
    assert_int_equal(queue_put_steps(q, step, 1, &e), 0);
    assert_string_equal(by_hand("SELECT count(*) FROM t_steps"), "2");
    strcpy(end.id, t.id);
    end.fence = t.fence;
    assert_int_equal(end_one(q, &end, &e), 0);
    assert_non_null(strstr(by_hand("SELECT rusage FROM t_attempts"), "1.25"));
    look("a");
    assert_string_equal(t.result, "/products/x");
    assert_true(t.ended >= t.claimed && t.claimed >= t.created);
}

static void again_takes_up_only_what_has_ended(void **state)
{
    bool made;

    (void)state;
    spawn("continuum", "a", 0);
    claim("a");
    spawn_one(q,
              (struct task_spec){.name = "continuum",
                                 .key = "a",
                                 .params = "{\"n\":9}",
                                 .priority = 3,
                                 .max_retries = 1,
                                 .again = true},
              &made, &e);
    assert_false(made); /* it is being worked on */
    assert_int_equal(tell(t.id, t.fence, TASK_FAIL, "x", 0), 0);
    assert_int_equal(spawn_one(q,
                               (struct task_spec){.name = "continuum",
                                                  .key = "a",
                                                  .params = "{\"n\":9}",
                                                  .priority = 3,
                                                  .max_retries = 1,
                                                  .again = true},
                               &made, &e),
                     0);
    assert_true(made);
    claim("a");
    assert_non_null(strstr(t.params, "9"));
    assert_int_equal(t.priority, 3);
    assert_int_equal(t.retry_count, 0);
    assert_string_equal(t.error, "");
    assert_int_equal(done(), 0);
    spawn_one(q,
              (struct task_spec){
                  .name = "continuum", .key = "a", .params = "{}", .max_retries = 1},
              &made, &e);
    assert_false(made); /* without `again` it stays done */
    assert_string_equal(status_of("a"), "completed");
}

static void params_must_be_json_and_names_short(void **state)
{
    static char big[QUEUE_TEXT + 1];

    (void)state;
    assert_int_equal(
        spawn_one(q,
                  (struct task_spec){.name = "continuum", .key = "a", .params = "{n:"},
                  NULL, &e),
        -EINVAL);
    memset(big, 'x', QUEUE_TEXT);
    assert_int_equal(
        spawn_one(q, (struct task_spec){.name = "continuum", .key = big}, NULL, &e),
        -EINVAL);
    assert_int_equal(spawn_one(q, (struct task_spec){.name = "", .key = "a"}, NULL, &e),
                     -EINVAL);
    assert_int_equal(spawn_one(q, (struct task_spec){.name = "x", .key = ""}, NULL, &e),
                     -EINVAL);
    assert_int_equal(count(TASK_PENDING), 0);
}

static void text_is_kept_byte_for_byte(void **state)
{
    /* quotes, backslashes, a percent sign, UTF-8 */
    static const char key[] = "it's \"x\" \\ %s $1 {a,b} \xc3\xa9";
    static const char params[] = "{\"f\":[\"a\\\\b\",\"c\\u0041\",\"\xc3\xa9'\"]}";

    (void)state;
    assert_int_equal(
        spawn_one(q,
                  (struct task_spec){.name = "continuum", .key = key, .params = params},
                  NULL, &e),
        0);
    claim(key);
    assert_non_null(strstr(t.params, "\xc3\xa9'"));
    assert_int_equal(
        tell(t.id, t.fence, TASK_FAIL, "l\xc3\xa0: 100 % of \"it's\"\n", 0), 0);
    look(key);
    assert_string_equal(t.error, "l\xc3\xa0: 100 % of \"it's\"\n");
}

/* ---- who lives ---- */

static void a_beat_tells_what_is_lost_and_hands_back_what_is_forgotten(void **state)
{
    struct task_ref ref[2];

    (void)state;
    spawn("continuum", "a", 0);
    spawn("continuum", "b", 0);
    spawn("continuum", "c", 0);
    claim("a");
    ref[0] = ref_of(&t);
    claim("b");
    ref[1] = ref_of(&t);
    claim("c"); /* and its answer got lost: nobody works on it */
    assert_int_equal(beat(ref, 2), 1);
    assert_int_equal(ref[0].hold, TASK_HELD);
    assert_int_equal(ref[1].hold, TASK_HELD);
    look("c");
    assert_int_equal(t.status, TASK_PENDING);
    assert_int_equal(t.retry_count, 0);
    assert_string_equal(attempts(t.id), "1abandoned ");
    by_hand("UPDATE t_tasks SET status = 'pending' WHERE task_key = 'b'");
    assert_int_equal(beat(ref, 2), 0);
    assert_int_equal(ref[0].hold, TASK_HELD);
    assert_int_equal(ref[1].hold, TASK_LOST);
    assert_string_equal(status_of("b"), "pending");
    look("a");
    assert_true(t.heartbeat >= t.claimed);
}

static void keep_worker(void *arg, const struct queue_worker *w)
{
    *(struct queue_worker *)arg = *w;
}

static void a_buried_workers_tasks_are_handed_back(void **state)
{
    struct queue_worker seen = {.id = ""};
    struct task_ref ref;
    size_t n;

    (void)state;
    spawn("continuum", "a", 0);
    spawn("continuum", "b", 0);
    claim("a");
    ref = ref_of(&t);
    beat(&ref, 1);
    assert_int_equal(queue_workers(q, keep_worker, &seen, &e), 0);
    assert_string_equal(seen.id, me.id);
    assert_string_equal(seen.machine, "m1");
    assert_string_equal(seen.boot, "b1");
    assert_true(seen.pid == 1 && seen.start == 7 && seen.slots == 4 &&
                seen.running == 1);
    assert_true(seen.seen > 1.7e9 && seen.started > 1.7e9);
    assert_int_equal(queue_bury(q, "h1:w:2", &n, &e), 0);
    assert_int_equal(n, 0);
    assert_int_equal(queue_bury(q, me.id, &n, &e), 0);
    assert_int_equal(n, 1);
    assert_string_equal(status_of("a"), "pending");
    assert_int_equal(done(), ERR_LOST_TASK); /* it was not dead after all */
    seen.id[0] = '\0';
    assert_int_equal(queue_workers(q, keep_worker, &seen, &e), 0);
    assert_string_equal(seen.id, "");
    claim("a");
    assert_string_equal(attempts(t.id), "1abandoned 2 ");
}

static void a_lease_that_runs_out_is_an_attempt(void **state)
{
    struct task_ref ref;
    size_t n;

    (void)state;
    spawn("continuum", "a", 0);
    spawn("continuum", "b", 0);
    claim("a");
    ref = ref_of(&t);
    claim("b");
    assert_int_equal(done(), 0);
    /* In the first lease after the start everybody may still tell. */
    by_hand("UPDATE t_tasks SET lease_until = NULL WHERE status = 'claimed'");
    assert_int_equal(queue_reap(q, 3600, &n, &e), 0);
    assert_int_equal(n, 0);
    assert_int_equal(queue_reap(q, 0, &n, &e), 0);
    assert_int_equal(n, 1);
    assert_int_equal(queue_reap(q, 0, &n, &e), 0);
    assert_int_equal(n, 0);
    look("a");
    assert_int_equal(t.status, TASK_PENDING);
    assert_int_equal(t.retry_count, 1);
    assert_string_equal(attempts(t.id),
                        "1expiredits worker was not heard of for a whole lease ");
    assert_int_equal(beat(&ref, 1), 0);
    assert_int_equal(ref.hold, TASK_LOST);
}

static void a_lease_in_force_is_left_alone(void **state)
{
    struct task_ref ref;
    size_t n;

    (void)state;
    spawn("continuum", "a", 0);
    claim("a");
    ref = ref_of(&t);
    assert_int_equal(queue_reap(q, 0, &n, &e), 0);
    assert_int_equal(n, 0);
    by_hand("UPDATE t_tasks SET lease_until = NULL WHERE status = 'claimed'");
    assert_int_equal(beat(&ref, 1), 0); /* renews it */
    assert_int_equal(queue_reap(q, 0, &n, &e), 0);
    assert_int_equal(n, 0);
}

/* ---- operators ---- */

static size_t change(enum queue_order order, struct task_filter filter, int priority)
{
    size_t n;

    assert_int_equal(queue_change(q, order, &filter, priority, &n, &e), 0);
    return n;
}

static void cancelling_stops_what_waits_and_asks_what_runs(void **state)
{
    struct task_ref ref;

    (void)state;
    spawn("continuum", "a", 0);
    spawn("continuum", "b", 0);
    spawn("mosaic", "m", 0);
    claim("a");
    ref = ref_of(&t);
    assert_int_equal(change(QUEUE_CANCEL, (struct task_filter){.name = "continuum"}, 0),
                     2);
    assert_string_equal(status_of("a"), "claimed");
    assert_string_equal(status_of("b"), "cancelled");
    assert_int_equal(count(TASK_PENDING), 1);
    assert_int_equal(beat(&ref, 1), 0);
    assert_int_equal(ref.hold, TASK_TO_CANCEL);
    assert_int_equal(tell(ref.id, ref.fence, TASK_CANCEL, NULL, 0), 0);
    assert_int_equal(tell(ref.id, ref.fence, TASK_CANCEL, NULL, 0), 0);
    look("a");
    assert_int_equal(t.status, TASK_CANCELLED);
    assert_true(t.ended > 0 && !t.cancel);
    assert_string_equal(attempts(t.id), "1cancelled ");
}

static void a_task_asked_to_stop_does_not_come_back(void **state)
{
    static const enum task_how hows[] = {TASK_RELEASE, TASK_RETRY, TASK_FAIL,
                                         TASK_COMPLETE};
    static const char *const become[] = {"cancelled", "cancelled", "failed",
                                         "completed"};

    (void)state;
    for (size_t i = 0; i < sizeof hows / sizeof hows[0]; i++) {
        char key[] = "a";

        key[0] = (char)('a' + i);
        spawn("continuum", key, 0);
        claim(key);
        assert_int_equal(change(QUEUE_CANCEL, (struct task_filter){.id = t.id}, 0), 1);
        assert_int_equal(tell(t.id, t.fence, hows[i], "x", 0), 0);
        assert_string_equal(status_of(key), become[i]);
    }
    none_due();
}

static void priorities_are_changed_of_what_is_still_to_do(void **state)
{
    (void)state;
    spawn("continuum", "a", 0);
    spawn("continuum", "b", 0);
    claim("a");
    assert_int_equal(done(), 0);
    spawn("mosaic", "m", 0);
    assert_int_equal(change(QUEUE_PRIORITY, (struct task_filter){0}, 0), 2);
    assert_int_equal(
        change(QUEUE_PRIORITY, (struct task_filter){.name = "mosaic"}, 100), 1);
    claim("m");
    assert_int_equal(t.priority, 100);
    assert_string_equal(status_of("a"), "completed");
}

static void a_paused_queue_gives_nothing_and_takes_ends(void **state)
{
    struct task got[1] = {0};
    struct task_end end = {.how = TASK_COMPLETE};
    struct queue_turn turn = {
        .worker = me.id, .end = &end, .nend = 1, .want = 1, .got = got, .lease_s = 60};
    char reason[64];
    enum queue_mode mode;
    double since;

    (void)state;
    assert_int_equal(queue_get_mode(q, &mode, reason, sizeof reason, &since, &e), 0);
    assert_int_equal(mode, QUEUE_RUNS);
    spawn("continuum", "a", 0);
    spawn("continuum", "b", 0);
    claim("a");
    assert_int_equal(queue_set_mode(q, QUEUE_PAUSED, "lunch", &e), 0);
    strcpy(end.id, t.id);
    end.fence = t.fence;
    assert_int_equal(queue_turn(q, &turn, &e), 0);
    assert_int_equal(end.rc, 0);
    assert_int_equal(turn.ngot, 0);
    assert_int_equal(turn.mode, QUEUE_PAUSED);
    assert_string_equal(status_of("a"), "completed");
    assert_int_equal(queue_get_mode(q, &mode, reason, sizeof reason, &since, &e), 0);
    assert_int_equal(mode, QUEUE_PAUSED);
    assert_string_equal(reason, "lunch");
    assert_true(since > 1.7e9);
    assert_int_equal(queue_set_mode(q, QUEUE_DRAINS, NULL, &e), 0);
    turn.nend = 0;
    assert_int_equal(queue_turn(q, &turn, &e), 0);
    assert_int_equal(turn.ngot, 1);
    assert_int_equal(turn.mode, QUEUE_DRAINS);
    task_clear(&got[0]);
}

struct counted {
    char text[256];
};

static void keep_count(void *arg, const char *name, enum task_status status, size_t n)
{
    struct counted *c = arg;
    size_t used = strlen(c->text);

    snprintf(c->text + used, sizeof c->text - used, "%s/%s=%zu ", name,
             task_status_name(status), n);
}

static void assert_first_open(const char *name, const char *want)
{
    char key[QUEUE_TEXT];

    assert_int_equal(queue_first_open(q, name, key, &e), 0);
    assert_string_equal(key, want);
}

static void the_first_open_key_is_of_what_is_pending_or_claimed(void **state)
{
    (void)state;
    assert_first_open("continuum", "");
    spawn("continuum", "c", 0);
    spawn("continuum", "B", 0);
    spawn("continuum", "d", 7);
    spawn("mosaic", "A", 7);
    spawn("continuum", "a", -3);
    assert_first_open("continuum", "B"); /* bytes count, no language's order */
    assert_first_open("mosaic", "A");
    assert_first_open("noop", "");
    claim("A");
    assert_first_open("mosaic", "A"); /* claimed is open */
    claim("d");
    claim("B");
    assert_first_open("continuum", "B");
    by_hand("UPDATE t_tasks SET status = 'completed' WHERE task_key IN ('A', 'B')");
    assert_first_open("continuum", "a");
    assert_first_open("mosaic", "");
    by_hand("UPDATE t_tasks SET status = 'failed' WHERE task_key IN ('a', 'c')");
    assert_first_open("continuum", "d");
}

static void counts_and_places_in_the_queue(void **state)
{
    struct counted c = {""};
    size_t n;

    (void)state;
    spawn("continuum", "a", 0);
    spawn("continuum", "b", 0);
    spawn("continuum", "c", 0);
    spawn("mosaic", "m", -5);
    claim("a");
    assert_int_equal(queue_counts(q, keep_count, &c, &e), 0);
    assert_non_null(strstr(c.text, "continuum/pending=2 "));
    assert_non_null(strstr(c.text, "continuum/claimed=1 "));
    assert_non_null(strstr(c.text, "mosaic/pending=1 "));
    look("c");
    assert_int_equal(queue_ahead(q, &t, &n, &e), 0);
    assert_int_equal(n, 1); /* b */
    task_clear(&t);
    assert_int_equal(queue_status(q, "mosaic", "m", &t, &e), 0);
    assert_int_equal(queue_ahead(q, &t, &n, &e), 0);
    assert_int_equal(n, 2);
}

/* matrix: queue 6 edits while a worker runs */
static void a_hand_edit_fences_the_running_worker(void **state)
{
    static const char *const edits[] = {
        "UPDATE t_tasks SET status = 'pending' WHERE status = 'claimed'",
        "UPDATE t_tasks SET status = 'cancelled' WHERE status = 'claimed'",
        "UPDATE t_tasks SET status = 'failed' WHERE status = 'claimed'",
        "DELETE FROM t_tasks WHERE status = 'claimed'",
    };

    (void)state;
    for (size_t i = 0; i < sizeof edits / sizeof edits[0]; i++) {
        struct task_ref ref;
        char key[8];

        snprintf(key, sizeof key, "k%zu", i);
        by_hand("UPDATE t_tasks SET status = 'cancelled'");
        spawn("continuum", key, 0);
        claim(key);
        ref = ref_of(&t);
        assert_string_equal(by_hand(edits[i]), "");
        assert_int_equal(beat(&ref, 1), 0);
        assert_int_equal(ref.hold, TASK_LOST);
        assert_int_equal(done(), ERR_LOST_TASK);
        assert_int_equal(count(TASK_COMPLETED), 0);
    }
    assert_string_equal(
        by_hand("SELECT count(*) FROM t_attempts WHERE outcome = 'fenced'"), "3");
}

static void a_hand_edit_back_and_forth_fences_too(void **state)
{
    (void)state;
    spawn("continuum", "a", 0);
    claim("a");
    by_hand("UPDATE t_tasks SET status = 'pending'");
    assert_non_null(strstr(by_hand("UPDATE t_tasks SET status = 'claimed'"),
                           "only a worker claims a task"));
    assert_int_equal(done(), ERR_LOST_TASK);
    assert_non_null(strstr(by_hand("UPDATE t_tasks SET status = 'done'"), "error: "));
}

/* The edits of the operator's runbook. */
/* matrix: queue 6 the runbook's retry and cancel */
static void a_failed_task_put_back_by_hand_has_all_its_retries(void **state)
{
    (void)state;
    spawn("continuum", "a", 0); /* max_retries 2 */
    for (int i = 0; i < 3; i++) {
        claim("a");
        assert_int_equal(tell(t.id, t.fence, TASK_RETRY, "OSError", 0), 0);
    }
    assert_string_equal(status_of("a"), "failed");
    by_hand("UPDATE t_tasks SET status = 'pending', error = NULL, claimed_at = NULL,"
            " worker_id = NULL WHERE status = 'failed' AND task_name = 'continuum'");
    claim("a");
    assert_int_equal(t.retry_count, 0);
    assert_string_equal(t.error, "");
    assert_true(t.ended == 0);
    assert_int_equal(tell(t.id, t.fence, TASK_RETRY, "OSError", 0), 0);
    assert_string_equal(status_of("a"), "pending");
    by_hand("UPDATE t_tasks SET status = 'cancelled' WHERE status = 'pending'");
    look("a");
    assert_true(t.ended > 0);
}

static void others_learn_of_a_change(void **state)
{
    int heard = 0;

    (void)state;
    while (queue_changed(q, &e) == 1)
        ;
    assert_int_equal(queue_changed(q, &e), 0);
    spawn("continuum", "a", 0);
    claim("a");
    assert_int_equal(done(), 0);
    while (queue_changed(q, &e) == 1) /* our own */
        ;
    by_hand("UPDATE t_tasks SET status = 'pending'");
    for (int i = 0; i < PATIENCE_MS / 10 && (heard = queue_changed(q, &e)) == 0; i++)
        poll(NULL, 0, 10); /* PostgreSQL's word comes over a socket */
    assert_int_equal(heard, 1);
    assert_string_equal(status_of("a"), "pending");
}

/* matrix: queue 9 aging */
static void one_claim_in_so_many_takes_the_oldest(void **state)
{
    static const char *const want[] = {"p0", "p1", "old", "p2"};
    (void)state;
    spawn("continuum", "old", -10);
    for (int i = 0; i < 4; i++) {
        char key[8];

        snprintf(key, sizeof key, "p%d", i);
        spawn("continuum", key, 10);
    }
    for (size_t i = 0; i < 4; i++)
        claim(want[i]);
}

static void what_was_backed_up_is_consistent(void **state)
{
    (void)state;
    spawn("continuum", "a", 0);
    assert_int_equal(queue_vacuum(q, &e), 0);
    assert_int_equal(queue_backup(q, "copy", &e), 0);
    assert_int_equal(queue_backup(q, "copy", &e), 0); /* over an older one */
    assert_int_equal(queue_backup(q, "no/such/folder/copy", &e) < 0, 1);
    assert_int_equal(access("copy", R_OK), 0);
    assert_true(access("copy.part", F_OK) != 0);
    claim("a"); /* the queue goes on */
}

/* ---- many at once ---- */

enum { NTASKS = 60, NWORKERS = 4 };

struct racer {
    pthread_t thread;
    int number;
    bool lossy;
    struct queue *q;
    size_t ends, lost;
};

static pthread_mutex_t racing = PTHREAD_MUTEX_INITIALIZER;
static int holders[NTASKS];
static int together, open_tasks;

static void note(const char *key, int by)
{
    int i = atoi(key);

    pthread_mutex_lock(&racing);
    holders[i] += by;
    if (holders[i] > 1)
        together++;
    pthread_mutex_unlock(&racing);
}

/* One turn, repeated until its answer comes, with a beat in between as a worker does it: what
 * it has not told the end of for certain is still its own. */
static void turn_until_answered(struct racer *r, struct queue_turn *turn,
                                struct queue_worker *self)
{
    struct task_ref ref[3];
    struct err why;
    size_t dropped;

    for (size_t i = 0; i < turn->nend; i++) {
        ref[i].fence = turn->end[i].fence;
        strcpy(ref[i].id, turn->end[i].id);
    }
    while (queue_turn(r->q, turn, &why) != 0) {
        assert_int_equal(why.code, ERR_STORE_DOWN);
        while (queue_beat(r->q, self, ref, turn->nend, LEASE_S, &dropped, &why) != 0)
            assert_int_equal(why.code, ERR_STORE_DOWN);
    }
}

static void *race(void *arg)
{
    struct racer *r = arg;
    struct queue_worker self = me;
    struct task got[3];
    struct task_end end[3];
    struct queue_turn turn = {.worker = self.id, .end = end, .lease_s = LEASE_S};
    unsigned round = 0;
    bool more = true;

    snprintf(self.id, sizeof self.id, "h1:w:%d", r->number);
    turn.got = got;
    turn.want = 3;
    while (more) {
        memset(got, 0, sizeof got);
        turn_until_answered(r, &turn, &self);
        pthread_mutex_lock(&racing);
        for (size_t i = 0; i < turn.nend; i++) {
            r->lost += end[i].rc != 0;
            if (end[i].rc == 0 && end[i].how == TASK_COMPLETE) {
                open_tasks--;
                r->ends++;
            }
        }
        more = open_tasks > 0;
        pthread_mutex_unlock(&racing);
        for (size_t i = 0; i < turn.ngot; i++)
            note(got[i].key, 1);
        sched_yield();
        turn.nend = turn.ngot;
        for (size_t i = 0; i < turn.ngot; i++) {
            bool again = ++round % 5 == 0;

            note(got[i].key, -1);
            end[i] = (struct task_end){.fence = got[i].fence,
                                       .how = again ? TASK_RELEASE : TASK_COMPLETE};
            strcpy(end[i].id, got[i].id);
            task_clear(&got[i]);
        }
    }
    return NULL;
}

/* NWORKERS connections claim and end NTASKS tasks: each ends once, none is held twice. */
static void race_all(bool lossy)
{
    struct racer r[NWORKERS] = {0};
    size_t all = 0, lost = 0;
    char key[16];

    together = 0;
    open_tasks = NTASKS;
    memset(holders, 0, sizeof holders);
    for (int i = 0; i < NTASKS; i++) {
        snprintf(key, sizeof key, "%d", i);
        spawn("continuum", key, i % 3);
    }
    for (int i = 0; i < NWORKERS; i++) {
        r[i].number = i;
        assert_int_equal(store_open(&r[i].q, QUEUE_AS_WORKER, 0, &e), 0);
        if (lossy)
            r[i].q = lossy_new(r[i].q);
        assert_int_equal(pthread_create(&r[i].thread, NULL, race, &r[i]), 0);
    }
    for (int i = 0; i < NWORKERS; i++) {
        pthread_join(r[i].thread, NULL);
        queue_close(r[i].q);
        all += r[i].ends;
        lost += r[i].lost;
    }
    assert_int_equal(together, 0);
    assert_int_equal(lost, 0);
    assert_int_equal(all, NTASKS);
    assert_int_equal(count(TASK_COMPLETED), NTASKS);
    assert_int_equal(count(TASK_CLAIMED), 0);
}

static void many_workers_share_the_tasks(void **state)
{
    (void)state;
    race_all(false);
}

/* matrix: queue 3 answers lost after the commit, several workers */
static void lost_answers_lose_and_double_nothing(void **state)
{
    (void)state;
    race_all(true);
}

/* matrix: queue 3 spawns and edits repeated */
static void repeating_after_a_lost_answer_is_safe(void **state)
{
    struct queue *lossy = lossy_new(q);
    struct task_filter all = {0};
    size_t n;
    int rc;

    (void)state;
    for (int i = 0; i < 9; i++) {
        char key[8];

        snprintf(key, sizeof key, "%d", i);
        do
            rc = spawn_one(lossy, (struct task_spec){.name = "continuum", .key = key},
                           NULL, &e);
        while (rc == ERR_STORE_DOWN);
        assert_int_equal(rc, 0);
    }
    assert_int_equal(count(TASK_PENDING), 9);
    do
        rc = queue_change(lossy, QUEUE_CANCEL, &all, 0, &n, &e);
    while (rc == ERR_STORE_DOWN);
    do
        rc = queue_change(lossy, QUEUE_RETRY, &all, 0, &n, &e);
    while (rc == ERR_STORE_DOWN);
    assert_int_equal(count(TASK_PENDING), 9);
    free(lossy);
}

#define QUEUE(test) cmocka_unit_test_setup_teardown(test, suite_open, suite_close)

#define QUEUE_SUITE                                                                    \
    QUEUE(the_first_open_key_is_of_what_is_pending_or_claimed),                        \
        QUEUE(spawning_twice_makes_one_task),                                          \
        QUEUE(a_batch_of_tasks_is_made_whole_or_not_at_all),                           \
        QUEUE(claims_go_by_priority_then_key), QUEUE(one_turn_ends_and_claims_many),   \
        QUEUE(tasks_are_listed_by_what_one_asks_for),                                  \
        QUEUE(names_of_tasks_sort_by_creation), QUEUE(each_claim_gets_a_higher_fence), \
        QUEUE(a_stale_fence_is_refused_by_every_call),                                 \
        QUEUE(telling_the_same_end_again_changes_nothing),                             \
        QUEUE(a_failed_task_is_tried_again_later_and_then_fails),                      \
        QUEUE(the_last_retry_is_the_last),                                             \
        QUEUE(a_failure_that_is_not_to_be_retried_is_final),                           \
        QUEUE(releasing_counts_no_retry),                                              \
        QUEUE(what_an_attempt_used_and_its_steps_are_kept),                            \
        QUEUE(again_takes_up_only_what_has_ended),                                     \
        QUEUE(params_must_be_json_and_names_short), QUEUE(text_is_kept_byte_for_byte), \
        QUEUE(a_beat_tells_what_is_lost_and_hands_back_what_is_forgotten),             \
        QUEUE(a_buried_workers_tasks_are_handed_back),                                 \
        QUEUE(a_lease_that_runs_out_is_an_attempt),                                    \
        QUEUE(a_lease_in_force_is_left_alone),                                         \
        QUEUE(cancelling_stops_what_waits_and_asks_what_runs),                         \
        QUEUE(a_task_asked_to_stop_does_not_come_back),                                \
        QUEUE(priorities_are_changed_of_what_is_still_to_do),                          \
        QUEUE(a_paused_queue_gives_nothing_and_takes_ends),                            \
        QUEUE(counts_and_places_in_the_queue),                                         \
        QUEUE(a_hand_edit_fences_the_running_worker),                                  \
        QUEUE(a_hand_edit_back_and_forth_fences_too),                                  \
        QUEUE(a_failed_task_put_back_by_hand_has_all_its_retries),                     \
        QUEUE(others_learn_of_a_change), QUEUE(what_was_backed_up_is_consistent),      \
        QUEUE(many_workers_share_the_tasks),                                           \
        QUEUE(lost_answers_lose_and_double_nothing),                                   \
        QUEUE(repeating_after_a_lost_answer_is_safe),                                  \
        cmocka_unit_test_setup_teardown(one_claim_in_so_many_takes_the_oldest,         \
                                        suite_open_aging, suite_close)

#endif
