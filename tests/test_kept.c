/* test_kept.c: many generations in one kept file, none given out twice, whatever is torn. */
#include "tests/test.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "core/err.h"
#include "locks/claim.h"
#include "locks/locklist.h"
#include "locks/observer.h"
#include "locks/crashpoint.h"

static const struct claim_opts keep = {.kept = 1}, plain = {.relaxed = 1};

static struct claim *take(const struct claim_opts *opts)
{
    struct claim *claim;
    struct err e = {0};

    if (claim_acquire(&claim, "locks/a", "grp", opts, &e) != 0)
        fail_msg("%s", e.text);
    return claim;
}

static uint64_t take_and_release(const struct claim_opts *opts)
{
    struct claim *claim = take(opts);
    uint64_t gen = claim_generation(claim);

    assert_int_equal(claim_release(claim, "done", NULL), 0);
    return gen;
}

static void busy(const struct claim_opts *opts, const char *why)
{
    struct claim *claim;
    struct err e = {0};

    assert_int_equal(claim_acquire(&claim, "locks/a", "grp", opts, &e), -EBUSY);
    if (strstr(e.text, why) == NULL)
        fail_msg("%s", e.text);
}

static bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

static void names_are(const char *names)
{
    char cmd[256];

    snprintf(cmd, sizeof cmd, "test \"$(ls -A locks/a | tr '\\n' ' ')\" = '%s'", names);
    if (system(cmd) != 0) {
        system("ls -A locks/a");
        fail_msg("not the names: %s", names);
    }
}

static enum lock_state look(struct lock_view *view)
{
    int fd = open("locks/a", O_RDONLY | O_DIRECTORY);

    assert_int_equal(observer_look(NULL, fd, "grp", view, NULL), 0);
    close(fd);
    return view->state;
}

/* Steps of one who goes on in a kept file: 1 kernel lock, 2 slot, 3 rest of the slot. */
enum { TORN = 3 };

/* In a child: claim, die at the step (0: hold to the end), having written `tear` bytes of a
   slot when that
 * step is inside a slot.  86: it died there. */
static int child_claims(const struct claim_opts *opts, int step, size_t tear)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        struct claim *claim;
        char text[16];

        if (step > 0) {
            snprintf(text, sizeof text, "%d", step);
            setenv("WATCHERD_CRASH_AT", text, 1);
            crash_restart();
        }
        crash_tear(tear);
        if (claim_acquire(&claim, "locks/a", "grp", opts, NULL) != 0)
            _exit(1);
        if (step != TORN && step > 0 &&
            (claim_heartbeat(claim, NULL) != 0 || claim_commit(claim, NULL) != 0 ||
             claim_release(claim, "done", NULL) != 0))
            _exit(2);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WEXITSTATUS(status);
}

static void generations_grow_by_one_and_no_file_is_made(void **state)
{
    (void)state;
    for (uint64_t gen = 2; gen < 14; gen++)
        assert_int_equal(take_and_release(&keep), gen);
    names_are("g.1 k ");
}

static void a_kept_claim_is_seen_by_all_and_excludes_all(void **state)
{
    struct claim *claim = take(&keep);
    struct lock_view view;

    (void)state;
    busy(&keep, "held by test_kept");
    busy(&plain, "generation 2");
    assert_int_equal(look(&view), LOCK_HELD);
    assert_int_equal(view.rec.mode, MODE_KEPT);
    assert_int_equal(view.gens.g, 2);
    assert_int_equal(claim_check(claim, NULL), 0);
    assert_int_equal(claim_release(claim, "done", NULL), 0);
    assert_int_equal(look(&view), LOCK_FREE);
    claim = take(&plain);
    busy(&keep, "held by test_kept");
    assert_int_equal(claim_release(claim, "done", NULL), 0);
}

static void changing_the_way_leaves_the_series_and_its_numbers_behind(void **state)
{
    struct claim *claim;

    (void)state;
    take_and_release(&keep);
    take_and_release(&keep);
    claim = take(&plain);
    assert_int_equal(claim_generation(claim), 1 + KEPT_SPAN);
    assert_true(exists("locks/a/x.1"));
    busy(&keep, "held by");
    assert_int_equal(claim_release(claim, "done", NULL), 0);
    assert_int_equal(take_and_release(&plain), 2 + KEPT_SPAN);
    assert_int_equal(take_and_release(&keep), 4 + KEPT_SPAN);
    assert_int_equal(take_and_release(&keep), 5 + KEPT_SPAN);
}

static void a_series_that_is_used_up_is_followed_by_another(void **state)
{
    struct claim_opts opts = keep;

    (void)state;
    take_and_release(&keep);
    opts.above = KEPT_SPAN - 1;
    assert_int_equal(take_and_release(&opts), KEPT_SPAN);
    assert_int_equal(take_and_release(&keep), KEPT_SPAN + 2);
    assert_true(exists("locks/a/x.1"));
}

static void a_dead_owner_is_followed_at_once(void **state)
{
    struct lock_view view;
    struct claim *claim;

    (void)state;
    take_and_release(&keep);
    assert_int_equal(child_claims(&keep, 0, 0), 0);
    assert_int_equal(look(&view), LOCK_DEAD);
    claim = take(&keep);
    assert_int_equal(claim_generation(claim), 4);
    assert_int_equal(look(&view), LOCK_HELD);
    assert_int_equal(view.rec.after, 3);
    assert_int_equal(claim_release(claim, "done", NULL), 0);
    names_are("g.1 k ");
    assert_int_equal(child_claims(&keep, 0, 0), 0);
    assert_int_equal(take_and_release(&plain), 1 + KEPT_SPAN);
}

static void a_broken_claim_cannot_publish_and_its_successor_can(void **state)
{
    struct claim *late = take(&keep), *next;
    int fd = open("locks/a", O_RDONLY | O_DIRECTORY);

    (void)state;
    assert_int_equal(claim_break(fd, 2, "for the test", NULL), 0);
    close(fd);
    assert_int_equal(claim_check(late, NULL), ERR_LOST);
    assert_int_equal(claim_commit(late, NULL), ERR_LOST);
    next = take(&keep); /* the late one has the old file's kernel lock: a new series */
    assert_int_equal(claim_generation(next), KEPT_SPAN + 2);
    assert_int_equal(claim_release(late, "done", NULL), ERR_LOST);
    assert_int_equal(claim_commit(next, NULL), 0);
    assert_int_equal(claim_release(next, "done", NULL), 0);
}

static void a_cleaned_claim_is_gone_on_after(void **state)
{
    struct locklist list;

    (void)state;
    assert_int_equal(child_claims(&keep, 0, 0), 0);
    assert_int_equal(locklist_read(&list, "locks", NULL, NULL), 0);
    assert_int_equal(list.n, 1);
    assert_int_equal(list.item[0].view.state, LOCK_DEAD);
    assert_int_equal(locklist_clean("locks", &list.item[0], "for the test", NULL), 0);
    locklist_clear(&list);
    assert_int_equal(locklist_read(&list, "locks", NULL, NULL), 0);
    assert_int_equal(list.n, 0);
    locklist_clear(&list);
    assert_int_equal(take_and_release(&keep), 3);
}

static void only_the_highest_commit_is_left(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct claim *claim = take(&keep);

        assert_int_equal(claim_heartbeat(claim, NULL), 0);
        assert_int_equal(claim_commit(claim, NULL), 0);
        assert_int_equal(claim_release(claim, "done", NULL), 0);
    }
    names_are("c.4 g.1 k ");
}

/* matrix: locks 20 each byte of a slot at which its write can end */
static void a_slot_torn_at_any_byte_counts_for_nothing(void **state)
{
    struct stat st;
    uint64_t last = 2;
    size_t tear, whole = 0;
    int code = -1;

    (void)state;
    take_and_release(&keep);
    for (tear = 1; tear < KEPT_SLOT; tear++) {
        struct lock_view view;

        code = child_claims(&keep, TORN, tear);
        if (code != LOCK_CRASH_EXIT)
            break; /* the write was shorter: it was not torn */
        if (look(&view) == LOCK_DEAD) {
            whole++; /* what was not written stood there already */
            last++;
        }
        assert_int_equal(view.gens.g, last); /* it stands as it stood before */
        assert_int_equal(take_and_release(&keep), last + 1);
        last++;
    }
    assert_int_equal(code, 0);
    assert_in_range(tear, 300, 2000);
    assert_in_range(whole, 0, 8); /* "}" and newline */
    assert_int_equal(stat("locks/a/k", &st), 0);
    assert_int_equal(st.st_size, KEPT_SIZE);
}

/* matrix: locks 20 each byte of the end at which its write can stop */
static void an_end_torn_at_any_byte_leaves_a_dead_claim(void **state)
{
    uint64_t last = 2;
    size_t tear;

    (void)state;
    take_and_release(&keep);
    for (tear = 1; tear < 300; tear += 7) {
        struct lock_view view;
        int status;

        if (fork() == 0) {
            struct claim *claim = take(&keep);

            setenv("WATCHERD_CRASH_AT", "2", 1); /* slot, rest of the slot */
            crash_restart();
            crash_tear(tear);
            claim_release(claim, "done", NULL);
            _exit(1);
        }
        assert_true(wait(&status) > 0);
        assert_int_equal(WEXITSTATUS(status), LOCK_CRASH_EXIT);
        assert_int_equal(look(&view), LOCK_DEAD);
        assert_int_equal(view.gens.g, last + 1);
        assert_int_equal(take_and_release(&keep), last + 2);
        last += 2;
    }
}

/* matrix: locks 20 crash at every step of a kept claim */
static void after_a_crash_at_any_step_the_group_is_claimable(void **state)
{
    const struct claim_opts *ways[] = {&keep, &plain};
    uint64_t last = 0;

    (void)state;
    for (int fresh = 0; fresh < 2; fresh++)
        for (int w = 0; w < 2; w++) {
            int step, code = LOCK_CRASH_EXIT;

            for (step = 1; step < 100; step++) {
                uint64_t gen;

                if (fresh) {
                    assert_int_equal(system("rm -rf locks"), 0);
                    last = 0;
                } else {
                    last = take_and_release(&keep);
                }
                code = child_claims(&keep, step, 40);
                if (code != LOCK_CRASH_EXIT)
                    break;
                gen = take_and_release(ways[w]);
                assert_true(gen > last);
            }
            assert_int_equal(code, 0);
            assert_in_range(step, 8, 60);
        }
}

static void without_a_whole_slot_nobody_claims(void **state)
{
    struct claim *claim;
    struct err e = {0};

    (void)state;
    take_and_release(&keep);
    assert_int_equal(system("printf x | dd of=locks/a/k bs=1 seek=100 conv=notrunc "
                            "status=none; printf x | dd of=locks/a/k bs=1 seek=4300 "
                            "conv=notrunc status=none"),
                     0);
    assert_int_equal(claim_acquire(&claim, "locks/a", "grp", &keep, &e), -EUCLEAN);
    assert_non_null(strstr(e.text, "whole"));
    assert_int_equal(claim_acquire(&claim, "locks/a", "grp", &plain, &e), -EUCLEAN);
}

/* An older program reads at most so many bytes of a record, and calls a longer one opaque. */
static void an_older_program_takes_a_kept_file_for_opaque(void **state)
{
    struct stat st;

    (void)state;
    take_and_release(&keep);
    assert_int_equal(stat("locks/a/g.1", &st), 0);
    assert_true(st.st_size > RECORD_MAX);
}

static void a_copied_directory_is_not_gone_on_with(void **state)
{
    (void)state;
    take_and_release(&keep);
    assert_int_equal(system("cp -a locks/a locks/b && rm -rf locks/a && "
                            "mv locks/b locks/a"),
                     0);
    assert_int_equal(take_and_release(&keep), KEPT_SPAN + 2);
    assert_int_equal(system("rm locks/a/g.*"), 0); /* nor a name without its record */
    take_and_release(&keep);
    assert_true(exists("locks/a/g.1") || system("ls locks/a/g.*") == 0);
}

/* Claim as the process of another boot. */
static struct claim *claim_elsewhere(const char *machine, const char *boot)
{
    struct owner other;
    struct claim *claim;

    assert_int_equal(owner_self(&other, NULL), 0);
    snprintf(other.boot, sizeof other.boot, "%s", boot);
    if (machine != NULL)
        snprintf(other.machine, sizeof other.machine, "%s", machine);
    owner_pretend(&other);
    claim = take(&keep);
    owner_pretend(NULL);
    return claim;
}

static void what_another_kernel_keeps_is_left_to_it(void **state)
{
    static const char boot[] = "00000000-1111-2222-3333-444444444444";
    struct lock_view view;

    (void)state;
    claim_release(claim_elsewhere("99999999999999999999999999999999", boot), "done",
                  NULL);
    assert_int_equal(look(&view), LOCK_FREE);
    busy(&keep, "of another machine");
    busy(&plain, "of another machine");
    names_are("g.1 k ");
}

static void what_an_earlier_boot_kept_is_left_behind(void **state)
{
    static const char boot[] = "00000000-1111-2222-3333-444444444444";
    struct lock_view view;
    struct claim *claim;
    struct owner me;
    FILE *file;

    (void)state;
    assert_int_equal(owner_self(&me, NULL), 0);
    if (me.machine[0] == '\0')
        skip();
    file = fopen("boots", "w");
    assert_non_null(file);
    fprintf(file, "%s %s\n", me.machine, boot);
    fclose(file);
    setenv("WATCHERD_BOOTS", "boots", 1);
    owner_set_boots(NULL);
    claim = claim_elsewhere(NULL, boot);
    assert_int_equal(look(&view), LOCK_DEAD);
    assert_int_equal(take_and_release(&keep), KEPT_SPAN + 2);
    assert_int_equal(claim_release(claim, "done", NULL), ERR_LOST);
}

/* Claim either way, commit, release as fast as possible; a POSIX lock is the judge. */
static void race(unsigned int seed, int rounds)
{
    int fd = open("judge", O_RDWR | O_CREAT, 0644);

    for (int i = 0; i < rounds; i++) {
        struct claim *claim;
        int rc = claim_acquire(&claim, "locks/a", "grp",
                               rand_r(&seed) % 8 == 0 ? &plain : &keep, NULL);

        if (rc == -EBUSY)
            continue;
        if (rc != 0)
            _exit(3);
        if (lockf(fd, F_TLOCK, 0) != 0)
            _exit(4); /* two holders */
        if (rand_r(&seed) % 20 == 0)
            _exit(0); /* "crash" */
        lockf(fd, F_ULOCK, 0);
        if (claim_release(claim, "done", NULL) != 0)
            _exit(5);
    }
    _exit(0);
}

/* matrix: locks 19 racing claimers in a kept file, some crash, some do not keep */
static void racing_claimers_of_both_ways_never_hold_together(void **state)
{
    (void)state;
    for (unsigned int wave = 0; wave < 20; wave++) {
        for (unsigned int i = 0; i < 4; i++)
            if (fork() == 0)
                race(wave * 4 + i, 60);
        for (int i = 0; i < 4; i++) {
            int status;

            assert_true(wait(&status) > 0);
            assert_int_equal(status, 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        OWN_DIR(generations_grow_by_one_and_no_file_is_made),
        OWN_DIR(a_kept_claim_is_seen_by_all_and_excludes_all),
        OWN_DIR(changing_the_way_leaves_the_series_and_its_numbers_behind),
        OWN_DIR(a_series_that_is_used_up_is_followed_by_another),
        OWN_DIR(a_dead_owner_is_followed_at_once),
        OWN_DIR(a_broken_claim_cannot_publish_and_its_successor_can),
        OWN_DIR(a_cleaned_claim_is_gone_on_after),
        OWN_DIR(only_the_highest_commit_is_left),
        OWN_DIR(a_slot_torn_at_any_byte_counts_for_nothing),
        OWN_DIR(an_end_torn_at_any_byte_leaves_a_dead_claim),
        OWN_DIR(after_a_crash_at_any_step_the_group_is_claimable),
        OWN_DIR(without_a_whole_slot_nobody_claims),
        OWN_DIR(an_older_program_takes_a_kept_file_for_opaque),
        OWN_DIR(a_copied_directory_is_not_gone_on_with),
        OWN_DIR(what_another_kernel_keeps_is_left_to_it),
        OWN_DIR(what_an_earlier_boot_kept_is_left_behind),
        OWN_DIR(racing_claimers_of_both_ways_never_hold_together),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
