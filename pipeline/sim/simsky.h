/*
 * simsky.h: a made-up sky of unpolarised point sources, from a table or at random.
 *
 * Random sources follow the counts of Hopkins et al. 2003 and belong to their patch of
 * sky: any two fields that overlap see the same sources there, for the same seed.
 */
#ifndef PIPELINE_SIM_SIMSKY_H
#define PIPELINE_SIM_SIMSKY_H

#include <stddef.h>
#include <stdint.h>

struct err;

struct sim_source {
    char name[32];
    double ra_rad, dec_rad;  /* ICRS */
    double flux_jy, freq_hz; /* flux_jy at freq_hz */
    double spix;             /* S = flux_jy (nu / freq_hz)^spix */
};

struct simsky {
    size_t n, room;
    struct sim_source *source; /* [n] */
};

/* A circle of sky. */
struct sim_field {
    double ra_rad, dec_rad, radius_rad;
};

/* Add a copy of one source; 0 or -ENOMEM. */
int simsky_add(struct simsky *sky, const struct sim_source *source);
void simsky_free(struct simsky *sky);

double simsky_flux(const struct sim_source *source, double freq_hz);

/*
 * simsky_random: add the sources of [min_jy, max_jy) at 1.4 GHz inside any of the fields.
 *
 * Notes:
 *   1) Counts: sixth-order polynomial of Hopkins et al. 2003, AJ 125, 465, eq. 3, up to 1 Jy
 *      and Euclidean (S^-2.5) above; spectral indices Gaussian, -0.7 +- 0.3.
 *   2) Names are SIM_Jhhmmss+ddmmss.  Order: by declination band, then right ascension.
 *   3) Status 0; -ENOMEM; -EINVAL unless 0 < min_jy < max_jy.
 */
int simsky_random(struct simsky *sky, uint64_t seed, const struct sim_field *field,
                  size_t nfield, double min_jy, double max_jy, struct err *e);

/*
 * simsky_read: add the sources of a table "name,ra_deg,dec_deg,flux_jy,spix,freq_mhz", one a
 * line, '#' for comments, an optional header line.
 * Status: 0; ERR_FORMAT with the line; -ENOMEM; a negated errno
 */
int simsky_read(struct simsky *sky, const char *path, struct err *e);
/* The same table back, replaced whole.  Status: 0; -ENOMEM; a negated errno. */
int simsky_write(const struct simsky *sky, const char *path, struct err *e);

#endif
