/*
 * path.h: directories, whole-file writes and digests.
 */
#ifndef CORE_PATH_H
#define CORE_PATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

enum { PATH_SHA256 = 65 }; /* hex digits and NUL */

/* "a/b" into out; -ENAMETOOLONG with a sentence.  Never two slashes at the joint. */
int path_join(char *out, size_t size, const char *dir, const char *name, struct err *e);
/* mkdir -p, mode 0755. */
int path_mkdirs(const char *dir, struct err *e);
/* Write a file so that it is either whole or absent: temp, fsync, rename, fsync of the folder. */
int path_write(const char *path, const void *data, size_t n, struct err *e);
/* Give the complete file `temp` its name `path`: fsync, rename, fsync of the folder.
   Removed on failure. */
int path_replace(const char *temp, const char *path, struct err *e);
/* Whole file into a malloc'ed, NUL-terminated buffer; refuses more than max bytes (ERR_SHAPE). */
int path_read(char **out, size_t *n, const char *path, size_t max, struct err *e);
int path_fsync_dir(const char *dir, struct err *e);
/* fsync each regular file below dir and the folders. */
int path_fsync_tree(const char *dir, struct err *e);
/* rm -r, does not follow links; missing is fine. */
int path_remove_tree(const char *dir, struct err *e);
/* The same for `name` in the open folder dirfd: no link on the way there can lead elsewhere. */
int path_remove_at(int dirfd, const char *name, struct err *e);
/* SHA-256 of a file, lower-case hex, and its size. */
int path_sha256(const char *path, char hex[PATH_SHA256], uint64_t *size, struct err *e);
const char *path_base(const char *path);
/* Free bytes for us on the file system of `path`. */
int path_free_bytes(const char *path, uint64_t *bytes, struct err *e);

#endif
