/*
 * progress.h: which items of a data set still need work.
 *
 * An item is a folder of a plain data set, or a group of the incoming directories.  What it has
 * is a set of names, its features:
 *
 *   folder   the names in its info file that are not null.  That is the first of `info.json`,
 *            `NAME.info`, `manifest.json` and `.watcherd/manifest.json` in it, else the
 *            first other `*.info` in order of names.  One that is not whole JSON has
 *            none.
 *   group    image: its tile is published, and nothing it was made of was rewritten since;
 *            mosaic: a published mosaic holds its tile; anything else: a file of the tile (with
 *            or without what follows the first dot) or a name in the manifest's "meta"
 *   manifest (of either) also counts its files and what is in its "meta"
 *
 * Looking is all that happens here; who holds an item is asked elsewhere.
 */
#ifndef PIPELINE_PRODUCT_PROGRESS_H
#define PIPELINE_PRODUCT_PROGRESS_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct conf;
struct err;

enum { PROGRESS_FEATURES = 64 };

struct progress_item {
    const char *name;
    uint64_t missing;      /* bit i: feature i */
    int present, expected; /* files of a group; 0 and 0 of a folder */
};

struct progress {
    struct progress_item *item; /* [n] by name */
    size_t n;
    char *text;  /* the names */
    bool cached; /* answered from the index */
};

/* Every folder of dir but those with a dot in front.  0, or a negated errno. */
int progress_folders(struct progress *out, const char *dir, const char *const *feature,
                     size_t nfeature, struct err *e);

/*
 * progress_groups: every group of the incoming directories (core/incoming.h), those that
 * operators added among them, by the rule that the daemon follows.
 *
 * `index` (NULL: none) is a file that keeps the answer.  It is believed when the question and
 * every directory that was read (identity, mtime, ctime) are the same, and each had been at
 * rest for 2 s when it was read, so that no change can hide behind an equal time; only on
 * local file systems.  A file that is rewritten in place changes no directory: the daemon,
 * which sees it, removes the index (progress_forget).  Otherwise everything is read, and the
 * file written again if it may be.
 *
 * Status: 0; -ENOENT and other errnos of the incoming directories; ERR_FORMAT roots.json is
 * damaged; -EINVAL [group] or [watch] extensions.  That there are no products yet is no
 * failure.
 */
int progress_groups(struct progress *out, const struct conf *conf,
                    const char *const *feature, size_t nfeature, const char *index,
                    struct err *e);

void progress_clear(struct progress *t);

/* <state>/tally.index, the index that batchctl uses.  Status: 0; -ENAMETOOLONG. */
int progress_index_path(char out[PATH_MAX], const struct conf *conf, struct err *e);
/* Remove it. */
void progress_forget(const struct conf *conf);

#endif
