#include "pipeline/sky/earth.h"

#include <errno.h>
#include <erfa.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/path.h"

/* etc/earth.csv as it was when this was built, a NUL behind it. */
extern const char earth_csv[];
__asm__(".section .rodata\n"
        ".global earth_csv\n"
        "earth_csv:\n"
        ".incbin \"etc/earth.csv\"\n"
        ".byte 0\n"
        ".previous\n");

static const double ARCSEC_A_SECOND = 15.041; /* of UT1, on the equator */

struct day {
    double mjd, ut1_tai_s, x_arcsec, y_arcsec;
};

struct earth_table {
    size_t n, room;
    struct day *day; /* [n] ascending */
    char name[200];
};

void earth_table_free(struct earth_table *t)
{
    if (t == NULL)
        return;
    free(t->day);
    free(t);
}

/* TAI - UTC at 0h of that day, s. */
static double tai_utc_s(double mjd)
{
    double fraction, s = 0;
    int y, m, d;

    if (eraJd2cal(ASTRO_MJD0_JD, mjd, &y, &m, &d, &fraction) < 0 ||
        eraDat(y, m, d, fraction, &s) < 0) /* +1: only that it is far ahead */
        return 0;
    return s;
}

static int add_day(struct earth_table *t, const double v[4], size_t line, struct err *e)
{
    if (!(v[0] > 0 && v[0] < 1e5) || !(fabs(v[1]) < 1.1) || !(fabs(v[2]) < 2) ||
        !(fabs(v[3]) < 2) || (t->n > 0 && v[0] <= t->day[t->n - 1].mjd))
        return err_set(
            e, ERR_FORMAT,
            "%s: line %zu: MJD %g, UT1-UTC %g s, pole %g, %g arcsec cannot be "
            "the next day",
            t->name, line, v[0], v[1], v[2], v[3]);
    if (t->n == t->room) {
        size_t room = t->room == 0 ? 4096 : 2 * t->room;
        struct day *more = realloc(t->day, room * sizeof *more);

        if (more == NULL)
            return err_set(e, -ENOMEM, "%s: no memory for %zu days", t->name, room);
        t->day = more;
        t->room = room;
    }
    t->day[t->n++] = (struct day){v[0], v[1] - tai_utc_s(v[0]), v[2], v[3]};
    return 0;
}

/* The number in columns [from, from + width) of a line, NaN when they are blank or not there. */
static double column(const char *line, size_t len, size_t from, size_t width)
{
    char text[16], *end;
    double x;

    if (from + width > len || width >= sizeof text)
        return NAN;
    memcpy(text, line + from, width);
    text[width] = '\0';
    x = strtod(text, &end);
    while (*end == ' ')
        end++;
    return end == text || *end != '\0' ? NAN : x;
}

/*
 * One line of either form into v {mjd, ut1-utc s, x arcsec, y arcsec}.  1: a day; 0: none (a
 * comment, a head, a day without values); -1: neither.
 * finals2000A: MJD in columns 8 to 15, x 19 to 27, y 38 to 46, UT1-UTC 59 to 68 (readme.finals2000A)
 */
static int parse_line(const char *line, size_t len, double v[4])
{
    if (len == 0 || line[0] == '#' || strncmp(line, "mjd,", 4) == 0)
        return 0;
    if (memchr(line, ',', len) != NULL) {
        char tail, copy[96];

        snprintf(copy, sizeof copy, "%.*s", (int)(len < 95 ? len : 95), line);
        return sscanf(copy, "%lf,%lf,%lf,%lf%c", &v[0], &v[1], &v[2], &v[3], &tail) == 4
                   ? 1
                   : -1;
    }
    v[0] = column(line, len, 7, 8);
    v[2] = column(line, len, 18, 9);
    v[3] = column(line, len, 37, 9);
    v[1] = column(line, len, 58, 10);
    if (!isfinite(v[0]))
        return -1;
    return isfinite(v[1] + v[2] + v[3]);
}

static int parse(struct earth_table *t, const char *text, struct err *e)
{
    size_t line = 0;
    int rc = 0;

    while (rc == 0 && *text != '\0') {
        size_t len = strcspn(text, "\n");
        size_t used = len > 0 && text[len - 1] == '\r' ? len - 1 : len;
        double v[4];

        line++;
        switch (parse_line(text, used, v)) {
        case 1:
            rc = add_day(t, v, line, e);
            break;
        case 0:
            break;
        default:
            rc = err_set(e, ERR_FORMAT,
                         "%s: line %zu: neither mjd,ut1_utc_s,pole_x_arcsec,"
                         "pole_y_arcsec nor IERS finals2000A",
                         t->name, line);
        }
        text += len + (text[len] == '\n');
    }
    if (rc == 0 && t->n < 4)
        rc = err_set(e, ERR_FORMAT, "%s: fewer than four days of earth orientation",
                     t->name);
    return rc;
}

int earth_table_read(struct earth_table **out, const char *path, struct err *e)
{
    enum { MOST = 16 << 20 };
    struct earth_table *t = calloc(1, sizeof *t);
    char *text = NULL;
    size_t size;
    int rc = 0;

    *out = NULL;
    if (t == NULL)
        return err_set(e, -ENOMEM, "no memory for a table of earth orientation");
    if (path == NULL || path[0] == '\0') {
        snprintf(t->name, sizeof t->name, "the table of earth orientation");
        rc = parse(t, earth_csv, e);
    } else {
        snprintf(t->name, sizeof t->name, "%s", path);
        rc = path_read(&text, &size, path, MOST, e);
        if (rc == 0)
            rc = parse(t, text, e);
    }
    free(text);
    if (rc == 0)
        *out = t;
    else
        earth_table_free(t);
    return rc;
}

/* Lagrange's cubic through the four days around mjd, which lies inside the table. */
static struct day interpolate(const struct earth_table *t, double mjd)
{
    struct day sum = {.mjd = mjd};
    size_t lo = 0, hi = t->n - 1, first;

    while (hi - lo > 1) {
        size_t mid = (lo + hi) / 2;

        if (t->day[mid].mjd <= mjd)
            lo = mid;
        else
            hi = mid;
    }
    first = lo > 0 ? lo - 1 : 0;
    if (first > t->n - 4)
        first = t->n - 4;
    for (size_t i = first; i < first + 4; i++) {
        double weight = 1;

        for (size_t j = first; j < first + 4; j++)
            if (j != i)
                weight *= (mjd - t->day[j].mjd) / (t->day[i].mjd - t->day[j].mjd);
        sum.ut1_tai_s += weight * t->day[i].ut1_tai_s;
        sum.x_arcsec += weight * t->day[i].x_arcsec;
        sum.y_arcsec += weight * t->day[i].y_arcsec;
    }
    return sum;
}

static void day_text(double mjd, char text[12])
{
    char iso[20];

    astro_jd_to_iso(mjd + ASTRO_MJD0_JD, iso);
    snprintf(text, 12, "%.10s", iso);
}

/* What the table says; *sigma_s of UT1. */
static struct day look_up(const struct earth_table *t, double mjd,
                          struct earth_note *note, double *sigma_s)
{
    const struct day *last = &t->day[t->n - 1];
    double after = mjd - last->mjd;
    struct day at = {.mjd = mjd};
    char from[12], to[12];

    day_text(t->day[0].mjd, from);
    day_text(last->mjd, to);
    *sigma_s = 0.0001;
    if (mjd < t->day[0].mjd) {
        at.ut1_tai_s = -tai_utc_s(mjd);
        *sigma_s = 0.5;
        note->source = EARTH_ABSENT;
        note->error_arcsec = *sigma_s * ARCSEC_A_SECOND;
        snprintf(
            note->text, sizeof note->text,
            "%.100s begins on %s: UT1 is taken for UTC, directions are uncertain by "
            "%.0f arcsec",
            t->name, from, note->error_arcsec);
    } else if (after > 0) {
        at = *last;
        at.ut1_tai_s = last->ut1_tai_s;
        *sigma_s = 0.00025 * pow(after, 0.75);
        note->source = EARTH_STALE;
        note->error_arcsec =
            hypot(*sigma_s * ARCSEC_A_SECOND, 0.00068 * pow(after, 0.80));
        snprintf(
            note->text, sizeof note->text,
            "%.100s ends on %s, %.0f days before: directions are uncertain by %.2g "
            "arcsec",
            t->name, to, after, note->error_arcsec);
    } else {
        at = interpolate(t, mjd);
        note->source = EARTH_TABLE;
        note->error_arcsec = 0.002;
        snprintf(note->text, sizeof note->text, "%.100s, %s to %s", t->name, from, to);
    }
    return at;
}

static int says(double s)
{
    return isfinite(s) && s != 0;
}

void earth_at(const struct earth_table *t, double jd_utc, double given_s, double file_s,
              struct earth *earth, struct earth_note *note)
{
    double mjd = jd_utc - ASTRO_MJD0_JD, sigma_s, table_s;
    struct day at = look_up(t, mjd, note, &sigma_s);

    table_s = at.ut1_tai_s + tai_utc_s(mjd);
    *earth =
        (struct earth){table_s, at.x_arcsec * ASTRO_ARCSEC, at.y_arcsec * ASTRO_ARCSEC};
    if (says(given_s)) {
        earth->dut1_s = given_s;
        note->source = EARTH_GIVEN;
        snprintf(note->text, sizeof note->text, "UT1-UTC %+.4f s by the settings",
                 given_s);
    } else if (says(file_s) && note->source != EARTH_TABLE && fabs(file_s) < 1) {
        earth->dut1_s = file_s;
        note->source = EARTH_FILE;
        note->error_arcsec = 0.001 * ARCSEC_A_SECOND; /* a prediction of a few days */
        snprintf(note->text, sizeof note->text, "UT1-UTC %+.4f s by the data's header",
                 file_s);
    } else if (says(file_s) && fabs(file_s - table_s) > fmax(0.01, 3 * sigma_s)) {
        snprintf(note->text, sizeof note->text,
                 "the data's header has UT1-UTC %+.4f s, %.80s %+.4f s, which is used: "
                 "%.2g arcsec apart",
                 file_s, t->name, table_s, fabs(file_s - table_s) * ARCSEC_A_SECOND);
    }
}
