/*
 * wcs.c: see wcs.h.  Everything is written in q = 1 - n, which stays accurate where n is
 * close to 1, that is, in the middle of every image.
 *
 * A direction (l, m, n) lies at x = l + xi q, y = m + eta q on the image plane (radians).
 * Back, l^2 + m^2 + n^2 = 1 is a quadratic in q,
 *     (1 + xi^2 + eta^2) q^2 - 2 (1 + xi x + eta y) q + x^2 + y^2 = 0,
 * of which the smaller root is the side of the sphere that faces the plane.
 */
#include "pipeline/sky/wcs.h"

#include <errno.h>
#include <math.h>

/* (l, m) and q = 1 - n, for callers that need n close to 1 without loss. */
static int pix_to_lmq(const struct wcs *wcs, double x, double y, double lmq[3])
{
    double px = -(x + 1.0 - wcs->crpix1) * wcs->cell_rad;
    double py = (y + 1.0 - wcs->crpix2) * wcs->cell_rad;
    double a = 1.0 + wcs->xi * wcs->xi + wcs->eta * wcs->eta;
    double b = 1.0 + wcs->xi * px + wcs->eta * py;
    double c = px * px + py * py;
    double disc = b * b - a * c;
    double q;

    if (!(disc >= 0.0) || b <= 0.0)
        return -EDOM;
    q = c / (b + sqrt(disc)); /* not (b - sqrt(disc)) / a, which cancels */
    if (q > 1.0)
        return -EDOM;
    lmq[0] = px - wcs->xi * q;
    lmq[1] = py - wcs->eta * q;
    lmq[2] = q;
    return 0;
}

int wcs_pix_to_lmn(const struct wcs *wcs, double x, double y, double lmn[3])
{
    int rc = pix_to_lmq(wcs, x, y, lmn);

    if (rc == 0)
        lmn[2] = 1.0 - lmn[2];
    return rc;
}

int wcs_pix_to_radec(const struct wcs *wcs, double x, double y, double *ra_rad,
                     double *dec_rad)
{
    double lmn[3], sin0, cos0, equator, ra;
    int rc = wcs_pix_to_lmn(wcs, x, y, lmn);

    if (rc != 0)
        return rc;
    sincos(wcs->dec_rad, &sin0, &cos0);
    equator = lmn[2] * cos0 - lmn[1] * sin0; /* component towards (ra0, dec = 0) */
    ra = fmod(wcs->ra_rad + atan2(lmn[0], equator), 2.0 * M_PI);
    if (ra < 0.0)
        ra += 2.0 * M_PI;
    *ra_rad = ra < 2.0 * M_PI ? ra : 0.0; /* -1e-17 + 2 pi rounds to 2 pi */
    *dec_rad = atan2(lmn[2] * sin0 + lmn[1] * cos0, hypot(equator, lmn[0]));
    return 0;
}

int wcs_radec_to_pix(const struct wcs *wcs, double ra_rad, double dec_rad, double *x,
                     double *y)
{
    double dra = ra_rad - wcs->ra_rad;
    double cos_dec = cos(dec_rad);
    double sra = sin(0.5 * dra), sdec = sin(0.5 * (dec_rad - wcs->dec_rad));
    double l = cos_dec * sin(dra);
    double m =
        sin(dec_rad - wcs->dec_rad) + 2.0 * cos_dec * sin(wcs->dec_rad) * sra * sra;
    double q = 2.0 * (sdec * sdec + cos_dec * cos(wcs->dec_rad) * sra * sra);

    /* The second condition: the far side of a slanted plane, where directions fold back
     * over those of the near side. */
    if (!(q <= 1.0) || 1.0 - q + wcs->xi * l + wcs->eta * m < 0.0)
        return -EDOM;
    *x = wcs->crpix1 - 1.0 - (l + wcs->xi * q) / wcs->cell_rad;
    *y = wcs->crpix2 - 1.0 + (m + wcs->eta * q) / wcs->cell_rad;
    return 0;
}
