/*
 * lockfs.h: what kind of file system a lock directory lies on, and which way of claiming
 * follows.
 *
 * Without more knowledge flock is believed on local file systems only.  `lockctl doctor`
 * measures (locks/doctor.h) and leaves its findings in `<locks>/.watcherd/fs.json`; those are
 * believed as long as the directory is still on the same type of file system.
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
    bool examined; /* doctor's findings were there, and are followed */
    bool measured; /* and tried against a peer: they speak for other machines */
    enum claim_mode mode;
};

/* dirfd: the group's lock directory; fs.json is looked for in its parent.  Never fails. */
void lockfs_get(int dirfd, struct lockfs *out);

enum { LOCKFS_WHY = 256 };

/*
 * lockfs_explain: the same for a tree of such directories (`<locks>`), and in words why.
 * Returned: true when nothing is left to be advised; false: why[] names what to run.
 */
bool lockfs_explain(const char *locks, struct lockfs *out, char why[LOCKFS_WHY]);

/* Is the open file on a file system that one kernel serves alone? */
bool lockfs_is_local(int fd);

const char *lockfs_mode_name(enum claim_mode mode);
/* -1 when there is no such mode. */
int lockfs_mode_by_name(const char *name);

#endif
