/*
 * settle_tell.c: what settle knows, for people; see settle.h.
 */
#include "watcherd/files/settle.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "watcherd/files/dirs.h"
#include "watcherd/files/probe.h"
#include "watcherd/files/settle_table.h"

static bool has_bad(const struct dirs_view *v)
{
    return v->n[SETTLE_BAD] > 0;
}

static size_t waiting_in(const struct dirs_view *v)
{
    return v->n[SETTLE_NEW] + v->n[SETTLE_GROWING];
}

/* A directory whose files have all settled waits as well. */
static void count_directory(void *arg, const struct dirs_view *v)
{
    struct settle_stats *out = arg;

    out->waiting += !v->told && !has_bad(v) && waiting_in(v) == 0;
}

void settle_stats(const struct settle *s, double now, struct settle_stats *out)
{
    memset(out, 0, sizeof *out);
    out->known = s->known;
    out->settled = s->nstate[SETTLE_SETTLED];
    out->bad = s->nstate[SETTLE_BAD];
    out->waiting = s->nstate[SETTLE_NEW] + s->nstate[SETTLE_GROWING];
    out->probes = s->probes;
    for (size_t i = 0; i < s->nheap; i++) {
        const struct entry *e = s->heap[i];

        if (settle_at_rest(e))
            continue;
        out->overdue += (e->flags & OVERDUE) != 0;
        if (now - e->began > out->oldest_wait_s)
            out->oldest_wait_s = now - e->began;
        if (e->changed + (double)e->rest_s - now > out->decided_in_s)
            out->decided_in_s = e->changed + (double)e->rest_s - now;
    }
    if (s->dirs != NULL)
        dirs_each(s->dirs, count_directory, out);
}

int settle_state(const struct settle *s, const char *path, enum settle_state *out)
{
    const struct entry *e = settle_find(s, path);

    if (e == NULL)
        return -ENOENT;
    *out = (enum settle_state)e->state;
    return 0;
}

static int why_file(const struct settle *s, const char *path, char *buf, size_t size,
                    double now)
{
    static const char *const word[] = {"new", "growing", "settled", "bad"};
    const struct entry *e = settle_find(s, path);
    struct probe_result r;
    double left;

    if (e == NULL)
        return snprintf(buf, size, "not known");
    if (e->state == SETTLE_SETTLED)
        return snprintf(buf, size, "settled, %" PRIu64 " bytes", e->id.size);
    probe_file(AT_FDCWD, path, &r);
    settle_limits(s, path, &r);
    if (e->state == SETTLE_BAD)
        return snprintf(buf, size, "bad: %s", r.reason);
    left = e->due > now ? e->due - now : 0;
    return snprintf(buf, size,
                    "%s: %s; last change %.1f s ago, waiting since %.1f s, "
                    "next look in %.1f s",
                    word[e->state],
                    r.verdict == PROBE_OK ? "not quiet for long enough" : r.reason,
                    now - e->changed, now - e->began, left);
}

/* The first file in the table that keeps this directory waiting: a bad one if there is one. */
static const struct entry *culprit(const struct settle *s, const struct dir *dir)
{
    const struct entry *found = NULL;

    for (size_t i = 0; i <= s->mask; i++) {
        const struct entry *e = s->table[i];

        if (e == NULL || e->dir != dir || e->state == SETTLE_SETTLED)
            continue;
        if (e->state == SETTLE_BAD)
            return e;
        found = e;
    }
    return found;
}

static int why_directory(const struct settle *s, const struct dir *dir, char *buf,
                         size_t size, double now)
{
    const struct entry *e = culprit(s, dir);
    struct dirs_view v;
    char why[512];

    dirs_view(dir, &v);
    if (v.told)
        return snprintf(buf, size, "settled, %zu files, %" PRIu64 " bytes",
                        v.n[SETTLE_SETTLED], v.bytes);
    if (e == NULL && v.reason[0] != '\0')
        return snprintf(buf, size, "waiting: %s; since %.1f s", v.reason,
                        now - v.began);
    if (e == NULL)
        return snprintf(buf, size,
                        "all %zu files have settled; quiet for %.1f of %.1f s",
                        v.n[SETTLE_SETTLED], now - v.changed, s->opts.quiet_s);
    why_file(s, e->path, why, sizeof why, now);
    return snprintf(buf, size, "%zu of %zu files have settled; %s %s",
                    v.n[SETTLE_SETTLED],
                    v.n[SETTLE_SETTLED] + v.n[SETTLE_BAD] + waiting_in(&v),
                    e->path + strlen(v.path) + 1, why);
}

int settle_why(const struct settle *s, const char *path, char *buf, size_t size,
               double now)
{
    const struct dir *dir = s->dirs != NULL ? dirs_find(s->dirs, path) : NULL;

    return dir != NULL ? why_directory(s, dir, buf, size, now)
                       : why_file(s, path, buf, size, now);
}

struct each {
    settle_each_fn *cb;
    void *arg;
    double now;
};

static void each_directory(void *arg, const struct dirs_view *v)
{
    const struct each *each = arg;

    if (!v->told)
        each->cb(each->arg, v->path,
                 has_bad(v) && waiting_in(v) == 0 ? SETTLE_BAD : SETTLE_GROWING,
                 each->now - v->began);
}

void settle_each_unsettled(const struct settle *s, double now, settle_each_fn *cb,
                           void *arg)
{
    struct each each = {cb, arg, now};

    if (s->dirs != NULL) {
        dirs_each(s->dirs, each_directory, &each);
        return;
    }
    for (size_t i = 0; i <= s->mask; i++) {
        const struct entry *e = s->table[i];

        if (e != NULL && e->state != SETTLE_SETTLED)
            cb(arg, e->path, (enum settle_state)e->state, now - e->began);
    }
}
