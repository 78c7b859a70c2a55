/*
 * tasklog.h: what a task printed, in a file of its own: made when the first byte comes, cut
 * off at a limit with one line that says so, and never waited for: neither by the process
 * that prints nor by the loop.
 */
#ifndef WATCHERD_BASE_TASKLOG_H
#define WATCHERD_BASE_TASKLOG_H

#include <stddef.h>
#include <uv.h>

struct tasklog; /* defined in tasklog.c */

/* `title` becomes the first line of what is added to `path`.  Nothing is made yet. */
struct tasklog *tasklog_new(uv_loop_t *loop, const char *path, const char *title,
                            size_t max_bytes);
/* What does not fit is dropped.  The limit is of the file, whatever earlier attempts left in
   it. */
void tasklog_put(struct tasklog *log, const char *data, size_t n);
/* No more comes: written to the end by the loop, then freed.  NULL does nothing. */
void tasklog_end(struct tasklog *log);

#endif
