/*
 * disks.h: back-pressure: no task is started while the file system of a directory that we write
 * to is too full (core/disk.h, settings [disk]).
 *
 * A thread of its own looks, every [disk] check_s.  While a look hangs the level stays what it
 * was; that it hangs is told once, with the directory, and once that it answers again.
 *
 *     disks_new(&disks, &opts, &e);   the first look begins when the loop runs
 *     disks_close(disks);             run the loop until its handles are closed
 *     disks_free(disks);
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

/* Status: 0; what side_new and side_start said.  *out is set when there are handles to
   close. */
int disks_new(struct disks **out, const struct disks_opts *opts, struct err *e);
/* Other limits and another period, from the next look on; the directories stay. */
void disks_set(struct disks *d, const struct conf *conf);

/*
 * disks_stop: is no task to be started?  True until the first look has ended, so that a start
 * on a full disk claims nothing; a first look that hangs for stuck_after_s counts as ended.
 */
bool disks_stop(const struct disks *d);

/*
 * One row for each file system:
 *
 *   {"stop": false, "looked_s": 2.1, "stuck_s": 0, "disks": [{"dir", "also": [...], "level",
 *    "used_pct", "free_bytes", "free_files", "error"}]}
 *
 * looked_s is null before the first look has ended.
 */
json_t *disks_json(const struct disks *d);

/* Close the handles; a look that hangs is left alone, and frees what it holds when it ends. */
void disks_close(struct disks *d);
/* When the loop has closed the handles.  NULL is fine, for disks_close too. */
void disks_free(struct disks *d);

#endif
