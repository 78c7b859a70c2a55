/*
 * table.h: rows and columns for people: aligned, escaped, cut to the terminal.
 */
#ifndef TASKCTL_TABLE_H
#define TASKCTL_TABLE_H

#include <stddef.h>
#include <stdio.h>

struct table; /* defined in table.c */

/* Heads of columns, borrowed and ended by NULL; one that begins with '>' is of numbers:
   flush right. */
struct table *table_new(const char *const *head);
/* Columns on a terminal; 0 where there is none and nothing is to be cut. */
unsigned table_width(FILE *out);
/* Text of the next cell, row by row; control bytes become \xNN.  An empty one shows as "-". */
void table_put(struct table *t, const char *text);
void table_putf(struct table *t, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* So many blanks in front of each line. */
void table_indent(struct table *t, unsigned n);
/* Print it, each line at most `width` characters long (0: as long as it is). */
void table_print(const struct table *t, FILE *out, unsigned width);
void table_free(struct table *t);

#endif
