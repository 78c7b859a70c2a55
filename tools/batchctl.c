/*
 * batchctl: how far a data set has come, what still needs work, and what each item lacks.
 *
 *   batchctl progress DIR... --features A B ...       batchctl progress -c FILE
 *   batchctl check DIR... --features A B ...          batchctl check -c FILE
 *   batchctl missing DIR... --features A B ...        batchctl missing -c FILE
 *   batchctl clean -c FILE                            (tools/batchctl/cmd_clean.c)
 *
 * The words are those of the scripts that it replaces; others read them.  Except for clean it
 * looks and changes nothing but its own index.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "core/conf.h"
#include "core/dirlist.h"
#include "core/err.h"
#include "core/mem.h"
#include "core/path.h"
#include "core/parallel.h"
#include "core/text.h"
#include "locks/legacy.h"
#include "locks/idle.h"
#include "locks/observer.h"
#include "pipeline/pipeline.h"
#include "pipeline/product/progress_json.h"
#include "tools/batchctl/cmd_clean.h"
#include "tools/common/options.h"
#include "tools/common/program.h"

#define PROGRAM "batchctl"

enum { MOST_DIRS = 256, PRINTABLE = 4 * 256 };

struct args {
    const struct command *command;
    const char *dir[MOST_DIRS];
    size_t ndir;
    const char *feature[PROGRESS_FEATURES];
    size_t nfeature;
    const char *conf, *root;
    bool json, names, scan;
    bool in_features; /* the last option was --features */
};

/* What was found, of one or several directories. */
struct found {
    struct progress *part; /* [npart] */
    /* [npart][n]: held by a live owner; only of what lacks something */
    unsigned char **locked;
    size_t npart;
    struct progress_sum sum;
};

/* ---- who holds what ---- */

/* A claim directory `name` in dirfd whose owner is not proved dead. */
static bool is_claimed(struct observer *obs, struct idle *idle, int dirfd,
                       const char *name)
{
    struct lock_view view;
    bool held = false;
    int fd;

    if (idle_has(idle, dirfd, name))
        return false;
    fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd == -1)
        return false;
    if (observer_look(obs, fd, name, &view, NULL) == 0)
        held = view.state == LOCK_HELD || view.state == LOCK_SUSPECT ||
               view.state == LOCK_OPAQUE;
    close(fd);
    return held;
}

static bool is_flocked(int dirfd, const char *name)
{
    struct legacy_view view;

    return legacy_look(dirfd, name, &view, NULL) == 0 &&
           (view.state == LEGACY_ACTIVE || view.state == LEGACY_OPAQUE);
}

/* The names under which an item may be held, below the directory of claims. */
struct lock_names {
    char beside[NAME_MAX + 8];     /* NAME.lock */
    char inside[2 * NAME_MAX + 8]; /* NAME/NAME.lock, of a folder */
    char claim[NAME_MAX + 16];     /* NAME, or NAME/.watcherd of a folder */
};

static void lock_names(struct lock_names *out, const char *name, bool folder)
{
    stpcpy(stpcpy(out->beside, name), ".lock");
    stpcpy(stpcpy(stpcpy(out->inside, name), "/"), out->beside);
    stpcpy(stpcpy(out->claim, name), folder ? "/.watcherd" : "");
}

/* One look for locks: what several threads share. */
struct hunt {
    const struct progress_item *item;
    unsigned char *locked; /* [n] */
    struct dirlist *list;  /* its table is built */
    int dirfd;
    bool folders;
    struct idle *idle;
};

static bool is_there(int dirfd, const char *path)
{
    struct stat st;

    return fstatat(dirfd, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Of items that lack something: is there anything that looks like a lock? */
static void hunt_for_locks(void *arg, size_t lo, size_t hi)
{
    struct hunt *h = arg;
    struct lock_names names;

    for (size_t i = lo; i < hi; i++) {
        if (h->item[i].missing == 0)
            continue;
        lock_names(&names, h->item[i].name, h->folders);
        h->locked[i] = dirlist_find(h->list, names.beside) != NULL ||
                       (h->folders ? is_there(h->dirfd, names.claim) ||
                                         is_there(h->dirfd, names.inside)
                                   : dirlist_find(h->list, names.claim) != NULL);
    }
}

/* Is it held by somebody who is not proved dead? */
static bool is_held(struct observer *obs, const struct hunt *h, const char *name)
{
    struct lock_names names;

    lock_names(&names, name, h->folders);
    return is_flocked(h->dirfd, names.beside) ||
           (h->folders && is_flocked(h->dirfd, names.inside)) ||
           is_claimed(obs, h->idle, h->dirfd, names.claim);
}

/* Note the holders of all items that lack something, and count. */
static int find_locks(struct found *f, size_t i, const char *dir, bool folders,
                      struct err *e)
{
    const struct progress *t = &f->part[i];
    struct observer *obs = observer_new();
    struct dirlist list = {0};
    struct hunt hunt;
    char seen[PATH_MAX];
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;

    f->locked[i] = mem_calloc(t->n + 1, 1);
    if (fd == -1 && errno != ENOENT)
        rc = err_set(e, -errno, "cannot open %s: %s", dir, strerror(errno));
    if (fd != -1)
        rc = dirlist_read(&list, fd, dir, e);
    hunt = (struct hunt){t->item, f->locked[i], &list, fd, folders, idle_load(dir)};
    dirlist_find(&list, "");
    if (rc == 0 && fd != -1)
        parallel_run(t->n, 1000, hunt_for_locks, &hunt);
    if (path_join(seen, sizeof seen, dir, ".watcherd/seen.json", NULL) == 0)
        observer_load(obs, seen, NULL);
    for (size_t k = 0; k < t->n && rc == 0; k++) {
        const struct progress_item *item = &t->item[k];

        f->sum.total++;
        f->sum.complete += item->missing == 0;
        if (item->missing == 0)
            continue;
        f->locked[i][k] = f->locked[i][k] && is_held(obs, &hunt, item->name);
        f->sum.locked += f->locked[i][k];
        f->sum.waiting += !f->locked[i][k] && item->present < item->expected;
    }
    dirlist_clear(&list);
    observer_free(obs);
    idle_free(hunt.idle);
    if (fd != -1)
        close(fd);
    return rc;
}

/* ---- looking ---- */

static int find_groups(struct found *f, const struct args *args, struct err *e)
{
    struct conf *conf = mem_malloc(sizeof *conf);
    char index[PATH_MAX];
    int rc;

    if ((rc = program_conf(conf, args->conf, args->root, e)) == 0 &&
        (rc = progress_index_path(index, conf, e)) == 0 &&
        (rc = progress_groups(&f->part[0], conf, args->feature, args->nfeature,
                              args->scan ? NULL : index, e)) == 0) {
        f->npart = 1;
        rc = find_locks(f, 0, conf->paths.locks, false, e);
    }
    free(conf);
    return rc;
}

static int find(struct found *f, const struct args *args, struct err *e)
{
    size_t n = args->ndir > 0 ? args->ndir : 1;
    int rc = 0;

    memset(f, 0, sizeof *f);
    f->part = mem_calloc(n, sizeof *f->part);
    f->locked = mem_calloc(n, sizeof *f->locked);
    if (args->ndir == 0)
        return find_groups(f, args, e);
    for (size_t i = 0; i < args->ndir && rc == 0; i++) {
        rc = progress_folders(&f->part[i], args->dir[i], args->feature, args->nfeature,
                              e);
        f->npart += rc == 0;
        if (rc == 0)
            rc = find_locks(f, i, args->dir[i], true, e);
    }
    return rc;
}

static void forget(struct found *f)
{
    for (size_t i = 0; i < f->npart; i++) {
        progress_clear(&f->part[i]);
        free(f->locked[i]);
    }
    free(f->part);
    free(f->locked);
}

typedef void each_fn(void *arg, const struct progress_item *item, bool locked);

/* Everything that lacks something, in order of directories and names. */
static void each_missing(const struct found *f, each_fn *fn, void *arg)
{
    for (size_t i = 0; i < f->npart; i++)
        for (size_t k = 0; k < f->part[i].n; k++)
            if (f->part[i].item[k].missing != 0)
                fn(arg, &f->part[i].item[k], f->locked[i][k] != 0);
}

static bool is_ready(const struct progress_item *item, bool locked)
{
    return !locked && item->present >= item->expected;
}

/* ---- saying ---- */

static int say_progress(const struct found *f, const struct args *args)
{
    const struct progress_sum *s = &f->sum;

    if (args->json) {
        program_print_json(progress_sum_json(s), 6);
        return EX_OK;
    }
    printf("Processing Progress:\n"
           "  Total folders:  %zu\n"
           "  Complete:       %zu (%.1f%%)\n"
           "  Incomplete:     %zu\n"
           "  Locked:         %zu\n",
           s->total, s->complete, progress_percent(s), s->total - s->complete,
           s->locked);
    return EX_OK;
}

static void name_ready(void *arg, const struct progress_item *item, bool locked)
{
    json_t *rows = arg;
    char text[PRINTABLE];

    if (!is_ready(item, locked))
        return;
    if (rows != NULL) {
        json_array_append_new(rows, text_json(item->name));
        return;
    }
    text_escape(text, sizeof text, item->name);
    puts(text);
}

static int say_check(const struct found *f, const struct args *args)
{
    const struct progress_sum *s = &f->sum;
    size_t ready = progress_ready(s);

    if (args->json) {
        json_t *rows = json_array();

        each_missing(f, name_ready, rows);
        program_print_json(progress_check_json(s, rows), 6);
    } else if (args->names) {
        each_missing(f, name_ready, NULL);
    } else {
        printf("Folders to Process: %zu\n"
               "  Total:          %zu\n"
               "  Ready:          %zu\n"
               "  Skipped (done): %zu\n"
               "  Skipped (lock): %zu\n",
               ready, s->total, ready, s->complete, s->locked);
        if (s->waiting > 0)
            printf("  Waiting:        %zu\n", s->waiting);
    }
    return f->sum.complete < f->sum.total;
}

struct saying {
    const struct args *args;
    json_t *rows;
    bool any;
};

static void name_missing(void *arg, const struct progress_item *item, bool locked)
{
    struct saying *s = arg;
    const struct args *args = s->args;
    const char *comma = "";
    char text[PRINTABLE];

    if (s->rows != NULL) {
        json_array_append_new(
            s->rows, progress_item_json(item, args->feature, args->nfeature, locked));
        return;
    }
    text_escape(text, sizeof text, item->name);
    printf("%s%s:\n  Missing: ", s->any ? "\n" : "", text);
    for (size_t i = 0; i < args->nfeature; i++)
        if ((item->missing >> i & 1) != 0) {
            printf("%s%s", comma, args->feature[i]);
            comma = ", ";
        }
    putchar('\n');
    if (item->present < item->expected)
        printf("  Files: %d of %d\n", item->present, item->expected);
    s->any = true;
}

static int say_missing(const struct found *f, const struct args *args)
{
    struct saying s = {.args = args, .rows = args->json ? json_array() : NULL};

    each_missing(f, name_missing, &s);
    if (args->json)
        program_print_json(s.rows, 6);
    return f->sum.complete < f->sum.total;
}

/* ---- the command line ---- */

static const struct command {
    const char *name, *help;
    int (*say)(const struct found *f, const struct args *args);
} commands[] = {
    {"progress", "how many items are complete, incomplete and being worked on",
     say_progress},
    {"check", "how many items a run would process, and why others are skipped",
     say_check},
    {"missing", "which features each incomplete item lacks", say_missing},
};

static void usage(FILE *out)
{
    fputs("usage: batchctl COMMAND DIR... --features NAME... [OPTIONS]\n"
          "       batchctl COMMAND -c FILE [--features NAME...] [OPTIONS]\n"
          "       batchctl clean -c FILE [OPTIONS]\n\n",
          out);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        fprintf(out, "  %-9s %s\n", commands[i].name, commands[i].help);
    fputs("  clean     remove what finished work left behind (batchctl clean --help)\n"
          "\n"
          "  DIR                 a data set: its folders are the items\n"
          "  -c, --config FILE   watcherd's settings: the groups that have arrived are "
          "the items;\n"
          "                      without DIR else $WATCHERD_CONF, else "
          "/etc/watcherd/watcherd.conf\n"
          "  --root DIR          the same, with the default settings below DIR\n"
          "  --features NAME...  what a complete item has (with -c: image); for groups "
          "image,\n"
          "                      mosaic, a file of the tile or a name in its "
          "manifest's meta\n"
          "  --names             check: print only the names of what is ready, one a "
          "line\n"
          "  --scan              do not use or write the index of groups\n"
          "  --json              machine-readable output\n"
          "  -h, --help, --version\n\n"
          "Exit codes: 0 nothing is left to do (progress: always), 1 something is, 64 "
          "wrong usage, 66 no\n"
          "such directory or file, 74 input/output error, 77 not permitted, 78 wrong "
          "settings.\n",
          out);
}

/* "a" or "a,b"; the text must live on. */
static int add_features(struct args *args, char *text)
{
    for (char *word = strtok(text, ","); word != NULL; word = strtok(NULL, ",")) {
        if (args->nfeature == PROGRESS_FEATURES)
            return program_wrong(PROGRAM, "too many features from %s", word);
        args->feature[args->nfeature++] = word;
    }
    return OPTIONS_GO_ON;
}

static int add_dir(struct args *args, const char *dir)
{
    if (args->ndir == MOST_DIRS)
        return program_wrong(PROGRAM, "too many directories from %s", dir);
    args->dir[args->ndir++] = dir;
    return OPTIONS_GO_ON;
}

static int no_such_command(const char *word)
{
    const char *names[sizeof commands / sizeof *commands + 1] = {"clean"};
    size_t n = 1;

    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        names[n++] = commands[i].name;
    return program_unknown(PROGRAM, "command", word, names, n);
}

/* The first word is the command; the others stand for directories, and directly behind
   --features for features. */
static int take_word(struct args *args, const char *word)
{
    if (args->command != NULL)
        return args->in_features ? add_features(args, (char *)word)
                                 : add_dir(args, word);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(word, commands[i].name) == 0)
            args->command = &commands[i];
    return args->command != NULL ? OPTIONS_GO_ON : no_such_command(word);
}

static int take_option(void *into, char letter, const char *text)
{
    struct args *args = into;

    if (letter == OPTIONS_WORD)
        return take_word(args, text);
    args->in_features = letter == 'f';
    if (letter == 'h')
        return usage(stdout), EX_OK;
    if (letter == 'c')
        args->conf = text;
    if (letter == 'r')
        args->root = text;
    args->names |= letter == 'n';
    args->scan |= letter == 's';
    args->json |= letter == 'j';
    return letter == 'f' ? add_features(args, (char *)text) : OPTIONS_GO_ON;
}

static int parse_options(int argc, char **argv, struct args *args)
{
    static const struct option_row rows[] = {
        {"conf", 'c', OPTION_OWN, 0, 0, 0}, {"config", 'c', OPTION_OWN, 0, 0, 0},
        {"root", 'r', OPTION_OWN, 0, 0, 0}, {"features", 'f', OPTION_OWN, 0, 0, 0},
        {"names", 'n', OPTION_DO, 0, 0, 0}, {"scan", 's', OPTION_DO, 0, 0, 0},
        {"json", 'j', OPTION_DO, 0, 0, 0},  {"help", 'h', OPTION_DO, 0, 0, 0}};
    struct options options = {.program = PROGRAM,
                              .shorts = "-c:h",
                              .row = rows,
                              .n = sizeof rows / sizeof rows[0],
                              .into = args,
                              .take = take_option};
    int code = options_take(&options, argc, argv);

    for (; code == OPTIONS_GO_ON && optind < argc; optind++) /* behind -- */
        code = add_dir(args, argv[optind]);
    return code;
}

int main(int argc, char **argv)
{
    struct args args = {.ndir = 0};
    char path[PATH_MAX];
    struct err e = {0};
    struct found f;
    int code, rc;

    if (argc > 1 && strcmp(argv[1], "clean") == 0)
        return cmd_clean_main(argc - 1, argv + 1);
    code = parse_options(argc, argv, &args);
    if (code >= 0)
        return code;
    if (args.command == NULL)
        return program_wrong(PROGRAM, "which command?  See batchctl --help");
    if ((args.ndir > 0) + (args.conf != NULL) + (args.root != NULL) > 1)
        return program_wrong(PROGRAM,
                             "which items?  One of -c FILE, --root DIR, and DIR "
                             "with --features NAME...");
    if (args.ndir == 0 && args.root == NULL && conf_find(path, args.conf, &e) != 0 &&
        args.conf == NULL)
        return program_wrong(
            PROGRAM,
            "which groups?  Say -c FILE, or DIR with --features NAME... "
            "(%s)",
            e.text);
    if (args.nfeature == 0 && args.ndir > 0)
        return program_wrong(
            PROGRAM, "which features has a complete folder?  Say --features NAME...");
    if (args.nfeature == 0)
        args.feature[args.nfeature++] = pipeline_for(PIPELINE_GROUP)->data_type;
    rc = find(&f, &args, &e);
    code = rc != 0 ? program_fail(PROGRAM, program_code(rc), &e)
                   : args.command->say(&f, &args);
    forget(&f);
    return fflush(stdout) == 0 ? code : EX_IOERR;
}
