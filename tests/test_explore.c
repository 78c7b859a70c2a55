/*
 * test_explore.c: every order in which claimers, cleaners and crashes can fall.
 *
 * Each actor is a thread with descriptors of its own (a crash closes them, and with them its
 * kernel locks).  Only one runs at a time; at every step and look of locks/
 * (locks/crashpoint.h) an explorer decides whether it goes on, another goes first, or it dies
 * here.  The run is repeated with other decisions until all have been tried: as many changes
 * of turn as the bound allows, a crash at every step included.  What follows from a state does
 * not depend on how it came about, so a state that was met before (same directory, same things
 * seen by each actor, same budget) is not followed again but counted.
 *
 * The bounds are 1 turn and 1 crash, and a few scenarios are left out;
 * WATCHERD_EXPLORE="TURNS CRASHES" sets others and takes all, as
 * tests/torture_locks_explore.sh does.
 */
#include "tests/explore.h"

/* ---- what the actors do ---- */

/* A place for what is counted of a generation. */
static size_t place(uint64_t gen)
{
    uint64_t leaps = gen / OLD_SPAN, rest = gen % OLD_SPAN;

    if (leaps > 1 || rest >= GEN_MAX / 2)
        abort();
    return (size_t)(leaps * (GEN_MAX / 2) + rest);
}

static void took(const struct claim *claim, uint64_t above)
{
    uint64_t gen = claim_generation(claim);

    if (x.aborting)
        return;
    if (++x.owned[place(gen)] > 1)
        violated("generation %" PRIu64 " was given out twice", gen);
    if (gen <= above)
        violated("generation %" PRIu64 " came after %" PRIu64, gen, above);
    if (gen > x.top_owned)
        x.top_owned = gen;
    if (x.scenario->exclusive)
        for (int i = 0; i < ACTORS; i++)
            if (x.actor[i].holds != 0)
                violated("%c holds generation %" PRIu64 " while %c got %" PRIu64,
                         x.actor[i].name, x.actor[i].holds, me->name, gen);
    me->holds = gen;
}

static void end_marked(uint64_t gen)
{
    if (++x.ended[place(gen)] > 1)
        violated("generation %" PRIu64 " was ended twice", gen);
}

static void let_go(struct claim *claim)
{
    uint64_t gen = claim_generation(claim);
    int rc;

    me->holds = 0;
    rc = claim_release(claim, "done", NULL);
    if (rc == 0)
        end_marked(gen);
    else if (x.scenario->exclusive)
        violated("%c lost generation %" PRIu64 " while it lived", me->name, gen);
}

/* The highest c.N; 0 none. */
static uint64_t current(int dirfd)
{
    struct generations gens;

    return generations_scan(dirfd, &gens) == 0 ? gens.c : 0;
}

static void publish(struct claim *claim)
{
    uint64_t gen = claim_generation(claim), before;
    int rc;

    crash_look("work?"); /* it may take hours */
    before = x.top_committed;
    rc = claim_commit(claim, NULL);

    if (rc == 0 && before > gen)
        violated("generation %" PRIu64 " published after %" PRIu64, gen, before);
    if (rc == 0 && gen > x.top_committed)
        x.top_committed = gen;
    if (rc != 0 && x.scenario->exclusive)
        violated("%c could not publish generation %" PRIu64, me->name, gen);
}

static double later(void)
{
    static _Thread_local double now;

    return now += 1e6;
}

/* keep: see claim_opts */
static int try_claim(struct claim **claim, unsigned int keep, bool suspicious)
{
    struct claim_opts opts = {.relaxed = 1, .keep = keep};
    struct lock_view view;
    struct actor *self = me;
    int rc;

    crash_look("begin?");
    if (suspicious) { /* whoever holds it now has been silent for ages, as we see it */
        opts.observer = observer_new();
        observer_set_clock(opts.observer, later);
        me = NULL;
        for (int i = 0; i < 2; i++)
            observer_look(opts.observer, DIR_FD, "g", &view, NULL);
        me = self;
    }
    rc = claim_acquire(claim, "run/g", "g", &opts, NULL);
    observer_free(opts.observer);
    if (rc != 0 && rc != -EBUSY)
        violated("%c could not claim: %s", me->name, strerror(-rc));
    return rc;
}

static void claim_publish_release(struct actor *a)
{
    uint64_t above = x.top_owned;
    struct claim *claim;

    (void)a;
    if (try_claim(&claim, 0, x.scenario->far) != 0)
        return;
    took(claim, above);
    publish(claim);
    let_go(claim);
}

/* An owner whose process ended long ago, the same in each run. */
static struct record old_owner(void)
{
    struct record rec = {
        .mode = MODE_FLOCK, .group = "g", .lease_s = 60, .t_utc = "then"};

    rec.owner.pid = 1 << 30;
    return rec;
}

/* Claim as an earlier version did, in the kept file, while it may. */
static void keep_and_release(struct actor *a)
{
    struct record rec = old_owner();
    int fd;

    crash_look("begin?");
    fd = kept_claim(DIR_FD, 3, &rec);
    if (fd == -1)
        return;
    for (int i = 0; i < ACTORS; i++)
        if (!x.aborting && x.actor[i].holds != 0)
            violated("%c holds generation %" PRIu64 " while %c got the kept file",
                     x.actor[i].name, x.actor[i].holds, a->name);
    a->holds = 3;
    crash_look("work?");
    a->holds = 0;
    crash_step("slot");
    kept_write(fd, 3, "done", &rec);
    crash_step("let go");
    close(fd);
}

static void claim_only(struct actor *a)
{
    uint64_t above = x.top_owned;
    struct claim *claim;

    (void)a;
    if (try_claim(&claim, 1, false) != 0)
        return;
    took(claim, above);
    let_go(claim);
}

static void claim_often(struct actor *a)
{
    for (int i = 0; i < MORE; i++)
        claim_only(a);
}

static void clean_dead(struct actor *a)
{
    struct lock_view view;

    (void)a;
    crash_look("begin?");
    if (observer_look(NULL, DIR_FD, "g", &view, NULL) != 0 || view.state != LOCK_DEAD)
        return;
    if (claim_break(DIR_FD, view.gens.g, "explored", NULL) != 0)
        return;
    end_marked(view.gens.g);
    for (int i = 0; i < ACTORS; i++)
        if (x.actor[i].state == READY && x.actor[i].holds == view.gens.g)
            violated("%c was broken while it lived", x.actor[i].name);
}

/* What no cleaner does: end whatever is newest. */
static void break_newest(struct actor *a)
{
    struct lock_view view;

    (void)a;
    crash_look("begin?");
    if (observer_look(NULL, DIR_FD, "g", &view, NULL) == 0 && view.gens.g != 0 &&
        claim_break(DIR_FD, view.gens.g, "explored", NULL) == 0)
        end_marked(view.gens.g);
}

/* ---- all runs of a scenario ---- */

static void clear_dir(void)
{
    _Alignas(struct dirent64) char buf[8192];
    ssize_t n;

    lseek(DIR_FD, 0, SEEK_SET);
    while ((n = getdents64(DIR_FD, buf, sizeof buf)) > 0)
        for (ssize_t at = 0; at < n;) {
            const struct dirent64 *d = (const struct dirent64 *)(void *)(buf + at);

            if (d->d_name[0] != '.')
                unlinkat(DIR_FD, d->d_name, 0);
            at += d->d_reclen;
        }
}

static void judge_end(void)
{
    struct claim_opts opts = {.relaxed = 1};
    struct claim *claim;
    struct err e = {0};

    if (current(DIR_FD) < x.top_committed)
        violated("generation %" PRIu64 " is not current although it was published",
                 x.top_committed);
    if (!x.scenario->claimable_at_end || x.wrong[0] != '\0')
        return;
    if (claim_acquire(&claim, "run/g", "g", &opts, &e) != 0) {
        violated("nobody holds it, and yet: %.200s", e.text);
        return;
    }
    if (claim_generation(claim) <= x.top_owned)
        violated("generation %" PRIu64 " came after %" PRIu64, claim_generation(claim),
                 x.top_owned);
    claim_release(claim, "done", NULL);
}

static void one_run(void)
{
    struct record old = old_owner();
    int taken;

    clear_dir();
    if (x.scenario->kept)
        close(kept_make(DIR_FD, "done", &old));
    x.depth = x.turns = x.crashes = 0;
    x.aborting = x.pruned = false;
    x.dirty = true;
    x.traced = 0;
    x.top_owned = x.top_committed = 0;
    memset(x.owned, 0, sizeof x.owned);
    memset(x.ended, 0, sizeof x.ended);
    for (int i = 0; i < ACTORS; i++) {
        struct actor *a = &x.actor[i];

        a->state = a->role != NULL ? READY : DONE;
        a->at = NULL;
        a->seen = 0;
        a->holds = 0;
        a->inside = false;
    }
    taken = decide(&(struct actor){.name = '-', .state = DONE}, false, false);
    if (taken >= 0) {
        hand_over(&x.actor[others(NULL, taken)]);
        while (sem_wait(&x.over) != 0)
            continue;
    }
    if (!x.pruned)
        judge_end();
    x.aborting =
        true; /* those that stand in the middle of a run that is not followed */
    for (int i = 0; i < ACTORS; i++)
        if (x.actor[i].inside) {
            sem_post(&x.actor[i].go);
            while (sem_wait(&x.over) != 0)
                continue;
        }
}

/* The next path that has not been taken; false when there is none. */
static bool next_path(void)
{
    uint64_t leaves = x.pruned ? x.pruned_leaves : 1;

    x.runs++;
    for (int i = x.depth; i-- > 0;) {
        struct decision *d = &x.path[i];

        d->leaves += leaves;
        if (++d->taken < d->options) {
            x.known = i + 1;
            return true;
        }
        remember(d->key, d->leaves);
        leaves = d->leaves;
    }
    x.interleavings = leaves;
    return false;
}

static void start_actors(const struct scenario *s)
{
    for (int i = 0; i < ACTORS; i++) {
        struct actor *a = &x.actor[i];
        struct owner *o = &a->owner;

        a->name = (char)('A' + i);
        a->role = s->role[i];
        snprintf(o->machine, sizeof o->machine, "%032d", i + 1);
        snprintf(o->boot, sizeof o->boot, "00000000-0000-0000-0000-%012d", i + 1);
        snprintf(o->host, sizeof o->host, "host%d", i + 1);
        snprintf(o->exe, sizeof o->exe, "explore 0");
        o->pid = 100 + i;
        o->start = 1;
        o->pidns = 1;
        sem_init(&a->go, 0, 0);
        if (a->role == NULL)
            continue;
        assert_int_equal(pthread_create(&a->thread, NULL, actor_main, a), 0);
        while (sem_wait(&x.over) != 0)
            continue;
    }
}

static void stop_actors(void)
{
    x.quit = true;
    for (int i = 0; i < ACTORS; i++) {
        if (x.actor[i].role != NULL) {
            sem_post(&x.actor[i].go);
            pthread_join(x.actor[i].thread, NULL);
        }
        sem_destroy(&x.actor[i].go);
    }
}

static double now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void forbid_kernel_locks(void)
{
    FILE *file = fopen("run/.watcherd/fs.json", "w");
    struct lockfs fs;

    assert_non_null(file);
    lockfs_get(DIR_FD, &fs);
    fprintf(file, "{\"mode\": \"gen\", \"type\": \"%s\"}", fs.type);
    assert_int_equal(fclose(file), 0);
}

static void explore_within(const struct scenario *s, int turns, int crashes)
{
    double start = now_s();
    bool more = true;
    int fd;

    memset(&x, 0, sizeof x);
    x.scenario = s;
    x.turns_max = turns;
    x.crashes_max = crashes;
    assert_int_equal(system("mkdir -p run/g run/.watcherd"), 0);
    fd = open("run/g", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(dup3(fd, DIR_FD, O_CLOEXEC), DIR_FD);
    close(fd);
    if (s->far)
        forbid_kernel_locks();
    sem_init(&x.over, 0, 0);
    crash_hook(before_step);
    start_actors(s);
    while (more) {
        one_run();
        if (x.wrong[0] != '\0')
            break;
        more = next_path();
    }
    stop_actors();
    crash_hook(NULL);
    sem_destroy(&x.over);
    close(DIR_FD);
    free(x.met);
    if (x.wrong[0] != '\0')
        fail_msg("%s: %s, after\n%s", s->what, x.wrong, x.trace);
    print_message("%s: %" PRIu64 " interleavings with at most %d turns and %d crashes, "
                  "by %" PRIu64 " runs through %zu states in %.1f s\n",
                  s->what, x.interleavings, x.turns_max, x.crashes_max, x.runs, x.nmet,
                  now_s() - start);
    assert_true(x.runs > 100); /* it did explore */
}

static bool thorough(void)
{
    return getenv("WATCHERD_EXPLORE") != NULL;
}

static void explore(const struct scenario *s)
{
    int turns = 1, crashes = 1;

    if (thorough() &&
        sscanf(getenv("WATCHERD_EXPLORE"), "%d %d", &turns, &crashes) != 2)
        fail_msg("WATCHERD_EXPLORE is \"TURNS CRASHES\"");
    explore_within(s, turns, crashes);
}

/* matrix: locks 20 every order of claim, publish, release, clean and a crash, one machine */
static void on_one_machine_nobody_holds_beside_another(void **state)
{
    static const struct scenario s = {
        .what = "two claimers and a cleaner, one machine",
        .role = {claim_publish_release, claim_publish_release, clean_dead},
        .exclusive = true,
        .claimable_at_end = true,
    };

    (void)state;
    explore(&s);
}

/* matrix: locks 20 every order, when each is wrongly held to be dead */
/* matrix: locks 4 the late owner between its look and its commit */
static void
whatever_is_believed_dead_only_the_highest_generation_is_current(void **state)
{
    static const struct scenario s = {
        .what = "two claimers that hold each other to be dead, and a wrong breaker",
        .role = {claim_publish_release, claim_publish_release, break_newest},
        .far = true,
    };

    (void)state;
    explore(&s);
}

/* matrix: locks 19b a claimer that sleeps through others' generations and their collection */
static void a_generation_is_never_given_out_again_after_collection(void **state)
{
    static const struct scenario s = {
        .what = "a claimer, and one that claims and collects",
        .role = {claim_only, claim_often, NULL},
        .exclusive = false,
    };

    (void)state;
    explore(&s);
}

/* matrix: locks 20 every order when one of an earlier version goes on in a kept file */
static void beside_those_of_an_earlier_version_in_a_kept_file_nobody_holds(void **state)
{
    static const struct scenario two = {
        .what = "one in a kept file, a claimer and a cleaner",
        .role = {keep_and_release, claim_publish_release, clean_dead},
        .exclusive = true,
        .claimable_at_end = true,
        .kept = true,
    };
    static const struct scenario three = {
        .what = "one in a kept file and two claimers",
        .role = {keep_and_release, claim_publish_release, claim_publish_release},
        .exclusive = true,
        .claimable_at_end = true,
        .kept = true,
    };

    (void)state;
    explore(&two);
    explore(&three);
}

/* A temporary directory in memory, if there is any: what is explored does not depend on the
   disk. */
static int in_memory(void **state)
{
    (void)state;
    snprintf(own_dir, sizeof own_dir, "%s/watcherd-test-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (getcwd(start_dir, sizeof start_dir) == NULL || mkdtemp(own_dir) == NULL)
        return -1;
    setenv("WATCHERD_BOOTS", "", 1);
    return chdir(own_dir);
}

#define IN_MEMORY(test) cmocka_unit_test_setup_teardown(test, in_memory, remove_dir)

/* Be alone in /proc when we may: who follows a dead owner looks at each process there. */
static int alone(void)
{
    int status = 0;
    pid_t pid;

#ifdef __SANITIZE_ADDRESS__
    return -1; /* its leak checker does not work as process 1 */
#endif
    if (unshare(CLONE_NEWPID | CLONE_NEWNS) != 0)
        return -1;
    pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
            mount("proc", "/proc", "proc", 0, NULL) != 0)
            print_message("cannot mount /proc: slower\n");
        return -1;
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return 1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

/* test_explore [PATTERN]: only the tests whose names match. */
int main(int argc, char **argv)
{
    int code = alone();
    const struct CMUnitTest tests[] = {
        IN_MEMORY(on_one_machine_nobody_holds_beside_another),
        IN_MEMORY(whatever_is_believed_dead_only_the_highest_generation_is_current),
        IN_MEMORY(a_generation_is_never_given_out_again_after_collection),
        IN_MEMORY(beside_those_of_an_earlier_version_in_a_kept_file_nobody_holds),
    };

    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return code >= 0 ? code : cmocka_run_group_tests(tests, NULL, NULL);
}
