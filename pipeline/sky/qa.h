/*
 * qa.h: numbers by which an image is judged: noise, dynamic range, sources against a
 * catalogue.
 */
#ifndef PIPELINE_SKY_QA_H
#define PIPELINE_SKY_QA_H

#include <stddef.h>

struct err;
struct image;
struct source_list;

/* Robust noise: 1.4826 x median absolute deviation, sigma-clipped at 5 sigma 3 times;
   finite pixels. */
double qa_noise(const float *pix, size_t n);

/*
 * qa_find: local maxima above `nsigma` x local noise, brightest first, position and peak by a
 * Gaussian fit of the beam's shape around it.  noise [ny][nx] (Jy/beam) or NULL: qa_noise of img.
 */
int qa_find(struct source_list *out, const struct image *img, const float *noise,
            double nsigma, struct err *e);

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

#endif
