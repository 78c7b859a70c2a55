/*
 * test_disk.c: levels from numbers alone, then a tmpfs that is really filled and emptied,
 * by bytes and by inodes, in a mount namespace of our own.
 */
#include "tests/test.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "core/disk.h"

static const struct disk_limits usual = {80, 95, 90};

static struct {
    int n;
    char text[8][DISK_SENTENCE];
    enum disk_level level[8];
} told;

static void note(void *arg, const struct disk_news *news)
{
    (void)arg;
    assert_true(told.n < 8);
    strcpy(told.text[told.n], news->text);
    told.level[told.n++] = news->level;
}

/* A disk of 1000 MiB, each on a file system of its own. */
static struct disk_fill filled(double pct, size_t i)
{
    return (struct disk_fill){.same_as = i,
                              .bytes_used = (uint64_t)(pct * 10 * (1 << 20)),
                              .bytes_free = (uint64_t)((100 - pct) * 10 * (1 << 20))};
}

static struct disk_guard *guard(size_t n)
{
    static const char *const dir[] = {"/a", "/b", "", "/a", "/c"};
    struct disk_guard *g = malloc(sizeof *g);

    assert_non_null(g);
    disk_guard_init(g, &usual, dir, n == 1 ? 1 : n == 2 ? 2 : 5);
    assert_int_equal(g->n, n);
    memset(&told, 0, sizeof told);
    return g;
}

static void judge2(struct disk_guard *g, double a, double b)
{
    struct disk_fill fill[2] = {filled(a, 0), filled(b, 1)};

    told.n = 0;
    disk_judge(g, fill, note, NULL);
}

static void assert_says(int i, const char *what)
{
    if (strstr(told.text[i], what) == NULL)
        fail_msg("\"%s\" has no \"%s\"", told.text[i], what);
}

static void the_level_follows_the_table_with_hysteresis(void **state)
{
    static const struct {
        double pct;
        enum disk_level level;
        int told;
    } row[] = {
        {0, DISK_FINE, 0},    {79.9, DISK_FINE, 0}, {80, DISK_WARN, 1},
        {94.9, DISK_WARN, 0}, {79, DISK_FINE, 1},   {95, DISK_STOP, 1},
        {94, DISK_STOP, 0},   {90.1, DISK_STOP, 0}, {90, DISK_WARN, 1},
        {94.9, DISK_WARN, 0}, {100, DISK_STOP, 1},  {12, DISK_FINE, 1},
        {100, DISK_STOP, 1},  {90.5, DISK_STOP, 0}, {95, DISK_STOP, 0},
        {85, DISK_WARN, 1},
    };
    struct disk_guard *g = guard(1);

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct disk_fill fill = filled(row[i].pct, 0);

        told.n = 0;
        disk_judge(g, &fill, note, NULL);
        assert_int_equal(g->state[0].level, row[i].level);
        assert_int_equal(g->stop, row[i].level == DISK_STOP);
        assert_int_equal(told.n, row[i].told);
        if (told.n > 0)
            assert_int_equal(told.level[0], row[i].level);
    }
    free(g);
}

static void work_starts_again_only_when_all_are_down(void **state)
{
    struct disk_guard *g = guard(2);

    (void)state;
    judge2(g, 96, 92);
    assert_true(g->stop);
    assert_int_equal(told.n, 2);
    assert_says(0, "/a is 96.0 % full, 40.0 MiB free: no task is started until it is "
                   "down to 90 %");
    assert_says(1, "/b is 92.0 % full, 80.0 MiB free: no task is started");
    judge2(g, 50, 91); /* the one that began it is empty; the other holds on */
    assert_true(g->stop);
    assert_int_equal(told.n, 1);
    assert_says(0, "/a is 50.0 % full, 500.0 MiB free: another one is still too full");
    judge2(g, 50, 90);
    assert_false(g->stop);
    assert_int_equal(told.n, 1);
    assert_says(0, "/b is 90.0 % full, 100.0 MiB free: tasks are started again");
    assert_int_equal(told.level[0], DISK_WARN);
    judge2(g, 50, 94); /* without a stop that is only a warning */
    assert_false(g->stop);
    assert_int_equal(told.n, 0);
    free(g);
}

static void a_full_inode_table_is_a_full_file_system(void **state)
{
    struct disk_guard *g = guard(1);
    struct disk_fill fill = filled(10, 0);

    (void)state;
    fill.files_used = 999;
    fill.files_free = 1;
    disk_judge(g, &fill, note, NULL);
    assert_true(g->stop);
    assert_says(0, "/a has 99.9 % of its inodes in use, 1 and 900.0 MiB free");
    fill.files_used = fill.files_free = 0; /* btrfs: there is no limit */
    disk_judge(g, &fill, note, NULL);
    assert_false(g->stop);
    fill = (struct disk_fill){.same_as = 0}; /* proc: no blocks at all */
    assert_true(disk_pct(&fill) == 0);
    free(g);
}

static void what_cannot_be_asked_keeps_its_level_and_is_told_once(void **state)
{
    struct disk_guard *g = guard(1);
    struct disk_fill fill = filled(97, 0), none = {.rc = -EIO, .same_as = 0};

    (void)state;
    disk_judge(g, &none, note, NULL); /* never answered: no reason to stop */
    assert_false(g->stop);
    assert_int_equal(told.n, 1);
    assert_int_equal(told.level[0], DISK_WARN);
    assert_says(0, "cannot tell how full /a is: Input/output error");
    disk_judge(g, &none, note, NULL);
    assert_int_equal(told.n, 1);
    disk_judge(g, &fill, note, NULL);
    assert_true(g->stop);
    assert_int_equal(told.n, 2);
    disk_judge(g, &none, note, NULL);
    assert_true(g->stop);
    assert_int_equal(told.n, 3);
    disk_judge(g, &fill, note, NULL);
    assert_int_equal(told.n, 4);
    assert_says(3, "/a is 97.0 % full, 30.0 MiB free");
    free(g);
}

static void directories_of_one_file_system_count_once(void **state)
{
    struct disk_guard *g = guard(3);
    struct disk_fill fill[3] = {filled(96, 0), filled(96, 0), filled(10, 2)};

    (void)state;
    disk_judge(g, fill, note, NULL);
    assert_true(g->stop);
    assert_int_equal(told.n, 1);
    assert_says(0, "/a is 96.0 %");
    assert_int_equal(g->state[1].level, DISK_STOP);
    assert_int_equal(g->state[2].level, DISK_FINE);
    assert_string_equal(g->state[2].dir, "/c");
    fill[1] = filled(10, 1); /* another disk was mounted there */
    told.n = 0;
    disk_judge(g, fill, note, NULL);
    assert_int_equal(told.n, 1);
    assert_says(0, "/b is 10.0 %");
    free(g);
}

static void sizes_are_told_in_units_of_1024(void **state)
{
    char out[32];

    (void)state;
    assert_string_equal(disk_bytes(0, out), "0 B");
    assert_string_equal(disk_bytes(1023, out), "1023 B");
    assert_string_equal(disk_bytes(1024, out), "1.0 KiB");
    assert_string_equal(disk_bytes(1536, out), "1.5 KiB");
    assert_string_equal(disk_bytes((1 << 20) - 1, out), "1.0 MiB");
    assert_string_equal(disk_bytes(UINT64_MAX, out), "16.0 EiB");
}

/* ---- the real thing ---- */

/* The number that df prints for the directory, rounded up as df does. */
static int df_pct(const char *what, const char *dir)
{
    char cmd[200];
    FILE *p;
    int pct = -1;

    snprintf(cmd, sizeof cmd, "df --output=%s %s | tail -1 | tr -d ' %%'", what, dir);
    p = popen(cmd, "r");
    assert_non_null(p);
    assert_int_equal(fscanf(p, "%d", &pct), 1);
    pclose(p);
    return pct;
}

/* statvfs on this directory, judged. */
static void look(struct disk_guard *g)
{
    char dir[DISK_MOST][PATH_MAX];
    struct disk_fill fill[DISK_MOST];

    for (size_t i = 0; i < g->n; i++)
        strcpy(dir[i], g->state[i].dir);
    told.n = 0;
    disk_look(fill, (const char(*)[PATH_MAX])dir, g->n, NULL);
    disk_judge(g, fill, note, NULL);
}

static void write_bytes(const char *path, size_t n)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

    assert_true(fd != -1);
    assert_int_equal(posix_fallocate(fd, 0, (off_t)n), 0);
    close(fd);
}

static void
a_file_system_that_fills_up_stops_work_and_room_starts_it_again(void **state)
{
    struct disk_guard *g = malloc(sizeof *g);
    char a[200], sub[220], not_yet[240], name[260];
    const char *dir[] = {a, sub, not_yet};

    (void)state;
    assert_non_null(g);
    if (unshare(CLONE_NEWNS) != 0 ||
        mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
        print_message("skipped: mounting needs root\n");
        free(g);
        skip();
    }
    snprintf(a, sizeof a, "%s/a", own_dir);
    snprintf(sub, sizeof sub, "%s/sub", a);
    snprintf(not_yet, sizeof not_yet, "%s/not/yet", sub);
    mkdir("a", 0755);
    assert_int_equal(mount("none", "a", "tmpfs", 0, "size=4m,nr_inodes=100"), 0);
    mkdir("a/sub", 0755);
    disk_guard_init(g, &usual, dir, 3);

    look(g);
    assert_int_equal(told.n, 0);
    assert_int_equal(g->state[2].fill.same_as, 0);
    assert_int_equal(g->state[2].rc, 0);

    write_bytes("a/most", (4 << 20) * 85 / 100);
    look(g);
    assert_int_equal(told.n, 1);
    assert_int_equal(g->state[0].level, DISK_WARN);
    assert_int_equal((int)disk_pct(&g->state[0].fill) + 1, df_pct("pcent", "a"));

    write_bytes("a/rest", 1 << 19);
    look(g);
    assert_int_equal(told.n, 1);
    assert_true(g->stop);
    assert_says(0, "no task is started");
    assert_says(0, a);
    assert_int_equal((int)disk_pct(&g->state[0].fill) + 1, df_pct("pcent", "a"));

    unlink("a/rest");
    look(g);
    assert_false(g->stop);
    assert_int_equal(told.n, 1);
    unlink("a/most");
    look(g);
    assert_int_equal(g->state[0].level, DISK_FINE);

    for (int i = 0; snprintf(name, sizeof name, "a/sub/%d", i), mkdir(name, 0755) == 0;
         i++)
        assert_true(i < 100);
    assert_int_equal(errno, ENOSPC);
    look(g);
    assert_true(g->stop);
    assert_says(0, "100.0 % of its inodes in use, 0 and");
    assert_int_equal(df_pct("ipcent", "a"), 100);
    assert_int_equal(system("rm -rf a/sub/*"), 0);
    look(g);
    assert_false(g->stop);
    umount("a");
    free(g);
}

static void a_path_through_a_file_is_told_as_such(void **state)
{
    struct disk_guard *g = malloc(sizeof *g);
    char through[200];
    const char *dir[] = {through};

    (void)state;
    assert_non_null(g);
    close(open("file", O_CREAT | O_WRONLY, 0644));
    snprintf(through, sizeof through, "%s/file/x", own_dir);
    disk_guard_init(g, &usual, dir, 1);
    look(g);
    assert_int_equal(told.n, 1);
    assert_says(0, "Not a directory");
    free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_level_follows_the_table_with_hysteresis),
        cmocka_unit_test(work_starts_again_only_when_all_are_down),
        cmocka_unit_test(a_full_inode_table_is_a_full_file_system),
        cmocka_unit_test(what_cannot_be_asked_keeps_its_level_and_is_told_once),
        cmocka_unit_test(directories_of_one_file_system_count_once),
        cmocka_unit_test(sizes_are_told_in_units_of_1024),
        OWN_DIR(a_file_system_that_fills_up_stops_work_and_room_starts_it_again),
        OWN_DIR(a_path_through_a_file_is_told_as_such),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
