/*
 * windows.h: which published tiles are put together next, and the tasks for it.
 *
 * The first search after a start looks at every tile.  Later ones look at the tiles that are
 * new, and at the stretch of time without a gap around each of them.
 *
 * A tile that is still to come inside a window is waited for, so that the result does not
 * depend on which worker was faster.  A window counts as used up once its task exists, also
 * when that failed: the next ones go on.
 */
#ifndef WATCHERD_TODO_WINDOWS_H
#define WATCHERD_TODO_WINDOWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct conf;
struct registry;
struct store;

struct windows {
    /* these three are borrowed; the registry is for the store's thread alone */
    const struct conf *conf;
    struct store *store;
    struct registry *registry;
    void (*found)(void *arg, size_t n); /* a search is over: so many new tasks */
    void *arg;
    bool due;  /* something has changed: windows_find may find more */
    bool held; /* the queue is drained: not before there are news of it */
    bool busy; /* a search is at the store */
    /* Windows with the tiles up to this id have been looked for; <= 0: with none. */
    int64_t seen;
    char said[512]; /* the last reason why no mosaic can be made */
};

/*
 * windows_find: when due, have a task put into the queue for every window that the
 * published tiles allow. Logs what it does, and each new reason why there is none.
 */
void windows_find(struct windows *m);
/* The settings have changed: look at every tile again. */
void windows_renew(struct windows *m);
/* Is a search at the store, or due? */
bool windows_busy(const struct windows *m);

#endif
