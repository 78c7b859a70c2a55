/*
 * test_dirs.c: directories counted without a disk, the clock a number that the test moves;
 * then settle by directories over real files, and the identity of a directory.
 */
#include "tests/test.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "core/dirsum.h"
#include "watcherd/files/dirs.h"
#include "watcherd/files/probe.h"
#include "watcherd/files/watch.h"

static struct {
    int n[SETTLE_IS_GONE + 1]; /* by enum settle_what */
    bool again;
    char path[300], reason[256];
} told;

static void note(void *arg, const struct settle_news *news)
{
    (void)arg;
    told.n[news->what]++;
    told.again = news->again;
    snprintf(told.path, sizeof told.path, "%s", news->path);
    snprintf(told.reason, sizeof told.reason, "%s", news->reason);
}

static int ntold(void)
{
    return told.n[0] + told.n[1] + told.n[2] + told.n[3] + told.n[4];
}

/* What the looks of the pure tests answer. */
static struct dirs_look answer;

static void look(void *arg, const char *path, struct dirs_look *out)
{
    (void)arg;
    (void)path;
    *out = answer;
}

static void whole(void)
{
    answer = (struct dirs_look){.whole = true, .id = {.ino = 7, .size = 5}};
}

/* Let the time pass to `to`, waking only when asked to. */
static void run(struct dirs *d, double *now, double to)
{
    memset(&told, 0, sizeof told);
    for (int n = 0; n < 10000; n++) {
        double in = dirs_next_s(d, *now);

        if (in < 0 || *now + in > to)
            break;
        *now += in;
        dirs_tick(d, *now, look, NULL, note, NULL);
    }
    *now = to;
}

static struct dir *take(struct dirs *d, const char *path, double now)
{
    return dirs_take(d, path, strlen(path), now);
}

static void a_directory_settles_when_its_last_file_has_and_it_was_quiet(void **state)
{
    struct dirs *d = dirs_new(2, 100);
    struct dir *a = take(d, "/in/a", 10);
    double now = 10;

    (void)state;
    whole();
    assert_ptr_equal(take(d, "/in/a", 11), a);
    dirs_count(d, a, DIRS_NO_FILE, SETTLE_NEW, 10);
    dirs_count(d, a, DIRS_NO_FILE, SETTLE_NEW, 10);
    dirs_count(d, a, SETTLE_NEW, SETTLE_SETTLED, 10);
    run(d, &now, 50);
    assert_int_equal(ntold(), 0);
    dirs_count(d, a, SETTLE_NEW, SETTLE_SETTLED, 49.5);
    run(d, &now, 51.4);
    assert_int_equal(ntold(), 0);
    run(d, &now, 51.6);
    assert_int_equal(told.n[SETTLE_IS_SETTLED], 1);
    assert_string_equal(told.path, "/in/a");
    assert_false(told.again);
    run(d, &now, 1000);
    assert_int_equal(ntold(), 0);
    dirs_free(d);
}

static void a_bad_file_keeps_it_waiting_until_it_is_gone(void **state)
{
    struct dirs *d = dirs_new(2, 100);
    struct dir *a = take(d, "/in/a", 0);
    double now = 0;

    (void)state;
    whole();
    dirs_count(d, a, DIRS_NO_FILE, SETTLE_SETTLED, 0);
    dirs_count(d, a, DIRS_NO_FILE, SETTLE_BAD, 0);
    run(d, &now, 500);
    assert_int_equal(ntold(), 0);
    assert_true(dirs_next_s(d, now) < 0);
    dirs_count(d, a, SETTLE_BAD, DIRS_NO_FILE, 0);
    run(d, &now, 501.9); /* that it went is an event of now */
    assert_int_equal(ntold(), 0);
    run(d, &now, 502.1);
    assert_int_equal(told.n[SETTLE_IS_SETTLED], 1);
    dirs_free(d);
}

static void a_changed_file_is_told_at_once_and_settles_again(void **state)
{
    struct dirs *d = dirs_new(2, 100);
    struct dir *a = take(d, "/in/a", 0);
    double now = 0;

    (void)state;
    whole();
    dirs_count(d, a, DIRS_NO_FILE, SETTLE_SETTLED, 0);
    run(d, &now, 10);
    assert_int_equal(told.n[SETTLE_IS_SETTLED], 1);
    /* Away and back between two ticks is a change, too. */
    dirs_count(d, a, SETTLE_SETTLED, SETTLE_GROWING, 10);
    dirs_count(d, a, SETTLE_GROWING, SETTLE_SETTLED, 10);
    run(d, &now, 10.1);
    assert_int_equal(told.n[SETTLE_IS_CHANGED], 1);
    run(d, &now, 20);
    assert_int_equal(told.n[SETTLE_IS_SETTLED], 1);
    assert_true(told.again);
    /* A file more: the same. */
    dirs_count(d, a, DIRS_NO_FILE, SETTLE_NEW, 20);
    run(d, &now, 30);
    assert_int_equal(told.n[SETTLE_IS_CHANGED], 1);
    assert_int_equal(ntold(), 1);
    dirs_free(d);
}

static void it_is_gone_with_its_last_file_and_forgotten_without_a_word(void **state)
{
    struct dirs *d = dirs_new(2, 100);
    struct dir *a = take(d, "/in/a", 0), *b = take(d, "/in/b", 0);
    double now = 0;

    (void)state;
    whole();
    dirs_count(d, a, DIRS_NO_FILE, SETTLE_SETTLED, 0);
    dirs_count(d, b, DIRS_NO_FILE, SETTLE_SETTLED, 0);
    run(d, &now, 10);
    assert_int_equal(told.n[SETTLE_IS_SETTLED], 2);
    dirs_count(d, a, SETTLE_SETTLED, DIRS_NO_FILE, 10);
    run(d, &now, 20);
    assert_int_equal(told.n[SETTLE_IS_GONE], 1);
    assert_string_equal(told.path, "/in/a");
    assert_null(dirs_find(d, "/in/a"));
    dirs_forget(d, "/in/");
    assert_null(dirs_find(d, "/in/b"));
    run(d, &now, 30);
    assert_int_equal(ntold(), 0);
    dirs_free(d);
}

static void a_look_that_says_no_is_repeated_and_overdue_once(void **state)
{
    struct dirs *d = dirs_new(2, 100);
    struct dir *a = take(d, "/in/a", 0);
    double now = 0;

    (void)state;
    answer = (struct dirs_look){.reason = "table.dat is missing"};
    dirs_count(d, a, DIRS_NO_FILE, SETTLE_SETTLED, 0);
    run(d, &now, 99);
    assert_int_equal(ntold(), 0);
    run(d, &now, 100.5);
    assert_int_equal(told.n[SETTLE_IS_OVERDUE], 1);
    assert_string_equal(told.reason, "table.dat is missing");
    run(d, &now, 1000);
    assert_int_equal(ntold(), 0);
    whole();
    run(d, &now, 1061);
    assert_int_equal(told.n[SETTLE_IS_SETTLED], 1);
    dirs_free(d);
}

static void files_in_the_making_must_rest_between_two_looks(void **state)
{
    struct dirs *d = dirs_new(2, 100);
    struct dir *a = take(d, "/in/a", 0);
    double now = 0;

    (void)state;
    whole();
    answer.passing = 11;
    dirs_count(d, a, DIRS_NO_FILE, SETTLE_SETTLED, 0);
    run(d, &now, 3.9); /* looked at 2 */
    assert_int_equal(ntold(), 0);
    answer.passing = 12;
    run(d, &now, 7.9); /* at 4 */
    assert_int_equal(ntold(), 0);
    run(d, &now, 8.1); /* and at 8 */
    assert_int_equal(told.n[SETTLE_IS_SETTLED], 1);
    dirs_free(d);
}

static void ten_thousand_directories_are_told_once_each(void **state)
{
    struct dirs *d = dirs_new(2, 100);
    double now = 0;
    char path[32];

    (void)state;
    whole();
    for (int i = 0; i < 10000; i++) {
        snprintf(path, sizeof path, "/in/%d", i);
        dirs_count(d, take(d, path, 0), DIRS_NO_FILE, SETTLE_SETTLED, 0);
    }
    run(d, &now, 10);
    assert_int_equal(told.n[SETTLE_IS_SETTLED], 10000);
    assert_int_equal(ntold(), 10000);
    dirs_free(d);
}

/* ---- with real files ---- */

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static struct dirsum sum_of(const char *path)
{
    struct dirsum sum;

    assert_int_equal(dirsum_look(&sum, path, NULL, NULL, NULL), 0);
    return sum;
}

static void the_identity_changes_with_every_file_in_it(void **state)
{
    struct timespec old[2] = {{1000, 5}, {1000, 5}}, young[2] = {{2000, 6}, {2000, 6}};
    struct dirsum a, b;

    (void)state;
    mkdir("id", 0755);
    mkdir("id/sub", 0755);
    write_file("id/x.csv", "x\n");
    write_file("id/sub/y.csv", "yy\n");
    utimensat(AT_FDCWD, "id/x.csv", old, 0);
    utimensat(AT_FDCWD, "id/sub/y.csv", young, 0);
    a = sum_of("id");
    assert_int_equal(a.files, 2);
    assert_int_equal(a.id.size, 5);
    assert_int_equal(a.id.mtime_ns / 1000000000, 2000);
    b = sum_of("id/");
    assert_true(file_id_equal(&a.id, &b.id));
    /* The older file alone, its size the same. */
    old[1].tv_nsec = 6;
    utimensat(AT_FDCWD, "id/x.csv", old, 0);
    b = sum_of("id");
    assert_int_not_equal(a.id.mtime_ns, b.id.mtime_ns);
    assert_int_equal(b.id.mtime_ns / 1000000000, 2000);
    rename("id/x.csv", "id/z.csv");
    a = sum_of("id");
    assert_int_not_equal(a.id.mtime_ns, b.id.mtime_ns);
    /* What does not count. */
    write_file("id/.x.csv.Ab12", "1");
    write_file("id/sub/table.lock", "1");
    b = sum_of("id");
    assert_true(file_id_equal(&a.id, &b.id));
    assert_int_not_equal(b.passing, 0);
}

static void settle_run(struct settle *s, double *now, double to)
{
    memset(&told, 0, sizeof told);
    for (int n = 0; n < 10000; n++) {
        double in = settle_next_s(s, *now);

        if (in < 0 || *now + in > to)
            break;
        *now += in;
        settle_tick(s, *now, note, NULL);
    }
    *now = to;
}

static struct {
    struct settle *s;
    double now;
} found;

static void on_dirty(void *arg, const char *path, enum watch_how how)
{
    (void)arg;
    (void)how;
    settle_dirty(found.s, path, SETTLE_SCANNED, found.now);
}

static void a_file_that_a_writer_has_open_is_found_by_the_look(void **state)
{
    static const struct settle_opts opts = {.quiet_s = 2};
    struct watch_opts wo = {.dirty = on_dirty};
    char root[PATH_MAX], dir[PATH_MAX + 8], file[PATH_MAX + 24], why[512];
    struct settle_rule rule;
    struct watch *w;
    double now = 100;
    int fd;

    (void)state;
    assert_non_null(getcwd(root, sizeof root));
    snprintf(root + strlen(root), sizeof root - strlen(root), "/held");
    snprintf(dir, sizeof dir, "%s/obs1", root);
    mkdir(root, 0755);
    mkdir(dir, 0755);
    assert_int_equal(watch_new(&w, &wo, NULL), 0);
    assert_int_equal(watch_add_root(w, root, WATCH_RECURSIVE, NULL), 0);
    found.s = settle_new(&opts);
    rule = watch_rule(w);
    settle_by_directory(found.s, &rule);
    snprintf(file, sizeof file, "%s/obs1/a.csv", root);
    write_file(file, "a\n");
    settle_dirty(found.s, file, SETTLE_CLOSED, now);
    snprintf(file, sizeof file, "%s/obs1/b.csv", root);
    fd = open(file, O_WRONLY | O_CREAT, 0644); /* nobody tells of it */
    settle_run(found.s, &now, 130);
    assert_int_equal(ntold(), 0);
    settle_why(found.s, dir, why, sizeof why, now);
    assert_non_null(strstr(why, "1 of 2 files have settled; b.csv growing: "));
    assert_int_equal(write(fd, "b\n", 2), 2);
    close(fd);
    settle_dirty(found.s, file, SETTLE_CLOSED, now);
    settle_run(found.s, &now, 140);
    assert_int_equal(told.n[SETTLE_IS_SETTLED], 1);
    assert_string_equal(told.path, dir);
    /* A file beside the directories is in none. */
    snprintf(file, sizeof file, "%s/c.csv", root);
    write_file(file, "c\n");
    settle_dirty(found.s, file, SETTLE_CLOSED, now);
    settle_run(found.s, &now, 150);
    assert_int_equal(ntold(), 0);
    settle_free(found.s);
    watch_free(w);
}

/* casacore's writers lock byte 0 of table.lock with fcntl; readers the same, for reading. */
static enum probe_verdict while_locked(const char *path, short type,
                                       struct probe_result *r)
{
    int go[2], done[2];
    enum probe_verdict v;
    char c;
    pid_t pid;

    assert_int_equal(pipe(go), 0);
    assert_int_equal(pipe(done), 0);
    pid = fork();
    if (pid == 0) {
        struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_len = 1};
        int fd = open(path, O_RDWR);

        if (fd == -1 || fcntl(fd, F_SETLK, &lock) != 0 || write(done[1], "x", 1) != 1)
            _exit(1);
        close(go[1]);
        _exit(read(go[0], &c, 1) != 0);
    }
    close(go[0]);
    close(done[1]);
    assert_int_equal(read(done[0], &c, 1), 1);
    v = probe_directory("a.ms", r);
    close(go[1]);
    close(done[0]);
    waitpid(pid, NULL, 0);
    return v;
}

static void a_table_is_whole_with_table_dat_and_no_writer(void **state)
{
    struct probe_result r;

    (void)state;
    mkdir("a.ms", 0755);
    mkdir("a.ms/ANTENNA", 0755);
    assert_int_equal(probe_directory("a.ms", &r), PROBE_WAIT);
    assert_string_equal(r.reason, "table.dat is missing: a table in the making");
    write_file("a.ms/table.dat", "");
    assert_int_equal(probe_directory("a.ms", &r), PROBE_WAIT);
    write_file("a.ms/table.dat", "x");
    write_file("a.ms/table.lock", "x");
    assert_int_equal(probe_directory("a.ms", &r), PROBE_OK);
    assert_int_equal(while_locked("a.ms/table.lock", F_WRLCK, &r), PROBE_WAIT);
    assert_non_null(strstr(r.reason, "table.lock is held for writing by process "));
    assert_int_equal(while_locked("a.ms/table.lock", F_RDLCK, &r), PROBE_OK);
    write_file("a.ms/ANTENNA/table.f0", "x");
    assert_int_equal(probe_directory("a.ms", &r), PROBE_WAIT);
    assert_string_equal(r.reason,
                        "ANTENNA/table.dat is missing: a table in the making");
    write_file("a.ms/ANTENNA/table.dat", "x");
    assert_int_equal(probe_directory("a.ms", &r), PROBE_OK);
    assert_int_equal(probe_directory("b.ms", &r), PROBE_GONE);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_directory_settles_when_its_last_file_has_and_it_was_quiet),
        cmocka_unit_test(a_bad_file_keeps_it_waiting_until_it_is_gone),
        cmocka_unit_test(a_changed_file_is_told_at_once_and_settles_again),
        cmocka_unit_test(it_is_gone_with_its_last_file_and_forgotten_without_a_word),
        cmocka_unit_test(a_look_that_says_no_is_repeated_and_overdue_once),
        cmocka_unit_test(files_in_the_making_must_rest_between_two_looks),
        cmocka_unit_test(ten_thousand_directories_are_told_once_each),
        OWN_DIR(the_identity_changes_with_every_file_in_it),
        OWN_DIR(a_file_that_a_writer_has_open_is_found_by_the_look),
        OWN_DIR(a_table_is_whole_with_table_dat_and_no_writer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
