/*
 * verdict.h: what tiles and mosaics have in common when they are judged and written down: the
 * catalogue to compare with, the verdict, and the numbers as JSON.
 */
#ifndef PIPELINE_CONTINUUM_VERDICT_H
#define PIPELINE_CONTINUUM_VERDICT_H

#include <jansson.h>

#include "pipeline/sky/qa.h"

struct continuum_settings;
struct err;
struct image;

/* Compare found sources with the settings' catalogue and the built-in calibrators;
 * noise[ny][nx] Jy/beam.  Status: 0; -ENOENT and other errnos, ERR_FORMAT: the catalogue;
 * -ENOMEM. */
int verdict_catalogue(struct qa_match *match, const struct image *img,
                      const float *noise, const struct source_list *found,
                      const struct continuum_settings *set, struct err *e);

/*
 * "passed", "warning" or "failed".  Failed: dynamic range below 5 (DSA-110's own limit for
 * images).  Warning: catalogue fluxes off by more than 20 %, or fewer than 60 % of the expected
 * sources found (its limits for an epoch).
 */
const char *verdict_status(double dynamic_range, const struct qa_match *match);

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
