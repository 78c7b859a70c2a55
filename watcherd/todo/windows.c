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
#include "watcherd/base/store.h"
#include "watcherd/todo/todo.h"
#include "watcherd/todo/window.h"

/* One look for windows. */
struct search {
    struct store_job job;
    struct windows *m;
    struct window_opts opts;
    int max_retries;
    int64_t after; /* tiles newer than this one are new */
    bool drains;   /* these are returned */
    int64_t seen;  /* all windows up to this tile have their task */
    char why[512]; /* "": nothing to say */
    struct found {
        char id[128], *list;
    } * found;
    size_t nfound;
};

/* ---- on the store's thread ---- */

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

/* The product of a window is what its manifest says, not what the queue remembers.  Safe to
 * repeat: the row is also written when the task was made by a call whose answer was lost. */
static int spawn(struct search *s, struct queue *q, const struct reg_tile *tile,
                 size_t n, struct err *e)
{
    const struct pipeline *window = pipeline_for(PIPELINE_WINDOW);
    char id[128], list[4096];
    struct task_spec spec = {
        .name = window->name, .key = id, .priority = 1, .max_retries = s->max_retries};
    struct todo_row row = {.name = id, .ask_product = true};
    struct todo todo = {0};
    bool fresh;
    int rc;

    window_name(tile, id, sizeof id);
    list_tiles(tile, n, list, sizeof list);
    rc = todo_look(q, s->m->conf, window, &todo, &row, 1, e);
    if (rc != 0)
        return rc;
    spec.again = row.task == TASK_COMPLETED && row.product == TODO_NONE;
    fresh = s->job.tries > 0 && row.task == TASK_PENDING;
    spec.params = params_of(tile, n);
    rc = queue_spawn(q, &spec, 1, e);
    free((char *)spec.params);
    if (rc != 0 || (!spec.made && !fresh))
        return rc;
    note_window(s, id, list);
    return registry_mosaic_group(s->m->registry, id, list, "formed", "pending", e);
}

/* Is a tile of this window still to come?  Then why[] says which. */
static bool must_wait(const char *first_open, const struct reg_tile *last, char *why,
                      size_t size)
{
    if (first_open[0] == '\0' || strcmp(first_open, last->group) >= 0)
        return false;
    snprintf(why, size, "group %s is still to come", first_open);
    return true;
}

static int run_search(struct store_job *job, struct queue *q, struct err *e)
{
    struct search *s = (struct search *)job;
    struct todo_tiles tiles = {0};
    struct todo todo = {0};
    size_t first = 0, count = 0;
    bool waits = false;
    int rc = todo_look(q, s->m->conf, pipeline_for(PIPELINE_WINDOW), &todo, NULL, 0, e);

    s->why[0] = '\0';
    s->drains = todo.drains;
    if (rc == 0 && !s->drains)
        rc = todo_tiles(q, s->m->registry, s->after, s->opts.max_gap_s, &tiles, e);
    while (rc == 0 && !waits && (tiles.n > 0 || s->after <= 0) && !s->drains &&
           (count = window_find(tiles.tile, tiles.n, &s->opts, &first, s->why,
                                sizeof s->why)) > 0) {
        struct reg_tile *tile = tiles.tile + first;

        waits = must_wait(tiles.first_open, &tile[count - 1], s->why, sizeof s->why);
        if (!waits)
            rc = spawn(s, q, tile, count, e);
        for (size_t i = 0; i < count; i++)
            tile[i].in_mosaic = 1;
    }
    s->seen = rc != 0 || s->drains || waits ? s->after : tiles.newest;
    free(tiles.tile);
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
    if (m->seen == s->after) /* else all are wanted again */
        m->seen = s->seen;
    if (rc == 0 && s->why[0] != '\0' && strcmp(s->why, m->said) != 0) {
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
    s->after = s->seen = m->seen;
    pipeline_for(PIPELINE_WINDOW)->window(conf, &s->opts);
    s->max_retries = (int)conf->workers.max_retries;
    m->due = false;
    m->busy = true;
    store_post(m->store, &s->job);
}

void windows_renew(struct windows *m)
{
    m->due = true;
    m->seen = m->seen > 0 ? 0 : m->seen - 1; /* other than what a search was given */
}

bool windows_busy(const struct windows *m)
{
    return m->busy || (m->due && !m->held);
}
