/*
 * test_flag.c: interference of every kind is found in made-up visibilities, sources are not
 * taken for it, and broken antennas are named.
 *
 * V = g1* g2 (sources + noise of 1 in each part + interference); a source in this unit of 10
 * is what 8.8 Jy are in wide channels, 3.7 in narrow ones.
 */
#include "tests/test.h"

#include <complex.h>
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "core/err.h"
#include "core/order.h"
#include "core/path.h"
#include "pipeline/flag/bands.h"
#include "pipeline/flag/flag.h"
#include "pipeline/flag/shape.h"
#include "pipeline/flag/threshold.h"
#include "pipeline/sky/vis.h"

enum { NANT = 23, MANY = 61, NTIME = 18, NCHAN = 192, NPOL = 2 };

struct source {
    double flux, l, m; /* noise; cosines of direction */
};

/* What is made: all of it zero is noise alone. */
struct made {
    uint64_t seed;
    double gain_rms;
    struct source source[2];
    /* interference: amplitude of a cell (integration, channel), in noise; NULL: none */
    double (*rfi)(size_t t, size_t c);
    int dead, deaf, swapped, noisy; /* antennas, 0: none */
    size_t npol, nant;              /* 0: NPOL, NANT */
};

static double uniform(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005U + 1442695040888963407U;
    return (double)(*seed >> 11) / 9007199254740992.0;
}

static double gauss(uint64_t *seed)
{
    double r = sqrt(-2 * log(1 - uniform(seed)));

    return r * cos(2 * M_PI * uniform(seed));
}

static complex float turned(double size, double turns)
{
    return (complex float)(size * cexp(2 * M_PI * I * turns));
}

/* A wide T, 1.3 km, and an antenna far away. */
static void place(double x[MANY][2])
{
    for (int a = 0; a < MANY; a++) {
        x[a][0] = a % 2 == 0 ? 31.7 * a + 0.17 * a * a : 3.1 * a;
        x[a][1] = a % 2 == 0 ? 2.9 * a : 41.3 * a - 0.61 * a * a;
    }
    x[NANT - 1][0] = 1300;
}

static struct vis *empty_vis(size_t nant, size_t npol)
{
    static const int two[] = {-5, -6}, four[] = {-5, -6, -7, -8};
    struct vis *vis;
    struct err e;
    size_t row = 0;

    assert_int_equal(
        vis_alloc(&vis, nant, NTIME, NTIME * nant * (nant - 1) / 2, NCHAN, npol, &e),
        0);
    memcpy(vis->pol, npol == 2 ? two : four, npol * sizeof(int));
    for (size_t c = 0; c < NCHAN; c++) {
        vis->freq_hz[c] = 1.3117e9 + (double)c * 976562.5;
        vis->width_hz[c] = 976562.5;
    }
    for (int t = 0; t < NTIME; t++) {
        for (int a = 0; a < (int)nant; a++) {
            for (int b = a + 1; b < (int)nant; b++, row++) {
                vis->row_time[row] = t;
                vis->row_ant1[row] = a;
                vis->row_ant2[row] = b;
            }
        }
    }
    return vis;
}

/* g [MANY][2][NCHAN]: a level, a slope, a ripple and roughness of 2.5 %. */
static void make_gains(float complex *g, const struct made *m)
{
    uint64_t seed = m->seed + 77;

    for (int i = 0; i < MANY * 2; i++) {
        double size = exp(m->gain_rms * gauss(&seed)), phase = uniform(&seed);
        double start = uniform(&seed);

        for (int c = 0; c < NCHAN; c++) {
            double x = (double)c / NCHAN;
            double band = 1 + 0.06 * sin(2 * M_PI * (x + start)) + 0.025 * gauss(&seed);

            g[i * NCHAN + c] = turned(size * band, phase + 0.004 * gauss(&seed));
        }
    }
}

static float complex sky_of(const struct vis *vis, const struct made *m, size_t row,
                            size_t c, double x[MANY][2])
{
    int a = vis->row_ant1[row], b = vis->row_ant2[row];
    double lambda = 299792458 / vis->freq_hz[c];
    /* the baseline turns as the earth does in 12.88 s */
    double turn = 0.00094 * vis->row_time[row];
    double u = (x[b][0] - x[a][0]) / lambda + turn * (x[b][1] - x[a][1]) / lambda;
    double v = (x[b][1] - x[a][1]) / lambda - turn * (x[b][0] - x[a][0]) / lambda;
    float complex sum = 0;

    for (int i = 0; i < 2 && m->source[i].flux > 0; i++)
        sum += turned(m->source[i].flux, u * m->source[i].l + v * m->source[i].m);
    return sum;
}

static void fill_row(struct vis *vis, const struct made *m, size_t row,
                     const float complex *g, double x[MANY][2], uint64_t *seed)
{
    static const int feed[4][2] = {{0, 0}, {1, 1}, {0, 1}, {1, 0}};
    int a = vis->row_ant1[row], b = vis->row_ant2[row];
    bool deaf = m->deaf != 0 && (a == m->deaf || b == m->deaf);
    bool crossed = m->swapped != 0 && (a == m->swapped) != (b == m->swapped);
    bool noisy = m->noisy != 0 && (a == m->noisy || b == m->noisy);
    bool dead = m->dead != 0 && (a == m->dead || b == m->dead);

    for (size_t c = 0; c < NCHAN; c++) {
        float complex sky = deaf ? 0 : sky_of(vis, m, row, c, x);
        double rfi = m->rfi != NULL ? m->rfi((size_t)vis->row_time[row], c) : 0;
        double from = 0.7 * (x[b][0] - x[a][0]) * vis->freq_hz[c] / 299792458;
        float complex bad = turned(rfi, from + 0.31 * vis->row_time[row]);

        for (size_t p = 0; p < vis->npol; p++) {
            int pa = feed[p][0], pb = feed[p][1];
            size_t k = (row * NCHAN + c) * vis->npol + p;
            float complex n = (float)gauss(seed) + I * (float)gauss(seed);

            if (noisy && uniform(seed) < 0.4)
                n *= 40;
            vis->data[k] = conjf(g[(a * 2 + pa) * NCHAN + (int)c]) *
                           g[(b * 2 + pb) * NCHAN + (int)c] *
                           (((pa == pb) != crossed ? sky : 0) + bad + n);
            vis->weight[k] = 6e6F;
            if (dead)
                vis->data[k] = vis->weight[k] = 0;
        }
    }
}

static struct vis *make(const struct made *m)
{
    struct vis *vis =
        empty_vis(m->nant > 0 ? m->nant : NANT, m->npol > 0 ? m->npol : NPOL);
    float complex *g = malloc(MANY * 2 * NCHAN * sizeof *g);
    double x[MANY][2];
    uint64_t seed = m->seed + 1;

    place(x);
    make_gains(g, m);
    for (size_t row = 0; row < vis->nrow; row++)
        fill_row(vis, m, row, g, x, &seed);
    free(g);
    return vis;
}

static struct flag_report find(struct vis *vis, const struct bands *known)
{
    struct flag_opts opts = {.threads = 2, .known = known};
    struct flag_report report;
    struct err e;

    assert_int_equal(flag_samples(vis, &opts, &report, &e), 0);
    assert_int_equal(report.nant, vis->nant);
    return report;
}

/* Shares found of the samples where rfi >= least, and of those where it is 0. */
static void count(const struct vis *vis, const struct made *m, double least,
                  double *good, double *false_)
{
    double hit = 0, bad = 0, wrong = 0, clean = 0;

    for (size_t row = 0; row < vis->nrow; row++) {
        for (size_t c = 0; c < NCHAN; c++) {
            double rfi = m->rfi != NULL ? m->rfi((size_t)vis->row_time[row], c) : 0;

            for (size_t p = 0; p < vis->npol; p++) {
                bool found = !(vis->weight[(row * NCHAN + c) * vis->npol + p] > 0);

                bad += rfi > 0 && rfi >= least;
                hit += rfi > 0 && rfi >= least && found;
                clean += rfi <= 0;
                wrong += rfi <= 0 && found;
            }
        }
    }
    *good = bad > 0 ? hit / bad : 1;
    *false_ = wrong / clean;
}

static void try(const struct made *m, const char *what, double least, double good_share,
                double false_share)
{
    struct vis *vis = make(m);
    struct flag_report r = find(vis, NULL);
    double good, wrong, valid;

    count(vis, m, least, &good, &wrong);
    valid = vis_valid_fraction(vis);
    print_message("%s: %.5f found, %.5f false; baseline %.5f array %.5f channel %.5f "
                  "time %.5f antenna %.5f\n",
                  what, good, wrong, r.baseline, r.array, r.channel, r.time, r.antenna);
    assert_true(good >= good_share);
    assert_true(wrong <= false_share);
    assert_true(fabs(1 - valid - r.total) < 1e-9);
    for (size_t a = 0; a < vis->nant; a++)
        assert_int_equal(r.health[a], FLAG_WELL);
    flag_report_free(&r);
    vis_free(vis);
}

/* ---- clean data ---- */

static void clean_data_lose_less_than_one_in_a_hundred(void **state)
{
    static const double gain_rms[] = {0.02, 0.4, 0.7};
    static const struct source fields[][2] = {
        {{0}},
        {{3.7, 0.002, -0.0013}},
        {{10, 0.002, -0.0013}},
        {{10, 0.011, 0.007}},
        {{10, 0.002, -0.0013}, {6, 0.017, 0.009}},
        {{300, 0.002, -0.0013}, {120, 0.017, 0.009}}};

    (void)state;
    for (size_t f = 0; f < sizeof fields / sizeof fields[0]; f++) {
        for (size_t i = 0; i < 3; i++) {
            struct made m = {.seed = 11 * f + i, .gain_rms = gain_rms[i]};
            char what[80];

            memcpy(m.source, fields[f], sizeof m.source);
            snprintf(what, sizeof what, "sources %g %g, gains %g", m.source[0].flux,
                     m.source[1].flux, gain_rms[i]);
            try(&m, what, 0, 1, 0.01);
        }
    }
}

/* As the SZA's: sub-bands with gaps between them, each with a hump of a factor of two. */
static void edges_of_subbands_are_no_interference(void **state)
{
    struct made m = {.seed = 7, .gain_rms = 0.4, .source = {{30, 0.002, -0.0013}}};
    struct vis *vis = make(&m);
    struct flag_report r;

    (void)state;
    for (size_t c = 0; c < NCHAN; c++) {
        double x = ((double)(c % 16) - 7) / 8;
        float hump = (float)(1 - 0.5 * x * x);

        vis->freq_hz[c] += (double)(c / 16) * vis->width_hz[c];
        for (size_t row = 0; row < vis->nrow; row++)
            for (size_t p = 0; p < NPOL; p++)
                vis->data[(row * NCHAN + c) * NPOL + p] *= hump;
    }
    r = find(vis, NULL);
    print_message("baseline %.5f array %.5f\n", r.baseline, r.array);
    assert_true(r.total < 0.01);
    assert_true(r.array < 0.001);
    flag_report_free(&r);
    vis_free(vis);
}

/* ---- interference ---- */

static double cell_random(size_t t, size_t c)
{
    uint64_t seed = t * 7919 + c * 104729 + 5;

    uniform(&seed);
    uniform(&seed);
    return uniform(&seed) < 0.02 ? 10 * pow(100, uniform(&seed)) : 0;
}

static double narrow(size_t t, size_t c)
{
    (void)t;
    return c == 41 || c == 120 || c == 121 ? 10 + 3 * (double)(t % 5) : 0;
}

static double broad(size_t t, size_t c)
{
    return t >= 6 && t < 9 && c >= 60 && c < 85 ? 10 : 0;
}

static double burst(size_t t, size_t c)
{
    (void)c;
    return t == 11 ? 12 : 0;
}

/* Half of the integrations, several in a row. */
static double bursts(size_t t, size_t c)
{
    (void)c;
    return t >= 2 && t % 6 >= 2 && t % 6 < 5 ? 10 + 30 * (double)(t % 3) : 0;
}

static double weak_cells(size_t t, size_t c)
{
    uint64_t seed = t * 6007 + c * 15485863 + 3;

    uniform(&seed);
    uniform(&seed);
    return uniform(&seed) < 0.01 ? 0.5 : 0;
}

static double weak_narrow(size_t t, size_t c)
{
    (void)t;
    return c == 33 || c == 150 ? 0.5 : 0;
}

static double weak_broad(size_t t, size_t c)
{
    return t >= 5 && t < 8 && c >= 100 && c < 116 ? 0.5 : 0;
}

static void strong_interference_is_found(void **state)
{
    static const struct {
        const char *what;
        double (*rfi)(size_t t, size_t c);
    } kinds[] = {{"cells", cell_random},
                 {"narrow", narrow},
                 {"broad", broad},
                 {"burst", burst},
                 {"bursts", bursts}};
    static const double flux[] = {0, 3.7, 10};

    (void)state;
    for (size_t k = 0; k < 5; k++) {
        for (size_t i = 0; i < 3; i++) {
            struct made m = {.seed = 5 * k + i,
                             .gain_rms = 0.4,
                             .source = {{flux[i], 0.002, -0.0013}},
                             .rfi = kinds[k].rfi};
            char what[80];

            snprintf(what, sizeof what, "%s, source %g", kinds[k].what, flux[i]);
            /* where half of all is bad, what is usual is not known as well */
            try(&m, what, 10, 0.99, kinds[k].rfi == bursts ? 0.02 : 0.01);
        }
    }
}

static void weak_interference_that_no_baseline_shows_is_found(void **state)
{
    static const struct {
        const char *what;
        double (*rfi)(size_t t, size_t c);
        double good;
    } kinds[] = {{"weak cells", weak_cells, 0.9},
                 {"weak narrow", weak_narrow, 0.99},
                 {"weak broad", weak_broad, 0.9}};

    (void)state;
    for (size_t k = 0; k < 3; k++) {
        struct made m = {.seed = k, .gain_rms = 0.4, .rfi = kinds[k].rfi, .nant = MANY};

        try(&m, kinds[k].what, 0.1, kinds[k].good, 0.01);
    }
}

static void one_baselines_interference_is_taken_there_alone(void **state)
{
    struct made m = {.seed = 3, .gain_rms = 0.4, .source = {{3.7, 0.002, -0.0013}}};
    struct vis *vis = make(&m);
    struct flag_report r;
    size_t bad = 0, elsewhere = 0;

    (void)state;
    for (size_t row = 0; row < vis->nrow; row++)
        for (size_t k = 0; k < NCHAN * NPOL; k++)
            if (vis->row_ant1[row] == 4 && vis->row_ant2[row] == 17 &&
                k / NPOL % 7 == 3 && vis->row_time[row] % 3 == 1)
                vis->data[row * NCHAN * NPOL + k] *= 30;
    r = find(vis, NULL);
    for (size_t row = 0; row < vis->nrow; row++)
        for (size_t k = 0; k < NCHAN * NPOL; k++) {
            bool here = vis->row_ant1[row] == 4 && vis->row_ant2[row] == 17;

            if (here && k / NPOL % 7 == 3 && vis->row_time[row] % 3 == 1)
                bad += vis->weight[row * NCHAN * NPOL + k] > 0;
            else if (!here)
                elsewhere += !(vis->weight[row * NCHAN * NPOL + k] > 0);
        }
    assert_int_equal(bad, 0);
    assert_true((double)elsewhere < 0.001 * (double)(vis->nrow * NCHAN * NPOL));
    assert_true(r.array <= 0 && r.channel <= 0 && r.time <= 0 && r.antenna <= 0);
    flag_report_free(&r);
    vis_free(vis);
}

/* ---- antennas ---- */

static void broken_antennas_are_named(void **state)
{
    struct made m = {.seed = 8,
                     .gain_rms = 0.4,
                     .source = {{3.7, 0.002, -0.0013}},
                     .dead = 5,
                     .deaf = 9,
                     .swapped = 13,
                     .noisy = 20};

    (void)state;
    for (m.npol = 2; m.npol <= 4; m.npol += 2) {
        struct vis *vis = make(&m);
        struct flag_report r = find(vis, NULL);

        for (int a = 0; a < NANT; a++)
            assert_int_equal(r.health[a], a == 5   ? FLAG_DEAD
                                          : a == 9 ? FLAG_DEAF
                                          : a == 13
                                              ? (m.npol == 4 ? FLAG_SWAPPED : FLAG_DEAF)
                                          : a == 20 ? FLAG_NOISY
                                                    : FLAG_WELL);
        for (size_t row = 0; row < vis->nrow; row++)
            for (size_t k = 0; k < NCHAN * m.npol; k++)
                if (vis->row_ant1[row] == 20 || vis->row_ant2[row] == 20)
                    assert_true(vis->weight[row * NCHAN * m.npol + k] <= 0);
        assert_true(fabs(r.given - 2.0 / NANT) < 1e-9);
        assert_true(fabs(1 - vis_valid_fraction(vis) - r.total) < 1e-9);
        flag_report_free(&r);
        vis_free(vis);
    }
}

/* ---- known bands ---- */

static void known_bands_are_flagged_whatever_is_in_them(void **state)
{
    static const char text[] = "# of a site\n\n1380.5,1381.6,GPS L3\n1400,1402\n";
    struct made m = {.seed = 2};
    struct vis *vis = make(&m);
    struct flag_report r;
    struct bands known;
    struct err e;
    size_t n = 0;

    (void)state;
    assert_int_equal(path_write("bands.csv", text, strlen(text), &e), 0);
    assert_int_equal(bands_read(&known, "bands.csv", &e), 0);
    assert_int_equal(known.n, 2);
    r = find(vis, &known);
    for (size_t c = 0; c < NCHAN; c++) {
        double low = vis->freq_hz[c] - vis->width_hz[c] / 2,
               high = low + vis->width_hz[c];
        bool in =
            (high > 1380.5e6 && low < 1381.6e6) || (high > 1400e6 && low < 1402e6);

        n += in;
        for (size_t row = 0; row < vis->nrow && in; row++)
            assert_true(vis->weight[(row * NCHAN + c) * NPOL + 1] <= 0);
    }
    assert_true(n > 3 && n < 8);
    assert_true(fabs(r.known - (double)n / NCHAN) < 1e-9);
    flag_report_free(&r);
    bands_free(&known);
    vis_free(vis);
}

static void a_line_that_is_no_band_is_named(void **state)
{
    static const char *const wrong[] = {
        "1400\n",          "low,high,name\n", "1402,1400,turned\n",
        "1400,1402 MHz\n", "-3,5\n",          "nan,5\n"};
    struct bands known;
    struct err e;

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char text[100];

        snprintf(text, sizeof text, "# bands\n1,2,first\n%s", wrong[i]);
        assert_int_equal(path_write("wrong.csv", text, strlen(text), &e), 0);
        assert_int_equal(bands_read(&known, "wrong.csv", &e), ERR_FORMAT);
        assert_non_null(strstr(e.text, "wrong.csv: line 3"));
        assert_null(known.band);
    }
    assert_int_equal(bands_read(&known, "no-such-file", &e), -ENOENT);
}

/* ---- the loops ---- */

/* Windows of 1, 2, 4 ... as in the paper, one after the other; x [n] NONE: does not count. */
static void plain_along(float *x, size_t n, size_t step, const float *chi,
                        size_t nwindow)
{
    for (size_t log = 0; log < nwindow; log++) {
        size_t m = (size_t)1 << log;
        float *old = malloc(n * sizeof *old);

        memcpy(old, x, n * sizeof *old);
        for (size_t i = 0; i + (m - 1) * step < n; i++) {
            double sum = 0;

            for (size_t j = 0; j < m; j++)
                sum += old[i + j * step] < THRESHOLD_NONE ? (double)old[i + j * step]
                                                          : (double)chi[log];
            for (size_t j = 0; sum > (double)m * (double)chi[log] * 1.00001 && j < m;
                 j++)
                x[i + j * step] = THRESHOLD_NONE;
        }
        free(old);
    }
}

static void windows_find_what_plain_loops_find(void **state)
{
    enum { WIDE = 2 * 83, LINES = 21 };
    static float x[LINES * WIDE], want[LINES * WIDE], got[LINES * WIDE], column[LINES];
    static float work[LINES * WIDE];
    float chi[THRESHOLD_WINDOWS];
    size_t ncode;
    const struct threshold_code *code = threshold_codes(&ncode);
    uint64_t seed = 6;

    (void)state;
    threshold_limits(chi, 3);
    assert_true(fabsf(chi[2] - 3 / 2.25F) < 1e-6F);
    for (size_t i = 0; i < LINES * WIDE; i++) {
        x[i] = (float)gauss(&seed) + (i / 40 % 5 == 3 ? 1.0F : 0.0F);
        if (uniform(&seed) < 0.03)
            x[i] = THRESHOLD_NONE;
    }
    for (size_t k = 0; k < ncode; k++) {
        memcpy(want, x, sizeof x);
        memcpy(got, x, sizeof x);
        for (size_t t = 0; t < LINES; t++) {
            plain_along(want + t * WIDE, WIDE, 2, chi, THRESHOLD_WINDOWS);
            code[k].windows(got + t * WIDE, WIDE, 2, chi, 0, THRESHOLD_WINDOWS, work);
        }
        assert_memory_equal(got, want, sizeof got);
        for (size_t c = 0; c < WIDE; c++) {
            for (size_t t = 0; t < LINES; t++)
                column[t] = want[t * WIDE + c];
            plain_along(column, LINES, 1, chi, THRESHOLD_WINDOWS);
            for (size_t t = 0; t < LINES; t++)
                want[t * WIDE + c] = column[t];
        }
        code[k].windows(got, LINES * WIDE, WIDE, chi, 0, THRESHOLD_WINDOWS, work);
        assert_memory_equal(got, want, sizeof got);
    }
}

static void the_kth_smallest_is_that_of_a_sorted_list(void **state)
{
    uint64_t seed = 12;

    (void)state;
    for (size_t n = 1; n < 60; n++) {
        float x[60], y[60];

        for (size_t i = 0; i < n; i++)
            x[i] = (float)floor(uniform(&seed) * 20);
        for (size_t k = 0; k < n; k++) {
            size_t below = 0, same = 0;
            float v;

            memcpy(y, x, sizeof y);
            v = order_kthf(y, n, k);
            for (size_t i = 0; i < n; i++) {
                below += x[i] < v;
                same += x[i] <= v && x[i] >= v;
            }
            assert_true(below <= k && k < below + same);
        }
    }
}

/* ---- odd shapes ---- */

static void small_and_empty_data_are_no_trouble(void **state)
{
    static const size_t shape[][3] = {
        {1, 1, 1}, {1, 5, 2}, {3, 2, 1}, {7, 1, 2}, {2, 33, 4}};
    struct flag_report r;
    struct vis *vis;
    struct err e;
    uint64_t seed = 4;

    (void)state;
    for (size_t i = 0; i < sizeof shape / sizeof shape[0]; i++) {
        size_t nt = shape[i][0], nc = shape[i][1], np = shape[i][2];

        assert_int_equal(vis_alloc(&vis, 3, nt, 3 * nt, nc, np, &e), 0);
        for (size_t row = 0; row < vis->nrow; row++) {
            vis->row_time[row] = (int)(row / 3);
            vis->row_ant1[row] = row % 3 == 2;
            vis->row_ant2[row] = row % 3 == 0 ? 1 : 2;
        }
        for (size_t p = 0; p < np; p++)
            vis->pol[p] = -5 - (int)p;
        r = (struct flag_report){0};
        assert_int_equal(flag_samples(vis, &(struct flag_opts){.threads = 3}, &r, &e),
                         0);
        assert_true(fabs(r.given - 1) < 1e-12 && fabs(r.total - 1) < 1e-12);
        assert_int_equal(r.health[1], FLAG_DEAD);
        flag_report_free(&r);
        for (size_t k = 0; k < vis->nrow * nc * np; k++) {
            vis->data[k] = (float)gauss(&seed) + I * (float)gauss(&seed);
            vis->weight[k] = 1;
        }
        assert_int_equal(flag_samples(vis, &(struct flag_opts){.threads = 3}, &r, &e),
                         0);
        assert_true(r.given <= 0 && r.total < 0.05);
        flag_report_free(&r);
        vis_free(vis);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clean_data_lose_less_than_one_in_a_hundred),
        cmocka_unit_test(edges_of_subbands_are_no_interference),
        cmocka_unit_test(strong_interference_is_found),
        cmocka_unit_test(weak_interference_that_no_baseline_shows_is_found),
        cmocka_unit_test(one_baselines_interference_is_taken_there_alone),
        cmocka_unit_test(broken_antennas_are_named),
        OWN_DIR(known_bands_are_flagged_whatever_is_in_them),
        OWN_DIR(a_line_that_is_no_band_is_named),
        cmocka_unit_test(windows_find_what_plain_loops_find),
        cmocka_unit_test(the_kth_smallest_is_that_of_a_sorted_list),
        cmocka_unit_test(small_and_empty_data_are_no_trouble),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
