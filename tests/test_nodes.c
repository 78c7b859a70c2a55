/*
 * test_nodes.c: what nodes keep of the channels, against the sums themselves.
 */
#include "tests/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/imaging/nodes.h"
#include "tests/made_samples.h"

enum { NROW = 60, NCHAN = 391 };

static const double sigma_m[3] = {700, 300, 10};
static const double reach[2] = {0.03, 0.05}; /* of the lags; an image has half */

struct setup {
    struct samples s;
    struct nodes nodes;
};

static void set_up(struct setup *t)
{
    double *hz;
    double off_grid = 1e30;

    made_samples(&t->s, NROW, NCHAN, sigma_m, -0.31, 0.47);
    hz = (double *)t->s.freq_hz;
    for (size_t c = 0; c < NCHAN; c++) /* one gap, and steps that are not quite even */
        hz[c] = 1.31e9 + 4.4e5 * (double)c + (c > 130 ? 7e6 : 0) + 4e4 * sin((double)c);
    assert_int_equal(nodes_init(&t->nodes, &t->s, reach[0], reach[1], off_grid), 0);
}

static void tear_down(struct setup *t)
{
    nodes_close(&t->nodes);
    made_free(&t->s);
}

static double complex wave(const struct setup *t, size_t row, double hz, double x,
                           double y)
{
    const double *uvw = t->s.uvw_m[row];

    return cexp(2 * M_PI * I * hz / ASTRO_C_M_S * (uvw[0] * x + uvw[1] * y));
}

static void short_rows_have_few_nodes(void **state)
{
    struct setup t;
    double least = 1, most = 0;

    (void)state;
    set_up(&t);
    for (size_t r = 0; r < NROW; r++) {
        double share = (double)(t.nodes.start[r + 1] - t.nodes.start[r]) / NCHAN;
        const double *uvw = t.s.uvw_m[r];
        double turns = 2 * (fabs(uvw[0]) * reach[0] + fabs(uvw[1]) * reach[1]) *
                       (t.s.freq_hz[NCHAN - 1] - t.s.freq_hz[0]) / ASTRO_C_M_S;

        least = fmin(least, share);
        most = fmax(most, share);
        assert_true(share * NCHAN < 2.0 * 1.17 * turns + NODE_TAPS + 1 || share == 1);
    }
    printf("nodes over channels: %.3f to %.3f\n", least, most);
    assert_true(least < 0.1 && most > 0.3 && most <= 1);
    tear_down(&t);
}

/* Largest error over the sum of weights, for directions up to `share` of the reach. */
static double worst_sum(const struct setup *t, double share)
{
    float complex value[NCHAN], data[NCHAN + NODE_TAPS];
    float weight[NCHAN], sum[NCHAN + NODE_TAPS];
    uint64_t seed = 9;
    double worst = 0;

    for (size_t r = 0; r < NROW; r++) {
        const struct node_class *cls = &t->nodes.cls[t->nodes.class_of[r]];
        double total = 0;

        for (size_t c = 0; c < NCHAN; c++) {
            value[c] = (float)made_gauss(&seed) + I * (float)made_gauss(&seed);
            weight[c] = c % 9 == 4 ? 0 : (float)(0.5 + made_random(&seed));
            total += (double)weight[c];
        }
        nodes_gather(&t->nodes, r, value, weight, data, sum);
        for (int i = 0; i < 20; i++) {
            double x = share * reach[0] * (i < 2 ? 1 : 2 * made_random(&seed) - 1);
            double y =
                share * reach[1] * (i < 2 ? 1 - 2 * i : 2 * made_random(&seed) - 1);
            double complex want = 0, got = 0, want_sum = 0, got_sum = 0;

            for (size_t c = 0; c < NCHAN; c++) {
                double complex turn =
                    (double)weight[c] * wave(t, r, t->s.freq_hz[c], x, y);

                want += turn * (double complex)value[c];
                want_sum += turn;
            }
            for (size_t j = 0; j < cls->n; j++) {
                double complex turn = wave(t, r, cls->freq_hz[j], x, y);

                got += turn * (double complex)data[j];
                got_sum += turn * (double)sum[j];
            }
            worst =
                fmax(worst, fmax(cabs(got - want), cabs(got_sum - want_sum)) / total);
        }
    }
    return worst;
}

static void sums_over_nodes_are_those_over_channels(void **state)
{
    struct setup t;
    double image, lags;

    (void)state;
    set_up(&t);
    image = worst_sum(&t, 0.5);
    lags = worst_sum(&t, 1);
    printf("worst over the sum of weights: %.1e in the image, %.1e at all lags\n",
           image, lags);
    assert_true(image < 2e-5 && lags < 3e-3);
    tear_down(&t);
}

static void channels_are_interpolated_between_nodes(void **state)
{
    struct setup t;
    uint64_t seed = 4;
    double worst = 0;

    (void)state;
    set_up(&t);
    for (size_t r = 0; r < NROW; r++) {
        const struct node_class *cls = &t.nodes.cls[t.nodes.class_of[r]];
        double x = reach[0] * (made_random(&seed) - 0.5);
        double y = reach[1] * (made_random(&seed) - 0.5);
        float complex data[NCHAN + NODE_TAPS];
        float re[NCHAN] = {0}, im[NCHAN] = {0};
        size_t cut = 37 + r;

        for (size_t j = 0; j < cls->n; j++)
            data[j] = (float complex)wave(&t, r, cls->freq_hz[j], x, y);
        nodes_channels(&t.nodes, r, data, 0, cut, re, im);
        nodes_channels(&t.nodes, r, data, cut, NCHAN - cut, re + cut, im + cut);
        for (size_t c = 0; c < NCHAN; c++)
            worst = fmax(worst, cabs((double)re[c] + I * (double)im[c] -
                                     wave(&t, r, t.s.freq_hz[c], x, y)));
    }
    printf("worst channel: %.1e\n", worst);
    assert_true(worst < 6e-5);
    tear_down(&t);
}

static void no_node_lies_off_the_grid(void **state)
{
    struct samples s;
    struct nodes nodes;
    double limit = 0;

    (void)state;
    made_samples(&s, NROW, NCHAN, sigma_m, -0.31, 0.47);
    for (size_t r = 0; r < NROW; r++)
        limit = fmax(limit, fmax(fabs(s.uvw_m[r][0]), fabs(s.uvw_m[r][1])));
    limit *= s.freq_hz[NCHAN - 1];
    assert_int_equal(nodes_init(&nodes, &s, reach[0], reach[1], limit), 0);
    for (size_t r = 0; r < NROW; r++) {
        const struct node_class *c = &nodes.cls[nodes.class_of[r]];

        assert_true(c->freq_hz[0] > 0);
        assert_true(fmax(fabs(s.uvw_m[r][0]), fabs(s.uvw_m[r][1])) *
                        c->freq_hz[c->n - 1] <=
                    limit * (1 + 1e-12));
    }
    nodes_close(&nodes);
    made_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(short_rows_have_few_nodes),
        cmocka_unit_test(sums_over_nodes_are_those_over_channels),
        cmocka_unit_test(channels_are_interpolated_between_nodes),
        cmocka_unit_test(no_node_lies_off_the_grid),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
