/*
 * test_normal.c: the convolutions against the visibilities: a residual made without them is
 * the one made with them, and the operator is symmetric.
 */
#include "tests/test.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "pipeline/imaging/normal.h"
#include "pipeline/sky/beam_series.h"
#include "tests/made_samples.h"

enum { NX = 194, NY = 142, NROW = 700, NCHAN = 3, NTIME = 7, NPIX = NX * NY };

static const double cell = 4.0e-4; /* rad; the corner is 2.7 degrees off */

struct setup {
    struct samples s;
    struct beam_series beam;
    int row_time[NROW];
    struct imager *im;
    struct normal *op;
    float *psf;
};

/* A beam of so many terms that vary over the image (or do not), and with time and channel. */
static void make_beam(struct setup *t, size_t terms, double bend)
{
    struct beam_series *b = &t->beam;
    uint64_t seed = 5;

    *b = (struct beam_series){.terms = terms,
                              .size = {1, 1, 1},
                              .ntime = NTIME,
                              .nchan = NCHAN,
                              .row_time = t->row_time,
                              .step = 16,
                              .nx = (NX + 14) / 16 + 1,
                              .ny = (NY + 14) / 16 + 1};
    for (size_t r = 0; r < NROW; r++)
        t->row_time[r] = (int)(r % NTIME);
    for (size_t q = 1; q < terms; q++) {
        b->factor[q] = malloc(sizeof(float[NTIME * NCHAN]));
        b->node[q] = malloc(b->nx * b->ny * sizeof(float));
        for (size_t i = 0; i < NTIME * NCHAN; i++)
            b->factor[q][i] = (float)(2 * made_random(&seed) - 1);
        for (size_t i = 0; i < b->nx * b->ny; i++)
            b->node[q][i] = (float)(0.6 + bend * made_gauss(&seed));
    }
}

/* roughness_m: how far the array is from a plane; terms, bend: of the beam */
static void set_up_beam(struct setup *t, double roughness_m, int briggs, size_t terms,
                        double bend)
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
    make_beam(t, terms, bend);
    if (imager_new(&t->im, &t->s, &opts, 1.0, 0.5, &e) != 0)
        fail_msg("%s", e.text);
    assert_int_equal(imager_set_beam(t->im, &t->beam, NULL), 0);
    if (normal_new(&t->op, t->im, t->psf, &e) != 0)
        fail_msg("%s", e.text);
}

static void set_up(struct setup *t, double roughness_m, int briggs)
{
    set_up_beam(t, roughness_m, briggs, 1, 0);
}

static void tear_down(struct setup *t)
{
    normal_free(t->op);
    imager_free(t->im);
    made_free(&t->s);
    free(t->psf);
    for (size_t q = 1; q < t->beam.terms; q++) {
        free(t->beam.factor[q]);
        free(t->beam.node[q]);
    }
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

/* The largest difference over the peak, and how many terms w took. */
static double difference(struct setup *t)
{
    float *model = made_model(3), *with = malloc(NPIX * sizeof *with);
    float *without = calloc(NPIX, sizeof *without);
    double peak = 0, worst = 0;

    assert_int_equal(made_prediction(t->im, &t->s, model, 1.0f, t->s.data), 0);
    assert_int_equal(made_dirty(t->im, with), 0);
    normal_subtract(t->op, model, without);
    for (size_t p = 0; p < NPIX; p++) {
        peak = fmax(peak, fabs((double)with[p]));
        worst = fmax(worst, fabs((double)with[p] + (double)without[p]));
    }
    free(model);
    free(with);
    free(without);
    return worst / peak;
}

static void a_residual_is_the_one_from_the_visibilities(void **state)
{
    static const struct {
        double roughness_m;
        int briggs, least_terms;
        size_t beams;
    } array[] = {{0.0, 0, 1, 1}, {0.6, 1, 3, 1}, {18, 0, 8, 1},
                 {0.6, 0, 3, 2}, {0.6, 1, 3, 3}, {18, 0, 8, 3}};

    (void)state;
    for (size_t i = 0; i < sizeof array / sizeof array[0]; i++) {
        struct setup t;
        struct imager_info info;
        double worst;

        set_up_beam(&t, array[i].roughness_m, array[i].briggs, array[i].beams, 0.2);
        imager_info(t.im, &info);
        assert_true(info.terms >= array[i].least_terms);
        worst = difference(&t);
        printf("%d terms, %zu of the beam: differ by at most %.1e of the peak\n",
               info.terms, array[i].beams, worst);
        assert_true(worst < 1e-5);
        tear_down(&t);
    }
}

static void a_point_is_predicted_as_each_sample_sees_it(void **state)
{
    enum { X = 150, Y = 37 };
    struct setup t;
    float *model = calloc(NPIX, sizeof *model);
    float complex *plain = calloc((size_t)NROW * NCHAN, sizeof *plain);
    float b[3];

    (void)state;
    set_up_beam(&t, 5, 0, 3, 0.2);
    model[Y * NX + X] = 2.0f;
    for (size_t q = 0; q < 3; q++) {
        float row[NX];

        for (size_t x = 0; x < NX; x++)
            row[x] = 1.0f;
        beam_series_row(&t.beam, q, Y, row, NX);
        b[q] = row[X];
    }
    assert_true(b[0] >= 1.0f && b[0] <= 1.0f);
    assert_int_equal(made_prediction(t.im, &t.s, model, 1.0f, t.s.data), 0);
    assert_int_equal(imager_set_beam(t.im, NULL, NULL), 0);
    assert_int_equal(made_prediction(t.im, &t.s, model, 1.0f, plain), 0);
    for (size_t i = 0; i < (size_t)NROW * NCHAN; i++) {
        size_t at = i / NCHAN % NTIME * NCHAN + i % NCHAN;
        float seen = 1 + b[1] * t.beam.factor[1][at] + b[2] * t.beam.factor[2][at];

        assert_true(cabs((double complex)t.s.data[i] -
                         (double)seen * (double complex)plain[i]) < 2e-5);
    }
    free(model);
    free(plain);
    tear_down(&t);
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

/* ... also with a beam, as long as it is the same in all directions. */
static void it_is_symmetric(void **state)
{
    float *x = made_model(17), *y = made_model(99);

    (void)state;
    for (size_t terms = 1; terms <= 3; terms += 2) {
        struct setup t;
        float *ax = calloc(NPIX, sizeof *ax), *ay = calloc(NPIX, sizeof *ay);
        double left = 0, right = 0;

        set_up_beam(&t, 18, 0, terms, 0);
        normal_subtract(t.op, x, ax);
        normal_subtract(t.op, y, ay);
        for (size_t i = 0; i < NPIX; i++) {
            left += (double)x[i] * (double)ay[i];
            right += (double)ax[i] * (double)y[i];
        }
        printf("<x, A y> = %.9g, <A x, y> = %.9g\n", left, right);
        assert_true(fabs(left - right) < 1e-5 * fabs(left));
        free(ax);
        free(ay);
        tear_down(&t);
    }
    free(x);
    free(y);
}

/* Minor cycles see a component as major cycles do, but for the last terms of w and the beam. */
static void a_component_leaves_the_same_at_a_few_pixels(void **state)
{
    static const size_t from[][2] = {
        {NX / 3, NY / 2 + 9}, {NX - 5, 3}, {NX / 2, NY / 2}};
    float *model = calloc(NPIX, sizeof *model), *left = malloc(NPIX * sizeof *left);
    float *whole = malloc(NPIX * sizeof *whole);
    uint16_t *x = malloc(NPIX * sizeof *x), *y = malloc(NPIX * sizeof *y);

    (void)state;
    for (size_t i = 0; i < NPIX; i++) {
        x[i] = (uint16_t)(i % NX);
        y[i] = (uint16_t)(i / NX);
    }
    for (size_t k = 0; k < 2 * sizeof from / sizeof from[0]; k++) {
        size_t px = from[k / 2][0], py = from[k / 2][1], beams = k % 2 ? 3 : 1;
        double peak, worst = 0;
        struct setup t;

        set_up_beam(&t, k % 2 ? 0.02 : 0.4, 1, beams, 0.2);
        memset(whole, 0, NPIX * sizeof *whole);
        memset(left, 0, NPIX * sizeof *left);
        model[py * NX + px] = 1.3f;
        normal_subtract(t.op, model, whole);
        model[py * NX + px] = 0;
        normal_take_near(t.op, px, py, 1.3f, x, y, NPIX, left);
        peak = fabs((double)whole[py * NX + px]);
        for (size_t i = 0; i < NPIX; i++)
            worst = fmax(worst, fabs((double)left[i] - (double)whole[i]));
        print_message("from (%zu, %zu), %zu terms of the beam: %.1e of the peak off\n",
                      px, py, beams, worst / peak);
        assert_true(worst < 2e-4 * peak);
        tear_down(&t);
    }
    free(model);
    free(left);
    free(whole);
    free(x);
    free(y);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_residual_is_the_one_from_the_visibilities),
        cmocka_unit_test(a_point_is_predicted_as_each_sample_sees_it),
        cmocka_unit_test(its_point_spread_function_is_the_imagers),
        cmocka_unit_test(it_is_symmetric),
        cmocka_unit_test(a_component_leaves_the_same_at_a_few_pixels),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
