#include "pipeline/sky/astro.h"

#include <assert.h>
#include <errno.h>
#include <erfa.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* The struct in the header hides ERFA's own, which must fit. */
_Static_assert(sizeof(eraASTROM) <= sizeof(((struct astro_epoch *)0)->astrom),
               "eraASTROM does not fit struct astro_epoch");

static const eraASTROM *epoch_astrom(const struct astro_epoch *ep)
{
    return (const eraASTROM *)(const void *)ep->astrom;
}

/* Celestial intermediate frame to ITRF (IERS Conventions 2010, 5.5 and 5.4.1): the earth rotation
 * angle of UT1, then the pole. */
static void epoch_turn(struct astro_epoch *ep, double tt1, double tt2, double ut11,
                       double ut12, const struct earth *earth)
{
    double turn[3][3], pole[3][3];

    eraIr(turn);
    eraRz(eraEra00(ut11, ut12), turn);
    eraPom00(earth->x_rad, earth->y_rad, eraSp00(tt1, tt2), pole);
    eraRxr(pole, turn, ep->turn);
}

void astro_epoch_init(struct astro_epoch *ep, double jd_utc, const struct earth *earth,
                      const struct site *site)
{
    static const struct earth upright = {0, 0, 0};
    double day = floor(jd_utc - 0.5) + 0.5, frac = jd_utc - day;
    double tai1, tai2, tt1, tt2, ut11, ut12, eo;
    eraASTROM astrom;

    if (earth == NULL)
        earth = &upright;
    memset(ep, 0, sizeof *ep);
    memset(&astrom, 0, sizeof astrom);
    ep->jd_utc = jd_utc;
    /* Status +1 ("dubious year") is what ERFA 2.0.0 says from 2027 on; only < 0 is an
     * error, and no JD that fits a double makes one here. */
    eraUtctai(day, frac, &tai1, &tai2);
    eraTaitt(tai1, tai2, &tt1, &tt2);
    eraUtcut1(day, frac, earth->dut1_s, &ut11, &ut12);
    if (site == NULL)
        eraApci13(tt1, tt2, &astrom, &eo);
    else /* at pressure 0: no refraction */
        eraApco13(day, frac, earth->dut1_s, site->lon_rad, site->lat_rad, site->alt_m,
                  earth->x_rad, earth->y_rad, 0, 0, 0, 1, &astrom, &eo);
    memcpy(ep->astrom, &astrom, sizeof astrom);
    epoch_turn(ep, tt1, tt2, ut11, ut12, earth);
}

void astro_icrs_to_itrf(const struct astro_epoch *ep, double ra_rad, double dec_rad,
                        double v[3])
{
    eraASTROM astrom = *epoch_astrom(ep);
    double turn[3][3], ri, di, c[3];

    memcpy(turn, ep->turn, sizeof turn);
    eraAtciqz(ra_rad, dec_rad, &astrom, &ri, &di);
    eraS2c(ri, di, c);
    eraRxp(turn, c, v);
}

void astro_itrf_to_icrs(const struct astro_epoch *ep, const double v[3], double *ra_rad,
                        double *dec_rad)
{
    eraASTROM astrom = *epoch_astrom(ep);
    double in[3] = {v[0], v[1], v[2]}, turn[3][3], c[3];
    double theta, phi;

    memcpy(turn, ep->turn, sizeof turn);
    eraTrxp(turn, in, c);
    eraC2s(c, &theta, &phi);
    eraAticq(theta, phi, &astrom, ra_rad, dec_rad);
    *ra_rad = eraAnp(*ra_rad);
}

void astro_meridian(const struct site *site, double dec_app_rad, double v[3])
{
    eraS2c(site->lon_rad, dec_app_rad, v);
}

void astro_zenith(const struct site *site, double v[3])
{
    eraS2c(site->lon_rad, site->lat_rad, v);
}

void astro_uvw_basis(const struct astro_epoch *ep, double ra_rad, double dec_rad,
                     double basis[3][3])
{
    const double step = 0.005; /* rad; central differences are good to step^2 / 6 */
    double plus[3], minus[3], ra, dec;

    for (int axis = 0; axis < 2; axis++) {
        double l = axis == 0 ? step : 0, m = axis == 1 ? step : 0;

        astro_lm_to_radec(ra_rad, dec_rad, l, m, &ra, &dec);
        astro_icrs_to_itrf(ep, ra, dec, plus);
        astro_lm_to_radec(ra_rad, dec_rad, -l, -m, &ra, &dec);
        astro_icrs_to_itrf(ep, ra, dec, minus);
        for (int k = 0; k < 3; k++)
            basis[axis][k] = (plus[k] - minus[k]) / (2 * step);
    }
    astro_icrs_to_itrf(ep, ra_rad, dec_rad, basis[2]);
}

double astro_lst(double jd_utc, double dut1_s, double lon_rad)
{
    double day = floor(jd_utc - 0.5) + 0.5, frac = jd_utc - day;
    double tai1, tai2, tt1, tt2, ut11, ut12;

    eraUtctai(day, frac, &tai1, &tai2);
    eraTaitt(tai1, tai2, &tt1, &tt2);
    eraUtcut1(day, frac, dut1_s, &ut11, &ut12);
    return eraAnp(eraGst06a(ut11, ut12, tt1, tt2) + lon_rad);
}

void astro_lm_to_radec(double ra0, double dec0, double l, double m, double *ra,
                       double *dec)
{
    double r2 = l * l + m * m;
    double n = r2 < 1 ? sqrt(1 - r2) : 0;

    *dec =
        atan2(m * cos(dec0) + n * sin(dec0), hypot(l, n * cos(dec0) - m * sin(dec0)));
    *ra = eraAnp(ra0 + atan2(l, n * cos(dec0) - m * sin(dec0)));
}

double astro_separation(double ra1, double dec1, double ra2, double dec2)
{
    return eraSeps(ra1, dec1, ra2, dec2);
}

void astro_site_xyz(const struct site *site, double xyz_m[3])
{
    int status = eraGd2gc(1, site->lon_rad, site->lat_rad, site->alt_m, xyz_m);

    assert(status == 0); /* 1 is WGS84; only an unknown ellipsoid fails */
    (void)status;
}

int astro_iso_to_jd(const char *iso, double *jd_utc)
{
    int year, month, day, hour, minute, used = 0;
    double second, djm0, djm;

    if (sscanf(iso, "%4d-%2d-%2dT%2d:%2d:%lf%n", &year, &month, &day, &hour, &minute,
               &second, &used) != 6)
        return -EINVAL;
    if (strcmp(iso + used, "") != 0 && strcmp(iso + used, "Z") != 0)
        return -EINVAL;
    if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || !(second >= 0) ||
        second >= 61 || eraCal2jd(year, month, day, &djm0, &djm) < 0)
        return -EINVAL;
    *jd_utc = djm0 + djm + (hour * 3600 + minute * 60 + second) / ASTRO_DAY_S;
    return 0;
}

void astro_jd_to_iso(double jd_utc, char iso[20])
{
    double day = floor(jd_utc - 0.5) + 0.5;
    unsigned sec = (unsigned)lround((jd_utc - day) * ASTRO_DAY_S);
    int y, m, d;
    double fd;

    if (sec >= 86400) {
        sec -= 86400;
        day += 1;
    }
    if (eraJd2cal(day, 0.25, &y, &m, &d, &fd) < 0 || y < 0 || y > 9999)
        y = m = d = 0;
    snprintf(iso, 20, "%04u-%02u-%02uT%02u:%02u:%02u", (unsigned)y % 10000,
             (unsigned)m % 100, (unsigned)d % 100, sec / 3600 % 100, sec / 60 % 60,
             sec % 60);
}
