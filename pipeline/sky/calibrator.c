/*
 * calibrator.c: the built-in table of bright calibrators, and which of them a field holds.
 *
 * Positions are facts of the VLA calibrator manual (NRAO; J2000, on the ICRS to a few
 * milliarcseconds for position codes A and B).  Fluxes of the seven stable sources are the
 * polynomials of Perley and Butler 2017 (ApJS 230, 7); all others are the manual's values of
 * one digit for each band, good to about ten per cent; many of these sources vary.
 */
#include "pipeline/sky/calibrator.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/mem.h"
#include "pipeline/sky/astro.h"
#include "pipeline/sky/beam.h"
#include "pipeline/sky/vis.h"

/* How far beyond its first and last point a spectrum of points may be continued. */
#define EXTEND 1.5

/* Without a beam "in the field" still needs an edge: this far from the mean pointing. */
#define NO_BEAM_RADIUS_RAD (1.5 * ASTRO_DEG)

/* Two names of one source: its place, as lists give it with few digits. */
#define SAME_RAD (30 * ASTRO_ARCSEC)

/* Hours, minutes, seconds and degrees, minutes, seconds (north) to rad. */
#define RA(h, m, s)  (((h) + (m) / 60.0 + (s) / 3600.0) * 15.0 * ASTRO_DEG)
#define DEC(d, m, s) (((d) + (m) / 60.0 + (s) / 3600.0) * ASTRO_DEG)

/* The manual's bands, by wavelength: nominal frequencies of the VLA's receivers in Hz (NRAO,
 * VLA calibrator manual, "Flux density": 90, 20, 6, 3.7, 2, 1.3 and 0.7 cm). */
#define P_BAND 0.3275e9
#define L_BAND 1.465e9
#define C_BAND 4.86e9
#define X_BAND 8.46e9
#define U_BAND 14.94e9
#define K_BAND 22.46e9
#define Q_BAND 43.34e9

/* A list is passed in parentheses, which UNPAREN removes. */
#define UNPAREN(...) __VA_ARGS__

/* clang-format off */
#define PB(name, alias, ra, dec, lo_hz, n, ...)                                          \
    {name, alias, ra, dec, n, {__VA_ARGS__}, 0, {0}, {0}, lo_hz, 50e9,                   \
     "Perley & Butler 2017, ApJS 230, 7; position VLA calibrator manual"}

/* In two steps, so that the sets of bands below count as several arguments. */
#define VLA(...) VLA_(__VA_ARGS__)
#define VLA_(name, alias, ra, dec, n, first_hz, last_hz, freqs, fluxes)                  \
    {name, alias, ra, dec, 0, {0}, n, {UNPAREN freqs}, {UNPAREN fluxes},                 \
     first_hz / EXTEND, last_hz * EXTEND, "VLA calibrator manual (NRAO)"}

/* The usual sets of bands. */
#define PL     2, P_BAND, L_BAND, (P_BAND, L_BAND)
#define LCXUQ  5, L_BAND, Q_BAND, (L_BAND, C_BAND, X_BAND, U_BAND, Q_BAND)
#define PLCUQ  5, P_BAND, Q_BAND, (P_BAND, L_BAND, C_BAND, U_BAND, Q_BAND)
#define PLCXUQ 6, P_BAND, Q_BAND, (P_BAND, L_BAND, C_BAND, X_BAND, U_BAND, Q_BAND)
#define LCXUKQ 6, L_BAND, Q_BAND, (L_BAND, C_BAND, X_BAND, U_BAND, K_BAND, Q_BAND)

static const struct calibrator table[] = {
    /* Primary flux standards: stable, with a published polynomial. */
    PB("1331+305", "3C286", RA(13, 31, 8.287984), DEC(30, 30, 32.958850), 0.05e9,
       4, 1.2481, -0.4507, -0.1798, 0.0357),
    PB("0137+331", "3C48", RA(1, 37, 41.299431), DEC(33, 9, 35.132990), 0.05e9,
       4, 1.3253, -0.7553, -0.1914, 0.0498),
    PB("0542+498", "3C147", RA(5, 42, 36.137916), DEC(49, 51, 7.233560), 0.05e9,
       6, 1.4516, -0.6961, -0.2007, 0.0640, -0.0464, 0.0289),
    PB("0521+166", "3C138", RA(5, 21, 9.886021), DEC(16, 38, 22.051220), 0.2e9,
       5, 1.0088, -0.4981, -0.1552, -0.0102, 0.0223),
    PB("0813+482", "3C196", RA(8, 13, 36.0518), DEC(48, 13, 2.262), 0.05e9,
       5, 1.2872, -0.8530, -0.1534, -0.0200, 0.0201),
    PB("1411+522", "3C295", RA(14, 11, 20.6477), DEC(52, 12, 9.141), 0.05e9,
       5, 1.4701, -0.7658, -0.2780, -0.0347, 0.0399),
    PB("0437+296", "3C123", RA(4, 37, 4.3750), DEC(29, 40, 13.820), 0.05e9,
       5, 1.8017, -0.7884, -0.1035, -0.0248, 0.0090),

    /* The southern standards. */
    {"1939-637", "1934-638", RA(19, 39, 25.026), DEC(-63, -42, -45.63),
     4, {1.170418, 0.248618, -1.649694, 0.605334}, 0, {0}, {0}, 0.4e9, 9e9,
     "Reynolds 1994, ATNF AT/39.3/040, in GHz"},
    {"0408-658", "0408-65", RA(4, 8, 20.38), DEC(-65, -45, -9.1),
     4, {1.3499, -1.0387, -0.3467, 0.0861}, 0, {0}, {0}, 0.85e9, 1.75e9,
     "MeerKAT's L-band calibrators (SARAO), in GHz"},

    /* At least 3 Jy at 20 cm in the strips at declination 16, 33 and 55. */
    VLA("0834+555", "", RA(8, 34, 54.904117), DEC(55, 34, 21.070980),
        PLCXUQ, (9, 8.8, 5.6, 3.3, 1.6, 0.3)),
    VLA("0204+152", "", RA(2, 4, 50.413904), DEC(15, 14, 11.043460),
        PLCXUQ, (6, 4.0, 3.7, 2.32, 2.0, 1.3)),
    VLA("0318+164", "", RA(3, 18, 57.802658), DEC(16, 28, 32.698500),
        PLCXUQ, (7, 7.81, 2.95, 1.63, 0.7, 0.19)),
    VLA("2253+161", "3C454.3", RA(22, 53, 57.747932), DEC(16, 8, 53.560890),
        PLCXUQ, (15, 10.0, 10.0, 10.9, 15.0, 17.1)), /* varies by tens of per cent */
    VLA("0040+331", "3C19", RA(0, 40, 55.0596), DEC(33, 10, 8.267),
        PL, (10, 3.2)),
    VLA("1326+319", "", RA(13, 26, 16.512212), DEC(31, 54, 9.515380),
        PLCXUQ, (7, 4.8, 2.4, 1.6, 1.0, 0.5)),
    VLA("1924+334", "", RA(19, 24, 17.4839), DEC(33, 29, 29.724),
        PLCXUQ, (8, 3.88, 1.75, 1.18, 0.7, 0.3)),
    VLA("0655+541", "3C171", RA(6, 55, 14.8223), DEC(54, 8, 58.421),
        PL, (13, 3.6)),

    /* Bright elsewhere. */
    VLA("1229+020", "3C273", RA(12, 29, 6.699729), DEC(2, 3, 8.598190),
        LCXUQ, (32.0, 30.0, 27.5, 34.0, 13.5)), /* varies */
    VLA("0319+415", "3C84", RA(3, 19, 48.160102), DEC(41, 30, 42.103050),
        LCXUKQ, (23.9, 23.3, 21.7, 20.7, 16.4, 9.0)), /* varies */
    VLA("0359+509", "NRAO150", RA(3, 59, 29.747262), DEC(50, 57, 50.161510),
        LCXUQ, (5.3, 10.1, 5.1, 10.5, 5.5)), /* varies */
    VLA("2038+513", "3C418", RA(20, 38, 37.034755), DEC(51, 19, 12.662690),
        PLCUQ, (12, 5.8, 3.7, 3.3, 1.67)),
    VLA("0841+708", "", RA(8, 41, 24.365281), DEC(70, 53, 42.173090),
        LCXUQ, (4.0, 2.6, 1.6, 2.2, 0.8)),
    VLA("0432+416", "3C119", RA(4, 32, 36.502609), DEC(41, 38, 28.448550),
        PLCXUQ, (18, 8.6, 3.7, 2.6, 1.6, 0.6)),
    VLA("1459+716", "3C309.1", RA(14, 59, 7.583867), DEC(71, 40, 19.867740),
        PLCXUQ, (19, 7.6, 2.8, 2.0, 1.9, 1.0)),
    VLA("1330+251", "3C287", RA(13, 30, 37.6892), DEC(25, 9, 10.978),
        PLCXUQ, (15, 6.8, 3.3, 2.2, 1.6, 0.6)),
    VLA("2232+117", "CTA102", RA(22, 32, 36.408914), DEC(11, 43, 50.904100),
        PLCXUQ, (8, 6.5, 4.2, 2.75, 3.4, 2.5)), /* varies */
};
/* clang-format on */

/*
 * Who is no point: the extent, and up to which baseline a point is a model to 10 % in amplitude, two
 * equal parts so far apart being |cos(pi u size)|: u = 0.144 / size.  Sizes: 3C123 38, 3C171 30, 3C295
 * and 3C196 5 arcsec; of 3C273 the jet, 20 arcsec, matters at long wavelengths alone, and so does the
 * halo of 3C84, which is found on the shortest baselines ([calibration] min_uv_lambda).
 */
static const struct {
    const char *name;
    double size_arcsec, below_hz;
} resolved[] = {
    {"0437+296", 38, INFINITY}, {"0655+541", 30, INFINITY}, {"1411+522", 5, INFINITY},
    {"0813+482", 5, INFINITY},  {"1229+020", 20, 5e9},
};

#define POINT_TURNS 0.144

double calibrator_uvmax(const struct calibrator *cal, double freq_hz)
{
    for (size_t i = 0; i < sizeof resolved / sizeof resolved[0]; i++)
        if (strcmp(cal->name, resolved[i].name) == 0 && freq_hz < resolved[i].below_hz)
            return POINT_TURNS / (resolved[i].size_arcsec * ASTRO_ARCSEC);
    return INFINITY;
}

const struct calibrator *calibrator_table(size_t *n)
{
    *n = sizeof table / sizeof table[0];
    return table;
}

/* Past the epoch letter of "J1229+020" or "B0834+555"; "BLLAC" keeps its own. */
static const char *skip_epoch(const char *name)
{
    bool letter = strchr("JjBb", name[0]) != NULL && name[0] != '\0';

    return letter && isdigit((unsigned char)name[1]) ? name + 1 : name;
}

const struct calibrator *calibrator_find_in(const struct calibrator *list, size_t n,
                                            const char *name)
{
    name = skip_epoch(name);
    if (name[0] == '\0')
        return NULL;
    for (size_t i = 0; i < n; i++) {
        if (strcasecmp(name, skip_epoch(list[i].name)) == 0 ||
            strcasecmp(name, list[i].alias) == 0)
            return &list[i];
    }
    return NULL;
}

const struct calibrator *calibrator_find(const char *name)
{
    return calibrator_find_in(table, sizeof table / sizeof table[0], name);
}

const struct calibrator *calibrator_at(const struct calibrator *list, size_t n,
                                       double ra_rad, double dec_rad)
{
    for (size_t i = 0; i < n; i++)
        if (astro_separation(list[i].ra_rad, list[i].dec_rad, ra_rad, dec_rad) <=
            SAME_RAD)
            return &list[i];
    return NULL;
}

int calibrator_join(struct calibrator **out, size_t *n, const struct calibrator *own,
                    size_t nown, struct err *e)
{
    size_t ntable = sizeof table / sizeof table[0];
    struct calibrator *all = calloc(nown + ntable, sizeof *all);

    *out = NULL;
    *n = 0;
    if (all == NULL)
        return err_set(e, -ENOMEM, "no memory for %zu calibrators", nown + ntable);
    for (size_t i = 0; i < nown; i++)
        all[(*n)++] = own[i];
    for (size_t i = 0; i < ntable; i++)
        if (calibrator_find_in(own, nown, table[i].name) == NULL &&
            calibrator_find_in(own, nown, table[i].alias) == NULL &&
            calibrator_at(own, nown, table[i].ra_rad, table[i].dec_rad) == NULL)
            all[(*n)++] = table[i];
    *out = all;
    return 0;
}

/* log10 of the flux by the polynomial in log10 GHz. */
static double flux_polynomial(const struct calibrator *cal, double freq_hz)
{
    double x = log10(freq_hz / 1e9), sum = 0;

    for (int k = cal->ncoeff - 1; k >= 0; k--)
        sum = sum * x + cal->coeff[k];
    return sum;
}

/* log10 of the flux on the straight line, in log-log, through the two nearest points. */
static double flux_points(const struct calibrator *cal, double freq_hz)
{
    int i = 0;
    double slope;

    if (cal->npoint == 1)
        return log10(cal->flux_jy[0]);
    while (i + 2 < cal->npoint && freq_hz > cal->freq_hz[i + 1])
        i++;
    slope = log(cal->flux_jy[i + 1] / cal->flux_jy[i]) /
            log(cal->freq_hz[i + 1] / cal->freq_hz[i]);
    return log10(cal->flux_jy[i]) + slope * log10(freq_hz / cal->freq_hz[i]);
}

int calibrator_flux(const struct calibrator *cal, double freq_hz, double *flux_jy,
                    struct err *e)
{
    if (!(freq_hz >= cal->lo_hz && freq_hz <= cal->hi_hz))
        return err_set(e, ERR_QUALITY,
                       "calibrator %s has no flux at %.6g GHz, only between %.6g and "
                       "%.6g GHz",
                       cal->name, freq_hz / 1e9, cal->lo_hz / 1e9, cal->hi_hz / 1e9);
    *flux_jy = pow(10.0, cal->ncoeff > 0 ? flux_polynomial(cal, freq_hz)
                                         : flux_points(cal, freq_hz));
    return 0;
}

/* Response towards the calibrator, 0 when it is outside the field.  mean: that of a beam. */
static double response(const struct vis *vis, const struct beam_mean *mean,
                       const struct calibrator *cal)
{
    double ra, dec;

    if (mean != NULL)
        return beam_mean_at(mean, cal->ra_rad, cal->dec_rad);
    vis_mean_pointing(vis, &ra, &dec);
    return astro_separation(ra, dec, cal->ra_rad, cal->dec_rad) <= NO_BEAM_RADIUS_RAD;
}

/* The mean beam of the tile, which is much to compute; NULL where none is known. */
static struct beam_mean *mean_beam(const struct vis *vis, const struct beam *beam)
{
    struct beam_mean *mean = NULL;

    if (beam->kind != BEAM_NONE) {
        beam_mean_new(&mean, beam, vis);
        mem_must(mean); /* small: ntime x nchan */
    }
    return mean;
}

/* calibrator_usable, with the mean beam. */
static int usable(const struct calibrator *cal, const struct vis *vis,
                  const struct beam_mean *mean, double min_beam, double min_jy,
                  double *apparent_jy, struct err *e)
{
    double flux_jy = 0, pb = response(vis, mean, cal), ra, dec;
    int rc = calibrator_flux(cal, vis_mid_hz(vis), &flux_jy, e);

    *apparent_jy = flux_jy * pb;
    if (rc != 0)
        return rc;
    if (pb < min_beam || pb <= 0) {
        vis_mean_pointing(vis, &ra, &dec);
        return err_set(e, ERR_QUALITY,
                       "calibrator %s is %.2f degrees from the middle of the field, "
                       "where the primary beam is %.3g, less than %.3g",
                       cal->name,
                       astro_separation(ra, dec, cal->ra_rad, cal->dec_rad) / ASTRO_DEG,
                       pb, min_beam);
    }
    if (*apparent_jy < min_jy)
        return err_set(e, ERR_QUALITY,
                       "calibrator %s has %.3g Jy in the primary beam, less than %.3g",
                       cal->name, *apparent_jy, min_jy);
    return 0;
}

int calibrator_usable(const struct calibrator *cal, const struct vis *vis,
                      const struct beam *beam, double min_beam, double min_jy,
                      double *apparent_jy, struct err *e)
{
    struct beam_mean *mean = mean_beam(vis, beam);
    int rc = usable(cal, vis, mean, min_beam, min_jy, apparent_jy, e);

    beam_mean_free(mean);
    return rc;
}

const struct calibrator *calibrator_in_field(const struct calibrator *list, size_t n,
                                             const struct vis *vis,
                                             const struct beam *beam, double min_beam,
                                             double min_jy, double *apparent_jy)
{
    const struct calibrator *best = NULL;
    struct beam_mean *mean = mean_beam(vis, beam);

    *apparent_jy = 0;
    for (size_t i = 0; i < n; i++) {
        double flux_jy = 0, here_jy;

        if (calibrator_flux(&list[i], vis_mid_hz(vis), &flux_jy, NULL) != 0 ||
            flux_jy < min_jy ||
            usable(&list[i], vis, mean, min_beam, min_jy, &here_jy, NULL) != 0 ||
            here_jy <= *apparent_jy)
            continue;
        best = &list[i];
        *apparent_jy = here_jy;
    }
    beam_mean_free(mean);
    return best;
}

/* The part of `text` up to the next comma as a number; *text moves behind the comma, or becomes
 * NULL after the last part.  False when it is not a finite number. */
static bool next_number(const char **text, double *x)
{
    char *end;

    if (*text == NULL || **text == '\0' || isspace((unsigned char)**text))
        return false;
    *x = strtod(*text, &end);
    if (end == *text || (*end != ',' && *end != '\0') || !isfinite(*x))
        return false;
    *text = *end == ',' ? end + 1 : NULL;
    return true;
}

int calibrator_parse(const char *text, struct calibrator *cal, struct err *e)
{
    const char *rest = strchr(text, ',');
    size_t len = rest != NULL ? (size_t)(rest - text) : 0;
    double ra_deg, dec_deg, flux_jy, freq_mhz, spix = 0;
    bool sloped;

    memset(cal, 0, sizeof *cal);
    if (len == 0 || len >= sizeof cal->name)
        return err_set(e, -EINVAL,
                       "calibrator \"%.80s\" does not begin with a name of 1 to 31 "
                       "characters and a comma",
                       text);
    rest++;
    if (!next_number(&rest, &ra_deg) || !next_number(&rest, &dec_deg) ||
        !next_number(&rest, &flux_jy) || !next_number(&rest, &freq_mhz))
        return err_set(
            e, -EINVAL,
            "calibrator \"%.80s\" is not NAME,RA_DEG,DEC_DEG,FLUX_JY,FREQ_MHZ"
            "[,SPIX]",
            text);
    sloped = rest != NULL;
    if (sloped && (!next_number(&rest, &spix) || rest != NULL || fabs(spix) > 10))
        return err_set(e, -EINVAL,
                       "calibrator \"%.80s\" ends in something that is not a spectral "
                       "index",
                       text);
    if (ra_deg < 0 || ra_deg >= 360 || fabs(dec_deg) > 90 || flux_jy <= 0 ||
        freq_mhz <= 0)
        return err_set(e, -EINVAL,
                       "calibrator \"%.80s\" needs right ascension in [0, 360), "
                       "declination in [-90, 90] and positive flux and frequency",
                       text);
    memcpy(cal->name, text, len);
    cal->ra_rad = ra_deg * ASTRO_DEG;
    cal->dec_rad = dec_deg * ASTRO_DEG;
    cal->source = "given by the user";
    cal->npoint = sloped ? 2 : 1;
    /* A stated slope makes two points, a factor 2 below and above; they are continued by as
     * much as the table's. */
    cal->freq_hz[0] = freq_mhz * 1e6 / (sloped ? 2 : 1);
    cal->flux_jy[0] = flux_jy * pow(0.5, sloped ? spix : 0);
    cal->freq_hz[1] = sloped ? freq_mhz * 2e6 : 0;
    cal->flux_jy[1] = sloped ? flux_jy * pow(2.0, spix) : 0;
    cal->lo_hz = cal->freq_hz[0] / EXTEND;
    cal->hi_hz = cal->freq_hz[cal->npoint - 1] * EXTEND;
    return 0;
}
