/*
 * control_client.h: how programs ask the running daemon: one JSON object a line to the Unix
 * stream socket `<state>/control.sock`, one back (watcherd/face/control.h is the side that
 * answers).
 *
 * A state directory whose path is too long for a socket's address is reached through
 * /proc/self/fd.
 */
#ifndef CORE_CONTROL_CLIENT_H
#define CORE_CONTROL_CLIENT_H

#include <jansson.h>
#include <sys/un.h>

struct err;

#define CALL_SOCKET "control.sock"

/* The socket `name` in the directory open at `dir`: short, however long its path is. */
struct sockaddr_un client_address(int dir, const char *name);
/* Open the state directory for that.  Returns an O_PATH descriptor, yours to close, or a
 * negated errno. */
int client_open_dir(const char *state, struct err *e);

/*
 * client_call: ask the daemon of `state` and wait for its answer, at most wait_s.
 * Returned: *answer a new object, yours; NULL unless 0
 * Status: 0; -ECONNREFUSED nobody listens; -ETIMEDOUT no answer in time; ERR_FORMAT no JSON
 *   object came back; other errnos, with a sentence.
 */
int client_call(const char *state, json_t *request, double wait_s, json_t **answer,
                struct err *e);

#endif
