/*
 * fstype.h: what we know of a file system: may other machines write to it behind this
 * kernel's back, and do its times show every change?
 *
 * Who asks, and what an unknown file system gets:
 *   locks/lockfs.c           is flock the same for all who see it?   no
 *   core/store/db.c          is SQLite safe on it?                   yes
 *   watcherd/files/          does inotify hear every change?         yes
 *   core/dirstamp.c          do a directory's times show changes?    no
 */
#ifndef CORE_FSTYPE_H
#define CORE_FSTYPE_H

#include <stdbool.h>
#include <stdint.h>

struct fstype {
    uint32_t magic; /* statfs(2), f_type */
    const char *name;
    /* Other machines or mounts may write to it: this kernel is not told of their changes, its
     * locks say nothing of their processes, and what it has in memory may be old. */
    bool shared;
    /* Any change shows in a directory's times: it is not shared, counts in far less than a
     * second, and shows no other file system's directories as its own. */
    bool exact_times;
};

/* The file system of the open file fd; NULL: unknown.  *magic (may be NULL) is 0 when it
 * cannot be asked. */
const struct fstype *fstype_of(int fd, uint32_t *magic);
/* NULL: unknown. */
const struct fstype *fstype_by_magic(uint32_t magic);
/* fstype_of, and known to be shared. */
bool fstype_is_shared(int fd);

#endif
