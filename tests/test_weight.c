/*
 * test_weight.c: robust weights against numbers worked out by hand.
 */
#include "tests/test.h"

#include <math.h>

#include "pipeline/imaging/weight.h"

/*
 * 20 x 30 pixels of 0.001 rad: cells of 50 wavelengths in u and 33.33 in v.  At
 * frequency c / (1 m) a metre is a wavelength.  Cells (column, row):
 *   0: (0, 1)   1: (0, 1)   2: (0, 1) as the conjugate   3: (1, 0)   4: (0, 2), as 1 would
 *   be if u and v cells were swapped   5: flagged, in the cell of 0
 */
static const double uvw[6][3] = {{10, 40, 5},  {45, 62, 0}, {-20, -50, 9},
                                 {60, 10, -3}, {40, 70, 0}, {11, 41, 0}};
static const double freq[1] = {299792458.0};
static const float natural[6] = {1.0f, 2.0f, 3.0f, 4.0f, 5.0f, 0.0f};
/* W_k of each sample: 1 + 2 + 3, 4, 5 */
static const double density[6] = {6, 6, 6, 4, 5, 6};

/* Weights of all six rows, each a channel. */
static void weigh(float wi[6], double robust)
{
    struct density d, half;

    assert_int_equal(density_init(&d, 20, 30, 0.001), 0);
    assert_int_equal(density_init(&half, 20, 30, 0.001), 0);
    for (size_t i = 0; i < 6; i++)
        density_add(i % 2 == 0 ? &d : &half, uvw[i], freq, 1, &natural[i]);
    density_join(&d, &half);
    density_robust(&d, robust);
    for (size_t i = 0; i < 6; i++) {
        wi[i] = natural[i];
        density_weigh(&d, uvw[i], freq, 1, &wi[i]);
    }
    density_close(&half);
    density_close(&d);
}

static void robust_weights_follow_the_definition(void **state)
{
    static const double robust[] = {-2.0, 0.0, 0.5, 2.0};

    (void)state;
    for (size_t r = 0; r < 4; r++) {
        float wi[6];
        /* sum of W^2 = 36 + 16 + 25 = 77, sum of w = 15 */
        double f2 = 25.0 * pow(10.0, -2.0 * robust[r]) * 15.0 / 77.0;

        weigh(wi, robust[r]);
        for (size_t i = 0; i < 6; i++) {
            double want = (double)natural[i] / (1.0 + density[i] * f2);

            assert_true(fabs((double)wi[i] - want) <= 1e-6 * want);
        }
    }
}

static void the_ends_are_uniform_and_natural(void **state)
{
    float low[6], high[6];

    (void)state;
    weigh(low, -4.0);
    weigh(high, 4.0);
    /* uniform: each cell weighs the same in all */
    assert_true(fabs((double)((low[0] + low[1] + low[2]) / low[3]) - 1.0) < 1e-5);
    assert_true(fabs((double)(low[4] / low[3]) - 1.0) < 1e-5);
    for (size_t i = 0; i < 6; i++) /* natural: as given */
        assert_true(fabs((double)(high[i] - natural[i])) < 1e-5);
}

/* 150 channels along a line, each where a channel of its own would be. */
static void channels_share_cells(void **state)
{
    enum { N = 150 };
    const double row[3] = {-37.0, 71.0, 3.0};
    double hz[N];
    float w[N], one;
    struct density together, apart;

    (void)state;
    assert_int_equal(density_init(&together, 20, 30, 0.001), 0);
    assert_int_equal(density_init(&apart, 20, 30, 0.001), 0);
    for (size_t c = 0; c < N; c++) {
        hz[c] = 299792458.0 * (1.0 + 0.03 * (double)c);
        w[c] = c % 7 == 3 ? 0.0f : (float)(1 + c % 5);
    }
    density_add(&together, row, hz, N, w);
    for (size_t c = 0; c < N; c++)
        density_add(&apart, row, &hz[c], 1, &w[c]);
    for (size_t k = 0; k < apart.nrow * apart.ncol; k++)
        assert_true(together.cell[k] == apart.cell[k]);
    density_robust(&together, 0.5);
    density_weigh(&together, row, hz, N, w);
    density_robust(&apart, 0.5);
    for (size_t c = 0; c < N; c++) {
        one = c % 7 == 3 ? 0.0f : (float)(1 + c % 5);
        density_weigh(&apart, row, &hz[c], 1, &one);
        assert_true(w[c] == one);
    }
    density_close(&together);
    density_close(&apart);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(robust_weights_follow_the_definition),
        cmocka_unit_test(the_ends_are_uniform_and_natural),
        cmocka_unit_test(channels_share_cells),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
