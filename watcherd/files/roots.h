/*
 * roots.h: has the directories of core/incoming.h watched, and changes which those are while
 * the daemon runs.  All but roots_top belongs to the thread that watches.
 */
#ifndef WATCHERD_FILES_ROOTS_H
#define WATCHERD_FILES_ROOTS_H

#include <limits.h>
#include <stdbool.h>

struct conf;
struct err;
struct roots; /* defined in roots.c */
struct watch;

/*
 * roots_open: watch every root.
 * Given: ours: the state directory is; else nothing is logged nor changed
 * Status: 0; what watch_add_root said of [paths] incoming; ERR_FORMAT a damaged roots.json that
 *   is not ours.  Ours is set aside as roots.json.damaged; that and a root that cannot be added
 *   are logged and passed over.
 */
int roots_open(struct roots **out, struct watch *w, const struct conf *conf, bool ours,
               struct err *e);
void roots_close(struct roots *r);

/* Status: 0; -EEXIST overlaps another; -EINVAL not absolute or not UTF-8; what saving it
   said. */
int roots_add(struct roots *r, const char *path, unsigned flags, struct err *e);
/* Status: 0; -ENOENT not watched; -EPERM it is in the settings. */
int roots_remove(struct roots *r, const char *path, struct err *e);
/* Is it one of those that operators added? */
bool roots_was_added(const struct roots *r, const char *path);
/* incoming_roots_top, by any thread. */
bool roots_top(struct roots *r, const char *path, char top[PATH_MAX]);

#endif
