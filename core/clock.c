#include "core/clock.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <time.h>

static double read_clock(clockid_t id)
{
    struct timespec t;

    clock_gettime(id, &t); /* cannot fail for the two clocks used here */
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

double clock_boot_s(void)
{
    return read_clock(CLOCK_BOOTTIME);
}

double clock_wall_s(void)
{
    return read_clock(CLOCK_REALTIME);
}

void clock_iso(double unix_s, char out[32])
{
    /* Whole milliseconds, rounded down, so that no time is printed that is still to come.
     * A double holds today's times to 0.12 us; the half microsecond makes up for that. */
    double ms = floor(unix_s * 1e3 + 5e-4);
    time_t s;
    struct tm tm;
    size_t n;

    if (!(fabs(ms) < 1e14)) { /* beyond the year 5138, or not a number */
        snprintf(out, 32, "unknown");
        return;
    }
    s = (time_t)floor(ms / 1e3);
    gmtime_r(&s, &tm);
    n = strftime(out, 32, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out + n, 32 - n, ".%03uZ", (unsigned)(ms - (double)s * 1e3) % 1000U);
}

/* The digits of s[0..n) as a number, or -1. */
static int digits(const char *s, int n)
{
    int v = 0;

    for (int i = 0; i < n; i++) {
        if (s[i] < '0' || s[i] > '9')
            return -1;
        v = 10 * v + (s[i] - '0');
    }
    return v;
}

int clock_parse(const char *s, double *unix_s)
{
    static const char shape[] = "dddd-dd-ddTdd:dd:dd";
    struct tm tm = {0}, back;
    time_t t;

    for (int i = 0; i < 19; i++) /* stops at the end of a short string */
        if (shape[i] == 'd' ? digits(s + i, 1) < 0 : s[i] != shape[i])
            return -EINVAL;
    tm.tm_year = digits(s, 4) - 1900;
    tm.tm_mon = digits(s + 5, 2) - 1;
    tm.tm_mday = digits(s + 8, 2);
    tm.tm_hour = digits(s + 11, 2);
    tm.tm_min = digits(s + 14, 2);
    tm.tm_sec = digits(s + 17, 2);
    back = tm;
    t = timegm(&back); /* puts 30 February on 2 March: then it was not a date */
    if (back.tm_mon != tm.tm_mon || back.tm_mday != tm.tm_mday ||
        back.tm_hour != tm.tm_hour || back.tm_min != tm.tm_min ||
        back.tm_sec != tm.tm_sec)
        return -EINVAL;
    *unix_s = (double)t;
    return 0;
}
