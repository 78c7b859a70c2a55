/*
 * disk.c: see disk.h.
 */
#include "core/disk.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "core/err.h"

static const char *const level_name[] = {"fine", "warn", "stop"};

const char *disk_level_name(enum disk_level level)
{
    return level_name[level];
}

const char *disk_bytes(uint64_t bytes, char out[32])
{
    static const char *const unit[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)bytes;
    size_t i = 0;

    /* 1023.95 would be printed as 1024.0 */
    while (value >= (i == 0 ? 1024 : 1023.95) && i + 1 < sizeof unit / sizeof *unit) {
        value /= 1024;
        i++;
    }
    snprintf(out, 32, i == 0 ? "%.0f %s" : "%.1f %s", value, unit[i]);
    return out;
}

void disk_guard_init(struct disk_guard *g, const struct disk_limits *limits,
                     const char *const *dir, size_t n)
{
    memset(g, 0, sizeof *g);
    g->limits = *limits;
    for (size_t i = 0; i < n && g->n < DISK_MOST; i++) {
        bool known = dir[i][0] == '\0' || strlen(dir[i]) >= PATH_MAX;

        for (size_t k = 0; k < g->n && !known; k++)
            known = strcmp(g->state[k].dir, dir[i]) == 0;
        if (!known)
            strcpy(g->state[g->n++].dir, dir[i]);
    }
}

/* ---- asking ---- */

/* Where the directory is, or would be made: the nearest one above it that is there. */
static int ask(struct disk_fill *f, const char *dir)
{
    char path[PATH_MAX];
    struct statvfs vfs;
    struct stat st;
    size_t n = strlen(dir);

    memcpy(path, dir, n + 1);
    while (statvfs(path, &vfs) != 0 || stat(path, &st) != 0) {
        if (errno != ENOENT)
            return -errno;
        while (n > 0 && path[n - 1] != '/')
            n--;
        while (n > 1 && path[n - 1] == '/')
            n--;
        if (n == 0)
            return -ENOENT;
        if (n == 1 && path[1] == '\0')
            return -ENOENT; /* "/" itself */
        path[n] = '\0';
    }
    f->dev = (uint64_t)st.st_dev;
    f->bytes_used = (uint64_t)(vfs.f_blocks - vfs.f_bfree) * vfs.f_frsize;
    f->bytes_free = (uint64_t)vfs.f_bavail * vfs.f_frsize;
    f->files_used = (uint64_t)(vfs.f_files - vfs.f_ffree);
    f->files_free = (uint64_t)vfs.f_favail;
    return 0;
}

void disk_look(struct disk_fill *fill, const char (*dir)[PATH_MAX], size_t n,
               _Atomic size_t *at)
{
    for (size_t i = 0; i < n; i++) {
        if (at != NULL)
            *at = i;
        fill[i] = (struct disk_fill){.same_as = i};
        fill[i].rc = ask(&fill[i], dir[i]);
        for (size_t k = 0; k < i && fill[i].rc == 0; k++)
            if (fill[k].rc == 0 && fill[k].dev == fill[i].dev) {
                fill[i].same_as = fill[k].same_as;
                break;
            }
    }
}

/* ---- judging ---- */

static double part_pct(uint64_t used, uint64_t left)
{
    double all = (double)used + (double)left;

    return all > 0 ? 100 * (double)used / all : 0;
}

double disk_pct(const struct disk_fill *fill)
{
    double blocks = part_pct(fill->bytes_used, fill->bytes_free);
    double files = part_pct(fill->files_used, fill->files_free);

    return blocks > files ? blocks : files;
}

/* "/data is 96.1 % full, 12.3 GiB free" */
static void say_fill(char *out, size_t size, const struct disk_state *s)
{
    char bytes[32];
    double pct = disk_pct(&s->fill);

    disk_bytes(s->fill.bytes_free, bytes);
    if (pct > part_pct(s->fill.bytes_used, s->fill.bytes_free))
        snprintf(out, size,
                 "the file system of %.300s has %.1f %% of its inodes in use, %llu and "
                 "%s free",
                 s->dir, pct, (unsigned long long)s->fill.files_free, bytes);
    else
        snprintf(out, size, "the file system of %.300s is %.1f %% full, %s free",
                 s->dir, pct, bytes);
}

static void say_level(char *out, size_t size, const struct disk_guard *g,
                      const struct disk_state *s, enum disk_level before)
{
    size_t n;

    say_fill(out, size, s);
    n = strlen(out);
    if (s->level == DISK_STOP)
        snprintf(out + n, size - n, ": no task is started until it is down to %g %%",
                 g->limits.resume_pct);
    else if (before == DISK_STOP)
        snprintf(out + n, size - n, "%s",
                 g->stop ? ": another one is still too full to start tasks"
                         : ": tasks are started again");
    else if (s->level == DISK_WARN)
        snprintf(out + n, size - n, ": from %g %% on no task is started",
                 g->limits.stop_pct);
}

/* Ours, and not another directory's that stands for it. */
static bool counts(const struct disk_guard *g, size_t i)
{
    return g->state[i].asked && g->state[i].fill.same_as == i;
}

/* Does one of them reach so far? */
static bool any_at(const struct disk_guard *g, double pct, bool above)
{
    for (size_t i = 0; i < g->n; i++) {
        double have = disk_pct(&g->state[i].fill);

        if (counts(g, i) && (above ? have > pct : have >= pct))
            return true;
    }
    return false;
}

static enum disk_level level_of(const struct disk_guard *g, const struct disk_fill *f)
{
    double pct = disk_pct(f);

    return pct >= g->limits.stop_pct || (g->stop && pct > g->limits.resume_pct)
               ? DISK_STOP
           : pct >= g->limits.warn_pct ? DISK_WARN
                                       : DISK_FINE;
}

/* Tell when the level has changed, or whether it can be asked at all. */
static void take_level(struct disk_guard *g, size_t i, int rc_before,
                       disk_tell_fn *tell, void *arg)
{
    struct disk_state *s = &g->state[i];
    struct disk_news news = {.dir = s->dir};
    enum disk_level before = s->level;

    if (s->asked)
        s->level = level_of(g, &s->fill);
    news.level = s->level;
    if (s->rc != 0 && rc_before == 0) {
        news.level = s->level > DISK_WARN ? s->level : DISK_WARN;
        snprintf(news.text, sizeof news.text, "cannot tell how full %.300s is: %s",
                 s->dir, err_text(s->rc));
    } else if (s->level != before) {
        say_level(news.text, sizeof news.text, g, s, before);
    } else if (s->rc == 0 && rc_before != 0) {
        say_fill(news.text, sizeof news.text, s);
    }
    if (news.text[0] != '\0' && tell != NULL)
        tell(arg, &news);
}

void disk_judge(struct disk_guard *g, const struct disk_fill *fill, disk_tell_fn *tell,
                void *arg)
{
    int rc_before[DISK_MOST];

    for (size_t i = 0; i < g->n; i++) {
        struct disk_state *s = &g->state[i];

        rc_before[i] = s->rc;
        s->rc = fill[i].rc;
        if (s->rc == 0) {
            s->fill = fill[i];
            s->asked = true;
        }
    }
    g->stop = any_at(g, g->limits.stop_pct, false) ||
              (g->stop && any_at(g, g->limits.resume_pct, true));
    for (size_t i = 0; i < g->n; i++) {
        if (g->state[i].rc != 0 || counts(g, i))
            take_level(g, i, rc_before[i], tell, arg);
        else
            g->state[i].level = g->state[g->state[i].fill.same_as].level;
    }
}
