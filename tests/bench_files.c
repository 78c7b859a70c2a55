/*
 * bench_files.c: the writers of files and the ear beside the watchers, for tests/bench.
 *
 *   bench_files write DIR N PER_SECOND WRITERS closed|renamed   0 a second: as fast as possible
 *   bench_files groups DIR NGROUPS TEMPLATE  16 copies of a file a group, the telescope's names
 *   bench_files lines N IDLE_S COMMAND...    run a watcher and time the names that it prints
 *   bench_files fsync DIR N                  median time of writing 300 bytes and forcing them
 *                                            to disk
 *
 * Written names are NNNNNN_T.csv, T the monotonic time of writing in seconds; so whoever
 * prints the name again can be timed, and counted without counting twice.  `lines` prints
 * "ready PID" when the command has said a word with "ready" or "stablished" in it, and one
 * line of key=value when all N names came or none has come for IDLE_S; then the command
 * ends.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Longer than any watcher needs before its first name. */
#define FIRST_S 60.0

static double now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void sleep_until(double at_s)
{
    double wait = at_s - now_s();
    struct timespec t = {.tv_sec = (time_t)wait};

    if (wait <= 0)
        return;
    t.tv_nsec = (long)(1e9 * (wait - (double)t.tv_sec));
    nanosleep(&t, NULL);
}

/* ---- writers ---- */

static int write_one(const char *path, const char *text, size_t n)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);

    return fd == -1 || write(fd, text, n) != (ssize_t)n || close(fd) != 0;
}

/* Every `step`-th file from `first` on. */
static int write_some(const char *dir, int first, int step, int n, double per_second,
                      bool renamed)
{
    char path[4096], tmp[4096];
    double start = now_s();

    for (int i = first; i < n; i += step) {
        if (per_second > 0)
            sleep_until(start + i / per_second);
        snprintf(tmp, sizeof tmp, "%s/.%06d", dir, i);
        snprintf(path, sizeof path, "%s/%06d_%.9f.csv", dir, i, now_s());
        if (write_one(renamed ? tmp : path, "x\n", 2) != 0 ||
            (renamed && rename(tmp, path) != 0))
            return 1;
    }
    return 0;
}

static int write_files(const char *dir, int n, double per_second, int writers,
                       bool renamed)
{
    double start = now_s();
    int status, rc = 0;

    for (int w = 0; w < writers; w++)
        if (fork() == 0)
            _exit(write_some(dir, w, writers, n, per_second, renamed));
    while (wait(&status) > 0)
        rc |= status;
    printf("start_s=%.6f per_s=%.0f\n", start, n / (now_s() - start));
    return rc != 0;
}

static int write_groups(const char *dir, int ngroups, const char *template)
{
    static char text[65536];
    FILE *in = fopen(template, "rb");
    size_t n = in != NULL ? fread(text, 1, sizeof text, in) : 0;

    if (in != NULL)
        fclose(in);
    if (n == 0)
        return 1;
    for (int i = 0; i < 16 * ngroups; i++) {
        time_t t = 1736899200 + 309 * (time_t)(i / 16); /* 2025-01-15 on */
        char path[4096], stamp[32];

        strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", gmtime(&t));
        snprintf(path, sizeof path, "%s/%s_sb%02d.hdf5", dir, stamp, i % 16);
        if (write_one(path, text, n) != 0)
            return 1;
    }
    return 0;
}

static int time_fsync(const char *dir, size_t n)
{
    double *took_us = calloc(n, sizeof *took_us);
    char path[4096], text[300];

    memset(text, 'x', sizeof text);
    snprintf(path, sizeof path, "%s/fsync", dir);
    for (size_t i = 0; i < n; i++) {
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
        double start = now_s();

        if (fd == -1 || write(fd, text, sizeof text) != sizeof text || fsync(fd) != 0)
            return 1;
        took_us[i] = 1e6 * (now_s() - start);
        close(fd);
    }
    unlink(path);
    qsort(took_us, n, sizeof *took_us, by_value);
    printf("p50_us=%.0f\n", took_us[n / 2]);
    free(took_us);
    return 0;
}

/* ---- the ear ---- */

struct ear {
    pid_t pid;
    size_t want, seen;
    bool *known;    /* [want] by number */
    double *took_s; /* [seen] */
    double last_s;
    bool ready;
};

/* "... /dir/000012_345.678.csv ...": which number, written when? */
static void hear(struct ear *ear, const char *line)
{
    const char *end = strstr(line, ".csv"), *name = end;
    unsigned long i;
    char *rest;

    if (!ear->ready &&
        (strstr(line, "ready") != NULL || strstr(line, "stablished") != NULL)) {
        printf("ready %d\n", (int)ear->pid);
        fflush(stdout);
        ear->ready = true;
    }
    while (name != NULL && name > line && name[-1] != '/')
        name--;
    if (name == NULL || name == line)
        return;
    i = strtoul(name, &rest, 10);
    if (*rest != '_' || i >= ear->want || ear->known[i])
        return;
    ear->last_s = now_s();
    ear->known[i] = true;
    ear->took_s[ear->seen++] = ear->last_s - atof(rest + 1);
}

static void listen_to(struct ear *ear, int fd, double idle_s)
{
    static char text[1 << 20];
    double start = now_s();
    size_t n = 0;

    while (ear->seen < ear->want) {
        double until = ear->seen > 0 ? ear->last_s + idle_s : start + FIRST_S;
        struct pollfd p = {.fd = fd, .events = POLLIN};
        ssize_t got;
        char *line = text, *end;

        if (now_s() >= until)
            return;
        if (poll(&p, 1, (int)(1e3 * (until - now_s())) + 1) == 0)
            continue;
        got = read(fd, text + n, sizeof text - 1 - n);
        if (got <= 0)
            return;
        n += (size_t)got;
        text[n] = '\0';
        for (; (end = strchr(line, '\n')) != NULL; line = end + 1) {
            *end = '\0';
            hear(ear, line);
        }
        n = n < sizeof text - 1 || line > text ? n - (size_t)(line - text) : 0;
        memmove(text, line, n);
    }
}

static int lines(size_t n, double idle_s, char **command)
{
    struct ear ear = {
        .want = n,
        .known = calloc(n + 1, sizeof(bool)),
        .took_s = calloc(n + 1, sizeof(double)),
    };
    struct rusage used = {0};
    int out[2], status;

    if (ear.known == NULL || ear.took_s == NULL || pipe(out) != 0)
        abort();
    fcntl(out[0], F_SETPIPE_SZ, 1 << 20); /* we shall not be the bottleneck */
    ear.pid = fork();
    if (ear.pid == 0) {
        dup2(out[1], 1);
        dup2(out[1], 2);
        close(out[0]);
        close(out[1]);
        execvp(command[0], command);
        _exit(127);
    }
    close(out[1]);
    listen_to(&ear, out[0], idle_s);
    kill(ear.pid, SIGCONT);
    kill(ear.pid, SIGKILL);
    wait4(ear.pid, &status, 0, &used);
    qsort(ear.took_s, ear.seen, sizeof *ear.took_s, by_value);
    printf("settled=%zu last_s=%.6f p50_ms=%.3f p99_ms=%.3f rss_mib=%.1f\n", ear.seen,
           ear.last_s, ear.seen > 0 ? 1e3 * ear.took_s[ear.seen / 2] : 0,
           ear.seen > 0 ? 1e3 * ear.took_s[ear.seen * 99 / 100] : 0,
           (double)used.ru_maxrss / 1024);
    free(ear.known);
    free(ear.took_s);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 7 && strcmp(argv[1], "write") == 0)
        return write_files(argv[2], atoi(argv[3]), atof(argv[4]), atoi(argv[5]),
                           strcmp(argv[6], "renamed") == 0);
    if (argc == 5 && strcmp(argv[1], "groups") == 0)
        return write_groups(argv[2], atoi(argv[3]), argv[4]);
    if (argc >= 5 && strcmp(argv[1], "lines") == 0)
        return lines((size_t)atol(argv[2]), atof(argv[3]), argv + 4);
    if (argc == 4 && strcmp(argv[1], "fsync") == 0)
        return time_fsync(argv[2], (size_t)atol(argv[3]));
    fprintf(stderr, "see the head of bench_files.c\n");
    return 64;
}
