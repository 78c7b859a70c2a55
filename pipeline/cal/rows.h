/*
 * rows.h: the rows of a struct vis by baseline: what one thread works on at a time.
 */
#ifndef PIPELINE_CAL_ROWS_H
#define PIPELINE_CAL_ROWS_H

#include <stddef.h>

struct err;
struct vis;

struct rows {
    size_t nbl;    /* nant (nant - 1) / 2, also those without data */
    size_t *start; /* [nbl + 1] of each baseline's rows in order */
    size_t *order; /* [nrow] */
};

/* Index of baseline i < j of n antennas. */
size_t rows_baseline(size_t n, size_t i, size_t j);

/* r is zeroed before; rows_close ends it, also after a failure.  Status: 0; -ENOMEM. */
int rows_init(struct rows *r, const struct vis *vis, struct err *e);
void rows_close(struct rows *r);

/* How many threads of those allowed (0: one) have work; part i of n has the baselines
 * [rows_part(r, i, n), rows_part(r, i + 1, n)). */
size_t rows_parts(const struct rows *r, size_t threads);
size_t rows_part(const struct rows *r, size_t i, size_t n);

#endif
