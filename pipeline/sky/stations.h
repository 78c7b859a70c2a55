/*
 * stations.h: where the 117 stations of DSA-110 stand, and which of them observe.
 *
 * The array is a T: an east-west arm (stations 1 to 51) and a north-south arm (52 to
 * 102), each a regular line of pads of which some are empty, and outriggers (103 to 117) up
 * to 2.7 km apart.  So the table is two rules and fifteen places; it reproduces the
 * observatory's list of 2022-02-15 to its last digit (1e-7 deg, 1 cm).
 */
#ifndef PIPELINE_SKY_STATIONS_H
#define PIPELINE_SKY_STATIONS_H

#include <stddef.h>

enum { STATION_COUNT = 117, STATION_ACTIVE = 96 };

struct site;

/*
 * station_site: geodetic position (WGS84) of station `number`, 1 to 117.
 * Note: 117 has no published height; it gets that of the arms, 1182.6 m.
 */
void station_site(int number, struct site *at);

/* Position of the station in ITRF metres, less xyz0_m (a header's location). */
void station_itrf(int number, const double xyz0_m[3], double pos_m[3]);

/* 1 when the station was in use in the audit of 2026-01-25 (96 were), else 0. */
int station_active(int number);

/*
 * stations_choose: n of the active stations, in the correlator's order.
 *
 * Given:    n, 2 to 96
 * Returned: number[n], 1-based
 * Status:   0; -EINVAL when n is out of range
 * Notes:
 *   1) A smaller array keeps the shape of the whole: the two arms and the outriggers keep
 *      their shares (at least one outrigger), each arm is thinned out from one dense
 *      end, with gaps growing towards the other (so short and long baselines stay), and the
 *      outriggers are taken evenly.  Station 115 is always among them.
 *   2) The order is ascending but for 101 and 115, which stand one place early: as in
 *      production a few baselines then have antenna 1 > antenna 2.  (Which places they
 *      hold in the true order is not published.)
 */
int stations_choose(size_t n, int *number);

#endif
