/*
 * test_islands.c: components that lie together are one source; what is negative shows what the
 * others may be.
 */
#include "tests/test.h"

#include <math.h>
#include <string.h>

#include "pipeline/continuum/islands.h"

enum { NX = 40, NY = 25 };

static void components_within_a_beam_are_one_source(void **state)
{
    float pix[NX * NY] = {0}, also[NX * NY];
    struct islands is = {0};

    (void)state;
    pix[5 * NX + 7] = 0.8F; /* 0.9 Jy between pixels, one of them negative */
    pix[5 * NX + 8] = 0.3F;
    pix[7 * NX + 6] = -0.2F;
    pix[20 * NX + 30] = 0.04F;
    pix[20 * NX + 31] = 0.02F;
    pix[3 * NX + 35] = -0.05F; /* no source */
    memcpy(also, pix, sizeof also);
    also[0] = 2; /* the calibrator's, which pix does not have */
    assert_int_equal(islands_find(&is, pix, NX, NY, 3, NULL), 0);
    assert_int_equal(is.n, 3);
    assert_int_equal(is.island[0].pixel, 5 * NX + 7);
    assert_true(fabs(is.island[0].flux_jy - 0.9) < 1e-6);
    assert_true(fabs(islands_most_negative(&is) - 0.05) < 1e-6);
    assert_true(fabs(islands_flux(pix, NX, NY, 20 * NX + 31, 3) - 0.06) < 1e-6);
    assert_true(fabs(islands_flux(also, NX, NY, 0, 3) - 2) < 1e-6);
    islands_drop(&is, 0.055, pix, also);
    assert_true(pix[3 * NX + 35] == 0 && also[3 * NX + 35] == 0);
    assert_true(pix[20 * NX + 30] == 0.04F && pix[7 * NX + 6] == -0.2F && also[0] == 2);
    islands_drop(&is, 0.07, pix, NULL);
    assert_true(pix[20 * NX + 30] == 0 && also[20 * NX + 30] == 0.04F);
    islands_close(&is);
    memset(pix, 0, sizeof pix);
    assert_int_equal(islands_find(&is, pix, NX, NY, 3, NULL), 0);
    assert_true(is.n == 0 && islands_most_negative(&is) == 0);
    islands_close(&is);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(components_within_a_beam_are_one_source),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
