/*
 * Mosaics of an analytic sky: circular Gaussians (a function of the angle to the source)
 * seen through Gaussian beams (a function of the angle to the pointing), so every
 * expected number is a closed form and knows nothing of projections.
 */
#include "tests/test.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "core/err.h"
#include "pipeline/sky/image.h"
#include "pipeline/imaging/mosaic.h"

#define DEG    (M_PI / 180.0)
#define ARCSEC (DEG / 3600.0)

#define NTILE   3
#define NX      260
#define NY      190
#define CELL    (10.0 * ARCSEC)
#define FWHM    (50.0 * ARCSEC) /* of sources and restoring beam: five pixels */
#define PB_FWHM (3.0 * DEG)

static void near_at(double got, double want, double tolerance, int line)
{
    if (!(fabs(got - want) <= tolerance))
        fail_msg("line %d: %.17g is not within %g of %.17g", line, got, tolerance,
                 want);
}
#define assert_near(got, want, tolerance) near_at(got, want, tolerance, __LINE__)

struct spot {
    double ra, dec, flux;
};

static double angle(double ra1, double dec1, double ra2, double dec2)
{
    double a = sin(0.5 * (dec1 - dec2)), b = sin(0.5 * (ra1 - ra2));

    return 2.0 * asin(sqrt(a * a + cos(dec1) * cos(dec2) * b * b));
}

static double gaussian(double sep, double fwhm)
{
    return exp(-4.0 * M_LN2 * sep * sep / (fwhm * fwhm));
}

/* A tile and where its dish pointed, which is not its middle. */
struct scene {
    struct mosaic_tile tile[NTILE];
    double ra[NTILE], dec[NTILE]; /* pointings */
};

static struct image *blank(double ra, double dec, double xi, double eta)
{
    struct image *img;

    assert_int_equal(image_alloc(&img, NX, NY, NULL), 0);
    img->wcs = (struct wcs){ra, dec, 0.5 * NX + 3.3, 0.5 * NY - 4.8, CELL, xi, eta};
    img->bmaj_rad = img->bmin_rad = FWHM;
    img->freq_hz = 1.4e9;
    img->width_hz = 1e8;
    img->mjd_beg = 61065.1;
    img->mjd_end = 61065.2;
    strcpy(img->unit, "Jy/beam");
    return img;
}

static void paint(struct image *flat, struct image *pb, double ra0, double dec0,
                  const struct spot *src, size_t nsrc)
{
    for (size_t i = 0; i < flat->nx * flat->ny; i++) {
        double ra, dec, sky = 0.0, p;

        assert_int_equal(wcs_pix_to_radec(&flat->wcs, (double)(i % flat->nx),
                                          (double)(i / flat->nx), &ra, &dec),
                         0);
        for (size_t s = 0; s < nsrc; s++)
            sky += src[s].flux * gaussian(angle(ra, dec, src[s].ra, src[s].dec), FWHM);
        p = gaussian(angle(ra, dec, ra0, dec0), PB_FWHM);
        pb->pix[i] = (float)p;
        flat->pix[i] = (float)(sky * p);
    }
}

/* Three tiles that drift across (ra, dec), each slanted and pointed its own way. */
static void make_scene(struct scene *s, double ra, double dec, const struct spot *src,
                       size_t nsrc)
{
    static const double xi[NTILE] = {0.31, 0.0, -0.42}, eta[NTILE] = {-0.22, 0.7, 0.15};
    static const double sigma[NTILE] = {2.7e-4, 5.1e-4, 3.3e-4};

    for (int t = 0; t < NTILE; t++) {
        double east = (t - 1) * 0.35 * DEG / cos(dec);
        double north = (t == 1 ? 0.12 : -0.05) * DEG;
        struct image *flat = blank(ra + east, dec + north, xi[t], eta[t]), *pb;

        snprintf(flat->object, sizeof flat->object, "tile%d", t);
        assert_int_equal(image_like(&pb, flat, NULL), 0);
        s->ra[t] = ra + 1.9 * east;
        s->dec[t] = dec - 0.4 * DEG;
        paint(flat, pb, s->ra[t], s->dec[t], src, nsrc);
        s->tile[t] = (struct mosaic_tile){flat, pb, sigma[t]};
    }
}

static void free_scene(struct scene *s)
{
    for (int t = 0; t < NTILE; t++) {
        image_free((struct image *)(uintptr_t)s->tile[t].flat);
        image_free((struct image *)(uintptr_t)s->tile[t].pb);
    }
}

static const struct mosaic_opts opts = {.pb_cut = 0.2, .beam_tolerance = 0.2};

/* Peak of the parabola through the logarithms of three values: exact for a Gaussian. */
static double log_peak(double below, double at, double above, double *offset)
{
    double l = log(below), m = log(at), r = log(above), curve = l - 2.0 * m + r;

    *offset = 0.5 * (l - r) / curve;
    return m - 0.125 * (r - l) * (r - l) / curve;
}

static void assert_source(const struct image *sky, const struct spot *src)
{
    double x, y, dx, dy, peak;
    const float *p;
    size_t nx = sky->nx;

    assert_int_equal(wcs_radec_to_pix(&sky->wcs, src->ra, src->dec, &x, &y), 0);
    assert_true(x > 2 && y > 2 && x < (double)nx - 3 && y < (double)sky->ny - 3);
    p = sky->pix + (size_t)lround(y) * nx + (size_t)lround(x);
    peak = log_peak(p[-1], p[0], p[1], &dx) + log_peak(p[-(long)nx], p[0], p[nx], &dy) -
           log(p[0]);
    assert_near(exp(peak), src->flux, 0.005 * src->flux);
    assert_near((double)lround(x) + dx, x, 0.05);
    assert_near((double)lround(y) + dy, y, 0.05);
}

/* The road map's bar: peaks within 0.5 %, positions within 0.05 pixel. */
static void sources_keep_flux_and_place(void **state)
{
    static const double where[][2] = {
        {0.05, 71.6}, {359.9, -71.6}, {187.3, 16.3}, {0.0, -1.2}, {250.0, 88.0}};

    (void)state;
    for (size_t i = 0; i < sizeof where / sizeof *where; i++) {
        double ra = where[i][0] * DEG, dec = where[i][1] * DEG, k = 1.0 / cos(dec);
        const struct spot src[] = {
            {ra, dec, 1.0},
            {ra + 0.31 * DEG * k, dec + 0.1 * DEG, 0.7},
            {ra - 0.33 * DEG * k, dec - 0.2 * DEG, 1.3},
            {ra + 0.17 * DEG * k, dec - 0.11 * DEG, 0.4},
        };
        struct image *sky, *weight;
        struct scene s;
        struct err e = {0};

        make_scene(&s, ra, dec, src, 4);
        assert_int_equal(mosaic_make(&sky, &weight, s.tile, NTILE, &opts, &e), 0);
        assert_true(sky->nx < 3 * NX && sky->ny < 3 * NY); /* no seam at 0 h */
        assert_true(sky->wcs.xi == 0.0 && sky->wcs.eta == 0.0);
        for (int k2 = 0; k2 < 4; k2++)
            assert_source(sky, &src[k2]);
        image_free(sky);
        image_free(weight);
        free_scene(&s);
    }
}

/* Where does tile t cover the pixel: 1 yes, 0 no, -1 too near its edge to say here. */
static int covers(const struct mosaic_tile *t, double ra, double dec)
{
    double x, y, in;

    if (wcs_radec_to_pix(&t->flat->wcs, ra, dec, &x, &y) != 0)
        return 0;
    in = fmin(fmin(x, NX - 1 - x), fmin(y, NY - 1 - y));
    return in > 3.1 ? 1 : in < 1.9 ? 0 : -1;
}

/* sum P^2 / s^2 at every output pixel, by the closed form of P. */
static void the_weight_is_the_analytic_optimum(void **state)
{
    const struct spot src = {0.1 * DEG, 71.6 * DEG, 1.0};
    struct image *sky, *weight;
    struct scene s;
    size_t compared = 0, overlaps = 0, holes = 0;

    (void)state;
    make_scene(&s, 0.1 * DEG, 71.6 * DEG, &src, 1);
    assert_int_equal(mosaic_make(&sky, &weight, s.tile, NTILE, &opts, NULL), 0);
    assert_string_equal(weight->unit, "Jy-2");
    for (size_t i = 0; i < sky->nx * sky->ny; i++) {
        double ra, dec, want = 0.0;
        int n = 0, unsure = 0;

        assert_int_equal(wcs_pix_to_radec(&sky->wcs, (double)(i % sky->nx),
                                          (double)(i / sky->nx), &ra, &dec),
                         0);
        for (int t = 0; t < NTILE; t++) {
            int c = covers(&s.tile[t], ra, dec);
            double p = gaussian(angle(ra, dec, s.ra[t], s.dec[t]), PB_FWHM);

            unsure |= c < 0;
            n += c;
            if (c > 0)
                want += p * p / (s.tile[t].sigma_jy * s.tile[t].sigma_jy);
        }
        assert_int_equal(isnan(sky->pix[i]), weight->pix[i] == 0.0f);
        if (unsure)
            continue;
        assert_near(weight->pix[i], want, 1e-5 * want);
        compared++;
        overlaps += n > 1;
        holes += n == 0;
    }
    assert_true(compared > 60000 && overlaps > 20000 && holes > 1000);
    image_free(sky);
    image_free(weight);
    free_scene(&s);
}

/* I = sum (P F / s^2) / sum (P^2 / s^2), by hand for two tiles of different sky. */
static void tiles_are_weighted_by_beam_and_noise(void **state)
{
    struct image *a = blank(1.0, 0.5, 0, 0), *b, *pa, *pb, *sky, *weight;
    const double fa = 0.8, fb = 0.3, ba = 0.9, bb = 0.5, sa = 0.1, sb = 0.2;

    (void)state;
    image_like(&b, a, NULL);
    image_like(&pa, a, NULL);
    image_like(&pb, a, NULL);
    for (size_t i = 0; i < NX * NY; i++) {
        a->pix[i] = (float)fa;
        b->pix[i] = (float)fb;
        pa->pix[i] = (float)ba;
        pb->pix[i] = (float)bb;
    }
    b->wcs.xi = 0.2; /* not on one grid: the interpolation is in this, too */
    b->freq_hz = 1.5e9;
    {
        const struct mosaic_tile t[2] = {{a, pa, sa}, {b, pb, sb}};
        double wa = 1 / (sa * sa), wb = 1 / (sb * sb);
        size_t mid;

        assert_int_equal(mosaic_make(&sky, &weight, t, 2, &opts, NULL), 0);
        mid = sky->ny / 2 * sky->nx + sky->nx / 2;
        assert_near(sky->pix[mid],
                    (wa * ba * fa + wb * bb * fb) / (wa * ba * ba + wb * bb * bb),
                    2e-6);
        assert_near(weight->pix[mid], wa * ba * ba + wb * bb * bb, 1e-4);
        assert_near(sky->freq_hz, (wa * 1.4e9 + wb * 1.5e9) / (wa + wb), 1.0);
    }
    image_free(a);
    image_free(b);
    image_free(pa);
    image_free(pb);
    image_free(sky);
    image_free(weight);
}

/* Random pixels that no interpolation could keep. */
static struct image *noise_tile(double crpix1, double crpix2, unsigned seed)
{
    struct image *img = blank(0.0, -1.2, 0.0, 0.0);

    img->wcs.crpix1 = crpix1;
    img->wcs.crpix2 = crpix2;
    srand(seed);
    for (size_t i = 0; i < NX * NY; i++)
        img->pix[i] = (float)rand() / (float)RAND_MAX - 0.5f;
    return img;
}

static void aligned_tiles_are_added_exactly(void **state)
{
    struct image *a = noise_tile(100.25, 50.5, 1), *b = noise_tile(-17.75, 81.5, 2);
    struct image *one, *sky, *weight;

    (void)state;
    image_like(&one, a, NULL);
    for (size_t i = 0; i < NX * NY; i++)
        one->pix[i] = 1.0f;
    {
        const struct mosaic_tile t[2] = {{a, one, 0.25}, {b, one, 0.25}};

        assert_int_equal(mosaic_make(&sky, &weight, t, 2, &opts, NULL), 0);
    }
    /* b lies 118 columns further right and 31 rows lower */
    assert_int_equal(sky->nx, NX + 118);
    assert_int_equal(sky->ny, NY + 31);
    assert_near(sky->wcs.crpix1, 100.25, 1e-12);
    assert_near(sky->wcs.crpix2, 81.5, 1e-12);
    for (size_t y = 0; y < sky->ny; y++) {
        for (size_t x = 0; x < sky->nx; x++) {
            int in_a = x < NX && y >= 31, in_b = x >= 118 && y < NY;
            float va = in_a ? a->pix[(y - 31) * NX + x] : 0.0f;
            float vb = in_b ? b->pix[y * NX + x - 118] : 0.0f;
            float got = sky->pix[y * sky->nx + x];

            if (in_a + in_b == 0)
                assert_true(isnan(got));
            else
                assert_true(got == (va + vb) / (float)(in_a + in_b));
            assert_true(weight->pix[y * sky->nx + x] == 16.0f * (float)(in_a + in_b));
        }
    }
    image_free(a);
    image_free(b);
    image_free(one);
    image_free(sky);
    image_free(weight);
}

/* A blank pixel takes out what its kernel reaches in its tile; the others stand in. */
static void blank_pixels_of_one_tile_are_filled_by_another(void **state)
{
    const double ra = 359.95 * DEG, dec = -71.6 * DEG;
    const struct spot src = {ra, dec, 1.0};
    struct image *sky, *weight, *hole;
    struct scene s;
    double x, y, before;
    size_t i;

    (void)state;
    make_scene(&s, ra, dec, &src, 1);
    hole = (struct image *)(uintptr_t)s.tile[1].flat;
    assert_int_equal(mosaic_make(&sky, &weight, s.tile, NTILE, &opts, NULL), 0);
    wcs_radec_to_pix(&sky->wcs, ra, dec, &x, &y);
    i = (size_t)lround(y) * sky->nx + (size_t)lround(x);
    before = weight->pix[i];
    image_free(sky);
    image_free(weight);

    wcs_radec_to_pix(&hole->wcs, ra, dec, &x, &y);
    hole->pix[(size_t)lround(y) * NX + (size_t)lround(x)] = NAN;
    assert_int_equal(mosaic_make(&sky, &weight, s.tile, NTILE, &opts, NULL), 0);
    wcs_radec_to_pix(&sky->wcs, ra, dec, &x, &y);
    i = (size_t)lround(y) * sky->nx + (size_t)lround(x);
    assert_true(weight->pix[i] > 0.0f && weight->pix[i] < 0.95 * before);
    assert_true(weight->pix[i + 8] > 0.95 * before); /* eight pixels on, all is there */
    assert_source(sky, &src);
    image_free(sky);
    image_free(weight);
    free_scene(&s);
}

static void pixels_below_the_cut_are_left_out_and_not_covered(void **state)
{
    struct mosaic_opts deep = opts;
    struct image *sky, *weight;
    struct scene s;
    double r = 0.0, ra, dec;

    (void)state;
    make_scene(&s, 40 * DEG, 33 * DEG, NULL, 0);
    deep.pb_cut = 0.94;
    /* the last tile alone; beam 0.94 is this far from its pointing: */
    r = PB_FWHM * sqrt(-log(0.94) / (4.0 * M_LN2));
    assert_int_equal(mosaic_make(&sky, &weight, &s.tile[2], 1, &deep, NULL), 0);
    assert_true(sky->nx < NX || sky->ny < NY);
    for (size_t i = 0; i < sky->nx * sky->ny; i++) {
        double sep;

        wcs_pix_to_radec(&sky->wcs, (double)(i % sky->nx), (double)(i / sky->nx), &ra,
                         &dec);
        sep = angle(ra, dec, s.ra[2], s.dec[2]);
        if (sep > r + 1e-3 * CELL)
            assert_true(weight->pix[i] == 0.0f);
    }
    deep.pb_cut = 1.01;
    {
        struct err e = {0};

        image_free(sky);
        image_free(weight);
        assert_int_equal(mosaic_make(&sky, &weight, s.tile, NTILE, &deep, &e),
                         ERR_SHAPE);
        assert_non_null(strstr(e.text, "1.01"));
    }
    free_scene(&s);
}

static struct image *editable(const struct image *img)
{
    return (struct image *)(uintptr_t)img;
}

static void tiles_that_do_not_fit_together_are_named(void **state)
{
    struct mosaic_opts small = opts;
    struct image *sky, *weight, *wrong;
    struct scene s;
    struct err e = {0};

    (void)state;
    make_scene(&s, 0.0, 16.3 * DEG, NULL, 0);

    editable(s.tile[2].flat)->bmaj_rad *= 1.3;
    assert_int_equal(mosaic_make(&sky, &weight, s.tile, 3, &opts, &e), ERR_SHAPE);
    assert_null(sky);
    assert_null(weight);
    assert_non_null(strstr(e.text, "tile tile2 has a beam of 65 x 50 arcsec"));
    editable(s.tile[2].flat)->bmaj_rad = FWHM * 1.1; /* within 20 % */
    assert_int_equal(mosaic_make(&sky, &weight, s.tile, 3, &opts, &e), 0);
    image_free(sky);
    image_free(weight);

    small.max_side = 300;
    assert_int_equal(mosaic_make(&sky, &weight, s.tile, 3, &small, &e), ERR_SHAPE);
    assert_non_null(strstr(e.text, "more than 300 a side"));

    strcpy(editable(s.tile[1].flat)->unit, "K");
    assert_int_equal(mosaic_make(&sky, &weight, s.tile, 3, &opts, &e), ERR_SHAPE);
    assert_string_equal(e.text, "tile tile1 is in K, tile tile0 in Jy/beam");
    strcpy(editable(s.tile[1].flat)->unit, "Jy/beam");

    s.tile[1].sigma_jy = 0.0;
    assert_int_equal(mosaic_make(&sky, &weight, s.tile, 3, &opts, &e), ERR_SHAPE);
    assert_string_equal(e.text, "tile tile1 has a noise of 0 Jy");
    s.tile[1].sigma_jy = 1e-3;

    assert_int_equal(image_alloc(&wrong, NY, NX, NULL), 0);
    {
        struct mosaic_tile t = {s.tile[0].flat, wrong, 1e-3};

        assert_int_equal(mosaic_make(&sky, &weight, &t, 1, &opts, &e), ERR_SHAPE);
        assert_string_equal(e.text,
                            "tile tile0 has 260 x 190 pixels and its beam 190 x 260");
    }
    assert_int_equal(mosaic_make(&sky, &weight, s.tile, 0, &opts, &e), ERR_SHAPE);
    image_free(wrong);
    free_scene(&s);
}

/*
 * Beams of one shape on the sky, at 80 degrees: 10 degrees of right ascension east of
 * the centre the pole, and so north, lies 10 sin(80 deg) = 9.85 degrees west of "up".
 */
static void the_beam_of_the_whole_is_turned_to_its_north(void **state)
{
    struct image *sky, *weight, *east, *west;
    const double turn = 10.0 * sin(80.0 * DEG) * DEG;

    (void)state;
    east = blank(10.0 * DEG, 80.0 * DEG, 0.0, 0.0);
    west = blank(-10.0 * DEG, 80.0 * DEG, 0.0, 0.0);
    for (size_t i = 0; i < NX * NY; i++)
        east->pix[i] = west->pix[i] = 1.0f;
    east->bmaj_rad = west->bmaj_rad = 1.5 * FWHM;
    east->bpa_rad = 30.0 * DEG + turn;
    west->bpa_rad = 30.0 * DEG - turn;
    {
        /* images of ones serve as beams, too */
        const struct mosaic_tile t[2] = {{east, east, 1.0}, {west, west, 2.0}};

        assert_int_equal(mosaic_make(&sky, &weight, t, 2, &opts, NULL), 0);
    }
    /* the tiles' middles are some pixels off their centres: 0.3 degrees of turn */
    assert_near(sky->bpa_rad / DEG, 30.0, 0.3);
    assert_near(sky->bmaj_rad / FWHM, 1.5, 1e-3);
    assert_near(sky->bmin_rad / FWHM, 1.0, 1e-3);
    assert_near(sin(sky->wcs.ra_rad), 0.0, 1e-3);
    image_free(east);
    image_free(west);
    image_free(sky);
    image_free(weight);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sources_keep_flux_and_place),
        cmocka_unit_test(the_weight_is_the_analytic_optimum),
        cmocka_unit_test(tiles_are_weighted_by_beam_and_noise),
        cmocka_unit_test(aligned_tiles_are_added_exactly),
        cmocka_unit_test(blank_pixels_of_one_tile_are_filled_by_another),
        cmocka_unit_test(pixels_below_the_cut_are_left_out_and_not_covered),
        cmocka_unit_test(tiles_that_do_not_fit_together_are_named),
        cmocka_unit_test(the_beam_of_the_whole_is_turned_to_its_north),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
