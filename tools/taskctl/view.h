/*
 * view.h: the whole system at one moment: what `monitor` shows and `preflight` judges.
 */
#ifndef TASKCTL_VIEW_H
#define TASKCTL_VIEW_H

#include <jansson.h>

#include "core/disk.h"
#include "core/err.h"
#include "core/store/task_counts.h"
#include "tools/taskctl/roster.h"

enum { VIEW_RECENT = 10, VIEW_DISKS = 4, VIEW_LOG_LINES = 5 };

struct view_disks {
    const char *name[VIEW_DISKS]; /* of the setting in [paths] */
    char dir[VIEW_DISKS][PATH_MAX];
    struct disk_fill fill[VIEW_DISKS];
    bool answered; /* else a file system hangs: [stuck] is the first */
    size_t stuck;
};
/* Ask for the disks, and wait at most two seconds. */
void view_look_at_disks(struct view_disks *d, const struct conf *conf);
/* What the settings make of it; ours alone, without the daemon's memory. */
enum disk_level view_level(const struct conf *conf, const struct disk_fill *fill);

struct view {
    double wall;    /* when; Unix s of this machine */
    json_t *daemon; /* its status; NULL: it does not run, why_daemon says so */
    struct err why_daemon;
    int rc; /* of the store; then nothing up to `disks` counts, and why_store says why */
    struct err why_store;
    double now; /* the store's */
    enum queue_mode mode;
    char reason[QUEUE_TEXT];
    double since;
    struct roster roster;
    struct roster_sum sum;
    struct task_counts counts;
    struct task recent[VIEW_RECENT]; /* without params and result; newest event first */
    size_t nrecent;
    struct view_disks disks;
    char *log; /* lines; NULL: why_log */
    char why_log[160];
};

/* Look at everything.  The queue is opened when it is not open, and closed when it fails. */
void view_read(struct view *v, struct ctl *ctl);
void view_clear(struct view *v);
json_t *view_json(const struct view *v, const struct ctl *ctl);
/* When something last happened to a task. */
double view_event(const struct task *t);

#endif
