/*
 * h5_heap.c: are the collections of strings that a data set points to sound?
 *
 * libhdf5 1.10.8 walks a global heap collection by sizes that it takes from the file, and never
 * ends (or leaves its buffer) on some that a bit was turned in.  So they are walked here first,
 * with bounds.
 * HDF5 File Format Specification 3.0, III.E "Global Heap" and IV.A.2.d (variable-length data).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/err.h"
#include "pipeline/io/h5.h"
#include "pipeline/io/h5_set.h"

enum {
    REFERENCE = 16,
    HEAD = 16,
    MOST_COLLECTION = 1 << 24,
    MOST_REFERENCES = 1 << 20
};

static uint64_t little_endian(const unsigned char *p, unsigned n)
{
    uint64_t v = 0;

    while (n-- > 0)
        v = v << 8 | p[n];
    return v;
}

static int bad(const struct h5 *h5, const char *name, const char *why, struct err *e)
{
    return err_set(e, ERR_FORMAT, "%s: %s: its strings are %s", h5->path, name, why);
}

/* The objects of one collection, [size] with its head: each inside it, the walk at an end. */
static const char *walk(const unsigned char *p, uint64_t size)
{
    uint64_t at = HEAD;

    while (size - at >= HEAD) {
        uint64_t index = little_endian(p + at, 2), n = little_endian(p + at + 8, 8);
        uint64_t need;

        if (n > size)
            return "larger than what holds them";
        need = index == 0 ? n : HEAD + (n + 7) / 8 * 8;
        if (index == 0 && n < HEAD)
            return "in a collection without an end";
        if (need > size - at)
            return "larger than what holds them";
        at += need;
    }
    return NULL;
}

/* The collection at this byte of the file. */
static int check_collection(const struct h5 *h5, const char *name, int fd, uint64_t at,
                            struct err *e)
{
    unsigned char head[HEAD], *all;
    const char *why = NULL;
    uint64_t size;
    int rc = 0;

    if (at > h5->bytes - HEAD || pread(fd, head, HEAD, (off_t)at) != HEAD ||
        memcmp(head, "GCOL\1", 5) != 0)
        return bad(h5, name, "not in the file", e);
    size = little_endian(head + 8, 8);
    if (size < HEAD || size > h5->bytes - at || size > MOST_COLLECTION)
        return bad(h5, name, "in a collection that cannot be", e);
    all = malloc(size);
    if (all == NULL)
        return err_set(e, -ENOMEM, "%s: %s: no memory for its strings", h5->path, name);
    if (pread(fd, all, size, (off_t)at) != (ssize_t)size)
        why = "not in the file";
    else
        why = walk(all, size);
    if (why != NULL)
        rc = bad(h5, name, why, e);
    free(all);
    return rc;
}

/* Every reference of the data set that lies at byte `from`; each collection once in a row. */
static int check_references(const struct h5 *h5, const char *name, int fd,
                            uint64_t from, uint64_t n, uint64_t base, struct err *e)
{
    uint64_t last = UINT64_MAX;
    int rc = 0;

    for (uint64_t i = 0; rc == 0 && i < n; i++) {
        unsigned char raw[REFERENCE];
        uint64_t at;

        if (pread(fd, raw, REFERENCE, (off_t)(from + i * REFERENCE)) != REFERENCE)
            return bad(h5, name, "not in the file", e);
        at = little_endian(raw + 4, 8);
        if (little_endian(raw, 4) > h5->bytes)
            return bad(h5, name, "longer than the file", e);
        if (at == 0 || at == UINT64_MAX || at == last)
            continue; /* an empty string; the one before */
        last = at;
        if (at > h5->bytes - base)
            return bad(h5, name, "not in the file", e);
        rc = check_collection(h5, name, fd, base + at, e);
    }
    return rc;
}

int h5_heap_check(const struct h5 *h5, const char *name, const struct h5_set *s,
                  struct err *e)
{
    hid_t how = H5Fget_create_plist(h5->file);
    haddr_t from = H5Dget_offset(s->id);
    hsize_t base = 0;
    size_t address = 0, length = 0;
    int fd, rc;

    if (how >= 0) {
        H5Pget_userblock(how, &base);
        H5Pget_sizes(how, &address, &length);
        H5Pclose(how);
    }
    if (s->count == 0)
        return 0;
    if (s->count > MOST_REFERENCES)
        return bad(h5, name, "too many", e);
    if (from == HADDR_UNDEF || address != 8 || length != 8 ||
        H5Dget_storage_size(s->id) != s->count * REFERENCE)
        return 0; /* in chunks or in the header, or never written: no address to look at */
    if (base > h5->bytes || h5->bytes < HEAD)
        return bad(h5, name, "not in the file", e);
    fd = open(h5->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_set(e, -errno, "%s: %s", h5->path, strerror(errno));
    rc = check_references(h5, name, fd, from, s->count, base, e);
    close(fd);
    return rc;
}
