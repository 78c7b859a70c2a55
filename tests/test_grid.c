/*
 * test_grid.c: the fast loops against the definition, written as a plain loop in double:
 * every set of instructions, every width of the kernel, any number of threads.
 */
#include "tests/test.h"

#include <stdbool.h>
#include <string.h>

#include "pipeline/imaging/grid.h"
#include "pipeline/imaging/nodes.h"
#include "tests/made_samples.h"

enum { NU = 288, NV = 216, NROW = 900, NCHAN = 75, NPLANE = 3 };

static const double cell_rad = 4.0e-4;
static const double sigma_m[3] = {100, 60, 18};
static const struct plane_fit fit = {.a = -0.31, .b = 0.47, .phase = 0.02};

/* Terms of two planes of one term of the beam and one of another. */
static const struct grid_term term[NPLANE] = {{0, 1}, {0, 2}, {1, 0}};

struct setup {
    struct samples s;
    struct kernel ker;
    struct nodes nodes;
    size_t n, *row, *at; /* [n] row and place in it of each node */
    float *value;        /* [n][2] */
};

static void set_up(struct setup *t, double accuracy, double reach)
{
    uint64_t seed = 5;

    made_samples(&t->s, NROW, NCHAN, sigma_m, -0.31, 0.47);
    kernel_init(&t->ker, accuracy, 2.0);
    assert_int_equal(
        nodes_init(&t->nodes, &t->s, reach, 0.7 * reach, 0.5 * ASTRO_C_M_S / cell_rad),
        0);
    t->n = nodes_count(&t->nodes);
    t->value = malloc(2 * t->n * sizeof *t->value);
    t->row = malloc(t->n * sizeof *t->row);
    t->at = malloc(t->n * sizeof *t->at);
    t->nodes.factor[1] = malloc(t->n * NROW * sizeof(float));
    t->nodes.row_time = calloc(NROW, sizeof(int));
    for (size_t c = 0, at = 0; c < t->nodes.nclass; at += t->nodes.cls[c++].n)
        t->nodes.cls[c].factor_at = at;
    for (size_t r = 0; r < NROW; r++)
        for (size_t i = t->nodes.start[r]; i < t->nodes.start[r + 1]; i++) {
            const struct node_class *c = &t->nodes.cls[t->nodes.class_of[r]];

            t->row[i] = r;
            t->at[i] = i - t->nodes.start[r];
            t->nodes.factor[1][c->factor_at + t->at[i]] =
                (float)(0.3 + 0.1 * (double)t->at[i]);
            t->value[2 * i] = (float)made_gauss(&seed);
            t->value[2 * i + 1] = (float)made_gauss(&seed);
        }
}

static void tear_down(struct setup *t)
{
    free((void *)t->nodes.row_time);
    nodes_close(&t->nodes);
    made_free(&t->s);
    free(t->value);
    free(t->row);
    free(t->at);
}

/* Of a node: its column, its row (from -nv/2), what a plane multiplies by, conjugated or not. */
struct where {
    double u, v;
    double complex power;
    bool conj;
};

static struct where where_is(const struct setup *t, size_t i, struct grid_term want,
                             bool real)
{
    const struct node_class *c = &t->nodes.cls[t->nodes.class_of[t->row[i]]];
    const double *x = t->s.uvw_m[t->row[i]];
    double sign = x[0] < 0 ? -1 : 1, k = sign * c->freq_hz[t->at[i]] / ASTRO_C_M_S;
    double phi = (x[2] - fit.a * x[0] - fit.b * x[1]) * k * fit.phase;
    double complex power = want.q == 0 ? 1 : 0.3 + 0.1 * (double)t->at[i];

    for (size_t j = 0; j < want.m; j++)
        power *= real ? phi : -I * phi;
    return (struct where){x[0] * k * NU * cell_rad, x[1] * k * NV * cell_rad, power,
                          sign < 0};
}

/* Whether where_is says that the imager would leave it out: it is off the grid. */
static bool is_on_grid(const struct setup *t, size_t i)
{
    const struct node_class *c = &t->nodes.cls[t->nodes.class_of[t->row[i]]];
    const double *x = t->s.uvw_m[t->row[i]];
    double k = c->freq_hz[t->at[i]] / ASTRO_C_M_S;

    return grid_holds(cell_rad, x[0] * k, x[1] * k);
}

/* kernel.h's formula */
static double kernel_at(const struct kernel *ker, double d)
{
    double z = 2 * d / ker->w;

    return fabs(z) < 1 ? exp(ker->beta * (sqrt(1 - z * z) - 1)) : 0;
}

/* A plane by its definition, margins included: [nrow][stride]. */
static void spread_plainly(const struct setup *t, const struct grid *g,
                           struct grid_term want, double complex *cell)
{
    for (size_t i = 0; i < t->n; i++) {
        struct where at = where_is(t, i, want, g->part == 1);
        double complex z =
            g->part == 1 ? (double)t->value[i]
                         : (double)t->value[2 * i] + I * (double)t->value[2 * i + 1];

        z = (at.conj ? conj(z) : z) * at.power;
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

static double rms_difference(const struct grid *g, size_t p, const double complex *b)
{
    double sum = 0, diff = 0;

    for (size_t i = 0; i < g->nrow * g->stride; i++) {
        const float *cell = g->cell + (p * g->nrow * g->stride + i) * g->part;
        double complex a = (double)cell[0] + (g->part == 2 ? I * (double)cell[1] : 0);

        sum += pow(cabs(b[i]), 2);
        diff += pow(cabs(a - b[i]), 2);
    }
    return sqrt(diff / sum);
}

/* A reach of 0.05 makes few nodes of a row, one of 5 leaves the channels as they are. */
static void spreads_as_the_plain_loop(double accuracy, enum cpu_code code, size_t part,
                                      double reach)
{
    struct setup t;
    struct grid g;

    set_up(&t, accuracy, reach);
    for (size_t i = 0; i < t.n; i++)
        if (!is_on_grid(&t, i))
            t.value[2 * i] = t.value[2 * i + 1] = 0;
    for (size_t i = 0; part == 1 && i < t.n; i++)
        t.value[i] = is_on_grid(&t, i) ? (float)(1 + i % 7) : 0;
    grid_init(&g, NU, NV, NPLANE, part, cell_rad, &t.ker);
    assert_int_equal(grid_open(&g), 0);
    g.code = code;
    assert_int_equal(grid_spread(&g, &t.nodes, &fit, t.value, term, NPLANE), 0);
    for (size_t p = 0; p < NPLANE; p++) {
        double complex *want = calloc(g.nrow * g.stride, sizeof *want);
        double diff;

        spread_plainly(&t, &g, term[p], want);
        diff = rms_difference(&g, p, want);
        /* the taps are polynomials, good to the accuracy asked for; float beyond */
        if (!(diff < fmax(accuracy * 0.3, 3e-6)))
            fail_msg("code %d, width %d, plane %zu, part %zu: %.2g", code, t.ker.w, p,
                     part, diff);
        free(want);
    }
    grid_close(&g);
    tear_down(&t);
}

static void each_code_and_width_spreads_as_the_plain_loop(void **state)
{
    static const double accuracy[] = {1e-3, 1e-4, 1e-5, 1e-6};

    (void)state;
    for (size_t a = 0; a < 4; a++)
        for (enum cpu_code code = CPU_PLAIN; code <= cpu_best(); code++)
            for (size_t part = 1; part <= 2; part++) {
                spreads_as_the_plain_loop(accuracy[a], code, part, 0.05);
                spreads_as_the_plain_loop(accuracy[a], code, part, 5);
            }
}

static void any_number_of_threads_gives_the_same(void **state)
{
    struct setup t;
    struct grid one;
    size_t n;

    (void)state;
    set_up(&t, 1e-4, 0.3);
    grid_init(&one, NU, NV, NPLANE, 2, cell_rad, &t.ker);
    assert_int_equal(grid_open(&one), 0);
    n = NPLANE * one.nrow * one.stride * 2;
    assert_int_equal(grid_spread(&one, &t.nodes, &fit, t.value, term, NPLANE), 0);
    for (size_t k = 2; k <= 3; k++) {
        struct grid many;
        double sum = 0, diff = 0;

        grid_init(&many, NU, NV, NPLANE, 2, cell_rad, &t.ker);
        assert_int_equal(grid_open(&many), 0);
        many.nthread = k;
        assert_int_equal(grid_spread(&many, &t.nodes, &fit, t.value, term, NPLANE), 0);
        for (size_t i = 0; i < n; i++) {
            sum += pow((double)one.cell[i], 2);
            diff += pow((double)(one.cell[i] - many.cell[i]), 2);
        }
        assert_true(sqrt(diff / sum) < 1e-6);
        grid_close(&many);
    }
    grid_close(&one);
    tear_down(&t);
}

/* <spread(V), P> = <V, interpolate(P)>, real parts. */
static void interpolating_is_the_adjoint_of_spreading(void **state)
{
    (void)state;
    for (enum cpu_code code = CPU_PLAIN; code <= cpu_best(); code++) {
        struct setup t;
        struct grid g;
        uint64_t seed = 77;
        size_t n;
        float complex *back;
        double left = 0, right = 0;

        set_up(&t, 1e-5, 0.2);
        back = calloc(t.n, sizeof *back);
        grid_init(&g, NU, NV, NPLANE, 2, cell_rad, &t.ker);
        assert_int_equal(grid_open(&g), 0);
        g.code = code;
        g.nthread = 2;
        n = NPLANE * g.nrow * g.stride * 2;
        float *plane = malloc(n * sizeof *plane);
        for (size_t i = 0; i < n; i++)
            plane[i] = (float)made_gauss(&seed);
        assert_int_equal(grid_spread(&g, &t.nodes, &fit, t.value, term, NPLANE), 0);
        for (size_t i = 0; i < n; i++)
            left += (double)g.cell[i] * (double)plane[i];
        memcpy(g.cell, plane, n * sizeof *plane);
        grid_interpolate(&g, &t.nodes, &fit, term, NPLANE, back);
        for (size_t i = 0; i < 2 * t.n; i++)
            right += (double)t.value[i] * (double)((float *)back)[i];
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
