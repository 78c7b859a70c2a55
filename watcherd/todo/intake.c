#include "watcherd/todo/intake.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/conf.h"
#include "core/err.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/store/queue.h"
#include "pipeline/pipeline.h"
#include "watcherd/todo/group_copy.h"
#include "watcherd/todo/todo.h"
#include "watcherd/base/store.h"

/* So many groups' tasks are looked at in one go, so often at most, when others do the work. */
enum { SYNC_GROUPS = 200 };
static const double SYNC_EVERY_S = 1;

enum held { NOT_HELD, HELD_DRAINS, HELD_FULL, HELD_FAILED };

/* A group on its way. */
struct entry {
    struct group_copy *roster;
    enum task_status old; /* of the task that was there */
    bool made;
    int rc;
    struct err err;
};

struct batch {
    struct store_job job;
    struct intake *in;
    struct entry *entry;
    size_t n, room;
    size_t taken; /* the first so many were */
    long max_pending, max_retries;
    enum held held;
};

struct intake {
    struct intake_opts opts;
    struct batch *open; /* being gathered */
    json_t *asked;      /* set of groups at the store */
    size_t jobs;
    enum held held, held_said;
    bool loaded, load_wanted, loading;
    double synced_at;
    char sync_from[GROUP_NAME]; /* the next time begin after this one */
};

static const char *const held_words[] = {
    [NOT_HELD] = NULL,
    [HELD_DRAINS] =
        "the queue is being drained: nothing new is queued until it is resumed",
    [HELD_FULL] = "as many tasks are pending as [queue] max_pending allows",
    [HELD_FAILED] = "the queue's store refused; it is tried again",
};

struct intake *intake_new(const struct intake_opts *opts)
{
    struct intake *in = mem_calloc(1, sizeof *in);

    in->opts = *opts;
    in->asked = json_object();
    return in;
}

static void batch_free(struct batch *b)
{
    if (b == NULL)
        return;
    for (size_t i = 0; i < b->n; i++)
        group_copy_free(b->entry[i].roster);
    free(b->entry);
    free(b);
}

void intake_free(struct intake *in)
{
    if (in == NULL)
        return;
    batch_free(in->open);
    json_decref(in->asked);
    free(in);
}

/* ---- new tasks: on the store's thread ---- */

/* A failed group is formed again only when its files were all there anew. */
static void spec_of(const struct batch *b, struct entry *entry,
                    const struct todo_row *row, struct task_spec *spec)
{
    entry->old = row->task;
    *spec = (struct task_spec){
        .name = pipeline_for(PIPELINE_GROUP)->name,
        .key = entry->roster->name,
        .params = group_copy_params(entry->roster),
        .max_retries = (int)b->max_retries,
        .again = row->task == TASK_FAILED ||
                 (row->task == TASK_COMPLETED && row->product != TODO_CURRENT)};
}

/* All at once; when one of them cannot be, one by one, so that the others are. */
static int spawn_all(struct batch *b, struct queue *q, struct task_spec *spec,
                     struct err *e)
{
    int rc = queue_spawn(q, spec, b->taken, e);

    for (size_t i = 0; rc == -EINVAL && i < b->taken; i++) {
        struct entry *entry = &b->entry[i];

        entry->rc = queue_spawn(q, &spec[i], 1, &entry->err);
        if (entry->rc != 0 && entry->rc != -EINVAL) {
            *e = entry->err;
            return entry->rc;
        }
    }
    for (size_t i = 0; i < b->taken; i++)
        b->entry[i].made = spec[i].made;
    return rc == -EINVAL ? 0 : rc;
}

static void find_room(struct batch *b, const struct todo *todo)
{
    size_t room = todo->drains ? 0 : todo->room;

    b->taken = b->n < room ? b->n : room;
    b->held = todo->drains ? HELD_DRAINS : b->taken < b->n ? HELD_FULL : NOT_HELD;
}

static int run_batch(struct store_job *job, struct queue *q, struct err *e)
{
    struct batch *b = (struct batch *)job;
    struct task_spec *spec = mem_calloc(b->n + 1, sizeof *spec);
    struct todo_row *row = mem_calloc(b->n + 1, sizeof *row);
    struct todo todo = {.max_pending = b->max_pending};
    int rc;

    for (size_t i = 0; i < b->n; i++)
        row[i] = (struct todo_row){.name = b->entry[i].roster->name,
                                   .group = b->entry[i].roster,
                                   .ask_product = true};
    rc = todo_look(q, b->in->opts.conf, pipeline_for(PIPELINE_GROUP), &todo, row, b->n,
                   e);
    if (rc == 0)
        find_room(b, &todo);
    for (size_t i = 0; rc == 0 && i < b->taken; i++)
        spec_of(b, &b->entry[i], &row[i], &spec[i]);
    if (rc == 0 && b->taken > 0)
        rc = spawn_all(b, q, spec, e);
    for (size_t i = 0; i < b->n; i++)
        free((char *)spec[i].params);
    free(spec);
    free(row);
    return rc;
}

/* ---- new tasks: on the loop ---- */

static void hold(struct intake *in, enum held held)
{
    in->held = held;
    if (held != NOT_HELD && held != HELD_FAILED && held != in->held_said)
        log_event(LOG_WARN, "intake", "reason", held_words[held], NULL);
    if (held == NOT_HELD && in->held_said != NOT_HELD && in->held_said != HELD_FAILED)
        log_event(LOG_INFO, "intake", "reason", "groups are queued again", NULL);
    in->held_said = held;
}

static enum group_state state_of(enum task_status status, bool made)
{
    if (made)
        return GROUP_ENQUEUED;
    return status == TASK_COMPLETED                            ? GROUP_DONE
           : status == TASK_FAILED || status == TASK_CANCELLED ? GROUP_FAILED
                                                               : GROUP_ENQUEUED;
}

static void take_answer(struct intake *in, struct entry *entry)
{
    const struct group_copy *r = entry->roster;

    if (entry->rc != 0) {
        log_event(LOG_ERROR, "enqueue", "group", r->name, "reason", entry->err.text,
                  NULL);
        group_mark(in->opts.groups, r->name, GROUP_FAILED);
        in->opts.refused(in->opts.arg, r->name);
        return;
    }
    log_event(LOG_INFO, r->complete ? "group_complete" : "group_partial", "group",
              r->name, "files", log_d(r->n), "queued", entry->made ? "yes" : "already",
              NULL);
    group_mark(in->opts.groups, r->name, state_of(entry->old, entry->made));
}

static void end_batch(struct store_job *job, int rc, const struct err *e)
{
    struct batch *b = (struct batch *)job;
    struct intake *in = b->in;

    in->jobs--;
    if (rc != 0 && rc != -ECANCELED)
        log_event(LOG_ERROR, "enqueue", "reason", e->text, NULL);
    for (size_t i = 0; i < b->n; i++) {
        json_object_del(in->asked, b->entry[i].roster->name);
        if (rc == 0 && i < b->taken)
            take_answer(in, &b->entry[i]);
        else if (rc != -ECANCELED)
            group_mark(in->opts.groups, b->entry[i].roster->name, GROUP_COLLECTING);
    }
    if (rc != -ECANCELED)
        hold(in, rc != 0 ? HELD_FAILED : b->held);
    batch_free(b);
    if (rc != -ECANCELED)
        in->opts.queued(in->opts.arg);
}

void intake_take(struct intake *in, const struct group_view *g)
{
    struct batch *b = in->open;

    if (!in->loaded || in->held != NOT_HELD)
        return;
    if (b == NULL) {
        b = in->open = mem_calloc(1, sizeof *b);
        b->job.run = run_batch;
        b->job.done = end_batch;
        b->in = in;
        b->max_pending = in->opts.conf->queue.max_pending;
        b->max_retries = in->opts.conf->workers.max_retries;
    }
    if (b->n == b->room) {
        b->room = 2 * b->room + 4;
        b->entry = mem_realloc(b->entry, b->room * sizeof *b->entry);
    }
    b->entry[b->n++] = (struct entry){.roster = group_copy_new(g)};
    json_object_set_new(in->asked, g->name, json_true());
    group_mark(in->opts.groups, g->name, GROUP_ENQUEUED);
}

void intake_send(struct intake *in)
{
    if (in->open == NULL)
        return;
    in->jobs++;
    store_post(in->opts.store, &in->open->job);
    in->open = NULL;
}

/* ---- what became of groups ---- */

struct known {
    char name[QUEUE_TEXT];
    enum task_status status;
    enum todo_product product;
};

struct survey {
    struct store_job job;
    struct intake *in;
    struct known *known;
    size_t n, room;
};

static struct known *add_known(struct survey *s, const char *name)
{
    if (s->n == s->room) {
        s->room = 2 * s->room + 16;
        s->known = mem_realloc(s->known, s->room * sizeof *s->known);
    }
    s->known[s->n] = (struct known){0};
    snprintf(s->known[s->n].name, sizeof s->known[s->n].name, "%s", name);
    return &s->known[s->n++];
}

static void add_task(void *arg, const struct task *t)
{
    struct survey *s = arg;

    add_known(s, t->key)->status = t->status;
}

static int run_load(struct store_job *job, struct queue *q, struct err *e)
{
    struct survey *s = (struct survey *)job;
    const struct pipeline *group = pipeline_for(PIPELINE_GROUP);
    int rc;

    s->n = 0;
    rc = queue_each(q, &(struct task_filter){.name = group->name}, add_task, s, e);
    for (size_t i = 0; rc == 0 && i < s->n; i++)
        if (s->known[i].status == TASK_COMPLETED)
            s->known[i].product =
                todo_product(s->in->opts.conf, group, s->known[i].name, NULL);
    return rc;
}

static struct survey *survey_new(struct intake *in)
{
    struct survey *s = mem_calloc(1, sizeof *s);

    s->in = in;
    in->jobs++;
    return s;
}

static void survey_end(struct survey *s)
{
    s->in->jobs--;
    free(s->known);
    free(s);
}

/* What is pending is formed again from its files; of ended ones only the name is kept. */
static void end_load(struct store_job *job, int rc, const struct err *e)
{
    struct survey *s = (struct survey *)job;
    struct intake *in = s->in;

    in->loading = false;
    for (size_t i = 0; rc == 0 && i < s->n; i++) {
        const struct known *k = &s->known[i];

        if (k->status != TASK_COMPLETED || k->product != TODO_NONE)
            group_mark(in->opts.groups, k->name, state_of(k->status, false));
        if (k->product == TODO_STALE)
            in->opts.rewritten(in->opts.arg, k->name);
    }
    in->loaded = rc == 0;
    in->load_wanted = rc != 0; /* at the next news */
    if (rc != 0 && rc != -ECANCELED)
        log_event(LOG_ERROR, "queue", "reason", e->text, NULL);
    survey_end(s);
    if (rc == 0)
        in->opts.loaded(in->opts.arg);
}

void intake_load(struct intake *in)
{
    struct survey *s = survey_new(in);

    in->loading = true;
    in->load_wanted = false;
    s->job.run = run_load;
    s->job.done = end_load;
    store_post(in->opts.store, &s->job);
}

/* ---- what others do ---- */

static int run_sync(struct store_job *job, struct queue *q, struct err *e)
{
    struct survey *s = (struct survey *)job;
    struct todo_row *row = mem_calloc(s->n + 1, sizeof *row);
    struct todo todo = {0};
    int rc;

    for (size_t i = 0; i < s->n; i++)
        row[i].name = s->known[i].name;
    rc = todo_look(q, s->in->opts.conf, pipeline_for(PIPELINE_GROUP), &todo, row, s->n,
                   e);
    for (size_t i = 0; i < s->n; i++)
        s->known[i].status = row[i].task;
    free(row);
    return rc;
}

static void end_sync(struct store_job *job, int rc, const struct err *e)
{
    struct survey *s = (struct survey *)job;

    (void)e; /* whoever has more to do with the store says it */
    for (size_t i = 0; rc == 0 && i < s->n; i++)
        if (s->known[i].status != TASK_NONE)
            group_mark(s->in->opts.groups, s->known[i].name,
                       state_of(s->known[i].status, false));
    survey_end(s);
}

struct pick {
    struct survey *survey;
    struct intake *in;
    const char *after;
};

static void pick_group(void *arg, const struct group_view *g)
{
    struct pick *p = arg;

    if ((g->state == GROUP_ENQUEUED || g->state == GROUP_FAILED) &&
        p->survey->n < SYNC_GROUPS && strcmp(g->name, p->after) > 0 &&
        json_object_get(p->in->asked, g->name) == NULL)
        add_known(p->survey, g->name);
}

static void sync_groups(struct intake *in)
{
    struct survey *s = survey_new(in);
    struct pick p = {s, in, in->sync_from};

    in->synced_at = clock_boot_s();
    group_each(in->opts.groups, pick_group, &p);
    snprintf(in->sync_from, sizeof in->sync_from, "%.*s", GROUP_NAME - 1,
             s->n == SYNC_GROUPS ? s->known[s->n - 1].name : "");
    if (s->n == 0) {
        survey_end(s);
        return;
    }
    s->job.run = run_sync;
    s->job.done = end_sync;
    store_post(in->opts.store, &s->job);
}

void intake_news(struct intake *in, bool others)
{
    if (in->load_wanted && !in->loading)
        intake_load(in);
    in->held = NOT_HELD;
    if (others && in->loaded && in->jobs == 0 &&
        clock_boot_s() - in->synced_at >= SYNC_EVERY_S)
        sync_groups(in);
}

/* ---- looking ---- */

bool intake_loaded(const struct intake *in)
{
    return in->loaded;
}

bool intake_busy(const struct intake *in)
{
    return !in->loaded || in->jobs > 0 || in->open != NULL;
}

const char *intake_held(const struct intake *in)
{
    return held_words[in->held_said];
}

bool intake_waits(const struct intake *in, const char *group)
{
    return json_object_get(in->asked, group) != NULL;
}
