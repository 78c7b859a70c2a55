/*
 * monitor.h: the verb `monitor`: everything on one page, live on a terminal.
 */
#ifndef TASKCTL_MONITOR_H
#define TASKCTL_MONITOR_H

#include "tools/taskctl/ctl.h"

int monitor_main(struct ctl *ctl);

#endif
