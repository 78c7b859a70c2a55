/*
 * follow.h: one task while it is under way: its log, its steps, its end.
 */
#ifndef TASKCTL_FOLLOW_H
#define TASKCTL_FOLLOW_H

#include "tools/taskctl/ctl.h"

int follow_log(struct ctl *ctl);
int follow_watch(struct ctl *ctl);

#endif
