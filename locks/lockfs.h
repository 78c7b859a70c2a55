/*
 * lockfs.h: what kind of file system a lock directory lies on, and which way of claiming follows.
 *
 * Without more knowledge flock is believed on local file systems only.  `lockctl doctor` measures
 * (locks/doctor.h) and leaves its findings in `<locks>/.watcherd/fs.json`; those are believed as long
 * as the directory is still on the same type of file system.
 */
#ifndef LOCKS_LOCKFS_H
#define LOCKS_LOCKFS_H

#include <stdbool.h>

enum claim_mode {
    MODE_FLOCK,  /* "gen+flock": a free kernel lock proves the owner dead */
    MODE_GEN,    /* "gen": flock says nothing, the lease decides */
    MODE_EXCL,   /* "excl": no link(2) either; records are made by O_EXCL */
    MODE_REFUSE, /* "refuse": exclusive names do not work here */
};

struct lockfs {
    char type[16]; /* "ext4", "nfs", "fuse", or the magic number in hex */
    bool local;    /* one kernel serves it: its locks are the same for all who see it */
    bool
        measured; /* fs.json was found, and tried against a peer: it speaks for other machines */
    enum claim_mode mode;
};

/* dirfd: the group's lock directory; fs.json is looked for in its parent.  Never fails. */
void lockfs_get(int dirfd, struct lockfs *out);

const char *lockfs_mode_name(enum claim_mode mode);
/* -1 when there is no such mode. */
int lockfs_mode_by_name(const char *name);

#endif
