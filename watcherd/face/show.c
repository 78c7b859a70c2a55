#include "watcherd/face/show.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/mem.h"
#include "core/text.h"

void show(const char *fmt, ...)
{
    char *text = NULL;
    va_list ap;
    size_t n;
    int len;

    va_start(ap, fmt);
    len = vasprintf(&text, fmt, ap);
    va_end(ap);
    mem_must(len < 0 ? NULL : text);
    for (const char *p = text; *p != '\0'; p += n > 0 ? n : 1) {
        n = text_printable(p);
        if (n > 0 || *p == '\n')
            fwrite(p, 1, n > 0 ? n : 1, stdout);
        else
            printf("\\x%02x", (unsigned char)*p);
    }
    free(text);
}
