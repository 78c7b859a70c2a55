/* test_notify.c: the datagrams as systemd would receive them, on a path and in the abstract
   name space. */
#include "tests/test.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "core/notify.h"

static int listener = -1;
static char got[4096];

/* Listen where `name` says ('@': abstract) and point $NOTIFY_SOCKET there. */
static void listen_at(const char *name)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};

    strcpy(at.sun_path, name);
    if (name[0] == '@')
        at.sun_path[0] = '\0';
    listener = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(listener != -1);
    assert_int_equal(
        bind(listener, (struct sockaddr *)&at,
             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))),
        0);
    setenv("NOTIFY_SOCKET", name, 1);
}

/* The datagram that has just been sent; "" when there is none. */
static const char *next(void)
{
    ssize_t n = recv(listener, got, sizeof got - 1, 0);

    got[n > 0 ? n : 0] = '\0';
    return got;
}

static void unset_all(void)
{
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
}

static int quiet(void **state)
{
    (void)state;
    close(listener);
    listener = -1;
    unset_all();
    return 0;
}

static void each_word_is_one_datagram(void **state)
{
    char path[100];

    (void)state;
    snprintf(path, sizeof path, "%s/notify", own_dir);
    listen_at(path);
    assert_int_equal(notify_ready(NULL), 0);
    assert_string_equal(next(), "READY=1");
    assert_int_equal(notify_ready("watching /in"), 0);
    assert_string_equal(next(), "READY=1\nSTATUS=watching /in");
    assert_int_equal(notify_ready("a=b\nREADY=0"), 0);
    assert_string_equal(next(), "READY=1\nSTATUS=a=b READY=0");
    assert_int_equal(notify_alive(), 0);
    assert_string_equal(next(), "WATCHDOG=1");
    assert_int_equal(notify_stopping(), 0);
    assert_string_equal(next(), "STOPPING=1");
    assert_string_equal(next(), "");
    quiet(NULL);
}

static void
the_abstract_name_space_is_reached_and_reloading_carries_the_time(void **state)
{
    struct timespec now;
    char name[60];
    long long usec, before;

    (void)state;
    snprintf(name, sizeof name, "@watcherd-test-%d", (int)getpid());
    listen_at(name);
    clock_gettime(CLOCK_MONOTONIC, &now);
    before = (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000;
    assert_int_equal(notify_reloading(), 0);
    assert_int_equal(sscanf(next(), "RELOADING=1\nMONOTONIC_USEC=%lld", &usec), 1);
    clock_gettime(CLOCK_MONOTONIC, &now);
    assert_true(usec >= before &&
                usec <= (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
}

static void without_the_variable_nothing_happens(void **state)
{
    (void)state;
    unset_all();
    assert_int_equal(notify_ready("x"), 0);
    assert_int_equal(notify_alive(), 0);
    setenv("NOTIFY_SOCKET", "", 1);
    assert_int_equal(notify_ready("x"), 0);
}

static void a_socket_that_is_not_there_or_not_read_costs_no_time(void **state)
{
    char path[200];
    int rc = 0;

    (void)state;
    setenv("NOTIFY_SOCKET", "relative", 1);
    assert_int_equal(notify_ready(NULL), -EINVAL);
    memset(path, 'x', sizeof path - 1);
    path[0] = '/';
    path[sizeof path - 1] = '\0';
    setenv("NOTIFY_SOCKET", path, 1);
    assert_int_equal(notify_ready(NULL), -ENAMETOOLONG);
    snprintf(path, sizeof path, "%s/notify", own_dir);
    setenv("NOTIFY_SOCKET", path, 1);
    assert_int_equal(notify_ready(NULL), -ENOENT);
    listen_at(path);
    for (int i = 0; i < 100000 && rc == 0; i++)
        rc = notify_alive();
    assert_int_equal(rc, -EAGAIN); /* its queue is full; we are still here */
    quiet(NULL);
}

static void the_watchdog_is_ours_only_when_it_is_meant_for_us(void **state)
{
    char pid[20];

    (void)state;
    setenv("NOTIFY_SOCKET", "@x", 1);
    assert_true(notify_watchdog_s() == 0);
    setenv("WATCHDOG_USEC", "30000000", 1);
    assert_true(notify_watchdog_s() == 30);
    setenv("WATCHDOG_PID", "1", 1);
    assert_true(notify_watchdog_s() == 0);
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    setenv("WATCHDOG_PID", pid, 1);
    assert_true(notify_watchdog_s() == 30);
    setenv("WATCHDOG_USEC", "30s", 1);
    assert_true(notify_watchdog_s() == 0);
    setenv("WATCHDOG_USEC", "30000000", 1);
    unset_all();
    assert_true(notify_watchdog_s() == 0 && getenv("WATCHDOG_PID") == NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        OWN_DIR(each_word_is_one_datagram),
        cmocka_unit_test_teardown(
            the_abstract_name_space_is_reached_and_reloading_carries_the_time, quiet),
        cmocka_unit_test_teardown(without_the_variable_nothing_happens, quiet),
        OWN_DIR(a_socket_that_is_not_there_or_not_read_costs_no_time),
        cmocka_unit_test_teardown(the_watchdog_is_ours_only_when_it_is_meant_for_us,
                                  quiet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
