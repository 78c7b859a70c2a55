#include "tests/test.h"

#include <complex.h>
#include <math.h>
#include <stdlib.h>

#include "core/err.h"
#include "pipeline/sim/simsky.h"
#include "pipeline/sim/simvis.h"
#include "pipeline/sky/astro.h"

enum { NANT = 7, NCHAN = 3, NBL = NANT * (NANT + 1) / 2, PARTS = 400 };

static const double T0_JD = 2461066.4375; /* 2026-01-25T22:30 */

static struct simvis perfect(void)
{
    struct simvis sim = {
        .seed = 3,
        .site = {37.2314 * ASTRO_DEG, -118.2817 * ASTRO_DEG, 1222},
        .dec_app_rad = 54.5 * ASTRO_DEG,
        .nant = NANT,
        .ntime = 1,
        .nchan = NCHAN,
        .npol = 2,
        .tint_s = 12.884902,
        .smear = 1,
        .beam = {BEAM_NONE, 4.65},
        .scale = 1,
    };

    assert_int_equal(stations_choose(NANT, sim.number), 0);
    return sim;
}

/* The meridian point in ICRS at an instant. */
static void meridian(const struct simvis *sim, double jd, double *ra, double *dec)
{
    struct astro_epoch ep;
    double v[3];

    astro_epoch_init(&ep, jd, &sim->earth, &sim->site);
    astro_meridian(&sim->site, sim->dec_app_rad, v);
    astro_itrf_to_icrs(&ep, v, ra, dec);
}

/* One source, `east` and `north` of the meridian point, degrees. */
static struct simsky one_source(const struct simvis *sim, double east, double north)
{
    struct sim_source s = {.flux_jy = 2, .freq_hz = 1.4e9};
    struct simsky sky = {0, 0, NULL};
    double ra, dec;

    meridian(sim, T0_JD, &ra, &dec);
    astro_lm_to_radec(ra, dec, sin(east * ASTRO_DEG), sin(north * ASTRO_DEG), &s.ra_rad,
                      &s.dec_rad);
    assert_int_equal(simsky_add(&sky, &s), 0);
    return sky;
}

/* The mean of many short integrations, all stopped to (ra, dec) of the sky. */
static void average(struct simvis sim, const struct simsky *sky, double ra, double dec,
                    float complex *data)
{
    static float complex part[NBL * NCHAN * 2];
    double complex sum[NBL * NCHAN * 2] = {0};
    double whole_s = sim.tint_s;

    sim.track = 1;
    sim.smear = 0;
    sim.ra_rad = ra;
    sim.dec_rad = dec;
    for (int k = 0; k < PARTS; k++) {
        double late_s = ((k + 0.5) / PARTS - 0.5) * whole_s;

        assert_int_equal(
            simvis_fill(&sim, sky, T0_JD + late_s / ASTRO_DAY_S, 5, part, NULL), 0);
        for (int i = 0; i < NBL * NCHAN * 2; i++)
            sum[i] += part[i];
    }
    for (int i = 0; i < NBL * NCHAN * 2; i++)
        data[i] = (float complex)(sum[i] / PARTS);
}

/* Days are doubles of 4e-5 s, 3e-4 rad of the longest baselines' fringes far out. */
static void a_source_is_averaged_over_the_integration(void **state)
{
    /* the kinds of series, the last beyond them */
    static const double off_deg[][2] = {
        {0.2, -0.1}, {1.9, 0.3}, {-0.4, 2.1}, {-19, 1.2}, {50, -30}};

    (void)state;
    for (size_t k = 0; k < sizeof off_deg / sizeof off_deg[0]; k++) {
        static float complex got[NBL * NCHAN * 2], want[NBL * NCHAN * 2];
        struct simvis sim = perfect();
        struct simsky sky = one_source(&sim, off_deg[k][0], off_deg[k][1]);
        double ra, dec, least = 2, worst = 0;

        meridian(&sim, T0_JD, &ra, &dec);
        average(sim, &sky, ra, dec, want);
        assert_int_equal(simvis_fill(&sim, &sky, T0_JD, 5, got, NULL), 0);
        for (int i = 0; i < NBL * NCHAN * 2; i++) {
            worst = fmax(worst, cabs(got[i] - want[i]));
            least = fmin(least, cabs(got[i]));
        }
        printf("  %4.1f %4.1f deg: weakest %.4f of 2 Jy, off by %.1e\n", off_deg[k][0],
               off_deg[k][1], least, worst);
        assert_true(worst < 2e-3);
        assert_true(k == 0 || least < 1.99); /* there was something to average */
        simsky_free(&sky);
    }
}

static void without_smearing_every_baseline_has_the_whole_flux(void **state)
{
    static float complex data[NBL * NCHAN * 2];
    struct simvis sim = perfect();
    struct simsky sky = one_source(&sim, 1.9, 0.3);

    (void)state;
    sim.smear = 0;
    assert_int_equal(simvis_fill(&sim, &sky, T0_JD, 5, data, NULL), 0);
    for (int i = 0; i < NBL * NCHAN * 2; i++)
        assert_true(fabs(cabs(data[i]) - 2) < 1e-5);
    simsky_free(&sky);
}

static void a_source_that_is_followed_loses_nothing(void **state)
{
    static float complex data[NBL * NCHAN * 2];
    struct simvis sim = perfect();
    struct simsky sky = one_source(&sim, 0, 0);

    (void)state;
    assert_int_equal(simvis_fill(&sim, &sky, T0_JD, 5, data, NULL), 0);
    for (int i = 0; i < NBL * NCHAN * 2; i++)
        assert_true(cabs(data[i] - 2) < 1e-3);
    simsky_free(&sky);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_source_is_averaged_over_the_integration),
        cmocka_unit_test(without_smearing_every_baseline_has_the_whole_flux),
        cmocka_unit_test(a_source_that_is_followed_loses_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
