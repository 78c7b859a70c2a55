/*
 * record.h: the one-line JSON in `g.N`, and the names in a group's lock directory.
 */
#ifndef LOCKS_RECORD_H
#define LOCKS_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "locks/lockfs.h"
#include "locks/owner.h"

struct err;

enum {
    RECORD_VERSION = 1,
    RECORD_MAX = 4096, /* bytes; anything longer was not written by us */
    RECORD_NONCE = 33,
    RECORD_TEXT = 256,
    RECORD_NAME = 32, /* "g.18446744073709551615" */
    RECORD_OPAQUE = 1,
};

struct record {
    uint64_t gen;
    char group[RECORD_TEXT]; /* escaped: printable ASCII and UTF-8 */
    char task[RECORD_TEXT];
    /* 32 random hex digits, by which a claimer knows its own record again */
    char nonce[RECORD_NONCE];
    struct owner owner;
    char fs[16];
    enum claim_mode mode;
    double lease_s, heartbeat_s;
    char t_utc[32];
    double t_boot_s; /* CLOCK_BOOTTIME of the owner's machine */
    uint64_t after;  /* generation that was taken over; 0 when the group was free */
    char evidence[OWNER_WHY]; /* why that one was held to be dead */
    uint32_t file_uid;        /* owner of the file, when read */
    /* of a kept file, see record_read: the number in its name, 0 of any other; and whether
       its last claim was ended */
    uint64_t kept;
    bool kept_ended;
};

/* Fill nonce, owner, times; the rest is the caller's.  Status: 0; -EIO no random numbers, or
 * another negated errno when /proc cannot be read. */
int record_init(struct record *rec, struct err *e);
/* The line with its newline, malloc'ed; NULL when memory is out. */
char *record_format(const struct record *rec, size_t *n);

/*
 * record_read: read `name` in dirfd, not following links and never waiting on a FIFO.
 * Status: 0; RECORD_OPAQUE with the reason in why (not ours to judge: unparsable, newer, no
 * regular file, another generation inside); negated errno (-ENOENT, -ESTALE, -EIO ...).
 *
 * Note: earlier versions could keep many claims in one file, whose generations up to
 * gen + 999999 are all its own.  Such a file counts as the record of the last of them, and
 * holds the owner who wrote last.
 */
int record_read(int dirfd, const char *name, uint64_t gen, struct record *rec,
                char why[OWNER_WHY]);

/* The same, leaving the file open as *fd (-1 when it could not be opened) for its kernel
 * lock. */
int record_read_keep(int dirfd, const char *name, uint64_t gen, struct record *rec,
                     char why[OWNER_WHY], int *fd);

/* Is `name` the record with this nonce?  1, 0, or a negated errno. */
int record_has_nonce(int dirfd, const char *name, const char *nonce);

/* "g.34" */
void record_name(char out[RECORD_NAME], char kind, uint64_t gen);

/* The highest number of each kind of file in a group's lock directory; 0 means none. */
struct generations {
    uint64_t g, h, r, c;
    uint64_t top;      /* the highest of all: the next claim is top + 1 */
    uint64_t g_lowest; /* of the g files */
    uint64_t lone; /* the lowest number of an h, r or c file, and of which kind it is */
    char lone_kind;
    bool ended; /* r.g exists */
};

/*
 * generations_scan: one pass over the directory, no stat.
 * Status: 0, or a negated errno.  -ESTALE has been tried three times.
 */
int generations_scan(int dirfd, struct generations *out);
/* The same on a local file system, by the caller's own descriptor (its position moves): a
 * network file system shows what is new only to those who open anew. */
int generations_scan_local(int dirfd, struct generations *out);
/* For a reader that walks the directory itself: start at zeros, note each name (others are
 * ignored, false), and finish. */
bool generations_note(struct generations *gens, const char *name);
void generations_finish(struct generations *gens, int dirfd);
/* Parse "g.34"; false for everything else ("g.034", "g.34~"). */
bool generations_parse(const char *name, char *kind, uint64_t *gen);

#endif
