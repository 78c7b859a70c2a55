/* watcherd/todo: what is to do, and the rules of intake, rework and windows over it. */
#include "watcherd/todo/todo.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "core/conf.h"
#include "core/err.h"
#include "core/group.h"
#include "core/mem.h"
#include "core/path.h"
#include "core/store/registry.h"
#include "pipeline/pipeline.h"
#include "pipeline/product/product.h"
#include "tests/test.h"
#include "watcherd/base/store.h"
#include "watcherd/todo/group_copy.h"
#include "watcherd/todo/intake.h"
#include "watcherd/todo/rework.h"
#include "watcherd/todo/windows.h"

#define G "2026-01-26T08:00:00"
#define H "2026-01-26T09:00:00"

struct rig {
    struct conf conf;
    struct queue *q; /* beside the store's */
    struct group_table *groups;
    struct registry *registry;
    uv_loop_t loop;
    uv_timer_t limit;
    struct store *store;
    struct intake *intake;
    struct rework *rework;
    struct windows windows;
    int loaded, queued, refused, rewritten, found;
    size_t nfound;
};

/* ---- the rig ---- */

static void write_file(const char *path, const char *text)
{
    assert_int_equal(path_write(path, text, strlen(text), NULL), 0);
}

static void must_run(struct rig *r, const char *name, const char *key,
                     const char *params, enum task_how how)
{
    struct task_spec spec = {.name = name, .key = key, .params = params, .again = true};
    struct task got = {0};
    struct queue_turn turn = {.worker = "h:w:1", .want = 1, .lease_s = 60, .got = &got};
    struct task_end end = {.how = how};

    assert_int_equal(queue_spawn(r->q, &spec, 1, NULL), 0);
    assert_int_equal(queue_turn(r->q, &turn, NULL), 0);
    assert_int_equal(turn.ngot, 1);
    assert_string_equal(got.key, key);
    snprintf(end.id, sizeof end.id, "%s", got.id);
    end.fence = got.fence;
    turn = (struct queue_turn){.worker = "h:w:1", .end = &end, .nend = 1};
    assert_int_equal(queue_turn(r->q, &turn, NULL), 0);
    task_clear(&got);
}

/* Publish a product of one file. */
static void publish(struct rig *r, const char *name, const char *file,
                    uint64_t generation)
{
    const struct pipeline *of = pipeline_for(PIPELINE_GROUP);
    char scratch[PATH_MAX], dir[PATH_MAX];
    struct product_input in;
    struct product_new p = {.scratch = scratch,
                            .kind_dir = dir,
                            .name = name,
                            .generation = generation,
                            .input = &in,
                            .ninput = 1};

    assert_int_equal(product_input_stat(&in, file, NULL), 0);
    path_join(scratch, sizeof scratch, own_dir, "scratch", NULL);
    path_join(dir, sizeof dir, r->conf.paths.products, of->folder, NULL);
    assert_int_equal(path_mkdirs(scratch, NULL), 0);
    assert_int_equal(product_publish(&p, NULL, NULL), 0);
    json_decref(p.manifest);
}

static void on_news(void *arg, bool changed)
{
    (void)arg;
    (void)changed;
}

static void on_limit(uv_timer_t *timer)
{
    (void)timer;
    fail_msg("the store did not answer");
}

static void stop_loop(struct rig *r, int *count)
{
    ++*count;
    uv_stop(&r->loop);
}

static void on_loaded(void *arg)
{
    stop_loop(arg, &((struct rig *)arg)->loaded);
}

static void on_queued(void *arg)
{
    stop_loop(arg, &((struct rig *)arg)->queued);
}

static void on_refused(void *arg, const char *group)
{
    (void)group;
    ((struct rig *)arg)->refused++;
}

static void on_rewritten(void *arg, const char *group)
{
    struct rig *r = arg;

    r->rewritten++;
    rework_note(r->rework, group);
}

static void on_found(void *arg, size_t n)
{
    struct rig *r = arg;

    r->nfound += n;
    stop_loop(r, &r->found);
}

/* Go round the loop until something is told. */
static void go(struct rig *r)
{
    uv_update_time(&r->loop);
    uv_timer_start(&r->limit, on_limit, PATIENCE_MS, 0);
    uv_run(&r->loop, UV_RUN_DEFAULT);
    uv_timer_stop(&r->limit);
}

static int begin(void **state)
{
    struct rig *r = mem_calloc(1, sizeof *r);
    struct group_opts go = {.tolerance_s = 120, .expected = 1, .deadline_s = 600};
    struct store_opts so = {.loop = &r->loop,
                            .conf = &r->conf,
                            .role = QUEUE_AS_DAEMON,
                            .news = on_news,
                            .arg = r};

    if (in_own_dir(state) != 0)
        return -1;
    *state = r;
    conf_defaults(&r->conf, own_dir, &pipeline_settings);
    path_mkdirs(r->conf.paths.state, NULL);
    uv_loop_init(&r->loop);
    uv_timer_init(&r->loop, &r->limit);
    r->groups = group_table_new(&go);
    if (store_new(&r->store, &so, NULL) != 0 ||
        registry_open(&r->registry, r->conf.paths.state, NULL) != 0 ||
        queue_open_conf(&r->q, &r->conf, QUEUE_AS_TOOL, NULL) != 0)
        return -1;
    r->rework = rework_new(&r->conf, r->groups, r->store, on_queued, r);
    r->intake = intake_new(&(struct intake_opts){.conf = &r->conf,
                                                 .store = r->store,
                                                 .groups = r->groups,
                                                 .loaded = on_loaded,
                                                 .rewritten = on_rewritten,
                                                 .queued = on_queued,
                                                 .refused = on_refused,
                                                 .arg = r});
    r->windows = (struct windows){.conf = &r->conf,
                                  .store = r->store,
                                  .registry = r->registry,
                                  .found = on_found,
                                  .arg = r,
                                  .due = true};
    return 0;
}

static void close_handle(uv_handle_t *handle, void *arg)
{
    (void)arg;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static int end(void **state)
{
    struct rig *r = *state;

    store_stop(r->store, 10);
    uv_walk(&r->loop, close_handle, NULL);
    uv_run(&r->loop, UV_RUN_DEFAULT);
    uv_loop_close(&r->loop);
    intake_free(r->intake);
    rework_free(r->rework);
    store_free(r->store);
    queue_close(r->q);
    registry_close(r->registry);
    group_table_free(r->groups);
    free(r);
    return remove_dir(state);
}

/* ---- looking ---- */

static struct todo_row look(struct rig *r, const char *name, struct todo *todo)
{
    struct todo_row row = {.name = name, .ask_product = true};

    assert_int_equal(
        todo_look(r->q, &r->conf, pipeline_for(PIPELINE_GROUP), todo, &row, 1, NULL),
        0);
    return row;
}

static void a_row_tells_of_the_task_its_inputs_and_the_product(void **state)
{
    struct rig *r = *state;
    struct todo todo = {0};
    struct todo_row row = look(r, G, &todo);

    assert_int_equal(row.task, TASK_NONE);
    assert_int_equal(row.ninput, 0);
    write_file("a", "1");
    must_run(r, "continuum", G, "{\"files\":[\"a\",\"b\"]}", TASK_COMPLETE);
    row = look(r, G, &todo);
    assert_int_equal(row.task, TASK_COMPLETED);
    assert_int_equal(row.ninput, 2);
    assert_int_equal(row.product, TODO_NONE);
    publish(r, G, "a", 1);
    assert_int_equal(look(r, G, &todo).product, TODO_CURRENT);
    write_file("a", "22");
    assert_int_equal(look(r, G, &todo).product, TODO_STALE);
    publish(r, G, "a", 2);
    assert_int_equal(look(r, G, &todo).product, TODO_CURRENT);
    unlink("a"); /* archived: no reason to do anything */
    assert_int_equal(look(r, G, &todo).product, TODO_CURRENT);
}

static void room_and_draining_are_told_once_for_all(void **state)
{
    struct rig *r = *state;
    struct task_spec spec[] = {{.name = "noop", .key = "a"},
                               {.name = "noop", .key = "b"}};
    struct todo todo = {0};

    look(r, G, &todo);
    assert_true(!todo.drains && todo.room == SIZE_MAX);
    assert_int_equal(queue_spawn(r->q, spec, 2, NULL), 0);
    assert_int_equal(queue_set_mode(r->q, QUEUE_DRAINS, "night", NULL), 0);
    todo.max_pending = 3;
    look(r, G, &todo);
    assert_true(todo.drains && todo.room == 1);
    todo.max_pending = 1;
    look(r, G, &todo);
    assert_int_equal(todo.room, 0);
}

/* ---- intake and rework ---- */

static void take(void *arg, const struct group_news *news)
{
    struct rig *r = arg;

    if (news->what == GROUP_IS_COMPLETE)
        intake_take(r->intake, news->group);
    if (news->what == GROUP_HAS_REWRITTEN)
        rework_note(r->rework, news->group->name);
}

static void add_file(struct rig *r, const char *path)
{
    struct product_input in;
    struct file_id id = {0};

    assert_int_equal(product_input_stat(&in, path, NULL), 0);
    id.size = in.size;
    id.mtime_ns = in.mtime_ns;
    assert_int_equal(group_add(r->groups, path, &id, 0), 0);
}

static enum task_status status_of(struct rig *r, const char *name, const char *key)
{
    struct task task = {0};
    int rc = queue_status(r->q, name, key, &task, NULL);
    enum task_status status = rc == 0 ? task.status : TASK_NONE;

    task_clear(&task);
    return status;
}

static void
a_whole_group_becomes_a_task_and_one_with_a_current_product_does_not(void **state)
{
    struct rig *r = *state;

    write_file(G "_sb00.hdf5", "1");
    write_file(H "_sb00.hdf5", "1");
    must_run(r, "continuum", H, "{\"files\":[\"x\"]}", TASK_COMPLETE);
    assert_true(intake_busy(r->intake)); /* it is not known yet who had a task */
    intake_load(r->intake);
    go(r);
    assert_int_equal(r->loaded, 1);
    publish(r, H, H "_sb00.hdf5", 1); /* by somebody else, meanwhile */
    add_file(r, G "_sb00.hdf5");
    add_file(r, H "_sb00.hdf5");
    group_ready(r->groups, 1, take, r);
    intake_send(r->intake);
    go(r);
    assert_false(intake_busy(r->intake));
    assert_int_equal(status_of(r, "continuum", G), TASK_PENDING);
    assert_int_equal(status_of(r, "continuum", H), TASK_COMPLETED);
}

static void a_product_that_went_stale_while_nobody_looked_is_made_again(void **state)
{
    struct rig *r = *state;

    write_file(G "_sb00.hdf5", "1");
    must_run(r, "continuum", G, "{\"files\":[\"x\"]}", TASK_COMPLETE);
    publish(r, G, G "_sb00.hdf5", 1);
    write_file(G "_sb00.hdf5", "22");
    intake_load(r->intake);
    go(r);
    assert_int_equal(r->rewritten, 1);
    rework_run(r->rework); /* its file has not settled: it waits */
    assert_false(rework_busy(r->rework));
    assert_true(rework_waits(r->rework, G));
    add_file(r, G "_sb00.hdf5");
    group_ready(r->groups, 1, take, r);
    rework_run(r->rework);
    assert_true(rework_busy(r->rework));
    go(r);
    assert_int_equal(status_of(r, "continuum", G), TASK_PENDING);
    assert_false(rework_waits(r->rework, G));
}

/* ---- windows ---- */

static void tile(struct rig *r, const char *name, double minutes)
{
    double mjd = 61000 + minutes / 1440;
    struct reg_product p = {.data_type = "image",
                            .table = REG_IMAGES,
                            .data_id = name,
                            .generation = 1,
                            .path = "/p",
                            .qa_status = "passed",
                            .metadata_json = "{}",
                            .start_mjd = mjd,
                            .end_mjd = mjd + 5 / 1440.0};

    assert_int_equal(registry_product(r->registry, &p, NULL), 0);
}

static void find(struct rig *r)
{
    r->windows.due = true;
    r->nfound = 0;
    windows_find(&r->windows);
    assert_true(windows_busy(&r->windows));
    go(r);
    assert_false(windows_busy(&r->windows));
}

/* Ten tiles make a mosaic, and the next one takes two of them again. */
static void names_of_ten(struct rig *r, char from, double minutes, int n)
{
    for (int i = 0; i < n; i++)
        tile(r, (char[]){from, (char)('0' + i), '\0'}, minutes + 5 * i);
}

static void only_what_is_new_is_looked_at_for_windows(void **state)
{
    struct rig *r = *state;
    int64_t seen;

    names_of_ten(r, 'b', 0, 10);
    find(r);
    assert_int_equal(r->nfound, 1);
    assert_int_equal(status_of(r, "mosaic", "mosaic_b0"), TASK_PENDING);
    seen = r->windows.seen;
    assert_true(seen > 0);
    find(r); /* nothing new: nothing is found, nor said anew */
    assert_int_equal(r->nfound, 0);
    assert_int_equal(r->windows.seen, seen);
    names_of_ten(r, 'a', -1000, 9); /* late ones of another night: not enough */
    find(r);
    assert_int_equal(r->nfound, 0);
    assert_non_null(strstr(r->windows.said, "9 of 10 tiles from a0 to a8"));
    tile(r, "a9", -1000 + 45);
    find(r);
    assert_int_equal(r->nfound, 1);
    assert_int_equal(status_of(r, "mosaic", "mosaic_a0"), TASK_PENDING);
    windows_renew(&r->windows); /* all again: the tasks are there already */
    find(r);
    assert_int_equal(r->nfound, 0);
    assert_int_equal(r->windows.seen, 20);
}

static void a_window_that_waits_for_a_tile_is_looked_at_again(void **state)
{
    struct rig *r = *state;
    struct task_spec spec = {.name = "continuum", .key = "b3x"};

    names_of_ten(r, 'b', 0, 10);
    assert_int_equal(queue_spawn(r->q, &spec, 1, NULL), 0);
    find(r);
    assert_int_equal(r->nfound, 0);
    assert_string_equal(r->windows.said, "group b3x is still to come");
    must_run(r, "continuum", "b3x", NULL, TASK_FAIL);
    find(r);
    assert_int_equal(r->nfound, 1);
}

static void while_the_queue_drains_no_window_is_made_and_none_is_forgotten(void **state)
{
    struct rig *r = *state;

    names_of_ten(r, 'b', 0, 10);
    assert_int_equal(queue_set_mode(r->q, QUEUE_DRAINS, "", NULL), 0);
    find(r);
    assert_int_equal(r->nfound, 0);
    assert_true(r->windows.held && r->windows.due);
    assert_string_equal(r->windows.said, ""); /* draining is no reason of the tiles */
    assert_int_equal(queue_set_mode(r->q, QUEUE_RUNS, "", NULL), 0);
    r->windows.held = false; /* news */
    find(r);
    assert_int_equal(r->nfound, 1);
}

#define TODO(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TODO(a_row_tells_of_the_task_its_inputs_and_the_product),
        TODO(room_and_draining_are_told_once_for_all),
        TODO(a_whole_group_becomes_a_task_and_one_with_a_current_product_does_not),
        TODO(a_product_that_went_stale_while_nobody_looked_is_made_again),
        TODO(only_what_is_new_is_looked_at_for_windows),
        TODO(a_window_that_waits_for_a_tile_is_looked_at_again),
        TODO(while_the_queue_drains_no_window_is_made_and_none_is_forgotten),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
