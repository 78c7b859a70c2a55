#include "tests/test.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "core/err.h"
#include "core/path.h"
#include "pipeline/io/h5.h"
#include "pipeline/io/lzf.h"

static struct err e;

static const double F64[6] = {1.5, -2, 3e300, 4, 0, 1e-300};
static const unsigned char BOOLS[6] = {0, 1, 1, 0, 0, 1};

static struct h5_dataset chunked(enum h5_type type, const size_t *dim,
                                 const size_t *chunk, const void *data)
{
    struct h5_dataset set = h5_array(type, 2, dim, data);

    set.chunk = chunk;
    return set;
}

/* Every type once, 2-D [3][2] where there is more than one value. */
static void make(const char *path)
{
    const size_t dim[2] = {3, 2}, chunk[2] = {2, 1}, two[1] = {2};
    const float f32[6] = {1, 2, 3, 4, 5, 6.5F};
    const int64_t i64[6] = {1, -2, INT64_MAX, INT64_MIN, 5, 6};
    const int32_t i32[6] = {1, -2, 3, 4, 5, INT32_MIN};
    const float c64[6][2] = {{1, -1}, {2, -2}, {3, -3}, {4, -4}, {5, -5}, {6, 0.5F}};
    const double c128[6][2] = {{1, -1}, {2, 1e-300}, {3, -3}, {4, -4}, {5, -5}, {6, 0}};
    const double two_thousand = 2000;
    struct h5_dataset names = h5_array(H5_STRING, 1, two, "ab\0\0wxyz");
    struct h5 *h5;

    names.size = 4;
    assert_int_equal(h5_create(&h5, path, &e), 0);
    assert_int_equal(h5_write(h5, "A/f64", chunked(H5_F64, dim, chunk, F64), &e), 0);
    assert_int_equal(h5_write(h5, "A/f32", h5_array(H5_F32, 2, dim, f32), &e), 0);
    assert_int_equal(h5_write(h5, "A/B/i64", h5_array(H5_I64, 2, dim, i64), &e), 0);
    assert_int_equal(h5_write(h5, "A/B/i32", h5_array(H5_I32, 2, dim, i32), &e), 0);
    assert_int_equal(h5_write(h5, "bool", chunked(H5_BOOL, dim, chunk, BOOLS), &e), 0);
    assert_int_equal(h5_write(h5, "c64", chunked(H5_C64, dim, chunk, c64), &e), 0);
    assert_int_equal(h5_write(h5, "c128", h5_array(H5_C128, 2, dim, c128), &e), 0);
    assert_int_equal(h5_write(h5, "names", names, &e), 0);
    assert_int_equal(h5_write(h5, "name", h5_bytes("drift", 5), &e), 0);
    assert_int_equal(h5_write(h5, "vname", h5_scalar(H5_VSTRING, "HADEC\x01"), &e), 0);
    assert_int_equal(h5_write(h5, "scalar", h5_scalar(H5_F64, &two_thousand), &e), 0);
    assert_int_equal(h5_close(h5, &e), 0);
}

static struct h5 *made(void)
{
    struct h5 *h5 = NULL;

    make("a.h5");
    assert_int_equal(h5_open(&h5, "a.h5", &e), 0);
    return h5;
}

static void numbers_come_back_as_they_went(void **state)
{
    struct h5 *h5 = made();
    double f64[6];
    float f32[6];
    int64_t i64[6];
    unsigned char b[6];

    (void)state;
    assert_int_equal(h5_read_f64(h5, "A/f64", f64, 6, &e), 0);
    assert_memory_equal(f64, F64, sizeof f64);
    assert_int_equal(h5_read_f32(h5, "A/f32", f32, 6, &e), 0);
    assert_true(f32[0] == 1 && f32[5] == 6.5F);
    assert_int_equal(h5_read_i64(h5, "A/B/i64", i64, 6, &e), 0);
    assert_true(i64[1] == -2 && i64[2] == INT64_MAX && i64[3] == INT64_MIN);
    assert_int_equal(h5_read_i64(h5, "A/B/i32", i64, 6, &e), 0);
    assert_true(i64[4] == 5 && i64[5] == INT32_MIN);
    assert_int_equal(h5_read_f64(h5, "A/B/i32", f64, 6, &e), 0);
    assert_true(f64[1] == -2);
    assert_int_equal(h5_read_bool(h5, "bool", b, 6, &e), 0);
    assert_memory_equal(b, BOOLS, 6);
    assert_int_equal(h5_close(h5, &e), 0);
}

static void complex_numbers_come_back_as_they_went(void **state)
{
    struct h5 *h5 = made();
    float complex c64[6];
    double complex c128[6];

    (void)state;
    assert_int_equal(h5_read_c64(h5, "c64", c64, 6, &e), 0);
    assert_true(crealf(c64[4]) == 5 && cimagf(c64[4]) == -5 && cimagf(c64[5]) == 0.5F);
    assert_int_equal(h5_read_c128(h5, "c128", c128, 6, &e), 0);
    assert_true(creal(c128[1]) == 2 && cimag(c128[1]) == 1e-300);
    assert_int_equal(h5_read_c64(h5, "c128", c64, 6, &e), 0);
    assert_true(crealf(c64[3]) == 4 && cimagf(c64[3]) == -4);
    assert_int_equal(h5_close(h5, &e), 0);
}

static void texts_are_cut_and_made_printable(void **state)
{
    struct h5 *h5 = made();
    char names[2][4], text[8];

    (void)state;
    assert_int_equal(h5_read_texts(h5, "names", names[0], 2, 4, &e), 0);
    assert_string_equal(names[0], "ab");
    assert_string_equal(names[1], "wxy"); /* the fourth letter has no room */
    assert_int_equal(h5_read_text(h5, "name", text, sizeof text, &e), 0);
    assert_string_equal(text, "drift");
    assert_int_equal(h5_read_text(h5, "vname", text, sizeof text, &e), 0);
    assert_string_equal(text, "HADEC?");
    assert_int_equal(h5_read_text(h5, "scalar", text, sizeof text, &e), 0);
    assert_string_equal(text, "2000");
    assert_int_equal(h5_read_text(h5, "c64", text, sizeof text, &e), ERR_SHAPE);
    assert_int_equal(h5_close(h5, &e), 0);
}

static void shapes_and_names_are_told(void **state)
{
    struct h5 *h5 = made();
    size_t dim[H5_MAXDIM];
    char name[8];
    int ndim;

    (void)state;
    assert_true(h5_has(h5, "A/B/i64") && h5_has(h5, "A/B") && h5_has(h5, "scalar"));
    assert_false(h5_has(h5, "A/C/i64") || h5_has(h5, "") || h5_has(h5, "scalar/x"));
    assert_int_equal(h5_shape(h5, "c64", dim, &ndim, &e), 0);
    assert_true(ndim == 2 && dim[0] == 3 && dim[1] == 2);
    assert_int_equal(h5_shape(h5, "scalar", dim, &ndim, &e), 0);
    assert_int_equal(ndim, 0);
    assert_int_equal(h5_shape(h5, "A/B", dim, &ndim, &e), ERR_FORMAT);
    assert_int_equal(h5_shape(h5, "nothing", dim, &ndim, &e), -ENOENT);
    assert_string_equal(e.text, "a.h5: has no nothing");
    assert_int_equal(h5_child(h5, "A", 0, name, sizeof name), 0);
    assert_string_equal(name, "B");
    assert_int_equal(h5_child(h5, "A", 2, name, sizeof name), 0);
    assert_string_equal(name, "f64");
    assert_int_equal(h5_child(h5, "A", 3, name, sizeof name), -ENOENT);
    assert_int_equal(h5_child(h5, "Z", 0, name, sizeof name), -ENOENT);
    assert_string_equal(h5_path(h5), "a.h5");
    assert_int_equal(h5_close(h5, &e), 0);
}

static void what_does_not_fit_is_refused_with_a_sentence(void **state)
{
    struct h5 *h5 = made();
    double f64[7];
    float complex c64[6];
    unsigned char b[6];

    (void)state;
    assert_int_equal(h5_read_f64(h5, "A/f64", f64, 7, &e), ERR_SHAPE);
    assert_string_equal(e.text, "a.h5: A/f64: has 6 values instead of 7");
    assert_int_equal(h5_read_f64(h5, "c64", f64, 6, &e), ERR_FORMAT);
    assert_string_equal(e.text, "a.h5: c64: not numbers");
    assert_int_equal(h5_read_f64(h5, "name", f64, 1, &e), ERR_FORMAT);
    assert_int_equal(h5_read_c64(h5, "A/f64", c64, 6, &e), ERR_FORMAT);
    assert_int_equal(h5_read_bool(h5, "A/f64", b, 6, &e), ERR_FORMAT);
    assert_int_equal(h5_read_f64(h5, "A", f64, 6, &e), ERR_FORMAT);
    assert_int_equal(h5_close(h5, &e), 0);
}

static void files_that_are_not_hdf5_are_refused(void **state)
{
    struct h5 *h5;
    FILE *f = fopen("text.h5", "w");

    (void)state;
    fputs("no HDF5\n", f);
    fclose(f);
    assert_int_equal(h5_open(&h5, "text.h5", &e), ERR_FORMAT);
    assert_null(h5);
    assert_non_null(strstr(e.text, "text.h5"));
    assert_int_equal(h5_open(&h5, "missing.h5", &e), -ENOENT);
    assert_int_equal(mkfifo("pipe.h5", 0600), 0);
    assert_int_equal(h5_open(&h5, "pipe.h5", &e), ERR_FORMAT); /* and does not wait */
    assert_int_equal(h5_open(&h5, ".", &e), ERR_FORMAT);
    make("cut.h5");
    assert_int_equal(truncate("cut.h5", 3000), 0);
    assert_int_equal(h5_open(&h5, "cut.h5", &e), ERR_FORMAT);
    assert_non_null(strstr(e.text, "truncated"));
}

static void making_a_file_never_overwrites(void **state)
{
    struct h5 *h5;

    (void)state;
    make("a.h5");
    assert_int_equal(h5_create(&h5, "a.h5", &e), -EEXIST);
    assert_null(h5);
    assert_int_equal(h5_create(&h5, "no/such/folder.h5", &e), -ENOENT);
    assert_int_equal(h5_create(&h5, "twice.h5", &e), 0);
    assert_int_equal(h5_write(h5, "x", h5_scalar(H5_F64, F64), &e), 0);
    assert_int_equal(h5_write(h5, "x", h5_scalar(H5_F64, F64), &e), -EIO);
    assert_non_null(strstr(e.text, "twice.h5: x: not written"));
    assert_int_equal(h5_close(h5, &e), 0);
}

/* HDF5 would stamp objects with the second they were made in: then equal content would give
 * unequal bytes. */
static void files_bear_no_time_stamps(void **state)
{
    static unsigned char bytes[40000];
    time_t from = time(NULL);
    size_t n;
    FILE *f;

    (void)state;
    make("a.h5");
    f = fopen("a.h5", "rb");
    assert_non_null(f);
    n = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    assert_in_range(n, 1000, sizeof bytes - 1);
    for (size_t i = 0; i + 4 <= n; i++) {
        time_t stamp = (time_t)bytes[i] | (time_t)bytes[i + 1] << 8 |
                       (time_t)bytes[i + 2] << 16 | (time_t)bytes[i + 3] << 24;

        assert_false(stamp >= from && stamp <= time(NULL));
    }
}

/* "abcabcabcabcX": 3 literals, 9 bytes from 3 back (length 7 + 0 + 2), a literal. */
static void lzf_unpacks_overlaps_and_refuses_nonsense(void **state)
{
    const unsigned char packed[] = {2, 'a', 'b', 'c', 7 << 5, 0, 2, 0, 'X'};
    const unsigned char before[] = {0, 'a', 1 << 5, 1}; /* from before the start */
    const unsigned char cut[] = {5, 'a', 'b'};
    unsigned char out[13];

    (void)state;
    assert_int_equal(lzf_unpack(packed, sizeof packed, out, sizeof out), 13);
    assert_memory_equal(out, "abcabcabcabcX", 13);
    assert_int_equal(lzf_unpack(packed, sizeof packed, out, 12), 0);
    assert_int_equal(lzf_unpack(packed, sizeof packed, out, 11), 0);
    assert_int_equal(lzf_unpack(packed, 6, out, sizeof out), 0);
    assert_int_equal(lzf_unpack(before, sizeof before, out, sizeof out), 0);
    assert_int_equal(lzf_unpack(cut, sizeof cut, out, sizeof out), 0);
}

/* libhdf5 1.10.8 would walk the collection of such a string for ever, or leave its buffer. */
static void strings_in_a_broken_collection_are_refused(void **state)
{
    static const struct {
        size_t at, n; /* from GCOL on */
        uint64_t value;
    } turn[] = {
        {40 + 8, 8, 472},     /* free space that ends early, zeros behind it */
        {40 + 8, 8, 0},       /* of no size */
        {16 + 8, 8, 1 << 20}, /* a string larger than its collection */
        {16 + 8, 8, UINT64_MAX - 3},
        {8, 8, UINT64_MAX / 2}, /* a collection larger than the file */
        {0, 4, 0},              /* none at all */
    };
    struct h5 *h5;
    char text[32], *whole, *heap;
    size_t size;

    (void)state;
    assert_int_equal(h5_create(&h5, "v.h5", &e), 0);
    assert_int_equal(h5_write(h5, "a/name", h5_scalar(H5_VSTRING, "HADEC"), &e), 0);
    assert_int_equal(h5_close(h5, &e), 0);
    assert_int_equal(path_read(&whole, &size, "v.h5", 1 << 20, &e), 0);
    heap = memmem(whole, size, "GCOL", 4);
    assert_non_null(heap);
    for (size_t i = 0; i < sizeof turn / sizeof turn[0]; i++) {
        char kept[8];

        memcpy(kept, heap + turn[i].at, turn[i].n);
        memcpy(heap + turn[i].at, &turn[i].value, turn[i].n);
        assert_int_equal(path_write("w.h5", whole, size, &e), 0);
        memcpy(heap + turn[i].at, kept, turn[i].n);
        assert_int_equal(h5_open(&h5, "w.h5", &e), 0);
        assert_int_equal(h5_read_text(h5, "a/name", text, sizeof text, &e), ERR_FORMAT);
        assert_non_null(strstr(e.text, "w.h5: a/name: its strings are"));
        h5_close(h5, NULL);
    }
    assert_int_equal(h5_open(&h5, "v.h5", &e), 0);
    assert_int_equal(h5_read_text(h5, "a/name", text, sizeof text, &e), 0);
    assert_string_equal(text, "HADEC");
    h5_close(h5, NULL);
    free(whole);
}

/* 8 GiB of holes would let a file of a few kilobytes ask for as many numbers. */
static void holes_do_not_count_as_room_for_numbers(void **state)
{
    const size_t chunk[1] = {1 << 16};
    struct h5_dataset set = h5_array(H5_F64, 1, (const size_t[]){0}, NULL);
    size_t got[H5_MAXDIM];
    struct h5 *h5;
    int ndim;

    (void)state;
    set.chunk = chunk;
    assert_int_equal(h5_create(&h5, "h.h5", &e), 0);
    assert_int_equal(h5_write(h5, "a", set, &e), 0);
    assert_int_equal(h5_close(h5, &e), 0);
    assert_int_equal(system("/usr/bin/python3 -c \"import h5py; "
                            "h5py.File('h.h5', 'r+')['a'].resize((1 << 33,))\""),
                     0);
    assert_int_equal(truncate("h.h5", INT64_C(8) << 30), 0);
    assert_int_equal(h5_open(&h5, "h.h5", &e), 0);
    assert_int_equal(h5_shape(h5, "a", got, &ndim, &e), ERR_FORMAT);
    assert_non_null(strstr(e.text, "values cannot be in a file of"));
    h5_close(h5, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        OWN_DIR(holes_do_not_count_as_room_for_numbers),
        OWN_DIR(strings_in_a_broken_collection_are_refused),
        OWN_DIR(numbers_come_back_as_they_went),
        OWN_DIR(complex_numbers_come_back_as_they_went),
        OWN_DIR(texts_are_cut_and_made_printable),
        OWN_DIR(shapes_and_names_are_told),
        OWN_DIR(what_does_not_fit_is_refused_with_a_sentence),
        OWN_DIR(files_that_are_not_hdf5_are_refused),
        OWN_DIR(making_a_file_never_overwrites),
        OWN_DIR(files_bear_no_time_stamps),
        cmocka_unit_test(lzf_unpacks_overlaps_and_refuses_nonsense),
    };

    return cmocka_run_group_tests_name("h5", tests, NULL, NULL);
}
