/*
 * beam_fit.h: the restoring beam, a Gaussian like the main lobe of a point spread function.
 */
#ifndef PIPELINE_IMAGING_BEAM_FIT_H
#define PIPELINE_IMAGING_BEAM_FIT_H

#include <stdbool.h>

struct err;
struct image;

/* How a restoring beam was found. */
struct beam_fit {
    bool
        gaussian; /* fitted; false: no Gaussian fits, it is round, of the lobe's area */
    double residual; /* rms of PSF minus beam above 0.35 */
    double sidelobe; /* largest |PSF| further out than 1.5 of the major axis */
};

/*
 * beam_fit_psf: an elliptical Gaussian through the main lobe of a PSF, by least squares on
 * its pixels above 0.35.
 *
 * Given:    psf: pixels, peak 1 at [ny/2][nx/2], and wcs.cell_rad
 * Returned: psf->bmaj_rad, bmin_rad (FWHM), bpa_rad (north to east, within +-90 degrees); *how
 * Status:   0; -ENOMEM
 */
int beam_fit_psf(struct image *psf, struct beam_fit *how, struct err *e);

#endif
