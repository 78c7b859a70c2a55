/*
 * roots.h: which directories are watched: those of the settings, and those that operators
 * added to the running daemon, kept in `<state>/roots.json` over a restart.
 *
 * A root is refused when it is, holds or lies in another one that would see its files too.
 */
#ifndef WATCHERD_FILES_ROOTS_H
#define WATCHERD_FILES_ROOTS_H

#include <stdbool.h>

struct conf;
struct err;
struct roots; /* defined in roots.c */
struct watch;

/*
 * roots_open: watch [paths] incoming, [watch] also and what roots.json lists.
 * Given: ours: the state directory is; else nothing is logged nor changed
 * Status: 0; what watch_add_root said of incoming.  A root that cannot be added, or a
 *   damaged roots.json (it is set aside as roots.json.damaged), is logged and passed over.
 */
int roots_open(struct roots **out, struct watch *w, const struct conf *conf, bool ours,
               struct err *e);
void roots_close(struct roots *r);

/* Status: 0; -EEXIST overlaps another; -EINVAL not absolute or not UTF-8; what saving it said. */
int roots_add(struct roots *r, const char *path, unsigned flags, struct err *e);
/* Status: 0; -ENOENT not watched; -EPERM it is in the settings. */
int roots_remove(struct roots *r, const char *path, struct err *e);
/* Is it one of those that operators added? */
bool roots_was_added(const struct roots *r, const char *path);

#endif
