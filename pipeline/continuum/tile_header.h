/*
 * tile_header.h: what the headers of a tile's images say beside what fits.h does, and the settings
 * that a product was made with.
 */
#ifndef PIPELINE_CONTINUUM_TILE_HEADER_H
#define PIPELINE_CONTINUUM_TILE_HEADER_H

#include <jansson.h>

#include "pipeline/continuum/verdict.h"
#include "pipeline/io/fits.h"

struct conf;
struct tile_run;

enum { HEADER_CARDS = 48, HEADER_LINES = 12, HEADER_LINE = 256 };

struct tile_header {
    struct fits_card
        card[HEADER_CARDS]; /* ends as fits.h has it; borrowed from run and line */
    char line[HEADER_LINES][HEADER_LINE];
    size_t ncard, nline;
};

/* Verdict, instrument, and as HISTORY how the image was made.  h is borrowed by its own cards: it
 * must stay where it is. */
void tile_header(struct tile_header *h, const struct tile_run *run);

/* {"imaging": {"robust": "0.5", ...}, ...} of what concerns these products: no folder, no store, no
 * password.  A new reference; NULL without memory. */
json_t *tile_settings(const struct conf *conf);

#endif
