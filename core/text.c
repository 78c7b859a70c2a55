#include "core/text.h"

#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "core/clock.h"

size_t text_utf8(const char *text)
{
    const unsigned char *p = (const unsigned char *)text;
    size_t n = p[0] < 0x80 ? 1 : p[0] >= 0xC2 && p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;

    if (p[0] >= 0x80 && (p[0] < 0xC2 || p[0] > 0xF4))
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    if ((p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xED && p[1] > 0x9F) ||
        (p[0] == 0xF0 && p[1] < 0x90) || (p[0] == 0xF4 && p[1] > 0x8F))
        return 0;
    return n;
}

size_t text_printable(const char *text)
{
    const unsigned char *p = (const unsigned char *)text;
    size_t n = text_utf8(text);

    if (n == 1)
        return *p >= ' ' && *p != 0x7F;
    return n == 2 && p[0] == 0xC2 && p[1] < 0xA0 ? 0 : n;
}

bool text_is_utf8(const char *text)
{
    size_t n;

    for (; *text != '\0'; text += n)
        if ((n = text_utf8(text)) == 0)
            return false;
    return true;
}

void text_escape(char *out, size_t size, const char *text)
{
    const unsigned char *p = (const unsigned char *)text;
    size_t used = 0;

    while (*p != '\0') {
        size_t n = text_printable((const char *)p);
        bool plain = n > 0 && *p != '\\';

        if (used + (plain ? n : 4) >= size)
            break;
        if (plain) {
            memcpy(out + used, p, n);
            used += n;
            p += n;
        } else {
            snprintf(out + used, 5, "\\x%02x", *p++);
            used += 4;
        }
    }
    out[used] = '\0';
}

size_t text_distance(const char *a, const char *b)
{
    size_t row[64], nb = strnlen(b, 63);

    for (size_t j = 0; j <= nb; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1] != '\0'; i++) {
        size_t diagonal = row[0];

        row[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            size_t best = diagonal + (a[i - 1] != b[j - 1]);

            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[nb];
}

const char *text_nearest(const char *word, const char *const *names, size_t n)
{
    const char *near = NULL;
    size_t least = SIZE_MAX;

    for (size_t i = 0; i < n; i++) {
        size_t d = text_distance(word, names[i]);

        if (d < least) {
            least = d;
            near = names[i];
        }
    }
    /* as far away as half of the word is another word */
    return near != NULL && 2 * least <= strlen(word) ? near : NULL;
}

json_t *text_json(const char *bytes)
{
    json_t *text = json_string(bytes);
    char escaped[4 * PATH_MAX];

    if (text != NULL)
        return text;
    text_escape(escaped, sizeof escaped, bytes);
    text = json_string(escaped);
    return text != NULL ? text : json_string("?");
}

void text_set(json_t *object, const char *key, const char *bytes)
{
    bool there = bytes != NULL && bytes[0] != '\0';

    json_object_set_new(object, key, there ? text_json(bytes) : json_null());
}

void text_set_time(json_t *object, const char *key, double unix_s)
{
    char text[32] = "";

    if (unix_s != 0)
        clock_iso(unix_s, text);
    text_set(object, key, text);
}

void text_put(struct text *w, const char *fmt, ...)
{
    size_t room = w->len < w->size ? w->size - w->len : 0;
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(room > 0 ? w->buf + w->len : NULL, room, fmt, ap);
    va_end(ap);
    w->len += n > 0 ? (size_t)n : 0;
}

const char *text_age(double s, char out[32])
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
