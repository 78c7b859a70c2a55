/*
 * inputs.h: what a product was made of, compared with what is there now.
 *
 * An input is known by its name without folders, its size and its modification time in ns, and
 * neither by its folder nor by its place in the list.  So a product stays current when a root
 * is moved, or is reached through a symbolic link: the same bytes would give the same image.
 * Members are put in order by what their names say, so their order in a task is no property of
 * theirs.  A file that was rewritten has another time, even when it has its old size; one that
 * was copied without its time counts as rewritten, because nothing but its bytes could tell
 * otherwise.  The inputs of a mosaic, manifests which all have one name, differ by their times.
 */
#ifndef PIPELINE_PRODUCT_INPUTS_H
#define PIPELINE_PRODUCT_INPUTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct product_input;

/* Was it made of exactly these?  input[n] in any order; false for a NULL manifest. */
bool inputs_same(const json_t *manifest, const struct product_input *input, size_t n);

/* Has one that it was made of, and that is still where it was, been rewritten?  Asks the file
 * system for each.  Those that are gone, or came later, do not make it stale. */
bool inputs_rewritten(const json_t *manifest);

#endif
