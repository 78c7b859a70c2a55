#include "watcherd/daemon.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "core/clock.h"
#include "core/conf.h"
#include "core/err.h"
#include "core/group.h"
#include "core/log.h"
#include "core/path.h"
#include "core/queue.h"
#include "core/registry.h"
#include "locks/lockfs.h"
#include "locks/owner.h"
#include "watcherd/control.h"
#include "watcherd/ingest.h"
#include "watcherd/left.h"
#include "watcherd/mosaics.h"
#include "watcherd/operate.h"
#include "watcherd/pool.h"
#include "watcherd/quarantine.h"
#include "watcherd/rework.h"
#include "watcherd/roots.h"
#include "watcherd/settings.h"
#include "watcherd/worker.h"

/* A busy claim is looked at again after this; its owner may be on another machine. */
#define BUSY_RETRY_S 5.0
/* With --once: files that are still not whole after this many quiet seconds are left. */
#define ONCE_PATIENCE_S 3.0
/* At the end, for a file system that hangs. */
#define INGEST_STOP_S 1.0

struct daemon {
    struct conf *conf;
    struct daemon_opts opts;
    uv_loop_t loop;
    uv_timer_t timer;
    uv_signal_t signal[3];
    struct ingest *ingest;
    struct group_table *groups;
    struct queue *queue;
    struct registry *registry;
    struct pool *pool;
    struct roots *roots;
    struct rework *rework;
    struct operate operate;
    struct control *control;
    struct mosaics mosaics;
    char me[64];             /* worker_id in the queue */
    char settings[PATH_MAX]; /* the settings in force, for the workers */
    double stop_at; /* when running workers are told to stop; 0: not stopping */
    bool stopping, terminated, killed;
    size_t nfailed;
};

static void plan(struct daemon *d, double in_s);

/* ---- files ---- */

static void on_notice(void *arg, const char *text)
{
    (void)arg;
    log_event(LOG_WARN, "watch", "reason", text, NULL);
}

static void on_settle(void *arg, const struct settle_news *news)
{
    struct daemon *d = arg;

    switch (news->what) {
    case SETTLE_IS_SETTLED:
        log_event(LOG_DEBUG, "settled", "file", news->path, "bytes",
                  log_u(news->id.size), "waited_s", log_f(news->waited_s, 1), NULL);
        if (group_add(d->groups, news->path, &news->id, clock_boot_s()) == -EINVAL)
            log_event(LOG_WARN, "foreign", "file", news->path, "reason",
                      "its name does not match [group] pattern", "pattern",
                      d->conf->group.pattern, NULL);
        break;
    case SETTLE_IS_BAD:
        log_event(LOG_ERROR, "bad_file", "file", news->path, "reason", news->reason,
                  NULL);
        group_remove(d->groups, news->path);
        d->nfailed++;
        break;
    case SETTLE_IS_OVERDUE:
        log_event(LOG_WARN, "overdue", "file", news->path, "reason", news->reason,
                  "waited_s", log_f(news->waited_s, 0), NULL);
        break;
    case SETTLE_IS_CHANGED:
    case SETTLE_IS_GONE:
        group_remove(d->groups, news->path);
        break;
    }
}

/* The thread has told something, or is through with a round. */
static void on_woke(void *arg)
{
    plan(arg, 0);
}

static void on_stuck(void *arg, double s)
{
    (void)arg;
    if (s > 0)
        log_event(LOG_ERROR, "stuck", "reason",
                  "the watched file systems do not answer; what arrives there waits",
                  "for_s", log_f(s, 0), NULL);
    else
        log_event(LOG_WARN, "unstuck", "reason",
                  "the watched file systems answer again", NULL);
}

/* ---- groups ---- */

static void enqueue(struct daemon *d, const struct group_view *g)
{
    json_t *files = json_array(), *params = json_object();
    struct task old = {0};
    struct err e = {0};
    char *text;
    bool made = false, again;
    int rc;

    for (int i = 0; i < g->expected; i++)
        if (g->member[i].path != NULL)
            json_array_append_new(files, json_string(g->member[i].path));
    json_object_set_new(params, "files", files);
    text = json_dumps(params, JSON_COMPACT);
    /* A failed group is formed again only when its files were all there anew. */
    again = queue_status(d->queue, "continuum", g->name, &old, NULL) == 0 &&
            (strcmp(old.status, "failed") == 0 ||
             (strcmp(old.status, "completed") == 0 && !rework_is_current(d->conf, g)));
    rc = queue_spawn_one(d->queue, "continuum", g->name, text, 0,
                         (int)d->conf->workers.max_retries, again, &made, &e);
    if (rc != 0) {
        log_event(LOG_ERROR, "enqueue", "group", g->name, "reason", e.text, NULL);
    } else {
        log_event(LOG_INFO, g->complete ? "group_complete" : "group_partial", "group",
                  g->name, "files", log_d(g->present), "queued",
                  made ? "yes" : "already", NULL);
        group_mark(d->groups, g->name,
                   !made && strcmp(old.status, "completed") == 0 ? GROUP_DONE
                   : !made && strcmp(old.status, "failed") == 0  ? GROUP_FAILED
                                                                 : GROUP_ENQUEUED);
    }
    task_clear(&old);
    free(text);
    json_decref(params);
}

/* "13 of 16 members after 600 s, missing sb03 sb07 sb11" */
static void say_missing(const struct group_view *g, double deadline_s, char *why,
                        size_t size)
{
    int used = snprintf(why, size, "%d of %d members after %.3g s, missing", g->present,
                        g->expected, deadline_s);

    for (int i = 0; i < g->expected && (size_t)used < size; i++)
        if (g->member[i].path == NULL)
            used += snprintf(why + used, size - (size_t)used, " sb%02d", i);
}

/* It stays as it is until the operator says release. */
static void set_aside(struct daemon *d, const struct group_view *g)
{
    struct err e = {0};
    char why[512];

    say_missing(g, d->conf->group.deadline_s, why, sizeof why);
    log_event(LOG_WARN, "quarantined", "group", g->name, "reason", why, NULL);
    if (quarantine_write(d->conf->paths.state, g, why, &e) != 0)
        log_event(LOG_ERROR, "quarantine", "group", g->name, "reason", e.text, NULL);
    group_mark(d->groups, g->name, GROUP_SET_ASIDE);
}

static void on_group(void *arg, const struct group_news *news)
{
    static const struct {
        const char *event, *reason;
    } oddity[] = {
        [GROUP_HAS_DUPLICATE] = {"duplicate", "the group has this sub-band already"},
        [GROUP_HAS_SURPLUS] = {"surplus", "its sub-band is not below [group] expected"},
        [GROUP_HAS_LATE] = {"late", "it came after its group was taken up"},
        [GROUP_HAS_REWRITTEN] = {"rewritten",
                                 "it changed after its group was taken up"},
    };
    struct daemon *d = arg;
    char why[512];

    switch (news->what) {
    case GROUP_IS_COMPLETE:
    case GROUP_IS_PROCESSABLE:
        enqueue(d, news->group);
        break;
    case GROUP_IS_PARTIAL:
        say_missing(news->group, d->conf->group.deadline_s, why, sizeof why);
        log_event(LOG_WARN, "partial", "group", news->group->name, "reason", why, NULL);
        break;
    case GROUP_IS_QUARANTINED:
        set_aside(d, news->group);
        break;
    case GROUP_HAS_REWRITTEN:
        rework_note(d->rework, news->group->name);
        /* fall through */
    case GROUP_HAS_DUPLICATE:
    case GROUP_HAS_SURPLUS:
    case GROUP_HAS_LATE:
        log_event(LOG_WARN, oddity[news->what].event, "group", news->group->name,
                  "file", news->path != NULL ? news->path : "", "reason",
                  oddity[news->what].reason, NULL);
        break;
    }
}

/* ---- tasks ---- */

static void on_said(void *arg, const struct task *task, json_t *line)
{
    const char *step = json_string_value(json_object_get(line, "step"));
    const char *detail = json_string_value(json_object_get(line, "detail"));

    (void)arg;
    if (step != NULL)
        log_event(LOG_INFO, "step", "task", task->name, "group", task->key, "step",
                  step, "took_s",
                  log_f(json_number_value(json_object_get(line, "took_s")), 2),
                  "detail", detail != NULL ? detail : "", NULL);
}

/* What an outcome means for the task: the whole table of retries. */
static const struct {
    const char *outcome;
    enum task_how then;
    enum log_level level;
} verdicts[] = {
    {WORKER_DONE, TASK_COMPLETE, LOG_INFO},   {WORKER_SKIPPED, TASK_COMPLETE, LOG_INFO},
    {WORKER_BUSY, TASK_RELEASE, LOG_INFO},    {WORKER_LOST, TASK_RELEASE, LOG_WARN},
    {WORKER_STOPPED, TASK_RELEASE, LOG_INFO}, {WORKER_MACHINE, TASK_RETRY, LOG_ERROR},
    {WORKER_FAILED, TASK_RETRY, LOG_ERROR},   {WORKER_BAD, TASK_FAIL, LOG_ERROR},
};

static double retry_delay(const struct daemon *d, const struct task *task)
{
    return d->conf->workers.retry_delay_s * pow(2, fmin(task->retry_count, 10));
}

static void on_ended(void *arg, const struct task *task, const char *outcome,
                     const char *reason, json_t *result)
{
    struct daemon *d = arg;
    const char *path = json_string_value(json_object_get(result, "path"));
    size_t v = sizeof verdicts / sizeof verdicts[0] - 2; /* "failed" */
    struct err e = {0};
    struct task_end end = {.fence = task->fence};
    struct task now = {0};
    bool failed = false;
    int rc;

    if (d->terminated && result == NULL)
        outcome = WORKER_STOPPED; /* it could not say so, or we did not let it */
    for (size_t i = 0; i < sizeof verdicts / sizeof verdicts[0]; i++)
        if (strcmp(outcome, verdicts[i].outcome) == 0)
            v = i;
    snprintf(end.id, sizeof end.id, "%s", task->id);
    end.how = verdicts[v].then;
    end.text = end.how == TASK_COMPLETE ? path : reason;
    /* A full disk or missing permission is nobody's attempt: a service waits for it. */
    if (strcmp(outcome, WORKER_MACHINE) == 0 && !d->opts.once)
        end.how = TASK_RELEASE;
    end.delay_s = strcmp(outcome, WORKER_BUSY) == 0 ? BUSY_RETRY_S
                  : end.how == TASK_RELEASE && strcmp(outcome, WORKER_MACHINE) != 0
                      ? 0
                      : retry_delay(d, task);
    rc = queue_end(d->queue, &end, &e);
    if (rc == ERR_LOST_TASK)
        log_event(LOG_WARN, "late_word", "group", task->key, "reason", e.text, NULL);
    else if (rc != 0)
        log_event(LOG_ERROR, "queue", "group", task->key, "reason", e.text, NULL);
    if (queue_status(d->queue, task->name, task->key, &now, NULL) == 0) {
        failed = strcmp(now.status, "failed") == 0;
        d->nfailed += failed;
        if (strcmp(task->name, "continuum") == 0 &&
            (failed || strcmp(now.status, "completed") == 0))
            group_mark(d->groups, task->key, failed ? GROUP_FAILED : GROUP_DONE);
        task_clear(&now);
    }
    /* One line an end: that no further attempt follows is its event, not a second line. */
    log_event(verdicts[v].level, failed ? "task_failed" : outcome, "task", task->name,
              "group", task->key, "reason", reason, "path", path != NULL ? path : "",
              NULL);
    d->mosaics.due = true;
    plan(d, 0);
}

static void start_workers(struct daemon *d)
{
    while (!d->stopping && pool_running(d->pool) < (size_t)d->conf->workers.count) {
        struct task task = {0};
        struct err e = {0};
        int rc = queue_claim(d->queue, d->me, d->conf->workers.lease_s, &task, &e);

        if (rc == 0 && (rc = pool_start(d->pool, &task, &e)) != 0) {
            struct task_end end = {
                .fence = task.fence, .how = TASK_RELEASE, .delay_s = BUSY_RETRY_S};

            snprintf(end.id, sizeof end.id, "%s", task.id);
            queue_end(d->queue, &end, NULL);
        }
        if (rc == 0)
            log_event(LOG_INFO, "start", "task", task.name, "group", task.key,
                      "attempt", log_d(task.retry_count + 1), NULL);
        else if (rc != -EAGAIN)
            log_event(LOG_ERROR, "start", "reason", e.text, NULL);
        task_clear(&task);
        if (rc != 0)
            return;
    }
}

/* ---- the loop ---- */

/* With --once: is there nothing left that we could do? */
static bool all_done(struct daemon *d, double now)
{
    struct ingest_look look;
    size_t pending = 0;

    queue_count(d->queue, "pending", &pending, NULL);
    if (pool_running(d->pool) > 0 || pending > 0 || d->mosaics.due)
        return false;
    ingest_look(d->ingest, &look);
    return look.scanned && look.idle &&
           (look.settle.waiting == 0 ||
            now - look.last_event >
                d->conf->watch.stabilization_time_s + ONCE_PATIENCE_S);
}

static void end_loop(struct daemon *d)
{
    uv_timer_stop(&d->timer);
    uv_stop(&d->loop);
}

static void on_timer(uv_timer_t *timer)
{
    struct daemon *d = timer->data;
    double now = clock_boot_s();

    if (d->stopping) {
        if (pool_running(d->pool) == 0) {
            end_loop(d);
            return;
        }
        if (now >= d->stop_at && !d->terminated) {
            log_event(LOG_WARN, "stopping", "reason",
                      "grace is over, workers hand back", NULL);
            pool_signal(d->pool, SIGTERM);
            d->terminated = true;
        } else if (now >= d->stop_at + 10 && !d->killed) {
            pool_signal(d->pool, SIGKILL);
            d->killed = true;
        }
        plan(d, 60);
        return;
    }
    ingest_deliver(d->ingest);
    group_ready(d->groups, now, on_group, d);
    rework_run(d->rework);
    if (d->mosaics.due)
        mosaics_find(&d->mosaics);
    start_workers(d);
    if (d->opts.once && all_done(d, now)) {
        d->nfailed += left_say(d->ingest, d->groups, ONCE_PATIENCE_S);
        end_loop(d);
        return;
    }
    plan(d, 60);
}

static double sooner(double a, double b)
{
    return b >= 0 && b < a ? b : a;
}

/* Come back in in_s, or earlier when something is due earlier. */
static void plan(struct daemon *d, double in_s)
{
    double now = clock_boot_s(), due = -1;

    /* Whoever plans later must not put off what was due sooner. */
    if (d->stopping)
        in_s = fmin(in_s, 0.1);
    else if (d->mosaics.due)
        in_s = 0;
    else {
        in_s = fmin(in_s, d->opts.once ? 0.2 : 60);
        in_s = sooner(in_s, group_next_s(d->groups, now));
        if (pool_running(d->pool) < (size_t)d->conf->workers.count &&
            queue_next_due(d->queue, &due, NULL) == 0)
            in_s = sooner(in_s, due < 0 ? -1 : fmax(due, 0.01));
    }
    uv_update_time(&d->loop);
    uv_timer_start(&d->timer, on_timer, (uint64_t)ceil(in_s * 1000), 0);
}

static void on_signal(uv_signal_t *handle, int sig)
{
    struct daemon *d = handle->data;

    if (sig == SIGHUP) {
        settings_reload(d->conf, d->opts.conf_path, d->settings);
        d->mosaics.due = true;
        plan(d, 0);
        return;
    }
    log_event(LOG_INFO, "stopping", "signal", sig == SIGTERM ? "TERM" : "INT",
              "running", log_u(pool_running(d->pool)), NULL);
    /* A second signal does not wait for the grace. */
    d->stop_at = clock_boot_s() + (d->stopping ? 0 : d->conf->workers.stop_grace_s);
    d->stopping = true;
    plan(d, 0);
}

static void known_group(void *arg, const struct task *t)
{
    struct daemon *d = arg;
    bool changed = false;

    /* What is pending is formed again from its files; ended ones only need their name kept. */
    if (strcmp(t->status, "failed") == 0)
        group_mark(d->groups, t->key, GROUP_FAILED);
    else if (strcmp(t->status, "completed") == 0 &&
             rework_published(d->conf, t->key, &changed))
        group_mark(d->groups, t->key, GROUP_DONE);
    else if (strcmp(t->status, "completed") != 0)
        group_mark(d->groups, t->key, GROUP_ENQUEUED);
    if (changed)
        rework_note(d->rework, t->key);
}

static void known_quarantine(void *arg, const char *group)
{
    struct daemon *d = arg;

    group_mark(d->groups, group, GROUP_SET_ASIDE);
}

/* There may be something to do at once. */
static void on_operated(void *arg)
{
    plan(arg, 0);
}

/* A daemon that cannot be asked still works. */
static void open_control(struct daemon *d)
{
    struct err e = {0};

    d->operate = (struct operate){.conf = d->conf,
                                  .ingest = d->ingest,
                                  .groups = d->groups,
                                  .queue = d->queue,
                                  .pool = d->pool,
                                  .roots = d->roots,
                                  .rework = d->rework,
                                  .started = clock_boot_s(),
                                  .changed = on_operated,
                                  .arg = d};
    if (control_new(&d->control, &d->loop, d->conf->paths.state, operate_answer,
                    &d->operate, &e) != 0)
        log_event(LOG_ERROR, "control", "reason", e.text, NULL);
}

static int make_dirs(const struct conf *conf, struct err *e)
{
    const char *dir[] = {conf->paths.incoming, conf->paths.state, conf->paths.scratch,
                         conf->paths.locks, conf->paths.products};
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < sizeof dir / sizeof dir[0]; i++) {
        rc = path_mkdirs(dir[i], e);
        /* Products may be on a disk that is not there yet: the worker's business. */
        if (rc != 0 && dir[i] == conf->paths.products) {
            log_event(LOG_ERROR, "products", "reason", e->text, NULL);
            rc = 0;
        }
    }
    return rc;
}

/* Say once which way of locking applies and why; nothing is processed without one. */
static int open_locks(const struct conf *conf, struct err *e)
{
    char boots[PATH_MAX], why[LOCKFS_WHY];
    struct lockfs fs;
    bool sure;
    int rc = path_join(boots, sizeof boots, conf->paths.state, "boots", e);

    if (rc != 0)
        return rc;
    owner_set_boots(boots);
    sure = lockfs_explain(conf->paths.locks, &fs, why);
    log_event(sure ? LOG_INFO : LOG_WARN, "locks", "mode", lockfs_mode_name(fs.mode),
              "reason", why, NULL);
    if (fs.mode == MODE_REFUSE)
        return err_set(
            e, -ENOTSUP,
            "no worker is started, because nothing excludes another one in %s: %s",
            conf->paths.locks, why);
    return 0;
}

struct gone {
    char worker[QUEUE_WORKER];
};

static void note_worker(void *arg, const struct task *t)
{
    struct gone *gone = arg;

    snprintf(gone->worker, sizeof gone->worker, "%s", t->worker);
}

/* What an earlier run left claimed is handed back: we hold its lock, so it has ended. */
static int recover(struct queue *q, size_t *left, struct err *e)
{
    struct task_filter held = {.status = "claimed", .limit = 1};
    int rc;

    for (;;) {
        struct gone gone = {""};
        size_t n = 0;

        rc = queue_each(q, &held, note_worker, &gone, e);
        if (rc != 0 || gone.worker[0] == '\0')
            return rc;
        rc = queue_bury(q, gone.worker, &n, e);
        if (rc != 0 || n == 0)
            return rc;
        *left += n;
    }
}

static enum group_policy policy_of(const char *word)
{
    return strcmp(word, "process") == 0      ? GROUP_PROCESS
           : strcmp(word, "quarantine") == 0 ? GROUP_QUARANTINE
                                             : GROUP_HOLD;
}

static int open_rooms(struct daemon *d, struct err *e)
{
    const struct conf *conf = d->conf;
    size_t left = 0;
    int rc;
    struct ingest_opts io = {.loop = &d->loop,
                             .watch = {.extensions = conf->watch.extensions,
                                       .rescan_s = conf->watch.rescan_s},
                             .settle = {.quiet_s = conf->watch.stabilization_time_s,
                                        .max_wait_s = conf->watch.max_wait_s,
                                        .min_bytes = (uint64_t)conf->watch.min_bytes,
                                        .max_bytes = (uint64_t)conf->watch.max_bytes},
                             .news = on_settle,
                             .notice = on_notice,
                             .woke = on_woke,
                             .stuck = on_stuck,
                             .arg = d,
                             .every_round = d->opts.once};
    struct task_filter known = {.name = "continuum"};
    struct groupname rule;
    struct group_opts go = {.tolerance_s = conf->group.tolerance_s,
                            .expected = (int)conf->group.expected,
                            .rule = &rule,
                            .deadline_s = conf->group.deadline_s,
                            .policy = policy_of(conf->group.partial),
                            .min_members = (int)(conf->group.min_members > 0
                                                     ? conf->group.min_members
                                                     : conf->group.expected)};
    struct pool_opts po = {.loop = &d->loop,
                           .conf_path = d->settings,
                           .said = on_said,
                           .ended = on_ended,
                           .arg = d};

    if ((rc = groupname_compile(&rule, conf->group.pattern, e)) != 0)
        return rc;
    io.by_directory = rule.directory;
    if ((rc = make_dirs(conf, e)) != 0 || (rc = open_locks(conf, e)) != 0 ||
        (rc = queue_open_conf(&d->queue, conf, QUEUE_AS_DAEMON, e)) != 0 ||
        (rc = recover(d->queue, &left, e)) != 0 ||
        (rc = registry_open(&d->registry, conf->paths.state, e)) != 0 ||
        (rc = path_join(d->settings, sizeof d->settings, conf->paths.state,
                        "settings.conf", e)) != 0 ||
        (rc = settings_write(conf, d->settings, e)) != 0)
        return rc;
    if (left > 0)
        log_event(LOG_WARN, "recovered", "tasks", log_u(left), "reason",
                  "they were left claimed by an earlier run", NULL);
    d->pool = pool_new(&po);
    if (!rule.member)
        go.expected = 1;
    d->groups = group_table_new(&go);
    if (d->groups == NULL)
        return err_set(e, -EINVAL, "[group] expected is larger than %d",
                       GROUP_MAX_EXPECTED);
    d->rework = rework_new(conf, d->groups, d->queue);
    if ((rc = queue_each(d->queue, &known, known_group, d, e)) != 0 ||
        (rc = quarantine_each(conf->paths.state, known_quarantine, d, e)) != 0 ||
        (rc = ingest_new(&d->ingest, &io, e)) != 0)
        return rc;
    d->mosaics = (struct mosaics){
        .conf = conf, .queue = d->queue, .registry = d->registry, .due = true};
    rc = roots_open(&d->roots, ingest_watch(d->ingest), conf, true, e);
    return rc != 0 ? rc : ingest_start(d->ingest, e);
}

static void close_handle(uv_handle_t *handle, void *arg)
{
    (void)arg;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

int daemon_run(struct conf *conf, const struct daemon_opts *opts, struct err *e)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP};
    struct daemon *d = calloc(1, sizeof *d);
    char host[48] = "";
    bool hangs;
    int rc;

    assert(d != NULL);
    d->conf = conf;
    d->opts = *opts;
    gethostname(host, sizeof host - 1);
    snprintf(d->me, sizeof d->me, "%s:%d", host, (int)getpid());
    uv_loop_init(&d->loop);
    uv_timer_init(&d->loop, &d->timer);
    d->timer.data = d;
    rc = open_rooms(d, e);
    if (rc == 0) {
        signal(SIGPIPE,
               SIG_IGN); /* a client or worker that is gone is told by its stream */
        open_control(d);
        for (size_t i = 0; i < 3; i++) {
            uv_signal_init(&d->loop, &d->signal[i]);
            d->signal[i].data = d;
            uv_signal_start(&d->signal[i], on_signal, signals[i]);
        }
        log_event(LOG_INFO, "ready", "version", VERSION, "incoming",
                  conf->paths.incoming, "workers", log_d(conf->workers.count), NULL);
        plan(d, 0);
        uv_run(&d->loop, UV_RUN_DEFAULT);
        log_event(LOG_INFO, "ended", "failed", log_u(d->nfailed), NULL);
    }
    hangs = ingest_stop(d->ingest, INGEST_STOP_S) != 0;
    if (hangs)
        log_event(LOG_WARN, "ended", "reason",
                  "a watched file system still does not answer; left alone", NULL);
    control_close(d->control);
    uv_walk(&d->loop, close_handle, NULL);
    uv_run(&d->loop, UV_RUN_DEFAULT);
    uv_loop_close(&d->loop);
    control_free(d->control);
    if (rc == 0 && opts->once && d->nfailed > 0)
        rc = 1;
    if (d->pool != NULL)
        pool_free(d->pool);
    if (!hangs) /* else a call under way may still use them */
        roots_close(d->roots);
    ingest_free(d->ingest);
    rework_free(d->rework);
    group_table_free(d->groups);
    registry_close(d->registry);
    queue_close(d->queue);
    free(d);
    if (hangs) /* nothing at exit() may touch, or wait for, what the thread still uses */
        _exit(rc);
    return rc;
}
