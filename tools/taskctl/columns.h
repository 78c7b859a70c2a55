/*
 * columns.h: rows of JSON as a table of chosen columns, or as CSV (RFC 4180).
 */
#ifndef TASKCTL_COLUMNS_H
#define TASKCTL_COLUMNS_H

#include <jansson.h>
#include <stdbool.h>

/* rows: an array of objects, at least one.  names: "a,b" of their keys; NULL: all that are no
 * arrays or objects.  EX_OK; EX_USAGE, said: there is no such key. */
int columns_print(const json_t *rows, const char *names, bool csv);

#endif
