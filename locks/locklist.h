/*
 * locklist.h: every lock in a directory tree: our claims and other programs' `*.lock` files.
 */
#ifndef LOCKS_LOCKLIST_H
#define LOCKS_LOCKLIST_H

#include <stdbool.h>
#include <stddef.h>

#include "locks/observer.h"

struct err;
struct idle; /* locks/idle.h */

struct lock_entry {
    char *name;  /* "sub/Track123.lock", printable; the tree's own claim is "..lock" */
    char *where; /* below the tree: the group's directory, or the legacy file's path */
    bool legacy;
    double age_s; /* since it was taken; < 0 unknown */
    /* of a legacy lock: state, why, and rec.owner's pid and host */
    struct lock_view view;
};

struct locklist {
    struct lock_entry *item; /* [n], by name */
    size_t n;
    size_t unreadable; /* directories that could not be read */
    char first_unreadable[OWNER_WHY];
};

/*
 * locklist_read: walk the tree, not following links; ended and free claims are left out.
 * idle: what is noted there is passed over, what is found to be idle is noted; may be NULL.
 * Status: 0 (unreadable directories below are counted); -ENOENT, -ENOTDIR, -EACCES for dir
 * itself.
 */
int locklist_read(struct locklist *out, const char *dir, struct observer *obs,
                  struct idle *idle, struct err *e);
void locklist_clear(struct locklist *list);

/* Age of a claim for people: by the owner's BOOTTIME when that is ours too; else by its wall
 * clock, which may be wrong.  < 0 unknown. */
double locklist_age_s(const struct record *rec);

/*
 * locklist_clean: end one dead or expired lock, unless it has changed since it was read.
 * Status: 0; -EEXIST or -EBUSY when somebody was faster, or it is no longer dead; other errnos.
 */
int locklist_clean(const char *dir, const struct lock_entry *entry,
                   const char *evidence, struct err *e);

#endif
