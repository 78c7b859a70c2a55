/*
 * test_refant.c: phases belong to an antenna that has gains, and go on where it has none.
 */
#include "tests/test.h"

#include <complex.h>
#include <math.h>

#include "core/err.h"
#include "pipeline/cal/gains.h"
#include "pipeline/cal/refant.h"
#include "pipeline/cal/solve.h"
#include "tests/made_gains.h"

static void automatic_reference_is_central_and_has_data(void **state)
{
    struct truth truth;
    struct vis *vis = make_vis();
    float complex *model = make_model(vis);
    struct gains *g;
    struct err e;
    int first;

    (void)state;
    make_truth(&truth, 2);
    fill(vis, model, &truth, false, 0, 1);
    for (int a = 0; a < NANT;
         a++) { /* a line with its middle at antenna 7, outlier 10 */
        vis->ant_pos_m[a][0] = a == 10 ? 5000 : fabs(7.0 - a) * (a % 2 ? 10 : -10);
        vis->ant_pos_m[a][1] = vis->ant_pos_m[a][2] = 0;
    }
    assert_int_equal(solve_gains(&g, vis, of(vis, model), 0, 0, NULL, &e), 0);
    first = g->refant;
    assert_int_equal(first, 7);
    gains_free(g);
    flag_antenna(vis, 7);
    assert_int_equal(solve_gains(&g, vis, of(vis, model), 0, 0, NULL, &e), 0);
    assert_int_not_equal(g->refant, 7);
    assert_int_not_equal(g->refant, 10);
    gains_free(g);
    free(model);
    vis_free(vis);
}

static void a_silent_reference_is_replaced_and_the_table_names_the_other(void **state)
{
    struct truth truth;
    struct vis *vis = make_vis();
    float complex *model = make_model(vis);
    struct gains *bp, *g;
    struct err e;

    (void)state;
    make_truth(&truth, 8);
    for (int c = 0; c < NCHAN; c++) /* 9 hears nothing but its own noise */
        truth.bp[c][9][0] = truth.bp[c][9][1] = 0;
    fill(vis, model, &truth, true, 0.0004, 12);
    flag_antenna(vis, 6); /* 6 has no data */
    for (int want = 6; want <= 9; want++) {
        const struct solve_opts opts = {.refant = want};

        assert_int_equal(solve_bandpass(&bp, &g, vis, of(vis, model), &opts, &e), 0);
        assert_int_equal(bp->refant, g->refant);
        if (want == 7 || want == 8)
            assert_int_equal(bp->refant, want);
        for (int c = 0; c < NCHAN; c++) {
            float complex z = bp->g[(c * NANT + bp->refant) * NPOL];

            assert_true(crealf(z) > 0 && cimagf(z) == 0);
        }
        gains_free(bp);
        gains_free(g);
    }
    free(model);
    vis_free(vis);
}

/* Gains of [1][n][NANT][1] with a delay of their own each, in any common phase; `ref` has none in
 * the channels [lo, hi). */
static struct gains *turning_gains(size_t n, size_t ref, size_t lo, size_t hi)
{
    struct gains *g;
    unsigned long long seed = 4;

    assert_int_equal(gains_alloc(&g, NANT, 1, n, 1, NULL), 0);
    for (size_t c = 0; c < n; c++) {
        double common = 6 * uniform(&seed);

        for (size_t a = 0; a < NANT; a++) {
            double phase = common + 0.03 * (double)(a * c) + (double)a;

            if (a != ref || c < lo || c >= hi)
                g->g[c * NANT + a] =
                    (float complex)((1 + 0.1 * (double)a) * cexp(I * phase));
        }
    }
    return g;
}

static void phases_go_on_where_the_reference_has_no_solution(void **state)
{
    enum { N = 40, REF = 3 };
    static const size_t gap[][2] = {{10, 25}, {0, 6}, {33, N}, {0, 0}};

    (void)state;
    for (size_t k = 0; k < sizeof gap / sizeof gap[0]; k++) {
        struct gains *g = turning_gains(N, REF, gap[k][0], gap[k][1]);

        refant_refer(g, REF);
        assert_int_equal(g->refant, REF);
        for (size_t c = 1; c < N; c++) {
            float complex ref = g->g[c * NANT + REF];

            assert_true(ref == 0 || (crealf(ref) > 0 && cimagf(ref) == 0));
            for (size_t a = 0; a < NANT; a++) {
                float complex was = g->g[(c - 1) * NANT + a], z = g->g[c * NANT + a];

                if (a !=
                    REF) /* delays relative to the mean are at most 0.21 a channel */
                    assert_true(fabsf(cargf(z * conjf(was))) < 0.35f);
            }
            if (c > gap[k][0] && c < gap[k][1] && gap[k][0] > 0 && gap[k][1] < N)
                /* bit by bit from one side to the other: as if it had been there */
                assert_true(
                    fabsf(cargf(g->g[c * NANT + 7] * conjf(g->g[(c - 1) * NANT + 7])) -
                          0.03f * (7 - REF)) < 2e-3f);
        }
        gains_free(g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(automatic_reference_is_central_and_has_data),
        cmocka_unit_test(a_silent_reference_is_replaced_and_the_table_names_the_other),
        cmocka_unit_test(phases_go_on_where_the_reference_has_no_solution),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
