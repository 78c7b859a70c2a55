/*
 * mem.h: small allocations, which never fail: when memory is out the program says so on
 * standard error and aborts, because nothing it could do then would help anybody.
 *
 * For what grows with files, tasks, workers and clients.  What grows with the data (images,
 * visibilities, whole files) is taken from malloc() and answered with -ENOMEM: a field that
 * is too large is the data's fault, and the daemon lives on.  All is ended by free().
 */
#ifndef CORE_MEM_H
#define CORE_MEM_H

#include <stddef.h>

#define MEM_NEW __attribute__((malloc, returns_nonnull, warn_unused_result))

void *mem_malloc(size_t bytes) MEM_NEW;
/* [n] things of `size` bytes, all zero. */
void *mem_calloc(size_t n, size_t size) MEM_NEW;
/* As realloc(3); p may be NULL. */
void *mem_realloc(void *p, size_t bytes)
    __attribute__((returns_nonnull, warn_unused_result));
char *mem_strdup(const char *text) MEM_NEW;
/* At most n bytes of text, and a NUL. */
char *mem_strndup(const char *text, size_t n) MEM_NEW;
/* p, which somebody else allocated (json_dumps, open_memstream) and which is NULL only when
 * memory is out. */
void *mem_must(void *p) __attribute__((returns_nonnull));

/*
 * mem_huge: zeroed memory for what grows with the data, on pages of 2 MB where the system
 * has them: a loop that jumps from row to row then has no miss of the address cache each time,
 * and a gigabyte costs 500 page faults instead of 262,144.
 *
 * Returned: aligned to 64 bytes or more, for free(); NULL when memory is out
 */
void *mem_huge(size_t bytes) __attribute__((malloc, warn_unused_result));

#endif
