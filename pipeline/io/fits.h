/*
 * fits.h: images to and from FITS files (CFITSIO stays inside fits.c).
 */
#ifndef PIPELINE_IO_FITS_H
#define PIPELINE_IO_FITS_H

struct err;
struct image;

struct
    fits_card { /* an extra header card; ends with name == NULL; HISTORY may repeat */
    const char *name;
    const char *text; /* string value, or NULL for a number */
    double number;
    const char *comment;
};

/*
 * fits_write_image: write [stokes=1][freq=1][dec][ra] float32 with WCS (RA---SIN, DEC--SIN,
 * PV2_1/PV2_2, RADESYS ICRS, EQUINOX, FREQ, RESTFRQ, STOKES I), BMAJ BMIN BPA in degrees, BUNIT,
 * BTYPE, DATE-OBS, DATE-AVG, DATE-END and their MJD, OBJECT, TELESCOP, ORIGIN, DATAMIN/DATAMAX and CHECKSUM/DATASUM, and no HISTORY but that of `extra`.
 * An existing file is replaced.
 * Status: 0; -ENOMEM; other negated errnos, or ERR_FORMAT with CFITSIO's reason.
 */
int fits_write_image(const char *path, const struct image *img,
                     const struct fits_card *extra, struct err *e);

/*
 * fits_read_image: read such a file back, or any 2-D to 4-D SIN image in ICRS with one plane.
 *
 * Returned: *out, the caller's (image_free); NULL after a failure
 * Status:   0; ERR_FORMAT no FITS, no such image, or turned, too large or cut short; -ENOMEM; a
 *           negated errno when it cannot be opened
 */
int fits_read_image(struct image **out, const char *path, struct err *e);

#endif
