/*
 * bench_read.c: what is read of UVH5 files, for tests/bench.
 *
 *   bench_read probe N FILE...   microseconds of one probe, of H5Fopen + H5Fclose, and of
 *                                the four system calls without which no probe can be; N rounds
 *   bench_read group FILE...     seconds to read and join the files of a group
 *   bench_read peers FILE...     seconds of H5Dread of their three large data sets, each into
 *                                memory of its own, and of read(2) of all their bytes
 */
#include <fcntl.h>
#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/err.h"
#include "core/parallel.h"
#include "pipeline/io/uvh5.h"
#include "pipeline/sky/vis.h"
#include "watcherd/files/probe.h"

static double now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int bare(const char *file)
{
    int fd = open(file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat st;
    char head[96];
    ssize_t n = fd == -1 || fstat(fd, &st) != 0 ? -1 : pread(fd, head, sizeof head, 0);

    if (fd != -1)
        close(fd);
    return n == sizeof head ? 0 : -1;
}

static int probe(int rounds, char **file, int nfile)
{
    double n = (double)rounds * nfile, start = now_s(), ours, theirs;
    struct probe_result r;

    for (int i = 0; i < rounds; i++)
        for (int k = 0; k < nfile; k++)
            if (probe_file(AT_FDCWD, file[k], &r) != PROBE_OK) {
                fprintf(stderr, "bench_read: %s: %s\n", file[k], r.reason);
                return 1;
            }
    ours = now_s() - start;
    start = now_s();
    for (int i = 0; i < rounds; i++)
        for (int k = 0; k < nfile; k++) {
            hid_t id = H5Fopen(file[k], H5F_ACC_RDONLY, H5P_DEFAULT);

            if (id < 0 || H5Fclose(id) < 0)
                return 1;
        }
    theirs = now_s() - start;
    start = now_s();
    for (int i = 0; i < rounds; i++)
        for (int k = 0; k < nfile; k++)
            if (bare(file[k]) != 0)
                return 1;
    printf("probe_us=%.3f h5fopen_us=%.3f bare_us=%.3f\n", 1e6 * ours / n,
           1e6 * theirs / n, 1e6 * (now_s() - start) / n);
    return 0;
}

static int group(char **file, int nfile)
{
    struct uvh5_opts opts = {.threads = parallel_cpus()};
    struct err e = {0};
    struct vis *vis;
    double start = now_s();

    if (uvh5_read_group(&vis, (const char *const *)file, (size_t)nfile, &opts, &e) !=
        0) {
        fprintf(stderr, "bench_read: %s\n", e.text);
        return 1;
    }
    printf("read_s=%.4f\n", now_s() - start);
    vis_free(vis);
    return 0;
}

static int dread(const char *file)
{
    static const char *const name[] = {"Data/visdata", "Data/flags", "Data/nsamples"};
    hid_t id = H5Fopen(file, H5F_ACC_RDONLY, H5P_DEFAULT);
    int ok = id >= 0;

    for (int k = 0; ok && k < 3; k++) {
        hid_t set = H5Dopen2(id, name[k], H5P_DEFAULT), type = H5Dget_type(set);
        hid_t space = H5Dget_space(set);
        void *out =
            malloc((size_t)H5Sget_simple_extent_npoints(space) * H5Tget_size(type));

        ok = out != NULL && H5Dread(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, out) >= 0;
        free(out);
        H5Sclose(space);
        H5Tclose(type);
        H5Dclose(set);
    }
    return ok && H5Fclose(id) >= 0 ? 0 : -1;
}

static int bytes(const char *file)
{
    static char buf[1 << 18];
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd == -1 ? -1 : 1;

    while (n > 0)
        n = read(fd, buf, sizeof buf);
    if (fd != -1)
        close(fd);
    return (int)n;
}

static int peers(char **file, int nfile)
{
    double start = now_s(), library;

    for (int i = 0; i < nfile; i++)
        if (dread(file[i]) != 0)
            return 1;
    library = now_s() - start;
    start = now_s();
    for (int i = 0; i < nfile; i++)
        if (bytes(file[i]) != 0)
            return 1;
    printf("h5dread_s=%.4f bytes_s=%.4f\n", library, now_s() - start);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 3 && strcmp(argv[1], "probe") == 0)
        return probe(atoi(argv[2]), argv + 3, argc - 3);
    if (argc > 2 && strcmp(argv[1], "group") == 0)
        return group(argv + 2, argc - 2);
    if (argc > 2 && strcmp(argv[1], "peers") == 0)
        return peers(argv + 2, argc - 2);
    fprintf(stderr, "see the head of bench_read.c\n");
    return 64;
}
