/*
 * leftovers.h: what a run with --once leaves behind, said file by file and group by group.
 */
#ifndef WATCHERD_TODO_LEFTOVERS_H
#define WATCHERD_TODO_LEFTOVERS_H

#include <stddef.h>

struct group_table;
struct ingest;

/*
 * leftovers_say: log every file that is not settled and every group that is not complete, with the
 * reason; a file system that does not answer within wait_s is one thing left.  Returns how many.
 */
size_t leftovers_say(struct ingest *ing, struct group_table *groups, double wait_s);

#endif
