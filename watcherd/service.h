/*
 * service.h: `watcherd worker`: claims and works on tasks that a daemon queues, on this
 * machine or (with PostgreSQL) on another.
 */
#ifndef WATCHERD_SERVICE_H
#define WATCHERD_SERVICE_H

#include <stdbool.h>

struct conf;
struct err;

struct service_opts {
    const char *conf_path; /* absolute; read again at SIGHUP */
    const char *name;      /* NULL: "worker" */
    long slots;            /* tasks at the same time; 0: 1 */
    bool once;             /* end when no task is pending */
};

/*
 * service_run: work until SIGTERM or SIGINT, as the daemon ends; waits for a daemon that
 * has made the tables. Status: 0 ended as asked; 1 with `once` when a task failed; -EBUSY
 * one of this name runs on this state folder;
 *   -EINVAL a name that cannot be; other negative: could not start, with a sentence.
 */
int service_run(struct conf *conf, const struct service_opts *opts, struct err *e);

#endif
