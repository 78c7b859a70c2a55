#include "watcherd/crew/peers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/err.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/store/queue.h"
#include "locks/owner.h"
#include "watcherd/base/store.h"
#include "watcherd/crew/burial.h"

enum { EVERY_MS = 1000 };

/* One that lives: its pidfd is readable when it ends. */
struct watched {
    struct watched *next;
    struct peers *all;
    uv_poll_t poll;
    int fd;
    struct queue_worker worker;
    bool seen; /* at the last look */
};

struct peers {
    struct peers_opts opts;
    uv_timer_t timer;
    struct watched *watched;
    bool started, looking, looked, stopped;
};

/* ---- burying ---- */

struct death {
    struct peers *all;
    char why[OWNER_WHY];
};

static void on_buried(void *arg, const char *worker_id, int rc, size_t tasks)
{
    struct death *d = arg;

    if (rc == 0 && tasks > 0) {
        log_event(LOG_WARN, "recovered", "tasks", log_u(tasks), "worker", worker_id,
                  "reason", d->why, NULL);
        if (!d->all->stopped)
            d->all->opts.freed(d->all->opts.arg, tasks);
    }
    free(d);
}

static void bury(struct peers *n, const char *id, const char *why)
{
    struct death *d = mem_calloc(1, sizeof *d);

    d->all = n;
    snprintf(d->why, sizeof d->why, "%s", why);
    burial_post(n->opts.store, id, on_buried, d);
}

/* ---- watching ---- */

static void on_closed(uv_handle_t *handle)
{
    struct watched *w = handle->data;

    close(w->fd);
    free(w);
}

static void unwatch(struct peers *n, struct watched *w)
{
    struct watched **at = &n->watched;

    while (*at != w)
        at = &(*at)->next;
    *at = w->next;
    uv_close((uv_handle_t *)&w->poll, on_closed);
}

static void on_end(uv_poll_t *poll, int status, int events)
{
    struct watched *w = poll->data;
    struct peers *n = w->all;

    (void)status;
    (void)events;
    bury(n, w->worker.id, "its process has ended");
    unwatch(n, w);
}

static enum owner_life judge(const struct peers *n, const struct queue_worker *w,
                             char why[OWNER_WHY])
{
    struct owner me, who = {.pid = w->pid, .start = (uint64_t)w->start};

    why[0] = '\0';
    /* The machine's name also names the PID namespace (crew.c). */
    if (w->machine[0] == '\0' || strcmp(w->machine, n->opts.me->machine) != 0 ||
        owner_self(&me, NULL) != 0)
        return OWNER_UNKNOWN;
    memcpy(who.machine, me.machine, sizeof who.machine);
    snprintf(who.boot, sizeof who.boot, "%.36s", w->boot);
    who.pidns = me.pidns;
    return owner_judge(&who, why);
}

static struct watched *watched_as(const struct peers *n, const struct queue_worker *w)
{
    struct watched *at = n->watched;

    while (at != NULL &&
           (at->worker.start != w->start || strcmp(at->worker.id, w->id) != 0))
        at = at->next;
    return at;
}

/* First the pidfd, then the judgement, so that both are about the same process. */
static void watch(struct peers *n, const struct queue_worker *w)
{
    char why[OWNER_WHY];
    struct watched *new;
    int fd = (int)syscall(SYS_pidfd_open, (pid_t)w->pid, 0);

    if (fd == -1)
        return;
    if (judge(n, w, why) == OWNER_DEAD) {
        close(fd);
        bury(n, w->id, why);
        return;
    }
    new = mem_calloc(1, sizeof *new);
    new->all = n;
    new->fd = fd;
    new->worker = *w;
    new->seen = true;
    new->poll.data = new;
    if (uv_poll_init(n->opts.loop, &new->poll, fd) != 0) {
        close(fd);
        free(new);
        return;
    }
    new->next = n->watched;
    n->watched = new;
    log_event(LOG_INFO, "watching", "worker", w->id, NULL);
    uv_poll_start(&new->poll, UV_READABLE, on_end);
}

/* ---- looking ---- */

struct look {
    struct store_job job;
    struct peers *all;
    struct queue_worker *worker;
    size_t n, room;
};

static void add_worker(void *arg, const struct queue_worker *w)
{
    struct look *l = arg;

    if (l->n == l->room) {
        l->room = 2 * l->room + 8;
        l->worker = mem_realloc(l->worker, l->room * sizeof *l->worker);
    }
    l->worker[l->n++] = *w;
}

static int run_look(struct store_job *job, struct queue *q, struct err *e)
{
    struct look *l = (struct look *)job;

    l->n = 0;
    return queue_workers(q, add_worker, l, e);
}

static void look_at(struct peers *n, const struct queue_worker *w)
{
    struct watched *at = watched_as(n, w);
    char why[OWNER_WHY];

    if (strcmp(w->id, n->opts.me->id) == 0)
        return;
    if (at != NULL) {
        at->seen = true;
        return;
    }
    if (judge(n, w, why) == OWNER_DEAD)
        bury(n, w->id, why);
    else if (strcmp(w->machine, n->opts.me->machine) == 0 &&
             strcmp(w->boot, n->opts.me->boot) == 0)
        watch(n, w);
}

static void end_look(struct store_job *job, int rc, const struct err *e)
{
    struct look *l = (struct look *)job;
    struct peers *n = l->all;

    (void)e;
    n->looking = false;
    if (rc == 0 && !n->stopped) {
        for (struct watched *w = n->watched; w != NULL; w = w->next)
            w->seen = false;
        for (size_t i = 0; i < l->n; i++)
            look_at(n, &l->worker[i]);
        for (struct watched *w = n->watched, *next; w != NULL; w = next) {
            next = w->next;
            if (!w->seen) /* it has ended in good order */
                unwatch(n, w);
        }
        if (!n->looked)
            n->opts.looked(n->opts.arg);
        n->looked = true;
    }
    free(l->worker);
    free(l);
}

static void on_timer(uv_timer_t *timer)
{
    peers_look(timer->data);
}

void peers_look(struct peers *n)
{
    struct look *l;

    if (n->looking || n->stopped)
        return;
    if (!n->started)
        uv_timer_start(&n->timer, on_timer, EVERY_MS, EVERY_MS);
    n->started = n->looking = true;
    l = mem_calloc(1, sizeof *l);
    l->job.run = run_look;
    l->job.done = end_look;
    l->all = n;
    store_post(n->opts.store, &l->job);
}

/* ---- its life ---- */

struct peers *peers_new(const struct peers_opts *opts)
{
    struct peers *n = mem_calloc(1, sizeof *n);

    n->opts = *opts;
    uv_timer_init(opts->loop, &n->timer);
    n->timer.data = n;
    return n;
}

void peers_stop(struct peers *n)
{
    if (n == NULL || n->stopped)
        return;
    n->stopped = true;
    uv_timer_stop(&n->timer);
    while (n->watched != NULL)
        unwatch(n, n->watched);
}

void peers_free(struct peers *n)
{
    free(n);
}
