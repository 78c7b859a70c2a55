/* samples.c: see samples.h. */
#include "pipeline/imaging/samples.h"

#include <math.h>
#include <stdlib.h>

/* A row and where its baseline points, with u >= 0. */
struct place {
    float angle, length;
    uint32_t row;
};

enum { SECTORS = 2048 }; /* directions that count as one */

static int by_place(const void *a, const void *b)
{
    const struct place *x = a, *y = b;

    if (x->angle != y->angle)
        return x->angle < y->angle ? -1 : 1;
    if (x->length != y->length)
        return x->length < y->length ? -1 : 1;
    return x->row < y->row ? -1 : x->row > y->row;
}

uint32_t *samples_order(const struct samples *s)
{
    struct place *place = malloc(s->nrow * sizeof *place);
    uint32_t *order = malloc(s->nrow * sizeof *order);

    for (size_t r = 0; place != NULL && r < s->nrow; r++) {
        double u = s->uvw_m[r][0], v = s->uvw_m[r][1];
        double angle = atan2(u < 0 ? -v : v, fabs(u)) / M_PI * SECTORS;

        /* a NaN is no order; such rows are flagged, and may come anywhere */
        place[r] =
            (struct place){isfinite(angle) ? (float)floor(angle) : 0,
                           isfinite(u + v) ? (float)hypot(u, v) : 0, (uint32_t)r};
    }
    if (place != NULL && order != NULL) {
        qsort(place, s->nrow, sizeof *place, by_place);
        for (size_t r = 0; r < s->nrow; r++)
            order[r] = place[r].row;
    } else {
        free(order);
        order = NULL;
    }
    free(place);
    return order;
}
