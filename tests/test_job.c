/*
 * test_job.c: one task from claim to registry, for a pipeline that is only known here: a row
 * and a struct work are all that a new kind of work needs.
 */
#include "tests/test.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "core/conf.h"
#include "core/err.h"
#include "core/path.h"
#include "core/store/registry.h"
#include "locks/claim.h"
#include "pipeline/pipeline.h"
#include "pipeline/product/product.h"
#include "pipeline/work.h"
#include "watcherd/base/outcome.h"
#include "watcherd/work/job.h"

static struct conf conf;
static struct err e;
static struct {
    int rc;              /* how the step ends */
    const char *rewrite; /* a file it writes while it works */
    int ran, noted, note_rc;
    char path[PATH_MAX]; /* noted */
    bool in_registry;    /* note it there, too */
    bool stop;
} trial;

static void put(const char *path, const char *text)
{
    assert_int_equal(path_write(path, text, strlen(text), NULL), 0);
}

/* Counts the bytes of all its files. */
static int count(void *run, struct err *why)
{
    struct run_env *env = run;
    char path[PATH_MAX], text[32];
    long n = 0;
    struct stat st;

    trial.ran++;
    for (size_t i = 0; i < env->nitem; i++) {
        assert_int_equal(stat(env->item[i], &st), 0);
        n += (long)st.st_size;
    }
    if (trial.rewrite != NULL)
        put(trial.rewrite, "something else");
    if (trial.rc != 0)
        return err_set(why, trial.rc, "as told");
    snprintf(text, sizeof text, "%ld\n", n);
    path_join(path, sizeof path, env->scratch, "count.txt", NULL);
    put(path, text);
    return 0;
}

static json_t *meta(const void *run)
{
    (void)run;
    return json_pack("{s:s}", "kind", "count");
}

static int note(const struct run_env *env, const char *path, json_t *manifest,
                struct err *why)
{
    trial.noted++;
    assert_non_null(env->registry);
    assert_string_equal(json_string_value(json_object_get(manifest, "name")), env->key);
    snprintf(trial.path, sizeof trial.path, "%s", path);
    if (trial.in_registry) {
        struct reg_product p = {
            .data_type = "count", .data_id = env->key, .path = path};

        p.generation =
            (uint64_t)json_integer_value(json_object_get(manifest, "generation"));
        assert_int_equal(registry_product(env->registry, &p, NULL), 0);
    }
    return trial.note_rc == 0 ? 0 : err_set(why, trial.note_rc, "as told");
}

static const struct step steps[] = {{"count", count}};
static const struct work work = {.step = steps, .nstep = 1, .meta = meta, .note = note};
static const struct pipeline row = {.name = "count",
                                    .input = PIPELINE_GROUP,
                                    .items = "files",
                                    .folder = "counts",
                                    .data_type = "count",
                                    .prefix = ""};

static void no_step(void *arg, const char *step, double took_s, const char *detail)
{
    (void)arg;
    (void)took_s;
    (void)detail;
    assert_string_equal(step, "count");
}

static int cancelled(void *arg)
{
    (void)arg;
    return trial.stop;
}

static int set_up(void **state)
{
    char here[PATH_MAX];

    memset(&trial, 0, sizeof trial);
    if (in_own_dir(state) != 0 || getcwd(here, sizeof here) == NULL)
        return -1;
    conf_defaults(&conf, here, &pipeline_settings);
    put("a", "1234");
    put("b", "567");
    return path_mkdirs(conf.paths.state, NULL);
}

/* The outcome of a group of these files in the current directory. */
static const char *run_key(const struct pipeline *p, const char *key, json_t *files)
{
    struct job job = {.conf = &conf,
                      .pipeline = p,
                      .work = &work,
                      .key = key,
                      .params = json_pack("{s:o}", "files", files),
                      .step = no_step,
                      .cancelled = cancelled};
    const char *outcome;
    int rc;

    memset(&e, 0, sizeof e);
    rc = job_run(&job, &outcome, &e);
    assert_int_equal(rc >= 0, strcmp(outcome, OUTCOME_DONE) == 0 ||
                                  strcmp(outcome, OUTCOME_SKIPPED) == 0);
    assert_int_equal(rc >= 0, e.text[0] == '\0');
    json_decref(job.params);
    return outcome;
}

static const char *run_files(const struct pipeline *p, json_t *files)
{
    return run_key(p, "g", files);
}

static const char *run(void)
{
    return run_files(&row, json_pack("[s, s]", "a", "b"));
}

static uint64_t generation(void)
{
    return product_generation("products/counts", "g");
}

static bool is_there(const char *path)
{
    return access(path, F_OK) == 0;
}

static void a_row_alone_makes_a_new_kind_of_work(void **state)
{
    char *text;

    (void)state;
    assert_string_equal(run(), OUTCOME_DONE);
    assert_int_equal(path_read(&text, NULL, "products/counts/g/count.txt", 99, &e), 0);
    assert_string_equal(text, "7\n");
    free(text);
    assert_int_equal(generation(), 1);
    assert_int_equal(trial.noted, 1);
    assert_non_null(strstr(trial.path, "/products/counts/g.gen1"));
    assert_false(is_there("scratch/g"));
}

static void what_is_there_is_noted_again_but_not_made_again(void **state)
{
    (void)state;
    assert_string_equal(run(), OUTCOME_DONE);
    assert_string_equal(run(), OUTCOME_SKIPPED);
    assert_int_equal(trial.ran, 1);
    assert_int_equal(trial.noted, 2);
    assert_true(is_there("locks/g/g.1") && !is_there("locks/g/g.2"));
}

/* As `cp -L` or a restore leaves it. */
static void where_no_link_can_stand_nothing_is_worked_out(void **state)
{
    (void)state;
    assert_int_equal(path_mkdirs("products/counts/g", &e), 0);
    assert_string_equal(run(), OUTCOME_BAD);
    assert_non_null(strstr(e.text, "/products/counts/g is no link"));
    assert_int_equal(trial.ran, 0);
    assert_false(is_there("locks/g"));
    assert_int_equal(rmdir("products/counts/g"), 0);
    assert_string_equal(run(), OUTCOME_DONE);
}

static void a_link_that_alone_is_missing_is_made_without_the_work(void **state)
{
    (void)state;
    assert_string_equal(run(), OUTCOME_DONE);
    assert_int_equal(unlink("products/counts/g"), 0);
    assert_string_equal(run(), OUTCOME_SKIPPED);
    assert_int_equal(trial.ran, 1);
    assert_int_equal(generation(), 1);
    assert_int_equal(unlink("products/counts/g"), 0);
    put("a", "12345"); /* it is of other inputs now */
    assert_string_equal(run(), OUTCOME_DONE);
    assert_int_equal(trial.ran, 2);
    assert_int_equal(unlink("products/counts/g"), 0);
    put("products/counts/g.gen3/count.txt", "x"); /* and now not whole */
    trial.in_registry = true;
    assert_string_equal(run(), OUTCOME_DONE);
    assert_int_equal(trial.ran, 3);
    assert_int_equal(unlink("products/counts/g"), 0); /* by hand: it had been noted */
    assert_string_equal(run(), OUTCOME_DONE);
    assert_int_equal(trial.ran, 4);
}

static void a_rewritten_input_makes_it_again(void **state)
{
    (void)state;
    assert_string_equal(run(), OUTCOME_DONE);
    put("a", "12345");
    assert_string_equal(run(), OUTCOME_DONE);
    assert_int_equal(generation(), 2);
}

static void an_input_rewritten_while_it_was_read_makes_it_worthless(void **state)
{
    (void)state;
    trial.rewrite = "b";
    assert_string_equal(run(), OUTCOME_FAILED);
    assert_non_null(strstr(e.text, "b was rewritten while it was processed"));
    assert_int_equal(generation(), 0);
    assert_int_equal(trial.noted, 0);
}

static void how_it_failed_says_whose_fault_it_is(void **state)
{
    static const struct {
        int rc;
        const char *outcome;
    } cases[] = {
        {ERR_FORMAT, OUTCOME_BAD},  {ERR_QUALITY, OUTCOME_BAD},
        {-EACCES, OUTCOME_MACHINE}, {-ENOSPC, OUTCOME_MACHINE},
        {-EIO, OUTCOME_FAILED},     {-ENOMEM, OUTCOME_FAILED},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        trial.rc = cases[i].rc;
        assert_string_equal(run(), cases[i].outcome);
        assert_string_equal(e.text, "as told");
        assert_int_equal(trial.ran,
                         (int)i + 1); /* the claim was given back each time */
        assert_int_equal(generation(), 0);
        assert_false(is_there("scratch/g/1"));
    }
    trial.rc = 0;
    assert_string_equal(run(), OUTCOME_DONE);
}

static void a_task_without_inputs_or_with_absent_ones_makes_no_claim(void **state)
{
    (void)state;
    assert_string_equal(run_files(&row, json_array()), OUTCOME_BAD);
    assert_string_equal(e.text, "task count g has no inputs");
    assert_string_equal(run_files(&row, json_pack("[s]", "absent")), OUTCOME_FAILED);
    assert_non_null(strstr(e.text, "absent"));
    assert_false(is_there("locks/g"));
}

static void a_key_that_is_a_path_leads_nowhere(void **state)
{
    static const char *const keys[] = {"", ".", "..", ".g", "a/b", "../precious", "/g"};

    (void)state;
    assert_int_equal(path_mkdirs("precious", NULL), 0);
    put("precious/file", "kept");
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        assert_string_equal(run_key(&row, keys[i], json_pack("[s]", "a")), OUTCOME_BAD);
        assert_non_null(strstr(e.text, "can name no file"));
    }
    assert_int_equal(trial.ran, 0);
    assert_true(is_there("precious/file"));
    assert_false(is_there("locks"));
    assert_false(is_there("scratch"));
}

static void who_is_told_to_stop_hands_back(void **state)
{
    (void)state;
    trial.stop = true;
    assert_string_equal(run(), OUTCOME_STOPPED);
    assert_int_equal(trial.ran, 0);
    trial.stop = false;
    assert_string_equal(run(), OUTCOME_DONE);
    assert_int_equal(generation(), 2); /* the first number is used up */
}

static void what_somebody_else_holds_is_left_alone(void **state)
{
    struct claim *other;

    (void)state;
    assert_int_equal(claim_acquire(&other, "locks/g", "g", NULL, &e), 0);
    assert_string_equal(run(), OUTCOME_BUSY);
    assert_int_equal(trial.ran, 0);
    claim_release(other, "released", NULL);
    assert_string_equal(run(), OUTCOME_DONE);
}

static void a_claim_that_was_overtaken_publishes_nothing(void **state)
{
    (void)state;
    trial.rewrite = "locks/g/g.2"; /* the name is the fencing token */
    assert_string_not_equal(run(), OUTCOME_DONE);
    assert_int_equal(trial.ran, 1);
    assert_int_equal(generation(), 0);
    assert_int_equal(trial.noted, 0);
}

static void
a_registry_that_knows_a_newer_one_is_no_failure_of_what_was_made(void **state)
{
    (void)state;
    trial.note_rc = -ESTALE;
    assert_string_equal(run(), OUTCOME_DONE);
    assert_int_equal(generation(), 1);
    trial.note_rc = -EIO;
    put("a", "1");
    assert_string_equal(run(), OUTCOME_FAILED);
    trial.note_rc = 0;
    assert_string_equal(run(), OUTCOME_SKIPPED); /* noted at the next attempt */
}

static int leave_no_trace(void *run, struct err *why)
{
    const struct run_env *env = run;

    (void)why;
    assert_null(env->scratch);
    assert_int_equal(json_object_size(env->params), 1);
    trial.ran++;
    return trial.rc;
}

static void a_row_without_products_neither_claims_nor_publishes(void **state)
{
    static const struct step trace[] = {{NULL, leave_no_trace}};
    static const struct work idle = {.step = trace, .nstep = 1};
    static const struct pipeline none = {.name = "idle", .input = PIPELINE_NONE};
    struct job job = {.conf = &conf,
                      .pipeline = &none,
                      .work = &idle,
                      .key = "g",
                      .params = json_pack("{s:i}", "ms", 1),
                      .step = no_step,
                      .cancelled = cancelled};
    const char *outcome;

    (void)state;
    assert_int_equal(job_run(&job, &outcome, &e), 0);
    assert_string_equal(outcome, OUTCOME_DONE);
    assert_string_equal(job.published, "");
    trial.rc = ERR_FORMAT;
    assert_int_equal(job_run(&job, &outcome, &e), ERR_FORMAT);
    assert_string_equal(outcome, OUTCOME_BAD);
    assert_int_equal(trial.ran, 2);
    assert_false(is_there("locks") || is_there("products") || is_there("scratch"));
    json_decref(job.params);
}

#define JOB(test) cmocka_unit_test_setup_teardown(test, set_up, remove_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        JOB(a_row_alone_makes_a_new_kind_of_work),
        JOB(what_is_there_is_noted_again_but_not_made_again),
        JOB(where_no_link_can_stand_nothing_is_worked_out),
        JOB(a_link_that_alone_is_missing_is_made_without_the_work),
        JOB(a_rewritten_input_makes_it_again),
        JOB(an_input_rewritten_while_it_was_read_makes_it_worthless),
        JOB(how_it_failed_says_whose_fault_it_is),
        JOB(a_task_without_inputs_or_with_absent_ones_makes_no_claim),
        JOB(a_key_that_is_a_path_leads_nowhere),
        JOB(who_is_told_to_stop_hands_back),
        JOB(what_somebody_else_holds_is_left_alone),
        JOB(a_claim_that_was_overtaken_publishes_nothing),
        JOB(a_registry_that_knows_a_newer_one_is_no_failure_of_what_was_made),
        JOB(a_row_without_products_neither_claims_nor_publishes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
