/*
 * sweep.h: what is left over of finished work and old enough to go, and why the rest stays.
 *
 *   ms       directories NAME.ms, at any depth below [paths] scratch and, where they exist,
 *            `ms` and `stage` of [paths] root: old enough, and the group's product is whole
 *   scratch  [paths] scratch/GROUP/GENERATION and empty GROUP: old enough, and without a
 *            Measurement Set that stays
 *   logs     regular files NAME.log in [paths] state/logs: old enough, and not open for writing
 *
 * The group of a Measurement Set is the folder below scratch that it lies in; elsewhere the
 * topmost folder below the tree, or the longest beginning of NAME that ends before one of
 * "_.- ", that is the name of a published tile or mosaic.  Old is by the newest
 * modification time of all that is inside.
 *
 * Promises:
 *   1) Nothing outside these trees is removed, no symbolic link is followed below them, no
 *      other file system that is mounted in them is entered, and nothing in which incoming,
 *      another watched folder, products, state or locks lies goes.  A tree that lies in
 *      incoming, a watched folder or products is left alone.
 *   2) Nothing of a group goes while somebody works on it: the caller's gate holds the
 *      group meanwhile, and age and product are looked at again when it does.
 *   3) A directory is renamed to .removing-KIND-INODE before it is emptied, so that an
 *      interruption leaves no half of a Measurement Set under its name; the next sweep goes
 *      on.
 */
#ifndef PIPELINE_PRODUCT_SWEEP_H
#define PIPELINE_PRODUCT_SWEEP_H

#include <stdbool.h>
#include <stdint.h>

struct conf;
struct err;

enum sweep_kind { SWEEP_MS = 1, SWEEP_SCRATCH = 2, SWEEP_LOGS = 4, SWEEP_ALL = 7 };

struct sweep_item {
    enum sweep_kind kind;
    char *path;     /* absolute, when the settings are */
    char *group;    /* "" when there is none */
    uint64_t bytes; /* on the disk, that go with it */
    double age_s;   /* of the newest thing in it; never negative */
    bool go;        /* it went, or would go */
    bool failed;    /* it should have gone */
    char why[256];  /* it stays, or goes */
};

struct sweep_opts {
    const struct conf *conf;
    unsigned kinds; /* SWEEP_* */
    double older_s; /* < 0: the ages of [clean] */
    bool dry_run;   /* remove nothing; hold may then only look */

    /*
     * The gate, which knows locks as this room does not.  hold: 0 when nobody works on the
     * group, and (but for dry_run) nobody can until drop; -EBUSY and -EUCLEAN are answers,
     * other codes failures. still: 0 as long as that is so.
     */
    int (*hold)(void *arg, const char *group, struct err *e);
    int (*still)(void *arg, struct err *e);
    void (*drop)(void *arg);
    /* Each item, once, as soon as its fate is known. */
    void (*said)(void *arg, const struct sweep_item *item);
    bool (*stop)(void *arg); /* asked between two removals */
    void *arg;
};

/*
 * sweep_run: find, judge, remove.
 * Status: 0, also when single items failed; -EINTR told to stop, what is not said was not
 *   touched; other errnos: a tree cannot be read, with a sentence
 */
int sweep_run(const struct sweep_opts *opts, struct err *e);

const char *sweep_kind_name(enum sweep_kind kind); /* "ms", "scratch", "logs" */

#endif
