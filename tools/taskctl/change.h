/*
 * change.h: the verbs that make tasks and change what becomes of them: submit, retry,
 * cancel, prioritize.
 */
#ifndef TASKCTL_CHANGE_H
#define TASKCTL_CHANGE_H

#include "tools/taskctl/ctl.h"

int change_submit(struct ctl *ctl);
int change_retry(struct ctl *ctl);
int change_cancel(struct ctl *ctl);
int change_priority(struct ctl *ctl);

#endif
