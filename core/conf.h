/*
 * conf.h: the settings file (INI), parsed strictly against one table.
 *
 * Every setting has a section, a name, a type, a range, a unit, a default and a meaning in
 * conf.c's table; unknown names, bad values and repeated ones are refused with the file,
 * the line's name and the reason.  Adding a setting is adding a row and a field here.
 */
#ifndef CORE_CONF_H
#define CORE_CONF_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct err;

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
    struct {
        double dut1_s; /* 0 */
        char beam[16]; /* airy | gaussian | none */
        double dish_m; /* 0: from the file */
    } instrument;
    struct {
        char calibrator
            [512]; /* auto | none | NAME | NAME,RA_DEG,DEC_DEG,FLUX_JY,FREQ_MHZ[,SPIX] */
        double min_beam;         /* 0.3 */
        double min_flux_jy;      /* 0.5, apparent */
        double bandpass_valid_h; /* 24, either side */
        long refant;             /* antenna number; -1 automatic */
        /* solve again with the field's own sources in the model, 1 */
        long model_rounds;
    } calibration;
    struct {
        long size;                        /* pixels a side; 0 from beam and cell */
        double cell_arcsec;               /* 0 from the longest baseline */
        char weighting[16];               /* briggs | natural */
        double robust;                    /* 0.5 */
        long niter;                       /* 20000 */
        double auto_mask, auto_threshold; /* 5, 1 */
        double mgain;                     /* 0.8 */
    } imaging;
    struct {
        long tiles;               /* 10 */
        long overlap;             /* 2; at most tiles - 1 counts */
        double max_gap_s;         /* 420 between successive tiles */
        double pb_cut;            /* 0.2 */
        double dec_tolerance_deg; /* 0.1 */
    } mosaic;
    struct {
        char catalogue[PATH_MAX]; /* CSV; empty: built-in calibrators only */
        double find_sigma;        /* 7 */
    } qa;
};

/* All defaults, with every path below `root` (may be NULL: "/var/lib/watcherd"). */
void conf_defaults(struct conf *conf, const char *root);

/*
 * conf_load: read FILE over the defaults; relative paths are relative to the file's folder.
 * Status: 0; -ENOENT and other errnos; ERR_FORMAT with one sentence naming file, section,
 * name, reason.
 */
int conf_load(struct conf *conf, const char *path, struct err *e);

/* Print every setting as a commented INI file (watcherd --print-config; etc/watcherd.conf). */
void conf_print(const struct conf *conf, FILE *out);

#endif
