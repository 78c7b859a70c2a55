/*
 * idle.h: lock directories in which nobody held anything when they were last read, so that a
 * list of ten thousand groups need not open them again.
 *
 * A claim begins with a new name, g.N, and so changes its directory's times.  A directory is
 * noted with the times that it had before it was read, and only when equal times prove equal
 * names (core/dirstamp.h).  What was noted in another boot, or before the wall clock was set,
 * is not believed: a change may then have got the same time again.
 *
 * Kept in `<tree>/.watcherd/idle`.  Several threads may ask and note at once, each about
 * directories of its own.
 */
#ifndef LOCKS_IDLE_H
#define LOCKS_IDLE_H

#include <stdbool.h>

struct dirstamp; /* core/dirstamp.h */
struct idle;     /* defined in idle.c */

/* What was noted of the tree; nothing, when there is no file that can be believed. */
struct idle *idle_load(const char *tree);
/* Write it down if there is much that is new.  Best effort: without it the next list reads
 * all. */
void idle_save(const struct idle *idle, const char *tree);
void idle_free(struct idle *idle);

/* Is `name` in dirfd a directory in which nobody holds anything?  idle: NULL knows of none. */
bool idle_has(struct idle *idle, int dirfd, const char *name);
/* Nobody holds anything in it, and nobody can without a new name in it.  stamp: taken after
 * idle_load and before it was read. */
void idle_note(struct idle *idle, const struct dirstamp *stamp);
/* For tests: it was loaded at now_s of the wall clock. */
void idle_pretend_now(struct idle *idle, double now_s);

#endif
