/*
 * fileid.h: which bytes a path stood for when we looked.
 *
 * Two looks with equal identities saw the same file with the same content, whatever it was
 * called; a rewritten file, or another one put in its place, differs.
 */
#ifndef CORE_FILEID_H
#define CORE_FILEID_H

#include <stdbool.h>
#include <stdint.h>

struct file_id {
    uint64_t dev, ino;
    uint64_t size; /* bytes */
    /* the file server's clock: compared for equality, never for age */
    int64_t mtime_ns;
};

static inline bool file_id_equal(const struct file_id *a, const struct file_id *b)
{
    return a->ino == b->ino && a->size == b->size && a->mtime_ns == b->mtime_ns &&
           a->dev == b->dev;
}

#endif
