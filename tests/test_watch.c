/* test_watch.c: every file is told of, whatever happens to queue, directories and limits. */
#include "tests/test.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "core/err.h"
#include "watcherd/files/watch.h"

/* ---- what was told: a set of paths ---- */

enum { ROOM = 1 << 17 };
static struct {
    char *path[ROOM];
    enum watch_how how[ROOM];
    size_t n; /* different paths */
    size_t calls, notices;
    char notice[512], all_notices[4096];
} got;

static size_t place(const char *path)
{
    uint32_t h = 2166136261u;
    size_t i;

    for (const char *c = path; *c != '\0'; c++)
        h = (h ^ (uint8_t)*c) * 16777619u;
    for (i = h % ROOM; got.path[i] != NULL && strcmp(got.path[i], path) != 0;)
        i = (i + 1) % ROOM;
    return i;
}

static void dirty(void *arg, const char *path, enum watch_how how)
{
    size_t i = place(path);

    (void)arg;
    got.calls++;
    got.how[i] = how;
    if (got.path[i] != NULL)
        return;
    assert_true(got.n < ROOM / 2);
    got.path[i] = strdup(path);
    got.n++;
}

static void notice(void *arg, const char *text)
{
    (void)arg;
    got.notices++;
    snprintf(got.notice, sizeof got.notice, "%s", text);
    strncat(got.all_notices, text,
            sizeof got.all_notices - strlen(got.all_notices) - 1);
}

static void forget(void)
{
    for (size_t i = 0; i < ROOM; i++)
        free(got.path[i]);
    memset(&got, 0, sizeof got);
}

static bool seen(const char *path)
{
    return got.path[place(path)] != NULL;
}

/* How the file was last told of; -1 when it was not. */
static int how(const char *path)
{
    size_t i = place(path);

    return got.path[i] == NULL ? -1 : (int)got.how[i];
}

/* ---- making things happen ---- */

static const struct watch_opts usual = {
    .extensions = ".hdf5 .csv", .dirty = dirty, .notice = notice};

static struct watch *watching(const char *root, unsigned flags)
{
    struct watch *w;
    struct err e = {0};

    forget();
    assert_int_equal(watch_new(&w, &usual, &e), 0);
    assert_int_equal(watch_add_root(w, root, flags, &e), 0);
    assert_int_equal(watch_tick(w, 0), 1);
    return w;
}

static void write_file(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

    assert_true(fd != -1);
    assert_int_equal(write(fd, "x\n", 2), 2);
    close(fd);
}

/* Read all events there are; the kernel queues them before close(2) and rename(2) return. */
static void drain(struct watch *w)
{
    while (watch_read(w) == 1)
        ;
}

static void shell(const char *command)
{
    assert_int_equal(system(command), 0);
}

/* ---- events ---- */

static void closed_and_renamed_files_are_told_apart(void **state)
{
    struct watch *w;

    (void)state;
    mkdir("in", 0755);
    write_file("in/old.csv");
    w = watching("in", 0);
    assert_int_equal(how("in/old.csv"), WATCH_SCANNED);
    assert_int_equal(got.calls, 1);
    write_file("in/a.csv");
    write_file("in/.b.csv.Xy12");
    assert_int_equal(rename("in/.b.csv.Xy12", "in/b.csv"), 0); /* as rsync does */
    drain(w);
    assert_int_equal(how("in/a.csv"), WATCH_CLOSED);
    assert_int_equal(how("in/b.csv"), WATCH_RENAMED);
    assert_int_equal(got.calls,
                     4); /* a.csv had its name and content before it was closed */
    watch_free(w);
}

static void names_in_the_making_and_foreign_ones_are_ignored(void **state)
{
    static const char *const ignored[] = {
        "in/.hidden.csv", "in/2025-05-07T00:04:06_sb02_incomplete.hdf5",
        "in/a.csv.part",  "in/a.csv~",
        "in/a.tmp",       "in/a.txt",
        "in/csv",         "in/a.csv.partial"};
    struct watch *w;

    (void)state;
    mkdir("in", 0755);
    for (int k = 0; k < 2; k++) { /* by scan, then by event */
        w = watching("in", WATCH_RECURSIVE);
        for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++)
            write_file(ignored[i]);
        write_file("in/good.csv");
        drain(w);
        assert_int_equal(got.n, 1);
        assert_true(seen("in/good.csv"));
        watch_free(w);
    }
    assert_int_equal(rename(ignored[1], "in/2025-05-07T00:04:06_sb02.hdf5"), 0);
    w = watching("in", 0);
    assert_true(seen("in/2025-05-07T00:04:06_sb02.hdf5"));
    assert_false(watch_wants(w, ".csv"));
    watch_free(w);
}

/* The end of a writer that works without a name until all is there: O_TMPFILE. */
static void link_unnamed(const char *path)
{
    char proc[40];
    int fd = open("in", O_TMPFILE | O_WRONLY, 0644);

    assert_true(fd != -1);
    assert_int_equal(write(fd, "x\n", 2), 2);
    snprintf(proc, sizeof proc, "/proc/self/fd/%d", fd);
    assert_int_equal(linkat(AT_FDCWD, proc, AT_FDCWD, path, AT_SYMLINK_FOLLOW), 0);
    close(fd);
}

/* matrix: watch 5 rsync, cp, mv across fs, install, wget, ln, fallocate'd copy */
static void every_way_of_arriving_is_seen_once_complete(void **state)
{
    struct watch *w;

    (void)state;
    mkdir("in", 0755);
    mkdir("src", 0755);
    write_file("src/a.csv");
    w = watching("in", WATCH_RECURSIVE);
    shell("cp src/a.csv in/cp.csv");
    shell("install -m 644 src/a.csv in/install.csv");
    shell("dd if=src/a.csv of=in/dd.csv 2>/dev/null");
    shell("fallocate -l 4096 in/fallocate.csv");
    shell("ln src/a.csv in/ln.csv");
    shell("cp src/a.csv src/mv.csv && mv src/mv.csv in/mv.csv");
    shell("! test -x /usr/bin/rsync || rsync src/a.csv in/rsync.csv");
    drain(w);
    assert_int_equal(how("in/cp.csv"), WATCH_CLOSED);
    assert_int_equal(how("in/install.csv"), WATCH_CLOSED);
    assert_int_equal(how("in/dd.csv"), WATCH_CLOSED);
    assert_int_equal(how("in/fallocate.csv"), WATCH_CLOSED);
    assert_int_equal(how("in/ln.csv"), WATCH_CLOSED);
    assert_int_equal(how("in/mv.csv"), WATCH_RENAMED);
    if (access("/usr/bin/rsync", X_OK) == 0)
        assert_int_equal(how("in/rsync.csv"), WATCH_RENAMED);
    watch_free(w);

    w = watching(
        "in", 0); /* names given by link(2), to a file with and one without another */
    shell("ln src/a.csv in/ln2.csv");
    link_unnamed("in/tmpfile.csv");
    drain(w);
    assert_int_equal(how("in/ln2.csv"), WATCH_CLOSED);
    assert_int_equal(how("in/tmpfile.csv"), WATCH_SCANNED);
    watch_free(w);
}

/* A root is at depth 1, and 48 are looked into. */
static void what_lies_too_deep_is_said_once(void **state)
{
    struct watch *w;

    (void)state;
    shell("d=in; for i in $(seq 48); do d=$d/d; done; mkdir -p $d; touch $d/a.csv");
    w = watching("in", WATCH_RECURSIVE);
    assert_int_equal(watch_tick(w, 1000), 1);
    assert_int_equal(got.n, 0);
    assert_int_equal(got.notices, 1);
    assert_non_null(strstr(got.notice, "lies deeper than 48 levels"));
    watch_free(w);
}

/* matrix: watch 7 create+delete, rename away */
static void files_that_vanish_are_no_error(void **state)
{
    struct watch *w;

    (void)state;
    mkdir("in", 0755);
    w = watching("in", WATCH_RECURSIVE);
    for (int i = 0; i < 100; i++) {
        write_file("in/a.csv");
        unlink("in/a.csv");
        write_file("in/b.csv");
        assert_int_equal(rename("in/b.csv", "b.csv"), 0);
    }
    drain(w);
    assert_int_equal(got.n, 0);
    assert_int_equal(got.notices, 0);
    watch_free(w);
}

/* matrix: watch 13 names */
static void names_are_bytes(void **state)
{
    static const char *const path[] = {"in/a\nb.csv", "in/\xff\xfe\x80.csv",
                                       "in/-rf.csv"};
    char longest[259] = "in/";
    struct watch *w;

    (void)state;
    memset(longest + 3, 'n', 251);
    strcpy(longest + 254, ".csv");
    mkdir("in", 0755);
    for (int k = 0; k < 2; k++) { /* by event, then by scan */
        w = watching("in", 0);
        for (int i = 0; i < 3; i++)
            write_file(path[i]);
        write_file(longest);
        drain(w);
        for (int i = 0; i < 3; i++)
            assert_true(seen(path[i]));
        assert_true(seen(longest));
        assert_int_equal(got.n, 4);
        watch_free(w);
    }
}

/* matrix: watch 16 symlink loops, FIFOs, devices, sockets */
static void only_regular_files_and_links_are_told_of(void **state)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX, .sun_path = "in/socket.csv"};
    int s = socket(AF_UNIX, SOCK_STREAM, 0), fd;
    struct watch *w;

    (void)state;
    mkdir("in", 0755);
    mkdir("in/sub", 0755);
    write_file("elsewhere.csv");
    for (int k = 0; k < 2; k++) {
        w = watching("in", WATCH_RECURSIVE);
        if (k == 0) { /* by event; the second time by scan */
            assert_int_equal(mkfifo("in/fifo.csv", 0644), 0);
            assert_int_equal(symlink("../../in", "in/sub/loop"), 0);
            assert_int_equal(symlink("../elsewhere.csv", "in/link.csv"), 0);
            assert_int_equal(bind(s, (struct sockaddr *)&sa, sizeof sa), 0);
            fd = open("in/fifo.csv", O_RDWR); /* its close is an event too */
            close(fd);
            assert_int_equal(symlink("../elsewhere.csv", "l"), 0);
            assert_int_equal(rename("l", "in/link2.csv"), 0);
        }
        drain(w);
        assert_true(seen("in/link.csv"));
        assert_true(seen("in/link2.csv"));
        assert_true(seen("in/sub/loop"));
        assert_int_equal(got.n, 3);
        watch_free(w);
    }
    close(s);
}

/* ---- directories ---- */

/* matrix: watch 8 mkdir -p a/b/c with files at once */
static void files_in_new_directories_are_never_lost(void **state)
{
    struct watch *w;
    struct pollfd p;
    pid_t pid;
    char path[128];

    (void)state;
    mkdir("in", 0755);
    w = watching("in", WATCH_RECURSIVE);
    p = (struct pollfd){.fd = watch_fd(w), .events = POLLIN};
    pid = fork();
    if (pid == 0) { /* races with the reader */
        for (int i = 0; i < 300; i++) {
            snprintf(path, sizeof path, "in/%d", i);
            mkdir(path, 0755);
            snprintf(path, sizeof path, "in/%d/b", i);
            mkdir(path, 0755);
            snprintf(path, sizeof path, "in/%d/b/c", i);
            mkdir(path, 0755);
            snprintf(path, sizeof path, "in/%d/b/c/%d.csv", i, i);
            close(open(path, O_WRONLY | O_CREAT, 0644));
            snprintf(path, sizeof path, "in/%d/b/%d.csv", i, i);
            close(open(path, O_WRONLY | O_CREAT, 0644));
        }
        _exit(0);
    }
    for (int alive = 1; alive;) {
        alive = waitpid(pid, NULL, WNOHANG) == 0;
        poll(&p, 1, 10);
        drain(w);
    }
    assert_int_equal(got.n, 600);
    for (int i = 0; i < 300; i++) {
        snprintf(path, sizeof path, "in/%d/b/c/%d.csv", i, i);
        assert_true(seen(path));
    }
    watch_free(w);
}

static void a_renamed_directory_is_watched_under_its_new_name(void **state)
{
    struct watch *w;
    struct watch_stats stats;

    (void)state;
    shell("mkdir -p in/a/b");
    w = watching("in", WATCH_RECURSIVE);
    assert_int_equal(rename("in/a", "in/z"), 0);
    drain(w);
    write_file("in/z/b/x.csv");
    drain(w);
    assert_true(seen("in/z/b/x.csv"));
    assert_int_equal(rename("in/z", "out"), 0); /* out of the tree */
    drain(w);
    assert_int_equal(watch_next_scan_s(w, 1) == 0, 1);
    watch_tick(w, 1);
    watch_stats(w, &stats);
    assert_int_equal(stats.watches, 1);
    forget();
    write_file("out/b/y.csv");
    drain(w);
    assert_int_equal(got.n, 0);
    watch_free(w);
}

static void a_root_that_is_not_recursive_leaves_its_folders_alone(void **state)
{
    struct watch *w;

    (void)state;
    shell("mkdir -p in/a && touch in/a/x.csv");
    w = watching("in", 0);
    shell("mkdir in/b && touch in/b/x.csv in/y.csv");
    drain(w);
    assert_int_equal(got.n, 1);
    assert_int_equal(watch_add_root(w, "in/", WATCH_RECURSIVE, NULL),
                     0); /* the same root */
    watch_tick(w, 1);
    assert_int_equal(got.n, 3);
    watch_free(w);
}

static void roots_come_and_go_while_it_runs(void **state)
{
    struct watch *w;
    struct watch_stats stats;

    (void)state;
    shell("mkdir -p one two file_parent && touch one/a.csv two/b.csv f");
    w = watching("one", 0);
    assert_int_equal(watch_add_root(w, "two", 0, NULL), 0);
    assert_int_equal(watch_add_root(w, "f", 0, NULL), -ENOTDIR);
    assert_true(watch_next_scan_s(w, 1) == 0);
    watch_tick(w, 1);
    assert_true(seen("two/b.csv"));
    assert_int_equal(watch_remove_root(w, "one", NULL), 0);
    assert_int_equal(watch_remove_root(w, "one", NULL), -ENOENT);
    forget();
    write_file("one/c.csv");
    write_file("two/c.csv");
    drain(w);
    assert_int_equal(got.n, 1);
    watch_stats(w, &stats);
    assert_int_equal(stats.roots, 1);
    assert_int_equal(watch_remove_root(w, "two", NULL), 0);
    assert_true(watch_next_scan_s(w, 1) < 0);
    watch_free(w);
}

/* matrix: watch 9 watched root renamed / removed / recreated */
static void a_root_that_is_replaced_is_watched_again(void **state)
{
    struct watch *w;

    (void)state;
    mkdir("in", 0755);
    w = watching("in", WATCH_RECURSIVE);
    shell("mv in away && mkdir in && touch in/new.csv");
    drain(w);
    assert_true(watch_next_scan_s(w, 1) == 0);
    watch_tick(w, 1);
    assert_int_equal(got.notices, 1);
    assert_non_null(strstr(got.notice, "another directory"));
    assert_int_equal(how("in/new.csv"), WATCH_SCANNED);
    write_file("in/later.csv");
    write_file("away/never.csv");
    drain(w);
    assert_int_equal(how("in/later.csv"), WATCH_CLOSED);
    assert_int_equal(got.n, 2);

    shell("rm -r in");
    drain(w);
    assert_true(watch_next_scan_s(w, 2) == 0);
    watch_tick(w, 2);
    assert_int_equal(got.notices, 2);
    assert_non_null(strstr(got.notice, "waiting for it"));
    watch_tick(w, 7);
    assert_int_equal(got.notices, 2); /* said once */
    shell("mkdir in && touch in/back.csv");
    assert_float_equal(watch_next_scan_s(w, 8), 4, 1e-9);
    watch_tick(w, 12);
    assert_true(seen("in/back.csv"));
    assert_non_null(strstr(got.notice, "there again"));
    write_file("in/after.csv");
    drain(w);
    assert_true(seen("in/after.csv"));
    watch_free(w);
}

/* matrix: watch 9 unmounted, over-mounted */
static void mounts_over_and_under_a_root_are_noticed(void **state)
{
    struct watch *w;

    (void)state;
    mkdir("in", 0755);
    write_file("in/below.csv");
    if (unshare(CLONE_NEWNS) != 0 ||
        mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
        print_message("skipped: may not make mounts here\n");
        skip();
    }
    w = watching("in", WATCH_RECURSIVE);
    assert_int_equal(mount("none", "in", "tmpfs", 0, NULL),
                     0); /* no event tells of this */
    write_file("in/mounted.csv");
    drain(w);
    assert_false(seen("in/mounted.csv"));
    assert_int_equal(watch_tick(w, 60), 1);
    assert_true(seen("in/mounted.csv"));
    write_file("in/second.csv");
    drain(w);
    assert_true(seen("in/second.csv"));
    forget();
    assert_int_equal(umount("in"), 0);
    drain(w);
    assert_true(watch_next_scan_s(w, 61) == 0); /* this one is told */
    watch_tick(w, 61);
    assert_true(seen("in/below.csv"));
    watch_free(w);
}

/* ---- limits ---- */

/* matrix: watch 1 queue overflow (20,000 files here, 50,000 in torture_watch.sh) */
static void a_burst_beyond_the_queue_loses_nothing(void **state)
{
    enum { N = 20000 };
    struct watch_stats stats;
    struct watch *w;
    char path[64];

    (void)state;
    mkdir("in", 0755);
    w = watching("in", 0);
    for (int i = 0; i < N; i++) { /* nobody reads meanwhile */
        snprintf(path, sizeof path, "in/%05d.csv", i);
        close(open(path, O_WRONLY | O_CREAT, 0644));
    }
    drain(w);
    watch_stats(w, &stats);
    if (stats.overflows == 0)
        print_message("the queue here holds more than %d events\n", N);
    else
        assert_true(got.n < N);
    assert_int_equal(stats.overflows, got.notices); /* said once */
    if (watch_next_scan_s(w, 1) == 0)
        watch_tick(w, 1);
    assert_int_equal(got.n, N);
    assert_int_equal(watch_tick(w, 2), 0); /* and scanned once */
    watch_free(w);
}

/* matrix: watch 10 max_user_watches exhausted (by our own budget) */
static void directories_beyond_the_watch_budget_are_polled(void **state)
{
    struct watch_opts opts = usual;
    struct watch_stats stats;
    struct watch *w;
    char path[64];

    (void)state;
    shell("mkdir -p in && cd in && mkdir -p 0/x 1/x 2/x 3/x 4/x 5/x 6/x");
    opts.max_watches = 5;
    forget();
    assert_int_equal(watch_new(&w, &opts, NULL), 0);
    watch_add_root(w, "in", WATCH_RECURSIVE, NULL);
    watch_tick(w, 0);
    watch_stats(w, &stats);
    assert_int_equal(stats.watches, 5);
    assert_true(stats.polled > 0);
    assert_int_equal(got.notices, 1);
    assert_non_null(strstr(got.notice, "polled every 5 s"));
    assert_float_equal(watch_next_scan_s(w, 0), 5, 1e-9);
    for (int i = 0; i < 7; i++) {
        snprintf(path, sizeof path, "in/%d/x/a.csv", i);
        write_file(path);
    }
    drain(w);
    assert_true(got.n > 0 && got.n < 7);
    assert_int_equal(watch_tick(w, 5), 0); /* only what is polled */
    assert_int_equal(got.n, 7);
    assert_int_equal(got.notices, 1);
    watch_tick(w, 60);
    assert_int_equal(got.notices, 1); /* said once */
    watch_free(w);
}

/* matrix: watch 10 max_user_watches exhausted (by the kernel, in a user namespace) */
static void the_kernels_watch_limit_makes_it_poll(void **state)
{
    pid_t pid = fork();
    int status;

    (void)state;
    if (pid == 0) {
        struct watch *w;
        FILE *f;

        if (unshare(CLONE_NEWUSER) != 0 ||
            (f = fopen("/proc/sys/user/max_inotify_watches", "w")) == NULL)
            _exit(77);
        fputs("3", f);
        if (fclose(f) != 0)
            _exit(77);
        if (system("mkdir -p in/0 in/1 in/2 in/3 in/4") != 0)
            _exit(1);
        forget();
        if (watch_new(&w, &usual, NULL) != 0)
            _exit(2);
        watch_add_root(w, "in", WATCH_RECURSIVE, NULL);
        watch_tick(w, 0);
        if (got.notices != 1 || strstr(got.notice, "polled") == NULL)
            _exit(3);
        for (int i = 0; i < 5; i++) {
            char path[32];

            snprintf(path, sizeof path, "in/%d/a.csv", i);
            close(open(path, O_WRONLY | O_CREAT, 0644));
        }
        drain(w);
        watch_tick(w, 5);
        _exit(got.n == 5 ? 0 : 4);
    }
    waitpid(pid, &status, 0);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77) {
        print_message("skipped: no user namespace with its own limits\n");
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* matrix: watch 10 instances exhausted */
static void without_inotify_everything_is_polled(void **state)
{
    struct watch *w;
    int fd[1024], n = 0;

    (void)state;
    while (n < 1024 && (fd[n] = inotify_init1(IN_CLOEXEC)) != -1)
        n++;
    forget();
    assert_int_equal(watch_new(&w, &usual, NULL), 0);
    while (n > 0)
        close(fd[--n]);
    assert_int_equal(watch_fd(w), -1);
    assert_non_null(strstr(got.notice, "polled"));
    shell("mkdir -p in/a && touch in/a/x.csv");
    watch_add_root(w, "in", WATCH_RECURSIVE, NULL);
    watch_tick(w, 0);
    assert_true(seen("in/a/x.csv"));
    write_file("in/a/y.csv");
    assert_int_equal(watch_read(w), 0);
    assert_float_equal(watch_next_scan_s(w, 0), 5, 1e-9);
    watch_tick(w, 5);
    assert_true(seen("in/a/y.csv"));
    watch_free(w);
}

/* matrix: watch 2 remote writer: two FUSE mounts of one directory are two network clients */
static void files_of_another_client_are_found_by_polling(void **state)
{
    struct watch *w;

    (void)state;
    shell("mkdir -p back A B");
    if (system("bindfs back A 2>/dev/null") != 0) {
        print_message("skipped: no bindfs or no /dev/fuse\n");
        skip();
    }
    if (system("bindfs back B 2>/dev/null") != 0) {
        shell("umount A");
        print_message("skipped: no second bindfs\n");
        skip();
    }
    w = watching("B", WATCH_RECURSIVE);
    write_file("A/x.csv");
    drain(w);
    if (seen("B/x.csv"))
        print_message("this FUSE passes events on\n");
    assert_float_equal(watch_next_scan_s(w, 0), 5, 1e-9);
    watch_tick(w, 5);
    assert_true(seen("B/x.csv"));
    assert_non_null(strstr(got.notice, "polled"));
    write_file("B/own.csv"); /* local events still work */
    drain(w);
    assert_int_equal(how("B/own.csv"), WATCH_CLOSED);
    watch_free(w);
    shell("umount A B");
}

static void the_caller_may_ask_for_polling(void **state)
{
    struct watch *w;

    (void)state;
    mkdir("in", 0755);
    w = watching("in", WATCH_POLL);
    assert_float_equal(watch_next_scan_s(w, 1), 4, 1e-9);
    assert_int_equal(watch_tick(w, 5), 1);
    watch_free(w);
}

static void odd_uses_are_refused(void **state)
{
    struct watch_opts opts = usual;
    struct watch *w;
    struct err e = {0};

    (void)state;
    opts.dirty = NULL;
    assert_int_equal(watch_new(&w, &opts, &e), -EINVAL);
    opts = usual;
    opts.extensions = ".hdf5 .averyveryverylongextension";
    assert_int_equal(watch_new(&w, &opts, &e), -EINVAL);
    assert_null(w);
    w = watching(".", 0);
    assert_int_equal(watch_add_root(w, "", 0, &e), -ENAMETOOLONG);
    assert_int_equal(watch_scan(w, "nothing", &e), -ENOENT);
    assert_int_equal(watch_add_root(w, "nothing", 0, &e), 0); /* waited for */
    assert_int_equal(watch_scan(w, "nothing", &e), -ENOENT);
    assert_int_equal(watch_scan(w, NULL, &e), -ENOENT);
    watch_free(w);
    watch_free(NULL);
}

/* Also after a failure: nothing stays mounted. */
static int unmount_and_remove_dir(void **state)
{
    if (system("umount -l A B 2>/dev/null") != 0) {
        /* were not mounted, or no longer */
    }
    return remove_dir(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        OWN_DIR(closed_and_renamed_files_are_told_apart),
        OWN_DIR(names_in_the_making_and_foreign_ones_are_ignored),
        OWN_DIR(every_way_of_arriving_is_seen_once_complete),
        OWN_DIR(what_lies_too_deep_is_said_once),
        OWN_DIR(files_that_vanish_are_no_error),
        OWN_DIR(names_are_bytes),
        OWN_DIR(only_regular_files_and_links_are_told_of),
        OWN_DIR(files_in_new_directories_are_never_lost),
        OWN_DIR(a_renamed_directory_is_watched_under_its_new_name),
        OWN_DIR(a_root_that_is_not_recursive_leaves_its_folders_alone),
        OWN_DIR(roots_come_and_go_while_it_runs),
        OWN_DIR(a_root_that_is_replaced_is_watched_again),
        OWN_DIR(a_burst_beyond_the_queue_loses_nothing),
        OWN_DIR(directories_beyond_the_watch_budget_are_polled),
        OWN_DIR(the_kernels_watch_limit_makes_it_poll),
        OWN_DIR(without_inotify_everything_is_polled),
        cmocka_unit_test_setup_teardown(files_of_another_client_are_found_by_polling,
                                        in_own_dir, unmount_and_remove_dir),
        OWN_DIR(the_caller_may_ask_for_polling),
        OWN_DIR(odd_uses_are_refused),
        OWN_DIR(mounts_over_and_under_a_root_are_noticed), /* last: a mount namespace */
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
