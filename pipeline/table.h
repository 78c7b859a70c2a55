/*
 * table.h: the pipelines, one row each; a new one is a folder and a row (and a line in
 * pipeline.c if it has settings).
 *
 * A row is PIPELINE(name of its tasks, what one task is made of, the list of inputs in the
 * task's params, folder of its products, their type, how their names begin, how windows are
 * cut, its code: a struct work).  NULL where there is no such thing: noop has neither inputs
 * nor products.
 *
 * No other file outside the pipeline's own folder spells these words: it asks pipeline.h.
 */
/* clang-format off */
PIPELINE("continuum", PIPELINE_GROUP,  "files", "tiles",   "image",  "",
         NULL,          continuum_work)
PIPELINE("mosaic",    PIPELINE_WINDOW, "tiles", "mosaics", "mosaic", "mosaic_",
         mosaic_window, mosaic_work)
PIPELINE("noop",      PIPELINE_NONE,   NULL,    NULL,      NULL,     NULL,
         NULL,          noop_work)
/* clang-format on */
