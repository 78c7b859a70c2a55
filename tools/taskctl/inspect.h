/*
 * inspect.h: the verbs that look at tasks: stats, list, show, stuck.
 */
#ifndef TASKCTL_INSPECT_H
#define TASKCTL_INSPECT_H

#include "tools/taskctl/ctl.h"

int inspect_stats(struct ctl *ctl);
int inspect_list(struct ctl *ctl);
int inspect_show(struct ctl *ctl);
int inspect_stuck(struct ctl *ctl);

#endif
