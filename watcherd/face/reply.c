#include "watcherd/face/reply.h"

#include <stdarg.h>
#include <stdio.h>

void reply_send(struct reply *r, json_t *answer)
{
    if (answer != NULL)
        r->send(r, answer);
    else
        reply_refuse(r, "the answer could not be put in words");
}

void reply_refuse(struct reply *r, const char *fmt, ...)
{
    char text[1024];
    json_t *word;
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    word = json_string(text);
    r->send(r, json_pack("{s:o}", "error",
                         word != NULL ? word : json_string("a name is not UTF-8")));
}
