/*
 * heartbeat.h: a thread that keeps a claim alive while its task is worked on.
 *
 * A claim may be used by one thread at a time: from start to stop it is reached through
 * here only.
 */
#ifndef WATCHERD_WORK_HEARTBEAT_H
#define WATCHERD_WORK_HEARTBEAT_H

#include <pthread.h>
#include <stdbool.h>

#include "pipeline/product/product.h"

struct claim;
struct err;

struct heartbeat {
    pthread_t thread;
    pthread_mutex_t mutex; /* all that follows */
    pthread_cond_t wake;
    struct claim *claim;
    double every_s;
    bool lost, ending;
};

/* The claim is borrowed until heartbeat_stop.  Status: 0, to be stopped; -EAGAIN no thread. */
int heartbeat_start(struct heartbeat *h, struct claim *claim, double every_s,
                    struct err *e);
void heartbeat_stop(struct heartbeat *h);

/* Has somebody else taken the claim over? */
bool heartbeat_lost(struct heartbeat *h);

/* The claim's right to publish. */
struct product_gate heartbeat_gate(struct heartbeat *h);

#endif
