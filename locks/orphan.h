/*
 * orphan.h: processes that a dead owner of this host has left running.
 *
 * Whatever an owner starts inherits its claim's mark, WATCHERD_CLAIM=<nonce>, in its
 * environment (locks/run_held.h sets it), whichever process group or session it moves to.
 * The nonce is of this one claim, so that nothing else can be meant.
 */
#ifndef LOCKS_ORPHAN_H
#define LOCKS_ORPHAN_H

#define ORPHAN_MARK "WATCHERD_CLAIM"
#define ORPHAN_TASK "WATCHERD_TASK" /* the same for a daemon's worker process */

/*
 * orphan_kill: SIGKILL to every process that carries either mark with this nonce, and wait
 * (at most 2 s) for their end. Returned: how many; those of other users cannot be seen and
 * are left to the fence.
 */
int orphan_kill(const char *nonce);

#endif
