/*
 * folders.h: the folders of [paths], as whoever starts tasks needs them.
 */
#ifndef WATCHERD_FOLDERS_H
#define WATCHERD_FOLDERS_H

struct conf;
struct err;

/* Make what is missing.  Products may be on a disk that is not there yet: that is logged, and
 * no failure.  Status: 0; that of path_mkdirs for the others, negated errnos. */
int folders_make(const struct conf *conf, struct err *e);
/*
 * folders_locks: say once which way of locking applies and why, and where this machine's
 * boots are noted. Status: 0; -ENOTSUP nothing excludes another worker there, so none may
 * be started.
 */
int folders_locks(const struct conf *conf, struct err *e);

#endif
