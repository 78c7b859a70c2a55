/*
 * reply.h: the answer to one request, given when it is ready.
 *
 * Who takes requests (the control socket, a program that asks itself) makes a reply and passes
 * it on with the request.  Who answers calls reply_send once, at once or later, from the loop.
 * That the asker has gone meanwhile is the maker's business.
 */
#ifndef WATCHERD_FACE_REPLY_H
#define WATCHERD_FACE_REPLY_H

#include <jansson.h>

/* The first member of whatever the maker needs to deliver it. */
struct reply {
    /* Takes the answer, an object, and ends the reply. */
    void (*send)(struct reply *r, json_t *answer);
};

/* Send `answer`, which is consumed; NULL says that it could not be put into words.  After it
   the reply is gone. */
void reply_send(struct reply *r, json_t *answer);
/* Send {"error": sentence}: a refusal. */
void reply_refuse(struct reply *r, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#endif
