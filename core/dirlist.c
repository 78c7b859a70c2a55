/* dirlist.c: see dirlist.h. */
#include "core/dirlist.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/err.h"
#include "core/mem.h"

enum { ENTRY_BUF = 256 << 10 };

/* Offsets until all names are there: the text moves while it grows. */
struct growing {
    size_t text, text_room, item_room;
};

static void add(struct dirlist *list, struct growing *g, const struct dirent64 *d)
{
    size_t n = strlen(d->d_name) + 1;

    if (g->text + n > g->text_room) {
        g->text_room = 2 * g->text_room + 4096;
        list->text = mem_realloc(list->text, g->text_room);
    }
    if (list->n == g->item_room) {
        g->item_room = 2 * g->item_room + 64;
        list->item = mem_realloc(list->item, g->item_room * sizeof *list->item);
    }
    memcpy(list->text + g->text, d->d_name, n);
    list->item[list->n++] = (struct dirlist_entry){.type = d->d_type};
    g->text += n;
}

int dirlist_read(struct dirlist *out, int dirfd, const char *what, struct err *e)
{
    char *buf = mem_malloc(ENTRY_BUF), *name;
    struct growing g = {0};
    int rc = 0;
    ssize_t n;

    memset(out, 0, sizeof *out);
    if (lseek(dirfd, 0, SEEK_SET) == -1)
        rc = -errno;
    while (rc == 0 && (n = getdents64(dirfd, buf, ENTRY_BUF)) != 0) {
        if (n < 0)
            rc = -errno;
        for (ssize_t at = 0; at < n;) {
            const struct dirent64 *d =
                (const struct dirent64 *)(const void *)(buf + at);

            at += d->d_reclen;
            if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
                add(out, &g, d);
        }
    }
    free(buf);
    name = out->text;
    for (size_t i = 0; i < out->n; i++) {
        out->item[i].name = name;
        name += strlen(name) + 1;
    }
    if (rc == 0)
        return 0;
    dirlist_clear(out);
    return err_set(e, rc, "cannot list %s: %s", what, err_text(rc));
}

static size_t slot_of(const struct dirlist *list, const char *name)
{
    uint64_t h = 0xcbf29ce484222325u; /* FNV-1a */

    for (const char *s = name; *s != '\0'; s++)
        h = (h ^ (unsigned char)*s) * 0x100000001b3u;
    return (size_t)((h ^ (h >> 32)) & (list->nslot - 1));
}

const struct dirlist_entry *dirlist_find(struct dirlist *list, const char *name)
{
    if (list->n == 0)
        return NULL;
    if (list->slot == NULL) {
        for (list->nslot = 16; list->nslot < 2 * list->n;)
            list->nslot *= 2;
        list->slot = mem_calloc(list->nslot, sizeof *list->slot);
        for (size_t i = 0; i < list->n; i++) {
            size_t s = slot_of(list, list->item[i].name);

            while (list->slot[s] != 0)
                s = (s + 1) & (list->nslot - 1);
            list->slot[s] = (uint32_t)(i + 1);
        }
    }
    for (size_t s = slot_of(list, name); list->slot[s] != 0;
         s = (s + 1) & (list->nslot - 1))
        if (strcmp(list->item[list->slot[s] - 1].name, name) == 0)
            return &list->item[list->slot[s] - 1];
    return NULL;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct dirlist_entry *)a)->name,
                  ((const struct dirlist_entry *)b)->name);
}

void dirlist_sort(struct dirlist *list)
{
    if (list->n > 0)
        qsort(list->item, list->n, sizeof *list->item, by_name);
    free(list->slot);
    list->slot = NULL;
}

void dirlist_clear(struct dirlist *list)
{
    free(list->item);
    free(list->text);
    free(list->slot);
    memset(list, 0, sizeof *list);
}
