/*
 * daemon.h: the libuv loop that ties the rooms together: watch, settle, group, queue, workers.
 */
#ifndef WATCHERD_DAEMON_H
#define WATCHERD_DAEMON_H

#include <stdbool.h>

struct conf;
struct err;

struct daemon_opts {
    const char *conf_path; /* absolute; read again at SIGHUP and by every worker */
    bool once;             /* work off what is there, then end */
};

/*
 * daemon_run: watch until SIGTERM or SIGINT (or, with `once`, until nothing is left to do).
 *
 * Given and returned: conf; SIGHUP reads its [workers], [mosaic] and [calibration] ...
 * anew; paths, [watch] and
 *   [group] need a restart, which it says
 * Status: 0 ended as asked; 1 with `once` when a task failed or a file or group was left
 * over; negative:
 *   could not start, with a sentence
 * Note: when a watched file system hangs at the end, everything is closed and the process
 * ends here, with
 *   the status that would have been returned.
 */
int daemon_run(struct conf *conf, const struct daemon_opts *opts, struct err *e);

#endif
