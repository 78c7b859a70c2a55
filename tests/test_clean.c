/*
 * test_clean.c: deconvolution of skies that are known, beams and restored images against
 * their closed forms.
 */
#include "tests/test.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "core/err.h"
#include "pipeline/imaging/beam_fit.h"
#include "pipeline/imaging/clean.h"
#include "pipeline/imaging/normal.h"
#include "pipeline/imaging/normal_parts.h"
#include "pipeline/sky/image.h"
#include "tests/made_samples.h"

enum { NX = 160, NY = 128, NROW = 900, NCHAN = 2, NSRC = 5 };

static const double cell = 1.8e-4; /* rad; the beam is 4.4 x 7.5 pixels */
static const double sigma_m[3] = {100, 60, 10};

/* In pixels from the reference pixel (x, y) and Jy; none the mirror of another, only the
 * first on a pixel's centre. */
static const struct {
    double x, y, flux_jy;
} sky[NSRC] = {{21, -9, 2.0},
               {-33.5, 14.5, 1.0},
               {-12.3, -40.2, 0.6},
               {47.25, 31.6, 1.5},
               {3.4, 22.1, 0.4}};

struct setup {
    struct samples s;
    struct imager *im;
    struct normal *op;
    float *psf, *model, *residual; /* [NY][NX] */
};

/* The direction of a slant pixel offset, by repeated substitution (wcs.h). */
static struct point direction(const struct imager *im, double x, double y,
                              double flux_jy)
{
    struct imager_info info;
    struct point p = {.flux_jy = flux_jy};
    double t = 0.0;

    imager_info(im, &info);
    for (int i = 0; i < 60; i++) {
        p.l = -x * cell - info.a * t;
        p.m = y * cell - info.b * t;
        t = sqrt(1.0 - p.l * p.l - p.m * p.m) - 1.0;
    }
    return p;
}

static void set_up(struct setup *t)
{
    struct imager_opts opts = {.nx = NX, .ny = NY, .cell_rad = cell};
    struct err e = {0};

    made_samples(&t->s, NROW, NCHAN, sigma_m, -0.31, 0.47);
    if (imager_new(&t->im, &t->s, &opts, 1.0, 0.5, &e) != 0)
        fail_msg("%s", e.text);
    for (size_t k = 0; k < NSRC; k++) {
        struct point p = direction(t->im, sky[k].x, sky[k].y, sky[k].flux_jy);

        made_sky(&t->s, &p, 1, t->s.data);
    }
    t->psf = malloc(NX * NY * sizeof *t->psf);
    t->model = malloc(NX * NY * sizeof *t->model);
    t->residual = malloc(NX * NY * sizeof *t->residual);
    if (normal_new(&t->op, t->im, t->psf, &e) != 0)
        fail_msg("%s", e.text);
}

static void tear_down(struct setup *t)
{
    normal_free(t->op);
    imager_free(t->im);
    made_free(&t->s);
    free(t->psf);
    free(t->model);
    free(t->residual);
}

static int clean(const struct setup *t, const struct clean_opts *opts,
                 struct clean_result *res, struct err *e)
{
    const struct clean_planes planes = {t->model, t->residual};
    bool changed;

    assert_int_equal(imager_load(t->im, &changed, NULL), 0);
    assert_false(changed);
    return clean_run(t->im, t->op, opts, &planes, res, e);
}

static struct image as_image(float *psf, double cell_rad)
{
    return (struct image){
        .nx = NX, .ny = NY, .pix = psf, .wcs = {.cell_rad = cell_rad}};
}

static void add_noise(struct samples *s, double sigma)
{
    uint64_t seed = 9;

    for (size_t i = 0; i < s->nrow * s->nchan; i++) {
        ((float *)s->data)[2 * i] += (float)(sigma * made_gauss(&seed));
        ((float *)s->data)[2 * i + 1] += (float)(sigma * made_gauss(&seed));
    }
}

/* A Gaussian beam of peak 1 at (x0, y0): the major axis at pa from north (+y) to east (-x). */
static double gauss_beam(double x, double y, double x0, double y0, double maj,
                         double min, double pa)
{
    double east = -(x - x0), north = y - y0;
    double along = east * sin(pa) + north * cos(pa);
    double across = east * cos(pa) - north * sin(pa);

    return exp(-4.0 * log(2.0) *
               (along * along / maj / maj + across * across / min / min));
}

/* What the restored image has at source k's true place, Jy/beam; how far the centroid of the
 * components around it is off, pixels. */
static double restored_at(const struct setup *t, size_t k, double *off)
{
    struct image psf = as_image(t->psf, 1.0);
    struct beam_fit how;
    double flux = 0.0, sum = 0.0, sx = 0.0, sy = 0.0;

    beam_fit_psf(&psf, &how, NULL);
    for (size_t i = 0; i < NX * NY; i++) {
        double dx = (double)(i % NX) - NX / 2 - sky[k].x;
        double dy = (double)(i / NX) - NY / 2 - sky[k].y, f = (double)t->model[i];

        flux +=
            f * gauss_beam(dx, dy, 0.0, 0.0, psf.bmaj_rad, psf.bmin_rad, psf.bpa_rad);
        if (hypot(dx, dy) > 4.0)
            continue;
        sum += f;
        sx += f * dx;
        sy += f * dy;
    }
    size_t x = (size_t)lround(sky[k].x + NX / 2), y = (size_t)lround(sky[k].y + NY / 2);
    *off = hypot(sx / sum, sy / sum);
    return flux + (double)t->residual[y * NX + x];
}

static double rms(const float *pix, size_t n)
{
    double sum = 0.0;

    for (size_t i = 0; i < n; i++)
        sum += (double)pix[i] * (double)pix[i];
    return sqrt(sum / (double)n);
}

struct seen {
    size_t calls, iter;
    double peak;
};

static void note_progress(void *arg, size_t iter, double peak_jy, double sigma_jy)
{
    struct seen *seen = arg;

    assert_true(iter > seen->iter && peak_jy > 0.0 && sigma_jy > 0.0);
    seen->calls++;
    seen->iter = iter;
    seen->peak = peak_jy;
}

static void five_sources_come_back_with_their_flux(void **state)
{
    struct setup t;
    struct clean_result res;
    struct seen seen = {0};
    struct clean_opts opts = {.niter = 4000,
                              .gain = 0.1,
                              .mgain = 0.8,
                              .threshold_jy = 1e-3,
                              .border = 0.02,
                              .progress = note_progress,
                              .arg = &seen};
    double total = 0.0;

    (void)state;
    set_up(&t);
    assert_int_equal(clean(&t, &opts, &res, NULL), 0);
    for (size_t k = 0; k < NSRC; k++) {
        double off, flux = restored_at(&t, k, &off);

        printf("%g Jy: restored %.4f, off by %.3f pixels\n", sky[k].flux_jy, flux, off);
        assert_true(fabs(flux / sky[k].flux_jy - 1.0) < 0.01);
        assert_true(off < 0.05);
        total += sky[k].flux_jy;
    }
    printf("%zu components, %zu major cycles, residual peak %.1e rms %.1e Jy\n",
           res.niter, res.nmajor, res.peak_jy, rms(t.residual, NX * NY));
    assert_true(fabs(res.model_jy / total - 1.0) < 0.01);
    assert_true(res.peak_jy <= 1.02e-3);
    assert_true(rms(t.residual, NX * NY) < 5e-4); /* of a 2 Jy source */
    assert_true(res.nmajor > 2 && res.nmajor < 20);
    assert_int_equal(seen.calls, res.nmajor);
    assert_int_equal(seen.iter, res.niter);
    tear_down(&t);
}

/* w differs from place to place; a minor cycle that took the response of the middle for all would
 * leave more than a hundredth of the sources to later ones. */
static void a_minor_cycle_goes_down_to_a_thousandth(void **state)
{
    struct setup t;
    struct clean_result res;
    struct clean_opts opts = {
        .niter = 8000, .gain = 0.1, .mgain = 0.999, .threshold_jy = 2e-3};

    (void)state;
    set_up(&t);
    assert_int_equal(clean(&t, &opts, &res, NULL), 0);
    printf("%zu components, %zu major cycles, peak %.1e Jy\n", res.niter, res.nmajor,
           res.peak_jy);
    assert_true(res.peak_jy <= 1.02 * 2e-3);
    assert_true(res.nmajor <= 2);
    tear_down(&t);
}

static void residual_is_the_image_of_data_minus_model(void **state)
{
    struct setup t;
    struct clean_result res;
    struct clean_opts opts = {.niter = 150, .gain = 0.1, .mgain = 0.7};

    (void)state;
    set_up(&t);
    assert_int_equal(clean(&t, &opts, &res, NULL), 0);
    assert_int_equal(res.niter, 150);
    for (size_t i = 0; i < NX * NY; i++)
        if (t.model[i] != 0.0f) { /* take it off by the measurement equation */
            struct point p = direction(t.im, (double)(i % NX) - NX / 2,
                                       (double)(i / NX) - NY / 2, -(double)t.model[i]);

            made_sky(&t.s, &p, 1, t.s.data);
        }
    for (size_t i = 0; i < 20; i++) {
        size_t x = (i * 37 + 5) % NX, y = (i * 29 + 3) % NY;

        assert_true(fabs(imager_dft(t.im, x, y) - (double)t.residual[y * NX + x]) <
                    2e-5);
    }
    tear_down(&t);
}

static void clean_above_noise(double beam_pix)
{
    struct setup t;
    struct clean_result res;
    struct imager_info info;
    struct clean_opts opts = {.niter = 5000,
                              .gain = 0.1,
                              .mgain = 0.8,
                              .auto_mask = 5.0,
                              .auto_threshold = 1.0,
                              .beam_pix = beam_pix};

    set_up(&t);
    imager_info(t.im, &info);
    add_noise(&t.s, 0.3); /* 8 mJy in the image: the faintest source has 50 sigma */
    assert_int_equal(clean(&t, &opts, &res, NULL), 0);
    printf("%zu components, %zu major cycles, peak left %.2f sigma\n", res.niter,
           res.nmajor, res.peak_jy / res.sigma_jy);
    assert_true(res.niter < opts.niter);           /* stopped by itself, */
    assert_true(res.peak_jy < 1.3 * res.sigma_jy); /* deep inside the mask, */
    for (size_t i = 0; i < NX * NY; i++) {         /* nowhere outside */
        bool near = t.model[i] == 0.0f;

        for (size_t k = 0; k < NSRC; k++)
            near |= hypot((double)(i % NX) - NX / 2 - sky[k].x,
                          (double)(i / NX) - NY / 2 - sky[k].y) < 4.0;
        assert_true(near);
    }
    for (size_t k = 0; k < NSRC; k++) {
        double off, flux = restored_at(&t, k, &off);

        printf("%g Jy: found %.4f with sigma %.4f\n", sky[k].flux_jy, flux,
               res.sigma_jy);
        assert_true(fabs(flux - sky[k].flux_jy) < 5.0 * res.sigma_jy);
    }
    /* what is left is thermal: weights between 0.5 and 1.5 cost sqrt(1 + 1/12) = 4 % */
    double thermal = 1.04 * 0.3 / sqrt((double)info.nsample);
    printf("residual sigma %.2e, thermal %.2e Jy\n", res.sigma_jy, thermal);
    assert_true(fabs(res.sigma_jy / thermal - 1.0) < 0.1);
    tear_down(&t);
}

static void noise_is_not_cleaned_under_the_auto_mask(void **state)
{
    (void)state;
    clean_above_noise(0.0);
}

static void nor_is_it_with_the_noise_around_each_pixel(void **state)
{
    (void)state;
    clean_above_noise(7.5);
}

/*
 * Sources of several hundred sigma: what their sidelobes leave lies a few per cent above
 * auto_mask cycle after cycle, and the search ends without reaching it.  What was found must be
 * followed down to auto_threshold all the same.
 */
static void a_search_that_stalls_still_goes_deep_inside_its_mask(void **state)
{
    struct setup t;
    struct clean_result res;
    struct clean_opts opts = {.niter = 5000,
                              .gain = 0.1,
                              .mgain = 0.8,
                              .auto_mask = 8.0,
                              .auto_threshold = 1.0};

    (void)state;
    set_up(&t);
    add_noise(&t.s, 0.05); /* 1.3 mJy in the image */
    assert_int_equal(clean(&t, &opts, &res, NULL), 0);
    printf("%zu components, %zu major cycles, peak left in the mask %.2f sigma\n",
           res.niter, res.nmajor, res.peak_jy / res.sigma_jy);
    assert_true(res.niter < opts.niter);
    assert_true(res.peak_jy < 1.2 * res.sigma_jy);
    tear_down(&t);
}

static void components_stay_inside_search_and_border(void **state)
{
    struct setup t;
    struct clean_result res;
    struct clean_opts opts = {
        .niter = 300, .gain = 0.1, .mgain = 0.8, .threshold_jy = 0.05, .border = 0.25};
    float *search = calloc(NX * NY, sizeof *search);

    (void)state;
    set_up(&t);
    for (size_t i = 0; i < NX * NY; i++) /* the left half, x < NX / 2 */
        search[i] = i % NX < NX / 2 ? 1.0f : 0.0f;
    opts.search = search;
    assert_int_equal(clean(&t, &opts, &res, NULL), 0);
    assert_true(res.niter > 0);
    for (size_t i = 0; i < NX * NY; i++)
        if (t.model[i] != 0.0f) {
            assert_true(i % NX >= NX / 4 && i % NX < NX / 2);
            assert_true(i / NX >= NY / 4 && i / NX < NY - NY / 4);
        }
    free(search);
    tear_down(&t);
}

static void a_wrong_operator_is_noticed(void **state)
{
    struct setup t;
    struct clean_result res;
    struct err e = {0};
    struct clean_opts opts = {.niter = 1000, .gain = 0.1, .mgain = 0.9};

    (void)state;
    set_up(&t);
    /* four times too much flux is found, and only the visibilities know it */
    for (size_t i = 0; i < 2 * (t.op->hx + 1) * t.op->slots; i++)
        t.op->unit[i] *= 0.25f;
    for (size_t i = 0; i < t.op->near_slots; i++)
        t.op->near_term[i].unit *= 0.25f;
    assert_int_equal(clean(&t, &opts, &res, &e), ERR_QUALITY);
    assert_non_null(strstr(e.text, "diverged"));
    opts.gain = 0.0;
    assert_int_equal(clean(&t, &opts, &res, &e), -EINVAL);
    tear_down(&t);
}

static void the_beam_of_a_gaussian_is_found(void **state)
{
    static const double want[][3] = {/* FWHM in pixels, PA in degrees */
                                     {7.0, 4.0, 30.0},
                                     {7.0, 4.0, -60.0},
                                     {12.5, 3.1, 80.0},
                                     {5.0, 4.5, -10.0},
                                     {3.0, 2.5, 45.0}};
    float *psf = malloc(NX * NY * sizeof *psf);
    struct image img = as_image(psf, 2e-5);
    struct beam_fit how;
    struct err e = {0};

    (void)state;
    for (size_t k = 0; k < 5; k++) {
        double pa = want[k][2] * ASTRO_DEG;

        for (size_t i = 0; i < NX * NY; i++) {
            double x = (double)(i % NX), y = (double)(i / NX);

            psf[i] =
                (float)(gauss_beam(x, y, NX / 2, NY / 2, want[k][0], want[k][1], pa) +
                        /* a sidelobe that must not take part */
                        0.6 * gauss_beam(x, y, NX / 2 + 30, NY / 2, 5, 5, 0));
        }
        assert_int_equal(beam_fit_psf(&img, &how, NULL), 0);
        assert_true(how.gaussian && how.residual < 0.01);
        assert_true(fabs(how.sidelobe - 0.6) < 0.01);
        assert_true(fabs(img.bmaj_rad / (want[k][0] * 2e-5) - 1.0) < 0.01);
        assert_true(fabs(img.bmin_rad / (want[k][1] * 2e-5) - 1.0) < 0.01);
        assert_true(fabs(img.bpa_rad - pa) < 0.01);
    }
    /* a single bright pixel has no shape */
    memset(psf, 0, NX * NY * sizeof *psf);
    psf[NY / 2 * NX + NX / 2] = 1.0f;
    assert_int_equal(beam_fit_psf(&img, &how, &e), 0);
    assert_false(how.gaussian);
    assert_true(img.bmaj_rad == img.bmin_rad && img.bmaj_rad > 2e-5);
    free(psf);
}

/*
 * Baselines Gaussian in u and v, not cut by much: the PSF near its middle is the Gaussian
 * with FWHM = sqrt(8 ln 2) / (2 pi sigma_lambda).
 */
static void the_beam_of_the_data_has_the_expected_size(void **state)
{
    struct setup t;
    struct image psf;
    struct beam_fit how;
    double su = 0.0, sv = 0.0, sw = 0.0;

    (void)state;
    set_up(&t);
    for (size_t i = 0; i < NROW * NCHAN; i++) {
        const double *uvw = t.s.uvw_m[i / NCHAN];
        double k = t.s.freq_hz[i % NCHAN] / 299792458.0, w = (double)t.s.weight[i];

        su += w * pow(uvw[0] * k, 2.0);
        sv += w * pow(uvw[1] * k, 2.0);
        sw += w;
    }
    psf = as_image(t.psf, cell);
    assert_int_equal(beam_fit_psf(&psf, &how, NULL), 0);
    double want_x = sqrt(8.0 * log(2.0)) / (2.0 * M_PI * sqrt(su / sw));
    double want_y = sqrt(8.0 * log(2.0)) / (2.0 * M_PI * sqrt(sv / sw));
    /* v is shorter: longer beam north-south */
    assert_true(fabs(psf.bmaj_rad / want_y - 1.0) < 0.06);
    assert_true(fabs(psf.bmin_rad / want_x - 1.0) < 0.06);
    assert_true(fabs(psf.bpa_rad) < 0.15);
    tear_down(&t);
}

static void a_component_is_restored_as_the_beam(void **state)
{
    static const double beams[][3] = {{6.5, 4.0, 0.6}, {2.2, 1.6, -0.9}};
    struct image img = {.nx = NX, .ny = NY, .wcs = {.cell_rad = 3e-5}};
    float *model = calloc(NX * NY, sizeof *model),
          *residual = malloc(NX * NY * sizeof *model);

    (void)state;
    img.pix = malloc(NX * NY * sizeof *img.pix);
    model[20 * NX + 110] = 2.0f;
    model[(NY - 1) * NX + 2] = -1.5f; /* at the border: must not come round the edge */
    for (size_t i = 0; i < NX * NY; i++)
        residual[i] = (float)(i % 7) * 0.01f;
    for (size_t k = 0; k < 2; k++) {
        double maj = beams[k][0], min = beams[k][1], pa = beams[k][2], worst = 0.0;

        img.bmaj_rad = maj * 3e-5;
        img.bmin_rad = min * 3e-5;
        img.bpa_rad = pa;
        assert_int_equal(clean_restore(&img, model, residual, NULL), 0);
        for (size_t i = 0; i < NX * NY; i++) {
            double x = (double)(i % NX), y = (double)(i / NX);
            double want = (double)residual[i] +
                          2.0 * gauss_beam(x, y, 110, 20, maj, min, pa) -
                          1.5 * gauss_beam(x, y, 2, NY - 1, maj, min, pa);

            worst = fmax(worst, fabs((double)img.pix[i] - want));
        }
        assert_true(worst < 1e-5);
    }
    img.bmaj_rad = img.bmin_rad = 0.0;
    assert_int_equal(clean_restore(&img, model, residual, NULL), ERR_SHAPE);
    free(img.pix);
    free(model);
    free(residual);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(five_sources_come_back_with_their_flux),
        cmocka_unit_test(a_minor_cycle_goes_down_to_a_thousandth),
        cmocka_unit_test(residual_is_the_image_of_data_minus_model),
        cmocka_unit_test(noise_is_not_cleaned_under_the_auto_mask),
        cmocka_unit_test(nor_is_it_with_the_noise_around_each_pixel),
        cmocka_unit_test(a_search_that_stalls_still_goes_deep_inside_its_mask),
        cmocka_unit_test(components_stay_inside_search_and_border),
        cmocka_unit_test(a_wrong_operator_is_noticed),
        cmocka_unit_test(the_beam_of_a_gaussian_is_found),
        cmocka_unit_test(the_beam_of_the_data_has_the_expected_size),
        cmocka_unit_test(a_component_is_restored_as_the_beam),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
