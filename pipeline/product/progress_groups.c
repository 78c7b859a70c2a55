/* progress_groups.c: see progress.h: the groups of the incoming directories, and what is
   published. */
#include "pipeline/product/progress.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/conf.h"
#include "core/dirlist.h"
#include "core/dirsum.h"
#include "core/err.h"
#include "core/group.h"
#include "core/incoming.h"
#include "core/mem.h"
#include "core/path.h"
#include "core/parallel.h"
#include "pipeline/pipeline.h"
#include "pipeline/product/inputs.h"
#include "pipeline/product/progress_parts.h"

/* One look at everything. */
struct look {
    const struct conf *conf;
    struct incoming_roots roots;
    struct incoming_names names;
    struct groupname rule;
    struct group_table *groups;
    struct wish wish;
    struct progress_stamps stamps;
    struct progress *out;
    size_t text_size, text_room, item_room;
    struct dirlist tiles;
    unsigned char *whole; /* [tiles.n]: it has a manifest */
    int tiles_fd;
    char **in_mosaic; /* [nin_mosaic], sorted */
    size_t nin_mosaic;
    char *buf;
    size_t room;
};

/* ---- what has arrived ---- */

/* What an entry is, links not followed; a few file systems only tell when asked. */
static unsigned char type_of(int dirfd, const struct dirlist_entry *d)
{
    struct stat st;

    if (d->type != DT_UNKNOWN)
        return d->type;
    if (fstatat(dirfd, d->name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return DT_UNKNOWN;
    return S_ISREG(st.st_mode) ? DT_REG : S_ISDIR(st.st_mode) ? DT_DIR : DT_UNKNOWN;
}

/* How deep a directory lies below its root, which is at 1. */
struct level {
    int depth;
    bool recursive; /* the root */
};

static int read_dir(struct look *l, int fd, const char *path, const struct level *at,
                    struct err *e);

static int read_below(struct look *l, int dirfd, const char *dir, const char *name,
                      const struct level *above, struct err *e)
{
    struct level at = {above->depth + 1, above->recursive};
    char path[PATH_MAX];
    int fd, rc = path_join(path, sizeof path, dir, name, e);

    if (rc != 0)
        return rc;
    fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd ==
        -1) /* gone or not a directory; one that may not be read the daemon reports */
        return 0;
    rc = read_dir(l, fd, path, &at, e);
    close(fd);
    return rc;
}

/* Does a file that we want lie in this directory or deeper?  *yes is set if so. */
static int look_for_file(struct look *l, int dirfd, const char *dir, const char *name,
                         int depth, bool *yes, struct err *e)
{
    char path[PATH_MAX];
    struct dirlist list;
    int fd, rc = path_join(path, sizeof path, dir, name, e);

    if (rc != 0)
        return rc;
    fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd == -1)
        return 0;
    progress_stamp_add(&l->stamps, path, fd);
    rc = dirlist_read(&list, fd, path, e);
    for (size_t i = 0; i < list.n && rc == 0 && !*yes; i++)
        *yes = incoming_wants(&l->names, list.item[i].name) &&
               type_of(fd, &list.item[i]) == DT_REG;
    for (size_t i = 0; i < list.n && rc == 0 && !*yes && depth < INCOMING_DEPTH; i++)
        if (!dirsum_unfinished(list.item[i].name) &&
            type_of(fd, &list.item[i]) == DT_DIR)
            rc = look_for_file(l, fd, path, list.item[i].name, depth + 1, yes, e);
    dirlist_clear(&list);
    close(fd);
    return rc;
}

/* A directory is a group when there is a file in it. */
static int add_directory(struct look *l, int dirfd, const char *dir, const char *name,
                         struct err *e)
{
    static const struct file_id unknown;
    bool yes = false;
    int rc =
        dirsum_unfinished(name) ? 0 : look_for_file(l, dirfd, dir, name, 2, &yes, e);

    if (rc == 0 && yes)
        group_add(l->groups, name, &unknown, 0);
    return rc;
}

/* Take the names of one directory into the table of groups. */
static int read_dir(struct look *l, int fd, const char *path, const struct level *at,
                    struct err *e)
{
    static const struct file_id unknown;
    struct dirlist list;
    int rc;

    progress_stamp_add(&l->stamps, path, fd);
    rc = dirlist_read(&list, fd, path, e);
    for (size_t i = 0; i < list.n && rc == 0; i++) {
        const struct dirlist_entry *d = &list.item[i];
        unsigned char type = type_of(fd, d);

        if (type == DT_DIR && l->rule.directory)
            rc = add_directory(l, fd, path, d->name, e);
        else if (type == DT_DIR && at->recursive && !dirsum_unfinished(d->name) &&
                 at->depth < INCOMING_DEPTH)
            rc = read_below(l, fd, path, d->name, at, e);
        else if (type == DT_REG && !l->rule.directory &&
                 incoming_wants(&l->names, d->name))
            group_add(l->groups, d->name, &unknown, 0);
    }
    dirlist_clear(&list);
    return rc;
}

static int read_root(struct look *l, const struct incoming_root *root, struct err *e)
{
    struct level at = {1, incoming_is_recursive(&l->roots, root)};
    int fd = open(root->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc;

    if (fd == -1)
        return err_set(e, -errno, "cannot open %s: %s", root->path, strerror(errno));
    rc = read_dir(l, fd, root->path, &at, e);
    close(fd);
    return rc;
}

static int read_incoming(struct look *l, struct err *e)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < l->roots.n; i++)
        rc = read_root(l, &l->roots.item[i], e);
    return rc;
}

/* ---- what is published ---- */

/* Open and list <products>/kind; without it *fd is -1 and the list empty. */
static int read_kind(const struct look *l, struct progress_stamps *stamps,
                     const char *kind, struct dirlist *list, int *fd, struct err *e)
{
    char path[PATH_MAX];
    int rc = path_join(path, sizeof path, l->conf->paths.products, kind, e);

    memset(list, 0, sizeof *list);
    *fd = -1;
    if (rc != 0)
        return rc;
    *fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*fd == -1 && errno != ENOENT)
        return err_set(e, -errno, "cannot open %s: %s", path, strerror(errno));
    progress_stamp_add(stamps, path, *fd);
    return *fd == -1 ? 0 : dirlist_read(list, *fd, path, e);
}

/* "/any/tiles/NAME/manifest.json" -> NAME, malloc'ed, or NULL */
static char *tile_of(const char *input)
{
    const char *end = strrchr(input, '/'), *start = end;

    if (end == NULL || end == input)
        return NULL;
    while (start > input && start[-1] != '/')
        start--;
    return mem_strndup(start, (size_t)(end - start));
}

static void note_inputs(struct look *l, const char *text, size_t n)
{
    json_t *m = json_loadb(text, n, 0, NULL), *inputs = json_object_get(m, "inputs"),
           *in;
    size_t i;

    l->in_mosaic =
        mem_realloc(l->in_mosaic, (l->nin_mosaic + json_array_size(inputs) + 1) *
                                      sizeof *l->in_mosaic);
    json_array_foreach(inputs, i, in)
    {
        const char *path = json_string_value(json_object_get(in, "path"));
        char *name = path == NULL ? NULL : tile_of(path);

        if (name != NULL)
            l->in_mosaic[l->nin_mosaic++] = name;
    }
    json_decref(m);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Names of all tiles that a current mosaic holds. */
static int read_mosaics(struct look *l, struct progress_stamps *stamps, struct err *e)
{
    struct dirlist list;
    char path[NAME_MAX + 32];
    int fd,
        rc = read_kind(l, stamps, pipeline_for(PIPELINE_WINDOW)->folder, &list, &fd, e);

    for (size_t i = 0; i < list.n && rc == 0; i++) {
        ssize_t n;

        if (list.item[i].type != DT_LNK || list.item[i].name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/manifest.json", list.item[i].name);
        n = progress_slurp(fd, path, &l->buf, &l->room);
        if (n > 0)
            note_inputs(l, l->buf, (size_t)n);
    }
    if (l->nin_mosaic > 0)
        qsort(l->in_mosaic, l->nin_mosaic, sizeof *l->in_mosaic, by_text);
    dirlist_clear(&list);
    if (fd != -1)
        close(fd);
    return rc;
}

static bool has_wish(const struct look *l, const char *name)
{
    for (size_t i = 0; i < l->wish.n; i++)
        if (strcmp(l->wish.name[i], name) == 0)
            return true;
    return false;
}

static bool is_in_mosaic(const struct look *l, const char *name)
{
    size_t lo = 0, hi = l->nin_mosaic;

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        int order = strcmp(l->in_mosaic[mid], name);

        if (order == 0)
            return true;
        if (order < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return false;
}

/* What a tile lacks of the features `bits`, by its manifest: all when that cannot be read or
 * when what it was made of was rewritten.  *buf is the caller's. */
static uint64_t manifest_lacks(const struct look *l, const char *path, uint64_t bits,
                               char **buf, size_t *room)
{
    ssize_t n = progress_slurp(l->tiles_fd, path, buf, room);
    json_t *manifest = n < 0 ? NULL : json_loadb(*buf, (size_t)n, 0, NULL);
    bool current = manifest != NULL && !inputs_rewritten(manifest);

    json_decref(manifest);
    if (!current)
        return UINT64_MAX;
    return bits == 0 ? 0 : bits & progress_lacks(&l->wish, *buf, (size_t)n, true);
}

/* What some of the groups lack. */
static void look_at_tiles(void *arg, size_t lo, size_t hi)
{
    struct look *l = arg;
    uint64_t image = 0, mosaic = 0, all = UINT64_MAX >> (PROGRESS_FEATURES - l->wish.n),
             rest;
    const char *of_group = pipeline_for(PIPELINE_GROUP)->data_type;
    const char *of_window = pipeline_for(PIPELINE_WINDOW)->data_type;
    char path[NAME_MAX + 32], *buf = NULL;
    size_t room = 0;

    for (size_t i = 0; i < l->wish.n; i++) {
        image |= (uint64_t)(strcmp(l->wish.name[i], of_group) == 0) << i;
        mosaic |= (uint64_t)(strcmp(l->wish.name[i], of_window) == 0) << i;
    }
    rest = all & ~image & ~mosaic;
    for (size_t i = lo; i < hi; i++) {
        struct progress_item *item = &l->out->item[i];
        const struct dirlist_entry *tile = dirlist_find(&l->tiles, item->name);

        item->missing = all;
        if (mosaic != 0 && is_in_mosaic(l, item->name))
            item->missing &= ~mosaic;
        if (tile == NULL || !l->whole[tile - l->tiles.item])
            continue;
        strcpy(stpcpy(path, item->name), "/manifest.json"); /* GROUP_NAME at most */
        item->missing &= mosaic | manifest_lacks(l, path, rest, &buf, &room);
    }
    free(buf);
}

/* ---- reading both sides at once ---- */

struct side {
    struct look *l;
    struct progress_stamps stamps;
    struct err e;
    int rc;
};

/* Which names in tiles lead to a manifest? */
static void look_for_manifests(void *arg, size_t lo, size_t hi)
{
    struct look *l = arg;
    char path[NAME_MAX + 32];
    struct stat st;

    for (size_t i = lo; i < hi; i++) {
        const struct dirlist_entry *d = &l->tiles.item[i];

        if (strlen(d->name) > GROUP_NAME ||
            (d->type == DT_DIR && strstr(d->name, ".gen") != NULL))
            continue; /* no group's, but what a group's leads to */
        strcpy(stpcpy(path, d->name), "/manifest.json");
        l->whole[i] = fstatat(l->tiles_fd, path, &st, 0) == 0 && S_ISREG(st.st_mode) &&
                      st.st_size > 0;
    }
}

/* The side of the products: listed and looked at, and its table of names built. */
static void *read_products(void *arg)
{
    struct side *s = arg;

    s->rc = read_kind(s->l, &s->stamps, pipeline_for(PIPELINE_GROUP)->folder,
                      &s->l->tiles, &s->l->tiles_fd, &s->e);
    if (s->rc == 0 && has_wish(s->l, pipeline_for(PIPELINE_WINDOW)->data_type))
        s->rc = read_mosaics(s->l, &s->stamps, &s->e);
    s->l->whole = mem_calloc(s->l->tiles.n + 1, 1);
    parallel_run(s->l->tiles.n, PROGRESS_A_THREAD, look_for_manifests, s->l);
    dirlist_find(&s->l->tiles, "");
    return NULL;
}

static int read_all(struct look *l, struct err *e)
{
    struct side products = {.l = l};
    pthread_t thread;
    bool runs = pthread_create(&thread, NULL, read_products, &products) == 0;
    int rc = read_incoming(l, e);

    group_find(l->groups, "", NULL, NULL); /* forms them */
    if (runs)
        pthread_join(thread, NULL);
    else
        read_products(&products);
    for (size_t i = 0; i < products.stamps.n; i++)
        *progress_stamp_new(&l->stamps) = products.stamps.item[i];
    free(products.stamps.item);
    return rc != 0 || products.rc == 0 ? rc
                                       : err_set(e, products.rc, "%s", products.e.text);
}

/* ---- the answer ---- */

static void take_group(void *arg, const struct group_view *g)
{
    struct look *l = arg;
    struct progress *out = l->out;
    size_t n = strlen(g->name) + 1;

    if (g->present == 0 && g->duplicates + g->surplus + g->late == 0)
        return; /* a mark without files */
    if (out->n == l->item_room) {
        l->item_room = 2 * l->item_room + 256;
        out->item = mem_realloc(out->item, l->item_room * sizeof *out->item);
    }
    if (l->text_size + n > l->text_room) {
        l->text_room = 2 * l->text_room + 4096;
        out->text = mem_realloc(out->text, l->text_room);
    }
    memcpy(out->text + l->text_size, g->name, n);
    l->text_size += n;
    out->item[out->n++] =
        (struct progress_item){.present = g->present, .expected = g->expected};
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct progress_item *)a)->name,
                  ((const struct progress_item *)b)->name);
}

static void take_groups(struct look *l)
{
    char *name;

    l->out->n = l->text_size = 0;
    group_each(l->groups, take_group, l);
    name = l->out->text;
    for (size_t i = 0; i < l->out->n; i++) {
        l->out->item[i].name = name;
        name += strlen(name) + 1;
    }
    if (!l->rule.timed && l->out->n > 0)
        qsort(l->out->item, l->out->n, sizeof *l->out->item, by_name);
}

/* Place of the first item at or after a name. */
static size_t place_of(const struct progress *t, const char *name)
{
    size_t lo = 0, hi = t->n;

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;

        if (strcmp(t->item[mid].name, name) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static bool is_near(const struct look *l, size_t i, int64_t unix_s)
{
    int64_t t;

    return i < l->out->n && groupname_key(&l->rule, l->out->item[i].name, &t) == 0 &&
           llabs(t - unix_s) <= (int64_t)l->conf->group.tolerance_s;
}

/*
 * A published group keeps its name whatever arrived near it since: mark those whose name the
 * files alone would not give, as the daemon does after a restart.
 */
static bool mark_published(struct look *l)
{
    bool any = false;

    for (size_t i = 0; i < l->tiles.n && l->rule.timed; i++) {
        const char *name = l->tiles.item[i].name;
        int64_t unix_s;
        size_t at;

        if (groupname_key(&l->rule, name, &unix_s) != 0)
            continue;
        at = place_of(l->out, name);
        if (at < l->out->n && strcmp(l->out->item[at].name, name) == 0)
            continue;
        if (is_near(l, at, unix_s) || (at > 0 && is_near(l, at - 1, unix_s)))
            any = group_mark(l->groups, name, GROUP_DONE) == 0 || any;
    }
    return any;
}

/* All that the answer depends on, in one line. */
static char *question_of(const struct look *l)
{
    const struct conf *conf = l->conf;
    json_t *features = json_array(), *roots = json_array(), *q;
    char *text;

    for (size_t i = 0; i < l->wish.n; i++)
        json_array_append_new(features, json_string(l->wish.name[i]));
    for (size_t i = 0; i < l->roots.n; i++)
        json_array_append_new(
            roots, json_pack("[s, b]", l->roots.item[i].path,
                             (int)incoming_is_recursive(&l->roots, &l->roots.item[i])));
    q = json_pack("{s:o, s:o, s:s, s:s, s:s, s:f, s:I}", "features", features, "roots",
                  roots, "products", conf->paths.products, "extensions",
                  conf->watch.extensions, "pattern", conf->group.pattern, "tolerance_s",
                  conf->group.tolerance_s, "expected",
                  (json_int_t)conf->group.expected);
    text = json_dumps(q, JSON_COMPACT | JSON_SORT_KEYS);
    if (json_array_size(features) < l->wish.n || json_array_size(roots) < l->roots.n) {
        free(text);
        text = NULL;
    }
    json_decref(q);
    return text; /* NULL: names that are not UTF-8 are not indexed */
}

static int look_at_all(struct look *l, struct err *e)
{
    int rc;

    if ((rc = read_all(l, e)) != 0)
        return rc;
    take_groups(l);
    if (mark_published(l))
        take_groups(l);
    parallel_run(l->out->n, PROGRESS_A_THREAD, look_at_tiles, l);
    return 0;
}

int progress_groups(struct progress *out, const struct conf *conf,
                    const char *const *feature, size_t nfeature, const char *index,
                    struct err *e)
{
    struct look l = {
        .conf = conf, .wish = {feature, nfeature}, .out = out, .tiles_fd = -1};
    char *question = NULL;
    int rc;

    memset(out, 0, sizeof *out);
    if ((rc = incoming_groups(&l.groups, &l.rule, conf, e)) == 0 &&
        (rc = incoming_names(&l.names, conf->watch.extensions, e)) == 0)
        rc = incoming_roots_look(&l.roots, conf, e);
    if (rc == 0 && index != NULL)
        question = question_of(&l);
    if (question != NULL && progress_index_load(out, index, question) == 0)
        goto out;
    if (rc == 0)
        rc = look_at_all(&l, e);
    if (rc == 0 && question != NULL)
        progress_index_save(out, index, question, &l.stamps);
    if (rc != 0)
        progress_clear(out);
out:
    if (l.tiles_fd != -1)
        close(l.tiles_fd);
    for (size_t i = 0; i < l.nin_mosaic; i++)
        free(l.in_mosaic[i]);
    free(l.in_mosaic);
    free(l.stamps.item);
    free(l.buf);
    free(question);
    incoming_roots_clear(&l.roots);
    dirlist_clear(&l.tiles);
    free(l.whole);
    group_table_free(l.groups);
    return rc;
}
