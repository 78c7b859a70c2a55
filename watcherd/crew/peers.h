/*
 * neighbours.h: the other workers of this machine: when one dies, what it had is handed back at once.
 *
 * Those of the same boot that live are watched through a pidfd, so that a kill -9 is known in milliseconds; a
 * dead one is buried when it is proved dead (locks/owner.h).  Workers of other machines are judged by their lease alone.
 */
#ifndef WATCHERD_CREW_PEERS_H
#define WATCHERD_CREW_PEERS_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

struct neighbours; /* defined in neighbours.c */
struct queue_worker;
struct store;

struct neighbours_opts {
    uv_loop_t *loop;
    struct store *store;
    const struct queue_worker *me; /* borrowed */
    void (*looked)(
        void *arg); /* the first look is over, and who was found dead is being buried */
    void (*freed)(void *arg, size_t tasks); /* so many tasks were handed back */
    void *arg;
};

struct neighbours *neighbours_new(const struct neighbours_opts *opts);
/* Look through the workers now; it does so each second by itself from the first call on. */
void neighbours_look(struct neighbours *n);
/* Watch nobody any more; neighbours_free when the store has stopped and the loop has closed its handles. */
void neighbours_stop(struct neighbours *n);
void neighbours_free(struct neighbours *n);

#endif
