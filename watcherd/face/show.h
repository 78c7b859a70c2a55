/*
 * show.h: lines on stdout for people, of what came from outside: file names, errors.
 */
#ifndef WATCHERD_FACE_SHOW_H
#define WATCHERD_FACE_SHOW_H

/* As printf; what is neither printable nor a newline becomes \xNN, so that no name of a file
 * commands the reader's terminal. */
void show(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
