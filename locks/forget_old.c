/* forget_old.c: see forget_old.h. */
#include "locks/forget_old.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "locks/record.h"
#include "locks/crashpoint.h"

enum {
    KEEP_GENERATIONS = 20, /* younger ones stay, unless the caller says otherwise */
    KEEP_S = 24 * 3600,    /* so do those that ended within a day */
    AT_ONCE = 64,
};

/* The oldest marker whose record is gone. */
static void forget_lone(int dirfd, int recfd, const struct generations *gens,
                        uint64_t newest, uint64_t keep, double keep_s)
{
    char name[RECORD_NAME];
    struct stat mine, st;

    if (gens->lone == 0 || gens->lone >= gens->g_lowest ||
        gens->lone + keep >= newest ||
        (gens->lone_kind == 'c' && gens->lone >= gens->c))
        return;
    record_name(name, gens->lone_kind, gens->lone);
    if (fstat(recfd, &mine) != 0 ||
        fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
        (double)(mine.st_mtime - st.st_mtime) < keep_s)
        return;
    crash_step("forget");
    unlinkat(dirfd, name, 0);
}

void forget_old(int dirfd, int recfd, const struct generations *gens, uint64_t newest,
                unsigned int keep_at_least)
{
    uint64_t keep = keep_at_least > 0 ? keep_at_least : KEEP_GENERATIONS;
    double keep_s = keep_at_least > 0 ? 0 : KEEP_S;
    static const char kinds[] = "hrg"; /* g last, by which the others are found */
    char name[RECORD_NAME];
    struct stat mine, st;
    uint64_t gen = gens->g_lowest;

    forget_lone(dirfd, recfd, gens, newest, keep, keep_s);
    if (gen == 0 || gen + keep >= newest || fstat(recfd, &mine) != 0)
        return;
    for (int i = 0; i < AT_ONCE && gen + keep < newest; i++, gen++) {
        record_name(name, 'g', gen);
        if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        if ((double)(mine.st_mtime - st.st_mtime) < keep_s)
            return;
        for (size_t k = 0; k < 3; k++) {
            record_name(name, kinds[k], gen);
            crash_step("forget");
            unlinkat(dirfd, name, 0);
        }
        record_name(name, 'c', gen);
        if (gen < gens->c) { /* the highest commit fences for ever */
            crash_step("forget");
            unlinkat(dirfd, name, 0);
        }
    }
}
