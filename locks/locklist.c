/* locklist.c: see locklist.h. */
#include "locks/locklist.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/dirlist.h"
#include "core/dirstamp.h"
#include "core/err.h"
#include "core/mem.h"
#include "core/text.h"
#include "core/parallel.h"
#include "locks/claim.h"
#include "locks/idle.h"
#include "locks/legacy.h"

enum {
    DEPTH_MAX = 64,
    ENTRY_BUF = 16384,
    DIRS_A_THREAD = 500, /* make a thread worth its start */
};

/* One walk. */
struct walk {
    struct locklist *list;
    struct observer *obs;
    struct idle *idle;     /* NULL: nothing is passed over */
    uint64_t exact_dev;    /* file system whose directories can be noted; 0 none */
    char boot[OWNER_BOOT]; /* ours */
    const char *dir;       /* the tree, as the caller named it */
    char path[4096];       /* below the tree, "" for itself */
    size_t capacity;
    struct lockfs fs; /* of the groups below the directory fs_of; most have many */
    char fs_of[4096];
};

static struct lock_entry *add(struct walk *w, const char *name, const char *where)
{
    struct locklist *list = w->list;
    struct lock_entry *entry;
    char printable[4 * sizeof w->path];

    if (list->n == w->capacity) {
        w->capacity = w->capacity != 0 ? 2 * w->capacity : 64;
        list->item = mem_realloc(list->item, w->capacity * sizeof *list->item);
    }
    entry = &list->item[list->n++];
    memset(entry, 0, sizeof *entry);
    text_escape(printable, sizeof printable, name);
    entry->name = mem_strdup(printable);
    entry->where = mem_strdup(where);
    entry->age_s = -1;
    return entry;
}

static void drop_last(struct walk *w)
{
    struct lock_entry *entry = &w->list->item[--w->list->n];

    free(entry->name);
    free(entry->where);
}

static void unreadable(struct walk *w, int rc)
{
    if (w->list->unreadable++ == 0)
        snprintf(w->list->first_unreadable, sizeof w->list->first_unreadable,
                 "cannot read %.90s/%.30s: %s", w->dir, w->path, err_text(rc));
}

static double age_s(const struct record *rec, const char *boot)
{
    double taken;

    if (strcmp(rec->owner.boot, boot) == 0)
        return clock_boot_s() - rec->t_boot_s;
    if (strlen(rec->t_utc) < 19 || clock_parse(rec->t_utc, &taken) != 0)
        return -1;
    return clock_wall_s() - taken;
}

double locklist_age_s(const struct record *rec)
{
    struct owner me;

    return age_s(rec, owner_self(&me, NULL) == 0 ? me.boot : "");
}

/* The group's name: its directory's below the tree; "x" for "x/.watcherd". */
static void group_name(const struct walk *w, char *out, size_t size)
{
    static const char inner[] = "/.watcherd";
    size_t n = strlen(w->path), m = strlen(inner);

    if (n > m && strcmp(w->path + n - m, inner) == 0)
        n -= m;
    snprintf(out, size, "%.*s.lock", (int)n, n > 0 ? w->path : "");
    if (n == 0)
        snprintf(out, size, "..lock");
}

/* What lockfs_get says is the same for all groups of one parent: ask once. */
static const struct lockfs *known_fs(struct walk *w, int dirfd)
{
    const char *slash = strrchr(w->path, '/');
    size_t n = slash != NULL ? (size_t)(slash - w->path) + 1 : 0;

    if (w->fs.type[0] == '\0' || strlen(w->fs_of) != n ||
        memcmp(w->fs_of, w->path, n) != 0) {
        lockfs_get(dirfd, &w->fs);
        memcpy(w->fs_of, w->path, n);
        w->fs_of[n] = '\0';
    }
    return &w->fs;
}

/* Returned: nobody holds it, and nobody can without a new name in its directory. */
static bool add_group(struct walk *w, int dirfd, struct generations *gens)
{
    char name[sizeof w->path + 8], key[4 * sizeof w->path];
    struct lock_entry *entry;
    bool idle;
    int rc;

    generations_finish(gens, dirfd);
    if (gens->ended)
        return true;
    group_name(w, name, sizeof name);
    entry = add(w, name, w->path);
    snprintf(key, sizeof key, "%.*s", (int)(strlen(entry->name) - 5), entry->name);
    /* the key as claim_acquire has it */
    rc = observer_judge(w->obs, dirfd, key, known_fs(w, dirfd), gens, &entry->view);
    if (rc == -ENOENT || rc == -ESTALE) /* it changed meanwhile */
        rc = observer_look(w->obs, dirfd, key, &entry->view, NULL);
    if (rc != 0)
        unreadable(w, rc);
    idle = rc == 0 && entry->view.state == LOCK_FREE && entry->view.kept == 0;
    if (rc != 0 || entry->view.state == LOCK_FREE)
        drop_last(w);
    else if (entry->view.state != LOCK_OPAQUE)
        entry->age_s = age_s(&entry->view.rec, w->boot);
    return idle;
}

static void add_legacy(struct walk *w, int dirfd, const char *name)
{
    static const enum lock_state states[] = {[LEGACY_ACTIVE] = LOCK_HELD,
                                             [LEGACY_DEAD] = LOCK_DEAD,
                                             [LEGACY_OPAQUE] = LOCK_OPAQUE};
    char where[sizeof w->path + 256];
    struct legacy_view view;
    struct lock_entry *entry;

    if (legacy_look(dirfd, name, &view, NULL) != 0 || view.state == LEGACY_NONE)
        return;
    snprintf(where, sizeof where, "%s%s%s", w->path, w->path[0] != '\0' ? "/" : "",
             name);
    entry = add(w, where, where);
    entry->legacy = true;
    entry->age_s = view.age_s;
    entry->view.state = states[view.state];
    entry->view.unmoved_s = -1;
    entry->view.rec.owner.pid = view.pid;
    snprintf(entry->view.rec.owner.host, sizeof entry->view.rec.owner.host, "%s",
             view.host);
    snprintf(entry->view.why, sizeof entry->view.why, "%s", view.why);
}

static void walk_dir(struct walk *w, int dirfd, int depth);

static void walk_below(struct walk *w, int dirfd, const char *name, int depth)
{
    size_t n = strlen(w->path);
    int fd, m;

    m = snprintf(w->path + n, sizeof w->path - n, "%s%s", n > 0 ? "/" : "", name);
    if (m < 0 || (size_t)m >= sizeof w->path - n) {
        w->path[n] = '\0';
        unreadable(w, -ENAMETOOLONG);
        return;
    }
    if (idle_has(w->idle, dirfd, name)) {
        w->path[n] = '\0';
        return;
    }
    fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd == -1 && errno != ENOENT && errno != ENOTDIR && errno != ELOOP)
        unreadable(w, -errno);
    if (fd != -1) {
        walk_dir(w, fd, depth + 1);
        close(fd);
    }
    w->path[n] = '\0';
}

static bool ends_with_lock(const char *name)
{
    size_t n = strlen(name);

    return n > 5 && strcmp(name + n - 5, ".lock") == 0;
}

static void walk_dir(struct walk *w, int dirfd, int depth)
{
    char *buf = mem_malloc(ENTRY_BUF);
    struct generations gens = {0};
    bool leaf = true; /* nothing in it but generations */
    struct stat st = {0};
    ssize_t n;

    if (w->exact_dev != 0)
        fstat(dirfd, &st);

    while ((n = getdents64(dirfd, buf, ENTRY_BUF)) > 0)
        for (ssize_t at = 0; at < n;) {
            const struct dirent64 *d =
                (const struct dirent64 *)(const void *)(buf + at);
            const char *name = d->d_name;

            at += d->d_reclen;
            if (generations_note(&gens, name))
                continue;
            leaf =
                leaf && name[0] == '.' && (name[1] == '\0' || strcmp(name, "..") == 0);
            if (d->d_type != DT_DIR && ends_with_lock(name))
                add_legacy(w, dirfd, name);
            else if ((d->d_type == DT_DIR || d->d_type == DT_UNKNOWN) &&
                     depth < DEPTH_MAX && strcmp(name, ".") != 0 &&
                     strcmp(name, "..") != 0)
                walk_below(w, dirfd, name, depth);
        }
    if (n < 0)
        unreadable(w, -errno);
    free(buf);
    if (gens.g != 0 && add_group(w, dirfd, &gens) && n == 0 && leaf &&
        w->exact_dev != 0 && st.st_dev == w->exact_dev) {
        struct dirstamp stamp;

        dirstamp_of(&stamp, &st);
        idle_note(w->idle, &stamp);
    }
}

/* The directories just below the tree, in parts for several threads. */
struct parts {
    struct walk *all;
    const struct dirlist *names;
    int dirfd;
    pthread_mutex_t lock; /* of all's list */
};

/* Take over what `more` has found. */
static void append(struct walk *w, struct locklist *more)
{
    struct locklist *list = w->list;

    if (list->n == 0) {
        free(list->item);
        list->item = more->item;
    } else {
        list->item = mem_realloc(list->item, (list->n + more->n) * sizeof *list->item);
        if (more->n > 0)
            memcpy(list->item + list->n, more->item, more->n * sizeof *list->item);
        free(more->item);
    }
    list->n += more->n;
    w->capacity = list->n; /* at least */
    if (list->unreadable == 0)
        memcpy(list->first_unreadable, more->first_unreadable,
               sizeof list->first_unreadable);
    list->unreadable += more->unreadable;
}

static void walk_part(void *arg, size_t lo, size_t hi)
{
    struct parts *parts = arg;
    struct locklist found = {0};
    uint64_t gen;
    char kind;
    struct walk *w = mem_malloc(sizeof *w);

    if (gettid() != getpid())
        unshare(CLONE_FILES); /* descriptors of our own: no lock shared at each call */
    *w = *parts->all;
    w->list = &found;
    w->capacity = 0;
    for (size_t i = lo; i < hi; i++) {
        const struct dirlist_entry *d = &parts->names->item[i];

        if ((d->type == DT_DIR || d->type == DT_UNKNOWN) &&
            !generations_parse(d->name, &kind, &gen))
            walk_below(w, parts->dirfd, d->name, 0);
    }
    pthread_mutex_lock(&parts->lock);
    append(parts->all, &found);
    pthread_mutex_unlock(&parts->lock);
    free(w);
}

/* The tree itself, and all below. */
static int walk_tree(struct walk *w, int dirfd, struct err *e)
{
    struct dirlist names;
    struct parts parts = {w, &names, dirfd, PTHREAD_MUTEX_INITIALIZER};
    struct generations gens = {0};
    int rc = dirlist_read(&names, dirfd, w->dir, e);

    if (rc != 0)
        return rc;
    for (size_t i = 0; i < names.n; i++)
        if (!generations_note(&gens, names.item[i].name) &&
            names.item[i].type != DT_DIR && ends_with_lock(names.item[i].name))
            add_legacy(w, dirfd, names.item[i].name);
    parallel_run(names.n, DIRS_A_THREAD, walk_part, &parts);
    if (gens.g != 0)
        add_group(w, dirfd, &gens);
    dirlist_clear(&names);
    return 0;
}

static int by_name(const void *a, const void *b)
{
    const struct lock_entry *x = a, *y = b;
    int order = strcmp(x->name, y->name);

    return order != 0 ? order : (int)x->legacy - (int)y->legacy;
}

/* A claim's own companion file (claim_opts.foreign) stands right behind it: one lock, not
 * two. */
static void drop_companions(struct locklist *list)
{
    size_t kept = 0;

    for (size_t i = 0; i < list->n; i++) {
        struct lock_entry *entry = &list->item[i];
        const struct lock_entry *before = kept > 0 ? &list->item[kept - 1] : NULL;

        if (before != NULL && entry->legacy && !before->legacy &&
            strcmp(before->name, entry->name) == 0 &&
            before->view.rec.owner.pid == entry->view.rec.owner.pid) {
            free(entry->name);
            free(entry->where);
        } else {
            list->item[kept++] = *entry;
        }
    }
    list->n = kept;
}

int locklist_read(struct locklist *out, const char *dir, struct observer *obs,
                  struct idle *idle, struct err *e)
{
    struct walk w = {.list = out, .obs = obs, .idle = idle, .dir = dir};
    struct owner me;
    struct stat st;
    int fd, rc;

    memset(out, 0, sizeof *out);
    if (owner_self(&me, NULL) == 0)
        memcpy(w.boot, me.boot, sizeof w.boot);
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd == -1)
        return err_set(e, -errno, "cannot open %s: %s", dir, strerror(errno));
    if (idle != NULL && dirstamp_is_exact(fd) && fstat(fd, &st) == 0)
        w.exact_dev = st.st_dev;
    rc = walk_tree(&w, fd, e);
    close(fd);
    if (rc != 0)
        return rc;
    if (out->n > 0)
        qsort(out->item, out->n, sizeof *out->item, by_name);
    drop_companions(out);
    return 0;
}

void locklist_clear(struct locklist *list)
{
    for (size_t i = 0; i < list->n; i++) {
        free(list->item[i].name);
        free(list->item[i].where);
    }
    free(list->item);
    memset(list, 0, sizeof *list);
}

int locklist_clean(const char *dir, const struct lock_entry *entry,
                   const char *evidence, struct err *e)
{
    struct legacy_view view;
    int rc, below, fd;

    fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd == -1)
        return err_set(e, -errno, "cannot open %s: %s", dir, strerror(errno));
    if (entry->legacy) {
        rc = legacy_break(fd, entry->where, &view, e);
    } else {
        below = openat(fd, entry->where[0] != '\0' ? entry->where : ".",
                       O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        rc = below == -1 ? err_set(e, -errno, "cannot open %s: %s", entry->where,
                                   strerror(errno))
                         : claim_break(below, entry->view.gens.g, evidence, e);
        if (below != -1)
            close(below);
    }
    close(fd);
    return rc;
}
