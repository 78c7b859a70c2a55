#include "watcherd/face/answers.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/conf.h"
#include "core/err.h"
#include "core/group.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/path.h"
#include "core/store/queue_json.h"
#include "core/text.h"
#include "pipeline/pipeline.h"
#include "watcherd/face/control.h"
#include "watcherd/crew/crew.h"
#include "watcherd/files/ingest.h"
#include "watcherd/todo/intake.h"
#include "watcherd/files/quarantine.h"
#include "watcherd/todo/rework.h"
#include "watcherd/files/roots.h"
#include "watcherd/files/settle.h"
#include "watcherd/base/store.h"
#include "watcherd/upkeep.h"
#include "watcherd/files/watch.h"

/* So long the loop may stand still for the watched file systems, and for the queue's store. */
static const double FILES_WAIT_S = 0.5, STORE_WAIT_S = 0.5;

static const char *string_in(const json_t *object, const char *key)
{
    const char *s = json_string_value(json_object_get(object, key));

    return s != NULL ? s : "";
}

static void changed(const struct answers *o)
{
    if (o->changed != NULL)
        o->changed(o->arg);
}

/* ---- what touches the watched file systems ---- */

/* One question to the thread that owns watch and settle; see ingest.h. */
struct files_call {
    struct ingest_call call;
    struct watch *watch; /* these two while it runs */
    struct settle *settle;
    void (*ask)(struct files_call *c);
    struct roots *roots;
    /* what is asked: a copy, because whoever asks may give up */
    char path[PATH_MAX];
    unsigned flags;
    struct groupname rule;
    int64_t key;
    double tolerance_s, now;
    bool near; /* rule and key are of a group */
    /* the answer */
    char why[512];
    json_t *list;
    struct watch_stats stats;
    struct err err;
    int rc;
    bool there;
};

static void run_ask(struct ingest_call *call, struct watch *watch,
                    struct settle *settle)
{
    struct files_call *c = (struct files_call *)call;

    c->watch = watch;
    c->settle = settle;
    c->ask(c);
}

static void free_ask(struct ingest_call *call)
{
    json_decref(((struct files_call *)call)->list);
    free(call);
}

static struct files_call *
files_call(const struct answers *o, void (*ask)(struct files_call *c), const char *path)
{
    struct files_call *c = mem_calloc(1, sizeof *c);

    c->call.run = run_ask;
    c->call.free = free_ask;
    c->ask = ask;
    c->roots = o->roots;
    c->now = clock_boot_s();
    c->list = json_array();
    snprintf(c->path, sizeof c->path, "%s", path);
    return c;
}

/* 0 with the answer in c; else c is gone and say[] tells why. */
static int files_ask(const struct answers *o, struct files_call *c, char say[128])
{
    int rc = 0;

    if (o->ingest == NULL)
        run_ask(&c->call, o->watch, o->settle);
    else if ((rc = ingest_call(o->ingest, &c->call, FILES_WAIT_S)) != 0)
        ingest_say(o->ingest, say, 128);
    return rc;
}

static json_t *unanswered(int rc, const char *say)
{
    return control_error(
        "%s%s", say,
        rc == -EINPROGRESS ? "; what was asked is begun and may still come to be" : "");
}

/* ---- why ---- */

/* Files that have not settled and whose name puts them into or near this group. */
static void add_growing(void *arg, const char *path, enum settle_state state,
                        double waited_s)
{
    static const char *const word[] = {"new", "growing", "settled", "bad"};
    struct files_call *c = arg;
    struct groupname_hit hit;
    char why[512];

    if (groupname_parse(&c->rule, path_base(path), &hit) != 0 ||
        (c->rule.timed ? fabs((double)(hit.key - c->key)) > c->tolerance_s
                       : hit.key != c->key))
        return;
    settle_why(c->settle, path, why, sizeof why, c->now);
    json_array_append_new(c->list, json_pack("{s:o, s:i, s:s, s:f, s:o}", "path",
                                             text_json(path), "member", hit.member,
                                             "state", word[state], "waited_s", waited_s,
                                             "why", text_json(why)));
}

static void ask_files(struct files_call *c)
{
    if (c->path[0] != '\0')
        settle_why(c->settle, c->path, c->why, sizeof c->why, c->now);
    if (c->near)
        settle_each_unsettled(c->settle, c->now, add_growing, c);
}

/*
 * Put into `out` what is known of the files of a group ("": none), and into `file` (or NULL) of
 * the one at `path`.
 */
static void describe_files(const struct answers *o, json_t *out, const char *group,
                           json_t *file, const char *path)
{
    struct files_call *c = files_call(o, ask_files, file != NULL ? path : "");
    char say[128];

    c->tolerance_s = o->conf->group.tolerance_s;
    c->near = group[0] != '\0' &&
              groupname_compile(&c->rule, o->conf->group.pattern, NULL) == 0 &&
              groupname_key(&c->rule, group, &c->key) == 0;
    if (group[0] != '\0')
        json_object_set_new(out, "unsettled", json_array());
    if (files_ask(o, c, say) != 0) {
        json_object_set_new(out, "unanswered", json_string(say));
        if (file != NULL)
            json_object_set_new(file, "why", json_string(say));
        return;
    }
    if (group[0] != '\0')
        json_object_set(out, "unsettled", c->list);
    if (file != NULL)
        json_object_set_new(file, "why", text_json(c->why));
    free_ask(&c->call);
}

struct seen_group {
    json_t *out;
    double now;
};

static void describe_group(void *arg, const struct group_view *v)
{
    struct seen_group *s = arg;
    json_t *missing = json_array();

    for (int i = 0; i < v->expected; i++)
        if (v->member[i].path == NULL)
            json_array_append_new(missing, json_integer(i));
    json_object_update_new(
        s->out, json_pack("{s:s, s:i, s:i, s:o, s:i, s:i, s:i}", "state",
                          group_state_name(v->state), "present", v->present, "expected",
                          v->expected, "missing", missing, "duplicates", v->duplicates,
                          "surplus", v->surplus, "late", v->late));
    if (isfinite(v->last_arrival))
        json_object_set_new(s->out, "last_arrival_s",
                            json_real(s->now - v->last_arrival));
}

struct wanted_worker {
    const char *id;
    double now;
    json_t *out;
};

static void find_worker(void *arg, const struct pool_look *look)
{
    struct wanted_worker *w = arg;

    if (strcmp(look->task->id, w->id) != 0)
        return;
    w->out = json_pack("{s:i, s:f, s:s}", "pid", look->pid, "since_s",
                       w->now - look->started, "finished_step", look->step);
    if (look->step[0] != '\0')
        json_object_set_new(w->out, "step_s", json_real(w->now - look->stepped));
}

/* One question to the store; a copy, because whoever asks may give up. */
struct store_call {
    struct store_job job;
    char name[QUEUE_NAME], key[QUEUE_TEXT]; /* of a task; "": the whole queue */
    /* the answer */
    bool there;
    struct task task;
    size_t ahead, count[TASK_STATUSES];
    enum queue_mode mode;
    char reason[QUEUE_TEXT];
    double now_s;
};

static void store_call_free(struct store_call *c)
{
    if (c != NULL)
        task_clear(&c->task);
    free(c);
}

static void end_store_call(struct store_job *job, int rc, const struct err *e)
{
    (void)rc;
    (void)e;
    store_call_free((struct store_call *)job); /* nobody waits for it any more */
}

static int look_at_task(struct store_call *c, struct queue *q, struct err *e)
{
    int rc = queue_status(q, c->name, c->key, &c->task, e);

    c->there = rc == 0;
    if (rc == 0 && c->task.status == TASK_PENDING)
        rc = queue_ahead(q, &c->task, &c->ahead, e);
    if (rc == 0)
        rc = queue_now(q, &c->now_s, e);
    return rc == -ENOENT ? 0 : rc;
}

static int run_store_call(struct store_job *job, struct queue *q, struct err *e)
{
    struct store_call *c = (struct store_call *)job;
    double since;
    int rc = queue_get_mode(q, &c->mode, c->reason, sizeof c->reason, &since, e);

    if (rc == 0 && c->key[0] != '\0')
        return look_at_task(c, q, e);
    for (enum task_status s = TASK_PENDING; rc == 0 && s < TASK_STATUSES; s++)
        rc = queue_count(q, s, &c->count[s], e);
    return rc;
}

/* NULL: say tells why there is no answer. */
static struct store_call *ask_store(const struct answers *o, const char *name,
                                    const char *key, char *say, size_t size)
{
    struct store_call *c = mem_calloc(1, sizeof *c);
    struct err e = {0};
    int rc;

    c->job.run = run_store_call;
    c->job.done = end_store_call;
    snprintf(c->name, sizeof c->name, "%s", name);
    snprintf(c->key, sizeof c->key, "%s", key);
    rc = store_ask(o->store, &c->job, STORE_WAIT_S, &e);
    if (rc == 0)
        return c;
    if (rc != -ETIMEDOUT)
        store_call_free(c);
    snprintf(say, size, "%s", e.text);
    return NULL;
}

static void put_turn(const struct answers *o, json_t *out, const struct store_call *c)
{
    struct crew_look crew;

    crew_look(o->crew, &crew);
    if (c->mode != QUEUE_RUNS)
        json_object_update_new(out,
                               json_pack("{s:s, s:o}", "mode", queue_mode_name(c->mode),
                                         "mode_reason", text_json(c->reason)));
    if (crew.held != NULL)
        json_object_set_new(out, "held", text_json(crew.held));
}

/* The task of a group or mosaic into `out`, or why it is not known. */
static void describe_task(const struct answers *o, json_t *out, const char *name,
                          const char *key, double now)
{
    struct store_call *c;
    char say[256];
    json_t *task;

    if (o->store == NULL || key[0] == '\0')
        return;
    if ((c = ask_store(o, name, key, say, sizeof say)) == NULL) {
        json_object_set_new(out, "store", text_json(say));
        return;
    }
    if (c->there) {
        const struct task *t = &c->task;

        task = task_brief_json(t);
        if (t->status == TASK_PENDING) {
            double in_s = t->run_after - c->now_s;

            json_object_set_new(task, "due_in_s", json_real(in_s > 0 ? in_s : 0));
            json_object_set_new(task, "ahead", json_integer((json_int_t)c->ahead));
            put_turn(o, task, c);
        }
        if (t->status == TASK_CLAIMED) {
            struct wanted_worker w = {.id = t->id, .now = now};

            crew_each(o->crew, find_worker, &w);
            if (w.out != NULL)
                json_object_set_new(task, "worker", w.out);
        }
        json_object_set_new(out, "task", task);
    }
    store_call_free(c);
}

/* The group that a file's name alone would put it into: exact, or by its own time. */
static int group_by_name(const struct answers *o, const char *path,
                         char group[GROUP_NAME])
{
    struct groupname_hit hit;
    struct groupname rule;
    char iso[32] = "";

    if (groupname_compile(&rule, o->conf->group.pattern, NULL) != 0 ||
        groupname_parse(&rule, path_base(path), &hit) != 0)
        return -ENOENT;
    if (rule.timed)
        clock_iso((double)hit.key, iso);
    snprintf(group, GROUP_NAME, "%.*s", rule.timed ? 19 : GROUP_NAME - 1,
             rule.timed ? iso : hit.name);
    return 0;
}

/* "name" was a path: what the groups know of the file, and its group's name. */
static json_t *describe_file(const struct answers *o, const char *path,
                             char group[GROUP_NAME])
{
    json_t *out = json_object();
    const char *role = "", *given = path;
    char top[PATH_MAX];

    if (strcmp(o->conf->group.pattern, "directory") == 0 &&
        roots_top(o->roots, path, top))
        path = top; /* the member is the directory */
    if (group_of(o->groups, path, group, &role) == 0)
        json_object_set_new(out, "role", json_string(role));
    else if (group_by_name(o, path, group) != 0)
        json_object_set_new(out, "foreign", json_true());
    json_object_set_new(out, "path", text_json(given));
    return out;
}

static bool is_path(const struct answers *o, const char *name)
{
    char group[GROUP_NAME];

    return strchr(name, '/') != NULL ||
           (group_find(o->groups, name, NULL, NULL) != 0 &&
            group_by_name(o, name, group) == 0 && strcmp(group, name) != 0);
}

static json_t *answer_why(struct answers *o, const json_t *request)
{
    const char *name = string_in(request, "name"), *given = name;
    const struct pipeline *of = pipeline_of_product(name);
    bool window = of->input == PIPELINE_WINDOW;
    double now = clock_boot_s();
    json_t *out = json_object(), *file = NULL;
    struct seen_group seen = {out, now};
    char group[GROUP_NAME] = "", words[4096], path[PATH_MAX];

    if (is_path(o, name)) {
        file = describe_file(o, name, group);
        json_object_set_new(out, "file", file);
        name = group;
    }
    json_object_set_new(out, "name", text_json(name));
    json_object_set_new(out, "kind", json_string(window ? of->data_type : "group"));
    json_object_set_new(out, "products", text_json(o->conf->paths.products));
    json_object_set_new(out, "locks", text_json(o->conf->paths.locks));
    if (!window || file != NULL)
        describe_files(o, out, window ? "" : name, file, given);
    describe_task(o, out, of->name, name, now);
    if (window || name[0] == '\0')
        return out;
    if (group_find(o->groups, name, describe_group, &seen) == 0)
        json_object_set_new(out, "known", json_true());
    group_why(o->groups, name, words, sizeof words, now);
    json_object_set_new(out, "words", text_json(words));
    if (o->rework != NULL && rework_waits(o->rework, name))
        json_object_set_new(out, "rewritten", json_true());
    if (o->intake != NULL && intake_waits(o->intake, name))
        json_object_set_new(out, "waits",
                            json_string("for the answer of the queue's store"));
    else if (o->intake != NULL && intake_held(o->intake) != NULL)
        json_object_set_new(out, "waits", json_string(intake_held(o->intake)));
    if (strcmp(string_in(out, "state"), "set aside") == 0 &&
        quarantine_path(path, sizeof path, o->conf->paths.state, name, NULL) == 0)
        json_object_set_new(out, "record", text_json(path));
    return out;
}

/* ---- status ---- */

struct progress {
    size_t n[GROUP_SET_ASIDE + 1];
};

static void count_group(void *arg, const struct group_view *g)
{
    struct progress *t = arg;

    t->n[g->state]++;
}

static json_t *groups_json(const struct answers *o)
{
    struct progress t = {{0}};
    json_t *out = json_object();

    group_each(o->groups, count_group, &t);
    for (int i = 0; i <= GROUP_SET_ASIDE; i++)
        json_object_set_new(out, group_state_name((enum group_state)i),
                            json_integer((json_int_t)t.n[i]));
    return out;
}

struct running {
    json_t *list;
    double now;
};

static void add_running(void *arg, const struct pool_look *look)
{
    struct running *r = arg;

    json_array_append_new(
        r->list, json_pack("{s:s, s:s, s:i, s:i, s:f, s:s}", "task", look->task->name,
                           "name", look->task->key, "attempt",
                           look->task->retry_count + 1, "pid", look->pid, "since_s",
                           r->now - look->started, "finished_step", look->step));
}

static json_t *queue_json(const struct answers *o)
{
    char say[256];
    struct store_call *c = ask_store(o, "", "", say, sizeof say);
    json_t *out = json_object();

    if (c == NULL) {
        json_object_set_new(out, "unanswered", text_json(say));
        return out;
    }
    json_object_update_new(out, task_totals_json(c->count));
    json_object_update_new(out,
                           json_pack("{s:s, s:o}", "mode", queue_mode_name(c->mode),
                                     "mode_reason", text_json(c->reason)));
    store_call_free(c);
    return out;
}

static json_t *store_json(const struct answers *o)
{
    struct store_look look;

    store_look(o->store, &look);
    return json_pack("{s:b, s:f, s:o, s:o}", "up", (int)look.up, "since_s",
                     look.since_s, "why", text_json(look.why), "where",
                     text_json(look.where));
}

/* What keeps tasks from being started, and groups from being queued. */
static json_t *held_json(const struct answers *o, const struct crew_look *crew)
{
    const char *intake = intake_held(o->intake);

    return json_pack("{s:s?, s:s?}", "tasks", crew->held, "groups", intake);
}

static json_t *answer_status(struct answers *o, const json_t *request)
{
    double now = clock_boot_s();
    struct running running = {json_array(), now};
    struct group_stats groups;
    struct ingest_look look;
    struct crew_look crew;

    (void)request;
    ingest_look(o->ingest, &look);
    group_stats(o->groups, &groups);
    crew_look(o->crew, &crew);
    crew_each(o->crew, add_running, &running);
    return json_pack(
        "{s:s, s:i, s:f, s:{s:I, s:I, s:I, s:I, s:I, s:I}, s:o, s:o, s:o, s:I,"
        " s:{s:I, s:I, s:I, s:I}, s:f, s:o, s:o, s:I, s:o}",
        "version", VERSION, "pid", (int)getpid(), "uptime_s", now - o->started, "files",
        "known", (json_int_t)look.settle.known, "waiting",
        (json_int_t)look.settle.waiting, "settled", (json_int_t)look.settle.settled,
        "bad", (json_int_t)look.settle.bad, "overdue", (json_int_t)look.settle.overdue,
        "foreign", (json_int_t)groups.foreign, "groups", groups_json(o), "queue",
        queue_json(o), "running", running.list, "workers", (json_int_t)crew.slots,
        "watch", "roots", (json_int_t)look.watch.roots, "missing",
        (json_int_t)look.watch.missing_roots, "overflows",
        (json_int_t)look.watch.overflows, "events", (json_int_t)look.watch.events,
        "ingest_stuck_s", look.stuck_s, "store", store_json(o), "held",
        held_json(o, &crew), "untold", (json_int_t)crew.untold, "disks",
        upkeep_disks(o->upkeep));
}

/* ---- workers ---- */

/* Resident memory of a process; 0 when it is gone.  See proc(5), statm. */
static double rss_mib(int pid)
{
    char path[64];
    long pages = 0;
    FILE *f;

    snprintf(path, sizeof path, "/proc/%d/statm", pid);
    f = fopen(path, "re");
    if (f != NULL && fscanf(f, "%*d %ld", &pages) != 1)
        pages = 0;
    if (f != NULL)
        fclose(f);
    return (double)pages * (double)sysconf(_SC_PAGESIZE) / (1 << 20);
}

static void add_worker(void *arg, const struct pool_look *look)
{
    struct running *r = arg;

    json_array_append_new(
        r->list, json_pack("{s:i, s:s, s:s, s:s, s:i, s:f, s:s, s:f}", "pid", look->pid,
                           "task_id", look->task->id, "task", look->task->name, "name",
                           look->task->key, "attempt", look->task->retry_count + 1,
                           "since_s", r->now - look->started, "finished_step",
                           look->step, "rss_mib", rss_mib(look->pid)));
}

static json_t *answer_workers(struct answers *o, const json_t *request)
{
    struct running running = {json_array(), clock_boot_s()};
    struct crew_look crew;

    (void)request;
    crew_look(o->crew, &crew);
    crew_each(o->crew, add_worker, &running);
    return json_pack("{s:I, s:o, s:s, s:s?}", "slots", (json_int_t)crew.slots,
                     "running", running.list, "worker", crew_me(o->crew)->id, "held",
                     crew.held);
}

static json_t *answer_scale(struct answers *o, const json_t *request)
{
    json_t *count = json_object_get(request, "count");
    json_int_t n = json_integer_value(count);
    struct crew_look crew;

    if (!json_is_integer(count) || n < 0 || n > 1024)
        return control_error("count has to be a number from 0 to 1024");
    crew_look(o->crew, &crew);
    crew_scale(o->crew, (long)n);
    return json_pack("{s:I, s:I}", "slots", n, "before", (json_int_t)crew.slots);
}

/* ---- watch ---- */

static void add_root(void *arg, const struct watch_root_info *info)
{
    struct files_call *c = arg;
    const char *mode = info->polled == 0    ? "inotify"
                       : info->watched == 0 ? "polled"
                                            : "inotify, partly polled";
    json_t *root;

    if (info->flags & WATCH_POLL)
        mode = "polled";
    root = json_pack(
        "{s:o, s:s, s:b, s:b, s:b, s:I, s:I, s:s}", "path", text_json(info->path),
        "mode", mode, "attached", (int)info->attached, "recursive",
        (int)((info->flags & WATCH_RECURSIVE) != 0), "poll",
        (int)((info->flags & WATCH_POLL) != 0), "directories",
        (json_int_t)(info->watched), "polled", (json_int_t)info->polled, "from",
        roots_was_added(c->roots, info->path) ? "operator" : "settings");
    json_object_set_new(root, "scanned_s",
                        info->scanned < 0 ? json_null()
                                          : json_real(c->now - info->scanned));
    json_array_append_new(c->list, root);
}

static void ask_list(struct files_call *c)
{
    watch_each_info(c->watch, add_root, c);
    watch_stats(c->watch, &c->stats);
}

static json_t *answer_list(struct answers *o, const json_t *request)
{
    struct files_call *c = files_call(o, ask_list, "");
    char say[128];
    json_t *out;
    int rc;

    (void)request;
    if ((rc = files_ask(o, c, say)) != 0)
        return unanswered(rc, say);
    out = json_pack("{s:O, s:I}", "roots", c->list, "overflows",
                    (json_int_t)c->stats.overflows);
    free_ask(&c->call);
    return out;
}

static void ask_add(struct files_call *c)
{
    c->rc = roots_add(c->roots, c->path, c->flags, &c->err);
    c->there = c->rc == 0 && access(c->path, F_OK) == 0;
}

static json_t *answer_add(struct answers *o, const json_t *request)
{
    const char *path = string_in(request, "path");
    struct files_call *c = files_call(o, ask_add, path);
    char say[128];
    json_t *out;
    int rc;

    if (json_is_true(json_object_get(request, "recursive")))
        c->flags |= WATCH_RECURSIVE;
    if (json_is_true(json_object_get(request, "poll")))
        c->flags |= WATCH_POLL;
    if ((rc = files_ask(o, c, say)) != 0)
        return unanswered(rc, say);
    if (c->rc != 0) {
        out = control_error("%s", c->err.text);
    } else {
        log_event(LOG_INFO, "root_added", "root", path, "recursive",
                  c->flags & WATCH_RECURSIVE ? "yes" : "no", NULL);
        out = json_pack("{s:o, s:b}", "added", text_json(path), "there", (int)c->there);
        changed(o);
    }
    free_ask(&c->call);
    return out;
}

static void ask_remove(struct files_call *c)
{
    c->rc = roots_remove(c->roots, c->path, &c->err);
    if (c->rc == 0)
        settle_forget(c->settle, c->path);
}

static json_t *answer_remove(struct answers *o, const json_t *request)
{
    const char *path = string_in(request, "path");
    struct files_call *c = files_call(o, ask_remove, path);
    char say[128];
    json_t *out;
    size_t n;
    int rc;

    if ((rc = files_ask(o, c, say)) != 0)
        return unanswered(rc, say);
    if (c->rc != 0) {
        out = control_error("%s", c->err.text);
    } else {
        ingest_deliver(o->ingest); /* news from before come before */
        n = group_forget(o->groups, path);
        log_event(LOG_INFO, "root_removed", "root", path, "files", log_u(n), NULL);
        out =
            json_pack("{s:o, s:I}", "removed", text_json(path), "files", (json_int_t)n);
        changed(o);
    }
    free_ask(&c->call);
    return out;
}

/* ---- release ---- */

static json_t *answer_release(struct answers *o, const json_t *request)
{
    const char *name = string_in(request, "name");
    struct err e = {0};

    if (name[0] == '\0' || name[0] == '.' || strchr(name, '/') != NULL)
        return control_error("%.100s is not a group's name", name);
    if (quarantine_end(o->conf->paths.state, name, &e) != 0)
        return control_error("%s", e.text);
    group_mark(o->groups, name, GROUP_COLLECTING);
    log_event(LOG_INFO, "released", "group", name, NULL);
    changed(o);
    return json_pack("{s:s}", "released", name);
}

/* ---- all of them ---- */

static const struct {
    const char *ask;
    json_t *(*answer)(struct answers *o, const json_t *request);
} asks[] = {
    {"why", answer_why},
    {"status", answer_status},
    {"workers", answer_workers},
    {"scale", answer_scale},
    {"watch-list", answer_list},
    {"watch-add", answer_add},
    {"watch-remove", answer_remove},
    {"release", answer_release},
};

json_t *answers_answer(void *arg, json_t *request)
{
    const char *ask = string_in(request, "ask");

    for (size_t i = 0; i < sizeof asks / sizeof asks[0]; i++)
        if (strcmp(ask, asks[i].ask) == 0) {
            json_t *out = asks[i].answer(arg, request);

            return out != NULL ? out
                               : control_error("the answer could not be put in words");
        }
    return control_error("there is nothing to ask for by the name of %.60s", ask);
}
