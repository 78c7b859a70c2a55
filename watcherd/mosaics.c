#include "watcherd/mosaics.h"

#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/conf.h"
#include "core/err.h"
#include "core/log.h"
#include "core/path.h"
#include "core/queue.h"
#include "core/registry.h"
#include "pipeline/product.h"
#include "watcherd/window.h"

struct open_task {
    char key[QUEUE_TEXT];
};

static void earliest_open(void *arg, const struct task *t)
{
    struct open_task *first = arg;

    if ((strcmp(t->status, "pending") == 0 || strcmp(t->status, "claimed") == 0) &&
        (first->key[0] == '\0' || strcmp(t->key, first->key) < 0))
        snprintf(first->key, sizeof first->key, "%s", t->key);
}

/* The product of a window is what its manifest says, not what the queue remembers. */
static bool is_published(const struct mosaics *m, const char *name)
{
    char dir[PATH_MAX];
    json_t *manifest = NULL;
    bool yes =
        path_join(dir, sizeof dir, m->conf->paths.products, "mosaics", NULL) == 0 &&
        product_current(&manifest, NULL, dir, name, 0, NULL) == 0;

    json_decref(manifest);
    return yes;
}

static int spawn(struct mosaics *m, const struct reg_tile *tile, size_t n,
                 struct err *e)
{
    json_t *tiles = json_array(), *params = json_object();
    char id[128], *text, list[4096] = "";
    size_t used = 0;
    struct task old = {0};
    bool made = false, again;
    int rc;

    window_name(tile, id, sizeof id);
    for (size_t i = 0; i < n; i++) {
        json_array_append_new(tiles, json_string(tile[i].group));
        if (used < sizeof list)
            used += (size_t)snprintf(list + used, sizeof list - used, "%s%s",
                                     i > 0 ? "," : "", tile[i].group);
    }
    json_object_set_new(params, "tiles", tiles);
    text = json_dumps(params, JSON_COMPACT);
    again = queue_status(m->queue, "mosaic", id, &old, NULL) == 0 &&
            strcmp(old.status, "completed") == 0 && !is_published(m, id);
    task_clear(&old);
    rc = queue_spawn_one(m->queue, "mosaic", id, text, 1,
                         (int)m->conf->workers.max_retries, again, &made, e);
    if (rc == 0 && made) {
        log_event(LOG_INFO, "window", "mosaic", id, "tiles", list, NULL);
        rc = registry_mosaic_group(m->registry, id, list, "formed", "pending", e);
    }
    free(text);
    json_decref(params);
    return rc;
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

void mosaics_find(struct mosaics *m)
{
    struct window_opts opts = {.tiles = (size_t)m->conf->mosaic.tiles,
                               .overlap = (size_t)m->conf->mosaic.overlap,
                               .max_gap_s = m->conf->mosaic.max_gap_s,
                               .dec_tolerance_deg = m->conf->mosaic.dec_tolerance_deg};
    struct task_filter groups = {.name = "continuum"};
    struct open_task open = {""};
    struct reg_tile *tile = NULL;
    char why[512] = "";
    struct err e = {0};
    size_t n = 0, first = 0, count;
    int rc = registry_tiles(m->registry, &tile, &n, &e);

    m->due = false;
    if (rc == 0)
        rc = queue_each(m->queue, &groups, earliest_open, &open, &e);
    while (rc == 0 &&
           (count = window_find(tile, n, &opts, &first, why, sizeof why)) > 0 &&
           !must_wait(&open, &tile[first + count - 1], why, sizeof why)) {
        rc = spawn(m, tile + first, count, &e);
        for (size_t i = 0; i < count; i++)
            tile[first + i].in_mosaic = 1;
    }
    if (rc == 0 && strcmp(why, m->said) != 0) {
        log_event(LOG_INFO, "no_mosaic_yet", "reason", why, NULL);
        snprintf(m->said, sizeof m->said, "%s", why);
    }
    if (rc != 0)
        log_event(LOG_ERROR, "window", "reason", e.text, NULL);
    free(tile);
}
