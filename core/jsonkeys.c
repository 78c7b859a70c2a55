/* jsonkeys.c: see jsonkeys.h. */
#include "core/jsonkeys.h"

#include <string.h>

#include "core/err.h"

enum { DEEPEST = 512 };

struct scan {
    const char *at, *end;
    const char *const *key;
    size_t nkey;
    bool *has;
};

static void blank(struct scan *s)
{
    while (s->at < s->end &&
           (*s->at == ' ' || *s->at == '\n' || *s->at == '\t' || *s->at == '\r'))
        s->at++;
}

/* Step over one character if it is there, and what is blank behind it. */
static bool take(struct scan *s, char c)
{
    if (s->at == s->end || *s->at != c)
        return false;
    s->at++;
    blank(s);
    return true;
}

/* A string; its inside goes to *text, *n. */
static bool take_string(struct scan *s, const char **text, size_t *n)
{
    if (s->at == s->end || *s->at != '"')
        return false;
    *text = ++s->at;
    while (s->at < s->end && *s->at != '"') {
        if ((unsigned char)*s->at < 0x20)
            return false;
        if (*s->at == '\\') {
            s->at++;
            if (s->at == s->end || memchr("\"\\/bfnrtu", *s->at, 9) == NULL)
                return false;
        }
        s->at++;
    }
    if (s->at == s->end)
        return false;
    *n = (size_t)(s->at - *text);
    return take(s, '"');
}

static bool digits(struct scan *s)
{
    const char *start = s->at;

    while (s->at < s->end && *s->at >= '0' && *s->at <= '9')
        s->at++;
    return s->at > start;
}

/* A number, true, false or null. */
static bool take_word(struct scan *s)
{
    static const char *const word[] = {"true", "false", "null"};

    for (size_t i = 0; i < 3; i++) {
        size_t n = strlen(word[i]);

        if ((size_t)(s->end - s->at) >= n && memcmp(s->at, word[i], n) == 0) {
            s->at += n;
            blank(s);
            return true;
        }
    }
    /* NaN and Infinity are no JSON, but Python's json writes them. */
    s->at += s->at < s->end && *s->at == '-';
    if (s->end - s->at >= 8 && memcmp(s->at, "Infinity", 8) == 0) {
        s->at += 8;
    } else if (s->end - s->at >= 3 && memcmp(s->at, "NaN", 3) == 0) {
        s->at += 3;
    } else {
        if (!digits(s))
            return false;
        if (s->at < s->end && *s->at == '.' && (s->at++, !digits(s)))
            return false;
        if (s->at < s->end && (*s->at == 'e' || *s->at == 'E')) {
            s->at++;
            s->at += s->at < s->end && (*s->at == '+' || *s->at == '-');
            if (!digits(s))
                return false;
        }
    }
    blank(s);
    return true;
}

static bool take_value(struct scan *s, int depth);

static bool take_array(struct scan *s, int depth)
{
    if (!take(s, '['))
        return false;
    if (take(s, ']'))
        return true;
    do
        if (!take_value(s, depth + 1))
            return false;
    while (take(s, ','));
    return take(s, ']');
}

static void note(struct scan *s, const char *name, size_t n, bool null)
{
    for (size_t i = 0; i < s->nkey; i++)
        if (strlen(s->key[i]) == n && memcmp(s->key[i], name, n) == 0)
            s->has[i] = !null;
}

static bool take_object(struct scan *s, int depth)
{
    const char *name;
    size_t n;

    if (!take(s, '{'))
        return false;
    if (take(s, '}'))
        return true;
    do {
        bool null;

        if (!take_string(s, &name, &n) || !take(s, ':'))
            return false;
        null = s->at < s->end && *s->at == 'n';
        if (!take_value(s, depth + 1))
            return false;
        if (depth == 0)
            note(s, name, n, null);
    } while (take(s, ','));
    return take(s, '}');
}

static bool take_value(struct scan *s, int depth)
{
    const char *text;
    size_t n;

    if (s->at == s->end || depth > DEEPEST)
        return false;
    switch (*s->at) {
    case '{':
        return take_object(s, depth);
    case '[':
        return take_array(s, depth);
    case '"':
        return take_string(s, &text, &n);
    default:
        return take_word(s);
    }
}

int jsonkeys_find(const char *text, size_t len, const char *const *key, size_t nkey,
                  bool *has)
{
    struct scan s = {text, text + len, key, nkey, has};

    if (nkey > 0)
        memset(has, 0, nkey * sizeof *has);
    blank(&s);
    if (take_object(&s, 0) && s.at == s.end)
        return 0;
    if (nkey > 0)
        memset(has, 0, nkey * sizeof *has);
    return ERR_FORMAT;
}
