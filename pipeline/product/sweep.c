/*
 * sweep.c: what is left over.  First everything is found and judged, without holding anything;
 * then, group by group, what may go is judged again under the gate, and removed.
 */
#include "pipeline/product/sweep.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/conf.h"
#include "core/dirlist.h"
#include "core/err.h"
#include "core/incoming.h"
#include "core/mem.h"
#include "core/path.h"
#include "pipeline/pipeline.h"
#include "pipeline/product/product.h"

enum { MOST_TREES = 4, MOST_KEPT = 64, DEPTH_MAX = 32 };

static const char removing[] = ".removing-";

struct tree {
    char path[PATH_MAX];
    int fd;
    struct stat st;
    bool scratch;
};

/* An item and how to find it again. */
struct found {
    struct sweep_item item; /* the first member: what is said */
    const struct tree *tree;
    const char *below; /* item.path below the tree */
    bool leftover;     /* a removal that was interrupted */
    bool fixed;        /* it stays, whatever its age */
};

struct sweep {
    const struct sweep_opts *opts;
    struct tree tree[MOST_TREES];
    size_t ntree;
    struct stat kept[MOST_KEPT]; /* directories of the settings */
    size_t nkept, nabove;        /* nothing is swept below the first nabove */
    char kept_path[MOST_KEPT][PATH_MAX];
    struct found *item; /* [n] */
    size_t n, capacity;
    double now; /* Unix s */
    struct
    { /* the product that was looked at last: a group may have many Measurement Sets */
        char group[NAME_MAX + 1];
        bool held;
        int rc;
        struct err e;
    } product;
};

static const struct {
    enum sweep_kind kind;
    const char *name;
} kinds[] = {{SWEEP_MS, "ms"}, {SWEEP_SCRATCH, "scratch"}, {SWEEP_LOGS, "logs"}};

const char *sweep_kind_name(enum sweep_kind kind)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i].kind == kind)
            return kinds[i].name;
    return "?";
}

static bool same_dir(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static bool has_tail(const char *name, const char *tail)
{
    size_t n = strlen(name), k = strlen(tail);

    return n > k && strcmp(name + n - k, tail) == 0;
}

static bool is_ms(const char *name)
{
    return name[0] != '.' && has_tail(name, ".ms");
}

static bool is_leftover(const char *name, enum sweep_kind kind)
{
    const char *word = sweep_kind_name(kind);
    size_t n = sizeof removing - 1;

    return strncmp(name, removing, n) == 0 &&
           strncmp(name + n, word, strlen(word)) == 0 && name[n + strlen(word)] == '-';
}

static bool is_kept(const struct sweep *s, const struct stat *st)
{
    for (size_t i = 0; i < s->nkept; i++)
        if (same_dir(&s->kept[i], st))
            return true;
    return false;
}

/* ---- weighing ---- */

struct weight {
    uint64_t bytes;
    double newest; /* Unix s */
    size_t nms;    /* Measurement Sets in it, itself not counted */
    bool mounted;  /* another file system in it */
    bool kept;     /* a directory of the settings in it */
};

static void weigh_one(struct weight *w, const struct stat *st)
{
    double mtime = (double)st->st_mtim.tv_sec + 1e-9 * (double)st->st_mtim.tv_nsec;

    if (S_ISDIR(st->st_mode) || st->st_nlink == 1)
        w->bytes += (uint64_t)st->st_blocks * 512;
    if (mtime > w->newest)
        w->newest = mtime;
}

/* 0 or a negated errno.  in_ms: what is inside a Measurement Set is not counted as another. */
static int weigh(const struct sweep *s, int at, const char *name, dev_t dev, bool in_ms,
                 int depth, struct weight *w)
{
    struct dirlist list = {0};
    struct stat st;
    int fd, rc = 0;

    if (fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return -errno;
    w->mounted |= st.st_dev != dev;
    if (w->mounted)
        return 0;
    weigh_one(w, &st);
    if (!S_ISDIR(st.st_mode))
        return 0;
    w->kept |= is_kept(s, &st);
    if (depth > DEPTH_MAX)
        return -ELOOP;
    fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd == -1)
        return -errno;
    rc = dirlist_read(&list, fd, name, NULL);
    for (size_t i = 0; i < list.n && rc == 0; i++) {
        bool ms = !in_ms && is_ms(list.item[i].name);

        w->nms += ms;
        rc = weigh(s, fd, list.item[i].name, dev, in_ms || ms, depth + 1, w);
        if (rc == -ENOENT) /* it has just gone */
            rc = 0;
    }
    dirlist_clear(&list);
    close(fd);
    return rc;
}

/* ---- finding ---- */

static struct found *add(struct sweep *s, enum sweep_kind kind, const struct tree *tree,
                         const char *below, const char *group)
{
    struct found *f;
    size_t n = strlen(tree->path);

    if (s->n == s->capacity) {
        s->capacity = s->capacity > 0 ? 2 * s->capacity : 64;
        s->item = mem_realloc(s->item, s->capacity * sizeof *s->item);
    }
    f = &s->item[s->n++];
    memset(f, 0, sizeof *f);
    f->tree = tree;
    f->item.kind = kind;
    f->item.group = mem_strdup(group);
    f->item.path = mem_malloc(n + strlen(below) + 2);
    stpcpy(stpcpy(stpcpy(f->item.path, tree->path), "/"), below);
    f->below = f->item.path + n + 1;
    return f;
}

/* It stays: say why. */
__attribute__((format(printf, 2, 3))) static void stays(struct found *f,
                                                        const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(f->item.why, sizeof f->item.why, fmt, ap);
    va_end(ap);
    f->item.go = false;
}

/* It stays, whatever else is found out. */
static void stay_fixed(struct found *f, const char *why)
{
    stays(f, "%s", why);
    f->fixed = true;
}

static bool is_product(const struct sweep *s, const char *name)
{
    char kind[PATH_MAX], path[PATH_MAX];
    const struct pipeline *p;

    if (path_component(name, "a product", NULL) != 0)
        return false;
    for (size_t i = 0; (p = pipeline_at(i)) != NULL; i++)
        if (p->folder != NULL &&
            path_join(kind, sizeof kind, s->opts->conf->paths.products, p->folder,
                      NULL) == 0 &&
            path_join(path, sizeof path, kind, name, NULL) == 0 &&
            access(path, F_OK) == 0)
            return true;
    return false;
}

/* The group whose name the Measurement Set `below` a tree bears; "" when there is none. */
static void group_of(const struct sweep *s, const struct tree *tree, const char *below,
                     char group[NAME_MAX + 1])
{
    const char *slash = strchr(below, '/'), *base = path_base(below);
    size_t n = slash != NULL ? (size_t)(slash - below) : 0;

    snprintf(group, NAME_MAX + 1, "%.*s", (int)n, below);
    if (n > 0 && (tree->scratch || is_product(s, group)))
        return;
    n = strlen(base) - strlen(".ms");
    snprintf(group, NAME_MAX + 1, "%.*s", (int)n, base);
    while (!is_product(s, group)) {
        while (n > 0 && strchr("_.- ", base[n - 1]) == NULL)
            n--;
        group[n > 0 ? --n : 0] = '\0';
        if (n == 0)
            return;
    }
}

/* lstat of an entry, and a descriptor when it is a directory that may be entered. */
static int enter(const struct sweep *s, const struct tree *tree, int fd,
                 const char *name, struct stat *st)
{
    memset(st, 0, sizeof *st);
    if (fstatat(fd, name, st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISDIR(st->st_mode) ||
        st->st_dev != tree->st.st_dev || is_kept(s, st))
        return -1;
    for (size_t i = 0; i < s->ntree; i++)
        if (same_dir(&s->tree[i].st, st)) /* it is walked by itself */
            return -1;
    return openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Every Measurement Set, and what is left of one, in the directory `below` the tree. */
static void find_ms(struct sweep *s, const struct tree *tree, int fd, const char *below,
                    int depth)
{
    struct dirlist list = {0};

    if (depth > DEPTH_MAX || dirlist_read(&list, fd, tree->path, NULL) != 0)
        return;
    dirlist_sort(&list);
    for (size_t i = 0; i < list.n; i++) {
        const char *name = list.item[i].name;
        char path[PATH_MAX], group[NAME_MAX + 1];
        bool leftover = is_leftover(name, SWEEP_MS);
        struct found *f;
        struct stat st;
        int sub;

        if ((name[0] == '.' && !leftover) ||
            (size_t)snprintf(path, sizeof path, "%s%s%s", below, *below ? "/" : "",
                             name) >= sizeof path)
            continue;
        sub = enter(s, tree, fd, name, &st);
        if (leftover || is_ms(name)) {
            group_of(s, tree, path, group);
            if (sub == -1 && !S_ISLNK(st.st_mode) && !S_ISDIR(st.st_mode))
                continue; /* a file of that name */
            f = add(s, SWEEP_MS, tree, path, group);
            f->leftover = leftover;
            if (sub == -1)
                stay_fixed(f, S_ISLNK(st.st_mode) ? "it is a symbolic link"
                                                  : "it is not ours to enter");
        } else if (sub != -1) {
            find_ms(s, tree, sub, path, depth + 1);
        }
        if (sub != -1)
            close(sub);
    }
    dirlist_clear(&list);
}

static bool is_number(const char *text)
{
    size_t n = strspn(text, "0123456789");

    return n > 0 && n < 20 && text[n] == '\0';
}

/* The generations of one group. */
static void find_generations(struct sweep *s, const struct tree *tree, int fd,
                             const char *group)
{
    struct dirlist list = {0};

    if (dirlist_read(&list, fd, group, NULL) != 0)
        return;
    dirlist_sort(&list);
    if (list.n == 0)
        add(s, SWEEP_SCRATCH, tree, group, group);
    for (size_t i = 0; i < list.n; i++) {
        const char *name = list.item[i].name;
        char path[2 * NAME_MAX + 2];
        struct found *f;
        struct stat st;
        int sub;

        if (is_ms(name) || is_leftover(name, SWEEP_MS))
            continue;
        snprintf(path, sizeof path, "%s/%s", group, name);
        sub = enter(s, tree, fd, name, &st);
        f = add(s, SWEEP_SCRATCH, tree, path, group);
        f->leftover = is_leftover(name, SWEEP_SCRATCH);
        if (sub == -1 || (!f->leftover && !is_number(name)))
            stay_fixed(f, "it is not the directory of a generation");
        if (sub != -1)
            close(sub);
    }
    dirlist_clear(&list);
}

static void find_scratch(struct sweep *s, const struct tree *tree)
{
    struct dirlist list = {0};

    if (dirlist_read(&list, tree->fd, tree->path, NULL) != 0)
        return;
    dirlist_sort(&list);
    for (size_t i = 0; i < list.n; i++) {
        const char *name = list.item[i].name;
        bool leftover = is_leftover(name, SWEEP_SCRATCH);
        struct stat st;
        int sub;

        if ((name[0] == '.' && !leftover) || is_ms(name))
            continue;
        sub = enter(s, tree, tree->fd, name, &st);
        if (sub == -1)
            stay_fixed(add(s, SWEEP_SCRATCH, tree, name, ""),
                       "it is not a group's directory");
        else if (leftover)
            add(s, SWEEP_SCRATCH, tree, name, "")->leftover = true;
        else
            find_generations(s, tree, sub, name);
        if (sub != -1)
            close(sub);
    }
    dirlist_clear(&list);
}

static void find_logs(struct sweep *s, const struct tree *tree)
{
    struct dirlist list = {0};

    if (dirlist_read(&list, tree->fd, tree->path, NULL) != 0)
        return;
    dirlist_sort(&list);
    for (size_t i = 0; i < list.n; i++)
        if (has_tail(list.item[i].name, ".log"))
            add(s, SWEEP_LOGS, tree, list.item[i].name, "");
    dirlist_clear(&list);
}

/* ---- judging ---- */

static double age_limit_s(const struct sweep *s, enum sweep_kind kind)
{
    const struct conf *conf = s->opts->conf;
    double days = kind == SWEEP_MS        ? conf->clean.ms_age_d
                  : kind == SWEEP_SCRATCH ? conf->clean.scratch_age_d
                                          : conf->clean.log_age_d;

    return s->opts->older_s >= 0 ? s->opts->older_s : days * 86400;
}

/* "7 d", "12 h", "90 s" */
static void say_age(char out[32], double s)
{
    if (s >= 86400)
        snprintf(out, 32, "%.4g d", s / 86400);
    else if (s >= 3600)
        snprintf(out, 32, "%.4g h", s / 3600);
    else
        snprintf(out, 32, "%.4g s", s);
}

/* Whether the product of this group has every file, byte for byte: status as
 * product_current. */
static int product_whole(const struct sweep *s, const char *group, struct err *e)
{
    char dir[PATH_MAX];
    const struct pipeline *p;
    json_t *manifest = NULL;
    int rc = -ENOENT;

    for (size_t i = 0; rc == -ENOENT && (p = pipeline_at(i)) != NULL; i++) {
        if (p->folder == NULL)
            continue;
        rc = path_join(dir, sizeof dir, s->opts->conf->paths.products, p->folder, e);
        if (rc == 0)
            rc = product_current(&manifest, NULL, dir, group, 1, e);
    }
    if (rc == 0 && json_array_size(json_object_get(manifest, "files")) == 0)
        rc = err_set(e, ERR_FORMAT, "the product of %s has no files", group);
    json_decref(manifest);
    return rc;
}

static void judge_ms(struct sweep *s, struct found *f, bool held)
{
    const char *group = f->item.group;

    if (group[0] == '\0') {
        stays(f, "no published product bears its name");
        return;
    }
    if (strcmp(s->product.group, group) != 0 || s->product.held != held) {
        snprintf(s->product.group, sizeof s->product.group, "%s", group);
        s->product.held = held;
        s->product.rc = product_whole(s, group, &s->product.e);
    }
    if (s->product.rc == -ENOENT)
        stays(f, "%.120s has no published product", group);
    else if (s->product.rc != 0)
        stays(f, "its product is not whole: %.200s", s->product.e.text);
    else
        snprintf(f->item.why, sizeof f->item.why, "the product of %.120s is whole",
                 group);
}

/* How many of the Measurement Sets in this directory go before it does? */
static size_t ms_that_go(const struct sweep *s, const struct found *dir)
{
    size_t n = strlen(dir->item.path), count = 0;

    for (size_t i = 0; i < s->n; i++) {
        const struct sweep_item *item = &s->item[i].item;

        count += item->kind == SWEEP_MS && item->go && !s->item[i].leftover &&
                 strncmp(item->path, dir->item.path, n) == 0 && item->path[n] == '/';
    }
    return count;
}

static void judge_log(struct found *f, int dirfd, const char *name)
{
    struct stat st;
    int fd;

    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode)) {
        stays(f, "it is not a regular file");
        return;
    }
    fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    /* A read lease is refused while somebody has it open for writing, or is not ours to ask. */
    if (fd != -1 && fcntl(fd, F_SETLEASE, F_RDLCK) != 0 && errno == EAGAIN)
        stays(f, "it is being written");
    if (fd != -1)
        close(fd); /* and the lease */
}

/* May it go?  dirfd holds it under the last part of its path.  Fills go, why, bytes, age_s. */
static void judge(struct sweep *s, struct found *f, int dirfd, bool held)
{
    const char *name = path_base(f->item.path);
    double limit_s = age_limit_s(s, f->item.kind);
    struct weight w = {.newest = 0};
    char text[32];
    int rc;

    if (f->fixed)
        return;
    rc = weigh(s, dirfd, name, f->tree->st.st_dev, f->item.kind == SWEEP_MS, 0, &w);
    f->item.bytes = w.bytes;
    f->item.age_s = s->now > w.newest ? s->now - w.newest : 0;
    f->item.go = true;
    f->item.why[0] = '\0';
    if (rc != 0)
        stays(f, "it cannot be read: %s", err_text(rc));
    else if (w.mounted)
        stays(f, "another file system is mounted in it");
    else if (w.kept)
        stays(f, "a directory of the settings lies in it");
    else if (f->leftover)
        snprintf(f->item.why, sizeof f->item.why, "its removal was interrupted");
    else if (f->item.age_s < limit_s) {
        say_age(text, limit_s);
        stays(f, "it is younger than %s", text);
    } else if (f->item.kind == SWEEP_MS)
        judge_ms(s, f, held);
    else if (f->item.kind == SWEEP_LOGS)
        judge_log(f, dirfd, name);
    else if (w.nms > (held ? 0 : ms_that_go(s, f)))
        stays(f, "a Measurement Set in it stays");
    else
        snprintf(f->item.why, sizeof f->item.why, "nobody works on it");
    if (f->item.go && f->item.kind == SWEEP_LOGS)
        snprintf(f->item.why, sizeof f->item.why, "its task is long over");
}

/* The directory that holds the item, through no link; a negated errno when it is not there. */
static int open_parent(const struct found *f)
{
    int fd = openat(f->tree->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), next;
    const char *p = f->below, *slash;
    char part[NAME_MAX + 1];

    while (fd != -1 && (slash = strchr(p, '/')) != NULL) {
        snprintf(part, sizeof part, "%.*s", (int)(slash - p), p);
        next = openat(fd, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (next == -1)
            next = -errno;
        close(fd);
        if (next < 0)
            return next;
        fd = next;
        p = slash + 1;
    }
    return fd != -1 ? fd : -errno;
}

static void judge_first(struct sweep *s, struct found *f)
{
    int fd = f->fixed ? -1 : open_parent(f);

    if (f->fixed)
        return;
    if (fd < 0) {
        stays(f, "it cannot be reached: %s", err_text(fd));
        return;
    }
    judge(s, f, fd, false);
    close(fd);
}

/* ---- removing ---- */

/* Remove a directory from its folder, whose modification time stays as it was. */
static int remove_dir(const struct found *f, int dirfd, const char *name, struct err *e)
{
    char aside[64];
    struct stat st, folder;
    bool timed = fstat(dirfd, &folder) == 0;
    int rc;

    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return err_set(e, -errno, "cannot stat %s: %s", name, strerror(errno));
    snprintf(aside, sizeof aside, "%s%s-%llx", removing, sweep_kind_name(f->item.kind),
             (unsigned long long)st.st_ino);
    if (!f->leftover && renameat(dirfd, name, dirfd, aside) != 0)
        return err_set(e, -errno, "cannot rename %s: %s", name, strerror(errno));
    rc = path_remove_at(dirfd, f->leftover ? name : aside, e);
    if (timed)
        futimens(dirfd, (struct timespec[2]){folder.st_atim, folder.st_mtim});
    return rc;
}

static void remove_item(struct sweep *s, struct found *f)
{
    const char *name = path_base(f->item.path);
    struct err e = {0};
    int fd = open_parent(f), rc = fd < 0 ? fd : 0;

    if (fd >= 0) {
        judge(s, f, fd, true); /* it may have changed */
        if (!f->item.go)
            goto out;
        if (f->item.kind == SWEEP_LOGS)
            rc = unlinkat(fd, name, 0) == 0 || errno == ENOENT ? 0 : -errno;
        else
            rc = remove_dir(f, fd, name, &e);
    }
    if (rc != 0) {
        stays(f, "it cannot be removed: %.200s", e.text[0] ? e.text : err_text(rc));
        f->item.failed = true;
    }
out:
    if (fd >= 0)
        close(fd);
}

/* Items of one group, [from, to): hold it, remove what may go, let go. */
static int sweep_group(struct sweep *s, size_t from, size_t to, struct err *e)
{
    const struct sweep_opts *opts = s->opts;
    const char *group = s->item[from].item.group;
    const struct tree *scratch = NULL;
    struct err why = {0};
    bool held = false, any = false;
    int rc = 0, lost = 0;

    for (size_t i = from; i < to; i++)
        any |= s->item[i].item.go;
    if (any && group[0] != '\0') {
        lost = opts->hold(opts->arg, group, &why);
        held = lost == 0;
    }
    for (size_t i = from; i < to && rc == 0; i++) {
        struct found *f = &s->item[i];

        if (opts->stop(opts->arg)) {
            rc = err_set(e, -EINTR, "told to stop");
            break;
        }
        if (f->item.go && held && !opts->dry_run && lost == 0)
            lost = opts->still(opts->arg, &why);
        if (f->item.go && lost != 0) {
            stays(f, "%.250s", why.text);
            f->item.failed = lost != -EBUSY && lost != -EUCLEAN;
        } else if (f->item.go && !opts->dry_run) {
            remove_item(s, f);
            if (f->item.go && f->item.kind == SWEEP_SCRATCH)
                scratch = f->tree;
        }
        opts->said(opts->arg, &f->item);
    }
    /* The folder of the group, when nothing is left in it. */
    if (scratch != NULL && lost == 0 && opts->still(opts->arg, NULL) == 0)
        unlinkat(scratch->fd, group, AT_REMOVEDIR);
    if (held)
        opts->drop(opts->arg);
    return rc;
}

/* Logs last; else by group, Measurement Sets before the scratch that they lie in. */
static int in_order(const void *a, const void *b)
{
    const struct sweep_item *x = a, *y = b;
    int by = (x->kind == SWEEP_LOGS) - (y->kind == SWEEP_LOGS);

    if (by == 0)
        by = strcmp(x->group, y->group);
    if (by == 0)
        by = (int)x->kind - (int)y->kind;
    return by != 0 ? by : strcmp(x->path, y->path);
}

/* ---- trees ---- */

/* A directory of the settings; those that are not there need no protection. */
static void keep(struct sweep *s, const char *path)
{
    if (s->nkept < MOST_KEPT && stat(path, &s->kept[s->nkept]) == 0 &&
        realpath(path, s->kept_path[s->nkept]) != NULL)
        s->nkept++;
}

static int keep_all(struct sweep *s, struct err *e)
{
    const struct conf *conf = s->opts->conf;
    struct incoming_roots roots;
    int rc = incoming_roots_look(&roots, conf, e);

    if (rc == 0 && roots.n + 3 > MOST_KEPT)
        rc = err_set(e, -E2BIG, "more than %d incoming directories", MOST_KEPT - 3);
    keep(s, conf->paths.products);
    for (size_t i = 0; i < roots.n; i++)
        keep(s, roots.item[i].path);
    incoming_roots_clear(&roots);
    s->nabove = s->nkept;
    keep(s, conf->paths.state);
    keep(s, conf->paths.locks);
    return rc;
}

/* Is it, or does it lie in, a folder of inputs or products? */
static bool below_kept(const struct sweep *s, const char *path)
{
    for (size_t i = 0; i < s->nabove; i++) {
        size_t n = strlen(s->kept_path[i]);

        if (strncmp(path, s->kept_path[i], n) == 0 &&
            (path[n] == '/' || path[n] == '\0' || n == 1))
            return true;
    }
    return false;
}

/* Open a tree.  1; 0 when it is not there, was opened before or is left alone; a negated errno
 * with a sentence. */
static int open_tree(struct sweep *s, enum sweep_kind kind, const char *path,
                     struct err *e)
{
    struct tree *t = &s->tree[s->ntree];
    char real[PATH_MAX];
    int rc = 0;

    snprintf(t->path, sizeof t->path, "%s", path);
    t->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (t->fd == -1 && errno == ENOENT)
        return 0;
    if (t->fd == -1 || fstat(t->fd, &t->st) != 0 || realpath(path, real) == NULL) {
        rc = err_set(e, -errno, "cannot open %s: %s", path, strerror(errno));
        goto out;
    }
    for (size_t i = 0; i < s->ntree; i++)
        if (same_dir(&s->tree[i].st, &t->st))
            goto out;
    if (below_kept(s, real)) {
        stay_fixed(add(s, kind, t, "", ""),
                   "it lies in a folder of inputs or products");
        goto out;
    }
    s->ntree++;
    return 1;
out:
    if (t->fd != -1)
        close(t->fd);
    return rc;
}

/* The same for `name` in `dir`. */
static int open_tree_in(struct sweep *s, enum sweep_kind kind, const char *dir,
                        const char *name, struct err *e)
{
    char path[PATH_MAX];
    int rc = path_join(path, sizeof path, dir, name, e);

    return rc != 0 ? rc : open_tree(s, kind, path, e);
}

static int find_all(struct sweep *s, struct err *e)
{
    const struct conf *conf = s->opts->conf;
    size_t nms;
    int rc;

    if ((rc = keep_all(s, e)) != 0)
        return rc;
    if ((rc = open_tree(s, SWEEP_SCRATCH, conf->paths.scratch, e)) < 0)
        return rc;
    s->tree[0].scratch = rc == 1;
    if ((s->opts->kinds & SWEEP_MS) != 0 &&
        ((rc = open_tree_in(s, SWEEP_MS, conf->paths.root, "ms", e)) < 0 ||
         (rc = open_tree_in(s, SWEEP_MS, conf->paths.root, "stage", e)) < 0))
        return rc;
    nms = s->ntree;
    if ((s->opts->kinds & SWEEP_LOGS) != 0 &&
        (rc = open_tree_in(s, SWEEP_LOGS, conf->paths.state, "logs", e)) < 0)
        return rc;
    for (size_t i = 0; i < nms && (s->opts->kinds & SWEEP_MS) != 0; i++)
        find_ms(s, &s->tree[i], s->tree[i].fd, "", 0);
    if ((s->opts->kinds & SWEEP_SCRATCH) != 0 && s->tree[0].scratch)
        find_scratch(s, &s->tree[0]);
    if (s->ntree > nms)
        find_logs(s, &s->tree[nms]);
    return 0;
}

int sweep_run(const struct sweep_opts *opts, struct err *e)
{
    struct sweep *s = mem_calloc(1, sizeof *s);
    int rc;

    s->opts = opts;
    s->now = clock_wall_s();
    rc = find_all(s, e);
    if (rc == 0 && s->n > 0)
        qsort(s->item, s->n, sizeof *s->item, in_order);
    for (size_t i = 0; rc == 0 && i < s->n && !opts->stop(opts->arg); i++)
        judge_first(s, &s->item[i]); /* Measurement Sets stand before their scratch */
    for (size_t i = 0, to; rc == 0 && i < s->n; i = to) {
        for (to = i + 1; to < s->n && in_order(&s->item[i], &s->item[to]) < 0 &&
                         strcmp(s->item[i].item.group, s->item[to].item.group) == 0 &&
                         (s->item[i].item.kind == SWEEP_LOGS) ==
                             (s->item[to].item.kind == SWEEP_LOGS);
             to++)
            ;
        rc = sweep_group(s, i, to, e);
    }
    for (size_t i = 0; i < s->n; i++) {
        free(s->item[i].item.path);
        free(s->item[i].item.group);
    }
    for (size_t i = 0; i < s->ntree; i++)
        close(s->tree[i].fd);
    free(s->item);
    free(s);
    return rc;
}
