/*
 * islands.h: CLEAN components that lie within a beam of each other: what they have together.
 */
#ifndef PIPELINE_CONTINUUM_ISLANDS_H
#define PIPELINE_CONTINUUM_ISLANDS_H

#include <stddef.h>

struct err;

struct island {
    size_t pixel;   /* of the strongest component */
    double flux_jy; /* of all; may be negative */
};

struct islands {
    size_t n;
    struct island
        *island; /* [n] by the size of the strongest component, the largest first */
    size_t npixel;
    size_t *pixel, *owner; /* [npixel] those that are not 0, and whose they are */
};

/*
 * islands_find: around the strongest component that is nobody's yet all within radius_px, and so on.
 *
 * Given:    pix [ny][nx] Jy/pixel
 * Returned: *is, zeroed before; islands_close ends it, also after a failure
 * Status:   0; -ENOMEM
 */
int islands_find(struct islands *is, const float *pix, size_t nx, size_t ny,
                 double radius_px, struct err *e);
void islands_close(struct islands *is);

/* The flux of the most negative one, positive; 0: none is.  No source is negative: what is shows
 * how strong the things are that calibration leaves. */
double islands_most_negative(const struct islands *is);

/* Set to 0 all components of those below limit_jy in pix, and in `also` unless it is NULL. */
void islands_drop(const struct islands *is, double limit_jy, float *pix, float *also);

/* What pix [ny][nx] has within radius_px of that pixel. */
double islands_flux(const float *pix, size_t nx, size_t ny, size_t pixel,
                    double radius_px);

#endif
