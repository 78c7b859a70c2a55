/*
 * dirsum.h: which bytes a directory, with all that is below it, stood for when we looked.
 *
 * The identity is like a file's (fileid.h): dev and ino are the directory's own, and size is
 * the sum of its files.  mtime_ns is the newest time of a file in whole seconds, with a hash of
 * every file's name, size and time in place of the nanoseconds.  So it reads like a time, and
 * it changes when a file is added, removed, renamed, rewritten, or put back with an old time.
 *
 * Not part of it: names in the making (dirsum_unfinished), links, devices, empty folders, and
 * casacore's table.lock, which readers write into.
 */
#ifndef CORE_DIRSUM_H
#define CORE_DIRSUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/fileid.h"

struct err;

struct dirsum {
    struct file_id id;
    size_t files; /* that are part of it */
    /* hash of the files in the making, by name, size and time; 0: none */
    uint64_t passing;
};

/* A file that is part of it; path begins with the directory's. */
typedef void dirsum_file_fn(void *arg, const char *path, const struct file_id *id);

/*
 * dirsum_look: walk the directory; one stat a file.
 * Given: each: may be NULL
 * Status: 0; negated errno of what could not be opened or listed, with its name
 */
int dirsum_look(struct dirsum *out, const char *path, dirsum_file_fn *each, void *arg,
                struct err *e);

/* Is it a name, of a file or a folder, of something in the making: .x, x.tmp, x.part,
 * x.partial, x~, or with _incomplete in it? */
bool dirsum_unfinished(const char *name);
/* Is it casacore's table.lock? */
bool dirsum_is_lock(const char *path);

#endif
