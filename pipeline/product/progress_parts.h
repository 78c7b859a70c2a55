/*
 * tally_parts.h: between tally.c, tally_groups.c and tally_index.c.
 */
#ifndef PIPELINE_PRODUCT_PROGRESS_PARTS_H
#define PIPELINE_PRODUCT_PROGRESS_PARTS_H

#include <limits.h>
#include <sys/types.h>

#include "pipeline/product/progress.h"

enum { TALLY_A_THREAD = 1000 }; /* items that make a thread worth its start */

/* The features wanted. */
struct wish {
    const char *const *name;
    size_t n;
};

/* Bits of the features that this text lacks: of an info file, or of a product's manifest. */
uint64_t tally_lacks(const struct wish *wish, const char *text, size_t n,
                     bool manifest);
/* Read `path` below dirfd whole into *buf (grown, the caller's); its length or a negated errno. */
ssize_t tally_slurp(int dirfd, const char *path, char **buf, size_t *room);

/* A directory as it was just before it was read; zeros: there was none. */
struct tally_stamp {
    char path[PATH_MAX];
    uint64_t dev, ino;
    int64_t mtime_ns, ctime_ns;
    bool rested; /* and local: an equal stamp means equal contents */
};
struct tally_stamps {
    struct tally_stamp *item;
    size_t n;
};
/* Room for one more. */
struct tally_stamp *tally_stamp_new(struct tally_stamps *s);
/* Stamp fd (-1: there is no such directory). */
void tally_stamp_add(struct tally_stamps *s, const char *path, int fd);

/* 0 and the answer, or -ESTALE. */
int tally_index_load(struct tally *out, const char *index, const char *question);
/* Best effort. */
void tally_index_save(const struct tally *t, const char *index, const char *question,
                      const struct tally_stamps *stamps);

#endif
