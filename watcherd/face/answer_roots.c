/* answer_roots.c: the watched directories.  The thread that watches answers, or nobody. */
#include "watcherd/face/answers.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/group.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/text.h"
#include "watcherd/face/reply.h"
#include "watcherd/files/ingest.h"
#include "watcherd/files/roots.h"

struct root_call {
    struct ingest_call call;
    struct answers *answers;
    struct reply *reply;
    void (*finish)(struct root_call *c); /* on the loop, when it has run */
    struct roots *roots;
    char path[PATH_MAX];
    unsigned flags;
    /* written by the thread */
    json_t *list;
    struct watch_stats stats;
    struct err err;
    int rc;
    bool there;
};

static void on_done(struct side_job *job, int rc, const struct err *e)
{
    struct root_call *c = (struct root_call *)job;

    if (rc == -EINPROGRESS)
        reply_refuse(c->reply, "%s; what was asked is begun and may still come to be",
                     e->text);
    else if (rc != 0)
        reply_refuse(c->reply, "%s", e->text);
    else if (c->rc != 0)
        reply_refuse(c->reply, "%s", c->err.text);
    else
        c->finish(c);
}

static void free_call(struct side_job *job)
{
    struct root_call *c = (struct root_call *)job;

    json_decref(c->list);
    free(c);
}

static void ask(struct answers *o, struct reply *r, const struct root_call *what,
                const char *path)
{
    struct root_call *c = mem_malloc(sizeof *c);

    *c = *what;
    c->call.job.done = on_done;
    c->call.job.free = free_call;
    c->answers = o;
    c->reply = r;
    c->roots = o->roots;
    snprintf(c->path, sizeof c->path, "%s", path);
    ingest_ask(o->rooms->ingest, &c->call, ANSWERS_FILES_S);
}

static void changed(const struct answers *o)
{
    o->rooms->changed(o->rooms->arg);
}

/* ---- list ---- */

static void put_root(void *arg, const struct watch_root_info *info)
{
    struct root_call *c = arg;
    const char *mode = info->polled == 0    ? "inotify"
                       : info->watched == 0 ? "polled"
                                            : "inotify, partly polled";
    json_t *root;

    if (info->flags & WATCH_POLL)
        mode = "polled";
    root = json_pack(
        "{s:o, s:s, s:b, s:b, s:b, s:I, s:I, s:s}", "path", text_json(info->path),
        "mode", mode, "attached", (int)info->attached, "recursive",
        (int)((info->flags & WATCH_RECURSIVE) != 0), "poll",
        (int)((info->flags & WATCH_POLL) != 0), "directories",
        (json_int_t)(info->watched), "polled", (json_int_t)info->polled, "from",
        roots_was_added(c->roots, info->path) ? "operator" : "settings");
    json_object_set_new(root, "scanned_s",
                        info->scanned < 0 ? json_null()
                                          : json_real(clock_boot_s() - info->scanned));
    json_array_append_new(c->list, root);
}

static void run_list(struct ingest_call *call, struct watch *watch,
                     struct settle *settle)
{
    struct root_call *c = (struct root_call *)call;

    (void)settle;
    c->list = json_array();
    watch_each_root(watch, put_root, c);
    watch_stats(watch, &c->stats);
}

static void finish_list(struct root_call *c)
{
    reply_send(c->reply, json_pack("{s:O, s:I}", "roots", c->list, "overflows",
                                   (json_int_t)c->stats.overflows));
}

void answer_roots(struct answers *o, struct reply *r, const json_t *request)
{
    (void)request;
    ask(o, r, &(struct root_call){.call.run = run_list, .finish = finish_list}, "");
}

/* ---- add ---- */

static void run_add(struct ingest_call *call, struct watch *watch,
                    struct settle *settle)
{
    struct root_call *c = (struct root_call *)call;

    (void)watch;
    (void)settle;
    c->rc = roots_add(c->roots, c->path, c->flags, &c->err);
    c->there = c->rc == 0 && access(c->path, F_OK) == 0;
}

static void finish_add(struct root_call *c)
{
    log_event(LOG_INFO, "root_added", "root", c->path, "recursive",
              c->flags & WATCH_RECURSIVE ? "yes" : "no", NULL);
    reply_send(c->reply, json_pack("{s:o, s:b}", "added", text_json(c->path), "there",
                                   (int)c->there));
    changed(c->answers);
}

void answer_add_root(struct answers *o, struct reply *r, const json_t *request)
{
    struct root_call c = {.call.run = run_add, .finish = finish_add};

    if (json_is_true(json_object_get(request, "recursive")))
        c.flags |= WATCH_RECURSIVE;
    if (json_is_true(json_object_get(request, "poll")))
        c.flags |= WATCH_POLL;
    ask(o, r, &c, answers_text(request, "path"));
}

/* ---- remove ---- */

static void run_drop(struct ingest_call *call, struct watch *watch,
                     struct settle *settle)
{
    struct root_call *c = (struct root_call *)call;

    (void)watch;
    c->rc = roots_remove(c->roots, c->path, &c->err);
    if (c->rc == 0)
        settle_forget(settle, c->path);
}

/* What the thread told of its files before has been told to the groups by now. */
static void finish_drop(struct root_call *c)
{
    size_t n = group_forget(c->answers->groups, c->path);

    log_event(LOG_INFO, "root_removed", "root", c->path, "files", log_u(n), NULL);
    reply_send(c->reply, json_pack("{s:o, s:I}", "removed", text_json(c->path), "files",
                                   (json_int_t)n));
    changed(c->answers);
}

void answer_drop_root(struct answers *o, struct reply *r, const json_t *request)
{
    ask(o, r, &(struct root_call){.call.run = run_drop, .finish = finish_drop},
        answers_text(request, "path"));
}
