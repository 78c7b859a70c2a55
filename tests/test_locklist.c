/* test_locklist.c: states as an observer sees them by its own clock; listing, cleaning. */
#include "tests/test.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "core/clock.h"
#include "core/dirstamp.h"
#include "core/err.h"
#include "locks/claim.h"
#include "locks/idle.h"
#include "locks/legacy.h"
#include "locks/locklist.h"
#include "locks/crashpoint.h"
#include "tests/kept_file.h"

static double fake_now = 1000;

static double fake_clock(void)
{
    return fake_now;
}

static void put(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

/* A claim of another machine, lease 60 s and heartbeat 15 s, taken at an absurd hour. */
static void foreign_claim(const char *dir, unsigned int gen, const char *extra)
{
    char cmd[128], path[128], text[1024];

    snprintf(cmd, sizeof cmd, "mkdir -p '%s'", dir);
    assert_int_equal(system(cmd), 0);
    snprintf(path, sizeof path, "%s/g.%u", dir, gen);
    snprintf(text, sizeof text,
             "{\"v\":1,\"group\":\"grp\",\"gen\":%u,\"nonce\":\"%032u\",\"machine\":\"%"
             "032d\","
             "\"host\":\"lxd110h03\",\"boot\":\"714e924b-0000-0000-0000-000000000000\","
             "\"pid\":4321,"
             "\"start\":221345,\"pidfs\":35735,\"pidns\":4026531836,\"uid\":1001,"
             "\"exe\":\"watcherd "
             "1.0.0\",\"task\":\"\",\"fs\":\"nfs\",\"mode\":\"gen\",\"lease_s\":60,"
             "\"hb_s\":15,"
             "\"t_utc\":\"2031-11-22T01:15:16.123Z\",\"t_boot_s\":2213.5%s}\n",
             gen, gen, 7, extra);
    put(path, text);
}

static enum lock_state look(struct observer *obs, struct lock_view *view)
{
    int dirfd = open("locks/a", O_RDONLY | O_DIRECTORY);
    struct err e;

    assert_true(dirfd != -1);
    assert_int_equal(observer_look(obs, dirfd, "a", view, &e), 0);
    close(dirfd);
    return view->state;
}

static struct observer *new_observer(void)
{
    struct observer *obs = observer_new();

    observer_set_clock(obs, fake_clock);
    fake_now = 1000;
    return obs;
}

static void a_silent_owner_is_held_then_suspect_then_expired_by_our_clock(void **state)
{
    struct observer *obs = new_observer();
    struct lock_view view;

    (void)state;
    foreign_claim("locks/a", 3, "");
    put("locks/a/h.3", "3 17\n");
    assert_int_equal(look(obs, &view),
                     LOCK_HELD); /* its date of 2031 is nothing to us */
    assert_int_equal(view.beat, 17);
    fake_now += 89.9; /* 1.5 leases are 90 s */
    assert_int_equal(look(obs, &view), LOCK_HELD);
    fake_now += 0.2;
    assert_int_equal(look(obs, &view), LOCK_SUSPECT);
    fake_now += 14.8; /* a heartbeat interval has not passed */
    assert_int_equal(look(obs, &view), LOCK_SUSPECT);
    fake_now += 0.3;
    assert_int_equal(look(obs, &view), LOCK_EXPIRED);
    assert_non_null(strstr(view.why, "no heartbeat for 105.2 s"));
    put("locks/a/h.3", "3 18\n"); /* it was only slow */
    assert_int_equal(look(obs, &view), LOCK_HELD);
    fake_now += 89;
    assert_int_equal(look(obs, &view), LOCK_HELD);
    observer_free(obs);
}

static void an_owner_that_was_not_looked_at_for_long_is_first_suspect(void **state)
{
    struct observer *obs = new_observer();
    struct lock_view view;

    (void)state;
    foreign_claim("locks/a", 1, "");
    assert_int_equal(look(obs, &view), LOCK_HELD);
    fake_now += 86400; /* we slept, not it: it gets one more chance */
    assert_int_equal(look(obs, &view), LOCK_SUSPECT);
    fake_now += 15;
    assert_int_equal(look(obs, &view), LOCK_EXPIRED);
    foreign_claim("locks/a", 2, ""); /* the next generation starts afresh */
    assert_int_equal(look(obs, &view), LOCK_HELD);
    observer_free(obs);
}

static void heartbeats_of_another_generation_or_garbage_do_not_count(void **state)
{
    struct observer *obs = new_observer();
    struct lock_view view;

    (void)state;
    foreign_claim("locks/a", 2, "");
    assert_int_equal(look(obs, &view), LOCK_HELD);
    fake_now += 100;
    put("locks/a/h.1", "1 99\n");
    put("locks/a/h.2", "1 99\n");
    assert_int_equal(look(obs, &view), LOCK_SUSPECT);
    assert_int_equal(view.beat, 0);
    observer_free(obs);
}

static void without_an_observer_an_unproved_owner_is_held_for_ever(void **state)
{
    struct claim *claim;
    struct lock_view view;
    struct err e;

    (void)state;
    foreign_claim("locks/a", 1, "");
    assert_int_equal(look(NULL, &view), LOCK_HELD);
    assert_int_equal(claim_acquire(&claim, "locks/a", "a", NULL, &e), -EBUSY);
    assert_non_null(strstr(e.text, "watcherd 1.0.0 on lxd110h03, process 4321"));
}

static void an_expired_claim_is_taken_over_unless_we_are_strict(void **state)
{
    struct observer *obs = new_observer();
    struct claim_opts opts = {.relaxed = 1, .observer = obs};
    struct claim *claim;
    struct err e;

    (void)state;
    foreign_claim("locks/a", 33, "");
    assert_int_equal(claim_acquire(&claim, "locks/a", "a", &opts, &e), -EBUSY);
    fake_now += 91;
    assert_int_equal(claim_acquire(&claim, "locks/a", "a", &opts, &e), -EBUSY);
    fake_now += 16;
    opts.strict = 1;
    assert_int_equal(claim_acquire(&claim, "locks/a", "a", &opts, &e), -EBUSY);
    opts.strict = 0;
    assert_int_equal(claim_acquire(&claim, "locks/a", "a", &opts, &e), 0);
    assert_int_equal(claim_generation(claim), 34);
    assert_int_equal(claim_release(claim, "done", &e), 0);
    observer_free(obs);
}

static void what_was_seen_survives_in_a_file_for_this_boot_only(void **state)
{
    struct observer *obs = new_observer(), *next = new_observer();
    struct lock_view view;
    struct err e;

    (void)state;
    foreign_claim("locks/a", 1, "");
    assert_int_equal(look(obs, &view), LOCK_HELD);
    fake_now += 95;
    assert_int_equal(look(obs, &view), LOCK_SUSPECT);
    assert_int_equal(observer_save(obs, "seen.json", &e), 0);
    assert_int_equal(observer_load(next, "seen.json", &e), 0);
    fake_now += 16;
    assert_int_equal(look(next, &view), LOCK_EXPIRED);
    observer_free(next);
    assert_int_equal(system("sed -i 's/\"boot\":\"[0-9a-f]/\"boot\":\"x/' seen.json"),
                     0);
    next = new_observer();
    fake_now += 5000;
    assert_int_equal(observer_load(next, "seen.json", &e), 0);
    assert_int_equal(look(next, &view), LOCK_HELD);
    put("seen.json", "{ garbage");
    assert_int_equal(observer_load(next, "seen.json", &e), 0);
    assert_int_equal(observer_load(next, "missing.json", &e), 0);
    observer_free(next);
    observer_free(obs);
}

/* matrix: locks 23 holder that slept past its lease */
static void
an_owner_that_was_silent_for_its_lease_shows_itself_before_committing(void **state)
{
    struct claim_opts opts = {.relaxed = 1, .lease_s = 1e-6};
    struct claim *claim;
    struct err e;

    (void)state;
    assert_int_equal(claim_acquire(&claim, "locks/a", "a", NULL, &e), 0);
    assert_int_equal(claim_may_commit(claim, &e), 0);
    assert_int_not_equal(access("locks/a/h.1", F_OK),
                         0); /* within its lease it need not */
    assert_int_equal(claim_release(claim, "done", &e), 0);
    assert_int_equal(claim_acquire(&claim, "locks/a", "a", &opts, &e), 0);
    while (claim_silence_s(claim) <= opts.lease_s)
        ;
    assert_int_equal(claim_may_commit(claim, &e), 0);
    assert_int_equal(access("locks/a/h.2", F_OK), 0);
    foreign_claim("locks/a", 3, "");
    assert_int_equal(claim_may_commit(claim, &e), ERR_LOST);
    assert_int_equal(claim_release(claim, "done", &e), ERR_LOST);
}

/* matrix: locks 4 stopped between the fence's check and the marker */
static void an_owner_stopped_inside_its_commit_learns_that_it_lost(void **state)
{
    struct claim_opts opts = {.relaxed = 1};
    struct claim *claim;
    struct err e;
    int status, dirfd;
    pid_t pid = fork();

    (void)state;
    if (pid == 0) {
        if (claim_acquire(&claim, "locks/a", "a", &opts, &e) != 0)
            _exit(1);
        setenv("WATCHERD_STOP_AT", "1", 1);
        crash_restart(); /* the first step of the commit is the marker's creation */
        _exit(claim_commit(claim, &e) == ERR_LOST ? 0 : 2);
    }
    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    assert_true(WIFSTOPPED(status));
    dirfd = open("locks/a", O_RDONLY | O_DIRECTORY);
    assert_int_equal(claim_break(dirfd, 1, "test", &e), 0);
    close(dirfd);
    assert_int_equal(claim_acquire(&claim, "locks/a", "a", &opts, &e), 0);
    assert_int_equal(claim_generation(claim), 2);
    assert_int_equal(claim_commit(claim, &e), 0);
    kill(pid, SIGCONT);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(claim_check(claim, &e), 0);
    assert_int_equal(claim_release(claim, "done", &e), 0);
}

static void a_forged_record_is_opaque(void **state)
{
    struct claim *claim;
    struct lock_view view;
    struct err e;

    (void)state;
    if (getuid() != 0) {
        print_message("skipped: only root can give a file away\n");
        skip();
    }
    assert_int_equal(claim_acquire(&claim, "locks/a", "a", NULL, &e), 0);
    assert_int_equal(chown("locks/a/g.1", 65534, 65534), 0);
    assert_int_equal(look(NULL, &view), LOCK_OPAQUE);
    assert_int_equal(claim_release(claim, "done", &e), 0);
}

static void a_tree_lists_claims_and_foreign_locks_by_name(void **state)
{
    struct observer *obs = observer_new();
    struct claim_opts opts = {.relaxed = 1, .foreign = 1};
    struct claim *claim, *freed;
    struct locklist list;
    struct err e;

    (void)state;
    assert_int_equal(claim_acquire(&claim, "tree/b", "b", &opts, &e),
                     0); /* with b.lock */
    assert_int_equal(claim_acquire(&freed, "tree/free", "free", NULL, &e), 0);
    assert_int_equal(claim_release(freed, "done", &e), 0);
    foreign_claim("tree/deep/er/c/.watcherd", 5, "");
    assert_int_equal(system("mkdir -p tree/d tree/link && ln -s .. tree/link/loop"), 0);
    put("tree/d/g.1", "not a record");
    put("tree/words.lock", "somebody\n");
    assert_int_equal(mkfifo("tree/pipe.lock", 0644), 0);
    assert_int_equal(locklist_read(&list, "tree", obs, NULL, &e), 0);
    assert_int_equal(list.n, 5);
    assert_string_equal(list.item[0].name, "b.lock");
    assert_int_equal(list.item[0].view.state, LOCK_HELD);
    assert_false(list.item[0].legacy);
    assert_string_equal(list.item[1].name, "d.lock");
    assert_int_equal(list.item[1].view.state, LOCK_OPAQUE);
    assert_string_equal(list.item[2].name, "deep/er/c.lock");
    assert_int_equal(list.item[2].view.gens.g, 5);
    assert_string_equal(list.item[3].name, "pipe.lock");
    assert_int_equal(list.item[3].view.state, LOCK_OPAQUE);
    assert_string_equal(list.item[4].name, "words.lock");
    assert_int_equal(list.item[4].view.state, LOCK_OPAQUE);
    locklist_clear(&list);
    assert_int_equal(claim_release(claim, "done", &e), 0);
    assert_int_equal(locklist_read(&list, "nowhere", obs, NULL, &e), -ENOENT);
    observer_free(obs);
}

static void cleaning_ends_a_dead_claim_once(void **state)
{
    struct locklist list;
    struct err e;
    int status;

    (void)state;
    if (fork() == 0) {
        struct claim *claim;

        _exit(claim_acquire(&claim, "tree/a", "a", NULL, &e));
    }
    assert_true(wait(&status) > 0);
    assert_int_equal(status, 0);
    assert_int_equal(locklist_read(&list, "tree", NULL, NULL, &e), 0);
    assert_int_equal(list.n, 1);
    assert_int_equal(list.item[0].view.state, LOCK_DEAD);
    assert_true(list.item[0].age_s >= 0 && list.item[0].age_s < 60);
    assert_int_equal(locklist_clean("tree", &list.item[0], "because", &e), 0);
    assert_int_equal(locklist_clean("tree", &list.item[0], "because", &e), -EEXIST);
    locklist_clear(&list);
    assert_int_equal(system("grep -q '^broken-by .*: because$' tree/a/r.1"), 0);
    assert_int_equal(locklist_read(&list, "tree", NULL, NULL, &e), 0);
    assert_int_equal(list.n, 0);
    locklist_clear(&list);
}

/* ---- what is idle ---- */

enum { GROUPS = 100 };

static void claim_and_release(const char *dir)
{
    static const struct claim_opts opts = {.relaxed = 1};
    struct claim *claim;

    assert_int_equal(claim_acquire(&claim, dir, "g", &opts, NULL), 0);
    assert_int_equal(claim_release(claim, "done", NULL), 0);
}

/* List the tree with what is noted of it, and note it as if `later` had passed. */
static void list_tree(struct locklist *list, double later)
{
    struct idle *idle = idle_load("tree");

    idle_pretend_now(idle, clock_wall_s() + later);
    assert_int_equal(locklist_read(list, "tree", NULL, idle, NULL), 0);
    idle_save(idle, "tree");
    idle_free(idle);
}

static size_t count_held(void)
{
    struct locklist list;
    size_t n;

    list_tree(&list, 0);
    n = list.n;
    locklist_clear(&list);
    return n;
}

static bool is_noted(const char *group)
{
    struct idle *idle = idle_load("tree");
    int fd = open("tree", O_RDONLY | O_DIRECTORY);
    bool noted = idle_has(idle, fd, group);

    close(fd);
    idle_free(idle);
    return noted;
}

/* On a file system of which nothing is noted there is nothing to be tested. */
static void idle_tree(double later)
{
    struct locklist list;
    char dir[32];
    int fd;

    for (int i = 0; i < GROUPS; i++) {
        snprintf(dir, sizeof dir, "tree/g%d", i);
        claim_and_release(dir);
    }
    fd = open("tree", O_RDONLY | O_DIRECTORY);
    if (!dirstamp_is_exact(fd)) {
        print_message("skipped: this file system's times are not trusted\n");
        skip();
    }
    close(fd);
    list_tree(&list, later);
    locklist_clear(&list);
}

static void a_claim_in_a_directory_noted_as_idle_is_always_seen(void **state)
{
    struct claim *claim;
    struct stat before;
    struct timespec times[2];

    (void)state;
    idle_tree(10);
    assert_true(is_noted("g5") && is_noted("g6"));
    assert_int_equal(count_held(), 0);
    assert_int_equal(stat("tree/g5", &before), 0);
    assert_int_equal(claim_acquire(&claim, "tree/g5", "g5", NULL, NULL), 0);
    assert_false(is_noted("g5"));
    assert_int_equal(count_held(), 1);
    times[0] = before.st_atim;
    times[1] = before.st_mtim; /* somebody sets the time back */
    assert_int_equal(utimensat(AT_FDCWD, "tree/g5", times, 0), 0);
    assert_int_equal(count_held(), 1);
    assert_int_equal(claim_release(claim, "done", NULL), 0);
    assert_int_equal(count_held(), 0);
    /* another directory under the name of one that was noted */
    assert_int_equal(rename("tree/g6", "gone"), 0);
    assert_int_equal(claim_acquire(&claim, "tree/g6", "g6", NULL, NULL), 0);
    assert_int_equal(count_held(), 1);
    assert_int_equal(claim_release(claim, "done", NULL), 0);
}

static void a_directory_that_has_just_changed_is_not_noted(void **state)
{
    (void)state;
    idle_tree(0);
    assert_false(is_noted("g5"));
    assert_int_not_equal(access("tree/.watcherd/idle", F_OK), 0);
}

static void nothing_is_made_in_a_tree_of_another_user(void **state)
{
    struct locklist list;

    (void)state;
    idle_tree(0);
    if (getuid() != 0) {
        print_message("skipped: only root can give a directory away\n");
        skip();
    }
    assert_int_equal(chown("tree", 65534, 65534), 0);
    list_tree(&list, 10);
    locklist_clear(&list);
    assert_int_not_equal(access("tree/.watcherd", F_OK), 0);
    assert_int_equal(chown("tree", 0, 0), 0);
    list_tree(&list, 10);
    locklist_clear(&list);
    assert_true(is_noted("g5"));
}

static void what_can_change_without_a_new_name_is_not_noted(void **state)
{
    struct record rec;
    struct claim *claim;
    int fd;

    (void)state;
    assert_int_equal(record_init(&rec, NULL), 0);
    assert_int_equal(claim_acquire(&claim, "tree/held", "held", NULL, NULL), 0);
    assert_int_equal(system("mkdir -p tree/kept"), 0);
    fd = open("tree/kept", O_RDONLY | O_DIRECTORY);
    close(kept_make(fd, "done", &rec));
    assert_int_equal(unlinkat(fd, "k", 0), 0);
    close(fd);
    claim_and_release("tree/deep");
    claim_and_release("tree/deep/inner");
    claim_and_release("tree/other");
    put("tree/other/x.lock", "1\n");
    idle_tree(10);
    assert_true(is_noted("g5") && is_noted("deep/inner"));
    assert_false(is_noted("held") || is_noted("kept") || is_noted("deep") ||
                 is_noted("other"));
    assert_int_equal(claim_release(claim, "done", NULL), 0);
}

static void what_was_noted_is_believed_in_the_same_boot_and_time_only(void **state)
{
    struct owner other;
    double clock_s = 0;
    int fd;

    (void)state;
    idle_tree(10);
    assert_int_equal(owner_self(&other, NULL), 0);
    snprintf(other.boot, sizeof other.boot, "00000000-1111-2222-3333-444444444444");
    owner_pretend(&other);
    assert_false(is_noted("g5"));
    owner_pretend(NULL);
    assert_true(is_noted("g5"));
    fd = open("tree/.watcherd/idle", O_RDWR);
    assert_int_equal(pwrite(fd, &clock_s, sizeof clock_s, 48),
                     8); /* the clock was set */
    assert_false(is_noted("g5"));
    assert_int_equal(ftruncate(fd, 60), 0);
    assert_false(is_noted("g5"));
    close(fd);
}

static pid_t dead_pid(void)
{
    pid_t pid = fork();

    if (pid == 0)
        _exit(0);
    waitpid(pid, NULL, 0);
    return pid;
}

/* matrix: locks 31 cleaner killed between lock and unlink */
static void a_cleaner_killed_in_the_middle_leaves_the_lock_to_the_next(void **state)
{
    char text[32];

    (void)state;
    snprintf(text, sizeof text, "%d", dead_pid());
    put("x.lock", text);
    for (int step = 1;; step++) {
        struct legacy_view view;
        struct err e;
        int status;

        if (fork() == 0) {
            snprintf(text, sizeof text, "%d", step);
            setenv("WATCHERD_CRASH_AT", text, 1);
            crash_restart();
            _exit(legacy_break(AT_FDCWD, "x.lock", &view, &e) == 0 ? 0 : 1);
        }
        assert_true(wait(&status) > 0);
        if (WEXITSTATUS(status) == LOCK_CRASH_EXIT) {
            assert_int_equal(legacy_look(AT_FDCWD, "x.lock", &view, &e), 0);
            assert_int_equal(view.state, LEGACY_DEAD);
            continue;
        }
        assert_int_equal(status, 0);
        assert_true(step > 2);
        assert_int_not_equal(access("x.lock", F_OK), 0);
        break;
    }
}

static void legacy_files_are_read_in_all_their_dialects(void **state)
{
    char host[64], dead[16];
    struct {
        char text[160];
        enum legacy_state state;
    } cases[8];
    int n = 0, live = getpid();

    (void)state;
    gethostname(host, sizeof host);
    snprintf(dead, sizeof dead, "%d", dead_pid());
#define CASE(st, ...)                                                                  \
    snprintf(cases[n].text, sizeof cases[n].text, __VA_ARGS__), cases[n++].state = (st)
    CASE(LEGACY_ACTIVE, "%d", live);
    CASE(LEGACY_DEAD, "%s\n", dead);
    CASE(LEGACY_DEAD, "%s\n%s\n", dead, host);
    CASE(LEGACY_ACTIVE, "%s\notherhost\n", dead);
    CASE(LEGACY_ACTIVE, "%s:otherhost", dead);
    CASE(LEGACY_DEAD, "{\"pid\": %s, \"hostname\": \"%s\", \"timestamp\": 1.5}", dead,
         host);
    CASE(LEGACY_OPAQUE, "{\"pid\": \"%s\"}", dead);
    CASE(LEGACY_OPAQUE, "99999999999999999999");
    for (int i = 0; i < n; i++) {
        struct legacy_view view;
        struct err e;

        put("x.lock", cases[i].text);
        assert_int_equal(legacy_look(AT_FDCWD, "x.lock", &view, &e), 0);
        if (view.state != cases[i].state)
            fail_msg("%s: state %d, %s", cases[i].text, view.state, view.why);
        assert_int_equal(legacy_break(AT_FDCWD, "x.lock", &view, &e),
                         cases[i].state == LEGACY_DEAD ? 0 : -EBUSY);
    }
}

/* Break (or take) x.lock in a child that stops between opening and locking it; its PID. */
static pid_t stop_after_open(bool breaks)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        struct legacy_view view;
        struct legacy *held;
        struct err e;

        setenv("WATCHERD_STOP_AT", breaks ? "1" : "2", 1);
        crash_restart();
        _exit((breaks ? legacy_break(AT_FDCWD, "x.lock", &view, &e)
                      : legacy_acquire(&held, "x.lock", &e)) == -EBUSY
                  ? 0
                  : 1);
    }
    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    assert_true(WIFSTOPPED(status));
    return pid;
}

/* matrix: locks 19 legacy: the name became another's while a breaker or taker slept */
static void one_who_slept_on_an_old_file_does_not_touch_the_new_one(void **state)
{
    (void)state;
    for (int breaks = 0; breaks < 2; breaks++) {
        struct legacy_view view;
        struct legacy *held;
        struct err e = {0};
        char text[32];
        pid_t sleeper;
        int status;

        snprintf(text, sizeof text, "%d", dead_pid());
        put("x.lock", text);
        sleeper = stop_after_open(breaks);
        assert_int_equal(legacy_break(AT_FDCWD, "x.lock", &view, &e), 0);
        assert_int_equal(legacy_acquire(&held, "x.lock", &e), 0);
        kill(sleeper, SIGCONT);
        assert_int_equal(waitpid(sleeper, &status, 0), sleeper);
        assert_int_equal(status, 0);
        assert_int_equal(legacy_look(AT_FDCWD, "x.lock", &view, &e), 0);
        assert_int_equal(view.state, LEGACY_ACTIVE);
        assert_int_equal(view.pid, getpid());
        legacy_release(held);
    }
}

/* matrix: locks 19 legacy lock files: racing breakers and makers */
static void racing_breakers_never_remove_a_live_lock(void **state)
{
    (void)state;
    for (int worker = 0; worker < 4; worker++)
        if (fork() == 0) {
            int judge = open("judge", O_RDWR | O_CREAT, 0644);
            unsigned int seed = (unsigned int)worker;

            for (int i = 0; i < 300; i++) {
                struct legacy_view view;
                struct legacy *held;
                struct err e;

                if (rand_r(&seed) % 3 == 0) {
                    legacy_break(AT_FDCWD, "x.lock", &view, &e);
                    continue;
                }
                if (legacy_acquire(&held, "x.lock", &e) != 0)
                    continue;
                if (lockf(judge, F_TLOCK, 0) != 0)
                    _exit(4);
                if (rand_r(&seed) % 40 == 0)
                    _exit(0); /* crash: leaves a dead PID behind */
                lockf(judge, F_ULOCK, 0);
                legacy_release(held);
            }
            _exit(0);
        }
    for (int worker = 0; worker < 4; worker++) {
        int status;

        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        OWN_DIR(a_silent_owner_is_held_then_suspect_then_expired_by_our_clock),
        OWN_DIR(an_owner_that_was_not_looked_at_for_long_is_first_suspect),
        OWN_DIR(heartbeats_of_another_generation_or_garbage_do_not_count),
        OWN_DIR(without_an_observer_an_unproved_owner_is_held_for_ever),
        OWN_DIR(an_expired_claim_is_taken_over_unless_we_are_strict),
        OWN_DIR(what_was_seen_survives_in_a_file_for_this_boot_only),
        OWN_DIR(an_owner_that_was_silent_for_its_lease_shows_itself_before_committing),
        OWN_DIR(an_owner_stopped_inside_its_commit_learns_that_it_lost),
        OWN_DIR(a_forged_record_is_opaque),
        OWN_DIR(a_tree_lists_claims_and_foreign_locks_by_name),
        OWN_DIR(cleaning_ends_a_dead_claim_once),
        OWN_DIR(a_claim_in_a_directory_noted_as_idle_is_always_seen),
        OWN_DIR(a_directory_that_has_just_changed_is_not_noted),
        OWN_DIR(nothing_is_made_in_a_tree_of_another_user),
        OWN_DIR(what_can_change_without_a_new_name_is_not_noted),
        OWN_DIR(what_was_noted_is_believed_in_the_same_boot_and_time_only),
        OWN_DIR(a_cleaner_killed_in_the_middle_leaves_the_lock_to_the_next),
        OWN_DIR(legacy_files_are_read_in_all_their_dialects),
        OWN_DIR(one_who_slept_on_an_old_file_does_not_touch_the_new_one),
        OWN_DIR(racing_breakers_never_remove_a_live_lock),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
