/*
 * test_stokes.c: Stokes I made row by row is that of gains applied in place and of hands added
 * in plain loops, whatever is flagged, whichever gains there are, on every set of instructions.
 */
#include "tests/test.h"

#include <complex.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "core/err.h"
#include "pipeline/cal/apply.h"
#include "pipeline/cal/gains.h"
#include "pipeline/cal/lines.h"
#include "pipeline/cal/stokes.h"
#include "pipeline/sky/vis.h"

enum { NANT = 7, NTIME = 5, NCHAN = 83 };

static double uniform(unsigned long long *seed)
{
    *seed = *seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return (double)(*seed >> 11) / 9007199254740992.0;
}

static float complex any_complex(unsigned long long *seed)
{
    float re = (float)(uniform(seed) - 0.5), im = (float)(uniform(seed) - 0.5);

    return gain_of(re, im);
}

/* Every baseline at every time; a tenth of the samples flagged, of both hands by themselves. */
static struct vis *make_vis(size_t npol, const int *pol)
{
    unsigned long long seed = 4;
    struct vis *vis;
    struct err e;
    size_t row = 0;

    assert_int_equal(
        vis_alloc(&vis, NANT, NTIME, NTIME * NANT * (NANT - 1) / 2, NCHAN, npol, &e),
        0);
    for (int t = 0; t < NTIME; t++)
        vis->time_jd[t] = 2461000.25 + t * 12.884902 / 86400;
    for (int c = 0; c < NCHAN; c++) {
        vis->freq_hz[c] = 1.4e9 + c * 244140.625;
        vis->width_hz[c] = 244140.625;
    }
    memcpy(vis->pol, pol, npol * sizeof *pol);
    for (int t = 0; t < NTIME; t++) {
        for (int a = 0; a < NANT; a++) {
            for (int b = a + 1; b < NANT; b++, row++) {
                vis->row_time[row] = t;
                vis->row_ant1[row] = a;
                vis->row_ant2[row] = b;
            }
        }
    }
    for (size_t i = 0; i < vis->nrow * vis->nchan * npol; i++) {
        bool flagged = uniform(&seed) < 0.1;

        vis->data[i] = flagged && i % 2 == 0 ? 0 : 3e4F * any_complex(&seed);
        vis->weight[i] = flagged ? 0 : 6e6F * (float)(0.5 + uniform(&seed));
    }
    return vis;
}

/* Gains of either kind; an antenna without any, and one without some. */
static struct gains *make_gains(const struct vis *vis, size_t ntime, size_t nchan,
                                unsigned long long seed)
{
    struct gains *g;
    struct err e;

    assert_int_equal(gains_alloc(&g, NANT, ntime, nchan, vis->npol, &e), 0);
    for (size_t t = 0; t < ntime; t++)
        g->time_jd[t] =
            vis->time_jd[0] + (double)t * NTIME / (double)ntime * 12.884902 / 86400;
    for (size_t c = 0; c < nchan; c++)
        g->freq_hz[c] = nchan == 1 ? 1.41e9 : vis->freq_hz[c];
    for (size_t i = 0; i < ntime * nchan * NANT * vis->npol; i++) {
        size_t ant = i / vis->npol % NANT;

        g->g[i] = 0.02F * (any_complex(&seed) + 1);
        if (ant == 2 || (ant == 4 && i % 5 == 0))
            g->g[i] = 0;
    }
    return g;
}

/* Stokes I of the copy that gains were applied to; its size before hands cancel. */
static float complex plain_stokes(const struct vis *vis, size_t row, size_t c, int x,
                                  int y, float *weight, float *size)
{
    size_t at = (row * vis->nchan + c) * vis->npol;
    const float complex *v = vis->data + at;
    const float *w = vis->weight + at;

    *weight = *size = 0;
    if (!(w[x] > 0 && w[y] > 0))
        return 0;
    *weight = x == y ? w[x] : 4 / (1 / w[x] + 1 / w[y]);
    *size = cabsf(v[x]) + cabsf(v[y]);
    return 0.5F * (v[x] + v[y]);
}

static void check_all(struct vis *vis, const struct gains *const gains[2], int x, int y)
{
    struct apply job = {.gains = {gains[0], gains[1]}};
    struct stokes *s;
    struct err e;
    float complex got[NCHAN];
    float got_w[NCHAN], alone[NCHAN], w, size;
    size_t valid = 0, bytes = vis->nrow * vis->nchan * vis->npol;
    float complex *raw = malloc(bytes * sizeof *raw);
    float *raw_w = malloc(bytes * sizeof *raw_w);
    float complex *mine = vis->data;
    float *mine_w = vis->weight;

    assert_true(raw != NULL && raw_w != NULL);
    memcpy(raw, vis->data, bytes * sizeof *raw);
    memcpy(raw_w, vis->weight, bytes * sizeof *raw_w);
    assert_int_equal(stokes_new(&s, vis, gains, NULL, NULL, &e), 0);
    assert_int_equal(apply_gains(vis, &job, &e), 0);
    for (size_t row = 0; row < vis->nrow; row++) {
        vis->data = raw;
        vis->weight = raw_w;
        stokes_row(s, row, got, got_w);
        stokes_row(s, row, NULL, alone);
        vis->data = mine;
        vis->weight = mine_w;
        for (size_t c = 0; c < NCHAN; c++) {
            float complex want = plain_stokes(vis, row, c, x, y, &w, &size);

            assert_true(cabsf(got[c] - want) <= 1e-6F * size);
            assert_true(fabsf(got_w[c] - w) <= 2e-6F * w);
            assert_true(w > 0 || (got_w[c] == 0 && got[c] == 0));
            assert_true(fabsf(alone[c] - got_w[c]) <= 5e-7F * got_w[c]);
            valid += w > 0;
        }
    }
    assert_in_range(valid, vis->nrow * NCHAN / 4, vis->nrow * NCHAN - 1);
    stokes_free(s);
    free(raw);
    free(raw_w);
}

static void with_gains(const int *pol, size_t npol, int x, int y, size_t ntime1,
                       size_t nchan1, size_t ntime2, size_t nchan2)
{
    struct vis *vis = make_vis(npol, pol);
    struct gains *g[2] = {NULL, NULL};

    if (ntime1 > 0)
        g[0] = make_gains(vis, ntime1, nchan1, 5);
    if (ntime2 > 0)
        g[1] = make_gains(vis, ntime2, nchan2, 6);
    check_all(vis, (const struct gains *const[2]){g[0], g[1]}, x, y);
    gains_free(g[0]);
    gains_free(g[1]);
    vis_free(vis);
}

static void stokes_i_is_that_of_gains_applied(void **state)
{
    static const int pol[2] = {-5, -6};

    (void)state;
    with_gains(pol, 2, 0, 1, 1, NCHAN, NTIME, 1);
    with_gains(pol, 2, 0, 1, 0, 0, NTIME, 1);
    with_gains(pol, 2, 0, 1, 1, NCHAN, 0, 0);
    with_gains(pol, 2, 0, 1, 0, 0, 0, 0);
    with_gains(pol, 2, 0, 1, 2, NCHAN, NTIME, 1);
    with_gains(pol, 2, 0, 1, 2, NCHAN, 3, NCHAN);
    with_gains(pol, 2, 0, 1, 2, 1, 3, 1);
}

static void hands_are_found_among_other_polarisations(void **state)
{
    static const int four[4] = {-7, -6, -8, -5}, one[1] = {-6}, round[3] = {-2, -3, -1};

    (void)state;
    with_gains(four, 4, 1, 3, 1, NCHAN, NTIME, 1);
    with_gains(one, 1, 0, 0, 1, NCHAN, NTIME, 1);
    with_gains(round, 3, 0, 2, 1, NCHAN, NTIME, 1);
}

static void data_without_a_parallel_hand_are_refused(void **state)
{
    static const int cross[2] = {-7, -8};
    struct vis *vis = make_vis(2, cross);
    struct stokes *s;
    struct err e;

    (void)state;
    assert_int_equal(stokes_new(&s, vis, NULL, NULL, NULL, &e), ERR_FORMAT);
    assert_null(s);
    assert_non_null(strstr(e.text, "parallel-hand"));
    vis_free(vis);
}

static void gains_of_other_antennas_are_refused(void **state)
{
    static const int pol[2] = {-5, -6};
    struct vis *vis = make_vis(2, pol);
    const struct gains *g[2] = {NULL, NULL};
    struct gains *other;
    struct stokes *s;
    struct err e;

    (void)state;
    assert_int_equal(gains_alloc(&other, NANT + 1, 1, NCHAN, 2, &e), 0);
    g[1] = other;
    assert_int_equal(stokes_new(&s, vis, g, NULL, NULL, &e), ERR_SHAPE);
    assert_null(s);
    gains_free(other);
    vis_free(vis);
}

static void absurd_gains_flag(void **state)
{
    static const int pol[2] = {-5, -6};
    static const float absurd[] = {1e-25F, 1e25F, INFINITY, NAN};
    struct vis *vis = make_vis(2, pol);
    struct gains *gain;
    struct stokes *s;
    struct err e;
    float complex got[NCHAN];
    float got_w[NCHAN];

    (void)state;
    assert_int_equal(gains_alloc(&gain, NANT, 1, 1, 2, &e), 0);
    gain->time_jd[0] = vis->time_jd[0];
    for (size_t k = 0; k < sizeof absurd / sizeof *absurd; k++) {
        for (size_t i = 0; i < NANT * 2; i++)
            gain->g[i] = gain_of(absurd[k], absurd[k]);
        assert_int_equal(
            stokes_new(&s, vis, (const struct gains *const[2]){gain}, NULL, NULL, &e),
            0);
        stokes_row(s, 3, got, got_w);
        for (size_t c = 0; c < NCHAN; c++)
            assert_true(got[c] == 0 && got_w[c] == 0);
        stokes_free(s);
    }
    gains_free(gain);
    vis_free(vis);
}

/* Data by the new gains, weights by the old ones, but where only one of them has a solution. */
static void weights_can_stay_as_they_were(void **state)
{
    static const int pol[2] = {-5, -6};
    struct vis *vis = make_vis(2, pol);
    struct gains *old = make_gains(vis, 1, NCHAN, 5),
                 *new = make_gains(vis, 1, NCHAN, 8);
    const struct gains *const old_set[2] = {old}, *const new_set[2] = {new};
    struct stokes *first, *plain, *like;
    float complex data[3][NCHAN];
    float weight[3][NCHAN];
    size_t only_old = 0, only_new = 0;
    struct err e;

    (void)state;
    for (size_t c = 0; c < NCHAN; c++) { /* antenna 4 gets other gaps */
        float complex *g = new->g + (c * NANT + 4) * 2;

        g[0] = c % 3 == 0 ? 0 : 0.01F;
        g[1] = c % 4 == 0 ? 0 : 0.01F;
    }
    assert_int_equal(stokes_new(&first, vis, old_set, NULL, NULL, &e), 0);
    assert_int_equal(stokes_new(&plain, vis, new_set, NULL, NULL, &e), 0);
    assert_int_equal(stokes_new(&like, vis, new_set, NULL, first, &e), 0);
    for (size_t row = 0; row < vis->nrow; row++) {
        stokes_row(first, row, data[0], weight[0]);
        stokes_row(plain, row, data[1], weight[1]);
        stokes_row(like, row, data[2], weight[2]);
        for (size_t c = 0; c < NCHAN; c++) {
            assert_true(cabsf(data[2][c] - data[1][c]) == 0);
            assert_true((weight[2][c] > 0) == (weight[1][c] > 0));
            if (weight[0][c] > 0 && weight[1][c] > 0)
                assert_true(fabsf(weight[2][c] - weight[0][c]) <= 1e-6F * weight[0][c]);
            only_old += weight[0][c] > 0 && !(weight[1][c] > 0);
            only_new += weight[1][c] > 0 && !(weight[0][c] > 0);
        }
    }
    assert_true(only_old > 0 && only_new > 0);
    stokes_free(first);
    stokes_free(plain);
    stokes_free(like);
    gains_free(old);
    gains_free(new);
    vis_free(vis);
}

/* Each copy of the loop; lengths that no register divides. */
static void all_instruction_sets_make_the_same(void **state)
{
    enum { N = 61 };
    unsigned long long seed = 9;
    float complex v[N * 2], out[2][N];
    float w[N * 2], h[4][N], weight[2][N];
    struct line_hand x, y;
    size_t n;
    const struct line_code *code = line_codes(&n);

    (void)state;
    for (size_t i = 0; i < (size_t)N * 2; i++) {
        v[i] = any_complex(&seed);
        w[i] = i % 7 == 3 ? 0 : (float)uniform(&seed);
        h[i % 4][i / 4] = h[(i + 2) % 4][N - 1 - i / 4] = (float)uniform(&seed);
    }
    x = (struct line_hand){v,    w,    2,    h[0], h[1],   h[2],
                           h[3], h[1], h[3], 0.5F, -0.25F, 2};
    y = (struct line_hand){v + 1, w + 1, 2,    h[1], h[2],   h[3],
                           h[0],  h[0],  h[2], 1.5F, 0.125F, 0.5F};
    for (size_t len = 0; len <= N; len += 1 + len / 3) {
        code[0].stokes(out[0], weight[0], &x, &y, len);
        for (size_t k = 1; k < n; k++) {
            code[k].stokes(out[1], weight[1], &x, &y, len);
            for (size_t c = 0; c < len; c++) {
                assert_true(cabsf(out[1][c] - out[0][c]) <= 1e-6F);
                assert_true(fabsf(weight[1][c] - weight[0][c]) <= 3e-6F * weight[0][c]);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stokes_i_is_that_of_gains_applied),
        cmocka_unit_test(hands_are_found_among_other_polarisations),
        cmocka_unit_test(data_without_a_parallel_hand_are_refused),
        cmocka_unit_test(gains_of_other_antennas_are_refused),
        cmocka_unit_test(absurd_gains_flag),
        cmocka_unit_test(weights_can_stay_as_they_were),
        cmocka_unit_test(all_instruction_sets_make_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
