#include "watcherd/todo/window.h"

#include <math.h>
#include <stdio.h>

#include "core/store/registry.h"

static double middle_s(const struct reg_tile *t)
{
    return 0.5 * (t->start_mjd + t->end_mjd) * 86400;
}

/* End of the run that starts at a. */
static size_t run_end(const struct reg_tile *tile, size_t n, size_t a,
                      const struct window_opts *opts)
{
    size_t b = a + 1;

    while (b < n && middle_s(&tile[b]) - middle_s(&tile[b - 1]) <= opts->max_gap_s &&
           fabs(tile[b].dec_deg - tile[a].dec_deg) <= opts->dec_tolerance_deg)
        b++;
    return b;
}

size_t window_find(const struct reg_tile *tile, size_t n,
                   const struct window_opts *opts, size_t *first, char *why,
                   size_t size)
{
    size_t overlap = opts->overlap < opts->tiles ? opts->overlap : opts->tiles - 1;
    size_t best = 0, best_at = 0;

    for (size_t a = 0, b; a < n; a = b) {
        size_t start = a;

        b = run_end(tile, n, a, opts);
        for (size_t i = a; i < b; i++)
            if (tile[i].in_mosaic)
                start = i + 1 >= a + overlap ? i + 1 - overlap : a;
        if (b - start >= opts->tiles) {
            *first = start;
            return opts->tiles;
        }
        if (b - start > best && !tile[b - 1].in_mosaic) {
            best = b - start;
            best_at = start;
        }
    }
    if (best > 0)
        snprintf(why, size, "%zu of %zu tiles from %s to %s", best, opts->tiles,
                 tile[best_at].group, tile[best_at + best - 1].group);
    else
        snprintf(why, size, "no tile waits for a mosaic");
    return 0;
}

void window_name(const struct reg_tile *first, char *out, size_t size)
{
    snprintf(out, size, "%s%s", pipeline_for(PIPELINE_WINDOW)->prefix, first->group);
    for (char *p = out; *p != '\0'; p++)
        if (*p == ':')
            *p = '-';
}
