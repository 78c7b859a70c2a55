#include "pipeline/continuum/islands.h"

#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "core/err.h"

/* More components are not looked at one by one: a model of so many is no model. */
enum { MOST_ISLANDS = 5000 };

void islands_close(struct islands *is)
{
    free(is->island);
    free(is->pixel);
    free(is->owner);
    *is = (struct islands){0};
}

struct component {
    float size;
    size_t pixel;
};

static int by_size(const void *a, const void *b)
{
    const struct component *x = a, *y = b;

    if (x->size != y->size)
        return x->size < y->size ? 1 : -1;
    return (x->pixel > y->pixel) - (x->pixel < y->pixel);
}

static double apart(size_t a, size_t b, size_t nx)
{
    return hypot((double)(a % nx) - (double)(b % nx),
                 (double)(a / nx) - (double)(b / nx));
}

/* Those of nobody within radius_px of component i become the island's. */
static void gather(struct islands *is, const float *pix, size_t nx, size_t i,
                   double radius_px)
{
    struct island *at = &is->island[is->n];

    *at = (struct island){.pixel = is->pixel[i]};
    for (size_t k = i; k < is->npixel; k++) {
        if (is->owner[k] != SIZE_MAX || apart(is->pixel[k], at->pixel, nx) > radius_px)
            continue;
        is->owner[k] = is->n;
        at->flux_jy += (double)pix[is->pixel[k]];
    }
    is->n++;
}

int islands_find(struct islands *is, const float *pix, size_t nx, size_t ny,
                 double radius_px, struct err *e)
{
    struct component *all = NULL;
    size_t n = 0, at = 0;

    for (size_t i = 0; i < nx * ny; i++)
        n += pix[i] != 0;
    all = malloc((n + 1) * sizeof *all);
    is->pixel = malloc((n + 1) * sizeof *is->pixel);
    is->owner = malloc((n + 1) * sizeof *is->owner);
    is->island = calloc(MOST_ISLANDS, sizeof *is->island);
    if (all == NULL || is->pixel == NULL || is->owner == NULL || is->island == NULL) {
        free(all);
        return err_set(e, -ENOMEM, "out of memory for %zu CLEAN components", n);
    }
    for (size_t i = 0; i < nx * ny; i++)
        if (pix[i] != 0)
            all[at++] = (struct component){fabsf(pix[i]), i};
    qsort(all, n, sizeof *all, by_size);
    is->npixel = n;
    for (size_t k = 0; k < n; k++) {
        is->pixel[k] = all[k].pixel;
        is->owner[k] = SIZE_MAX;
    }
    for (size_t i = 0; i < n && is->n < MOST_ISLANDS; i++)
        if (is->owner[i] == SIZE_MAX)
            gather(is, pix, nx, i, radius_px);
    free(all);
    return 0;
}

double islands_most_negative(const struct islands *is)
{
    double least = 0;

    for (size_t i = 0; i < is->n; i++)
        least = fmin(least, is->island[i].flux_jy);
    return -least;
}

void islands_drop(const struct islands *is, double limit_jy, float *pix, float *also)
{
    for (size_t k = 0; k < is->npixel; k++) {
        if (is->owner[k] != SIZE_MAX && is->island[is->owner[k]].flux_jy >= limit_jy)
            continue;
        pix[is->pixel[k]] = 0;
        if (also != NULL)
            also[is->pixel[k]] = 0;
    }
}

double islands_flux(const float *pix, size_t nx, size_t ny, size_t pixel,
                    double radius_px)
{
    size_t r = (size_t)ceil(radius_px), x = pixel % nx, y = pixel / nx;
    double sum = 0;

    for (size_t j = y > r ? y - r : 0; j < ny && j <= y + r; j++)
        for (size_t i = x > r ? x - r : 0; i < nx && i <= x + r; i++)
            if (apart(j * nx + i, pixel, nx) <= radius_px)
                sum += (double)pix[j * nx + i];
    return sum;
}
