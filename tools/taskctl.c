/*
 * taskctl: what is queued, who works on it, and what an operator does about it.
 *
 *   taskctl stats            taskctl list --status failed        taskctl show ID
 *   taskctl retry ID...      taskctl cancel ID... --wait         taskctl prioritize 100
 *                            --name mosaic
 *   taskctl stuck            taskctl pause, resume, drain        taskctl scale 4
 *   taskctl monitor          taskctl preflight                   taskctl backup DIR --keep 7
 *
 * It knows core/store/queue.h and not the stores behind it, so the answers are the same on
 * both.  The verbs stand in tools/taskctl/.
 */
#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "core/err.h"
#include "pipeline/pipeline.h"
#include "tools/common/options.h"
#include "tools/taskctl/change.h"
#include "tools/taskctl/ctl.h"
#include "tools/taskctl/follow.h"
#include "tools/taskctl/inspect.h"
#include "tools/taskctl/modes.h"
#include "tools/taskctl/monitor.h"
#include "tools/taskctl/preflight.h"
#include "tools/taskctl/roster.h"
#include "tools/taskctl/maintenance.h"

/* ---- the verbs ---- */

enum needs { SETTINGS, STORE, NOTHING };

#define CHOOSE                                                                         \
    "ID is the task's KEY (the group's name) where only one has it, NAME/KEY, its "    \
    "id, "                                                                             \
    "or 4 and\nmore characters of the id's start or end.\n"

static const struct verb {
    const char *name;
    int (*run)(struct ctl *ctl); /* NULL: preflight, which also tells of bad settings */
    enum needs needs;
    const char *options; /* letters of the table of options, beside -c -j -h */
    bool words;          /* takes some */
    const char *summary; /* one line */
    const char *args, *help;
} verbs[] = {
    {"stats", inspect_stats, STORE, "", false,
     "how many tasks, the oldest ones, mode, workers", "",
     "Counts by name and status.  `last hour` and `oldest pending` are left out when "
     "more than\n100,000 tasks would have to be walked through.\n\n"
     "  taskctl stats\n"
     "  taskctl stats --json | python3 -c 'import json, sys; "
     "print(json.load(sys.stdin)[\"status\"][\"pending\"])'\n"},
    {"list", inspect_list, STORE, "smknNOUVYC", false, "tasks, newest first",
     "[--status S] [--name N] [--key K] [-n N] [--since T] [--until T]\n"
     "             [--sort key] [--columns A,B] [--csv]",
     "The 20 newest that match; -n, --limit N: so many (0: all).  --sort key: the "
     "first "
     "by key.\n--since, --until: made then; T is 2h (ago) or 2026-01-26T08:00:00 "
     "(UTC).\n"
     "--columns: the names that --json has (task_id, name, key, status, error, "
     "...).\n\n"
     "  taskctl list --status failed --since 12h\n"
     "  taskctl list --name continuum -n 0 --csv --columns key,status,error\n"
     "Exit status 1: none matches.\n"},
    {"log", follow_log, STORE, "f", true, "the log of one task", "ID [-f]",
     CHOOSE "-f, --follow: until the task has ended.\n\n"
            "  taskctl log 2026-01-26T08:07:07 -f\n"},
    {"watch", follow_watch, STORE, "t", true,
     "one task's steps until it has ended; exit status 0 when it is completed",
     "ID [--timeout T]",
     CHOOSE "Exit status 1: it failed or was cancelled; 75: --timeout is over, or "
            "Ctrl-C.\n\n"
            "  taskctl watch 2026-01-26T08:07:07 && carta ...\n"},
    {"show", inspect_show, STORE, "", true, "everything about one task", "ID",
     CHOOSE "Attempts, steps, last error, its log file and the last lines of it.\n\n"
            "  taskctl show 0198f2c3\n"
            "  taskctl show continuum/2026-01-26T08:07:07\n"},
    {"submit", change_submit, STORE, "pPRADt", true, "make a task",
     "NAME KEY [--params JSON] [--priority N] [--retries N] [--delay T]\n"
     "               [--timeout T] [--again]",
     "Prints its id.  A task is made once for its name and key; --again puts one that "
     "has ended back\nto pending with these params.  Exit status 1: it is there "
     "already.\n\n"
     "  taskctl submit noop trial-1\n"
     "  taskctl submit noop trial-1 --again --params '{\"ms\": 2000}' --priority "
     "5\n"},
    {"retry", change_retry, STORE, "smkad", true,
     "failed and cancelled tasks: pending again, with all their retries",
     "ID... | [--status S] [--name N] [--key K] | --all   [--dry-run]",
     CHOOSE "\n"
            "  taskctl retry 0198f2c3\n"
            "  taskctl retry --status failed --name continuum\n"
            "Exit status 1: there was nothing to retry.\n"},
    {"cancel", change_cancel, STORE, "smkadWt", true,
     "pending tasks at once; running ones are asked to stop",
     "ID... | [--status S] [--name N] [--key K] | --all   [--dry-run] [--wait] "
     "[--timeout T]",
     CHOOSE "--wait: until those that run have stopped, at most 5 min or --timeout; "
            "then exit status 75.\n\n"
            "  taskctl cancel --name validation --status pending\n"
            "  taskctl cancel 0198f2c3 --wait\n"},
    {"prioritize", change_priority, STORE, "smkad", true,
     "which pending tasks come first",
     "N ID... | N [--status S] [--name N] [--key K] | N --all   [--dry-run]",
     CHOOSE "N is a whole number, higher comes first; a negative one stands behind "
            "--.\n\n"
            "  taskctl prioritize 100 --name calibration-solve\n"
            "  taskctl prioritize -- -5 0198f2c3\n"},
    {"stuck", inspect_stuck, STORE, "mkoS", false,
     "tasks that run for long or whose worker is silent",
     "[--older 2h] [--silent 60s] [--name N] [--key K]",
     "Claimed longer ago than --older, or without a heartbeat for longer than --silent "
     "(0: does not\ncount), and whether the worker lives.  A silent task goes back to "
     "pending by itself when its\nlease has run out.  Exit status 1: there are "
     "some.\n\n"
     "  taskctl stuck\n"
     "  taskctl stuck --older 30m --silent 0\n"},
    {"workers", roster_workers, STORE, "", false,
     "who works, and the last sign of each", "",
     "Alive: the last sign is younger than [workers] lease_s, or the process is "
     "there.\nExit status 1: none takes part.\n"},
    {"scale", modes_scale, SETTINGS, "", true, "so many workers from now on", "N",
     "Asks the running daemon.  What is to stay stands in the settings, [workers] "
     "count.\n\n"
     "  taskctl scale 4\n"},
    {"pause", modes_pause, STORE, "r", false, "nothing is claimed any more",
     "[--reason TEXT]",
     "What runs goes on to its end.  The mode is kept in the store, for all machines, "
     "until taskctl resume.\n\n"
     "  taskctl pause --reason 'new disks'\n"},
    {"resume", modes_resume, STORE, "", false, "undo pause and drain", "", ""},
    {"drain", modes_drain, STORE, "rWtu", false,
     "queue nothing new, work off what is there",
     "[--wait] [--timeout 1h] [--undo] [--reason TEXT]",
     "--wait and --timeout: until nothing is pending or running; exit status 75 when "
     "something is\nleft, also after Ctrl-C.  The queue stays in this mode until "
     "taskctl resume; --undo puts back\nthe mode of before when it was not drained.\n\n"
     "  taskctl drain --timeout 1h --reason upgrade && systemctl stop watcherd\n"},
    {"monitor", monitor_main, SETTINGS, "1e", false, "everything on one page, live",
     "[--once] [--every 5s]",
     "Services, workers, counts, the last tasks, disks, log.  q or Ctrl-C ends it, "
     "space looks at once.\nWhere stdout is no terminal it prints one page.  No "
     "colours "
     "with NO_COLOR.\nExit status 69: the store was not reached.\n\n"
     "  taskctl monitor\n"
     "  taskctl monitor --once | head -20\n"},
    {"preflight", NULL, NOTHING, "", false, "is everything ready for data?", "",
     "One line a check: ok, WARN or FAIL.  Exit status 1: something failed.\n"},
    {"backup", maintenance_backup, STORE, "K", true, "a consistent copy while all runs",
     "FILE | DIR [--keep N]",
     "FILE: the queue.  DIR (or a name that ends in /): a folder in it named by date "
     "and time, with the\nqueue and the registries (products, data_registry, "
     "cal_registry); --keep N removes all but the\nnewest N of these.\n\n"
     "  taskctl backup /backup/watcherd/ --keep 14\n"},
    {"restore", maintenance_restore, SETTINGS, "y", true,
     "put a backup of the queue back", "FILE | FOLDER [--yes]",
     "FOLDER: one that backup DIR made.  Refused (75) while a daemon or worker is "
     "alive.  The registries\nare files in [paths] state: copy them back by "
     "hand.\n\n"
     "  systemctl stop watcherd; taskctl restore "
     "/backup/watcherd/2026-01-26T080707Z\n"},
    {"migrate", maintenance_migrate, SETTINGS, "d", false,
     "make the store's tables, or bring them up to date", "[--dry-run]",
     "After a backup.  The daemon does it by itself on SQLite.\n\n"
     "  taskctl migrate --dry-run\n"},
    {"vacuum", maintenance_vacuum, STORE, "", false,
     "give back space, renew the planner's statistics", "", ""},
};
enum { VERBS = sizeof verbs / sizeof verbs[0] };

/* ---- options ---- */

/* Only -c, -f, -h and -n are short: the other letters are those of the table above. */
static const struct option_row rows[] = {
    {"conf", 'c', OPTION_TEXT, offsetof(struct ctl, settings), 0, 0},
    {"config", 'c', OPTION_TEXT, offsetof(struct ctl, settings), 0, 0},
    {"json", 'j', OPTION_FLAG, offsetof(struct ctl, json), 0, 0},
    {"help", 'h', OPTION_FLAG, offsetof(struct ctl, help), 0, 0},
    {"status", 's', OPTION_OWN, 0, 0, 0},
    {"name", 'm', OPTION_TEXT, offsetof(struct ctl, name), 0, 0},
    {"key", 'k', OPTION_TEXT, offsetof(struct ctl, key), 0, 0},
    {"follow", 'f', OPTION_FLAG, offsetof(struct ctl, follow), 0, 0},
    {"since", 'O', OPTION_TEXT, offsetof(struct ctl, since), 0, 0},
    {"until", 'U', OPTION_TEXT, offsetof(struct ctl, until), 0, 0},
    {"csv", 'V', OPTION_FLAG, offsetof(struct ctl, csv), 0, 0},
    {"columns", 'C', OPTION_TEXT, offsetof(struct ctl, columns), 0, 0},
    {"sort", 'Y', OPTION_TEXT, offsetof(struct ctl, sort), 0, 0},
    {"limit", 'n', OPTION_WHOLE, offsetof(struct ctl, limit), 0, 9e18},
    {"newest", 'N', OPTION_FLAG, offsetof(struct ctl, newest), 0, 0},
    {"all", 'a', OPTION_FLAG, offsetof(struct ctl, all), 0, 0},
    {"dry-run", 'd', OPTION_FLAG, offsetof(struct ctl, dry_run), 0, 0},
    {"wait", 'W', OPTION_FLAG, offsetof(struct ctl, wait), 0, 0},
    {"timeout", 't', OPTION_TIME, offsetof(struct ctl, timeout_s), 0, 0},
    {"older", 'o', OPTION_TIME, offsetof(struct ctl, older_s), 0, 0},
    {"silent", 'S', OPTION_TIME, offsetof(struct ctl, silent_s), 0, 0},
    {"reason", 'r', OPTION_TEXT, offsetof(struct ctl, reason), 0, 0},
    {"undo", 'u', OPTION_FLAG, offsetof(struct ctl, undo), 0, 0},
    {"every", 'e', OPTION_TIME, offsetof(struct ctl, every_s), 0, 0},
    {"once", '1', OPTION_FLAG, offsetof(struct ctl, once), 0, 0},
    {"keep", 'K', OPTION_WHOLE, offsetof(struct ctl, keep), 1, 100000},
    {"yes", 'y', OPTION_FLAG, offsetof(struct ctl, yes), 0, 0},
    {"params", 'p', OPTION_TEXT, offsetof(struct ctl, params), 0, 0},
    {"priority", 'P', OPTION_WHOLE, offsetof(struct ctl, priority), INT_MIN, INT_MAX},
    {"retries", 'R', OPTION_WHOLE, offsetof(struct ctl, retries), 0, 1000},
    {"again", 'A', OPTION_FLAG, offsetof(struct ctl, again), 0, 0},
    {"delay", 'D', OPTION_TIME, offsetof(struct ctl, delay_s), 0, 0},
};
enum { ROWS = sizeof rows / sizeof rows[0] };

static int take_status(void *into, char letter, const char *text)
{
    struct ctl *ctl = into;

    (void)letter;
    ctl->status = task_status_of(text);
    if (ctl->status != TASK_NONE)
        return OPTIONS_GO_ON;
    return ctl_wrong("--status %s: it is one of pending claimed completed failed "
                     "cancelled",
                     text);
}

/* ---- help ---- */

static void usage(FILE *out)
{
    fputs("usage: taskctl [-c FILE] VERB ...\n\n", out);
    for (size_t i = 0; i < VERBS; i++)
        fprintf(out, "  %-11s %s\n", verbs[i].name, verbs[i].summary);
    fputs("\n"
          "  taskctl VERB --help    what it takes, with examples\n"
          "  -c, --config FILE      watcherd's settings; else $WATCHERD_CONF, else "
          "/etc/watcherd/watcherd.conf\n"
          "  --json                 machine-readable output\n"
          "  --version\n\n"
          "Exit codes: 0 done, 1 not done or nothing matched, 64 wrong usage, 65 wrong "
          "data, 66 no such file,\n69 store or daemon not reached, 74 input/output "
          "error, 75 not yet, try again, 77 not permitted, 78 wrong settings.\n",
          out);
}

static void verb_usage(const struct verb *v)
{
    printf("usage: taskctl %s %s%s[--json] [-c FILE]\n\n%s: %s.\n%s", v->name, v->args,
           v->args[0] != '\0' ? " " : "", v->name, v->summary, v->help);
}

/* NULL: there is none, which has been said. */
static const struct verb *find_verb(const char *name)
{
    const char *names[VERBS];

    for (size_t i = 0; i < VERBS; i++) {
        if (strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
        names[i] = verbs[i].name;
    }
    program_unknown("taskctl", "verb", name, names, VERBS);
    return NULL;
}

/* ---- together ---- */

static int load_settings(struct ctl *ctl, struct err *e)
{
    int rc;

    conf_defaults(&ctl->conf, NULL, &pipeline_settings);
    rc = conf_find(ctl->file, ctl->settings, e);
    return rc != 0 ? rc : conf_load(&ctl->conf, ctl->file, &pipeline_settings, e);
}

static int run(struct ctl *ctl, const struct verb *v)
{
    struct err e = {0};
    int rc = load_settings(ctl, &e), code;

    if (v->needs == NOTHING) {
        code = preflight_main(ctl, rc, &e);
    } else if (rc != 0) {
        fprintf(stderr, "taskctl: %s\n", e.text);
        return EX_CONFIG;
    } else {
        code = v->needs == STORE ? ctl_open(ctl) : EX_OK;
        if (code == EX_OK)
            code = v->run(ctl);
    }
    queue_close(ctl->q);
    return fflush(stdout) != 0 && code == EX_OK ? EX_IOERR : code;
}

/* An option that stands before the verb is known is judged when all have been read. */
static int check_options(const struct verb *v, const char *seen)
{
    for (; *seen != '\0'; seen++)
        if (strchr("chj", *seen) == NULL && strchr(v->options, *seen) == NULL)
            for (size_t i = 0; i < ROWS; i++)
                if (rows[i].letter == *seen)
                    return ctl_wrong("%s takes no --%s; see taskctl %s --help", v->name,
                                     rows[i].name, v->name);
    return EX_OK;
}

int main(int argc, char **argv)
{
    static struct ctl ctl = {.limit = -1,
                             .keep = -1,
                             .retries = -1,
                             .older_s = -1,
                             .silent_s = -1,
                             .timeout_s = -1,
                             .every_s = -1,
                             .delay_s = -1}; /* large; one for the program */
    struct options options = {.program = "taskctl",
                              .shorts = "c:fhn:",
                              .row = rows,
                              .n = ROWS,
                              .into = &ctl,
                              .take = take_status};
    const struct verb *verb;
    int code = options_take(&options, argc, argv);

    if (code != OPTIONS_GO_ON)
        return code;
    if (optind >= argc) {
        if (!ctl.help)
            return ctl_wrong("which verb?  See taskctl --help");
        usage(stdout);
        return EX_OK;
    }
    verb = find_verb(argv[optind]);
    if (verb == NULL)
        return EX_USAGE;
    if (ctl.help) {
        verb_usage(verb);
        return fflush(stdout) == 0 ? EX_OK : EX_IOERR;
    }
    ctl.word = argv + optind + 1;
    ctl.nword = (size_t)(argc - optind - 1);
    if (!verb->words && ctl.nword > 0)
        return ctl_wrong("%s takes no names; see taskctl %s --help", verb->name,
                         verb->name);
    code = check_options(verb, options.seen);
    return code != EX_OK ? code : run(&ctl, verb);
}
