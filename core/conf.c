#include "core/conf.h"

#include "core/err.h"
#include "core/groupname.h"
#include "core/path.h"
#include "core/text.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <iniparser/iniparser.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define AT(section, field)                                                             \
    offsetof(struct conf, section.field), sizeof(((struct conf *)0)->section.field)

/* clang-format off */
static const struct conf_setting own_rows[] = {
{"paths", "root", CONF_PATH, AT(paths, root), 0, 0, "", "/var/lib/watcherd",
 "folder under which all others lie; a relative path starts at this file's folder"},
{"paths", "incoming", CONF_PATH, AT(paths, incoming), 0, 0, "", "", "where files arrive"},
{"paths", "state", CONF_PATH, AT(paths, state), 0, 0, "", "",
 "queue and registries; on a local file system"},
{"paths", "scratch", CONF_PATH, AT(paths, scratch), 0, 0, "", "",
 "products in the making; on the file system of products"},
{"paths", "products", CONF_PATH, AT(paths, products), 0, 0, "", "", "published products"},
{"paths", "locks", CONF_PATH, AT(paths, locks), 0, 0, "", "",
 "claims; every machine must see the same folder"},

{"watch", "stabilization_time_s", CONF_REAL, AT(watch, stabilization_time_s), 0, 3600, "s", "2",
 "a file is settled after this long without a change"},
{"watch", "max_wait_s", CONF_REAL, AT(watch, max_wait_s), 1, 604800, "s", "1800",
 "a file that still grows after this is reported"},
{"watch", "rescan_s", CONF_REAL, AT(watch, rescan_s), 0.1, 86400, "s", "60",
 "the folder is read through this often, whatever the kernel reports"},
{"watch", "extensions", CONF_TEXT, AT(watch, extensions), 0, 0, "", ".hdf5 .uvh5",
 "ends of the names to look at, separated by spaces"},
{"watch", "recursive", CONF_FLAG, AT(watch, recursive), 0, 0, "", "no",
 "watch the folders below incoming too"},
{"watch", "also", CONF_TEXT, AT(watch, also), 0, 0, "", "",
 "more folders to watch like incoming: absolute paths, separated by spaces"},
{"watch", "min_bytes", CONF_COUNT, AT(watch, min_bytes), 0, 1e15, "bytes", "0",
 "a file that is smaller is bad"},
{"watch", "max_bytes", CONF_COUNT, AT(watch, max_bytes), 0, 1e15, "bytes", "0",
 "a file that is larger is bad; 0: no limit"},

{"group", "pattern", CONF_TEXT, AT(group, pattern), 0, 0, "", "subband",
 "subband, file, directory, or like {time:%Y-%m-%dT%H:%M:%S}_sb{member:2} or "
 "{name}_{member:2}"},
{"group", "tolerance_s", CONF_REAL, AT(group, tolerance_s), 0, 86400, "s", "120",
 "files named within this of the earliest belong to one group"},
{"group", "expected", CONF_COUNT, AT(group, expected), 1, 4096, "files", "16",
 "members of a complete group"},
{"group", "header_tolerance_s", CONF_REAL, AT(group, header_tolerance_s), 0, 86400, "s",
     "300",
     "a sub-band whose header time differs more from the time in its name is refused"},
{"group", "deadline_s", CONF_REAL, AT(group, deadline_s), 0, 2592000, "s", "600",
 "a group still short of members this long after the last arrival is partial"},
{"group", "partial", CONF_WORD, AT(group, partial), 0, 0, "hold process quarantine", "hold",
 "what becomes of a partial group: it waits on, is processed as it is, or is set aside"},
{"group", "min_members", CONF_COUNT, AT(group, min_members), 0, 1024, "files", "0",
 "members that partial = process asks for; 0: all that are expected"},

{"queue", "store", CONF_TEXT, AT(queue, store), 0, 0, "", "sqlite",
 "sqlite (a file in [paths] state, for one machine) or a PostgreSQL connection string"},
{"queue", "name", CONF_TEXT, AT(queue, name), 0, 0, "", "dsa110-pipeline",
 "queues of other names in the same PostgreSQL database are left alone"},
{"queue", "poll_s", CONF_REAL, AT(queue, poll_s), 0.05, 3600, "s", "1",
 "tasks are looked for at least this often, whatever the store notifies"},
{"queue", "max_pending", CONF_COUNT, AT(queue, max_pending), 0, 1e9, "tasks", "0",
 "no group is queued while so many tasks are pending; 0: no limit"},
{"queue", "aging", CONF_COUNT, AT(queue, aging), 0, 1e6, "claims", "0",
 "one claim in so many takes the oldest task, whatever its priority; 0: none"},

{"workers", "count", CONF_COUNT, AT(workers, count), 0, 1024, "processes", "1",
 "worker processes; 0 when they are started by someone else"},
{"workers", "threads", CONF_COUNT, AT(workers, threads), 0, 16, "threads", "0",
 "threads of a task; 0: the machine's processors, shared by the workers"},
{"workers", "max_retries", CONF_COUNT, AT(workers, max_retries), 0, 1000, "", "3",
 "times a task is tried again before it has failed"},
{"workers", "retry_delay_s", CONF_REAL, AT(workers, retry_delay_s), 0, 86400, "s", "30",
 "wait before the first retry, doubled each time"},
{"workers", "retry_max_s", CONF_REAL, AT(workers, retry_max_s), 0, 604800, "s", "3600",
 "and never more than this"},
{"workers", "lease_s", CONF_REAL, AT(workers, lease_s), 1, 86400, "s", "60",
 "a claim without a heartbeat for this long may be taken over"},
{"workers", "heartbeat_s", CONF_REAL, AT(workers, heartbeat_s), 0.1, 43200, "s", "15",
 "time between heartbeats; at most half a lease"},
{"workers", "stop_grace_s", CONF_REAL, AT(workers, stop_grace_s), 0, 86400, "s", "30",
 "how long SIGTERM lets running tasks finish"},
{"workers", "soft_limit_s", CONF_REAL, AT(workers, soft_limit_s), 0, 2592000, "s", "7200",
 "a task that runs longer is asked to stop and tried again; 0: no limit"},
{"workers", "hard_limit_s", CONF_REAL, AT(workers, hard_limit_s), 0, 2592000, "s", "10800",
 "a task that runs longer is killed and tried again; 0: no limit"},
{"workers", "cancel_grace_s", CONF_REAL, AT(workers, cancel_grace_s), 0, 3600, "s", "10",
 "from asking a task to stop (TERM) to killing it"},
{"workers", "memory_mib", CONF_COUNT, AT(workers, memory_mib), 0, 16777216, "MiB", "0",
 "memory that a worker process may take; 0: nine tenths of the machine's"},
{"workers", "max_tasks", CONF_COUNT, AT(workers, max_tasks), 1, 1e9, "tasks", "100",
 "a worker process is replaced after so many"},
{"workers", "sandbox", CONF_FLAG, AT(workers, sandbox), 0, 0, "", "yes",
 "worker processes can write below state, scratch, products and locks alone (Landlock)"},
{"workers", "log_max_kib", CONF_COUNT, AT(workers, log_max_kib), 1, 1048576, "KiB", "1024",
 "size at which the log of a task is cut off"},

{"disk", "warn_pct", CONF_REAL, AT(disk, warn_pct), 0, 100, "%", "80",
 "a directory whose file system is fuller than this is reported"},
{"disk", "stop_pct", CONF_REAL, AT(disk, stop_pct), 0, 100, "%", "95",
 "no task is started while one is fuller than this"},
{"disk", "resume_pct", CONF_REAL, AT(disk, resume_pct), 0, 100, "%", "90",
 "until all are down to this again"},
{"disk", "check_s", CONF_REAL, AT(disk, check_s), 0.1, 3600, "s", "10",
 "how often they are looked at"},

{"clean", "ms_age_d", CONF_REAL, AT(clean, ms_age_d), 0, 36500, "d", "7",
 "batchctl clean: Measurement Sets older than this, whose product is whole"},
{"clean", "scratch_age_d", CONF_REAL, AT(clean, scratch_age_d), 0, 36500, "d", "1",
 "batchctl clean: scratch of nobody's claim older than this"},
{"clean", "log_age_d", CONF_REAL, AT(clean, log_age_d), 0, 36500, "d", "30",
 "batchctl clean: logs of tasks older than this"},
};
/* clang-format on */

/* The sections of core, as a part whose values are struct conf itself. */
static const struct conf_part own = {.row = own_rows,
                                     .nrow = sizeof own_rows / sizeof own_rows[0]};

/* More than all parts have together. */
enum { MOST_SETTINGS = 512 };

/* A line of the file is cut by iniparser 4.1 at 1024 bytes, its newline among them. */
enum { LONGEST_LINE = 1000, LARGEST_FILE = 1 << 20 };

/* What conf_load carries along: where each setting stood, for the sentences. */
struct load {
    const char *file; /* as the caller named it */
    char folder[PATH_MAX];
    const struct conf_parts *parts;
    int line[MOST_SETTINGS]; /* 0: not in the file */
    struct err *e;
};

/* ------------------------------------------------------------------ the rows ---- */

/* Values of parts begin at multiples of this. */
static size_t aligned(size_t n)
{
    return (n + _Alignof(max_align_t) - 1) / _Alignof(max_align_t) *
           _Alignof(max_align_t);
}

/* One setting, and where its value lies in a struct conf. */
struct row {
    const struct conf_setting *s;
    size_t offset;
};

/* Row i of core and of the parts, in order; false behind the last. */
static bool row_at(const struct conf_parts *parts, size_t i, struct row *row)
{
    const struct conf_part *part = &own;
    size_t base = 0, next = offsetof(struct conf, more);

    for (size_t k = 0; i >= part->nrow; k++) {
        i -= part->nrow;
        if (parts == NULL || k == parts->n)
            return false;
        part = parts->part[k];
        base = next;
        next += aligned(part->size);
    }
    *row = (struct row){&part->row[i], base + part->row[i].offset};
    return true;
}

const void *conf_values(const struct conf *conf, const struct conf_part *part)
{
    size_t base = 0;

    for (size_t k = 0; conf->parts != NULL && k < conf->parts->n; k++) {
        if (conf->parts->part[k] == part)
            return conf->more + base;
        base += aligned(conf->parts->part[k]->size);
    }
    return NULL;
}

static void *field(struct conf *conf, const struct row *row)
{
    return (char *)conf + row->offset;
}

static const void *const_field(const struct conf *conf, const struct row *row)
{
    return (const char *)conf + row->offset;
}

/* ------------------------------------------------------------------ values ---- */

/* The one word among `words` (separated by spaces) that equals v. */
static bool one_of(const char *words, const char *v)
{
    size_t n = strlen(v);

    for (const char *w = words; *w != '\0'; w += strspn(w, " ")) {
        size_t len = strcspn(w, " ");

        if (len == n && strncmp(w, v, n) == 0)
            return true;
        w += len;
    }
    return false;
}

/* Each set_* puts text into a field and returns NULL, or says what the text is not. */

static const char *set_real(void *to, const struct conf_setting *s, const char *v)
{
    char *end;
    double x;

    /* strtod also reads "0x1p3", "nan" and "infinity"; nobody means them here */
    if (v[strspn(v, "+-.0123456789eE")] != '\0')
        return "is not a number";
    x = strtod(v, &end);
    if (end == v || *end != '\0')
        return "is not a number";
    if (!isfinite(x) || x < s->min || x > s->max)
        return "is out of range";
    memcpy(to, &x, sizeof x);
    return NULL;
}

static const char *set_count(void *to, const struct conf_setting *s, const char *v)
{
    char *end;
    long n;

    errno = 0;
    n = strtol(v, &end, 10);
    if (end == v || *end != '\0' || isspace((unsigned char)*v))
        return "is not a whole number";
    if (errno != 0 || (double)n < s->min || (double)n > s->max)
        return "is out of range";
    memcpy(to, &n, sizeof n);
    return NULL;
}

static const char *set_flag(void *to, const struct conf_setting *s, const char *v)
{
    bool on = one_of("yes true on 1", v);

    (void)s;
    if (!on && !one_of("no false off 0", v))
        return "is neither yes nor no";
    memcpy(to, &on, sizeof on);
    return NULL;
}

static const char *set_text(void *to, const struct conf_setting *s, const char *v)
{
    size_t n = strlen(v);

    if (n >= s->size)
        return "is too long";
    memset(to, 0, s->size); /* so that equal settings are equal bytes */
    memcpy(to, v, n);
    return NULL;
}

/* Paths go through JSON to workers and back. */
static const char *set_path(void *to, const struct conf_setting *s, const char *v)
{
    return text_is_utf8(v) ? set_text(to, s, v) : "is not UTF-8";
}

static const char *set_word(void *to, const struct conf_setting *s, const char *v)
{
    return one_of(s->extra, v) ? set_text(to, s, v) : "is none of its words";
}

static const struct {
    const char *(*set)(void *to, const struct conf_setting *s, const char *v);
    const char *range; /* how a comment gives the range of such a setting */
} types[] = {
    [CONF_REAL] = {set_real, "number"},    [CONF_COUNT] = {set_count, "whole number"},
    [CONF_FLAG] = {set_flag, "yes or no"}, [CONF_TEXT] = {set_text, "text"},
    [CONF_WORD] = {set_word, "one of"},    [CONF_PATH] = {set_path, "path"},
};

/* "number from 0 to 3600 s", "one of airy gaussian none" */
static void describe(const struct conf_setting *s, char *out, size_t size)
{
    const char *range = types[s->type].range;

    if (s->type == CONF_REAL || s->type == CONF_COUNT)
        snprintf(out, size, "%s from %.10g to %.10g%s%s", range, s->min, s->max,
                 s->extra[0] != '\0' ? " " : "", s->extra);
    else
        snprintf(out, size, "%s%s%s", range, s->extra[0] != '\0' ? " " : "", s->extra);
}

/* ---------------------------------------------------------------- defaults ---- */

static bool is_path(const struct conf_setting *s, const char *name)
{
    return strcmp(s->section, "paths") == 0 && (name == NULL || !strcmp(s->name, name));
}

/* Give every empty path its place below root. */
static int derive_paths(struct conf *conf, struct err *e)
{
    struct row row;

    for (size_t i = 0; row_at(NULL, i, &row); i++) {
        char *path = field(conf, &row);

        if (is_path(row.s, NULL) && path[0] == '\0') {
            int rc = path_join(path, PATH_MAX, conf->paths.root, row.s->name, e);

            if (rc != 0)
                return rc;
        }
    }
    return 0;
}

/* The tables' defaults, with the derived paths still empty. */
static void presets(struct conf *conf, const struct conf_parts *parts)
{
    struct row row;

    memset(conf, 0, sizeof *conf);
    conf->parts = parts;
    for (size_t i = 0; row_at(parts, i, &row); i++) {
        const char *wrong;

        assert(i < MOST_SETTINGS && row.offset + row.s->size <= sizeof *conf);
        wrong = types[row.s->type].set(field(conf, &row), row.s, row.s->preset);
        assert(wrong == NULL);
        (void)wrong;
    }
}

void conf_defaults(struct conf *conf, const char *root, const struct conf_parts *parts)
{
    presets(conf, parts);
    if (root != NULL)
        set_text(conf->paths.root, &own_rows[0], root);
    derive_paths(conf, NULL);
}

/* ------------------------------------------------------------ names, nearest ---- */

/* Refuse section or (name != NULL) name, with the nearest one that exists. */
static int unknown(const struct load *load, int line, const char *section,
                   const char *name)
{
    size_t least = SIZE_MAX;
    const struct conf_setting *near = NULL;
    struct row row;

    for (size_t i = 0; row_at(load->parts, i, &row); i++) {
        const struct conf_setting *s = row.s;
        size_t d = SIZE_MAX;

        if (name == NULL)
            d = text_distance(section, s->section);
        else if (strcmp(name, s->name) == 0)
            d = 0; /* right name, wrong section: nearer than any misspelling here */
        else if (strcmp(section, s->section) == 0)
            d = text_distance(name, s->name);
        if (d < least) {
            least = d;
            near = s;
        }
    }
    assert(near != NULL);
    if (name == NULL)
        return err_set(load->e, ERR_FORMAT,
                       "%s:%d: there is no section [%.40s]; the nearest is [%s]",
                       load->file, line, section, near->section);
    return err_set(load->e, ERR_FORMAT,
                   "%s:%d: [%s] has no setting '%.40s'; the nearest is [%s] %s",
                   load->file, line, section, name, near->section, near->name);
}

static bool known_section(const struct load *load, const char *section)
{
    struct row row;

    for (size_t i = 0; row_at(load->parts, i, &row); i++)
        if (strcmp(section, row.s->section) == 0)
            return true;
    return false;
}

/* --------------------------------------------------------------- the lines ---- */

/* The name at *s (letters, digits, _), lower-cased; *s moves behind it and its spaces. */
static void take_name(const char **s, char name[64])
{
    size_t n = 0;

    while (isalnum((unsigned char)**s) || **s == '_') {
        if (n < 63)
            name[n++] = (char)tolower((unsigned char)**s);
        (*s)++;
    }
    name[n] = '\0';
    *s += strspn(*s, " \t");
}

/* Why iniparser would cut this value, or keep its quotes; NULL when it would not. */
static const char *bad_value(const char *v)
{
    const char *end;

    if (*v != '"' && *v != '\'') {
        end = strpbrk(v, ";#");
        return end == NULL || end == v || isspace((unsigned char)end[-1])
                   ? NULL
                   : "a value with ; or # needs quotes";
    }
    end = strchr(v + 1, *v);
    if (end == NULL)
        return "the quote is not closed";
    end += 1 + strspn(end + 1, " \t");
    return *end == '\0' || *end == '#' || *end == ';'
               ? NULL
               : "there is text behind the closing quote";
}

/*
 * Check one line (without its newline) of what iniparser tolerates or changes in silence.
 * `section` is the current one and changes with a [section] line.
 */
static int check_line(struct load *load, int line, const char *s, char section[64])
{
    const char *wrong;
    char name[64];
    struct row row;

    s += strspn(s, " \t");
    if (*s == '\0' || *s == '#' || *s == ';')
        return 0;
    if (s[strlen(s) - 1] == '\\')
        return err_set(load->e, ERR_FORMAT, "%s:%d: a line must not end in a backslash",
                       load->file, line);
    if (*s == '[') {
        s++;
        s += strspn(s, " \t");
        take_name(&s, section);
        if (*s != ']' || s[1 + strspn(s + 1, " \t")] != '\0')
            return err_set(load->e, ERR_FORMAT, "%s:%d: not a [section]: %.80s",
                           load->file, line, s);
        return known_section(load, section) ? 0 : unknown(load, line, section, NULL);
    }
    take_name(&s, name);
    if (name[0] == '\0' || *s != '=')
        return err_set(load->e, ERR_FORMAT, "%s:%d: neither [section] nor name = value",
                       load->file, line);
    if (section[0] == '\0')
        return err_set(load->e, ERR_FORMAT,
                       "%s:%d: '%s' stands before the first [section]", load->file,
                       line, name);
    s++;
    wrong = bad_value(s + strspn(s, " \t"));
    if (wrong != NULL)
        return err_set(load->e, ERR_FORMAT, "%s:%d: [%s] %s: %s", load->file, line,
                       section, name, wrong);
    for (size_t i = 0; row_at(load->parts, i, &row); i++) {
        if (strcmp(section, row.s->section) || strcmp(name, row.s->name))
            continue;
        if (load->line[i] != 0)
            return err_set(load->e, ERR_FORMAT,
                           "%s:%d: [%s] %s is already set in line %d", load->file, line,
                           section, name, load->line[i]);
        load->line[i] = line;
        return 0;
    }
    return unknown(load, line, section, name);
}

/* Check the whole text, which is cut up. */
static int check_text(struct load *load, char *text, size_t n)
{
    char section[64] = "", *next;
    int line = 0, rc;

    if (memchr(text, '\0', n) != NULL)
        return err_set(load->e, ERR_FORMAT, "%s is not a text file", load->file);
    for (char *s = text; s != NULL && *s != '\0'; s = next) {
        size_t len = strcspn(s, "\n");

        next = s[len] == '\n' ? s + len + 1 : NULL;
        line++;
        if (len > LONGEST_LINE)
            return err_set(load->e, ERR_FORMAT, "%s:%d: line longer than %d bytes",
                           load->file, line, LONGEST_LINE);
        while (len > 0 && isspace((unsigned char)s[len - 1]))
            len--;
        s[len] = '\0';
        rc = check_line(load, line, s, section);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* -------------------------------------------------------------- the loading ---- */

static bool
    complained; /* by iniparser, through the callback, which takes no argument */

static int complain(const char *fmt, ...)
{
    (void)fmt;
    complained = true;
    return 0;
}

/* iniparser's reading of the file; NULL when it found anything to complain of. */
static dictionary *parse(const char *file)
{
    dictionary *d;

    complained = false;
    iniparser_set_error_callback(complain);
    d = iniparser_load(file);
    iniparser_set_error_callback(NULL);
    if (complained && d != NULL) {
        iniparser_freedict(d);
        d = NULL;
    }
    return d;
}

/* Where a relative path starts: the folder that the file lies in. */
static int find_folder(struct load *load)
{
    char dir[PATH_MAX];
    size_t n = (size_t)(path_base(load->file) - load->file);

    if (n >= sizeof dir)
        return err_set(load->e, -ENAMETOOLONG, "path too long: %.80s", load->file);
    memcpy(dir, n == 0 ? "." : load->file, n == 0 ? 1 : n);
    dir[n == 0 ? 1 : n] = '\0';
    if (realpath(dir, load->folder) == NULL)
        return err_set(load->e, -errno, "cannot find the folder of %s: %s", load->file,
                       strerror(errno));
    return 0;
}

/* Make the path in `to` absolute. */
static int anchor(const struct load *load, char *to)
{
    char rest[PATH_MAX];
    const char *s = rest;

    if (to[0] == '/' || to[0] == '\0')
        return 0;
    if (!text_is_utf8(load->folder))
        return err_set(
            load->e, ERR_FORMAT,
            "%s lies in a folder whose name is not UTF-8: give absolute paths",
            load->file);
    memcpy(rest, to, strlen(to) + 1);
    while (s[0] == '.' && s[1] == '/')
        s += 2 + strspn(s + 2, "/");
    if (s[0] == '\0' || strcmp(s, ".") == 0) {
        memcpy(to, load->folder, strlen(load->folder) + 1);
        return 0;
    }
    return path_join(to, PATH_MAX, load->folder, s, load->e);
}

/* Take the value of a setting, which stands in this line, out of what iniparser read. */
static int take_value(struct conf *conf, const struct load *load, const dictionary *d,
                      const struct row *row, int line)
{
    const struct conf_setting *s = row->s;
    char key[160], range[160];
    const char *v, *wrong;

    snprintf(key, sizeof key, "%s:%s", s->section, s->name);
    v = iniparser_getstring(d, key, NULL);
    if (v == NULL)
        wrong = "could not be read";
    else if (is_path(s, "root") && *v == '\0')
        wrong = "must not be empty";
    else
        wrong = types[s->type].set(field(conf, row), s, v);
    if (wrong == NULL)
        return s->type == CONF_PATH ? anchor(load, field(conf, row)) : 0;
    describe(s, range, sizeof range);
    return err_set(load->e, ERR_FORMAT, "%s:%d: [%s] %s = '%.60s' %s (%s)", load->file,
                   line, s->section, s->name, v != NULL ? v : "", wrong, range);
}

/* Does every word begin with a slash? */
static bool all_absolute(const char *words)
{
    for (const char *w = words; *(w += strspn(w, " ")) != '\0'; w += strcspn(w, " "))
        if (*w != '/')
            return false;
    return true;
}

static const char *next_name(const char *path)
{
    for (;;) {
        path += strspn(path, "/");
        if (path[0] != '.' || (path[1] != '/' && path[1] != '\0'))
            return path;
        path++;
    }
}

/* What is left of `path` below `dir`: "" when they are the same, NULL when it is not below; by
 * their texts. */
static const char *below(const char *dir, const char *path)
{
    for (;;) {
        size_t n = strcspn(dir = next_name(dir), "/");

        path = next_name(path);
        if (n == 0)
            return path;
        if (n != strcspn(path, "/") || memcmp(dir, path, n) != 0)
            return NULL;
        dir += n;
        path += n;
    }
}

/* Folders are emptied and swept on the understanding of what is in them. */
static const char *folders_coincide(const struct conf *conf, char *text, size_t size)
{
    const struct {
        const char *name, *path;
    } p[] = {{"scratch", conf->paths.scratch},
             {"incoming", conf->paths.incoming},
             {"state", conf->paths.state},
             {"products", conf->paths.products},
             {"locks", conf->paths.locks}};
    enum { N = sizeof p / sizeof p[0] };

    if (*next_name(conf->paths.root) == '\0')
        return "[paths] root must not be /";
    for (int i = 0; i < N; i++)
        for (int k = i + 1; k < N; k++) {
            const char *rest = below(p[i].path, p[k].path);

            if (rest == NULL || (*rest != '\0' && i != 0))
                continue;
            snprintf(text, size,
                     *rest == '\0' ? "[paths] %s and %s must be two folders"
                                   : "[paths] %s must not contain %s: it is swept",
                     p[i].name, p[k].name);
            return text;
        }
    return NULL;
}

/* What one setting demands of another. */
static int check_together(const struct conf *conf, const struct load *load)
{
    char text[80];
    const char *wrong = NULL;
    struct groupname rule;
    struct err why = {0};

    if (groupname_compile(&rule, conf->group.pattern, &why) != 0)
        wrong = why.text;
    else if (conf->workers.heartbeat_s > conf->workers.lease_s / 2)
        wrong = "[workers] heartbeat_s must be at most half of lease_s";
    else if (conf->workers.soft_limit_s > 0 && conf->workers.hard_limit_s > 0 &&
             conf->workers.soft_limit_s > conf->workers.hard_limit_s)
        wrong = "[workers] soft_limit_s must be at most hard_limit_s";
    else if (conf->disk.resume_pct > conf->disk.stop_pct)
        wrong = "[disk] resume_pct must be at most stop_pct";
    else if (conf->watch.max_bytes > 0 && conf->watch.min_bytes > conf->watch.max_bytes)
        wrong = "[watch] min_bytes must be at most max_bytes";
    else if (conf->group.min_members > conf->group.expected)
        wrong = "[group] min_members must be at most expected";
    else if (!text_is_utf8(conf->watch.also))
        wrong = "[watch] also must be UTF-8";
    else if (!all_absolute(conf->watch.also))
        wrong = "[watch] also must be absolute paths, separated by spaces";
    if (wrong == NULL)
        wrong = folders_coincide(conf, text, sizeof text);
    for (size_t k = 0; wrong == NULL && load->parts != NULL && k < load->parts->n;
         k++) {
        const struct conf_part *part = load->parts->part[k];

        if (part->wrong != NULL)
            wrong = part->wrong(conf_values(conf, part));
    }
    return wrong == NULL ? 0
                         : err_set(load->e, ERR_FORMAT, "%s: %s", load->file, wrong);
}

/* A directory is its group with all that is in it. */
static void widen_for_directories(struct conf *conf)
{
    static const char usual[] = ".hdf5 .uvh5"; /* the default of [watch] extensions */

    if (strcmp(conf->group.pattern, "directory") != 0)
        return;
    conf->watch.recursive = true;
    if (strcmp(conf->watch.extensions, usual) == 0)
        conf->watch.extensions[0] = '\0';
}

int conf_find(char path[PATH_MAX], const char *given, struct err *e)
{
    static const char installed[] = "/etc/watcherd/watcherd.conf";
    const char *named = getenv("WATCHERD_CONF"), *name = given;

    if (name == NULL)
        name = named != NULL && named[0] != '\0' ? named : installed;
    if (realpath(name, path) != NULL)
        return 0;
    return err_set(e, -errno, "cannot read the settings %.120s%s: %s%s", name,
                   name == named ? " ($WATCHERD_CONF)" : "", strerror(errno),
                   name == installed ? "; say which with -c FILE" : "");
}

int conf_load(struct conf *conf, const char *path, const struct conf_parts *parts,
              struct err *e)
{
    struct load load = {.file = path, .parts = parts, .e = e};
    struct row row;
    struct conf fresh; /* so that *conf is untouched when the file is bad */
    dictionary *d = NULL;
    char *text = NULL;
    size_t n;
    int rc;

    rc = path_read(&text, &n, path, LARGEST_FILE, e);
    if (rc == 0)
        rc = find_folder(&load);
    if (rc == 0)
        rc = check_text(&load, text, n);
    if (rc != 0)
        goto out;
    d = parse(path);
    if (d == NULL) {
        rc = err_set(e, ERR_FORMAT, "%s is not a settings file that iniparser reads",
                     path);
        goto out;
    }
    presets(&fresh, parts);
    for (size_t i = 0; rc == 0 && row_at(parts, i, &row); i++)
        if (load.line[i] != 0)
            rc = take_value(&fresh, &load, d, &row, load.line[i]);
    if (rc == 0)
        rc = derive_paths(&fresh, e);
    if (rc == 0)
        rc = check_together(&fresh, &load);
    if (rc == 0) {
        widen_for_directories(&fresh);
        *conf = fresh;
    }

out:
    if (d != NULL)
        iniparser_freedict(d);
    free(text);
    return rc;
}

/* ------------------------------------------------------------------ printing ---- */

/* The shortest decimal that reads back as the same double. */
static void print_real(double x, FILE *out)
{
    char text[32];

    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, x);
        if (strtod(text, NULL) == x)
            break;
    }
    fprintf(out, " %s", text);
}

/* In quotes only where iniparser would otherwise cut or strip. */
static void print_text(const char *s, FILE *out)
{
    size_t n = strlen(s);
    bool quote = n > 0 && (strpbrk(s, ";#") != NULL || isspace((unsigned char)s[0]) ||
                           isspace((unsigned char)s[n - 1]) || s[n - 1] == '\\' ||
                           s[0] == '"' || s[0] == '\'');
    const char *mark = !quote ? "" : strchr(s, '"') != NULL ? "'" : "\"";

    if (n > 0)
        fprintf(out, " %s%s%s", mark, s, mark);
}

static void print_value(const struct conf *conf, const struct row *row, FILE *out)
{
    const void *at = const_field(conf, row);

    switch (row->s->type) {
    case CONF_REAL:
        print_real(*(const double *)at, out);
        break;
    case CONF_COUNT:
        fprintf(out, " %ld", *(const long *)at);
        break;
    case CONF_FLAG:
        fputs(*(const bool *)at ? " yes" : " no", out);
        break;
    case CONF_TEXT:
    case CONF_WORD:
    case CONF_PATH:
        print_text(at, out);
        break;
    }
}

/* A path that lies where root puts it is printed as a comment: it then moves with root. */
static bool is_derived(const struct conf *conf, const struct row *row)
{
    char path[PATH_MAX];

    return is_path(row->s, NULL) && !is_path(row->s, "root") &&
           path_join(path, sizeof path, conf->paths.root, row->s->name, NULL) == 0 &&
           strcmp(path, const_field(conf, row)) == 0;
}

void conf_print(const struct conf *conf, FILE *out)
{
    const char *section = "", *preset;
    char range[160];
    struct row row;

    fputs("# Settings of watcherd.  Every setting may be left out; unknown names and "
          "bad\n"
          "# values are refused.  `watcherd --print-config` prints this file.\n",
          out);
    for (size_t i = 0; row_at(conf->parts, i, &row); i++) {
        const struct conf_setting *s = row.s;

        if (strcmp(section, s->section) != 0)
            fprintf(out, "\n[%s]\n", s->section);
        section = s->section;
        describe(s, range, sizeof range);
        preset = is_path(s, NULL) ? "below root" : "empty";
        if (s->preset[0] != '\0')
            preset = s->preset;
        fprintf(out, "# %s\n#   %s; default %s\n", s->meaning, range, preset);
        fprintf(out, "%s%s =", is_derived(conf, &row) ? "# " : "", s->name);
        print_value(conf, &row, out);
        fputc('\n', out);
    }
}
