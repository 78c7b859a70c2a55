/*
 * group_copy.h: a group and its members as they were at one moment, for those who must not
 * look at the groups: the store's thread.
 */
#ifndef WATCHERD_TODO_GROUP_COPY_H
#define WATCHERD_TODO_GROUP_COPY_H

#include "core/group.h"

struct group_copy {
    char name[GROUP_NAME];
    enum group_state state;
    bool complete;
    int n;
    struct group_copy_file {
        char *path;
        struct file_id id;
    } file[]; /* [n] */
};

struct group_copy *group_copy_new(const struct group_view *g);
void group_copy_free(struct group_copy *r);
/* The params of its task: {"files": [PATH...]}, the caller's. */
char *group_copy_params(const struct group_copy *r);

#endif
