/* test_probe.c: nothing that is half written passes, and nothing that is whole fails. */
#include "tests/test.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/h5_writer.h"
#include "watcherd/files/probe.h"

static struct probe_result r;

static enum probe_verdict probe(const char *path)
{
    return probe_file(AT_FDCWD, path, &r);
}

static void write_file(const char *path, const void *data, size_t n)
{
    FILE *f = fopen(path, "wb");

    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    fclose(f);
}

static char *read_file(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    char *data = malloc(1 << 22);

    assert_non_null(f);
    *n = fread(data, 1, 1 << 22, f);
    fclose(f);
    return data;
}

static void copy_file(const char *from, const char *to)
{
    size_t n;
    char *data = read_file(from, &n);

    write_file(to, data, n);
    free(data);
}

/*
 * A file by h5py at each stage of coordination.md 3.4; version 0 is what h5py writes by
 * default, version 3 its libver='latest'.  The kernel is asked for the writer, so a lock is
 * not needed to see it.
 */
/* matrix: watch 3 slow writer (probe) */
static void an_open_hdf5_file_waits_until_it_is_closed(void **state)
{
    struct h5_writer w;

    (void)state;
    if (h5_writer_start(&w) != 0) {
        print_message("skipped: no h5py\n");
        skip();
    }
    for (int v = 0; v < 2; v++) {
        const char *libver = v == 0 ? "v0" : "v3";

        h5_writer_do(&w, "open", "x.hdf5", libver);
        assert_int_equal(probe("x.hdf5"), PROBE_WAIT);
        assert_int_equal(r.writer, PROBE_WRITER_SOME);
        h5_writer_do(&w, "flush", "x.hdf5", libver);
        assert_int_equal(probe("x.hdf5"), PROBE_WAIT);
        assert_non_null(strstr(r.reason, "open for writing"));
        copy_file("x.hdf5", "copy.hdf5"); /* rsync of an open file */
        assert_int_equal(probe("copy.hdf5"), PROBE_WAIT);
        assert_int_equal(r.at_rest, PROBE_BAD);
        assert_int_equal(r.writer, PROBE_WRITER_NONE);
        h5_writer_do(&w, "close", "x.hdf5", libver);
        assert_int_equal(probe("x.hdf5"), PROBE_OK);
        assert_string_equal(r.reason, "");
    }
    h5_writer_kill(&w);
}

/* matrix: watch 4 writer killed (probe) */
static void a_file_whose_writer_was_killed_is_bad_at_rest(void **state)
{
    struct h5_writer w;

    (void)state;
    for (int v = 0; v < 2; v++) {
        if (h5_writer_start(&w) != 0) {
            print_message("skipped: no h5py\n");
            skip();
        }
        h5_writer_do(&w, "open", "x.hdf5", v == 0 ? "v0" : "v3");
        h5_writer_do(&w, "flush", "x.hdf5", "-");
        h5_writer_kill(&w);
        assert_int_equal(probe("x.hdf5"), PROBE_WAIT);
        assert_int_equal(r.writer, PROBE_WRITER_NONE);
        assert_int_equal(r.at_rest, PROBE_BAD);
        unlink("x.hdf5");
    }
}

/* A closed file by h5py at path, or skip. */
static void make_hdf5(const char *path, const char *libver)
{
    struct h5_writer w;

    if (h5_writer_start(&w) != 0) {
        print_message("skipped: no h5py\n");
        skip();
    }
    h5_writer_do(&w, "open", path, libver);
    h5_writer_do(&w, "close", path, libver);
    h5_writer_kill(&w);
}

static void an_hdf5_file_cut_anywhere_never_passes(void **state)
{
    (void)state;
    for (int v = 0; v < 2; v++) {
        size_t n;
        char *data;

        make_hdf5("x.hdf5", v == 0 ? "v0" : "v3");
        data = read_file("x.hdf5", &n);
        for (size_t len = 0; len < n; len += len < 200 ? 1 : 97) {
            write_file("cut.hdf5", data, len);
            assert_int_equal(probe("cut.hdf5"), PROBE_WAIT);
            assert_int_equal(r.at_rest, len == 0 ? PROBE_WAIT : PROBE_BAD);
        }
        write_file("cut.hdf5", data, n - 1);
        assert_int_equal(probe("cut.hdf5"), PROBE_WAIT);
        write_file("cut.hdf5", data, n);
        assert_int_equal(probe("cut.hdf5"), PROBE_OK);
        free(data);
    }
}

/* matrix: watch 5 fallocate'd copy (probe) */
static void a_half_copy_into_preallocated_space_waits(void **state)
{
    size_t n;
    char *data;

    (void)state;
    make_hdf5("x.hdf5", "v0");
    data = read_file("x.hdf5", &n);
    for (int how = 0; how < 2; how++) { /* at the end, and in the middle */
        int fd = open("pre.hdf5", O_RDWR | O_CREAT | O_TRUNC, 0644);

        assert_int_equal(posix_fallocate(fd, 0, (off_t)n), 0);
        assert_int_equal(write(fd, data, n / 2), (ssize_t)(n / 2));
        if (how == 1)
            assert_int_equal(pwrite(fd, data + n - 4096, 4096, (off_t)n - 4096), 4096);
        fsync(fd); /* so that unwritten extents are told apart from dirty pages */
        close(fd);
        assert_int_equal(probe("pre.hdf5"), PROBE_WAIT);
        assert_int_equal(r.at_rest, PROBE_BAD);
        assert_true(r.hole);
    }
    free(data);
}

/* cp --sparse=always, rsync -S, a data set that never got its last rows */
static void a_sparse_file_that_ends_in_a_hole_is_whole_at_rest(void **state)
{
    size_t n;
    char *data;
    int fd;

    (void)state;
    make_hdf5("x.hdf5", "v0");
    data = read_file("x.hdf5", &n);
    fd = open("x.hdf5", O_RDWR | O_TRUNC);
    assert_int_equal(pwrite(fd, data, 4096, 0), 4096);
    assert_int_equal(ftruncate(fd, (off_t)n), 0);
    fsync(fd);
    close(fd);
    assert_int_equal(probe("x.hdf5"), PROBE_WAIT);
    assert_int_equal(r.at_rest, PROBE_OK);
    assert_int_equal(truncate("x.hdf5", (off_t)n - 1), 0);
    assert_int_equal(probe("x.hdf5"), PROBE_WAIT);
    assert_int_equal(r.at_rest, PROBE_BAD);
    free(data);
}

/* II.A: a superblock is looked for at 0, 512, 1024, 2048 ...; the end of file is absolute,
 * unless the block was put before the file afterwards, with the base address as it was. */
static void a_user_block_does_not_hide_an_hdf5_file(void **state)
{
    static const struct {
        const char *libver;
        size_t block, base; /* base: its byte in the superblock */
    } t[] = {{"v0", 512, 24}, {"v0", 4096, 24}, {"v3", 2048, 12}};

    (void)state;
    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        size_t n, at = t[i].block;
        char *data, *moved;

        make_hdf5("x.hdf5", t[i].libver);
        data = read_file("x.hdf5", &n);
        moved = calloc(1, n + at);
        memcpy(moved, "a note before the data", 22);
        memcpy(moved + at, data, n);
        for (int absolute = 0; absolute < 2; absolute++) {
            if (absolute) { /* as H5Pset_userblock has it */
                uint64_t base = at, end = n + at;

                memcpy(moved + at + t[i].base, &base, 8);
                memcpy(moved + at + t[i].base + 16, &end, 8);
            }
            write_file("u.hdf5", moved, n + at);
            assert_int_equal(probe("u.hdf5"), PROBE_OK);
            write_file("u.hdf5", moved, n + at - 1);
            assert_int_equal(probe("u.hdf5"), PROBE_WAIT);
            assert_int_equal(r.at_rest, PROBE_BAD);
        }
        write_file("u.hdf5", moved + 1, n + at - 1); /* no place for a superblock */
        assert_int_equal(probe("u.hdf5"), PROBE_BAD);
        free(moved);
        free(data);
    }
}

static void a_sparse_file_that_ends_in_data_is_whole_at_rest(void **state)
{
    size_t n;
    char *data;
    int fd;

    (void)state;
    make_hdf5("x.hdf5", "v0");
    data = read_file("x.hdf5", &n);
    assert_true(n > 16384);
    fd = open("x.hdf5", O_RDWR | O_TRUNC);
    assert_int_equal(pwrite(fd, data, 4096, 0), 4096);
    assert_int_equal(pwrite(fd, data + 12288, n - 12288, 12288), (ssize_t)(n - 12288));
    close(fd);
    assert_int_equal(probe("x.hdf5"), PROBE_WAIT);
    assert_int_equal(r.at_rest, PROBE_OK);
    assert_non_null(strstr(r.reason, "hole at byte 4096"));
    free(data);
}

static void what_is_not_hdf5_is_bad_at_once(void **state)
{
    static const char text[200] = "Date,Flux\n2025,3.1\n";
    size_t n;
    char *data;

    (void)state;
    write_file("x.hdf5", text, sizeof text);
    assert_int_equal(probe("x.hdf5"), PROBE_BAD);
    write_file("x.hdf5", text, 9);
    assert_int_equal(probe("x.hdf5"), PROBE_BAD);
    make_hdf5("x.hdf5", "v0");
    data = read_file("x.hdf5", &n);
    data[8] = 77; /* superblock version */
    write_file("y.uvh5", data, n);
    assert_int_equal(probe("y.uvh5"), PROBE_BAD);
    assert_non_null(strstr(r.reason, "version 77"));
    data[8] = 0;
    data[13] = 9; /* size of offsets */
    write_file("y.uvh5", data, n);
    assert_int_equal(probe("y.uvh5"), PROBE_BAD);
    data[13] = 8;
    write_file("y.uvh5", data, n);
    assert_int_equal(probe("y.uvh5"), PROBE_OK);
    data[n - 1] = 0;
    free(data);
}

/* ---- FITS ---- */

/* Append one HDU: cards, END, padding, then `bytes` of data, padded. */
static size_t fits_hdu(char *out, const char *const *cards, size_t bytes)
{
    size_t n = 0, end;

    for (; *cards != NULL; cards++, n += 80)
        snprintf(out + n, 81, "%-80s", *cards);
    snprintf(out + n, 81, "%-80s", "END");
    n += 80;
    end = (n + 2879) / 2880 * 2880;
    memset(out + n, ' ', end - n);
    memset(out + end, 'd', (bytes + 2879) / 2880 * 2880);
    return end + (bytes + 2879) / 2880 * 2880;
}

/* Standard 4.0, section 4.4.1: image 30 x 7 of float32, then a table of 3 rows of 100 bytes
 * with a heap of 5000 (PCOUNT). */
static size_t fits_sample(char *out)
{
    static const char *const image[] = {
        "SIMPLE  =                    T", "BITPIX  =                  -32",
        "NAXIS   =                    2", "NAXIS1  =                   30",
        "NAXIS2  =                    7", NULL};
    static const char *const table[] = {
        "XTENSION= 'BINTABLE'",           "BITPIX  =                    8",
        "NAXIS   =                    2", "NAXIS1  =                  100",
        "NAXIS2  =                    3", "PCOUNT  =                 5000",
        "GCOUNT  =                    1", NULL};
    size_t n = fits_hdu(out, image, 30 * 7 * 4);

    assert_int_equal(n, 2 * 2880);
    n += fits_hdu(out + n, table, 100 * 3 + 5000);
    assert_int_equal(n, 5 * 2880);
    return n;
}

static void a_fits_file_cut_anywhere_never_passes(void **state)
{
    static char data[20 * 2880];
    size_t n = fits_sample(data);

    (void)state;
    write_file("x.fits", data, n);
    assert_int_equal(probe("x.fits"), PROBE_OK);
    for (size_t len = 1; len < n; len += 89) {
        bool padding = len >= 2880 + 30 * 7 * 4 && len < 2 * 2880;

        if (len == 2 * 2880)
            continue;
        padding |= len >= 3 * 2880 + 100 * 3 + 5000;
        write_file("x.fits", data, len);
        assert_int_equal(probe("x.fits"), PROBE_WAIT);
        assert_int_equal(r.at_rest, padding ? PROBE_OK : PROBE_BAD);
    }
    for (size_t more = 1; more < 2880; more += 411) { /* behind the last block */
        memset(data + n, 'z', more);
        write_file("x.fits", data, n + more);
        assert_int_equal(probe("x.fits"), PROBE_WAIT);
        assert_int_equal(r.at_rest, PROBE_OK);
    }
    write_file("x.fits", data, 4 * 2880); /* a block short, a multiple of 2880 */
    assert_int_equal(probe("x.fits"), PROBE_WAIT);
    write_file("x.fits", data, 2 * 2880); /* whole as far as anyone can tell */
    assert_int_equal(probe("x.fits"), PROBE_OK);
}

static void random_groups_and_impossible_fits_headers_are_understood(void **state)
{
    static const char *const groups[] = {
        "SIMPLE  =                    T", "BITPIX  =                  -32",
        "NAXIS   =                    3", "NAXIS1  =                    0",
        "NAXIS2  =                    3", "NAXIS3  =                    4",
        "GROUPS  =                    T", "PCOUNT  =                    5",
        "GCOUNT  =                  100", NULL};
    static const char *const huge[] = {
        "SIMPLE  =                    T", "BITPIX  =                  -64",
        "NAXIS   =                    2", "NAXIS1  =  9223372036854775807",
        "NAXIS2  =  9223372036854775807", NULL};
    static const char *const odd[] = {"SIMPLE  =                    T",
                                      "BITPIX  =                   12",
                                      "NAXIS   =                    0", NULL};
    static char data[20 * 2880];
    size_t n;

    (void)state;
    n = fits_hdu(data, groups, 4 * 100 * (5 + 3 * 4)); /* eq. 2 */
    assert_int_equal(n, 4 * 2880);
    write_file("x.fits", data, n);
    assert_int_equal(probe("x.fits"), PROBE_OK);
    write_file("x.fits", data, n - 2880);
    assert_int_equal(probe("x.fits"), PROBE_WAIT);
    write_file("x.fits", data, fits_hdu(data, huge, 2880));
    assert_int_equal(probe("x.fits"), PROBE_BAD);
    write_file("x.fits", data, fits_hdu(data, odd, 0));
    assert_int_equal(probe("x.fits"), PROBE_BAD);
    write_file("x.fits", "not FITS at all", 15);
    assert_int_equal(probe("x.fits"), PROBE_BAD);
}

/* ---- text ---- */

static void text_files_wait_for_their_end(void **state)
{
    static const struct {
        const char *path, *text;
        enum probe_verdict verdict, at_rest;
    } t[] = {
        {"a.csv", "x,y\n1,2\n", PROBE_OK, PROBE_OK},
        {"a.csv", "x,y\n1,", PROBE_WAIT, PROBE_OK},
        {"a.tsv", "x\ty\n1\t2", PROBE_WAIT, PROBE_OK},
        {"a.json", "{\"a\": [1, 2]}", PROBE_OK, PROBE_OK},
        {"a.json", "{\"a\": [1, 2", PROBE_WAIT, PROBE_BAD},
        {"a.json", "{\"a\": [1, 2}", PROBE_BAD, PROBE_BAD},
        {"a.json", "{\"a\": NaN, \"b\": \"]\",}\n", PROBE_WAIT, PROBE_OK},
        {"a.json", "{\"a\": 1}\n{\"a\": 2}\n", PROBE_WAIT, PROBE_OK},
        {"a.json", "\xef\xbb\xbf[1, 2]", PROBE_WAIT, PROBE_OK},
        {"a.json", "a flux of [1]", PROBE_BAD, PROBE_BAD},
        {"a.csv", "", PROBE_WAIT, PROBE_WAIT},
        {"a.other", "x", PROBE_OK, PROBE_OK},
    };

    (void)state;
    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        write_file(t[i].path, t[i].text, strlen(t[i].text));
        assert_int_equal(probe(t[i].path), t[i].verdict);
        assert_int_equal(r.at_rest, t[i].at_rest);
    }
    write_file("a.csv", "x\0y\n", 4);
    assert_int_equal(probe("a.csv"), PROBE_BAD);
}

/* ---- the world ---- */

static void any_file_open_for_writing_waits(void **state)
{
    int fd;

    (void)state;
    write_file("a.csv", "x,y\n", 4);
    fd = open("a.csv", O_WRONLY | O_APPEND);
    assert_int_equal(probe("a.csv"), PROBE_WAIT);
    assert_int_equal(r.writer, PROBE_WRITER_SOME);
    close(fd);
    fd = open("a.csv", O_RDONLY); /* readers do not count */
    assert_int_equal(probe("a.csv"), PROBE_OK);
    assert_int_equal(r.writer, PROBE_WRITER_NONE);
    close(fd);
}

/* matrix: watch 16 symlink loops, FIFOs, devices, sockets (probe) */
static void what_is_no_regular_file_is_refused_without_hanging(void **state)
{
    static const char *const path[] = {"fifo.hdf5", "link.hdf5", "dir.hdf5",
                                       "loop.hdf5", "/dev/null"};

    (void)state;
    assert_int_equal(mkfifo("fifo.hdf5", 0644), 0);
    assert_int_equal(symlink("/etc/passwd", "link.hdf5"), 0);
    assert_int_equal(symlink("loop.hdf5", "loop.hdf5"), 0);
    assert_int_equal(mkdir("dir.hdf5", 0755), 0);
    for (size_t i = 0; i < sizeof path / sizeof path[0]; i++) {
        bool link = path[i][0] == 'l';

        assert_int_equal(probe(path[i]), PROBE_BAD);
        assert_non_null(
            strstr(r.reason, link ? "symbolic link" : "not a regular file"));
        assert_int_equal(probe_look(AT_FDCWD, path[i], &r), PROBE_BAD);
        assert_false(r.regular);
    }
    assert_int_equal(probe("none.hdf5"), PROBE_GONE);
    assert_int_equal(probe("/etc/passwd/none.hdf5"), PROBE_GONE);
}

/* matrix: watch 17 EACCES (probe) */
static void an_unreadable_file_is_bad_with_the_reason(void **state)
{
    uid_t uid = geteuid();

    (void)state;
    write_file("a.csv", "x\n", 2);
    assert_int_equal(chmod("a.csv", 0), 0);
    assert_int_equal(chmod(".", 0755), 0);
    if (uid == 0)
        assert_int_equal(seteuid(65534), 0);
    probe("a.csv");
    if (uid == 0)
        assert_int_equal(seteuid(0), 0);
    assert_int_equal(r.verdict, PROBE_BAD);
    assert_string_equal(r.reason, "cannot be read: Permission denied");
}

static int real_ok, real_sparse;

static int probe_real(const char *path, const struct stat *st, int type,
                      struct FTW *ftw)
{
    const char *dot = strrchr(path, '.');

    (void)st;
    (void)ftw;
    if (type != FTW_F || dot == NULL || strstr(".uvh5 .hdf5 .h5 .fits", dot) == NULL)
        return 0;
    if (probe(path) == PROBE_OK)
        real_ok++;
    else if (r.hole && r.at_rest == PROBE_OK)
        real_sparse++;
    else {
        print_message("%s: %s\n", path, r.reason);
        return 1;
    }
    return 0;
}

static void all_real_files_are_whole(void **state)
{
    (void)state;
    if (shared_data() == NULL) {
        print_message("skipped: no real files\n");
        skip();
    }
    assert_int_equal(nftw(shared_data(), probe_real, 16, FTW_PHYS), 0);
    print_message("%d whole, %d sparse\n", real_ok, real_sparse);
    assert_true(real_ok > 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        OWN_DIR(an_open_hdf5_file_waits_until_it_is_closed),
        OWN_DIR(a_file_whose_writer_was_killed_is_bad_at_rest),
        OWN_DIR(an_hdf5_file_cut_anywhere_never_passes),
        OWN_DIR(a_half_copy_into_preallocated_space_waits),
        OWN_DIR(a_sparse_file_that_ends_in_data_is_whole_at_rest),
        OWN_DIR(a_sparse_file_that_ends_in_a_hole_is_whole_at_rest),
        OWN_DIR(a_user_block_does_not_hide_an_hdf5_file),
        OWN_DIR(what_is_not_hdf5_is_bad_at_once),
        OWN_DIR(a_fits_file_cut_anywhere_never_passes),
        OWN_DIR(random_groups_and_impossible_fits_headers_are_understood),
        OWN_DIR(text_files_wait_for_their_end),
        OWN_DIR(any_file_open_for_writing_waits),
        OWN_DIR(what_is_no_regular_file_is_refused_without_hanging),
        OWN_DIR(an_unreadable_file_is_bad_with_the_reason),
        cmocka_unit_test(all_real_files_are_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
