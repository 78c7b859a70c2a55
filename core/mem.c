/* mem.c: see mem.h. */
#include "core/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { LINE = 64, HUGE_PAGE = 2 << 20 };

void *mem_must(void *p)
{
    if (p == NULL) {
        fputs("out of memory\n", stderr);
        abort();
    }
    return p;
}

void *mem_malloc(size_t bytes)
{
    return mem_must(malloc(bytes > 0 ? bytes : 1));
}

void *mem_calloc(size_t n, size_t size)
{
    return mem_must(n > 0 && size > 0 ? calloc(n, size) : calloc(1, 1));
}

void *mem_realloc(void *p, size_t bytes)
{
    return mem_must(realloc(p, bytes > 0 ? bytes : 1));
}

char *mem_strdup(const char *text)
{
    return mem_must(strdup(text));
}

char *mem_strndup(const char *text, size_t n)
{
    return mem_must(strndup(text, n));
}

void *mem_huge(size_t bytes)
{
    size_t align = bytes < HUGE_PAGE ? LINE : HUGE_PAGE, whole;
    void *memory;

    if (bytes == 0 || __builtin_add_overflow(bytes, align - 1, &whole))
        return bytes == 0 ? calloc(1, 1) : NULL;
    whole -= whole % align;
    memory = aligned_alloc(align, whole);
    if (memory == NULL)
        return NULL;
    if (align == HUGE_PAGE)
        madvise(memory, whole, MADV_HUGEPAGE);
    /* It may have been used before.  Whole pages are given back to the system, which has
     * zeroed ones: that costs nothing where they are fresh. */
    if (align != HUGE_PAGE || madvise(memory, whole, MADV_DONTNEED) != 0)
        memset(memory, 0, whole);
    return memory;
}
