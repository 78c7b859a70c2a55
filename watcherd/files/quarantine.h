/*
 * quarantine.h: groups that were set aside because they stayed incomplete ([group] partial =
 * quarantine): `<state>/quarantine/GROUP.json` lists their files and the reason.  Files are
 * neither moved nor deleted.  The record is what a restart remembers the group by.
 */
#ifndef WATCHERD_FILES_QUARANTINE_H
#define WATCHERD_FILES_QUARANTINE_H

#include <stddef.h>

struct err;
struct group_view;

/* Status: 0; what path_mkdirs or path_write said. */
int quarantine_write(const char *state, const struct group_view *g, const char *reason,
                     struct err *e);
/* End it: the group may be formed again.  Status: 0; -ENOENT it is not set aside; an errno of
   unlink(2), with a sentence. */
int quarantine_end(const char *state, const char *group, struct err *e);
/* Path of a group's record, whether it is there or not.  Status: 0; -ENAMETOOLONG. */
int quarantine_path(char *out, size_t size, const char *state, const char *group,
                    struct err *e);
/* Each group with a record.  Status: 0 (also when there is no such folder), an errno. */
int quarantine_each(const char *state, void (*fn)(void *arg, const char *group),
                    void *arg, struct err *e);

#endif
