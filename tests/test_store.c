/* The thread that talks to the queue's store, and the loop that must not wait for it. */
#include "tests/queue_one.h"
#include "tests/test.h"

#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/conf.h"
#include "core/err.h"
#include "core/store/queue.h"
#include "pipeline/pipeline.h"
#include "watcherd/base/store.h"

struct rig {
    uv_loop_t loop;
    uv_timer_t limit;
    struct conf conf;
    struct store *store;
    char order[64]; /* a letter for each job that came back */
    size_t want;
    int went, came, changed, cancelled;
    int answered, freed; /* questions */
    bool stop_at_change, stop_at_turn, limited;
};

static void on_news(void *arg, bool changed)
{
    struct rig *r = arg;

    r->changed += changed;
    if (changed && r->stop_at_change)
        uv_stop(&r->loop);
}

static void on_turned(void *arg, bool up)
{
    struct rig *r = arg;

    r->came += up;
    r->went += !up;
    if (r->stop_at_turn && up)
        uv_stop(&r->loop);
}

static void on_limit(uv_timer_t *timer)
{
    struct rig *r = timer->data;

    r->limited = true;
    uv_stop(timer->loop);
}

/* Go round the loop until it is stopped. */
static void go(struct rig *r)
{
    r->limited = false;
    uv_update_time(&r->loop);
    uv_timer_start(&r->limit, on_limit, PATIENCE_MS, 0);
    uv_run(&r->loop, UV_RUN_DEFAULT);
    uv_timer_stop(&r->limit);
    assert_false(r->limited);
}

static void settings(struct rig *r)
{
    char root[128];

    memset(r, 0, sizeof *r);
    snprintf(root, sizeof root, "%s/root", own_dir);
    conf_defaults(&r->conf, root, &pipeline_settings);
    assert_int_equal(mkdir(root, 0777), 0);
    assert_int_equal(mkdir(r->conf.paths.state, 0777), 0);
    uv_loop_init(&r->loop);
    uv_timer_init(&r->loop, &r->limit);
    r->limit.data = r;
}

static int begin(struct rig *r, enum queue_role role)
{
    struct store_opts opts = {.loop = &r->loop,
                              .conf = &r->conf,
                              .role = role,
                              .news = on_news,
                              .turned = on_turned,
                              .arg = r};

    return store_new(&r->store, &opts, NULL);
}

static void close_handle(uv_handle_t *handle, void *arg)
{
    (void)arg;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static void end(struct rig *r)
{
    assert_int_equal(store_stop(r->store, PATIENCE_MS / 1000), 0);
    uv_walk(&r->loop, close_handle, NULL);
    uv_run(&r->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&r->loop), 0);
    store_free(r->store);
}

/* A job that fails `down` times for want of the store, and then returns rc. */
struct trial {
    struct store_job job;
    struct rig *rig;
    char letter;
    int down, rc;
    sem_t *begun, *wait; /* told when it begins, waited for before it returns; NULL */
    double tried[8];
    int got; /* what a question was told */
    struct err said;
};

static int run_trial(struct store_job *job, struct queue *q, struct err *e)
{
    struct trial *t = (struct trial *)job;
    size_t n;

    assert_int_equal(queue_count(q, TASK_PENDING, &n, NULL), 0);
    if (t->begun != NULL)
        sem_post(t->begun);
    if (t->wait != NULL)
        sem_wait(t->wait);
    t->tried[job->tries] = clock_boot_s();
    if (job->tries < t->down)
        return err_set(e, ERR_STORE_DOWN, "try %d", job->tries);
    return t->rc == 0 ? 0 : err_set(e, t->rc, "as told");
}

static void end_trial(struct store_job *job, int rc, const struct err *e)
{
    struct trial *t = (struct trial *)job;
    struct rig *r = t->rig;

    r->cancelled += rc == -ECANCELED;
    if (rc == -ECANCELED)
        return;
    assert_int_equal(rc, t->rc);
    assert_string_equal(e->text, t->rc == 0 ? "" : "as told");
    r->order[strlen(r->order)] = t->letter;
    if (strlen(r->order) >= r->want)
        uv_stop(&r->loop);
}

static struct trial trial(struct rig *r, char letter)
{
    return (struct trial){
        .job = {.run = run_trial, .done = end_trial}, .rig = r, .letter = letter};
}

static void jobs_come_back_in_order_with_what_they_returned(void **state)
{
    struct rig r;
    struct trial a, b, c;

    (void)state;
    settings(&r);
    assert_int_equal(begin(&r, QUEUE_AS_DAEMON), 0);
    a = trial(&r, 'a');
    b = trial(&r, 'b');
    c = trial(&r, 'c');
    b.rc = -ENOSPC;
    r.want = 3;
    store_post(r.store, &a.job);
    store_post(r.store, &b.job);
    store_post(r.store, &c.job);
    go(&r);
    assert_string_equal(r.order, "abc");
    end(&r);
}

/* What is logged from here on goes to a file; the descriptor of the old log. */
static int hear(void)
{
    int was = dup(STDERR_FILENO), fd = open("said", O_RDWR | O_CREAT | O_TRUNC, 0644);

    assert_true(fd != -1 && dup2(fd, STDERR_FILENO) != -1);
    close(fd);
    return was;
}

/* Its store_up line's after_s; the log is as before. */
static double said_after_s(int was)
{
    char line[512] = "";
    FILE *f = fopen("said", "r");
    double s = -1;

    assert_true(f != NULL && dup2(was, STDERR_FILENO) != -1);
    close(was);
    while (s < 0 && fgets(line, sizeof line, f) != NULL)
        if (strstr(line, "event=store_up") != NULL)
            s = strtod(strstr(line, "after_s=") + 8, NULL);
    fclose(f);
    return s;
}

static void
a_job_is_run_again_after_growing_pauses_until_the_store_answers(void **state)
{
    struct rig r;
    struct trial a, b;
    struct store_look look;
    int said = hear();

    (void)state;
    settings(&r);
    assert_int_equal(begin(&r, QUEUE_AS_DAEMON), 0);
    a = trial(&r, 'a');
    b = trial(&r, 'b');
    a.down = 3;
    r.want = 2;
    store_post(r.store, &a.job);
    store_post(r.store, &b.job);
    go(&r);
    assert_string_equal(r.order, "ab");
    assert_int_equal(a.job.tries, 4);
    /* 0.1, 0.2 and 0.4 s, and never less: the pauses promised in store.h */
    assert_true(a.tried[1] - a.tried[0] >= 0.1);
    assert_true(a.tried[2] - a.tried[1] >= 0.2);
    assert_true(a.tried[3] - a.tried[2] >= 0.4);
    assert_int_equal(r.went, 1);
    assert_int_equal(r.came, 1);
    store_look(r.store, &look);
    assert_true(look.up);
    end(&r);
    assert_true(said_after_s(said) >= 0.7); /* the line tells how long it was down */
}

static void answer_question(struct store_job *job, int rc, const struct err *e)
{
    struct trial *t = (struct trial *)job;

    t->got = rc;
    t->said = *e;
    t->rig->answered++;
    t->rig->order[strlen(t->rig->order)] = t->letter;
    uv_stop(&t->rig->loop);
}

static void free_question(struct store_job *job)
{
    struct rig *r = ((struct trial *)job)->rig;

    r->freed++;
    uv_stop(&r->loop);
}

static struct trial question(struct rig *r, char letter)
{
    struct trial t = trial(r, letter);

    t.job.done = answer_question;
    t.job.free = free_question;
    return t;
}

static void a_question_is_refused_at_once_while_the_store_is_down(void **state)
{
    struct rig r;
    struct trial a, q;

    (void)state;
    settings(&r);
    /* A worker without tables: down until a daemon makes them. */
    assert_int_equal(begin(&r, QUEUE_AS_WORKER), 0);
    a = trial(&r, 'a');
    q = question(&r, '?');
    store_post(r.store, &a.job);
    store_ask(r.store, &q.job, 60);
    assert_int_equal(r.answered, 0); /* never before the loop goes round */
    while (r.freed == 0)
        go(&r);
    assert_int_equal(q.got, ERR_STORE_DOWN);
    assert_non_null(strstr(q.said.text, "has not answered for"));
    end(&r);
    assert_int_equal(r.cancelled, 1); /* what still waited */
    assert_string_equal(r.order, "?");
}

static void questions_are_answered_in_turn_and_before_what_waits(void **state)
{
    struct rig r;
    struct trial first, last, a, b;
    sem_t begun, gate;

    (void)state;
    settings(&r);
    sem_init(&begun, 0, 0);
    sem_init(&gate, 0, 0);
    assert_int_equal(begin(&r, QUEUE_AS_DAEMON), 0);
    first = trial(&r, '1');
    first.begun = &begun;
    first.wait = &gate;
    last = trial(&r, '2');
    a = question(&r, 'a');
    b = question(&r, 'b');
    a.rc = -ENOENT;
    store_post(r.store, &first.job);
    sem_wait(&begun);
    store_post(r.store, &last.job);
    store_ask(r.store, &a.job, 60);
    store_ask(r.store, &b.job, 60);
    sem_post(&gate);
    r.want = 4;
    while (strlen(r.order) < 4)
        go(&r);
    assert_string_equal(r.order, "1ab2");
    assert_int_equal(a.got, -ENOENT);
    assert_string_equal(a.said.text, "as told");
    assert_int_equal(b.got, 0);
    sem_destroy(&begun);
    sem_destroy(&gate);
    end(&r);
}

static void a_question_that_takes_too_long_is_left_and_ends_by_itself(void **state)
{
    struct rig r;
    struct trial slow, q;
    sem_t gate;

    (void)state;
    settings(&r);
    sem_init(&gate, 0, 0);
    assert_int_equal(begin(&r, QUEUE_AS_DAEMON), 0);
    slow = question(&r, 's');
    slow.wait = &gate;
    q = question(&r, '?');
    store_ask(r.store, &slow.job, 0.2);
    while (r.answered == 0)
        go(&r);
    assert_true(slow.got == -EINPROGRESS || slow.got == -ETIMEDOUT);
    /* It has been at it for longer than this one would wait. */
    store_ask(r.store, &q.job, 0.1);
    while (r.answered == 1)
        go(&r);
    assert_int_equal(q.got, -ETIMEDOUT);
    assert_non_null(strstr(q.said.text, "the queue's store has not answered for"));
    sem_post(&gate);
    while (r.freed < 2)
        go(&r);
    assert_string_equal(r.order, "s?");
    sem_destroy(&gate);
    end(&r);
}

static void a_worker_waits_until_a_daemon_has_made_the_tables(void **state)
{
    struct rig r;
    struct store_look look;
    struct queue *q;

    (void)state;
    settings(&r);
    assert_int_equal(begin(&r, QUEUE_AS_WORKER), 0);
    store_look(r.store, &look);
    assert_false(look.up);
    assert_true(look.why[0] != '\0');
    assert_int_equal(queue_open_conf(&q, &r.conf, QUEUE_AS_DAEMON, NULL), 0);
    r.stop_at_turn = true;
    go(&r);
    assert_int_equal(r.came, 1);
    store_look(r.store, &look);
    assert_true(look.up);
    assert_string_equal(look.where, queue_where(q));
    queue_close(q);
    end(&r);
}

static void a_second_daemon_is_told_that_there_is_one(void **state)
{
    struct rig r;
    struct queue *q;

    (void)state;
    settings(&r);
    assert_int_equal(queue_open_conf(&q, &r.conf, QUEUE_AS_DAEMON, NULL), 0);
    assert_int_equal(begin(&r, QUEUE_AS_DAEMON), -EBUSY);
    queue_close(q);
    end(&r);
}

static void what_somebody_else_changes_is_told(void **state)
{
    struct rig r;
    struct queue *q;

    (void)state;
    settings(&r);
    r.conf.queue.poll_s = 30; /* not by waiting for the next look */
    assert_int_equal(begin(&r, QUEUE_AS_DAEMON), 0);
    assert_int_equal(queue_open_conf(&q, &r.conf, QUEUE_AS_TOOL, NULL), 0);
    assert_int_equal(
        spawn_one(q, (struct task_spec){.name = "noop", .key = "one", .params = "{}"},
                  NULL, NULL),
        0);
    r.stop_at_change = true;
    go(&r);
    assert_true(r.changed >= 1);
    queue_close(q);
    end(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        OWN_DIR(jobs_come_back_in_order_with_what_they_returned),
        OWN_DIR(a_job_is_run_again_after_growing_pauses_until_the_store_answers),
        OWN_DIR(a_question_is_refused_at_once_while_the_store_is_down),
        OWN_DIR(questions_are_answered_in_turn_and_before_what_waits),
        OWN_DIR(a_question_that_takes_too_long_is_left_and_ends_by_itself),
        OWN_DIR(a_worker_waits_until_a_daemon_has_made_the_tables),
        OWN_DIR(a_second_daemon_is_told_that_there_is_one),
        OWN_DIR(what_somebody_else_changes_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
