/*
 * why.h: why a group is not done yet, in words.  Groups, files and tasks are asked of the
 * running daemon, or read from the watched directories when none runs; product and lock are
 * read from the disk.
 */
#ifndef WATCHERD_FACE_WHY_H
#define WATCHERD_FACE_WHY_H

#include <stdbool.h>

struct conf;

/*
 * why_main: print why `name` (a group, a mosaic, a file's path) is not done.
 * Returns 0 published and nothing more is to be done; 1 not yet; 69 not yet, and no daemon runs
 * or it does not answer in wait_s.
 */
int why_main(const struct conf *conf, const char *name, bool json, double wait_s);

#endif
