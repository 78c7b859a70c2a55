/*
 * claim.h: the right to work on one group, held by at most one process of any machine
 * that shares the directory.
 *
 * Claim number N is the file `g.N` in the group's lock directory, made complete by link(2) from a
 * private, already flocked file: the name is the fencing token and is never used twice.  Nothing
 * is deleted or renamed in the critical path.  flock is how a dead owner of the same host
 * is noticed at once, never the proof of ownership.
 *
 *   g.34  who holds generation 34 (one line of JSON), kept open and flocked by the owner
 *   h.34  heartbeat counter
 *   r.34  end: released | done | failed | broken-by ...   (O_EXCL)
 *   c.34  commit: a product of generation 34 became visible (O_EXCL)
 *
 * Life: claim_acquire, any number of claim_check / claim_heartbeat, claim_commit, claim_release.
 */
#ifndef LOCKS_CLAIM_H
#define LOCKS_CLAIM_H

#include <stdint.h>

struct err;
struct claim; /* defined in claim.c */

enum { ERR_LOST = -10011 }; /* the claim was broken or overtaken: publish nothing */

struct claim_opts {
    const char *task;   /* for people; may be NULL */
    double lease_s;     /* 0 means 60 */
    double heartbeat_s; /* 0 means 15 */
    int strict;         /* never take over without proof of death */
};

/*
 * claim_acquire: try once to claim.  dir (made if missing, parents too) is the group's own lock
 * directory, `<locks>/<group>`.
 * Status: 0; -EBUSY held (sentence names the holder) - an answer; -EUCLEAN the newest record is
 * opaque (sentence says why) and is never taken over by itself; other negated errno.
 */
int claim_acquire(struct claim **out, const char *dir, const char *group,
                  const struct claim_opts *opts, struct err *e);

uint64_t claim_generation(const struct claim *claim);

/* Still ours?  0, or ERR_LOST. */
int claim_check(struct claim *claim, struct err *e);
/* claim_check, then move the heartbeat counter on. */
int claim_heartbeat(struct claim *claim, struct err *e);

/* May this generation still publish?  0, or ERR_LOST when any c.M with M > ours exists or we lost. */
int claim_may_commit(struct claim *claim, struct err *e);
/* Make c.N; ERR_LOST when a higher generation has committed. */
int claim_commit(struct claim *claim, struct err *e);

/* End with an outcome word ("released", "done", "failed"); frees.  ERR_LOST when broken before. */
int claim_release(struct claim *claim, const char *outcome, struct err *e);

#endif
