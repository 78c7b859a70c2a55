/*
 * test_sweep.c: what is left over goes only when it is old, its product whole and the gate
 * agrees; what stays says why.  The command around it is tried by run_clean.sh.
 */
#include "tests/test.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "core/conf.h"
#include "core/err.h"
#include "core/path.h"
#include "pipeline/pipeline.h"
#include "pipeline/product/product.h"
#include "pipeline/product/sweep.h"

enum { MOST = 16 };

static struct err e;

/* ---- rig ---- */

/* What the gate answers, and what was said. */
struct desk {
    int hold, still;  /* their answers */
    int stop_after;   /* items, then "stop"; 0: never */
    int held, let_go; /* how often */
    size_t n;
    struct {
        char path[PATH_MAX], why[256]; /* below our directory */
        bool go, failed;
    } item[MOST];
};

static int desk_hold(void *arg, const char *group, struct err *why)
{
    struct desk *d = arg;

    d->held++;
    return d->hold == 0 ? 0 : err_set(why, d->hold, "worker 7 has %s", group);
}

static int desk_still(void *arg, struct err *why)
{
    struct desk *d = arg;

    return d->still == 0 ? 0 : err_set(why, d->still, "the claim is lost");
}

static void desk_drop(void *arg)
{
    ((struct desk *)arg)->let_go++;
}

static void desk_said(void *arg, const struct sweep_item *item)
{
    struct desk *d = arg;

    assert_true(d->n < MOST);
    snprintf(d->item[d->n].path, PATH_MAX, "%s", item->path + strlen(own_dir) + 1);
    snprintf(d->item[d->n].why, sizeof d->item[d->n].why, "%s", item->why);
    d->item[d->n].go = item->go;
    d->item[d->n].failed = item->failed;
    d->n++;
}

static bool desk_stop(void *arg)
{
    const struct desk *d = arg;

    return d->stop_after > 0 && (int)d->n >= d->stop_after;
}

/* Sweep what is older than an hour. */
static int sweep(struct desk *d, unsigned kinds, bool dry_run, const char *scratch)
{
    static struct conf conf;
    struct sweep_opts opts = {.conf = &conf,
                              .kinds = kinds,
                              .older_s = 3600,
                              .dry_run = dry_run,
                              .hold = desk_hold,
                              .still = desk_still,
                              .drop = desk_drop,
                              .said = desk_said,
                              .stop = desk_stop,
                              .arg = d};

    conf_defaults(&conf, own_dir, &pipeline_settings);
    if (scratch != NULL)
        snprintf(conf.paths.scratch, PATH_MAX, "%s/%s", own_dir, scratch);
    d->n = 0;
    d->held = d->let_go = 0;
    memset(&e, 0, sizeof e);
    return sweep_run(&opts, &e);
}

static void put(const char *path, const char *text)
{
    assert_int_equal(path_write(path, text, strlen(text), &e), 0);
}

/* Everything below is two hours old. */
static void age(const char *path)
{
    char command[PATH_MAX + 64];

    snprintf(command, sizeof command,
             "find %s -depth -exec touch -h -d '2 hours ago' {} +", path);
    assert_int_equal(system(command), 0);
}

/* An old folder with a file in it. */
static void old_folder(const char *path)
{
    char file[PATH_MAX];

    assert_int_equal(path_mkdirs(path, &e), 0);
    snprintf(file, sizeof file, "%s/table.f0", path);
    put(file, "rows");
    age(path);
}

/* The tile of this group, of one file. */
static void publish(const char *group)
{
    struct product_new p = {.scratch = "made",
                            .kind_dir = "products/tiles",
                            .name = group,
                            .generation = 1};

    assert_int_equal(path_mkdirs("made", &e), 0);
    put("made/image.fits", "pixels");
    assert_int_equal(product_publish(&p, NULL, &e), 0);
    json_decref(p.manifest);
}

static bool is_there(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0;
}

static void assert_said(const struct desk *d, const char *path, bool go,
                        const char *why)
{
    for (size_t i = 0; i < d->n; i++) {
        if (strcmp(d->item[i].path, path) != 0)
            continue;
        if (d->item[i].go != go || strstr(d->item[i].why, why) == NULL)
            fail_msg("%s: %s, \"%s\"", path, d->item[i].go ? "goes" : "stays",
                     d->item[i].why);
        return;
    }
    fail_msg("nothing was said of %s", path);
}

/* ---- what goes and what stays ---- */

static void a_measurement_set_goes_when_its_product_is_whole(void **state)
{
    struct desk d = {0};

    (void)state;
    publish("G");
    publish("H");
    put("products/tiles/H/image.fits", "other!"); /* of the same size */
    old_folder("scratch/G/4/G.ms");
    old_folder("scratch/H/4/H.ms");
    old_folder("scratch/K/4/K.ms");
    old_folder("stage/G_spw0.ms");
    old_folder("stage/else.ms");
    assert_int_equal(sweep(&d, SWEEP_MS, false, NULL), 0);
    assert_said(&d, "scratch/G/4/G.ms", true, "the product of G is whole");
    assert_said(&d, "stage/G_spw0.ms", true, "the product of G is whole");
    assert_said(&d, "scratch/H/4/H.ms", false, "its product is not whole");
    assert_said(&d, "scratch/K/4/K.ms", false, "K has no published product");
    assert_said(&d, "stage/else.ms", false, "no published product bears its name");
    assert_int_equal(d.n, 5);
    assert_int_equal(d.held, d.let_go);
    assert_false(is_there("scratch/G/4/G.ms") || is_there("stage/G_spw0.ms"));
    assert_true(is_there("scratch/H/4/H.ms/table.f0"));
    assert_true(is_there("scratch/K/4/K.ms/table.f0"));
}

static void a_dry_run_says_the_same_and_removes_nothing(void **state)
{
    struct desk d = {0};

    (void)state;
    publish("G");
    old_folder("scratch/G/4/G.ms");
    age("scratch");
    assert_int_equal(sweep(&d, SWEEP_MS | SWEEP_SCRATCH, true, NULL), 0);
    assert_said(&d, "scratch/G/4/G.ms", true, "the product of G is whole");
    assert_said(&d, "scratch/G/4", true, "nobody works on it");
    assert_true(is_there("scratch/G/4/G.ms/table.f0"));
    assert_int_equal(sweep(&d, SWEEP_MS | SWEEP_SCRATCH, false, NULL), 0);
    assert_false(is_there("scratch/G"));
    assert_true(is_there("scratch"));
}

static void what_is_young_stays(void **state)
{
    struct desk d = {0};

    (void)state;
    old_folder("scratch/G/4");
    put("scratch/G/4/table.f0", "just written");
    assert_int_equal(sweep(&d, SWEEP_SCRATCH, false, NULL), 0);
    assert_said(&d, "scratch/G/4", false, "it is younger than 1 h");
    assert_int_equal(d.held, 0); /* nothing to ask for */
    assert_true(is_there("scratch/G/4/table.f0"));
}

static void scratch_stays_while_a_measurement_set_in_it_does(void **state)
{
    struct desk d = {0};

    (void)state;
    old_folder("scratch/K/4/K.ms");
    age("scratch");
    assert_int_equal(sweep(&d, SWEEP_MS | SWEEP_SCRATCH, false, NULL), 0);
    assert_said(&d, "scratch/K/4", false, "a Measurement Set in it stays");
    assert_true(is_there("scratch/K/4/K.ms/table.f0"));
}

static void a_log_that_is_being_written_stays(void **state)
{
    struct desk d = {0};
    int fd;

    (void)state;
    assert_int_equal(path_mkdirs("state/logs", &e), 0);
    put("state/logs/1.log", "done");
    put("state/logs/2.log", "going on");
    put("state/logs/3.txt", "no log");
    age("state/logs");
    fd = open("state/logs/2.log", O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(sweep(&d, SWEEP_LOGS, false, NULL), 0);
    close(fd);
    assert_said(&d, "state/logs/1.log", true, "its task is long over");
    assert_said(&d, "state/logs/2.log", false, "it is being written");
    assert_int_equal(d.n, 2);
    assert_false(is_there("state/logs/1.log"));
}

static void links_are_neither_followed_nor_removed(void **state)
{
    struct desk d = {0};

    (void)state;
    publish("G");
    old_folder("precious/G.ms");
    assert_int_equal(path_mkdirs("scratch/G", &e), 0);
    assert_int_equal(symlink("../../precious", "scratch/G/5"), 0);
    assert_int_equal(symlink("../../precious/G.ms", "scratch/G/G.ms"), 0);
    age("scratch");
    assert_int_equal(sweep(&d, SWEEP_MS | SWEEP_SCRATCH, false, NULL), 0);
    assert_said(&d, "scratch/G/G.ms", false, "it is a symbolic link");
    assert_said(&d, "scratch/G/5", false, "not the directory of a generation");
    assert_true(is_there("precious/G.ms/table.f0"));
    assert_true(is_there("scratch/G/G.ms"));
}

static void a_tree_of_products_is_left_alone(void **state)
{
    struct desk d = {0};

    (void)state;
    publish("G");
    old_folder("products/scratch/G/4");
    assert_int_equal(sweep(&d, SWEEP_SCRATCH, false, "products/scratch"), 0);
    assert_said(&d, "products/scratch/", false, "it lies in a folder of inputs");
    assert_true(is_there("products/scratch/G/4/table.f0"));
}

/* ---- the gate, and interruptions ---- */

static void nothing_of_a_group_goes_while_somebody_works_on_it(void **state)
{
    struct desk d = {.hold = -EBUSY};

    (void)state;
    old_folder("scratch/G/4");
    assert_int_equal(sweep(&d, SWEEP_SCRATCH, false, NULL), 0);
    assert_said(&d, "scratch/G/4", false, "worker 7 has G");
    assert_false(d.item[0].failed); /* an answer */
    d.hold = -EIO;
    assert_int_equal(sweep(&d, SWEEP_SCRATCH, false, NULL), 0);
    assert_true(d.item[0].failed);
    assert_int_equal(d.let_go, 0); /* it never held it */
    assert_true(is_there("scratch/G/4/table.f0"));
}

static void a_claim_that_is_lost_ends_the_removals_of_its_group(void **state)
{
    struct desk d = {.still = -ESTALE};

    (void)state;
    old_folder("scratch/G/4");
    old_folder("scratch/G/5");
    assert_int_equal(sweep(&d, SWEEP_SCRATCH, false, NULL), 0);
    assert_said(&d, "scratch/G/4", false, "the claim is lost");
    assert_said(&d, "scratch/G/5", false, "the claim is lost");
    assert_true(d.item[0].failed && d.item[1].failed);
    assert_int_equal(d.let_go, 1);
    assert_true(is_there("scratch/G/4/table.f0") && is_there("scratch/G/5/table.f0"));
}

static void told_to_stop_it_leaves_what_it_has_not_said(void **state)
{
    struct desk d = {.stop_after = 1};

    (void)state;
    old_folder("scratch/G/4");
    old_folder("scratch/H/4");
    assert_int_equal(sweep(&d, SWEEP_SCRATCH, false, NULL), -EINTR);
    assert_int_equal(d.n, 1);
    assert_false(is_there("scratch/G/4"));
    assert_true(is_there("scratch/H/4/table.f0"));
    assert_int_equal(d.held, d.let_go);
}

static void a_removal_that_was_interrupted_is_finished(void **state)
{
    struct desk d = {0};

    (void)state;
    old_folder("scratch/G/4/.removing-ms-1f");
    put("scratch/G/4/.removing-ms-1f/table.f0", "young, but half");
    assert_int_equal(sweep(&d, SWEEP_MS, false, NULL), 0);
    assert_said(&d, "scratch/G/4/.removing-ms-1f", true, "was interrupted");
    assert_false(is_there("scratch/G/4/.removing-ms-1f"));
    assert_true(is_there("scratch/G/4"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        OWN_DIR(a_measurement_set_goes_when_its_product_is_whole),
        OWN_DIR(a_dry_run_says_the_same_and_removes_nothing),
        OWN_DIR(what_is_young_stays),
        OWN_DIR(scratch_stays_while_a_measurement_set_in_it_does),
        OWN_DIR(a_log_that_is_being_written_stays),
        OWN_DIR(links_are_neither_followed_nor_removed),
        OWN_DIR(a_tree_of_products_is_left_alone),
        OWN_DIR(nothing_of_a_group_goes_while_somebody_works_on_it),
        OWN_DIR(a_claim_that_is_lost_ends_the_removals_of_its_group),
        OWN_DIR(told_to_stop_it_leaves_what_it_has_not_said),
        OWN_DIR(a_removal_that_was_interrupted_is_finished),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
