#include "tools/taskctl/view.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/control_client.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/mem.h"
#include "core/store/queue_json.h"
#include "core/text.h"
#include "tools/taskctl/journal.h"

#define WAIT_S 2.0 /* for the daemon; for a disk */

/* ---- disks ---- */

/* Shared with the thread that looks; whoever leaves last frees it. */
struct disk_look {
    pthread_mutex_t mutex;
    pthread_cond_t done_now;
    bool done, left;
    _Atomic size_t at;
    char dir[VIEW_DISKS][PATH_MAX];
    struct disk_fill fill[VIEW_DISKS];
};

static void free_look(struct disk_look *l)
{
    pthread_mutex_destroy(&l->mutex);
    pthread_cond_destroy(&l->done_now);
    free(l);
}

static void *look_at_disks(void *arg)
{
    struct disk_look *l = arg;
    bool left;

    disk_look(l->fill, (const char(*)[PATH_MAX])l->dir, VIEW_DISKS, &l->at);
    pthread_mutex_lock(&l->mutex);
    l->done = true;
    left = l->left;
    pthread_cond_signal(&l->done_now);
    pthread_mutex_unlock(&l->mutex);
    if (left)
        free_look(l);
    return NULL;
}

static struct disk_look *new_look(const struct view_disks *d)
{
    struct disk_look *l = mem_calloc(1, sizeof *l);
    pthread_condattr_t attr;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&l->done_now, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&l->mutex, NULL);
    memcpy(l->dir, d->dir, sizeof l->dir);
    return l;
}

/* A file system that hangs keeps its thread; this program goes on and ends without it. */
static void ask_disks(struct view_disks *d)
{
    struct disk_look *l = new_look(d);
    struct timespec end;
    pthread_t thread;
    int rc = 0;

    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += (time_t)WAIT_S;
    if (pthread_create(&thread, NULL, look_at_disks, l) != 0) {
        look_at_disks(l);
    } else {
        pthread_detach(thread);
    }
    pthread_mutex_lock(&l->mutex);
    while (!l->done && rc == 0)
        rc = pthread_cond_timedwait(&l->done_now, &l->mutex, &end);
    d->answered = l->done;
    d->stuck = l->at;
    memcpy(d->fill, l->fill, sizeof d->fill);
    l->left = true;
    pthread_mutex_unlock(&l->mutex);
    if (d->answered)
        free_look(l);
}

void view_look_at_disks(struct view_disks *d, const struct conf *conf)
{
    const struct {
        const char *name, *dir;
    } dirs[VIEW_DISKS] = {
        {"incoming", conf->paths.incoming},
        {"scratch", conf->paths.scratch},
        {"products", conf->paths.products},
        {"state", conf->paths.state},
    };

    memset(d, 0, sizeof *d);
    for (size_t i = 0; i < VIEW_DISKS; i++) {
        d->name[i] = dirs[i].name;
        snprintf(d->dir[i], sizeof d->dir[i], "%s", dirs[i].dir);
    }
    ask_disks(d);
}

enum disk_level view_level(const struct conf *conf, const struct disk_fill *fill)
{
    double pct = disk_pct(fill);

    return pct >= conf->disk.stop_pct   ? DISK_STOP
           : pct >= conf->disk.warn_pct ? DISK_WARN
                                        : DISK_FINE;
}

/* ---- the queue ---- */

double view_event(const struct task *t)
{
    double at = t->created;

    at = t->claimed > at ? t->claimed : at;
    return t->ended > at ? t->ended : at;
}

static void take_recent(void *arg, const struct task *t)
{
    struct view *v = arg;
    size_t i = v->nrecent;

    while (i > 0 && view_event(&v->recent[i - 1]) < view_event(t))
        i--;
    if (i == VIEW_RECENT)
        return;
    v->nrecent += v->nrecent < VIEW_RECENT;
    memmove(&v->recent[i + 1], &v->recent[i], (v->nrecent - i - 1) * sizeof *v->recent);
    v->recent[i] = *t;
    v->recent[i].params = v->recent[i].result = NULL;
}

/* The newest of each name and status, which an index gives: a backlog does not hide what runs
 * and has ended, and it costs the same however many there are. */
static int read_recent(struct view *v, struct ctl *ctl, struct err *e)
{
    int rc = 0;

    for (size_t i = 0; i < v->counts.n; i++)
        for (enum task_status s = TASK_PENDING; s < TASK_STATUSES && rc == 0; s++) {
            struct task_filter f = {.name = v->counts.row[i].name,
                                    .status = s,
                                    .newest = true,
                                    .limit = VIEW_RECENT};

            if (v->counts.row[i].of[s] > 0)
                rc = queue_each(ctl->q, &f, take_recent, v, e);
        }
    return rc;
}

static int read_queue(struct view *v, struct ctl *ctl)
{
    struct err *e = &v->why_store;
    int rc =
        ctl->q == NULL ? queue_open_conf(&ctl->q, &ctl->conf, QUEUE_AS_TOOL, e) : 0;

    if (rc == 0)
        rc = queue_now(ctl->q, &v->now, e);
    if (rc == 0)
        rc =
            queue_get_mode(ctl->q, &v->mode, v->reason, sizeof v->reason, &v->since, e);
    if (rc == 0)
        rc = roster_read(&v->roster, ctl, e);
    if (rc == 0)
        rc = task_counts_read(&v->counts, ctl->q, e);
    if (rc == 0)
        rc = read_recent(v, ctl, e);
    v->sum = roster_sum(&v->roster, ctl, v->now);
    if (rc != 0) {
        queue_close(ctl->q);
        ctl->q = NULL;
    }
    return rc;
}

/* ---- everything ---- */

void view_read(struct view *v, struct ctl *ctl)
{
    json_t *request = json_pack("{s:s}", "ask", "status");

    memset(v, 0, sizeof *v);
    v->wall = clock_wall_s();
    client_call(ctl->conf.paths.state, request, WAIT_S, &v->daemon, &v->why_daemon);
    json_decref(request);
    v->rc = read_queue(v, ctl);
    view_look_at_disks(&v->disks, &ctl->conf);
    v->log = journal_tail(VIEW_LOG_LINES, v->why_log);
}

void view_clear(struct view *v)
{
    json_decref(v->daemon);
    roster_clear(&v->roster);
    task_counts_clear(&v->counts);
    free(v->log);
    memset(v, 0, sizeof *v);
}

static json_t *disks_json(const struct view_disks *d, const struct conf *conf)
{
    json_t *list = json_array();

    for (size_t i = 0; i < VIEW_DISKS; i++) {
        const struct disk_fill *f = &d->fill[i];
        json_t *o = json_object();

        text_set(o, "name", d->name[i]);
        text_set(o, "path", d->dir[i]);
        if (!d->answered) {
            text_set(o, "error", "the file systems do not answer");
        } else if (f->rc != 0) {
            text_set(o, "error", err_text(f->rc));
        } else {
            json_object_set_new(o, "used_pct", json_real(disk_pct(f)));
            json_object_set_new(o, "free_bytes",
                                json_integer((json_int_t)f->bytes_free));
            text_set(o, "level", disk_level_name(view_level(conf, f)));
        }
        json_array_append_new(list, o);
    }
    return list;
}

static json_t *log_json(const struct view *v)
{
    json_t *list = json_array();
    char *copy, *rest, *line;

    if (v->log == NULL)
        return list;
    copy = mem_strdup(v->log);
    for (rest = copy; (line = strsep(&rest, "\n")) != NULL;)
        if (line[0] != '\0')
            json_array_append_new(list, text_json(line));
    free(copy);
    return list;
}

json_t *view_json(const struct view *v, const struct ctl *ctl)
{
    json_t *o = json_object(), *recent = json_array();

    text_set_time(o, "at", v->wall);
    json_object_set(o, "daemon", v->daemon != NULL ? v->daemon : json_null());
    text_set(o, "daemon_error", v->why_daemon.text);
    text_set(o, "store_error", v->rc != 0 ? v->why_store.text : "");
    if (v->rc == 0) {
        json_t *counts = task_counts_json(&v->counts);

        json_object_update(o, counts);
        json_decref(counts);
        text_set(o, "store", queue_where(ctl->q));
        text_set(o, "mode", queue_mode_name(v->mode));
        text_set(o, "mode_reason", v->reason);
        json_object_set_new(o, "workers", roster_json(&v->roster, ctl, v->now));
    }
    for (size_t i = 0; i < v->nrecent; i++)
        json_array_append_new(recent, task_json(&v->recent[i], false));
    json_object_set_new(o, "recent", recent);
    json_object_set_new(o, "disks", disks_json(&v->disks, &ctl->conf));
    json_object_set_new(o, "log", log_json(v));
    text_set(o, "log_error", v->log == NULL ? v->why_log : "");
    return o;
}
