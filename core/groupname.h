/*
 * groupname.h: the rule by which a file's name says which group it belongs to ([group]
 * pattern).
 *
 *   subband     {time:%Y-%m-%dT%H:%M:%S}_sb{member:2}, and the extension .hdf5 or .uvh5
 *   file        one file is one group, named by the file's name without its extension
 *   directory   one directory directly below the incoming one, with all that is in it, is
 *               one group, named by it
 *   otherwise   a pattern of literal text and parts in braces, e.g.
 *               obs_{time:%Y%j-%H%M%S}_ch{member:3}   or   {name}_part{member:2}
 *
 * A pattern must match a file's whole name, without folders and without what follows its last
 * dot.  Parts: {time:FORMAT} of %Y %m %d %j %H %M %S (fixed widths, UTC, needs %Y and either %m
 * %d or %j), {member:N} exactly N digits, {name} one or more characters.  There is either a
 * time or a name, each part at most once; {{ and }} stand for braces, %% for %.
 *
 * With a time, files cluster (group.h) and a group is named like 2025-05-07T00:04:06.  With a
 * name, files of equal names make a group; the name is made fit for a directory: bytes other
 * than A-Z a-z 0-9 _ + = , @ : - and . become %XX, and so does a dot at the start and one
 * before a last "lock" or "gen" with digits (our own endings).  Names that would not fit end in
 * '~' and a hash.  Different names stay different.
 */
#ifndef CORE_GROUPNAME_H
#define CORE_GROUPNAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

enum {
    GROUPNAME_SIZE = 64,     /* of a group's name, NUL among it */
    GROUPNAME_PATTERN = 128, /* of a pattern */
};

/* A pattern made ready; copied freely. */
struct groupname {
    bool timed;     /* it has a time, else a name */
    bool member;    /* it has a member index */
    bool directory; /* the paths to judge are directories: the name is used whole */
    bool hdf5;      /* .hdf5 and .uvh5 only */
    uint8_t nstep, at_name; /* of the step that is the name */
    uint16_t before, after; /* characters before and after it */
    struct groupname_step {
        /* a letter of strftime, 'N'umber of the member, '*' the name, 'L'iteral */
        char kind;
        char literal;
        uint8_t width; /* digits */
    } step[GROUPNAME_PATTERN];
};

/* Make a pattern ready for use.
 * Status: 0; -EINVAL, and the sentence says what is wrong with the pattern. */
int groupname_compile(struct groupname *rule, const char *pattern, struct err *e);

/* What a file's name says. */
struct groupname_hit {
    int64_t key; /* timed: Unix s; else groupname_key of the name */
    int member;
    char name[GROUPNAME_SIZE]; /* safe; empty when timed */
};

/* Take apart a file's name `base`, without folders.  Status: 0; -EINVAL the name is foreign. */
int groupname_parse(const struct groupname *rule, const char *base,
                    struct groupname_hit *out);

/* The key of a group's own name ("2025-05-07T00:04:06", or a safe name).  Status: 0; -EINVAL it
 * is no group's name. */
int groupname_key(const struct groupname *rule, const char *name, int64_t *key);

/* The name of a time, "2025-05-07T00:04:06". */
void groupname_of_time(char out[GROUPNAME_SIZE], int64_t unix_s);

#endif
