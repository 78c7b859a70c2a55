/*
 * options.h: a program's options as a table: where each value goes, and what it must be.
 *
 *   {"limit", 'l', OPTION_WHOLE, offsetof(struct args, limit), 0, 1000}
 *
 * --version is answered here.  What is wrong is said on stderr as "PROGRAM: ...".
 */
#ifndef TOOLS_COMMON_OPTIONS_H
#define TOOLS_COMMON_OPTIONS_H

#include <stddef.h>

enum option_kind {
    OPTION_FLAG,  /* bool */
    OPTION_TEXT,  /* const char *, of argv */
    OPTION_WHOLE, /* long, from lo to hi */
    OPTION_REAL,  /* double, from lo to hi */
    OPTION_TIME,  /* double: "90s" in seconds, as options_time */
    OPTION_DO,    /* no value: the program's `take` gets the letter, and text NULL */
    OPTION_OWN,   /* a value for the program's `take` */
};

struct option_row {
    const char *name;
    char letter; /* for `take` and `seen`, and -x when `shorts` has it; 0: none */
    enum option_kind kind;
    size_t at; /* of the value, from `into` on */
    double lo, hi;
};

enum { OPTIONS_MOST = 40, OPTIONS_GO_ON = -1, OPTIONS_WORD = 1 };

struct options {
    const char *program; /* "taskctl" */
    /* getopt(3)'s short options; with '-' in front each word among them goes to `take` with
       the letter OPTIONS_WORD */
    const char *shorts;
    const struct option_row *row; /* [n] */
    size_t n;                     /* < OPTIONS_MOST */
    void *into;
    /* OPTIONS_GO_ON, or the exit code; may be NULL when no row needs it */
    int (*take)(void *into, char letter, const char *text);
    char seen[64]; /* returned: the letters in order */
};

/* Take all of argv; what is left begins at optind.  OPTIONS_GO_ON, or the exit code. */
int options_take(struct options *o, int argc, char **argv);

/* "90", "90s", "5m" or "5min", "2h", "1.5d", "2w" in seconds; -EINVAL. */
int options_time(const char *text, double *s);

#endif
