/*
 * scale.h: how bright a model's field is in data whose gains were found with it.
 */
#ifndef PIPELINE_CAL_SCALE_H
#define PIPELINE_CAL_SCALE_H

#include <stddef.h>

struct err;
struct gains;
struct model;
struct vis;

struct scale {
    double factor,
        sigma; /* and its error; sigma is INFINITY without a field in the data */
};

/*
 * scale_fit: the factor of a model's field (without field_scale) that fits the data best, with
 * its point source as it is and gains that multiply (those of the two that are not NULL).
 *
 * Gains that were solved with a field too faint have made up for a part of what was missing, so
 * that this is between what they were given and the truth.
 *
 * Given:    vis: the middle quarter of its integrations is looked at; threads, 0: one
 * Returned: *s, from sum w Re (V - g M) conj(g F) over sum w |g F|^2
 * Status:   0; ERR_SHAPE the gains do not fit; -ENOMEM
 */
int scale_fit(struct scale *s, const struct vis *vis, const struct model *model,
              const struct gains *const gains[2], size_t threads, struct err *e);

#endif
