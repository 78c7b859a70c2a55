/*
 * source.h: a point of the sky with a flux density: found in an image or listed in a catalogue.
 */
#ifndef PIPELINE_SKY_SOURCE_H
#define PIPELINE_SKY_SOURCE_H

#include <stddef.h>

struct source {
    char name[32]; /* of a catalogue; empty for found ones */
    double ra_rad, dec_rad;
    double flux_jy;       /* peak, Jy/beam (found) or flux (catalogue) */
    double spix, freq_hz; /* catalogue: spectral index and its reference frequency */
    double snr;           /* found */
};

struct source_list {
    size_t n;
    struct source *src; /* [n] on the heap */
};
/* Free the sources and empty the list; the struct itself is the caller's. */
void source_list_free(struct source_list *list);

#endif
