/*
 * group.h: which files belong together, and what the group is called.
 *
 * A pure data structure: no disk, no clock, no loop.  The file's name gives a time and a member
 * index, by a rule that is a setting (groupname.h).  Files cluster by time, greedily from the
 * earliest: a cluster is everything within tolerance_s of its first file.  Which groups there
 * are, how they are called and which file is which member depends only on the set of files,
 * never on the order in which they came; so two daemons agree on the name, and therefore on the
 * claim.
 *
 * A group is named by the earliest time among its members, "2025-05-07T00:04:06", and is
 * complete when each index 0 .. expected-1 has exactly one member.  Two files with the same
 * index: the one nearest to the cluster's median time is the member (then the later time, then
 * the newer modification, then the name), the other a recorded duplicate.
 *
 * Once marked (enqueued, done, failed) a group is frozen: name and members never change again.
 * Whatever comes later within tolerance_s of its name, before or after, is recorded as late.
 *
 * With a rule that has a name instead of a time, files of one name are one group, and the
 * tolerance does not count; times below are then 0, and groups are told in no particular order.
 *
 * Precondition of the agreement between machines: groups lie further apart than tolerance_s
 * (DSA-110: within a group at most 82 s, between groups at least 234 s, tolerance 120 s).
 *
 *     group_add(t, path, &id, now);                     for each settled file
 *     group_ready(t, now, cb, arg);                     -> GROUP_COMPLETE news
 *     group_mark(t, name, GROUP_ENQUEUED);              when it is in the queue
 */
#ifndef CORE_GROUP_H
#define CORE_GROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/fileid.h"
#include "core/groupname.h"

enum { GROUP_NAME = GROUPNAME_SIZE, GROUP_MAX_EXPECTED = 1024 };

struct group_table; /* defined in group.c */

/* What becomes of a group that is still incomplete deadline_s after its last arrival. */
enum group_policy {
    GROUP_HOLD,    /* told once (GROUP_IS_PARTIAL), keeps waiting */
    GROUP_PROCESS, /* told as GROUP_IS_PROCESSABLE with at least min_members, else held */
    GROUP_QUARANTINE, /* told as GROUP_IS_QUARANTINED until marked */
};

struct group_opts {
    double tolerance_s; /* whole seconds count */
    int expected;       /* 1 .. GROUP_MAX_EXPECTED */
    double deadline_s;  /* <= 0: never */
    enum group_policy policy;
    int min_members;              /* for GROUP_PROCESS */
    const struct groupname *rule; /* copied; NULL: "subband" */
};

enum group_state {
    GROUP_COLLECTING,
    GROUP_PARTIAL,  /* collecting, past the deadline */
    GROUP_ENQUEUED, /* this and what follows: frozen */
    GROUP_DONE,
    GROUP_FAILED,
    GROUP_SET_ASIDE, /* quarantined */
};
const char *group_state_name(enum group_state state);

struct group_member {
    const char *path; /* NULL: missing */
    struct file_id id;
    int64_t unix_s;
};

/* A group as callbacks see it; valid during the call. */
struct group_view {
    char name[GROUP_NAME];
    enum group_state state;
    bool complete;
    int expected, present;             /* members */
    const struct group_member *member; /* [expected] */
    int duplicates, surplus, late;     /* files recorded and not used */
    double last_arrival;               /* of a member, caller's clock */
};

enum group_what {
    GROUP_IS_COMPLETE, /* told at every group_ready until marked */
    GROUP_IS_PROCESSABLE, /* partial, policy process: told at every group_ready until marked */
    GROUP_IS_QUARANTINED, /* partial, policy quarantine: the same */
    GROUP_IS_PARTIAL,     /* policy hold: told once per membership */
    GROUP_HAS_DUPLICATE,  /* these: once a file; news->path */
    GROUP_HAS_SURPLUS,    /* index >= expected */
    GROUP_HAS_LATE,       /* came after the group was frozen */
    GROUP_HAS_REWRITTEN,  /* a file of a frozen group has another identity now */
};

struct group_news {
    enum group_what what;
    const struct group_view *group;
    const char *path; /* for GROUP_HAS_*, else NULL */
};
typedef void group_news_fn(void *arg, const struct group_news *news);
typedef void group_each_fn(void *arg, const struct group_view *group);

/* NULL: opts are out of range. */
struct group_table *group_table_new(const struct group_opts *opts);
void group_table_free(struct group_table *t);

/*
 * group_add: take in a settled file, at `now` (seconds of any clock that does not step, the
 * same for all calls).  The same path again replaces its identity.
 * Status: 0; -EINVAL when the name is foreign (not recorded; counted in group_stats).
 */
int group_add(struct group_table *t, const char *path, const struct file_id *id,
              double now);

/* The file is gone or being rewritten.  A frozen group keeps its name.  Status: 0; -ENOENT the
 * file is not known. */
int group_remove(struct group_table *t, const char *path);

/* Forget the files below a folder in groups that are not frozen.  Returns how many. */
size_t group_forget(struct group_table *t, const char *folder);

/*
 * group_of: the group of a file, by its path or, failing that, by its name in any folder.
 * Returned: name; role "member", "duplicate", "surplus" or "late"
 * Status: 0; -ENOENT
 */
int group_of(struct group_table *t, const char *path, char name[GROUP_NAME],
             const char **role);

/*
 * Tell what is ready, in time order of the groups, then the recorded oddities.  The callback
 * may group_mark the group in hand with a frozen state, and call nothing else of this module.
 */
void group_ready(struct group_table *t, double now, group_news_fn *cb, void *arg);

/* Seconds until a deadline passes; < 0: none. */
double group_next_s(struct group_table *t, double now);

/*
 * Set the state of the group with exactly this name.  A frozen state for a name that has no
 * group yet makes an empty frozen one (a restart: mark what the queue knows, then scan): files
 * that come within [name, name + tolerance] become its members, by the same rule.
 * GROUP_COLLECTING thaws it (the operator wants it formed again).
 * Status: 0; -EINVAL not a group's name; -ENOENT no such group to thaw.
 */
int group_mark(struct group_table *t, const char *name, enum group_state state);

/* Look at one group; cb may be NULL (does it exist?).  Status: 0; -ENOENT. */
int group_find(struct group_table *t, const char *name, group_each_fn *cb, void *arg);

/* Every group in time order. */
void group_each(struct group_table *t, group_each_fn *cb, void *arg);

/*
 * In words: "collecting, 14 of 16: missing sb03 sb07; last arrival 41 s ago, partial in 559 s;
 * duplicate sb05: in/2025-...".  For an unknown name says so, and names the nearest group.
 * Returns the length as snprintf does.
 */
int group_why(struct group_table *t, const char *name, char *buf, size_t size,
              double now);

struct group_stats {
    size_t files, groups, collecting, complete, frozen;
    uint64_t foreign; /* names that did not parse, ever */
};
void group_stats(struct group_table *t, struct group_stats *out);

#endif
