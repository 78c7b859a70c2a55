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

/* Whatever its size, and whether or not malloc has it from what was freed just before. */
static void memory_for_data_is_zero_aligned_and_refused_when_absurd(void **state)
{
    const size_t bytes[] = {
        0, 1, 100, 1 << 16, (2 << 20) - 1, 2 << 20, (2 << 20) + 1, 5 << 20};

    (void)state;
    for (int round = 0; round < 2; round++)
        for (size_t i = 0; i < sizeof bytes / sizeof bytes[0]; i++) {
            unsigned char *p = mem_huge(bytes[i]);

            assert_non_null(p);
            assert_true(bytes[i] == 0 || (uintptr_t)p % 64 == 0);
            for (size_t k = 0; k < bytes[i]; k++)
                if (p[k] != 0)
                    fail_msg("byte %zu of %zu is %d", k, bytes[i], p[k]);
            memset(p, 0xa5, bytes[i]);
            free(p);
        }
    assert_null(mem_huge(SIZE_MAX));
    assert_null(mem_huge(SIZE_MAX / 2));
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
        cmocka_unit_test(memory_for_data_is_zero_aligned_and_refused_when_absurd),
        cmocka_unit_test(out_of_memory_is_said_and_aborts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
