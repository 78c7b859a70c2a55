/*
 * dirstamp.h: has a directory still the names that it had when it was read?
 *
 * Each name that comes, goes or is replaced sets the directory's times, so an equal stamp
 * means equal names, if no change can hide from the times: on the right file system
 * (dirstamp_is_exact), when the last change lay back far enough that another one would have
 * got a later time (dirstamp_rested).  What is written into a file that is there already does
 * not show.
 */
#ifndef CORE_DIRSTAMP_H
#define CORE_DIRSTAMP_H

#include <stdbool.h>
#include <stdint.h>

struct stat;

struct dirstamp {
    uint64_t dev, ino;
    int64_t mtime_ns, ctime_ns; /* since 1970 */
};

/* st: taken before the names are read. */
void dirstamp_of(struct dirstamp *out, const struct stat *st);
bool dirstamp_equal(const struct dirstamp *a, const struct dirstamp *b);
/* Were the last changes long enough ago?  now_s: clock_wall_s() before the stamp was taken. */
bool dirstamp_rested(const struct dirstamp *stamp, double now_s);
/* Is the open directory on a file system whose times show every change (core/fstype.h)? */
bool dirstamp_is_exact(int fd);

#endif
