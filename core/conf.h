/*
 * conf.h: the settings file (INI), parsed strictly against one table.
 *
 * Every setting has a section, a name, a type, a range, a unit, a default and a meaning in
 * conf.c's table, or in that of the pipeline it belongs to (struct conf_part); unknown names,
 * bad values and repeated ones are refused with the file, the line's name and the reason.
 * Adding a setting is adding a row and a field.
 */
#ifndef CORE_CONF_H
#define CORE_CONF_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct err;

enum conf_type { CONF_REAL, CONF_COUNT, CONF_FLAG, CONF_TEXT, CONF_WORD, CONF_PATH };

/* One setting.  `extra` is the unit of a number and the allowed words of a WORD. */
struct conf_setting {
    const char *section, *name;
    enum conf_type type;
    /* of its value (double, long, bool, char[]) in its struct, bytes */
    size_t offset, size;
    double min, max; /* both allowed; numbers only */
    const char *extra, *preset, *meaning;
};

/* The settings of a room above core, which has the struct of their values. */
struct conf_part {
    const struct conf_setting *row; /* [nrow] */
    size_t nrow, size;              /* size of the struct, bytes */
    /* What one value demands of another: NULL, or a sentence; may be NULL itself. */
    const char *(*wrong)(const void *values);
};

/* All parts that a settings file may name, in the order in which they are printed. */
struct conf_parts {
    const struct conf_part *const *part; /* [n] */
    size_t n;
};

enum { CONF_MORE = 16384 }; /* room for the values of all parts, bytes */

/* The values.  What they mean, their ranges and defaults stand in conf.c's table. */
struct conf {
    struct {
        /* absolute; below root when empty in the file */
        char root[PATH_MAX], incoming[PATH_MAX], state[PATH_MAX], scratch[PATH_MAX];
        char products[PATH_MAX], locks[PATH_MAX];
    } paths;
    struct {
        double stabilization_time_s, max_wait_s, rescan_s;
        char extensions[256]; /* incoming_names */
        bool recursive;
        char also[900];            /* absolute paths, separated by spaces */
        long min_bytes, max_bytes; /* 0: no limit */
    } watch;
    struct {
        char pattern[128]; /* groupname.h */
        double tolerance_s;
        long expected;
        double header_tolerance_s, deadline_s;
        char partial[16];
        long min_members; /* 0: expected */
    } group;
    struct {
        char store[512];
        char name[64];
        double poll_s;
        long max_pending, aging; /* 0: none */
    } queue;
    struct {
        long count, threads, max_retries;
        double retry_delay_s, retry_max_s;
        double lease_s, heartbeat_s;
        double stop_grace_s, soft_limit_s, hard_limit_s; /* limits: 0: none */
        double cancel_grace_s;
        long memory_mib; /* 0: nine tenths of the machine's */
        long max_tasks, log_max_kib;
        bool sandbox;
    } workers;
    struct {
        double warn_pct, stop_pct, resume_pct, check_s;
    } disk;
    struct {
        double ms_age_d, scratch_age_d, log_age_d;
    } clean;
    const struct conf_parts *parts; /* whose values are these: */
    _Alignas(max_align_t) char more[CONF_MORE];
};

/*
 * All defaults, with every path below `root` (may be NULL: "/var/lib/watcherd"), and those of
 * `parts`, which are borrowed for as long as conf and its copies live (may be NULL).
 */
void conf_defaults(struct conf *conf, const char *root, const struct conf_parts *parts);

/*
 * conf_load: read FILE over the defaults; relative paths are relative to the file's folder.
 * parts: as for conf_defaults.
 * Status: 0; -ENOENT there is no such file, and other errnos; ERR_FORMAT it cannot be
 * understood: the sentence names file, line, section, name and reason.
 */
int conf_load(struct conf *conf, const char *path, const struct conf_parts *parts,
              struct err *e);

/*
 * conf_find: which settings a program goes by, all of them alike: `given` (its -c), else what
 * $WATCHERD_CONF names, else /etc/watcherd/watcherd.conf.
 * Returned: path, absolute
 * Status: 0; a negated errno, with what to say instead
 */
int conf_find(char path[PATH_MAX], const char *given, struct err *e);

/* The struct of a part's values in conf; NULL when conf was not made with this part. */
const void *conf_values(const struct conf *conf, const struct conf_part *part);

/* Print every setting as a commented INI file (watcherd --print-config; etc/watcherd.conf). */
void conf_print(const struct conf *conf, FILE *out);

#endif
