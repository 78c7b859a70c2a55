#include "tests/test.h"

#include "core/err.h"
#include "core/path.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

static void put(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static size_t entries(const char *dir)
{
    DIR *d = opendir(dir);
    size_t n = 0;

    assert_non_null(d);
    while (readdir(d) != NULL)
        n++;
    closedir(d);
    return n - 2;
}

static void a_joint_has_one_slash(void **state)
{
    char out[16];
    struct err e;

    (void)state;
    assert_int_equal(path_join(out, sizeof out, "a", "b", NULL), 0);
    assert_string_equal(out, "a/b");
    assert_int_equal(path_join(out, sizeof out, "/a//", "/b", NULL), 0);
    assert_string_equal(out, "/a/b");
    assert_int_equal(path_join(out, sizeof out, "/", "b", NULL), 0);
    assert_string_equal(out, "/b");
    assert_int_equal(path_join(out, sizeof out, "0123456", "01234567", NULL),
                     -ENAMETOOLONG);
    assert_int_equal(path_join(out, sizeof out, "0123456", "0123456", &e), 0);
    assert_string_equal(path_base("/a/b.hdf5"), "b.hdf5");
    assert_string_equal(path_base("b"), "b");
}

static void folders_are_made_with_their_parents(void **state)
{
    struct stat st;
    struct err e;

    (void)state;
    assert_int_equal(path_mkdirs("a/b//c/", NULL), 0);
    assert_int_equal(path_mkdirs("a/b/c", NULL), 0); /* exists: fine */
    assert_int_equal(stat("a/b/c", &st), 0);
    assert_true(S_ISDIR(st.st_mode));
    put("a/file", "x");
    assert_int_equal(path_mkdirs("a/file/d", &e), -ENOTDIR);
    assert_non_null(strstr(e.text, "a/file"));
}

static void a_written_file_replaces_the_old_one_whole(void **state)
{
    char *text;
    size_t n;
    struct stat st;

    (void)state;
    umask(022);
    assert_int_equal(path_write("f", "first", 5, NULL), 0);
    assert_int_equal(path_write("f", "no", 2, NULL), 0);
    assert_int_equal(path_read(&text, &n, "f", 100, NULL), 0);
    assert_int_equal(n, 2);
    assert_string_equal(text, "no");
    free(text);
    assert_int_equal(stat("f", &st), 0);
    assert_int_equal(st.st_mode & 0777, 0644);
    assert_int_equal(entries("."), 1);
}

static void a_private_file_is_so_whatever_was_there(void **state)
{
    struct stat st;

    (void)state;
    umask(022);
    assert_int_equal(path_write("f", "for all", 7, NULL), 0);
    assert_int_equal(path_write_private("f", "secret", 6, NULL), 0);
    assert_int_equal(stat("f", &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(st.st_size, 6);
    assert_int_equal(entries("."), 1);
}

/* A write that fails half-way: the kernel refuses what lies beyond RLIMIT_FSIZE. */
static void a_failed_write_leaves_the_old_file_and_nothing_else(void **state)
{
    static char big[8192];
    char *text;
    pid_t pid;
    int status;

    (void)state;
    assert_int_equal(path_write("f", "old", 3, NULL), 0);
    pid = fork();
    if (pid == 0) {
        struct rlimit lim = {4096, 4096};
        struct err e = {0};

        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &lim);
        _exit(path_write("f", big, sizeof big, &e) == -EFBIG &&
                      strstr(e.text, "cannot write f:") != NULL
                  ? 0
                  : 1);
    }
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
    assert_int_equal(path_read(&text, NULL, "f", 100, NULL), 0);
    assert_string_equal(text, "old");
    free(text);
    assert_int_equal(entries("."), 1);
}

static void reading_stops_at_the_limit(void **state)
{
    char *text;
    size_t n;
    struct err e;

    (void)state;
    put("f", "12345");
    assert_int_equal(path_read(&text, &n, "f", 5, NULL), 0);
    assert_string_equal(text, "12345");
    free(text);
    assert_int_equal(path_read(&text, &n, "f", 4, &e), ERR_SHAPE);
    assert_null(text);
    assert_string_equal(e.text, "f is longer than 4 bytes");
    assert_int_equal(path_read(&text, &n, "/dev/zero", 4, &e), ERR_FORMAT);
    assert_int_equal(mkfifo("pipe", 0600), 0);
    assert_int_equal(path_read(&text, &n, "pipe", 4, &e), ERR_FORMAT);
    assert_int_equal(path_read(&text, &n, "absent", 4, &e), -ENOENT);
    put("empty", "");
    assert_int_equal(path_read(&text, &n, "empty", 0, NULL), 0);
    assert_int_equal(n, 0);
    assert_string_equal(text, "");
    free(text);
    /* no size in its stat: read to the end all the same */
    assert_int_equal(path_read(&text, &n, "/proc/self/maps", 1 << 20, NULL), 0);
    assert_true(n > 100);
    free(text);
}

static void removing_a_tree_does_not_follow_links(void **state)
{
    char name[32];

    (void)state;
    assert_int_equal(path_mkdirs("keep/deep", NULL), 0);
    put("keep/deep/f", "x");
    assert_int_equal(path_mkdirs("tree/a/b", NULL), 0);
    for (int i = 0; i < 300; i++) {
        snprintf(name, sizeof name, "tree/a/b/%d", i);
        put(name, "x");
    }
    assert_int_equal(symlink("../../keep", "tree/a/link"), 0);
    assert_int_equal(symlink("nowhere", "tree/dangling"), 0);
    assert_int_equal(symlink("keep", "top"), 0);
    assert_int_equal(path_remove_tree("tree", NULL), 0);
    assert_int_equal(path_remove_tree("top", NULL), 0);  /* the link, not its target */
    assert_int_equal(path_remove_tree("tree", NULL), 0); /* missing: fine */
    assert_int_equal(access("keep/deep/f", F_OK), 0);
    assert_int_equal(entries("."), 1);
}

static void a_tree_with_links_and_pipes_can_be_synced(void **state)
{
    (void)state;
    assert_int_equal(path_mkdirs("tree/a", NULL), 0);
    put("tree/a/f", "x");
    assert_int_equal(symlink("nowhere", "tree/link"), 0);
    assert_int_equal(mkfifo("tree/pipe", 0600), 0);
    assert_int_equal(path_fsync_tree("tree", NULL), 0);
    assert_int_equal(path_fsync_tree("absent", NULL), -ENOENT);
    assert_int_equal(path_fsync_dir("tree", NULL), 0);
}

/* FIPS 180-2, appendix B.1 and B.3: "abc", and a million times "a" (here across the 1 MiB
 * buffer's edge: 1,048,576 + 1 bytes, from sha256sum). */
static void digests_are_those_of_the_standard(void **state)
{
    char hex[PATH_SHA256], *a = malloc(1 << 20);
    uint64_t size;
    FILE *f;

    (void)state;
    put("abc", "abc");
    assert_int_equal(path_sha256("abc", hex, &size, NULL), 0);
    assert_string_equal(
        hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_int_equal(size, 3);

    memset(a, 'a', 1 << 20);
    f = fopen("million", "w");
    fwrite(a, 1, 1000000, f);
    fclose(f);
    assert_int_equal(path_sha256("million", hex, &size, NULL), 0);
    assert_string_equal(
        hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");

    f = fopen("edge", "w");
    fwrite(a, 1, 1 << 20, f);
    fwrite("b", 1, 1, f);
    fclose(f);
    assert_int_equal(path_sha256("edge", hex, &size, NULL), 0);
    assert_string_equal(
        hex, "371264331be3a89bb42c4fea3770469e9094f6ce8c8244b9ac2beb9ffd80e621");
    assert_int_equal(size, (1 << 20) + 1);
    assert_int_equal(path_sha256("absent", hex, &size, NULL), -ENOENT);
    assert_int_equal(path_sha256(".", hex, &size, NULL), ERR_FORMAT);
    free(a);
}

static void free_space_is_what_statvfs_says(void **state)
{
    uint64_t bytes;
    struct statvfs vfs;

    (void)state;
    assert_int_equal(path_free_bytes(".", &bytes, NULL), 0);
    assert_int_equal(statvfs(".", &vfs), 0);
    /* others write to the disk meanwhile */
    assert_true(bytes <= (uint64_t)vfs.f_blocks * vfs.f_frsize);
    assert_true(bytes > 0);
    assert_int_equal(path_free_bytes("absent", &bytes, NULL), -ENOENT);
}

static void what_killed_writers_left_is_swept(void **state)
{
    static const char *const name[] = {".a.json.0123456789abcdef.tmp",
                                       ".a.json.0123.tmp", "a.0123456789abcdef.tmp",
                                       ".b.fedcba9876543210.tmp"};
    struct timespec old[2] = {{.tv_sec = 1}, {.tv_sec = 1}};

    (void)state;
    for (int i = 0; i < 4; i++) {
        fclose(fopen(name[i], "w"));
        if (i < 3)
            assert_int_equal(utimensat(AT_FDCWD, name[i], old, 0), 0);
    }
    assert_int_equal(path_sweep_temps("."), 1); /* the last may be in the making */
    assert_int_equal(access(name[0], F_OK), -1);
    for (int i = 1; i < 4; i++)
        assert_int_equal(access(name[i], F_OK), 0);
}

/* head -c and tail -c of coreutils into sha256sum say the same. */
static void a_long_file_is_digested_by_its_ends(void **state)
{
    char hex[PATH_SHA256], want[PATH_SHA256] = "";
    uint64_t size;
    struct err e;
    FILE *f = fopen("long", "wb"), *said;

    (void)state;
    for (int i = 0; i < 200001; i++)
        fputc(i * 7919 >> 5, f);
    fclose(f);
    assert_int_equal(path_sha256_ends("long", hex, &size, &e), 0);
    assert_int_equal(size, 200001);
    said = popen("(head -c 65536 long; tail -c 65536 long) | sha256sum", "r");
    assert_int_equal(fread(want, 1, 64, said), 64);
    pclose(said);
    assert_string_equal(hex, want);
    assert_int_equal(truncate("long", 100001), 0); /* all of it, each byte once */
    assert_int_equal(path_sha256_ends("long", hex, NULL, &e), 0);
    assert_int_equal(path_sha256("long", want, NULL, &e), 0);
    assert_string_equal(hex, want);
    assert_int_equal(truncate("long", 0), 0);
    assert_int_equal(path_sha256_ends("long", hex, NULL, &e), 0);
    assert_int_equal(path_sha256("long", want, NULL, &e), 0);
    assert_string_equal(hex, want);
    assert_int_equal(path_sha256_ends("nowhere", hex, NULL, &e), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        OWN_DIR(a_long_file_is_digested_by_its_ends),
        cmocka_unit_test(a_joint_has_one_slash),
        OWN_DIR(folders_are_made_with_their_parents),
        OWN_DIR(a_written_file_replaces_the_old_one_whole),
        OWN_DIR(a_private_file_is_so_whatever_was_there),
        OWN_DIR(a_failed_write_leaves_the_old_file_and_nothing_else),
        OWN_DIR(reading_stops_at_the_limit),
        OWN_DIR(removing_a_tree_does_not_follow_links),
        OWN_DIR(a_tree_with_links_and_pipes_can_be_synced),
        OWN_DIR(digests_are_those_of_the_standard),
        OWN_DIR(free_space_is_what_statvfs_says),
        OWN_DIR(what_killed_writers_left_is_swept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
