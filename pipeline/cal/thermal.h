/*
 * thermal.h: how noisy samples of Stokes I are by the receivers alone, whatever their weights
 * say: what an image's noise is to be compared with.
 */
#ifndef PIPELINE_CAL_THERMAL_H
#define PIPELINE_CAL_THERMAL_H

struct err;
struct gains;
struct stokes;
struct vis;

struct thermal {
    const char *from; /* autos | settings | channels | none */
    /* sqrt(sum w^2 var / sum w) over weights w of Stokes I and true variances var: 1 when the
     * weights are one over the variance.  NAN: nothing to tell it by. */
    double scale;
    double
        sefd_jy; /* of one receiver, rms over the baselines; in the unit of the data */
    double
        weight; /* mean of vis->weight over unflagged samples, Hz s: the noise of one sample of
                       one polarisation is sefd_jy / sqrt(weight) */
};

/*
 * thermal_measure: of the autocorrelations A: var = A1 A2 / (w |g1 g2|^2) of a polarisation, w
 * being its weight as read (2 x bandwidth x time x valid fraction; Thompson, Moran & Swenson
 * 2017, eq. 6.50).  Without them, or when the channels show a third or three times the noise
 * that they say (they are normalised, then), of sefd_jy, when that is positive:
 * var = sefd_jy^2 / w.  Without either of second differences of adjacent channels of Stokes I,
 * row by row by their median, so that neither sources nor narrow interference count.  About
 * 4000 rows are looked at.
 *
 * Given:    vis; gains [STOKES_GAINS] that stokes was made with; sefd_jy, 0: not known
 * Returned: *out; from "none" when there is nothing to tell by, which is no failure
 * Status:   0; ERR_SHAPE the gains do not fit; -ENOMEM
 */
int thermal_measure(struct thermal *out, const struct vis *vis,
                    const struct gains *const *gains, const struct stokes *stokes,
                    double sefd_jy, struct err *e);

/* The rms phase, in degrees, that noise alone gives a sample of this amplitude over the noise of
 * its real part: 1 / snr rad for large ones, 103.9 degrees for 0. */
double thermal_phase_rms_deg(double snr);

#endif
