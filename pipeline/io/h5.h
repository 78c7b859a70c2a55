/*
 * h5.h: the little of HDF5 that UVH5 files and gain tables need; hdf5.h stays behind it.
 *
 * Every function takes a data set by its full name ("Header/Nfreqs") and leaves a sentence with
 * the file, the data set and the reason.  The HDF5 library never prints.
 */
#ifndef PIPELINE_IO_H5_H
#define PIPELINE_IO_H5_H

#include <complex.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct h5;

enum { H5_MAXDIM = 5 };

/* Element types on disk. */
enum h5_type {
    H5_F32,
    H5_F64,
    H5_I64,
    H5_I32,
    H5_BOOL,   /* 1-byte enum FALSE/TRUE, as h5py writes numpy.bool_ */
    H5_C64,    /* compound {r, i} of float32 */
    H5_C128,   /* compound {r, i} of float64 */
    H5_STRING, /* bytes of a fixed number, padded by NUL as h5py's numpy.bytes_ */
    H5_VSTRING /* one variable-length UTF-8 string */
};

/*
 * h5_open: a file to be read; needs no file lock (NFS has none).
 * h5_create: a new file to be written.
 *
 * Returned: *out, the caller's until h5_close; NULL after a failure
 * Status:   0; h5_open: ERR_FORMAT not a regular file, not HDF5 or cut short;
 *           h5_create: -EEXIST; both: other negated errnos
 */
int h5_open(struct h5 **out, const char *path, struct err *e);
int h5_create(struct h5 **out, const char *path, struct err *e);
/* End it either way; NULL does nothing.  Status: 0; -EIO the last bytes did not get out. */
int h5_close(struct h5 *h5, struct err *e);
const char *h5_path(const struct h5 *h5);

/* Whether the full name exists, by hard links alone. */
bool h5_has(const struct h5 *h5, const char *name);
/* Name of the i-th thing in a group, in alphabetical order; 0, or -ENOENT past the last. */
int h5_child(const struct h5 *h5, const char *group, size_t i, char *name, size_t size);
/* Extents, slowest first; *ndim 0 for a scalar.  Status: 0; -ENOENT; ERR_FORMAT no data set, or
 * one that is absurdly large, more than H5_MAXDIM deep or not inside the file. */
int h5_shape(const struct h5 *h5, const char *name, size_t dim[H5_MAXDIM], int *ndim,
             struct err *e);

/*
 * h5_read_TYPE: read a whole data set, row-major, its elements converted.
 *
 * Given:    n, which must be its number of elements (a scalar counts 1)
 * Returned: out [n].  f64, f32, i64 take any number; bool truth values (0 or 1); c64 and c128
 *           compounds {r, i} of floats, doubles or integers.
 * Status:   0; -ENOENT no such data set; ERR_SHAPE not n elements; ERR_FORMAT another type, or
 *           values that cannot be read; -ENOMEM
 */
int h5_read_f64(const struct h5 *h5, const char *name, double *out, size_t n,
                struct err *e);
int h5_read_f32(const struct h5 *h5, const char *name, float *out, size_t n,
                struct err *e);
int h5_read_i64(const struct h5 *h5, const char *name, int64_t *out, size_t n,
                struct err *e);
int h5_read_bool(const struct h5 *h5, const char *name, unsigned char *out, size_t n,
                 struct err *e);
int h5_read_c64(const struct h5 *h5, const char *name, float complex *out, size_t n,
                struct err *e);
int h5_read_c128(const struct h5 *h5, const char *name, double complex *out, size_t n,
                 struct err *e);

/*
 * h5_read_texts: [n] strings of fixed or variable length.
 * h5_read_text: one of them, or a numeric scalar as text ("2000").
 *
 * Returned: out [n][size], each cut to `size` bytes with its NUL, unprintable bytes as '?'
 * Status:   as h5_read_TYPE
 */
int h5_read_text(const struct h5 *h5, const char *name, char *out, size_t size,
                 struct err *e);
int h5_read_texts(const struct h5 *h5, const char *name, char *out, size_t n,
                  size_t size, struct err *e);

/* A data set to be written.  What is left out is 0: a contiguous scalar. */
struct h5_dataset {
    enum h5_type type;
    size_t size;         /* bytes of one H5_STRING element, else not looked at */
    int ndim;            /* 0: scalar; at most H5_MAXDIM */
    const size_t *dim;   /* [ndim] extents, slowest first */
    const size_t *chunk; /* [ndim]; NULL: contiguous */
    /* in dim's order, of the type on disk: H5_BOOL bytes 0 or 1, H5_STRING `size` bytes each;
     * H5_VSTRING: the text itself, a char * */
    const void *data;
};

static inline struct h5_dataset h5_scalar(enum h5_type type, const void *data)
{
    return (struct h5_dataset){.type = type, .data = data};
}

/* A contiguous one with these extents. */
static inline struct h5_dataset h5_array(enum h5_type type, int ndim, const size_t *dim,
                                         const void *data)
{
    return (struct h5_dataset){.type = type, .ndim = ndim, .dim = dim, .data = data};
}

/* One string of `size` bytes. */
static inline struct h5_dataset h5_bytes(const char *text, size_t size)
{
    return (struct h5_dataset){.type = H5_STRING, .size = size, .data = text};
}

/*
 * h5_write: make a data set, and the groups above it, and write it whole.
 *
 * Chunked data sets can grow along their first axis, so their chunk may exceed dim[0];
 * dim[0] = 0 and data NULL make one that h5_append fills.
 * Status: 0; -EIO not written, or there is one of this name
 */
int h5_write(struct h5 *h5, const char *name, struct h5_dataset set, struct err *e);

/* Append n rows to a chunked data set of this type (not a string): data [n][...].  Status: 0;
 * -EIO not written, or there is no such data set. */
int h5_append(struct h5 *h5, const char *name, enum h5_type type, size_t n,
              const void *data, struct err *e);

/* Make an empty group; h5_write makes missing ones by itself.  Status: 0; -EIO not made, or
 * there is one of this name. */
int h5_group(struct h5 *h5, const char *name, struct err *e);

#endif
