/*
 * registered.h: rows of cal_registry.sqlite3's calibrators, and what calibration makes of them.
 */
#ifndef PIPELINE_CONTINUUM_REGISTERED_H
#define PIPELINE_CONTINUUM_REGISTERED_H

#include <stddef.h>

struct calibrator;
struct err;
struct reg_calibrator;

/* A row from a calibrator: all its points; of a polynomial the flux at 20 cm. */
void registered_row(struct reg_calibrator *row, const struct calibrator *cal,
                    const char *by);
/* A calibrator from a row.  Status: 0; ERR_QUALITY it has no flux, or a spectrum that cannot be
 * read (SQL can write anything). */
int registered_calibrator(struct calibrator *cal, const struct reg_calibrator *row,
                          struct err *e);
/*
 * registered_join: what calibration looks through: the rows that an operator has registered, then
 * the built-in table without the sources that these are; what was imported from a list does not
 * replace the table's.  Rows by the program itself, retired ones and those without a flux are left
 * out.
 * Returned: *out [*n], yours to free
 * Status:   0; -ENOMEM
 */
int registered_join(struct calibrator **out, size_t *n,
                    const struct reg_calibrator *row, size_t nrow, struct err *e);

#endif
