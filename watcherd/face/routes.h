/*
 * routes.h: the one table of what can be asked of the daemon, for whoever takes requests: a
 * request is {"ask": NAME, ...}.
 */
#ifndef WATCHERD_FACE_ROUTES_H
#define WATCHERD_FACE_ROUTES_H

#include <stdbool.h>

#include "watcherd/face/answers.h"

struct route {
    const char *name;
    answer_fn *answer;
    bool alone;       /* can be answered without a daemon */
    const char *help; /* what else the request has, and what it is for */
};

/* NULL: there is none of that name. */
const struct route *routes_find(const char *name);

/* A control_answer_fn; arg is a struct answers. */
void routes_answer(void *arg, struct reply *r, json_t *request);

#endif
