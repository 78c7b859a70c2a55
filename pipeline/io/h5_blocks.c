/*
 * h5_blocks.c: see h5_blocks.h.
 *
 * Chunks are asked for by their place and in the order of storage: H5Dget_chunk_info, which
 * knows their addresses, takes time by the square of their number in HDF5 1.10.8.
 */
#include "pipeline/io/h5_blocks.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "pipeline/io/h5_set.h"

/* Is an element on disk, byte by byte, what `type` is in memory? */
static bool as_in_memory(const struct h5_set *s, enum h5_type type)
{
    hid_t want;
    bool same;

    if (type == H5_BOOL)
        return H5Tget_size(s->type) == 1 &&
               (s->class == H5T_ENUM || H5Tequal(s->type, H5T_NATIVE_UCHAR) > 0);
    want = h5_disk_type(type, 0);
    same = want >= 0 && H5Tequal(s->type, want) > 0;
    if (want >= 0)
        H5Tclose(want);
    return same;
}

/* The chunk's extents; false unless the data set has chunks and no filter. */
static bool plain_chunks(const struct h5_set *s, size_t chunk[H5_MAXDIM])
{
    hid_t plist = H5Dget_create_plist(s->id);
    hsize_t dim[H5_MAXDIM];
    bool ok = plist >= 0 && H5Pget_layout(plist) == H5D_CHUNKED &&
              H5Pget_nfilters(plist) == 0 &&
              H5Pget_chunk(plist, H5_MAXDIM, dim) == s->ndim;

    for (int i = 0; ok && i < s->ndim; i++)
        chunk[i] = (size_t)dim[i];
    if (plist >= 0)
        H5Pclose(plist);
    return ok;
}

/* Bytes of a chunk and of a block; false when the block is too large. */
static bool block_sizes(struct h5_blocks *b, size_t element)
{
    size_t bytes = element, chunks = 1;

    b->elements = 1;
    for (int i = b->ndim - 1; i >= 0; i--) {
        if (i == 0)
            b->stride = bytes;
        if (b->chunk[i] == 0 || b->dim[i] == 0 ||
            b->chunk[i] > (size_t)H5_MAXBLOCK / bytes)
            return false;
        bytes *= b->chunk[i];
        if (i > 0) {
            b->elements *= b->dim[i];
            chunks *= (b->dim[i] + b->chunk[i] - 1) / b->chunk[i];
        }
        if (chunks > (size_t)H5_MAXBLOCK / bytes)
            return false;
    }
    b->bytes = chunks * bytes;
    return true;
}

/* offset[]: the chunks of a block stand one after the other, the last axis fastest. */
static bool block_offsets(struct h5_blocks *b, size_t element)
{
    b->offset = calloc(b->elements, sizeof *b->offset);
    if (b->offset == NULL)
        return false;
    for (size_t k = 0; k < b->elements; k++) {
        size_t rest = k, in_chunk = 0, chunk = 0, step = element, chunks = 1;

        for (int i = b->ndim - 1; i > 0; i--) {
            size_t at = rest % b->dim[i];

            rest /= b->dim[i];
            in_chunk += at % b->chunk[i] * step;
            chunk += at / b->chunk[i] * chunks;
            step *= b->chunk[i];
            chunks *= (b->dim[i] + b->chunk[i] - 1) / b->chunk[i];
        }
        b->offset[k] = chunk * b->rows * b->stride + in_chunk;
    }
    return true;
}

bool h5_blocks_open(struct h5_blocks *b, const struct h5 *h5, const char *name,
                    enum h5_type type, size_t n)
{
    struct h5_set s;
    bool ok;

    *b = (struct h5_blocks){.set = -1};
    if (h5_set_open(h5, name, n, &s, NULL) != 0)
        return false;
    memcpy(b->dim, s.dim, sizeof s.dim);
    b->ndim = s.ndim;
    ok = s.ndim > 0 && as_in_memory(&s, type) && plain_chunks(&s, b->chunk) &&
         block_sizes(b, H5Tget_size(s.type));
    if (ok) {
        b->nrow = b->dim[0];
        b->rows = b->chunk[0];
        b->count = (b->nrow - 1) / b->rows + 1;
        /* No chunk reaches beyond the end of its file, whatever is said of its length. */
        b->slack = (size_t)h5->bytes;
        ok = block_offsets(b, H5Tget_size(s.type));
    }
    if (ok) {
        b->set = s.id;
        s.id = -1;
    }
    h5_set_close(&s);
    H5Eclear2(H5E_DEFAULT);
    return ok;
}

void h5_blocks_close(struct h5_blocks *b)
{
    if (b->set >= 0)
        H5Dclose(b->set);
    free(b->offset);
    *b = (struct h5_blocks){.set = -1};
}

/*
 * One chunk of `size` bytes.  H5Dread_chunk is told of no limit: it writes as many bytes as the
 * chunk index in the file says.  So a mark is set on either side of the chunk's end, and of the
 * two the first must have been written over and the second not.
 */
static bool chunk_read(hid_t set, const hsize_t *at, unsigned char *out, size_t size)
{
    static const unsigned char mark[] = {0xff, 0xa5, 0x5a, 0xff};
    size_t n = size < sizeof mark ? size : sizeof mark;
    uint32_t skipped = 0;

    memcpy(out + size - n, mark, n);
    memcpy(out + size, mark, sizeof mark);
    return H5Dread_chunk(set, H5P_DEFAULT, at, &skipped, out) >= 0 && skipped == 0 &&
           memcmp(out + size - n, mark, n) != 0 &&
           memcmp(out + size, mark, sizeof mark) == 0;
}

bool h5_blocks_read(const struct h5_blocks *b, size_t first, size_t n,
                    unsigned char *out)
{
    size_t size = b->rows * b->stride;
    hsize_t at[H5_MAXDIM] = {first * b->rows};

    for (unsigned char *end = out + n * b->bytes; out < end; out += size) {
        int i = b->ndim - 1;

        if (!chunk_read(b->set, at, out, size)) {
            H5Eclear2(H5E_DEFAULT);
            return false;
        }
        while (i > 0 && (at[i] += b->chunk[i]) >= b->dim[i])
            at[i--] = 0;
        if (i == 0)
            at[0] += b->rows;
    }
    return true;
}

/* Are all bytes of the chunks of one block, as far as they are rows of the data set, a
 * repetition of value[size]? */
static bool block_uniform(const struct h5_blocks *b, size_t rows,
                          const unsigned char *block, const unsigned char *value,
                          size_t size)
{
    for (size_t at = 0; at < b->bytes; at += b->rows * b->stride)
        if (memcmp(block + at, value, size) != 0 ||
            memcmp(block + at, block + at + size, rows * b->stride - size) != 0)
            return false;
    return true;
}

/* Of an element in the file, where h5_blocks_open accepts the type; 0: no such type. */
static size_t type_bytes(enum h5_type type)
{
    switch (type) {
    case H5_BOOL:
        return 1;
    case H5_F32:
        return 4;
    case H5_F64:
    case H5_I64:
    case H5_C64:
        return 8;
    case H5_C128:
        return 16;
    default:
        return 0;
    }
}

bool h5_uniform(const struct h5 *h5, const char *name, enum h5_type type, size_t n,
                void *value)
{
    struct h5_blocks b;
    unsigned char *block = NULL;
    size_t room = 0, size = 0;
    bool same = h5_blocks_open(&b, h5, name, type, n);

    if (same) {
        size = type_bytes(type);
        /* The last axes' chunks may reach beyond the data set: then it cannot be seen. */
        same = size > 0 && b.elements * size * b.rows == b.bytes;
        room = b.bytes + b.slack;
        block = mmap(NULL, room, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    }
    for (size_t i = 0; same && block != MAP_FAILED && i < b.count; i++) {
        size_t left = b.nrow - i * b.rows;

        same = h5_blocks_read(&b, i, 1, block);
        if (same && i == 0)
            memcpy(value, block, size);
        same = same &&
               block_uniform(&b, left < b.rows ? left : b.rows, block, value, size);
    }
    if (block == MAP_FAILED)
        same = false;
    else if (block != NULL)
        munmap(block, room);
    h5_blocks_close(&b);
    return same;
}
