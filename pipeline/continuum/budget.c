/* budget.c: see budget.h. */
#include "pipeline/continuum/budget.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "core/err.h"

#define MIB 1048576.0

/* See budget_need. */
static const double PROGRAM_BYTES = 50 * MIB, NODE_BYTES = 20, ROW_NODES = 150,
                    PIXEL_BYTES = 200, VALUE_BYTES = 12, AUTO_BYTES = 4;

uint64_t budget_need(const struct budget_group *g)
{
    /* in double: sizes from a file may be absurd */
    double samples = (double)g->nrow * (double)g->nchan;
    double autos = (double)g->nant * (double)g->ntime * (double)g->nchan;
    double nodes = (double)g->nrow * fmin((double)g->nchan, ROW_NODES);
    double need = PROGRAM_BYTES + nodes * NODE_BYTES +
                  (double)g->npol * (samples * VALUE_BYTES + autos * AUTO_BYTES) +
                  (double)g->nx * (double)g->nx * PIXEL_BYTES;

    return need < 1e18 ? (uint64_t)need : (uint64_t)1e18;
}

/* The number after `key` in a file of lines "key number ..."; an empty key: the first number.
 * UINT64_MAX: there is none. */
static uint64_t number_in(const char *path, const char *key)
{
    FILE *f = fopen(path, "re");
    unsigned long long n;
    uint64_t found = UINT64_MAX;
    char line[256];

    if (f == NULL)
        return UINT64_MAX;
    while (found == UINT64_MAX && fgets(line, sizeof line, f) != NULL)
        if (strncmp(line, key, strlen(key)) == 0 &&
            sscanf(line + strlen(key), "%llu", &n) == 1)
            found = n;
    fclose(f);
    return found;
}

static uint64_t in_bytes(uint64_t kib)
{
    return kib < UINT64_MAX / 1024 ? kib * 1024 : UINT64_MAX;
}

/* Room in our control group (version 2), not in those above it; UINT64_MAX: no limit. */
static uint64_t control_group_room(void)
{
    char line[3072] = "", path[4096];
    FILE *f = fopen("/proc/self/cgroup", "re");
    uint64_t most, used;

    if (f == NULL)
        return UINT64_MAX;
    while (fgets(line, sizeof line, f) != NULL && strncmp(line, "0::", 3) != 0)
        line[0] = '\0';
    fclose(f);
    if (strncmp(line, "0::", 3) != 0)
        return UINT64_MAX;
    line[strcspn(line, "\n")] = '\0';
    snprintf(path, sizeof path, "/sys/fs/cgroup%s/memory.max", line + 3);
    most = number_in(path, ""); /* "max": no number */
    snprintf(path, sizeof path, "/sys/fs/cgroup%s/memory.current", line + 3);
    used = number_in(path, "");
    if (most == UINT64_MAX || used == UINT64_MAX)
        return UINT64_MAX;
    return most > used ? most - used : 0;
}

uint64_t budget_room(void)
{
    struct rlimit limit;
    uint64_t system, group, used;

    if (getrlimit(RLIMIT_DATA, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
        used = in_bytes(number_in("/proc/self/status", "VmData:"));
        if (used == UINT64_MAX)
            return limit.rlim_cur;
        return limit.rlim_cur > used ? limit.rlim_cur - used : 0;
    }
    system = in_bytes(number_in("/proc/meminfo", "MemAvailable:"));
    group = control_group_room();
    return group < system ? group : system;
}

int budget_check(const struct budget_group *g, uint64_t room, const char *name,
                 struct err *e)
{
    uint64_t need = budget_need(g);

    if (need <= room)
        return 0;
    return err_set(e, -ENOMEM,
                   "%s needs about %.0f MiB (%zu rows, %zu channels, %zu "
                   "polarisations, %zu pixels a side) and may take %.0f MiB",
                   name, (double)need / MIB, g->nrow, g->nchan, g->npol, g->nx,
                   (double)room / MIB);
}
