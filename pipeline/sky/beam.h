/*
 * beam.h: the primary beam (power response of one dish pair, 1 on the axis).
 *
 * DSA-110's true beam is not published (five formulas differ by 2.2 times in width), so
 * it is a setting.  The Airy pattern of the full dish is the narrowest that physics
 * allows for an unblocked aperture: (2 J1(x) / x)^2, x = pi D sin(theta) / lambda; its power
 * full width at half maximum is 1.029 lambda / D.
 */
#ifndef PIPELINE_SKY_BEAM_H
#define PIPELINE_SKY_BEAM_H

#include <stddef.h>

struct vis;
struct wcs;

enum beam_kind { BEAM_NONE, BEAM_AIRY, BEAM_GAUSSIAN };

struct beam {
    enum beam_kind kind;
    double diameter_m; /* Airy: aperture; Gaussian: FWHM = 1.029 lambda / D as well */
};

/* Power response, in [0, 1], in the direction dir: unit vectors in any one frame.  0 from 90
 * degrees on. */
double beam_power_at(const struct beam *beam, const double pointing[3],
                     const double dir[3], double freq_hz);

/* Parse "none", "airy", "gaussian"; 0 or -EINVAL. */
int beam_kind_parse(const char *text, enum beam_kind *kind);

/*
 * The effective beam of a drift tile: the mean over integrations and channels of the power
 * beam at each integration's own pointing, weighted like the data (sum of vis->weight over
 * the integration and channel; all alike when no weight is left).
 *
 * beam_mean_new sums the weights once (one pass over vis->weight); beam_mean_at is then
 * cheap enough for a catalogue.  Channels are taken in at most 32 bundles at their mean
 * frequency, which over 187.5 MHz at 1.4 GHz is good to 1e-5 of the axis response.
 * Status: 0; -ENOMEM, and *out is NULL.  The vis may be freed after beam_mean_new.
 */
struct beam_mean;
int beam_mean_new(struct beam_mean **out, const struct beam *beam,
                  const struct vis *vis);
void beam_mean_free(struct beam_mean *mean);
double beam_mean_at(const struct beam_mean *mean, double ra_rad, double dec_rad);

/*
 * beam_tile: the effective beam on an image grid.
 *
 * Given:   vis, beam; wcs, nx, ny: the image
 * Returned: pb [ny][nx], in [0, 1]; 0 where a pixel is not on the sky
 * Status:  0, -ENOMEM
 * Note: evaluated on a coarse grid (every 8th pixel or finer, so that its error is below
 * 1e-4 of the axis response) and interpolated.
 */
int beam_tile(float *pb, const struct beam *beam, const struct vis *vis,
              const struct wcs *wcs, size_t nx, size_t ny);

/* The effective beam towards one direction (ICRS), the same mean as beam_tile; for many
 * directions take beam_mean_at. */
double beam_tile_at(const struct beam *beam, const struct vis *vis, double ra_rad,
                    double dec_rad);

#endif
