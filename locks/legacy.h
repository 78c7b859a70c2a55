/*
 * legacy.h: lock files of other programs: `<name>.lock` with a bare PID, "PID\nHOST", JSON
 * with a "pid", or nothing at all but a flock.  Seeds' scripts, python-filelock and flock(1)
 * make them.
 *
 * They are honoured.  They are removed only when their process is proved dead on this very
 * host, and only while we hold the kernel lock on the same inode that the name still names: a
 * name may at any moment have become somebody's fresh lock.
 */
#ifndef LOCKS_LEGACY_H
#define LOCKS_LEGACY_H

#include <stdint.h>

#include "locks/owner.h"

struct err;
struct legacy; /* one that we hold; defined in legacy.c */

enum legacy_state {
    LEGACY_NONE,   /* no such file, or an empty one that nobody locks */
    LEGACY_ACTIVE, /* flocked, or its process lives, or that cannot be told */
    LEGACY_DEAD,   /* process proved dead and no kernel lock */
    LEGACY_OPAQUE, /* no regular file, or without a PID in it */
};

struct legacy_view {
    enum legacy_state state;
    int64_t pid; /* 0 none */
    char host[OWNER_HOST];
    double age_s; /* by the file server's clock as far as it can be told */
    char why[OWNER_WHY];
};

/* Judge `name` in dirfd.  0, or a negated errno; a missing file is LEGACY_NONE. */
int legacy_look(int dirfd, const char *name, struct legacy_view *view, struct err *e);

/*
 * legacy_break: remove `name` if it is LEGACY_DEAD while we hold its lock.
 * Status: 0 removed; -EBUSY it is not dead (any more); -ENOENT; other negated errno.
 */
int legacy_break(int dirfd, const char *name, struct legacy_view *view, struct err *e);

/* Hold path (made if missing) with flock and our PID in it; -EBUSY when another does. */
int legacy_acquire(struct legacy **out, const char *path, struct err *e);
/* Remove the file while holding it, and let go.  NULL does nothing. */
void legacy_release(struct legacy *legacy);

#endif
