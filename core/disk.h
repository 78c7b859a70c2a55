/*
 * disk.h: how full the file systems of our directories are, and whether that is too full to
 * start anything.
 *
 * Two halves.  disk_look asks the kernel, the way df does.  It waits for as long as a file
 * system hangs, so a program with a loop calls it from another thread, which shares nothing
 * with the guard.  disk_judge is arithmetic: it takes what a look found, remembers the levels,
 * and tells each change in one sentence.
 *
 *   percent   the larger of used / (used + available to us) of blocks and of inodes: a full
 *             inode table is a full file system.  Blocks that are kept back for
 *             root do not count, as in df.
 *   WARN      at or above warn_pct
 *   STOP      one is at or above stop_pct; from then on all above resume_pct are at STOP,
 *             until none is
 *
 * Directories on one file system count as one; the first stands for the others.  A directory
 * that does not exist counts where it would be made.  One that cannot be asked keeps its level,
 * and that is told.
 */
#ifndef CORE_DISK_H
#define CORE_DISK_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DISK_MOST = 32, DISK_SENTENCE = 512 };

enum disk_level { DISK_FINE, DISK_WARN, DISK_STOP };

struct disk_limits {
    double warn_pct, stop_pct, resume_pct; /* resume_pct <= stop_pct */
};

/* What a look found out about one directory. */
struct disk_fill {
    int rc; /* 0, or the negated errno why it cannot be asked */
    /* index of the first directory on its file system: its own, or a smaller one */
    size_t same_as;
    uint64_t dev;                    /* st_dev */
    uint64_t bytes_used, bytes_free; /* free: for us */
    uint64_t files_used, files_free; /* inodes; 0 and 0 where there is no limit */
};

/* A file system's place between two judgements. */
struct disk_state {
    char dir[PATH_MAX];
    enum disk_level level;
    struct disk_fill fill; /* the last that was answered; same_as of the last look */
    bool asked;            /* it has been answered once */
    int rc;                /* of the last look */
};

struct disk_guard {
    struct disk_limits limits;
    struct disk_state state[DISK_MOST];
    size_t n;
    bool stop; /* start nothing */
};

struct disk_news {
    enum disk_level level;    /* of this file system now */
    const char *dir;          /* borrowed */
    char text[DISK_SENTENCE]; /* one sentence: directory, percent, free bytes */
};
typedef void disk_tell_fn(void *arg, const struct disk_news *news);

/* dir: [n] absolute paths, copied.  Empty ones, repeated ones and those beyond DISK_MOST are
 * left out. */
void disk_guard_init(struct disk_guard *g, const struct disk_limits *limits,
                     const char *const *dir, size_t n);

/*
 * disk_look: ask for every directory of dir[n] into fill[n].  Touches nothing else, may block,
 * and may be called from any thread; *at (NULL: nobody asks) says meanwhile which one is being
 * asked.
 */
void disk_look(struct disk_fill *fill, const char (*dir)[PATH_MAX], size_t n,
               _Atomic size_t *at);

/* Percent that is used; 0 of a file system without blocks (proc). */
double disk_pct(const struct disk_fill *fill);

/* Take in a look at g's directories, fill[g->n].  tell (may be NULL) hears of each change. */
void disk_judge(struct disk_guard *g, const struct disk_fill *fill, disk_tell_fn *tell,
                void *arg);

const char *disk_level_name(enum disk_level level); /* "fine", "warn", "stop" */

/* "12.3 GiB", "512 B" */
const char *disk_bytes(uint64_t bytes, char out[32]);

#endif
