#include "tests/test.h"

#include <stdlib.h>
#include <string.h>

#include "core/store/queue_json.h"

/* The JSON says exactly this; drops it. */
static void says(json_t *json, const char *text)
{
    char *got = json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(12));

    assert_string_equal(got, text);
    free(got);
    json_decref(json);
}

static void each_status_has_one_word_and_no_other_word_is_one(void **state)
{
    (void)state;
    for (enum task_status s = TASK_PENDING; s < TASK_STATUSES; s++)
        assert_int_equal(task_status_of(task_status_name(s)), s);
    assert_string_equal(task_status_name(TASK_NONE), "");
    assert_int_equal(task_status_of(""), TASK_NONE);
    assert_int_equal(task_status_of("done"), TASK_NONE);
    assert_int_equal(task_status_of("Pending"), TASK_NONE);
}

static const struct task task = {
    .id = "0198f2c3-0000-7000-8000-000000000001",
    .name = "continuum",
    .key = "2026-01-26T08:07:07",
    .params = "{\"a\": [1]}",
    .status = TASK_CLAIMED,
    .priority = -3,
    .retry_count = 1,
    .max_retries = 2,
    .fence = 9007199254740993,
    .created = 1769414827,
    .claimed = 1769414828.5,
    .error = "bad \xff name",
    .worker = "host:watcherd:7",
};

static void a_task_has_the_names_of_its_columns(void **state)
{
    (void)state;
    says(task_json(&task, true),
         "{\"task_id\":\"0198f2c3-0000-7000-8000-000000000001\","
         "\"task_name\":\"continuum\",\"task_key\":\"2026-01-26T08:07:07\","
         "\"status\":\"claimed\",\"priority\":-3,\"retry_count\":1,\"max_retries\":2,"
         "\"error\":\"bad \\\\xff name\",\"worker_id\":\"host:watcherd:7\","
         "\"cancel_requested\":false,\"created_at\":\"2026-01-26T08:07:07.000Z\","
         "\"claimed_at\":\"2026-01-26T08:07:08.500Z\",\"last_heartbeat\":null,"
         "\"completed_at\":null,\"run_after\":null,\"timeout_s\":null,"
         "\"fence\":9007199254740993,\"params\":{\"a\":[1]},\"result\":null}");
    says(task_brief_json(&task),
         "{\"name\":\"continuum\",\"status\":\"claimed\",\"attempt\":2,"
         "\"max_attempts\":3,\"error\":\"bad \\\\xff name\","
         "\"by\":\"host:watcherd:7\"}");
}

static void attempts_and_steps_say_what_they_were(void **state)
{
    struct task_attempt a = {.attempt = 2,
                             .fence = 5,
                             .worker = "w",
                             .claimed = 1769414827,
                             .usage = "{\"cpu_s\": 1}"};
    struct task_step s = {.fence = 5, .step = "image", .took_s = 1.5};

    (void)state;
    says(task_attempt_json(&a),
         "{\"attempt\":2,\"fence\":5,\"worker_id\":\"w\","
         "\"claimed_at\":\"2026-01-26T08:07:07.000Z\",\"ended_at\":null,"
         "\"outcome\":null,\"error\":null,\"usage\":{\"cpu_s\":1}}");
    says(task_step_json(&s), "{\"took_s\":1.5,\"fence\":5,\"step\":\"image\","
                             "\"detail\":null,\"at\":null}");
}

static void counts_are_told_by_status_and_by_name(void **state)
{
    struct task_counts c = {.n = 1, .of = {0, 1, 2, 3, 4, 5}};

    (void)state;
    c.row = calloc(1, sizeof *c.row);
    assert_non_null(c.row);
    strcpy(c.row[0].name, "mosaic");
    c.row[0].of[TASK_CANCELLED] = 7;
    says(task_counts_json(&c),
         "{\"status\":{\"pending\":1,\"claimed\":2,\"completed\":3,\"failed\":4,"
         "\"cancelled\":5},\"names\":{\"mosaic\":{\"pending\":0,\"claimed\":0,"
         "\"completed\":0,\"failed\":0,\"cancelled\":7}}}");
    task_counts_clear(&c);
    assert_null(c.row);
}

static void a_worker_is_told_with_what_is_known_of_its_life(void **state)
{
    struct queue_worker w = {.id = "h:w:7",
                             .host = "h",
                             .machine = "m",
                             .pid = 7,
                             .state = "running",
                             .slots = 4,
                             .running = 1,
                             .seen = 1769414827};

    (void)state;
    says(queue_worker_json(&w, "alive", "its last sign is 2.0 s old", 1769414829),
         "{\"worker_id\":\"h:w:7\",\"host\":\"h\",\"machine\":\"m\",\"pid\":7,"
         "\"state\":\"running\",\"life\":\"alive\","
         "\"evidence\":\"its last sign is 2.0 s old\",\"slots\":4,\"running\":1,"
         "\"started_at\":null,\"last_seen\":\"2026-01-26T08:07:07.000Z\","
         "\"seen_s\":2.0}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_status_has_one_word_and_no_other_word_is_one),
        cmocka_unit_test(a_task_has_the_names_of_its_columns),
        cmocka_unit_test(attempts_and_steps_say_what_they_were),
        cmocka_unit_test(counts_are_told_by_status_and_by_name),
        cmocka_unit_test(a_worker_is_told_with_what_is_known_of_its_life),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
