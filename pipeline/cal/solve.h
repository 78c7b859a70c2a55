/*
 * solve.h: antenna-based gains by least squares (StefCal, Salvini & Wijnholds 2014,
 * A&A 571, A97), and how they are applied.
 *
 * A row (ant1, ant2) obeys V = g1 conj(g2) M; so V_calibrated = V / (g1 conj(g2)).
 */
#ifndef PIPELINE_CAL_SOLVE_H
#define PIPELINE_CAL_SOLVE_H

#include <complex.h>
#include <stdbool.h>
#include <stddef.h>

struct err;
struct vis;

/* Gains of one kind.  A gain of 0 means no solution: data of that antenna are flagged. */
struct gains {
    size_t nant, ntime, nchan, npol; /* ntime or nchan 1: the same for all */
    double *time_jd;                 /* [ntime] */
    double *freq_hz;                 /* [nchan] (mean frequency when nchan is 1) */
    float complex *g;                /* [ntime][nchan][nant][npol] */
    int refant;                      /* index of the reference antenna (phase 0) */
};

int gains_alloc(struct gains **out, size_t nant, size_t ntime, size_t nchan,
                size_t npol, struct err *e);
void gains_free(struct gains *g);

/* Whether gains are solved for this polarisation (AIPS code): XX, YY, RR, LL and Stokes I.  The
 * cross-hands have no gains of their own; gains_apply uses the two parallel hands'. */
bool gains_parallel(int pol);

struct solve_opts {
    int refant;   /* antenna index; -1: the one with most unflagged data nearest to the
                            array's centre */
    int max_iter; /* 0 means 100 */
    double tolerance;     /* relative change; 0 means 1e-6 */
    size_t min_baselines; /* antennas with fewer get no solution; 0 means 3 */
    double min_uv_lambda; /* baselines shorter than this do not take part */
    double min_snr; /* a gain below this many times its error is no solution; 0 means 3,
                            negative: no such test */
};

/*
 * solve_gains: one gain per antenna and polarisation for each interval of times and channels.
 *
 * Given:
 *   vis             data and weights
 *   model           [nrow][nchan] Jy, Stokes I (the same for all parallel-hand polarisations)
 *   time_block      integrations per solution; 0: all in one
 *   chan_block      channels per solution; 0: all in one
 * Returned: *out (ntime, nchan = number of blocks; time_jd/freq_hz weighted block means)
 * Status: 0; ERR_QUALITY when no antenna has a solution; -ENOMEM
 */
int solve_gains(struct gains **out, const struct vis *vis, const float complex *model,
                size_t time_block, size_t chan_block, const struct solve_opts *opts,
                struct err *e);

/*
 * solve_bandpass: bandpass [1][nchan] and per-integration gain [ntime][1], solved in turns until
 * both are consistent (3 rounds).  The gain's mean over time is 1 in amplitude with phase 0
 * per antenna and polarisation; scale and phase are in the bandpass.
 */
int solve_bandpass(struct gains **bandpass, struct gains **gain, const struct vis *vis,
                   const float complex *model, const struct solve_opts *opts,
                   struct err *e);

/*
 * gains_apply: divide data by g1 conj(g2), scale weights by |g1 g2|^2; antennas without
 * solution become flagged.  Gains are matched by nearest time and by channel frequency
 * (nearest, at most half a channel width away unless nchan is 1).
 * Status: 0; ERR_SHAPE when antennas, polarisations or channels do not fit: one sentence.
 */
int gains_apply(struct vis *vis, const struct gains *g, struct err *e);

/* Point source model for the rows of vis: [nrow][nchan] Jy, seen through the beam per
   integration. */
struct beam;
struct calibrator;
int model_point(float complex *model, const struct vis *vis,
                const struct calibrator *cal, const struct beam *beam, struct err *e);

/* Weighted rms of the phase of data x conj(model), degrees: all parallel-hand samples. */
double solve_phase_rms_deg(const struct vis *vis, const float complex *model);

/*
 * Gain tables on disk: HDF5 with pyuvdata's CalH5 names (Header/..., Data/gains
 * [Nants_data][Nfreqs][Ntimes][Njones] complex128, Data/flags), gain convention "divide", antennas
 * by number; gains of one channel are CalH5's wide_band.  Ours are in Header/extra_keywords.
 */
struct caltable_info {
    char telescope[32], calibrator[32], group[64], kind[16]; /* kind: bandpass | gain */
    double t_jd;                                             /* mid time */
};
int caltable_write(const char *path, const struct gains *g, const struct vis *vis,
                   const struct caltable_info *info, struct err *e);
/*
 * caltable_read: gains re-ordered to vis's antennas, polarisations and channels (nearest, at most
 * half a channel away).  An antenna that the table does not have gets no solution.
 * Status: 0; ERR_FORMAT (not such a table); ERR_SHAPE when telescope, polarisations or channels
 * do not fit or no antenna does; -ENOMEM; a negated errno.
 */
int caltable_read(struct gains **out, struct caltable_info *info, const char *path,
                  const struct vis *vis, struct err *e);

#endif
