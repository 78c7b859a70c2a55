/*
 * run_held.h: run a program for as long as a claim is ours, and not a moment longer.
 */
#ifndef LOCKS_RUN_HELD_H
#define LOCKS_RUN_HELD_H

struct err;
struct claim;

/*
 * run_held: start argv as the leader of a process group of its own, with WATCHERD_GROUP and
 * WATCHERD_GENERATION in its environment; beat the claim's heart until it ends.
 *
 * Given:
 *   claim        held by the caller, who goes on to commit and release it
 *   heartbeat_s  between two beats
 *
 * Returned:
 *   *code        the program's exit status, or 128 + the signal that ended it
 *
 * Status:
 *   0         it ran to its end
 *   ERR_LOST  the claim was lost meanwhile; the group has been killed
 *   other     it could not be started
 *
 * Notes:
 *   1) SIGTERM, SIGINT and SIGHUP to us are passed on to the group.  Single-threaded callers
 *      only: the signals are blocked meanwhile.
 *   2) When we are killed, the kernel kills the program itself; what it started in turn is
 *      killed by whoever takes the group over on this host (locks/orphan.h).
 *   3) A heartbeat that cannot be written (disk full) is tried again at the next beat: the
 *      lease decides.
 */
int run_held(struct claim *claim, const char *group, double heartbeat_s,
             char *const argv[], int *code, struct err *e);

#endif
