/* dirstamp.c: see dirstamp.h. */
#include "core/dirstamp.h"

#include <stddef.h>
#include <sys/stat.h>

#include "core/fstype.h"

#define REST_S 2.0 /* far longer than the coarsest time stamp of a local file system */

static int64_t ns_of(struct timespec t)
{
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void dirstamp_of(struct dirstamp *out, const struct stat *st)
{
    out->dev = st->st_dev;
    out->ino = st->st_ino;
    out->mtime_ns = ns_of(st->st_mtim);
    out->ctime_ns = ns_of(st->st_ctim);
}

bool dirstamp_equal(const struct dirstamp *a, const struct dirstamp *b)
{
    return a->dev == b->dev && a->ino == b->ino && a->mtime_ns == b->mtime_ns &&
           a->ctime_ns == b->ctime_ns;
}

bool dirstamp_rested(const struct dirstamp *stamp, double now_s)
{
    return now_s - (double)stamp->mtime_ns * 1e-9 > REST_S &&
           now_s - (double)stamp->ctime_ns * 1e-9 > REST_S;
}

bool dirstamp_is_exact(int fd)
{
    const struct fstype *type = fstype_of(fd, NULL);

    return type != NULL && type->exact_times;
}
