/* progress.c: see progress.h: folders, and what an info file says. */
#include "pipeline/product/progress.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/dirlist.h"
#include "core/err.h"
#include "core/jsonkeys.h"
#include "core/mem.h"
#include "core/parallel.h"
#include "pipeline/product/progress_parts.h"

enum { LARGEST_INFO = 16 << 20 };

static uint64_t all_of(const struct wish *wish)
{
    return wish->n == 0 ? 0 : UINT64_MAX >> (PROGRESS_FEATURES - wish->n);
}

ssize_t progress_slurp(int dirfd, const char *path, char **buf, size_t *room)
{
    int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    size_t n = 0;
    ssize_t got;

    if (fd == -1)
        return -errno;
    do {
        if (*room - n < 2048) {
            *room = 2 * *room + 8192;
            *buf = mem_realloc(*buf, *room);
        }
        got = read(fd, *buf + n, *room - n);
        if (got > 0)
            n += (size_t)got;
        else if (got < 0)
            got = -errno;
    } while (got > 0 && n < LARGEST_INFO && n == *room);
    close(fd);
    return got < 0 ? got : n >= LARGEST_INFO ? -EFBIG : (ssize_t)n;
}

/* Is there a file "F" or "F.anything" in a manifest's list? */
static bool has_file(json_t *manifest, const char *feature)
{
    size_t i, n = strlen(feature);
    json_t *file;

    json_array_foreach(json_object_get(manifest, "files"), i, file)
    {
        const char *name = json_string_value(json_object_get(file, "name"));

        if (name != NULL && strncmp(name, feature, n) == 0 &&
            (name[n] == '\0' || name[n] == '.'))
            return true;
    }
    return false;
}

static bool has_member(json_t *object, const char *name)
{
    json_t *value = json_object_get(object, name);

    return value != NULL && !json_is_null(value);
}

static uint64_t manifest_lacks(const struct wish *wish, const char *text, size_t n)
{
    json_t *m = json_loadb(text, n, 0, NULL), *meta = json_object_get(m, "meta");
    uint64_t lacks = all_of(wish);

    for (size_t i = 0; i < wish->n && m != NULL; i++)
        if (has_member(m, wish->name[i]) || has_member(meta, wish->name[i]) ||
            has_file(m, wish->name[i]))
            lacks &= ~((uint64_t)1 << i);
    json_decref(m);
    return lacks;
}

uint64_t progress_lacks(const struct wish *wish, const char *text, size_t n,
                        bool manifest)
{
    bool has[PROGRESS_FEATURES];
    uint64_t lacks = all_of(wish);

    if (manifest)
        return manifest_lacks(wish, text, n);
    jsonkeys_find(text, n, wish->name, wish->n, has);
    for (size_t i = 0; i < wish->n; i++)
        if (has[i])
            lacks &= ~((uint64_t)1 << i);
    return lacks;
}

/* ---- folders ---- */

/* Looking at folders; each thread has its own buffer. */
struct share {
    const struct wish *wish;
    int dirfd;
    struct progress_item *item;
    char *buf;
    size_t room;
};

static bool ends_with(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);

    return n > m && strcmp(name + n - m, end) == 0;
}

/* The first `*.info` of a folder by name; "" when there is none. */
static void find_info(int dirfd, const char *folder, char out[NAME_MAX + 1])
{
    int fd = openat(dirfd, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd == -1 ? NULL : fdopendir(fd);
    const struct dirent *entry;

    out[0] = '\0';
    while (d != NULL && (entry = readdir(d)) != NULL)
        if ((ends_with(entry->d_name, ".info") || ends_with(entry->d_name, ".INFO")) &&
            (out[0] == '\0' || strcmp(entry->d_name, out) < 0))
            snprintf(out, NAME_MAX + 1, "%s", entry->d_name);
    if (d != NULL)
        closedir(d);
    else if (fd != -1)
        close(fd);
}

static uint64_t folder_lacks(struct share *s, const char *name)
{
    /* what follows the folder's name; NULL: that name again, and .info */
    static const char *const where[] = {"info.json", NULL, "manifest.json",
                                        ".watcherd/manifest.json"};
    char path[2 * NAME_MAX + 32], other[NAME_MAX + 1];
    ssize_t n = -ENOENT;
    size_t i;

    for (i = 0; i < 4 && n == -ENOENT; i++) {
        snprintf(path, sizeof path, "%s/%s%s", name, where[i] != NULL ? where[i] : name,
                 where[i] != NULL ? "" : ".info");
        n = progress_slurp(s->dirfd, path, &s->buf, &s->room);
    }
    if (n >= 0)
        return progress_lacks(s->wish, s->buf, (size_t)n, i > 2);
    find_info(s->dirfd, name, other);
    if (n == -ENOENT && other[0] != '\0') {
        snprintf(path, sizeof path, "%s/%s", name, other);
        n = progress_slurp(s->dirfd, path, &s->buf, &s->room);
    }
    return n >= 0 ? progress_lacks(s->wish, s->buf, (size_t)n, false) : all_of(s->wish);
}

static void take_share(void *arg, size_t lo, size_t hi)
{
    struct share s = *(const struct share *)arg;

    for (size_t i = lo; i < hi; i++)
        s.item[i].missing = folder_lacks(&s, s.item[i].name);
    free(s.buf);
}

static bool is_folder(int dirfd, const struct dirlist_entry *entry)
{
    struct stat st;

    if (entry->name[0] == '.')
        return false;
    if (entry->type == DT_UNKNOWN || entry->type == DT_LNK)
        return fstatat(dirfd, entry->name, &st, 0) == 0 && S_ISDIR(st.st_mode);
    return entry->type == DT_DIR;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct progress_item *)a)->name,
                  ((const struct progress_item *)b)->name);
}

int progress_folders(struct progress *out, const char *dir, const char *const *feature,
                     size_t nfeature, struct err *e)
{
    struct wish wish = {feature, nfeature};
    struct dirlist list;
    int fd, rc;

    memset(out, 0, sizeof *out);
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd == -1)
        return err_set(e, -errno, "cannot open %s: %s", dir, strerror(errno));
    rc = dirlist_read(&list, fd, dir, e);
    if (rc == 0) {
        out->item = mem_calloc(list.n + 1, sizeof *out->item);
        for (size_t i = 0; i < list.n; i++)
            if (is_folder(fd, &list.item[i]))
                out->item[out->n++].name = list.item[i].name;
        /* in the directory's own order: the disk's */
        parallel_run(out->n, PROGRESS_A_THREAD, take_share,
                     &(struct share){.wish = &wish, .dirfd = fd, .item = out->item});
        if (out->n > 0)
            qsort(out->item, out->n, sizeof *out->item, by_name);
        out->text = list.text;
        list.text = NULL;
        dirlist_clear(&list);
    }
    close(fd);
    return rc;
}

void progress_clear(struct progress *t)
{
    free(t->item);
    free(t->text);
    memset(t, 0, sizeof *t);
}
