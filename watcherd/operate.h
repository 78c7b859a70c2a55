/*
 * operate.h: what operators ask of the rooms, and the answers, as JSON objects.
 *
 *   {"ask": "why", "name": GROUP | mosaic_... | PATH}
 *   {"ask": "status"}
 *   {"ask": "watch-list"}   {"ask": "watch-add", "path": DIR, "recursive": B, "poll": B}
 *   {"ask": "watch-remove", "path": DIR}
 *   {"ask": "release", "name": GROUP}          end a quarantine
 *
 * An answer with "error" (and "nearest" where that helps) is a refusal.  Everything is looked up in memory,
 * but for one probe of each file of the group in question that has not settled.  When the watched
 * file systems do not answer within half a second, "why" tells what is known without them and
 * says so in "unanswered", and the verbs of watch refuse; "status" never waits for them.
 */
#ifndef WATCHERD_OPERATE_H
#define WATCHERD_OPERATE_H

#include <jansson.h>

struct conf;
struct group_table;
struct ingest;
struct pool;
struct queue;
struct rework;
struct roots;
struct settle;
struct watch;

/* The rooms, borrowed.  Without a daemon queue, pool, roots and rework are NULL. */
struct operate {
    const struct conf *conf;
    struct ingest *ingest; /* NULL: use these two instead */
    struct watch *watch;
    struct settle *settle;
    struct group_table *groups;
    struct queue *queue;
    struct pool *pool;
    struct roots *roots;
    struct rework *rework;
    double started;             /* boot clock */
    void (*changed)(void *arg); /* there may be something to do at once; may be NULL */
    void *arg;
};

/* A control_answer_fn; arg is a struct operate. */
json_t *operate_answer(void *arg, json_t *request);

#endif
