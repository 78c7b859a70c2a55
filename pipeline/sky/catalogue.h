/*
 * catalogue.h: lists of sources as text.
 *
 * CSV "name,ra_deg,dec_deg,flux_jy,spix,freq_mhz", '#' comments, header line needed.  The truth
 * table of uvh5sim has this form.
 */
#ifndef PIPELINE_SKY_CATALOGUE_H
#define PIPELINE_SKY_CATALOGUE_H

struct err;
struct source_list;

/*
 * catalogue_read: strict, because a column taken for another gives fluxes that look right.
 *
 * Returned: *out, the caller's (source_list_free); empty after a failure
 * Status:   0; ERR_FORMAT with the line; -ENOMEM; -EIO and other errnos
 */
int catalogue_read(struct source_list *out, const char *path, struct err *e);
/*
 * catalogue_write: the same form back; commas and control characters in names become '_'.
 * Status: 0; -ENOMEM; other errnos, and an existing file stays as it was (path_write).
 */
int catalogue_write(const char *path, const struct source_list *list, struct err *e);

#endif
