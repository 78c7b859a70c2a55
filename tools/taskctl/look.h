/*
 * look.h: the verbs that look at tasks: stats, list, show, stuck.
 */
#ifndef TASKCTL_LOOK_H
#define TASKCTL_LOOK_H

#include "tools/taskctl/ctl.h"

enum { LOOK_WALK = 100000 }; /* tasks that are walked through for one number */

/* How many tasks there are of each name and status. */
enum { STATUS_KINDS = 5 };
extern const char *const look_status[STATUS_KINDS]; /* pending claimed completed ... */
struct counts {
    struct {
        char name[QUEUE_NAME];
        size_t of[STATUS_KINDS];
    } * row; /* [n], by name */
    size_t n, room;
    size_t of[STATUS_KINDS]; /* of all names */
};
enum { OF_PENDING, OF_CLAIMED, OF_COMPLETED, OF_FAILED, OF_CANCELLED };
int look_counts(struct counts *c, struct ctl *ctl, struct err *e);
void look_clear(struct counts *c);
json_t *look_counts_json(const struct counts *c);

int look_stats(struct ctl *ctl);
int look_list(struct ctl *ctl);
int look_show(struct ctl *ctl);
int look_stuck(struct ctl *ctl);

#endif
