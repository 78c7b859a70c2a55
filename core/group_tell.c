/*
 * group_tell.c: see group.h; what is told of the groups: news, views and words.  Which groups
 * there are is decided in group.c.
 */
#include "core/group.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/group_table.h"

const char *group_state_name(enum group_state state)
{
    static const char *const name[] = {"collecting", "partial", "enqueued",
                                       "done",       "failed",  "set aside"};

    return name[state];
}

static void name_of(const struct group *g, char out[GROUP_NAME])
{
    if (g->name != NULL)
        snprintf(out, GROUP_NAME, "%s", g->name);
    else
        groupname_of_time(out, g->unix_s);
}

static void view_of(struct group_table *t, const struct group *g, struct group_view *v)
{
    memset(v, 0, sizeof *v);
    memset(t->member, 0, (size_t)t->opts.expected * sizeof *t->member);
    name_of(g, v->name);
    v->state = g->state;
    v->expected = t->opts.expected;
    v->present = g->present;
    v->complete = g->present == t->opts.expected;
    v->member = t->member;
    v->last_arrival = g->last_arrival;
    for (size_t i = group_file_place(t, g->unix_s - t->tolerance_s);
         i < t->nfile && t->file[i]->unix_s <= g->unix_s + t->tolerance_s; i++) {
        const struct file *f = t->file[i];

        if (f->group != g || f->gone)
            continue;
        v->duplicates += f->role == ROLE_DUPLICATE;
        v->surplus += f->role == ROLE_SURPLUS;
        v->late += f->role == ROLE_LATE;
        if (f->role == ROLE_MEMBER)
            t->member[f->index] =
                (struct group_member){.path = f->path,
                                      .id = f->id,
                                      .unix_s = g->name == NULL ? f->unix_s : 0};
    }
}

static void tell(struct group_table *t, const struct group *g, enum group_what what,
                 const char *path, group_news_fn *cb, void *arg)
{
    struct group_view v;
    struct group_news n = {.what = what, .group = &v, .path = path};

    view_of(t, g, &v);
    cb(arg, &n);
}

static double deadline_of(const struct group_table *t, const struct group *g)
{
    return t->opts.deadline_s > 0 ? g->last_arrival + t->opts.deadline_s : HUGE_VAL;
}

static void tell_ready(struct group_table *t, struct group *g, double now,
                       group_news_fn *cb, void *arg)
{
    if (g->present == t->opts.expected) {
        tell(t, g, GROUP_IS_COMPLETE, NULL, cb, arg);
        return;
    }
    if (now < deadline_of(t, g))
        return;
    g->state = GROUP_PARTIAL;
    if (t->opts.policy == GROUP_PROCESS && g->present > 0 &&
        g->present >= t->opts.min_members) {
        tell(t, g, GROUP_IS_PROCESSABLE, NULL, cb, arg);
    } else if (t->opts.policy == GROUP_QUARANTINE) {
        tell(t, g, GROUP_IS_QUARANTINED, NULL, cb, arg);
    } else if (!g->told) {
        g->told = true;
        tell(t, g, GROUP_IS_PARTIAL, NULL, cb, arg);
    }
}

/* Tell once of each file that is no member, or no longer what it was. */
static void tell_odd(struct group_table *t, struct group *g, group_news_fn *cb,
                     void *arg)
{
    static const enum group_what what[] = {[ROLE_DUPLICATE] = GROUP_HAS_DUPLICATE,
                                           [ROLE_SURPLUS] = GROUP_HAS_SURPLUS,
                                           [ROLE_LATE] = GROUP_HAS_LATE};

    g->odd = false;
    for (size_t i = group_file_place(t, g->unix_s - t->tolerance_s);
         i < t->nfile && t->file[i]->unix_s <= g->unix_s + t->tolerance_s; i++) {
        struct file *f = t->file[i];

        if (f->group != g)
            continue;
        if (f->rewritten)
            tell(t, g, GROUP_HAS_REWRITTEN, f->path, cb, arg);
        else if (!f->told && !f->gone && f->role >= ROLE_DUPLICATE)
            tell(t, g, what[f->role], f->path, cb, arg);
        f->told = f->told || f->role >= ROLE_DUPLICATE;
        f->rewritten = false;
    }
}

void group_ready(struct group_table *t, double now, group_news_fn *cb, void *arg)
{
    group_resolve(t);
    for (size_t i = 0; i < t->ngroup; i++)
        if (!group_frozen(t->group[i]))
            tell_ready(t, t->group[i], now, cb, arg);
    for (size_t i = 0; i < t->ngroup; i++)
        if (t->group[i]->odd && t->group[i]->state != GROUP_COLLECTING)
            tell_odd(t, t->group[i], cb, arg);
}

double group_next_s(struct group_table *t, double now)
{
    double next = HUGE_VAL;

    group_resolve(t);
    for (size_t i = 0; i < t->ngroup; i++) {
        const struct group *g = t->group[i];

        if (g->state == GROUP_COLLECTING && g->present < t->opts.expected &&
            deadline_of(t, g) < next)
            next = deadline_of(t, g);
    }
    if (next == HUGE_VAL)
        return -1;
    return next > now ? next - now : 0;
}

int group_find(struct group_table *t, const char *name, group_each_fn *cb, void *arg)
{
    struct group_view v;
    struct group *g;
    int64_t unix_s;

    group_resolve(t);
    if (groupname_key(&t->rule, name, &unix_s) != 0 ||
        (g = group_at(t, unix_s)) == NULL)
        return -ENOENT;
    if (cb != NULL) {
        view_of(t, g, &v);
        cb(arg, &v);
    }
    return 0;
}

void group_each(struct group_table *t, group_each_fn *cb, void *arg)
{
    struct group_view v;

    group_resolve(t);
    for (size_t i = 0; i < t->ngroup; i++) {
        view_of(t, t->group[i], &v);
        cb(arg, &v);
    }
}

int group_of(struct group_table *t, const char *path, char name[GROUP_NAME],
             const char **role)
{
    static const char *const word[] = {"", "member", "duplicate", "surplus", "late"};
    const struct file *found = NULL;
    struct groupname_hit hit;

    group_resolve(t);
    if (groupname_parse(&t->rule, group_base_of(path), &hit) != 0)
        return -ENOENT;
    for (size_t i = group_file_place(t, hit.key);
         i < t->nfile && t->file[i]->unix_s == hit.key; i++) {
        const struct file *f = t->file[i];

        if (f->gone || strcmp(group_base_of(f->path), group_base_of(path)) != 0)
            continue;
        if (found == NULL || strcmp(f->path, path) == 0)
            found = f;
    }
    if (found == NULL)
        return -ENOENT;
    name_of(found->group, name);
    *role = word[found->role];
    return 0;
}

/* ---- in words ---- */

struct text {
    char *buf;
    size_t size, len;
};

__attribute__((format(printf, 2, 3))) static void put(struct text *t, const char *fmt,
                                                      ...)
{
    size_t room = t->len < t->size ? t->size - t->len : 0;
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(room > 0 ? t->buf + t->len : NULL, room, fmt, ap);
    va_end(ap);
    t->len += n > 0 ? (size_t)n : 0;
}

/* A name that has no group: say which is nearest. */
static void why_not(const struct group_table *t, const char *name, struct text *out)
{
    char near[GROUP_NAME];
    int64_t unix_s, off;
    size_t i;

    if (groupname_key(&t->rule, name, &unix_s) != 0) {
        put(out, "no group: the name is not like %s",
            t->rule.timed ? "2025-05-07T00:04:06" : "that of a group");
        return;
    }
    put(out, "no file of such a group has arrived");
    if (t->ngroup == 0 || !t->rule.timed)
        return;
    i = group_place(t, unix_s);
    if (i == t->ngroup ||
        (i > 0 && unix_s - t->group[i - 1]->unix_s < t->group[i]->unix_s - unix_s))
        i--;
    off = t->group[i]->unix_s - unix_s;
    name_of(t->group[i], near);
    put(out, "; the nearest group is %s, %lld s %s", near, (long long)llabs(off),
        off < 0 ? "earlier" : "later");
}

static void why_extra(const struct group_table *t, const struct group *g,
                      struct text *out)
{
    static const char *const word[] = {[ROLE_DUPLICATE] = "duplicate",
                                       [ROLE_SURPLUS] = "surplus",
                                       [ROLE_LATE] = "late"};
    int said = 0;

    for (size_t i = group_file_place(t, g->unix_s - t->tolerance_s);
         i < t->nfile && t->file[i]->unix_s <= g->unix_s + t->tolerance_s; i++) {
        const struct file *f = t->file[i];

        if (f->group == g && !f->gone && f->role >= ROLE_DUPLICATE && said++ < 8)
            put(out, "; %s: %s", word[f->role], group_base_of(f->path));
    }
    if (said > 8)
        put(out, " and %d more", said - 8);
}

int group_why(struct group_table *t, const char *name, char *buf, size_t size,
              double now)
{
    struct text out = {.buf = buf, .size = size};
    const struct group *g = NULL;
    struct group_view v;
    int64_t unix_s;

    group_resolve(t);
    if (groupname_key(&t->rule, name, &unix_s) == 0)
        g = group_at(t, unix_s);
    if (g == NULL) {
        why_not(t, name, &out);
        return (int)out.len;
    }
    view_of(t, g, &v);
    put(&out, "%s, %d of %d", group_state_name(v.state), v.present, v.expected);
    if (!v.complete)
        put(&out, ": missing");
    for (int i = 0; i < v.expected && !v.complete; i++)
        if (v.member[i].path == NULL)
            put(&out, t->rule.hdf5 ? " sb%02d" : " %02d", i);
    if (v.last_arrival > -HUGE_VAL)
        put(&out, "; last arrival %.0f s ago", now - v.last_arrival);
    if (v.state == GROUP_COLLECTING && !v.complete && t->opts.deadline_s > 0)
        put(&out, ", partial in %.0f s",
            deadline_of(t, g) > now ? deadline_of(t, g) - now : 0.0);
    why_extra(t, g, &out);
    return (int)out.len;
}

void group_stats(struct group_table *t, struct group_stats *out)
{
    group_resolve(t);
    memset(out, 0, sizeof *out);
    out->files = t->nfile;
    out->groups = t->ngroup;
    out->foreign = t->foreign;
    for (size_t i = 0; i < t->ngroup; i++) {
        const struct group *g = t->group[i];

        if (group_frozen(g))
            out->frozen++;
        else if (g->present == t->opts.expected)
            out->complete++;
        else
            out->collecting++;
    }
}
