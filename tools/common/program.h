/*
 * program.h: what the programs share: exit codes, sentences on stderr, JSON on stdout, and
 * which settings they go by.
 */
#ifndef TOOLS_COMMON_PROGRAM_H
#define TOOLS_COMMON_PROGRAM_H

#include <jansson.h>

struct conf;
struct err;

/* The exit code of a failure (a negative errno or ERR_*) of a program that works on files. */
int program_code(int rc);
/* Say "PROGRAM: sentence" of a failure, whatever its Status was; hands code back. */
int program_fail(const char *program, int code, const struct err *e);
/* Say why the command line cannot be; EX_USAGE. */
int program_wrong(const char *program, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Say that there is no `what` ("verb") of this name, and which of names [n] is meant; EX_USAGE. */
int program_unknown(const char *program, const char *what, const char *word,
                    const char *const *names, size_t n);
/* Print it indented, real numbers with so many digits, and drop it; EX_OK, or EX_IOERR. */
int program_print_json(json_t *json, size_t digits);

/* The default settings below `root`, or (NULL) those of conf_find(file).  Status as conf_find and
   conf_load: 0, or -ENOENT and other errnos, ERR_FORMAT. */
int program_conf(struct conf *conf, const char *file, const char *root, struct err *e);

#endif
