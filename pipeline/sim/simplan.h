/*
 * simplan.h: which groups a simulation makes, the names of their files, and the truth.
 */
#ifndef PIPELINE_SIM_SIMPLAN_H
#define PIPELINE_SIM_SIMPLAN_H

#include <stddef.h>

#include "pipeline/sim/simsky.h"
#include "pipeline/sim/simvis.h"

struct err;

/* Start to start of production groups: 24 integrations of 96 raw samples of 0.134217728 s. */
#define SIMPLAN_CADENCE_S 309.237645312

struct sim_group {
    double start_jd, t0_jd;         /* start; centre of the first integration; UTC */
    double ra_rad, dec_rad;         /* ICRS pointing in the middle */
    char name[20];                  /* earliest time in its file names */
    char file[SIMVIS_SUBBANDS][48]; /* file names, without folder */
};

struct simplan {
    struct simvis sim;
    struct simsky sky;
    size_t ngroup, nsub;
    double cadence_s;
    int jitter;              /* 1: file names spread as the telescope's do */
    struct sim_group *group; /* [ngroup] */
};

void simplan_close(struct simplan *plan);
double simplan_length_s(const struct simplan *plan); /* of one group */

/* Set a calibrator's start: so that it transits in the middle of the middle group, on or
 * after jd_utc; whole seconds.  *dec_app_rad: its apparent declination there. */
double simplan_transit_start(const struct simplan *plan, const struct sim_source *cal,
                             double jd_utc, double *dec_app_rad);

/*
 * simplan_groups: times, pointings and file names of all groups from the first's start.
 * Given: plan with sim, ngroup, nsub, cadence_s, jitter.  Status 0, -ENOMEM.
 * Note: a name carries its host's clock at the group's start, whole seconds, cut off; hosts
 * differ by as much as those of the telescope did; seed and start time decide.
 */
int simplan_groups(struct simplan *plan, double start_jd, struct err *e);

/* Add random sources within radius of the first, middle and last pointing of each group, of
 * [min_jy, max_jy) at 1.4 GHz.  Status: 0; -EINVAL unless 0 < min_jy < max_jy; -ENOMEM. */
int simplan_field(struct simplan *plan, double radius_rad, double min_jy, double max_jy,
                  struct err *e);

/*
 * simplan_truth: write sky.csv, gains.h5 and, with interference, rfi.csv into dir.
 *
 * gains.h5: gain [ngroup][nant][2][nsub nchan] (V measured = g1 conj(g2) V true; scale
 * included; frequencies ascending; at the middle of each group), freq_hz, time_jd, station
 * [nant] (1-based).  rfi.csv: group, integration, sub-band, channel in the file, size in sigma.
 *
 * Status: 0; -ENOMEM; -EIO and other errnos.  dir is made if missing; each file is replaced
 *         whole.
 */
int simplan_truth(const struct simplan *plan, const char *dir, struct err *e);

#endif
