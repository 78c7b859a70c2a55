#include "watcherd/todo/leftovers.h"

#include <jansson.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/group.h"
#include "core/log.h"
#include "core/mem.h"
#include "watcherd/files/ingest.h"

/* ---- files ---- */

struct left_call {
    struct ingest_call call;
    const struct settle *settle;
    double now;
    json_t *list; /* [[path, why]], bytes as they are */
};

static void add_file(void *arg, const char *path, enum settle_state state,
                     double waited_s)
{
    struct left_call *c = arg;
    char why[512];

    (void)waited_s;
    if (state == SETTLE_BAD)
        return;
    settle_why(c->settle, path, why, sizeof why, c->now);
    json_array_append_new(c->list, json_pack("[o, o]", json_string_nocheck(path),
                                             json_string_nocheck(why)));
}

static void run(struct ingest_call *call, struct watch *watch, struct settle *settle)
{
    struct left_call *c = (struct left_call *)call;

    (void)watch;
    c->settle = settle;
    settle_each_unsettled(settle, c->now, add_file, c);
}

static void end(struct ingest_call *call)
{
    json_decref(((struct left_call *)call)->list);
    free(call);
}

static size_t say_files(struct ingest *ing, double wait_s)
{
    struct left_call *c = mem_calloc(1, sizeof *c);
    json_t *file;
    size_t i, n;

    *c = (struct left_call){
        {.run = run, .free = end}, .now = clock_boot_s(), .list = json_array()};
    if (ingest_call(ing, &c->call, wait_s) != 0) {
        log_event(LOG_WARN, "left", "reason",
                  "the watched file systems do not answer, so nobody knows what", NULL);
        return 1;
    }
    json_array_foreach(c->list, i, file)
    {
        log_event(LOG_WARN, "left", "file", json_string_value(json_array_get(file, 0)),
                  "reason", json_string_value(json_array_get(file, 1)), NULL);
    }
    n = json_array_size(c->list);
    end(&c->call);
    return n;
}

/* ---- groups ---- */

struct progress {
    struct group_table *groups;
    size_t n;
};

static void say_group(void *arg, const struct group_view *g)
{
    struct progress *t = arg;
    char why[1024];

    if (g->state != GROUP_COLLECTING && g->state != GROUP_PARTIAL)
        return;
    t->n++;
    if (g->state == GROUP_PARTIAL)
        return; /* it was said at its deadline */
    group_why(t->groups, g->name, why, sizeof why, clock_boot_s());
    log_event(LOG_WARN, "left", "group", g->name, "reason", why, NULL);
}

size_t leftovers_say(struct ingest *ing, struct group_table *groups, double wait_s)
{
    struct progress t = {.groups = groups};

    t.n = say_files(ing, wait_s);
    group_each(groups, say_group, &t);
    return t.n;
}
