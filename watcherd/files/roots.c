#include "watcherd/files/roots.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/conf.h"
#include "core/err.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/path.h"
#include "watcherd/files/watch.h"

enum { LARGEST = 1 << 20 };

struct roots {
    struct watch *watch;
    char file[PATH_MAX];
    json_t *added;   /* {path: flags} */
    bool ours;       /* to log and to mend */
    unsigned forced; /* flags of every root */
};

/* ---- overlaps ---- */

/* Where a path leads, as far as that can be told; without slashes at its end. */
static void resolve(const char *path, char out[PATH_MAX])
{
    size_t n;

    if (realpath(path, out) == NULL)
        snprintf(out, PATH_MAX, "%s", path);
    for (n = strlen(out); n > 1 && out[n - 1] == '/'; n--)
        out[n - 1] = '\0';
}

static bool holds(const char *outer, const char *inner)
{
    size_t n = strlen(outer);

    return strncmp(outer, inner, n) == 0 && (inner[n] == '/' || n == 1);
}

struct candidate {
    char path[PATH_MAX], other[PATH_MAX];
    unsigned flags;
    char rival[PATH_MAX]; /* the root that it overlaps; empty: none */
};

static void compare(void *arg, const char *path, unsigned flags, bool attached)
{
    struct candidate *c = arg;

    (void)attached;
    resolve(path, c->other);
    if (strcmp(c->path, c->other) == 0 ||
        ((flags & WATCH_RECURSIVE) && holds(c->other, c->path)) ||
        ((c->flags & WATCH_RECURSIVE) && holds(c->path, c->other)))
        snprintf(c->rival, sizeof c->rival, "%s", path);
}

/* Watch it, unless another root sees its files already. */
static int watch_it(struct roots *r, const char *path, unsigned flags, struct err *e)
{
    struct candidate *c = mem_calloc(1, sizeof *c);
    int rc = 0;

    flags |= r->forced;
    resolve(path, c->path);
    c->flags = flags;
    watch_each_root(r->watch, compare, c);
    if (c->rival[0] != '\0')
        rc = err_set(e, -EEXIST,
                     "%.100s is not added: its files are those of the root %.100s",
                     path, c->rival);
    free(c);
    return rc != 0 ? rc : watch_add_root(r->watch, path, flags, e);
}

/* ---- the file ---- */

static int save(const struct roots *r, struct err *e)
{
    json_t *list = json_array(), *flags;
    const char *path;
    char *text;
    int rc;

    json_object_foreach(r->added, path, flags)
    {
        json_int_t f = json_integer_value(flags);

        json_array_append_new(list, json_pack("{s:s, s:b, s:b}", "path", path,
                                              "recursive", (f & WATCH_RECURSIVE) != 0,
                                              "poll", (f & WATCH_POLL) != 0));
    }
    list = json_pack("{s:o}", "roots", list);
    text = mem_must(json_dumps(list, JSON_INDENT(1)));
    rc = path_write(r->file, text, strlen(text), e);
    free(text);
    json_decref(list);
    return rc;
}

static void set_aside(const struct roots *r, const char *why)
{
    char to[PATH_MAX + 16];

    if (!r->ours)
        return;
    snprintf(to, sizeof to, "%s.damaged", r->file);
    log_event(LOG_ERROR, "roots", "file", r->file, "reason", why, "moved",
              rename(r->file, to) == 0 ? to : "could not be moved", NULL);
}

static void say_not_added(const struct roots *r, const char *path, const char *why)
{
    if (r->ours)
        log_event(LOG_ERROR, "roots", "root", path, "reason", why, NULL);
}

static void take_up(struct roots *r, const json_t *entry)
{
    const char *path = json_string_value(json_object_get(entry, "path"));
    unsigned flags =
        (json_is_true(json_object_get(entry, "recursive")) ? (unsigned)WATCH_RECURSIVE
                                                           : 0) |
        (json_is_true(json_object_get(entry, "poll")) ? (unsigned)WATCH_POLL : 0);
    struct err e = {0};

    if (path == NULL || path[0] != '/')
        say_not_added(r, r->file, "an entry has no absolute path");
    else if (watch_it(r, path, flags, &e) != 0)
        say_not_added(r, path, e.text);
    else
        json_object_set_new(r->added, path, json_integer((json_int_t)flags));
}

static void load(struct roots *r)
{
    struct err e = {0};
    json_error_t why;
    json_t *all, *list, *entry;
    char *text = NULL;
    size_t n = 0, i;
    int rc = path_read(&text, &n, r->file, LARGEST, &e);

    if (rc == -ENOENT)
        return;
    if (rc != 0) {
        set_aside(r, e.text);
        return;
    }
    all = json_loadb(text, n, 0, &why);
    list = json_object_get(all, "roots");
    if (!json_is_array(list))
        set_aside(r, all == NULL ? why.text : "it has no list of roots");
    json_array_foreach(list, i, entry)
    {
        take_up(r, entry);
    }
    json_decref(all);
    free(text);
}

/* ---- its life ---- */

int roots_open(struct roots **out, struct watch *w, const struct conf *conf, bool ours,
               struct err *e)
{
    struct roots *r = mem_calloc(1, sizeof *r);
    unsigned flags = conf->watch.recursive ? WATCH_RECURSIVE : 0;
    int rc;

    *out = NULL;
    r->watch = w;
    r->ours = ours;
    r->added = json_object();
    if (strcmp(conf->group.pattern, "directory") == 0)
        r->forced = WATCH_RECURSIVE;
    rc = path_join(r->file, sizeof r->file, conf->paths.state, "roots.json", e);
    if (rc == 0)
        rc = watch_add_root(w, conf->paths.incoming, flags, e);
    if (rc != 0) {
        roots_close(r);
        return rc;
    }
    for (const char *p = conf->watch.also; *(p += strspn(p, " ")) != '\0';) {
        char path[sizeof conf->watch.also];
        struct err why = {0};
        size_t n = strcspn(p, " ");

        snprintf(path, sizeof path, "%.*s", (int)n, p);
        if (watch_it(r, path, flags, &why) != 0)
            say_not_added(r, path, why.text);
        p += n;
    }
    load(r);
    *out = r;
    return 0;
}

void roots_close(struct roots *r)
{
    if (r == NULL)
        return;
    json_decref(r->added);
    free(r);
}

bool roots_was_added(const struct roots *r, const char *path)
{
    return json_object_get(r->added, path) != NULL;
}

int roots_add(struct roots *r, const char *path, unsigned flags, struct err *e)
{
    bool again = roots_was_added(r, path);
    json_t *old = json_incref(json_object_get(r->added, path));
    int rc;

    if (path[0] != '/' ||
        json_object_set_new(r->added, path, json_integer((json_int_t)flags)) != 0) {
        json_decref(old);
        return err_set(e, -EINVAL, "a root is an absolute path in UTF-8, unlike %.100s",
                       path);
    }
    rc = again ? watch_add_root(r->watch, path, flags | r->forced, e)
               : watch_it(r, path, flags, e);
    if (rc == 0 && (rc = save(r, e)) != 0 && !again)
        watch_remove_root(r->watch, path,
                          NULL); /* what a restart would forget is not begun */
    if (rc != 0 && old != NULL)
        json_object_set(r->added, path, old);
    else if (rc != 0)
        json_object_del(r->added, path);
    json_decref(old);
    return rc;
}

static void find(void *arg, const char *path, unsigned flags, bool attached)
{
    struct candidate *c = arg;

    (void)flags;
    (void)attached;
    if (strcmp(c->path, path) == 0)
        snprintf(c->rival, sizeof c->rival, "%s", path);
}

int roots_remove(struct roots *r, const char *path, struct err *e)
{
    json_t *old = json_incref(json_object_get(r->added, path));
    int rc;

    if (old == NULL) {
        struct candidate *c = mem_calloc(1, sizeof *c);
        bool fixed;

        snprintf(c->path, sizeof c->path, "%s", path);
        watch_each_root(r->watch, find, c);
        fixed = c->rival[0] != '\0';
        free(c);
        return fixed ? err_set(e, -EPERM,
                               "%.150s is a root of the settings: change it there and "
                               "restart",
                               path)
                     : err_set(e, -ENOENT, "%.150s is not watched", path);
    }
    json_object_del(r->added, path);
    rc = save(r, e);
    if (rc == 0)
        rc = watch_remove_root(r->watch, path, e);
    else
        json_object_set(r->added, path, old);
    json_decref(old);
    return rc;
}
