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

int catalogue_read(struct source_list *out, const char *path, struct err *e);
int catalogue_write(const char *path, const struct source_list *list, struct err *e);

#endif
