/*
 * dirlist.h: all names of a directory, by getdents and without stat, and which are among them.
 */
#ifndef CORE_DIRLIST_H
#define CORE_DIRLIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

struct dirlist_entry {
    const char *name;
    /* DT_DIR, DT_REG, DT_LNK ...; DT_UNKNOWN on a few file systems */
    unsigned char type;
};

struct dirlist {
    struct dirlist_entry *item; /* [n], as the directory has them; without . and .. */
    size_t n;
    char *text;     /* the names */
    uint32_t *slot; /* [nslot] hash table of places in item, plus 1 */
    size_t nslot;
};

/* Read the open directory from its start; the sentence of a failure calls it `what`.
 * Status: 0; a negated errno, and *out is empty.  dirlist_clear frees it. */
int dirlist_read(struct dirlist *out, int dirfd, const char *what, struct err *e);
/* The entry of this name, or NULL.  The first call builds the table. */
const struct dirlist_entry *dirlist_find(struct dirlist *list, const char *name);
/* Sort by name. */
void dirlist_sort(struct dirlist *list);
void dirlist_clear(struct dirlist *list);

#endif
