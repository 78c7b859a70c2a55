/*
 * upkeep.h: what keeps a service in order beside its work: systemd hears that it is ready
 * and alive, and no task is started while a disk is too full.
 */
#ifndef WATCHERD_UPKEEP_H
#define WATCHERD_UPKEEP_H

#include <uv.h>

struct conf;
struct crew;
struct disks;
struct err;
struct upkeep; /* defined in upkeep.c */

/* Holds the crew until the disks have been looked at.  *out is always set, and upkeep_free's.
   Status: 0; what disks_new said. */
int upkeep_new(struct upkeep **out, uv_loop_t *loop, const struct conf *conf,
               struct crew *crew, struct err *e);
/* Open for work. */
void upkeep_ready(struct upkeep *u);
/* The settings are being read anew; then, with what was read. */
void upkeep_reloading(struct upkeep *u);
void upkeep_reloaded(struct upkeep *u, const struct conf *conf);
void upkeep_stopping(struct upkeep *u);
/* For disks_json; valid until upkeep_free. */
const struct disks *upkeep_disks(const struct upkeep *u);
/* Close the handles; upkeep_free when the loop has closed them.  NULL is fine for both. */
void upkeep_close(struct upkeep *u);
void upkeep_free(struct upkeep *u);

#endif
