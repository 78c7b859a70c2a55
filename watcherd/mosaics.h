/*
 * mosaics.h: which published tiles are put together next, and the tasks for it.
 *
 * A tile that is still to come inside a window is waited for, so that the result does not
 * depend on which worker was faster.  A window counts as used up once its task exists, also
 * when that failed: the next ones go on.
 */
#ifndef WATCHERD_MOSAICS_H
#define WATCHERD_MOSAICS_H

#include <stdbool.h>

struct conf;
struct queue;
struct registry;

struct mosaics {
    const struct conf *conf; /* these three are borrowed */
    struct queue *queue;
    struct registry *registry;
    bool due;       /* something has changed: mosaics_find may find more */
    char said[512]; /* the last reason why no mosaic can be made */
};

/*
 * mosaics_find: put a task into the queue for every window that the published tiles allow;
 * no longer due after it.  Logs what it does, and each new reason why there is none.
 */
void mosaics_find(struct mosaics *m);

#endif
