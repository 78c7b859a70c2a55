/*
 * observer.h: in which state a group's claim is, as seen by one observer.
 *
 *   FREE      no claim, or it was ended
 *   HELD      the owner is proved alive, or its heartbeat moved within 1.5 leases of our clock
 *   DEAD      the owner is proved dead
 *   SUSPECT   no proof either way, heartbeat unmoved for 1.5 leases
 *   EXPIRED   suspect twice, a heartbeat interval apart
 *   OPAQUE    a record that we cannot judge: damaged, newer, no regular file, another user's
 *
 * Leases are timed by the observer alone: it remembers when, by its own CLOCK_BOOTTIME, it
 * first saw a heartbeat counter at its value.  No other machine's clock and no file time is
 * compared, so clocks may be wrong by hours.  An observer that has only just started
 * therefore knows of no expired claim for 1.5 leases; keep it between looks, or save and load
 * it.
 */
#ifndef LOCKS_OBSERVER_H
#define LOCKS_OBSERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "locks/record.h"

struct err;
struct observer; /* defined in observer.c; several threads may judge with one */

enum lock_state {
    LOCK_FREE,
    LOCK_HELD,
    LOCK_DEAD,
    LOCK_SUSPECT,
    LOCK_EXPIRED,
    LOCK_OPAQUE,
};

/* What one look found. */
struct lock_view {
    enum lock_state state;
    struct generations gens;
    struct record rec; /* of generation gens.g; zeros when FREE or OPAQUE */
    uint64_t kept;     /* S, when it is in a kept file `g.S` (record_read); else 0 */
    uint64_t beat;     /* heartbeat counter; 0 before the first beat */
    double unmoved_s;  /* how long we have seen it there; < 0 without an observer */
    char why[OWNER_WHY];
};

struct observer *observer_new(void);
void observer_free(struct observer *obs);
/* Replace CLOCK_BOOTTIME, for tests. */
void observer_set_clock(struct observer *obs, double (*now_s)(void));

/*
 * observer_look: judge the group whose lock directory is open as dirfd.
 *
 * Given:
 *   obs    memory between looks; NULL: leases are not timed, an unproved owner is HELD
 *   key    name of the group, the same at every look
 *
 * Status: 0; -ESTALE, -EIO and other errnos when the directory cannot be read, of which
 * none means free.
 */
int observer_look(struct observer *obs, int dirfd, const char *key,
                  struct lock_view *view, struct err *e);

/* The same for one who has just scanned the directory and knows its file system. */
int observer_judge(struct observer *obs, int dirfd, const char *key,
                   const struct lockfs *fs, const struct generations *gens,
                   struct lock_view *view);

/*
 * What has been seen, stored in a file between runs of a program.  Loading ignores a missing or
 * damaged file, and one that another machine or another boot of this machine wrote: an owner of
 * whom nothing is known is merely not yet expired.
 * Status: 0; negated errno when /proc cannot be read (both) or the file cannot be written
 * (save).
 */
int observer_load(struct observer *obs, const char *path, struct err *e);
int observer_save(const struct observer *obs, const char *path, struct err *e);

/* In capitals, as lists show it: "ACTIVE" for HELD. */
const char *lock_state_name(enum lock_state state);

#endif
