/*
 * clock.h: ages and deadlines from the clock that never steps (CLOCK_BOOTTIME, which also
 * runs in suspend); names and people's times from the wall clock.
 */
#ifndef CORE_CLOCK_H
#define CORE_CLOCK_H

double clock_boot_s(void);                   /* seconds since boot, monotonic */
double clock_wall_s(void);                   /* Unix seconds, UTC */
void clock_iso(double unix_s, char out[32]); /* "2026-11-22T01:15:16.123Z" */
/* "YYYY-MM-DDTHH:MM:SS", the first 19 characters of s, UTC, to Unix seconds.
 * Status: 0; -EINVAL. */
int clock_parse(const char *s, double *unix_s);

#endif
