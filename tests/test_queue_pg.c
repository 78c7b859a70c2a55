#include "tests/queue_suite.h"

#include "tests/pg_rig.h"

static struct rig rig;

static int store_open(struct queue **out, enum queue_role role, long aging,
                      struct err *why)
{
    struct queue_opts opts = {.store = rig.store, .role = role, .aging = aging};

    return queue_open(out, &opts, why);
}

static const char *by_hand(const char *sql)
{
    return rig_ask(&rig, sql);
}

static int store_make(void **state)
{
    by_hand("DROP SCHEMA IF EXISTS absurd CASCADE");
    return in_own_dir(state);
}

static int store_remove(void **state)
{
    return remove_dir(state);
}

static int server_up(void **state)
{
    (void)state;
    return rig_make(&rig, NULL, "");
}

static int server_down(void **state)
{
    (void)state;
    rig_end(&rig);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {QUEUE_SUITE};

    return cmocka_run_group_tests_name("queue_pg", tests, server_up, server_down);
}
