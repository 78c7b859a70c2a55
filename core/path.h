/*
 * path.h: directories, files read and written whole, digests.  Sentences name the path.
 */
#ifndef CORE_PATH_H
#define CORE_PATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

enum { PATH_SHA256 = 65 }; /* hex digits and NUL */

/* Join dir and name to "dir/name" in out[size], never with two slashes where they meet.
 * Status: 0; -ENAMETOOLONG. */
int path_join(char *out, size_t size, const char *dir, const char *name, struct err *e);
/*
 * path_component: may a name that comes from outside (a queue's row, an operator, a header) be
 * a file or folder in a folder of ours?  Not empty, no slash, no dot at its start, at most 240
 * bytes (so that ".gen12" and the like fit behind), UTF-8.  `what` is what the sentence calls
 * it: "the key". Status: 0; ERR_FORMAT with the sentence.
 */
int path_component(const char *name, const char *what, struct err *e);
/* What follows the last slash; points into path. */
const char *path_base(const char *path);

/* Make a directory and all those above it, mode 0755.  One that exists is fine.
 * Status: 0; -ENOTDIR a file has the name of one of them; -ENAMETOOLONG; other errnos. */
int path_mkdirs(const char *dir, struct err *e);

/* Write n bytes so that the file is whole or, as before, old or absent, even after a power cut:
 * into a temporary file beside it, fsync, rename, fsync of the directory.
 * Status: 0; errnos (-ENOSPC, -EROFS ...), and the temporary file is gone again. */
int path_write(const char *path, const void *data, size_t n, struct err *e);
/* The same, and only its owner may read it.  Status: as path_write. */
int path_write_private(const char *path, const void *data, size_t n, struct err *e);
/* Remove what killed path_writes have left in a folder: `.NAME.<16 hex digits>.tmp` that nobody
 * has written to for a minute.  Returns how many. */
size_t path_sweep_temps(const char *dir);
/* The second half of path_write: give the complete file `temp` its name `path`; on the same
 * file system.  Status: as path_write; temp is removed on failure. */
int path_replace(const char *temp, const char *path, struct err *e);

/* Read a whole file of at most max bytes; *out is malloc'ed, ends with a NUL that *n does not
 * count, and is NULL unless 0.
 * Status: 0; ERR_SHAPE longer than max; ERR_FORMAT no regular file; -ENOMEM; other errnos. */
int path_read(char **out, size_t *n, const char *path, size_t max, struct err *e);
/* SHA-256 of a regular file, as lower-case hex digits, and its size in bytes.
 * Status: 0; ERR_FORMAT not a regular file; -ENOMEM; other errnos. */
int path_sha256(const char *path, char hex[PATH_SHA256], uint64_t *size, struct err *e);
enum { PATH_END = 1 << 16 };
/* The same of the first and the last PATH_END bytes of a file, which is all of one of at most two
 * PATH_END: quick, however large it is.  Status: 0; ERR_FORMAT no regular file; -ENOMEM; a negated
 * errno of opening or reading it. */
int path_sha256_ends(const char *path, char hex[PATH_SHA256], uint64_t *size,
                     struct err *e);

/* Force to disk: the names in a directory; all files and directories below it, too.
 * Status: 0; errnos, -EIO when the disk failed. */
int path_fsync_dir(const char *dir, struct err *e);
int path_fsync_tree(const char *dir, struct err *e);

/* Remove a file, or a directory with all that is below it; links are removed, not followed.
 * What is not there is fine.  Status: 0; errnos of what would not go. */
int path_remove_tree(const char *dir, struct err *e);
/* The same for `name` in the open directory dirfd: no link on the way to it can lead
 * elsewhere.  Status: as path_remove_tree. */
int path_remove_at(int dirfd, const char *name, struct err *e);

/* Bytes that are free for us on the file system of `path`.  Status: 0; errnos. */
int path_free_bytes(const char *path, uint64_t *bytes, struct err *e);

#endif
