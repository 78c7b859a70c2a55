/*
 * lines.h: JSON values, one a line, out of bytes as they come.
 */
#ifndef WATCHERD_BASE_LINES_H
#define WATCHERD_BASE_LINES_H

#include <jansson.h>
#include <stddef.h>
#include <uv.h>

struct lines {
    char *buf;   /* [size], the caller's; a line with its end has to fit */
    size_t size; /* bytes */
    size_t
        used; /* bytes that wait in buf; lines_next leaves room unless it says -EMSGSIZE */
};

/* Where the next bytes go; then add their number to `used`. */
uv_buf_t lines_room(const struct lines *l);

/*
 * lines_next: take the first whole line.
 * Returned: *out its value, the caller's; NULL when the line is no JSON, and *why says why
 * Status: 1 a line was taken; 0 none is whole yet; -EMSGSIZE the buffer is full without an end
 */
int lines_next(struct lines *l, json_t **out, json_error_t *why);

#endif
