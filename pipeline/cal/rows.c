#include "pipeline/cal/rows.h"

#include <errno.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/parallel.h"
#include "pipeline/sky/vis.h"

size_t rows_baseline(size_t n, size_t i, size_t j)
{
    return i * (2 * n - i - 1) / 2 + (j - i - 1);
}

static size_t baseline_of(const struct vis *vis, size_t row)
{
    return rows_baseline(vis->nant, (size_t)vis->row_ant1[row],
                         (size_t)vis->row_ant2[row]);
}

/* By counting: the rows of a baseline stay in the order in which they lie. */
int rows_init(struct rows *r, const struct vis *vis, struct err *e)
{
    r->nbl = vis->nant * (vis->nant - 1) / 2;
    r->start = calloc(r->nbl + 2, sizeof *r->start);
    r->order = calloc(vis->nrow, sizeof *r->order);
    if (r->start == NULL || r->order == NULL)
        return err_set(e, -ENOMEM, "no memory to sort %zu rows", vis->nrow);
    /* start[bl + 2] counts; start[bl + 1] then moves from its first row to its end */
    for (size_t row = 0; row < vis->nrow; row++)
        r->start[baseline_of(vis, row) + 2]++;
    for (size_t bl = 0; bl < r->nbl; bl++)
        r->start[bl + 2] += r->start[bl + 1];
    for (size_t row = 0; row < vis->nrow; row++)
        r->order[r->start[baseline_of(vis, row) + 1]++] = row;
    return 0;
}

void rows_close(struct rows *r)
{
    free(r->start);
    free(r->order);
    *r = (struct rows){0};
}

size_t rows_parts(const struct rows *r, size_t threads)
{
    size_t n = threads < PARALLEL_MOST ? threads : PARALLEL_MOST;

    n = n < r->nbl ? n : r->nbl;
    return n > 0 ? n : 1;
}

size_t rows_part(const struct rows *r, size_t i, size_t n)
{
    return r->nbl * i / n;
}
