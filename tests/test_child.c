/*
 * test_child.c: a program that works for a task: its end, its words, and that nothing stays.
 */
#include "tests/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "core/child.h"
#include "core/err.h"

static int run(const char *script, const struct child_opts *opts, struct err *e)
{
    const char *const argv[] = {"sh", "-c", script, NULL};

    return child_run(argv, opts, e);
}

static int always(void *arg)
{
    ++*(int *)arg;
    return 1;
}

/* The end of a FIFO that all have closed: nobody who had it open lives. */
static void assert_all_ended(int fd)
{
    char c;

    assert_int_equal(read(fd, &c, 1), 0);
    close(fd);
}

/* A pipe whose other end only the child has, from its start on. */
static int watched(int pipe_fd[2])
{
    int rc = pipe(pipe_fd);

    return rc == 0 ? fcntl(pipe_fd[0], F_SETFD, FD_CLOEXEC) : rc;
}

static void a_child_that_succeeds_ran_where_it_should(void **state)
{
    struct child_opts opts = {.log = "log", .extra = "COLOUR=green blue"};
    struct err e = {0};
    char text[64] = "";
    FILE *f;

    (void)state;
    setenv("COLOUR", "red", 1);
    assert_int_equal(run("mkdir in && pwd", &opts, &e), 0);
    opts.dir = "in";
    opts.log = "log"; /* ours, not below dir */
    assert_int_equal(run("pwd; echo \"$COLOUR\" >&2; cat", &opts, &e), 0);
    f = fopen("log", "r");
    assert_non_null(f);
    assert_non_null(fgets(text, sizeof text, f));
    assert_non_null(strstr(text, "/in\n"));
    assert_non_null(fgets(text, sizeof text, f));
    assert_string_equal(text, "green blue\n");
    fclose(f);
}

static void a_failure_has_the_last_line_that_was_said(void **state)
{
    struct child_opts opts = {.log = "log"};
    struct err e = {0};

    (void)state;
    assert_int_equal(run("echo one; echo ' two'; echo; exit 3", &opts, &e), -ECHILD);
    assert_string_equal(e.text, "sh ended with 3: two");
    assert_int_equal(run("exit 4", &opts, &e), -ECHILD);
    assert_string_equal(e.text, "sh ended with 4: it said nothing");
    assert_int_equal(run("kill -SEGV $$", &opts, &e), -ECHILD);
    assert_string_equal(e.text, "sh was killed by signal 11: it said nothing");
}

static void a_program_that_is_not_there_is_named(void **state)
{
    const char *const argv[] = {"no-such-program", "x", NULL};
    struct child_opts opts = {.log = "log"};
    struct err e = {0};

    (void)state;
    assert_int_equal(child_run(argv, &opts, &e), -ENOENT);
    assert_string_equal(e.text, "there is no program no-such-program");
    opts.log = "no/log";
    assert_int_equal(run("true", &opts, &e), -ENOENT);
    assert_non_null(strstr(e.text, "cannot start sh"));
}

static void its_time_is_limited_and_its_children_go_with_it(void **state)
{
    struct child_opts opts = {.log = "log", .timeout_s = 0.05};
    struct err e = {0};
    int fd[2];

    (void)state;
    assert_int_equal(watched(fd), 0);
    assert_int_equal(run("trap '' TERM; sleep 1000 & sleep 1000", &opts, &e),
                     -ETIMEDOUT);
    assert_string_equal(e.text, "sh was killed after 0 s");
    close(fd[1]);
    assert_all_ended(fd[0]);
}

static void a_cancelled_task_ends_its_child(void **state)
{
    int asked = 0, fd[2];
    struct child_opts opts = {.log = "log", .cancelled = always, .arg = &asked};

    (void)state;
    assert_int_equal(watched(fd), 0);
    assert_int_equal(run("sleep 1000", &opts, NULL), -ECANCELED);
    assert_int_equal(asked, 1);
    close(fd[1]);
    assert_all_ended(fd[0]);
}

static void what_a_child_leaves_in_its_group_ends_with_it(void **state)
{
    struct child_opts opts = {.log = "log"};
    int fd[2];

    (void)state;
    assert_int_equal(watched(fd), 0);
    assert_int_equal(run("sleep 1000 & exit 0", &opts, NULL), 0);
    close(fd[1]);
    assert_all_ended(fd[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        OWN_DIR(a_child_that_succeeds_ran_where_it_should),
        OWN_DIR(a_failure_has_the_last_line_that_was_said),
        OWN_DIR(a_program_that_is_not_there_is_named),
        OWN_DIR(its_time_is_limited_and_its_children_go_with_it),
        OWN_DIR(a_cancelled_task_ends_its_child),
        OWN_DIR(what_a_child_leaves_in_its_group_ends_with_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
