/*
 * group.c: see group.h; what is told of the groups is in group_tell.c.
 *
 * All files stand in one array sorted by (time, index, path); new ones wait unsorted in a
 * second one and are merged when somebody asks.  Groups stand in an array sorted by name.  A
 * merge touches only the components (runs of free files with no gap above the tolerance) that
 * have changed: their groups are dissolved and made anew from the files alone, so that nothing
 * depends on history.  Files of frozen groups take no part.
 *
 * Cost: a merge is linear in the files behind the earliest new one (pointers), plus the
 * components touched.
 */
#include "core/group.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/group_table.h"
#include "core/mem.h"

bool group_frozen(const struct group *g)
{
    return g->state >= GROUP_ENQUEUED;
}

const char *group_base_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash == NULL ? path : slash + 1;
}

/* ---- the arrays ---- */

static int compare(const struct file *a, int64_t unix_s, int index, const char *path)
{
    if (a->unix_s != unix_s)
        return a->unix_s < unix_s ? -1 : 1;
    if (a->index != index)
        return a->index < index ? -1 : 1;
    return strcmp(a->path, path);
}

static int by_key(const void *a, const void *b)
{
    const struct file *f = *(struct file *const *)a, *g = *(struct file *const *)b;
    int c = compare(f, g->unix_s, g->index, g->path);

    return c != 0 ? c : (f->arrived > g->arrived) - (f->arrived < g->arrived);
}

/* Place of the first file at or after a time. */
size_t group_file_place(const struct group_table *t, int64_t unix_s)
{
    size_t lo = 0, hi = t->nfile;

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;

        if (t->file[mid]->unix_s < unix_s)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* Place of a file, or t->nfile. */
static size_t file_find(const struct group_table *t, int64_t unix_s, int index,
                        const char *path)
{
    for (size_t i = group_file_place(t, unix_s);
         i < t->nfile && t->file[i]->unix_s == unix_s; i++)
        if (compare(t->file[i], unix_s, index, path) == 0)
            return i;
    return t->nfile;
}

/* Place of the first group whose name is at or after a time. */
size_t group_place(const struct group_table *t, int64_t unix_s)
{
    size_t lo = 0, hi = t->ngroup;

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;

        if (t->group[mid]->unix_s < unix_s)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

struct group *group_at(const struct group_table *t, int64_t unix_s)
{
    size_t i = group_place(t, unix_s);

    return i < t->ngroup && t->group[i]->unix_s == unix_s ? t->group[i] : NULL;
}

/* `name` is not used where times are names. */
static struct group *group_insert(struct group_table *t, int64_t unix_s,
                                  const char *name)
{
    size_t i = group_place(t, unix_s);
    struct group *g = mem_calloc(1, sizeof *g);

    if (t->ngroup == t->group_room) {
        t->group_room = t->group_room == 0 ? 16 : 2 * t->group_room;
        t->group = mem_realloc(t->group, t->group_room * sizeof(struct group *));
    }
    memmove(t->group + i + 1, t->group + i, (t->ngroup - i) * sizeof(struct group *));
    t->group[i] = g;
    t->ngroup++;
    g->unix_s = unix_s;
    if (!t->rule.timed)
        g->name = mem_strdup(name);
    return g;
}

static void group_free(struct group *g)
{
    free(g->name);
    free(g);
}

static void group_delete(struct group_table *t, struct group *g)
{
    size_t i = group_place(t, g->unix_s);

    t->ngroup--;
    memmove(t->group + i, t->group + i + 1, (t->ngroup - i) * sizeof(struct group *));
    group_free(g);
}

struct group_table *group_table_new(const struct group_opts *opts)
{
    struct group_table *t;

    if (opts->expected < 1 || opts->expected > GROUP_MAX_EXPECTED ||
        !(opts->tolerance_s >= 0 && opts->tolerance_s <= 1e9))
        return NULL;
    t = mem_calloc(1, sizeof *t);
    t->opts = *opts;
    t->opts.rule = NULL;
    if (opts->rule != NULL)
        t->rule = *opts->rule;
    else
        groupname_compile(&t->rule, "subband", NULL);
    if (t->rule.timed)
        t->tolerance_s = (int64_t)floor(opts->tolerance_s);
    t->member = mem_calloc((size_t)opts->expected, sizeof *t->member);
    return t;
}

void group_table_free(struct group_table *t)
{
    if (t == NULL)
        return;
    for (size_t i = 0; i < t->nfile; i++)
        free(t->file[i]);
    for (size_t i = 0; i < t->nfresh; i++)
        free(t->fresh[i]);
    for (size_t i = 0; i < t->ngroup; i++)
        group_free(t->group[i]);
    free(t->file);
    free(t->fresh);
    free(t->group);
    free(t->member);
    free(t);
}

/* ---- members ---- */

/* Is f a better member for its index than g?  `middle` is the cluster's median time. */
static bool better(const struct file *f, const struct file *g, int64_t middle)
{
    int64_t df = llabs(f->unix_s - middle), dg = llabs(g->unix_s - middle);

    if (df != dg)
        return df < dg;
    if (f->unix_s != g->unix_s)
        return f->unix_s > g->unix_s;
    if (f->id.mtime_ns != g->id.mtime_ns)
        return f->id.mtime_ns > g->id.mtime_ns;
    return strcmp(f->path, g->path) < 0;
}

/*
 * Choose the members among n files, sorted by time, and give all of them to the group.  The
 * answer is the earliest time of a member (of any file when there is none).
 */
static int64_t choose(struct group_table *t, struct group *g, struct file **f, size_t n)
{
    int64_t middle = f[(n - 1) / 2]->unix_s, first = f[0]->unix_s;
    struct file *best[GROUP_MAX_EXPECTED] = {NULL};
    bool none = true;

    g->present = 0;
    g->nfile = n;
    g->last_arrival = -HUGE_VAL;
    for (size_t i = 0; i < n; i++) {
        f[i]->group = g;
        f[i]->role = f[i]->index < t->opts.expected ? ROLE_DUPLICATE : ROLE_SURPLUS;
        if (f[i]->role == ROLE_DUPLICATE &&
            (best[f[i]->index] == NULL || better(f[i], best[f[i]->index], middle)))
            best[f[i]->index] = f[i];
    }
    for (int i = 0; i < t->opts.expected; i++) {
        if (best[i] == NULL)
            continue;
        best[i]->role = ROLE_MEMBER;
        g->present++;
        if (best[i]->arrived > g->last_arrival)
            g->last_arrival = best[i]->arrived;
        if (none || best[i]->unix_s < first)
            first = best[i]->unix_s;
        none = false;
    }
    for (size_t i = 0; none && i < n; i++)
        if (f[i]->arrived > g->last_arrival)
            g->last_arrival = f[i]->arrived;
    g->odd = (size_t)g->present < n;
    return first;
}

/* The frozen group near whose name a time lies, or NULL. */
static struct group *frozen_near(const struct group_table *t, int64_t unix_s)
{
    size_t at = group_place(t, unix_s + 1);

    for (size_t i = at; i-- > 0 && unix_s - t->group[i]->unix_s <= t->tolerance_s;)
        if (group_frozen(t->group[i]))
            return t->group[i];
    for (size_t i = at; i < t->ngroup && t->group[i]->unix_s - unix_s <= t->tolerance_s;
         i++)
        if (group_frozen(t->group[i]))
            return t->group[i];
    return NULL;
}

/* Choose again the members of a frozen group that came back from a restart. */
static void choose_again(struct group_table *t, struct group *g)
{
    size_t lo = group_file_place(t, g->unix_s), all = g->nfile, n = 0;
    size_t hi = group_file_place(t, g->unix_s + t->tolerance_s + 1);
    struct file **f = mem_calloc(hi - lo + 1, sizeof(struct file *));

    for (size_t i = lo; i < hi; i++)
        if (t->file[i]->group == g && !t->file[i]->gone)
            f[n++] = t->file[i];
    if (n > 0)
        choose(t, g, f, n);
    g->nfile = all;
    g->odd = true;
    free(f);
}

/* Give a file to the frozen group near it. */
static void give(struct group_table *t, struct group *g, struct file *f)
{
    f->group = g;
    f->role = ROLE_LATE;
    g->odd = true;
    g->nfile++;
    if (!g->sealed && f->unix_s >= g->unix_s)
        choose_again(t, g);
}

/* ---- clusters ---- */

/* Take a file out of its free group; the group dies with its last file. */
static void leave(struct group_table *t, struct file *f)
{
    struct group *g = f->group;

    f->group = NULL;
    f->role = ROLE_FREE;
    if (g != NULL && --g->nfile == 0)
        group_delete(t, g);
}

static bool is_free(const struct file *f)
{
    return f->group == NULL || !group_frozen(f->group);
}

/* Make groups of the free files f[0 .. n-1], a whole component. */
static void cluster(struct group_table *t, struct file **f, size_t n)
{
    for (size_t i = 0; i < n; i++)
        leave(t, f[i]);
    for (size_t lo = 0, hi; lo < n; lo = hi) {
        struct groupname_hit hit = {.name = ""};
        struct group draft = {0}, *g;
        int64_t name;

        for (hi = lo; hi < n && f[hi]->unix_s - f[lo]->unix_s <= t->tolerance_s;)
            hi++;
        name = choose(t, &draft, f + lo, hi - lo);
        if (!t->rule.timed)
            groupname_parse(&t->rule, group_base_of(f[lo]->path), &hit);
        g = group_insert(t, name, hit.name);
        draft.unix_s = g->unix_s;
        draft.name = g->name;
        *g = draft;
        for (size_t i = lo; i < hi; i++)
            f[i]->group = g;
    }
}

/* Form the component around place i of the file array anew; the place behind it. */
static size_t form(struct group_table *t, size_t i)
{
    size_t lo = i, hi = i + 1, n = 0;
    int64_t edge = t->file[i]->unix_s;
    struct file **f;

    for (size_t k = i; k-- > 0 && edge - t->file[k]->unix_s <= t->tolerance_s;)
        if (is_free(t->file[k])) {
            lo = k;
            edge = t->file[k]->unix_s;
        }
    edge = t->file[i]->unix_s;
    for (size_t k = i + 1; k < t->nfile && t->file[k]->unix_s - edge <= t->tolerance_s;
         k++)
        if (is_free(t->file[k])) {
            hi = k + 1;
            edge = t->file[k]->unix_s;
        }
    f = mem_calloc(hi - lo, sizeof(struct file *));
    for (size_t k = lo; k < hi; k++)
        if (is_free(t->file[k]))
            f[n++] = t->file[k];
    cluster(t, f, n);
    free(f);
    return hi;
}

/* The same path again: take over the identity. */
static void renew(struct file *f, const struct file_id *id, double now)
{
    if (f->gone) {
        f->gone = false;
        f->group->ngone--;
        f->group->present += f->role == ROLE_MEMBER;
    }
    if (file_id_equal(&f->id, id))
        return;
    f->id = *id;
    if (f->group != NULL && group_frozen(f->group))
        f->rewritten = f->group->odd = true;
    else
        f->arrived = now;
}

/* Drop repeated paths among the sorted new files: the last arrival counts. */
static void unique_fresh(struct group_table *t)
{
    size_t n = 0;

    for (size_t i = 0; i < t->nfresh; i++) {
        struct file *f = t->fresh[i];

        if (n > 0 && compare(t->fresh[n - 1], f->unix_s, f->index, f->path) == 0) {
            renew(t->fresh[n - 1], &f->id, f->arrived);
            free(f);
        } else {
            t->fresh[n++] = f;
        }
    }
    t->nfresh = n;
}

/* Merge the new files, sorted and unique, into the sorted array, from behind. */
static void merge(struct group_table *t)
{
    size_t a = t->nfile, b = t->nfresh;

    if (t->nfile + t->nfresh > t->file_room) {
        t->file_room = 2 * (t->nfile + t->nfresh);
        t->file = mem_realloc(t->file, t->file_room * sizeof(struct file *));
    }
    while (b > 0) {
        if (a > 0 && by_key(&t->file[a - 1], &t->fresh[b - 1]) > 0) {
            a--;
            t->file[a + b] = t->file[a];
        } else {
            b--;
            t->file[a + b] = t->fresh[b];
        }
    }
    t->nfile += t->nfresh;
    t->nfresh = 0;
}

/* Find a group for every file between two times that has none. */
static void place_range(struct group_table *t, int64_t from, int64_t to)
{
    size_t lo = group_file_place(t, from), hi = group_file_place(t, to + 1);

    for (size_t i = lo; i < hi; i++) {
        struct file *f = t->file[i];
        struct group *g = f->group == NULL ? frozen_near(t, f->unix_s) : NULL;

        if (g != NULL)
            give(t, g, f);
    }
    for (size_t i = lo; i < hi;)
        i = t->file[i]->group == NULL ? form(t, i) : i + 1;
}

/* Dissolve the free groups around a time and place their files again. */
static void place_again(struct group_table *t, int64_t unix_s)
{
    int64_t from = unix_s - 2 * t->tolerance_s, to = unix_s + 2 * t->tolerance_s;

    for (size_t i = group_file_place(t, from); i < t->nfile && t->file[i]->unix_s <= to;
         i++)
        if (is_free(t->file[i]))
            leave(t, t->file[i]);
    place_range(t, from, to);
}

/* Bring files and groups up to date. */
void group_resolve(struct group_table *t)
{
    int64_t from, to;

    if (t->nfresh == 0)
        return;
    qsort(t->fresh, t->nfresh, sizeof(struct file *), by_key);
    unique_fresh(t);
    from = t->fresh[0]->unix_s;
    to = t->fresh[t->nfresh - 1]->unix_s;
    merge(t);
    place_range(t, from, to);
}

int group_add(struct group_table *t, const char *path, const struct file_id *id,
              double now)
{
    size_t len = strlen(path) + 1, at;
    struct groupname_hit hit;
    struct file *f;

    if (groupname_parse(&t->rule, group_base_of(path), &hit) != 0) {
        t->foreign++;
        return -EINVAL;
    }
    at = file_find(t, hit.key, hit.member, path);
    if (at < t->nfile) {
        renew(t->file[at], id, now);
        return 0;
    }
    f = mem_calloc(1, sizeof *f + len);
    memcpy(f->path, path, len);
    f->unix_s = hit.key;
    f->index = hit.member;
    f->id = *id;
    f->arrived = now;
    if (t->nfresh == t->fresh_room) {
        t->fresh_room = t->fresh_room == 0 ? 64 : 2 * t->fresh_room;
        t->fresh = mem_realloc(t->fresh, t->fresh_room * sizeof(struct file *));
    }
    t->fresh[t->nfresh++] = f;
    return 0;
}

static void file_delete(struct group_table *t, size_t i)
{
    free(t->file[i]);
    t->nfile--;
    memmove(t->file + i, t->file + i + 1, (t->nfile - i) * sizeof(struct file *));
}

/* Forget the files of a group that are gone, and the group if it has no others. */
static void bury(struct group_table *t, struct group *g)
{
    size_t i = group_file_place(t, g->unix_s - t->tolerance_s);

    while (i < t->nfile && t->file[i]->unix_s <= g->unix_s + t->tolerance_s) {
        if (t->file[i]->group == g && t->file[i]->gone) {
            file_delete(t, i);
            g->nfile--;
            g->ngone--;
        } else {
            i++;
        }
    }
    if (g->nfile == 0)
        group_delete(t, g);
}

int group_remove(struct group_table *t, const char *path)
{
    struct groupname_hit hit;
    struct group *g;
    struct file *f;
    size_t i;

    group_resolve(t);
    if (groupname_parse(&t->rule, group_base_of(path), &hit) != 0)
        return -ENOENT;
    i = file_find(t, hit.key, hit.member, path);
    if (i == t->nfile || t->file[i]->gone)
        return -ENOENT;
    f = t->file[i];
    g = f->group;
    if (!group_frozen(g)) {
        leave(t, f);
        file_delete(t, i);
        place_again(t, hit.key);
        return 0;
    }
    f->gone = true;
    g->ngone++;
    g->present -= f->role == ROLE_MEMBER;
    if (g->ngone == g->nfile && g->state > GROUP_ENQUEUED)
        bury(t, g); /* nothing left to be told about */
    return 0;
}

size_t group_forget(struct group_table *t, const char *folder)
{
    size_t n = strlen(folder), forgotten = 0;
    struct file **f;

    group_resolve(t);
    f = mem_calloc(t->nfile + 1, sizeof(struct file *));
    for (size_t i = 0; i < t->nfile; i++)
        if (strncmp(t->file[i]->path, folder, n) == 0 && t->file[i]->path[n] == '/' &&
            is_free(t->file[i]))
            f[forgotten++] = t->file[i];
    for (size_t i = 0; i < forgotten; i++)
        group_remove(t, f[i]->path);
    free(f);
    return forgotten;
}

static int thaw(struct group_table *t, struct group *g)
{
    int64_t unix_s = g->unix_s;

    g->state = GROUP_COLLECTING; /* its files are free now */
    if (g->ngone > 0 || g->nfile == 0)
        bury(t, g);
    place_again(t, unix_s);
    return 0;
}

int group_mark(struct group_table *t, const char *name, enum group_state state)
{
    struct group *g;
    int64_t unix_s;

    if (groupname_key(&t->rule, name, &unix_s) != 0)
        return -EINVAL;
    group_resolve(t);
    g = group_at(t, unix_s);
    if (state < GROUP_ENQUEUED)
        return g == NULL ? -ENOENT : group_frozen(g) ? thaw(t, g) : 0;
    if (g != NULL) {
        if (!group_frozen(g))
            g->sealed = true;
        g->state = state;
        if (g->nfile > 0 && g->ngone == g->nfile && state > GROUP_ENQUEUED)
            bury(t, g);
        return 0;
    }
    g = group_insert(t, unix_s, name);
    g->state = state;
    g->last_arrival = -HUGE_VAL;
    place_again(t, unix_s);
    return 0;
}
