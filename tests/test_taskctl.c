/* With arguments this is a worker, for run_taskctl.sh: test_taskctl CONF WORKER [PID], told
   by lines on stdin. */
#include "tests/queue_one.h"
#include "tests/test.h"

#include <errno.h>
#include <string.h>

#include "core/conf.h"
#include "core/err.h"
#include "core/store/queue.h"
#include "locks/owner.h"
#include "pipeline/pipeline.h"
#include "tools/common/options.h"
#include "tools/taskctl/ctl.h"
#include "tools/taskctl/screen.h"
#include "tools/taskctl/table.h"
#include "tools/taskctl/maintenance.h"

/* ---- the worker ---- */

enum { HELD_MOST = 8 };

static struct {
    struct queue *q;
    struct queue_worker me;
    struct task held[HELD_MOST];
    size_t n;
} worker;

static int beat(void)
{
    struct task_ref ref[HELD_MOST];
    size_t dropped;

    for (size_t i = 0; i < worker.n; i++) {
        memcpy(ref[i].id, worker.held[i].id, sizeof ref[i].id);
        ref[i].fence = worker.held[i].fence;
    }
    worker.me.running = (int)worker.n;
    if (queue_beat(worker.q, &worker.me, ref, worker.n, 60, &dropped, NULL) != 0)
        return -1;
    for (size_t i = 0; i < worker.n; i++)
        printf("%s\n", ref[i].hold == TASK_TO_CANCEL ? "to-cancel"
                       : ref[i].hold == TASK_LOST    ? "lost"
                                                     : "held");
    puts("beat");
    return 0;
}

static int claim(void)
{
    struct queue_turn turn = {.worker = worker.me.id,
                              .want = 1,
                              .lease_s = 60,
                              .got = &worker.held[worker.n]};

    if (worker.n == HELD_MOST || queue_turn(worker.q, &turn, NULL) != 0)
        return -1;
    puts(turn.ngot == 1 ? worker.held[worker.n].id : "none");
    worker.n += turn.ngot;
    return 0;
}

/* "end N TEXT": the task that was claimed last ends as enum task_how N. */
static int end(const char *args)
{
    struct task *t = &worker.held[worker.n - 1];
    struct task_end end = {.fence = t->fence,
                           .how = (enum task_how)(args[0] - '0'),
                           .text = args + 2,
                           .usage = "{\"cpu_s\": 1.5}"};
    int rc;

    memcpy(end.id, t->id, sizeof end.id);
    rc = end_one(worker.q, &end, NULL);
    task_clear(t);
    worker.n--;
    printf("ended %d\n", rc);
    return 0;
}

static int step(const char *name)
{
    struct task_step s = {.fence = worker.held[worker.n - 1].fence,
                          .step = name,
                          .detail = "as it should",
                          .took_s = 2.5};

    memcpy(s.id, worker.held[worker.n - 1].id, sizeof s.id);
    puts("stepped");
    return queue_put_steps(worker.q, &s, 1, NULL);
}

static int obey(char *line)
{
    line[strcspn(line, "\n")] = '\0';
    if (strcmp(line, "beat") == 0)
        return beat();
    if (strcmp(line, "claim") == 0)
        return claim();
    if (strncmp(line, "end ", 4) == 0)
        return end(line + 4);
    return strncmp(line, "step ", 5) == 0 ? step(line + 5) : -1;
}

static int work(const char *file, const char *name, const char *pid)
{
    static struct conf conf; /* large */
    struct owner me;
    struct err e = {0};
    char line[512];
    int rc;

    conf_defaults(&conf, NULL, &pipeline_settings);
    rc = conf_load(&conf, file, &pipeline_settings, &e);
    if (rc == 0)
        rc = queue_open_conf(&worker.q, &conf, QUEUE_AS_WORKER, &e);
    if (rc == 0)
        rc = owner_self(&me, &e);
    if (rc != 0) {
        fprintf(stderr, "%s\n", e.text);
        return 1;
    }
    snprintf(worker.me.id, sizeof worker.me.id, "%s", name);
    snprintf(worker.me.machine, sizeof worker.me.machine, "%s", me.machine);
    snprintf(worker.me.boot, sizeof worker.me.boot, "%s", me.boot);
    snprintf(worker.me.host, sizeof worker.me.host, "%.63s", me.host);
    strcpy(worker.me.state, "running");
    worker.me.pid = pid != NULL ? atoll(pid) : me.pid;
    worker.me.start = pid != NULL ? 0 : (int64_t)me.start;
    worker.me.slots = 4;
    while (rc == 0 && fgets(line, sizeof line, stdin) != NULL) {
        rc = obey(line);
        fflush(stdout);
    }
    while (worker.n > 0)
        task_clear(&worker.held[--worker.n]);
    queue_close(worker.q);
    return rc != 0;
}

/* ---- words ---- */

static void a_time_is_a_number_and_a_unit(void **state)
{
    static const struct {
        const char *text;
        double s;
    } good[] = {{"90", 90},   {"90s", 90},      {"5m", 300}, {"5min", 300},
                {"2h", 7200}, {"1.5d", 129600}, {"0", 0},    {"2 h", 7200}};
    static const char *const bad[] = {"",    "h",   "-1s",  "2 weeks", "2hh",
                                      "nan", "inf", "1e99", " 3",      "0x"};
    double s;

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_int_equal(options_time(good[i].text, &s), 0);
        assert_true(s == good[i].s);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(options_time(bad[i], &s), -EINVAL);
}

static void names_of_backups_sort_by_time_and_are_told_from_others(void **state)
{
    char name[MAINTENANCE_NAME];

    (void)state;
    /* date -u -d @1795786567 +%FT%H%M%SZ */
    maintenance_name(1795786567, name);
    assert_string_equal(name, "2026-11-27T133607Z");
    assert_true(maintenance_is_name(name));
    assert_false(maintenance_is_name("2026-11-27T133607Z.bak"));
    assert_false(maintenance_is_name("2026-11-27T133607"));
    assert_false(maintenance_is_name("2026-11-27T13:36:07Z"));
    assert_false(maintenance_is_name(""));
    assert_false(maintenance_is_name("queue.sqlite3"));
}

/* ---- tables ---- */

static const char *const head[] = {"NAME", ">N", "TEXT", NULL};

static char *printed(const struct table *t, unsigned width)
{
    char *text = NULL;
    size_t n;
    FILE *f = open_memstream(&text, &n);

    assert_non_null(f);
    table_print(t, f, width);
    fclose(f);
    return text;
}

static void a_table_is_aligned_and_escaped(void **state)
{
    struct table *t = table_new(head);
    char *text;

    (void)state;
    table_put(t, "a");
    table_putf(t, "%d", 1234);
    table_put(t, "x\033[31m\ny");
    table_put(t, "Männer"); /* 6 characters in 7 bytes */
    table_put(t, "");
    table_put(t, "z");
    text = printed(t, 0);
    assert_string_equal(text, "NAME       N  TEXT\n"
                              "a       1234  x\\x1b[31m\\x0ay\n"
                              "Männer     -  z\n");
    free(text);
    table_free(t);
}

static void a_table_is_cut_between_characters(void **state)
{
    struct table *t = table_new(head);
    char *text;

    (void)state;
    table_put(t, "Männer");
    table_put(t, "1");
    table_put(t, "long");
    text = printed(t, 2);
    assert_string_equal(text, "NA\nMä\n");
    free(text);
    text = printed(t, 12);
    assert_string_equal(text, "NAME    N  T\nMänner  1  l\n");
    free(text);
    table_free(t);
}

/* ---- the screen ---- */

static void a_page_is_cut_to_rows_and_columns(void **state)
{
    size_t n;
    char *out;

    (void)state;
    out = screen_fit("one\ntwo and more\nthree\n", 3, 5, &n);
    assert_string_equal(out, "\033[Hone\033[0m\033[K\r\n"
                             "two \xe2\x80\xa6\033[0m\033[K\r\n"
                             "three\033[0m\033[K\033[J");
    assert_int_equal(n, strlen(out));
    free(out);
    out = screen_fit("1\n2\n3\n4\n", 2, 80, &n);
    assert_string_equal(out, "\033[H1\033[0m\033[K\r\n"
                             "3 more lines: make the window taller\033[K\033[J");
    free(out);
}

static void colours_take_no_room_on_a_page(void **state)
{
    size_t n;
    char *out;

    (void)state;
    out = screen_fit("\033[1;31mabcde\033[0m\n\033[32mäbcdefg\033[0m", 9, 5, &n);
    assert_string_equal(out, "\033[H\033[1;31mabcde\033[0m\033[0m\033[K\r\n"
                             "\033[32mäbcd\033[0m\xe2\x80\xa6\033[0m\033[K\033[J");
    free(out);
    out = screen_fit("", 0, 0, &n);
    assert_string_equal(out, "\033[H\033[J");
    free(out);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_time_is_a_number_and_a_unit),
        cmocka_unit_test(names_of_backups_sort_by_time_and_are_told_from_others),
        cmocka_unit_test(a_table_is_aligned_and_escaped),
        cmocka_unit_test(a_table_is_cut_between_characters),
        cmocka_unit_test(a_page_is_cut_to_rows_and_columns),
        cmocka_unit_test(colours_take_no_room_on_a_page),
    };

    if (argc > 2)
        return work(argv[1], argv[2], argc > 3 ? argv[3] : NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
