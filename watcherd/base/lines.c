#include "watcherd/base/lines.h"

#include <errno.h>
#include <string.h>

uv_buf_t lines_room(const struct lines *l)
{
    return uv_buf_init(l->buf + l->used, (unsigned)(l->size - l->used));
}

int lines_next(struct lines *l, json_t **out, json_error_t *why)
{
    char *end = memchr(l->buf, '\n', l->used);
    size_t len;

    if (end == NULL)
        return l->used == l->size ? -EMSGSIZE : 0;
    len = (size_t)(end - l->buf);
    *out = json_loadb(l->buf, len, JSON_REJECT_DUPLICATES, why);
    l->used -= len + 1;
    memmove(l->buf, end + 1, l->used);
    return 1;
}
