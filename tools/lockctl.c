/*
 * lockctl: who holds which group, and ending what the dead have left behind.
 *
 *   lockctl list DIR                        lockctl explain DIR GROUP
 *   lockctl cleanup DIR [--timeout S]       lockctl break DIR GROUP --gen N
 *   lockctl doctor DIR [--peer DIR2]        lockctl run DIR GROUP -- PROGRAM ...
 *
 * The words of `list` and `cleanup` are those of the scripts that it replaces; others read
 * them.
 */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "core/conf.h"
#include "core/err.h"
#include "core/path.h"
#include "locks/owner.h"
#include "tools/common/options.h"
#include "tools/common/program.h"
#include "tools/lockctl/lockctl.h"

static const struct command {
    const char *name, *operands, *help;
    int noperands;
    int (*run)(const struct args *);
} commands[] = {
    {"list", "DIR", "show the locks in a tree, and which owners are dead", 1,
     lockctl_list},
    {"cleanup", "DIR", "end the locks whose owners are proved dead, or long silent", 1,
     lockctl_cleanup},
    {"explain", "DIR GROUP", "show who holds a group, the evidence, and its history", 2,
     lockctl_explain},
    {"break", "DIR GROUP",
     "end generation --gen N by hand; its owner can publish no more", 2, lockctl_break},
    {"doctor", "DIR", "measure what this file system's locks are worth, and follow it",
     1, lockctl_doctor},
    {"run", "DIR GROUP",
     "run a program while holding the group: run DIR GROUP -- PROGRAM ...", 2,
     lockctl_run},
};

static void usage(FILE *out)
{
    fputs("usage: lockctl COMMAND [DIR] ... [OPTIONS]\n"
          "DIR (but for run) is [paths] locks of the settings when it is not said: -c "
          "FILE, else\n$WATCHERD_CONF, else /etc/watcherd/watcherd.conf.\n\n",
          out);
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

static int take_help(void *into, char letter, const char *text)
{
    (void)into;
    (void)letter;
    (void)text;
    usage(stdout);
    return EX_OK;
}

static const struct option_row rows[] = {
    {"timeout", 0, OPTION_REAL, offsetof(struct args, timeout_s), 0, 1e15},
    {"wait", 0, OPTION_REAL, offsetof(struct args, wait_s), 0, 1e15},
    {"lease", 0, OPTION_REAL, offsetof(struct args, lease_s), 0, 1e15},
    {"heartbeat", 0, OPTION_REAL, offsetof(struct args, heartbeat_s), 0, 1e15},
    {"gen", 0, OPTION_WHOLE, offsetof(struct args, gen), 0, 1e15},
    {"peer", 0, OPTION_TEXT, offsetof(struct args, peer), 0, 0},
    {"task", 0, OPTION_TEXT, offsetof(struct args, task), 0, 0},
    {"state", 0, OPTION_TEXT, offsetof(struct args, state), 0, 0},
    {"conf", 'c', OPTION_TEXT, offsetof(struct args, settings), 0, 0},
    {"config", 'c', OPTION_TEXT, offsetof(struct args, settings), 0, 0},
    {"strict", 0, OPTION_FLAG, offsetof(struct args, strict), 0, 0},
    {"dry-run", 0, OPTION_FLAG, offsetof(struct args, dry_run), 0, 0},
    {"force", 0, OPTION_FLAG, offsetof(struct args, force), 0, 0},
    {"commit", 0, OPTION_FLAG, offsetof(struct args, commit), 0, 0},
    {"foreign", 0, OPTION_FLAG, offsetof(struct args, foreign), 0, 0},
    {"relaxed", 0, OPTION_FLAG, offsetof(struct args, relaxed), 0, 0},
    {"json", 0, OPTION_FLAG, offsetof(struct args, json), 0, 0},
    {"verbose", 'v', OPTION_FLAG, offsetof(struct args, verbose), 0, 0},
    {"help", 'h', OPTION_DO, 0, 0, 0},
};

/* Without DIR it is [paths] locks of the settings.  Returns -1 to go on, or an exit code. */
static int find_dir(struct args *args, struct conf *conf)
{
    struct err e = {0};

    if (args->dir != NULL)
        return -1;
    if (program_conf(conf, args->settings, NULL, &e) != 0) {
        lockctl_fail(EX_CONFIG, &e);
        return program_wrong("lockctl", "which locks?  Say DIR, or -c FILE");
    }
    args->dir = conf->paths.locks;
    if (args->state == NULL)
        args->state = conf->paths.state;
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
        if (program_conf(&conf, args->settings, NULL, &e) != 0)
            return lockctl_fail(EX_CONFIG, &e);
        state = conf.paths.state;
    }
    if (path_join(path, sizeof path, state, "boots", &e) != 0)
        return lockctl_fail(EX_USAGE, &e);
    owner_set_boots(path);
    return -1;
}

int main(int argc, char **argv)
{
    static struct conf conf; /* large; one for the program */
    struct args args = {.timeout_s = 3600};
    const char *names[sizeof commands / sizeof *commands];
    struct options options = {.program = "lockctl",
                              .shorts = "hvc:",
                              .row = rows,
                              .n = sizeof rows / sizeof rows[0],
                              .into = &args,
                              .take = take_help};
    int code = options_take(&options, argc, argv);
    int nwords = argc - optind;

    if (code >= 0)
        return code;
    for (size_t i = 0; nwords > 0 && i < sizeof commands / sizeof *commands; i++) {
        const struct command *c = &commands[i];
        bool program = c->run == lockctl_run;

        if (strcmp(argv[optind], c->name) != 0)
            continue;
        if (program ? nwords < 4 : nwords - 1 != c->noperands && nwords != c->noperands)
            return program_wrong("lockctl", "%s takes %s%s; see lockctl --help",
                                 c->name, c->operands,
                                 program ? " -- PROGRAM ..." : "");
        args.dir = nwords > c->noperands ? argv[optind + 1] : NULL;
        args.group = c->noperands > 1 ? argv[optind + 1 + (args.dir != NULL)] : NULL;
        args.program = argv + optind + 3;
        code = find_dir(&args, &conf);
        if (code < 0)
            code = find_history(&args);
        if (code < 0)
            code = c->run(&args);
        return fflush(stdout) == 0 ? code : EX_IOERR;
    }
    if (nwords == 0)
        return program_wrong("lockctl", "which command?  See lockctl --help");
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        names[i] = commands[i].name;
    return program_unknown("lockctl", "command", argv[optind], names,
                           sizeof commands / sizeof *commands);
}
