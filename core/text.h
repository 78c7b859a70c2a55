/*
 * text.h: bytes of the world as JSON and as text for people.
 */
#ifndef CORE_TEXT_H
#define CORE_TEXT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* Length of the UTF-8 sequence at text, 0 when it is not one (RFC 3629). */
size_t text_utf8(const char *text);

/* Length of the printable character at text: UTF-8, neither a control byte nor one of the
 * controls above 0x7f (C1, which terminals obey as they do ESC); 0: not one. */
size_t text_printable(const char *text);

/* Is all of it UTF-8? */
bool text_is_utf8(const char *text);

/* Levenshtein's distance of two words; of longer ones, of their first 63 bytes. */
size_t text_distance(const char *a, const char *b);
/* The one of names [n] that a mistyped word most likely means; NULL: none is near. */
const char *text_nearest(const char *word, const char *const *names, size_t n);

/* Make text printable: control bytes, backslash and bad UTF-8 become \xNN. */
void text_escape(char *out, size_t size, const char *text);

/* Bytes as a JSON string; what is no UTF-8 or not printable becomes \xNN. */
json_t *text_json(const char *bytes);

/* Add to a JSON object: bytes as above, null for NULL and ""; a time in Unix s as
   "2026-11-22T01:15:16.123Z", null for 0. */
void text_set(json_t *object, const char *key, const char *bytes);
void text_set_time(json_t *object, const char *key, double unix_s);

/* Text that is put together piece by piece; what does not fit is cut. */
struct text {
    char *buf;
    size_t size, len;
};
void text_put(struct text *w, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* "41 s", "12 min", "3.2 h", "5.0 d" */
const char *text_age(double s, char out[32]);

#endif
