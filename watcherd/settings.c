#include "watcherd/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/conf.h"
#include "core/err.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/path.h"
#include "pipeline/pipeline.h"

int settings_write(const struct conf *conf, const char *path, struct err *e)
{
    char *text = NULL;
    size_t n = 0;
    FILE *out = mem_must(open_memstream(&text, &n));
    int rc;

    conf_print(conf, out);
    fclose(out);
    rc = path_write_private(path, text, n, e);
    free(text);
    return rc;
}

/* What the rooms were made with stays until the next start. */
static void keep_fixed(struct conf *fresh, const struct conf *old)
{
    long max_pending =
        fresh->queue.max_pending; /* the only one of [queue] that can change */

    fresh->queue.max_pending = old->queue.max_pending;
    if (memcmp(&fresh->paths, &old->paths, sizeof fresh->paths) != 0 ||
        memcmp(&fresh->watch, &old->watch, sizeof fresh->watch) != 0 ||
        memcmp(&fresh->group, &old->group, sizeof fresh->group) != 0 ||
        memcmp(&fresh->queue, &old->queue, sizeof fresh->queue) != 0)
        log_event(
            LOG_WARN, "reload", "reason",
            "[paths], [watch], [group] and [queue] (but for max_pending) are taken at "
            "the next start",
            NULL);
    fresh->queue = old->queue;
    fresh->queue.max_pending = max_pending;
    fresh->paths = old->paths;
    fresh->watch = old->watch;
    fresh->group = old->group;
}

void settings_reload(struct conf *conf, const char *file, const char *path)
{
    struct conf *fresh = mem_malloc(sizeof *fresh);
    struct err e = {0};
    int rc;

    conf_defaults(fresh, NULL, &pipeline_settings);
    rc = conf_load(fresh, file, &pipeline_settings, &e);
    if (rc == 0) {
        keep_fixed(fresh, conf);
        rc = settings_write(fresh, path, &e);
    }
    if (rc != 0) {
        log_event(LOG_ERROR, "reload", "reason", e.text, "kept", "the old settings",
                  NULL);
    } else {
        *conf = *fresh;
        log_event(LOG_INFO, "reload", "file", file, NULL);
    }
    free(fresh);
}
