/* answer_status.c: how the daemon is, on one page. */
#include "watcherd/face/answers.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/group.h"
#include "core/mem.h"
#include "core/store/queue_json.h"
#include "core/text.h"
#include "watcherd/base/disks.h"
#include "watcherd/base/store.h"
#include "watcherd/crew/crew.h"
#include "watcherd/face/reply.h"
#include "watcherd/files/ingest.h"
#include "watcherd/todo/intake.h"

/* ---- groups ---- */

struct progress {
    size_t n[GROUP_SET_ASIDE + 1];
};

static void count_group(void *arg, const struct group_view *g)
{
    struct progress *t = arg;

    t->n[g->state]++;
}

static json_t *groups_json(const struct answers *o)
{
    struct progress t = {{0}};
    json_t *out = json_object();

    group_each(o->groups, count_group, &t);
    for (int i = 0; i <= GROUP_SET_ASIDE; i++) {
        char key[32];

        snprintf(key, sizeof key, "%s", group_state_name((enum group_state)i));
        for (char *p = key; *p != '\0'; p++)
            *p = *p == ' ' ? '_' : *p; /* watcherd-json(5) */
        json_object_set_new(out, key, json_integer((json_int_t)t.n[i]));
    }
    return out;
}

/* ---- the rest of what is in memory ---- */

struct running {
    json_t *list;
    double now;
};

static void add_running(void *arg, const struct pool_look *look)
{
    struct running *r = arg;

    json_array_append_new(
        r->list, json_pack("{s:s, s:s, s:i, s:i, s:f, s:s}", "task", look->task->name,
                           "name", look->task->key, "attempt",
                           look->task->retry_count + 1, "pid", look->pid, "since_s",
                           r->now - look->started, "finished_step", look->step));
}

static json_t *store_json(struct store *store)
{
    struct store_look look;

    store_look(store, &look);
    return json_pack("{s:b, s:f, s:o, s:o}", "up", (int)look.up, "since_s",
                     look.since_s, "why", text_json(look.why), "where",
                     text_json(look.where));
}

/* What keeps tasks from being started, and groups from being queued. */
static json_t *held_json(const struct rooms *rooms, const struct crew_look *crew)
{
    return json_pack("{s:s?, s:s?}", "tasks", crew->held, "groups",
                     intake_held(rooms->intake));
}

/* All of it; `queue`, what the store said, is consumed. */
static json_t *status_json(const struct answers *o, json_t *queue)
{
    const struct rooms *rooms = o->rooms;
    double now = clock_boot_s();
    struct running running = {json_array(), now};
    struct group_stats groups;
    struct ingest_look look;
    struct crew_look crew;

    ingest_look(rooms->ingest, &look);
    group_stats(o->groups, &groups);
    crew_look(rooms->crew, &crew);
    crew_each(rooms->crew, add_running, &running);
    return json_pack(
        "{s:s, s:i, s:f, s:{s:I, s:I, s:I, s:I, s:I, s:I}, s:o, s:o, s:o, s:I,"
        " s:{s:I, s:I, s:I, s:I}, s:f, s:o, s:o, s:I, s:o}",
        "version", VERSION, "pid", (int)getpid(), "uptime_s", now - rooms->started,
        "files", "known", (json_int_t)look.settle.known, "waiting",
        (json_int_t)look.settle.waiting, "settled", (json_int_t)look.settle.settled,
        "bad", (json_int_t)look.settle.bad, "overdue", (json_int_t)look.settle.overdue,
        "foreign", (json_int_t)groups.foreign, "groups", groups_json(o), "queue", queue,
        "running", running.list, "workers", (json_int_t)crew.slots, "watch", "roots",
        (json_int_t)look.watch.roots, "missing", (json_int_t)look.watch.missing_roots,
        "overflows", (json_int_t)look.watch.overflows, "events",
        (json_int_t)look.watch.events, "ingest_stuck_s", look.stuck_s, "store",
        store_json(rooms->store), "held", held_json(rooms, &crew), "untold",
        (json_int_t)crew.untold, "disks", disks_json(rooms->disks));
}

/* ---- what only the store knows ---- */

struct count_job {
    struct store_job job;
    const struct answers *answers;
    struct reply *reply;
    size_t count[TASK_STATUSES];
    enum queue_mode mode;
    char reason[QUEUE_TEXT];
};

static int run_count(struct store_job *job, struct queue *q, struct err *e)
{
    struct count_job *c = (struct count_job *)job;
    double since;
    int rc = queue_get_mode(q, &c->mode, c->reason, sizeof c->reason, &since, e);

    for (enum task_status s = TASK_PENDING; rc == 0 && s < TASK_STATUSES; s++)
        rc = queue_count(q, s, &c->count[s], e);
    return rc;
}

static void on_count(struct store_job *job, int rc, const struct err *e)
{
    struct count_job *c = (struct count_job *)job;
    json_t *queue = json_object();

    if (rc != 0) {
        json_object_set_new(queue, "unanswered", text_json(e->text));
    } else {
        json_object_update_new(queue, task_totals_json(c->count));
        json_object_update_new(queue,
                               json_pack("{s:s, s:o}", "mode", queue_mode_name(c->mode),
                                         "mode_reason", text_json(c->reason)));
    }
    reply_send(c->reply, status_json(c->answers, queue));
}

static void free_count(struct store_job *job)
{
    free(job);
}

void answer_status(struct answers *o, struct reply *r, const json_t *request)
{
    struct count_job *c = mem_calloc(1, sizeof *c);

    (void)request;
    c->job.run = run_count;
    c->job.done = on_count;
    c->job.free = free_count;
    c->answers = o;
    c->reply = r;
    store_ask(o->rooms->store, &c->job, ANSWERS_STORE_S);
}
