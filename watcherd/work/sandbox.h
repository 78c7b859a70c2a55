/*
 * sandbox.h: what a worker process may write to, as the kernel keeps it (Landlock, landlock(7)).
 *
 * A worker parses files from outside with large libraries.  Whatever such a file makes them do, it
 * and all that it starts can write, make, rename and remove only below the folders given, write to
 * /dev/null and to its own entries in /proc, and gain no privilege.  Reading is left to the modes
 * of the files.
 */
#ifndef WATCHERD_WORK_SANDBOX_H
#define WATCHERD_WORK_SANDBOX_H

#include <stddef.h>

struct err;

/*
 * sandbox_enter: from here on, for this process and what it starts; there is no way back.
 *
 * Given:  dir [n] folders, which should exist: what is made later in the place of one is not
 *         covered
 * Status: 0; -ENOSYS, -EOPNOTSUPP the kernel has no Landlock, or none that lets files move
 *         between folders (Linux 5.19): nothing was changed; other errnos with a sentence
 */
int sandbox_enter(const char *const *dir, size_t n, struct err *e);

#endif
