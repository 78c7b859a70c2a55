/*
 * h5.c: whole data sets in and out of HDF5 files (see h5.h).
 *
 * Files come from outside, so nothing in them is believed: only hard links are followed (an
 * external link would lead into another file), external and virtual storage is refused, and
 * sizes are bounded before anything is allocated.  What cannot be helped here: libhdf5 itself
 * (1.10.8) overruns its buffers on some files with a bit turned in their object headers, so
 * files from outside are read in worker processes only.
 */
#include "pipeline/io/h5.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/err.h"
#include "core/mem.h"
#include "pipeline/io/h5_set.h"
#include "pipeline/io/lzf.h"

/* More elements than this in one data set is a broken or malicious file. */
static const uint64_t MAX_ELEMENTS = UINT64_C(1) << 40;
/* One string of a header; the longest real one (DSA-110's delays) has 1 KiB. */
static const size_t MAX_TEXT = 1 << 22;
/* No more bytes in memory than this for each byte of file (deflate reaches 1032), and some for
 * constants that are stored as nothing at all. */
static const uint64_t MAX_INFLATE = 2048, MAX_FILL = 1 << 20;

/* ---- errors ---- */

static herr_t keep_first(unsigned n, const H5E_error2_t *desc, void *text)
{
    if (n == 0 && desc->desc != NULL)
        snprintf(text, 96, "%s", desc->desc);
    return 0;
}

/* What the HDF5 library has to say about the last failure: its innermost message. */
static const char *reason(char text[96])
{
    strcpy(text, "the HDF5 library refuses it");
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_first, text);
    H5Eclear2(H5E_DEFAULT);
    return text;
}

static int fail_lib(const struct h5 *h5, const char *name, struct err *e)
{
    char text[96];

    return err_set(e, ERR_FORMAT, "%s: %s: %s", h5->path, name, reason(text));
}

/* ---- open and close ---- */

/* HDF5 calls this for every LZF chunk; value[2] is the chunk's size unpacked.  0 fails. */
static size_t lzf_filter(unsigned flags, size_t nvalue, const unsigned *value, size_t n,
                         size_t *size, void **buf)
{
    size_t room = nvalue >= 3 ? value[2] : 0, got;
    void *out;

    if ((flags & H5Z_FLAG_REVERSE) == 0 || room == 0)
        return 0;
    out = H5allocate_memory(room, 0);
    got = out != NULL ? lzf_unpack(*buf, n, out, room) : 0;
    if (got == 0) {
        H5free_memory(out);
        return 0;
    }
    H5free_memory(*buf);
    *buf = out;
    *size = room;
    return got;
}

/* Make the library quiet and able to read LZF; it may be called any number of times. */
static void library_init(void)
{
    static const H5Z_class2_t lzf = {.version = H5Z_CLASS_T_VERS,
                                     .id = 32000, /* registered with the HDF Group */
                                     .decoder_present = 1,
                                     .name = "lzf",
                                     .filter = lzf_filter};

    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    H5Zregister(&lzf);
}

/* File access as h5py's default, but without file locks: NFS has none, and readers of a
 * finished file need none. */
static hid_t access_list(void)
{
    hid_t fapl = H5Pcreate(H5P_FILE_ACCESS);

    if (fapl < 0)
        return fapl;
    H5Pset_file_locking(fapl, 0, 1);
    H5Pset_fclose_degree(fapl, H5F_CLOSE_STRONG);
    return fapl;
}

static struct h5 *h5_new(const char *path)
{
    size_t n = strlen(path) + 1;
    struct h5 *h5 = mem_malloc(sizeof *h5 + n);

    h5->file = -1;
    h5->bytes = h5->stored = 0;
    memcpy(h5->path, path, n);
    return h5;
}

int h5_open(struct h5 **out, const char *path, struct err *e)
{
    struct stat st;
    struct h5 *h5;
    char text[96];
    hid_t fapl;
    int rc = 0;

    *out = NULL;
    library_init();
    if (stat(path, &st) != 0) {
        int code = -errno;

        return err_set(e, code, "%s: %s", path, err_text(code));
    }
    if (!S_ISREG(st.st_mode)) /* a FIFO would block for ever */
        return err_set(e, ERR_FORMAT, "%s: not a regular file", path);
    h5 = h5_new(path);
    h5->bytes = h5->stored = (uint64_t)st.st_size;
    if (st.st_blocks > 0 && (uint64_t)st.st_blocks < h5->bytes / 512)
        h5->stored = (uint64_t)st.st_blocks * 512; /* some file systems do not tell */
    fapl = access_list();
    h5->file = H5Fopen(path, H5F_ACC_RDONLY, fapl);
    if (h5->file < 0)
        rc = err_set(e, ERR_FORMAT, "%s: not a readable HDF5 file: %s", path,
                     reason(text));
    H5Pclose(fapl);
    if (rc != 0)
        free(h5);
    else
        *out = h5;
    return rc;
}

int h5_create(struct h5 **out, const char *path, struct err *e)
{
    struct stat st;
    struct h5 *h5;
    char text[96];
    hid_t fapl;
    int rc = 0;

    *out = NULL;
    library_init();
    if (lstat(path, &st) == 0)
        return err_set(e, -EEXIST, "%s: exists already", path);
    h5 = h5_new(path);
    fapl = access_list();
    errno = 0;
    h5->file = H5Fcreate(path, H5F_ACC_EXCL, H5P_DEFAULT, fapl);
    if (h5->file < 0)
        rc = err_set(e, errno != 0 ? -errno : -EIO, "%s: cannot be made: %s", path,
                     reason(text));
    H5Pclose(fapl);
    if (rc != 0)
        free(h5);
    else
        *out = h5;
    return rc;
}

int h5_close(struct h5 *h5, struct err *e)
{
    char text[96];
    int rc = 0;

    if (h5 == NULL)
        return 0;
    if (H5Fclose(h5->file) < 0)
        rc = err_set(e, -EIO, "%s: not closed: %s", h5->path, reason(text));
    free(h5);
    return rc;
}

const char *h5_path(const struct h5 *h5)
{
    return h5->path;
}

/* ---- look ---- */

/* Does the full name exist, by hard links alone? */
bool h5_has(const struct h5 *h5, const char *name)
{
    char part[512];
    size_t n = strlen(name);
    H5L_info_t link;

    if (n == 0 || n >= sizeof part)
        return false;
    for (size_t end = 1; end <= n; end++) {
        if (name[end] != '/' && name[end] != '\0')
            continue;
        memcpy(part, name, end);
        part[end] = '\0';
        if (H5Lexists(h5->file, part, H5P_DEFAULT) <= 0 ||
            H5Lget_info(h5->file, part, &link, H5P_DEFAULT) < 0 ||
            link.type != H5L_TYPE_HARD) {
            H5Eclear2(H5E_DEFAULT);
            return false;
        }
    }
    return true;
}

int h5_child(const struct h5 *h5, const char *group, size_t i, char *name, size_t size)
{
    ssize_t n = -1;

    if (h5_has(h5, group))
        n = H5Lget_name_by_idx(h5->file, group, H5_INDEX_NAME, H5_ITER_INC, i, name,
                               size, H5P_DEFAULT);
    H5Eclear2(H5E_DEFAULT);
    return n > 0 && (size_t)n < size ? 0 : -ENOENT;
}

void h5_set_close(struct h5_set *s)
{
    if (s->type >= 0)
        H5Tclose(s->type);
    if (s->id >= 0)
        H5Dclose(s->id);
    s->type = s->id = -1;
}

/* Extents of s->id, bounded. */
static int set_extent(const struct h5 *h5, const char *name, struct h5_set *s,
                      struct err *e)
{
    hid_t space = H5Dget_space(s->id);
    hsize_t dim[H5S_MAX_RANK];
    int rc = 0;

    if (space < 0)
        return fail_lib(h5, name, e);
    s->ndim = H5Sget_simple_extent_ndims(space);
    s->count = 1;
    if (H5Sget_simple_extent_type(space) == H5S_NULL || s->ndim < 0)
        rc = err_set(e, ERR_FORMAT, "%s: %s: has no values", h5->path, name);
    else if (s->ndim > H5_MAXDIM)
        rc = err_set(e, ERR_FORMAT, "%s: %s: has %d dimensions, more than %d", h5->path,
                     name, s->ndim, H5_MAXDIM);
    else if (s->ndim > 0 && H5Sget_simple_extent_dims(space, dim, NULL) < 0)
        rc = fail_lib(h5, name, e);
    for (int i = 0; rc == 0 && i < s->ndim; i++) {
        if (dim[i] > MAX_ELEMENTS || (dim[i] > 0 && s->count > MAX_ELEMENTS / dim[i]))
            rc = err_set(e, ERR_FORMAT, "%s: %s: absurdly large", h5->path, name);
        else
            s->count *= dim[i];
        s->dim[i] = (size_t)dim[i];
    }
    H5Sclose(space);
    if (rc == 0 &&
        s->count / MAX_INFLATE * H5Tget_size(s->type) > h5->stored + MAX_FILL)
        rc =
            err_set(e, ERR_FORMAT,
                    "%s: %s: %llu values cannot be in a file of %llu bytes", h5->path,
                    name, (unsigned long long)s->count, (unsigned long long)h5->stored);
    return rc;
}

/* Are the values inside this file, stored in a way that can be read? */
static int set_check_storage(const struct h5 *h5, const char *name,
                             const struct h5_set *s, struct err *e)
{
    hid_t plist = H5Dget_create_plist(s->id);
    H5D_layout_t layout;
    int nfilter, rc = 0;

    if (plist < 0)
        return fail_lib(h5, name, e);
    layout = H5Pget_layout(plist);
    nfilter = H5Pget_nfilters(plist);
    if ((layout != H5D_COMPACT && layout != H5D_CONTIGUOUS && layout != H5D_CHUNKED) ||
        H5Pget_external_count(plist) != 0)
        rc = err_set(e, ERR_FORMAT, "%s: %s: values lie outside the file", h5->path,
                     name);
    for (int i = 0; i < nfilter && rc == 0; i++) {
        char filter[32] = "";
        unsigned flags, config;
        size_t nvalue = 0;
        H5Z_filter_t id = H5Pget_filter2(plist, (unsigned)i, &flags, &nvalue, NULL,
                                         sizeof filter, filter, &config);

        if (H5Zfilter_avail(id) <= 0)
            rc = err_set(e, ERR_FORMAT, "%s: %s: compressed by '%s' (%d), unknown here",
                         h5->path, name, filter, (int)id);
    }
    H5Pclose(plist);
    return rc;
}

static int set_open(const struct h5 *h5, const char *name, struct h5_set *s,
                    struct err *e)
{
    int rc;

    *s = (struct h5_set){.id = -1, .type = -1};
    if (!h5_has(h5, name))
        return err_set(e, -ENOENT, "%s: has no %s", h5->path, name);
    s->id = H5Dopen2(h5->file, name, H5P_DEFAULT);
    if (s->id < 0) {
        H5Eclear2(H5E_DEFAULT);
        return err_set(e, ERR_FORMAT, "%s: %s: not a data set", h5->path, name);
    }
    s->type = H5Dget_type(s->id);
    if (s->type < 0)
        rc = fail_lib(h5, name, e);
    else if ((rc = set_check_storage(h5, name, s, e)) == 0)
        rc = set_extent(h5, name, s, e);
    if (rc == 0)
        s->class = H5Tget_class(s->type);
    else
        h5_set_close(s);
    return rc;
}

int h5_shape(const struct h5 *h5, const char *name, size_t dim[H5_MAXDIM], int *ndim,
             struct err *e)
{
    struct h5_set s;
    int rc = set_open(h5, name, &s, e);

    if (rc != 0)
        return rc;
    memcpy(dim, s.dim, sizeof s.dim);
    *ndim = s.ndim;
    h5_set_close(&s);
    return 0;
}

/* ---- types ---- */

/* {r, i} compound of one part type; the caller closes it. */
static hid_t complex_type(hid_t part)
{
    size_t size = H5Tget_size(part);
    hid_t type = H5Tcreate(H5T_COMPOUND, 2 * size);

    if (type >= 0 &&
        (H5Tinsert(type, "r", 0, part) < 0 || H5Tinsert(type, "i", size, part) < 0)) {
        H5Tclose(type);
        return -1;
    }
    return type;
}

/* numpy.bool_ as h5py keeps it. */
static hid_t bool_type(void)
{
    hid_t type = H5Tenum_create(H5T_STD_I8LE);
    signed char no = 0, yes = 1;

    if (type >= 0 && (H5Tenum_insert(type, "FALSE", &no) < 0 ||
                      H5Tenum_insert(type, "TRUE", &yes) < 0)) {
        H5Tclose(type);
        return -1;
    }
    return type;
}

static hid_t string_type(size_t size, H5T_str_t pad, H5T_cset_t set)
{
    hid_t type = H5Tcopy(H5T_C_S1);

    if (type >= 0 && (H5Tset_size(type, size) < 0 || H5Tset_strpad(type, pad) < 0 ||
                      H5Tset_cset(type, set) < 0)) {
        H5Tclose(type);
        return -1;
    }
    return type;
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "h5_disk_type is taken for the memory type as well");

hid_t h5_disk_type(enum h5_type type, size_t size)
{
    switch (type) {
    case H5_F32:
        return H5Tcopy(H5T_IEEE_F32LE);
    case H5_F64:
        return H5Tcopy(H5T_IEEE_F64LE);
    case H5_I64:
        return H5Tcopy(H5T_STD_I64LE);
    case H5_I32:
        return H5Tcopy(H5T_STD_I32LE);
    case H5_BOOL:
        return bool_type();
    case H5_C64:
        return complex_type(H5T_IEEE_F32LE);
    case H5_C128:
        return complex_type(H5T_IEEE_F64LE);
    case H5_STRING:
        return string_type(size, H5T_STR_NULLPAD, H5T_CSET_ASCII);
    case H5_VSTRING:
        return string_type(H5T_VARIABLE, H5T_STR_NULLTERM, H5T_CSET_UTF8);
    }
    return -1;
}

/* ---- read ---- */

int h5_set_open(const struct h5 *h5, const char *name, size_t n, struct h5_set *s,
                struct err *e)
{
    int rc = set_open(h5, name, s, e);

    if (rc == 0 && s->count != n) {
        rc = err_set(e, ERR_SHAPE, "%s: %s: has %llu values instead of %zu", h5->path,
                     name, (unsigned long long)s->count, n);
        h5_set_close(s);
    }
    return rc;
}

/* Everything of s, converted to the memory type. */
static int set_read(const struct h5 *h5, const char *name, const struct h5_set *s,
                    hid_t type, void *out, struct err *e)
{
    if (s->count == 0)
        return 0;
    if (H5Dread(s->id, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, out) < 0)
        return fail_lib(h5, name, e);
    return 0;
}

static bool is_number(H5T_class_t class)
{
    return class == H5T_INTEGER || class == H5T_FLOAT;
}

static int read_number(const struct h5 *h5, const char *name, hid_t type, void *out,
                       size_t n, struct err *e)
{
    struct h5_set s;
    int rc = h5_set_open(h5, name, n, &s, e);

    if (rc != 0)
        return rc;
    if (!is_number(s.class))
        rc = err_set(e, ERR_FORMAT, "%s: %s: not numbers", h5->path, name);
    else
        rc = set_read(h5, name, &s, type, out, e);
    h5_set_close(&s);
    return rc;
}

int h5_read_f64(const struct h5 *h5, const char *name, double *out, size_t n,
                struct err *e)
{
    return read_number(h5, name, H5T_NATIVE_DOUBLE, out, n, e);
}

int h5_read_f32(const struct h5 *h5, const char *name, float *out, size_t n,
                struct err *e)
{
    return read_number(h5, name, H5T_NATIVE_FLOAT, out, n, e);
}

int h5_read_i64(const struct h5 *h5, const char *name, int64_t *out, size_t n,
                struct err *e)
{
    return read_number(h5, name, H5T_NATIVE_INT64, out, n, e);
}

int h5_read_bool(const struct h5 *h5, const char *name, unsigned char *out, size_t n,
                 struct err *e)
{
    struct h5_set s;
    int rc = h5_set_open(h5, name, n, &s, e);

    if (rc != 0)
        return rc;
    if (s.class == H5T_ENUM && H5Tget_size(s.type) == 1)
        rc = set_read(h5, name, &s, s.type, out, e); /* the enum's own byte */
    else if (s.class == H5T_INTEGER)
        rc = set_read(h5, name, &s, H5T_NATIVE_UCHAR, out, e);
    else
        rc = err_set(e, ERR_FORMAT, "%s: %s: not truth values", h5->path, name);
    h5_set_close(&s);
    for (size_t i = 0; rc == 0 && i < n; i++)
        out[i] = out[i] != 0;
    return rc;
}

/* Has the compound on disk numbers called r and i?  (HDF5 would leave a missing one as
 * it finds the memory.) */
static bool is_complex(const struct h5_set *s)
{
    static const char *const part[] = {"r", "i"};

    if (s->class != H5T_COMPOUND)
        return false;
    for (int k = 0; k < 2; k++) {
        int index = H5Tget_member_index(s->type, part[k]);

        if (index < 0 || !is_number(H5Tget_member_class(s->type, (unsigned)index))) {
            H5Eclear2(H5E_DEFAULT);
            return false;
        }
    }
    return true;
}

static int read_complex(const struct h5 *h5, const char *name, hid_t part, void *out,
                        size_t n, struct err *e)
{
    struct h5_set s;
    hid_t type = -1;
    int rc = h5_set_open(h5, name, n, &s, e);

    if (rc != 0)
        return rc;
    if (!is_complex(&s)) {
        rc = err_set(e, ERR_FORMAT, "%s: %s: not complex numbers {r, i}", h5->path,
                     name);
        goto out;
    }
    type = complex_type(part);
    rc = type < 0 ? fail_lib(h5, name, e) : set_read(h5, name, &s, type, out, e);
out:
    if (type >= 0)
        H5Tclose(type);
    h5_set_close(&s);
    return rc;
}

int h5_read_c64(const struct h5 *h5, const char *name, float complex *out, size_t n,
                struct err *e)
{
    return read_complex(h5, name, H5T_NATIVE_FLOAT, out, n, e);
}

int h5_read_c128(const struct h5 *h5, const char *name, double complex *out, size_t n,
                 struct err *e)
{
    return read_complex(h5, name, H5T_NATIVE_DOUBLE, out, n, e);
}

/* Copy a label of at most `len` bytes: cut to size, and safe to print and to put into JSON
 * (whatever is not printable ASCII, a tab or a newline becomes '?'). */
static void copy_text(char *out, size_t size, const char *in, size_t len)
{
    size_t k = 0;

    for (; k + 1 < size && k < len && in[k] != '\0'; k++) {
        char c = in[k];

        out[k] = (c >= ' ' && c <= '~') || c == '\n' || c == '\t' ? c : '?';
    }
    out[k] = '\0';
}

/* Fixed-length strings of s into out[count][size]. */
static int read_fixed(const struct h5 *h5, const char *name, const struct h5_set *s,
                      char *out, size_t size, struct err *e)
{
    size_t len = H5Tget_size(s->type);
    char *raw = NULL;
    int rc;

    if (len == 0 || len > MAX_TEXT || s->count > MAX_TEXT / len)
        return err_set(e, ERR_FORMAT, "%s: %s: strings too long", h5->path, name);
    raw = calloc((size_t)s->count + 1, len);
    if (raw == NULL)
        return err_set(e, -ENOMEM, "%s: %s: no memory for its strings", h5->path, name);
    rc = set_read(h5, name, s, s->type, raw, e);
    for (size_t i = 0; rc == 0 && i < s->count; i++)
        copy_text(out + i * size, size, raw + i * len, len);
    free(raw);
    return rc;
}

static int read_vlen(const struct h5 *h5, const char *name, const struct h5_set *s,
                     char *out, size_t size, struct err *e)
{
    hid_t space = H5Dget_space(s->id);
    char **raw;
    int rc = 0;

    if (s->count > MAX_TEXT || space < 0) {
        if (space >= 0)
            H5Sclose(space);
        return err_set(e, ERR_FORMAT, "%s: %s: too many strings", h5->path, name);
    }
    raw = calloc((size_t)s->count + 1, sizeof *raw);
    if (raw == NULL) {
        rc = err_set(e, -ENOMEM, "%s: %s: no memory for its strings", h5->path, name);
        goto out;
    }
    rc = h5_heap_check(h5, name, s, e);
    if (rc == 0)
        rc = set_read(h5, name, s, s->type, raw, e);
    for (size_t i = 0; rc == 0 && i < s->count; i++) {
        const char *text = raw[i] != NULL ? raw[i] : "";

        copy_text(out + i * size, size, text, strlen(text));
    }
    H5Dvlen_reclaim(s->type, space, H5P_DEFAULT, raw);
out:
    H5Sclose(space);
    free(raw);
    return rc;
}

static int read_strings(const struct h5 *h5, const char *name, const struct h5_set *s,
                        char *out, size_t size, struct err *e)
{
    double number;
    int rc;

    if (s->class == H5T_STRING)
        return H5Tis_variable_str(s->type) > 0 ? read_vlen(h5, name, s, out, size, e)
                                               : read_fixed(h5, name, s, out, size, e);
    if (!is_number(s->class) || s->count != 1)
        return err_set(e, ERR_FORMAT, "%s: %s: not text", h5->path, name);
    rc = set_read(h5, name, s, H5T_NATIVE_DOUBLE, &number, e);
    if (rc == 0)
        snprintf(out, size, "%.15g", number);
    return rc;
}

int h5_read_texts(const struct h5 *h5, const char *name, char *out, size_t n,
                  size_t size, struct err *e)
{
    struct h5_set s;
    int rc = h5_set_open(h5, name, n, &s, e);

    if (rc != 0)
        return rc;
    rc = read_strings(h5, name, &s, out, size, e);
    h5_set_close(&s);
    return rc;
}

int h5_read_text(const struct h5 *h5, const char *name, char *out, size_t size,
                 struct err *e)
{
    return h5_read_texts(h5, name, out, 1, size, e);
}

/* ---- write ---- */

/* Data set creation as h5py does it: no time stamps, so that equal content gives equal
 * bytes. */
static hid_t creation_list(int ndim, const size_t *chunk)
{
    hid_t plist = H5Pcreate(H5P_DATASET_CREATE);
    hsize_t extent[H5_MAXDIM];

    if (plist < 0)
        return plist;
    H5Pset_obj_track_times(plist, 0);
    if (chunk != NULL) {
        for (int i = 0; i < ndim; i++)
            extent[i] = chunk[i];
        H5Pset_chunk(plist, ndim, extent);
        H5Pset_fill_time(plist, H5D_FILL_TIME_ALLOC);
    }
    return plist;
}

/*
 * The order of allocations decides the size of the file to the byte, and a simulated DSA-110
 * file is to have the size of a real one.  So the order is that of h5py: `group[name] = value`
 * (here: contiguous) writes first and links then, `create_dataset` (chunked) the other way
 * round.
 */
int h5_write(struct h5 *h5, const char *name, struct h5_dataset set, struct err *e)
{
    hid_t disk = h5_disk_type(set.type, set.size);
    hid_t plist = creation_list(set.ndim, set.chunk);
    hid_t links = H5Pcreate(H5P_LINK_CREATE), space = -1, id = -1;
    hsize_t extent[H5_MAXDIM], most[H5_MAXDIM];
    char text[96];
    bool ok = false;

    assert(set.ndim >= 0 && set.ndim <= H5_MAXDIM);
    for (int i = 0; i < set.ndim; i++)
        most[i] = extent[i] = set.dim[i];
    /* As in the telescope's files it may grow, so a chunk may be larger than the whole. */
    if (set.chunk != NULL)
        most[0] = H5S_UNLIMITED;
    H5Pset_create_intermediate_group(links, 1);
    space =
        set.ndim > 0 ? H5Screate_simple(set.ndim, extent, most) : H5Screate(H5S_SCALAR);
    if (set.chunk != NULL)
        id = H5Dcreate2(h5->file, name, disk, space, links, plist, H5P_DEFAULT);
    else
        id = H5Dcreate_anon(h5->file, disk, space, plist, H5P_DEFAULT);
    /* A variable-length string is written through a pointer to it. */
    ok = id >= 0 && (set.data == NULL ||
                     H5Dwrite(id, disk, H5S_ALL, H5S_ALL, H5P_DEFAULT,
                              set.type == H5_VSTRING ? &set.data : set.data) >= 0);
    if (ok && set.chunk == NULL)
        ok = H5Olink(id, h5->file, name, links, H5P_DEFAULT) >= 0;
    if (!ok)
        err_set(e, -EIO, "%s: %s: not written: %s", h5->path, name, reason(text));
    if (id >= 0 && H5Dclose(id) < 0 && ok) {
        err_set(e, -EIO, "%s: %s: not written: %s", h5->path, name, reason(text));
        ok = false;
    }
    if (space >= 0)
        H5Sclose(space);
    if (disk >= 0)
        H5Tclose(disk);
    H5Pclose(links);
    H5Pclose(plist);
    return ok ? 0 : -EIO;
}

/* Write `data` over the rows from the `old`th on of an open data set. */
static bool write_rows(hid_t id, hid_t disk, int ndim, const hsize_t *extent,
                       hsize_t old, const void *data)
{
    hsize_t start[H5_MAXDIM] = {old}, count[H5_MAXDIM];
    hid_t memory, file;
    bool ok = false;

    for (int i = 0; i < ndim; i++)
        count[i] = extent[i] - start[i];
    memory = H5Screate_simple(ndim, count, NULL);
    file = H5Dget_space(id);
    ok = memory >= 0 && file >= 0 &&
         H5Sselect_hyperslab(file, H5S_SELECT_SET, start, NULL, count, NULL) >= 0 &&
         H5Dwrite(id, disk, memory, file, H5P_DEFAULT, data) >= 0;
    if (memory >= 0)
        H5Sclose(memory);
    if (file >= 0)
        H5Sclose(file);
    return ok;
}

int h5_append(struct h5 *h5, const char *name, enum h5_type type, size_t n,
              const void *data, struct err *e)
{
    hid_t disk = h5_disk_type(type, 0), id = H5Dopen2(h5->file, name, H5P_DEFAULT);
    hid_t space = id >= 0 ? H5Dget_space(id) : -1;
    hsize_t extent[H5_MAXDIM] = {0}, old;
    char text[96];
    int ndim = -1;
    bool ok;

    if (space >= 0 && (ndim = H5Sget_simple_extent_ndims(space)) <= H5_MAXDIM &&
        ndim > 0)
        ndim = H5Sget_simple_extent_dims(space, extent, NULL);
    old = extent[0];
    extent[0] += n;
    ok = disk >= 0 && ndim > 0 && ndim <= H5_MAXDIM && H5Dset_extent(id, extent) >= 0 &&
         write_rows(id, disk, ndim, extent, old, data);
    if (!ok)
        err_set(e, -EIO, "%s: %s: not written: %s", h5->path, name, reason(text));
    if (space >= 0)
        H5Sclose(space);
    if (id >= 0 && H5Dclose(id) < 0 && ok) {
        err_set(e, -EIO, "%s: %s: not written: %s", h5->path, name, reason(text));
        ok = false;
    }
    if (disk >= 0)
        H5Tclose(disk);
    return ok ? 0 : -EIO;
}

int h5_group(struct h5 *h5, const char *name, struct err *e)
{
    hid_t id = H5Gcreate2(h5->file, name, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    char text[96];

    if (id < 0)
        return err_set(e, -EIO, "%s: %s: not made: %s", h5->path, name, reason(text));
    H5Gclose(id);
    return 0;
}
