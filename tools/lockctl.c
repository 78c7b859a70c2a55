/*
 * lockctl: who holds which group, and ending what the dead have left behind.
 *
 *   lockctl list DIR                        lockctl explain DIR GROUP
 *   lockctl cleanup DIR [--timeout S]       lockctl break DIR GROUP --gen N
 *   lockctl doctor DIR [--peer DIR2]        lockctl run DIR GROUP -- PROGRAM ...
 *
 * The words of `list` and `cleanup` are those of the scripts that it replaces; others read them.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/conf.h"
#include "core/err.h"
#include "core/path.h"
#include "core/text.h"
#include "locks/claim.h"
#include "locks/doctor.h"
#include "locks/idle.h"
#include "locks/run_held.h"
#include "locks/locklist.h"
#include "locks/observer.h"
#include "locks/owner.h"
#include "pipeline/pipeline.h"

enum {
    EX_LOST = 76,
    EX_OPAQUE = 65
}; /* EX_PROTOCOL and EX_DATAERR: the nearest there are */

struct args {
    const char *dir, *group, *peer, *task, *state, *settings;
    char **program; /* run: what to run, ended by NULL */
    double lease_s, heartbeat_s;
    bool force, commit, foreign, relaxed;
    double timeout_s; /* an expired lock younger than this is left alone */
    double wait_s; /* cleanup: how long to watch owners that cannot be judged at once */
    long long gen; /* break: which */
    bool dry_run, json, verbose, strict;
};

static int fail(int code, const struct err *e)
{
    fprintf(stderr, "lockctl: %s\n", e->text);
    return code;
}

static int exit_code(int rc)
{
    switch (rc) {
    case -ENOENT:
    case -ENOTDIR:
        return EX_NOINPUT;
    case -EACCES:
    case -EPERM:
    case -EROFS:
        return EX_NOPERM;
    default:
        return EX_IOERR;
    }
}

/* `<dir>/.watcherd/seen.json`: what earlier runs on this machine saw of heartbeats. */
static void seen_path(char out[4096], const struct args *args)
{
    snprintf(out, 4096, "%s/.watcherd/seen.json", args->dir);
}

static struct observer *recall(const struct args *args)
{
    struct observer *obs = observer_new();
    char path[4096];

    seen_path(path, args);
    observer_load(obs, path, NULL);
    return obs;
}

/* Best effort: without it the next run merely starts to time anew. */
static void remember(const struct observer *obs, const struct args *args)
{
    char path[4096];

    snprintf(path, sizeof path, "%s/.watcherd", args->dir);
    if (path_mkdirs(path, NULL) != 0)
        return;
    seen_path(path, args);
    observer_save(obs, path, NULL);
}

static json_t *entry_json(const struct lock_entry *entry)
{
    const struct record *rec = &entry->view.rec;
    json_t *json = json_pack("{s:s, s:s, s:b, s:s, s:I, s:s, s:s}", "state",
                             lock_state_name(entry->view.state), "lock", entry->name,
                             "legacy", (int)entry->legacy, "reason", entry->view.why,
                             "pid", (json_int_t)rec->owner.pid, "host", rec->owner.host,
                             "where", entry->where);

    if (json == NULL) /* a path that is not UTF-8 */
        json = json_pack("{s:s, s:s}", "state", lock_state_name(entry->view.state),
                         "lock", entry->name);
    json_object_set_new(json, "age_s",
                        entry->age_s >= 0 ? json_real(entry->age_s) : json_null());
    if (!entry->legacy && entry->view.state != LOCK_OPAQUE) {
        json_object_set_new(json, "gen", json_integer((json_int_t)rec->gen));
        json_object_set_new(json, "group", json_string(rec->group));
        json_object_set_new(json, "program", json_string(rec->owner.exe));
        json_object_set_new(json, "task", json_string(rec->task));
        json_object_set_new(json, "taken", json_string(rec->t_utc));
        json_object_set_new(json, "mode", json_string(lockfs_mode_name(rec->mode)));
        json_object_set_new(json, "lease_s", json_real(rec->lease_s));
        json_object_set_new(json, "heartbeat",
                            json_integer((json_int_t)entry->view.beat));
        json_object_set_new(json, "unmoved_s",
                            entry->view.unmoved_s >= 0
                                ? json_real(entry->view.unmoved_s)
                                : json_null());
    }
    return json;
}

static void print_json(json_t *json)
{
    json_dumpf(json, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(12));
    putchar('\n');
    json_decref(json);
}

static void print_entry(const struct lock_entry *entry, bool verbose)
{
    const struct record *rec = &entry->view.rec;

    printf("  [%s] %s", lock_state_name(entry->view.state), entry->name);
    if (entry->age_s >= 0)
        printf(" (age: %.1f min)", entry->age_s / 60);
    if (entry->legacy)
        fputs(" legacy", stdout);
    putchar('\n');
    if (!verbose)
        return;
    if (rec->gen != 0)
        printf("      generation %" PRIu64 ", %s on %s, process %" PRId64
               ", since %s\n",
               rec->gen, rec->owner.exe, rec->owner.host, rec->owner.pid, rec->t_utc);
    else if (rec->owner.pid != 0)
        printf("      process %" PRId64 "\n", rec->owner.pid);
    if (entry->view.why[0] != '\0')
        printf("      %s\n", entry->view.why);
}

/* Warn of what could not be read; the exit code that follows. */
static int report_unreadable(const struct locklist *list)
{
    if (list->unreadable == 0)
        return EX_OK;
    fprintf(stderr, "lockctl: %s%s\n", list->first_unreadable,
            list->unreadable > 1 ? ", and more" : "");
    return 1;
}

static int run_list(const struct args *args)
{
    struct observer *obs = recall(args);
    struct idle *idle = idle_load(args->dir);
    struct locklist list;
    struct err e = {0};
    int rc = locklist_read(&list, args->dir, obs, idle, &e);

    if (rc == 0)
        idle_save(idle, args->dir);
    idle_free(idle);
    observer_free(obs);
    if (rc != 0)
        return fail(exit_code(rc), &e);
    if (args->json) {
        json_t *rows = json_array();

        for (size_t i = 0; i < list.n; i++)
            json_array_append_new(rows, entry_json(&list.item[i]));
        print_json(rows);
    } else {
        printf("Found %zu lock files%s\n", list.n, list.n > 0 ? ":" : "");
        for (size_t i = 0; i < list.n; i++)
            print_entry(&list.item[i], args->verbose);
    }
    rc = report_unreadable(&list);
    locklist_clear(&list);
    return rc;
}

/* "1 hour", "2 hours", "10 min", "90 s" */
static void spell_duration(char out[32], double s)
{
    long whole = (long)s;

    if (whole >= 3600 && whole % 3600 == 0)
        snprintf(out, 32, "%ld hour%s", whole / 3600, whole == 3600 ? "" : "s");
    else if (whole >= 60 && whole % 60 == 0)
        snprintf(out, 32, "%ld min", whole / 60);
    else
        snprintf(out, 32, "%g s", s);
}

/* Should it go, and for which reason? */
static bool is_garbage(const struct lock_entry *entry, const struct args *args,
                       char why[OWNER_WHY])
{
    char limit[32];

    if (entry->view.state == LOCK_DEAD) {
        snprintf(why, OWNER_WHY, "%s", entry->view.why);
        return true;
    }
    if (entry->view.state != LOCK_EXPIRED || args->strict ||
        entry->age_s < args->timeout_s)
        return false;
    spell_duration(limit, args->timeout_s);
    snprintf(why, OWNER_WHY, "age > %s", limit);
    return true;
}

/* Look again and again until no owner is undecided or the time is up. */
static int read_patiently(struct locklist *list, struct observer *obs,
                          const struct args *args, struct err *e)
{
    double until = clock_boot_s() + args->wait_s;
    struct idle *idle = idle_load(args->dir);
    int rc;

    for (;;) {
        size_t undecided = 0;

        rc = locklist_read(list, args->dir, obs, idle, e);
        for (size_t i = 0; i < list->n && rc == 0; i++)
            undecided += list->item[i].view.unmoved_s >= 0 &&
                         list->item[i].view.state != LOCK_EXPIRED;
        if (rc != 0 || undecided == 0 || clock_boot_s() >= until)
            break;
        locklist_clear(list);
        usleep(200000);
    }
    if (rc == 0 && !args->dry_run)
        idle_save(idle, args->dir);
    idle_free(idle);
    return rc;
}

static void count_removal(const struct lock_entry *entry, const char *why,
                          const struct args *args, json_t *removed)
{
    if (removed != NULL)
        json_array_append_new(
            removed, json_pack("{s:s, s:s}", "lock", entry->name, "reason", why));
    else
        printf("%s dead lock: %s (%s)\n", args->dry_run ? "Would remove" : "Removed",
               entry->name, why);
}

static int run_cleanup(const struct args *args)
{
    struct observer *obs = recall(args);
    json_t *removed = args->json ? json_array() : NULL;
    struct locklist list = {0};
    struct err e = {0};
    size_t gone = 0, failed = 0;
    int rc;

    if (!args->json)
        printf("Scanning for dead locks in: %s\n", args->dir);
    fflush(stdout);
    rc = read_patiently(&list, obs, args, &e);
    for (size_t i = 0; i < list.n && rc == 0 && !args->dry_run; i++)
        if (list.item[i].view.unmoved_s >= 0) { /* there is a silence to be timed */
            remember(obs, args);
            break;
        }
    observer_free(obs);
    if (rc != 0) {
        json_decref(removed);
        return fail(exit_code(rc), &e);
    }
    if (!args->json)
        printf("Found %zu lock files\n", list.n);
    for (size_t i = 0; i < list.n; i++) {
        char why[OWNER_WHY];

        if (!is_garbage(&list.item[i], args, why))
            continue;
        rc = args->dry_run ? 0 : locklist_clean(args->dir, &list.item[i], why, &e);
        if (rc == 0) {
            gone++;
            count_removal(&list.item[i], why, args, removed);
        } else if (rc != -EEXIST && rc != -EBUSY && rc != -ENOENT) {
            failed++;
            fprintf(stderr, "lockctl: %s: %s\n", list.item[i].name, e.text);
        }
    }
    if (args->json)
        print_json(json_pack("{s:I, s:o, s:b}", "found", (json_int_t)list.n, "removed",
                             removed, "dry_run", (int)args->dry_run));
    else
        printf("%s %zu dead lock files\n", args->dry_run ? "Would remove" : "Removed",
               gone);
    rc = report_unreadable(&list);
    locklist_clear(&list);
    return failed > 0 ? 1 : rc;
}

static int open_group(const struct args *args, struct err *e)
{
    char path[4096];
    int fd;

    if (path_join(path, sizeof path, args->dir, args->group, e) != 0)
        return -ENAMETOOLONG;
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd != -1 ? fd
                    : err_set(e, -errno, "cannot open %s: %s", path, strerror(errno));
}

/* The first line of `kind`.`gen`, printable; false when there is no such file. */
static bool first_line(int dirfd, char kind, uint64_t gen, char out[512])
{
    char name[RECORD_NAME], text[256] = "";
    ssize_t n;
    int fd;

    record_name(name, kind, gen);
    fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd == -1)
        return false;
    n = read(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    text[strcspn(text, "\n")] = '\0';
    text_escape(out, 512, text);
    return true;
}

/* How the generations before ended, newest first, at most ten. */
static json_t *history(int dirfd, const struct generations *gens)
{
    json_t *rows = json_array();
    char line[512];

    for (uint64_t gen = gens->g, i = 0; gen > 0 && i < 10; gen--, i++) {
        struct record rec;
        char name[RECORD_NAME], why[OWNER_WHY];
        json_t *row;
        int rc;

        record_name(name, 'g', gen);
        rc = record_read(dirfd, name, gen, &rec, why);
        if (rc < 0)
            break;
        row =
            json_pack("{s:I, s:s, s:s}", "gen", (json_int_t)gen, "host",
                      rc == 0 ? rec.owner.host : "", "taken", rc == 0 ? rec.t_utc : "");
        if (rc == 0 && rec.after != 0)
            json_object_set_new(row, "took_over", json_string(rec.evidence));
        if (first_line(dirfd, 'r', gen, line))
            json_object_set_new(row, "end", json_string(line));
        json_object_set_new(row, "committed",
                            json_boolean(first_line(dirfd, 'c', gen, line)));
        json_array_append_new(rows, row);
    }
    return rows;
}

static void print_history(const json_t *rows)
{
    const json_t *row;
    size_t i;

    json_array_foreach(rows, i, row)
    {
        const char *end = json_string_value(json_object_get(row, "end"));
        const char *over = json_string_value(json_object_get(row, "took_over"));

        printf("  generation %" JSON_INTEGER_FORMAT ": %s %s%s%s%s%s, %s\n",
               json_integer_value(json_object_get(row, "gen")),
               json_string_value(json_object_get(row, "host")),
               json_string_value(json_object_get(row, "taken")),
               over != NULL ? ", took over: " : "", over != NULL ? over : "",
               json_is_true(json_object_get(row, "committed")) ? ", committed" : "",
               end != NULL ? "" : ", no end marker", end != NULL ? end : "");
    }
}

static int run_explain(const struct args *args)
{
    struct observer *obs = recall(args);
    struct lock_entry entry = {0};
    struct lock_view *view = &entry.view;
    char name[1024];
    json_t *past;
    struct err e = {0};
    int dirfd = open_group(args, &e), rc = dirfd;

    text_escape(name, sizeof name - 8, args->group);
    if (rc >= 0)
        rc = observer_look(obs, dirfd, name, view, &e);
    strcat(name, ".lock");
    observer_free(obs);
    if (rc != 0) {
        if (dirfd >= 0)
            close(dirfd);
        return fail(exit_code(rc), &e);
    }
    past = history(dirfd, &view->gens);
    close(dirfd);
    entry.name = entry.where = name;
    entry.age_s = view->rec.gen != 0 ? locklist_age_s(&view->rec) : -1;
    if (args->json) {
        json_t *json = entry_json(&entry);

        json_object_set_new(json, "history", past);
        print_json(json);
        return view->state == LOCK_OPAQUE ? EX_OPAQUE : EX_OK;
    }
    if (view->state == LOCK_FREE) {
        printf("%s is free; the next claim will be generation %" PRIu64 "\n",
               args->group, view->gens.top + 1);
    } else {
        print_entry(&entry, true);
        if (view->rec.gen != 0)
            printf("      boot %s, PID namespace %" PRIu64 ", start %" PRIu64
                   ", pidfs %" PRIu64 "\n      %s on %s, lease %g s, heartbeat %" PRIu64
                   "\n",
                   view->rec.owner.boot, view->rec.owner.pidns, view->rec.owner.start,
                   view->rec.owner.pidfs, lockfs_mode_name(view->rec.mode),
                   view->rec.fs, view->rec.lease_s, view->beat);
    }
    print_history(past);
    json_decref(past);
    return view->state == LOCK_OPAQUE ? EX_OPAQUE : EX_OK;
}

static int run_break(const struct args *args)
{
    struct lock_view view;
    char why[96];
    struct err e = {0};
    int dirfd, rc;

    if (args->gen <= 0) {
        fputs("lockctl: break needs --gen N, the generation that list shows\n", stderr);
        return EX_USAGE;
    }
    dirfd = rc = open_group(args, &e);
    if (rc >= 0)
        rc = observer_look(NULL, dirfd, args->group, &view, &e);
    if (rc == 0 && view.gens.g != (uint64_t)args->gen)
        rc = err_set(&e, -ESTALE, "%s is at generation %" PRIu64 ", not %lld",
                     args->group, view.gens.g, args->gen);
    if (rc == 0 && view.state == LOCK_FREE)
        rc = err_set(&e, -ESTALE, "generation %lld of %s has already ended", args->gen,
                     args->group);
    if (rc == 0 && view.state == LOCK_HELD && !args->force &&
        strcmp(view.why, "process is running") == 0)
        rc = err_set(&e, -ESTALE,
                     "process %" PRId64
                     " is running and holds %s; --force breaks it all the "
                     "same",
                     view.rec.owner.pid, args->group);
    snprintf(why, sizeof why, "by hand, user %u", (unsigned int)getuid());
    if (rc == 0)
        rc = claim_break(dirfd, (uint64_t)args->gen, why, &e);
    if (dirfd >= 0)
        close(dirfd);
    if (rc != 0)
        return fail(rc == -ESTALE || rc == -EEXIST ? 1 : exit_code(rc), &e);
    printf("Broke generation %lld of %s\n", args->gen, args->group);
    return EX_OK;
}

static const char *yes(bool ok)
{
    return ok ? "yes" : "NO";
}

static int run_doctor(const struct args *args)
{
    struct doctor d;
    struct err e = {0};
    int rc = doctor_examine(&d, args->dir, args->peer, &e);

    if (rc == 0 && !args->dry_run)
        rc = doctor_write(&d, args->dir, args->peer, &e);
    if (rc != 0)
        return fail(exit_code(rc), &e);
    if (args->json) {
        print_json(json_pack("{s:s, s:s, s:b, s:b, s:b, s:s, s:s, s:f, s:f, s:f}",
                             "mode", lockfs_mode_name(d.mode), "type", d.type, "excl",
                             (int)d.excl, "link", (int)d.link, "rename", (int)d.rename,
                             "flock", coherence_name(d.flock), "ofd",
                             coherence_name(d.ofd), "name_s", d.name_s, "beat_s",
                             d.beat_s, "clock_s", d.clock_s));
        return d.mode == MODE_REFUSE ? 1 : EX_OK;
    }
    printf("%s is on %s (%s)\n", args->dir, d.type, d.options);
    if (args->peer != NULL)
        printf("%s is the same directory, on %s\n", args->peer, d.peer_type);
    printf(
        "  exclusive create   %s\n  exclusive link     %s\n  rename             %s\n",
        yes(d.excl), yes(d.link), yes(d.rename));
    printf("  flock              %s\n  fcntl (OFD)        %s\n",
           coherence_name(d.flock), coherence_name(d.ofd));
    printf("  fsync              file %s, directory %s\n", yes(d.fsync_file),
           yes(d.fsync_dir));
    printf("  new name seen in   %.3f s\n  heartbeat seen in  %.3f s\n", d.name_s,
           d.beat_s);
    printf("  its clock          %+.3f s from ours\n", d.clock_s);
    if (args->peer == NULL && d.mode == MODE_GEN)
        puts("  without --peer nothing can be said of kernel locks between machines");
    printf("mode: %s%s\n", lockfs_mode_name(d.mode),
           args->dry_run ? "" : ", written to .watcherd/fs.json");
    return d.mode == MODE_REFUSE ? 1 : EX_OK;
}

/* Try to claim until --wait is over; leases of silent owners are timed meanwhile. */
static int claim_patiently(struct claim **claim, const char *dir,
                           const struct args *args, struct err *e)
{
    struct claim_opts opts = {.task = args->task,
                              .lease_s = args->lease_s,
                              .heartbeat_s = args->heartbeat_s,
                              .strict = args->strict,
                              .foreign = args->foreign,
                              .relaxed = args->relaxed,
                              .observer = recall(args)};
    double until = clock_boot_s() + args->wait_s;
    int rc;

    while ((rc = claim_acquire(claim, dir, args->group, &opts, e)) == -EBUSY &&
           clock_boot_s() < until)
        usleep(100000);
    observer_free(opts.observer);
    return rc;
}

static int run_run(const struct args *args)
{
    struct claim *claim;
    char dir[4096];
    struct err e = {0};
    int rc, code = 0;

    if (args->group[0] == '\0' || strchr(args->group, '/') != NULL ||
        args->group[0] == '.') {
        fprintf(stderr, "lockctl: not a group's name: %s\n", args->group);
        return EX_USAGE;
    }
    rc = path_join(dir, sizeof dir, args->dir, args->group, &e);
    if (rc == 0)
        rc = claim_patiently(&claim, dir, args, &e);
    if (rc == -EBUSY)
        return fail(EX_TEMPFAIL, &e);
    if (rc != 0)
        return fail(rc == -EUCLEAN ? EX_OPAQUE : exit_code(rc), &e);
    rc = run_held(claim, args->group, args->heartbeat_s > 0 ? args->heartbeat_s : 15,
                  args->program, &code, &e);
    if (rc == 0 && code == 0 && args->commit)
        rc = claim_commit(claim, &e);
    if (rc == 0)
        rc = claim_release(claim, code == 0 ? "done" : "failed", &e);
    else
        claim_release(claim, "failed", NULL);
    if (rc == ERR_LOST)
        return fail(EX_LOST, &e);
    return rc != 0 ? fail(EX_OSERR, &e) : code;
}

static const struct command {
    const char *name, *operands, *help;
    int noperands;
    int (*run)(const struct args *);
} commands[] = {
    {"list", "DIR", "show the locks in a tree, and which owners are dead", 1, run_list},
    {"cleanup", "DIR", "end the locks whose owners are proved dead, or long silent", 1,
     run_cleanup},
    {"explain", "DIR GROUP", "show who holds a group, the evidence, and its history", 2,
     run_explain},
    {"break", "DIR GROUP",
     "end generation --gen N by hand; its owner can publish no more", 2, run_break},
    {"doctor", "DIR", "measure what this file system's locks are worth, and follow it",
     1, run_doctor},
    {"run", "DIR GROUP",
     "run a program while holding the group: run DIR GROUP -- PROGRAM ...", 2, run_run},
};

static void usage(FILE *out)
{
    fputs("usage: lockctl COMMAND DIR ... [OPTIONS]\n\n", out);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        fprintf(out, "  %-8s %-10s  %s\n", commands[i].name, commands[i].operands,
                commands[i].help);
    fputs(
        "\n"
        "  --timeout S    cleanup: leave silent owners alone until their lock is this "
        "old (3600)\n"
        "  --wait S       cleanup: watch owners that cannot be judged at once; run: "
        "try for "
        "so long (0)\n"
        "  --strict       cleanup, run: only what is proved dead, whatever its age\n"
        "  --dry-run      cleanup, doctor: say what would be done, write nothing\n"
        "  --gen N        break: the generation meant     --force  even a running "
        "owner's\n"
        "  --peer DIR2    doctor: the same directory through another mount\n"
        "  --lease S      run: others may take over after 1.5 times this silence (60)\n"
        "  --heartbeat S  run: between two signs of life (15)\n"
        "  --commit       run: fence out earlier generations when the program "
        "succeeds\n"
        "  --foreign      run: also hold GROUP.lock for scripts, filelock and "
        "flock(1)\n"
        "  --relaxed      run: do not wait until the claim is on disk; excludes as "
        "well\n"
        "  --task TEXT    run: a word for people\n"
        "  --state DIR    the daemon's state directory, with this machine's boot "
        "history\n"
        "                 (" OWNER_STATE
        ")     -c FILE  take it from watcherd's settings\n"
        "  --json         machine-readable output     -v  more lines for each lock\n"
        "  --help, --version\n\n"
        "Exit codes: 0 done, 1 not wholly done, 64 wrong usage, 65 record cannot be "
        "judged, "
        "66 no\nsuch directory, 74 input/output error, 75 held by another, 76 claim "
        "lost "
        "while it ran, 77 not\npermitted, 78 wrong settings; run: else those of the "
        "program.\n",
        out);
}

static bool parse_number(const char *text, double *out)
{
    char *rest;

    *out = strtod(text, &rest);
    return rest != text && *rest == '\0' && *out >= 0 && *out < 1e15;
}

/* Where an option's value goes; the letter says as what. */
static const struct setting {
    const char *name;
    char kind; /* 'f'lag, 's'econds, 'n'umber, 't'ext */
    size_t at;
} settings[] = {
    {"timeout", 's', offsetof(struct args, timeout_s)},
    {"wait", 's', offsetof(struct args, wait_s)},
    {"lease", 's', offsetof(struct args, lease_s)},
    {"heartbeat", 's', offsetof(struct args, heartbeat_s)},
    {"gen", 'n', offsetof(struct args, gen)},
    {"peer", 't', offsetof(struct args, peer)},
    {"task", 't', offsetof(struct args, task)},
    {"state", 't', offsetof(struct args, state)},
    {"config", 't', offsetof(struct args, settings)},
    {"strict", 'f', offsetof(struct args, strict)},
    {"dry-run", 'f', offsetof(struct args, dry_run)},
    {"force", 'f', offsetof(struct args, force)},
    {"commit", 'f', offsetof(struct args, commit)},
    {"foreign", 'f', offsetof(struct args, foreign)},
    {"relaxed", 'f', offsetof(struct args, relaxed)},
    {"json", 'f', offsetof(struct args, json)},
    {"verbose", 'f', offsetof(struct args, verbose)},
};
enum { NSETTING = sizeof settings / sizeof *settings, OPT_FIRST = 256 };

static bool take_setting(const struct setting *s, const char *value, struct args *args)
{
    char *field = (char *)args + s->at;
    const char *text = value;
    bool ok = true, flag = true;
    double number = 0;

    if (s->kind == 't')
        memcpy(field, &text, sizeof text);
    if (s->kind == 'f')
        memcpy(field, &flag, sizeof flag);
    if (s->kind == 's' || s->kind == 'n')
        ok = parse_number(value, &number);
    if (s->kind == 's')
        memcpy(field, &number, sizeof number);
    if (s->kind == 'n') {
        long long whole = (long long)number;

        ok = ok && (double)whole == number;
        memcpy(field, &whole, sizeof whole);
    }
    if (!ok)
        fprintf(stderr, "lockctl: --%s wants a number, not %s\n", s->name, value);
    return ok;
}

/* Returns -1 to go on, or an exit code. */
static int parse_options(int argc, char **argv, struct args *args)
{
    struct option options[NSETTING + 3] = {{0}};
    int opt;

    for (int i = 0; i < NSETTING; i++)
        options[i] = (struct option){settings[i].name, settings[i].kind != 'f', NULL,
                                     OPT_FIRST + i};
    options[NSETTING] = (struct option){"version", 0, NULL, 'V'};
    options[NSETTING + 1] = (struct option){"help", 0, NULL, 'h'};
    while ((opt = getopt_long(argc, argv, "hvc:", options, NULL)) != -1) {
        if (opt == 'V' || opt == 'h') {
            if (opt == 'V')
                puts("lockctl " VERSION);
            else
                usage(stdout);
            return EX_OK;
        }
        if (opt == 'v')
            args->verbose = true;
        else if (opt == 'c')
            args->settings = optarg;
        else if (opt < OPT_FIRST)
            return EX_USAGE; /* getopt has said why */
        else if (!take_setting(&settings[opt - OPT_FIRST], optarg, args))
            return EX_USAGE;
    }
    return -1;
}

/* Where the daemon of this machine notes its boots.  Returns -1 to go on, or an exit code. */
static int find_history(const struct args *args)
{
    static struct conf conf;
    const char *state = args->state != NULL ? args->state : OWNER_STATE;
    char path[4096];
    struct err e = {0};

    if (args->state == NULL && args->settings != NULL) {
        conf_defaults(&conf, NULL, &pipeline_settings);
        if (conf_load(&conf, args->settings, &pipeline_settings, &e) != 0)
            return fail(EX_CONFIG, &e);
        state = conf.paths.state;
    }
    if (path_join(path, sizeof path, state, "boots", &e) != 0)
        return fail(EX_USAGE, &e);
    owner_set_boots(path);
    return -1;
}

int main(int argc, char **argv)
{
    struct args args = {.timeout_s = 3600};
    int code = parse_options(argc, argv, &args);
    int nwords = argc - optind;

    if (code >= 0)
        return code;
    for (size_t i = 0; nwords > 0 && i < sizeof commands / sizeof *commands; i++) {
        const struct command *c = &commands[i];
        bool program = c->run == run_run;

        if (strcmp(argv[optind], c->name) != 0)
            continue;
        if (program ? nwords < 4 : nwords - 1 != c->noperands) {
            fprintf(stderr, "usage: lockctl %s %s%s [OPTIONS]\n", c->name, c->operands,
                    program ? " -- PROGRAM ..." : "");
            return EX_USAGE;
        }
        args.dir = argv[optind + 1];
        args.group = c->noperands > 1 ? argv[optind + 2] : NULL;
        args.program = argv + optind + 3;
        code = find_history(&args);
        if (code < 0)
            code = c->run(&args);
        return fflush(stdout) == 0 ? code : EX_IOERR;
    }
    if (nwords > 0)
        fprintf(stderr, "lockctl: no such command: %s\n", argv[optind]);
    usage(stderr);
    return EX_USAGE;
}
