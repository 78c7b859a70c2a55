/*
 * modes.h: the verbs that steer the whole queue and its workers: pause, resume, drain, scale.
 */
#ifndef TASKCTL_MODES_H
#define TASKCTL_MODES_H

#include "tools/taskctl/ctl.h"

int modes_pause(struct ctl *ctl);
int modes_resume(struct ctl *ctl);
int modes_drain(struct ctl *ctl);
int modes_scale(struct ctl *ctl);

#endif
