/*
 * claim.h: the right to work on one group, held by at most one process of any machine
 * that shares the directory.
 *
 * Claim number N is the file `g.N` in the group's lock directory, made complete by link(2)
 * from a private, already flocked file: the name is the fencing token and is never used
 * twice.  Nothing is deleted or renamed in the critical path.  flock is how a dead owner of
 * the same host is noticed at once, never the proof of ownership.
 *
 *   g.34  who holds generation 34 (one line of JSON), kept open and flocked by the owner
 *   h.34  heartbeat counter
 *   r.34  end: released | done | failed | broken-by ...   (O_EXCL)
 *   c.34  commit: a product of generation 34 became visible (O_EXCL)
 *
 * The record names the machine, boot, process (PID, start time, pidfs inode, PID namespace),
 * user and the program's executable name and version, so that others can prove its end
 * (locks/owner.h) and people can see who it was.
 *
 * Life: claim_acquire, any number of claim_check / claim_heartbeat, claim_commit,
 * claim_release. A claim may be used by one thread at a time, and by a forked child in its
 * parent's place.
 */
#ifndef LOCKS_CLAIM_H
#define LOCKS_CLAIM_H

#include <stdint.h>

struct err;
struct observer; /* locks/observer.h */
struct claim;    /* defined in claim.c */

struct claim_opts {
    const char *task;   /* for people; may be NULL */
    double lease_s;     /* 0 means 60 */
    double heartbeat_s; /* 0 means 15 */
    int strict;         /* never take over without proof that the owner is dead */
    /* do not force the record to disk: faster; a power cut may then leave an empty, opaque
       record behind */
    int relaxed;
    int foreign; /* also hold `<dir>.lock` the way seeds' scripts, filelock and flock(1) do */
    /* the new generation is above this: the highest one ever published, in case somebody
       deleted the lock directory */
    uint64_t above;
    /* generations of the past to keep, whatever their age; 0: 20, and those of a day */
    unsigned int keep;
    /* times the leases of owners that cannot be proved dead; borrowed.  NULL: nobody takes
       over from such owners */
    struct observer *observer;
};

/*
 * claim_acquire: try once to claim a group, without waiting for its holder.
 *
 * Given:
 *   dir    the group's own lock directory, `<locks>/<group>`; made if missing, parents too
 *   group  its name, for the record and for sentences
 *   opts   may be NULL
 *
 * Returned:
 *   *out   the claim, to be ended by claim_release; NULL unless the status is 0
 *
 * Status:
 *   0         the group is ours
 *   -EBUSY    somebody else holds it; the sentence names the holder
 *   -EUCLEAN  the newest record cannot be judged; a person has to decide (`lockctl break`)
 *   -ENOTSUP  `lockctl doctor` found that nothing excludes on this file system
 *   other     negated errno: the directory cannot be read or written
 *
 * Notes:
 *   1) A file `<dir>.lock` with a bare PID, as the seeds' scripts write it, is honoured: -EBUSY
 *      unless its process is proved dead.
 *   2) The descriptors are close-on-exec: a program that the owner starts does not hold the
 *      claim.
 *   3) Before a proved dead owner of this boot is followed, what it started is killed
 *      (locks/orphan.h).
 */
int claim_acquire(struct claim **out, const char *dir, const char *group,
                  const struct claim_opts *opts, struct err *e);

uint64_t claim_generation(const struct claim *claim);
/* What to put into the environment of programs that the owner starts, see locks/orphan.h. */
const char *claim_mark(const struct claim *claim);

/* Is it still ours?  Status: 0; ERR_LOST; another negated errno when the directory cannot be
 * read just now, which proves neither. */
int claim_check(struct claim *claim, struct err *e);
/* claim_check, then raise the heartbeat counter.  Status: as claim_check; -ENOSPC and other
 * errnos when the counter cannot be written (the claim may still be ours). */
int claim_heartbeat(struct claim *claim, struct err *e);
/* Seconds of CLOCK_BOOTTIME (it runs in suspend) since the last heartbeat or the claim's
 * start. */
double claim_silence_s(const struct claim *claim);

/*
 * claim_may_commit: may this generation still publish?  An owner that was silent for longer
 * than its lease first writes a heartbeat; if nobody took over meanwhile it may go on.
 * Status: 0; ERR_LOST we lost, or there is a c.M with M > ours; else as claim_heartbeat.
 */
int claim_may_commit(struct claim *claim, struct err *e);
/* Make c.N.  Safe to repeat.  Status: as claim_may_commit; also negated errnos of the write. */
int claim_commit(struct claim *claim, struct err *e);

/*
 * claim_release: end it with an outcome word ("released", "done", "failed") and free it,
 * whatever the status.  claim: may be NULL.
 * Status: 0; ERR_LOST it was lost before; another errno when r.N cannot be written (disk
 * full): the kernel lock is gone all the same, so that others on this machine see that the
 * owner is dead.
 */
int claim_release(struct claim *claim, const char *outcome, struct err *e);

/*
 * claim_break: end somebody else's generation with the evidence, as cleaners do.  Nothing
 * is deleted; the owner learns of it at its next check.
 * Given: dirfd: the group's lock directory; evidence: one line for people
 * Status: 0; -EEXIST it had been ended before; other negated errno.
 */
int claim_break(int dirfd, uint64_t gen, const char *evidence, struct err *e);

#endif
