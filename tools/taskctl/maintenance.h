/*
 * upkeep.h: the verbs that look after the store: vacuum, backup, restore, migrate.
 */
#ifndef TASKCTL_UPKEEP_H
#define TASKCTL_UPKEEP_H

#include "tools/taskctl/ctl.h"

int upkeep_vacuum(struct ctl *ctl);
int upkeep_backup(struct ctl *ctl);
int upkeep_restore(struct ctl *ctl);
int upkeep_migrate(struct ctl *ctl);

enum { UPKEEP_NAME = 20 }; /* "2026-11-22T011516Z" */

/* Name of a backup made then; and is this one?  Such names sort by time. */
void upkeep_name(double unix_s, char out[UPKEEP_NAME]);
bool upkeep_is_name(const char *name);

#endif
