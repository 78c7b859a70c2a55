/* The thread that looks at the watched file systems, and the loop that must not wait for it. */
#include "tests/test.h"

#include <errno.h>
#include <semaphore.h>
#include <string.h>
#include <sys/stat.h>

#include "core/clock.h"
#include "core/err.h"
#include "watcherd/files/ingest.h"

/* What the loop was told. */
struct told {
    uv_loop_t loop;
    uv_timer_t limit;
    struct ingest *ing;
    char settled[64][64]; /* base names, in order */
    size_t nsettled, want;
    int stuck, back;
    int answered, rc; /* of the last call */
    char said[256];
};

static void on_news(void *arg, const struct settle_news *news)
{
    struct told *t = arg;

    if (news->what == SETTLE_IS_SETTLED && t->nsettled < 64)
        snprintf(t->settled[t->nsettled++], 64, "%s", strrchr(news->path, '/') + 1);
}

static void on_notice(void *arg, const char *text)
{
    (void)arg;
    print_message("%s\n", text);
}

static void on_woke(void *arg)
{
    struct told *t = arg;

    if (t->nsettled >= t->want)
        uv_stop(&t->loop);
}

static void on_stuck(void *arg, double s)
{
    struct told *t = arg;

    t->stuck += s > 0;
    t->back += s <= 0;
    uv_stop(&t->loop);
}

static void on_limit(uv_timer_t *timer)
{
    uv_stop(timer->loop);
}

/* Go round the loop until it is stopped, 10 s at most. */
static void go(struct told *t)
{
    uv_update_time(&t->loop);
    uv_timer_start(&t->limit, on_limit, 10000, 0);
    uv_run(&t->loop, UV_RUN_DEFAULT);
    uv_timer_stop(&t->limit);
}

static void begin(struct told *t, double stuck_after_s)
{
    struct ingest_opts opts = {.loop = &t->loop,
                               .watch = {.extensions = ".csv"},
                               .news = on_news,
                               .notice = on_notice,
                               .woke = on_woke,
                               .stuck = on_stuck,
                               .arg = t,
                               .stuck_after_s = stuck_after_s};
    char in[128];

    memset(t, 0, sizeof *t);
    uv_loop_init(&t->loop);
    uv_timer_init(&t->loop, &t->limit);
    assert_int_equal(ingest_new(&t->ing, &opts, NULL), 0);
    snprintf(in, sizeof in, "%s/in", own_dir);
    assert_int_equal(mkdir(in, 0777), 0);
    assert_int_equal(watch_add_root(ingest_watch(t->ing), in, 0, NULL), 0);
    assert_int_equal(ingest_start(t->ing, NULL), 0);
}

static void close_handle(uv_handle_t *handle, void *arg)
{
    (void)arg;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static int end(struct told *t, double wait_s)
{
    int rc = ingest_stop(t->ing, wait_s);

    uv_walk(&t->loop, close_handle, NULL);
    uv_run(&t->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&t->loop), 0);
    ingest_free(t->ing);
    return rc;
}

/* A whole file appears by rename. */
static void drop_file(const char *name)
{
    char to[128];
    FILE *f = fopen("made", "we");

    assert_non_null(f);
    fputs("a,b\n1,2\n", f);
    fclose(f);
    snprintf(to, sizeof to, "in/%s", name);
    assert_int_equal(rename("made", to), 0);
}

/* A call that blocks until it is let go, as a system call on a dead mount does. */
struct block {
    struct ingest_call call;
    struct told *told;
    sem_t *begun, *go, *freed;
};

static void run_block(struct ingest_call *call, struct watch *w, struct settle *s)
{
    struct block *b = (struct block *)call;

    (void)w;
    (void)s;
    if (b->begun != NULL)
        sem_post(b->begun);
    if (b->go != NULL)
        sem_wait(b->go);
}

static void on_block(struct side_job *job, int rc, const struct err *e)
{
    struct told *t = ((struct block *)job)->told;

    t->answered++;
    t->rc = rc;
    snprintf(t->said, sizeof t->said, "%s", e->text);
    uv_stop(&t->loop);
}

static void free_block(struct side_job *job)
{
    sem_t *freed = ((struct block *)job)->freed;

    free(job);
    if (freed != NULL)
        sem_post(freed);
}

/* Ask, and go round until there is an answer. */
static int ask(struct told *t, sem_t *begun, sem_t *go_on, sem_t *freed, double wait_s)
{
    struct block *b = calloc(1, sizeof *b);
    int before = t->answered;

    assert_non_null(b);
    *b = (struct block){.call.run = run_block,
                        .call.job.done = on_block,
                        .call.job.free = free_block,
                        .told = t,
                        .begun = begun,
                        .go = go_on,
                        .freed = freed};
    ingest_ask(t->ing, &b->call, wait_s);
    for (int i = 0; i < 10 && t->answered == before; i++)
        go(t);
    assert_int_equal(t->answered, before + 1);
    return t->rc;
}

static void files_are_told_to_the_loop_in_order_of_their_coming(void **state)
{
    static const char *const name[] = {"c.csv", "a.csv", "b.csv", "ab.csv"};
    struct ingest_look look;
    struct told t;

    (void)state;
    begin(&t, 0);
    for (size_t i = 0; i < 4; i++) {
        drop_file(name[i]);
        t.want = i + 1;
        go(&t);
    }
    assert_int_equal(t.nsettled, 4);
    for (size_t i = 0; i < 4; i++)
        assert_string_equal(t.settled[i], name[i]);
    ingest_look(t.ing, &look);
    assert_true(look.scanned);
    assert_int_equal(end(&t, PATIENCE_MS / 1000), 0);
}

static void a_call_runs_in_the_thread_and_comes_back(void **state)
{
    struct told t;
    sem_t freed;

    (void)state;
    sem_init(&freed, 0, 0);
    begin(&t, 0);
    assert_int_equal(ask(&t, NULL, NULL, &freed, 60), 0);
    assert_int_equal(sem_trywait(&freed), 0);
    assert_int_equal(end(&t, PATIENCE_MS / 1000), 0);
}

static void a_thread_that_hangs_costs_the_loop_no_more_than_it_would_wait(void **state)
{
    sem_t begun, go_on, freed;
    double before = clock_boot_s();
    struct ingest_look look;
    struct told t;

    (void)state;
    sem_init(&begun, 0, 0);
    sem_init(&go_on, 0, 0);
    sem_init(&freed, 0, 0);
    begin(&t, 0.3);
    /* Begun and not ended: it is the thread's, and freed when it ends. */
    t.want = 1;
    assert_int_equal(ask(&t, &begun, &go_on, &freed, 5), -EINPROGRESS);
    assert_int_equal(sem_wait(&begun), 0);
    assert_int_equal(sem_trywait(&freed), -1);
    /* Not begun: refused, and at once when it has hung for longer. */
    assert_int_equal(ask(&t, NULL, NULL, &freed, 0.1), -ETIMEDOUT);
    assert_int_equal(sem_trywait(&freed), 0);
    assert_non_null(strstr(t.said, "the watched file systems have not answered for"));
    ingest_look(t.ing, &look);
    assert_true(look.stuck_s >= 0.1 && look.stuck_s <= clock_boot_s() - before);
    assert_false(look.idle);
    /* Said once; meanwhile a file comes, and nothing is heard of it. */
    drop_file("late.csv");
    for (int i = 0; i < 4 && t.stuck == 0; i++)
        go(&t);
    assert_int_equal(t.stuck, 1);
    assert_int_equal(t.nsettled, 0);
    /* It answers again: that is said, and nothing was lost. */
    sem_post(&go_on);
    for (int i = 0; i < 4 && (t.back == 0 || t.nsettled == 0); i++)
        go(&t);
    assert_int_equal(sem_trywait(&freed), 0);
    assert_int_equal(t.back, 1);
    assert_int_equal(t.stuck, 1);
    assert_int_equal(t.nsettled, 1);
    assert_string_equal(t.settled[0], "late.csv");
    assert_int_equal(end(&t, PATIENCE_MS / 1000), 0);
    sem_destroy(&begun);
    sem_destroy(&go_on);
    sem_destroy(&freed);
}

static void the_end_does_not_wait_for_a_thread_that_hangs(void **state)
{
    static sem_t begun, go_on, freed; /* the thread lives on, with what it uses */
    static struct ingest *left;
    struct told t;

    (void)state;
    sem_init(&begun, 0, 0);
    sem_init(&go_on, 0, 0);
    sem_init(&freed, 0, 0);
    begin(&t, 0);
    t.want = 1;
    assert_int_equal(ask(&t, &begun, &go_on, &freed, 2), -EINPROGRESS);
    sem_wait(&begun);
    left = t.ing;
    assert_int_equal(end(&t, 0.1), -ETIMEDOUT);
    assert_non_null(left);
    /* When it wakes after all, the loop is gone, and it harms nobody. */
    sem_post(&go_on);
    sem_wait(&freed);
}

/* The last test leaves behind, as it must, what a thread that hangs still uses. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:the_end_does_not_wait_for_a_thread_that_hangs\nleak:go_round\n";
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        OWN_DIR(files_are_told_to_the_loop_in_order_of_their_coming),
        OWN_DIR(a_call_runs_in_the_thread_and_comes_back),
        OWN_DIR(a_thread_that_hangs_costs_the_loop_no_more_than_it_would_wait),
        OWN_DIR(the_end_does_not_wait_for_a_thread_that_hangs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
