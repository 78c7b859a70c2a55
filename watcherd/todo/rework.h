/*
 * rework.h: a finished group whose input files were rewritten is made again, as a new
 * generation of its product.
 *
 * A group is noted when one of its files changed.  It goes back to the queue, with its name and
 * its members as they were, once nobody works on it and as many of its files as its product
 * was made of have settled again.  A product of exactly these files is not made again.
 */
#ifndef WATCHERD_TODO_REWORK_H
#define WATCHERD_TODO_REWORK_H

#include <stdbool.h>
#include <stddef.h>

struct conf;
struct group_table;
struct rework; /* defined in rework.c */
struct group_copy;
struct store;

/* `queued` is called when there is a new task. */
struct rework *rework_new(const struct conf *conf, struct group_table *groups,
                          struct store *store, void (*queued)(void *arg), void *arg);
/* When the store has stopped. */
void rework_free(struct rework *r);

/* One of its files has changed.  Safe inside group_ready's callback. */
void rework_note(struct rework *r, const char *group);
/* After group_ready: have put back into the queue what can be. */
void rework_run(struct rework *r);
/* What was held up (the queue is drained, the store refused) is tried again. */
void rework_news(struct rework *r);
/* Is something of it at the store? */
bool rework_busy(const struct rework *r);
/* Is this group noted and waits for files to settle again? */
bool rework_waits(const struct rework *r, const char *group);

#endif
