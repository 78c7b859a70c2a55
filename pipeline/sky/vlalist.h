/*
 * vlalist.h: the VLA calibrator manual's list (NRAO), in its text form, into calibrators.
 */
#ifndef PIPELINE_SKY_VLALIST_H
#define PIPELINE_SKY_VLALIST_H

#include <stddef.h>

struct calibrator;
struct err;

/*
 * vlalist_parse: text of any size, a NUL behind it.
 *
 * Returned: *out [*n], yours to free: the sources that have a flux at 20 cm, with all their fluxes
 *           by the manual's nominal frequencies, J2000 positions, in the list's order;
 *           *nall counts the sources with or without
 * Status:   0; ERR_FORMAT nothing in it looks like a source of the list, or a line of a source
 *           cannot be (which line, and why); -ENOMEM
 */
int vlalist_parse(struct calibrator **out, size_t *n, size_t *nall, const char *text,
                  struct err *e);

/*
 * Right ascension ("202.78" degrees, "13h31m08.28s", "13:31:08.28") and declination ("30.51",
 * "30d30'33\"", "-30:30:33") to degrees.  Status: 0; -EINVAL.
 */
int vlalist_ra(const char *text, double *deg);
int vlalist_dec(const char *text, double *deg);

#endif
