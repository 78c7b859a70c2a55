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

/* Robust noise of n pixels, in their unit: 1.4826 x median absolute deviation of the finite
 * ones, clipped at 5 sigma 3 times; of an image of more than two million about a million of them,
 * evenly spread. */
double qa_noise(const float *pix, size_t n);

/*
 * qa_noise_map: the noise around each pixel.
 *
 * 1.4826 x the median absolute deviation in overlapping boxes of 30 beams a side, bilinear
 * between their middles; where boxes of 8 beams have markedly more (around a bright source that
 * calibration or CLEAN left imperfect) theirs.  A grid of pixels in each box is looked at, so
 * that the cost hardly depends on the box.  After WSClean's -local-rms and PyBDSF's two scales
 * (rms_box, rms_box_bright).
 *
 * Given:    pix [ny][nx], NaN where there is none; beam_pix, the major axis of the beam (FWHM);
 *           nthread
 * Returned: map [ny][nx] in the unit of pix, also where that is NaN; 0 without a finite pixel
 * Status:   0; -ENOMEM
 */
int qa_noise_map(float *map, const float *pix, size_t nx, size_t ny, double beam_pix,
                 size_t nthread);

/*
 * qa_find: local maxima above `nsigma` x local noise, position and peak by a Gaussian fit of
 * the beam's shape around each.
 *
 * Given:    img, Jy/beam; noise [ny][nx] Jy/beam, or NULL: qa_noise of img
 * Returned: *out, brightest first, the caller's (source_list_free); empty after a failure
 * Status:   0, also when there is none; -ENOMEM
 */
int qa_find(struct source_list *out, const struct image *img, const float *noise,
            double nsigma, struct err *e);

struct qa_match {
    /* catalogue sources in the image brighter than nsigma local noise */
    size_t nexpected;
    size_t nfound; /* of these, found within one beam */
    /* median found / catalogue at the image's frequency; NAN for none, as all below */
    double flux_ratio;
    double offset_rad; /* median separation */
    double worst_ratio, worst_offset_rad;
};

/* Sources found against a catalogue; noise and nsigma as qa_find's.  Status: 0; -ENOMEM. */
int qa_match(struct qa_match *out, const struct image *img, const float *noise,
             const struct source_list *found, const struct source_list *cat,
             double nsigma);

#endif
