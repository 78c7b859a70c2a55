/*
 * disks.h: back-pressure: no task is started while the file system of a directory that we write to
 * is too full (core/disk.h, settings [disk]).
 *
 * Each look is a detached thread of its own, one at a time, every [disk] check_s; its
 * answer comes to the loop with uv_async_send.  libuv's pool is not used: uv_run would wait
 * at the end for a look that hangs, and exit() joins the pool.  While a look hangs the
 * level stays what it was; that it hangs is told once, with the directory, and once that it
 * answers again.
 *
 * How the daemon wires it:
 *
 *     struct disks_opts opts = {.loop = &d->loop, .conf = d->conf, .tell = on_disk, .turned
 *     = on_disk_turned,
 *                               .arg = d};
 *     disks_new(&d->disks, &opts, &e)     before the first task is started; the first look
 *     begins at once on_disk(arg, level, text)           log it: LOG_INFO, LOG_WARN,
 *     LOG_ERROR by level, event=disk reason=TEXT on_disk_turned(arg, stop)
 *     plan(d, 0): tasks may be started, or may not where a task is claimed:            if
 *     (disks_stop(d->disks)) claim nothing
 *     status:                             json_object_set_new(answer, "disks",
 *     disks_json(d->disks))
 *     SIGHUP:                             disks_set(d->disks, conf)
 *     --once: what is pending while disks_stop() is not "left over for ever"; stay, or end
 *     with that reason at the end:                         disks_close(d->disks); run the
 *     loop until its handles are closed;
 *                                         disks_free(d->disks)
 *
 * All functions are the loop's.
 */
#ifndef WATCHERD_BASE_DISKS_H
#define WATCHERD_BASE_DISKS_H

#include <jansson.h>
#include <stdbool.h>
#include <uv.h>

#include "core/disk.h"

struct conf;
struct err;
struct disks; /* defined in disks.c */

struct disks_opts {
    uv_loop_t *loop;
    const struct conf *conf; /* [paths], [disk]; not kept */
    /* A level has changed, or a look hangs: one sentence. */
    void (*tell)(void *arg, enum disk_level level, const char *text);
    /* disks_stop() has changed; also after the first look. */
    void (*turned)(void *arg, bool stop);
    void *arg;
    double stuck_after_s; /* a look takes longer: it is told; 0 means 10 */
    /* What asks, for tests; NULL: disk_look.  Called from another thread. */
    void (*look)(struct disk_fill *fill, const char (*dir)[PATH_MAX], size_t n,
                 _Atomic size_t *at);
};

/* Status: 0; what uv_async_init said, with a sentence. */
int disks_new(struct disks **out, const struct disks_opts *opts, struct err *e);
/* Other limits and another period, from the next look on; the directories stay. */
void disks_set(struct disks *d, const struct conf *conf);

/*
 * disks_stop: start nothing?  True until the first look has ended, so that a start on a
 *                             full disk claims
 * nothing; a first look that hangs for stuck_after_s counts as ended.
 */
bool disks_stop(const struct disks *d);

/* {"stop": false, "looked_s": 2.1, "stuck_s": 0, "disks": [{"dir", "also": [...], "level",
   "used_pct", "free_bytes",
 * "free_files", "error"}]}: one row a file system.  looked_s is null before the first. */
json_t *disks_json(const struct disks *d);

/* Close the handles; a look that is under way is left alone and frees what it holds when it
   ends. */
void disks_close(struct disks *d);
/* When the loop has closed the handles.  NULL is fine, for disks_close too. */
void disks_free(struct disks *d);

#endif
