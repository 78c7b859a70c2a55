#include "watcherd/words.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>

#include "locks/record.h"

json_t *words_json(const char *bytes)
{
    json_t *text = json_string(bytes);
    char escaped[4 * PATH_MAX];

    if (text != NULL)
        return text;
    record_escape(escaped, sizeof escaped, bytes);
    text = json_string(escaped);
    return text != NULL ? text : json_string("?");
}

void words_put(struct words *w, const char *fmt, ...)
{
    size_t room = w->len < w->size ? w->size - w->len : 0;
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(room > 0 ? w->buf + w->len : NULL, room, fmt, ap);
    va_end(ap);
    w->len += n > 0 ? (size_t)n : 0;
}

const char *words_age(double s, char out[32])
{
    if (s < 120)
        snprintf(out, 32, "%.*f s", s < 10 ? 1 : 0, s > 0 ? s : 0);
    else if (s < 7200)
        snprintf(out, 32, "%.0f min", s / 60);
    else if (s < 172800)
        snprintf(out, 32, "%.1f h", s / 3600);
    else
        snprintf(out, 32, "%.1f d", s / 86400);
    return out;
}
