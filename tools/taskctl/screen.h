/*
 * screen.h: a text that is shown in place of itself, for as long as the user looks.
 */
#ifndef TASKCTL_SCREEN_H
#define TASKCTL_SCREEN_H

#include <stdbool.h>
#include <stddef.h>

/* Take the terminal over: no echo, no line to wait for, another page.  Until screen_end it is
 * ours; false: stdout is no terminal. */
bool screen_begin(void);
void screen_end(void);

/* Show the text, cut to what the terminal has now, in one write: nothing flickers. */
void screen_show(const char *text);

enum screen_news { SCREEN_TIME, SCREEN_RESIZED, SCREEN_REFRESH, SCREEN_QUIT };
/* Wait for a key (q: quit; space or r: refresh), a signal, another size, or for so long. */
enum screen_news screen_wait(double s);

/*
 * screen_fit: the text with escape codes as it goes to a terminal of so many rows and
 * columns, malloc'ed; *n its bytes. Note: colours (ESC [ ... m) take no room; a line that
 * is cut ends in "…", a text that is cut says how many lines are missing.
 */
char *screen_fit(const char *text, unsigned rows, unsigned columns, size_t *n);

#endif
