/*
 * main.c: `watcherd` and its subcommands.
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sysexits.h>

#include "core/conf.h"
#include "core/err.h"
#include "core/log.h"
#include "pipeline/pipeline.h"
#include "watcherd/face/cli.h"
#include "watcherd/daemon.h"
#include "watcherd/service.h"

static const char usage[] =
    "usage: watcherd -c FILE [--once] [--verbose]\n"
    "       watcherd worker -c FILE [--name NAME] [--slots N] [--once]\n"
    "       watcherd -c FILE --check-config\n"
    "       watcherd --print-config\n"
    "\n"
    "Watches the `incoming` directory of the settings file, groups the sub-band files "
    "that\n"
    "arrive, and makes from each complete group a calibrated image and from each "
    "window of\n"
    "images a mosaic, published under `products`.  Logs one key=value line an event to "
    "stderr.\n"
    "`watcherd worker` only works on tasks that a daemon has queued (which may itself "
    "have "
    "[workers]\n"
    "count = 0): on its machine, or with PostgreSQL on any.\n"
    "\n"
    "  -c, --config FILE   settings (INI); only [paths] root has to be in it; else\n"
    "                      $WATCHERD_CONF, else /etc/watcherd/watcherd.conf\n"
    "      --once          work off what is there, then exit\n"
    "      --name NAME     of a worker service: one of each name on a state folder "
    "[worker]\n"
    "      --slots N       tasks that it works on at the same time [1]\n"
    "      --check-config  say whether FILE is in order, and exit\n"
    "      --print-config  print every setting with its meaning and default, and exit\n"
    "  -v, --verbose       log also what happens to single files\n"
    "  -h, --help          this text\n"
    "      --version       version and licence\n"
    "\n"
    "Signals: TERM and INT let running tasks finish for [workers] stop_grace_s, then "
    "have them\n"
    "handed back (a second one at once); HUP reads the settings again.\n"
    "Exit status: 0 done as asked; 1 with --once when a task failed or something was "
    "left over;\n"
    "64 wrong usage; 78 wrong settings; 75 another watcherd runs on this state "
    "directory;\n"
    "71 could not start.\n"
    "\n"
    "A first try:  uvh5sim --out /tmp/in --groups 1 --antennas 24 --calibrator "
    "0834+555\n"
    "              printf '[paths]\\nroot = /tmp/w\\nincoming = /tmp/in\\n' > w.conf\n"
    "              watcherd -c w.conf --once\n";

enum { OPT_ONCE = 256, OPT_CHECK, OPT_PRINT, OPT_VERSION, OPT_NAME, OPT_SLOTS };

static const struct option options[] = {
    {"config", required_argument, NULL, 'c'},
    {"conf", required_argument, NULL, 'c'},
    {"once", no_argument, NULL, OPT_ONCE},
    {"check-config", no_argument, NULL, OPT_CHECK},
    {"print-config", no_argument, NULL, OPT_PRINT},
    {"name", required_argument, NULL, OPT_NAME},
    {"slots", required_argument, NULL, OPT_SLOTS},
    {"verbose", no_argument, NULL, 'v'},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, OPT_VERSION},
    {NULL, 0, NULL, 0},
};

static int complain(const char *text)
{
    fprintf(stderr, "watcherd: %s\n", text);
    return EX_USAGE;
}

/* A password in a file that others may read is none. */
static void say_readable_secret(const struct conf *conf, const char *file)
{
    const char *at = strstr(conf->queue.store, "://"), *end, *colon;
    struct stat st;

    if (stat(file, &st) != 0 || (st.st_mode & 0004) == 0)
        return;
    end = at != NULL ? strrchr(at, '@') : NULL;
    colon = end != NULL ? memchr(at + 3, ':', (size_t)(end - at - 3)) : NULL;
    if (colon == NULL && strstr(conf->queue.store, "password") == NULL)
        return;
    fprintf(
        stderr,
        "watcherd: warning: %s holds the store's password and may be read by everybody "
        "(mode %03o): chmod o-r, or put the password into ~/.pgpass\n",
        file, (unsigned)(st.st_mode & 0777));
}

static int exit_status(int rc, const struct err *e)
{
    if (rc >= 0)
        return rc;
    fprintf(stderr, "watcherd: %s\n", e->text);
    return rc == -EBUSY                        ? EX_TEMPFAIL
           : rc == ERR_FORMAT || rc == -EINVAL ? EX_CONFIG
                                               : EX_OSERR;
}

/* Descriptors for the libraries, the loop, the store and pipes to workers; with fewer parts of
 * the daemon would be missing without a word. */
enum { LEAST_FILES = 64, MOST_FILES = 65536 };

/* Take as many as the system allows.  0, or an exit status. */
static int take_descriptors(void)
{
    struct rlimit r;

    if (getrlimit(RLIMIT_NOFILE, &r) != 0)
        return 0;
    if (r.rlim_cur < MOST_FILES) {
        r.rlim_cur = r.rlim_max < MOST_FILES ? r.rlim_max : MOST_FILES;
        setrlimit(RLIMIT_NOFILE, &r);
    }
    if (r.rlim_cur >= LEAST_FILES)
        return 0;
    fprintf(
        stderr,
        "watcherd: only %llu files may be open (ulimit -n, LimitNOFILE=); at least %d "
        "are needed\n",
        (unsigned long long)r.rlim_cur, LEAST_FILES);
    return EX_OSERR;
}

int main(int argc, char **argv)
{
    bool worker = argc > 1 && strcmp(argv[1], "worker") == 0;
    bool check = false;
    struct daemon_opts opts = {0};
    struct service_opts service = {0};
    static struct conf conf; /* large; one for the program */
    static char path[PATH_MAX];
    struct err e = {0};
    char *end;
    int c;

    if ((c = take_descriptors()) != 0)
        return c;
    if (argc > 1 && cli_is_command(argv[1]))
        return cli_main(argc - 1, argv + 1);
    if (worker) {
        argc--;
        argv++;
    }
    while ((c = getopt_long(argc, argv, "c:vh", options, NULL)) != -1) {
        switch (c) {
        case 'c':
            opts.conf_path = optarg;
            break;
        case OPT_ONCE:
            opts.once = true;
            break;
        case OPT_NAME:
            service.name = optarg;
            break;
        case OPT_SLOTS:
            service.slots = strtol(optarg, &end, 10);
            if (*end != '\0' || service.slots < 1 || service.slots > 1024)
                return complain("--slots takes a number from 1 to 1024");
            break;
        case OPT_CHECK:
            check = true;
            break;
        case OPT_PRINT:
            conf_defaults(&conf, NULL, &pipeline_settings);
            conf_print(&conf, stdout);
            return 0;
        case 'v':
            log_set_level(LOG_DEBUG);
            break;
        case 'h':
            fputs(usage, stdout);
            printf("\n%s", cli_usage);
            return 0;
        case OPT_VERSION:
            printf("watcherd %s\nLicence GPL-3.0-or-later\n", VERSION);
            return 0;
        default:
            return complain("see watcherd --help");
        }
    }
    if (optind < argc)
        return cli_no_such(argv[optind]);
    conf_defaults(&conf, NULL, &pipeline_settings);
    if (conf_find(path, opts.conf_path, &e) != 0 ||
        conf_load(&conf, path, &pipeline_settings, &e) != 0) {
        fprintf(stderr, "watcherd: %s\n", e.text);
        return EX_CONFIG;
    }
    if (check) {
        say_readable_secret(&conf, path);
        printf("%s is in order\n", path);
        return 0;
    }
    if ((service.name != NULL || service.slots != 0) && !worker)
        return complain("--name and --slots belong to watcherd worker");
    service.conf_path = opts.conf_path = path;
    service.once = opts.once;
    return exit_status(
        worker ? service_run(&conf, &service, &e) : daemon_run(&conf, &opts, &e), &e);
}
