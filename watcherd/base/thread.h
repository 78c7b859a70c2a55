/*
 * thread.h: what a thread beside the loop needs: no signals, waits by the monotonic clock,
 * a descriptor to wake it.
 */
#ifndef WATCHERD_BASE_THREAD_H
#define WATCHERD_BASE_THREAD_H

#include <pthread.h>
#include <time.h>

struct err;

/* A thread that gets no signals: they are the loop's.  Status: 0, or a negated errno with a
   sentence. */
int thread_start(pthread_t *thread, void *(*run)(void *arg), void *arg, struct err *e);

/* A condition whose pthread_cond_timedwait takes a time of thread_in. */
void thread_cond_init(pthread_cond_t *cond);
/* So many seconds from now. */
struct timespec thread_in(double s);

/* An eventfd that a thread polls.  The descriptor, or a negated errno with a sentence. */
int thread_wake_new(struct err *e);
void thread_wake(int wake);
/* The thread has seen it. */
void thread_woken(int wake);

#endif
