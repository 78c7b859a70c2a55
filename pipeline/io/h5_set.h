/*
 * h5_set.h: files and data sets as libhdf5 has them; for h5.c and h5_blocks.c alone.
 */
#ifndef PIPELINE_IO_H5_SET_H
#define PIPELINE_IO_H5_SET_H

#include <hdf5.h>

#include "pipeline/io/h5.h"

struct h5 {
    hid_t file;
    uint64_t bytes;  /* of the file when it was opened to read */
    uint64_t stored; /* of them on the disk: a file of holes has few */
    char path[];
};

/* A data set opened, its type and extents; all ids -1 when not open. */
struct h5_set {
    hid_t id, type;
    H5T_class_t class;
    size_t dim[H5_MAXDIM];
    int ndim;
    uint64_t count;
};

/* Open a data set of n elements whose values are inside the file; h5_set_close ends it.
 * Status: 0; -ENOENT; ERR_SHAPE not n elements; ERR_FORMAT; nothing is open after a failure. */
int h5_set_open(const struct h5 *h5, const char *name, size_t n, struct h5_set *s,
                struct err *e);
void h5_set_close(struct h5_set *s);

/* The type on disk, which is that of the data in memory too; the caller closes it, negative:
 * none.  `size` is that of an H5_STRING. */
hid_t h5_disk_type(enum h5_type type, size_t size);

/* h5_heap_check: the strings of variable length that s points to lie in sound collections.
 * Status: 0; ERR_FORMAT they do not, and reading them could run for ever; -ENOMEM */
int h5_heap_check(const struct h5 *h5, const char *name, const struct h5_set *s,
                  struct err *e);

#endif
