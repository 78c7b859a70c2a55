/*
 * The same samples in many layouts: whatever way they take through the reader, and by however
 * many threads, the bits are those that H5Dread gives of the contiguous data set.
 */
#include "tests/test.h"

#include <hdf5.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include "core/err.h"
#include "pipeline/io/h5.h"
#include "pipeline/io/h5_blocks.h"
#include "pipeline/io/uvh5.h"
#include "pipeline/io/uvh5_write.h"
#include "pipeline/sky/vis.h"

enum { NANT = 5, NTIME = 3, NROW = NTIME * NANT * (NANT + 1) / 2, NCHAN = 8, NPOL = 4 };
enum { NSAMPLE = NROW * NCHAN * NPOL };

static const char *const NAME[] = {"Data/visdata", "Data/flags", "Data/nsamples"};
/* Two of the baselines come turned. */
static const int STATION[NANT] = {3, 9, 1, 20, 21};

/* What a file has beside its values, which are all different. */
struct trouble {
    int bad;          /* NaN, Inf, zeros, absurd ones */
    int flags, count; /* some set; some not full */
};

struct layout {
    const char *what;
    hsize_t chunk[4]; /* 0: contiguous */
    int deflate;
    int rows;        /* written of NROW, the rest is the fill value; 0: all */
    int filter_mask; /* in one chunk */
    int straight;    /* are the chunks taken as they are? */
};

static const struct layout CONTIGUOUS = {.what = "contiguous"};

static const struct layout LAYOUT[] = {
    {.what = "dividing", .chunk = {15, 1, 4, 2}, .straight = 1},
    {.what = "one chunk", .chunk = {NROW, 1, NCHAN, NPOL}, .straight = 1},
    {.what = "larger than all", .chunk = {64, 1, NCHAN, NPOL}, .straight = 1},
    {.what = "edge in rows", .chunk = {7, 1, 4, 1}, .straight = 1},
    {.what = "edge in channels", .chunk = {9, 1, 3, 2}, .straight = 1},
    {.what = "edges everywhere", .chunk = {4, 1, 5, 3}, .straight = 1},
    {.what = "single values", .chunk = {1, 1, 1, 1}, .straight = 1},
    {.what = "compressed", .chunk = {7, 1, 4, 2}, .deflate = 1},
    {.what = "compressed but one",
     .chunk = {7, 1, 4, 2},
     .deflate = 1,
     .filter_mask = 3},
    {.what = "a mask of no filter",
     .chunk = {7, 1, 4, 2},
     .filter_mask = 1,
     .straight = 1},
    {.what = "half of it missing", .chunk = {7, 1, 4, 2}, .rows = 20, .straight = 1},
    {.what = "all missing", .chunk = {7, 1, 4, 2}, .rows = -1, .straight = 1},
};

static void write_base(const char *path, const struct trouble *t)
{
    static float complex data[NSAMPLE];
    double freq[NCHAN];
    struct uvh5_sub sub = {.layout = UVH5_4D,
                           .site = {.lat_rad = 0.65, .lon_rad = -2.06, .alt_m = 1200},
                           .dec_app_rad = 0.9,
                           .ntime = NTIME,
                           .nant = NANT,
                           .nchan = NCHAN,
                           .npol = NPOL,
                           .number = STATION,
                           .t0_jd = 2461066.3,
                           .tint_s = 12.9,
                           .freq_hz = freq,
                           .width_hz = 1e6,
                           .nsamples = 96,
                           .data = data};
    struct err e = {0};

    for (int c = 0; c < NCHAN; c++)
        freq[c] = 1.4e9 - 1e6 * c;
    for (int i = 0; i < NSAMPLE; i++)
        data[i] = (float)(i + 1) + (float)(0.5 - i) * I;
    for (int i = 0; t->bad && i < NSAMPLE; i += 7) {
        static const float odd[] = {NAN, INFINITY, 0, 1e15F, -0.0F, 9.9e14F, 1e-44F};

        ((float *)data)[2 * i + i % 2] = odd[i / 7 % 7];
        if (i % 3 == 0)
            ((float *)data)[2 * i + 1 - i % 2] = odd[i / 21 % 7];
    }
    unlink(path);
    if (uvh5_write(path, &sub, &e) != 0)
        fail_msg("%s", e.text);
}

/* The values of data set k in place, one element of `size` bytes each. */
static void spoil(unsigned char *value, int k, const struct trouble *t)
{
    for (int i = 0; k == 1 && t->flags && i < NSAMPLE; i += 11)
        value[i] = 1;
    for (int i = 0; k == 2 && t->count && i < NSAMPLE; i += 5)
        ((float *)value)[i] = i % 3 == 0 ? 24 : i % 3 == 1 ? 0 : NAN;
}

static hid_t creation(const struct layout *l, int k)
{
    static const struct {
        float re, im;
    } fill = {7, -7};
    static const float full = 48;
    hid_t plist = H5Pcreate(H5P_DATASET_CREATE);
    hid_t pair = H5Tcreate(H5T_COMPOUND, 8);

    assert_true(H5Tinsert(pair, "r", 0, H5T_NATIVE_FLOAT) >= 0);
    assert_true(H5Tinsert(pair, "i", 4, H5T_NATIVE_FLOAT) >= 0);
    if (k == 0)
        assert_true(H5Pset_fill_value(plist, pair, &fill) >= 0);
    if (k == 2)
        assert_true(H5Pset_fill_value(plist, H5T_NATIVE_FLOAT, &full) >= 0);
    H5Tclose(pair);
    if (l->chunk[0] != 0)
        assert_true(H5Pset_chunk(plist, 4, l->chunk) >= 0);
    if (l->deflate) {
        assert_true(H5Pset_shuffle(plist) >= 0);
        assert_true(H5Pset_deflate(plist, 1) >= 0);
    }
    return plist;
}

/* Chunk 0 anew, as it is in memory and passed by the filters of the mask. */
static void put_masked_chunk(hid_t set, const struct layout *l, const char *value,
                             size_t size)
{
    const hsize_t zero[4] = {0};
    size_t row = l->chunk[2] * l->chunk[3] * size, n = l->chunk[0] * row;
    char *chunk = calloc(1, n);

    for (size_t r = 0; r < l->chunk[0]; r++)
        for (size_t c = 0; c < l->chunk[2]; c++)
            memcpy(chunk + r * row + c * l->chunk[3] * size,
                   value + (r * NCHAN + c) * NPOL * size, l->chunk[3] * size);
    assert_true(H5Dwrite_chunk(set, H5P_DEFAULT, (uint32_t)l->filter_mask, zero, n,
                               chunk) >= 0);
    free(chunk);
}

/* Data set k of the open file once more, in another layout. */
static void lay(hid_t file, int k, const struct layout *l, const struct trouble *t)
{
    const hsize_t dim[4] = {NROW, 1, NCHAN, NPOL},
                  most[4] = {H5S_UNLIMITED, 1, NCHAN, NPOL}, zero[4] = {0};
    hsize_t part[4] = {l->rows > 0 ? (hsize_t)l->rows : NROW, 1, NCHAN, NPOL};
    hid_t old = H5Dopen2(file, NAME[k], H5P_DEFAULT), type = H5Dget_type(old);
    hid_t space = H5Screate_simple(4, dim, l->chunk[0] != 0 ? most : NULL);
    hid_t memory = H5Screate_simple(4, part, NULL), plist = creation(l, k), set;
    size_t size = H5Tget_size(type);
    char *value = calloc(NSAMPLE, size);

    assert_true(H5Dread(old, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, value) >= 0);
    H5Dclose(old);
    assert_true(H5Ldelete(file, NAME[k], H5P_DEFAULT) >= 0);
    if (t != NULL)
        spoil((unsigned char *)value, k, t);
    set = H5Dcreate2(file, NAME[k], type, space, H5P_DEFAULT, plist, H5P_DEFAULT);
    assert_true(set >= 0);
    H5Sselect_hyperslab(space, H5S_SELECT_SET, zero, NULL, part, NULL);
    if (l->rows >= 0)
        assert_true(H5Dwrite(set, type, memory, space, H5P_DEFAULT, value) >= 0);
    if (l->filter_mask != 0)
        put_masked_chunk(set, l, value, size);
    H5Dclose(set);
    H5Sclose(space);
    H5Sclose(memory);
    H5Pclose(plist);
    H5Tclose(type);
    free(value);
}

/* All three data sets of `path`; t NULL leaves their values. */
static void lay_all(const char *path, const struct layout *l, const struct trouble *t)
{
    hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);

    assert_true(file >= 0);
    for (int k = 0; k < 3; k++)
        lay(file, k, l, t);
    H5Fclose(file);
}

static struct vis *read_by(const char *path, size_t threads)
{
    const struct uvh5_opts opts = {.threads = threads};
    struct vis *vis;
    struct err e = {0};

    if (uvh5_read_group(&vis, &path, 1, &opts, &e) != 0)
        fail_msg("%s", e.text);
    return vis;
}

static void same_bits(const struct vis *a, const struct vis *b, const char *what)
{
    size_t n = a->nrow * a->nchan * a->npol;

    assert_true(n > 0 && b->nrow * b->nchan * b->npol == n);
    if (memcmp(a->data, b->data, n * sizeof *a->data) != 0)
        fail_msg("%s: data differ", what);
    if (memcmp(a->weight, b->weight, n * sizeof *a->weight) != 0)
        fail_msg("%s: weights differ", what);
    n = a->nant * a->ntime * a->nchan * a->npol;
    if (memcmp(a->autos, b->autos, n * sizeof *a->autos) != 0)
        fail_msg("%s: autocorrelations differ", what);
}

static int is_straight(const char *path)
{
    struct h5_blocks b;
    struct h5 *h5;
    int yes;

    assert_int_equal(h5_open(&h5, path, NULL), 0);
    yes = h5_blocks_open(&b, h5, "Data/visdata", H5_C64, NSAMPLE);
    h5_blocks_close(&b);
    h5_close(h5, NULL);
    return yes;
}

static void try_layout(const struct layout *l, const struct trouble *t)
{
    struct vis *want, *got;

    write_base("a.hdf5", t);
    lay_all("a.hdf5", l, t);
    assert_int_equal(is_straight("a.hdf5"), l->straight);
    assert_int_equal(system("cp a.hdf5 b.hdf5"), 0);
    lay_all("b.hdf5", &CONTIGUOUS, NULL);
    assert_int_equal(is_straight("b.hdf5"), 0);
    want = read_by("b.hdf5", 1);
    for (size_t threads = 1; threads <= 3; threads++) {
        got = read_by("a.hdf5", threads);
        same_bits(want, got, l->what);
        vis_free(got);
    }
    got = read_by("b.hdf5", 2);
    same_bits(want, got, "contiguous");
    vis_free(got);
    vis_free(want);
}

static void every_layout_gives_the_same_bits(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof LAYOUT / sizeof LAYOUT[0]; i++)
        for (int k = 0; k < 4; k++) {
            const struct trouble t = {.bad = k > 0, .flags = k & 1, .count = k >> 1};

            try_layout(&LAYOUT[i], &t);
        }
}

/* On the way or afterwards: the same phasors for the same samples. */
static void data_turned_while_they_are_read_are_those_turned_later(void **state)
{
    const struct trouble t = {.bad = 1, .flags = 1, .count = 1};
    const char *path = "a.hdf5";

    (void)state;
    for (size_t i = 0; i < 4; i++)
        for (size_t threads = 1; threads <= 3; threads++) {
            const struct uvh5_opts opts = {.threads = threads, .one_centre = true};
            struct vis *want, *got;
            double ra_rad, dec_rad;

            write_base(path, &t);
            lay_all(path, &LAYOUT[i], &t);
            want = read_by(path, 1);
            assert_int_equal(want->phasing, VIS_MERIDIAN);
            vis_mean_pointing(want, &ra_rad, &dec_rad);
            vis_rephase(want, ra_rad, dec_rad);
            assert_int_equal(uvh5_read_group(&got, &path, 1, &opts, NULL), 0);
            assert_int_equal(got->phasing, VIS_SIDEREAL);
            assert_true(got->phase_ra_rad == ra_rad && got->phase_dec_rad == dec_rad);
            assert_memory_equal(got->stop, want->stop, NTIME * sizeof *want->stop);
            same_bits(want, got, LAYOUT[i].what);
            vis_free(got);
            vis_free(want);
        }
}

static void uniform_data_sets_are_known_by_their_bytes(void **state)
{
    static const struct {
        struct layout layout;
        struct trouble trouble;
        bool flags, counts;
    } try[] = {{{.chunk = {7, 1, 4, 2}}, {0}, true, true},
               {{.chunk = {7, 1, 4, 2}}, {.flags = 1}, false, true},
               {{.chunk = {7, 1, 4, 2}}, {.count = 1}, true, false},
               {{.chunk = {7, 1, 3, 2}}, {0}, false, false}, /* edges hide it */
               {{.chunk = {7, 1, 4, 2}, .deflate = 1}, {0}, false, false},
               {{.chunk = {7, 1, 4, 2}, .rows = 20}, {0}, false, false},
               {{.what = "contiguous"}, {0}, false, false}};

    (void)state;
    for (size_t i = 0; i < sizeof try / sizeof try[0]; i++) {
        unsigned char flag = 9;
        float count = 0;
        struct h5 *h5;

        write_base("a.hdf5", &try[i].trouble);
        lay_all("a.hdf5", &try[i].layout, &try[i].trouble);
        assert_int_equal(h5_open(&h5, "a.hdf5", NULL), 0);
        assert_int_equal(h5_uniform(h5, NAME[1], H5_BOOL, NSAMPLE, &flag),
                         try[i].flags);
        assert_int_equal(h5_uniform(h5, NAME[2], H5_F32, NSAMPLE, &count),
                         try[i].counts);
        assert_true(!try[i].flags || flag == 0);
        assert_true(!try[i].counts || count == 96);
        assert_false(h5_uniform(h5, NAME[0], H5_C64, NSAMPLE, &(double){0}));
        assert_false(h5_uniform(h5, NAME[2], H5_F32, NSAMPLE + 1, &count));
        assert_false(h5_uniform(h5, NAME[2], H5_F64, NSAMPLE, &(double){0}));
        h5_close(h5, NULL);
    }
}

/* Write another length of their chunks into the index of the data set whose chunks have `size`
 * bytes: the keys of its B-tree begin with the length and a mask of 0. */
static int lie_about_length(const char *path, uint32_t size, uint32_t lie)
{
    static unsigned char all[1 << 20];
    const uint32_t key[2] = {size, 0};
    FILE *f = fopen(path, "r+");
    size_t n = fread(all, 1, sizeof all, f);
    int found = 0;

    assert_in_range(n, 1, sizeof all - 1);
    for (size_t at = 0; at + 24 < n; at++) {
        if (memcmp(all + at, "TREE\1", 5) != 0)
            continue;
        for (size_t k = at + 24; k < at + 2000 && k + 8 < n; k++)
            if (memcmp(all + k, key, sizeof key) == 0) {
                memcpy(all + k, &lie, sizeof lie);
                found++;
            }
    }
    rewind(f);
    assert_int_equal(fwrite(all, 1, n, f), n);
    fclose(f);
    return found;
}

static void a_chunk_that_lies_about_its_length_is_not_taken(void **state)
{
    const struct layout l = {.chunk = {9, 1, 8, 4}};
    const uint32_t size = 9 * 8 * 4 * 8, lie[] = {size / 2, size - 1, size + 1, 20000};
    const struct trouble t = {0};

    (void)state;
    for (size_t i = 0; i < sizeof lie / sizeof lie[0]; i++) {
        struct h5_blocks b;
        struct h5 *h5;
        unsigned char *out;

        write_base("a.hdf5", &t);
        lay_all("a.hdf5", &l, &t);
        assert_true(lie_about_length("a.hdf5", size, lie[i]) >= 5);
        assert_int_equal(h5_open(&h5, "a.hdf5", NULL), 0);
        assert_true(h5_blocks_open(&b, h5, NAME[0], H5_C64, NSAMPLE));
        assert_non_null(out = malloc(b.bytes + b.slack));
        assert_false(h5_blocks_read(&b, 0, 1, out));
        free(out);
        h5_blocks_close(&b);
        h5_close(h5, NULL);
    }
}

/* ---- autocorrelations ---- */

static void autocorrelations_are_kept_by_antenna_and_time(void **state)
{
    const struct trouble t = {.flags = 1};
    struct vis *vis;

    (void)state;
    write_base("a.hdf5", &t);
    lay_all("a.hdf5", &LAYOUT[0], &t);
    vis = read_by("a.hdf5", 2);
    assert_non_null(vis->autos);
    for (size_t ant = 0; ant < vis->nant; ant++) {
        int i = 0; /* in the correlator's order */

        while (i < NANT && (size_t)STATION[i] - 1 != ant)
            i++;
        for (size_t k = 0; k < NTIME * NCHAN * NPOL; k++) {
            size_t time = k / (NCHAN * NPOL), c = k / NPOL % NCHAN, p = k % NPOL;
            size_t row = time * NROW / NTIME + (size_t)(i * (i + 1) / 2 + i);
            /* the file's channels descend */
            size_t from = (row * NCHAN + NCHAN - 1 - c) * NPOL + p;
            float want = i < NANT && from % 11 != 0 ? (float)(from + 1) : 0;

            if (vis->autos[ant * NTIME * NCHAN * NPOL + k] != want)
                fail_msg("antenna %zu, element %zu: %g instead of %g", ant, k,
                         (double)vis->autos[ant * NTIME * NCHAN * NPOL + k],
                         (double)want);
        }
    }
    vis_free(vis);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        OWN_DIR(every_layout_gives_the_same_bits),
        OWN_DIR(data_turned_while_they_are_read_are_those_turned_later),
        OWN_DIR(uniform_data_sets_are_known_by_their_bytes),
        OWN_DIR(a_chunk_that_lies_about_its_length_is_not_taken),
        OWN_DIR(autocorrelations_are_kept_by_antenna_and_time),
    };

    return cmocka_run_group_tests_name("uvh5_samples", tests, NULL, NULL);
}
