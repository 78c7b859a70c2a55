#include "watcherd/todo/rework.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "core/conf.h"
#include "core/err.h"
#include "core/group.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/path.h"
#include "core/store/queue.h"
#include "pipeline/pipeline.h"
#include "watcherd/todo/group_copy.h"
#include "watcherd/todo/todo.h"
#include "watcherd/base/store.h"

struct rework {
    const struct conf *conf;
    struct group_table *groups;
    struct store *store;
    void (*queued)(void *arg);
    void *arg;
    /* {group: null: nothing is known; true: the store is asked; else the number of files it
       was made of} */
    json_t *noted;
    size_t jobs;
    bool held; /* until there are news */
};

struct rework *rework_new(const struct conf *conf, struct group_table *groups,
                          struct store *store, void (*queued)(void *arg), void *arg)
{
    struct rework *r = mem_calloc(1, sizeof *r);

    r->conf = conf;
    r->groups = groups;
    r->store = store;
    r->queued = queued;
    r->arg = arg;
    r->noted = json_object();
    return r;
}

void rework_free(struct rework *r)
{
    if (r == NULL)
        return;
    json_decref(r->noted);
    free(r);
}

void rework_note(struct rework *r, const char *group)
{
    json_object_set_new(r->noted, group, json_null());
}

bool rework_waits(const struct rework *r, const char *group)
{
    return json_object_get(r->noted, group) != NULL;
}

/* ---- back into the queue: on the store's thread ---- */

struct look {
    struct store_job job;
    struct rework *rework;
    struct group_copy *group;
    int max_retries;
    json_int_t used; /* returned: how many files its task was given */
    enum { WAIT, DROP, AGAIN, LATER } verdict;
    bool made;
};

static int spawn_again(struct look *look, struct queue *q, struct err *e)
{
    char *params = group_copy_params(look->group);
    struct task_spec spec = {.name = pipeline_for(PIPELINE_GROUP)->name,
                             .key = look->group->name,
                             .params = params,
                             .max_retries = look->max_retries,
                             .again = true};
    int rc = queue_spawn(q, &spec, 1, e);

    look->made = rc == 0 && spec.made;
    free(params);
    return rc;
}

static int run_look(struct store_job *job, struct queue *q, struct err *e)
{
    struct look *look = (struct look *)job;
    const struct group_copy *g = look->group;
    struct todo_row row = {.name = g->name, .group = g, .ask_product = true};
    struct todo todo = {0};
    int rc = todo_look(q, look->rework->conf, pipeline_for(PIPELINE_GROUP), &todo, &row,
                       1, e);

    if (rc != 0)
        return rc;
    look->used = (json_int_t)row.ninput;
    if (g->n < look->used || g->n == 0)
        look->verdict = WAIT;
    else if (g->state == GROUP_DONE && row.product == TODO_CURRENT)
        look->verdict = DROP;
    else
        look->verdict = todo.drains ? LATER : AGAIN;
    return look->verdict == AGAIN ? spawn_again(look, q, e) : 0;
}

/* ---- back into the queue: on the loop ---- */

static void end_look(struct store_job *job, int rc, const struct err *e)
{
    struct look *look = (struct look *)job;
    struct rework *r = look->rework;
    const char *group = look->group->name;
    /* If it was noted again meanwhile it is looked at again. */
    bool same = json_is_true(json_object_get(r->noted, group));

    r->jobs--;
    if (rc != 0 && rc != -ECANCELED)
        log_event(LOG_ERROR, "enqueue", "group", group, "reason", e->text, NULL);
    if (rc != 0 || look->verdict == LATER)
        r->held = true;
    if (same && (rc != 0 || look->verdict == LATER))
        json_object_set_new(r->noted, group, json_null());
    else if (same && look->verdict == WAIT)
        json_object_set_new(r->noted, group, json_integer(look->used));
    else if (same)
        json_object_del(r->noted, group);
    if (rc == 0 && look->verdict == AGAIN && look->made) {
        log_event(LOG_INFO, "again", "group", group, "reason",
                  "its files were rewritten and are settled again", NULL);
        group_mark(r->groups, group, GROUP_ENQUEUED);
        r->queued(r->arg);
    }
    group_copy_free(look->group);
    free(look);
}

static void ask(struct rework *r, const struct group_view *g)
{
    struct look *look = mem_calloc(1, sizeof *look);

    look->job.run = run_look;
    look->job.done = end_look;
    look->rework = r;
    look->group = group_copy_new(g);
    look->max_retries = (int)r->conf->workers.max_retries;
    json_object_set_new(r->noted, g->name, json_true());
    r->jobs++;
    store_post(r->store, &look->job);
}

struct chance {
    struct rework *r;
    json_t *used; /* null: not known yet */
    bool drop;
};

/* Worth asking the store? */
static void look_at(void *arg, const struct group_view *g)
{
    struct chance *c = arg;

    /* Not frozen: the usual way brings it to the queue. */
    c->drop = g->state != GROUP_DONE && g->state != GROUP_FAILED &&
              g->state != GROUP_ENQUEUED;
    if (c->drop || g->state == GROUP_ENQUEUED ||
        (json_is_integer(c->used) && g->present < json_integer_value(c->used)) ||
        g->present == 0)
        return;
    ask(c->r, g);
}

void rework_run(struct rework *r)
{
    const char *group;
    json_t *used;
    void *next;

    if (r->held)
        return;
    json_object_foreach_safe(r->noted, next, group, used)
    {
        struct chance c = {r, used, false};

        if (json_is_true(used)) /* it is being asked about */
            continue;
        if (group_find(r->groups, group, look_at, &c) != 0 || c.drop)
            json_object_del(r->noted, group);
    }
}

void rework_news(struct rework *r)
{
    r->held = false;
}

bool rework_busy(const struct rework *r)
{
    return r->jobs > 0;
}
