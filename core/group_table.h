/*
 * group_table.h: the inside of struct group_table, for group.c (which files make which group)
 * and group_tell.c (what is told of them).
 */
#ifndef CORE_GROUP_TABLE_H
#define CORE_GROUP_TABLE_H

#include "core/group.h"

enum role { ROLE_FREE, ROLE_MEMBER, ROLE_DUPLICATE, ROLE_SURPLUS, ROLE_LATE };

struct group {
    int64_t unix_s; /* its name; or the key of `name` */
    char *name;     /* NULL: it is the time */
    enum group_state state;
    bool sealed; /* frozen with its members known; else they are chosen as they come */
    bool told;   /* GROUP_IS_PARTIAL has been */
    int present;
    bool odd;     /* there may be oddities to tell */
    size_t nfile; /* of any role, gone or not */
    size_t ngone;
    double last_arrival; /* of a member; of any file when there is none */
};

struct file {
    int64_t unix_s;
    struct file_id id;
    double arrived;
    struct group *group; /* NULL until its component has been made */
    int index;
    uint8_t role;
    bool told;      /* its oddity has been */
    bool rewritten; /* to be told */
    bool gone;      /* of a frozen group: no longer there */
    char path[];
};

struct group_table {
    struct group_opts opts;
    struct groupname rule;
    int64_t tolerance_s;
    struct file **file, **fresh;
    size_t nfile, file_room, nfresh, fresh_room;
    struct group **group;
    size_t ngroup, group_room;
    struct group_member *member; /* [expected] of the view in hand */
    uint64_t foreign;
};

/* Bring files and groups up to date with what was added: before every question. */
void group_resolve(struct group_table *t);
bool group_frozen(const struct group *g);
/* Place of the first file, or group, at or after a time. */
size_t group_file_place(const struct group_table *t, int64_t unix_s);
size_t group_place(const struct group_table *t, int64_t unix_s);
/* The group of exactly this time, or NULL. */
struct group *group_at(const struct group_table *t, int64_t unix_s);
const char *group_base_of(const char *path);

#endif
