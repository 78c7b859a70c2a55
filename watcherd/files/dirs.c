/*
 * dirs.c: see dirs.h.
 *
 * Directories are found by path in a hash table of chains.  Those with something to do (to be
 * told, looked at or dropped) stand in an array as well; one whose files wait or are bad leaves
 * it until a file's state changes.
 */
#include "watcherd/files/dirs.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

static const double LONGEST_S = 60, LEAST_S = 0.05; /* between two looks */

struct dir {
    struct dir *next; /* in its chain */
    size_t todo;      /* place in the array + 1; 0: not in it */
    size_t n[4];      /* files by enum settle_state */
    double changed, began, retry, wait_s;
    bool told;    /* as settled, and nothing happened since */
    bool stale;   /* since it was looked at a file came, went or changed */
    bool lost;    /* a file is gone, and it is not known since when */
    bool overdue; /* said */
    bool again;   /* it was told before with other content */
    struct file_id id;
    uint64_t passing;
    char reason[224];
    char path[];
};

struct dirs {
    double quiet_s, max_wait_s;
    struct dir **chain;
    size_t nchain, known;
    struct dir **todo;
    size_t ntodo, todo_room;
};

/* ---- finding them ---- */

static size_t chain_of(size_t nchain, const char *path, size_t n)
{
    uint64_t h = 14695981039346656037u; /* FNV-1a, then mixed once */

    for (size_t i = 0; i < n; i++)
        h = (h ^ (uint8_t)path[i]) * 1099511628211u;
    return (h ^ (h >> 32)) % nchain;
}

static void grow(struct dirs *d)
{
    size_t n = 2 * d->nchain + 1;
    struct dir **chain = mem_calloc(n, sizeof(struct dir *));

    for (size_t i = 0; i < d->nchain; i++)
        for (struct dir *dir = d->chain[i], *next; dir != NULL; dir = next) {
            size_t to = chain_of(n, dir->path, strlen(dir->path));

            next = dir->next;
            dir->next = chain[to];
            chain[to] = dir;
        }
    free(d->chain);
    d->chain = chain;
    d->nchain = n;
}

static struct dir *find(const struct dirs *d, const char *path, size_t n)
{
    struct dir *dir = d->chain[chain_of(d->nchain, path, n)];

    while (dir != NULL && (strncmp(dir->path, path, n) != 0 || dir->path[n] != '\0'))
        dir = dir->next;
    return dir;
}

struct dirs *dirs_new(double quiet_s, double max_wait_s)
{
    struct dirs *d = mem_calloc(1, sizeof *d);

    d->quiet_s = quiet_s;
    d->max_wait_s = max_wait_s;
    grow(d);
    return d;
}

void dirs_free(struct dirs *d)
{
    if (d == NULL)
        return;
    dirs_forget(d, NULL);
    free(d->chain);
    free(d->todo);
    free(d);
}

struct dir *dirs_find(const struct dirs *d, const char *path)
{
    return find(d, path, strlen(path));
}

struct dir *dirs_take(struct dirs *d, const char *path, size_t n, double now)
{
    struct dir *dir = find(d, path, n), **chain;

    if (dir != NULL)
        return dir;
    if (d->known >= d->nchain)
        grow(d);
    dir = mem_calloc(1, sizeof *dir + n + 1);
    memcpy(dir->path, path, n);
    dir->changed = dir->began = now;
    dir->wait_s = fmax(d->quiet_s, LEAST_S);
    chain = &d->chain[chain_of(d->nchain, path, n)];
    dir->next = *chain;
    *chain = dir;
    d->known++;
    return dir;
}

/* ---- what there is to do ---- */

static void todo_add(struct dirs *d, struct dir *dir)
{
    if (dir->todo != 0)
        return;
    if (d->ntodo == d->todo_room) {
        d->todo_room = d->todo_room == 0 ? 16 : 2 * d->todo_room;
        d->todo = mem_realloc(d->todo, d->todo_room * sizeof(struct dir *));
    }
    d->todo[d->ntodo++] = dir;
    dir->todo = d->ntodo;
}

static void todo_remove(struct dirs *d, struct dir *dir)
{
    struct dir *last;

    if (dir->todo == 0)
        return;
    last = d->todo[--d->ntodo];
    d->todo[dir->todo - 1] = last;
    last->todo = dir->todo;
    dir->todo = 0;
}

static void drop(struct dirs *d, struct dir *dir)
{
    struct dir **at = &d->chain[chain_of(d->nchain, dir->path, strlen(dir->path))];

    while (*at != dir)
        at = &(*at)->next;
    *at = dir->next;
    todo_remove(d, dir);
    d->known--;
    free(dir);
}

static bool is_below(const char *path, const char *prefix)
{
    size_t n;

    if (prefix == NULL)
        return true;
    n = strlen(prefix);
    while (n > 0 && prefix[n - 1] == '/')
        n--;
    return strncmp(path, prefix, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

void dirs_forget(struct dirs *d, const char *prefix)
{
    for (size_t i = 0; i < d->nchain; i++)
        for (struct dir *dir = d->chain[i], *next; dir != NULL; dir = next) {
            next = dir->next;
            if (is_below(dir->path, prefix))
                drop(d, dir);
        }
}

void dirs_touch(struct dir *dir, double changed)
{
    dir->changed = fmax(dir->changed, changed);
}

void dirs_count(struct dirs *d, struct dir *dir, int from, int to, double changed)
{
    if (from != DIRS_NO_FILE)
        dir->n[from]--;
    if (to != DIRS_NO_FILE)
        dir->n[to]++;
    dir->stale |= from == DIRS_NO_FILE || to == DIRS_NO_FILE || from == SETTLE_SETTLED;
    dir->lost |= to == DIRS_NO_FILE;
    dirs_touch(dir, changed);
    todo_add(d, dir);
}

/* ---- the tick ---- */

static void tell(const struct dir *dir, enum settle_what what, const char *reason,
                 double now, settle_news_fn *news, void *arg)
{
    struct settle_news n = {.what = what,
                            .path = dir->path,
                            .reason = reason,
                            .id = dir->id,
                            .waited_s = now - dir->began,
                            .again = dir->again};

    news(arg, &n);
}

static double due_at(const struct dirs *d, const struct dir *dir)
{
    return fmax(dir->changed + d->quiet_s, dir->retry);
}

static bool has_trouble(const struct dir *dir)
{
    return dir->n[SETTLE_NEW] + dir->n[SETTLE_GROWING] + dir->n[SETTLE_BAD] > 0;
}

/* What has happened to its files since the last tick. */
static void take_changes(struct dirs *d, struct dir *dir, double now,
                         settle_news_fn *news, void *arg)
{
    if (!dir->stale)
        return;
    if (dir->lost)
        dirs_touch(dir, now);
    dir->stale = dir->lost = false;
    dir->retry = 0;
    dir->wait_s = fmax(d->quiet_s, LEAST_S);
    dir->reason[0] = '\0';
    if (!dir->told)
        return;
    dir->told = false;
    dir->began = now;
    tell(dir, SETTLE_IS_CHANGED, "", now, news, arg);
}

static void wait_on(struct dirs *d, struct dir *dir, double now, settle_news_fn *news,
                    void *arg)
{
    double bound = dir->began + d->max_wait_s;

    dir->retry = now + dir->wait_s;
    dir->wait_s = fmin(2 * dir->wait_s, LONGEST_S);
    if (dir->overdue)
        return;
    if (now >= bound) {
        dir->overdue = true;
        tell(dir, SETTLE_IS_OVERDUE, dir->reason, now, news, arg);
    } else {
        dir->retry = fmin(dir->retry, bound);
    }
}

/* Its files are quiet and whole: is the directory? */
static void look_at(struct dirs *d, struct dir *dir, double now, dirs_look_fn *look,
                    void *look_arg, settle_news_fn *news, void *arg)
{
    struct dirs_look l = {.whole = false};

    look(look_arg, dir->path, &l);
    if (dir->stale) {
        /* The look found files that nobody had told of. */
        snprintf(dir->reason, sizeof dir->reason, "%s", l.reason);
        return;
    }
    if (l.whole && l.passing != dir->passing && l.passing != 0) {
        l.whole = false;
        snprintf(l.reason, sizeof l.reason,
                 "a file with the name of one in the making has changed lately");
    }
    dir->passing = l.passing;
    snprintf(dir->reason, sizeof dir->reason, "%s", l.whole ? "" : l.reason);
    if (!l.whole) {
        wait_on(d, dir, now, news, arg);
        return;
    }
    todo_remove(d, dir);
    dir->told = true;
    dir->overdue = false;
    dir->wait_s = fmax(d->quiet_s, LEAST_S);
    dir->again = dir->id.ino != 0;
    dir->id = l.id;
    tell(dir, SETTLE_IS_SETTLED, "", now, news, arg);
}

void dirs_tick(struct dirs *d, double now, dirs_look_fn *look, void *look_arg,
               settle_news_fn *news, void *arg)
{
    /* From the end, because what leaves is replaced by the last one, which has had its turn. */
    for (size_t i = d->ntodo; i-- > 0;) {
        struct dir *dir = d->todo[i];

        take_changes(d, dir, now, news, arg);
        if (!has_trouble(dir) && dir->n[SETTLE_SETTLED] == 0) {
            if (dir->id.ino != 0)
                tell(dir, SETTLE_IS_GONE, "", now, news, arg);
            drop(d, dir);
        } else if (has_trouble(dir) || dir->told) {
            todo_remove(d, dir);
        } else if (due_at(d, dir) <= now) {
            look_at(d, dir, now, look, look_arg, news, arg);
        }
    }
}

double dirs_next_s(const struct dirs *d, double now)
{
    double in_s = -1;

    for (size_t i = 0; i < d->ntodo && in_s != 0; i++) {
        const struct dir *dir = d->todo[i];
        bool at_once = dir->stale || has_trouble(dir) || dir->n[SETTLE_SETTLED] == 0;
        double s = at_once ? 0 : fmax(due_at(d, dir) - now, 0);

        in_s = in_s < 0 ? s : fmin(in_s, s);
    }
    return in_s;
}

/* ---- for people ---- */

void dirs_view(const struct dir *dir, struct dirs_view *out)
{
    *out = (struct dirs_view){.path = dir->path,
                              .told = dir->told,
                              .changed = dir->changed,
                              .began = dir->began,
                              .bytes = dir->id.size,
                              .reason = dir->reason};
    memcpy(out->n, dir->n, sizeof out->n);
}

void dirs_each(const struct dirs *d, dirs_each_fn *cb, void *arg)
{
    struct dirs_view view;

    for (size_t i = 0; i < d->nchain; i++)
        for (const struct dir *dir = d->chain[i]; dir != NULL; dir = dir->next) {
            dirs_view(dir, &view);
            cb(arg, &view);
        }
}
