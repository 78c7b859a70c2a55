/*
 * FITS files, as far as one can see without another program; tests/judge_fits.py lets
 * astropy and fitsverify look at the samples that this test writes for it.
 */
#include "tests/test.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "core/err.h"
#include "pipeline/io/fits.h"
#include "pipeline/sky/image.h"

#define DEG (M_PI / 180.0)

static void near_at(double got, double want, double tolerance, int line)
{
    if (!(fabs(got - want) <= tolerance))
        fail_msg("line %d: %.17g is not within %g of %.17g", line, got, tolerance,
                 want);
}
#define assert_near(got, want, tolerance) near_at(got, want, tolerance, __LINE__)

/* 37 columns, 23 rows, every pixel another value, one blank; across 0 h, slanted. */
static struct image *sample(void)
{
    struct image *img;

    assert_int_equal(image_alloc(&img, 37, 23, NULL), 0);
    for (size_t y = 0; y < 23; y++)
        for (size_t x = 0; x < 37; x++)
            img->pix[y * 37 + x] = (float)x + 100.0f * (float)y;
    img->pix[4 * 37 + 9] = NAN;
    img->wcs = (struct wcs){.ra_rad = 359.93 * DEG,
                            .dec_rad = 71.6 * DEG,
                            .crpix1 = 20.5,
                            .crpix2 = 7.25,
                            .cell_rad = 60.0 / 3600 * DEG,
                            .xi = 0.31,
                            .eta = -0.22};
    img->bmaj_rad = 0.05 * DEG;
    img->bmin_rad = 0.03 * DEG;
    img->bpa_rad = 25.0 * DEG;
    img->freq_hz = 1405.123e6;
    img->width_hz = 187.5e6;
    img->mjd_beg = 61065.12345678;
    img->mjd_end = 61065.12703757;
    strcpy(img->unit, "Jy/beam");
    strcpy(img->object, "J2359+7136");
    strcpy(img->telescope, "OVRO-DSA");
    return img;
}

static const struct fits_card cards[] = {
    {"NOISE", NULL, 2.7e-4, "[Jy/beam] noise"},
    {"GROUP", "2026-01-25T02:57:46", 0, "name of the group"},
    {NULL, NULL, 0, NULL},
};

static void assert_same(const struct image *a, const struct image *b)
{
    assert_int_equal(a->nx, b->nx);
    assert_int_equal(a->ny, b->ny);
    for (size_t i = 0; i < a->nx * a->ny; i++)
        assert_true(a->pix[i] == b->pix[i] || (isnan(a->pix[i]) && isnan(b->pix[i])));
    assert_near(a->wcs.ra_rad, b->wcs.ra_rad, 1e-13);
    assert_near(a->wcs.dec_rad, b->wcs.dec_rad, 1e-14);
    assert_near(a->wcs.crpix1, b->wcs.crpix1, 1e-12);
    assert_near(a->wcs.crpix2, b->wcs.crpix2, 1e-12);
    assert_near(a->wcs.cell_rad, b->wcs.cell_rad, 1e-18);
    assert_near(a->wcs.xi, b->wcs.xi, 1e-14);
    assert_near(a->wcs.eta, b->wcs.eta, 1e-14);
    assert_near(a->bmaj_rad, b->bmaj_rad, 1e-16);
    assert_near(a->bmin_rad, b->bmin_rad, 1e-16);
    assert_near(a->bpa_rad, b->bpa_rad, 1e-14);
    assert_near(a->freq_hz, b->freq_hz, 1e-3);
    assert_near(a->width_hz, b->width_hz, 1e-3);
    assert_near(a->mjd_beg, b->mjd_beg, 1e-9);
    assert_near(a->mjd_end, b->mjd_end, 1e-9);
    assert_string_equal(a->unit, b->unit);
    assert_string_equal(a->object, b->object);
    assert_string_equal(a->telescope, b->telescope);
}

static void an_image_comes_back_as_it_was_written(void **state)
{
    struct image *img = sample(), *back;
    struct err e = {0};

    (void)state;
    assert_int_equal(fits_write_image("a.fits", img, cards, &e), 0);
    assert_int_equal(fits_read_image(&back, "a.fits", &e), 0);
    assert_same(img, back);
    image_free(back);
    image_free(img);
}

static void any_name_is_a_name_and_not_a_cfitsio_expression(void **state)
{
    static const char *const name[] = {
        "a[1].fits", "b(x).fits", "c+1", "!d.fits", "2026-01-25T02:57:46.fits", "e.gz"};
    struct image *img = sample(), *back;
    struct err e = {0};

    (void)state;
    for (size_t i = 0; i < sizeof name / sizeof *name; i++) {
        assert_int_equal(fits_write_image(name[i], img, NULL, &e), 0);
        assert_int_equal(access(name[i], R_OK), 0);
        assert_int_equal(fits_read_image(&back, name[i], &e), 0);
        assert_same(img, back);
        image_free(back);
    }
    image_free(img);
}

static void an_older_file_is_replaced_and_not_written_into(void **state)
{
    struct image *img = sample(), *back;
    struct stat before, after;
    struct err e = {0};

    (void)state;
    assert_int_equal(fits_write_image("a.fits", img, NULL, &e), 0);
    assert_int_equal(link("a.fits", "kept.fits"), 0);
    img->pix[0] = -7.5f;
    assert_int_equal(fits_write_image("a.fits", img, NULL, &e), 0);
    assert_int_equal(stat("kept.fits", &before), 0);
    assert_int_equal(stat("a.fits", &after), 0);
    assert_int_not_equal(before.st_ino, after.st_ino);
    assert_int_equal(fits_read_image(&back, "kept.fits", &e), 0);
    assert_true(back->pix[0] == 0.0f);
    image_free(back);
    image_free(img);
}

static void a_text_with_odd_characters_still_makes_a_legal_header(void **state)
{
    static const struct fits_card odd[] = {
        {"LONG",
         "it's a text that is too long for one card, which holds some 68 characters; "
         "this has more than that",
         0, "a comment"},
        {NULL, NULL, 0, NULL},
    };
    struct image *img = sample(), *back;
    struct err e = {0};

    (void)state;
    strcpy(img->object, "3C\n273 \xc3\xa9");
    assert_int_equal(fits_write_image("a.fits", img, odd, &e), 0);
    assert_int_equal(fits_read_image(&back, "a.fits", &e), 0);
    assert_string_equal(back->object, "3C?273 ??");
    image_free(back);
    image_free(img);
}

/* Everything a cut file can be: no byte count may read as a whole image, or crash. */
static void a_file_cut_anywhere_is_refused_with_its_name(void **state)
{
    struct image *img = sample(), *back;
    struct stat st;
    struct err e = {0};

    (void)state;
    assert_int_equal(fits_write_image("a.fits", img, NULL, &e), 0);
    assert_int_equal(stat("a.fits", &st), 0);
    for (off_t size = st.st_size - 2880; size >= 0; size -= 271) {
        assert_int_equal(truncate("a.fits", size), 0);
        e.text[0] = '\0';
        assert_int_equal(fits_read_image(&back, "a.fits", &e), ERR_FORMAT);
        assert_null(back);
        assert_non_null(strstr(e.text, "a.fits"));
    }
    image_free(img);
}

/* Write a header of our own making; the values need not make sense. */
static void write_header(const char *path, const char *const card[])
{
    FILE *f = fopen(path, "w");
    int n = 0;

    assert_non_null(f);
    for (; card[n] != NULL; n++)
        fprintf(f, "%-80s", card[n]);
    fprintf(f, "%-80s", "END");
    for (n++; n % 36 != 0; n++)
        fprintf(f, "%80s", "");
    for (int i = 0; i < 2880; i++)
        fputc(0, f);
    assert_int_equal(fclose(f), 0);
}

static void what_is_no_plain_image_of_the_sky_is_refused_with_the_reason(void **state)
{
#define HEAD "SIMPLE  =                    T", "BITPIX  =                  -32"
#define TWO  "NAXIS   = 2", "NAXIS1  = 5", "NAXIS2  = 3"
#define SIN  "CTYPE1  = 'RA---SIN'", "CTYPE2  = 'DEC--SIN'"
#define CELL "CDELT1  = -0.1", "CDELT2  = 0.1"
    static const struct {
        const char *reason;
        const char *card[12];
    } bad[] = {
        {"RA---TAN", {HEAD, TWO, "CTYPE1  = 'RA---TAN'", "CTYPE2  = 'DEC--TAN'", CELL}},
        {"GLON-SIN", {HEAD, TWO, "CTYPE1  = 'GLON-SIN'", "CTYPE2  = 'GLAT-SIN'", CELL}},
        {"CROTA2", {HEAD, TWO, SIN, CELL, "CROTA2  = 12.5"}},
        {"LONPOLE", {HEAD, TWO, SIN, CELL, "LONPOLE = 170.0"}},
        {"EQUINOX", {HEAD, TWO, SIN, CELL, "EQUINOX = 1950.0"}},
        {"FK4", {HEAD, TWO, SIN, CELL, "RADESYS = 'FK4'"}},
        {"not square", {HEAD, TWO, SIN, "CDELT1  = -0.2", "CDELT2  = 0.1"}},
        {"east left", {HEAD, TWO, SIN, "CDELT1  = 0.1", "CDELT2  = 0.1"}},
        {"not square", {HEAD, TWO, SIN}},
        {"7 x 1 planes",
         {HEAD, "NAXIS   = 3", "NAXIS1  = 5", "NAXIS2  = 3", "NAXIS3  = 7", SIN, CELL}},
        {"no image", {HEAD, "NAXIS   = 0"}},
        {"too many",
         {HEAD, "NAXIS   = 2", "NAXIS1  = 2000000000", "NAXIS2  = 3", SIN, CELL}},
        {"cut short",
         {HEAD, "NAXIS   = 2", "NAXIS1  = 900000", "NAXIS2  = 900000", SIN, CELL}},
    };
    static const char *const good[] = {HEAD, TWO, SIN, CELL, NULL};
    struct image *img;
    struct err e = {0};

    (void)state;
    write_header("x.fits", good); /* the same without fault is read */
    assert_int_equal(fits_read_image(&img, "x.fits", &e), 0);
    assert_int_equal(img->nx, 5);
    image_free(img);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        write_header("x.fits", bad[i].card);
        assert_int_equal(fits_read_image(&img, "x.fits", &e), ERR_FORMAT);
        assert_null(img);
        assert_non_null(strstr(e.text, "x.fits"));
        assert_non_null(strstr(e.text, bad[i].reason));
    }
}

/* BITPIX 16 is legal, too: value = BZERO + BSCALE x stored, and BLANK is no value. */
static void scaled_integers_and_their_blanks_are_read(void **state)
{
    static const char *const scaled[] = {"SIMPLE  =                    T",
                                         "BITPIX  =                   16",
                                         TWO,
                                         SIN,
                                         CELL,
                                         "BZERO   = 2.5",
                                         "BLANK   = 7",
                                         NULL};
    static const char *const blank[] = {"SIMPLE  =                    T",
                                        "BITPIX  =                   16",
                                        TWO,
                                        SIN,
                                        CELL,
                                        "BZERO   = 2.5",
                                        "BLANK   = 0",
                                        NULL};
    struct image *img;

    (void)state;
    write_header("x.fits", scaled); /* all that is stored is 0 */
    assert_int_equal(fits_read_image(&img, "x.fits", NULL), 0);
    assert_true(img->pix[14] == 2.5f);
    image_free(img);
    write_header("x.fits", blank);
    assert_int_equal(fits_read_image(&img, "x.fits", NULL), 0);
    assert_true(isnan(img->pix[14]));
    image_free(img);
}

static void what_is_no_fits_file_is_refused(void **state)
{
    struct image *img;
    struct err e = {0};
    FILE *f = fopen("text", "w");

    (void)state;
    fprintf(f, "SIMPLE as that, and long enough to be read\n");
    fclose(f);
    assert_int_equal(fits_read_image(&img, "text", &e), ERR_FORMAT);
    assert_string_equal(e.text, "text is not a FITS file");
    assert_int_equal(fits_read_image(&img, ".", &e), ERR_FORMAT);
    assert_int_equal(mkfifo("pipe", 0600), 0);
    assert_int_equal(fits_read_image(&img, "pipe", &e), ERR_FORMAT); /* and not wait */
    assert_int_equal(fits_read_image(&img, "none", &e), -ENOENT);
}

static void a_directory_that_is_not_there_is_named(void **state)
{
    struct image *img = sample();
    struct err e = {0};

    (void)state;
    assert_int_equal(fits_write_image("no/such/a.fits", img, NULL, &e), ERR_FORMAT);
    assert_non_null(strstr(e.text, "no/such/a.fits"));
    image_free(img);
}

static void a_full_disk_is_reported_and_leaves_no_file(void **state)
{
    struct rlimit old, small = {.rlim_cur = 6000};
    struct image *img = sample();
    struct err e = {0};
    int rc;

    (void)state;
    signal(SIGXFSZ, SIG_IGN); /* write then fails, as on a full disk */
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small.rlim_max = old.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    rc = fits_write_image("a.fits", img, NULL, &e);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(rc, -EIO);
    assert_non_null(strstr(e.text, "cannot write a.fits"));
    assert_int_equal(access("a.fits", F_OK), -1);
    image_free(img);
}

/* 1904-66, Parkes; pixel values and coordinates by astropy 5.2.  CRVAL is the pole. */
static void a_real_radio_image_is_read(void **state)
{
    char path[4200];
    struct image *img;
    struct err e = {0};
    double ra, dec;
    size_t blank = 0;

    (void)state;
    if (shared_data() == NULL) {
        print_message("skipped: no real data here\n");
        skip();
    }
    snprintf(path, sizeof path, "%s/fits-images/1904-66_SIN.fits", shared_data());
    assert_int_equal(fits_read_image(&img, path, &e), 0);
    assert_int_equal(img->nx, 192);
    assert_int_equal(img->ny, 192);
    assert_near(img->pix[40 * 192 + 150], 0.0686486, 1e-7);
    assert_near(img->pix[150 * 192 + 40], -0.045918725, 1e-7);
    for (size_t i = 0; i < 192 * 192; i++)
        blank += isnan(img->pix[i]) ? 1 : 0;
    assert_int_equal(blank, 14837);
    assert_string_equal(img->unit, "Jy/beam");
    assert_near(img->bmin_rad / DEG, 0.2399999936422, 1e-12);
    assert_int_equal(wcs_pix_to_radec(&img->wcs, 150, 40, &ra, &dec), 0);
    assert_near(ra / DEG, 274.904665985, 1e-9);
    assert_near(dec / DEG, -63.0418854396, 1e-9);
    image_free(img);
}

static void real_images_in_other_projections_are_refused(void **state)
{
    static const char *const name[] = {"1904-66_AIT", "galactic_2d",
                                       "test_reproject_celestial_2d_gal2equ",
                                       "1904-66_SIN_psf"};
    char path[4200];
    struct image *img;
    struct err e = {0};

    (void)state;
    if (shared_data() == NULL) {
        print_message("skipped: no real data here\n");
        skip();
    }
    for (size_t i = 0; i < sizeof name / sizeof *name; i++) {
        snprintf(path, sizeof path, "%s/fits-images/%s.fits", shared_data(), name[i]);
        assert_int_equal(fits_read_image(&img, path, &e), ERR_FORMAT);
        assert_null(img);
    }
}

/*
 * For tests/judge_fits.py, in the directory it names: two images and where wcs.c says
 * that their pixels lie.
 */
static void the_judge_gets_its_samples(void **state)
{
    const char *dir = getenv("WATCHERD_JUDGE_DIR");
    struct image *img;
    FILE *f;

    (void)state;
    if (dir == NULL) /* nobody judges; no promise of its own, so nothing is skipped */
        return;
    assert_int_equal(chdir(dir), 0);
    img = sample();
    assert_int_equal(fits_write_image("slanted.fits", img, cards, NULL), 0);
    f = fopen("slanted.csv", "w");
    assert_non_null(f);
    for (int y = -40; y < 70; y += 7) {
        for (int x = -30; x < 80; x += 5) {
            double ra, dec;

            assert_int_equal(wcs_pix_to_radec(&img->wcs, x, y, &ra, &dec), 0);
            fprintf(f, "%d,%d,%.15g,%.15g\n", x, y, ra / DEG, dec / DEG);
        }
    }
    assert_int_equal(fclose(f), 0);
    image_free(img);

    /* the barest one: a weight map without beam, time or names, at the pole */
    assert_int_equal(image_alloc(&img, 5, 9, NULL), 0);
    img->wcs = (struct wcs){
        .ra_rad = 1.0, .dec_rad = M_PI / 2, .crpix1 = 2, .crpix2 = 8, .cell_rad = 1e-3};
    strcpy(img->unit, "Jy-2");
    for (size_t i = 0; i < 45; i++)
        img->pix[i] = NAN;
    assert_int_equal(fits_write_image("bare.fits", img, NULL, NULL), 0);
    image_free(img);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        OWN_DIR(an_image_comes_back_as_it_was_written),
        OWN_DIR(any_name_is_a_name_and_not_a_cfitsio_expression),
        OWN_DIR(an_older_file_is_replaced_and_not_written_into),
        OWN_DIR(a_text_with_odd_characters_still_makes_a_legal_header),
        OWN_DIR(a_file_cut_anywhere_is_refused_with_its_name),
        OWN_DIR(what_is_no_plain_image_of_the_sky_is_refused_with_the_reason),
        OWN_DIR(scaled_integers_and_their_blanks_are_read),
        OWN_DIR(what_is_no_fits_file_is_refused),
        OWN_DIR(a_directory_that_is_not_there_is_named),
        OWN_DIR(a_full_disk_is_reported_and_leaves_no_file),
        cmocka_unit_test(a_real_radio_image_is_read),
        cmocka_unit_test(real_images_in_other_projections_are_refused),
        OWN_DIR(the_judge_gets_its_samples),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
