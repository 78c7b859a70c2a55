#include "tools/taskctl/preflight.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>
#include <sys/timex.h>
#include <sysexits.h>
#include <unistd.h>

#include "core/child.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/incoming.h"
#include "core/store/registry.h"
#include "core/text.h"
#include "locks/lockfs.h"
#include "pipeline/continuum/settings.h"
#include "tools/taskctl/view.h"

#define SKEW_S     5.0          /* between this machine's clock and the store's */
#define RELEASED_S 1767225600.0 /* 2026-01-01: an earlier clock was never set */

enum grade { GRADE_OK, GRADE_WARN, GRADE_FAIL };
static const char *const grade_names[] = {"ok", "WARN", "FAIL"};

struct flight {
    struct ctl *ctl;
    struct view view;
    json_t *rows;        /* or NULL: lines on stdout */
    size_t of[3];        /* how many of each grade */
    const char *subject; /* of the check that runs */
};

static void judge(struct flight *f, enum grade grade, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void judge(struct flight *f, enum grade grade, const char *fmt, ...)
{
    char text[1200], printable[1600];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    f->of[grade]++;
    text_escape(printable, sizeof printable, text);
    if (f->rows != NULL)
        json_array_append_new(f->rows, json_pack("{s:s, s:s, s:o}", "check", f->subject,
                                                 "result", grade_names[grade], "text",
                                                 text_json(text)));
    else
        printf("%-4s  %-11s %s\n", grade_names[grade], f->subject, printable);
}

/* ---- the checks ---- */

static void say_nothing(void *arg, const char *text)
{
    (void)arg;
    (void)text;
}

static void check_store(struct flight *f)
{
    char store[PATH_MAX + 16];
    struct queue_schema schema = {0};
    struct queue_opts opts;
    struct err e = {0};

    if (f->view.rc != 0) {
        judge(f, GRADE_FAIL, "%s", f->view.why_store.text);
        return;
    }
    if (queue_conf_opts(&opts, store, sizeof store, &f->ctl->conf, QUEUE_AS_TOOL, &e) !=
            0 ||
        queue_migrate(&opts, true, &schema, say_nothing, NULL, &e) != 0)
        judge(f, GRADE_WARN, "%s answers, but not for its version: %s",
              queue_where(f->ctl->q), e.text);
    else
        judge(f, GRADE_OK, "%s answers, its tables have version %d",
              queue_where(f->ctl->q), schema.have);
}

static void check_mode(struct flight *f)
{
    const struct view *v = &f->view;

    if (v->rc != 0)
        judge(f, GRADE_FAIL, "not known without the store");
    else if (v->mode == QUEUE_RUNS)
        judge(f, GRADE_OK, "the queue runs");
    else
        judge(f, GRADE_WARN, "the queue is %s%s%s: taskctl resume",
              queue_mode_name(v->mode), v->reason[0] != '\0' ? ", " : "", v->reason);
}

static void check_daemon(struct flight *f)
{
    const struct view *v = &f->view;
    char age[32];

    if (v->daemon == NULL)
        judge(f, GRADE_FAIL, "%s", v->why_daemon.text);
    else
        judge(f, GRADE_OK, "watcherd runs, pid %lld, up %s",
              (long long)json_integer_value(json_object_get(v->daemon, "pid")),
              text_age(json_number_value(json_object_get(v->daemon, "uptime_s")), age));
}

static void check_workers(struct flight *f)
{
    const struct view *v = &f->view;

    if (v->rc != 0)
        judge(f, GRADE_FAIL, "not known without the store");
    else if (v->sum.alive == 0)
        judge(f, GRADE_FAIL, "no worker is alive (%zu known to the queue)",
              v->roster.n);
    else if (v->sum.alive < v->roster.n)
        judge(f, GRADE_WARN, "%zu of %zu are alive: taskctl workers", v->sum.alive,
              v->roster.n);
    else
        judge(f, GRADE_OK, "%zu alive, %d tasks at a time", v->sum.alive, v->sum.slots);
}

static void check_disks(struct flight *f)
{
    const struct view_disks *d = &f->view.disks;

    for (size_t i = 0; i < VIEW_DISKS; i++) {
        const struct disk_fill *fill = &d->fill[i];
        enum disk_level level = view_level(&f->ctl->conf, fill);
        char bytes[32];

        if (!d->answered && i >= d->stuck) {
            judge(f, GRADE_FAIL, "%s: the file system of %s does not answer",
                  d->name[i], d->dir[d->stuck]);
            return;
        }
        if (fill->rc != 0) {
            judge(f, GRADE_FAIL, "%s: cannot ask %s: %s", d->name[i], d->dir[i],
                  err_text(fill->rc));
            continue;
        }
        judge(f,
              level == DISK_STOP   ? GRADE_FAIL
              : level == DISK_WARN ? GRADE_WARN
                                   : GRADE_OK,
              "%s: %.1f %% full, %s free%s", d->name[i], disk_pct(fill),
              disk_bytes(fill->bytes_free, bytes),
              level == DISK_STOP ? ": no task is started" : "");
    }
}

/* Make a file without a name, which is the only proof that it can be done. */
static int try_to_write(const char *dir)
{
    int fd = open(dir, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600), rc;

    if (fd != -1) {
        rc = write(fd, "x", 1) == 1 ? 0 : -errno;
        close(fd);
        return rc;
    }
    if (errno != EOPNOTSUPP && errno != EISDIR)
        return -errno;
    return access(dir, W_OK | X_OK) == 0 ? 0 : -errno; /* an older file system */
}

static size_t try_directory(struct flight *f, const char *name, const char *dir,
                            bool write)
{
    int rc = write ? try_to_write(dir) : access(dir, R_OK | X_OK) == 0 ? 0 : -errno;

    if (rc != 0)
        judge(f, GRADE_FAIL, "%s: cannot %s %s: %s", name, write ? "write to" : "read",
              dir, err_text(rc));
    return rc != 0;
}

/* [paths] incoming is the first root. */
static size_t try_roots(struct flight *f)
{
    struct incoming_roots roots;
    struct err e = {0};
    size_t bad = 0;

    if (incoming_roots_look(&roots, &f->ctl->conf, &e) != 0) {
        judge(f, GRADE_FAIL, "%s", e.text);
        bad++;
    }
    for (size_t i = 0; i < roots.n; i++)
        bad +=
            try_directory(f, i == 0 ? "incoming" : "root", roots.item[i].path, false);
    incoming_roots_clear(&roots);
    return bad;
}

static void check_directories(struct flight *f)
{
    const struct conf *c = &f->ctl->conf;
    const struct {
        const char *name, *dir;
    } written[] = {{"scratch", c->paths.scratch},
                   {"products", c->paths.products},
                   {"state", c->paths.state},
                   {"locks", c->paths.locks}};
    size_t bad;

    if (!f->view.disks.answered) {
        judge(f, GRADE_FAIL, "not tried: a file system does not answer");
        return;
    }
    bad = try_roots(f);
    for (size_t i = 0; i < sizeof written / sizeof written[0]; i++)
        bad += try_directory(f, written[i].name, written[i].dir, true);
    if (bad == 0)
        judge(f, GRADE_OK,
              "incoming can be read; scratch, products, state and locks "
              "written to");
}

/* What the daemon will start must start; installed beside us. */
static void check_programs(struct flight *f)
{
    char path[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 32);
    const char *argv[] = {path, "--version", NULL};
    struct err e = {0};
    char *slash;

    path[n > 0 ? n : 0] = '\0';
    slash = strrchr(path, '/');
    if (slash == NULL)
        return;
    strcpy(slash + 1, "watcherd-task");
    if (child_run(argv, &(struct child_opts){.log = "/dev/null", .timeout_s = 10},
                  &e) == 0)
        judge(f, GRADE_OK, "watcherd-task starts");
    else
        judge(f, GRADE_FAIL, "no worker could be started: %s", e.text);
}

static void check_locks(struct flight *f)
{
    struct lockfs fs;
    char why[LOCKFS_WHY];
    bool fine;

    if (!f->view.disks.answered) {
        judge(f, GRADE_FAIL, "not tried: a file system does not answer");
        return;
    }
    if (access(f->ctl->conf.paths.locks, F_OK) != 0) {
        judge(f, GRADE_FAIL, "%s is not there", f->ctl->conf.paths.locks);
        return;
    }
    fine = lockfs_explain(f->ctl->conf.paths.locks, &fs, why);
    judge(f,
          fs.mode == MODE_REFUSE ? GRADE_FAIL
          : fine                 ? GRADE_OK
                                 : GRADE_WARN,
          "claims are kept by %s on %s: %s", lockfs_mode_name(fs.mode), fs.type, why);
}

static void check_calibrators(struct flight *f)
{
    const char *wanted = continuum_settings(&f->ctl->conf)->calibration.calibrator;
    struct err e = {0};
    size_t n = 0;
    int rc = registry_calibrators(f->ctl->conf.paths.state, &n, &e);

    if (rc != 0)
        judge(f, GRADE_FAIL, "%s", e.text);
    else if (n == 0 && strcmp(wanted, "auto") == 0)
        judge(f, GRADE_WARN,
              "none is registered yet: the built-in table counts, and what was solved "
              "is registered");
    else
        judge(f, GRADE_OK, "%zu registered; [calibration] calibrator = %s", n, wanted);
}

static void check_clock(struct flight *f)
{
    const struct view *v = &f->view;
    struct timex t = {.modes = 0};
    int state = adjtimex(&t);
    double skew = v->rc == 0 ? v->now - v->wall : 0;
    char at[32];

    clock_iso(v->wall, at);
    if (v->wall < RELEASED_S)
        judge(f, GRADE_FAIL, "this machine's clock says %s: it was never set", at);
    else if (fabs(skew) > SKEW_S)
        judge(f, GRADE_WARN, "the store's clock is %.1f s %s this machine's",
              fabs(skew), skew > 0 ? "ahead of" : "behind");
    else if (state == TIME_ERROR || (t.status & STA_UNSYNC) != 0)
        judge(f, GRADE_WARN, "%s, but nothing keeps it in step (timedatectl)", at);
    else
        judge(f, GRADE_OK, "%s, kept in step", at);
}

static const struct {
    const char *subject;
    void (*check)(struct flight *f);
} checks[] = {
    {"programs", check_programs},
    {"store", check_store},
    {"mode", check_mode},
    {"daemon", check_daemon},
    {"workers", check_workers},
    {"disks", check_disks},
    {"directories", check_directories},
    {"locks", check_locks},
    {"calibrators", check_calibrators},
    {"clock", check_clock},
};

static int say_verdict(const struct flight *f)
{
    bool ready = f->of[GRADE_FAIL] == 0;

    if (f->rows != NULL)
        return ctl_print_json(json_pack("{s:b, s:I, s:I, s:O}", "ready", (int)ready,
                                        "warnings", (json_int_t)f->of[GRADE_WARN],
                                        "failures", (json_int_t)f->of[GRADE_FAIL],
                                        "checks", f->rows));
    if (ready)
        printf("ready%s\n", f->of[GRADE_WARN] > 0 ? ", with warnings" : "");
    else
        printf("NOT READY: %zu failed\n", f->of[GRADE_FAIL]);
    return EX_OK;
}

int preflight_main(struct ctl *ctl, int conf_rc, const struct err *conf_why)
{
    struct flight f = {.ctl = ctl, .rows = ctl->json ? json_array() : NULL};
    int code;

    f.subject = "settings";
    if (conf_rc != 0) {
        judge(&f, GRADE_FAIL, "%s", conf_why->text);
    } else {
        judge(&f, GRADE_OK, "%s is in order", ctl->file);
        view_read(&f.view, ctl);
        for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++) {
            f.subject = checks[i].subject;
            checks[i].check(&f);
        }
        view_clear(&f.view);
    }
    code = say_verdict(&f);
    json_decref(f.rows);
    return code != EX_OK ? code : f.of[GRADE_FAIL] > 0 ? EX_NOT_DONE : EX_OK;
}
