/*
 * The preview, read back by libpng's simplified reader (which shares no code path with
 * the way it is written): where things are, how bright, and what happens when it fails.
 */
#include "tests/test.h"

#include <errno.h>
#include <math.h>
#include <png.h>
#include <string.h>

#include "core/err.h"
#include "pipeline/sky/image.h"
#include "pipeline/io/preview.h"

struct grey {
    unsigned nx, ny;
    unsigned char *pix; /* [ny][nx], first row at the top */
};

static struct grey read_png(const char *path)
{
    png_image png = {.version = PNG_IMAGE_VERSION};
    struct grey g;

    assert_true(png_image_begin_read_from_file(&png, path));
    assert_int_equal(png.format, PNG_FORMAT_GRAY); /* 8 bit, no colour, no alpha */
    g.nx = png.width;
    g.ny = png.height;
    g.pix = malloc((size_t)g.nx * g.ny);
    assert_true(png_image_finish_read(&png, NULL, g.pix, (png_int_32)g.nx, NULL));
    return g;
}

/* Noise of sigma 1 about zero (a fixed sequence that need not be normal). */
static struct image *sample(size_t nx, size_t ny)
{
    struct image *img;

    assert_int_equal(image_alloc(&img, nx, ny, NULL), 0);
    for (size_t i = 0; i < nx * ny; i++)
        img->pix[i] = (float)((double)(i * 7919 % 1009) / 1009.0 - 0.5) * 2.7f;
    return img;
}

static void north_is_up_and_columns_stay(void **state)
{
    struct image *img = sample(67, 41);
    struct grey g;
    struct err e = {0};

    (void)state;
    img->pix[40 * 67 + 5] = 500.0f; /* the last FITS row: the northernmost */
    img->pix[38 * 67 + 60] = NAN;
    assert_int_equal(preview_write("a.png", img, 1000, &e), 0);
    g = read_png("a.png");
    assert_int_equal(g.nx, 67);
    assert_int_equal(g.ny, 41);
    assert_int_equal(g.pix[5], 255);
    assert_true(g.pix[40 * 67 + 5] < 128);
    assert_int_equal(g.pix[2 * 67 + 60], 0); /* blank is black */
    free(g.pix);
    image_free(img);
}

/* Black -2 sigma, white the 99.95 percentile, in between asinh: rising, and steeper below. */
static void brightness_follows_the_stretch(void **state)
{
    struct image *img = sample(100, 300);
    struct grey g;
    double step[3];
    int level[4];

    (void)state;
    for (size_t i = 0; i < 40; i++)
        img->pix[i * 100] =
            200.0f; /* 40 of 30000 are above the percentile: 200 is it */
    img->pix[50 * 100] = 1e6f;
    img->pix[60 * 100] = -50.0f;
    img->pix[70 * 100] = 0.0f;
    img->pix[71 * 100] = 10.0f;
    img->pix[72 * 100] = 50.0f;
    img->pix[73 * 100] = 100.0f;
    assert_int_equal(preview_write("a.png", img, 1000, NULL), 0);
    g = read_png("a.png");
    assert_int_equal(g.pix[(299 - 7) * 100], 255);
    assert_int_equal(g.pix[(299 - 50) * 100], 255);
    assert_int_equal(g.pix[(299 - 60) * 100], 0);
    for (int i = 0; i < 4; i++)
        level[i] = g.pix[(299 - 70 - i) * 100];
    step[0] = (level[1] - level[0]) / 10.0;
    step[1] = (level[2] - level[1]) / 40.0;
    step[2] = (level[3] - level[2]) / 50.0;
    assert_true(level[0] > 10 && level[0] < 80); /* the sky is dark and not black */
    assert_true(step[0] > 2 * step[1] && step[1] > 2 * step[2] && step[2] > 0);
    free(g.pix);
    image_free(img);
}

static void a_large_image_is_averaged_down(void **state)
{
    struct image *img = sample(205, 90);
    struct grey g;

    (void)state;
    /* Blocks of 3 x 3, 69 by 30 of them.  In the second row every tenth is bright; they
     * are seven of 2070, so the percentile lies among them. */
    for (size_t y = 3; y < 6; y++)
        for (size_t x = 0; x < 205; x++)
            if (x / 3 % 10 == 0)
                img->pix[y * 205 + x] = y == 3 && x % 3 == 0 ? NAN : 1000.0f;
    for (size_t y = 87; y < 90; y++)
        img->pix[y * 205 + 204] = NAN; /* the last block is one column wide */
    assert_int_equal(preview_write("a.png", img, 70, NULL), 0);
    g = read_png("a.png");
    assert_int_equal(g.nx, 69);
    assert_int_equal(g.ny, 30);
    assert_int_equal(g.pix[(29 - 1) * 69 + 0], 255);
    assert_int_equal(g.pix[(29 - 1) * 69 + 60], 255);
    assert_true(g.pix[(29 - 1) * 69 + 1] < 128);
    assert_int_equal(g.pix[68], 0);
    free(g.pix);
    image_free(img);
}

static void images_without_noise_or_without_pixels_are_drawn_too(void **state)
{
    struct image *img;
    struct grey g;

    (void)state;
    assert_int_equal(image_alloc(&img, 33, 21, NULL), 0);
    assert_int_equal(preview_write("zero.png", img, 0, NULL), 0);
    g = read_png("zero.png");
    assert_int_equal(g.pix[100], 0);
    free(g.pix);

    img->pix[20 * 33 + 7] = 1.0f; /* one source on an empty sky */
    assert_int_equal(preview_write("one.png", img, 0, NULL), 0);
    g = read_png("one.png");
    assert_int_equal(g.pix[7], 255);
    assert_int_equal(g.pix[8], 0);
    free(g.pix);

    for (size_t i = 0; i < 33 * 21; i++)
        img->pix[i] = NAN;
    assert_int_equal(preview_write("nan.png", img, 0, NULL), 0);
    g = read_png("nan.png");
    assert_int_equal(g.pix[7], 0);
    free(g.pix);
    image_free(img);
}

static void a_failure_says_where_and_why(void **state)
{
    struct image *img = sample(300, 200);
    struct err e = {0};

    (void)state;
    assert_int_equal(preview_write("no/such/a.png", img, 0, &e), -ENOENT);
    assert_non_null(strstr(e.text, "no/such/a.png"));
    /* through a link, so that what is cleaned up after the failure is only the link */
    assert_int_equal(symlink("/dev/full", "full.png"), 0);
    assert_true(preview_write("full.png", img, 0, &e) < 0);
    assert_non_null(strstr(e.text, "cannot write full.png"));
    assert_int_equal(access("full.png", F_OK), -1);
    image_free(img);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        OWN_DIR(north_is_up_and_columns_stay),
        OWN_DIR(brightness_follows_the_stretch),
        OWN_DIR(a_large_image_is_averaged_down),
        OWN_DIR(images_without_noise_or_without_pixels_are_drawn_too),
        OWN_DIR(a_failure_says_where_and_why),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
