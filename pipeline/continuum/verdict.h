/*
 * verdict.h: what tiles and mosaics have in common when they are judged and written down: the
 * catalogue to compare with, the verdict, and the numbers as JSON.
 */
#ifndef PIPELINE_CONTINUUM_VERDICT_H
#define PIPELINE_CONTINUUM_VERDICT_H

#include <jansson.h>
#include <stddef.h>

#include "pipeline/sky/qa.h"

struct continuum_settings;
struct err;
struct image;

/* The worse the larger.  A verdict is the worst of its reasons. */
enum verdict_grade {
    VERDICT_PASSED,
    VERDICT_WARNING,
    VERDICT_UNCALIBRATED, /* imaged as it came: pixels are in the data's own unit */
    VERDICT_FAILED
};

struct verdict {
    enum verdict_grade grade;
    json_t *reasons; /* array of sentences "failed: ...", worst first; NULL for none */
};

/* One reason more, in words without the grade.  Out of memory: the grade counts all the same. */
void verdict_add(struct verdict *v, enum verdict_grade grade, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* "what is 3unit, more than 2": a number against two limits, beyond which it is bad; when warn is
 * the larger one, below which.  A limit of 0 is none, and NaN is not judged. */
void verdict_limits(struct verdict *v, double x, double warn, double fail,
                    const char *what, const char *unit);
void verdict_close(struct verdict *v);

/* "passed", "warning", "uncalibrated" or "failed". */
const char *verdict_word(enum verdict_grade grade);
/* And back; VERDICT_FAILED for any other word. */
enum verdict_grade verdict_grade_of(const char *word);

/* Compare found sources with the settings' catalogue and the built-in calibrators, but for the
 * sources that the data were solved on (solved; NULL: none), which prove nothing;
 * noise[ny][nx] in the unit of img.  Status: 0; -ENOENT and other errnos, ERR_FORMAT: the
 * catalogue; -ENOMEM. */
int verdict_catalogue(struct qa_match *match, const struct image *img,
                      const float *noise, const struct source_list *found,
                      const struct source_list *solved,
                      const struct continuum_settings *set, struct err *e);

/* Reasons that images of any kind have: dynamic range, sources of the catalogue found, their
 * fluxes. */
void verdict_judge_image(struct verdict *v, double dynamic_range,
                         const struct qa_match *match,
                         const struct continuum_settings *set);

/* "qa_status" and "reasons" into a JSON object. */
void verdict_meta(json_t *m, const struct verdict *v);

enum { VERDICT_CARDS = 1 + 9 };
/* QASTATUS and QAREAS1 to QAREAS9 for a FITS header, borrowed from v, into card [VERDICT_CARDS];
 * how many. */
struct fits_card;
size_t verdict_cards(struct fits_card *card, const struct verdict *v);

/* sources.csv, qa.json and preview.png of an image, into the directory.
 * Status: 0; -ENOSPC and other errnos naming the file; -ENOMEM. */
int verdict_write(const char *dir, const struct image *img,
                  const struct source_list *sources, const json_t *meta, struct err *e);

/* Into a JSON object: text; a number (NaN becomes null); position, beam, times; the match. */
void verdict_put(json_t *m, const char *key, const char *text);
void verdict_number(json_t *m, const char *key, double value);
void verdict_image(json_t *m, const struct image *img);
void verdict_match(json_t *m, const struct qa_match *match);

#endif
