/* test_mem.c: small allocations end the program when memory is out, whatever NDEBUG says. */
#include "core/mem.h"
#include "tests/test.h"

#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void what_is_allocated_is_zero_long_enough_and_a_copy(void **state)
{
    int *n = mem_calloc(3, sizeof *n);
    char *text = mem_strdup("group"), *part = mem_strndup("group", 2);

    (void)state;
    assert_true(n[0] == 0 && n[1] == 0 && n[2] == 0);
    n = mem_realloc(n, 4 * sizeof *n);
    n[3] = 1;
    free(n);
    assert_string_equal(text, "group");
    assert_string_equal(part, "gr");
    free(text);
    free(part);
}

static void nothing_is_still_something_to_free(void **state)
{
    (void)state;
    free(mem_malloc(0));
    free(mem_calloc(0, 8));
    free(mem_realloc(mem_malloc(1), 0));
}

/* What a child says on standard error before it ends by mem_must(NULL). */
static void out_of_memory_is_said_and_aborts(void **state)
{
    char said[64] = "";
    int fd[2], status;
    pid_t pid;

    (void)state;
    assert_int_equal(pipe(fd), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        signal(SIGABRT, SIG_DFL);
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        dup2(fd[1], STDERR_FILENO);
        mem_must(NULL);
        _exit(0);
    }
    close(fd[1]);
    assert_true(read(fd[0], said, sizeof said - 1) > 0);
    close(fd[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_string_equal(said, "out of memory\n");
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_allocated_is_zero_long_enough_and_a_copy),
        cmocka_unit_test(nothing_is_still_something_to_free),
        cmocka_unit_test(out_of_memory_is_said_and_aborts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
