/*
 * test_settle.c: the clock is a number that the test moves; the files are real.
 */
#include "tests/test.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>

#include "tests/h5_writer.h"
#include "watcherd/files/settle.h"

static const struct settle_opts usual = {.quiet_s = 2, .max_wait_s = 1800};

/* ---- what was told ---- */

static struct {
    int n[SETTLE_IS_GONE + 1]; /* by enum settle_what */
    int all;
    bool again;
    char path[300], reason[256];
} told;

static void note(void *arg, const struct settle_news *news)
{
    (void)arg;
    told.n[news->what]++;
    told.all++;
    told.again = news->again;
    snprintf(told.path, sizeof told.path, "%s", news->path);
    snprintf(told.reason, sizeof told.reason, "%s", news->reason);
}

/* Let the time pass to `to`, waking only when settle asks to be woken. */
static void run(struct settle *s, double *now, double to)
{
    memset(&told, 0, sizeof told);
    for (int n = 0; n < 100000; n++) {
        double in = settle_next_s(s, *now);

        if (in < 0 || *now + in > to)
            break;
        *now += in;
        settle_tick(s, *now, note, NULL);
    }
    *now = to;
}

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void append(const char *path, const char *text)
{
    FILE *f = fopen(path, "a");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

/* ---- quiet ---- */

static void a_closed_file_settles_after_the_quiet_period(void **state)
{
    struct settle *s = settle_new(&usual);
    enum settle_state st;
    double now = 100;

    (void)state;
    write_file("a.csv", "x\n");
    settle_dirty(s, "a.csv", SETTLE_CLOSED, now);
    run(s, &now, 101.99);
    assert_int_equal(told.all, 0);
    run(s, &now, 102);
    assert_int_equal(told.n[SETTLE_IS_SETTLED], 1);
    assert_false(told.again);
    assert_int_equal(settle_state(s, "a.csv", &st), 0);
    assert_int_equal(st, SETTLE_SETTLED);
    assert_true(settle_next_s(s, now) < 0);
    settle_free(s);
}

static void each_event_starts_the_quiet_period_again(void **state)
{
    struct settle *s = settle_new(&usual);
    double now = 0;

    (void)state;
    write_file("a.csv", "x\n");
    for (int i = 0; i < 5; i++) {
        settle_dirty(s, "a.csv", SETTLE_CLOSED, now);
        append("a.csv", "y\n");
        run(s, &now, now + 1.5);
        assert_int_equal(told.all, 0);
    }
    settle_dirty(s, "a.csv", SETTLE_CLOSED, now);
    run(s, &now, now + 6);
    assert_int_equal(told.n[SETTLE_IS_SETTLED], 1);
    settle_free(s);
}

static void a_file_renamed_into_place_settles_at_once(void **state)
{
    struct settle *s = settle_new(&usual);
    double now = 50;

    (void)state;
    write_file("a.csv", "x\n");
    settle_dirty(s, "a.csv", SETTLE_RENAMED, now);
    run(s, &now, 50);
    assert_int_equal(told.n[SETTLE_IS_SETTLED], 1);
    write_file("b.csv", "x\ny"); /* the probe does not pass: waits like any other */
    settle_dirty(s, "b.csv", SETTLE_RENAMED, now);
    run(s, &now, 51);
    assert_int_equal(told.all, 0);
    settle_free(s);
}

static void quiet_zero_settles_a_closed_file_at_once(void **state)
{
    struct settle_opts opts = {.quiet_s = 0};
    struct settle *s = settle_new(&opts);
    double now = 50;

    (void)state;
    write_file("a.csv", "x\n");
    settle_dirty(s, "a.csv", SETTLE_CLOSED, now);
    run(s, &now, 50);
    assert_int_equal(told.n[SETTLE_IS_SETTLED], 1);
    settle_free(s);
}

/* matrix: watch 12 clock skew of the file server */
static void times_of_files_do_not_matter(void **state)
{
    struct timespec when[2] = {{.tv_sec = 4000000000}, {.tv_sec = 4000000000}};
    struct settle *s = settle_new(&usual);
    double now = 0;

    (void)state;
    write_file("future.csv", "x\n");
    assert_int_equal(utimensat(AT_FDCWD, "future.csv", when, 0), 0);
    write_file("past.csv", "x\n");
    when[0].tv_sec = when[1].tv_sec = 1;
    assert_int_equal(utimensat(AT_FDCWD, "past.csv", when, 0), 0);
    settle_dirty(s, "future.csv", SETTLE_SCANNED, now);
    settle_dirty(s, "past.csv", SETTLE_SCANNED, now);
    run(s, &now, 1.9);
    assert_int_equal(told.all, 0);
    run(s, &now, 2);
    assert_int_equal(told.n[SETTLE_IS_SETTLED], 2);
    settle_free(s);
}

/* A writer that no event tells of: another machine, or a memory map. */
/* matrix: watch 2 remote writer (settle) */
static void two_looks_find_growth_without_events(void **state)
{
    struct settle *s = settle_new(&usual);
    double now = 0;

    (void)state;
    write_file("a.csv", "x\n");
    settle_dirty(s, "a.csv", SETTLE_SCANNED, now);
    for (int i = 1; i <= 4; i++) {
        append("a.csv", "more\n");
        run(s, &now, now + 2);
        assert_int_equal(told.all, 0);
    }
    run(s, &now, now + 2);
    assert_int_equal(told.n[SETTLE_IS_SETTLED], 1);
    settle_free(s);
}

/* ---- probe says wait ---- */

/* matrix: watch 3 slow writer */
static void a_slow_writer_that_keeps_its_file_open_is_waited_for(void **state)
{
    static const char *const libver[] = {"v0", "v3"};

    (void)state;
    for (int v = 0; v < 2; v++) {
        struct settle *s = settle_new(&usual);
        struct h5_writer w;
        double now = 0;

        if (h5_writer_start(&w) != 0) {
            print_message("skipped: no h5py\n");
            settle_free(s);
            skip();
        }
        h5_writer_do(&w, "open", "x.hdf5", libver[v]);
        settle_dirty(s, "x.hdf5", SETTLE_SCANNED, now);
        run(s, &now, 40); /* gaps far longer than the quiet period */
        assert_int_equal(told.all, 0);
        h5_writer_do(&w, "flush", "x.hdf5", libver[v]);
        run(s, &now, 300);
        assert_int_equal(told.all, 0);
        h5_writer_do(&w, "close", "x.hdf5", libver[v]);
        settle_dirty(s, "x.hdf5", SETTLE_CLOSED,
                     now); /* does not wait for the doubled look */
        run(s, &now, 304);
        assert_int_equal(told.n[SETTLE_IS_SETTLED], 1);
        h5_writer_kill(&w);
        unlink("x.hdf5");
        settle_free(s);
    }
}

/* matrix: watch 4 writer killed */
static void a_killed_writers_file_is_reported_bad_and_never_settles(void **state)
{
    struct settle *s = settle_new(&usual);
    struct h5_writer w;
    double now = 0;

    (void)state;
    if (h5_writer_start(&w) != 0) {
        print_message("skipped: no h5py\n");
        settle_free(s);
        skip();
    }
    h5_writer_do(&w, "open", "x.hdf5", "v0");
    h5_writer_do(&w, "flush", "x.hdf5", "v0");
    settle_dirty(s, "x.hdf5", SETTLE_SCANNED, now);
    h5_writer_kill(&w);
    settle_dirty(s, "x.hdf5", SETTLE_CLOSED, now); /* the kernel closes it */
    run(s, &now, 5.9);                             /* three quiet periods */
    assert_int_equal(told.all, 0);
    run(s, &now, 5000);
    assert_int_equal(told.n[SETTLE_IS_BAD], 1);
    assert_int_equal(told.all, 1);
    assert_non_null(strstr(told.reason, "open for writing"));
    settle_dirty(s, "x.hdf5", SETTLE_SCANNED, now);
    run(s, &now, 9000);
    assert_int_equal(told.all, 0); /* said once */
    settle_free(s);
}

static void a_bad_file_that_is_finished_after_all_settles(void **state)
{
    struct settle *s = settle_new(&usual);
    double now = 0;

    (void)state;
    write_file("a.json", "{\"a\": 1");
    settle_dirty(s, "a.json", SETTLE_CLOSED, now);
    run(s, &now, 100);
    assert_int_equal(told.n[SETTLE_IS_BAD], 1);
    append("a.json", "}\n");
    settle_dirty(s, "a.json", SETTLE_CLOSED, now);
    run(s, &now, 200);
    assert_int_equal(told.n[SETTLE_IS_SETTLED], 1);
    assert_int_equal(told.all, 1); /* and no CHANGED: it never was settled */
    settle_free(s);
}

static void a_file_that_never_ends_is_overdue_once_and_still_settles(void **state)
{
    struct settle_opts opts = {.quiet_s = 2, .max_wait_s = 100};
    struct settle *s = settle_new(&opts);
    struct settle_stats stats;
    double now = 0;
    int fd;

    (void)state;
    write_file("a.csv", "x\n");
    fd = open("a.csv", O_WRONLY | O_APPEND);
    settle_dirty(s, "a.csv", SETTLE_SCANNED, now);
    run(s, &now, 99);
    assert_int_equal(told.all, 0);
    run(s, &now, 100);
    assert_int_equal(told.n[SETTLE_IS_OVERDUE], 1);
    assert_non_null(strstr(told.reason, "open for writing"));
    run(s, &now, 1000);
    assert_int_equal(told.all, 0);
    settle_stats(s, now, &stats);
    assert_int_equal(stats.overdue, 1);
    assert_float_equal(stats.oldest_wait_s, 1000, 1e-6);
    close(fd);
    run(s, &now, 1061); /* no event: the next look is at most a minute away */
    assert_int_equal(told.n[SETTLE_IS_SETTLED], 1);
    settle_free(s);
}

/* A writer with a steady stream of events starves a plain quiet period (Watchman). */
static void a_file_always_in_motion_is_overdue_too(void **state)
{
    struct settle_opts opts = {.quiet_s = 2, .max_wait_s = 30};
    struct settle *s = settle_new(&opts);
    double now = 0;
    int overdue = 0;

    (void)state;
    write_file("a.csv", "x\n");
    for (int i = 0; i < 60; i++) {
        append("a.csv", "y\n");
        settle_dirty(s, "a.csv", SETTLE_CLOSED, now);
        run(s, &now, now + 1);
        assert_int_equal(told.n[SETTLE_IS_SETTLED], 0);
        overdue += told.n[SETTLE_IS_OVERDUE];
    }
    assert_int_equal(overdue, 1);
    settle_free(s);
}

static void looks_become_rarer_up_to_a_minute(void **state)
{
    struct settle *s = settle_new(&usual);
    struct settle_stats stats;
    double now = 0;
    int fd;

    (void)state;
    write_file("a.csv", "x\n");
    fd = open("a.csv", O_WRONLY);
    settle_dirty(s, "a.csv", SETTLE_SCANNED, now);
    run(s, &now, 125); /* looks at 2, 4, 8, 16, 32, 64, 124 */
    settle_stats(s, now, &stats);
    assert_int_equal(stats.probes, 7);
    run(s, &now, 305); /* 184, 244, 304 */
    settle_stats(s, now, &stats);
    assert_int_equal(stats.probes, 10);
    close(fd);
    settle_free(s);
}

/* matrix: watch 5 cp, fallocate'd copy */
static void a_preallocated_copy_that_stops_half_way_never_settles(void **state)
{
    struct settle *s = settle_new(&usual);
    static char zero[8192];
    double now = 0;
    int fd;

    (void)state;
    memset(zero, 'x', sizeof zero);
    fd = open("a.bin", O_RDWR | O_CREAT, 0644);
    assert_int_equal(posix_fallocate(fd, 0, 1 << 20), 0);
    assert_int_equal(write(fd, zero, sizeof zero), sizeof zero);
    fsync(fd);
    close(fd);
    settle_dirty(s, "a.bin", SETTLE_CLOSED, now);
    run(s, &now, 4000);
    assert_int_equal(told.n[SETTLE_IS_BAD], 1);
    assert_int_equal(told.all, 1);
    settle_free(s);
}

/* What rest decides is decided after three quiet periods, and said beforehand. */
static void a_sparse_copy_settles_when_it_has_rested(void **state)
{
    struct settle *s = settle_new(&usual);
    struct settle_stats stats;
    double now = 0;
    int fd;

    (void)state;
    fd = open("a.bin", O_RDWR | O_CREAT, 0644);
    assert_int_equal(write(fd, "data", 4), 4);
    assert_int_equal(ftruncate(fd, 1 << 20), 0);
    close(fd);
    settle_dirty(s, "a.bin", SETTLE_CLOSED, now);
    run(s, &now, 2.5);
    assert_int_equal(told.all, 0);
    settle_stats(s, now, &stats);
    assert_true(stats.decided_in_s > 3 && stats.decided_in_s < 4);
    run(s, &now, 6.1);
    assert_int_equal(told.n[SETTLE_IS_SETTLED], 1);
    settle_stats(s, now, &stats);
    assert_true(stats.decided_in_s == 0);
    settle_free(s);
}

/* ---- identity ---- */

/* matrix: watch 14 seen again, the same */
static void a_settled_file_seen_again_is_no_news(void **state)
{
    struct settle *s = settle_new(&usual);
    double now = 0;

    (void)state;
    write_file("a.csv", "x\n");
    settle_dirty(s, "a.csv", SETTLE_CLOSED, now);
    run(s, &now, 10);
    assert_int_equal(told.n[SETTLE_IS_SETTLED], 1);
    settle_dirty(s, "a.csv", SETTLE_CLOSED, now);
    settle_dirty(s, "a.csv", SETTLE_RENAMED, now);
    settle_dirty(s, "a.csv", SETTLE_SCANNED, now);
    assert_int_equal(link("a.csv", "b.csv"),
                     0); /* changes its ctime, not its content */
    settle_dirty(s, "a.csv", SETTLE_CLOSED, now);
    run(s, &now, 100);
    settle_dirty(s, "a.csv", SETTLE_SCANNED, now);
    settle_recheck(s, NULL, now);
    run(s, &now, 200);
    assert_int_equal(told.all, 0);
    settle_free(s);
}

/* matrix: watch 6 rewritten */
static void a_rewritten_file_is_changed_and_settles_again(void **state)
{
    (void)state;
    for (int by_scan = 0; by_scan < 2; by_scan++) {
        struct settle *s = settle_new(&usual);
        double now = 0;

        write_file("a.csv", "x\n");
        settle_dirty(s, "a.csv", SETTLE_CLOSED, now);
        run(s, &now, 100);
        append("a.csv", "y\n");
        if (by_scan)
            settle_recheck(s, NULL, now);
        else
            settle_dirty(s, "a.csv", SETTLE_CLOSED, now);
        run(s, &now, 101);
        assert_int_equal(told.n[SETTLE_IS_CHANGED], 1);
        assert_int_equal(told.all, 1);
        run(s, &now, 110);
        assert_int_equal(told.n[SETTLE_IS_SETTLED], 1);
        assert_true(told.again);
        assert_int_equal(told.all, 1);
        settle_free(s);
    }
}

static void another_file_renamed_over_a_settled_one_settles_at_once(void **state)
{
    struct settle *s = settle_new(&usual);
    double now = 0;

    (void)state;
    write_file("a.csv", "x\n");
    settle_dirty(s, "a.csv", SETTLE_CLOSED, now);
    run(s, &now, 100);
    write_file("b", "z\n");
    assert_int_equal(rename("b", "a.csv"), 0);
    settle_dirty(s, "a.csv", SETTLE_RENAMED, now);
    run(s, &now, 100);
    assert_int_equal(told.n[SETTLE_IS_CHANGED], 1);
    assert_int_equal(told.n[SETTLE_IS_SETTLED], 1);
    settle_free(s);
}

/* matrix: watch 7 create+delete, rename away before settle */
static void what_vanishes_before_it_settles_leaves_no_trace(void **state)
{
    struct settle *s = settle_new(&usual);
    struct settle_stats stats;
    double now = 0;

    (void)state;
    settle_dirty(s, "never.csv", SETTLE_CLOSED, now); /* gone before we look */
    write_file("a.csv", "x\n");
    settle_dirty(s, "a.csv", SETTLE_CLOSED, now);
    write_file("b.csv", "x\n");
    settle_dirty(s, "b.csv", SETTLE_CLOSED, now);
    unlink("a.csv");
    assert_int_equal(rename("b.csv", "c"), 0);
    run(s, &now, 100);
    assert_int_equal(told.all, 0);
    settle_stats(s, now, &stats);
    assert_int_equal(stats.known, 0);
    settle_free(s);
}

static void a_settled_file_that_vanishes_is_told_and_forgotten(void **state)
{
    struct settle *s = settle_new(&usual);
    enum settle_state st;
    double now = 0;

    (void)state;
    write_file("a.csv", "x\n");
    settle_dirty(s, "a.csv", SETTLE_CLOSED, now);
    run(s, &now, 100);
    unlink("a.csv");
    settle_recheck(s, "/elsewhere", now);
    run(s, &now, 100);
    assert_int_equal(told.all, 0);
    settle_recheck(s, NULL, now);
    run(s, &now, 100);
    assert_int_equal(told.n[SETTLE_IS_GONE], 1);
    assert_int_equal(settle_state(s, "a.csv", &st), -ENOENT);
    settle_free(s);
}

static void forgetting_a_prefix_forgets_only_what_is_below(void **state)
{
    struct settle *s = settle_new(&usual);
    struct settle_stats stats;
    double now = 0;
    char path[64];

    (void)state;
    mkdir("in", 0755);
    mkdir("in2", 0755);
    for (int i = 0; i < 1000; i++) {
        snprintf(path, sizeof path, "%s/%d.csv", i % 3 == 0 ? "in2" : "in", i);
        write_file(path, "x\n");
        settle_dirty(s, path, SETTLE_CLOSED, now);
    }
    run(s, &now, 1); /* half of them are asked for again while they wait */
    settle_forget(s, "in/");
    settle_stats(s, now, &stats);
    assert_int_equal(stats.known, 334);
    run(s, &now, 10);
    assert_int_equal(told.n[SETTLE_IS_SETTLED], 334);
    settle_recheck(s, NULL, 100);
    settle_forget(s, NULL); /* also those that wait for a recheck */
    settle_stats(s, now, &stats);
    assert_int_equal(stats.known + stats.settled + stats.waiting, 0);
    settle_free(s);
}

/* ---- odd files ---- */

/* matrix: watch 13 names */
static void names_are_bytes(void **state)
{
    static const char *const name[] = {"a\nb.csv", "\xff\xfe\x80.csv", "-rf.csv",
                                       "space and 'quote'.csv"};
    struct settle *s = settle_new(&usual);
    char longest[256], why[256];
    double now = 0;

    (void)state;
    memset(longest, 'n', 251);
    memcpy(longest + 251, ".csv", 5); /* 255 bytes */
    for (int i = 0; i < 5; i++) {
        const char *path = i < 4 ? name[i] : longest;

        write_file(path, "x\n");
        settle_dirty(s, path, SETTLE_CLOSED, now);
        run(s, &now, now + 2);
        assert_string_equal(told.path, path);
        if (i == 1) { /* JSON cannot name it */
            assert_int_equal(told.n[SETTLE_IS_BAD], 1);
            assert_non_null(strstr(told.reason, "not UTF-8"));
            settle_why(s, path, why, sizeof why, now);
            assert_non_null(strstr(why, "bad: its path is not UTF-8"));
        } else {
            assert_int_equal(told.n[SETTLE_IS_SETTLED], 1);
        }
    }
    settle_free(s);
}

/* matrix: watch 16 symlinks, FIFOs */
static void what_is_no_file_is_ignored(void **state)
{
    struct settle *s = settle_new(&usual);
    struct settle_stats stats;
    double now = 0;

    (void)state;
    assert_int_equal(mkfifo("fifo.csv", 0644), 0);
    settle_dirty(s, "fifo.csv", SETTLE_SCANNED, now);
    settle_dirty(s, "/dev/zero", SETTLE_CLOSED, now);
    write_file("a.csv", "x\n"); /* one that becomes a FIFO while it waits */
    settle_dirty(s, "a.csv", SETTLE_CLOSED, now);
    assert_int_equal(rename("fifo.csv", "a.csv"), 0);
    run(s, &now, 100);
    assert_int_equal(told.all, 0);
    settle_stats(s, now, &stats);
    assert_int_equal(stats.known, 0);
    settle_free(s);
}

/* matrix: watch 16 symlinks (settle) */
static void a_symbolic_link_is_told_of_once(void **state)
{
    struct settle *s = settle_new(&usual);
    struct settle_stats stats;
    char why[256];
    double now = 0;

    (void)state;
    write_file("elsewhere", "x\n");
    assert_int_equal(symlink("elsewhere", "a.csv"), 0);
    for (int i = 0; i < 3; i++) {
        settle_dirty(s, "a.csv", i == 0 ? SETTLE_RENAMED : SETTLE_SCANNED, now);
        run(s, &now, now + 100);
        assert_int_equal(told.n[SETTLE_IS_IGNORED], 1);
        assert_int_equal(told.all, 1);
    }
    settle_why(s, "a.csv", why, sizeof why, now);
    assert_non_null(strstr(why, "symbolic link"));
    assert_int_equal(unlink("a.csv"), 0); /* and now the file itself */
    assert_int_equal(rename("elsewhere", "a.csv"), 0);
    settle_dirty(s, "a.csv", SETTLE_RENAMED, now);
    run(s, &now, now + 10);
    assert_int_equal(told.n[SETTLE_IS_SETTLED], 1);
    assert_int_equal(unlink("a.csv"), 0);
    settle_dirty(s, "a.csv", SETTLE_CLOSED, now);
    run(s, &now, now + 10);
    settle_stats(s, now, &stats);
    assert_int_equal(stats.known, 0);
    settle_free(s);
}

/* matrix: watch 17 EACCES */
static void an_unreadable_file_is_bad_and_others_go_on(void **state)
{
    struct settle *s = settle_new(&usual);
    uid_t uid = geteuid();
    double now = 0;

    (void)state;
    assert_int_equal(chmod(".", 0755), 0);
    write_file("a.csv", "x\n");
    write_file("b.csv", "x\n");
    assert_int_equal(chmod("a.csv", 0), 0);
    if (uid == 0)
        assert_int_equal(seteuid(65534), 0);
    settle_dirty(s, "a.csv", SETTLE_CLOSED, now);
    settle_dirty(s, "b.csv", SETTLE_CLOSED, now);
    run(s, &now, 10);
    if (uid == 0)
        assert_int_equal(seteuid(0), 0);
    assert_int_equal(told.n[SETTLE_IS_BAD], 1);
    assert_int_equal(told.n[SETTLE_IS_SETTLED], 1);
    assert_int_equal(chmod("a.csv", 0644), 0); /* mended: found by the next scan */
    settle_dirty(s, "a.csv", SETTLE_SCANNED, 100);
    now = 100;
    run(s, &now, 110);
    assert_int_equal(told.n[SETTLE_IS_SETTLED], 1);
    settle_free(s);
}

static void sizes_outside_the_limits_are_bad(void **state)
{
    struct settle_opts opts = {.quiet_s = 2, .min_bytes = 4, .max_bytes = 6};
    struct settle *s = settle_new(&opts);
    double now = 0;

    (void)state;
    write_file("3.csv", "12\n");
    write_file("5.csv", "1234\n");
    write_file("7.csv", "123456\n");
    settle_dirty(s, "3.csv", SETTLE_CLOSED, now);
    settle_dirty(s, "5.csv", SETTLE_CLOSED, now);
    settle_dirty(s, "7.csv", SETTLE_CLOSED, now);
    run(s, &now, 10);
    assert_int_equal(told.n[SETTLE_IS_BAD], 2);
    assert_int_equal(told.n[SETTLE_IS_SETTLED], 1);
    settle_free(s);
}

static void why_says_what_is_waited_for(void **state)
{
    struct settle *s = settle_new(&usual);
    char text[300];
    double now = 0;
    int fd;

    (void)state;
    write_file("a.csv", "x\n");
    fd = open("a.csv", O_WRONLY);
    settle_dirty(s, "a.csv", SETTLE_SCANNED, now);
    run(s, &now, 3);
    settle_why(s, "a.csv", text, sizeof text, now);
    assert_non_null(
        strstr(text, "growing: a process has it open for writing: 2 bytes"));
    assert_non_null(strstr(text, "last change 3.0 s ago"));
    close(fd);
    run(s, &now, 10);
    settle_why(s, "a.csv", text, sizeof text, now);
    assert_string_equal(text, "settled, 2 bytes");
    settle_why(s, "none", text, sizeof text, now);
    assert_string_equal(text, "not known");
    settle_free(s);
}

static void mark_again(void *arg, const struct settle_news *news)
{
    note(NULL, news);
    settle_dirty(arg, news->path, SETTLE_CLOSED, 1000);
    settle_dirty(arg, "other.csv", SETTLE_CLOSED, 1000);
}

static void the_callback_may_mark_files_dirty(void **state)
{
    struct settle *s = settle_new(&usual);

    (void)state;
    write_file("a.csv", "x\n");
    write_file("other.csv", "x\n");
    settle_dirty(s, "a.csv", SETTLE_RENAMED, 0);
    memset(&told, 0, sizeof told);
    settle_tick(s, 0, mark_again, s);
    settle_tick(s, 1002, mark_again, s);
    assert_int_equal(told.n[SETTLE_IS_SETTLED], 2);
    settle_free(s);
}

/* Known files cost memory and nothing else: 5,000 here, less than 64 MiB for 100,000. */
static void many_files_are_remembered_in_little_memory(void **state)
{
    enum { N = 5000 };
    struct settle *s = settle_new(&usual);
    struct settle_stats stats;
    size_t before = mallinfo2().uordblks, after;
    double now = 0;
    char path[128];

    (void)state;
    for (int i = 0; i < N; i++) {
        snprintf(path, sizeof path, "2026-01-25T00:00:10_sb00_%06d.csv", i);
        write_file(path, "x\n");
        settle_dirty(s, path, i % 2 == 0 ? SETTLE_RENAMED : SETTLE_SCANNED, now);
    }
    run(s, &now, 3);
    assert_int_equal(told.n[SETTLE_IS_SETTLED], N);
    after = mallinfo2().uordblks;
    print_message("%zu bytes a file\n", (after - before) / N);
    assert_true((after - before) / N < ((size_t)64 << 20) / 100000);
    settle_stats(s, now, &stats);
    assert_int_equal(stats.settled, N);
    assert_int_equal(stats.waiting, 0);
    settle_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        OWN_DIR(a_closed_file_settles_after_the_quiet_period),
        OWN_DIR(each_event_starts_the_quiet_period_again),
        OWN_DIR(a_file_renamed_into_place_settles_at_once),
        OWN_DIR(quiet_zero_settles_a_closed_file_at_once),
        OWN_DIR(times_of_files_do_not_matter),
        OWN_DIR(two_looks_find_growth_without_events),
        OWN_DIR(a_slow_writer_that_keeps_its_file_open_is_waited_for),
        OWN_DIR(a_killed_writers_file_is_reported_bad_and_never_settles),
        OWN_DIR(a_bad_file_that_is_finished_after_all_settles),
        OWN_DIR(a_file_that_never_ends_is_overdue_once_and_still_settles),
        OWN_DIR(a_file_always_in_motion_is_overdue_too),
        OWN_DIR(looks_become_rarer_up_to_a_minute),
        OWN_DIR(a_preallocated_copy_that_stops_half_way_never_settles),
        OWN_DIR(a_sparse_copy_settles_when_it_has_rested),
        OWN_DIR(a_settled_file_seen_again_is_no_news),
        OWN_DIR(a_rewritten_file_is_changed_and_settles_again),
        OWN_DIR(another_file_renamed_over_a_settled_one_settles_at_once),
        OWN_DIR(what_vanishes_before_it_settles_leaves_no_trace),
        OWN_DIR(a_settled_file_that_vanishes_is_told_and_forgotten),
        OWN_DIR(forgetting_a_prefix_forgets_only_what_is_below),
        OWN_DIR(names_are_bytes),
        OWN_DIR(what_is_no_file_is_ignored),
        OWN_DIR(a_symbolic_link_is_told_of_once),
        OWN_DIR(an_unreadable_file_is_bad_and_others_go_on),
        OWN_DIR(sizes_outside_the_limits_are_bad),
        OWN_DIR(why_says_what_is_waited_for),
        OWN_DIR(the_callback_may_mark_files_dirty),
        OWN_DIR(many_files_are_remembered_in_little_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
