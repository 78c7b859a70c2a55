#include "tests/test.h"

#include <errno.h>
#include <string.h>

#include "core/err.h"
#include "pipeline/pipeline.h"
#include "pipeline/work.h"

static struct err e;

/* Is the text of one field in no other row? */
static void is_its_own(const char *text, size_t offset, size_t row)
{
    const struct pipeline *p;

    for (size_t i = 0; text != NULL && (p = pipeline_at(i)) != NULL; i++) {
        const char *other = *(const char *const *)((const char *)p + offset);

        if (i != row && other != NULL && strcmp(text, other) == 0)
            fail_msg("rows %zu and %zu both have %s", i, row, text);
    }
}

static void names_folders_types_and_prefixes_are_each_rows_own(void **state)
{
    const struct pipeline *p;

    (void)state;
    for (size_t i = 0; (p = pipeline_at(i)) != NULL; i++) {
        is_its_own(p->name, offsetof(struct pipeline, name), i);
        is_its_own(p->folder, offsetof(struct pipeline, folder), i);
        is_its_own(p->data_type, offsetof(struct pipeline, data_type), i);
        is_its_own(p->prefix, offsetof(struct pipeline, prefix), i);
        assert_ptr_equal(pipeline_by_name(p->name), p);
        assert_ptr_equal(pipeline_for(p->input), p); /* one of a kind, so far */
    }
    assert_null(pipeline_by_name("none"));
}

static void a_row_has_all_that_its_kind_of_input_and_product_needs(void **state)
{
    const struct pipeline *p;

    (void)state;
    for (size_t i = 0; (p = pipeline_at(i)) != NULL; i++) {
        const struct work *work = work_of(p);

        assert_non_null(work);
        assert_true(work->nstep > 0);
        assert_int_equal(p->items != NULL, p->input != PIPELINE_NONE);
        assert_int_equal(p->window != NULL, p->input == PIPELINE_WINDOW);
        assert_int_equal(p->folder != NULL, p->input != PIPELINE_NONE);
        assert_int_equal(p->data_type != NULL, p->folder != NULL);
        assert_int_equal(p->prefix != NULL, p->folder != NULL);
        assert_int_equal(work->meta != NULL, p->folder != NULL);
        assert_int_equal(work->note != NULL, p->folder != NULL);
        for (size_t k = 0; k < work->nstep; k++)
            assert_non_null(work->step[k].run);
    }
}

static void a_products_name_tells_its_pipeline(void **state)
{
    const struct pipeline *window = pipeline_for(PIPELINE_WINDOW);
    char id[128];

    (void)state;
    snprintf(id, sizeof id, "%s2026-01-26T08-07-07", window->prefix);
    assert_ptr_equal(pipeline_of_product(id), window);
    assert_ptr_equal(pipeline_of_product("2026-01-26T08:07:07"),
                     pipeline_for(PIPELINE_GROUP));
    assert_ptr_equal(pipeline_of_product(""), pipeline_for(PIPELINE_GROUP));
}

/* ---- a pipeline of three steps, and what became of it ---- */

static char said[512]; /* in order: steps as they run, are told of, and the end */
static const char *bad_step, *stop_before;

static void say(const char *word, const char *name)
{
    size_t n = strlen(said);

    snprintf(said + n, sizeof said - n, "%s%s ", word, name);
}

static int step(struct run_env *env, const char *name)
{
    assert_string_equal(env->detail, "");
    say("run:", name);
    snprintf(env->detail, sizeof env->detail, "of %s", name);
    return bad_step != NULL && strcmp(bad_step, name) == 0
               ? err_set(&e, ERR_QUALITY, "%s is bad", name)
               : 0;
}

static int one(void *run, struct err *why)
{
    (void)why;
    return step(run, "one");
}

static int two(void *run, struct err *why)
{
    (void)why;
    return step(run, "two");
}

static int silent(void *run, struct err *why)
{
    (void)run;
    (void)why;
    say("silent", "");
    return 0;
}

static json_t *meta(const void *run)
{
    (void)run;
    return json_pack("{s:s}", "kind", "test");
}

static void close_run(void *run)
{
    (void)run;
    say("close", "");
}

static void told(void *arg, const char *name, double took_s, const char *detail)
{
    (void)arg;
    assert_true(took_s >= 0);
    say("told:", name);
    assert_memory_equal(detail, "of ", 3);
}

static int cancelled(void *arg)
{
    (void)arg;
    return stop_before != NULL && strstr(said, stop_before) != NULL;
}

static const struct step steps[] = {{"one", one}, {NULL, silent}, {"two", two}};
static const struct work three = {
    .step = steps, .nstep = 3, .meta = meta, .close = close_run};

static int run_three(json_t **m)
{
    struct run_env env = {.key = "g1", .step = told, .cancelled = cancelled};

    said[0] = '\0';
    return work_run(&three, &env, m, &e);
}

static void steps_run_in_order_and_are_told_of(void **state)
{
    json_t *m, *seconds;

    (void)state;
    assert_int_equal(run_three(&m), 0);
    assert_string_equal(said, "run:one told:one silent run:two told:two close ");
    seconds = json_object_get(m, "seconds");
    assert_string_equal(json_string_value(json_object_get(m, "kind")), "test");
    assert_int_equal(json_object_size(seconds),
                     2); /* the silent one speaks for itself */
    assert_true(json_is_real(json_object_get(seconds, "two")));
    json_decref(m);
}

static void a_failed_step_is_the_last_and_the_run_is_closed(void **state)
{
    json_t *m;

    (void)state;
    bad_step = "one";
    assert_int_equal(run_three(&m), ERR_QUALITY);
    bad_step = NULL;
    assert_string_equal(said, "run:one close ");
    assert_null(m);
}

static void who_is_told_to_stop_stops_before_the_next_step(void **state)
{
    json_t *m;

    (void)state;
    stop_before = "silent";
    assert_int_equal(run_three(&m), -ECANCELED);
    stop_before = NULL;
    assert_string_equal(said, "run:one told:one silent close ");
    assert_string_equal(e.text, "g1 was stopped before step two");
    assert_null(m);
}

static int no_memory(void **run, struct run_env *env, struct err *why)
{
    (void)run;
    return err_set(why, -ENOMEM, "out of memory for %s", env->key);
}

static void what_cannot_be_opened_is_not_closed(void **state)
{
    struct work work = three;
    struct run_env env = {.key = "g1"};
    json_t *m;

    (void)state;
    work.open = no_memory;
    said[0] = '\0';
    assert_int_equal(work_run(&work, &env, &m, &e), -ENOMEM);
    assert_string_equal(said, "");
    assert_null(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_folders_types_and_prefixes_are_each_rows_own),
        cmocka_unit_test(a_row_has_all_that_its_kind_of_input_and_product_needs),
        cmocka_unit_test(a_products_name_tells_its_pipeline),
        cmocka_unit_test(steps_run_in_order_and_are_told_of),
        cmocka_unit_test(a_failed_step_is_the_last_and_the_run_is_closed),
        cmocka_unit_test(who_is_told_to_stop_stops_before_the_next_step),
        cmocka_unit_test(what_cannot_be_opened_is_not_closed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
