/*
 * fake_worker.h: the test program as its own worker process.  Started by a pool (opts.program =
 * "/proc/self/exe") it does what the key of each task says, and else runs the tests:
 *
 *     int main(int argc, char **argv)
 *     {
 *         if (is_worker(argv)) return work();
 */
#ifndef TESTS_FAKE_WORKER_H
#define TESTS_FAKE_WORKER_H

#include <jansson.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>

static inline bool is_worker(char **argv)
{
    return strcmp(argv[0], "watcherd-task") == 0;
}

static inline void say_end(const char *outcome, const char *reason)
{
    printf("{\"event\": \"end\", \"outcome\": \"%s\", \"reason\": \"%s\", \"path\": "
           "\"/a/product\", \"usage\": {\"cpu_s\": 1.5}}\n",
           outcome, reason);
    fflush(stdout);
}

/* A child in a session of its own, which only the mark in its environment still gives away;
   its PID is in the file `child`. */
static inline void leave_child(void)
{
    FILE *f = fopen("child", "w");
    int ready[2];
    char c;

    if (f == NULL || pipe(ready) != 0)
        _exit(9);
    if (fork() == 0) {
        setsid();
        fprintf(f, "%d\n", (int)getpid());
        fclose(f);
        if (write(ready[1], "x", 1) == 1)
            for (;;)
                pause();
        _exit(9);
    }
    if (read(ready[0], &c, 1) != 1)
        _exit(9);
}

static inline void print_rubbish(void)
{
    printf("no JSON\n{\"event\": 7}\n{\"outcome\": \"bad\"}\n[\"end\"]\n\n\xff\xfe\n");
    for (int i = 0; i < 200000; i++)
        putchar('x');
    printf("\n{\"event\": \"end of what?\", \"outcome\": \"bad\"}\n");
}

static inline void work_on(const char *key)
{
    if (strcmp(key, "steps") == 0)
        printf(
            "{\"event\": \"step\", \"step\": \"first\", \"took_s\": 0.5, \"detail\": "
            "\"well\"}\n");
    if (strcmp(key, "prints") == 0)
        for (int i = 0; i < 20000; i++)
            fprintf(stderr, "line %d\n", i);
    if (strcmp(key, "rubbish") == 0)
        print_rubbish();
    if (strcmp(key, "leaves a child") == 0)
        leave_child();
    if (strcmp(key, "hangs") == 0) {
        printf("{\"event\": \"step\", \"step\": \"hangs\"}\n");
        fflush(stdout);
        for (;;)
            pause();
    }
    if (strcmp(key, "ends") == 0)
        exit(3);
    if (strcmp(key, "dies") == 0 || strcmp(key, "leaves a child") == 0)
        raise(SIGKILL);
    if (strcmp(key, "bad") == 0)
        say_end("bad", "no such data");
    else
        say_end("done", "");
}

static inline int work(void)
{
    char line[8192];

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (fgets(line, sizeof line, stdin) != NULL) {
        json_t *task = json_loads(line, 0, NULL);

        if (task == NULL)
            return 9;
        work_on(json_string_value(json_object_get(task, "key")));
        json_decref(task);
    }
    return 0;
}

#endif
