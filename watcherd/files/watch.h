/*
 * watch.h: which paths may have changed, without ever missing one.
 *
 * Events are hints, the directory is the truth.  Every source (inotify, a scan at the start,
 * after an overflow, a remount, every minute, or by hand) only calls dirty(arg, path, how);
 * calling it twice for one file is normal, and the receiver makes a set of it.
 *
 * Knows no loop: put watch_fd into a poller and call watch_read when it is readable; call
 * watch_tick when watch_next_scan_s has passed.
 *
 * inotify says nothing of a hard link made with ln in a root that is not recursive, nor of
 * writers on other machines: the next scan finds those.
 *
 * The callbacks may not call anything of this module but watch_root_of.
 *
 * What is passed on: regular files (symbolic links, FIFOs, devices and sockets never) with one
 * of the extensions, whose name has no leading dot, does not contain "_incomplete", and does
 * not end in .tmp, .part, .partial or ~.  Names are bytes; only '/' and NUL cannot be in them.
 */
#ifndef WATCHERD_FILES_WATCH_H
#define WATCHERD_FILES_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct settle_rule;
struct watch; /* defined in watch.c */

enum watch_how {
    WATCH_CLOSED,  /* a writer of this machine closed it */
    WATCH_RENAMED, /* it was renamed (or linked by rename) to this name */
    WATCH_SCANNED, /* a scan found it there */
};

typedef void watch_dirty_fn(void *arg, const char *path, enum watch_how how);
/* One sentence for the operator, said once per event: overflow, polling instead of
 * watching, a root gone or back. */
typedef void watch_notice_fn(void *arg, const char *text);

struct watch_opts {
    /* ".hdf5 .uvh5", separated by spaces or commas; NULL or "": all files */
    const char *extensions;
    double rescan_s; /* full scan of every root this often, 0 means 60 */
    /* the same for what cannot be watched, 0 means 5, or rescan_s if shorter */
    double poll_s;
    size_t max_watches; /* directories; 0 means 80 % of fs.inotify.max_user_watches */
    watch_dirty_fn *dirty;
    watch_notice_fn *notice; /* may be NULL */
    void *arg;               /* for both */
};

/* flags of watch_add_root */
enum { WATCH_RECURSIVE = 1, WATCH_POLL = 2 /* as if on a network file system */ };

/*
 * watch_new: make a watcher without roots.
 * Status: 0; -EINVAL without dirty; -ENOMEM.  A machine out of inotify instances is no failure:
 * everything is then polled (watch_fd is -1), and said.
 */
int watch_new(struct watch **out, const struct watch_opts *opts, struct err *e);
void watch_free(struct watch *w);

/* Readable when watch_read has something to do; -1 when everything is polled. */
int watch_fd(const struct watch *w);

/*
 * watch_read: pass on waiting events, at most a few buffers of 256 KiB.
 * Returns 1 when it stopped before the queue was empty, 0 when it is, negated errno.
 * Ask watch_next_scan_s again after it: an overflow makes a scan due at once.
 */
int watch_read(struct watch *w);

/*
 * watch_add_root: watch `path` (a directory; absolute is wise; a symbolic link to one is
 * followed; not inside or above another root) from now on, and scan it at the next
 * watch_tick.  A root that is not there yet is waited for.  Adding it again changes the flags.
 * Status: 0; -ENOTDIR; -ENAMETOOLONG.
 */
int watch_add_root(struct watch *w, const char *path, unsigned flags, struct err *e);
/* Status: 0; -ENOENT when it is not a root. */
int watch_remove_root(struct watch *w, const char *path, struct err *e);

/*
 * watch_scan: scan one root, or all of them (NULL), now: attach or re-attach watches, then call
 * dirty for every file.
 * Status: 0; the errno of the (last) root that could not be opened; it stays a root.
 */
int watch_scan(struct watch *w, const char *root, struct err *e);

/* Run the scans that are due.  Returns how many roots were scanned in full (then call
                                settle_recheck). */
int watch_tick(struct watch *w, double now);

/* Seconds until watch_tick has something to do; 0: at once; < 0: never (no roots). */
double watch_next_scan_s(const struct watch *w, double now);

struct watch_stats {
    uint64_t events, overflows, scans;
    size_t roots, missing_roots, watches;
    /* directories polled because they cannot be (or not only be) watched */
    size_t polled;
    double scan_took_s; /* the last full scan */
};
void watch_stats(const struct watch *w, struct watch_stats *out);

/* Would this name (no slashes) be passed on?  For tools that list directories themselves. */
bool watch_wants(const struct watch *w, const char *name);

/* The root that a path lies in or is, as it was added; NULL: none.  Callbacks may call this
   one. */
const char *watch_root_of(const struct watch *w, const char *path);

/* The roots and names of `w` as settle_by_directory wants them; `w` is borrowed. */
struct settle_rule watch_rule(const struct watch *w);

struct watch_root_info {
    const char *path;
    unsigned flags;
    bool attached;          /* it was there at the last scan */
    size_t watched, polled; /* directories */
    double scanned;         /* caller's clock at the last full scan; < 0: never */
};
/* Each root. */
typedef void watch_root_fn(void *arg, const struct watch_root_info *info);
void watch_each_root(const struct watch *w, watch_root_fn *cb, void *arg);

#endif
