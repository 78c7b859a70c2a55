/* The stations against the observatory's own list and against published lengths. */
#include "tests/test.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "pipeline/sky/astro.h"
#include "pipeline/sky/stations.h"

static double distance_m(int a, int b)
{
    const double zero[3] = {0, 0, 0};
    double pa[3], pb[3];

    station_itrf(a, zero, pa);
    station_itrf(b, zero, pb);
    return sqrt((pa[0] - pb[0]) * (pa[0] - pb[0]) + (pa[1] - pb[1]) * (pa[1] - pb[1]) +
                (pa[2] - pb[2]) * (pa[2] - pb[2]));
}

static void stations_agree_with_the_observatorys_list_to_1e_7_deg(void **state)
{
    const char *data = shared_data();
    char path[4200], line[256];
    int number, seen = 0;
    FILE *f;

    (void)state;
    if (data == NULL) {
        print_message("skipped: no ../shared/data/dsa110-ops\n");
        skip();
    }
    snprintf(path, sizeof path, "%s/dsa110-ops/DSA110_Station_Coordinates.csv", data);
    f = fopen(path, "r");
    if (f == NULL) {
        print_message("skipped: no %s\n", path);
        skip();
    }
    while (fgets(line, sizeof line, f) != NULL) {
        double lat, lon, alt = 1182.6; /* the last has none */
        struct site at;

        if (sscanf(line, ",DSA-%d,%lf,%lf,%lf", &number, &lat, &lon, &alt) < 3)
            continue;
        station_site(number, &at);
        assert_true(fabs(at.lat_rad / ASTRO_DEG - lat) < 0.51e-7);
        assert_true(fabs(at.lon_rad / ASTRO_DEG - lon) < 0.51e-7);
        assert_true(fabs(at.alt_m - alt) < 1e-6);
        seen++;
    }
    fclose(f);
    assert_int_equal(seen, STATION_COUNT);
}

static void ninety_six_stations_observe(void **state)
{
    int n = 0, arm = 0;

    (void)state;
    for (int i = 1; i <= STATION_COUNT; i++) {
        n += station_active(i);
        arm += i <= 51 && station_active(i);
    }
    assert_int_equal(n, STATION_ACTIVE); /* audit of a real file, 2026-01-25 */
    assert_int_equal(arm, 47);
}

/* Pad spacing 5.75 m and longest active baseline 2601.6 m, from the real coordinates. */
static void baselines_have_the_published_lengths(void **state)
{
    double longest = 0, shortest = 1e9;

    (void)state;
    for (int i = 1; i <= STATION_COUNT; i++)
        for (int j = 1; j < i; j++)
            if (station_active(i) && station_active(j)) {
                longest = fmax(longest, distance_m(i, j));
                shortest = fmin(shortest, distance_m(i, j));
            }
    assert_true(fabs(longest - 2601.63) < 0.05);
    assert_true(fabs(shortest - 5.75) < 0.01);
    assert_true(fabs(distance_m(68, 69) - 8.65) < 0.01);
}

static void all_active_stations_are_chosen_for_96(void **state)
{
    int number[STATION_ACTIVE], seen[STATION_COUNT + 1] = {0};

    (void)state;
    assert_int_equal(stations_choose(STATION_ACTIVE, number), 0);
    for (int i = 0; i < STATION_ACTIVE; i++) {
        assert_true(station_active(number[i]));
        assert_int_equal(seen[number[i]]++, 0);
    }
}

static void every_subset_is_distinct_and_has_a_reversed_baseline(void **state)
{
    int number[STATION_ACTIVE];

    (void)state;
    for (size_t n = 2; n <= STATION_ACTIVE; n++) {
        int seen[STATION_COUNT + 1] = {0}, reversed = 0;

        assert_int_equal(stations_choose(n, number), 0);
        for (size_t i = 0; i < n; i++) {
            assert_true(station_active(number[i]));
            assert_int_equal(seen[number[i]]++, 0);
            reversed += i > 0 && number[i] < number[i - 1];
        }
        assert_true(reversed >= 1 && reversed <= 2);
    }
    assert_int_equal(stations_choose(1, number), -EINVAL);
    assert_int_equal(stations_choose(97, number), -EINVAL);
}

static void
a_third_of_the_array_keeps_short_and_long_baselines_and_both_arms(void **state)
{
    int number[32], nshort = 0, nlong = 0, ew = 0, ns = 0;

    (void)state;
    assert_int_equal(stations_choose(32, number), 0);
    for (int i = 0; i < 32; i++) {
        ew += number[i] <= 51;
        ns += number[i] > 51 && number[i] <= 102;
        for (int j = 0; j < i; j++) {
            nshort += distance_m(number[i], number[j]) < 50;
            nlong += distance_m(number[i], number[j]) > 1500;
        }
    }
    assert_true(ew >= 12 && ns >= 10 && 32 - ew - ns >= 4);
    assert_true(nshort >= 20);
    assert_true(nlong >= 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stations_agree_with_the_observatorys_list_to_1e_7_deg),
        cmocka_unit_test(ninety_six_stations_observe),
        cmocka_unit_test(baselines_have_the_published_lengths),
        cmocka_unit_test(all_active_stations_are_chosen_for_96),
        cmocka_unit_test(every_subset_is_distinct_and_has_a_reversed_baseline),
        cmocka_unit_test(
            a_third_of_the_array_keeps_short_and_long_baselines_and_both_arms),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
