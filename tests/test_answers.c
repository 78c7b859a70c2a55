/*
 * test_answers.c: operators' questions to the real rooms, over the real socket, while the
 * queue's store and the watched file systems hang.
 */
#include "tests/test.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>

#include "core/clock.h"
#include "core/conf.h"
#include "core/control_client.h"
#include "core/err.h"
#include "core/group.h"
#include "core/groupname.h"
#include "core/incoming.h"
#include "core/path.h"
#include "pipeline/pipeline.h"
#include "watcherd/base/disks.h"
#include "watcherd/base/store.h"
#include "watcherd/crew/crew.h"
#include "watcherd/face/control.h"
#include "watcherd/face/routes.h"
#include "watcherd/files/ingest.h"
#include "watcherd/files/roots.h"
#include "watcherd/todo/intake.h"
#include "watcherd/todo/rework.h"

#define GROUP "2026-01-26T08:07:07"
enum { CLIENTS = 100 };

struct rig {
    uv_loop_t loop;
    uv_timer_t limit;
    uv_async_t answered;
    uv_prepare_t prepare;
    struct conf conf;
    struct groupname rule;
    struct disks *disks;
    struct rooms rooms;
    struct answers answers;
    struct control *control;
    /* how long a round of the loop took, without what it waited for events */
    uint64_t round_ns, idle_ns, longest_ns;
    _Atomic int nanswered;
    int want;
    sem_t begun, store_gate, files_gate;
};

/* ---- the loop ---- */

static void on_prepare(uv_prepare_t *handle)
{
    struct rig *r = handle->data;
    uint64_t now = uv_hrtime(), idle = uv_metrics_idle_time(&r->loop);

    if (r->round_ns != 0 && now - r->round_ns - (idle - r->idle_ns) > r->longest_ns)
        r->longest_ns = now - r->round_ns - (idle - r->idle_ns);
    r->round_ns = now;
    r->idle_ns = idle;
}

static void on_answered(uv_async_t *async)
{
    struct rig *r = async->data;

    if (r->nanswered >= r->want)
        uv_stop(&r->loop);
}

static void on_limit(uv_timer_t *timer)
{
    (void)timer;
    fail_msg("not all were answered");
}

/* Go round until so many clients have their answers. */
static void go(struct rig *r, int want)
{
    r->want = want;
    r->round_ns = 0;
    uv_update_time(&r->loop);
    uv_timer_start(&r->limit, on_limit, PATIENCE_MS, 0);
    while (r->nanswered < want)
        uv_run(&r->loop, UV_RUN_DEFAULT);
    uv_timer_stop(&r->limit);
}

/* ---- clients, each a thread ---- */

struct client {
    struct rig *rig;
    pthread_t thread;
    bool why;
    int rc;
    double took_s;
    json_t *answer;
};

static void *ask(void *arg)
{
    struct client *c = arg;
    json_t *request = c->why ? json_pack("{s:s, s:s}", "ask", "why", "name", GROUP)
                             : json_pack("{s:s}", "ask", "status");
    double before = clock_boot_s();
    struct err e;

    c->rc = client_call(c->rig->conf.paths.state, request, 1e-3 * PATIENCE_MS,
                        &c->answer, &e);
    c->took_s = clock_boot_s() - before;
    json_decref(request);
    c->rig->nanswered++;
    uv_async_send(&c->rig->answered);
    return NULL;
}

static void start_client(struct rig *r, struct client *c, bool why)
{
    *c = (struct client){.rig = r, .why = why};
    assert_int_equal(pthread_create(&c->thread, NULL, ask, c), 0);
}

static void end_client(struct client *c)
{
    pthread_join(c->thread, NULL);
    assert_int_equal(c->rc, 0);
}

/* ---- the rooms ---- */

static void nothing(void *arg)
{
    (void)arg;
}

static void on_news(void *arg, bool changed)
{
    (void)arg;
    (void)changed;
}

static void on_file(void *arg, const struct settle_news *news)
{
    (void)arg;
    (void)news;
}

static void on_notice(void *arg, const char *text)
{
    (void)arg;
    print_message("%s\n", text);
}

static void on_stuck(void *arg, double s)
{
    (void)arg;
    (void)s;
}

static void on_refused(void *arg, const char *group)
{
    (void)arg;
    (void)group;
}

static void on_ended(void *arg, const struct task *task, enum crew_how how)
{
    (void)arg;
    (void)task;
    (void)how;
}

static void open_files(struct rig *r)
{
    struct ingest_opts opts = {.loop = &r->loop,
                               .watch = {.extensions = r->conf.watch.extensions},
                               .news = on_file,
                               .notice = on_notice,
                               .woke = nothing,
                               .stuck = on_stuck};

    assert_int_equal(incoming_groups(&r->answers.groups, &r->rule, &r->conf, NULL), 0);
    assert_int_equal(ingest_new(&r->rooms.ingest, &opts, NULL), 0);
    assert_int_equal(roots_open(&r->answers.roots, ingest_watch(r->rooms.ingest),
                                &r->conf, true, NULL),
                     0);
    assert_int_equal(ingest_start(r->rooms.ingest, NULL), 0);
}

static void open_queue(struct rig *r)
{
    struct store_opts so = {
        .loop = &r->loop, .conf = &r->conf, .role = QUEUE_AS_DAEMON, .news = on_news};
    struct crew_opts co = {.loop = &r->loop,
                           .conf = &r->conf,
                           .settings = "none",
                           .name = "watcherd",
                           .ended = on_ended,
                           .turned = nothing,
                           .stopped = nothing};
    struct intake_opts io = {.conf = &r->conf,
                             .groups = r->answers.groups,
                             .loaded = nothing,
                             .rewritten = on_refused,
                             .queued = nothing,
                             .refused = on_refused};

    assert_int_equal(store_new(&r->rooms.store, &so, NULL), 0);
    co.store = io.store = r->rooms.store;
    assert_int_equal(crew_new(&r->rooms.crew, &co, NULL), 0);
    r->rooms.rework =
        rework_new(&r->conf, r->answers.groups, r->rooms.store, nothing, NULL);
    r->rooms.intake = intake_new(&io);
}

static void begin(struct rig *r)
{
    char root[128];

    memset(r, 0, sizeof *r);
    signal(SIGPIPE, SIG_IGN);
    snprintf(root, sizeof root, "%s/root", own_dir);
    conf_defaults(&r->conf, root, &pipeline_settings);
    assert_int_equal(path_mkdirs(r->conf.paths.state, NULL), 0);
    assert_int_equal(path_mkdirs(r->conf.paths.incoming, NULL), 0);
    sem_init(&r->begun, 0, 0);
    sem_init(&r->store_gate, 0, 0);
    sem_init(&r->files_gate, 0, 0);
    uv_loop_init(&r->loop);
    uv_loop_configure(&r->loop, UV_METRICS_IDLE_TIME);
    uv_timer_init(&r->loop, &r->limit);
    uv_async_init(&r->loop, &r->answered, on_answered);
    uv_prepare_init(&r->loop, &r->prepare);
    r->answered.data = r->prepare.data = r;
    uv_prepare_start(&r->prepare, on_prepare);
    open_files(r);
    open_queue(r);
    assert_int_equal(disks_new(&r->disks,
                               &(struct disks_opts){.loop = &r->loop, .conf = &r->conf},
                               NULL),
                     0);
    r->rooms.disks = r->disks;
    r->rooms.started = clock_boot_s();
    r->rooms.changed = nothing;
    r->answers.conf = &r->conf;
    r->answers.rooms = &r->rooms;
    assert_int_equal(control_new(&r->control, &r->loop, r->conf.paths.state,
                                 routes_answer, &r->answers, NULL),
                     0);
}

static void close_handle(uv_handle_t *handle, void *arg)
{
    (void)arg;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static void end(struct rig *r)
{
    assert_int_equal(ingest_stop(r->rooms.ingest, 20), 0);
    assert_int_equal(store_stop(r->rooms.store, 20), 0);
    control_close(r->control);
    disks_close(r->disks);
    uv_walk(&r->loop, close_handle, NULL);
    while (uv_run(&r->loop, UV_RUN_DEFAULT) != 0)
        continue;
    assert_int_equal(uv_loop_close(&r->loop), 0);
    control_free(r->control);
    disks_free(r->disks);
    crew_free(r->rooms.crew);
    intake_free(r->rooms.intake);
    rework_free(r->rooms.rework);
    roots_close(r->answers.roots);
    ingest_free(r->rooms.ingest);
    store_free(r->rooms.store);
    group_table_free(r->answers.groups);
}

/* ---- what hangs ---- */

struct hang_job {
    struct store_job job;
    struct rig *rig;
};

static int hang_store(struct store_job *job, struct queue *q, struct err *e)
{
    struct rig *r = ((struct hang_job *)job)->rig;

    (void)q;
    (void)e;
    sem_post(&r->begun);
    sem_wait(&r->store_gate);
    return 0;
}

static void end_hang(struct store_job *job, int rc, const struct err *e)
{
    (void)rc;
    (void)e;
    free(job);
}

struct hang_call {
    struct ingest_call call;
    struct rig *rig;
};

static void hang_files(struct ingest_call *call, struct watch *w, struct settle *s)
{
    struct rig *r = ((struct hang_call *)call)->rig;

    (void)w;
    (void)s;
    sem_post(&r->begun);
    sem_wait(&r->files_gate);
}

static void end_call(struct side_job *job, int rc, const struct err *e)
{
    (void)job;
    (void)rc;
    (void)e;
}

static void free_call(struct side_job *job)
{
    free(job);
}

/* Both threads hang from now on. */
static void hang(struct rig *r)
{
    struct hang_job *job = calloc(1, sizeof *job);
    struct hang_call *call = calloc(1, sizeof *call);

    assert_non_null(job);
    assert_non_null(call);
    *job = (struct hang_job){.job = {.run = hang_store, .done = end_hang}, .rig = r};
    *call = (struct hang_call){
        .call = {.job = {.done = end_call, .free = free_call}, .run = hang_files},
        .rig = r};
    store_post(r->rooms.store, &job->job);
    ingest_ask(r->rooms.ingest, &call->call, 3600);
    sem_wait(&r->begun);
    sem_wait(&r->begun);
}

/* ---- the trials ---- */

static const char *text_in(json_t *answer, const char *key)
{
    const char *s = json_string_value(json_object_get(answer, key));

    return s != NULL ? s : "";
}

static void check_late(const struct client *c)
{
    json_t *queue = json_object_get(c->answer, "queue");
    const char *files = text_in(c->answer, "unanswered");
    const char *store =
        c->why ? text_in(c->answer, "store") : text_in(queue, "unanswered");

    assert_int_equal(strncmp(store, "the queue's store has not answered for", 38), 0);
    if (c->why)
        assert_int_equal(
            strncmp(files, "the watched file systems have not answered for", 46), 0);
    else
        assert_true(json_is_object(json_object_get(c->answer, "files")));
}

static void
a_hundred_who_ask_while_all_hangs_are_answered_and_the_loop_goes_on(void **state)
{
    static struct client client[CLIENTS];
    static struct rig r;
    double slowest_s = 0, hung_s, from;
    struct client last;

    (void)state;
    begin(&r);
    hang(&r);
    from = clock_boot_s();
    for (int i = 0; i < CLIENTS; i++)
        start_client(&r, &client[i], i % 2 == 0);
    go(&r, CLIENTS);
    hung_s = clock_boot_s() - from;
    for (int i = 0; i < CLIENTS; i++) {
        end_client(&client[i]);
        check_late(&client[i]);
        json_decref(client[i].answer);
        if (client[i].took_s > slowest_s)
            slowest_s = client[i].took_s;
    }
    print_message("%d clients, all answered within %.2f s; longest pause of the loop: "
                  "%.1f ms\n",
                  CLIENTS, slowest_s, 1e-6 * (double)r.longest_ns);
    assert_true(1e-9 * (double)r.longest_ns < hung_s);
    /* When all answers again, so do we. */
    sem_post(&r.store_gate);
    sem_post(&r.files_gate);
    for (int i = 1;; i++) { /* the threads first have to wake */
        start_client(&r, &last, true);
        go(&r, CLIENTS + i);
        end_client(&last);
        if ((json_object_get(last.answer, "unanswered") == NULL &&
             json_object_get(last.answer, "store") == NULL) ||
            clock_boot_s() - from > PATIENCE_MS / 1000)
            break;
        json_decref(last.answer);
    }
    assert_null(json_object_get(last.answer, "unanswered"));
    assert_null(json_object_get(last.answer, "store"));
    assert_string_equal(text_in(last.answer, "name"), GROUP);
    json_decref(last.answer);
    end(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        OWN_DIR(a_hundred_who_ask_while_all_hangs_are_answered_and_the_loop_goes_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
