/*
 * journal.h: the last log lines of the services, from journald.
 */
#ifndef TASKCTL_JOURNAL_H
#define TASKCTL_JOURNAL_H

#include <stddef.h>

/*
 * journal_tail: what `journalctl` prints of the last n lines of watcherd and its workers,
 * malloc'ed. NULL: there are none, and `why` says why.  Waits at most two seconds.
 */
char *journal_tail(int n, char why[160]);

#endif
