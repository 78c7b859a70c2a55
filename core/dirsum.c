#include "core/dirsum.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/dirlist.h"
#include "core/err.h"
#include "core/path.h"

enum { DEEPEST = 48 };
static const int64_t NS = 1000000000;

struct walk {
    struct dirsum *out;
    dirsum_file_fn *each;
    void *arg;
    struct err *e;
    size_t top;   /* length of the directory's own path */
    uint64_t sum; /* of the files' hashes: their order does not count */
    int64_t newest_ns;
};

bool dirsum_unfinished(const char *name)
{
    static const char *const ends[] = {".tmp", ".part", ".partial", "~"};
    size_t n = strlen(name);

    if (name[0] == '.' || strstr(name, "_incomplete") != NULL)
        return true;
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        size_t m = strlen(ends[i]);

        if (n >= m && memcmp(name + n - m, ends[i], m) == 0)
            return true;
    }
    return false;
}

bool dirsum_is_lock(const char *path)
{
    return strcmp(path_base(path), "table.lock") == 0;
}

static uint64_t mixed(uint64_t h)
{
    h = (h ^ (h >> 32)) * 0x9e3779b97f4a7c15u;
    h = (h ^ (h >> 29)) * 0xbf58476d1ce4e5b9u;
    return h ^ (h >> 32);
}

static uint64_t hash_of(const char *name, const struct file_id *id)
{
    uint64_t h = 0xcbf29ce484222325u; /* FNV-1a, then mixed so that all bits count */

    name += strspn(name, "/");
    for (; *name != '\0'; name++)
        h = (h ^ (unsigned char)*name) * 0x100000001b3u;
    return mixed(mixed(mixed(h) ^ id->size) ^ (uint64_t)id->mtime_ns);
}

static struct file_id id_of(const struct stat *st)
{
    return (struct file_id){.dev = st->st_dev,
                            .ino = st->st_ino,
                            .size = (uint64_t)st->st_size,
                            .mtime_ns = st->st_mtim.tv_sec * NS + st->st_mtim.tv_nsec};
}

static void add_file(struct walk *w, const char *path, const struct stat *st,
                     bool passing)
{
    struct file_id id = id_of(st);

    if (passing) {
        w->out->passing += hash_of(path + w->top, &id) | 1;
        return;
    }
    if (dirsum_is_lock(path))
        return;
    if (w->each != NULL)
        w->each(w->arg, path, &id);
    w->out->files++;
    w->out->id.size += id.size;
    w->sum += hash_of(path + w->top, &id);
    if (w->out->files == 1 || id.mtime_ns > w->newest_ns)
        w->newest_ns = id.mtime_ns;
}

static int walk_dir(struct walk *w, int fd, const char *path, int depth, bool passing);

static int walk_below(struct walk *w, int dirfd, const char *path, int depth,
                      bool passing)
{
    int fd =
        openat(dirfd, path_base(path), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int rc;

    if (fd == -1)
        return errno == ENOENT || errno == ENOTDIR
                   ? 0
                   : err_set(w->e, -errno, "cannot open %.180s: %s", path,
                             strerror(errno));
    rc = depth < DEEPEST ? walk_dir(w, fd, path, depth + 1, passing) : 0;
    close(fd);
    return rc;
}

static int walk_entry(struct walk *w, int dirfd, const char *dir,
                      const struct dirlist_entry *d, int depth, bool passing)
{
    char path[PATH_MAX];
    struct stat st;
    int rc = 0;

    passing |= dirsum_unfinished(d->name);
    if (d->type != DT_DIR && d->type != DT_REG && d->type != DT_UNKNOWN)
        return 0;
    if ((rc = path_join(path, sizeof path, dir, d->name, w->e)) != 0)
        return rc;
    if (d->type != DT_DIR) {
        if (fstatat(dirfd, d->name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            return errno == ENOENT ? 0
                                   : err_set(w->e, -errno, "cannot stat %.180s: %s",
                                             path, strerror(errno));
        if (S_ISREG(st.st_mode))
            add_file(w, path, &st, passing);
        if (!S_ISDIR(st.st_mode))
            return 0;
    }
    return walk_below(w, dirfd, path, depth, passing);
}

static int walk_dir(struct walk *w, int fd, const char *path, int depth, bool passing)
{
    struct dirlist list;
    int rc = dirlist_read(&list, fd, path, w->e);

    for (size_t i = 0; i < list.n && rc == 0; i++)
        rc = walk_entry(w, fd, path, &list.item[i], depth, passing);
    dirlist_clear(&list);
    return rc;
}

int dirsum_look(struct dirsum *out, const char *path, dirsum_file_fn *each, void *arg,
                struct err *e)
{
    struct walk w = {.out = out, .each = each, .arg = arg, .e = e, .top = strlen(path)};
    struct stat st = {0};
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc;

    memset(out, 0, sizeof *out);
    if (fd == -1)
        return err_set(e, -errno, "cannot open %.180s: %s", path, strerror(errno));
    rc = fstat(fd, &st) != 0
             ? err_set(e, -errno, "cannot stat %.180s: %s", path, strerror(errno))
             : walk_dir(&w, fd, path, 0, false);
    close(fd);
    out->id.dev = st.st_dev;
    out->id.ino = st.st_ino;
    out->id.mtime_ns =
        w.newest_ns - w.newest_ns % NS + (int64_t)(mixed(w.sum) % 1000000000u);
    return rc;
}
