/*
 * peers.h: the other workers of this machine: when one dies, its tasks go back at once.
 *
 * Those of the same boot that live are watched through a pidfd, so that a kill -9 is known
 * in milliseconds; a dead one is buried when it is proved dead (locks/owner.h).  Workers of
 * other machines are judged by their lease alone.
 */
#ifndef WATCHERD_CREW_PEERS_H
#define WATCHERD_CREW_PEERS_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

struct peers; /* defined in peers.c */
struct queue_worker;
struct store;

struct peers_opts {
    uv_loop_t *loop;
    struct store *store;
    const struct queue_worker *me; /* borrowed */
    /* The first look is over, and who was found dead is being buried. */
    void (*looked)(void *arg);
    void (*freed)(void *arg, size_t tasks); /* so many tasks were handed back */
    void *arg;
};

struct peers *peers_new(const struct peers_opts *opts);
/* Look through the workers now; it does so each second by itself from the first call on. */
void peers_look(struct peers *n);
/* Watch nobody any more; peers_free when the store has stopped and the loop has closed its
   handles. */
void peers_stop(struct peers *n);
void peers_free(struct peers *n);

#endif
