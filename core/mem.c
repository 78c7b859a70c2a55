/* mem.c: see mem.h. */
#include "core/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
