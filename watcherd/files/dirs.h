/*
 * dirs.h: from "these files have settled" to "this directory is whole", for [group] pattern =
 * directory.
 *
 * A pure data structure, and settle's (settle_by_directory): it counts the files of each
 * directory by their state.  A directory is whole when it has files, none of them waits or is
 * bad, nothing happened to any of them for quiet_s, and a look at the disk, which the caller
 * brings, agrees. Then it is told as a file would be: SETTLED; CHANGED when a file of it
 * changes, comes or goes; GONE with its last file; OVERDUE once when it is quiet and the look
 * has not agreed for max_wait_s.
 */
#ifndef WATCHERD_FILES_DIRS_H
#define WATCHERD_FILES_DIRS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/fileid.h"
#include "watcherd/files/settle.h"

struct dirs; /* defined in dirs.c */
struct dir;

struct dirs *dirs_new(double quiet_s, double max_wait_s);
void dirs_free(struct dirs *d);

/* The directory of this path (n bytes), made when it is not known. */
struct dir *dirs_take(struct dirs *d, const char *path, size_t n, double now);
/* NULL when it is not known. */
struct dir *dirs_find(const struct dirs *d, const char *path);

/*
 * dirs_count: a file of it goes from one state to another, each an enum settle_state or
 * DIRS_NO_FILE; changed: when something happened to the file last.
 * A directory without files ends at the next dirs_tick.
 */
enum { DIRS_NO_FILE = -1 };
void dirs_count(struct dirs *d, struct dir *dir, int from, int to, double changed);
/* Something happened to a file of it that leaves its state as it is. */
void dirs_touch(struct dir *dir, double changed);

/* What a look at the disk says. */
struct dirs_look {
    bool whole;
    struct file_id id;
    /* not 0: of files in the making, who must be the same at two looks */
    uint64_t passing;
    char reason[224]; /* of not whole */
};
/* May cause dirs_count and dirs_take. */
typedef void dirs_look_fn(void *arg, const char *path, struct dirs_look *out);

/* Look at the directories that are due and tell the news (not: the files').  Their path is the
 * directory's.  The callback may cause what the look may. */
void dirs_tick(struct dirs *d, double now, dirs_look_fn *look, void *look_arg,
               settle_news_fn *news, void *arg);
/* Seconds until dirs_tick has something to do: 0 at once, < 0 never. */
double dirs_next_s(const struct dirs *d, double now);
/* Forget the directories at and below `prefix` (NULL: all), without news. */
void dirs_forget(struct dirs *d, const char *prefix);

/* A directory as it is; path and reason are valid until the next change. */
struct dirs_view {
    const char *path;
    bool told;             /* it is whole, and its SETTLED was told */
    size_t n[4];           /* files by enum settle_state */
    double changed, began; /* caller's clock */
    uint64_t bytes;        /* when it was told */
    const char *reason;    /* of the last look, or "" */
};
void dirs_view(const struct dir *dir, struct dirs_view *out);
typedef void dirs_each_fn(void *arg, const struct dirs_view *view);
void dirs_each(const struct dirs *d, dirs_each_fn *cb, void *arg);

#endif
