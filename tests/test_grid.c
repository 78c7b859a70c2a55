/*
 * test_grid.c: the fast loops against the definition, written as a plain loop in double:
 * every set of instructions, every width of the kernel, any number of threads.
 */
#include "tests/test.h"

#include <stdbool.h>
#include <string.h>

#include "pipeline/imaging/grid.h"
#include "tests/made_samples.h"

enum { NU = 288, NV = 216, NROW = 900, NCHAN = 75, NPLANE = 3 };

static const double cell_rad = 4.0e-4;
static const double sigma_m[3] = {100, 60, 18};
static const struct plane_fit fit = {.a = -0.31, .b = 0.47, .phase = 0.02};

struct setup {
    struct samples s;
    struct kernel ker;
    float *wi;
};

static void set_up(struct setup *t, double accuracy)
{
    uint64_t seed = 5;

    made_samples(&t->s, NROW, NCHAN, sigma_m, -0.31, 0.47);
    kernel_init(&t->ker, accuracy, 2.0);
    t->wi = malloc(NROW * NCHAN * sizeof *t->wi);
    for (size_t i = 0; i < NROW * NCHAN; i++) {
        const double *uvw = t->s.uvw_m[i / NCHAN];
        double k = t->s.freq_hz[i % NCHAN] / ASTRO_C_M_S;

        t->wi[i] = grid_holds(cell_rad, uvw[0] * k, uvw[1] * k) ? t->s.weight[i] : 0;
        t->s.data[i] = (float)made_gauss(&seed) + I * (float)made_gauss(&seed);
    }
}

static void tear_down(struct setup *t)
{
    made_free(&t->s);
    free(t->wi);
}

/* Of a sample: its column, its row (from -nv/2), the power of -i phi, conjugated or not. */
struct where {
    double u, v;
    double complex power;
    bool conj;
};

static struct where where_is(const struct setup *t, size_t i, size_t p)
{
    const double *x = t->s.uvw_m[i / NCHAN];
    double sign = x[0] < 0 ? -1 : 1, k = sign * t->s.freq_hz[i % NCHAN] / ASTRO_C_M_S;
    double phi = (x[2] - fit.a * x[0] - fit.b * x[1]) * k * fit.phase;
    double complex power = 1;

    for (size_t j = 0; j < p; j++)
        power *= -I * phi;
    return (struct where){x[0] * k * NU * cell_rad, x[1] * k * NV * cell_rad, power,
                          sign < 0};
}

/* kernel.h's formula */
static double kernel_at(const struct kernel *ker, double d)
{
    double z = 2 * d / ker->w;

    return fabs(z) < 1 ? exp(ker->beta * (sqrt(1 - z * z) - 1)) : 0;
}

/* Plane p by its definition, margins included: [nrow][stride]. */
static void spread_plainly(const struct setup *t, const struct grid *g, size_t p,
                           double complex *cell)
{
    for (size_t i = 0; i < NROW * NCHAN; i++) {
        struct where at = where_is(t, i, p);
        double complex z = (double complex)t->s.data[i];

        if (!(t->wi[i] > 0))
            continue;
        z = (double)t->wi[i] * (at.conj ? conj(z) : z) * at.power;
        for (long r = (long)ceil(at.v - t->ker.w / 2.0); r <= at.v + t->ker.w / 2.0;
             r++)
            for (long c = (long)ceil(at.u - t->ker.w / 2.0); c <= at.u + t->ker.w / 2.0;
                 c++)
                cell[(size_t)(r + NV / 2 + GRID_MARGIN) * g->stride +
                     (size_t)(c + GRID_MARGIN)] +=
                    z * kernel_at(&t->ker, at.u - (double)c) *
                    kernel_at(&t->ker, at.v - (double)r);
    }
}

static double rms_difference(const float complex *a, const double complex *b, size_t n)
{
    double sum = 0, diff = 0;

    for (size_t i = 0; i < n; i++) {
        sum += pow(cabs(b[i]), 2);
        diff += pow(cabs((double complex)a[i] - b[i]), 2);
    }
    return sqrt(diff / sum);
}

static void each_code_and_width_spreads_as_the_plain_loop(void **state)
{
    static const double accuracy[] = {1e-3, 1e-4, 1e-5, 1e-6};

    (void)state;
    for (size_t a = 0; a < 4; a++)
        for (enum grid_code code = GRID_PLAIN; code <= grid_best_code(); code++) {
            struct setup t;
            struct grid g;

            set_up(&t, accuracy[a]);
            assert_int_equal(grid_init(&g, NU, NV, NPLANE, cell_rad, &t.ker), 0);
            g.code = code;
            assert_int_equal(grid_spread(&g, &t.s, &fit, t.wi, t.s.data, 1, NPLANE), 0);
            for (size_t p = 0; p < NPLANE; p++) {
                size_t n = g.nrow * g.stride;
                double complex *want = calloc(n, sizeof *want);
                double diff;

                spread_plainly(&t, &g, p + 1, want);
                diff = rms_difference(g.cell + p * n, want, n);
                /* the taps are polynomials, good to the accuracy asked for; float beyond */
                if (!(diff < fmax(accuracy[a] * 0.3, 3e-6)))
                    fail_msg("code %d, width %d, plane %zu: %.2g", code, t.ker.w, p,
                             diff);
                free(want);
            }
            grid_close(&g);
            tear_down(&t);
        }
}

static void any_number_of_threads_gives_the_same(void **state)
{
    struct setup t;
    struct grid one;
    size_t n;

    (void)state;
    set_up(&t, 1e-4);
    assert_int_equal(grid_init(&one, NU, NV, NPLANE, cell_rad, &t.ker), 0);
    n = NPLANE * one.nrow * one.stride;
    assert_int_equal(grid_spread(&one, &t.s, &fit, t.wi, t.s.data, 0, NPLANE), 0);
    for (size_t k = 2; k <= 3; k++) {
        struct grid many;
        double sum = 0, diff = 0;

        assert_int_equal(grid_init(&many, NU, NV, NPLANE, cell_rad, &t.ker), 0);
        many.nthread = k;
        assert_int_equal(grid_spread(&many, &t.s, &fit, t.wi, t.s.data, 0, NPLANE), 0);
        for (size_t i = 0; i < n; i++) {
            sum += pow((double)cabsf(one.cell[i]), 2);
            diff += pow((double)cabsf(one.cell[i] - many.cell[i]), 2);
        }
        assert_true(sqrt(diff / sum) < 1e-6);
        grid_close(&many);
    }
    grid_close(&one);
    tear_down(&t);
}

/* <spread(V), P> = <V, interpolate(P)>, real parts, for weights of 1 where they are not 0. */
static void interpolating_is_the_adjoint_of_spreading(void **state)
{
    (void)state;
    for (enum grid_code code = GRID_PLAIN; code <= grid_best_code(); code++) {
        struct setup t;
        struct grid g;
        uint64_t seed = 77;
        size_t n;
        float complex *back = calloc(NROW * NCHAN, sizeof *back);
        double left = 0, right = 0;

        set_up(&t, 1e-5);
        for (size_t i = 0; i < NROW * NCHAN; i++)
            t.wi[i] = t.wi[i] > 0 ? 1 : 0;
        assert_int_equal(grid_init(&g, NU, NV, NPLANE, cell_rad, &t.ker), 0);
        g.code = code;
        g.nthread = 2;
        n = NPLANE * g.nrow * g.stride;
        float complex *plane = malloc(n * sizeof *plane);
        for (size_t i = 0; i < n; i++)
            plane[i] = (float)made_gauss(&seed) + I * (float)made_gauss(&seed);
        assert_int_equal(grid_spread(&g, &t.s, &fit, t.wi, t.s.data, 0, NPLANE), 0);
        for (size_t i = 0; i < n; i++)
            left += creal((double complex)g.cell[i] * conj((double complex)plane[i]));
        memcpy(g.cell, plane, n * sizeof *plane);
        grid_interpolate(&g, &t.s, &fit, 0, NPLANE, 1.0f, back);
        for (size_t i = 0; i < NROW * NCHAN; i++)
            if (t.wi[i] > 0)
                right +=
                    creal((double complex)t.s.data[i] * conj((double complex)back[i]));
        if (!(fabs(left - right) < 1e-5 * fabs(left)))
            fail_msg("code %d: %.8g and %.8g", code, left, right);
        free(plane);
        free(back);
        grid_close(&g);
        tear_down(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_code_and_width_spreads_as_the_plain_loop),
        cmocka_unit_test(any_number_of_threads_gives_the_same),
        cmocka_unit_test(interpolating_is_the_adjoint_of_spreading),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
