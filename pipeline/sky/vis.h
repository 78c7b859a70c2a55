/*
 * vis.h: the visibilities of one group in memory, all sub-bands joined into one
 * frequency axis.  Filled by uvh5.c, turned, calibrated and imaged in place.
 *
 * Conventions (etc/CONTRIBUTING.md, "Conventions"): a baseline is antenna 2 minus antenna 1 and
 * V = conj(A1) A2, so a source in direction s gives exp(+2 pi i nu/c b . (s - stop)),
 * `stop` being the direction that the integration is fringe-stopped to.
 */
#ifndef PIPELINE_SKY_VIS_H
#define PIPELINE_SKY_VIS_H

#include <complex.h>
#include <stddef.h>

#include "pipeline/sky/astro.h"

struct err;

enum vis_phasing {
    VIS_MERIDIAN, /* each integration stopped to hour angle 0 at dec_app_rad (DSA-110) */
    VIS_SIDEREAL, /* all integrations stopped to one ICRS position */
    VIS_UNPHASED  /* not fringe-stopped at all (stop is the null vector) */
};

enum { VIS_MAXPOL = 4, VIS_NAME = 32 };

struct vis {
    char telescope[VIS_NAME], instrument[VIS_NAME], object[64];
    char unit[16]; /* of the data as read: Jy, uncalib; empty: not said */
    struct site site;
    struct earth earth; /* used for every direction of this struct */

    size_t nant;                /* telescope's antennas, also those without data */
    char (*ant_name)[VIS_NAME]; /* [nant] */
    int *ant_number;            /* [nant] */
    double (*ant_pos_m)[3];     /* [nant][3] ITRF metres from the site's position */
    double *ant_diameter_m;     /* [nant]; 0 where the file does not say */

    enum vis_phasing phasing;
    double phase_ra_rad, phase_dec_rad; /* ICRS; VIS_SIDEREAL, and after vis_rephase */
    double dec_app_rad;                 /* VIS_MERIDIAN: apparent declination */

    size_t ntime;
    double *time_jd;       /* [ntime] UTC, centre of the integration, ascending */
    double *tint_s;        /* [ntime] */
    double (*stop)[3];     /* [ntime][3] ITRF unit vectors; null vector: not stopped */
    double (*pointing)[3]; /* [ntime][3] ITRF unit vectors: where the dishes look */

    size_t nrow;   /* baseline-times, cross-correlations only */
    int *row_time; /* [nrow] index into time_jd */
    int *row_ant1; /* [nrow] index into ant_*; row_ant1 < row_ant2 */
    int *row_ant2; /* [nrow] */

    size_t nchan;
    double *freq_hz;  /* [nchan] ascending, channel centres */
    double *width_hz; /* [nchan] positive */

    size_t npol;
    int pol[VIS_MAXPOL]; /* AIPS codes: -1 RR, -2 LL, -5 XX, -6 YY, 1 I ... */

    float complex *data; /* [nrow][nchan][npol] as correlated; Jy after apply_gains */
    /* [nrow][nchan][npol]; 0 = flagged: the sample is then finite, and 0 when the reader or
     * apply_gains flagged it.  From the reader: 2 x bandwidth x time x valid fraction (variance
     * SEFD^2 / weight); apply_gains scales it by |g1 g2|^2. */
    float *weight;
    /* [nant][ntime][nchan][npol] autocorrelations, real parts as correlated (never calibrated);
     * 0 where flagged or absent; NULL: the files have none. */
    float *autos;
};

/* Free all arrays and the struct; NULL does nothing. */
void vis_free(struct vis *vis);

/*
 * vis_alloc: make a struct with zeroed arrays of these sizes (all > 0).
 * Status: 0, -ENOMEM (one sentence with the size asked for).
 */
int vis_alloc(struct vis **out, size_t nant, size_t ntime, size_t nrow, size_t nchan,
              size_t npol, struct err *e);

/*
 * vis_uvw: baseline coordinates for the phase centre (ra, dec), from the antenna
 * positions and times; the file's own uvw are not used.
 * Returned: uvw_m [nrow][3] metres.
 */
void vis_uvw(const struct vis *vis, double ra_rad, double dec_rad, double (*uvw_m)[3]);

/*
 * vis_rephase: turn every visibility from its integration's stop direction to the one
 * phase centre (ra, dec): V exp(+2 pi i nu/c b . (stop - centre)).  Sets stop,
 * phase_ra_rad, phase_dec_rad and phasing = VIS_SIDEREAL; pointing stays.
 */
void vis_rephase(struct vis *vis, double ra_rad, double dec_rad);

/*
 * The same row by row, for whoever fills vis->data and would rather turn a row while it is at
 * hand: vis_turn_new when all but the samples is known, vis_turn_line, vis_turn_done when every
 * row has been turned (or not, after a failure), vis_turn_free.  vis is borrowed.
 */
struct vis_turn;
struct vis_turn *vis_turn_new(const struct vis *vis, double ra_rad, double dec_rad);
/* Turn the channels [chan0, chan0 + nchan) of a row in line [nchan][npol].  Any thread may. */
void vis_turn_line(const struct vis_turn *turn, size_t row, size_t chan0, size_t nchan,
                   float complex *line);
/* Note in vis that it has been turned. */
void vis_turn_done(const struct vis_turn *turn, struct vis *vis);
void vis_turn_free(struct vis_turn *turn);

/* Where the dishes looked, on average over the group: ICRS, rad. */
void vis_mean_pointing(const struct vis *vis, double *ra_rad, double *dec_rad);

/* Pointing of integration t in ICRS. */
void vis_pointing(const struct vis *vis, size_t t, double *ra_rad, double *dec_rad);

/* Middle of the band. */
static inline double vis_mid_hz(const struct vis *vis)
{
    return 0.5 * (vis->freq_hz[0] + vis->freq_hz[vis->nchan - 1]);
}

/* Share of samples with weight > 0, in [0, 1]. */
double vis_valid_fraction(const struct vis *vis);

#endif
