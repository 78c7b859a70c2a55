/*
 * kept.h: a series of generations that live in one file, `g.S`, kept from claim to claim.
 *
 * The file has two slots; each write goes to the slot that does not hold the last one, so
 * that a write that was torn leaves the one before it whole.  A slot is a line "kept SEQ
 * SERIES GEN FILE END N SUM" and N bytes, the record's line; what lies behind them is of no
 * matter.  A slot that was not written to its end does not match its checksum and counts
 *          for nothing.
 *
 * The numbers S + 1 to S + KEPT_SPAN - 1 are the series' own; whoever leaves it makes `g.(S
 * + KEPT_SPAN)`. The file is also named `k`, to be found without a scan; `x.S` says that
 * the series was left.
 *
 * Who may write, and why no generation is given out twice, stands in etc/man/lockctl.1, PROTOCOL.
 */
#ifndef LOCKS_KEPT_H
#define LOCKS_KEPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    KEPT_SPAN = 1000000,
    KEPT_SLOT = 4096, /* a page, and whole sectors: slots share neither */
    KEPT_SIZE = 2 * KEPT_SLOT,
    KEPT_END = 24,
};

/* What a slot says, or the later one of two. */
struct kept {
    uint64_t seq;       /* counts writes, from 1; its slot is seq modulo 2 */
    uint64_t series;    /* S */
    uint64_t gen;       /* above S */
    uint64_t file;      /* kept_file: which file it was written to */
    char end[KEPT_END]; /* outcome; "" while it is held */
    size_t at, n;       /* where the record's line is in the file */
};

/* One number for a file system and a file there. */
uint64_t kept_file(dev_t dev, ino_t ino);

/* Does a file that begins so hold a series? */
bool kept_is(const char *text, size_t n);

/*
 * kept_last: the last whole write in `text`, the file's n bytes.
 * Returned: false when no slot is whole.  *settled (may be NULL): whether both are, and follow
 * each other; else a write was torn, or was going on while the file was read.
 */
bool kept_last(const char *text, size_t n, struct kept *out, bool *settled);

/* The whole file of a new series: its opening, and its first write, `first`. */
int kept_open(char out[KEPT_SIZE], const struct kept *first, const char *line,
              size_t n);

/* Write what w says with this line.  0, -E2BIG, or another negated errno. */
int kept_write(int fd, const struct kept *w, const char *line, size_t n);

#endif
