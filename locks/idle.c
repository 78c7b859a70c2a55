/*
 * idle.c: see idle.h.  The file is a struct head and its rows, as this machine has them,
 * sorted.
 */
#include "locks/idle.h"

#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/dirstamp.h"
#include "core/mem.h"
#include "core/path.h"
#include "locks/owner.h"

#define STEP_S 0.01 /* a clock that was set is further from where it was than this */

enum {
    FEW = 64,          /* new ones that are not worth a new file */
    LARGEST = 1000000, /* rows */
};

static const char magic[8] = "idle 1\n";

struct head {
    char magic[8], boot[OWNER_BOOT];
    double clock_s; /* wall clock minus CLOCK_BOOTTIME: changes when the clock is set */
    uint64_t n;     /* rows that follow */
};

struct idle {
    double now_s;         /* wall clock, before anything was looked at */
    struct head now;      /* then, too; of no boot: it cannot be told */
    struct dirstamp *row; /* [n] as loaded, sorted */
    bool *met;            /* [n] asked for, and still so */
    size_t n;
    pthread_mutex_t lock;   /* of the rest */
    struct dirstamp *fresh; /* [nfresh] noted since */
    size_t nfresh, room;
};

static int by_inode(const void *a, const void *b)
{
    const struct dirstamp *x = a, *y = b;

    if (x->ino != y->ino)
        return x->ino < y->ino ? -1 : 1;
    return x->dev < y->dev ? -1 : x->dev > y->dev;
}

static struct head head_now(void)
{
    struct head head = {.clock_s = clock_wall_s() - clock_boot_s()};
    struct owner me;

    memcpy(head.magic, magic, sizeof magic);
    if (owner_self(&me, NULL) == 0)
        memcpy(head.boot, me.boot, sizeof head.boot);
    return head;
}

/* Is the file one of ours, of this boot, and the clock was not set since? */
static bool is_believed(const struct head *head, const struct head *now,
                        const struct stat *st)
{
    return S_ISREG(st->st_mode) && (st->st_uid == geteuid() || st->st_uid == 0) &&
           memcmp(head->magic, now->magic, sizeof now->magic) == 0 &&
           now->boot[0] != '\0' && strcmp(head->boot, now->boot) == 0 &&
           fabs(head->clock_s - now->clock_s) < STEP_S && head->n <= LARGEST &&
           (uint64_t)st->st_size == sizeof *head + head->n * sizeof(struct dirstamp);
}

static bool read_exactly(int fd, void *to, size_t n)
{
    return read(fd, to, n) == (ssize_t)n;
}

struct idle *idle_load(const char *tree)
{
    struct idle *idle = mem_calloc(1, sizeof *idle);
    char path[4096];
    struct head head;
    struct stat st;
    int fd;

    idle->now = head_now();
    idle->now_s = clock_wall_s();
    pthread_mutex_init(&idle->lock, NULL);
    snprintf(path, sizeof path, "%.4000s/.watcherd/idle", tree);
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd == -1)
        return idle;
    if (fstat(fd, &st) == 0 && read_exactly(fd, &head, sizeof head) &&
        is_believed(&head, &idle->now, &st)) {
        idle->row = mem_calloc(head.n + 1, sizeof *idle->row);
        idle->met = mem_calloc(head.n + 1, sizeof *idle->met);
        if (read_exactly(fd, idle->row, head.n * sizeof *idle->row))
            idle->n = head.n;
    }
    close(fd);
    return idle;
}

/* What was loaded and is still so, and what is new, in order, each once. */
static size_t gather(const struct idle *idle, struct dirstamp *out)
{
    size_t n = idle->nfresh, once = 0;

    if (n > 0)
        memcpy(out, idle->fresh, n * sizeof *out);
    for (size_t i = 0; i < idle->n; i++)
        if (idle->met[i])
            out[n++] = idle->row[i];
    qsort(out, n, sizeof *out, by_inode);
    for (size_t i = 0; i < n; i++)
        if (once == 0 || by_inode(&out[once - 1], &out[i]) != 0)
            out[once++] = out[i];
    return once;
}

/* Is `path` there, or ours to make?  root must not make one in which the daemon that owns the
 * tree could not write. */
static bool may_make(const char *path, const char *tree)
{
    struct stat st;

    return stat(path, &st) == 0 || (stat(tree, &st) == 0 && st.st_uid == geteuid());
}

void idle_save(const struct idle *idle, const char *tree)
{
    char path[4096], *text;
    struct head head = idle->now;

    if (idle->nfresh <= FEW + idle->n / 8 || idle->nfresh + idle->n > LARGEST ||
        head.boot[0] == '\0')
        return;
    snprintf(path, sizeof path, "%.4000s/.watcherd", tree);
    if (!may_make(path, tree) || path_mkdirs(path, NULL) != 0)
        return;
    text = mem_malloc(sizeof head + (idle->nfresh + idle->n) * sizeof(struct dirstamp));
    head.n = gather(idle, (struct dirstamp *)(void *)(text + sizeof head));
    memcpy(text, &head, sizeof head);
    snprintf(path, sizeof path, "%.4000s/.watcherd/idle", tree);
    path_write(path, text, sizeof head + head.n * sizeof(struct dirstamp), NULL);
    free(text);
}

void idle_free(struct idle *idle)
{
    if (idle == NULL)
        return;
    pthread_mutex_destroy(&idle->lock);
    free(idle->row);
    free(idle->met);
    free(idle->fresh);
    free(idle);
}

bool idle_has(struct idle *idle, int dirfd, const char *name)
{
    const struct dirstamp *row;
    struct dirstamp now;
    struct stat st;

    if (idle == NULL || idle->n == 0 ||
        fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISDIR(st.st_mode))
        return false;
    dirstamp_of(&now, &st);
    row = bsearch(&now, idle->row, idle->n, sizeof *row, by_inode);
    if (row == NULL || !dirstamp_equal(row, &now))
        return false;
    idle->met[row - idle->row] = true;
    return true;
}

void idle_note(struct idle *idle, const struct dirstamp *stamp)
{
    if (!dirstamp_rested(stamp, idle->now_s))
        return;
    pthread_mutex_lock(&idle->lock);
    if (idle->nfresh == idle->room) {
        idle->room = idle->room != 0 ? 2 * idle->room : FEW;
        idle->fresh = mem_realloc(idle->fresh, idle->room * sizeof *idle->fresh);
    }
    idle->fresh[idle->nfresh++] = *stamp;
    pthread_mutex_unlock(&idle->lock);
}

void idle_pretend_now(struct idle *idle, double now_s)
{
    idle->now_s = now_s;
}
