#include "core/log.h"

#include "core/clock.h"
#include "core/text.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Each level's word, and its priority for journald (syslog(3)). */
static const struct {
    const char *word, *priority;
} levels[] = {
    [LOG_ERROR] = {"error", "<3>"},
    [LOG_WARN] = {"warn", "<4>"},
    [LOG_INFO] = {"info", "<6>"},
    [LOG_DEBUG] = {"debug", "<7>"},
};

static enum log_level threshold = LOG_INFO; /* set once at start */

void log_set_level(enum log_level level)
{
    threshold = level;
}

/* One line under construction: PIPE_BUF at most, so that a pipe takes it in one piece and
 * lines of several processes do not mix. */
struct line {
    size_t n;
    bool full;
    char text[PIPE_BUF];
};

static const char cut[] = " cut=yes\n";

static void put(struct line *line, const char *s, size_t n)
{
    if (line->full || line->n + n > sizeof line->text - sizeof cut) {
        line->full = true;
        return;
    }
    memcpy(line->text + line->n, s, n);
    line->n += n;
}

static bool must_quote(const unsigned char *s)
{
    size_t n;

    if (*s == '\0')
        return true;
    for (; *s != '\0'; s += n) {
        n = text_printable((const char *)s);
        if (n == 0 || *s == ' ' || strchr("\"=\\", *s) != NULL)
            return true;
    }
    return false;
}

/* Quoted, with what journald or a reader of lines would stumble over as \n, \", \x1b. */
static void put_quoted(struct line *line, const unsigned char *s)
{
    char esc[8];
    size_t n;

    put(line, "\"", 1);
    for (; *s != '\0'; s += n) {
        n = text_printable((const char *)s);
        if (*s == '"' || *s == '\\') {
            snprintf(esc, sizeof esc, "\\%c", *s);
            put(line, esc, 2);
        } else if (*s == '\n') {
            n = 1;
            put(line, "\\n", 2);
        } else if (n == 0) {
            n = 1;
            snprintf(esc, sizeof esc, "\\x%02x", *s);
            put(line, esc, 4);
        } else {
            put(line, (const char *)s, n);
        }
    }
    put(line, "\"", 1);
}

static void put_pair(struct line *line, const char *key, const char *value)
{
    if (value == NULL)
        value = "";
    if (line->n > 0 && line->text[line->n - 1] != '>') /* not after "<6>" */
        put(line, " ", 1);
    put(line, key, strlen(key));
    put(line, "=", 1);
    if (must_quote((const unsigned char *)value))
        put_quoted(line, (const unsigned char *)value);
    else
        put(line, value, strlen(value));
}

/* systemd puts device and inode of the journal's socket into $JOURNAL_STREAM; stderr is it
 * only when they agree (systemd.exec(5)): a child's redirected stderr is not. */
static bool to_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    unsigned long long dev, ino;
    struct stat st;
    char more;

    return stream != NULL && sscanf(stream, "%llu:%llu%c", &dev, &ino, &more) == 2 &&
           fstat(STDERR_FILENO, &st) == 0 && st.st_dev == dev && st.st_ino == ino;
}

void log_event(enum log_level level, const char *event, ...)
{
    struct line line;
    const char *key;
    va_list ap;
    ssize_t n;

    if (level > threshold)
        return;
    line.n = 0;
    line.full = false;
    if (to_journal()) {
        put(&line, levels[level].priority, strlen(levels[level].priority));
    } else {
        char now[32];

        clock_iso(clock_wall_s(), now);
        put(&line, now, strlen(now));
    }
    put_pair(&line, "level", levels[level].word);
    put_pair(&line, "event", event);
    va_start(ap, event);
    while ((key = va_arg(ap, const char *)) != NULL)
        put_pair(&line, key, va_arg(ap, const char *));
    va_end(ap);

    memcpy(line.text + line.n, line.full ? cut : "\n", line.full ? sizeof cut - 1 : 1);
    line.n += line.full ? sizeof cut - 1 : 1;
    do
        n = write(STDERR_FILENO, line.text, line.n);
    while (n == -1 && errno == EINTR); /* any other failure: there is nobody to tell */
}

enum { BUFFERS = 16, BUFFER = 40 };

static char *next_buffer(void)
{
    static char buffer[BUFFERS][BUFFER];
    static unsigned next;

    return buffer[next++ % BUFFERS];
}

const char *log_u(unsigned long long v)
{
    char *s = next_buffer();

    snprintf(s, BUFFER, "%llu", v);
    return s;
}

const char *log_d(long long v)
{
    char *s = next_buffer();

    snprintf(s, BUFFER, "%lld", v);
    return s;
}

const char *log_f(double v, int decimals)
{
    char *s = next_buffer();

    /* 1e300 has 301 digits before the point */
    snprintf(s, BUFFER, v > -1e15 && v < 1e15 ? "%.*f" : "%.*g", decimals, v);
    return s;
}
