/*
 * roster.h: a group and its members as they were at one moment, for those who must not look at the groups: the
 * store's thread.
 */
#ifndef WATCHERD_TODO_GROUP_COPY_H
#define WATCHERD_TODO_GROUP_COPY_H

#include "core/group.h"

struct roster {
    char name[GROUP_NAME];
    enum group_state state;
    bool complete;
    int n;
    struct roster_file {
        char *path;
        struct file_id id;
    } file[]; /* [n] */
};

struct roster *roster_new(const struct group_view *g);
void roster_free(struct roster *r);
/* The params of its task: {"files": [PATH...]}, the caller's. */
char *roster_params(const struct roster *r);

#endif
