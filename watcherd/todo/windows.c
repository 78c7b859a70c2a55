#include "watcherd/todo/windows.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/conf.h"
#include "core/err.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/path.h"
#include "core/store/queue.h"
#include "core/store/registry.h"
#include "pipeline/pipeline.h"
#include "pipeline/product/product.h"
#include "watcherd/todo/intake.h"
#include "watcherd/base/store.h"
#include "watcherd/todo/window.h"

struct open_task {
    char key[QUEUE_TEXT];
};

/* One look for windows. */
struct search {
    struct store_job job;
    struct windows *m;
    struct window_opts opts;
    int max_retries;
    bool drains; /* these are returned */
    char why[512];
    struct found {
        char id[128], *list;
    } * found;
    size_t nfound;
};

/* ---- on the store's thread ---- */

static void earliest_open(void *arg, const struct task *t)
{
    struct open_task *first = arg;

    if (first->key[0] == '\0' || strcmp(t->key, first->key) < 0)
        snprintf(first->key, sizeof first->key, "%s", t->key);
}

/* The product of a window is what its manifest says, not what the queue remembers. */
static bool is_published(const struct search *s, const char *name)
{
    char dir[PATH_MAX];
    json_t *manifest = NULL;
    bool yes = path_join(dir, sizeof dir, s->m->conf->paths.products,
                         pipeline_for(PIPELINE_WINDOW)->folder, NULL) == 0 &&
               product_current(&manifest, NULL, dir, name, 0, NULL) == 0;

    json_decref(manifest);
    return yes;
}

/* "A,B,C", cut to size */
static void list_tiles(const struct reg_tile *tile, size_t n, char *list, size_t size)
{
    size_t used = 0;

    list[0] = '\0';
    for (size_t i = 0; i < n && used < size; i++)
        used += (size_t)snprintf(list + used, size - used, "%s%s", i > 0 ? "," : "",
                                 tile[i].group);
}

static char *params_of(const struct reg_tile *tile, size_t n)
{
    json_t *tiles = json_array(), *params;
    char *text;

    params = json_pack("{s:o}", pipeline_for(PIPELINE_WINDOW)->items, tiles);
    for (size_t i = 0; i < n; i++)
        json_array_append_new(tiles, json_string(tile[i].group));
    text = json_dumps(params, JSON_COMPACT);
    json_decref(params);
    return text;
}

static void note_window(struct search *s, const char *id, const char *list)
{
    struct found *found;

    for (size_t i = 0; i < s->nfound; i++) /* in an earlier try */
        if (strcmp(s->found[i].id, id) == 0)
            return;
    found = mem_realloc(s->found, (s->nfound + 1) * sizeof *s->found);
    s->found = found;
    snprintf(found[s->nfound].id, sizeof found->id, "%s", id);
    found[s->nfound++].list = mem_strdup(list);
}

/* Safe to repeat: the row is also written when the task was made by a call whose answer was
   lost. */
static int spawn(struct search *s, struct queue *q, const struct reg_tile *tile,
                 size_t n, struct err *e)
{
    const struct pipeline *of = pipeline_for(PIPELINE_WINDOW);
    char id[128], list[4096];
    struct task_spec spec = {
        .name = of->name, .key = id, .priority = 1, .max_retries = s->max_retries};
    struct task old = {0};
    bool fresh;
    int rc;

    window_name(tile, id, sizeof id);
    list_tiles(tile, n, list, sizeof list);
    rc = queue_status(q, of->name, id, &old, e);
    if (rc != 0 && rc != -ENOENT)
        return rc;
    spec.again = rc == 0 && old.status == TASK_COMPLETED && !is_published(s, id);
    fresh = s->job.tries > 0 && rc == 0 && old.status == TASK_PENDING;
    task_clear(&old);
    spec.params = params_of(tile, n);
    rc = queue_spawn(q, &spec, 1, e);
    free((char *)spec.params);
    if (rc != 0 || (!spec.made && !fresh))
        return rc;
    note_window(s, id, list);
    return registry_mosaic_group(s->m->registry, id, list, "formed", "pending", e);
}

/* Is a tile of this window still to come?  Then why[] says which. */
static bool must_wait(const struct open_task *open, const struct reg_tile *last,
                      char *why, size_t size)
{
    if (open->key[0] == '\0' || strcmp(open->key, last->group) >= 0)
        return false;
    snprintf(why, size, "group %s is still to come", open->key);
    return true;
}

static int find_open(struct queue *q, struct open_task *open, struct err *e)
{
    int rc = 0;

    for (enum task_status s = TASK_PENDING; rc == 0 && s <= TASK_CLAIMED; s++)
        rc = queue_each(q,
                        &(struct task_filter){
                            .name = pipeline_for(PIPELINE_GROUP)->name, .status = s},
                        earliest_open, open, e);
    return rc;
}

static int run_search(struct store_job *job, struct queue *q, struct err *e)
{
    struct search *s = (struct search *)job;
    struct open_task open = {""};
    struct reg_tile *tile = NULL;
    size_t n = 0, first = 0, count;
    int rc = intake_drains(q, &s->drains, e);

    s->why[0] = '\0';
    if (rc != 0 || s->drains)
        return rc;
    if ((rc = registry_tiles(s->m->registry, 0, 0, &tile, &n, e)) == 0)
        rc = find_open(q, &open, e);
    while (rc == 0 &&
           (count = window_find(tile, n, &s->opts, &first, s->why, sizeof s->why)) >
               0 &&
           !must_wait(&open, &tile[first + count - 1], s->why, sizeof s->why)) {
        rc = spawn(s, q, tile + first, count, e);
        for (size_t i = 0; i < count; i++)
            tile[first + i].in_mosaic = 1;
    }
    free(tile);
    return rc;
}

/* ---- on the loop ---- */

static void end_search(struct store_job *job, int rc, const struct err *e)
{
    const struct pipeline *of = pipeline_for(PIPELINE_WINDOW);
    struct search *s = (struct search *)job;
    struct windows *m = s->m;
    size_t n = s->nfound;

    m->busy = false;
    for (size_t i = 0; i < s->nfound; i++) {
        log_event(LOG_INFO, "window", of->name, s->found[i].id, of->items,
                  s->found[i].list, NULL);
        free(s->found[i].list);
    }
    if (rc == 0 && strcmp(s->why, m->said) != 0) {
        log_event(LOG_INFO, "no_mosaic_yet", "reason", s->why, NULL);
        snprintf(m->said, sizeof m->said, "%s", s->why);
    }
    if (rc != 0 && rc != -ECANCELED)
        log_event(LOG_ERROR, "window", "reason", e->text, NULL);
    if (rc == 0 && s->drains)
        m->due = m->held = true;
    free(s->found);
    free(s);
    if (rc != -ECANCELED)
        m->found(m->arg, n);
}

void windows_find(struct windows *m)
{
    const struct conf *conf = m->conf;
    struct search *s;

    if (!m->due || m->busy || m->held)
        return;
    s = mem_calloc(1, sizeof *s);
    s->job.run = run_search;
    s->job.done = end_search;
    s->m = m;
    pipeline_for(PIPELINE_WINDOW)->window(conf, &s->opts);
    s->max_retries = (int)conf->workers.max_retries;
    m->due = false;
    m->busy = true;
    store_post(m->store, &s->job);
}
