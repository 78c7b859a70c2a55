/*
 * test.h: what every test file includes first: cmocka, a temporary directory of one's
 * own, and the way to the real data (absent outside the workshop: tests then skip).
 */
#ifndef TESTS_TEST_H
#define TESTS_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

/* Whatever waits fails after this, which is far more than the slowest machine needs: it bounds
   a failure and is no statement about speed. */
enum { PATIENCE_MS = 600000 };

/* The directory of the running test, made by in_own_dir and removed by remove_dir. */
static char own_dir[64];
static char start_dir[4096];

static inline int in_own_dir(void **state)
{
    (void)state;
    snprintf(own_dir, sizeof own_dir, "/tmp/watcherd-test-XXXXXX");
    if (getcwd(start_dir, sizeof start_dir) == NULL || mkdtemp(own_dir) == NULL)
        return -1;
    return chdir(own_dir);
}

static inline int remove_dir(void **state)
{
    char cmd[128];

    (void)state;
    if (chdir(start_dir) != 0)
        return -1;
    snprintf(cmd, sizeof cmd, "rm -rf %s", own_dir);
    return system(cmd) == 0 ? 0 : -1;
}

/* A test that runs in a temporary directory of its own. */
#define OWN_DIR(test) cmocka_unit_test_setup_teardown(test, in_own_dir, remove_dir)

/* Absolute path of the real data, or NULL (the caller then prints why and calls skip()).
 * Tests are started from the top of the checkout. */
static inline const char *shared_data(void)
{
    static char *path; /* made once, kept until the end */
    const char *set = getenv("WATCHERD_TEST_DATA");

    if (path == NULL)
        path = realpath(set != NULL ? set : "../shared/data", NULL);
    return path;
}

#endif
