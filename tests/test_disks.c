/*
 * test_disks.c: the disks watched from a loop: a tmpfs that fills up and empties, and looks
 * that hang until the test lets them go.
 */
#include "tests/test.h"

#include <fcntl.h>
#include <sched.h>
#include <semaphore.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "core/conf.h"
#include "pipeline/pipeline.h"
#include "watcherd/base/disks.h"

static uv_loop_t loop;
static struct conf *conf;
static struct disks *disks;
static sem_t go, gone; /* of looks that hang */

static struct {
    int turns, told;
    bool stop;
    enum disk_level level;
    char text[DISK_SENTENCE];
} got;

static void on_tell(void *arg, enum disk_level level, const char *text)
{
    (void)arg;
    got.told++;
    got.level = level;
    snprintf(got.text, sizeof got.text, "%s", text);
    uv_stop(&loop);
}

static void on_turn(void *arg, bool stop)
{
    (void)arg;
    got.turns++;
    got.stop = stop;
    uv_stop(&loop);
}

static void too_late(uv_timer_t *timer)
{
    (void)timer;
    fail_msg("nothing happened");
}

/* Run the loop until *n is more than it was. */
static void run_until_more(const int *n)
{
    int before = *n;
    uv_timer_t deadline;

    uv_timer_init(&loop, &deadline);
    uv_timer_start(&deadline, too_late, PATIENCE_MS, 0);
    while (*n == before)
        uv_run(&loop, UV_RUN_DEFAULT);
    uv_close((uv_handle_t *)&deadline, NULL);
    uv_run(&loop, UV_RUN_NOWAIT);
}

static void begin(double stuck_after_s,
                  void (*look)(struct disk_fill *, const char (*)[PATH_MAX], size_t,
                               _Atomic size_t *))
{
    struct disks_opts opts = {.loop = &loop,
                              .conf = conf,
                              .tell = on_tell,
                              .turned = on_turn,
                              .stuck_after_s = stuck_after_s,
                              .look = look};

    memset(&got, 0, sizeof got);
    assert_int_equal(disks_new(&disks, &opts, NULL), 0);
    assert_true(disks_stop(disks)); /* until it has been looked at */
}

static void end(void)
{
    disks_close(disks);
    uv_run(&loop, UV_RUN_DEFAULT); /* ends: nothing is left that it would wait for */
    disks_free(disks);
    assert_int_equal(uv_loop_close(&loop), 0);
    free(conf);
}

static int set_up(void **state)
{
    if (in_own_dir(state) != 0)
        return -1;
    conf = malloc(sizeof *conf);
    assert_non_null(conf);
    conf_defaults(conf, own_dir, &pipeline_settings);
    conf->disk.check_s = 0.01;
    uv_loop_init(&loop);
    return 0;
}

static void write_bytes(const char *path, size_t n)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

    assert_true(fd != -1);
    assert_int_equal(posix_fallocate(fd, 0, (off_t)n), 0);
    close(fd);
}

static void a_disk_that_fills_up_turns_work_off_and_on_again(void **state)
{
    json_t *json, *row, *also;

    (void)state;
    mkdir("products", 0755);
    if (unshare(CLONE_NEWNS) != 0 ||
        mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", "products", "tmpfs", 0, "size=4m,nr_inodes=100") != 0) {
        print_message("skipped: mounting needs root\n");
        begin(0, NULL);
        end();
        skip();
    }
    /* The others lie on a disk that is not ours to fill: only what we mounted is to count. */
    snprintf(conf->paths.state, sizeof conf->paths.state, "%s/products/state", own_dir);
    snprintf(conf->paths.incoming, sizeof conf->paths.incoming, "%s/products/in",
             own_dir);
    strcpy(conf->paths.locks, conf->paths.state);
    strcpy(conf->paths.scratch, conf->paths.state);
    begin(0, NULL);
    run_until_more(&got.turns);
    assert_false(got.stop || disks_stop(disks));
    assert_int_equal(got.told, 0);

    write_bytes("products/most", (4 << 20) * 97 / 100);
    run_until_more(&got.turns);
    assert_true(got.stop && disks_stop(disks));
    assert_int_equal(got.level, DISK_STOP);
    assert_non_null(strstr(got.text, "no task is started until it is down to 90 %"));
    json = disks_json(disks);
    assert_true(json_is_true(json_object_get(json, "stop")));
    assert_int_equal(json_array_size(json_object_get(json, "disks")), 1);
    row = json_array_get(json_object_get(json, "disks"), 0);
    assert_string_equal(json_string_value(json_object_get(row, "level")), "stop");
    assert_true(json_real_value(json_object_get(row, "used_pct")) >= 97);
    assert_true(json_integer_value(json_object_get(row, "free_bytes")) <
                (4 << 20) * 3 / 100);
    also = json_object_get(row, "also");
    assert_int_equal(json_array_size(also), 2); /* products and state */
    json_decref(json);

    conf->disk.stop_pct = conf->disk.resume_pct = 99; /* as SIGHUP would */
    disks_set(disks, conf);
    run_until_more(&got.turns);
    assert_false(disks_stop(disks));
    conf->disk.stop_pct = 95;
    conf->disk.resume_pct = 90;
    disks_set(disks, conf);
    run_until_more(&got.turns);
    assert_true(disks_stop(disks));

    unlink("products/most");
    run_until_more(&got.turns);
    assert_false(disks_stop(disks));
    assert_int_equal(got.level, DISK_FINE);
    end();
    umount("products");
}

/* Hangs in the third directory until it is let go; then all is half full. */
static void hang(struct disk_fill *fill, const char (*dir)[PATH_MAX], size_t n,
                 _Atomic size_t *at)
{
    (void)dir;
    *at = 2;
    sem_wait(&go);
    for (size_t i = 0; i < n; i++)
        fill[i] = (struct disk_fill){.same_as = 0, .bytes_used = 1, .bytes_free = 1};
    sem_post(&gone);
}

static void a_file_system_that_hangs_is_told_and_stops_nobody(void **state)
{
    json_t *json;

    (void)state;
    sem_init(&go, 0, 0);
    sem_init(&gone, 0, 0);
    begin(0.05, hang);
    run_until_more(&got.turns);
    assert_false(disks_stop(disks)); /* what is not known to be full is not */
    assert_int_equal(got.told, 1);
    assert_non_null(strstr(got.text, "/products has not answered for"));
    json = disks_json(disks);
    assert_true(json_real_value(json_object_get(json, "stuck_s")) >= 0.05);
    assert_true(json_is_null(json_object_get(json, "looked_s")));
    json_decref(json);
    sem_post(&go);
    run_until_more(&got.told);
    assert_non_null(strstr(got.text, "answer again"));
    sem_post(&go); /* the look that is under way by now, or the next one */
    end();
    sem_wait(&gone);
}

static void the_end_does_not_wait_for_a_look_that_hangs(void **state)
{
    (void)state;
    sem_init(&go, 0, 0);
    sem_init(&gone, 0, 0);
    begin(0.05, hang);
    run_until_more(&got.told);
    end();
    sem_post(&go); /* it then finds nobody there, and frees what it holds */
    sem_wait(&gone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            a_disk_that_fills_up_turns_work_off_and_on_again, set_up, remove_dir),
        cmocka_unit_test_setup_teardown(
            a_file_system_that_hangs_is_told_and_stops_nobody, set_up, remove_dir),
        cmocka_unit_test_setup_teardown(the_end_does_not_wait_for_a_look_that_hangs,
                                        set_up, remove_dir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
