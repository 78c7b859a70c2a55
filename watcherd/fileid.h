/*
 * fileid.h: which bytes a path stood for when we looked.
 *
 * Two looks with equal identities saw the same file with the same content, whatever it was
 * called; a rewritten file, or another one put in its place, differs.
 */
#ifndef WATCHERD_FILEID_H
#define WATCHERD_FILEID_H

#include <stdbool.h>
#include <stdint.h>

struct file_id {
    uint64_t dev, ino;
    uint64_t size; /* bytes */
    int64_t
        mtime_ns; /* the file server's clock: compared for equality, never for age */
};

static inline bool file_id_equal(const struct file_id *a, const struct file_id *b)
{
    return a->ino == b->ino && a->size == b->size && a->mtime_ns == b->mtime_ns &&
           a->dev == b->dev;
}

/*
 * file_system_is_remote: may other machines (or other mounts) change files below `fd` without this
 * kernel noticing?  True for network and FUSE file systems, told by the magic number of
 * fstatfs(2); *name (may be NULL) becomes "nfs", "fuse" ... or "local".  false when it
 * cannot be told.
 */
bool file_system_is_remote(int fd, const char **name);

#endif
