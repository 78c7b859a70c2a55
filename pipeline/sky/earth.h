/*
 * earth.h: how the earth stands: UT1 - UTC and the pole, from a table of the IERS.
 *
 * The table in the program (etc/earth.csv, from IERS C04) is dated; a newer file takes its place.
 * Between its days UT1 - TAI and the pole are interpolated by a cubic through four of them; a
 * sixteenth of a millisecond is lost by its step of two days.  Behind its end the last values stand,
 * and note says how far they may be off, by the accuracy of IERS Bulletin A's own predictions
 * (UT1: 0.00025 s d^0.75; pole: 0.00068 arcsec d^0.80, d days after the end).
 */
#ifndef PIPELINE_SKY_EARTH_H
#define PIPELINE_SKY_EARTH_H

#include <stdbool.h>
#include <stddef.h>

#include "pipeline/sky/astro.h"

struct err;
struct earth_table;

enum earth_source {
    EARTH_TABLE,  /* inside the table */
    EARTH_STALE,  /* behind its end: its last values */
    EARTH_ABSENT, /* before its begin: UT1 = UTC, the pole at 0 */
    EARTH_FILE,   /* UT1 - UTC of the data's own header */
    EARTH_GIVEN   /* UT1 - UTC by hand */
};

/* Where an orientation is from, and what it is worth. */
struct earth_note {
    enum earth_source source;
    double error_arcsec; /* of a direction, one sigma; UT1 counts 15 arcsec a second */
    char text[200];      /* one sentence, for people */
};

/*
 * earth_table_read: the file at path, or (NULL, "") the table in the program.
 *
 * Given:    this program's CSV (mjd,ut1_utc_s,pole_x_arcsec,pole_y_arcsec) or one of the IERS'
 *           finals2000A.all, finals2000A.daily, finals.data (fixed columns)
 * Returned: *out, ended by earth_table_free
 * Status:   0; ERR_FORMAT neither, fewer than four days, days that do not ascend, values that cannot
 *           be (which line); -ENOMEM; a negated errno
 */
int earth_table_read(struct earth_table **out, const char *path, struct err *e);
void earth_table_free(struct earth_table *t);

/*
 * earth_at: the orientation at this time (JD UTC).
 *
 * Given:    given_s UT1 - UTC by hand, used instead of the table's (NaN or 0: the table's);
 *           file_s that of the data's header (NaN or 0: it does not say), used where the table has
 *           none; a difference from the table of more than 0.01 s and three sigma is in the note
 * Returned: *earth, *note
 */
void earth_at(const struct earth_table *t, double jd_utc, double given_s, double file_s,
              struct earth *earth, struct earth_note *note);

#endif
