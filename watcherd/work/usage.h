/*
 * usage.h: what this process and its children have used since a task began.
 */
#ifndef WATCHERD_WORK_USAGE_H
#define WATCHERD_WORK_USAGE_H

#include <jansson.h>

struct usage {
    double user_s, sys_s, wall_s;
    long maxrss_kib, in_blocks, out_blocks;
};

/* What was used so far.  The peak of memory begins anew here. */
void usage_begin(struct usage *begin);
/* A new object: the difference to begin, and the peak of memory since then. */
json_t *usage_json(const struct usage *begin);

#endif
