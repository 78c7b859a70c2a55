/*
 * disks.c: see disks.h.  What the thread of a look touches is a struct look, which it
 *                        shares with the
 * loop until either lets go; disks itself is the loop's alone.
 */
#include "watcherd/base/disks.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/conf.h"
#include "core/err.h"
#include "core/mem.h"

enum { STUCK_S = 10 };

struct look {
    pthread_mutex_t mutex; /* for wake, ended and holders */
    uv_async_t *wake;      /* NULL when the loop has let go */
    bool ended;
    int holders; /* the thread, the loop */

    void (*ask)(struct disk_fill *fill, const char (*dir)[PATH_MAX], size_t n,
                _Atomic size_t *at);
    _Atomic size_t at; /* index of the directory that is being asked */
    size_t n;
    struct disk_fill fill[DISK_MOST]; /* the thread's until it has ended */
    char dir[DISK_MOST][PATH_MAX];
};

struct disks {
    struct disks_opts opts;
    struct disk_guard guard;
    double check_s;
    uv_timer_t timer; /* the next look, or until one is stuck */
    uv_async_t wake;
    struct look *look;    /* under way, or NULL */
    double began, looked; /* clock_boot_s; looked < 0: never */
    bool stuck, stop;
};

static void on_timer(uv_timer_t *timer);

/* ---- a look ---- */

/* Let go of it; the last one frees. */
static void look_drop(struct look *l, bool loop)
{
    int left;

    pthread_mutex_lock(&l->mutex);
    if (loop)
        l->wake = NULL;
    left = --l->holders;
    pthread_mutex_unlock(&l->mutex);
    if (left > 0)
        return;
    pthread_mutex_destroy(&l->mutex);
    free(l);
}

static void *look_run(void *arg)
{
    struct look *l = arg;

    l->ask(l->fill, (const char(*)[PATH_MAX])l->dir, l->n, &l->at);
    pthread_mutex_lock(&l->mutex);
    l->ended = true;
    if (l->wake != NULL)
        uv_async_send(l->wake);
    pthread_mutex_unlock(&l->mutex);
    look_drop(l, false);
    return NULL;
}

/* Status: 0, or pthread_create's. */
static int look_start(struct disks *d)
{
    struct look *l = mem_calloc(1, sizeof *l);
    pthread_attr_t attr;
    pthread_t thread;
    int rc;

    pthread_mutex_init(&l->mutex, NULL);
    l->wake = &d->wake;
    l->holders = 2;
    l->ask = d->opts.look != NULL ? d->opts.look : disk_look;
    l->n = d->guard.n;
    for (size_t i = 0; i < l->n; i++)
        strcpy(l->dir[i], d->guard.state[i].dir);
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    rc = pthread_create(&thread, &attr, look_run, l);
    pthread_attr_destroy(&attr);
    if (rc != 0) {
        l->holders = 1;
        look_drop(l, true);
        return -rc;
    }
    d->look = l;
    d->began = clock_boot_s();
    return 0;
}

static bool look_ended(struct look *l)
{
    bool ended;

    pthread_mutex_lock(&l->mutex);
    ended = l->ended;
    pthread_mutex_unlock(&l->mutex);
    return ended;
}

/* ---- the loop's side ---- */

static void tell(struct disks *d, enum disk_level level, const char *text)
{
    if (d->opts.tell != NULL)
        d->opts.tell(d->opts.arg, level, text);
}

static void on_news(void *arg, const struct disk_news *news)
{
    tell(arg, news->level, news->text);
}

static void turn(struct disks *d, bool first)
{
    if (d->stop == d->guard.stop && !first)
        return;
    d->stop = d->guard.stop;
    if (d->opts.turned != NULL)
        d->opts.turned(d->opts.arg, d->stop);
}

static void arm(struct disks *d, double in_s)
{
    uv_timer_start(&d->timer, on_timer, (uint64_t)(in_s * 1000) + 1, 0);
}

static void on_wake(uv_async_t *wake)
{
    struct disks *d = wake->data;
    struct look *l = d->look;
    bool first = d->looked < 0;
    char text[DISK_SENTENCE];

    if (l == NULL || !look_ended(l))
        return; /* a wake-up of the look before, or twice for one */
    if (d->stuck) {
        snprintf(text, sizeof text, "the file systems answer again, after %.0f s",
                 clock_boot_s() - d->began);
        tell(d, DISK_FINE, text);
    }
    d->look = NULL;
    d->stuck = false;
    d->looked = clock_boot_s();
    disk_judge(&d->guard, l->fill, on_news, d);
    look_drop(l, true);
    arm(d, d->check_s);
    turn(d, first);
}

static void on_timer(uv_timer_t *timer)
{
    struct disks *d = timer->data;
    char text[DISK_SENTENCE];
    int rc;

    if (d->look == NULL) {
        rc = look_start(d);
        arm(d, rc == 0 ? d->opts.stuck_after_s : d->check_s);
        if (rc != 0) {
            snprintf(text, sizeof text, "cannot look at the disks: %s", err_text(rc));
            tell(d, DISK_WARN, text);
        }
        return;
    }
    d->stuck = true;
    snprintf(text, sizeof text, "the file system of %.300s has not answered for %.0f s",
             d->look->dir[atomic_load(&d->look->at)], clock_boot_s() - d->began);
    tell(d, DISK_WARN, text);
    if (d->looked < 0)
        turn(d, true);
}

static void set(struct disks *d, const struct conf *conf)
{
    d->guard.limits = (struct disk_limits){.warn_pct = conf->disk.warn_pct,
                                           .stop_pct = conf->disk.stop_pct,
                                           .resume_pct = conf->disk.resume_pct};
    d->check_s = conf->disk.check_s;
}

int disks_new(struct disks **out, const struct disks_opts *opts, struct err *e)
{
    const struct conf *conf = opts->conf;
    const char *const dir[] = {conf->paths.incoming, conf->paths.scratch,
                               conf->paths.products, conf->paths.state,
                               conf->paths.locks};
    const struct disk_limits limits = {0};
    struct disks *d = mem_calloc(1, sizeof *d);
    int rc;

    *out = NULL;
    d->opts = *opts;
    d->opts.conf = NULL;
    if (d->opts.stuck_after_s <= 0)
        d->opts.stuck_after_s = STUCK_S;
    d->looked = -1;
    d->stop = true;
    disk_guard_init(&d->guard, &limits, dir, sizeof dir / sizeof *dir);
    set(d, conf);
    rc = uv_async_init(opts->loop, &d->wake, on_wake);
    if (rc != 0) {
        free(d);
        return err_set(e, rc, "cannot watch the disks: %s", uv_strerror(rc));
    }
    uv_timer_init(opts->loop, &d->timer);
    d->wake.data = d->timer.data = d;
    arm(d, 0);
    *out = d;
    return 0;
}

void disks_set(struct disks *d, const struct conf *conf)
{
    set(d, conf);
    if (d->look == NULL)
        arm(d, 0);
}

bool disks_stop(const struct disks *d)
{
    return d->stop;
}

static json_t *row_json(const struct disk_guard *g, size_t i)
{
    const struct disk_state *s = &g->state[i];
    json_t *row = json_object(), *also = json_array();

    /* What is not UTF-8 is left out. */
    json_object_set_new(row, "dir", json_string(s->dir));
    json_object_set_new(row, "also", also);
    json_object_set_new(row, "level", json_string(disk_level_name(s->level)));
    for (size_t k = i + 1; k < g->n; k++)
        if (g->state[k].fill.same_as == i && g->state[k].asked)
            json_array_append_new(also, json_string(g->state[k].dir));
    if (s->asked) {
        json_object_set_new(row, "used_pct", json_real(disk_pct(&s->fill)));
        json_object_set_new(row, "free_bytes",
                            json_integer((json_int_t)s->fill.bytes_free));
        json_object_set_new(row, "free_files",
                            s->fill.files_used + s->fill.files_free > 0
                                ? json_integer((json_int_t)s->fill.files_free)
                                : json_null());
    }
    if (s->rc != 0)
        json_object_set_new(row, "error", json_string(err_text(s->rc)));
    return row;
}

json_t *disks_json(const struct disks *d)
{
    const struct disk_guard *g = &d->guard;
    double now = clock_boot_s();
    json_t *rows = json_array();

    for (size_t i = 0; i < g->n; i++)
        if (!g->state[i].asked || g->state[i].fill.same_as == i)
            json_array_append_new(rows, row_json(g, i));
    return json_pack("{s:b, s:o, s:f, s:o}", "stop", (int)d->stop, "looked_s",
                     d->looked < 0 ? json_null() : json_real(now - d->looked),
                     "stuck_s", d->stuck ? now - d->began : 0.0, "disks", rows);
}

static void close_once(uv_handle_t *handle)
{
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

void disks_close(struct disks *d)
{
    if (d == NULL)
        return;
    if (d->look != NULL)
        look_drop(d->look, true);
    d->look = NULL;
    close_once((uv_handle_t *)&d->timer);
    close_once((uv_handle_t *)&d->wake);
}

void disks_free(struct disks *d)
{
    free(d);
}
