/*
 * threshold.h: the inner loops of flagging, in one copy for each set of instructions: sizes of
 * samples, their distance from the expected size, SumThreshold, sums over baselines.
 *
 * A line is the samples of one baseline in one integration, channels times hands as they lie
 * in memory; neighbours in frequency are `step` apart, which is the number of hands.
 *
 * SumThreshold (Offringa et al. 2010, MNRAS 405, 155, section 2.3): M samples in a row are
 * interference when their mean is above chi(M), which falls with M.  Samples that a smaller
 * window has taken count as chi(M), so that a strong one does not take its neighbours along.
 */
#ifndef PIPELINE_FLAG_THRESHOLD_H
#define PIPELINE_FLAG_THRESHOLD_H

#include <complex.h>
#include <stddef.h>

/* A sample that does not count: flagged before, or found to be interference. */
#define THRESHOLD_NONE 1e30F

enum { THRESHOLD_WINDOWS = 5 }; /* 1, 2, 4, 8 and 16 samples */

/* chi(M) in units of the scatter, M = 1, 2, 4 ...: first / 1.5^log2(M), as in the paper. */
void threshold_limits(float chi[THRESHOLD_WINDOWS], double first);

struct threshold_code {
    const char *name; /* of the set of instructions */
    /* size[k] = |v[k]|, NONE where w[k] is not above 0; says how many NONE there are. */
    size_t (*sizes)(float *size, const float complex *v, const float *w, size_t n);
    /* r[k] = (size[k] scale[k] - 1) per[k], NONE stays; sum gets at most most[k] a sample. */
    void (*distance)(float *r, float *sum, float *count, const float *size,
                     const float *scale, const float *per, const float *most, size_t n);
    /* Windows of 2^from, ... 2^(to - 1) of the samples r [n] that are `step` apart: along a line
     * its hands, across the lines of a plane their length.  work [n]. */
    void (*windows)(float *r, size_t n, size_t step, const float *chi, size_t from,
                    size_t to, float *work);
    /* w[k] = 0 where r[k] is NONE; hit[k] counts where that is new; says how many are NONE. */
    size_t (*mark)(float *w, float *hit, const float *r, size_t n);
    /* Adds the changes and lags of a line, scaled, where all samples of one are good. */
    void (*changes)(float *change, float *nchange, float *lag_re, float *lag_im,
                    float *power, const float complex *v, const float *r,
                    const float *scale, size_t n, size_t step);
};

/* All that this machine can run, the fastest last. */
const struct threshold_code *threshold_codes(size_t *n);
/* The fastest. */
const struct threshold_code *threshold_code(void);

#endif
