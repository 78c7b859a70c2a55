/*
 * progress_json.h: what came out of a look at a data set (progress.h), summed up and as JSON;
 * each function that makes JSON returns a reference that is the caller's.
 */
#ifndef PIPELINE_PRODUCT_PROGRESS_JSON_H
#define PIPELINE_PRODUCT_PROGRESS_JSON_H

#include <jansson.h>

#include "pipeline/product/progress.h"

/* Items, and of those that lack something: held by a live owner; not held
 * and waiting for files. */
struct progress_sum {
    size_t total, complete, locked, waiting;
};

/* Lacks something, is not held, and has its files: how many a run would process. */
size_t progress_ready(const struct progress_sum *s);
double progress_percent(const struct progress_sum *s); /* 100 when there are no items */

/* {"total", "complete", "percent", "incomplete", "locked"} */
json_t *progress_sum_json(const struct progress_sum *s);
/* {"total", "ready", "skipped_done", "skipped_lock", "waiting", "names"}; names: an array of
   those that are ready, whose reference is taken over. */
json_t *progress_check_json(const struct progress_sum *s, json_t *names);
/* {"name", "missing": [features], "locked"}, and of a group {"files", "files_expected"}. */
json_t *progress_item_json(const struct progress_item *item, const char *const *feature,
                           size_t nfeature, bool locked);

#endif
