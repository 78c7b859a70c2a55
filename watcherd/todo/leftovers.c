#include "watcherd/todo/leftovers.h"

#include <jansson.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/group.h"
#include "core/log.h"
#include "core/mem.h"
#include "watcherd/files/ingest.h"

struct left_call {
    struct ingest_call call;
    struct group_table *groups;
    leftovers_done_fn *done;
    void *arg;
    const struct settle *settle;
    double now;
    json_t *list; /* [[path, why]], bytes as they are */
};

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

static size_t say_groups(struct group_table *groups)
{
    struct progress t = {.groups = groups};

    group_each(groups, say_group, &t);
    return t.n;
}

/* ---- files ---- */

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

static size_t say_files(const json_t *list)
{
    json_t *file;
    size_t i;

    json_array_foreach(list, i, file)
    {
        log_event(LOG_WARN, "left", "file", json_string_value(json_array_get(file, 0)),
                  "reason", json_string_value(json_array_get(file, 1)), NULL);
    }
    return json_array_size(list);
}

static void on_done(struct side_job *job, int rc, const struct err *e)
{
    struct left_call *c = (struct left_call *)job;
    size_t n = 1;

    (void)e;
    if (rc == -ECANCELED)
        return;
    if (rc == 0)
        n = say_files(c->list);
    else
        log_event(LOG_WARN, "left", "reason",
                  "the watched file systems do not answer, so nobody knows what", NULL);
    c->done(c->arg, n + say_groups(c->groups));
}

static void free_call(struct side_job *job)
{
    json_decref(((struct left_call *)job)->list);
    free(job);
}

void leftovers_say(struct ingest *ing, struct group_table *groups, double wait_s,
                   leftovers_done_fn *done, void *arg)
{
    struct left_call *c = mem_calloc(1, sizeof *c);

    c->call.run = run;
    c->call.job.done = on_done;
    c->call.job.free = free_call;
    c->groups = groups;
    c->done = done;
    c->arg = arg;
    c->now = clock_boot_s();
    c->list = json_array();
    ingest_ask(ing, &c->call, wait_s);
}
