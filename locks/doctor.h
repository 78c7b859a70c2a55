/*
 * doctor.h: what a directory's file system is worth for claims, measured.
 *
 * With a peer (the same directory through another mount, as another client sees it) every
 * operation is tried across both; without one only within this mount, which on a network file
 * system proves nothing about flock.  The findings go to `<dir>/.watcherd/fs.json`, which
 * claim_acquire follows.
 */
#ifndef LOCKS_DOCTOR_H
#define LOCKS_DOCTOR_H

#include <stdbool.h>

#include "locks/lockfs.h"

struct err;

enum coherence {
    COHERENT,    /* one holder at a time, through both mounts */
    NODE_LOCAL,  /* both held it: worthless between machines */
    UNSUPPORTED, /* the call fails */
    UNPROVED,    /* excludes here; no peer to try from */
};

struct doctor {
    char type[16];      /* as in struct lockfs */
    char peer_type[16]; /* "" without a peer */
    char options[512];  /* mount options, as /proc/self/mountinfo has them */
    bool excl, link, rename, fsync_file, fsync_dir;
    enum coherence flock, ofd; /* ofd: open file description locks; for people */
    double name_s;             /* until a new name was seen through the peer */
    double beat_s;             /* until a new heartbeat was */
    double clock_s;            /* file server's clock minus ours; coarse */
    enum claim_mode mode;      /* what follows */
};

/*
 * doctor_examine: leaves no file behind.  peer may be NULL.
 * Status: 0, whatever was found; -ENOENT and others when dir or peer cannot be used at all;
 * -EXDEV when peer is not the same directory.
 */
int doctor_examine(struct doctor *out, const char *dir, const char *peer,
                   struct err *e);

/* Write `<dir>/.watcherd/fs.json`.  Status: 0; -EILSEQ mount options that are no UTF-8; other
 * negated errno of the write. */
int doctor_write(const struct doctor *findings, const char *dir, const char *peer,
                 struct err *e);

const char *coherence_name(enum coherence c);

#endif
