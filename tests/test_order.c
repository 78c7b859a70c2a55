/*
 * test_order.c: ranks are those of a sorted copy, with many equal values, too.
 */
#include "tests/test.h"

#include <math.h>
#include <stdlib.h>

#include "core/order.h"

enum { MOST = 61 };

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* n values of few different ones, some negative. */
static void make(double *v, float *f, double *sorted, size_t n, unsigned kinds)
{
    unsigned seed = 7 + 31 * (unsigned)n + kinds;

    for (size_t i = 0; i < n; i++) {
        seed = seed * 1103515245U + 12345U;
        v[i] = sorted[i] = (double)(seed >> 16 & 0x7fffU) - 9000;
        if (kinds > 0)
            v[i] = sorted[i] = (double)(seed >> 16) / 4096.0 - kinds;
        v[i] = sorted[i] = kinds > 0 ? floor(v[i]) : v[i];
        f[i] = (float)v[i];
    }
    qsort(sorted, n, sizeof *sorted, by_value);
}

static void each_rank_is_that_of_the_sorted_values(void **state)
{
    double v[MOST], sorted[MOST];
    float f[MOST];

    (void)state;
    for (size_t n = 1; n <= MOST; n += 1 + n / 4)
        for (size_t k = 0; k < n; k++)
            for (unsigned kinds = 0; kinds <= 6; kinds += 3) {
                make(v, f, sorted, n, kinds);
                assert_true(order_kth(v, n, k) - sorted[k] == 0);
                assert_true((double)order_kthf(f, n, k) - sorted[k] == 0);
                for (size_t i = 0; i < n; i++)
                    assert_true(i <= k ? f[i] <= f[k] : f[i] >= f[k]);
            }
}

static void a_median_is_the_middle_of_both_middle_values(void **state)
{
    double v[MOST], sorted[MOST];
    float f[MOST];

    (void)state;
    assert_true(isnan(order_medianf(f, 0)));
    for (size_t n = 1; n <= MOST; n++) {
        make(v, f, sorted, n, 0);
        assert_true(fabs((double)order_medianf(f, n) -
                         0.5 * (sorted[(n - 1) / 2] + sorted[n / 2])) < 1e-3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_rank_is_that_of_the_sorted_values),
        cmocka_unit_test(a_median_is_the_middle_of_both_middle_values),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
