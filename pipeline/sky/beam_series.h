/*
 * beam_series.h: the beam of each integration and channel, over the mean beam of the tile.
 *
 * A drift scan sees a source through a beam that moves, and through a narrower one at a higher
 * frequency.  A model of fluxes in the mean beam (beam.h) is seen at time t and in channel c
 * times
 *
 *   B(t, c; s) / Bmean(s) = sum over q < Q of  b_q(s) g_q(t, c),      g_0 = b_0 = 1,
 *
 * where the g_q are polynomials of time and frequency, orthonormal under the weights of the
 * data, so that b_q(s) = sum of weight times B / Bmean times g_q, and what is left out is the
 * root of the sum of the squares of the other b_q.  b_q fades to 0 where Bmean is below 0.02.
 */
#ifndef PIPELINE_SKY_BEAM_SERIES_H
#define PIPELINE_SKY_BEAM_SERIES_H

#include <stddef.h>

struct beam;
struct vis;
struct wcs;

enum { BEAM_SERIES_MOST = 7 }; /* terms */

struct beam_series {
    size_t terms;                  /* Q; 1 where no beam is known or none changes */
    double left;                   /* largest rms that is left out, over 1 */
    double size[BEAM_SERIES_MOST]; /* rms of b_q, less where the mean beam is faint */
    size_t ntime, nchan;
    const int *row_time; /* [nrow] index of the time of each row, borrowed */
    float *factor[BEAM_SERIES_MOST]; /* [ntime][nchan] g_q; NULL for q = 0 */
    size_t step, nx, ny;             /* nodes lie on every step-th pixel */
    float *node[BEAM_SERIES_MOST];   /* [ny][nx] b_q; NULL for q = 0 */
};

/*
 * beam_series_new: the terms that it takes for an image.
 * Given:    beam, vis; wcs, nx, ny: the image; tolerance: what may be left out, over 1; where the
 *           mean beam is below 0.2 proportionally more, and below 0.05 all
 * Returned: *out, to be freed by beam_series_free; vis->row_time must live as long
 * Status:   0; -ENOMEM
 */
int beam_series_new(struct beam_series **out, const struct beam *beam,
                    const struct vis *vis, const struct wcs *wcs, size_t nx, size_t ny,
                    double tolerance);
void beam_series_free(struct beam_series *series);

/* g_q of time t at any frequency, also between and beyond the channels freq_hz [nchan]; 1 for
 * q = 0.  Exact, because no g_q has a higher power of the frequency than the second. */
float beam_series_at(const struct beam_series *series, size_t q, size_t t,
                     const double *freq_hz, double f_hz);

/* row[x] *= b_q at pixel (x, y), x < nx */
void beam_series_row(const struct beam_series *series, size_t q, size_t y, float *row,
                     size_t nx);
/* b_q at pixel (x, y). */
float beam_series_pixel(const struct beam_series *series, size_t q, size_t x, size_t y);

#endif
