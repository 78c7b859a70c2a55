/*
 * fuzz.h: what the targets share: the input as a file, and bytes taken from it one after the other.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* One nameless file, always the same; path leads to it. */
static inline const char *fuzz_file(const uint8_t *data, size_t size)
{
    static char path[64];
    static int fd = -1;

    if (fd < 0) {
        fd = memfd_create("fuzz", 0);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    if (fd < 0 || ftruncate(fd, 0) != 0 || pwrite(fd, data, size, 0) != (ssize_t)size)
        abort();
    return path;
}

/* What is left of an input that says what to do. */
struct fuzz_take {
    const uint8_t *p;
    size_t n;
};

static inline uint8_t fuzz_byte(struct fuzz_take *t)
{
    if (t->n == 0)
        return 0;
    t->n--;
    return *t->p++;
}

static inline double fuzz_double(struct fuzz_take *t)
{
    uint8_t raw[8];
    double x;

    for (int i = 0; i < 8; i++)
        raw[i] = fuzz_byte(t);
    memcpy(&x, raw, 8);
    return x;
}

#endif
