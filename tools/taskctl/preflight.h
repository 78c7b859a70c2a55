/*
 * preflight.h: the verb `preflight`: is everything ready for data?  The operator's
 * checklist as one command.
 */
#ifndef TASKCTL_PREFLIGHT_H
#define TASKCTL_PREFLIGHT_H

#include "tools/taskctl/ctl.h"

struct err;

/* conf_rc: 0 or the negative status (errno, ERR_FORMAT) of reading the settings, and its
   sentence.  Returns the exit status of the program. */
int preflight_main(struct ctl *ctl, int conf_rc, const struct err *conf_why);

#endif
