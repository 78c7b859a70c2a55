#include "tools/common/options.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "tools/common/program.h"

enum { FIRST = 256, VERSION_ASKED = 255 };

int options_time(const char *text, double *s)
{
    static const struct {
        const char *name;
        double s;
    } units[] = {{"", 1},     {"s", 1},     {"m", 60},       {"min", 60},
                 {"h", 3600}, {"d", 86400}, {"w", 7 * 86400}};
    char *end;
    double v;

    errno = 0;
    v = strtod(text, &end);
    if (end == text || errno != 0 || !(v >= 0) || v > 1e9 ||
        !isdigit((unsigned char)text[0]))
        return -EINVAL;
    while (*end == ' ')
        end++;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (strcmp(end, units[i].name) == 0) {
            *s = v * units[i].s;
            return 0;
        }
    return -EINVAL;
}

static int take_whole(const struct options *o, const struct option_row *row,
                      const char *text)
{
    long lo = (long)row->lo, hi = row->hi < 9e18 ? (long)row->hi : LONG_MAX, n;
    char *end;

    errno = 0;
    n = strtol(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0 || n < lo || n > hi)
        return program_wrong(o->program, "--%s %s is no whole number from %ld to %ld",
                             row->name, text, lo, hi);
    memcpy((char *)o->into + row->at, &n, sizeof n);
    return OPTIONS_GO_ON;
}

static int take_real(const struct options *o, const struct option_row *row,
                     const char *text)
{
    char *end;
    double v;

    v = strtod(text, &end);
    if (end == text || *end != '\0' || !(v >= row->lo && v <= row->hi))
        return program_wrong(o->program, "--%s %s is no number from %g to %g",
                             row->name, text, row->lo, row->hi);
    memcpy((char *)o->into + row->at, &v, sizeof v);
    return OPTIONS_GO_ON;
}

static int take_time(const struct options *o, const struct option_row *row,
                     const char *text)
{
    double s;

    if (options_time(text, &s) != 0)
        return program_wrong(o->program, "--%s %s is no time: 90s, 5m, 2h or 1d",
                             row->name, text);
    memcpy((char *)o->into + row->at, &s, sizeof s);
    return OPTIONS_GO_ON;
}

static int take_row(struct options *o, const struct option_row *row, const char *text)
{
    char *at = (char *)o->into + row->at;
    size_t seen = strlen(o->seen);
    bool yes = true;

    if (row->letter != 0 && seen + 1 < sizeof o->seen)
        o->seen[seen] = row->letter;
    switch (row->kind) {
    case OPTION_FLAG:
        memcpy(at, &yes, sizeof yes);
        break;
    case OPTION_TEXT:
        memcpy(at, &text, sizeof text);
        break;
    case OPTION_WHOLE:
        return take_whole(o, row, text);
    case OPTION_REAL:
        return take_real(o, row, text);
    case OPTION_TIME:
        return take_time(o, row, text);
    case OPTION_DO:
    case OPTION_OWN:
        return o->take(o->into, row->letter, text);
    }
    return OPTIONS_GO_ON;
}

static const struct option_row *row_of(const struct options *o, int opt)
{
    size_t i = 0;

    if (opt >= FIRST)
        return &o->row[opt - FIRST];
    while (i + 1 < o->n && o->row[i].letter != opt)
        i++;
    return &o->row[i];
}

int options_take(struct options *o, int argc, char **argv)
{
    struct option list[OPTIONS_MOST + 1] = {{0}};
    int opt, code = OPTIONS_GO_ON;

    for (size_t i = 0; i < o->n; i++) {
        enum option_kind kind = o->row[i].kind;
        bool bare = kind == OPTION_FLAG || kind == OPTION_DO;

        list[i] = (struct option){o->row[i].name, !bare, NULL, FIRST + (int)i};
    }
    list[o->n] = (struct option){"version", 0, NULL, VERSION_ASKED};
    while (code == OPTIONS_GO_ON &&
           (opt = getopt_long(argc, argv, o->shorts, list, NULL)) != -1) {
        if (opt == '?')
            return EX_USAGE; /* getopt has said why */
        if (opt == VERSION_ASKED)
            return printf("%s " VERSION "\n", o->program) >= 0 ? EX_OK : EX_IOERR;
        if (opt == OPTIONS_WORD)
            code = o->take(o->into, OPTIONS_WORD, optarg);
        else
            code = take_row(o, row_of(o, opt), optarg);
    }
    return code;
}
