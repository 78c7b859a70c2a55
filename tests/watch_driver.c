/*
 * watch_driver.c: watch and settle in a loop of their own, and a writer of many files, for
 * torture_watch.sh and for benchmarks.  Built by the script, not by the Makefile.
 *
 *   watch_driver watch DIR QUIET_S N SECONDS   until N files have settled or the time is over
 *   watch_driver write DIR N PER_SECOND        0: without pause; > 0: renamed, < 0: closed
 *
 * The writer puts the monotonic time of its close or rename into the name, so the watcher can
 * tell how long it took.  The watcher prints one line of key=value, "ready" before it begins.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "watcherd/files/settle.h"
#include "watcherd/files/watch.h"

static struct settle *settle;
static double *took_s;
static size_t nsettled, room;

static double now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void dirty(void *arg, const char *path, enum watch_how how)
{
    (void)arg;
    settle_dirty(settle, path, how, now_s());
}

static void notice(void *arg, const char *text)
{
    (void)arg;
    fprintf(stderr, "%s\n", text);
}

static void news(void *arg, const struct settle_news *n)
{
    const char *t = strrchr(n->path, '_');

    (void)arg;
    if (n->what != SETTLE_IS_SETTLED || nsettled == room)
        return;
    took_s[nsettled++] = t == NULL ? 0 : now_s() - atof(t + 1);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void report(const struct watch *w, double start)
{
    struct watch_stats ws;
    struct rusage u;

    watch_stats(w, &ws);
    getrusage(RUSAGE_SELF, &u);
    qsort(took_s, nsettled, sizeof *took_s, by_value);
    printf("settled=%zu overflows=%llu scans=%llu scan_s=%.3f seconds=%.2f p50_ms=%.3f "
           "p99_ms=%.3f rss_mib=%ld\n",
           nsettled, (unsigned long long)ws.overflows, (unsigned long long)ws.scans,
           ws.scan_took_s, now_s() - start, nsettled ? 1e3 * took_s[nsettled / 2] : 0,
           nsettled ? 1e3 * took_s[nsettled * 99 / 100] : 0, u.ru_maxrss / 1024);
}

static int watch(const char *dir, double quiet_s, size_t n, double seconds)
{
    struct watch_opts wo = {.extensions = ".csv", .dirty = dirty, .notice = notice};
    struct settle_opts so = {.quiet_s = quiet_s};
    double start = now_s(), now;
    struct watch *w;
    struct pollfd p;

    room = n;
    took_s = calloc(n + 1, sizeof *took_s);
    settle = settle_new(&so);
    if (took_s == NULL || watch_new(&w, &wo, NULL) != 0 ||
        watch_add_root(w, dir, WATCH_RECURSIVE, NULL) != 0)
        return 1;
    p = (struct pollfd){.fd = watch_fd(w), .events = POLLIN};
    watch_tick(w, now_s());
    puts("ready");
    fflush(stdout);
    while (nsettled < n && (now = now_s()) < start + seconds) {
        double a = settle_next_s(settle, now), b = watch_next_scan_s(w, now);
        double in = a >= 0 && a < b ? a : b;

        poll(&p, 1, in > 0 ? (int)(1e3 * in) + 1 : 0);
        watch_read(w);
        if (watch_tick(w, now_s()) > 0)
            settle_recheck(settle, NULL, now_s());
        settle_tick(settle, now_s(), news, NULL);
    }
    report(w, start);
    watch_free(w);
    settle_free(settle);
    free(took_s);
    return 0;
}

static int write_files(const char *dir, int n, double per_second)
{
    bool renamed = per_second > 0;
    double start = now_s(), rate = renamed ? per_second : -per_second;
    char path[4096], tmp[4096];

    for (int i = 0; i < n; i++) {
        struct timespec until = {0};
        double wait = rate > 0 ? start + i / rate - now_s() : 0;
        int fd;

        if (wait > 0) {
            until.tv_sec = (time_t)wait;
            until.tv_nsec = (long)(1e9 * (wait - (double)until.tv_sec));
            nanosleep(&until, NULL);
        }
        snprintf(tmp, sizeof tmp, "%s/.new", dir);
        snprintf(path, sizeof path, "%s/%06d_%.9f.csv", dir, i, now_s());
        fd = open(renamed ? tmp : path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
        if (fd == -1 || write(fd, "x\n", 2) != 2 || close(fd) != 0 ||
            (renamed && rename(tmp, path) != 0))
            return 1;
    }
    printf("written=%d per_second=%.0f\n", n, n / (now_s() - start));
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 6 && strcmp(argv[1], "watch") == 0)
        return watch(argv[2], atof(argv[3]), (size_t)atol(argv[4]), atof(argv[5]));
    if (argc == 5 && strcmp(argv[1], "write") == 0)
        return write_files(argv[2], atoi(argv[3]), atof(argv[4]));
    fprintf(stderr, "see the head of watch_driver.c\n");
    return 64;
}
