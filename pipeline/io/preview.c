/*
 * preview.c: an image as an 8-bit grey PNG for the eye.  The only file that knows libpng.
 */
#include "pipeline/io/preview.h"

#include <errno.h>
#include <math.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/err.h"
#include "core/order.h"
#include "pipeline/sky/image.h"
#include "pipeline/sky/qa.h"

#define BELOW_SIGMA 2.0    /* black: this much below zero */
#define SOFT_SIGMA  3.0    /* linear up to about here, logarithmic above */
#define WHITE       0.9995 /* share of the pixels below white */

/* The image averaged over blocks, in the order a PNG has: first row north, NaN blank. */
struct small {
    size_t nx, ny;
    float *pix; /* [ny][nx] */
};

static float block_mean(const struct image *img, size_t x0, size_t y0, size_t block)
{
    double sum = 0.0;
    size_t n = 0;

    for (size_t y = y0; y < y0 + block && y < img->ny; y++) {
        for (size_t x = x0; x < x0 + block && x < img->nx; x++) {
            float v = img->pix[y * img->nx + x];

            if (isfinite(v)) {
                sum += v;
                n++;
            }
        }
    }
    return n > 0 ? (float)(sum / (double)n) : NAN;
}

static int shrink(struct small *s, const struct image *img, size_t max_side)
{
    size_t side = img->nx > img->ny ? img->nx : img->ny;
    size_t block = max_side > 0 ? (side + max_side - 1) / max_side : 1;

    s->nx = (img->nx + block - 1) / block;
    s->ny = (img->ny + block - 1) / block;
    s->pix = malloc(s->nx * s->ny * sizeof *s->pix);
    if (s->pix == NULL)
        return -ENOMEM;
    for (size_t y = 0; y < s->ny; y++)
        for (size_t x = 0; x < s->nx; x++)
            s->pix[(s->ny - 1 - y) * s->nx + x] =
                block_mean(img, x * block, y * block, block);
    return 0;
}

/* The value that a share of the finite pixels stays below, and the largest of all. */
static int bright_end(const struct small *s, double *white, double *largest)
{
    float *v = malloc(s->nx * s->ny * sizeof *v);
    size_t n = 0;

    if (v == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < s->nx * s->ny; i++)
        if (isfinite(s->pix[i]))
            v[n++] = s->pix[i];
    *white = n > 0 ? order_kthf(v, n, (size_t)(WHITE * (double)(n - 1))) : 0.0;
    *largest = n > 0 ? order_kthf(v, n, n - 1) : 0.0;
    free(v);
    return 0;
}

static int stretch(unsigned char *grey, const struct small *s)
{
    double sigma = qa_noise(s->pix, s->nx * s->ny);
    double black, white, largest, soft, scale;
    int rc = bright_end(s, &white, &largest);

    if (rc != 0)
        return rc;
    black = isfinite(sigma) ? -BELOW_SIGMA * sigma : 0.0;
    if (!(white > black)) /* all but a few pixels are zero */
        white = largest;
    soft = sigma > 0.0 ? SOFT_SIGMA * sigma : fabs(white - black) / 100.0;
    scale = white > black && soft > 0.0 ? 255.0 / asinh((white - black) / soft) : 0.0;
    for (size_t i = 0; i < s->nx * s->ny; i++) {
        double v = s->pix[i];

        v = isfinite(v) && v > black && scale > 0.0 ? scale * asinh((v - black) / soft)
                                                    : 0.0;
        grey[i] = (unsigned char)fmin(v + 0.5, 255.0);
    }
    return 0;
}

/* libpng's error: leave its sentence and jump back. */
static void png_failed(png_structp png, png_const_charp why)
{
    snprintf(png_get_error_ptr(png), 128, "%s", why);
    png_longjmp(png, 1);
}

static void png_warned(png_structp png, png_const_charp why)
{
    (void)png;
    (void)why;
}

/* Only parameters and what is set before setjmp are used after a jump. */
static int write_png(FILE *f, const unsigned char *grey, size_t nx, size_t ny,
                     char why[128])
{
    png_structp png =
        png_create_write_struct(PNG_LIBPNG_VER_STRING, why, png_failed, png_warned);
    png_infop info = png != NULL ? png_create_info_struct(png) : NULL;

    if (info == NULL) {
        png_destroy_write_struct(&png, NULL);
        return -ENOMEM;
    }
    if (setjmp(png_jmpbuf(png)) != 0) {
        png_destroy_write_struct(&png, &info);
        return -EIO;
    }
    png_init_io(png, f);
    png_set_IHDR(png, info, (png_uint_32)nx, (png_uint_32)ny, 8, PNG_COLOR_TYPE_GRAY,
                 PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png, info);
    for (size_t y = 0; y < ny; y++)
        png_write_row(png, grey + y * nx);
    png_write_end(png, NULL);
    png_destroy_write_struct(&png, &info);
    return 0;
}

static int write_file(const char *path, const unsigned char *grey, size_t nx, size_t ny,
                      struct err *e)
{
    char why[128] = "no memory";
    FILE *f = fopen(path, "we");
    int rc;

    if (f == NULL)
        return err_set(e, -errno, "cannot create %s: %s", path, strerror(errno));
    rc = write_png(f, grey, nx, ny, why);
    if (fclose(f) != 0 && rc == 0) {
        rc = -errno;
        snprintf(why, sizeof why, "%s", err_text(rc));
    }
    if (rc != 0) {
        unlink(path);
        err_set(e, rc, "cannot write %s: %s", path, why);
    }
    return rc;
}

int preview_write(const char *path, const struct image *img, size_t max_side,
                  struct err *e)
{
    struct small s = {0};
    unsigned char *grey = NULL;
    int rc = shrink(&s, img, max_side);

    if (rc == 0 && (grey = malloc(s.nx * s.ny)) == NULL)
        rc = -ENOMEM;
    if (rc == 0)
        rc = stretch(grey, &s);
    if (rc == 0)
        rc = write_file(path, grey, s.nx, s.ny, e);
    else
        err_set(e, rc, "no memory for the preview %s", path);
    free(grey);
    free(s.pix);
    return rc;
}
