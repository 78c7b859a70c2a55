#include "watcherd/files/roots.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/incoming.h"
#include "core/log.h"
#include "core/mem.h"
#include "watcherd/files/watch.h"

struct roots {
    struct watch *watch;
    /* Changed by the thread that watches alone, under the mutex; nobody waits for a file system
       while holding that. */
    pthread_mutex_t mutex;
    struct incoming_roots list;
    bool ours; /* to log and to mend */
};

static unsigned flags_of(const struct roots *r, const struct incoming_root *root)
{
    return (incoming_is_recursive(&r->list, root) ? (unsigned)WATCH_RECURSIVE : 0) |
           (root->poll ? (unsigned)WATCH_POLL : 0);
}

static void put(struct roots *r, const struct incoming_root *root)
{
    pthread_mutex_lock(&r->mutex);
    incoming_roots_put(&r->list, root);
    pthread_mutex_unlock(&r->mutex);
}

static void drop(struct roots *r, const char *path)
{
    pthread_mutex_lock(&r->mutex);
    incoming_roots_drop(&r->list, path);
    pthread_mutex_unlock(&r->mutex);
}

/* ---- its life ---- */

static void say_not_added(void *arg, const char *path, const char *why)
{
    const struct roots *r = arg;

    if (r->ours)
        log_event(LOG_ERROR, "roots", "root", path, "reason", why, NULL);
}

static void set_aside(const char *file, const char *why)
{
    char to[PATH_MAX + 16];

    snprintf(to, sizeof to, "%s.damaged", file);
    log_event(LOG_ERROR, "roots", "file", file, "reason", why, "moved",
              rename(file, to) == 0 ? to : "could not be moved", NULL);
}

/* Without [paths] incoming nothing can begin; another one is passed over. */
static int watch_all(struct roots *r, struct err *e)
{
    size_t i = 0;

    while (i < r->list.n) {
        const struct incoming_root *root = &r->list.item[i];
        struct err why = {0};
        int rc =
            watch_add_root(r->watch, root->path, flags_of(r, root), i == 0 ? e : &why);

        if (rc != 0 && i == 0)
            return rc;
        if (rc == 0) {
            i++;
            continue;
        }
        say_not_added(r, root->path, why.text);
        drop(r, root->path);
    }
    return 0;
}

int roots_open(struct roots **out, struct watch *w, const struct conf *conf, bool ours,
               struct err *e)
{
    struct roots *r = mem_calloc(1, sizeof *r);
    int rc;

    *out = NULL;
    r->watch = w;
    r->ours = ours;
    pthread_mutex_init(&r->mutex, NULL);
    rc = ours ? incoming_roots_load(&r->list, conf, say_not_added, r, e)
              : incoming_roots_look(&r->list, conf, e);
    if (rc == 0 && r->list.damaged[0] != '\0')
        set_aside(r->list.file, r->list.damaged);
    if (rc == 0)
        rc = watch_all(r, e);
    if (rc != 0) {
        roots_close(r);
        return rc;
    }
    *out = r;
    return 0;
}

void roots_close(struct roots *r)
{
    if (r == NULL)
        return;
    incoming_roots_clear(&r->list);
    pthread_mutex_destroy(&r->mutex);
    free(r);
}

bool roots_was_added(const struct roots *r, const char *path)
{
    const struct incoming_root *root = incoming_roots_find(&r->list, path);

    return root != NULL && root->added;
}

bool roots_top(struct roots *r, const char *path, char top[PATH_MAX])
{
    bool yes;

    pthread_mutex_lock(&r->mutex);
    yes = incoming_roots_top(&r->list, path, top);
    pthread_mutex_unlock(&r->mutex);
    return yes;
}

int roots_add(struct roots *r, const char *path, unsigned flags, struct err *e)
{
    struct incoming_root root = {.path = (char *)path,
                                 .recursive = (flags & WATCH_RECURSIVE) != 0,
                                 .poll = (flags & WATCH_POLL) != 0,
                                 .added = true};
    bool again = roots_was_added(r, path);
    struct incoming_root old = root;
    int rc = again ? 0 : incoming_roots_fits(&r->list, &root, e);

    if (again)
        old = *incoming_roots_find(&r->list, path);
    if (rc == 0)
        rc = watch_add_root(r->watch, path, flags_of(r, &root), e);
    if (rc != 0)
        return rc;
    put(r, &root);
    rc = incoming_roots_save(&r->list, e);
    if (rc != 0 && again) {
        put(r, &old);
    } else if (rc != 0) { /* what a restart would forget is not begun */
        drop(r, path);
        watch_remove_root(r->watch, path, NULL);
    }
    return rc;
}

int roots_remove(struct roots *r, const char *path, struct err *e)
{
    const struct incoming_root *there = incoming_roots_find(&r->list, path);
    struct incoming_root old;
    int rc;

    if (there == NULL)
        return err_set(e, -ENOENT, "%.150s is not watched", path);
    if (!there->added)
        return err_set(e, -EPERM,
                       "%.150s is a root of the settings: change it there and restart",
                       path);
    old = *there;
    old.path = (char *)path;
    drop(r, path);
    rc = incoming_roots_save(&r->list, e);
    if (rc == 0)
        rc = watch_remove_root(r->watch, path, e);
    else
        put(r, &old);
    return rc;
}
