/*
 * settle_table.h: what settle.c and settle_tell.c share, and nobody else.
 */
#ifndef WATCHERD_FILES_SETTLE_TABLE_H
#define WATCHERD_FILES_SETTLE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/fileid.h"
#include "watcherd/files/probe.h"
#include "watcherd/files/settle.h"

struct dir;
struct dirs;

/* flags of an entry */
enum { RENAMED = 1, AGAIN = 2, OVERDUE = 4, QUEUED = 8, DEAD = 16, CHANGED = 32 };

struct entry {
    uint32_t hash;
    uint32_t heap;  /* place in the heap + 1; 0: not in it */
    double due;     /* next look, while in the heap */
    double changed; /* last event, or look that found a difference */
    double began;   /* first event of this content */
    double looked;  /* last look, for recheck_s */
    float wait_s;   /* until the next look after a WAIT */
    float rest_s;   /* of quiet after which the last WAIT is decided; 0: unknown */
    uint8_t state;  /* enum settle_state */
    uint8_t flags;
    struct file_id id;
    int64_t ctime_ns;
    struct entry *next; /* in the list of rechecks */
    struct dir *dir;    /* NULL: files settle for themselves, or it is in none */
    char path[];
};

struct settle {
    struct settle_opts opts;
    double quiet_s; /* opts.quiet_s, at least LEAST_QUIET_S: between two looks */
    struct entry **table;
    size_t mask, known; /* the table has mask + 1 places */
    struct entry **heap;
    size_t nheap, heap_room;
    struct entry *recheck, **recheck_end;
    size_t nstate[4];
    uint64_t probes;
    struct dirs *dirs; /* NULL: files settle for themselves */
    struct settle_rule rule;
};

/* NULL when the path is not known. */
struct entry *settle_find(const struct settle *s, const char *path);

/* The verdict on a file that is whole: its size and its path may be none that we take. */
enum probe_verdict settle_limits(const struct settle *s, const char *path,
                                 struct probe_result *r);

static inline bool settle_at_rest(const struct entry *e)
{
    return e->state == SETTLE_SETTLED || e->state == SETTLE_BAD;
}

#endif
