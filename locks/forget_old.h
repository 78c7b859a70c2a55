/*
 * forget_old.h: deleting the files of old generations in a group's lock directory.
 */
#ifndef LOCKS_FORGET_OLD_H
#define LOCKS_FORGET_OLD_H

#include <stdint.h>

struct generations; /* locks/record.h */

/*
 * forget_old: delete generations more than 20 back that ended more than a day ago, by the
 * file server's own clock, a few at a time.
 *
 * Given:
 *   recfd          the caller's own record, just written: its time is now
 *   newest         its number
 *   keep_at_least  0: as above; else so many generations, whatever their age
 *
 * Notes:
 *   1) The highest commit is never deleted: it fences.
 *   2) Nor is `x.S`, by which earlier versions left a kept file: they may still look for it.
 */
void forget_old(int dirfd, int recfd, const struct generations *gens, uint64_t newest,
                unsigned int keep_at_least);

#endif
