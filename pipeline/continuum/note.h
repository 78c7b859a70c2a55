/*
 * note.h: tiles and mosaics in the registries, as their manifests have them.
 */
#ifndef PIPELINE_CONTINUUM_NOTE_H
#define PIPELINE_CONTINUUM_NOTE_H

#include <jansson.h>

struct err;
struct run_env;

/*
 * A tile: an image, and the bandpass that was solved with it, if one was.
 * Status: 0; -ESTALE a newer generation is noted; other failures of the registries.
 */
int note_tile(const struct run_env *env, const char *path, json_t *manifest,
              struct err *e);

/* A mosaic, and that its window is done with.  Status: as note_tile. */
int note_mosaic(const struct run_env *env, const char *path, json_t *manifest,
                struct err *e);

#endif
