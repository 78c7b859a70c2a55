/*
 * astro.h: times and directions, through ERFA.
 *
 * Two frames are used.  ICRS is the frame of catalogues, images and phase centres.  ITRF is the
 * frame of UVH5 antenna positions (plain ECEF, not turned to the horizon); a direction
 * in it is the *apparent* direction (of date, with aberration, without refraction), so that the
 * geometric delay of a baseline b_m is b_m . direction / c at that instant.  Places are those that
 * an observer at the site has (eraApco13): UT1, polar motion and diurnal aberration are in them.
 */
#ifndef PIPELINE_SKY_ASTRO_H
#define PIPELINE_SKY_ASTRO_H

#include <stddef.h>

#define ASTRO_C_M_S       299792458.0 /* exact, SI */
#define ASTRO_DEG         0.017453292519943295
#define ASTRO_ARCSEC      4.84813681109536e-06
#define ASTRO_DAY_S       86400.0
#define ASTRO_MJD0_JD     2400000.5
#define ASTRO_TURNS_A_DAY 1.00273781191135448 /* of the earth, a day of UT1; IAU 2000 */

struct site {
    double lat_rad, lon_rad; /* geodetic, east positive */
    double alt_m;
};

/* How the earth stands (pipeline/sky/earth.h): UT1-UTC, the pole (IERS: x to Greenwich, y to 90
 * degrees west). */
struct earth {
    double dut1_s, x_rad, y_rad;
};

/* One instant, prepared once and used for many directions. */
struct astro_epoch {
    double jd_utc;
    double turn[3]
               [3]; /* celestial intermediate frame to ITRF: rotation, then the pole */
    double astrom[40]; /* ERFA's eraASTROM, opaque */
};

/* astro_epoch_init: prepare an instant.  Given: jd_utc days; earth (NULL: UT1 = UTC, the pole at
 * 0); site of the observer (NULL: the middle of the earth, without diurnal aberration). */
void astro_epoch_init(struct astro_epoch *ep, double jd_utc, const struct earth *earth,
                      const struct site *site);

/* ICRS (rad) to a unit vector in ITRF at that instant. */
void astro_icrs_to_itrf(const struct astro_epoch *ep, double ra_rad, double dec_rad,
                        double v[3]);

/* A unit vector in ITRF to ICRS; ra_rad in [0, 2 pi). */
void astro_itrf_to_icrs(const struct astro_epoch *ep, const double v[3], double *ra_rad,
                        double *dec_rad);

/*
 * The meridian point: hour angle 0 at the site's longitude and this apparent
 * declination, as a unit vector in ITRF (which does not depend on time).
 */
void astro_meridian(const struct site *site, double dec_app_rad, double v[3]);

/* The zenith (geodetic normal) as a unit vector in ITRF. */
void astro_zenith(const struct site *site, double v[3]);

/*
 * astro_uvw_basis: the matrix that turns a baseline in ITRF metres into (u, v, w) metres
 * for the phase centre (ra, dec): uvw = basis . b.
 *
 * Notes:
 *   1) Rows are d(direction)/dl, d(direction)/dm and the direction itself, l towards
 *      east and m towards north *in ICRS*; they carry precession, nutation and the
 *      field's differential aberration to first order (residual below 0.01 arcsec at 2 deg).
 *   2) A source at (l, m) of a phase-stopped baseline b = ant2 - ant1 gives
 *      exp(+2 pi i nu / c (u l + v m + w (n - 1))).
 */
void astro_uvw_basis(const struct astro_epoch *ep, double ra_rad, double dec_rad,
                     double basis[3][3]);

/* Local apparent sidereal time (equinox based), rad in [0, 2 pi): UVH5's lst_array. */
double astro_lst(double jd_utc, double dut1_s, double lon_rad);

/* The direction with cosines l (east) and m (north) about (ra0, dec0); *ra in [0, 2 pi). */
void astro_lm_to_radec(double ra0, double dec0, double l, double m, double *ra,
                       double *dec);

/* Angle between two directions, rad; exact also for tiny and antipodal ones. */
double astro_separation(double ra1, double dec1, double ra2, double dec2);

/* Offset from header location to ITRF metres (WGS84). */
void astro_site_xyz(const struct site *site, double xyz_m[3]);

/*
 * ISO time "YYYY-MM-DDTHH:MM:SS[.fff][Z]" (UTC) to JD and back.  astro_iso_to_jd returns
 * 0 or -EINVAL.  astro_jd_to_iso writes whole seconds, rounded, 20 bytes with the NUL.
 */
int astro_iso_to_jd(const char *iso, double *jd_utc);
void astro_jd_to_iso(double jd_utc, char iso[20]);

#endif
