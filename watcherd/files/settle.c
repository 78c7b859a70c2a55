/*
 * settle.c: see settle.h.
 *
 * Files are found by path in an open-addressing table of pointers (linear probing, backward
 * shift on removal).  Those that wait are also in a binary heap by the time of their next
 * look, so a tick costs what is due and not what is known.  Settled and bad files that a scan
 * has seen again stand in a list that is worked off with what time a tick has left.
 *
 * Events do not move a file in the heap unless it becomes due earlier: they only note the
 * time, and the look that comes too early goes back for the rest of the quiet period.
 */
#include "watcherd/files/settle.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/dirsum.h"
#include "core/err.h"
#include "core/mem.h"
#include "core/path.h"
#include "core/text.h"
#include "watcherd/files/dirs.h"
#include "watcherd/files/probe.h"
#include "watcherd/files/settle_table.h"

enum { TICK_PROBES = 512, TICK_RECHECKS = 512 };
static const double LEAST_QUIET_S = 0.05; /* between two looks when quiet_s is 0 */
static const double LONGEST_S = 60;       /* between two looks, ever */
static const double REST = 3;       /* quiet periods after which at_rest counts ... */
static const double LONG_REST = 30; /* ... and when a writer cannot be ruled out */

/* ---- the table ---- */

static uint32_t hash_of(const char *path)
{
    uint64_t h = 14695981039346656037u; /* FNV-1a, then mixed once */

    for (; *path != '\0'; path++)
        h = (h ^ (uint8_t)*path) * 1099511628211u;
    h ^= h >> 32;
    return (uint32_t)(h * 0x9E3779B97F4A7C15u >> 32);
}

/* The place of the path, or the empty one where it would go. */
static size_t place_of(const struct settle *s, const char *path, uint32_t hash)
{
    size_t i = hash & s->mask;

    while (s->table[i] != NULL &&
           (s->table[i]->hash != hash || strcmp(s->table[i]->path, path) != 0))
        i = (i + 1) & s->mask;
    return i;
}

struct entry *settle_find(const struct settle *s, const char *path)
{
    return s->table[place_of(s, path, hash_of(path))];
}

static void table_grow(struct settle *s)
{
    struct entry **old = s->table;
    size_t n = s->mask + 1;

    s->mask = 2 * n - 1;
    s->table = mem_calloc(2 * n, sizeof *s->table);
    for (size_t i = 0; i < n; i++)
        if (old[i] != NULL)
            s->table[place_of(s, old[i]->path, old[i]->hash)] = old[i];
    free(old);
}

/* Length of the part of a path that is its directory directly below a root; 0: none. */
static size_t directory_length(const struct settle *s, const char *path)
{
    const char *root = s->dirs == NULL ? NULL : s->rule.root_of(s->rule.arg, path);
    size_t n;

    if (root == NULL)
        return 0;
    n = strlen(root);
    n += strspn(path + n, "/");
    return strchr(path + n, '/') == NULL ? 0 : n + strcspn(path + n, "/");
}

static struct entry *table_add(struct settle *s, const char *path, double now)
{
    size_t len = strlen(path) + 1;
    struct entry *e = mem_calloc(1, sizeof *e + len);

    if (4 * (s->known + 1) > 3 * (s->mask + 1))
        table_grow(s);
    memcpy(e->path, path, len);
    e->hash = hash_of(path);
    s->table[place_of(s, path, e->hash)] = e;
    s->known++;
    s->nstate[SETTLE_NEW]++;
    len = directory_length(s, path);
    if (len > 0) {
        e->dir = dirs_take(s->dirs, path, len, now);
        dirs_count(s->dirs, e->dir, DIRS_NO_FILE, SETTLE_NEW, now);
    }
    return e;
}

static void table_remove(struct settle *s, const struct entry *e)
{
    size_t gap = place_of(s, e->path, e->hash);

    for (size_t i = (gap + 1) & s->mask; s->table[i] != NULL; i = (i + 1) & s->mask) {
        size_t home = s->table[i]->hash & s->mask;

        if (((i - home) & s->mask) >= ((i - gap) & s->mask)) {
            s->table[gap] = s->table[i];
            gap = i;
        }
    }
    s->table[gap] = NULL;
    s->known--;
}

/* ---- the heap ---- */

static void heap_put(struct settle *s, struct entry *e, size_t i)
{
    s->heap[i] = e;
    e->heap = (uint32_t)i + 1;
}

static void heap_up(struct settle *s, struct entry *e, size_t i)
{
    for (; i > 0 && s->heap[(i - 1) / 2]->due > e->due; i = (i - 1) / 2)
        heap_put(s, s->heap[(i - 1) / 2], i);
    heap_put(s, e, i);
}

static void heap_down(struct settle *s, struct entry *e, size_t i)
{
    for (size_t child; (child = 2 * i + 1) < s->nheap; i = child) {
        if (child + 1 < s->nheap && s->heap[child + 1]->due < s->heap[child]->due)
            child++;
        if (s->heap[child]->due >= e->due)
            break;
        heap_put(s, s->heap[child], i);
    }
    heap_put(s, e, i);
}

static void heap_remove(struct settle *s, struct entry *e)
{
    size_t i = e->heap - 1;
    struct entry *last;

    if (e->heap == 0)
        return;
    e->heap = 0;
    last = s->heap[--s->nheap];
    if (last == e)
        return;
    heap_up(s, last, i);
    heap_down(s, last, last->heap - 1);
}

/* Have e looked at again at `due`. */
static void schedule(struct settle *s, struct entry *e, double due)
{
    heap_remove(s, e);
    if (s->nheap == s->heap_room) {
        s->heap_room = s->heap_room == 0 ? 64 : 2 * s->heap_room;
        s->heap = mem_realloc(s->heap, s->heap_room * sizeof(struct entry *));
    }
    e->due = due;
    heap_up(s, e, s->nheap++);
}

/* ---- one file ---- */

static void set_state(struct settle *s, struct entry *e, enum settle_state state)
{
    s->nstate[e->state]--;
    s->nstate[state]++;
    if (e->dir != NULL && e->state != state)
        dirs_count(s->dirs, e->dir, e->state, (int)state, e->changed);
    e->state = (uint8_t)state;
}

static void drop(struct settle *s, struct entry *e)
{
    heap_remove(s, e);
    table_remove(s, e);
    s->nstate[e->state]--;
    if (e->dir != NULL)
        dirs_count(s->dirs, e->dir, e->state, DIRS_NO_FILE, e->changed);
    if (e->flags & QUEUED) /* freed when its turn comes */
        e->flags |= DEAD;
    else
        free(e);
}

/* Is what `r` saw other than what we remember?  A chmod may have made a bad file readable. */
static bool differs(const struct entry *e, const struct probe_result *r)
{
    return !file_id_equal(&e->id, &r->id) ||
           (e->state != SETTLE_SETTLED && e->ctime_ns != r->ctime_ns);
}

static void happened(struct entry *e, double now)
{
    e->changed = now;
    if (e->dir != NULL)
        dirs_touch(e->dir, now);
}

static void remember(struct entry *e, const struct probe_result *r, double now)
{
    e->id = r->id;
    e->ctime_ns = r->ctime_ns;
    happened(e, now);
}

static void tell(const struct entry *e, enum settle_what what, const char *reason,
                 double now, settle_news_fn *news, void *arg)
{
    struct settle_news n = {.what = what,
                            .path = e->path,
                            .reason = reason,
                            .id = e->id,
                            .waited_s = now - e->began,
                            .again = (e->flags & AGAIN) != 0};

    news(arg, &n);
}

struct settle *settle_new(const struct settle_opts *opts)
{
    struct settle *s = mem_calloc(1, sizeof *s);

    s->opts = *opts;
    if (s->opts.max_wait_s <= 0)
        s->opts.max_wait_s = 1800;
    if (s->opts.recheck_s <= 0)
        s->opts.recheck_s = 30;
    s->quiet_s = opts->quiet_s > LEAST_QUIET_S ? opts->quiet_s : LEAST_QUIET_S;
    s->mask = 255;
    s->table = mem_calloc(s->mask + 1, sizeof *s->table);
    s->recheck_end = &s->recheck;
    return s;
}

void settle_free(struct settle *s)
{
    if (s == NULL)
        return;
    for (struct entry *e = s->recheck, *next; e != NULL; e = next) {
        next = e->next;
        if (e->flags & DEAD)
            free(e);
    }
    for (size_t i = 0; i <= s->mask; i++)
        free(s->table[i]);
    free(s->table);
    free(s->heap);
    dirs_free(s->dirs);
    free(s);
}

void settle_by_directory(struct settle *s, const struct settle_rule *rule)
{
    s->rule = *rule;
    s->dirs = dirs_new(s->opts.quiet_s, s->opts.max_wait_s);
}

static void queue_recheck(struct settle *s, struct entry *e)
{
    if (e->flags & QUEUED)
        return;
    e->flags |= QUEUED;
    e->next = NULL;
    *s->recheck_end = e;
    s->recheck_end = &e->next;
}

/* Files count; of the rest symbolic links, to be told of, but not those in a directory that
 * settles as one: what is in it is its writer's affair. */
static bool counts(const struct settle *s, const char *path,
                   const struct probe_result *r)
{
    return r->regular || r->id.ino == 0 || (r->link && directory_length(s, path) == 0);
}

/* A path not known yet: the first of the two looks. */
static void dirty_new(struct settle *s, const char *path, enum settle_how how,
                      double now)
{
    struct probe_result r;
    struct entry *e;

    probe_look(AT_FDCWD, path, &r);
    if (r.verdict == PROBE_GONE || !counts(s, path, &r))
        return; /* created and removed, or no regular file */
    e = table_add(s, path, now);
    e->began = now;
    e->wait_s = (float)s->quiet_s;
    remember(e, &r, now);
    if (how == SETTLE_RENAMED || r.link)
        e->flags |= RENAMED;
    schedule(s, e, e->flags & RENAMED ? now : now + s->opts.quiet_s);
}

/* One that is settled or bad: news only if it differs. */
static void dirty_at_rest(struct settle *s, struct entry *e, enum settle_how how,
                          double now)
{
    struct probe_result r;

    probe_look(AT_FDCWD, e->path, &r);
    e->looked = now;
    if (r.verdict == PROBE_OK && !differs(e, &r))
        return;
    e->flags |= CHANGED;
    if (how == SETTLE_RENAMED)
        e->flags |= RENAMED;
    e->changed = now;
    schedule(s, e, now);
}

void settle_dirty(struct settle *s, const char *path, enum settle_how how, double now)
{
    struct entry *e = settle_find(s, path);

    if (s->dirs != NULL && dirsum_is_lock(path))
        return; /* readers write into it */
    if (e == NULL) {
        dirty_new(s, path, how, now);
    } else if (settle_at_rest(e) && (e->flags & CHANGED) == 0) {
        if (how != SETTLE_SCANNED)
            dirty_at_rest(s, e, how, now);
        else if (now - e->looked >= s->opts.recheck_s)
            queue_recheck(s, e);
    } else if (how == SETTLE_RENAMED) {
        e->flags |= RENAMED;
        schedule(s, e, now);
    } else if (how == SETTLE_CLOSED) {
        happened(e, now);
        e->wait_s = (float)s->quiet_s;
        if (e->due > now + s->opts.quiet_s)
            schedule(s, e, now + s->opts.quiet_s);
    }
}

/* Is path below prefix?  NULL is above everything. */
static bool below(const char *path, const char *prefix)
{
    size_t n;

    if (prefix == NULL)
        return true;
    n = strlen(prefix);
    while (n > 0 && prefix[n - 1] == '/')
        n--;
    return strncmp(path, prefix, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

void settle_recheck(struct settle *s, const char *prefix, double now)
{
    for (size_t i = 0; i <= s->mask; i++) {
        struct entry *e = s->table[i];

        if (e != NULL && settle_at_rest(e) && now - e->looked >= s->opts.recheck_s &&
            below(e->path, prefix))
            queue_recheck(s, e);
    }
}

void settle_forget(struct settle *s, const char *prefix)
{
    struct entry **gone = mem_calloc(s->known + 1, sizeof(struct entry *));
    size_t n = 0;

    for (size_t i = 0; i <= s->mask; i++)
        if (s->table[i] != NULL && below(s->table[i]->path, prefix))
            gone[n++] = s->table[i];
    while (n > 0)
        drop(s, gone[--n]);
    free(gone);
    if (s->dirs != NULL)
        dirs_forget(s->dirs, prefix);
}

/* ---- the tick ---- */

/* The verdict, with everything considered but how long the file has been quiet. */
static enum probe_verdict judge(const struct settle *s, const struct entry *e,
                                double now, struct probe_result *r)
{
    double rest = (now - e->changed) / s->quiet_s;
    bool no_writer = r->writer == PROBE_WRITER_NONE && rest >= REST;

    if (r->verdict == PROBE_WAIT &&
        (no_writer || (r->at_rest == PROBE_OK && r->writer == PROBE_WRITER_UNKNOWN &&
                       rest >= LONG_REST)))
        r->verdict = r->at_rest;
    if (s->dirs != NULL && r->id.size == 0 && r->verdict == PROBE_WAIT &&
        (no_writer || (r->writer == PROBE_WRITER_UNKNOWN && rest >= LONG_REST)))
        r->verdict = PROBE_OK; /* a marker in a directory */
    return settle_limits(s, e->path, r);
}

enum probe_verdict settle_limits(const struct settle *s, const char *path,
                                 struct probe_result *r)
{
    if (r->verdict != PROBE_OK || r->id.size == 0)
        return r->verdict;
    if (!text_is_utf8(path)) {
        snprintf(
            r->reason, sizeof r->reason,
            "its path is not UTF-8, in which tasks and manifests name files: rename "
            "it or its folder");
        r->verdict = PROBE_BAD;
    } else if (r->id.size < s->opts.min_bytes) {
        snprintf(r->reason, sizeof r->reason,
                 "%" PRIu64 " bytes are fewer than the %" PRIu64 " allowed", r->id.size,
                 s->opts.min_bytes);
        r->verdict = PROBE_BAD;
    } else if (s->opts.max_bytes != 0 && r->id.size > s->opts.max_bytes) {
        snprintf(r->reason, sizeof r->reason,
                 "%" PRIu64 " bytes are more than the %" PRIu64 " allowed", r->id.size,
                 s->opts.max_bytes);
        r->verdict = PROBE_BAD;
    }
    return r->verdict;
}

/* The quiet time after which judge takes at_rest, s; 0: quiet alone decides nothing. */
static double rest_of(const struct settle *s, const struct probe_result *r)
{
    if (r->writer == PROBE_WRITER_NONE && r->at_rest != PROBE_WAIT)
        return REST * s->quiet_s;
    if (r->writer == PROBE_WRITER_UNKNOWN && r->at_rest == PROBE_OK)
        return LONG_REST * s->quiet_s;
    return 0;
}

/* Not whole yet: decide when to look again, and whether to report it as overdue. */
static void wait_on(struct settle *s, struct entry *e, const struct probe_result *r,
                    double now, settle_news_fn *news, void *arg)
{
    double due = now + (double)e->wait_s, bound = e->began + s->opts.max_wait_s;

    set_state(s, e, SETTLE_GROWING);
    e->rest_s = (float)rest_of(s, r);
    e->wait_s = e->wait_s < LONGEST_S / 2 ? 2 * e->wait_s : (float)LONGEST_S;
    if (e->changed + (double)e->rest_s > now && e->changed + (double)e->rest_s < due)
        due = e->changed + (double)e->rest_s;
    if ((e->flags & OVERDUE) == 0 && now < bound && due > bound)
        due = bound;
    schedule(s, e, due);
    if ((e->flags & OVERDUE) == 0 && now >= bound) {
        e->flags |= OVERDUE;
        tell(e, SETTLE_IS_OVERDUE,
             r->reason[0] != '\0' ? r->reason : "still being written", now, news, arg);
    }
}

static void come_to_rest(struct settle *s, struct entry *e,
                         const struct probe_result *r, double now, settle_news_fn *news,
                         void *arg)
{
    bool ok = r->verdict == PROBE_OK;

    set_state(s, e, ok ? SETTLE_SETTLED : SETTLE_BAD);
    e->looked = now;
    e->flags &= (uint8_t) ~(RENAMED | OVERDUE);
    tell(e,
         ok        ? SETTLE_IS_SETTLED
         : r->link ? SETTLE_IS_IGNORED
                   : SETTLE_IS_BAD,
         ok ? "" : r->reason, now, news, arg);
    if (ok)
        e->flags |= AGAIN;
}

/* It was settled or bad and does not look the same: begin again. */
static void begin_again(struct settle *s, struct entry *e, double now,
                        settle_news_fn *news, void *arg)
{
    bool was_settled = e->state == SETTLE_SETTLED;
    struct probe_result r;

    e->flags &= (uint8_t)~CHANGED;
    probe_look(AT_FDCWD, e->path, &r);
    if (r.verdict == PROBE_GONE || !counts(s, e->path, &r)) {
        heap_remove(s, e);
        tell(e, SETTLE_IS_GONE, "", now, news, arg);
        drop(s, e);
        return;
    }
    set_state(s, e, SETTLE_GROWING);
    e->began = now;
    e->wait_s = (float)s->quiet_s;
    schedule(s, e, e->flags & RENAMED ? now : now + s->opts.quiet_s);
    if (was_settled)
        tell(e, SETTLE_IS_CHANGED, "", now, news, arg);
    remember(e, &r, now);
}

/* Look at a file whose time has come. */
static void look(struct settle *s, struct entry *e, double now, settle_news_fn *news,
                 void *arg)
{
    struct probe_result r, l;
    bool late = (e->flags & OVERDUE) == 0 && now >= e->began + s->opts.max_wait_s;

    if (e->flags & CHANGED) {
        begin_again(s, e, now, news, arg);
        return;
    }
    if ((e->flags & RENAMED) == 0 && now < e->changed + s->opts.quiet_s && !late) {
        schedule(s, e, e->changed + s->opts.quiet_s);
        return;
    }
    s->probes++;
    probe_file(AT_FDCWD, e->path, &r);
    if (r.id.ino == 0 && r.verdict != PROBE_GONE &&
        probe_look(AT_FDCWD, e->path, &l) != PROBE_GONE) {
        r.id = l.id; /* could not be opened */
        r.ctime_ns = l.ctime_ns;
        r.regular = l.regular;
        r.link = l.link;
    }
    if (r.verdict == PROBE_GONE || !counts(s, e->path, &r)) {
        if (e->flags & AGAIN)
            tell(e, SETTLE_IS_GONE, "", now, news, arg);
        drop(s, e);
        return;
    }
    if (differs(e, &r)) {
        remember(e, &r, now);
        e->flags &= (uint8_t)~RENAMED;
        e->wait_s = (float)s->quiet_s;
        wait_on(s, e, &r, now, news, arg);
        e->wait_s = (float)s->quiet_s;
        return;
    }
    if (now < e->changed + s->opts.quiet_s && (e->flags & RENAMED) == 0)
        r.verdict = PROBE_WAIT; /* only here because it is late */
    else
        judge(s, e, now, &r);
    e->flags &= (uint8_t)~RENAMED;
    if (r.verdict == PROBE_WAIT)
        wait_on(s, e, &r, now, news, arg);
    else
        come_to_rest(s, e, &r, now, news, arg);
}

static void work_off_rechecks(struct settle *s, double now)
{
    for (int n = 0; n < TICK_RECHECKS && s->recheck != NULL; n++) {
        struct entry *e = s->recheck;

        s->recheck = e->next;
        if (s->recheck == NULL)
            s->recheck_end = &s->recheck;
        e->flags &= (uint8_t)~QUEUED;
        if (e->flags & DEAD)
            free(e);
        else if (settle_at_rest(e) && (e->flags & CHANGED) == 0)
            dirty_at_rest(s, e, SETTLE_SCANNED, now);
    }
}

/* ---- directories ---- */

struct reader {
    struct settle *s;
    double now;
    struct dirs_look *out;
    settle_news_fn *news;
    void *arg;
};

/* A file of a directory that is quiet: we must know it, and as it is. */
static void check_file(void *arg, const char *path, const struct file_id *id)
{
    struct reader *r = arg;
    const struct entry *e = settle_find(r->s, path);
    bool known = e != NULL && e->state == SETTLE_SETTLED && file_id_equal(&e->id, id);

    if (known || !r->s->rule.wants(r->s->rule.arg, path_base(path)))
        return;
    settle_dirty(r->s, path, e == NULL ? SETTLE_SCANNED : SETTLE_CLOSED, r->now);
    r->out->whole = false;
    snprintf(r->out->reason, sizeof r->out->reason, "%.180s %s", path_base(path),
             e == NULL ? "is new" : "has changed");
}

static void look_at_directory(void *arg, const char *path, struct dirs_look *out)
{
    struct reader *r = arg;
    struct probe_result probe;
    struct err e = {0};
    struct dirsum sum;

    r->out = out;
    out->whole = true;
    if (dirsum_look(&sum, path, check_file, r, &e) != 0) {
        out->whole = false;
        snprintf(out->reason, sizeof out->reason, "%.220s", e.text);
    }
    if (!out->whole)
        return;
    out->whole = probe_directory(path, &probe) == PROBE_OK;
    out->id = sum.id;
    out->passing = sum.passing;
    snprintf(out->reason, sizeof out->reason, "%s", probe.reason);
}

static void tell_of_file(void *arg, const struct settle_news *news)
{
    struct reader *r = arg;

    if (news->what == SETTLE_IS_BAD || news->what == SETTLE_IS_OVERDUE ||
        news->what == SETTLE_IS_IGNORED)
        r->news(r->arg, news);
}

static void tick_files(struct settle *s, double now, settle_news_fn *news, void *arg)
{
    for (int n = 0; n < TICK_PROBES && s->nheap > 0 && s->heap[0]->due <= now; n++) {
        struct entry *e = s->heap[0];

        heap_remove(s, e);
        look(s, e, now, news, arg);
    }
    work_off_rechecks(s, now);
}

void settle_tick(struct settle *s, double now, settle_news_fn *news, void *arg)
{
    struct reader r = {.s = s, .now = now, .news = news, .arg = arg};

    if (s->dirs == NULL) {
        tick_files(s, now, news, arg);
    } else {
        tick_files(s, now, tell_of_file, &r);
        dirs_tick(s->dirs, now, look_at_directory, &r, news, arg);
    }
}

double settle_next_s(const struct settle *s, double now)
{
    double in_s = s->dirs != NULL ? dirs_next_s(s->dirs, now) : -1, file_s;

    if (s->recheck != NULL)
        return 0;
    if (s->nheap == 0)
        return in_s;
    file_s = s->heap[0]->due > now ? s->heap[0]->due - now : 0;
    return in_s >= 0 && in_s < file_s ? in_s : file_s;
}
