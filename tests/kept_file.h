/*
 * kept_file.h: a kept file as versions before this one made it (locks/record.h, record_read),
 * and a claimer who goes on in it by their rules.
 */
#ifndef TESTS_KEPT_FILE_H
#define TESTS_KEPT_FILE_H

#include "tests/test.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "locks/crashpoint.h"
#include "locks/record.h"

enum { OLD_SLOT = 4096, OLD_SPAN = 1000000 };

/* Write claim `gen` of series 1 into its slot; end "-": it is held.  rec: its owner and
 * nonce. */
static void kept_write(int fd, uint64_t gen, const char *end, struct record *rec)
{
    uint64_t seq = 2 * gen - (strcmp(end, "-") == 0 ? 2 : 1);
    char slot[OLD_SLOT] = "", *line;
    int head;
    size_t n;

    rec->gen = gen;
    line = record_format(rec, &n);
    head = snprintf(slot, sizeof slot,
                    "kept %" PRIu64 " 1 %" PRIu64 " 12ab %s %zu 0123456789abcdef\n",
                    seq, gen, end, n);
    memcpy(slot + head, line, n);
    free(line);
    /* in vain when an explored actor has died, and its descriptors are closed */
    (void)!pwrite(fd, slot, sizeof slot, (off_t)(seq % 2) * OLD_SLOT);
}

/* Make g.1, also named k, with claim 2 in it.  Returned: its descriptor, not locked. */
static int kept_make(int dirfd, const char *end, struct record *rec)
{
    int fd = openat(dirfd, "k", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    if (fd == -1 || ftruncate(fd, 2 * OLD_SLOT) != 0 ||
        pwrite(fd, "kept 1 1 1 12ab opened 0 0123456789abcdef\n", 42, OLD_SLOT) != 42 ||
        linkat(dirfd, "k", dirfd, "g.1", 0) != 0)
        abort();
    kept_write(fd, 2, "-", rec);
    if (strcmp(end, "-") != 0)
        kept_write(fd, 2, end, rec);
    return fd;
}

/* Claim `gen` as they did.  Returned: the locked file, or -1: not in this way. */
__attribute__((unused)) static int kept_claim(int dirfd, uint64_t gen,
                                              struct record *rec)
{
    struct stat st;
    int fd;

    crash_look("open?");
    fd = openat(dirfd, "k", O_RDWR | O_CLOEXEC);
    if (fd == -1)
        return -1;
    crash_step("kernel lock");
    if (flock(fd, LOCK_EX | LOCK_NB) != 0)
        goto no;
    crash_look("links?");
    if (fstat(fd, &st) != 0 || st.st_nlink < 2)
        goto no;
    crash_step("slot");
    kept_write(fd, gen, "-", rec);
    crash_look("left?");
    if (faccessat(dirfd, "x.1", F_OK, AT_SYMLINK_NOFOLLOW) != 0)
        return fd;
no:
    crash_step("let go");
    close(fd);
    return -1;
}

#endif
