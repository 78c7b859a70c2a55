/*
 * simvis.h: what the correlator would deliver: a made-up sky through made-up electronics.
 *
 * For antennas 1 and 2 (a row's), polarisation p, channel nu, integration t:
 *
 *   V = g1 conj(g2) (sum over sources of S(nu) PB(nu) exp(+2 pi i nu/c b . (s - stop)) + n)
 *
 * with b = antenna 2 minus antenna 1, s the apparent direction at the middle of the
 * integration, stop the direction that it is fringe-stopped to then, and n Gaussian noise whose real and imaginary parts each have
 *
 *   sigma = SEFD / sqrt(2 dnu dt)
 *
 * (one polarisation product).  During an integration the correlator follows the sky, so the
 * mean over it loses a factor sin(x) / x to each source (`smear`), with
 *
 *   x = pi nu/c tint omega b . (z x (s - stop))
 *
 * omega z being the earth's rotation (Bridle & Schwab 1999, ASP Conf. Ser. 180, p. 371; phases
 * are linear in time to 3e-4 rad).  There is no smearing in frequency.  An autocorrelation is real: |g|^2 (total flux + SEFD + noise of
 * sqrt(2) sigma).  Sources are unpolarised: XX = YY = S, cross hands only noise.
 */
#ifndef PIPELINE_SIM_SIMVIS_H
#define PIPELINE_SIM_SIMVIS_H

#include <complex.h>
#include <stddef.h>
#include <stdint.h>

#include "pipeline/sky/astro.h"
#include "pipeline/sky/beam.h"
#include "pipeline/sky/stations.h"

struct err;
struct simsky;

enum { SIMVIS_SUBBANDS = 16 };

/* How a station takes part. */
enum sim_health {
    SIM_WELL,
    SIM_DEAD, /* its rows are exact zeros, as when an F-engine is not connected */
    SIM_DEAF  /* noise, no sky */
};

/* What interference is like; each takes the share `rfi` of all cells on average. */
enum sim_rfi {
    SIM_RFI_CELLS, /* half of it always, on some channels; half in cells by themselves */
    SIM_RFI_NARROW, /* always, on some channels */
    SIM_RFI_BROAD,  /* in one integration, over a stretch as wide as a sub-band */
    SIM_RFI_BURST,  /* in one integration, over the whole band */
    SIM_RFI_WEAK    /* in cells by themselves, half a sigma on every baseline */
};

/* The kind of a name: cells narrow broad burst weak.  Status: 0, -EINVAL. */
int sim_rfi_parse(const char *name, enum sim_rfi *kind);

struct simvis {
    uint64_t seed;
    struct site site;
    struct earth earth;
    int own_stop; /* 1, track 0: fringes are stopped at this longitude, not the site's */
    double stop_lon_rad;
    int track; /* 0: meridian point at dec_app_rad; 1: the ICRS position (beam and stop) */
    double dec_app_rad, ra_rad, dec_rad;
    size_t nant, ntime, nchan, npol; /* nchan: of one sub-band */
    int number[STATION_ACTIVE];      /* [nant] stations in the correlator's order */
    enum sim_health health[STATION_COUNT + 1]; /* by station */
    double tint_s;
    int smear; /* 1: averaged over tint_s; 0: as in its middle */
    struct beam beam;
    double sefd_jy;      /* 0: no noise, and autocorrelations without a system */
    double gain_rms;     /* of ln |g|; above 0 phases are uniform over 360 degrees */
    double bandpass_rms; /* of the bandpass's modulus, and of its phase in rad */
    double drift_rad; /* amplitude of slow sinusoidal phase wander (period 1 to 3 h) */
    double rfi;       /* share of (integration, channel) cells with interference */
    enum sim_rfi rfi_kind;
    double scale; /* correlator units per Jy */
};

/* Centre of channel `chan` (descending) of sub-band `sub`, and the width of each, Hz.  The
 * 16 sub-bands fill 1311.2653 to 1498.7653 MHz edge to edge whatever nchan is. */
double simvis_freq(const struct simvis *sim, int sub, size_t chan);
double simvis_width(const struct simvis *sim);

/* Complex gain (with scale, bandpass and drift) of a station; pol 0 is X, 1 is Y. */
double complex simvis_gain(const struct simvis *sim, int number, int pol, int sub,
                           size_t chan, double jd_utc);

/* Interference in this cell, in units of sigma per baseline (0: none).  Depends on time by
 * the whole second of jd_utc. */
double simvis_rfi(const struct simvis *sim, double jd_utc, int sub, size_t chan);

/*
 * simvis_fill: all samples of one sub-band file.
 *
 * Given:    sim, sky; t0_jd centre of the first integration; sub 0 to 15 (0 is highest)
 * Returned: data [ntime][nbl][nchan][npol], lower triangle with autocorrelations
 * Status:   0, -ENOMEM
 * Note:     cost nsource nbl ntime nchan; sines only per antenna, not per baseline.
 *           Depends on the seed, the time and the sub-band, not on what else is simulated.
 */
int simvis_fill(const struct simvis *sim, const struct simsky *sky, double t0_jd,
                int sub, float complex *data, struct err *e);

#endif
