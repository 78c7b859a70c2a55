/* disks.c: see disks.h.  What the thread touches is a struct look; all else is the loop's. */
#include "watcherd/base/disks.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/conf.h"
#include "core/err.h"
#include "core/mem.h"
#include "watcherd/base/thread.h"

enum { STUCK_S = 10 };

struct look {
    struct side_job job;
    struct disks *disks;
    void (*ask)(struct disk_fill *fill, const char (*dir)[PATH_MAX], size_t n,
                _Atomic size_t *at);
    _Atomic size_t at; /* index of the directory that is being asked */
    size_t n;
    struct disk_fill fill[DISK_MOST];
    char dir[DISK_MOST][PATH_MAX];
};

struct disks {
    struct disks_opts opts;
    struct disk_guard guard;
    double check_s;
    struct side *side;
    uv_timer_t timer;     /* the next look, or until one is stuck */
    struct look *look;    /* under way, or NULL */
    double began, looked; /* clock_boot_s; looked < 0: never */
    bool stuck, stop;
};

static void on_timer(uv_timer_t *timer);

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

/* ---- a look ---- */

static int run_look(struct side_job *job, void *arg, struct err *e)
{
    struct look *l = (struct look *)job;

    (void)arg;
    (void)e;
    l->ask(l->fill, (const char(*)[PATH_MAX])l->dir, l->n, &l->at);
    return 0;
}

static void on_looked(struct side_job *job, int rc, const struct err *e)
{
    struct look *l = (struct look *)job;
    struct disks *d = l->disks;
    bool first = d->looked < 0;
    char text[DISK_SENTENCE];

    (void)e;
    d->look = NULL;
    if (rc != 0 || uv_is_closing((uv_handle_t *)&d->timer))
        return; /* the end */
    if (d->stuck) {
        snprintf(text, sizeof text, "the file systems answer again, after %.0f s",
                 clock_boot_s() - d->began);
        tell(d, DISK_FINE, text);
    }
    d->stuck = false;
    d->looked = clock_boot_s();
    disk_judge(&d->guard, l->fill, on_news, d);
    arm(d, d->check_s);
    turn(d, first);
}

static void free_look(struct side_job *job)
{
    free(job);
}

static void look_start(struct disks *d)
{
    struct look *l = mem_calloc(1, sizeof *l);

    l->job = (struct side_job){.run = run_look, .done = on_looked, .free = free_look};
    l->disks = d;
    l->ask = d->opts.look != NULL ? d->opts.look : disk_look;
    l->n = d->guard.n;
    for (size_t i = 0; i < l->n; i++)
        strcpy(l->dir[i], d->guard.state[i].dir);
    d->look = l;
    d->began = clock_boot_s();
    side_post(d->side, &l->job);
}

static void on_timer(uv_timer_t *timer)
{
    struct disks *d = timer->data;
    char text[DISK_SENTENCE];

    if (d->look == NULL) {
        look_start(d);
        arm(d, d->opts.stuck_after_s);
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
    rc = side_new(
        &d->side,
        &(struct side_opts){.loop = opts->loop, .what = "the file systems have"}, e);
    if (rc != 0) {
        free(d);
        return rc;
    }
    uv_timer_init(opts->loop, &d->timer);
    d->timer.data = d;
    *out = d; /* the loop has handles in it */
    rc = side_start(d->side, e);
    if (rc == 0)
        arm(d, 0);
    return rc;
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

void disks_close(struct disks *d)
{
    if (d == NULL)
        return;
    if (!uv_is_closing((uv_handle_t *)&d->timer))
        uv_close((uv_handle_t *)&d->timer, NULL);
    side_stop(d->side, 0); /* it leaves alone a look that hangs */
    side_close(d->side);
}

void disks_free(struct disks *d)
{
    if (d == NULL)
        return;
    side_free(d->side);
    free(d);
}
