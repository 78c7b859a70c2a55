#include "watcherd/rework.h"

#include <assert.h>
#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "core/conf.h"
#include "core/err.h"
#include "core/group.h"
#include "core/log.h"
#include "core/path.h"
#include "core/queue.h"
#include "pipeline/product.h"

struct rework {
    const struct conf *conf;
    struct group_table *groups;
    struct queue *queue;
    json_t *noted; /* {group: number of files it was made of} */
};

struct rework *rework_new(const struct conf *conf, struct group_table *groups,
                          struct queue *queue)
{
    struct rework *r = calloc(1, sizeof *r);

    assert(r != NULL);
    r->conf = conf;
    r->groups = groups;
    r->queue = queue;
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

/* ---- a product and its inputs ---- */

static json_t *manifest_of(const struct conf *conf, const char *group)
{
    char dir[PATH_MAX];
    json_t *manifest = NULL;

    if (path_join(dir, sizeof dir, conf->paths.products, "tiles", NULL) == 0)
        product_current(&manifest, NULL, dir, group, 0, NULL);
    return manifest;
}

static bool input_of(const json_t *entry, const char **path, json_int_t *size,
                     json_int_t *mtime_ns)
{
    return json_unpack((json_t *)entry, "{s:s, s:I, s:I}", "path", path, "size", size,
                       "mtime_ns", mtime_ns) == 0;
}

bool rework_published(const struct conf *conf, const char *group, bool *changed)
{
    json_t *manifest = manifest_of(conf, group), *entry;
    bool published = manifest != NULL;
    size_t i;

    *changed = false;
    json_array_foreach(json_object_get(manifest, "inputs"), i, entry)
    {
        struct product_input now;
        json_int_t size, mtime_ns;
        const char *path;

        if (input_of(entry, &path, &size, &mtime_ns) &&
            product_input_stat(&now, path, NULL) == 0 &&
            (now.size != (uint64_t)size || now.mtime_ns != mtime_ns))
            *changed = true;
    }
    json_decref(manifest);
    return published;
}

static bool among(json_t *inputs, const struct group_member *m)
{
    json_int_t size, mtime_ns;
    const char *path;
    json_t *entry;
    size_t i;

    json_array_foreach(inputs, i, entry)
    {
        if (input_of(entry, &path, &size, &mtime_ns) &&
            strcmp(path_base(path), path_base(m->path)) == 0)
            return m->id.size == (uint64_t)size && m->id.mtime_ns == mtime_ns;
    }
    return false;
}

bool rework_is_current(const struct conf *conf, const struct group_view *g)
{
    json_t *manifest = manifest_of(conf, g->name);
    json_t *inputs = json_object_get(manifest, "inputs");
    bool same = manifest != NULL && json_array_size(inputs) == (size_t)g->present;

    for (int i = 0; same && i < g->expected; i++)
        same = g->member[i].path == NULL || among(inputs, &g->member[i]);
    json_decref(manifest);
    return same;
}

/* ---- back into the queue ---- */

/* How many files the group's task was given; -1 when there is no such task. */
static json_int_t files_used(struct rework *r, const char *group)
{
    struct task task = {0};
    json_int_t n = -1;

    if (queue_status(r->queue, "continuum", group, &task, NULL) == 0) {
        json_t *params = json_loads(task.params, 0, NULL);

        n = (json_int_t)json_array_size(json_object_get(params, "files"));
        json_decref(params);
    }
    task_clear(&task);
    return n;
}

struct look {
    struct rework *r;
    json_int_t used;
    enum { WAIT, DROP, AGAIN } verdict;
    json_t *files;
};

static void look_at(void *arg, const struct group_view *g)
{
    struct look *look = arg;

    if (g->state != GROUP_DONE && g->state != GROUP_FAILED) {
        /* Not frozen: the usual way brings it to the queue. */
        look->verdict = g->state == GROUP_ENQUEUED ? WAIT : DROP;
        return;
    }
    if (g->present < look->used || g->present == 0) {
        look->verdict = WAIT;
        return;
    }
    if (g->state == GROUP_DONE && rework_is_current(look->r->conf, g)) {
        look->verdict = DROP;
        return;
    }
    look->verdict = AGAIN;
    for (int i = 0; i < g->expected; i++)
        if (g->member[i].path != NULL)
            json_array_append_new(look->files, json_string(g->member[i].path));
}

static bool spawn_again(struct rework *r, const char *group, json_t *files)
{
    json_t *params = json_pack("{s:O}", "files", files);
    char *text = json_dumps(params, JSON_COMPACT);
    struct err e = {0};
    bool made = false;
    int rc;

    assert(text != NULL);
    rc = queue_spawn_one(r->queue, "continuum", group, text, 0,
                         (int)r->conf->workers.max_retries, true, &made, &e);
    if (rc != 0)
        log_event(LOG_ERROR, "enqueue", "group", group, "reason", e.text, NULL);
    if (rc == 0 && made) {
        log_event(LOG_INFO, "again", "group", group, "reason",
                  "its files were rewritten and are settled again", NULL);
        group_mark(r->groups, group, GROUP_ENQUEUED);
    }
    free(text);
    json_decref(params);
    return rc == 0;
}

size_t rework_run(struct rework *r)
{
    size_t n = 0;
    const char *group;
    json_t *used;
    void *next;

    json_object_foreach_safe(r->noted, next, group, used)
    {
        struct look look = {.r = r, .verdict = DROP, .files = json_array()};
        bool done;

        if (json_is_null(used)) {
            used = json_integer(files_used(r, group));
            json_object_set_new(r->noted, group, used);
        }
        look.used = json_integer_value(used);
        group_find(r->groups, group, look_at, &look);
        done = look.verdict == DROP;
        if (look.verdict == AGAIN)
            done = spawn_again(r, group, look.files);
        n += done && look.verdict == AGAIN;
        json_decref(look.files);
        if (done)
            json_object_del(r->noted, group);
    }
    return n;
}
