/*
 * calibrator.h: bright calibrators, their positions and their fluxes by frequency.
 */
#ifndef PIPELINE_SKY_CALIBRATOR_H
#define PIPELINE_SKY_CALIBRATOR_H

#include <stddef.h>

struct beam;
struct err;
struct vis;

enum { CAL_MAXPOINT = 8 };

struct calibrator {
    char name[32], alias[32]; /* "1229+020", "3C273" */
    double ra_rad, dec_rad;   /* ICRS */
    /* Either Perley-Butler coefficients (ncoeff > 0): log10 S = sum a_k log10(nu/GHz)^k, or
     * points joined in log-log, ends extended for at most a factor 1.5 in frequency. */
    int ncoeff;
    double coeff[6];
    int npoint;
    double freq_hz[CAL_MAXPOINT], flux_jy[CAL_MAXPOINT];
    double lo_hz, hi_hz; /* validity */
    const char *source;  /* where the numbers come from */
};

/* The built-in table. */
const struct calibrator *calibrator_table(size_t *n);
/* By name or alias, case ignored, "J"/"B" prefix ignored; NULL when unknown. */
const struct calibrator *calibrator_find(const char *name);

/* The same in a list. */
const struct calibrator *calibrator_find_in(const struct calibrator *list, size_t n,
                                            const char *name);
/* The one at this place (rad), within half an arc minute; NULL when there is none. */
const struct calibrator *calibrator_at(const struct calibrator *list, size_t n,
                                       double ra_rad, double dec_rad);
/*
 * calibrator_join: the built-in table with `own` [nown] before it; what has the name or the place
 * of one of `own` is left out of the table.
 * Returned: *out [*n], yours to free
 * Status:   0; -ENOMEM
 */
int calibrator_join(struct calibrator **out, size_t *n, const struct calibrator *own,
                    size_t nown, struct err *e);

/* Flux in Jy; ERR_QUALITY ("... no flux at 95 GHz ...") outside the validity. */
int calibrator_flux(const struct calibrator *cal, double freq_hz, double *flux_jy,
                    struct err *e);

/* The longest baseline, wavelengths, on which this one is a point to ten per cent; INFINITY: all
 * that there are. */
double calibrator_uvmax(const struct calibrator *cal, double freq_hz);

/*
 * calibrator_usable: whether this one can calibrate the group: its flux in the middle of the
 * band is known, its beam response at least min_beam and its apparent flux at least min_jy.
 * Returned: *apparent_jy at mid-band
 * Status:   0; ERR_QUALITY it cannot, and the sentence says why
 */
int calibrator_usable(const struct calibrator *cal, const struct vis *vis,
                      const struct beam *beam, double min_beam, double min_jy,
                      double *apparent_jy, struct err *e);

/*
 * calibrator_in_field: that of list [n], of those that are usable, with the largest apparent
 * flux, *apparent_jy at mid-band.  NULL when there is none (an answer).
 */
const struct calibrator *calibrator_in_field(const struct calibrator *list, size_t n,
                                             const struct vis *vis,
                                             const struct beam *beam, double min_beam,
                                             double min_jy, double *apparent_jy);

/*
 * calibrator_parse: "NAME,RA_DEG,DEC_DEG,FLUX_JY,FREQ_MHZ[,SPIX]" (a command-line or settings
 * calibrator) into *cal.  Status: 0; -EINVAL.
 */
int calibrator_parse(const char *text, struct calibrator *cal, struct err *e);

#endif
