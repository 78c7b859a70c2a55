/*
 * product.h: a directory of results that is visible whole or not at all.
 *
 * Work happens in a scratch directory named by group and generation; publishing writes
 * the manifest, syncs, asks the gate and renames:
 *
 *   <kind>/<name>.gen34/manifest.json    the product, never changed again
 *   <kind>/<name> -> <name>.gen34        the current one; the link only moves forward
 *
 * The manifest (names, sizes, SHA-256, inputs, generation, software version) is how a
 * complete product is recognised and skipped.
 */
#ifndef PIPELINE_PRODUCT_PRODUCT_H
#define PIPELINE_PRODUCT_PRODUCT_H

#include <jansson.h>
#include <limits.h>
#include <stdint.h>

#include "core/path.h"

struct err;

/*
 * Who may publish is decided by the claim, which this room does not know.
 * Status of both: 0; anything else ends product_publish with it.  After a refusal of may
 * nothing is visible; after one of commit the directory is there and the link has not moved.
 */
struct product_gate {
    int (*may)(void *arg, struct err *e);    /* asked just before the rename */
    int (*commit)(void *arg, struct err *e); /* told just after it */
    void *arg;
};

/* An input as it was when read; a changed one makes the product out of date. */
struct product_input {
    const char *path;
    uint64_t size;
    int64_t mtime_ns;
    char digest[PATH_SHA256]; /* of its ends, as path_sha256_ends; "": not known */
};

/* Fill size and mtime_ns from the file system, a directory's as in core/dirsum.h.  Status: 0,
 * or a negated errno. */
int product_input_stat(struct product_input *in, const char *path, struct err *e);

/* Fill digest; a directory has none.  Status: 0; those of path_sha256_ends. */
int product_input_digest(struct product_input *in, struct err *e);

/* A product in the making, and what became of it. */
struct product_new {
    const char *scratch;  /* holds the files; manifest.json is added to it */
    const char *kind_dir; /* e.g. <products>/tiles; made if missing */
    const char *name;
    uint64_t generation;               /* the fencing token of the claim */
    const struct product_input *input; /* [ninput] */
    size_t ninput;
    json_t *meta; /* JSON object stored as "meta"; borrowed; may be NULL */
    /* filled by product_publish */
    char path[PATH_MAX]; /* the published directory, with its generation */
    json_t *manifest;    /* a new reference, yours; NULL unless it was published */
};

/*
 * product_publish: make the directory `scratch` the current product `name` of `kind_dir`.
 *
 * Given:    all but the last two fields of p; gate (may be NULL)
 * Returned: p->path and p->manifest
 * Status:   0; the gate's refusal (nothing visible); -EEXIST this generation was published
 *           before; -ENOSPC and other errnos with a sentence.  After a failure scratch is kept.
 * Note:     scratch on another file system is copied to a dot-directory of kind_dir first,
 *           which goes again when publishing fails.
 */
int product_publish(struct product_new *p, const struct product_gate *gate,
                    struct err *e);

/*
 * product_current: the manifest of the current product, checked.
 *
 * Returned: *manifest, a new reference (NULL unless 0); path the directory (may be NULL)
 * Status: 0 complete: every file has its size and, with `digest`, its SHA-256;
 *   -ENOENT no product; ERR_FORMAT broken, with the file and the reason
 */
int product_current(json_t **manifest, char path[PATH_MAX], const char *kind_dir,
                    const char *name, int digest, struct err *e);

/*
 * product_link_ready: before the work: will the link be able to move?
 * Status: 0; -EISDIR something that is no link has the product's name (a copy that followed the
 * links); -EPERM a link of somebody else in a sticky folder; -ENAMETOOLONG and other errnos
 */
int product_link_ready(const char *kind_dir, const char *name, struct err *e);

/*
 * product_relink: point the link at the newest generation, where only that had failed.  Whoever
 * holds the claim may, once that generation is known to be whole and of the right inputs.
 * Status: 0; -EISDIR and other errnos with a sentence
 */
int product_relink(const char *kind_dir, const char *name, struct err *e);

/* Highest generation ever published under this name, by its directories; 0 for none. */
uint64_t product_newest(const char *kind_dir, const char *name);

/* Generation of the current product, by its link alone; 0 for none. */
uint64_t product_generation(const char *kind_dir, const char *name);

#endif
