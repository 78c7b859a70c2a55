/*
 * answer_group.c: why a group, mosaic or file is not done yet; and the end of a quarantine.
 *
 * "why" asks the thread at the file systems and the one at the store at once; when both have
 * spoken the answer is put together from what they said and from what the loop knows.
 */
#include "watcherd/face/answers.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/clock.h"
#include "core/conf.h"
#include "core/dirsum.h"
#include "core/err.h"
#include "core/group.h"
#include "core/groupname.h"
#include "core/incoming.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/path.h"
#include "core/store/queue_json.h"
#include "core/text.h"
#include "pipeline/pipeline.h"
#include "watcherd/base/store.h"
#include "watcherd/crew/crew.h"
#include "watcherd/face/reply.h"
#include "watcherd/files/ingest.h"
#include "watcherd/files/quarantine.h"
#include "watcherd/files/roots.h"
#include "watcherd/todo/intake.h"
#include "watcherd/todo/rework.h"

/* One "why" under way. */
struct why {
    struct answers *answers;
    struct reply *reply;
    char name[QUEUE_TEXT]; /* of the group or mosaic; "": a file that belongs to none */
    const struct pipeline *of; /* what makes its product */
    bool window;               /* of several groups: no files of its own */
    json_t *out;
    json_t *file;         /* in out, or NULL: "name" was no path */
    json_t *files, *task; /* what the two threads said; to be merged into out */
    int waits;            /* for so many answers */
};

static void finish(struct why *w);

static void answered(struct why *w)
{
    if (--w->waits == 0)
        finish(w);
}

/* ---- what the thread at the file systems knows ---- */

struct files_call {
    struct ingest_call call;
    struct why *why;
    const struct settle *settle; /* while it runs */
    char path[PATH_MAX];         /* of a file, or "" */
    bool near;                   /* rule and key are of a group */
    struct groupname rule;
    int64_t key;
    double tolerance_s, now;
    char say[512]; /* these two are the answer */
    json_t *list;
};

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

/* A path that no scan told of: why not, by its name and by what is there. */
static void say_unknown(struct files_call *c)
{
    const struct conf *conf = c->why->answers->conf;
    const char *name = path_base(c->path);
    struct incoming_names names;
    struct stat st;

    if (strcmp(c->say, "not known") != 0)
        return;
    if (lstat(c->path, &st) != 0)
        snprintf(c->say, sizeof c->say, "not known: %s", strerror(errno));
    else if (S_ISLNK(st.st_mode))
        snprintf(c->say, sizeof c->say, "not known: a symbolic link, not followed");
    else if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
        snprintf(c->say, sizeof c->say, "not known: no regular file");
    else if (dirsum_unfinished(name))
        snprintf(c->say, sizeof c->say,
                 "not known: its name says that it is still being written");
    else if (S_ISREG(st.st_mode) &&
             incoming_names(&names, conf->watch.extensions, NULL) == 0 &&
             !incoming_wants(&names, name))
        snprintf(c->say, sizeof c->say,
                 "not known: its name ends in none of [watch] extensions = %s",
                 conf->watch.extensions);
    else
        snprintf(c->say, sizeof c->say,
                 "not known: it lies in no watched directory, or was not seen yet");
}

static void run_files(struct ingest_call *call, struct watch *watch,
                      struct settle *settle)
{
    struct files_call *c = (struct files_call *)call;

    (void)watch;
    c->settle = settle;
    if (c->path[0] != '\0') {
        settle_why(settle, c->path, c->say, sizeof c->say, c->now);
        say_unknown(c);
    }
    if (c->near)
        settle_each_unsettled(settle, c->now, add_growing, c);
}

static void on_files(struct side_job *job, int rc, const struct err *e)
{
    struct files_call *c = (struct files_call *)job;
    struct why *w = c->why;
    const char *say = rc == 0 ? c->say : e->text;

    if (w->name[0] != '\0' && !w->window)
        json_object_set_new(w->files, "unsettled",
                            rc == 0 ? json_incref(c->list) : json_array());
    if (rc != 0)
        json_object_set_new(w->files, "unanswered", text_json(say));
    if (w->file != NULL)
        json_object_set_new(w->file, "why", text_json(say));
    answered(w);
}

static void free_files(struct side_job *job)
{
    struct files_call *c = (struct files_call *)job;

    json_decref(c->list);
    free(c);
}

static void ask_files(struct why *w, const char *path)
{
    const struct answers *o = w->answers;
    struct files_call *c = mem_calloc(1, sizeof *c);

    c->call.run = run_files;
    c->call.job.done = on_files;
    c->call.job.free = free_files;
    c->why = w;
    c->now = clock_boot_s();
    c->list = json_array();
    c->tolerance_s = o->conf->group.tolerance_s;
    c->near = !w->window && w->name[0] != '\0' &&
              groupname_compile(&c->rule, o->conf->group.pattern, NULL) == 0 &&
              groupname_key(&c->rule, w->name, &c->key) == 0;
    snprintf(c->path, sizeof c->path, "%s", path);
    w->waits++;
    if (o->rooms != NULL) {
        ingest_ask(o->rooms->ingest, &c->call, ANSWERS_FILES_S);
    } else {
        run_files(&c->call, NULL, o->settle);
        on_files(&c->call.job, 0, NULL);
        free_files(&c->call.job);
    }
}

/* ---- what the store knows ---- */

struct task_job {
    struct store_job job;
    struct why *why;
    char name[QUEUE_NAME], key[QUEUE_TEXT];
    bool there; /* this and what follows is the answer */
    struct task task;
    size_t ahead;
    enum queue_mode mode;
    char reason[QUEUE_TEXT];
    double now_s; /* the store's clock */
};

static int run_task(struct store_job *job, struct queue *q, struct err *e)
{
    struct task_job *c = (struct task_job *)job;
    double since;
    int rc = queue_get_mode(q, &c->mode, c->reason, sizeof c->reason, &since, e);

    if (rc == 0)
        rc = queue_status(q, c->name, c->key, &c->task, e);
    c->there = rc == 0;
    if (rc == 0 && c->task.status == TASK_PENDING)
        rc = queue_ahead(q, &c->task, &c->ahead, e);
    if (rc == 0)
        rc = queue_now(q, &c->now_s, e);
    return rc == -ENOENT ? 0 : rc;
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

/* When it is its turn. */
static void put_turn(json_t *task, const struct task_job *c, struct crew *crew)
{
    double in_s = c->task.run_after - c->now_s;
    struct crew_look look = {.held = NULL};

    if (crew != NULL)
        crew_look(crew, &look);
    json_object_set_new(task, "due_in_s", json_real(in_s > 0 ? in_s : 0));
    json_object_set_new(task, "ahead", json_integer((json_int_t)c->ahead));
    if (c->mode != QUEUE_RUNS)
        json_object_update_new(task,
                               json_pack("{s:s, s:o}", "mode", queue_mode_name(c->mode),
                                         "mode_reason", text_json(c->reason)));
    if (look.held != NULL)
        json_object_set_new(task, "held", text_json(look.held));
}

static json_t *turn_json(const struct task_job *c, struct crew *crew)
{
    const struct task *t = &c->task;
    struct wanted_worker w = {.id = t->id, .now = clock_boot_s()};
    json_t *out = task_brief_json(t);

    if (t->status == TASK_PENDING)
        put_turn(out, c, crew);
    if (t->status == TASK_CLAIMED && crew != NULL)
        crew_each(crew, find_worker, &w);
    if (w.out != NULL)
        json_object_set_new(out, "worker", w.out);
    return out;
}

int answer_task(struct queue *q, const char *pipeline, const char *key, json_t **out,
                struct err *e)
{
    struct task_job *c = mem_calloc(1, sizeof *c);
    int rc;

    snprintf(c->name, sizeof c->name, "%s", pipeline);
    snprintf(c->key, sizeof c->key, "%s", key);
    rc = run_task(&c->job, q, e);
    *out = rc == 0 && c->there ? turn_json(c, NULL) : NULL;
    task_clear(&c->task);
    free(c);
    return rc;
}

static void on_task(struct store_job *job, int rc, const struct err *e)
{
    struct task_job *c = (struct task_job *)job;
    struct why *w = c->why;

    if (rc != 0)
        json_object_set_new(w->task, "store", text_json(e->text));
    else if (c->there)
        json_object_set_new(w->task, "task", turn_json(c, w->answers->rooms->crew));
    answered(w);
}

static void free_task(struct store_job *job)
{
    struct task_job *c = (struct task_job *)job;

    task_clear(&c->task);
    free(c);
}

static void ask_store(struct why *w)
{
    struct task_job *c = mem_calloc(1, sizeof *c);

    c->job.run = run_task;
    c->job.done = on_task;
    c->job.free = free_task;
    c->why = w;
    snprintf(c->name, sizeof c->name, "%s", w->of->name);
    snprintf(c->key, sizeof c->key, "%s", w->name);
    w->waits++;
    store_ask(w->answers->rooms->store, &c->job, ANSWERS_STORE_S);
}

/* ---- what the loop knows ---- */

static void describe_group(void *arg, const struct group_view *v)
{
    json_t *out = arg, *missing = json_array();

    for (int i = 0; i < v->expected; i++)
        if (v->member[i].path == NULL)
            json_array_append_new(missing, json_integer(i));
    json_object_update_new(
        out, json_pack("{s:s, s:i, s:i, s:o, s:i, s:i, s:i}", "state",
                       group_state_name(v->state), "present", v->present, "expected",
                       v->expected, "missing", missing, "duplicates", v->duplicates,
                       "surplus", v->surplus, "late", v->late));
    if (isfinite(v->last_arrival))
        json_object_set_new(out, "last_arrival_s",
                            json_real(clock_boot_s() - v->last_arrival));
}

static void put_waits(json_t *out, const struct rooms *rooms, const char *name)
{
    if (rework_waits(rooms->rework, name))
        json_object_set_new(out, "rewritten", json_true());
    if (intake_waits(rooms->intake, name))
        json_object_set_new(out, "waits",
                            json_string("for the answer of the queue's store"));
    else if (intake_held(rooms->intake) != NULL)
        json_object_set_new(out, "waits", json_string(intake_held(rooms->intake)));
}

static void put_group(const struct answers *o, json_t *out, const char *name)
{
    char words[4096], path[PATH_MAX];

    if (group_find(o->groups, name, describe_group, out) == 0)
        json_object_set_new(out, "known", json_true());
    group_why(o->groups, name, words, sizeof words, clock_boot_s());
    json_object_set_new(out, "words", text_json(words));
    if (o->rooms != NULL)
        put_waits(out, o->rooms, name);
    if (strcmp(answers_text(out, "state"), group_state_name(GROUP_SET_ASIDE)) == 0 &&
        quarantine_path(path, sizeof path, o->conf->paths.state, name, NULL) == 0)
        json_object_set_new(out, "record", text_json(path));
}

/* ---- the answer ---- */

static void finish(struct why *w)
{
    json_object_update(w->out, w->files);
    json_object_update(w->out, w->task);
    if (!w->window && w->name[0] != '\0')
        put_group(w->answers, w->out, w->name);
    reply_send(w->reply, w->out);
    json_decref(w->files);
    json_decref(w->task);
    free(w);
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

void answer_why(struct answers *o, struct reply *r, const json_t *request)
{
    const char *name = answers_text(request, "name"), *path = "";
    struct why *w = mem_calloc(1, sizeof *w);
    char group[GROUP_NAME] = "";

    w->answers = o;
    w->reply = r;
    w->of = pipeline_of_product(name);
    w->window = w->of->input == PIPELINE_WINDOW;
    w->out = json_object();
    w->files = json_object();
    w->task = json_object();
    if (is_path(o, name)) {
        path = name;
        w->file = describe_file(o, name, group);
        json_object_set_new(w->out, "file", w->file);
        name = group;
    }
    snprintf(w->name, sizeof w->name, "%s", name);
    json_object_update_new(w->out,
                           json_pack("{s:o, s:s, s:o, s:o}", "name", text_json(name),
                                     "kind", w->window ? w->of->data_type : "group",
                                     "products", text_json(o->conf->paths.products),
                                     "locks", text_json(o->conf->paths.locks)));
    w->waits =
        1; /* for this function, so that it is not finished before all are asked */
    if (!w->window || w->file != NULL)
        ask_files(w, path);
    if (o->rooms != NULL && name[0] != '\0')
        ask_store(w);
    answered(w);
}

/* ---- release ---- */

void answer_release(struct answers *o, struct reply *r, const json_t *request)
{
    const char *name = answers_text(request, "name");
    struct err e = {0};

    if (path_component(name, "a group's name", NULL) != 0) {
        reply_refuse(r, "%.100s is not a group's name", name);
    } else if (quarantine_end(o->conf->paths.state, name, &e) != 0) {
        reply_refuse(r, "%s", e.text);
    } else {
        group_mark(o->groups, name, GROUP_COLLECTING);
        log_event(LOG_INFO, "released", "group", name, NULL);
        o->rooms->changed(o->rooms->arg);
        reply_send(r, json_pack("{s:s}", "released", name));
    }
}
