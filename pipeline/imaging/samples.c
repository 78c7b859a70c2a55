/* samples.c: see samples.h. */
#include "pipeline/imaging/samples.h"

#include <errno.h>
#include <float.h>
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

static bool is_placed(const double uvw[3])
{
    return isfinite(uvw[0]) && isfinite(uvw[1]) && isfinite(uvw[2]);
}

void samples_fetch(const struct samples *s, size_t row, struct samples_line *line)
{
    bool placed = is_placed(s->uvw_m[row]);
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

void samples_weights(const struct samples *s, size_t row, struct samples_line *line)
{
    bool placed = is_placed(s->uvw_m[row]);

    if (s->row == NULL) {
        samples_fetch(s, row, line);
        return;
    }
    s->row(s->arg, row, NULL, line->weight);
    for (size_t c = 0; c < s->nchan; c++) {
        float w = line->weight[c];

        line->weight[c] = placed && w > 0.0f && w <= FLT_MAX ? w : 0.0f;
    }
}
