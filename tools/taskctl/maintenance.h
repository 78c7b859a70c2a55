/*
 * upkeep.h: the verbs that look after the store: vacuum, backup, restore, migrate.
 */
#ifndef TASKCTL_UPKEEP_H
#define TASKCTL_UPKEEP_H

#include "tools/taskctl/ctl.h"

int maintenance_vacuum(struct ctl *ctl);
int maintenance_backup(struct ctl *ctl);
int maintenance_restore(struct ctl *ctl);
int maintenance_migrate(struct ctl *ctl);

enum { MAINTENANCE_NAME = 20 }; /* "2026-11-22T011516Z" */

/* Name of a backup made then; and is this one?  Such names sort by time. */
void maintenance_name(double unix_s, char out[MAINTENANCE_NAME]);
bool maintenance_is_name(const char *name);

#endif
