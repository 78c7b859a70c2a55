/*
 * cli.h: `watcherd why`, `status`, `watch` and `release`: what operators ask of the running
 * daemon. `why` is answered from the disk when no daemon runs.
 */
#ifndef WATCHERD_FACE_CLI_H
#define WATCHERD_FACE_CLI_H

#include <stdbool.h>

/* Is this word one of the commands? */
bool cli_is_command(const char *word);
/* Say that there is no such command, and which is meant; the exit status. */
int cli_no_such(const char *word);

/*
 * cli_main: argv[0] is the command; reads its own options and settings, prints the answer.
 * Returns the exit status: 0 done; 1 not done yet (why), or refused; 64 wrong usage; 69 the
 * daemon does not run or does not answer; 78 wrong settings.
 */
int cli_main(int argc, char **argv);

/* Lines for --help. */
extern const char cli_usage[];

#endif
