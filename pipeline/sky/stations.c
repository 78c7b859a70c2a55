#include "pipeline/sky/stations.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "pipeline/sky/astro.h"

/* Coordinates of the published list (DSA-110 Station Coordinates, 2022-02-15), re-derived as
 * rules: the lines through the arms whose largest residual is smallest, 0.49 of the
 * list's last digit. */
static const double EW_LAT_DEG = 37.2333752;       /* the east-west arm's latitude */
static const double NS_LON_DEG = -118.2834051;     /* the north-south arm's longitude */
static const double EW_FIRST_DEG = -118.285640801; /* pad 0 of the east-west arm */
static const double EW_STEP_DEG = 6.48024904e-5;   /* 5.75 m */
static const double NS_ZERO_DEG = 37.23337518;     /* one step below station 52 */
static const double NS_STEP_DEG = 7.79678518e-5;   /* 8.65 m */
static const double ARM_ALT_M = 1182.6;

enum { EW_LAST = 51, NS_LAST = 102 };

/* East-west stations stand on consecutive pads but for the gaps between these runs. */
static const struct {
    int first, pad; /* first station of the run, and its pad */
} EW_RUN[] = {{36, 54}, {30, 45}, {29, 41}, {23, 32}, {1, 0}};

/* Outriggers: degrees above 37 N and west of 118 W in 1e-7 deg; height in dm. */
static const struct {
    int lat, lon, alt;
} OUTRIGGER[STATION_COUNT - NS_LAST] = {
    {2300025, 2812695, 11813}, {2352578, 2768324, 11824}, {2429815, 2767433, 11840},
    {2470153, 2767632, 11853}, {2485647, 2767853, 11859}, {2499993, 2767328, 11865},
    {2499587, 2794098, 11862}, {2499316, 2838684, 11859}, {2499476, 2861710, 11860},
    {2499040, 2879484, 11853}, {2499407, 2912521, 11863}, {2499516, 2958413, 11846},
    {2449792, 2951802, 11808}, {2314169, 2945978, 11781}, {2315343, 2966607, 11826},
};

/* Not in use on 2026-01-25: first and last station of each run. */
static const int INACTIVE[][2] = {{10, 10}, {21, 23}, {52, 67}, {117, 117}};

static int ew_pad(int number)
{
    size_t i = 0;

    while (number < EW_RUN[i].first)
        i++;
    return EW_RUN[i].pad + number - EW_RUN[i].first;
}

void station_site(int number, struct site *at)
{
    double lat = EW_LAT_DEG, lon = NS_LON_DEG, alt = ARM_ALT_M;

    assert(number >= 1 && number <= STATION_COUNT);
    if (number <= EW_LAST) {
        lon = EW_FIRST_DEG + ew_pad(number) * EW_STEP_DEG;
    } else if (number <= NS_LAST) {
        lat = NS_ZERO_DEG + (number - EW_LAST) * NS_STEP_DEG;
    } else {
        lat = 37 + OUTRIGGER[number - NS_LAST - 1].lat * 1e-7;
        lon = -118 - OUTRIGGER[number - NS_LAST - 1].lon * 1e-7;
        alt = OUTRIGGER[number - NS_LAST - 1].alt * 0.1;
    }
    *at = (struct site){lat * ASTRO_DEG, lon * ASTRO_DEG, alt};
}

void station_itrf(int number, const double xyz0_m[3], double pos_m[3])
{
    struct site at;

    station_site(number, &at);
    astro_site_xyz(&at, pos_m);
    for (int k = 0; k < 3; k++)
        pos_m[k] -= xyz0_m[k];
}

int station_active(int number)
{
    for (size_t i = 0; i < sizeof INACTIVE / sizeof INACTIVE[0]; i++)
        if (number >= INACTIVE[i][0] && number <= INACTIVE[i][1])
            return 0;
    return 1;
}

/* The active stations of first..last into pool; how many. */
static int pool_fill(int *pool, int first, int last)
{
    int n = 0;

    for (int number = first; number <= last; number++)
        if (station_active(number))
            pool[n++] = number;
    return n;
}

/*
 * Thin a line of m stations to n: steps of one place at the start that grow evenly to the end
 * (place i is like i^2); no place is taken twice.
 */
static void thin_arm(const int *pool, int m, int n, int *out)
{
    int last = -1;

    for (int i = 0; i < n; i++) {
        int place = n > 1 ? (m - 1) * i * i / ((n - 1) * (n - 1)) : 0;

        if (place <= last)
            place = last + 1;
        if (place > m - (n - i)) /* leave room for those to come */
            place = m - (n - i);
        out[i] = pool[place];
        last = place;
    }
}

/* Evenly, and 115 always: count from its place round the ring of outriggers. */
static void thin_outriggers(const int *pool, int m, int n, int *out)
{
    int start = 0, chosen[STATION_COUNT] = {0}, k = 0;

    while (pool[start] != 115)
        start++;
    for (int i = 0; i < n; i++)
        chosen[(start + i * m / n) % m] = 1;
    for (int i = 0; i < m; i++)
        if (chosen[i])
            out[k++] = pool[i];
}

static void one_place_early(int *number, size_t n, int which)
{
    for (size_t i = 1; i < n; i++)
        if (number[i] == which) {
            number[i] = number[i - 1];
            number[i - 1] = which;
        }
}

int stations_choose(size_t n, int *number)
{
    int pool[STATION_COUNT], all = (int)n, nout, nns, m;

    if (n < 2 || n > STATION_ACTIVE)
        return -EINVAL;
    nout = (all * 14 + 48) / STATION_ACTIVE; /* shares of the 47 + 35 + 14, rounded */
    if (nout < 1)
        nout = 1;
    nns = (all * 35 + 48) / STATION_ACTIVE;
    if (nns > all - nout - 1)
        nns = all - nout - 1;
    m = pool_fill(pool, 1, EW_LAST);
    thin_arm(pool, m, all - nout - nns, number);
    m = pool_fill(pool, EW_LAST + 1, NS_LAST);
    thin_arm(pool, m, nns, number + all - nout - nns);
    m = pool_fill(pool, NS_LAST + 1, STATION_COUNT);
    thin_outriggers(pool, m, nout, number + all - nout);
    one_place_early(number, n, 101);
    one_place_early(number, n, 115);
    return 0;
}
