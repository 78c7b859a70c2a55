/*
 * intake.h: complete groups become tasks.
 *
 * A group is frozen when it is taken up: its members no longer change.  When the store has
 * answered, it gets the state of its task; while the store is down it waits, frozen.
 * No group is taken up before it is known which groups had tasks before, nor while operators
 * drain the queue or it holds [queue] max_pending tasks.
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
/* Things may have changed: groups that were not taken are tried again.  `others`: other
 * workers may have done something, too, so the tasks of groups that are under way are looked
 * at, 200 of them a second. */
void intake_news(struct intake *in, bool others);

bool intake_loaded(const struct intake *in);
/* Is something of it at the store, or is it not loaded yet? */
bool intake_busy(const struct intake *in);
/* Why no group is taken up just now; NULL. */
const char *intake_held(const struct intake *in);
/* Is this group waiting for the store's answer? */
bool intake_waits(const struct intake *in, const char *group);

#endif
