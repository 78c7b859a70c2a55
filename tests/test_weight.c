/*
 * test_weight.c: robust weights against numbers worked out by hand.
 */
#include "tests/test.h"

#include <math.h>

#include "pipeline/imaging/imager.h"
#include "pipeline/imaging/samples.h"
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

static void robust_weights_follow_the_definition(void **state)
{
    static const double robust[] = {-2.0, 0.0, 0.5, 2.0};
    struct samples s = {.nrow = 6, .nchan = 1, .uvw_m = uvw, .freq_hz = freq};

    (void)state;
    for (size_t r = 0; r < 4; r++) {
        float wi[6];
        /* sum of W^2 = 36 + 16 + 25 = 77, sum of w = 15 */
        double f2 = 25.0 * pow(10.0, -2.0 * robust[r]) * 15.0 / 77.0;

        for (size_t i = 0; i < 6; i++)
            wi[i] = natural[i];
        assert_int_equal(weight_briggs(wi, &s, 20, 30, 0.001, robust[r], NULL), 0);
        for (size_t i = 0; i < 6; i++) {
            double want = (double)natural[i] / (1.0 + density[i] * f2);

            assert_true(fabs((double)wi[i] - want) <= 1e-6 * want);
        }
    }
}

static void the_ends_are_uniform_and_natural(void **state)
{
    struct samples s = {.nrow = 6, .nchan = 1, .uvw_m = uvw, .freq_hz = freq};
    float low[6], high[6];

    (void)state;
    for (size_t i = 0; i < 6; i++)
        low[i] = high[i] = natural[i];
    weight_briggs(low, &s, 20, 30, 0.001, -4.0, NULL);
    weight_briggs(high, &s, 20, 30, 0.001, 4.0, NULL);
    /* uniform: each cell weighs the same in all */
    assert_true(fabs((double)((low[0] + low[1] + low[2]) / low[3]) - 1.0) < 1e-5);
    assert_true(fabs((double)(low[4] / low[3]) - 1.0) < 1e-5);
    for (size_t i = 0; i < 6; i++) /* natural: as given */
        assert_true(fabs((double)(high[i] - natural[i])) < 1e-5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(robust_weights_follow_the_definition),
        cmocka_unit_test(the_ends_are_uniform_and_natural),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
