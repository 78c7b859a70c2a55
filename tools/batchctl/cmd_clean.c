/*
 * cmd_clean.c: see cmd_clean.h.
 */
#include "tools/batchctl/cmd_clean.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "core/conf.h"
#include "core/disk.h"
#include "core/err.h"
#include "core/mem.h"
#include "core/path.h"
#include "core/text.h"
#include "locks/claim.h"
#include "locks/legacy.h"
#include "locks/observer.h"
#include "locks/owner.h"
#include "pipeline/pipeline.h"
#include "pipeline/product/product.h"
#include "pipeline/product/sweep.h"
#include "tools/common/options.h"
#include "tools/common/program.h"

#define PROGRAM "batchctl clean"

enum { PRINTABLE = 4 * PATH_MAX, INTERRUPTED = 128 + SIGINT };

struct clean {
    struct conf conf;
    const char *conf_path, *root;
    unsigned kinds;
    double older_s;
    bool dry_run, json;

    struct claim *claim;
    json_t *rows;
    size_t n, gone, failed;
    unsigned long long bytes;
};

static volatile sig_atomic_t signalled;

static void on_signal(int sig)
{
    signalled = sig;
}

/* ---- who works on it ---- */

/* Above every generation that was published, should the folder of claims have been deleted. */
static uint64_t newest(const struct clean *c, const char *group)
{
    const struct pipeline *p;
    char dir[PATH_MAX];
    uint64_t most = 0, g;

    for (size_t i = 0; (p = pipeline_at(i)) != NULL; i++)
        if (p->folder != NULL &&
            path_join(dir, sizeof dir, c->conf.paths.products, p->folder, NULL) == 0 &&
            (g = product_newest(dir, group)) > most)
            most = g;
    return most;
}

/* A lock file of a script beside the claims of the group. */
static int look_legacy(const char *dir, struct err *e)
{
    char path[PATH_MAX];
    struct legacy_view view;
    int rc;

    if ((size_t)snprintf(path, sizeof path, "%s.lock", dir) >= sizeof path)
        return err_set(e, -ENAMETOOLONG, "path too long: %.200s", dir);
    rc = legacy_look(AT_FDCWD, path, &view, e);
    if (rc == 0 && (view.state == LEGACY_ACTIVE || view.state == LEGACY_OPAQUE))
        rc = err_set(e, -EBUSY, "%.120s: %.100s", path, view.why);
    return rc;
}

/*
 * What a dry run does in claim_acquire's place.  Neither has an observer's memory, so that
 * nobody is passed over who is not proved dead.
 */
static int look(const char *dir, const char *group, struct err *e)
{
    struct lock_view view;
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW), rc = 0;

    if (fd == -1 && errno != ENOENT)
        return err_set(e, -errno, "cannot open %s: %s", dir, strerror(errno));
    if (fd != -1) {
        rc = observer_look(NULL, fd, group, &view, e);
        close(fd);
        if (rc == 0 && view.state == LOCK_OPAQUE)
            rc = err_set(e, -EUCLEAN, "its claim cannot be judged: %.200s", view.why);
        else if (rc == 0 && view.state != LOCK_FREE && view.state != LOCK_DEAD)
            rc = err_set(e, -EBUSY, "somebody works on it: %.200s", view.why);
    }
    return rc != 0 ? rc : look_legacy(dir, e);
}

static int hold(void *arg, const char *group, struct err *e)
{
    struct clean *c = arg;
    struct claim_opts opts = {.task = "clean",
                              .lease_s = c->conf.workers.lease_s,
                              .heartbeat_s = c->conf.workers.heartbeat_s,
                              .above = newest(c, group)};
    char dir[PATH_MAX];
    int rc = path_join(dir, sizeof dir, c->conf.paths.locks, group, e);

    if (rc != 0)
        return rc;
    return c->dry_run ? look(dir, group, e)
                      : claim_acquire(&c->claim, dir, group, &opts, e);
}

static int still(void *arg, struct err *e)
{
    struct clean *c = arg;

    return c->claim != NULL ? claim_heartbeat(c->claim, e) : 0;
}

static void drop(void *arg)
{
    struct clean *c = arg;

    if (c->claim != NULL)
        claim_release(c->claim, "released", NULL);
    c->claim = NULL;
}

static bool told_to_stop(void *arg)
{
    (void)arg;
    return signalled != 0;
}

/* ---- saying ---- */

static const char *age(double s, char out[32])
{
    snprintf(out, 32,
             s < 3600        ? "%.0f s"
             : s < 2 * 86400 ? "%.1f h"
                             : "%.1f d",
             s < 3600        ? s
             : s < 2 * 86400 ? s / 3600
                             : s / 86400);
    return out;
}

/* What goes is always said, what stays by a dry run, and what should have gone. */
static void print_item(const struct clean *c, const struct sweep_item *item)
{
    char bytes[32], old[32], text[PRINTABLE];
    const char *word = item->failed ? "FAILED"
                       : !item->go  ? "stays"
                       : c->dry_run ? "would remove"
                                    : "removed";

    if (!item->go && !item->failed && !c->dry_run)
        return;
    text_escape(text, sizeof text, item->path);
    printf("%-12s %-7s %9s %8s  %s", word, sweep_kind_name(item->kind),
           disk_bytes(item->bytes, bytes), age(item->age_s, old), text);
    text_escape(text, sizeof text, item->why);
    printf(": %s\n", text);
    fflush(stdout);
}

static void said(void *arg, const struct sweep_item *item)
{
    struct clean *c = arg;

    c->n++;
    c->gone += item->go;
    c->failed += item->failed;
    c->bytes += item->go ? item->bytes : 0;
    if (c->rows == NULL)
        print_item(c, item);
    else
        json_array_append_new(
            c->rows,
            json_pack("{s:s, s:o, s:o, s:I, s:f, s:b, s:b, s:o}", "kind",
                      sweep_kind_name(item->kind), "path", text_json(item->path),
                      "group", text_json(item->group), "bytes", (json_int_t)item->bytes,
                      "age_s", item->age_s, "removed", item->go && !c->dry_run,
                      "would_remove", item->go, "reason", text_json(item->why)));
}

static void print_sum(const struct clean *c)
{
    char bytes[32];
    json_t *json;

    if (c->rows == NULL) {
        printf("%s%zu of %zu, %s\n", c->dry_run ? "would remove " : "removed ", c->gone,
               c->n, disk_bytes(c->bytes, bytes));
        return;
    }
    json = json_pack("{s:b, s:b, s:I, s:I, s:I, s:O}", "dry_run", c->dry_run,
                     "interrupted", signalled != 0, "removed", (json_int_t)c->gone,
                     "failed", (json_int_t)c->failed, "bytes", (json_int_t)c->bytes,
                     "items", c->rows);
    program_print_json(json, 9);
}

/* ---- the command line ---- */

static void usage(FILE *out)
{
    fputs(
        "usage: batchctl clean -c FILE [OPTIONS]\n\n"
        "  -c, --conf FILE    watcherd's settings; their [clean] says how old is old\n"
        "  --root DIR         the default settings below DIR\n"
        "  --kind KIND        only ms, scratch or logs; may be given again\n"
        "  --older AGE        as old as this, whatever the settings say: 90s 30m 12h "
        "7d "
        "2w\n"
        "  -n, --dry-run      remove nothing; say what would go, what stays, and why\n"
        "  --json             machine-readable output\n"
        "  -h, --help\n\n"
        "Exit codes: 0 done, 1 something could not be removed, 64 wrong usage, 66 no "
        "such file, 74\n"
        "input/output error, 75 ended by SIGTERM, 77 not permitted, 78 wrong settings, "
        "130 interrupted.\n",
        out);
}

static unsigned parse_kind(const char *word)
{
    for (unsigned kind = 1; kind < SWEEP_ALL; kind <<= 1)
        if (strcmp(word, sweep_kind_name((enum sweep_kind)kind)) == 0)
            return kind;
    return 0;
}

/* An age without its unit is refused: it is about what gets removed. */
static bool parse_age(const char *text, double *s)
{
    return options_time(text, s) == 0 &&
           (*s == 0 || strspn(text, "0123456789.") < strlen(text));
}

static int take_option(void *into, char letter, const char *text)
{
    struct clean *c = into;
    unsigned kind;

    if (letter == 'h')
        return usage(stdout), EX_OK;
    if (letter == 'k' && (kind = parse_kind(text)) == 0)
        return program_wrong(PROGRAM, "a kind is ms, scratch or logs, not %s", text);
    if (letter == 'k')
        c->kinds |= kind;
    if (letter == 'o' && !parse_age(text, &c->older_s))
        return program_wrong(PROGRAM, "an age is a number with s, m, h, d or w, not %s",
                             text);
    return OPTIONS_GO_ON;
}

static int parse_options(struct clean *c, int argc, char **argv)
{
    static const struct option_row rows[] = {
        {"conf", 'c', OPTION_TEXT, offsetof(struct clean, conf_path), 0, 0},
        {"config", 'c', OPTION_TEXT, offsetof(struct clean, conf_path), 0, 0},
        {"root", 0, OPTION_TEXT, offsetof(struct clean, root), 0, 0},
        {"dry-run", 'n', OPTION_FLAG, offsetof(struct clean, dry_run), 0, 0},
        {"json", 0, OPTION_FLAG, offsetof(struct clean, json), 0, 0},
        {"kind", 'k', OPTION_OWN, 0, 0, 0},
        {"older", 'o', OPTION_OWN, 0, 0, 0},
        {"help", 'h', OPTION_DO, 0, 0, 0},
    };
    struct options options = {.program = "batchctl",
                              .shorts = "c:nh",
                              .row = rows,
                              .n = sizeof rows / sizeof rows[0],
                              .into = c,
                              .take = take_option};
    int code = options_take(&options, argc, argv);
    struct err e = {0};
    char path[PATH_MAX];

    if (code != OPTIONS_GO_ON)
        return code;
    if (optind < argc)
        return program_wrong(PROGRAM, "what is %s", argv[optind]);
    if (c->conf_path != NULL && c->root != NULL)
        return program_wrong(PROGRAM, "either -c FILE or --root DIR, not both");
    if (c->conf_path == NULL && c->root == NULL && conf_find(path, NULL, &e) != 0)
        return program_wrong(PROGRAM, "whose?  Say -c FILE or --root DIR (%s)", e.text);
    return OPTIONS_GO_ON;
}

static int load_conf(struct clean *c, struct err *e)
{
    char boots[PATH_MAX];
    int rc = program_conf(&c->conf, c->conf_path, c->root, e);

    if (rc == 0 &&
        path_join(boots, sizeof boots, c->conf.paths.state, "boots", NULL) == 0)
        owner_set_boots(boots);
    return rc;
}

static int run(struct clean *c)
{
    struct sweep_opts opts = {.conf = &c->conf,
                              .kinds = c->kinds != 0 ? c->kinds : SWEEP_ALL,
                              .older_s = c->older_s,
                              .dry_run = c->dry_run,
                              .hold = hold,
                              .still = still,
                              .drop = drop,
                              .said = said,
                              .stop = told_to_stop,
                              .arg = c};
    struct sigaction act = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    struct err e = {0};
    int rc = load_conf(c, &e);

    if (rc == 0) {
        sigaction(SIGINT, &act, NULL);
        sigaction(SIGTERM, &act, NULL);
        c->rows = c->json ? json_array() : NULL;
        rc = sweep_run(&opts, &e);
    }
    if (rc == 0 || rc == -EINTR)
        print_sum(c);
    else
        program_fail(PROGRAM, 0, &e);
    json_decref(c->rows);
    if (fflush(stdout) != 0)
        return EX_IOERR;
    if (rc == -EINTR)
        return signalled == SIGINT ? INTERRUPTED : EX_TEMPFAIL;
    return rc != 0 ? program_code(rc) : c->failed > 0;
}

int cmd_clean_main(int argc, char **argv)
{
    struct clean *c = mem_calloc(1, sizeof *c);
    int code;

    c->older_s = -1;
    code = parse_options(c, argc, argv);
    if (code < 0)
        code = run(c);
    free(c);
    return code;
}
