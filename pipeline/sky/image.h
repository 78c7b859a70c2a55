/*
 * image.h: one plane of sky, with what is needed to write it as FITS.
 */
#ifndef PIPELINE_SKY_IMAGE_H
#define PIPELINE_SKY_IMAGE_H

#include <stddef.h>

#include "pipeline/sky/wcs.h"

struct err;

struct image {
    size_t nx, ny; /* columns (right ascension falls with x) and rows (north is up) */
    float *pix;    /* [ny][nx]; NaN where there is no value */
    struct wcs wcs;
    /* restoring beam: FWHM, and position angle north to east; 0 0 0 when there is none */
    double bmaj_rad, bmin_rad, bpa_rad;
    double freq_hz, width_hz; /* mean frequency (weighted) and total bandwidth */
    double mjd_beg, mjd_end;  /* UTC */
    char unit[16];            /* FITS BUNIT, e.g. "Jy/beam" */
    char object[64], telescope[32];
};

/* An image of zeroed pixels, the caller's (image_free).  Status: 0; -EINVAL nx or ny is 0;
 * -ENOMEM; *out is then NULL. */
int image_alloc(struct image **out, size_t nx, size_t ny, struct err *e);
/* The same with the size of `like` and all of it but its pixels.  Status: as image_alloc. */
int image_like(struct image **out, const struct image *like, struct err *e);
void image_free(struct image *img);

#endif
