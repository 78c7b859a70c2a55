/* groupname.c: see groupname.h.  A pattern becomes steps, all but the name of fixed width. */
#include "core/groupname.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/err.h"
#include "core/path.h"

static const int64_t LATEST_S = 95000000000; /* the year 4980 */
static const char subband[] = "{time:%Y-%m-%dT%H:%M:%S}_sb{member:2}";

/* ---- the pattern ---- */

struct compiler {
    struct groupname *rule;
    const char *pattern;
    struct err *e;
};

static int wrong(const struct compiler *c, const char *why)
{
    return err_set(c->e, -EINVAL, "the group pattern '%.127s' %s", c->pattern, why);
}

static int step(struct compiler *c, char kind, char literal, int width)
{
    struct groupname *rule = c->rule;

    for (int i = 0; kind != 'L' && i < rule->nstep; i++)
        if (rule->step[i].kind == kind)
            return wrong(c, "has a part twice");
    if (kind == '*') {
        rule->at_name = rule->nstep;
        rule->before = rule->after;
        rule->after = 0;
    } else {
        rule->after = (uint16_t)(rule->after + width);
    }
    rule->step[rule->nstep++] = (struct groupname_step){
        .kind = kind, .literal = literal, .width = (uint8_t)width};
    return 0;
}

/* FORMAT of {time:FORMAT}, n characters. */
static int time_part(struct compiler *c, const char *s, size_t n)
{
    static const char letters[] = "YmdjHMS";
    static const int widths[] = {4, 2, 2, 3, 2, 2, 2};
    int rc = 0;

    for (size_t i = 0; i < n && rc == 0; i++) {
        const char *letter;

        if (s[i] != '%') {
            rc = step(c, 'L', s[i], 1);
            continue;
        }
        if (++i == n)
            return wrong(c, "ends a time in %");
        letter = memchr(letters, s[i], sizeof letters - 1);
        if (s[i] == '%')
            rc = step(c, 'L', '%', 1);
        else if (letter == NULL)
            return wrong(c, "has a time with something else than %Y %m %d %j %H %M %S");
        else
            rc = step(c, s[i], 0, widths[letter - letters]);
    }
    return rc;
}

/* What stands in braces, n characters. */
static int part(struct compiler *c, const char *s, size_t n)
{
    if (n == 4 && memcmp(s, "name", 4) == 0)
        return step(c, '*', 0, 0);
    if (n == 8 && memcmp(s, "member:", 7) == 0 && s[7] >= '1' && s[7] <= '4')
        return step(c, 'N', 0, s[7] - '0');
    if (n > 5 && memcmp(s, "time:", 5) == 0)
        return time_part(c, s + 5, n - 5);
    return wrong(c, "has a part that is not {time:FORMAT}, {name} or {member:1} to "
                    "{member:4}");
}

static bool has(const struct groupname *rule, char kind)
{
    for (int i = 0; i < rule->nstep; i++)
        if (rule->step[i].kind == kind)
            return true;
    return false;
}

/* Is it a rule that can tell one group from another? */
static int check(struct compiler *c)
{
    struct groupname *rule = c->rule;
    bool month = has(rule, 'm') && has(rule, 'd'), day = has(rule, 'j');
    bool any = has(rule, 'm') || has(rule, 'd') || day || has(rule, 'H') ||
               has(rule, 'M') || has(rule, 'S');
    bool name = has(rule, '*');

    rule->timed = has(rule, 'Y');
    rule->member = has(rule, 'N');
    if (any && !rule->timed)
        return wrong(c, "has a time without %Y");
    if (rule->timed && (month == day || (day && (has(rule, 'm') || has(rule, 'd')))))
        return wrong(c, "needs either %m and %d or %j in its time");
    if (rule->timed == name)
        return wrong(c, name ? "has both a time and a name"
                             : "has neither {time:...} nor {name}");
    return 0;
}

int groupname_compile(struct groupname *rule, const char *pattern, struct err *e)
{
    struct compiler c = {.rule = rule, .pattern = pattern, .e = e};
    const char *s = pattern;
    int rc = 0;

    memset(rule, 0, sizeof *rule);
    rule->hdf5 = strcmp(pattern, "subband") == 0;
    rule->directory = strcmp(pattern, "directory") == 0;
    if (rule->hdf5)
        s = subband;
    else if (rule->directory || strcmp(pattern, "file") == 0)
        s = "{name}";
    if (strlen(s) >= GROUPNAME_PATTERN)
        return wrong(&c, "is too long");
    while (*s != '\0' && rc == 0) {
        const char *end = strchr(s, '}');

        if (*s == '/' || (*s == '}' && s[1] != '}'))
            return wrong(&c, "has a slash, or a closing brace without an opening one");
        if (*s != '{' || s[1] == '{') {
            rc = step(&c, 'L', *s, 1);
            s += *s == '{' || *s == '}' ? 2 : 1;
        } else if (end == NULL) {
            return wrong(&c, "has an opening brace without a closing one");
        } else {
            rc = part(&c, s + 1, (size_t)(end - s - 1));
            s = end + 1;
        }
    }
    return rc != 0 ? rc : check(&c);
}

/* ---- names ---- */

/* Days from 1970-01-01 in the Gregorian calendar; years from 0. */
static int64_t days_before_year(int64_t y)
{
    return 365 * y + (y + 3) / 4 - (y + 99) / 100 + (y + 399) / 400 - 719528;
}

static bool is_leap(int y)
{
    return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
}

static const int length[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

/* Numbers of a time by their letters; only what has been set counts. */
struct date {
    int year, month, day, yearday, hour, minute, second;
};

static int unix_of(const struct date *d, int64_t *unix_s)
{
    int leap = is_leap(d->year), day = d->yearday;

    if (day < 0) {
        if (d->month < 1 || d->month > 12 || d->day < 1 ||
            d->day > length[d->month - 1] + (d->month == 2 && leap))
            return -EINVAL;
        day = d->day;
        for (int m = 0; m < d->month - 1; m++)
            day += length[m] + (m == 1 && leap);
    }
    if (day < 1 || day > 365 + leap || d->hour > 23 || d->minute > 59 || d->second > 59)
        return -EINVAL;
    *unix_s = (days_before_year(d->year) + day - 1) * 86400 + d->hour * 3600 +
              d->minute * 60 + d->second;
    return *unix_s < 0 || *unix_s >= LATEST_S ? -EINVAL : 0;
}

/* Read `width` digits; -1. */
static int digits(const char *s, int width)
{
    int v = 0;

    for (int i = 0; i < width; i++) {
        if (s[i] < '0' || s[i] > '9')
            return -1;
        v = 10 * v + (s[i] - '0');
    }
    return v;
}

static int *field(struct date *d, int *member, char kind)
{
    switch (kind) {
    case 'Y':
        return &d->year;
    case 'm':
        return &d->month;
    case 'd':
        return &d->day;
    case 'j':
        return &d->yearday;
    case 'H':
        return &d->hour;
    case 'M':
        return &d->minute;
    case 'S':
        return &d->second;
    default:
        return member;
    }
}

static uint64_t hash(const char *s, size_t n)
{
    uint64_t h = 0xcbf29ce484222325u; /* FNV-1a, then mixed so that all bits count */

    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)s[i]) * 0x100000001b3u;
    h = (h ^ (h >> 32)) * 0x9e3779b97f4a7c15u;
    return h ^ (h >> 29);
}

/* Does s[0..n) end a name in a way that we give a meaning to: "lock", "gen34"? */
static bool is_our_ending(const char *s, size_t n)
{
    if (n == 4 && memcmp(s, "lock", 4) == 0)
        return true;
    if (n < 4 || memcmp(s, "gen", 3) != 0)
        return false;
    for (size_t i = 3; i < n; i++)
        if (s[i] < '0' || s[i] > '9')
            return false;
    return true;
}

/* A name made fit for a directory: groupname.h says how. */
static void make_safe(char out[GROUPNAME_SIZE], const char *name, size_t n)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                "0123456789_+=,@:-";
    size_t tail = 17; /* '~' and the hash */
    size_t m = 0, cut = 0;

    for (size_t i = 0; i < n; i++) {
        bool dot = name[i] == '.' && i > 0 && !is_our_ending(name + i + 1, n - i - 1);
        size_t need = dot || memchr(plain, name[i], sizeof plain - 1) != NULL ? 1 : 3;

        if (m + need >= GROUPNAME_SIZE) {
            snprintf(out + cut, GROUPNAME_SIZE - cut, "~%016" PRIx64, hash(name, n));
            return;
        }
        if (need == 1)
            out[m] = name[i];
        else
            snprintf(out + m, 4, "%%%02X", (unsigned)(unsigned char)name[i]);
        m += need;
        if (m + tail < GROUPNAME_SIZE)
            cut = m;
    }
    out[m] = '\0';
}

/* Above all times, and far enough from the ends for differences. */
static int64_t key_of(const char *safe)
{
    return (int64_t)(hash(safe, strlen(safe)) >> 2);
}

/* Length of the part of the name that the pattern speaks of; 0 when there is none. */
static size_t stem_length(const struct groupname *rule, const char *base)
{
    const char *dot = strrchr(base, '.');
    size_t n = strlen(base);

    if (rule->hdf5 && (dot == NULL || (strcmp(dot, ".hdf5") && strcmp(dot, ".uvh5"))))
        return 0;
    return dot == NULL || dot == base || rule->directory ? n : (size_t)(dot - base);
}

int groupname_parse(const struct groupname *rule, const char *base,
                    struct groupname_hit *out)
{
    struct date date = {.yearday = -1};
    size_t n = stem_length(rule, base), fixed = (size_t)rule->before + rule->after;
    int member = 0;

    if (rule->timed ? n != fixed : n <= fixed)
        return -EINVAL;
    for (int i = 0; i < rule->nstep; i++) {
        const struct groupname_step *s = &rule->step[i];
        int v = 0;

        if (s->kind == 'L') {
            if (*base != s->literal)
                return -EINVAL;
        } else if (s->kind == '*') {
            make_safe(out->name, base, n - fixed);
            base += n - fixed;
        } else {
            v = digits(base, s->width);
            if (v < 0)
                return -EINVAL;
            *field(&date, &member, s->kind) = v;
        }
        base += s->width;
    }
    out->member = member;
    if (rule->timed) {
        out->name[0] = '\0';
        return unix_of(&date, &out->key);
    }
    out->key = key_of(out->name);
    return 0;
}

int groupname_key(const struct groupname *rule, const char *name, int64_t *key)
{
    static const char shape[] = "dddd-dd-ddTdd:dd:dd";
    size_t n = strlen(name);

    if (!rule->timed) {
        if (n >= GROUPNAME_SIZE || path_component(name, "a group's name", NULL) != 0)
            return -EINVAL;
        *key = key_of(name);
        return 0;
    }
    if (n != sizeof shape - 1)
        return -EINVAL;
    for (size_t i = 0; i < n; i++)
        if (shape[i] == 'd' ? name[i] < '0' || name[i] > '9' : name[i] != shape[i])
            return -EINVAL;
    return unix_of(&(struct date){.year = digits(name, 4),
                                  .month = digits(name + 5, 2),
                                  .day = digits(name + 8, 2),
                                  .yearday = -1,
                                  .hour = digits(name + 11, 2),
                                  .minute = digits(name + 14, 2),
                                  .second = digits(name + 17, 2)},
                   key);
}

static void put_digits(char *out, int v, int width)
{
    for (int i = width - 1; i >= 0; i--, v /= 10)
        out[i] = (char)('0' + v % 10);
}

void groupname_of_time(char out[GROUPNAME_SIZE], int64_t unix_s)
{
    int64_t days = unix_s / 86400, y = 1970 + days / 366; /* never too late a year */
    int second = (int)(unix_s % 86400), month = 0, day;

    while (days_before_year(y + 1) <= days)
        y++;
    day = (int)(days - days_before_year(y));
    for (; month < 11; month++) {
        int n = length[month] + (month == 1 && is_leap((int)y));

        if (day < n)
            break;
        day -= n;
    }
    memcpy(out, "YYYY-mm-ddTHH:MM:SS", 20);
    put_digits(out, (int)y, 4);
    put_digits(out + 5, month + 1, 2);
    put_digits(out + 8, day + 1, 2);
    put_digits(out + 11, second / 3600, 2);
    put_digits(out + 14, second / 60 % 60, 2);
    put_digits(out + 17, second % 60, 2);
}
