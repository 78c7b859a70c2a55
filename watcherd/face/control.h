/*
 * control.h: how operators' programs ask the running daemon: a Unix stream socket
 * `<state>/control.sock`, one JSON object a line in, one out (core/control_client.h is the
 * side that asks).
 *
 * Only the daemon's user may connect (mode 0600).  A line is at most CONTROL_LINE bytes; what
 * is no JSON object gets {"error": SENTENCE}.  A client's next request is taken when its
 * last answer has gone out, so a client that does not read costs one answer, and never the
 * loop's time.  When CONTROL_CLIENTS are connected the one that was silent longest makes
 *               room for the next.
 */
#ifndef WATCHERD_FACE_CONTROL_H
#define WATCHERD_FACE_CONTROL_H

#include <jansson.h>
#include <uv.h>

struct err;
struct control; /* defined in control.c */

enum { CONTROL_LINE = 65536, CONTROL_CLIENTS = 32 };

/* The answer to a request (borrowed): a new object, never NULL.  Called from the loop. */
typedef json_t *control_answer_fn(void *arg, json_t *request);

/*
 * control_new: listen in directory `state`.  The socket of a dead daemon is replaced: the caller
 * holds the lock of the state directory, so nobody else is alive there.
 * Status: 0; -EEXIST something that is no socket has the name; other errnos with a sentence.
 * Note: the process should ignore SIGPIPE.
 */
int control_new(struct control **out, uv_loop_t *loop, const char *state,
                control_answer_fn *answer, void *arg, struct err *e);
/* Stop listening, drop the clients and the socket; the loop has to run once more, then
   control_free. */
void control_close(struct control *c);
void control_free(struct control *c);

/* {"error": sentence} */
json_t *control_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
