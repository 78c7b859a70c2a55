/*
 * h5_blocks.h: the chunks of a data set as they lie in the file.
 *
 * Where chunks are as they are wanted in memory there is nothing to convert and no filter, and
 * H5Dread takes ten times as long for chunks of 12 KB.  They are read by blocks: a block is all
 * chunks that begin at the same row, a row being one index of the first axis.
 */
#ifndef PIPELINE_IO_H5_BLOCKS_H
#define PIPELINE_IO_H5_BLOCKS_H

#include "pipeline/io/h5.h"

/* A data set that is read so. */
struct h5_blocks {
    size_t count;    /* blocks */
    size_t nrow;     /* rows of the data set */
    size_t rows;     /* of a block; the last one may have fewer that count */
    size_t bytes;    /* of a block, at most H5_MAXBLOCK */
    size_t slack;    /* bytes that a buffer must have after its last block */
    size_t stride;   /* bytes from a row to the next, within one chunk */
    size_t elements; /* of a row */
    size_t *offset;  /* [elements] bytes from the block's start, in its first row */
    int64_t set;     /* what is below is for h5_blocks.c */
    size_t chunk[H5_MAXDIM], dim[H5_MAXDIM];
    int ndim;
};

enum { H5_MAXBLOCK = 16 << 20 };

/* Is `name` such a data set, of this type and n elements?  Then *b is the caller's until
 * h5_blocks_close, and the file must stay open as long.  H5_BOOL: bytes that are 0 or not.
 * false: ask h5_read_TYPE, which may say why. */
bool h5_blocks_open(struct h5_blocks *b, const struct h5 *h5, const char *name,
                    enum h5_type type, size_t n);
void h5_blocks_close(struct h5_blocks *b);

/* Read n blocks from `first` on into out [n * bytes + slack]; the slack should be address space
 * alone (mmap): the library writes there when the file lies about a chunk's length, else
 * nothing.  false: a chunk is missing (its values are the fill value) or not as it should be;
 * h5_read_TYPE knows what to do then. */
bool h5_blocks_read(const struct h5_blocks *b, size_t first, size_t n,
                    unsigned char *out);

/* Have all n elements of a data set the same bytes?  Then they are in `value`.  false also
 * where that cannot be seen from its chunks as they are. */
bool h5_uniform(const struct h5 *h5, const char *name, enum h5_type type, size_t n,
                void *value);

#endif
