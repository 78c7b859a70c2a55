/*
 * answers.h: what operators ask of the rooms, and the answers, as JSON objects.
 *
 *   {"ask": "why", "name": GROUP | mosaic_... | PATH}
 *   {"ask": "status"}
 *   {"ask": "workers"}                         what each slot works on
 *   {"ask": "scale", "count": N}               so many slots, until SIGHUP or the next start
 *   {"ask": "watch-list"}   {"ask": "watch-add", "path": DIR, "recursive": B, "poll": B}
 *   {"ask": "watch-remove", "path": DIR}
 *   {"ask": "release", "name": GROUP}          end a quarantine
 *
 * An answer with "error" (and "nearest" where that helps) is a refusal.  Everything is
 * looked up in memory, but for one probe of each file of the group in question that has not
 * settled.  When the watched file systems do not answer within half a second, "why" tells
 *           what is known without them and
 * says so in "unanswered", and the verbs of watch refuse; "status" never waits for them.
 * The same goes for the queue's store: what only it knows is left out, and "store" says why.
 */
#ifndef WATCHERD_FACE_ANSWERS_H
#define WATCHERD_FACE_ANSWERS_H

#include <jansson.h>

struct conf;
struct crew;
struct group_table;
struct ingest;
struct intake;
struct rework;
struct roots;
struct settle;
struct store;
struct upkeep;
struct watch;

/* The rooms, borrowed.  Without a daemon store, crew, upkeep, intake, roots and rework are NULL. */
struct answers {
    const struct conf *conf;
    struct ingest *ingest; /* NULL: use these two instead */
    struct watch *watch;
    struct settle *settle;
    struct group_table *groups;
    struct store *store;
    struct crew *crew;
    struct upkeep *upkeep;
    struct intake *intake;
    struct roots *roots;
    struct rework *rework;
    double started;             /* boot clock */
    void (*changed)(void *arg); /* there may be something to do at once; may be NULL */
    void *arg;
};

/* A control_answer_fn; arg is a struct answers. */
json_t *answers_answer(void *arg, json_t *request);

#endif
