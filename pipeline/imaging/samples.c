/* samples.c: see samples.h. */
#include "pipeline/imaging/samples.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

int samples_line_init(struct samples_line *line, size_t nchan)
{
    line->data = malloc(nchan * sizeof *line->data);
    line->weight = malloc(nchan * sizeof *line->weight);
    return line->data == NULL || line->weight == NULL ? -ENOMEM : 0;
}

void samples_line_close(struct samples_line *line)
{
    free(line->data);
    free(line->weight);
    *line = (struct samples_line){0};
}

void samples_fetch(const struct samples *s, size_t row, struct samples_line *line)
{
    const double *uvw = s->uvw_m[row];
    bool placed = isfinite(uvw[0]) && isfinite(uvw[1]) && isfinite(uvw[2]);
    float *vis = (float *)line->data;

    if (s->row != NULL) {
        s->row(s->arg, row, line->data, line->weight);
    } else {
        memcpy(line->data, s->data + row * s->nchan, s->nchan * sizeof *line->data);
        memcpy(line->weight, s->weight + row * s->nchan,
               s->nchan * sizeof *line->weight);
    }
    for (size_t c = 0; c < s->nchan; c++) {
        /* 0 times what is not finite is not 0, nor is it finite */
        float w = line->weight[c], all = 0.0f * w * vis[2 * c] * vis[2 * c + 1];
        bool good = placed && w > 0.0f && all == 0.0f;

        line->weight[c] = good ? w : 0.0f;
        vis[2 * c] = good ? vis[2 * c] : 0.0f;
        vis[2 * c + 1] = good ? vis[2 * c + 1] : 0.0f;
    }
}

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
