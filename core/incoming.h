/*
 * incoming.h: which directories are looked at, which names count in them, and how files form
 * groups.  Everybody who asks "what has arrived" asks here: the watch, batchctl, why,
 * preflight.
 *
 * The directories (roots) are [paths] incoming, [watch] also, and those that operators added to
 * a running daemon, which are kept in `<state>/roots.json`:
 *
 *   {"roots": [{"path": DIR, "recursive": BOOL, "poll": BOOL}, ...]}
 *
 * A root whose files another root would show already is no root: nobody may count a file twice.
 */
#ifndef CORE_INCOMING_H
#define CORE_INCOMING_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

struct conf;
struct err;
struct group_table;
struct groupname;

/* A root is at depth 1; directories deeper than this are not looked into. */
enum { INCOMING_DEPTH = 48 };

/* ---- names ---- */

enum { INCOMING_ENDS = 32, INCOMING_END = 16 };

/* The endings that a wanted name may have; none: every name is wanted. */
struct incoming_names {
    size_t n;
    char end[INCOMING_ENDS][INCOMING_END];
};

/*
 * incoming_names: take [watch] extensions apart, ".hdf5 .uvh5": separated by spaces, tabs or
 * commas; "" or NULL for all names.
 * Status: 0; -EINVAL more than INCOMING_ENDS of them, or one of INCOMING_END bytes or longer.
 */
int incoming_names(struct incoming_names *out, const char *extensions, struct err *e);

/* Does a regular file of this name (without slashes) count?  Never when its name says that it
 * is still being written (dirsum_unfinished). */
bool incoming_wants(const struct incoming_names *names, const char *name);

/* ---- roots ---- */

struct incoming_root {
    char *path;           /* as it was given: symbolic links in it are followed */
    bool recursive, poll; /* as it was given; see incoming_is_recursive */
    bool added;           /* by an operator; else from the settings */
};

struct incoming_roots {
    struct incoming_root *item; /* [n], [paths] incoming first; owned */
    size_t n;
    bool by_directory;   /* [group] pattern = directory: every root is recursive */
    char file[PATH_MAX]; /* roots.json */
    /* why that could not be understood; "" it is well or not there */
    char damaged[256];
};

/* This directory is no root, and why: one sentence. */
typedef void incoming_refused_fn(void *arg, const char *path, const char *why);

/*
 * incoming_roots_load: all roots.  Entries that cannot be roots are told to `refused` (may be
 * NULL) and left out.  A roots.json that cannot be read or is no JSON counts as empty, and
 * `damaged` says why: whoever owns the state directory mends it, everybody else should refuse
 * to answer.
 * Returned: *out, to be cleared also after a failure
 * Status: 0; -ENAMETOOLONG [paths] state is too long
 */
int incoming_roots_load(struct incoming_roots *out, const struct conf *conf,
                        incoming_refused_fn *refused, void *arg, struct err *e);
/* The same for those who only look: a damaged roots.json is ERR_FORMAT with a sentence. */
int incoming_roots_look(struct incoming_roots *out, const struct conf *conf,
                        struct err *e);
void incoming_roots_clear(struct incoming_roots *r);

/* Does it show what lies in its directories? */
bool incoming_is_recursive(const struct incoming_roots *r,
                           const struct incoming_root *root);

/*
 * incoming_roots_fits: may this directory be added?  Asks the file system where paths lead.
 * Status: 0; -EINVAL not absolute or not UTF-8; -EEXIST another root would show its files, or
 * it
 *   the other's
 */
int incoming_roots_fits(const struct incoming_roots *r,
                        const struct incoming_root *root, struct err *e);
/* Add it (the path is copied), or change the one of the same path. */
void incoming_roots_put(struct incoming_roots *r, const struct incoming_root *root);
void incoming_roots_drop(struct incoming_roots *r, const char *path);
/* The root of exactly this path, or NULL; valid until the next change. */
const struct incoming_root *incoming_roots_find(const struct incoming_roots *r,
                                                const char *path);
/* Write what operators added to r->file.  Status: that of path_write. */
int incoming_roots_save(const struct incoming_roots *r, struct err *e);

/* "ROOT/NAME" of a path below it, "ROOT/NAME/...", into out; false: it lies in no root, or
 * directly in one. */
bool incoming_roots_top(const struct incoming_roots *r, const char *path,
                        char out[PATH_MAX]);

/* ---- groups ---- */

/*
 * incoming_groups: an empty table of groups as [group] wants it.
 * Returned: *out the table, yours to free; rule its pattern, compiled
 * Status: 0; -EINVAL the pattern is none, or [group] expected is too large
 */
int incoming_groups(struct group_table **out, struct groupname *rule,
                    const struct conf *conf, struct err *e);

#endif
