#include "pipeline/sim/simsky.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/path.h"
#include "pipeline/sky/astro.h"
#include "pipeline/sim/simrand.h"

static const double COUNT_FREQ_HZ = 1.4e9;
static const double SPIX_MEAN = -0.7, SPIX_RMS = 0.3;
static const char TABLE_HEAD[] = "name,ra_deg,dec_deg,flux_jy,spix,freq_mhz\n";

enum { NBIN = 400, NBAND = 180, MAX_TABLE = 64 << 20 };

int simsky_add(struct simsky *sky, const struct sim_source *source)
{
    if (sky->n == sky->room) {
        size_t room = sky->room > 0 ? 2 * sky->room : 64;
        struct sim_source *more = realloc(sky->source, room * sizeof *more);

        if (more == NULL)
            return -ENOMEM;
        sky->source = more;
        sky->room = room;
    }
    sky->source[sky->n++] = *source;
    return 0;
}

void simsky_free(struct simsky *sky)
{
    free(sky->source);
    *sky = (struct simsky){0, 0, NULL};
}

double simsky_flux(const struct sim_source *source, double freq_hz)
{
    return source->flux_jy * pow(freq_hz / source->freq_hz, source->spix);
}

/* ---- counts ---- */

/* dN/dS at 1.4 GHz, sr^-1 Jy^-1. */
static double counts(double flux_jy)
{
    /* log10(S^2.5 dN/dS / (Jy^1.5 sr^-1)) in powers of log10(S/mJy): Hopkins et al. 2003 */
    static const double a[] = {0.859, 0.508, 0.376, -0.049, -0.121, 0.057, -0.008};
    double x = fmin(log10(flux_jy * 1e3), 3), sum = 0; /* the fit ends at 1 Jy */

    for (int i = 6; i >= 0; i--)
        sum = sum * x + a[i];
    return pow(10, sum) * pow(flux_jy, -2.5);
}

/* Sources per steradian brighter than each edge, edges equal in log flux: [NBIN + 1]. */
static void cumulate(double min_jy, double max_jy, double *above)
{
    double step = log(max_jy / min_jy) / NBIN;

    above[NBIN] = 0;
    for (int i = NBIN - 1; i >= 0; i--) {
        double s = min_jy * exp((i + 0.5) * step);

        above[i] = above[i + 1] + counts(s) * s * step;
    }
}

/* A flux drawn from the counts, by inverting their integral. */
static double draw_flux(struct simrand *r, double min_jy, double max_jy,
                        const double *above)
{
    double want = above[0] * (1 - simrand_uniform(r)), frac;
    int lo = 0, hi = NBIN; /* above[lo] >= want > above[hi] */

    while (hi - lo > 1) {
        int mid = (lo + hi) / 2;

        if (above[mid] >= want)
            lo = mid;
        else
            hi = mid;
    }
    frac = (above[lo] - want) / (above[lo] - above[hi]);
    return min_jy * pow(max_jy / min_jy, (lo + frac) / NBIN);
}

/* ---- patches: bands of one degree in declination, cells of about one degree ---- */

static bool in_fields(const struct sim_field *field, size_t nfield, double ra,
                      double dec, double margin)
{
    for (size_t i = 0; i < nfield; i++)
        if (astro_separation(ra, dec, field[i].ra_rad, field[i].dec_rad) <
            field[i].radius_rad + margin)
            return true;
    return false;
}

static void name_source(struct sim_source *s)
{
    unsigned ra = (unsigned)lround(s->ra_rad / ASTRO_DEG * 240);
    unsigned dec = (unsigned)lround(fabs(s->dec_rad) / ASTRO_DEG * 3600);

    snprintf(s->name, sizeof s->name, "SIM_J%02u%02u%02u%c%02u%02u%02u", ra / 3600 % 24,
             ra / 60 % 60, ra % 60, s->dec_rad < 0 ? '-' : '+', dec / 3600 % 100,
             dec / 60 % 60, dec % 60);
}

struct draw {
    uint64_t seed;
    double min_jy, max_jy;
    double above[NBIN + 1];
    const struct sim_field *field;
    size_t nfield;
};

/* All sources of a cell are drawn, those outside the fields left out. */
static int draw_cell(struct simsky *sky, const struct draw *d, int band, int cell,
                     int ncell)
{
    struct simrand r = simrand_start(d->seed, SIMRAND_SKY, band, cell, 0);
    double lo = sin((band - 90) * ASTRO_DEG), hi = sin((band - 89) * ASTRO_DEG);
    double width = 2 * M_PI / ncell;
    int n = simrand_poisson(&r, d->above[0] * (hi - lo) * width);

    for (int i = 0; i < n; i++) {
        struct sim_source s = {.freq_hz = COUNT_FREQ_HZ};

        s.ra_rad = (cell + simrand_uniform(&r)) * width;
        s.dec_rad = asin(lo + (hi - lo) * simrand_uniform(&r));
        s.flux_jy = draw_flux(&r, d->min_jy, d->max_jy, d->above);
        s.spix = SPIX_MEAN + SPIX_RMS * simrand_gauss(&r);
        name_source(&s);
        if (in_fields(d->field, d->nfield, s.ra_rad, s.dec_rad, 0) &&
            simsky_add(sky, &s) != 0)
            return -ENOMEM;
    }
    return 0;
}

int simsky_random(struct simsky *sky, uint64_t seed, const struct sim_field *field,
                  size_t nfield, double min_jy, double max_jy, struct err *e)
{
    const double margin = 1.0 * ASTRO_DEG; /* more than half a cell's diagonal */
    struct draw d = {seed, min_jy, max_jy, {0}, field, nfield};

    if (!(min_jy > 0) || !(max_jy > min_jy))
        return err_set(e, -EINVAL, "no random sky between %g and %g Jy", min_jy,
                       max_jy);
    cumulate(min_jy, max_jy, d.above);
    if (d.above[0] * ASTRO_DEG * ASTRO_DEG > 500)
        return err_set(e, -EINVAL,
                       "more than 500 sources per square degree above %g Jy", min_jy);
    for (int band = 0; band < NBAND; band++) {
        double dec = (band - 89.5) * ASTRO_DEG;
        int ncell = (int)fmax(1, round(360 * cos(dec)));

        for (int cell = 0; cell < ncell; cell++)
            if (in_fields(field, nfield, (cell + 0.5) * 2 * M_PI / ncell, dec,
                          margin) &&
                draw_cell(sky, &d, band, cell, ncell) != 0)
                return err_set(e, -ENOMEM, "no memory for %zu sources", sky->n);
    }
    return 0;
}

/* ---- tables ---- */

static int parse_line(const char *line, struct sim_source *s)
{
    double ra, dec, mhz;
    int used = 0;

    memset(s, 0, sizeof *s);
    if (sscanf(line, " %31[^,],%lf,%lf,%lf,%lf,%lf %n", s->name, &ra, &dec, &s->flux_jy,
               &s->spix, &mhz, &used) != 6 ||
        line[used] != '\0')
        return -EINVAL;
    if (!(fabs(ra) <= 360) || !(fabs(dec) <= 90) || !isfinite(s->flux_jy) ||
        !isfinite(s->spix) || !(mhz > 0) || !isfinite(mhz))
        return -EINVAL;
    s->ra_rad = (ra < 0 ? ra + 360 : ra) * ASTRO_DEG;
    s->dec_rad = dec * ASTRO_DEG;
    s->freq_hz = mhz * 1e6;
    return 0;
}

int simsky_read(struct simsky *sky, const char *path, struct err *e)
{
    char *text, *next, *line;
    size_t n;
    int number = 0, rc = path_read(&text, &n, path, MAX_TABLE, e);

    if (rc != 0)
        return rc;
    next = text;
    while (rc == 0 && (line = strsep(&next, "\n")) != NULL) {
        struct sim_source s;

        number++;
        line += strspn(line, " \t\r");
        if (*line == '\0' || *line == '#' || strncmp(line, "name,", 5) == 0)
            continue;
        if (parse_line(line, &s) != 0)
            rc = err_set(e, ERR_FORMAT,
                         "%s:%d: not \"name,ra_deg,dec_deg,flux_jy,spix,freq_mhz\"",
                         path, number);
        else if (simsky_add(sky, &s) != 0)
            rc = err_set(e, -ENOMEM, "%s: no memory for %zu sources", path, sky->n);
    }
    free(text);
    return rc;
}

int simsky_write(const struct simsky *sky, const char *path, struct err *e)
{
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    int rc = 0;

    if (f == NULL)
        return err_set(e, -ENOMEM, "no memory to write %s", path);
    fputs(TABLE_HEAD, f);
    for (size_t i = 0; i < sky->n; i++) {
        const struct sim_source *s = &sky->source[i];

        fprintf(f, "%s,%.8f,%+.8f,%.6f,%.4f,%.3f\n", s->name, s->ra_rad / ASTRO_DEG,
                s->dec_rad / ASTRO_DEG, s->flux_jy, s->spix, s->freq_hz / 1e6);
    }
    if (fclose(f) != 0)
        rc = err_set(e, -ENOMEM, "no memory to write %s", path);
    if (rc == 0)
        rc = path_write(path, text, n, e);
    free(text);
    return rc;
}
