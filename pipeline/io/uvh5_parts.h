/*
 * uvh5_parts.h: what the parts of the header reader (uvh5_header.c, uvh5_phase.c, uvh5_uvw.c)
 * share; nobody else includes it.
 */
#ifndef PIPELINE_IO_UVH5_PARTS_H
#define PIPELINE_IO_UVH5_PARTS_H

#include <stddef.h>

#include "pipeline/io/uvh5_header.h"

struct err;
struct h5;

/* One finite number.  Status: as h5_read_f64; ERR_FORMAT not finite. */
int uvh5_read_one(const struct h5 *h5, const char *name, double *x, struct err *e);
/* Text that may be absent: "" then.  Status: as h5_read_text. */
int uvh5_read_label(const struct h5 *h5, const char *name, char *out, size_t size,
                    struct err *e);

/*
 * uvh5_read_phasing: what the file is phased to, by UVH5 1.x's phase_center_catalog (a group of
 * groups named by id or by name, or the same as JSON text) or by the phase_type before it.
 * Returned: h->info.phasing and its directions; rows and site must have been read
 * Status:   0; ERR_FORMAT a kind or frame that is not supported, a centre that moves, or one that
 *           the catalogue has not; ERR_SHAPE more than one centre; -ENOMEM
 */
int uvh5_read_phasing(const struct h5 *h5, struct uvh5_header *h, struct err *e);

/*
 * uvh5_check_uvw: do uvw_array and antenna_positions describe the same array?  Baselines from the
 * positions, in the frame that the file is phased to, beside the rows of the first 30 s; a file
 * without uvw_array, or with zeros in it, says nothing.
 * Status: 0; ERR_FORMAT they differ by more than a hundredth (0.6 degrees): by how much, on which
 *         baseline, and what they look like instead, when that is known; -ENOMEM
 * Note:   real files differ by up to 1.3e-3: the clock's 13 s, the equator of another date.
 */
int uvh5_check_uvw(const struct h5 *h5, struct uvh5_header *h, struct err *e);

#endif
