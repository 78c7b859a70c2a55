#include "watcherd/daemon.h"

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
#include "core/incoming.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/path.h"
#include "core/store/queue.h"
#include "core/store/registry.h"
#include "pipeline/pipeline.h"
#include "pipeline/product/progress.h"
#include "watcherd/face/control.h"
#include "watcherd/crew/crew.h"
#include "watcherd/files/ingest.h"
#include "watcherd/todo/intake.h"
#include "watcherd/todo/leftovers.h"
#include "watcherd/todo/windows.h"
#include "watcherd/crew/peers.h"
#include "watcherd/face/routes.h"
#include "watcherd/folders.h"
#include "watcherd/files/quarantine.h"
#include "watcherd/todo/rework.h"
#include "watcherd/files/roots.h"
#include "watcherd/settings.h"
#include "watcherd/base/store.h"
#include "watcherd/upkeep.h"

/* With --once: files that are still not whole after this many quiet seconds are left, unless
 * their rest will decide what they are. */
#define ONCE_PATIENCE_S 3.0
/* At the end, for a file system or a store that hangs. */
#define LAST_STOP_S 1.0

struct daemon {
    struct conf *conf;
    struct daemon_opts opts;
    uv_loop_t loop;
    uv_timer_t timer;
    uv_signal_t signal[3];
    struct ingest *ingest;
    struct group_table *groups;
    struct registry *registry;
    struct store *store;
    struct crew *crew;
    struct peers *peers;
    struct upkeep *upkeep;
    struct intake *intake;
    struct roots *roots;
    struct rework *rework;
    struct rooms rooms;
    struct answers answers;
    struct control *control;
    struct windows windows;
    char settings[PATH_MAX]; /* the settings in force, for the workers */
    bool stopping, ended;
    bool leaving; /* with --once: all is done, and what is left is being said */
    /* event=checking was logged, and nothing has happened since */
    bool checked;
    size_t nfailed; /* bad files, tasks that failed, what was refused or left */
    size_t nbad;    /* of these: bad files */
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
        d->nbad++;
        break;
    case SETTLE_IS_IGNORED:
        log_event(LOG_WARN, "ignored", "file", news->path, "reason", news->reason,
                  NULL);
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

/* The thread has told something, or has finished a round. */
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
        intake_take(d->intake, news->group);
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
        progress_forget(d->conf);
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

static void on_ended(void *arg, const struct task *task, enum crew_how how)
{
    const struct pipeline *of = pipeline_by_name(task->name);
    struct daemon *d = arg;

    d->nfailed += how == CREW_FAILED;
    d->checked = false;
    if (of == NULL || of->folder == NULL)
        return;
    if (of->input == PIPELINE_GROUP && how == CREW_DONE)
        group_mark(d->groups, task->key, GROUP_DONE);
    else if (of->input == PIPELINE_GROUP &&
             (how == CREW_FAILED || how == CREW_CANCELLED))
        group_mark(d->groups, task->key, GROUP_FAILED);
    d->windows.due = true;
    plan(d, 0);
}

static void on_turned(void *arg)
{
    struct daemon *d = arg;

    if (d->opts.once || !d->checked)
        plan(d, 0);
}

/* There are new tasks, or tasks that somebody has handed back. */
static void on_tasks(void *arg)
{
    struct daemon *d = arg;

    crew_wake(d->crew, false);
    plan(d, 0);
}

/* Tasks of a dead worker are freed before we claim, so that the order is as if it lived. */
static void on_looked(void *arg)
{
    struct daemon *d = arg;

    crew_start(d->crew);
}

static void on_freed(void *arg, size_t tasks)
{
    (void)tasks;
    on_tasks(arg);
}

static void on_found(void *arg, size_t n)
{
    if (n > 0)
        on_tasks(arg);
    plan(arg, 0);
}

static void on_rewritten(void *arg, const char *group)
{
    struct daemon *d = arg;

    rework_note(d->rework, group);
}

static void on_refused(void *arg, const char *group)
{
    struct daemon *d = arg;

    (void)group;
    d->nfailed++;
}

/* Now files may be told of: each finds the group that it belongs to. */
static void on_loaded(void *arg)
{
    struct daemon *d = arg;

    ingest_wait(d->ingest, false);
    plan(d, 0);
}

/* The store has something to tell, or it is time to look. */
static void on_store(void *arg, bool changed)
{
    struct daemon *d = arg;

    if (d->stopping)
        return;
    intake_news(d->intake, changed);
    rework_news(d->rework);
    d->windows.held = false;
    d->windows.due |= changed;
    crew_wake(d->crew, changed);
    plan(d, 0);
}

static void on_store_turned(void *arg, bool up)
{
    struct daemon *d = arg;

    if (up && !d->stopping) {
        peers_look(d->peers);
        on_store(d, true);
    }
}

/* ---- the loop ---- */

static void end_loop(struct daemon *d)
{
    uv_timer_stop(&d->timer);
    uv_stop(&d->loop);
}

static void on_stopped(void *arg)
{
    end_loop(arg);
}

static void stop(struct daemon *d, double grace_s)
{
    d->stopping = true;
    upkeep_stopping(d->upkeep);
    uv_timer_stop(&d->timer);
    peers_stop(d->peers);
    crew_stop(d->crew, grace_s);
}

/* Is there nothing known to us that we could do now? */
static bool is_idle(struct daemon *d)
{
    struct crew_look crew;

    crew_look(d->crew, &crew);
    return crew.idle && !intake_busy(d->intake) &&
           (intake_held(d->intake) == NULL || crew.mode == QUEUE_DRAINS) &&
           !rework_busy(d->rework) && !windows_busy(&d->windows);
}

/* With --once: is there nothing left that anybody will do? */
static bool is_done(struct daemon *d, double now)
{
    struct ingest_look look;
    struct crew_look crew;

    crew_look(d->crew, &crew);
    ingest_look(d->ingest, &look);
    return is_idle(d) && crew.empty && look.scanned && look.idle &&
           (look.settle.waiting == 0 ||
            (look.settle.decided_in_s <= 0 &&
             now - look.last_event >
                 d->conf->watch.stabilization_time_s + ONCE_PATIENCE_S));
}

/* ---- rounds of the loop ---- */

/* Logged once whenever work has been done and none is left; operators look for this line. */
static void say_checking(struct daemon *d)
{
    if (d->checked)
        return;
    d->checked = true;
    log_event(LOG_INFO, "checking", "text", "Checking for next group...", NULL);
}

static void on_left(void *arg, size_t n)
{
    struct daemon *d = arg;

    d->nfailed += n;
    if (!d->stopping)
        stop(d, 0);
}

static void on_timer(uv_timer_t *timer)
{
    struct daemon *d = timer->data;
    double now = clock_boot_s();

    ingest_deliver(d->ingest);
    group_ready(d->groups, now, on_group, d);
    intake_send(d->intake);
    if (intake_loaded(d->intake)) {
        rework_run(d->rework);
        windows_find(&d->windows);
    }
    if (is_idle(d))
        say_checking(d);
    if (d->opts.once && !d->leaving && is_done(d, now)) {
        d->leaving = true;
        leftovers_say(d->ingest, d->groups, ONCE_PATIENCE_S, on_left, d);
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
    if (d->stopping)
        return;
    in_s = fmin(in_s, d->opts.once ? 0.2 : 60);
    /* A later call must not put off what is due sooner. */
    in_s = sooner(in_s, group_next_s(d->groups, clock_boot_s()));
    uv_update_time(&d->loop);
    uv_timer_start(&d->timer, on_timer, (uint64_t)ceil(in_s * 1000), 0);
}

static void on_signal(uv_signal_t *handle, int sig)
{
    struct daemon *d = handle->data;
    struct crew_look crew;

    if (sig == SIGHUP && !d->stopping) {
        upkeep_reloading(d->upkeep);
        settings_reload(d->conf, d->opts.conf_path, d->settings);
        upkeep_reloaded(d->upkeep, d->conf);
        crew_scale(d->crew, d->conf->workers.count);
        crew_renew(d->crew);
        windows_renew(&d->windows);
        intake_news(d->intake, true);
        plan(d, 0);
    }
    if (sig == SIGHUP)
        return;
    crew_look(d->crew, &crew);
    log_event(LOG_INFO, "stopping", "signal", sig == SIGTERM ? "TERM" : "INT",
              "running", log_u(crew.running), NULL);
    /* A second signal does not wait for the grace. */
    stop(d, d->stopping ? 0 : d->conf->workers.stop_grace_s);
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

    d->rooms = (struct rooms){.ingest = d->ingest,
                              .store = d->store,
                              .crew = d->crew,
                              .intake = d->intake,
                              .rework = d->rework,
                              .disks = upkeep_disks(d->upkeep),
                              .started = clock_boot_s(),
                              .changed = on_operated,
                              .arg = d};
    d->answers = (struct answers){
        .conf = d->conf, .groups = d->groups, .roots = d->roots, .rooms = &d->rooms};
    if (control_new(&d->control, &d->loop, d->conf->paths.state, routes_answer,
                    &d->answers, &e) != 0)
        log_event(LOG_ERROR, "control", "reason", e.text, NULL);
}

/* The store and all who talk to it. */
static int open_queue(struct daemon *d, struct err *e)
{
    struct store_opts so = {.loop = &d->loop,
                            .conf = d->conf,
                            .role = QUEUE_AS_DAEMON,
                            .news = on_store,
                            .turned = on_store_turned,
                            .arg = d};
    int rc = store_new(&d->store, &so, e);

    if (rc != 0)
        return rc;
    rc = crew_new(&d->crew,
                  &(struct crew_opts){.loop = &d->loop,
                                      .store = d->store,
                                      .conf = d->conf,
                                      .settings = d->settings,
                                      .name = "watcherd",
                                      .slots = d->conf->workers.count,
                                      .once = d->opts.once,
                                      .ended = on_ended,
                                      .turned = on_turned,
                                      .stopped = on_stopped,
                                      .arg = d},
                  e);
    if (rc != 0)
        return rc;
    d->peers = peers_new(&(struct peers_opts){.loop = &d->loop,
                                              .store = d->store,
                                              .me = crew_me(d->crew),
                                              .looked = on_looked,
                                              .freed = on_freed,
                                              .arg = d});
    d->rework = rework_new(d->conf, d->groups, d->store, on_tasks, d);
    d->intake = intake_new(&(struct intake_opts){.conf = d->conf,
                                                 .store = d->store,
                                                 .groups = d->groups,
                                                 .loaded = on_loaded,
                                                 .rewritten = on_rewritten,
                                                 .queued = on_tasks,
                                                 .refused = on_refused,
                                                 .arg = d});
    d->windows = (struct windows){.conf = d->conf,
                                  .store = d->store,
                                  .registry = d->registry,
                                  .found = on_found,
                                  .arg = d,
                                  .due = true};
    return 0;
}

static int open_groups(struct daemon *d, struct groupname *rule, struct err *e)
{
    int rc = incoming_groups(&d->groups, rule, d->conf, e);

    return rc != 0 ? rc : quarantine_each(d->conf->paths.state, known_quarantine, d, e);
}

static int open_files(struct daemon *d, const struct groupname *rule, struct err *e)
{
    const struct conf *conf = d->conf;
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
                             .by_directory = rule->directory,
                             .every_round = d->opts.once};
    int rc = ingest_new(&d->ingest, &io, e);

    if (rc != 0)
        return rc;
    ingest_wait(d->ingest, true); /* until it is known which groups had tasks */
    rc = roots_open(&d->roots, ingest_watch(d->ingest), conf, true, e);
    return rc != 0 ? rc : ingest_start(d->ingest, e);
}

static int open_rooms(struct daemon *d, struct err *e)
{
    const struct conf *conf = d->conf;
    struct groupname rule;
    int rc;

    if ((rc = folders_make(conf, e)) != 0 || (rc = folders_locks(conf, e)) != 0 ||
        (rc = path_join(d->settings, sizeof d->settings, conf->paths.state,
                        "settings.conf", e)) != 0 ||
        (rc = open_groups(d, &rule, e)) != 0 || (rc = open_queue(d, e)) != 0 ||
        (rc = registry_open(&d->registry, conf->paths.state, e)) != 0 ||
        (rc = settings_write(conf, d->settings, e)) != 0 ||
        (rc = upkeep_new(&d->upkeep, &d->loop, conf, d->crew, e)) != 0)
        return rc;
    d->windows.registry = d->registry;
    return open_files(d, &rule, e);
}

static void close_handle(uv_handle_t *handle, void *arg)
{
    (void)arg;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static void begin(struct daemon *d)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP};

    signal(SIGPIPE,
           SIG_IGN); /* a client or worker that is gone is told by its stream */
    open_control(d);
    for (size_t i = 0; i < 3; i++) {
        uv_signal_init(&d->loop, &d->signal[i]);
        d->signal[i].data = d;
        uv_signal_start(&d->signal[i], on_signal, signals[i]);
    }
    log_event(LOG_INFO, "ready", "version", VERSION, "incoming",
              d->conf->paths.incoming, "workers", log_d(d->conf->workers.count), NULL);
    peers_look(d->peers);
    intake_load(d->intake);
    plan(d, 0);
    upkeep_ready(d->upkeep);
}

/* Returns whether a thread hangs in a call: it still uses what belongs to it. */
static bool close_threads(struct daemon *d)
{
    bool files = ingest_stop(d->ingest, LAST_STOP_S) != 0;
    bool store = store_stop(d->store, LAST_STOP_S) != 0;

    if (files)
        log_event(LOG_WARN, "ended", "reason",
                  "a watched file system still does not answer; left alone", NULL);
    if (store)
        log_event(LOG_WARN, "ended", "reason",
                  "the queue's store still does not answer; left alone", NULL);
    return files || store;
}

int daemon_run(struct conf *conf, const struct daemon_opts *opts, struct err *e)
{
    struct daemon *d = mem_calloc(1, sizeof *d);
    int rc;

    d->conf = conf;
    d->opts = *opts;
    uv_loop_init(&d->loop);
    uv_timer_init(&d->loop, &d->timer);
    d->timer.data = d;
    rc = open_rooms(d, e);
    if (rc == 0) {
        begin(d);
        uv_run(&d->loop, UV_RUN_DEFAULT);
        log_event(LOG_INFO, "ended", "failed", log_u(d->nfailed), "bad_files",
                  log_u(d->nbad), NULL);
        if (opts->once && d->nfailed > 0)
            rc = 1;
    }
    d->stopping = true;
    peers_stop(d->peers);
    if (close_threads(
            d)) { /* nothing at exit() may touch, or wait for, what they still use */
        control_close(d->control);
        _exit(rc);
    }
    control_close(d->control);
    upkeep_close(d->upkeep);
    uv_walk(&d->loop, close_handle, NULL);
    uv_run(&d->loop, UV_RUN_DEFAULT);
    uv_loop_close(&d->loop);
    control_free(d->control);
    upkeep_free(d->upkeep);
    crew_free(d->crew);
    peers_free(d->peers);
    intake_free(d->intake);
    rework_free(d->rework);
    roots_close(d->roots);
    ingest_free(d->ingest);
    store_free(d->store);
    group_table_free(d->groups);
    registry_close(d->registry);
    free(d);
    return rc;
}
