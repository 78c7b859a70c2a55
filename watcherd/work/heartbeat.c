#include "watcherd/work/heartbeat.h"

#include <errno.h>
#include <string.h>

#include "core/err.h"
#include "locks/claim.h"
#include "watcherd/base/thread.h"

static void *beat(void *arg)
{
    struct heartbeat *h = arg;
    struct timespec until;

    pthread_mutex_lock(&h->mutex);
    while (!h->ending && !h->lost) {
        until = thread_in(h->every_s);
        pthread_cond_timedwait(&h->wake, &h->mutex, &until);
        if (!h->ending && claim_heartbeat(h->claim, NULL) == ERR_LOST)
            h->lost = true;
    }
    pthread_mutex_unlock(&h->mutex);
    return NULL;
}

int heartbeat_start(struct heartbeat *h, struct claim *claim, double every_s,
                    struct err *e)
{
    int rc;

    *h = (struct heartbeat){
        .mutex = PTHREAD_MUTEX_INITIALIZER, .claim = claim, .every_s = every_s};
    thread_cond_init(&h->wake);
    rc = pthread_create(&h->thread, NULL, beat, h);
    if (rc == 0)
        return 0;
    pthread_cond_destroy(&h->wake);
    return err_set(e, -rc, "cannot start the heartbeat: %s", strerror(rc));
}

void heartbeat_stop(struct heartbeat *h)
{
    pthread_mutex_lock(&h->mutex);
    h->ending = true;
    pthread_cond_signal(&h->wake);
    pthread_mutex_unlock(&h->mutex);
    pthread_join(h->thread, NULL);
    pthread_cond_destroy(&h->wake);
}

bool heartbeat_lost(struct heartbeat *h)
{
    bool lost;

    pthread_mutex_lock(&h->mutex);
    lost = h->lost;
    pthread_mutex_unlock(&h->mutex);
    return lost;
}

static int gate_may(void *arg, struct err *e)
{
    struct heartbeat *h = arg;
    int rc;

    pthread_mutex_lock(&h->mutex);
    rc = claim_may_commit(h->claim, e);
    pthread_mutex_unlock(&h->mutex);
    return rc;
}

static int gate_commit(void *arg, struct err *e)
{
    struct heartbeat *h = arg;
    int rc;

    pthread_mutex_lock(&h->mutex);
    rc = claim_commit(h->claim, e);
    pthread_mutex_unlock(&h->mutex);
    return rc;
}

struct product_gate heartbeat_gate(struct heartbeat *h)
{
    return (struct product_gate){gate_may, gate_commit, h};
}
