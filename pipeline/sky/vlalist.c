/*
 * vlalist.c: a source is a line with J2000, one with its B1950 position, a head of a table, and a
 * line for each band:
 *
 *   0001+192   J2000  A 00h01m08.621563s  19d14'33.801860"  Aug01  JVAS
 *   2358+189   B1950  A 23h58m34.865400s  18d57'51.753000"
 *    20cm    L  X X X S        2.2                        7
 */
#include "pipeline/sky/vlalist.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "pipeline/sky/astro.h"
#include "pipeline/sky/calibrator.h"

/* The VLA's receivers by letter, Hz (NRAO, VLA calibrator manual, "Flux density"). */
static const struct {
    char letter;
    const char *length;
    double freq_hz;
} band[] = {{'P', "90cm", 0.3275e9}, {'L', "20cm", 1.465e9}, {'C', "6cm", 4.86e9},
            {'X', "3.7cm", 8.46e9},  {'U', "2cm", 14.94e9},  {'K', "1.3cm", 22.46e9},
            {'Q', "0.7cm", 43.34e9}};

/* As the built-in table: how far a spectrum may be continued. */
static const double EXTEND = 1.5;

/* Three numbers with something between them, "13h31m08.28s"; *sign of the first. */
static int sexagesimal(const char *text, double part[3], double *sign)
{
    const char *at = text;

    while (isspace((unsigned char)*at))
        at++;
    *sign = *at == '-' ? -1 : 1;
    if (*at == '-' || *at == '+')
        at++;
    for (int i = 0; i < 3; i++) {
        char *end;

        if (!isdigit((unsigned char)*at))
            return -EINVAL;
        part[i] = strtod(at, &end);
        at = end;
        if (*at != '\0' && strchr(":hdms'\"", *at) != NULL)
            at++;
        else if (i < 2)
            return -EINVAL;
    }
    while (isspace((unsigned char)*at))
        at++;
    return *at == '\0' && part[1] < 60 && part[2] < 60 ? 0 : -EINVAL;
}

/* Degrees as one number, or as three with a unit of `one` degrees. */
static int angle(const char *text, double one, double *deg)
{
    double part[3], sign;
    char *end;

    *deg = strtod(text, &end);
    if (end != text && *end == '\0')
        return isfinite(*deg) ? 0 : -EINVAL;
    if (sexagesimal(text, part, &sign) != 0)
        return -EINVAL;
    *deg = sign * one * (part[0] + part[1] / 60 + part[2] / 3600);
    return 0;
}

int vlalist_ra(const char *text, double *deg)
{
    return angle(text, 15, deg) == 0 && *deg >= 0 && *deg < 360 ? 0 : -EINVAL;
}

int vlalist_dec(const char *text, double *deg)
{
    return angle(text, 1, deg) == 0 && fabs(*deg) <= 90 ? 0 : -EINVAL;
}

/* What the sources are collected in. */
struct list {
    struct calibrator *item; /* [n] */
    size_t n, room, nall, line;
    bool inside; /* a source has begun */
};

/* "Aug01": where a position is from. */
static bool is_reference(const char *word)
{
    return strlen(word) == 5 && isupper((unsigned char)word[0]) &&
           islower((unsigned char)word[1]) && islower((unsigned char)word[2]) &&
           isdigit((unsigned char)word[3]) && isdigit((unsigned char)word[4]);
}

/* Leave out the source that was begun, when it has no flux at 20 cm. */
static void finish(struct list *l)
{
    struct calibrator *c = l->inside ? &l->item[l->n] : NULL;
    bool has_l = false;

    l->inside = false;
    if (c == NULL)
        return;
    for (int i = 0; i < c->npoint; i++)
        has_l |= c->freq_hz[i] == band[1].freq_hz;
    if (!has_l)
        return;
    c->lo_hz = c->freq_hz[0] / EXTEND;
    c->hi_hz = c->freq_hz[c->npoint - 1] * EXTEND;
    l->n++;
}

/* The first line of a source.  `ra` begins the position. */
static int begin(struct list *l, const char *line, struct err *e)
{
    char name[32], ra[32], dec[32], word[2][32] = {"", ""};
    double ra_deg, dec_deg;
    struct calibrator *c;

    finish(l);
    l->nall++;
    if (sscanf(line, "%31s J2000 %*c %31s %31s %31s %31s", name, ra, dec, word[0],
               word[1]) < 3 ||
        vlalist_ra(ra, &ra_deg) != 0 || vlalist_dec(dec, &dec_deg) != 0)
        return err_set(e, ERR_FORMAT, "line %zu: no name and J2000 position: %.60s",
                       l->line, line);
    if (l->n == l->room) {
        size_t room = l->room == 0 ? 256 : 2 * l->room;
        struct calibrator *more = realloc(l->item, room * sizeof *more);

        if (more == NULL)
            return err_set(e, -ENOMEM, "no memory for %zu calibrators", room);
        l->item = more;
        l->room = room;
    }
    c = &l->item[l->n];
    memset(c, 0, sizeof *c);
    snprintf(c->name, sizeof c->name, "%s", name);
    snprintf(c->alias, sizeof c->alias, "%s",
             is_reference(word[0]) ? word[1] : word[0]);
    c->ra_rad = ra_deg * ASTRO_DEG;
    c->dec_rad = dec_deg * ASTRO_DEG;
    c->source = "VLA calibrator manual (NRAO)";
    l->inside = true;
    return 0;
}

/* By its wavelength; a slip of the letter ("20cm X") does not count, and X is 3.6 to 4 cm. */
static double band_of(const char *length, char letter)
{
    for (size_t i = 0; i < sizeof band / sizeof band[0]; i++)
        if (strcmp(band[i].length, length) == 0)
            return band[i].freq_hz;
    for (size_t i = 0; i < sizeof band / sizeof band[0]; i++)
        if (band[i].letter == letter)
            return band[i].freq_hz;
    return 0;
}

/* A band's line: its flux, in its place by frequency. */
static int add_band(struct list *l, const char *line, struct err *e)
{
    struct calibrator *c = &l->item[l->n];
    char length[16], letter, flux[32], *end;
    double freq_hz, jy;
    int at;

    if (sscanf(line, "%15s %c %*c %*c %*c %*c %31s", length, &letter, flux) != 3)
        return 0; /* a band without a flux */
    freq_hz = band_of(length, letter);
    jy = strtod(flux, &end);
    if (strcmp(flux, "?") == 0 || (end != flux && *end == '\0' && jy == 0))
        return 0; /* looked for, not found */
    if (freq_hz == 0 || end == flux || *end != '\0' || !(jy > 0) || jy > 1e5 ||
        c->npoint == CAL_MAXPOINT)
        return err_set(e, ERR_FORMAT, "line %zu: no band and flux: %.60s", l->line,
                       line);
    for (at = c->npoint; at > 0 && c->freq_hz[at - 1] >= freq_hz; at--) {
        if (c->freq_hz[at - 1] == freq_hz)
            return err_set(e, ERR_FORMAT, "line %zu: band %c stands there twice",
                           l->line, letter);
        c->freq_hz[at] = c->freq_hz[at - 1];
        c->flux_jy[at] = c->flux_jy[at - 1];
    }
    c->freq_hz[at] = freq_hz;
    c->flux_jy[at] = jy;
    c->npoint++;
    return 0;
}

static int one_line(struct list *l, const char *line, struct err *e)
{
    char first[32] = "", second[32] = "";

    sscanf(line, "%31s %31s", first, second);
    if (strcmp(second, "J2000") == 0)
        return begin(l, line, e);
    if (l->inside && isdigit((unsigned char)first[0]) && strstr(first, "cm") != NULL)
        return add_band(l, line + strspn(line, " \t"), e);
    return 0;
}

int vlalist_parse(struct calibrator **out, size_t *n, size_t *nall, const char *text,
                  struct err *e)
{
    struct list l = {0};
    char line[160];
    int rc = 0;

    *out = NULL;
    *n = *nall = 0;
    while (rc == 0 && *text != '\0') {
        size_t len = strcspn(text, "\n");

        snprintf(line, sizeof line, "%.*s", (int)(len < 159 ? len : 159), text);
        text += len + (text[len] == '\n');
        l.line++;
        rc = one_line(&l, line, e);
    }
    if (rc == 0)
        finish(&l);
    if (rc == 0 && l.nall == 0)
        rc = err_set(e, ERR_FORMAT, "no line is one of a source, with J2000 in it");
    if (rc != 0) {
        free(l.item);
        return rc;
    }
    *out = l.item;
    *n = l.n;
    *nall = l.nall;
    return 0;
}
