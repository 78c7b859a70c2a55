/*
 * test_imager.c: images against direct sums, models against direct sums, noise against
 * its prediction.  The data come from the measurement equation in made_samples.h, written
 * with the true w (n - 1) and knowing nothing of planes, kernels or transforms.
 */
#include "tests/test.h"

#include <string.h>

#include "core/err.h"
#include "pipeline/sky/wcs.h"
#include "tests/made_samples.h"

enum { NX = 192, NY = 144, NROW = 700, NCHAN = 3 };

static const double cell = 4.0e-4;              /* rad; the corner is 2.7 degrees off */
static const double sigma_m[3] = {100, 60, 18}; /* 2 cell u <= 0.83 at 2.2 sigma */
static const double tilt_a = -0.31, tilt_b = 0.47; /* w = a u + b v */
static const struct point sky[] = {
    {0.0203, -0.0091, 3.0}, {-0.0137, -0.0171, 1.0}, {-0.0302, 0.0213, 2.0}};

struct setup {
    struct samples s;
    struct imager *im;
    float *pix; /* [NY][NX] */
};

static void set_up_opts(struct setup *t, struct imager_opts opts)
{
    struct err e = {0};

    made_samples(&t->s, NROW, NCHAN, sigma_m, tilt_a, tilt_b);
    made_sky(&t->s, sky, 3, t->s.data);
    t->pix = malloc(NX * NY * sizeof *t->pix);
    if (imager_new(&t->im, &t->s, &opts, 1.0, 0.5, &e) != 0)
        fail_msg("%s", e.text);
}

static void set_up(struct setup *t)
{
    set_up_opts(t, (struct imager_opts){.nx = NX, .ny = NY, .cell_rad = cell});
}

static void tear_down(struct setup *t)
{
    imager_free(t->im);
    made_free(&t->s);
    free(t->pix);
}

/* Slant coordinates of a direction, from the definition in wcs.h; then its pixel. */
static void pixel_of(const struct imager *im, double l, double m, double *x, double *y)
{
    struct wcs wcs;
    double n = sqrt(1.0 - l * l - m * m);

    imager_wcs(im, &wcs);
    *x = wcs.crpix1 - 1.0 - (l + wcs.xi * (1.0 - n)) / cell;
    *y = wcs.crpix2 - 1.0 + (m + wcs.eta * (1.0 - n)) / cell;
}

/* The inverse by repeated substitution. */
static void direction_of(const struct imager *im, double x, double y, double lmn[3])
{
    struct wcs wcs;

    imager_wcs(im, &wcs);
    lmn[2] = 1.0;
    for (int i = 0; i < 60; i++) {
        lmn[0] = -(x - (wcs.crpix1 - 1.0)) * cell - wcs.xi * (1.0 - lmn[2]);
        lmn[1] = (y - (wcs.crpix2 - 1.0)) * cell - wcs.eta * (1.0 - lmn[2]);
        lmn[2] = sqrt(1.0 - lmn[0] * lmn[0] - lmn[1] * lmn[1]);
    }
}

/* sum w Re(V exp(-2 pi i (u l + v m + w (n - 1)))) / sum w, natural weights. */
static double direct_sum(const struct setup *t, double x, double y)
{
    double lmn[3], sum = 0.0, sum_w = 0.0;

    direction_of(t->im, x, y, lmn);
    for (size_t i = 0; i < NROW * NCHAN; i++) {
        const double *uvw = t->s.uvw_m[i / NCHAN];
        double k = 2.0 * M_PI * t->s.freq_hz[i % NCHAN] / 299792458.0;
        double phase =
            k * (uvw[0] * lmn[0] + uvw[1] * lmn[1] + uvw[2] * (lmn[2] - 1.0));
        double complex v = (double complex)t->s.data[i] * cexp(-I * phase);

        sum += (double)t->s.weight[i] * creal(v);
        sum_w += (double)t->s.weight[i];
    }
    return sum / sum_w;
}

/* The i-th of the places to look at: four corners first, then scattered. */
static void place(size_t i, size_t *x, size_t *y)
{
    static const size_t corner[4][2] = {
        {0, 0}, {NX - 1, 0}, {0, NY - 1}, {NX - 1, NY - 1}};
    uint64_t seed = 1000 + i;

    *x = i < 4 ? corner[i][0] : (size_t)(made_random(&seed) * NX);
    *y = i < 4 ? corner[i][1] : (size_t)(made_random(&seed) * NY);
}

static double peak_of(const float *pix)
{
    double peak = 0.0;

    for (size_t i = 0; i < NX * NY; i++)
        peak = fmax(peak, fabs((double)pix[i]));
    return peak;
}

static void dirty_image_equals_the_direct_sum(void **state)
{
    struct setup t;
    struct imager_info info;
    double worst = 0.0, sum2 = 0.0, err2 = 0.0;

    (void)state;
    set_up(&t);
    imager_info(t.im, &info);
    assert_true(info.terms >= 3); /* or the series would not be tested */
    assert_int_equal(made_dirty(t.im, t.pix), 0);
    for (size_t i = 0; i < 100; i++) {
        size_t x, y;

        place(i, &x, &y);
        double want = direct_sum(&t, (double)x, (double)y);
        double got = (double)t.pix[y * NX + x];
        worst = fmax(worst, fabs(got - want));
        sum2 += want * want;
        err2 += (got - want) * (got - want);
        if (i < 10) /* the built-in judge agrees with ours */
            assert_true(fabs(imager_dft(t.im, x, y) - want) < 1e-9);
    }
    printf("terms %d: worst error %.1e of the peak, rms %.1e of the rms\n", info.terms,
           worst / peak_of(t.pix), sqrt(err2 / sum2));
    assert_true(worst <
                1e-4 * peak_of(t.pix));    /* the promise of shared imaging notes */
    assert_true(sqrt(err2 / sum2) < 2e-5); /* what is asked for is 1e-5 */
    tear_down(&t);
}

static void other_accuracies_are_kept_too(void **state)
{
    static const double accuracy[] = {1e-3, 1e-4, 1e-6};

    (void)state;
    for (size_t a = 0; a < 3; a++) {
        struct setup t;
        double sum2 = 0.0, err2 = 0.0;

        set_up_opts(&t,
                    (struct imager_opts){
                        .nx = NX, .ny = NY, .cell_rad = cell, .accuracy = accuracy[a]});
        made_dirty(t.im, t.pix);
        for (size_t i = 0; i < 200; i++) {
            size_t x, y;

            place(i, &x, &y);
            double want = imager_dft(t.im, x, y);
            sum2 += want * want;
            err2 += pow((double)t.pix[y * NX + x] - want, 2.0);
        }
        printf("accuracy %.0e: rms error %.1e\n", accuracy[a], sqrt(err2 / sum2));
        assert_true(sqrt(err2 / sum2) < accuracy[a]);
        tear_down(&t);
    }
}

static void robust_weights_image_right_too(void **state)
{
    struct setup t;
    double worst = 0.0;

    (void)state;
    set_up_opts(&t,
                (struct imager_opts){
                    .nx = NX, .ny = NY, .cell_rad = cell, .briggs = 1, .robust = 0.0});
    made_dirty(t.im, t.pix);
    for (size_t i = 0; i < 40; i++) {
        size_t x, y;

        place(i, &x, &y);
        worst = fmax(worst, fabs((double)t.pix[y * NX + x] - imager_dft(t.im, x, y)));
    }
    assert_true(worst < 1e-4 * peak_of(t.pix));
    tear_down(&t);
}

static void sources_peak_where_they_were_put(void **state)
{
    struct setup t;

    (void)state;
    set_up(&t);
    for (size_t k = 0; k < 3; k++) {
        double x, y;
        size_t best = 0;

        memset(t.s.data, 0, NROW * NCHAN * sizeof *t.s.data);
        made_sky(&t.s, &sky[k], 1, t.s.data);
        made_dirty(t.im, t.pix);
        for (size_t i = 0; i < NX * NY; i++)
            best = t.pix[i] > t.pix[best] ? i : best;
        pixel_of(t.im, sky[k].l, sky[k].m, &x, &y);
        assert_true(fabs((double)(best % NX) - x) < 0.75);
        assert_true(fabs((double)(best / NX) - y) < 0.75);
        /* off the pixel's centre by at most half a pixel of a 3.5 pixel beam */
        assert_true(fabs((double)t.pix[best] / sky[k].flux_jy - 0.95) < 0.06);
    }
    tear_down(&t);
}

static void the_tilt_is_found_and_goes_to_the_projection(void **state)
{
    struct setup t;
    struct wcs wcs;
    struct imager_info info;

    (void)state;
    set_up(&t);
    imager_wcs(t.im, &wcs);
    imager_info(t.im, &info);
    /* roughness 18 m over baselines of 100 and 60 m, 700 rows: 0.007 and 0.011 expected */
    assert_true(fabs(info.a - tilt_a) < 0.03 && fabs(info.b - tilt_b) < 0.045);
    assert_true(fabs(wcs.xi + info.a) < 1e-15 && fabs(wcs.eta + info.b) < 1e-15);
    assert_true(wcs.crpix1 == NX / 2 + 1 && wcs.crpix2 == NY / 2 + 1);
    assert_true(info.wrest < info.wmax);
    assert_true(fabs(info.freq_hz - 1.403e9) < 0.2e6);
    assert_int_equal(info.nsample + (NROW * NCHAN + 11) / 17, NROW * NCHAN);
    tear_down(&t);
}

/* wcs.c and the images agree about where a pixel looks. */
static void the_projection_leads_to_the_same_directions(void **state)
{
    struct setup t;
    struct wcs wcs;

    (void)state;
    set_up(&t);
    imager_wcs(t.im, &wcs);
    for (size_t i = 0; i < 10; i++) {
        size_t x, y;
        double got[3], want[3];

        place(i, &x, &y);
        direction_of(t.im, (double)x, (double)y, want);
        assert_int_equal(wcs_pix_to_lmn(&wcs, (double)x, (double)y, got), 0);
        for (int k = 0; k < 3; k++)
            assert_true(fabs(got[k] - want[k]) < 1e-12);
    }
    tear_down(&t);
}

static void psf_is_one_at_its_middle(void **state)
{
    struct setup t;

    (void)state;
    set_up(&t);
    imager_psf(t.im, t.pix, NULL);
    assert_true(fabs((double)t.pix[NY / 2 * NX + NX / 2] - 1.0) < 1e-5);
    assert_true(fabs(peak_of(t.pix) - 1.0) < 1e-5);
    tear_down(&t);
}

/* Other data are taken in; another weight, even of one sample, is told. */
static void weights_that_have_changed_are_noticed(void **state)
{
    struct setup t;
    bool changed = true;

    (void)state;
    set_up(&t);
    t.s.data[7] *= 3;
    assert_int_equal(imager_load(t.im, &changed, NULL), 0);
    assert_false(changed);
    t.s.weight[NCHAN * 9] *= 1.001f;
    assert_int_equal(imager_load(t.im, &changed, NULL), 0);
    assert_true(changed);
    tear_down(&t);
}

static void predicted_visibilities_equal_the_measurement_equation(void **state)
{
    static const size_t at[3][3] = {{0, 0, 2}, {150, 31, 3}, {57, NY - 1, 1}};
    struct setup t;
    double err2 = 0.0, sum2 = 0.0;

    (void)state;
    set_up(&t);
    float complex *got = calloc(NROW * NCHAN, sizeof *got);
    memset(t.pix, 0, NX * NY * sizeof *t.pix);
    memset(t.s.data, 0, NROW * NCHAN * sizeof *t.s.data);
    for (size_t k = 0; k < 3; k++) {
        struct point p = {.flux_jy = (double)at[k][2]};
        double lmn[3];

        direction_of(t.im, (double)at[k][0], (double)at[k][1], lmn);
        p.l = lmn[0];
        p.m = lmn[1];
        made_sky(&t.s, &p, 1, t.s.data);
        t.pix[at[k][1] * NX + at[k][0]] = (float)at[k][2];
    }
    made_prediction(t.im, &t.s, t.pix, 0.25f, got);
    made_prediction(t.im, &t.s, t.pix, 0.75f, got); /* adds */
    for (size_t i = 0; i < NROW * NCHAN; i++) {
        double complex want = (double complex)t.s.data[i];

        err2 += pow(cabs((double complex)got[i] - want), 2.0);
        sum2 += pow(cabs(want), 2.0);
    }
    printf("prediction: rms error %.1e\n", sqrt(err2 / sum2));
    assert_true(sqrt(err2 / sum2) < 3e-5); /* two of the sources are at the border */
    free(got);
    tear_down(&t);
}

static void prediction_is_the_adjoint_of_imaging(void **state)
{
    struct setup t;
    struct imager_info info;
    double image_side = 0.0, vis_side = 0.0;
    uint64_t seed = 3;

    (void)state;
    set_up(&t);
    imager_info(t.im, &info);
    float *model = malloc(NX * NY * sizeof *model);
    float complex *got = calloc(NROW * NCHAN, sizeof *got);
    for (size_t i = 0; i < NX * NY;
         i++) /* not zero on average, so that the sum is large */
        model[i] = (float)made_random(&seed);
    for (size_t i = 0; i < NROW * NCHAN; i++)
        t.s.data[i] =
            (float)made_gauss(&seed) + (float)made_gauss(&seed) * (float complex)I;
    made_dirty(t.im, t.pix);
    made_prediction(t.im, &t.s, model, 1.0f, got);
    for (size_t i = 0; i < NX * NY; i++)
        image_side += (double)t.pix[i] * (double)model[i];
    for (size_t i = 0; i < NROW * NCHAN; i++)
        vis_side += (double)t.s.weight[i] / info.sum_weight *
                    creal((double complex)t.s.data[i] * conj((double complex)got[i]));
    assert_true(fabs(image_side / vis_side - 1.0) < 1e-5);
    free(got);
    free(model);
    tear_down(&t);
}

static void noise_is_what_the_factor_predicts(void **state)
{
    enum { TRIALS = 6 };

    (void)state;
    for (int briggs = 0; briggs < 2; briggs++) {
        struct setup t;
        struct imager_info info;
        uint64_t seed = 5;
        double sum2 = 0.0;

        set_up_opts(&t, (struct imager_opts){.nx = NX,
                                             .ny = NY,
                                             .cell_rad = cell,
                                             .briggs = briggs,
                                             .robust = -1.0});
        imager_info(t.im, &info);
        for (int trial = 0; trial < TRIALS; trial++) {
            for (size_t i = 0; i < NROW * NCHAN; i++) { /* variance 4 / weight a part */
                double sigma = 2.0 / sqrt((double)t.s.weight[i]);

                ((float *)t.s.data)[2 * i] = (float)(sigma * made_gauss(&seed));
                ((float *)t.s.data)[2 * i + 1] = (float)(sigma * made_gauss(&seed));
                if (!(t.s.weight[i] > 0.0f))
                    t.s.data[i] = NAN; /* flagged: must not be looked at */
            }
            made_dirty(t.im, t.pix);
            for (size_t i = 0; i < NX * NY; i++)
                sum2 += pow((double)t.pix[i], 2.0);
        }
        double ratio = sqrt(sum2 / (TRIALS * NX * NY)) / (2.0 * info.noise_factor);
        printf("noise / prediction, briggs %d: %.3f\n", briggs, ratio);
        assert_true(fabs(ratio - 1.0) <
                    0.05); /* 6 x 2000 samples: about 1 % expected */
        tear_down(&t);
    }
}

/* Half the rows within 1 % of the finest fringe that the pixels hold, in u or v or both. */
static void the_finest_fringes_are_imaged(void **state)
{
    struct setup t;
    struct imager_opts opts = {.nx = NX, .ny = NY, .cell_rad = cell};
    double worst = 0.0;

    (void)state;
    set_up(&t);
    imager_free(t.im);
    double(*uvw)[3] = (double(*)[3])t.s.uvw_m;
    double limit_m = 0.5 / cell * 299792458.0 / t.s.freq_hz[NCHAN - 1];
    for (size_t r = 0; r < NROW; r += 2) {
        double edge = limit_m * (1.0 - 0.01 * (double)r / NROW),
               sign = r % 4 ? 1.0 : -1.0;

        if (r % 3 != 0)
            uvw[r][0] = sign * edge;
        if (r % 3 != 1)
            uvw[r][1] = r % 8 < 4 ? edge : -edge;
        uvw[r][2] = tilt_a * uvw[r][0] + tilt_b * uvw[r][1] + 0.01 * (double)r;
    }
    memset(t.s.data, 0, NROW * NCHAN * sizeof *t.s.data);
    made_sky(&t.s, sky, 3, t.s.data);
    assert_int_equal(imager_new(&t.im, &t.s, &opts, 1.0, 0.5, NULL), 0);
    made_dirty(t.im, t.pix);
    for (size_t i = 0; i < 40; i++) {
        size_t x, y;

        place(i, &x, &y);
        worst = fmax(worst, fabs((double)t.pix[y * NX + x] -
                                 direct_sum(&t, (double)x, (double)y)));
    }
    printf("finest fringes: worst error %.1e of the peak\n", worst / peak_of(t.pix));
    assert_true(worst < 1e-5 * peak_of(t.pix));
    tear_down(&t);
}

/* Baselines on a line have no plane of their own; the least-norm one still images right. */
static void baselines_on_a_line_are_imaged(void **state)
{
    struct setup t;
    struct imager_opts opts = {.nx = NX, .ny = NY, .cell_rad = cell};
    double worst = 0.0;

    (void)state;
    set_up(&t);
    imager_free(t.im);
    double(*uvw)[3] = (double(*)[3])t.s.uvw_m;
    for (size_t r = 0; r < NROW; r++) {
        uvw[r][1] = 0.5 * uvw[r][0];
        uvw[r][2] = -0.3 * uvw[r][0];
    }
    memset(t.s.data, 0, NROW * NCHAN * sizeof *t.s.data);
    made_sky(&t.s, sky, 3, t.s.data);
    assert_int_equal(imager_new(&t.im, &t.s, &opts, 1.0, 0.5, NULL), 0);
    struct imager_info info;
    imager_info(t.im, &info);
    /* the smallest (a, b) with a + 0.5 b = -0.3 is -0.3 (1, 0.5) / 1.25 */
    assert_true(fabs(info.a + 0.24) < 1e-9 && fabs(info.b + 0.12) < 1e-9);
    made_dirty(t.im, t.pix);
    for (size_t i = 0; i < 40; i++) {
        size_t x, y;

        place(i, &x, &y);
        worst = fmax(worst, fabs((double)t.pix[y * NX + x] -
                                 direct_sum(&t, (double)x, (double)y)));
    }
    assert_true(worst < 1e-4 * peak_of(t.pix));
    tear_down(&t);
}

static void impossible_requests_are_refused_with_a_sentence(void **state)
{
    struct setup t;
    struct imager *im;
    struct err e = {0};
    struct imager_opts opts = {.nx = 191, .ny = NY, .cell_rad = cell};

    (void)state;
    set_up(&t);
    assert_int_equal(imager_new(&im, &t.s, &opts, 1.0, 0.5, &e), ERR_SHAPE);
    assert_non_null(strstr(e.text, "191"));
    assert_null(im);

    opts = (struct imager_opts){.nx = NX, .ny = NY, .cell_rad = 2.0 * cell};
    assert_int_equal(imager_new(&im, &t.s, &opts, 1.0, 0.5, &e), ERR_SHAPE);
    assert_non_null(strstr(e.text, "too large"));

    opts = (struct imager_opts){.nx = 4 * NX, .ny = 4 * NY, .cell_rad = cell};
    assert_int_equal(imager_new(&im, &t.s, &opts, 1.0, 0.5, &e), ERR_SHAPE);
    assert_non_null(strstr(e.text, "too wide"));

    opts = (struct imager_opts){.nx = 30 * NX, .ny = NY, .cell_rad = cell};
    assert_int_equal(imager_new(&im, &t.s, &opts, 1.0, 0.5, &e), ERR_SHAPE);
    assert_non_null(strstr(e.text, "hemisphere"));

    memset(t.s.weight, 0, NROW * NCHAN * sizeof *t.s.weight);
    opts = (struct imager_opts){.nx = NX, .ny = NY, .cell_rad = cell};
    assert_int_equal(imager_new(&im, &t.s, &opts, 1.0, 0.5, &e), ERR_QUALITY);
    assert_non_null(strstr(e.text, "flagged"));
    tear_down(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dirty_image_equals_the_direct_sum),
        cmocka_unit_test(other_accuracies_are_kept_too),
        cmocka_unit_test(robust_weights_image_right_too),
        cmocka_unit_test(sources_peak_where_they_were_put),
        cmocka_unit_test(the_tilt_is_found_and_goes_to_the_projection),
        cmocka_unit_test(the_projection_leads_to_the_same_directions),
        cmocka_unit_test(psf_is_one_at_its_middle),
        cmocka_unit_test(weights_that_have_changed_are_noticed),
        cmocka_unit_test(predicted_visibilities_equal_the_measurement_equation),
        cmocka_unit_test(prediction_is_the_adjoint_of_imaging),
        cmocka_unit_test(noise_is_what_the_factor_predicts),
        cmocka_unit_test(the_finest_fringes_are_imaged),
        cmocka_unit_test(baselines_on_a_line_are_imaged),
        cmocka_unit_test(impossible_requests_are_refused_with_a_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
