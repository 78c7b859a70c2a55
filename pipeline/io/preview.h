/*
 * preview.h: an image as a small picture for the eye (libpng stays in preview.c).
 */
#ifndef PIPELINE_IO_PREVIEW_H
#define PIPELINE_IO_PREVIEW_H

#include <stddef.h>

struct err;
struct image;

/* 8-bit grey PNG, asinh stretch from -2 sigma to the 99.95 percentile; north up, east left;
   at most max_side
 * pixels a side (averaged down).  NaN black. */
int preview_write(const char *path, const struct image *img, size_t max_side,
                  struct err *e);

#endif
