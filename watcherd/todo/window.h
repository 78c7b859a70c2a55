/*
 * window.h: which published tiles make the next mosaic.
 */
#ifndef WATCHERD_TODO_WINDOW_H
#define WATCHERD_TODO_WINDOW_H

#include <stddef.h>

#include "pipeline/pipeline.h"

struct reg_tile;

/*
 * window_find: the earliest window that can be made.
 *
 * Given:    tile[n] in time order
 * Returned: *first its first tile; why[size] one sentence when there is none
 * Returns:  the number of tiles (opts->tiles), or 0
 * Note: a run is a stretch of tiles without a gap and with one declination.  A window starts at
 * the first tile of a run, or `overlap` tiles before the end of the run's last mosaic.
 */
size_t window_find(const struct reg_tile *tile, size_t n,
                   const struct window_opts *opts, size_t *first, char *why,
                   size_t size);

/* The prefix of a window's products and the first tile's name, with ':' replaced by '-'. */
void window_name(const struct reg_tile *first, char *out, size_t size);

#endif
