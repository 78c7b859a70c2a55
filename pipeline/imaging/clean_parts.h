/*
 * clean_parts.h: what clean.c (major cycles) and clean_minor.c (minor cycles) share.
 */
#ifndef PIPELINE_IMAGING_CLEAN_PARTS_H
#define PIPELINE_IMAGING_CLEAN_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pipeline/imaging/clean.h"

/* Pixels that a minor cycle looks at, in order of rows. */
struct clean_pixels {
    size_t n;
    float *left;     /* what is left there, Jy/beam */
    uint16_t *x, *y; /* where */
};

/* What minor cycles work in; known to clean_minor.c. */
struct clean_minor;

struct clean_state {
    struct imager *im;
    const struct clean_opts *opts;
    struct normal *op;
    size_t nx, ny, threads;
    float *model, *residual;
    float *delta;  /* [ny][nx] components of this minor cycle; free between cycles */
    float *sample; /* of the pixels, for medians */
    float *sigma;  /* [ny][nx] noise around each pixel */
    unsigned char *domain; /* [ny][nx] 1 where components may be placed */
    struct clean_minor *minor;
    /* Of each row inside the domain: the largest |residual|, that above the floor, and how many
     * floors that is at most.  [ny] each. */
    float *row_peak, *row_top, *row_excess;
    float top_jy, excess; /* the largest of the latter two */
    bool masked;          /* the domain is the auto mask */
    /* sum of |flux| taken off since the residual was made of visibilities */
    double since_jy;
    double per_jy;   /* what that residual then differed by, over such a sum before */
    double first_jy; /* the largest |residual| at the start */
    int checks;      /* so often it was made of them */
    struct clean_result *res;
};

/* How many sigma the search goes down to now. */
float clean_floor_sigma(const struct clean_state *st);

/*
 * clean_spare: around what has been found, pixel (x, y), the noise of the whole image holds while
 * one still searches: there the residual of the source itself is most of the local noise, and would
 * stop its own removal.
 */
void clean_spare(struct clean_state *st, size_t x, size_t y);

/* NULL: no memory. */
struct clean_minor *clean_minor_new(size_t nx, size_t ny);
void clean_minor_free(struct clean_minor *m);

/*
 * clean_minor_cycle: down to the floors or to what mgain allows; components go to st->delta.
 * Status: true; false: nothing is left of what was done.
 */
bool clean_minor_cycle(struct clean_state *st);

#endif
