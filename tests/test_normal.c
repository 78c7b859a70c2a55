/*
 * test_normal.c: the convolutions against the visibilities: a residual made without them is
 * the one made with them, and the operator is symmetric.
 */
#include "tests/test.h"

#include <string.h>

#include "core/err.h"
#include "pipeline/imaging/normal.h"
#include "tests/made_samples.h"

enum { NX = 192, NY = 144, NROW = 700, NCHAN = 3, NPIX = NX * NY };

static const double cell = 4.0e-4; /* rad; the corner is 2.7 degrees off */

struct setup {
    struct samples s;
    struct imager *im;
    struct normal *op;
    float *psf;
};

/* roughness_m: how far the array is from a plane */
static void set_up(struct setup *t, double roughness_m, int briggs)
{
    const double sigma_m[3] = {100, 60, roughness_m};
    struct imager_opts opts = {.nx = NX,
                               .ny = NY,
                               .cell_rad = cell,
                               .briggs = briggs,
                               .threads = 2,
                               .accuracy = 1e-6};
    struct err e = {0};

    made_samples(&t->s, NROW, NCHAN, sigma_m, -0.31, 0.47);
    t->psf = malloc(NPIX * sizeof *t->psf);
    if (imager_new(&t->im, &t->s, &opts, 1.0, 0.5, &e) != 0 ||
        normal_new(&t->op, t->im, t->psf, &e) != 0)
        fail_msg("%s", e.text);
}

static void tear_down(struct setup *t)
{
    normal_free(t->op);
    imager_free(t->im);
    made_free(&t->s);
    free(t->psf);
}

/* Thirty points anywhere in the image, two of them in corners. */
static float *made_model(uint64_t seed)
{
    float *model = calloc(NPIX, sizeof *model);

    model[NX + 1] = 1.5f;
    model[NPIX - NX - 2] = 0.7f;
    for (int i = 0; i < 28; i++)
        model[(size_t)(made_random(&seed) * NPIX)] += (float)made_gauss(&seed);
    return model;
}

static void a_residual_is_the_one_from_the_visibilities(void **state)
{
    static const struct {
        double roughness_m;
        int briggs, least_terms;
    } array[] = {{0.0, 0, 1}, {0.6, 1, 3}, {18, 0, 8}};

    (void)state;
    for (size_t i = 0; i < sizeof array / sizeof array[0]; i++) {
        struct setup t;
        struct imager_info info;
        float *model = made_model(3), *with = malloc(NPIX * sizeof *with);
        float *without = calloc(NPIX, sizeof *without);
        double peak = 0, worst = 0;

        set_up(&t, array[i].roughness_m, array[i].briggs);
        imager_info(t.im, &info);
        assert_true(info.terms >= array[i].least_terms);
        assert_int_equal(imager_predict(t.im, model, 1.0f, t.s.data, NULL), 0);
        assert_int_equal(imager_dirty(t.im, t.s.data, with, NULL), 0);
        normal_subtract(t.op, model, without);
        for (size_t p = 0; p < NPIX; p++) {
            peak = fmax(peak, fabs((double)with[p]));
            worst = fmax(worst, fabs((double)with[p] + (double)without[p]));
        }
        printf("%d terms: differ by at most %.1e of the peak\n", info.terms,
               worst / peak);
        assert_true(worst < 1e-5 * peak);
        free(model);
        free(with);
        free(without);
        tear_down(&t);
    }
}

static void its_point_spread_function_is_the_imagers(void **state)
{
    struct setup t;
    float *psf = malloc(NPIX * sizeof *psf);

    (void)state;
    set_up(&t, 5, 1);
    assert_int_equal(imager_psf(t.im, psf, NULL), 0);
    assert_true(fabs((double)t.psf[NY / 2 * NX + NX / 2] - 1) < 1e-5);
    for (size_t i = 0; i < NPIX; i++)
        assert_true(fabs((double)(psf[i] - t.psf[i])) < 1e-5);
    free(psf);
    tear_down(&t);
}

static void it_is_symmetric(void **state)
{
    struct setup t;
    float *x = made_model(17), *y = made_model(99);
    float *ax = calloc(NPIX, sizeof *ax), *ay = calloc(NPIX, sizeof *ay);
    double left = 0, right = 0;

    (void)state;
    set_up(&t, 18, 0);
    normal_subtract(t.op, x, ax);
    normal_subtract(t.op, y, ay);
    for (size_t i = 0; i < NPIX; i++) {
        left += (double)x[i] * (double)ay[i];
        right += (double)ax[i] * (double)y[i];
    }
    printf("<x, A y> = %.9g, <A x, y> = %.9g\n", left, right);
    assert_true(fabs(left - right) < 1e-5 * fabs(left));
    free(x);
    free(y);
    free(ax);
    free(ay);
    tear_down(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_residual_is_the_one_from_the_visibilities),
        cmocka_unit_test(its_point_spread_function_is_the_imagers),
        cmocka_unit_test(it_is_symmetric),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
