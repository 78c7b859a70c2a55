/*
 * Noise, found sources and the comparison with a catalogue, on images whose contents are
 * known in closed form, and on a real one against Aegean's catalogue of it.
 */
#include "tests/test.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/err.h"
#include "pipeline/io/fits.h"
#include "pipeline/sky/image.h"
#include "pipeline/sky/catalogue.h"
#include "pipeline/sky/qa.h"
#include "tests/made_samples.h"
#include "pipeline/sky/source.h"

#define DEG  (M_PI / 180.0)
#define NX   181
#define NY   119
#define CELL (3.0 / 3600.0 * DEG)

static void near_at(double got, double want, double tolerance, int line)
{
    if (!(fabs(got - want) <= tolerance))
        fail_msg("line %d: %.17g is not within %g of %.17g", line, got, tolerance,
                 want);
}
#define assert_near(got, want, tolerance) near_at(got, want, tolerance, __LINE__)

/* A normal deviate by Box and Muller from a generator of our own (the same everywhere). */
static double normal(uint64_t *seed)
{
    double u[2];

    for (int i = 0; i < 2; i++) {
        *seed = *seed * 6364136223846793005u + 1442695040888963407u;
        u[i] = ((double)(*seed >> 11) + 0.5) / 9007199254740992.0;
    }
    return sqrt(-2.0 * log(u[0])) * cos(2.0 * M_PI * u[1]);
}

/* A beam of 5.4 x 3.2 pixels, the long way from lower right to upper left (north-east). */
static struct image *blank(void)
{
    struct image *img;

    assert_int_equal(image_alloc(&img, NX, NY, NULL), 0);
    img->wcs = (struct wcs){.ra_rad = 359.99 * DEG,
                            .dec_rad = 54.6 * DEG,
                            .crpix1 = 80.0,
                            .crpix2 = 64.5,
                            .cell_rad = CELL,
                            .xi = 0.2,
                            .eta = -0.1};
    img->bmaj_rad = 5.4 * CELL;
    img->bmin_rad = 3.2 * CELL;
    img->bpa_rad = 35.0 * DEG;
    img->freq_hz = 1.4e9;
    return img;
}

/* A point source: the restoring beam, drawn from its definition (north to east). */
static void draw(struct image *img, double x, double y, double flux)
{
    double s = sin(img->bpa_rad), c = cos(img->bpa_rad);

    for (size_t j = 0; j < img->ny; j++) {
        for (size_t i = 0; i < img->nx; i++) {
            double east = -((double)i - x) * img->wcs.cell_rad;
            double north = ((double)j - y) * img->wcs.cell_rad;
            double along = (east * s + north * c) / img->bmaj_rad;
            double across = (east * c - north * s) / img->bmin_rad;

            img->pix[j * img->nx + i] +=
                (float)(flux * exp(-4.0 * M_LN2 * (along * along + across * across)));
        }
    }
}

static void where(const struct image *img, const struct source *s, double *x, double *y)
{
    assert_int_equal(wcs_radec_to_pix(&img->wcs, s->ra_rad, s->dec_rad, x, y), 0);
}

static void noise_is_that_of_the_gaussian_whatever_lies_on_it(void **state)
{
    const size_t n = 60000;
    float *pix = malloc(n * sizeof *pix);
    uint64_t seed = 7;

    (void)state;
    for (size_t i = 0; i < n; i++)
        pix[i] = (float)(-3.0 + 0.25 * normal(&seed));
    /* the scatter of a MAD over 60000 values: 1.17 / sqrt(2 n) = 0.34 % */
    assert_near(qa_noise(pix, n), 0.25, 4 * 0.0034 * 0.25);
    for (size_t i = 0; i < n; i += 100)
        pix[i] = 1000.0f; /* a hundredth bright */
    for (size_t i = 50; i < n; i += 100)
        pix[i] = i % 200 < 100 ? NAN : -INFINITY;
    assert_near(qa_noise(pix, n), 0.25, 0.015 * 0.25);
    free(pix);
}

static void noise_of_few_pixels_is_the_definition(void **state)
{
    /* median 4, deviations 3 2 1 0 1 2 3: median 2.  Even: median 3.5, deviations
     * 2.5 1.5 .5 .5 1.5 2.5: median 1.5 */
    const float odd[] = {7, 1, 4, NAN, 2, 6, 3, 5}, even[] = {6, 5, 4, 3, 2, 1};
    const float none[] = {NAN, NAN};

    (void)state;
    assert_near(qa_noise(odd, 8), 2 * 1.4826, 1e-6);
    assert_near(qa_noise(even, 6), 1.5 * 1.4826, 1e-6);
    assert_true(isnan(qa_noise(none, 2)));
    assert_true(isnan(qa_noise(none, 0)));
}

/* Without noise the fit is exact: 0.3 % and 0.02 beam are asked for. */
static void sources_without_noise_come_back(void **state)
{
    static const double src[][3] = {{40.0, 30.0, 2.0},
                                    {90.37, 77.81, 1.0},
                                    {131.5, 20.5, 0.5},
                                    {150.2, 99.9, 0.25}};
    struct image *img = blank();
    struct source_list found;

    (void)state;
    for (int i = 0; i < 4; i++)
        draw(img, src[i][0], src[i][1], src[i][2]);
    assert_int_equal(qa_find(&found, img, NULL, 5.0, NULL), 0);
    assert_true(found.n >= 4);
    for (size_t i = 0; i < 4; i++) { /* brightest first */
        double x, y;

        where(img, &found.src[i], &x, &y);
        assert_near(found.src[i].flux_jy, src[i][2], 1e-5 * src[i][2]);
        assert_near(x, src[i][0], 1e-5);
        assert_near(y, src[i][1], 1e-5);
    }
    source_list_free(&found);
    image_free(img);
}

/* In noise of one part in 50 the error of the peak is sigma, of the position some
 * 0.5 beam / SNR: Condon 1997, PASP 109, 166.  Four of either are allowed. */
static void sources_in_noise_come_back_within_the_noise(void **state)
{
    struct image *img = blank();
    struct source_list found;
    uint64_t seed = 11;
    double x, y;

    (void)state;
    for (size_t i = 0; i < NX * NY; i++)
        img->pix[i] = (float)(0.02 * normal(&seed));
    draw(img, 60.3, 41.6, 1.0);
    draw(img, 139.8, 90.2, 0.5);
    assert_int_equal(qa_find(&found, img, NULL, 6.0, NULL), 0);
    assert_int_equal(found.n, 2);
    assert_near(found.src[0].flux_jy, 1.0, 4 * 0.02);
    assert_near(found.src[1].flux_jy, 0.5, 4 * 0.02);
    assert_near(found.src[0].snr, 50.0, 5.0);
    where(img, &found.src[0], &x, &y);
    assert_near(x, 60.3, 4 * 0.5 * 5.4 / 50);
    assert_near(y, 41.6, 4 * 0.5 * 5.4 / 50);
    source_list_free(&found);
    image_free(img);
}

static void of_two_peaks_within_a_beam_the_brighter_stays(void **state)
{
    struct image *img = blank();
    struct source_list found;
    double x, y;

    (void)state;
    /* Single pixels: the beam is 3.2 pixels wide towards upper right, 5.4 across that.
     * So (3, 3) apart is more than a beam and (-3, 3) less. */
    img->pix[50 * NX + 40] = 2.0f;
    img->pix[53 * NX + 43] = 1.0f;
    img->pix[20 * NX + 120] = 2.0f;
    img->pix[23 * NX + 117] = 1.0f;
    assert_int_equal(qa_find(&found, img, NULL, 5.0, NULL), 0);
    assert_int_equal(found.n, 3);
    for (size_t i = 0; i < 3; i++) {
        where(img, &found.src[i], &x, &y);
        assert_true(hypot(x - 117, y - 23) > 1.5);
    }
    source_list_free(&found);
    image_free(img);
}

static void a_plateau_counts_once_and_edges_and_blanks_not_at_all(void **state)
{
    struct image *img = blank();
    struct source_list found;

    (void)state;
    img->pix[30 * NX + 30] = img->pix[30 * NX + 31] = img->pix[31 * NX + 30] = 1.0f;
    for (size_t x = 20; x < 60; x++) /* many beams long */
        img->pix[60 * NX + x] = 1.0f;
    img->pix[0] = img->pix[70 * NX] = img->pix[(NY - 1) * NX + 9] = 1.0f;
    img->pix[90 * NX + 90] = 1.0f;
    img->pix[91 * NX + 91] = NAN;
    img->pix[100 * NX + 100] = INFINITY;
    assert_int_equal(qa_find(&found, img, NULL, 5.0, NULL), 0);
    assert_int_equal(found.n, 2);
    source_list_free(&found);
    image_free(img);
}

static void local_noise_decides_where_it_is_given(void **state)
{
    struct image *img = blank();
    float *noise = malloc(NX * NY * sizeof *noise);
    struct source_list found;
    double x, y;

    (void)state;
    for (size_t i = 0; i < NX * NY;
         i++) /* the left third is noisy, the right one blank */
        noise[i] = i % NX < 60 ? 0.5f : i % NX < 120 ? 0.1f : NAN;
    draw(img, 30, 50, 1.0);
    draw(img, 90, 60, 1.0);
    draw(img, 150, 70, 1.0);
    assert_int_equal(qa_find(&found, img, noise, 5.0, NULL), 0);
    assert_int_equal(found.n, 1);
    where(img, &found.src[0], &x, &y);
    assert_near(x, 90.0, 1e-3);
    assert_near(found.src[0].snr, 10.0, 1e-3);
    source_list_free(&found);
    free(noise);
    image_free(img);
}

/* Catalogue entry at a pixel, at 700 MHz with index -1: half as bright at 1400 MHz. */
static struct source entry(const struct image *img, double x, double y, double flux)
{
    struct source s = {.flux_jy = 2.0 * flux, .spix = -1.0, .freq_hz = 0.7e9};

    assert_int_equal(wcs_pix_to_radec(&img->wcs, x, y, &s.ra_rad, &s.dec_rad), 0);
    return s;
}

static void sources_are_compared_at_the_frequency_of_the_image(void **state)
{
    struct image *img = blank();
    struct source_list found, cat;
    struct source list[6];
    struct qa_match m;
    float *noise = malloc(NX * NY * sizeof *noise);

    (void)state;
    for (size_t i = 0; i < NX * NY; i++)
        noise[i] = 0.01f;
    draw(img, 40.0, 30.0, 1.00);
    draw(img, 90.0, 70.0, 0.52);
    draw(img, 140.0, 30.0, 0.22);
    img->pix[100 * NX + 160] = NAN;
    list[0] = entry(img, 40.0, 31.0, 1.0);   /* one pixel north: ratio 1 */
    list[1] = entry(img, 88.0, 70.0, 0.5);   /* two pixels east: ratio 1.04 */
    list[2] = entry(img, 140.0, 30.0, 0.2);  /* ratio 1.1 */
    list[3] = entry(img, 90.0, 20.0, 0.3);   /* not there */
    list[4] = entry(img, 20.0, 100.0, 0.04); /* too faint: 4 sigma */
    list[5] = entry(img, 160.0, 100.0, 9.0); /* on a blank pixel */
    cat = (struct source_list){6, list};
    assert_int_equal(qa_find(&found, img, noise, 5.0, NULL), 0);
    assert_int_equal(found.n, 3);
    assert_int_equal(qa_match(&m, img, noise, &found, &cat, 5.0), 0);
    assert_int_equal(m.nexpected, 4);
    assert_int_equal(m.nfound, 3);
    assert_near(m.flux_ratio, 1.04, 1e-5);
    assert_near(m.worst_ratio, 1.1, 1e-5);
    assert_near(m.offset_rad, CELL, 1e-4 * CELL);
    assert_near(m.worst_offset_rad, 2.0 * CELL, 1e-4 * CELL);

    cat.src = &list[3];
    cat.n = 1;
    assert_int_equal(qa_match(&m, img, noise, &found, &cat, 5.0), 0);
    assert_int_equal(m.nexpected, 1);
    assert_int_equal(m.nfound, 0);
    assert_true(isnan(m.flux_ratio) && isnan(m.offset_rad));
    source_list_free(&found);
    free(noise);
    image_free(img);
}

/*
 * Parkes 1904-66 with the components of Aegean whose fitted size is within 8 % of the
 * beam and that stand alone (1904_comp.fits; right ascension, declination, peak).  The map is
 * 18 to 30 degrees from its projection's centre, which squeezes the true beam by up to a tenth
 * in one direction; Aegean knows, we fit the header's beam, hence some per cent.
 */
static void a_real_image_has_the_sources_that_aegean_found(void **state)
{
    static const double aegean[][3] = {
        {294.85858, -63.72097, 13.5534}, {276.14075, -67.30168, 2.2341},
        {279.24020, -66.82327, 2.0032},  {284.97873, -66.25559, 1.5495},
        {295.13254, -69.14343, 1.5080},  {295.36035, -62.19777, 1.3665},
        {282.70804, -63.10662, 1.1809},
    };
    struct source list[7];
    struct source_list found, cat = {7, list};
    struct image *img;
    struct qa_match m;
    struct err e = {0};
    char path[4200];

    (void)state;
    if (shared_data() == NULL) {
        print_message("skipped: no real data here\n");
        skip();
    }
    snprintf(path, sizeof path, "%s/fits-images/1904-66_SIN.fits", shared_data());
    assert_int_equal(fits_read_image(&img, path, &e), 0);
    for (int i = 0; i < 7; i++)
        list[i] = (struct source){.ra_rad = aegean[i][0] * DEG,
                                  .dec_rad = aegean[i][1] * DEG,
                                  .flux_jy = aegean[i][2]};
    /* its authors say 61 mJy; Aegean has 47 to 83 mJy over the map */
    assert_near(qa_noise(img->pix, img->nx * img->ny), 0.065, 0.018);
    assert_int_equal(qa_find(&found, img, NULL, 5.0, &e), 0);
    assert_int_equal(qa_match(&m, img, NULL, &found, &cat, 5.0), 0);
    print_message("%zu sources; of Aegean's 7: ratio %.4f (worst %.4f), offset %.4f "
                  "beam (worst %.4f)\n",
                  found.n, m.flux_ratio, m.worst_ratio, m.offset_rad / img->bmaj_rad,
                  m.worst_offset_rad / img->bmaj_rad);
    assert_int_equal(m.nexpected, 7);
    assert_int_equal(m.nfound, 7);
    assert_near(m.flux_ratio, 1.0, 0.04);
    assert_near(m.worst_ratio, 1.0, 0.06);
    assert_true(m.worst_offset_rad < 0.1 * img->bmaj_rad);
    source_list_free(&found);
    image_free(img);
}

static void a_catalogue_comes_back_as_it_was_written(void **state)
{
    struct source src[2] = {{.name = "3C273",
                             .ra_rad = 187.27791535 * DEG,
                             .dec_rad = 2.05238857 * DEG,
                             .flux_jy = 54.99,
                             .spix = -0.4125,
                             .freq_hz = 1.405e9},
                            {.name = "a,b", .dec_rad = -89.5 * DEG, .flux_jy = -1e-4}};
    struct source_list list = {2, src}, back;
    struct err e = {0};

    (void)state;
    assert_int_equal(catalogue_write("sky.csv", &list, &e), 0);
    assert_int_equal(catalogue_read(&back, "sky.csv", &e), 0);
    assert_int_equal(back.n, 2);
    assert_string_equal(back.src[0].name, "3C273");
    assert_string_equal(back.src[1].name, "a_b");
    assert_near(back.src[0].ra_rad, src[0].ra_rad, 1e-11);
    assert_near(back.src[0].dec_rad, src[0].dec_rad, 1e-11);
    assert_near(back.src[0].flux_jy, 54.99, 1e-7);
    assert_near(back.src[0].spix, -0.4125, 1e-9);
    assert_near(back.src[0].freq_hz, 1.405e9, 1.0);
    assert_near(back.src[1].flux_jy, -1e-4, 1e-12);
    source_list_free(&back);
    assert_int_equal(catalogue_write("no/such/sky.csv", &list, &e), -ENOENT);
}

/* No room for the whole of it: a limit on the size of files stands for a full disk. */
static void a_catalogue_that_cannot_be_written_leaves_the_one_before(void **state)
{
    struct source src[2] = {{.name = "3C273", .flux_jy = 55, .freq_hz = 1.4e9},
                            {.name = "3C286", .flux_jy = 15, .freq_hz = 1.4e9}};
    struct source_list before = {1, src}, after = {2, src}, back;
    struct rlimit room;
    struct err e = {0};
    int rc;

    (void)state;
    assert_int_equal(mkdir("kept", 0755), 0);
    assert_int_equal(catalogue_write("kept/sky.csv", &before, &e), 0);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &room), 0);
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){50, room.rlim_max});
    rc = catalogue_write("kept/sky.csv", &after, &e);
    setrlimit(RLIMIT_FSIZE, &room);
    signal(SIGXFSZ, SIG_DFL);
    assert_int_equal(rc, -EFBIG);
    assert_non_null(strstr(e.text, "kept/sky.csv"));
    assert_int_equal(catalogue_read(&back, "kept/sky.csv", &e), 0);
    assert_int_equal(back.n, 1);
    source_list_free(&back);
    assert_int_equal(unlink("kept/sky.csv"), 0);
    assert_int_equal(rmdir("kept"), 0); /* nothing else was left in it */
}

static void write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

#define HEAD "# made by hand\r\n\nname,ra_deg,dec_deg,flux_jy,spix,freq_mhz\n"

static void comments_blanks_and_line_ends_do_not_matter(void **state)
{
    struct source_list list;
    struct err e = {0};

    (void)state;
    write_text("sky.csv",
               HEAD " x , 360 , -90,1,0,0\r\n# no more\n\n,1e1,+2.5,.5,-.7,1400");
    assert_int_equal(catalogue_read(&list, "sky.csv", &e), 0);
    assert_int_equal(list.n, 2);
    assert_string_equal(list.src[0].name, "x");
    assert_near(list.src[0].ra_rad, 0.0, 0.0);
    assert_string_equal(list.src[1].name, "");
    assert_near(list.src[1].dec_rad, 2.5 * DEG, 1e-15);
    source_list_free(&list);
}

static void what_is_no_catalogue_is_refused_with_its_line(void **state)
{
    static const struct {
        const char *text, *sentence;
    } bad[] = {
        {"", "sky.csv has no header line"},
        {"name,ra,dec\n", "sky.csv line 1: the header is not"},
        {"a,1,2,3,4,5\n", "sky.csv line 1: the header is not"},
        {HEAD "a,1,2,3,4\n", "sky.csv line 4: not six fields"},
        {HEAD "a,1,2,3,4,5,6\n", "sky.csv line 4: not six fields"},
        {HEAD "a,1,2,3,4,5\nb,12h30,2,3,4,5\n", "sky.csv line 5: ra_deg is"},
        {HEAD "a,361,2,3,4,5\n", "line 4: ra_deg is not a number from 0 to 360"},
        {HEAD "a,1,-90.5,3,4,5\n", "line 4: dec_deg is"},
        {HEAD "a,1,2,nan,4,5\n", "line 4: flux_jy is"},
        {HEAD "a,1,2,,4,5\n", "line 4: flux_jy is"},
        {HEAD "a,1,2,0x10,4,5\n", "line 4: flux_jy is"},
        {HEAD "a,1,2,1e999,4,5\n", "line 4: flux_jy is"},
        {HEAD "a,1,2,3,4 5,5\n", "line 4: spix is"},
        {HEAD "a,1,2,3,4,-5\n", "line 4: freq_mhz is"},
        {HEAD "a234567890123456789012345678901b,1,2,3,4,5\n", "line 4: the name is"},
    };
    struct source_list list;
    struct err e = {0};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        write_text("sky.csv", bad[i].text);
        assert_int_equal(catalogue_read(&list, "sky.csv", &e), ERR_FORMAT);
        assert_int_equal(list.n, 0);
        assert_null(list.src);
        if (strstr(e.text, bad[i].sentence) == NULL)
            fail_msg("\"%s\" does not say \"%s\"", e.text, bad[i].sentence);
    }
    assert_int_equal(catalogue_read(&list, "none.csv", &e), -ENOENT);
}

/* Gaussian noise of 1, of 4 within 40 pixels of a place, sources here and there, and a corner
 * without pixels: the map says so, however many threads make it. */
static void noise_is_known_around_each_pixel(void **state)
{
    enum { W = 620, H = 450 };
    float *pix = malloc(W * H * sizeof *pix), *map = malloc(W * H * sizeof *map);
    float *again = malloc(W * H * sizeof *again);
    uint64_t seed = 5;
    double far = 0.0, near = 0.0;
    size_t nfar = 0, nnear = 0;

    (void)state;
    for (size_t i = 0; i < W * H; i++) {
        double r = hypot((double)(i % W) - 470.0, (double)(i / W) - 130.0);

        pix[i] = (float)((r < 40.0 ? 4.0 : 1.0) * made_gauss(&seed));
        if (i % 977 == 0)
            pix[i] += 300.0f;
        if (i % W < 90 && i / W > 350)
            pix[i] = NAN;
    }
    assert_int_equal(qa_noise_map(map, pix, W, H, 5.0, 1), 0);
    assert_int_equal(qa_noise_map(again, pix, W, H, 5.0, 3), 0);
    assert_memory_equal(map, again, W * H * sizeof *map);
    for (size_t i = 0; i < W * H; i++) {
        double r = hypot((double)(i % W) - 470.0, (double)(i / W) - 130.0);

        assert_true(map[i] > 0.7f && map[i] < 5.0f);
        if (r < 15.0) {
            near += (double)map[i];
            nnear++;
        } else if (r > 100.0) {
            assert_true(map[i] < 1.5f);
            far += (double)map[i];
            nfar++;
        }
    }
    printf("noise %.3f for 1, %.2f for 4\n", far / (double)nfar, near / (double)nnear);
    assert_true(fabs(far / (double)nfar - 1.0) < 0.03);
    assert_true(near / (double)nnear > 3.0);
    free(pix);
    free(map);
    free(again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(noise_is_known_around_each_pixel),
        cmocka_unit_test(noise_is_that_of_the_gaussian_whatever_lies_on_it),
        cmocka_unit_test(noise_of_few_pixels_is_the_definition),
        cmocka_unit_test(sources_without_noise_come_back),
        cmocka_unit_test(sources_in_noise_come_back_within_the_noise),
        cmocka_unit_test(of_two_peaks_within_a_beam_the_brighter_stays),
        cmocka_unit_test(a_plateau_counts_once_and_edges_and_blanks_not_at_all),
        cmocka_unit_test(local_noise_decides_where_it_is_given),
        cmocka_unit_test(sources_are_compared_at_the_frequency_of_the_image),
        cmocka_unit_test(a_real_image_has_the_sources_that_aegean_found),
        OWN_DIR(a_catalogue_comes_back_as_it_was_written),
        OWN_DIR(a_catalogue_that_cannot_be_written_leaves_the_one_before),
        OWN_DIR(comments_blanks_and_line_ends_do_not_matter),
        OWN_DIR(what_is_no_catalogue_is_refused_with_its_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
