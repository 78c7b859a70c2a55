/*
 * fileid.h: core/fileid.h, and whether other machines may change a file behind our back.
 */
#ifndef CORE_FSTYPE_H
#define CORE_FSTYPE_H

#include "core/fileid.h"

/*
 * fstype_is_remote: may other machines (or other mounts) change files below `fd` without this
 * kernel noticing?  True for network and FUSE file systems, told by the magic number of
 * fstatfs(2); *name (may be NULL) becomes "nfs", "fuse" ... or "local".  false when it
 * cannot be told.
 */
bool fstype_is_remote(int fd, const char **name);

#endif
