#include "tests/test.h"

#include <math.h>
#include <stdlib.h>

#include "pipeline/sky/astro.h"
#include "pipeline/sky/smear.h"
#include "pipeline/sky/vis.h"
#include "pipeline/sky/wcs.h"

enum { NTIME = 3, NCHAN = 11, NANT = 4, NROW = NTIME * NANT * (NANT - 1) / 2 };

/* Four stations of a tilted, uneven array, on the meridian at declination 54 degrees. */
static struct vis *made(void)
{
    static const double pos[NANT][3] = {
        {10, -30, 5}, {-700, 1400, 200}, {250, 900, -800}, {-90, -600, 350}};
    struct vis *vis;
    size_t row = 0;

    assert_int_equal(vis_alloc(&vis, NANT, NTIME, NROW, NCHAN, 2, NULL), 0);
    vis->site = (struct site){37.2 * ASTRO_DEG, -118.3 * ASTRO_DEG, 1200};
    for (int a = 0; a < NANT; a++)
        for (int k = 0; k < 3; k++)
            vis->ant_pos_m[a][k] = pos[a][k];
    for (size_t c = 0; c < NCHAN; c++)
        vis->freq_hz[c] = 1.3e9 + 19e6 * (double)c;
    for (int t = 0; t < NTIME; t++) {
        vis->time_jd[t] = 2461066.4375 + t * 100 / ASTRO_DAY_S;
        vis->tint_s[t] = 12.9;
        astro_meridian(&vis->site, 54 * ASTRO_DEG, vis->pointing[t]);
        for (int i = 0; i < NANT; i++)
            for (int j = i + 1; j < NANT; j++, row++) {
                vis->row_time[row] = t;
                vis->row_ant1[row] = i;
                vis->row_ant2[row] = j;
            }
    }
    return vis;
}

/* Uneven, and some are flagged. */
static float weight_of(size_t row, size_t chan)
{
    return (row * 7 + chan) % 5 == 0 ? 0 : 1.0f + (float)((row * 3 + chan * 5) % 7);
}

static struct smear *counted(const struct vis *vis)
{
    struct smear *smear = smear_new(vis);
    float weight[NCHAN];

    for (size_t row = 0; row < NROW; row++) {
        for (size_t c = 0; c < NCHAN; c++)
            weight[c] = weight_of(row, c);
        smear_add(smear, row, weight);
    }
    return smear;
}

static void direction_at(const struct vis *vis, size_t t, double late_s, double ra,
                         double dec, double v[3])
{
    struct astro_epoch ep;

    astro_epoch_init(&ep, vis->time_jd[t] + late_s / ASTRO_DAY_S, NULL, &vis->site);
    astro_icrs_to_itrf(&ep, ra, dec, v);
}

/* Turns of the fringes of a row, from the directions at both ends of the integration. */
static double cycles(const struct vis *vis, size_t row, size_t chan, double ra,
                     double dec)
{
    size_t t = (size_t)vis->row_time[row];
    const double *one = vis->ant_pos_m[vis->row_ant1[row]];
    const double *two = vis->ant_pos_m[vis->row_ant2[row]];
    double ra0, dec0, from[2][3], stop[2][3], path_m = 0, half_s = vis->tint_s[t] / 2;

    vis_pointing(vis, t, &ra0, &dec0);
    for (int end = 0; end < 2; end++) {
        direction_at(vis, t, end ? half_s : -half_s, ra, dec, from[end]);
        direction_at(vis, t, end ? half_s : -half_s, ra0, dec0, stop[end]);
    }
    for (int k = 0; k < 3; k++)
        path_m +=
            (two[k] - one[k]) * (from[1][k] - stop[1][k] - from[0][k] + stop[0][k]);
    return vis->freq_hz[chan] / ASTRO_C_M_S * path_m;
}

/* The same mean sample by sample. */
static double direct(const struct vis *vis, double ra, double dec)
{
    double sum = 0, total = 0;

    for (size_t row = 0; row < NROW; row++)
        for (size_t c = 0; c < NCHAN; c++) {
            double x = M_PI * cycles(vis, row, c, ra, dec);

            sum += (double)weight_of(row, c) * (x == 0 ? 1 : sin(x) / x);
            total += (double)weight_of(row, c);
        }
    return sum / total;
}

static void the_loss_is_the_weighted_mean_over_the_baselines(void **state)
{
    static const double off_deg[][2] = {
        {0.01, 0}, {1.9, 0.4}, {-0.6, 2.2}, {-2.1, -1.9}};
    struct vis *vis = made();
    struct smear *smear = counted(vis);
    double ra0, dec0, least = 1;

    (void)state;
    vis_mean_pointing(vis, &ra0, &dec0);
    for (size_t i = 0; i < sizeof off_deg / sizeof off_deg[0]; i++) {
        double ra, dec, want, got;

        astro_lm_to_radec(ra0, dec0, sin(off_deg[i][0] * ASTRO_DEG),
                          sin(off_deg[i][1] * ASTRO_DEG), &ra, &dec);
        want = direct(vis, ra, dec);
        got = smear_at(smear, ra, dec);
        printf("  %5.2f %5.2f deg: keeps %.5f, directly %.5f\n", off_deg[i][0],
               off_deg[i][1], got, want);
        assert_true(fabs(got - want) < 2e-5);
        least = fmin(least, got);
    }
    assert_true(least < 0.98); /* there was something to lose */
    smear_free(smear);
    vis_free(vis);
}

static void the_map_is_the_same_and_not_square(void **state)
{
    enum { NX = 210, NY = 130 };
    static float map[NX * NY];
    struct vis *vis = made();
    struct smear *smear = counted(vis);
    struct wcs wcs = {.crpix1 = NX / 2 + 1,
                      .crpix2 = NY / 2 + 1,
                      .cell_rad = 60 * ASTRO_ARCSEC,
                      .xi = 0.1,
                      .eta = -0.3};
    double ra, dec;

    (void)state;
    vis_mean_pointing(vis, &wcs.ra_rad, &wcs.dec_rad);
    smear_map(smear, &wcs, NX, NY, map);
    for (size_t y = 0; y < NY; y += 43)
        for (size_t x = 0; x < NX; x += 19) {
            assert_int_equal(wcs_pix_to_radec(&wcs, (double)x, (double)y, &ra, &dec),
                             0);
            assert_true(fabs((double)map[y * NX + x] - smear_at(smear, ra, dec)) <
                        2e-4);
        }
    assert_true(map[0] < map[NY / 2 * NX + NX / 2]);
    smear_free(smear);
    vis_free(vis);
}

static void nothing_is_claimed_where_the_series_ends(void **state)
{
    struct vis *vis = made();
    struct smear *none = smear_new(vis), *smear = counted(vis);
    double ra, dec;

    (void)state;
    vis_mean_pointing(vis, &ra, &dec);
    assert_true(isnan(smear_at(smear, ra + 1, dec)));
    assert_true(smear_at(none, ra + 1, dec) == 1);
    smear_free(none);
    smear_free(smear);
    vis_free(vis);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_loss_is_the_weighted_mean_over_the_baselines),
        cmocka_unit_test(the_map_is_the_same_and_not_square),
        cmocka_unit_test(nothing_is_claimed_where_the_series_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
