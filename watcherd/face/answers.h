/*
 * answers.h: what operators ask, and where the answers come from.  An answer is a JSON object;
 * one with "error" (and "nearest" where that helps) is a refusal.  The table of questions is in
 * routes.c.
 *
 * The loop waits for nothing.  What only the thread at the watched file systems or the one at
 * the queue's store knows is asked of it, and the answer is sent when both have spoken, or
 * after half a second without what is missing: "why" then has "unanswered" or "store", "status"
 * has "unanswered" in "queue", and the verbs of watch refuse.  All else is looked up in memory.
 */
#ifndef WATCHERD_FACE_ANSWERS_H
#define WATCHERD_FACE_ANSWERS_H

#include <jansson.h>

struct conf;
struct crew;
struct disks;
struct group_table;
struct ingest;
struct intake;
struct reply;
struct rework;
struct roots;
struct settle;
struct store;

/* What a running daemon has, borrowed. */
struct rooms {
    struct ingest *ingest;
    struct store *store;
    struct crew *crew;
    struct intake *intake;
    struct rework *rework;
    const struct disks *disks;
    double started;             /* boot clock */
    void (*changed)(void *arg); /* there may be something to do at once */
    void *arg;
};

/* What the answers are made of, borrowed. */
struct answers {
    const struct conf *conf;
    struct group_table *groups;
    struct roots *roots;
    const struct rooms *rooms; /* NULL: no daemon runs */
    struct settle *settle;     /* asked here and now when no daemon runs; else NULL */
};

/* How long the threads at the file systems and at the store have for a question. */
#define ANSWERS_FILES_S 0.5
#define ANSWERS_STORE_S 0.5

/* A question: sends the answer with reply_send, now or later.  `request` is borrowed. */
typedef void answer_fn(struct answers *o, struct reply *r, const json_t *request);

answer_fn answer_why, answer_release;                      /* answer_group.c */
answer_fn answer_status;                                   /* answer_status.c */
answer_fn answer_workers, answer_scale;                    /* answer_crew.c */
answer_fn answer_roots, answer_add_root, answer_drop_root; /* answer_roots.c */

struct err;
struct queue;
/* Without a daemon: what "why" has under "task", asked of the queue here and now.  *out NULL:
 * there is no such task.  Status: that of queue_status. */
int answer_task(struct queue *q, const char *pipeline, const char *key, json_t **out,
                struct err *e);

/* The text of a request's member; "" when there is none. */
const char *answers_text(const json_t *request, const char *key);

#endif
