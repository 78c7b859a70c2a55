/*
 * flag.h: interference and broken antennas, found in visibilities as correlated, before
 * anything is solved from them.
 *
 * 1. Each baseline and hand by itself: amplitudes over what is usual in that part of the
 *    band, SumThreshold along frequency and along time (threshold.h).  The scatter is that of
 *    the amplitudes themselves, so that fringes of bright sources are no interference.
 * 2. All baselines together (array.h): what none of them shows by itself.
 * 3. Cells, channels and integrations of which the greater part is bad; antennas that are much
 *    worse than the others.
 *
 * What is found gets weight 0 (vis.h); samples stay.  One pass over the data, and one over the
 * weights of what the second and third step found.
 */
#ifndef PIPELINE_FLAG_FLAG_H
#define PIPELINE_FLAG_FLAG_H

#include <stddef.h>

struct bands;
struct err;
struct vis;

struct flag_opts {
    double threshold;          /* sigma, of a single sample; 0: 6 */
    const struct bands *known; /* always flagged; NULL: none */
    size_t threads;            /* 0 counts as 1 */
};

enum flag_health {
    FLAG_WELL,
    FLAG_ABSENT, /* in no row */
    FLAG_DEAD,   /* no valid sample came with the data */
    FLAG_DEAF, /* a source that the others see is not in its parallel hands: no sky, or,
                     without cross hands, perhaps hands swapped */
    FLAG_SWAPPED, /* it is in the cross hands instead */
    FLAG_NOISY    /* interference in a large part of its own samples: flagged */
};

/* Shares of all samples of cross-correlations, by cause, the first that found them. */
struct flag_report {
    double given; /* came flagged */
    double known; /* known bands */
    double baseline, array, channel, time, antenna;
    double total;
    enum flag_health *health; /* [nant] */
    size_t nant;
};

/*
 * flag_samples: find and flag.
 *
 * Given and returned: vis: weights of what is found become 0, nothing else changes
 * Returned: *report, for flag_report_free; empty unless 0
 * Status:   0; -ENOMEM
 */
int flag_samples(struct vis *vis, const struct flag_opts *opts,
                 struct flag_report *report, struct err *e);

void flag_report_free(struct flag_report *report);

/* One word for people: "dead", "deaf" ... */
const char *flag_health_name(enum flag_health health);

#endif
