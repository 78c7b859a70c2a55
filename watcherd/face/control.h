/*
 * control.h: how operators' programs ask the running daemon: a Unix stream socket
 * `<state>/control.sock`, one JSON object a line in, one out (core/control_client.h is the
 * side that asks).
 *
 * Only the daemon's user may connect (mode 0600).  A line is at most CONTROL_LINE bytes; what
 * is no JSON object gets {"error": SENTENCE}.  A request is answered when its answer is ready,
 * and the loop waits for nobody.  A client's next request is taken when its last answer has
 * gone out, so a client that does not read costs one answer.  When CONTROL_CLIENTS are
 * connected the one that was silent longest makes room for the next, but never one that waits
 * for its answer or has just connected: while all do, the next has to wait until one is
 * through.
 */
#ifndef WATCHERD_FACE_CONTROL_H
#define WATCHERD_FACE_CONTROL_H

#include <jansson.h>
#include <uv.h>

struct control; /* defined in control.c */
struct err;
struct reply;

enum { CONTROL_LINE = 65536, CONTROL_CLIENTS = 32 };

/* Answer a request (borrowed): reply_send(r, ...) once, now or later.  Called from the loop. */
typedef void control_answer_fn(void *arg, struct reply *r, json_t *request);

/*
 * control_new: listen in directory `state`.  The socket of a dead daemon is replaced: the
 * caller holds the lock of the state directory, so nobody else is alive there.
 * Status: 0; -EEXIST something that is no socket has the name; other errnos with a sentence.
 * Note: the process should ignore SIGPIPE.
 */
int control_new(struct control **out, uv_loop_t *loop, const char *state,
                control_answer_fn *answer, void *arg, struct err *e);
/* Stop listening, drop the clients and the socket; control_free when the loop has closed them
   and every request has been answered (answers to those that are gone go nowhere). */
void control_close(struct control *c);
void control_free(struct control *c);

#endif
