/* answer_crew.c: what the workers do, and how many there are to be. */
#include "watcherd/face/answers.h"

#include <stdio.h>
#include <unistd.h>

#include "core/clock.h"
#include "watcherd/crew/crew.h"
#include "watcherd/face/reply.h"

struct running {
    json_t *list;
    double now;
};

/* Resident memory of a process; 0 when it is gone.  See proc(5), statm. */
static double rss_mib(int pid)
{
    char path[64];
    long pages = 0;
    FILE *f;

    snprintf(path, sizeof path, "/proc/%d/statm", pid);
    f = fopen(path, "re");
    if (f != NULL && fscanf(f, "%*d %ld", &pages) != 1)
        pages = 0;
    if (f != NULL)
        fclose(f);
    return (double)pages * (double)sysconf(_SC_PAGESIZE) / (1 << 20);
}

static void add_worker(void *arg, const struct pool_look *look)
{
    struct running *r = arg;

    json_array_append_new(
        r->list, json_pack("{s:i, s:s, s:s, s:s, s:i, s:f, s:s, s:f}", "pid", look->pid,
                           "task_id", look->task->id, "task", look->task->name, "name",
                           look->task->key, "attempt", look->task->retry_count + 1,
                           "since_s", r->now - look->started, "finished_step",
                           look->step, "rss_mib", rss_mib(look->pid)));
}

void answer_workers(struct answers *o, struct reply *r, const json_t *request)
{
    struct running running = {json_array(), clock_boot_s()};
    struct crew_look crew;

    (void)request;
    crew_look(o->rooms->crew, &crew);
    crew_each(o->rooms->crew, add_worker, &running);
    reply_send(r, json_pack("{s:I, s:o, s:s, s:s?}", "slots", (json_int_t)crew.slots,
                            "running", running.list, "worker",
                            crew_me(o->rooms->crew)->id, "held", crew.held));
}

void answer_scale(struct answers *o, struct reply *r, const json_t *request)
{
    json_t *count = json_object_get(request, "count");
    json_int_t n = json_integer_value(count);
    struct crew_look crew;

    if (!json_is_integer(count) || n < 0 || n > 1024) {
        reply_refuse(r, "count has to be a number from 0 to 1024");
        return;
    }
    crew_look(o->rooms->crew, &crew);
    crew_scale(o->rooms->crew, (long)n);
    reply_send(r,
               json_pack("{s:I, s:I}", "slots", n, "before", (json_int_t)crew.slots));
}
