/*
 * leftovers.h: what a run with --once leaves behind, said file by file and group by group.
 */
#ifndef WATCHERD_TODO_LEFTOVERS_H
#define WATCHERD_TODO_LEFTOVERS_H

#include <stddef.h>

struct group_table;
struct ingest;

/*
 * leftovers_say: log every file that is not settled and every group that is not complete, with
 * the reason, then call done once with how many there were; a file system that does not answer
 * within wait_s is one thing left.  Nothing is called when the daemon ends before.
 */
typedef void leftovers_done_fn(void *arg, size_t n);
void leftovers_say(struct ingest *ing, struct group_table *groups, double wait_s,
                   leftovers_done_fn *done, void *arg);

#endif
