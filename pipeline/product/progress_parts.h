/*
 * progress_parts.h: what progress.c, progress_groups.c and progress_index.c share.
 */
#ifndef PIPELINE_PRODUCT_PROGRESS_PARTS_H
#define PIPELINE_PRODUCT_PROGRESS_PARTS_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/dirstamp.h"

struct progress;

enum { PROGRESS_A_THREAD = 1000 }; /* items that make a thread worth its start */

/* The features wanted. */
struct wish {
    const char *const *name;
    size_t n;
};

/* Bits of the features that this text lacks: of an info file, or of a product's manifest. */
uint64_t progress_lacks(const struct wish *wish, const char *text, size_t n,
                        bool manifest);
/* Read `path` below dirfd whole into *buf of *room bytes (grown; the caller's).  Its length, or
 * a negated errno. */
ssize_t progress_slurp(int dirfd, const char *path, char **buf, size_t *room);

/* A directory as it was just before it was read; all zeros when there was none. */
struct progress_stamp {
    char path[PATH_MAX];
    struct dirstamp dir;
    bool rested; /* and local: an equal stamp means equal names */
};
struct progress_stamps {
    struct progress_stamp *item;
    size_t n;
};
/* Room for one more. */
struct progress_stamp *progress_stamp_new(struct progress_stamps *s);
/* Stamp fd (-1: there is no such directory). */
void progress_stamp_add(struct progress_stamps *s, const char *path, int fd);

/* 0 and the answer, or -ESTALE. */
int progress_index_load(struct progress *out, const char *index, const char *question);
/* Best effort. */
void progress_index_save(const struct progress *t, const char *index,
                         const char *question, const struct progress_stamps *stamps);

#endif
