/*
 * Ranges shared by threads are done once each, also where the system starts no thread or only
 * some: pthread_create of this program fails when told to.
 */
#include "core/parallel.h"
#include "tests/test.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

enum { N = 1013 };

static int asked, granted; /* how often a thread was wanted; how many there will be */

/* In place of the C library's, which gives the threads that are granted. */
int pthread_create(pthread_t *restrict thread, const pthread_attr_t *restrict attr,
                   void *(*start)(void *), void *restrict arg)
{
    union {
        void *symbol;
        int (*create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    } real = {dlsym(RTLD_NEXT, "pthread_create")};

    if (asked++ >= granted)
        return EAGAIN;
    return real.create(thread, attr, start, arg);
}

static atomic_int done[N];

static void count(void *arg, size_t lo, size_t hi)
{
    (void)arg;
    for (size_t i = lo; i < hi; i++)
        atomic_fetch_add(&done[i], 1);
}

static void assert_done_once(size_t n)
{
    for (size_t i = 0; i < N; i++)
        assert_int_equal(atomic_exchange(&done[i], 0), i < n);
}

static void each_item_is_done_once_by_however_many_threads_there_are(void **state)
{
    const size_t want[] = {0, 1, 2, 3, 7, PARALLEL_MOST, 100};

    (void)state;
    for (size_t k = 0; k < sizeof want / sizeof want[0]; k++)
        for (granted = 0; granted <= 4; granted += 2) {
            asked = 0;
            parallel_run_by(want[k], N, count, NULL);
            assert_done_once(N);
            assert_int_equal(asked, want[k] < 2               ? 0
                                    : want[k] < PARALLEL_MOST ? want[k] - 1
                                                              : PARALLEL_MOST - 1);
        }
}

static void no_thread_is_asked_for_what_is_too_little_to_share(void **state)
{
    (void)state;
    asked = 0;
    granted = 0;
    parallel_run(N, N, count, NULL);
    parallel_run_by(8, 1, count, NULL);
    parallel_run_by(8, 0, count, NULL);
    assert_int_equal(asked, 0);
    assert_int_equal(atomic_exchange(&done[0], 1), 2);
    assert_done_once(N);
    parallel_run(N, 100, count, NULL);
    assert_done_once(N);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_item_is_done_once_by_however_many_threads_there_are),
        cmocka_unit_test(no_thread_is_asked_for_what_is_too_little_to_share),
    };

    return cmocka_run_group_tests_name("parallel", tests, NULL, NULL);
}
