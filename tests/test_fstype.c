/*
 * test_fstype.c: one table of file systems, and everybody who asks goes by it.
 *
 * The programs' fstatfs(2) is this file's: it says what a test wants to be mounted.
 */
#include "core/err.h"
#include "core/fstype.h"
#include "core/store/queue.h"
#include "locks/lockfs.h"
#include "pipeline/product/progress_parts.h"
#include "tests/test.h"
#include "watcherd/files/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

static long mounted; /* what fstatfs says; 0: it fails */

int fstatfs(int fd, struct statfs *fs)
{
    (void)fd;
    memset(fs, 0, sizeof *fs);
    fs->f_type = mounted;
    errno = ENOSYS;
    return mounted != 0 ? 0 : -1;
}

/* From statfs(2), linux/magic.h; what each asker has to say of it. */
static const struct {
    uint32_t magic;
    const char *name; /* NULL: unknown */
    bool local, shared, exact;
} list[] = {
    {0xef53, "ext4", true, false, true},
    {0x58465342, "xfs", true, false, true},
    {0x9123683e, "btrfs", true, false, true},
    {0x01021994, "tmpfs", true, false, true},
    {0x794c7630, "overlay", true, false, false},
    {0x4d44, "vfat", true, false, false}, /* counts in 2 s */
    {0x6969, "nfs", false, true, false},
    {0x517b, "smb", false, true, false},
    {0xff534d42, "cifs", false, true, false},
    {0xfe534d42, "smb2", false, true, false},
    {0x65735546, "fuse", false, true, false}, /* sshfs */
    {0x01021997, "9p", false, true, false},
    {0x0bd00bd0, "lustre", false, true, false},
    {0xaad7aaea, "panfs", false, true, false},
    {0x73757245, "coda", false, true, false},
    {0x12345678, NULL, false, false, false},
    {0, NULL, false, false, false},
};
enum { NLIST = sizeof list / sizeof list[0] };

static void the_table_knows_each_by_its_number(void **state)
{
    (void)state;
    for (size_t i = 0; i < NLIST; i++) {
        const struct fstype *type = fstype_by_magic(list[i].magic);

        if (list[i].name == NULL) {
            assert_null(type);
            continue;
        }
        assert_non_null(type);
        assert_string_equal(type->name, list[i].name);
        assert_int_equal(type->shared, list[i].shared);
        assert_int_equal(type->exact_times, list[i].exact);
    }
}

static void a_number_that_the_kernel_gives_with_its_sign_is_the_same(void **state)
{
    (void)state;
    mounted = (int)0xff534d42;
    assert_string_equal(fstype_of(0, NULL)->name, "cifs");
}

static void sqlite_is_refused_where_other_machines_may_write(void **state)
{
    struct queue_opts opts = {.store = "sqlite:q", .role = QUEUE_AS_DAEMON};

    (void)state;
    for (size_t i = 0; i < NLIST; i++) {
        struct queue *q = NULL;
        struct err e = {0};

        mounted = list[i].magic;
        assert_int_equal(queue_open(&q, &opts, &e), list[i].shared ? -ENOTSUP : 0);
        if (list[i].shared)
            assert_non_null(strstr(e.text, list[i].name));
        queue_close(q);
    }
}

static void kernel_locks_are_believed_on_known_local_ones_only(void **state)
{
    struct lockfs fs;

    (void)state;
    for (size_t i = 0; i < NLIST; i++) {
        mounted = list[i].magic;
        lockfs_get(AT_FDCWD, &fs);
        assert_int_equal(fs.local, list[i].local);
        assert_int_equal(fs.mode, list[i].local ? MODE_FLOCK : MODE_GEN);
        assert_int_equal(lockfs_is_local(AT_FDCWD), list[i].local);
        if (list[i].name != NULL)
            assert_string_equal(fs.type, list[i].name);
    }
    mounted = 0x12345678;
    lockfs_get(AT_FDCWD, &fs);
    assert_string_equal(fs.type, "0x12345678");
    mounted = 0;
    lockfs_get(AT_FDCWD, &fs);
    assert_string_equal(fs.type, "unknown");
}

/* What doctor found before the table knew this type stays true. */
static void findings_under_a_number_are_those_of_the_name_too(void **state)
{
    struct lockfs fs;
    int dirfd;
    FILE *f;

    (void)state;
    assert_int_equal(mkdir("g", 0755), 0);
    assert_int_equal(mkdir(".watcherd", 0755), 0);
    f = fopen(".watcherd/fs.json", "w");
    assert_non_null(f);
    fputs("{\"mode\": \"excl\", \"type\": \"0xaad7aaea\"}", f);
    assert_int_equal(fclose(f), 0);
    dirfd = open("g", O_RDONLY | O_DIRECTORY);
    mounted = 0xaad7aaea;
    lockfs_get(dirfd, &fs);
    assert_int_equal(fs.mode, MODE_EXCL);
    mounted = 0x6969;
    lockfs_get(dirfd, &fs);
    assert_int_equal(fs.mode, MODE_GEN);
    close(dirfd);
}

/* Nobody of this machine writes to it; on a shared one that says little. */
static void an_unfinished_file_without_a_writer_is_doubted_on_shared_ones(void **state)
{
    FILE *f = fopen("x.json", "w");

    (void)state;
    assert_non_null(f);
    fputs("{\"half\":", f);
    assert_int_equal(fclose(f), 0);
    for (size_t i = 0; i < NLIST; i++) {
        struct probe_result r;

        mounted = list[i].magic;
        probe_file(AT_FDCWD, "x.json", &r);
        assert_int_equal(r.verdict, PROBE_WAIT);
        if (list[i].shared)
            assert_int_equal(r.writer, PROBE_WRITER_UNKNOWN);
    }
}

/* /usr has been at rest for longer than the 2 s that are asked for. */
static void times_are_believed_where_they_are_exact(void **state)
{
    int fd = open("/usr", O_RDONLY | O_DIRECTORY);

    (void)state;
    assert_true(fd >= 0);
    for (size_t i = 0; i < NLIST; i++) {
        struct progress_stamps s = {0};

        mounted = list[i].magic;
        progress_stamp_add(&s, "/usr", fd);
        assert_int_equal(s.item[0].rested, list[i].exact);
        free(s.item);
    }
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_knows_each_by_its_number),
        cmocka_unit_test(a_number_that_the_kernel_gives_with_its_sign_is_the_same),
        OWN_DIR(sqlite_is_refused_where_other_machines_may_write),
        cmocka_unit_test(kernel_locks_are_believed_on_known_local_ones_only),
        OWN_DIR(findings_under_a_number_are_those_of_the_name_too),
        OWN_DIR(an_unfinished_file_without_a_writer_is_doubted_on_shared_ones),
        cmocka_unit_test(times_are_believed_where_they_are_exact),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
