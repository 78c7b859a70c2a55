/*
 * settle.h: from "something happened to this path" to "this file is whole".
 *
 * A file is settled when it has been quiet for `quiet_s` by our own clock (no event, and
 * size, times and inode alike at two looks) and its content says that it is whole (probe.h).
 * A file renamed into place whose probe passes is settled at once.  One that is not whole
 * is asked again at doubling intervals up to 60 s, and reported once as overdue after
 * `max_wait_s`.  Settled and bad files are remembered by identity: seeing them again
 * is no news, seeing them changed is.
 *
 * Knows neither watcher nor loop: the caller brings paths and the time (any clock that never
 * steps, seconds), and asks when to come back.  All looks at the disk happen in
 * settle_dirty (one lstat) and settle_tick (one probe a due file).
 *
 *     double now = clock_boot_s();
 *     settle_dirty(s, path, SETTLE_CLOSED, now);       from watch's callback
 *     settle_tick(s, now, news, arg);                  then set a timer for settle_next_s
 */
#ifndef WATCHERD_FILES_SETTLE_H
#define WATCHERD_FILES_SETTLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/fileid.h"

struct settle; /* defined in settle.c */

struct settle_opts {
    double quiet_s;    /* [watch] stabilization_time_s, 2.0; 0 is allowed */
    double max_wait_s; /* [watch] max_wait_s, 1800; 0 means 1800 */
    /* a settled file seen by a scan is lstat-ed at most this often; 0 means 30 */
    double recheck_s;
    uint64_t min_bytes; /* smaller (but not empty) is bad */
    uint64_t max_bytes; /* larger is bad; 0: no limit */
};

/* How a path came to be looked at. */
enum settle_how {
    SETTLE_CLOSED,  /* a writer of this machine closed it */
    SETTLE_RENAMED, /* it was renamed to this name: its writer is through */
    SETTLE_SCANNED, /* a scan found it there */
};

enum settle_state { SETTLE_NEW, SETTLE_GROWING, SETTLE_SETTLED, SETTLE_BAD };

enum settle_what {
    SETTLE_IS_SETTLED, /* whole; `again` when it had been settled before with other content */
    SETTLE_IS_BAD, /* will not become whole by waiting; still looked at when it changes */
    SETTLE_IS_IGNORED, /* a symbolic link, which nobody follows; said once */
    SETTLE_IS_OVERDUE, /* still not whole after max_wait_s; said once, still waited for */
    SETTLE_IS_CHANGED, /* was settled, now differs: another SETTLED, BAD or GONE follows */
    SETTLE_IS_GONE,    /* was settled or bad, and is no longer there; forgotten */
};

struct settle_news {
    enum settle_what what;
    const char *path;   /* bytes as given; valid during the call */
    const char *reason; /* sentence for BAD and OVERDUE, else "" */
    struct file_id id;  /* what was settled (for CHANGED and GONE: what had been) */
    double waited_s;    /* since the first event of this content */
    bool again;
};
typedef void settle_news_fn(void *arg, const struct settle_news *news);

struct settle *settle_new(const struct settle_opts *opts);
void settle_free(struct settle *s);

/* Which directories settle as one, and which of their files count. */
struct settle_rule {
    /* The directory below which, directly, they lie; NULL: the path lies in none. */
    const char *(*root_of)(const void *arg, const char *path);
    bool (*wants)(const void *arg,
                  const char *name); /* a file's name, without slashes */
    const void *arg;
};

/*
 * settle_by_directory: before the first path: from now on what settles is each directory
 * directly below a root, with all files below it (dirs.h).  Told of files is only BAD and
 * OVERDUE; settle_why and settle_each_unsettled speak of directories as well, or only.
 * What `rule` points to is borrowed until settle_free.  A file in no directory settles without
 * news.
 *
 * When a directory is due it is walked: files that nobody told of (a writer has them open) or
 * that changed without an event are waited for, as is a casacore table that is being written
 * (probe_directory).  An empty file in a directory is whole when it is quiet.
 */
void settle_by_directory(struct settle *s, const struct settle_rule *rule);

/* Something may have happened to `path`.  O(1) and one lstat; never calls back. */
void settle_dirty(struct settle *s, const char *path, enum settle_how how, double now);

/*
 * Look again at everything known below `prefix` (NULL: everything), so that files removed or
 * rewritten without an event are noticed; spread over the following ticks.  Call
 * after each full scan.
 */
void settle_recheck(struct settle *s, const char *prefix, double now);

/* Forget everything below `prefix` without news (a root that is no longer watched). */
void settle_forget(struct settle *s, const char *prefix);

/*
 * settle_tick: look at files that are due, at most a few hundred, and tell the news.
 * The callback may call settle_dirty, nothing else of this module.
 */
void settle_tick(struct settle *s, double now, settle_news_fn *news, void *arg);

/* Seconds until settle_tick has something to do: 0 at once, < 0 never. */
double settle_next_s(const struct settle *s, double now);

struct settle_stats {
    size_t known, waiting, settled, bad; /* files; waiting = new or growing */
    size_t overdue;                      /* among the waiting */
    double oldest_wait_s;                /* of the waiting */
    /* within this all of them are settled or bad to which nothing happens; 0: no such */
    double decided_in_s;
    uint64_t probes;
};
void settle_stats(const struct settle *s, double now, struct settle_stats *out);

/* What is known of a path; -ENOENT. */
int settle_state(const struct settle *s, const char *path, enum settle_state *out);

/*
 * Why a path is not settled yet, in words, by looking at it now: "growing: 83 of 118 MB, last
 * change 4.1 s ago".  Returns the length as snprintf does.
 */
int settle_why(const struct settle *s, const char *path, char *buf, size_t size,
               double now);

/* Every file that is not settled: cb(arg, path, state, waited_s). */
typedef void settle_each_fn(void *arg, const char *path, enum settle_state state,
                            double waited_s);
void settle_each_unsettled(const struct settle *s, double now, settle_each_fn *cb,
                           void *arg);

#endif
