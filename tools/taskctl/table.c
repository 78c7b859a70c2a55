#include "tools/taskctl/table.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "core/mem.h"
#include "core/text.h"

enum { COLUMNS_MOST = 16, CELL = 1100 };

struct table {
    const char *const *head;
    size_t ncol;
    size_t width[COLUMNS_MOST]; /* characters */
    char **cell;                /* [n], row by row */
    size_t n, room;
    unsigned indent;
};

/* Characters, not bytes; every one is taken to be one column wide. */
static size_t characters(const char *s)
{
    size_t n = 0;

    for (; *s != '\0'; n++) {
        size_t k = text_utf8(s);

        s += k > 0 ? k : 1;
    }
    return n;
}

static bool is_number(const char *head)
{
    return head[0] == '>';
}

static const char *title(const char *head)
{
    return head + is_number(head);
}

struct table *table_new(const char *const *head)
{
    struct table *t = mem_calloc(1, sizeof *t);

    t->head = head;
    for (; head[t->ncol] != NULL && t->ncol < COLUMNS_MOST; t->ncol++)
        t->width[t->ncol] = characters(title(head[t->ncol]));
    return t;
}

unsigned table_width(FILE *out)
{
    struct winsize w;
    int fd = fileno(out);

    return fd != -1 && isatty(fd) && ioctl(fd, TIOCGWINSZ, &w) == 0 ? w.ws_col : 0;
}

void table_indent(struct table *t, unsigned n)
{
    t->indent = n;
}

void table_put(struct table *t, const char *text)
{
    char escaped[CELL];
    size_t wide;

    text_escape(escaped, sizeof escaped, text[0] != '\0' ? text : "-");
    if (t->n == t->room) {
        t->room = 2 * t->room + 64;
        t->cell = mem_realloc(t->cell, t->room * sizeof *t->cell);
    }
    t->cell[t->n] = mem_strdup(escaped);
    wide = characters(escaped);
    if (wide > t->width[t->n % t->ncol])
        t->width[t->n % t->ncol] = wide;
    t->n++;
}

void table_putf(struct table *t, const char *fmt, ...)
{
    char text[CELL];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    table_put(t, text);
}

/* At most *left characters of s, which are counted off. */
static void print_some(FILE *out, const char *s, size_t *left)
{
    for (; *s != '\0' && *left > 0; --*left) {
        size_t k = text_utf8(s);

        k = k > 0 ? k : 1;
        fwrite(s, 1, k, out);
        s += k;
    }
}

static void print_blanks(FILE *out, size_t n, size_t *left)
{
    for (; n > 0 && *left > 0; n--, --*left)
        putc(' ', out);
}

static void print_row(const struct table *t, FILE *out, char *const *cell, size_t left)
{
    print_blanks(out, t->indent, &left);
    for (size_t i = 0; i < t->ncol; i++) {
        const char *text = cell != NULL ? cell[i] : title(t->head[i]);
        size_t blanks = t->width[i] - characters(text);
        bool right = is_number(t->head[i]);

        if (i > 0)
            print_blanks(out, 2, &left);
        if (right)
            print_blanks(out, blanks, &left);
        print_some(out, text, &left);
        if (!right && i + 1 < t->ncol)
            print_blanks(out, blanks, &left);
    }
    putc('\n', out);
}

void table_print(const struct table *t, FILE *out, unsigned width)
{
    size_t left = width > 0 ? width : SIZE_MAX;

    print_row(t, out, NULL, left);
    for (size_t i = 0; i + t->ncol <= t->n; i += t->ncol)
        print_row(t, out, t->cell + i, left);
}

void table_free(struct table *t)
{
    if (t == NULL)
        return;
    for (size_t i = 0; i < t->n; i++)
        free(t->cell[i]);
    free(t->cell);
    free(t);
}
