/*
 * uvh5ms: the sub-band files of a group as one Measurement Set.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/conf.h"
#include "core/dirlist.h"
#include "core/err.h"
#include "core/group.h"
#include "core/groupname.h"
#include "core/incoming.h"
#include "core/mem.h"
#include "core/path.h"
#include "pipeline/io/ms.h"
#include "pipeline/io/uvh5.h"
#include "pipeline/pipeline.h"
#include "pipeline/cal/apply.h"
#include "pipeline/cal/gains.h"
#include "pipeline/io/caltable.h"
#include "pipeline/io/uvh5_header.h"
#include "pipeline/sky/astro.h"
#include "pipeline/sky/earth.h"
#include "pipeline/sky/vis.h"
#include "tools/common/options.h"
#include "tools/common/program.h"

#define PROGRAM "uvh5ms"

struct args {
    const char *settings, *column, *earth, *gains;
    double dut1_s;
    bool weight_spectrum, json, quiet;
    struct uvh5_opts read;
};

/* What is exported. */
struct input {
    char group[GROUP_NAME]; /* "" when files were named */
    char **path;            /* [n] */
    size_t n, expected;
};

static const char usage[] =
    "usage: uvh5ms [OPTION...] GROUP OUT.ms\n"
    "       uvh5ms [OPTION...] FILE... OUT.ms\n"
    "Write the sub-bands of one group, as observed, as a Measurement Set with one\n"
    "spectral window, phased to the mean pointing.  GROUP is a name like\n"
    "2026-01-26T08:07:07, with the folder of its files in front or with -c.\n"
    "  -c, --config FILE   settings: where incoming files are, what makes a group\n"
    "  --column NAME       data (DATA) or corrected (CORRECTED_DATA); data\n"
    "  --weight-spectrum   weights by channel, too\n"
    "  --gains TABLE       apply these first: CalH5 or calfits\n"
    "  --dut1 SECONDS      UT1-UTC; from the table\n"
    "  --earth FILE        table of earth orientation; the one in the program\n"
    "  --json              a summary as JSON on standard output\n"
    "  --quiet             no progress on a terminal\n"
    "  --help, --version\n";

/* ---- the options ---- */

static int take_option(void *into, char letter, const char *text)
{
    (void)into, (void)letter, (void)text;
    return fputs(usage, stdout) >= 0 ? EX_OK : EX_IOERR;
}

static int parse_options(int argc, char **argv, struct args *args)
{
    static const struct option_row rows[] = {
        {"config", 'c', OPTION_TEXT, offsetof(struct args, settings), 0, 0},
        {"column", 0, OPTION_TEXT, offsetof(struct args, column), 0, 0},
        {"weight-spectrum", 0, OPTION_FLAG, offsetof(struct args, weight_spectrum), 0,
         0},
        {"dut1", 0, OPTION_REAL, offsetof(struct args, dut1_s), -0.9, 0.9},
        {"gains", 0, OPTION_TEXT, offsetof(struct args, gains), 0, 0},
        {"earth", 0, OPTION_TEXT, offsetof(struct args, earth), 0, 0},
        {"json", 0, OPTION_FLAG, offsetof(struct args, json), 0, 0},
        {"quiet", 0, OPTION_FLAG, offsetof(struct args, quiet), 0, 0},
        {"help", 'h', OPTION_DO, 0, 0, 0},
    };
    struct options options = {.program = PROGRAM,
                              .shorts = "c:",
                              .row = rows,
                              .n = sizeof rows / sizeof rows[0],
                              .into = args,
                              .take = take_option};
    int code = options_take(&options, argc, argv);

    if (code != OPTIONS_GO_ON)
        return code;
    if (argc - optind < 2) {
        fputs(usage, stderr);
        return EX_USAGE;
    }
    if (strcmp(args->column, "data") != 0 && strcmp(args->column, "corrected") != 0)
        return program_wrong(PROGRAM, "--column %s: give data or corrected",
                             args->column);
    return OPTIONS_GO_ON;
}

/* ---- the files ---- */

/* A group_each_fn: the paths of its members. */
static void take_members(void *arg, const struct group_view *group)
{
    struct input *in = arg;

    in->path = mem_calloc((size_t)group->expected, sizeof *in->path);
    in->expected = (size_t)group->expected;
    snprintf(in->group, sizeof in->group, "%s", group->name);
    for (int i = 0; i < group->expected; i++)
        if (group->member[i].path != NULL)
            in->path[in->n++] = mem_strdup(group->member[i].path);
}

/* The regular files of a folder, into their groups. */
static int add_files(struct group_table *t, const char *folder, struct err *e)
{
    struct dirlist list = {0};
    struct stat st;
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc;

    if (fd == -1)
        return err_set(e, -errno, "cannot read %s: %s", folder, strerror(errno));
    rc = dirlist_read(&list, fd, folder, e);
    for (size_t i = 0; rc == 0 && i < list.n; i++) {
        const char *name = list.item[i].name;
        char path[PATH_MAX];

        if (name[0] == '.' || fstatat(fd, name, &st, 0) != 0 || !S_ISREG(st.st_mode))
            continue;
        rc = path_join(path, sizeof path, folder, name, e);
        if (rc == 0) {
            struct file_id id = {0};

            group_add(t, path, &id, 0);
        }
    }
    dirlist_clear(&list);
    close(fd);
    return rc;
}

/* The files of a group by its name: NAME in [paths] incoming, or FOLDER/NAME. */
static int find_group(struct input *in, const char *word, const struct args *args,
                      struct err *e)
{
    const char *name = path_base(word);
    struct group_table *table = NULL;
    struct groupname rule;
    struct conf conf;
    char folder[PATH_MAX];
    int rc = program_conf(&conf, args->settings, ".", e);

    if (rc == 0)
        rc = incoming_groups(&table, &rule, &conf, e);
    if (rc != 0)
        goto out;
    if (name > word)
        snprintf(folder, sizeof folder, "%.*s", (int)(name - word), word);
    else
        snprintf(folder, sizeof folder, "%s",
                 args->settings != NULL ? conf.paths.incoming : ".");
    rc = add_files(table, folder, e);
    if (rc == 0 && group_find(table, name, take_members, in) != 0)
        rc = err_set(e, -ENOENT, "%s: neither a file nor a group in %s", word, folder);
out:
    group_table_free(table);
    return rc;
}

static int find_files(struct input *in, char **word, size_t n, const struct args *args,
                      struct err *e)
{
    if (n == 1 && access(word[0], F_OK) != 0)
        return find_group(in, word[0], args, e);
    in->path = mem_calloc(n, sizeof *in->path);
    for (in->n = 0; in->n < n; in->n++)
        in->path[in->n] = mem_strdup(word[in->n]);
    in->expected = n;
    return 0;
}

static void input_clear(struct input *in)
{
    for (size_t i = 0; i < in->n; i++)
        free(in->path[i]);
    free(in->path);
}

/* ---- the work ---- */

static void say(const struct args *args, const char *what)
{
    if (!args->quiet && isatty(STDERR_FILENO))
        fprintf(stderr, "\r%-40s", what);
}

/* As ms_opts.progress: show it, and stop when somebody pressed ^C. */
static int progress(void *arg, double share)
{
    char text[40];
    sigset_t waiting;

    snprintf(text, sizeof text, "writing: %.0f %%", 100 * share);
    say(arg, text);
    sigpending(&waiting);
    return sigismember(&waiting, SIGINT) || sigismember(&waiting, SIGTERM) ||
           sigismember(&waiting, SIGHUP);
}

/* One phase centre for all integrations. */
static void phase(struct vis *vis)
{
    double ra, dec;

    if (vis->phasing == VIS_SIDEREAL)
        return;
    vis_mean_pointing(vis, &ra, &dec);
    vis_rephase(vis, ra, dec);
}

static int write_ms(const char *out, const struct vis *vis, const struct input *in,
                    const struct args *args, struct err *e)
{
    struct ms_opts opts = {.corrected = strcmp(args->column, "corrected") == 0,
                           .weight_spectrum = args->weight_spectrum,
                           .field = in->group,
                           .origin = PROGRAM " " VERSION,
                           .message = args->gains != NULL
                                          ? "with gains, phased to the mean pointing"
                                          : "as observed, phased to the mean pointing",
                           .progress = progress,
                           .arg = (void *)args};
    sigset_t quit, old;
    int rc;

    sigemptyset(&quit);
    sigaddset(&quit, SIGINT);
    sigaddset(&quit, SIGTERM);
    sigaddset(&quit, SIGHUP);
    sigprocmask(SIG_BLOCK, &quit, &old);
    rc = ms_write(out, vis, &opts, e);
    say(args, "");
    say(args, "\r");
    if (rc == -ECANCELED)
        fprintf(stderr, PROGRAM ": %s\n", e->text);
    sigprocmask(SIG_SETMASK, &old, NULL); /* what came in meanwhile ends us here */
    return rc;
}

static int report(const char *out, const struct vis *vis, const struct input *in,
                  const struct args *args, double read_s, double write_s)
{
    if (!args->json) {
        printf("%s: %zu files, %zu rows, %zu channels, %zu polarisations, %.1f %% "
               "valid; read in %.1f s, written in %.1f s\n",
               out, in->n, vis->nrow, vis->nchan, vis->npol,
               100 * vis_valid_fraction(vis), read_s, write_s);
        return fflush(stdout) == 0 ? EX_OK : EX_IOERR;
    }
    return program_print_json(
        json_pack("{s:s, s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:f, s:f, s:f, s:s, s:f, "
                  "s:f}",
                  "ms", out, "group", in->group, "files", (int)in->n, "rows",
                  (int)vis->nrow, "times", (int)vis->ntime, "antennas", (int)vis->nant,
                  "channels", (int)vis->nchan, "polarisations", (int)vis->npol,
                  "valid_fraction", vis_valid_fraction(vis), "ra_deg",
                  vis->phase_ra_rad / ASTRO_DEG, "dec_deg",
                  vis->phase_dec_rad / ASTRO_DEG, "column",
                  strcmp(args->column, "data") == 0 ? "DATA" : "CORRECTED_DATA",
                  "read_s", read_s, "write_s", write_s),
        12);
}

static int exit_code(int rc)
{
    switch (rc) {
    case ERR_FORMAT:
    case ERR_SHAPE:
    case ERR_QUALITY:
        return EX_DATAERR;
    case -EEXIST:
        return EX_CANTCREAT;
    case -ENOMEM:
        return EX_OSERR;
    default:
        return program_code(rc);
    }
}

/* The gains of a table onto the data. */
static int calibrate(struct vis *vis, const char *path, struct err *e)
{
    struct caltable_info info;
    struct gains *g = NULL;
    int rc = caltable_read(&g, &info, path, vis, e);
    struct apply job = {.gains = {g}};

    if (rc == 0)
        rc = apply_gains(vis, &job, e);
    gains_free(g);
    return rc;
}

/* How the earth stood when the group began. */
static int orient(struct uvh5_opts *opts, const char *path, const struct args *args,
                  struct err *e)
{
    struct earth_table *t = NULL;
    struct earth_note note;
    struct uvh5_info info;
    int rc = uvh5_info(path, &info, e);

    if (rc == 0)
        rc = earth_table_read(&t, args->earth, e);
    if (rc != 0)
        return rc;
    earth_at(t, info.t0_jd, args->dut1_s, info.dut1_s, &opts->earth, &note);
    earth_table_free(t);
    return 0;
}

static int run(char **word, size_t n, const struct args *args)
{
    const char *out = word[n - 1];
    struct uvh5_opts opts = args->read;
    struct input in = {.n = 0};
    struct vis *vis = NULL;
    struct err e = {0, ""};
    double start = clock_boot_s(), middle = start;
    int rc = access(out, F_OK) == 0 ? err_set(&e, -EEXIST, "%s exists already", out)
                                    : find_files(&in, word, n - 1, args, &e);
    int status;

    say(args, "reading");
    if (rc == 0 && in.n < in.expected)
        fprintf(stderr, PROGRAM ": %s: %zu of %zu files are there\n", in.group, in.n,
                in.expected);
    if (rc == 0)
        rc = orient(&opts, in.path[0], args, &e);
    if (rc == 0)
        rc = uvh5_read_group(&vis, (const char *const *)in.path, in.n, &opts, &e);
    if (rc == 0 && args->gains != NULL)
        rc = calibrate(vis, args->gains, &e);
    middle = clock_boot_s();
    if (rc == 0)
        phase(vis);
    if (rc == 0)
        rc = write_ms(out, vis, &in, args, &e);
    status = rc == 0
                 ? report(out, vis, &in, args, middle - start, clock_boot_s() - middle)
                 : program_fail(PROGRAM, exit_code(rc), &e);
    vis_free(vis);
    input_clear(&in);
    return status;
}

int main(int argc, char **argv)
{
    struct args args = {.column = "data"};
    int status = parse_options(argc, argv, &args);

    if (status == OPTIONS_GO_ON)
        status = run(argv + optind, (size_t)(argc - optind), &args);
    return fflush(stdout) == 0 ? status : EX_IOERR;
}
