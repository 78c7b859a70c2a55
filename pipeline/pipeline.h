/*
 * pipeline.h: what kinds of work there are, for everyone who must tell them apart.
 *
 * The rows are those of table.h.  Nothing here reads data or links to what does: the daemon
 * and the operators' tools ask for names and folders only.  How a pipeline works is in
 * pipeline/work.h, which only a worker process needs.
 */
#ifndef PIPELINE_PIPELINE_H
#define PIPELINE_PIPELINE_H

#include <stddef.h>

struct conf;
struct conf_parts;

/* What one task of a pipeline is made of. */
enum pipeline_input {
    PIPELINE_GROUP,  /* the files of one group: its key is the group's name */
    PIPELINE_WINDOW, /* published products of successive groups */
    PIPELINE_NONE    /* nothing: it neither claims nor publishes */
};

/* How successive tiles (products of groups) make a window. */
struct window_opts {
    /* tiles of a window; how many of them the next one takes again */
    size_t tiles, overlap;
    double max_gap_s;         /* between the middles of successive tiles */
    double dec_tolerance_deg; /* against the first tile of a run */
};

/* NULL where there is no such thing. */
struct pipeline {
    const char *name; /* of its tasks in the queue */
    enum pipeline_input input;
    const char *items; /* the list of inputs in the params of a task */
    /* of its products, below [paths] products; it makes none where this is NULL */
    const char *folder;
    const char *data_type; /* of its products in the registries */
    const char *prefix;    /* names of its products begin with it; "": any */
    /* How its windows are cut, by the settings. */
    void (*window)(const struct conf *conf, struct window_opts *opts);
};

/* The settings of all pipelines: for conf_load and conf_defaults. */
extern const struct conf_parts pipeline_settings;

/* Row i of the table, NULL behind the last: for loops over all of them. */
const struct pipeline *pipeline_at(size_t i);

/* The pipeline whose tasks have this name; NULL when there is none. */
const struct pipeline *pipeline_by_name(const char *name);

/* The pipeline that works on such inputs (the first of the table); never NULL. */
const struct pipeline *pipeline_for(enum pipeline_input input);

/* Whose product bears this name, by its prefix: a window's, or else a group's; never NULL. */
const struct pipeline *pipeline_of_product(const char *id);

#endif
