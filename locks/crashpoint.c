/* crashpoint.c: see crashpoint.h. */
#include "locks/crashpoint.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

/* Set once, at the first step; `left` counts down to the chosen one and rests at 0. */
static long left = -1;
static int stop_there;
static void (*step_hook)(const char *what); /* set once, by a test */

static long from_env(const char *name)
{
    const char *text = getenv(name);

    return text != NULL ? strtol(text, NULL, 10) : 0;
}

void crash_look(const char *what)
{
    if (step_hook != NULL)
        step_hook(what);
}

void crash_step(const char *what)
{
    crash_look(what);
    if (left == 0)
        return;
    if (left < 0) {
        left = from_env("WATCHERD_CRASH_AT");
        stop_there = 0;
        if (left <= 0) {
            left = from_env("WATCHERD_STOP_AT");
            stop_there = 1;
        }
        if (left <= 0) {
            left = 0;
            return;
        }
    }
    if (--left > 0)
        return;
    if (!stop_there)
        _exit(LOCK_CRASH_EXIT);
    raise(SIGSTOP);
}

void crash_restart(void)
{
    left = -1;
}

void crash_hook(void (*hook)(const char *what))
{
    step_hook = hook;
}
