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

struct conf {
    struct {
        char root[PATH_MAX], incoming[PATH_MAX], state[PATH_MAX], scratch[PATH_MAX],
            products[PATH_MAX],
            locks[PATH_MAX]; /* absolute; derived from root when empty */
    } paths;
    struct {
        double stabilization_time_s; /* quiet period, 2.0 */
        double max_wait_s;    /* a file that still grows after this is reported, 1800 */
        double rescan_s;      /* periodic scan of local file systems, 60 */
        char extensions[256]; /* ".hdf5 .uvh5" */
        bool recursive;       /* false */
        char also[900];       /* more roots, absolute, separated by spaces */
        long min_bytes, max_bytes; /* of a file; 0: no limit */
    } watch;
    struct {
        char pattern[128];         /* groupname.h; "subband" */
        double tolerance_s;        /* 120 */
        long expected;             /* 16 */
        double header_tolerance_s; /* header time against name, 300 */
        double deadline_s;         /* partial after this since the last arrival, 600 */
        char partial[16];          /* hold | process | quarantine */
        long min_members;          /* for process; 0: expected */
    } group;
    struct {
        char store[512];  /* "sqlite" or a PostgreSQL connection string */
        char name[64];    /* "dsa110-pipeline" */
        double poll_s;    /* look for tasks at least this often, 1 */
        long max_pending; /* 0: no limit */
        long aging;       /* every so many claims take the oldest task; 0: never */
    } queue;
    struct {
        long count;            /* 1 */
        long max_retries;      /* 3 */
        double retry_delay_s;  /* 30, doubled each time */
        double retry_max_s;    /* and not more than this, 3600 */
        double lease_s;        /* 60 */
        double heartbeat_s;    /* 15 */
        double stop_grace_s;   /* SIGTERM: let running tasks finish this long, 30 */
        double soft_limit_s;   /* then TERM, 7200; 0: none */
        double hard_limit_s;   /* then KILL, 10800; 0: none */
        double cancel_grace_s; /* from TERM to KILL, 10 */
        long memory_mib;       /* of a worker process; 0: no limit */
        long max_tasks;        /* then a worker process is replaced, 100 */
        long log_max_kib;      /* of a task's log, 1024 */
    } workers;
    struct {
        double warn_pct;   /* 80 */
        double stop_pct;   /* 95 */
        double resume_pct; /* 90 */
        double check_s;    /* 10 */
    } disk;
    struct {
        double ms_age_d;      /* 7 */
        double scratch_age_d; /* 1 */
        double log_age_d;     /* 30 */
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
 * Status: 0; -ENOENT and other errnos; ERR_FORMAT with one sentence naming file, section,
 * name, reason.
 */
int conf_load(struct conf *conf, const char *path, const struct conf_parts *parts,
              struct err *e);

/* The struct of a part's values in conf; NULL when conf was not made with this part. */
const void *conf_values(const struct conf *conf, const struct conf_part *part);

/* Print every setting as a commented INI file (watcherd --print-config; etc/watcherd.conf). */
void conf_print(const struct conf *conf, FILE *out);

#endif
