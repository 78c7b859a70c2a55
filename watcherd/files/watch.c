/*
 * watch.c: see watch.h.
 *
 * One inotify descriptor; a table of watched directories sorted by watch descriptor (the
 * kernel counts them up, so a new one goes to the end).  A scan walks a root by directory
 * descriptors: open, attach through /proc/self/fd (so that exactly the opened directory is
 * watched), then list; a file made in between is seen by one or the other.  inotify gives the
 * same watch descriptor for the same directory, so a scan also mends the paths of directories
 * that were renamed.  What a scan of a whole root has not met is no longer watched.
 */
#include "watcherd/files/watch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/dirsum.h"
#include "core/err.h"
#include "core/fstype.h"
#include "core/incoming.h"
#include "core/mem.h"
#include "watcherd/files/settle.h"

enum { BUFFER = 256 * 1024, READS = 4 };

/* IN_CREATE tells of directories, symbolic links, and files that get a name when they are
 * written already: link(2), also of an O_TMPFILE. */
static const uint32_t MASK = IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_DELETE_SELF |
                             IN_MOVE_SELF | IN_ONLYDIR | IN_EXCL_UNLINK;

struct root {
    char *path;
    unsigned flags;
    bool attached;     /* found at the last scan; dev and ino are its */
    bool missing_said; /* the operator knows that it is not there */
    bool due;          /* scan at the next tick, whatever the time */
    bool polled;       /* all of it */
    uint64_t dev, ino;
    double next_full, next_poll; /* caller's clock */
    double scanned;              /* the same, at the last full scan; < 0: never */
    char **poll;                 /* topmost directories that have to be polled */
    size_t npoll;
    size_t poll_said, unreadable, unreadable_said, ndeep; /* directories */
    bool deep_said;
};

struct dir {
    int wd;
    struct root *root;
    uint64_t visit; /* number of the scan that saw it last */
    char *path;
};

struct watch {
    struct watch_opts opts;
    struct incoming_names names;
    int fd;
    struct root **root;
    size_t nroot;
    struct dir **dir; /* by rising wd */
    size_t ndir, dir_room;
    uint64_t visit;
    uint64_t events, overflows, scans;
    double scan_took_s;
    char *buffer;
    char path[PATH_MAX]; /* of the directory or file in hand during a scan */
};

__attribute__((format(printf, 2, 3))) static void notice(const struct watch *w,
                                                         const char *fmt, ...)
{
    char text[PATH_MAX + 256];
    va_list ap;

    if (w->opts.notice == NULL)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    w->opts.notice(w->opts.arg, text);
}

/* ---- which names count ---- */

bool watch_wants(const struct watch *w, const char *name)
{
    return incoming_wants(&w->names, name);
}

/* ---- the table of watched directories ---- */

/* Place of the first directory with a watch descriptor >= wd. */
static size_t dir_place(const struct watch *w, int wd)
{
    size_t lo = 0, hi = w->ndir;

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;

        if (w->dir[mid]->wd < wd)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static struct dir *dir_find(const struct watch *w, int wd)
{
    size_t i = dir_place(w, wd);

    return i < w->ndir && w->dir[i]->wd == wd ? w->dir[i] : NULL;
}

static void dir_free(struct dir *d)
{
    free(d->path);
    free(d);
}

static struct dir *dir_add(struct watch *w, int wd)
{
    size_t i = dir_place(w, wd);
    struct dir *d = mem_calloc(1, sizeof *d);

    if (w->ndir == w->dir_room) {
        w->dir_room = w->dir_room == 0 ? 16 : 2 * w->dir_room;
        w->dir = mem_realloc(w->dir, w->dir_room * sizeof(struct dir *));
    }
    memmove(w->dir + i + 1, w->dir + i, (w->ndir - i) * sizeof(struct dir *));
    w->dir[i] = d;
    w->ndir++;
    d->wd = wd;
    return d;
}

static void dir_remove(struct watch *w, int wd)
{
    size_t i = dir_place(w, wd);

    if (i == w->ndir || w->dir[i]->wd != wd)
        return;
    dir_free(w->dir[i]);
    w->ndir--;
    memmove(w->dir + i, w->dir + i + 1, (w->ndir - i) * sizeof(struct dir *));
}

/* Stop watching the directories of a root that scan number `visit` has not seen (0: all). */
static void dir_sweep(struct watch *w, const struct root *r, uint64_t visit)
{
    size_t kept = 0;

    for (size_t i = 0; i < w->ndir; i++) {
        struct dir *d = w->dir[i];

        if (d->root == r && (visit == 0 || d->visit != visit)) {
            inotify_rm_watch(w->fd, d->wd);
            dir_free(d);
        } else {
            w->dir[kept++] = d;
        }
    }
    w->ndir = kept;
}

/* ---- scanning ---- */

static void poll_clear(char **list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(list[i]);
    free(list);
}

static void poll_add(struct root *r, const char *path)
{
    if (strcmp(path, r->path) == 0)
        r->polled = true;
    r->poll = mem_realloc(r->poll, (r->npoll + 1) * sizeof(char *));
    r->poll[r->npoll++] = mem_strdup(path);
}

enum attached { ATTACHED, NOT_ATTACHED, SEEN_BEFORE };

/* Watch the directory open at fd, whose path is w->path. */
static enum attached attach(struct watch *w, struct root *r, int fd)
{
    char proc[40];
    struct dir *d;
    int wd;

    if (w->fd == -1)
        return NOT_ATTACHED;
    snprintf(proc, sizeof proc, "/proc/self/fd/%d", fd);
    wd = inotify_add_watch(w->fd, proc, MASK);
    if (wd == -1)
        return NOT_ATTACHED;
    d = dir_find(w, wd);
    if (d == NULL && w->ndir >= w->opts.max_watches) {
        inotify_rm_watch(w->fd, wd);
        return NOT_ATTACHED;
    }
    if (d != NULL && d->visit == w->visit)
        return SEEN_BEFORE;
    if (d == NULL)
        d = dir_add(w, wd);
    if (d->path == NULL || strcmp(d->path, w->path) != 0) {
        free(d->path);
        d->path = mem_strdup(w->path);
    }
    d->root = r;
    d->visit = w->visit;
    return ATTACHED;
}

/* Append "/name" to w->path, which has n bytes.  The new length, 0 when it does not fit. */
static size_t path_push(struct watch *w, size_t n, const char *name)
{
    size_t m = strlen(name);

    if (n + 1 + m + 1 > sizeof w->path)
        return 0;
    if (n > 0 && w->path[n - 1] == '/')
        n--;
    w->path[n] = '/';
    memcpy(w->path + n + 1, name, m + 1);
    return n + 1 + m;
}

struct level { /* what a directory inherits from the one above it */
    int depth;
    uint64_t dev;
    bool polled;
};

static void scan_dir(struct watch *w, struct root *r, int fd, size_t len,
                     const struct level *above);

static unsigned char type_of(int dirfd, const struct dirent *de)
{
    struct stat st;

    if (de->d_type != DT_UNKNOWN)
        return de->d_type;
    if (fstatat(dirfd, de->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return DT_UNKNOWN;
    return S_ISREG(st.st_mode)   ? DT_REG
           : S_ISDIR(st.st_mode) ? DT_DIR
           : S_ISLNK(st.st_mode) ? DT_LNK
                                 : DT_UNKNOWN;
}

/* A symbolic link is nobody's file, but somebody has to hear of it: one that has a file's name,
 * or that leads to a directory where directories are looked into. */
static bool link_counts(const struct watch *w, const struct root *r, int dirfd,
                        const char *name)
{
    struct stat st;

    return watch_wants(w, name) ||
           ((r->flags & WATCH_RECURSIVE) && fstatat(dirfd, name, &st, 0) == 0 &&
            S_ISDIR(st.st_mode));
}

/* Said once for each root. */
static void say_deep(const struct watch *w, struct root *r)
{
    if (!r->deep_said)
        notice(w, "%s: lies deeper than %d levels and is not looked into", w->path,
               INCOMING_DEPTH);
    r->deep_said = true;
}

/* One entry of the directory open at dirfd, whose path is the first len bytes of w->path. */
static void scan_entry(struct watch *w, struct root *r, int dirfd, size_t len,
                       const struct dirent *de, const struct level *here)
{
    unsigned char type;
    size_t n;
    int fd;

    if (dirsum_unfinished(de->d_name))
        return;
    type = type_of(dirfd, de);
    if ((type != DT_REG || !watch_wants(w, de->d_name)) &&
        (type != DT_LNK || !link_counts(w, r, dirfd, de->d_name)) &&
        (type != DT_DIR || !(r->flags & WATCH_RECURSIVE)))
        return;
    n = path_push(w, len, de->d_name);
    if (n == 0) {
        r->unreadable++; /* its name is too long for any system call */
    } else if (type == DT_DIR && here->depth >= INCOMING_DEPTH) {
        if (r->ndeep++ == 0)
            say_deep(w, r);
    } else if (type != DT_DIR) {
        w->opts.dirty(w->opts.arg, w->path, WATCH_SCANNED);
    } else {
        fd = openat(dirfd, de->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd != -1)
            scan_dir(w, r, fd, n, here);
        else if (errno != ENOENT)
            r->unreadable++;
    }
    w->path[len] = '\0';
}

/* Attach and list the directory open at fd (which is closed), w->path its path of len bytes. */
static void scan_dir(struct watch *w, struct root *r, int fd, size_t len,
                     const struct level *above)
{
    struct level here = {.depth = above->depth + 1, .polled = above->polled};
    struct dirent *de;
    struct stat st;
    DIR *list = NULL;
    enum attached how;
    bool remote;

    if (fstat(fd, &st) != 0)
        goto out;
    here.dev = st.st_dev;
    how = attach(w, r, fd);
    if (how == SEEN_BEFORE)
        goto out;
    remote =
        (r->flags & WATCH_POLL) || (here.dev != above->dev && fstype_is_shared(fd));
    if (how == NOT_ATTACHED || remote) {
        if (!above->polled)
            poll_add(r, w->path);
        here.polled = true;
    }
    list = fdopendir(fd);
    if (list == NULL)
        goto out;
    while ((errno = 0, de = readdir(list)) != NULL)
        scan_entry(w, r, fd, len, de, &here);
    if (errno != 0)
        r->unreadable++;
out:
    if (list != NULL)
        closedir(list);
    else
        close(fd);
}

/* Scan from `path` downwards if it can be opened.  0 or a negated errno. */
static int scan_path(struct watch *w, struct root *r, const char *path, bool follow)
{
    static const struct level top = {.depth = 0, .dev = UINT64_MAX, .polled = false};
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | (follow ? 0 : O_NOFOLLOW));
    size_t n = strlen(path);

    if (fd == -1)
        return -errno;
    memmove(w->path, path, n + 1);
    scan_dir(w, r, fd, n, &top);
    return 0;
}

/* Tell once what a scan of a root has found out. */
static void report_scan(const struct watch *w, struct root *r)
{
    if (r->npoll > 0 && r->npoll != r->poll_said)
        notice(w,
               "%s: %zu director%s cannot be watched (network file system or watch "
               "limit) and %s polled every %g s, e.g. %s",
               r->path, r->npoll, r->npoll == 1 ? "y" : "ies",
               r->npoll == 1 ? "is" : "are", w->opts.poll_s, r->poll[0]);
    if (r->npoll == 0 && r->poll_said > 0)
        notice(w, "%s: all directories are watched again", r->path);
    r->poll_said = r->npoll;
    if (r->unreadable > 0 && r->unreadable != r->unreadable_said)
        notice(w, "%s: %zu directories cannot be read", r->path, r->unreadable);
    r->unreadable_said = r->unreadable;
}

static int root_lost(struct watch *w, struct root *r, int rc)
{
    if (r->attached)
        dir_sweep(w, r, 0);
    if (!r->missing_said)
        notice(w, "%s: cannot be opened (%s); waiting for it", r->path, err_text(rc));
    r->missing_said = true;
    r->attached = false;
    return rc;
}

/* Notice whether a root is there, new, or replaced by another directory or mount. */
static int root_identify(struct watch *w, struct root *r)
{
    struct stat st;

    if (stat(r->path, &st) != 0)
        return root_lost(w, r, -errno);
    if (!S_ISDIR(st.st_mode))
        return root_lost(w, r, -ENOTDIR);
    if (r->attached && (r->dev != st.st_dev || r->ino != st.st_ino)) {
        dir_sweep(w, r, 0);
        notice(w,
               "%s: is another directory now (replaced or mounted over); watching that",
               r->path);
    } else if (r->missing_said) {
        notice(w, "%s: is there again", r->path);
    }
    r->missing_said = false;
    r->attached = true;
    r->dev = st.st_dev;
    r->ino = st.st_ino;
    return 0;
}

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int scan_root(struct watch *w, struct root *r)
{
    double start = seconds();
    uint64_t visit = ++w->visit;
    int rc;

    r->due = false;
    rc = root_identify(w, r);
    if (rc != 0)
        return rc;
    poll_clear(r->poll, r->npoll);
    r->poll = NULL;
    r->npoll = r->unreadable = r->ndeep = 0;
    r->polled = false;
    rc = scan_path(w, r, r->path, true);
    if (rc != 0)
        return root_lost(w, r, rc);
    dir_sweep(w, r, visit);
    w->scans++;
    w->scan_took_s = seconds() - start;
    report_scan(w, r);
    return 0;
}

/* Scan only what cannot be watched. */
static void poll_root(struct watch *w, struct root *r)
{
    char **list = r->poll;
    size_t n = r->npoll;

    r->poll = NULL;
    r->npoll = 0;
    w->visit++;
    for (size_t i = 0; i < n; i++)
        if (scan_path(w, r, list[i], false) != 0)
            r->due = true; /* gone, or replaced: see what is there now */
    poll_clear(list, n);
}

/* ---- events ---- */

static void all_due(struct watch *w)
{
    for (size_t i = 0; i < w->nroot; i++)
        w->root[i]->due = true;
}

static void overflowed(struct watch *w)
{
    w->overflows++;
    all_due(w);
    notice(w,
           "the inotify queue overflowed (fs.inotify.max_queued_events): rescanning");
}

/* A file was closed, renamed here, or linked here when it had content. */
static void file_event(struct watch *w, const struct root *r,
                       const struct inotify_event *ev)
{
    struct stat st;

    if (lstat(w->path, &st) != 0 ||
        (S_ISREG(st.st_mode)
             ? !watch_wants(w, ev->name)
             : !S_ISLNK(st.st_mode) || !link_counts(w, r, AT_FDCWD, w->path)))
        return;
    if (ev->mask & IN_MOVED_TO)
        w->opts.dirty(w->opts.arg, w->path, WATCH_RENAMED);
    else if ((ev->mask & IN_CLOSE_WRITE) || st.st_nlink > 1)
        w->opts.dirty(w->opts.arg, w->path, WATCH_CLOSED);
    else if (st.st_size >
             0) /* linked, or its writer is quicker than we: a look will tell */
        w->opts.dirty(w->opts.arg, w->path, WATCH_SCANNED);
}

static void event(struct watch *w, const struct inotify_event *ev)
{
    struct dir *d = dir_find(w, ev->wd);
    size_t n;

    w->events++;
    if (ev->mask & IN_Q_OVERFLOW) {
        overflowed(w);
        return;
    }
    if (d == NULL)
        return; /* of a watch that we have just removed */
    if (ev->mask & (IN_MOVE_SELF | IN_UNMOUNT))
        d->root->due = true;
    if ((ev->mask & (IN_DELETE_SELF | IN_IGNORED)) &&
        strcmp(d->path, d->root->path) == 0)
        d->root->due = true;
    if (ev->mask & IN_IGNORED)
        dir_remove(w, ev->wd);
    if (ev->len == 0 || (ev->mask & (IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE)) == 0)
        return;
    if (dirsum_unfinished(ev->name) ||
        (!(d->root->flags & WATCH_RECURSIVE) &&
         ((ev->mask & IN_ISDIR) || !watch_wants(w, ev->name))))
        return;
    n = strlen(d->path);
    memcpy(w->path, d->path, n + 1);
    if (path_push(w, n, ev->name) == 0)
        return;
    if (ev->mask & IN_ISDIR) {
        w->visit++;
        scan_path(w, d->root, w->path, false);
    } else {
        file_event(w, d->root, ev);
    }
}

int watch_read(struct watch *w)
{
    if (w->fd == -1)
        return 0;
    for (int k = 0; k < READS; k++) {
        ssize_t n = read(w->fd, w->buffer, BUFFER);

        if (n == -1)
            return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        for (ssize_t at = 0; at < n;) {
            const struct inotify_event *ev =
                (const struct inotify_event *)(const void *)(w->buffer + at);

            event(w, ev);
            at += (ssize_t)(sizeof *ev + ev->len);
        }
    }
    return 1;
}

/* ---- the watcher ---- */

/* 80 % of what this user may have, so that other programs get some, too. */
static size_t default_watches(void)
{
    FILE *f = fopen("/proc/sys/fs/inotify/max_user_watches", "re");
    unsigned long n = 8192; /* the kernel's old default */

    if (f != NULL) {
        if (fscanf(f, "%lu", &n) != 1)
            n = 8192;
        fclose(f);
    }
    return n / 10 * 8;
}

int watch_new(struct watch **out, const struct watch_opts *opts, struct err *e)
{
    struct watch *w;
    int rc;

    *out = NULL;
    if (opts->dirty == NULL)
        return err_set(e, -EINVAL, "a watcher needs somebody to tell");
    w = mem_calloc(1, sizeof *w);
    w->opts = *opts;
    w->opts.extensions = NULL;
    rc = incoming_names(&w->names, opts->extensions, e);
    if (rc != 0) {
        free(w);
        return rc;
    }
    if (w->opts.rescan_s <= 0)
        w->opts.rescan_s = 60;
    if (w->opts.poll_s <= 0)
        w->opts.poll_s = fmin(5, w->opts.rescan_s);
    if (w->opts.max_watches == 0)
        w->opts.max_watches = default_watches();
    w->buffer = mem_malloc(BUFFER);
    w->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (w->fd == -1)
        notice(w, "no inotify (%s): every directory is polled every %g s",
               strerror(errno), w->opts.poll_s);
    *out = w;
    return 0;
}

static void root_free(struct root *r)
{
    poll_clear(r->poll, r->npoll);
    free(r->path);
    free(r);
}

void watch_free(struct watch *w)
{
    if (w == NULL)
        return;
    if (w->fd != -1)
        close(w->fd);
    for (size_t i = 0; i < w->ndir; i++)
        dir_free(w->dir[i]);
    for (size_t i = 0; i < w->nroot; i++)
        root_free(w->root[i]);
    free(w->dir);
    free(w->root);
    free(w->buffer);
    free(w);
}

int watch_fd(const struct watch *w)
{
    return w->fd;
}

/* Without slashes at the end, except for "/" itself. */
static size_t trimmed(const char *path)
{
    size_t n = strlen(path);

    while (n > 1 && path[n - 1] == '/')
        n--;
    return n;
}

static size_t root_place(const struct watch *w, const char *path)
{
    size_t n = trimmed(path), i;

    for (i = 0; i < w->nroot; i++)
        if (strlen(w->root[i]->path) == n && memcmp(w->root[i]->path, path, n) == 0)
            break;
    return i;
}

int watch_add_root(struct watch *w, const char *path, unsigned flags, struct err *e)
{
    size_t i = root_place(w, path);
    struct stat st;

    if (path[0] == '\0' || strlen(path) >= PATH_MAX - 2)
        return err_set(e, -ENAMETOOLONG, "cannot watch a directory with %s name",
                       path[0] == '\0' ? "no" : "so long a");
    if (stat(path, &st) == 0 && !S_ISDIR(st.st_mode))
        return err_set(e, -ENOTDIR, "cannot watch %s: not a directory", path);
    if (i == w->nroot) {
        w->root = mem_realloc(w->root, (w->nroot + 1) * sizeof(struct root *));
        w->root[i] = mem_calloc(1, sizeof *w->root[i]);
        w->root[i]->path = mem_strndup(path, trimmed(path));
        w->root[i]->scanned = -1;
        w->nroot++;
    } else if (w->root[i]->flags != flags) {
        dir_sweep(w, w->root[i], 0); /* other masks, other depth */
    }
    w->root[i]->flags = flags;
    w->root[i]->due = true;
    return 0;
}

int watch_remove_root(struct watch *w, const char *path, struct err *e)
{
    size_t i = root_place(w, path);

    if (i == w->nroot)
        return err_set(e, -ENOENT, "%s is not watched", path);
    dir_sweep(w, w->root[i], 0);
    root_free(w->root[i]);
    w->root[i] = w->root[--w->nroot];
    all_due(w); /* another root may share directories with it */
    return 0;
}

int watch_scan(struct watch *w, const char *root, struct err *e)
{
    int rc, worst = 0;

    if (root != NULL && root_place(w, root) == w->nroot)
        return err_set(e, -ENOENT, "%s is not watched", root);
    for (size_t i = 0; i < w->nroot; i++) {
        if (root != NULL && i != root_place(w, root))
            continue;
        rc = scan_root(w, w->root[i]);
        if (rc != 0)
            worst =
                err_set(e, rc, "cannot scan %s: %s", w->root[i]->path, err_text(rc));
    }
    return worst;
}

int watch_tick(struct watch *w, double now)
{
    int scanned = 0;

    for (size_t i = 0; i < w->nroot; i++) {
        struct root *r = w->root[i];

        if (r->due || now >= r->next_full) {
            if (scan_root(w, r) == 0) {
                scanned++;
                r->scanned = now;
            }
            r->next_full =
                now + (r->polled || !r->attached ? w->opts.poll_s : w->opts.rescan_s);
            r->next_poll = now + w->opts.poll_s;
        } else if (r->npoll > 0 && now >= r->next_poll) {
            poll_root(w, r);
            r->next_poll = now + w->opts.poll_s;
        }
    }
    return scanned;
}

double watch_next_scan_s(const struct watch *w, double now)
{
    double next = -1;

    for (size_t i = 0; i < w->nroot; i++) {
        const struct root *r = w->root[i];
        double in = r->next_full - now;

        if (r->npoll > 0 && r->next_poll - now < in)
            in = r->next_poll - now;
        if (r->due || in < 0)
            return 0;
        if (next < 0 || in < next)
            next = in;
    }
    return next;
}

void watch_stats(const struct watch *w, struct watch_stats *out)
{
    memset(out, 0, sizeof *out);
    out->events = w->events;
    out->overflows = w->overflows;
    out->scans = w->scans;
    out->roots = w->nroot;
    out->watches = w->ndir;
    out->scan_took_s = w->scan_took_s;
    for (size_t i = 0; i < w->nroot; i++) {
        out->missing_roots += !w->root[i]->attached;
        out->polled += w->root[i]->npoll;
    }
}

const char *watch_root_of(const struct watch *w, const char *path)
{
    const char *longest = NULL;
    size_t most = 0;

    for (size_t i = 0; i < w->nroot; i++) {
        const char *root = w->root[i]->path;
        size_t n = strlen(root);

        if (n >= most && strncmp(path, root, n) == 0 &&
            (path[n] == '/' || path[n] == '\0' || (n > 0 && root[n - 1] == '/'))) {
            longest = root;
            most = n;
        }
    }
    return longest;
}

static const char *rule_root_of(const void *arg, const char *path)
{
    return watch_root_of(arg, path);
}

static bool rule_wants(const void *arg, const char *name)
{
    return watch_wants(arg, name);
}

struct settle_rule watch_rule(const struct watch *w)
{
    return (struct settle_rule){rule_root_of, rule_wants, w};
}

void watch_each_root(const struct watch *w, watch_root_fn *cb, void *arg)
{
    for (size_t i = 0; i < w->nroot; i++) {
        const struct root *r = w->root[i];
        struct watch_root_info info = {.path = r->path,
                                       .flags = r->flags,
                                       .attached = r->attached,
                                       .polled = r->npoll,
                                       .scanned = r->scanned};

        for (size_t k = 0; k < w->ndir; k++)
            info.watched += w->dir[k]->root == r;
        cb(arg, &info);
    }
}
