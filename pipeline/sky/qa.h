/*
 * qa.h: numbers by which an image is judged: noise, dynamic range, sources against a
 * catalogue.
 */
#ifndef PIPELINE_SKY_QA_H
#define PIPELINE_SKY_QA_H

#include <stddef.h>

struct err;
struct image;

struct source {
    char name[32]; /* of a catalogue; empty for found ones */
    double ra_rad, dec_rad;
    double flux_jy;       /* peak, Jy/beam (found) or flux (catalogue) */
    double spix, freq_hz; /* catalogue: spectral index and its reference frequency */
    double snr;           /* found */
};

struct source_list {
    size_t n;
    struct source *src;
};
void source_list_free(struct source_list *list);

/* Robust noise: 1.4826 x median absolute deviation, sigma-clipped at 5 sigma 3 times;
   finite pixels. */
double qa_noise(const float *pix, size_t n);

/*
 * qa_find: local maxima above `nsigma` x local noise, brightest first, position and peak by a
 * Gaussian fit of the beam's shape around it.  noise [ny][nx] (Jy/beam) or NULL: qa_noise of img.
 */
int qa_find(struct source_list *out, const struct image *img, const float *noise,
            double nsigma, struct err *e);

/*
 * A catalogue: CSV "name,ra_deg,dec_deg,flux_jy,spix,freq_mhz", '#' comments, header line
 * needed.  The truth table of uvh5sim has this form.
 */
int catalogue_read(struct source_list *out, const char *path, struct err *e);
int catalogue_write(const char *path, const struct source_list *list, struct err *e);

struct qa_match {
    /* catalogue sources in the image brighter than nsigma local noise */
    size_t nexpected;
    size_t nfound; /* of these, found within one beam */
    /* median found / catalogue at the image's frequency; NAN for none */
    double flux_ratio;
    double offset_rad; /* median separation */
    double worst_ratio, worst_offset_rad;
};
/* noise: local noise map or NULL for one number from qa_noise. */
int qa_match(struct qa_match *out, const struct image *img, const float *noise,
             const struct source_list *found, const struct source_list *cat,
             double nsigma);

/* 8-bit grey PNG, asinh stretch from -2 sigma to the 99.95 percentile; north up, east left;
   at most max_side
 * pixels a side (averaged down).  NaN black. */
int preview_write(const char *path, const struct image *img, size_t max_side,
                  struct err *e);

#endif
