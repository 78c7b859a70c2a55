/*
 * intake.h: complete groups become tasks.
 *
 * A group is frozen when it is taken up, and marked as its task is when the store has
 * answered; while the store is down it waits, frozen.  Nothing is taken up before it is
 * known which groups had tasks before; nor while operators drain the queue, or it holds
 * [queue] max_pending tasks: those groups stay as they are.
 */
#ifndef WATCHERD_TODO_INTAKE_H
#define WATCHERD_TODO_INTAKE_H

#include <stdbool.h>
#include <stddef.h>

#include "core/group.h"

struct conf;
struct intake; /* defined in intake.c */
struct store;

struct intake_opts {
    const struct conf *conf; /* these three are borrowed */
    struct store *store;
    struct group_table *groups;
    void (*loaded)(void *arg); /* it is known which groups had tasks */
    void (*rewritten)(void *arg, const char *group); /* its product is stale */
    void (*queued)(void *arg);                       /* there are new tasks */
    void (*refused)(void *arg, const char *group);   /* it cannot become a task: said */
    void *arg;
};

struct intake *intake_new(const struct intake_opts *opts);
/* When the store has stopped. */
void intake_free(struct intake *in);

/* Find out which groups had tasks before. */
void intake_load(struct intake *in);
/* This group is ready; safe inside group_ready's callback.  After it, send what was taken. */
void intake_take(struct intake *in, const struct group_view *g);
void intake_send(struct intake *in);
/* Things may have changed: groups that were not taken are told of again.  `others`: by
   other workers, too: see
 * what has become of the groups that are with them. */
void intake_news(struct intake *in, bool others);

bool intake_loaded(const struct intake *in);
/* Does it wait for the store? */
bool intake_busy(const struct intake *in);
/* Why no group is taken up just now; NULL. */
const char *intake_held(const struct intake *in);
/* Is this group waiting for the store's answer? */
bool intake_waits(const struct intake *in, const char *group);

#endif
