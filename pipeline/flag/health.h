/*
 * health.h: which antennas are not like the others, from what their baselines showed.
 */
#ifndef PIPELINE_FLAG_HEALTH_H
#define PIPELINE_FLAG_HEALTH_H

#include <stddef.h>

#include "pipeline/flag/flag.h"

struct vis;

struct health_facts {
    size_t nbl;
    int (*pair)[2];       /* [nbl] antennas */
    const float *samples; /* [nbl] valid ones; 0: none came */
    const float *hits;    /* [nbl] of these: interference */
    const float *
        coherence; /* [nbl][npol] |sum of V conj(next V)| / sum of |V|^2; NAN: no data */
};

/*
 * health_judge: a verdict on each antenna.
 *
 * Dead: none of its baselines had a sample.  Noisy: interference in more than a quarter of its
 * samples, and four times as much as in most antennas'.  Deaf: neighbouring channels agree
 * (that is, there is a source) on most antennas' baselines, and on its own a tenth as much;
 * swapped: where its cross hands agree instead.
 *
 * Returned: health [vis->nant]
 * Status:   0, -ENOMEM
 */
int health_judge(enum flag_health *health, const struct vis *vis,
                 const struct health_facts *facts);

#endif
