/*
 * task_main.c: `watcherd-task`, a worker process: started by watcherd's pool, by nobody else.
 *
 * A program of its own, because only it needs the libraries that read and write HDF5 and
 * FITS: the daemon stays small, and cannot open such a file even by mistake.
 */
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sysexits.h>

#include "core/conf.h"
#include "core/err.h"
#include "pipeline/pipeline.h"
#include "watcherd/work/worker.h"

static const char usage[] =
    "usage: watcherd-task -c FILE\n"
    "\n"
    "A worker process of watcherd, which starts it: tasks come as JSON objects on "
    "stdin, "
    "what\n"
    "happens goes as JSON lines to stdout.  By hand, for a trial:\n"
    "\n"
    "  echo '{\"name\": \"noop\", \"key\": \"a\", \"params\": {}}' | watcherd-task -c "
    "FILE\n";

int main(int argc, char **argv)
{
    static struct conf conf; /* large; one for the program */
    struct err e = {0};

    prctl(PR_SET_NAME, "watcherd-task"); /* else the number of a descriptor: pool.c */
    if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        fputs(usage, stdout);
        return 0;
    }
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        printf("watcherd-task %s\nLicence GPL-3.0-or-later\n", VERSION);
        return 0;
    }
    if (argc != 3 || strcmp(argv[1], "-c") != 0) {
        fputs(usage, stderr);
        return EX_USAGE;
    }
    conf_defaults(&conf, NULL, &pipeline_settings);
    if (conf_load(&conf, argv[2], &pipeline_settings, &e) != 0) {
        fprintf(stderr, "watcherd-task: %s\n", e.text);
        return EX_CONFIG;
    }
    return worker_main(&conf);
}
