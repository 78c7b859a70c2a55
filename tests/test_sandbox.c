/* test_sandbox.c: who is in it can write to its folders and to nothing else. */
#include "tests/test.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "core/err.h"
#include "watcherd/work/sandbox.h"

static void touch(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT, 0644);

    assert_true(fd != -1);
    close(fd);
}

/* errno of writing to path, 0 when it goes. */
static int write_to(const char *path, int flags)
{
    int fd = open(path, O_WRONLY | flags, 0644), rc = fd == -1 ? errno : 0;

    if (fd != -1)
        close(fd);
    return rc;
}

/* The number of the first line that is not as promised; 0: all are. */
static int try_all(void)
{
    const struct {
        int rc, want;
    } t[] = {
        {write_to("in/new", O_CREAT), 0},
        {write_to("in/old", O_TRUNC), 0},
        {rename("in/old", "also/old") == 0 ? 0 : errno, 0},
        {mkdir("also/dir", 0755) == 0 ? 0 : errno, 0},
        {write_to("/dev/null", 0), 0},
        {write_to("/proc/self/clear_refs", 0), 0},
        {open("out/old", O_RDONLY) >= 0 ? 0 : errno, 0},
        {write_to("out/old", 0), EACCES},
        {write_to("out/new", O_CREAT), EACCES},
        {write_to("in/../out/new", O_CREAT), EACCES},
        {write_to("in/link", 0), EACCES},
        {unlink("out/old") == 0 ? 0 : errno, EACCES},
        {mkdir("out/dir", 0755) == 0 ? 0 : errno, EACCES},
        {rmdir("out/empty") == 0 ? 0 : errno, EACCES},
        {symlink("x", "out/link") == 0 ? 0 : errno, EACCES},
        {rename("in/new", "out/moved") == 0 ? 0 : errno, EACCES},
        {system("echo x >out/by-a-child 2>/dev/null") == 0 ? 0 : EACCES, EACCES},
    };

    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++)
        if (t[i].rc != t[i].want)
            return (int)i + 1;
    return 0;
}

static void nothing_but_its_folders_can_be_written_to(void **state)
{
    static const char *const dir[] = {"in", "also", "absent"};
    int status;
    pid_t pid;

    (void)state;
    mkdir("in", 0755);
    mkdir("also", 0755);
    mkdir("out", 0755);
    mkdir("out/empty", 0755);
    touch("in/old");
    touch("out/old");
    assert_int_equal(symlink("../out/old", "in/link"), 0);
    pid = fork();
    if (pid == 0) {
        int rc = sandbox_enter(dir, 3, NULL);

        _exit(rc == -ENOSYS || rc == -EOPNOTSUPP ? 77 : rc != 0 ? 99 : try_all());
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77) {
        print_message("skipped: this kernel has no Landlock\n");
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(access("out/old", F_OK), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        OWN_DIR(nothing_but_its_folders_can_be_written_to),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
