#include "tools/taskctl/roster.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "core/err.h"
#include "core/mem.h"
#include "core/store/queue_json.h"
#include "core/text.h"
#include "tools/taskctl/table.h"

static void take_worker(void *arg, const struct queue_worker *w)
{
    struct roster *r = arg;

    if (r->n == r->room) {
        r->room = 2 * r->room + 16;
        r->worker = mem_realloc(r->worker, r->room * sizeof *r->worker);
    }
    r->worker[r->n++] = *w;
}

int roster_read(struct roster *r, struct ctl *ctl, struct err *e)
{
    memset(r, 0, sizeof *r);
    return queue_workers(ctl->q, take_worker, r, e);
}

void roster_clear(struct roster *r)
{
    free(r->worker);
    memset(r, 0, sizeof *r);
}

const struct queue_worker *roster_find(const struct roster *r, const char *id)
{
    for (size_t i = 0; i < r->n; i++)
        if (strcmp(r->worker[i].id, id) == 0)
            return &r->worker[i];
    return NULL;
}

enum worker_life roster_life(const struct ctl *ctl, const struct queue_worker *w,
                             double now, char why[OWNER_WHY])
{
    struct owner who = {.pid = w->pid, .start = (uint64_t)w->start}, me;
    enum owner_life life;
    char age[32];

    if (now - w->seen <= ctl->conf.workers.lease_s) {
        snprintf(why, OWNER_WHY, "its last sign is %s old",
                 text_age(now - w->seen, age));
        return WORKER_ALIVE;
    }
    snprintf(who.machine, sizeof who.machine, "%.32s", w->machine);
    snprintf(who.boot, sizeof who.boot, "%.36s", w->boot);
    /* The queue does not keep the PID namespace.  Whoever is in a container of this machine
     * tells of itself: it is only looked at when it has been silent. */
    if (owner_self(&me, NULL) == 0)
        who.pidns = me.pidns;
    life = owner_judge(&who, why);
    return life == OWNER_ALIVE  ? WORKER_ALIVE
           : life == OWNER_DEAD ? WORKER_GONE
                                : WORKER_SILENT;
}

const char *roster_life_name(enum worker_life life)
{
    static const char *const names[] = {"alive", "silent", "gone"};

    return names[life];
}

struct roster_sum roster_sum(const struct roster *r, const struct ctl *ctl, double now)
{
    struct roster_sum sum = {0};
    char why[OWNER_WHY];

    for (size_t i = 0; i < r->n; i++)
        if (roster_life(ctl, &r->worker[i], now, why) == WORKER_ALIVE) {
            sum.alive++;
            sum.slots += r->worker[i].slots;
            sum.running += r->worker[i].running;
        }
    return sum;
}

json_t *roster_json(const struct roster *r, const struct ctl *ctl, double now)
{
    json_t *list = json_array();
    char why[OWNER_WHY];

    for (size_t i = 0; i < r->n; i++) {
        const struct queue_worker *w = &r->worker[i];
        const char *life = roster_life_name(roster_life(ctl, w, now, why));

        json_array_append_new(list, queue_worker_json(w, life, why, now));
    }
    return list;
}

void roster_print(const struct roster *r, const struct ctl *ctl, double now, FILE *out,
                  unsigned indent)
{
    static const char *const head[] = {"WORKER", "STATE", "LIFE",       ">TASKS",
                                       ">OF",    ">UP",   ">LAST SIGN", NULL};
    struct table *t = table_new(head);
    char why[OWNER_WHY], age[32];

    for (size_t i = 0; i < r->n; i++) {
        const struct queue_worker *w = &r->worker[i];

        table_put(t, w->id);
        table_put(t, w->state);
        table_put(t, roster_life_name(roster_life(ctl, w, now, why)));
        table_putf(t, "%d", w->running);
        table_putf(t, "%d", w->slots);
        table_put(t, ctl_age(now, w->started, age));
        table_put(t, ctl_age(now, w->seen, age));
    }
    table_indent(t, indent);
    table_print(t, out, table_width(out));
    table_free(t);
}

int roster_workers(struct ctl *ctl)
{
    struct roster r;
    struct err e = {0};
    int rc = roster_read(&r, ctl, &e), code;
    bool any = rc == 0 && r.n > 0;

    if (rc != 0)
        return ctl_fail(rc, &e);
    code = EX_OK;
    if (ctl->json)
        code = ctl_print_json(roster_json(&r, ctl, ctl->now));
    else if (any)
        roster_print(&r, ctl, ctl->now, stdout, 0);
    else
        puts("no worker takes part in this queue");
    roster_clear(&r);
    return code != EX_OK ? code : any ? EX_OK : EX_NOT_DONE;
}
