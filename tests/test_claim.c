/* test_claim.c: at most one owner per group, generations only grow, the late cannot publish. */
#include "tests/test.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "core/err.h"
#include "locks/claim.h"
#include "locks/observer.h"
#include "locks/crashpoint.h"
#include "tests/kept_file.h"

static const struct claim_opts quick = {.relaxed = 1};

static struct claim *take(const char *dir)
{
    struct claim *claim;
    struct err e = {0};

    if (claim_acquire(&claim, dir, "grp", &quick, &e) != 0)
        fail_msg("%s", e.text);
    return claim;
}

static void put(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

/* Run in a child: claim `dir` and end without releasing (after `step` steps, 0: at the end). */
static int child_claims(const char *dir, int step)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        struct claim *claim;
        struct err e;
        char text[16];

        if (step > 0) {
            snprintf(text, sizeof text, "%d", step);
            setenv("WATCHERD_CRASH_AT", text, 1);
            crash_restart();
        }
        if (claim_acquire(&claim, dir, "grp", &quick, &e) != 0)
            _exit(1);
        if (claim_heartbeat(claim, &e) != 0 || claim_commit(claim, &e) != 0 ||
            (step > 0 && claim_release(claim, "done", &e) != 0))
            _exit(2);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WEXITSTATUS(status);
}

static void a_held_group_is_busy_and_its_holder_named(void **state)
{
    struct claim *first, *second;
    struct err e = {0};

    (void)state;
    first = take("locks/a");
    assert_int_equal(claim_acquire(&second, "locks/a", "grp", &quick, &e), -EBUSY);
    assert_null(second);
    assert_non_null(strstr(e.text, "grp is held by test_claim"));
    assert_non_null(strstr(e.text, "generation 1"));
    assert_int_equal(claim_check(first, &e), 0);
    assert_int_equal(claim_release(first, "done", &e), 0);
}

static void generations_grow_by_one_from_claim_to_claim(void **state)
{
    struct err e;

    (void)state;
    for (uint64_t gen = 1; gen <= 12;
         gen++) { /* past one digit: g.10 comes after g.9 */
        struct claim *claim = take("locks/a");

        assert_int_equal(claim_generation(claim), gen);
        assert_int_equal(claim_release(claim, "done", &e), 0);
    }
    assert_true(exists("locks/a/g.1") && exists("locks/a/r.12"));
}

static void generations_start_above_the_highest_one_published(void **state)
{
    struct claim_opts opts = quick;
    struct claim *claim;
    struct err e;

    (void)state;
    opts.above = 34;
    assert_int_equal(claim_acquire(&claim, "locks/a", "grp", &opts, &e), 0);
    assert_int_equal(claim_generation(claim), 35);
    assert_int_equal(claim_release(claim, "done", &e), 0);
}

static void nothing_but_the_generation_files_is_left_behind(void **state)
{
    struct err e;
    struct claim *claim = take("locks/a");

    (void)state;
    assert_int_equal(claim_heartbeat(claim, &e), 0);
    assert_int_equal(claim_commit(claim, &e), 0);
    assert_int_equal(claim_release(claim, "done", &e), 0);
    assert_int_equal(
        system("test \"$(ls -A locks/a | tr '\\n' ' ')\" = 'c.1 g.1 h.1 r.1 '"), 0);
}

/* matrix: locks 1 killed holder, same host */
static void a_dead_owner_of_this_host_is_overtaken_at_once(void **state)
{
    struct claim *claim;
    struct err e;

    (void)state;
    assert_int_equal(child_claims("locks/a", 0), 0);
    claim = take("locks/a");
    assert_int_equal(claim_generation(claim), 2);
    assert_int_equal(system("grep -q '\"after\":1,\"evidence\":\"process no longer "
                            "exists\"' locks/a/g.2"),
                     0);
    assert_int_equal(claim_release(claim, "done", &e), 0);
}

static void a_broken_claim_is_lost_to_its_owner_whatever_it_tries(void **state)
{
    struct claim *claim = take("locks/a");
    int dirfd = open("locks/a", O_RDONLY | O_DIRECTORY);
    struct err e = {0};

    (void)state;
    assert_int_equal(claim_break(dirfd, 1, "for the test", &e), 0);
    assert_int_equal(claim_break(dirfd, 1, "again", &e), -EEXIST);
    close(dirfd);
    assert_int_equal(claim_check(claim, &e), ERR_LOST);
    assert_int_equal(claim_heartbeat(claim, &e), ERR_LOST);
    assert_int_equal(claim_may_commit(claim, &e), ERR_LOST);
    assert_int_equal(claim_commit(claim, &e), ERR_LOST);
    assert_false(exists("locks/a/c.1"));
    assert_int_equal(claim_release(claim, "done", &e), ERR_LOST);
    assert_non_null(strstr(e.text, "claim 1 of grp is lost"));
}

static void an_overtaken_owner_cannot_commit(void **state)
{
    struct claim *late = take("locks/a");
    struct err e;

    (void)state;
    put("locks/a/g.2", "{}\n"); /* whatever it says: its name is higher */
    assert_int_equal(claim_may_commit(late, &e), ERR_LOST);
    assert_int_equal(claim_commit(late, &e), ERR_LOST);
    assert_int_equal(claim_release(late, "done", &e), ERR_LOST);
}

static void a_higher_commit_bars_a_lower_one(void **state)
{
    struct claim *claim = take("locks/a");
    struct err e;

    (void)state;
    put("locks/a/c.7", "x\n");
    assert_int_equal(claim_may_commit(claim, &e), ERR_LOST);
    assert_int_equal(claim_commit(claim, &e), ERR_LOST);
    assert_int_equal(claim_release(claim, "done", &e), ERR_LOST);
    claim = take("locks/a"); /* and numbers go on above it */
    assert_int_equal(claim_generation(claim), 8);
    assert_int_equal(claim_release(claim, "done", &e), 0);
}

static void committing_twice_is_committing_once(void **state)
{
    struct claim *claim = take("locks/a");
    struct err e;

    (void)state;
    assert_int_equal(claim_commit(claim, &e), 0);
    assert_int_equal(claim_commit(claim, &e), 0);
    assert_int_equal(claim_release(claim, "done", &e), 0);
    claim = take("locks/a");
    put("locks/a/c.2", "somebody else's\n");
    assert_int_equal(claim_commit(claim, &e), ERR_LOST);
    assert_int_equal(claim_release(claim, "done", &e), 0);
}

/* matrix: locks 25 lock directory removed */
static void a_removed_lock_directory_is_a_lost_claim_and_is_made_again(void **state)
{
    struct claim *claim = take("locks/a"), *next;
    struct err e;

    (void)state;
    assert_int_equal(system("rm -rf locks"), 0);
    assert_int_equal(claim_check(claim, &e), ERR_LOST);
    next = take("locks/a");
    assert_int_equal(claim_generation(next), 1);
    assert_int_equal(claim_commit(claim, &e), ERR_LOST);
    assert_int_equal(claim_release(claim, "done", &e), ERR_LOST);
    assert_int_equal(claim_check(next, &e),
                     0); /* the late one did not harm the new one */
    assert_int_equal(claim_release(next, "done", &e), 0);
}

/* matrix: locks 24 garbage at the name */
static void damaged_records_are_opaque_and_never_overtaken(void **state)
{
    static const struct {
        const char *make, *why;
    } cases[] = {
        {": > locks/a/g.1", "empty"},
        {"echo '{\"v\":1,\"gen\":1' > locks/a/g.1", "not JSON"},
        {"head -c 300 /dev/urandom > locks/a/g.1", "not JSON"},
        {"truncate -s 1G locks/a/g.1", "far too long"},
        {"mkfifo locks/a/g.1", "not a regular file"},
        {"ln -s /etc/passwd locks/a/g.1", "not a regular file"},
        {"mkdir locks/a/g.1", "not a regular file"},
        {"mknod locks/a/g.1 c 1 5 2>/dev/null || mkfifo locks/a/g.1",
         "not a regular file"},
        {"echo '{\"v\":2}' > locks/a/g.1", "another version"},
        {"echo '{\"v\":1,\"pid\":\"1\"}' > locks/a/g.1", "wrong kind"},
        {"echo '{\"v\":1,\"pid\":-1}' > locks/a/g.1", "wrong kind"},
        {"echo '{\"v\":1,\"pid\":1}' > locks/a/g.1", "lacks a field"},
        {"echo '{\"v\":1,\"v\":1}' > locks/a/g.1", "not JSON"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct claim *claim;
        struct err e = {0};

        assert_int_equal(system("rm -rf locks; mkdir -p locks/a"), 0);
        assert_int_equal(system(cases[i].make), 0);
        assert_int_equal(claim_acquire(&claim, "locks/a", "grp", &quick, &e), -EUCLEAN);
        if (strstr(e.text, cases[i].why) == NULL)
            fail_msg("%s: %s", cases[i].make, e.text);
        assert_false(exists("locks/a/g.2"));
    }
}

/* The quick reader and jansson must read the same; jansson's turn is forced by a space. */
static void a_record_reads_the_same_however_it_is_spaced(void **state)
{
    struct record quick_one, slow_one;
    struct claim *claim;
    char why[OWNER_WHY];
    struct err e;
    int dirfd;

    (void)state;
    assert_int_equal(child_claims("locks/a", 0), 0);
    claim = take("locks/a"); /* with "after" and "evidence" */
    dirfd = open("locks/a", O_RDONLY | O_DIRECTORY);
    assert_int_equal(record_read(dirfd, "g.2", 2, &quick_one, why), 0);
    assert_int_equal(system("sed -i 's/:/: /; s/}$/,\"later\":[1,{}]}/' locks/a/g.2"),
                     0);
    assert_int_equal(record_read(dirfd, "g.2", 2, &slow_one, why), 0);
    assert_memory_equal(&quick_one, &slow_one, sizeof quick_one);
    assert_int_equal(quick_one.after, 1);
    assert_int_equal(quick_one.owner.pid, getpid());
    assert_true(quick_one.lease_s > 59.9 && quick_one.lease_s < 60.1);
    close(dirfd);
    claim_release(claim, "done", &e);
}

static void a_record_of_another_generation_than_its_name_is_opaque(void **state)
{
    struct claim *claim;
    struct err e;

    (void)state;
    assert_int_equal(child_claims("locks/a", 0), 0);
    assert_int_equal(rename("locks/a/g.1", "locks/a/g.3"), 0);
    assert_int_equal(claim_acquire(&claim, "locks/a", "grp", &quick, &e), -EUCLEAN);
}

/* matrix: locks 27 descriptors are not inherited */
static void no_descriptor_of_a_claim_survives_exec(void **state)
{
    struct claim_opts opts = {.relaxed = 1, .foreign = 1};
    struct claim *claim;
    char cmd[128];
    struct err e;

    (void)state;
    assert_int_equal(claim_acquire(&claim, "locks/a", "grp", &opts, &e), 0);
    assert_int_equal(claim_heartbeat(claim, &e), 0);
    snprintf(cmd, sizeof cmd, "! ls -l /proc/self/fd | grep -F '%s'", own_dir);
    assert_int_equal(system(cmd), 0);
    snprintf(cmd, sizeof cmd, "ls -l /proc/%d/fd | grep -qF '%s'", getpid(), own_dir);
    assert_int_equal(system(cmd), 0); /* the parent does have them: the grep can hit */
    assert_int_equal(claim_release(claim, "done", &e), 0);
}

/* matrix: locks 16 read-only directory */
static void a_directory_that_cannot_be_written_is_an_error_not_a_claim(void **state)
{
    int status;
    pid_t pid;

    (void)state;
    assert_int_equal(
        system("mkdir -p locks/a && chmod 555 locks/a && chmod 755 . locks"), 0);
    pid = fork();
    if (pid == 0) {
        struct claim *claim;
        struct err e = {0};
        int rc;

        if (getuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
            _exit(9);
        rc = claim_acquire(&claim, "locks/a", "grp", &quick, &e);
        _exit(rc == -EACCES && claim == NULL && strstr(e.text, "locks/a") != NULL ? 0
                                                                                  : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* matrix: locks 20 crash at every step */
static void
after_a_crash_at_any_step_the_group_is_claimable_and_nothing_repeats(void **state)
{
    uint64_t last = 0;
    int step, code;

    (void)state;
    for (step = 1; step < 100; step++) {
        struct claim *claim;
        struct err e = {0};

        code = child_claims("locks/a", step);
        if (code != LOCK_CRASH_EXIT)
            break;
        if (claim_acquire(&claim, "locks/a", "grp", &quick, &e) != 0)
            fail_msg("after a crash at step %d: %s", step, e.text);
        assert_true(claim_generation(claim) > last);
        last = claim_generation(claim);
        assert_int_equal(claim_commit(claim, &e), 0);
        assert_int_equal(claim_release(claim, "done", &e), 0);
    }
    assert_int_equal(code, 0); /* the sweep ended because the whole life was walked */
    assert_in_range(step, 10, 60); /* and it has a plausible number of steps */
}

/* Claim, commit, release as fast as possible; a byte in `holders` must be ours alone. */
static void race(int fd, unsigned int seed, int rounds)
{
    static const struct claim_opts opts = {.relaxed = 1};

    for (int i = 0; i < rounds; i++) {
        struct claim *claim;
        struct err e;
        int rc = claim_acquire(&claim, "locks/a", "grp", &opts, &e);

        if (rc == -EBUSY)
            continue;
        if (rc != 0)
            _exit(3);
        /* an independent judge: a POSIX record lock, which excludes between processes */
        if (lockf(fd, F_TLOCK, 0) != 0)
            _exit(4); /* two holders */
        if (rand_r(&seed) % 20 == 0)
            _exit(0); /* "crash" */
        lockf(fd, F_ULOCK, 0);
        if (claim_release(claim, "done", &e) != 0)
            _exit(5);
    }
    _exit(0);
}

/* matrix: locks 19 racing claimers, some crash */
static void racing_claimers_never_hold_together(void **state)
{
    (void)state;
    for (int wave = 0; wave < 12; wave++) {
        for (int i = 0; i < 4; i++)
            if (fork() == 0) {
                int fd = open("judge", O_RDWR | O_CREAT, 0644);

                race(fd, (unsigned int)(wave * 4 + i), 40);
            }
        for (int i = 0; i < 4; i++) {
            int status;

            assert_true(wait(&status) > 0);
            assert_int_equal(status, 0);
        }
    }
}

/* matrix: locks 19b claimer paused between scan and link */
static void a_claimer_that_slept_through_collection_is_refused(void **state)
{
    struct timespec old[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}};
    struct claim *claim;
    struct err e;
    int status;
    pid_t pid;

    (void)state;
    claim_release(take("locks/a"), "done", &e);
    pid = fork();
    if (pid == 0) {
        setenv("WATCHERD_STOP_AT", "4",
               1); /* temp made, written, (synced); link comes next */
        crash_restart();
        _exit(claim_acquire(&claim, "locks/a", "grp", &quick, &e) == -EBUSY ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    assert_true(WIFSTOPPED(status));
    assert_false(exists("locks/a/g.2"));
    for (int i = 0; i < 30; i++)
        claim_release(take("locks/a"), "done", &e);
    for (int i = 1; i <= 31; i++) {
        char name[32];

        snprintf(name, sizeof name, "locks/a/g.%d", i);
        assert_int_equal(utimensat(AT_FDCWD, name, old, 0), 0);
    }
    claim_release(take("locks/a"), "done", &e); /* generation 32 collects 1 .. 11 */
    assert_false(exists("locks/a/g.2") || exists("locks/a/r.11"));
    assert_true(exists("locks/a/g.12"));
    kill(pid, SIGCONT);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    claim = take("locks/a");
    assert_int_equal(claim_generation(claim), 33);
    claim_release(claim, "done", &e);
}

static void young_generations_are_not_collected(void **state)
{
    struct err e;

    (void)state;
    for (int i = 0; i < 30; i++)
        claim_release(take("locks/a"), "done", &e);
    assert_true(exists("locks/a/g.1"));
}

/* matrix: locks 17 no space for the record */
static void
without_space_no_partial_record_is_seen_and_the_group_stays_free(void **state)
{
    int status;
    pid_t pid;

    (void)state;
    pid = fork();
    if (pid == 0) {
        struct claim *claim;
        struct err e = {0};
        int rc;

        if (system("mkdir small && mount -t tmpfs -o size=16k none small") != 0)
            _exit(77);
        if (system("mkdir -p small/locks/a; cat /dev/zero > small/fill 2>/dev/null; "
                   "true") != 0)
            _exit(2);
        rc = claim_acquire(&claim, "small/locks/a", "grp", &quick, &e);
        if (rc != -ENOSPC || system("test -z \"$(ls -A small/locks/a)\"") != 0)
            _exit(3);
        unlink("small/fill");
        rc = claim_acquire(&claim, "small/locks/a", "grp", &quick, &e);
        if (rc != 0 || claim_generation(claim) != 1)
            _exit(4);
        claim_release(claim, "done", &e);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    system("umount small 2>/dev/null");
    if (WEXITSTATUS(status) == 77) {
        print_message("skipped: cannot mount a small tmpfs\n");
        skip();
    }
    assert_int_equal(status, 0);
}

/* matrix: locks 32 odd group names */
static void any_group_name_is_recorded_printably(void **state)
{
    static const char *const names[] = {
        "-rf",           "a b",     "new\nline",      "plus+",
        "M 31 \xc3\xa9", "bad\xff", "$(touch pwned)", "back\\slash"};

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char dir[64];
        struct claim *claim, *second;
        struct err e = {0};

        snprintf(dir, sizeof dir, "locks/%s", names[i]);
        assert_int_equal(claim_acquire(&claim, dir, names[i], &quick, &e), 0);
        assert_int_equal(claim_acquire(&second, dir, names[i], &quick, &e), -EBUSY);
        assert_null(strchr(e.text, '\n'));
        assert_int_equal(claim_release(claim, "done", &e), 0);
    }
    assert_int_equal(system("test \"$(cat locks/*/g.1 | wc -l)\" -eq 8"), 0);
    assert_int_equal(system("/usr/bin/python3 -c 'import json, glob\n"
                            "for f in glob.glob(\"locks/*/g.1\"): json.load(open(f))'"),
                     0);
    assert_false(exists("pwned"));
}

/* matrix: locks 29 legacy PID files are honoured */
static void a_seed_scripts_lock_file_is_honoured_until_its_process_is_dead(void **state)
{
    struct claim *claim;
    char text[32];
    struct err e = {0};
    int status;
    pid_t pid;

    (void)state;
    assert_int_equal(system("mkdir -p locks"), 0);
    pid = fork();
    if (pid == 0) {
        pause();
        _exit(0);
    }
    snprintf(text, sizeof text, "%d", pid);
    put("locks/a.lock", text);
    assert_int_equal(claim_acquire(&claim, "locks/a", "grp", &quick, &e), -EBUSY);
    assert_non_null(strstr(e.text, "another program"));
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    assert_int_equal(claim_acquire(&claim, "locks/a", "grp", &quick, &e), 0);
    assert_int_equal(claim_release(claim, "done", &e), 0);
}

static void a_foreign_flock_excludes_us_and_ours_excludes_it(void **state)
{
    struct claim_opts opts = {.relaxed = 1, .foreign = 1};
    struct claim *claim;
    struct err e = {0};
    int fd;

    (void)state;
    assert_int_equal(system("mkdir -p locks"), 0);
    fd = open("locks/a.lock", O_RDWR | O_CREAT, 0644);
    assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
    assert_int_equal(claim_acquire(&claim, "locks/a", "grp", &opts, &e), -EBUSY);
    close(fd);
    assert_int_equal(claim_acquire(&claim, "locks/a", "grp", &opts, &e), 0);
    assert_int_equal(system("flock -n locks/a.lock true"), 256);
    assert_int_equal(claim_release(claim, "done", &e), 0);
    assert_int_equal(system("flock -n locks/a.lock true"), 0);
}

/* Put CLOCK_BOOTTIME of this process on by an hour, as a suspend does; 0 or a negated errno. */
static int sleep_an_hour(void)
{
    static const char text[] = "boottime 3600 0\n";
    int rc = unshare(CLONE_NEWTIME) == 0 ? 0 : -errno;
    int fd = rc == 0 ? open("/proc/self/timens_offsets", O_WRONLY | O_CLOEXEC) : -1;

    if (rc == 0 && (fd == -1 || write(fd, text, strlen(text)) < 0))
        rc = -errno;
    if (fd != -1)
        close(fd);
    fd = rc == 0 ? open("/proc/self/ns/time_for_children", O_RDONLY | O_CLOEXEC) : -1;
    if (rc == 0 && (fd == -1 || setns(fd, CLONE_NEWTIME) != 0))
        rc = -errno;
    if (fd != -1)
        close(fd);
    return rc;
}

/* In a child: hold, sleep for an hour, meanwhile be overtaken or not, and want to publish. */
static int publish_after_sleep(bool overtaken)
{
    int status;

    if (fork() == 0) {
        struct claim *claim;
        struct err e = {0};
        int dirfd, rc;

        if (claim_acquire(&claim, "locks/a", "grp", &quick, &e) != 0)
            _exit(1);
        if (sleep_an_hour() != 0)
            _exit(77);
        if (claim_silence_s(claim) < 3600 || claim_silence_s(claim) > 3700)
            _exit(2);
        dirfd = open("locks/a", O_RDONLY | O_DIRECTORY);
        if (overtaken &&
            claim_break(dirfd, claim_generation(claim), "expired", &e) != 0)
            _exit(3);
        rc = claim_may_commit(claim, &e);
        if (!overtaken)
            _exit(rc == 0 && exists("locks/a/h.1") && claim_silence_s(claim) < 100 ? 0
                                                                                   : 4);
        _exit(rc == ERR_LOST && claim_commit(claim, &e) == ERR_LOST &&
                      !exists("locks/a/c.2")
                  ? 0
                  : 5);
    }
    return wait(&status) > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* matrix: locks 23 suspend and resume past the lease (time namespace) */
static void an_owner_that_slept_shows_itself_before_it_publishes(void **state)
{
    int rc = publish_after_sleep(false);

    (void)state;
    if (rc == 77) {
        print_message("skipped: a time namespace needs root and Linux 5.6\n");
        skip();
    }
    assert_int_equal(rc, 0);
    assert_int_equal(publish_after_sleep(true), 0);
}

/* ---- what versions before this one left: many claims in one kept file ---- */

/* Make it with a claim that ended so ("-": not), on this machine, its process gone. */
static int old_folder(const char *end)
{
    struct record rec;
    int dirfd, fd;

    assert_int_equal(system("mkdir -p locks/a"), 0);
    dirfd = open("locks/a", O_RDONLY | O_DIRECTORY);
    assert_int_equal(record_init(&rec, NULL), 0);
    rec.owner.pid = 1 << 30;
    rec.lease_s = 60;
    fd = kept_make(dirfd, end, &rec);
    close(dirfd);
    return fd;
}

static enum lock_state look(struct lock_view *view)
{
    int fd = open("locks/a", O_RDONLY | O_DIRECTORY);

    assert_int_equal(observer_look(NULL, fd, "grp", view, NULL), 0);
    close(fd);
    return view->state;
}

static void after_a_free_kept_file_come_numbers_above_all_of_its_own(void **state)
{
    struct lock_view view;
    struct claim *claim;

    (void)state;
    close(old_folder("done"));
    assert_int_equal(look(&view), LOCK_FREE);
    assert_int_equal(view.gens.top, OLD_SPAN);
    claim = take("locks/a");
    assert_int_equal(claim_generation(claim), OLD_SPAN + 1);
    assert_false(exists("locks/a/k")); /* nobody goes on in it */
    assert_int_equal(claim_commit(claim, NULL), 0);
    assert_int_equal(claim_release(claim, "done", NULL), 0);
    claim = take("locks/a");
    assert_int_equal(claim_generation(claim), OLD_SPAN + 2);
    assert_int_equal(claim_release(claim, "done", NULL), 0);
}

static void a_kept_file_with_a_dead_owner_is_taken_over(void **state)
{
    struct lock_view view;
    struct claim *claim;

    (void)state;
    close(old_folder("-"));
    assert_int_equal(look(&view), LOCK_DEAD);
    claim = take("locks/a");
    assert_int_equal(claim_generation(claim), OLD_SPAN + 1);
    assert_int_equal(look(&view), LOCK_HELD);
    assert_int_equal(view.rec.after, OLD_SPAN);
    assert_int_equal(claim_release(claim, "done", NULL), 0);
}

static void whoever_still_holds_a_kept_file_is_not_overtaken(void **state)
{
    struct claim_opts opts = {.relaxed = 1, .observer = observer_new()};
    int fd, dirfd;
    struct record rec;
    struct lock_view view;
    struct claim *claim;
    struct err e = {0};

    (void)state;
    close(old_folder("done"));
    dirfd = open("locks/a", O_RDONLY | O_DIRECTORY);
    assert_int_equal(record_init(&rec, NULL), 0);
    fd = kept_claim(dirfd, 3, &rec);
    assert_int_not_equal(fd, -1);
    assert_int_equal(look(&view), LOCK_HELD);
    for (int i = 0; i < 3; i++)
        assert_int_equal(claim_acquire(&claim, "locks/a", "grp", &opts, &e), -EBUSY);
    assert_non_null(strstr(e.text, "an earlier version holds it"));
    assert_true(exists("locks/a/k"));
    /* an end that somebody else wrote does not let it go either, as long as it is locked */
    assert_int_equal(claim_break(dirfd, view.gens.g, "for the test", NULL), 0);
    assert_int_equal(claim_acquire(&claim, "locks/a", "grp", &opts, &e), -EBUSY);
    close(fd);
    assert_int_equal(look(&view), LOCK_FREE);
    claim = take("locks/a");
    assert_int_equal(claim_generation(claim), OLD_SPAN + 1);
    assert_int_equal(claim_release(claim, "done", NULL), 0);
    assert_int_equal(kept_claim(dirfd, 4, &rec), -1);
    close(dirfd);
    observer_free(opts.observer);
}

static void a_kept_file_without_a_whole_record_is_opaque(void **state)
{
    struct claim *claim;
    struct err e = {0};
    int fd = old_folder("done");

    (void)state;
    assert_int_equal(pwrite(fd, "x", 1, 7), 1);
    assert_int_equal(pwrite(fd, "x", 1, OLD_SLOT + 7), 1);
    close(fd);
    assert_int_equal(claim_acquire(&claim, "locks/a", "grp", &quick, &e), -EUCLEAN);
    assert_non_null(strstr(e.text, "no record in the kept file is whole"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        OWN_DIR(a_held_group_is_busy_and_its_holder_named),
        OWN_DIR(generations_grow_by_one_from_claim_to_claim),
        OWN_DIR(generations_start_above_the_highest_one_published),
        OWN_DIR(nothing_but_the_generation_files_is_left_behind),
        OWN_DIR(a_dead_owner_of_this_host_is_overtaken_at_once),
        OWN_DIR(a_broken_claim_is_lost_to_its_owner_whatever_it_tries),
        OWN_DIR(an_overtaken_owner_cannot_commit),
        OWN_DIR(a_higher_commit_bars_a_lower_one),
        OWN_DIR(committing_twice_is_committing_once),
        OWN_DIR(a_removed_lock_directory_is_a_lost_claim_and_is_made_again),
        OWN_DIR(damaged_records_are_opaque_and_never_overtaken),
        OWN_DIR(a_record_reads_the_same_however_it_is_spaced),
        OWN_DIR(a_record_of_another_generation_than_its_name_is_opaque),
        OWN_DIR(no_descriptor_of_a_claim_survives_exec),
        OWN_DIR(a_directory_that_cannot_be_written_is_an_error_not_a_claim),
        OWN_DIR(after_a_crash_at_any_step_the_group_is_claimable_and_nothing_repeats),
        OWN_DIR(racing_claimers_never_hold_together),
        OWN_DIR(a_claimer_that_slept_through_collection_is_refused),
        OWN_DIR(young_generations_are_not_collected),
        OWN_DIR(without_space_no_partial_record_is_seen_and_the_group_stays_free),
        OWN_DIR(any_group_name_is_recorded_printably),
        OWN_DIR(a_seed_scripts_lock_file_is_honoured_until_its_process_is_dead),
        OWN_DIR(a_foreign_flock_excludes_us_and_ours_excludes_it),
        OWN_DIR(an_owner_that_slept_shows_itself_before_it_publishes),
        OWN_DIR(after_a_free_kept_file_come_numbers_above_all_of_its_own),
        OWN_DIR(a_kept_file_with_a_dead_owner_is_taken_over),
        OWN_DIR(whoever_still_holds_a_kept_file_is_not_overtaken),
        OWN_DIR(a_kept_file_without_a_whole_record_is_opaque),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
