/*
 * wcs.h: the (slant) orthographic projection, FITS "SIN" with PV2_1 and PV2_2, between
 * pixels and ICRS.  Calabretta & Greisen 2002, A&A 395, 1077, section 5.1.5.
 *
 * An array that lies in a plane, w = a u + b v, makes an image in this projection with
 * xi = -a, eta = -b: its image coordinates are x = l + xi (1 - n), y = m + eta (1 - n).
 */
#ifndef PIPELINE_SKY_WCS_H
#define PIPELINE_SKY_WCS_H

struct wcs {
    double ra_rad, dec_rad; /* ICRS of the reference pixel (CRVAL) */
    double crpix1, crpix2;  /* reference pixel, FITS: the first pixel's centre is 1 */
    double cell_rad; /* pixel side, > 0; CDELT1 = -cell (east left), CDELT2 = +cell */
    double xi, eta;  /* PV2_1, PV2_2 */
};

/* 0-based pixel (x column, y row; centres at integers) to ICRS; 0, or -EDOM off the sphere. */
int wcs_pix_to_radec(const struct wcs *wcs, double x, double y, double *ra_rad,
                     double *dec_rad);
/* ICRS to 0-based pixel; 0, or -EDOM when more than 90 degrees away. */
int wcs_radec_to_pix(const struct wcs *wcs, double ra_rad, double dec_rad, double *x,
                     double *y);
/* 0-based pixel to direction cosines (l east, m north, n) about the reference; 0, -EDOM. */
int wcs_pix_to_lmn(const struct wcs *wcs, double x, double y, double lmn[3]);

#endif
