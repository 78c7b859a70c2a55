/*
 * look.h: the verbs that look at tasks: stats, list, show, stuck.
 */
#ifndef TASKCTL_LOOK_H
#define TASKCTL_LOOK_H

#include "tools/taskctl/ctl.h"

enum { LOOK_WALK = 100000 }; /* tasks that are walked through for one number */

/* How many tasks there are of each name and status. */
struct counts {
    struct {
        char name[QUEUE_NAME];
        size_t of[TASK_STATUSES];
    } * row; /* [n], by name */
    size_t n, room;
    size_t of[TASK_STATUSES]; /* of all names */
};
int look_counts(struct counts *c, struct ctl *ctl, struct err *e);
void look_clear(struct counts *c);
json_t *look_counts_json(const struct counts *c);

int look_stats(struct ctl *ctl);
int look_list(struct ctl *ctl);
int look_show(struct ctl *ctl);
int look_stuck(struct ctl *ctl);

#endif
