/*
 * preview.h: an image as a small picture for the eye (libpng stays in preview.c).
 */
#ifndef PIPELINE_IO_PREVIEW_H
#define PIPELINE_IO_PREVIEW_H

#include <stddef.h>

struct err;
struct image;

/*
 * preview_write: an 8-bit grey PNG, asinh stretch from -2 sigma to the 99.95 percentile,
 * NaN black.
 *
 * Given:  img, north up and east left as in the picture; max_side: it is averaged down to at
 *         most so many pixels a side
 * Status: 0; -ENOMEM; -EIO and other errnos.  An existing file is replaced; a
 *         failure leaves none.
 */
int preview_write(const char *path, const struct image *img, size_t max_side,
                  struct err *e);

#endif
