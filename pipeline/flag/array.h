/*
 * array.h: interference that the baselines show together: what is left of planes of time and
 * frequency, averaged over all baselines, when what is smooth or always there is taken out.
 *
 * An average over 4,560 baselines and two hands has a hundredth of a sample's noise: what is
 * half a sigma strong on each of them stands out by ten.
 */
#ifndef PIPELINE_FLAG_ARRAY_H
#define PIPELINE_FLAG_ARRAY_H

#include <stddef.h>

/* A plane of averages: sum over count, [ntime][nchan]; of no account where count is small. */
struct array_plane {
    size_t ntime, nchan;
    const float *sum, *count;
};

/* What was found, [ntime][nchan]: 0 or one of these, the first that applied. */
enum array_cause {
    ARRAY_CLEAN,
    ARRAY_INTERFERENCE, /* above its surroundings */
    ARRAY_CHANNEL,      /* of a channel that is bad most of the time */
    ARRAY_TIME /* of an integration that is unlike the others, or bad in most channels */
};

/*
 * array_sizes: interference in the average of sizes over expected sizes (threshold.h).
 *
 * A channel is bad when its median over time is above that of its neighbours; a cell, when it
 * is above both its channel's median and its integration's neighbourhood (SumThreshold on
 * either); an integration, when its median is off the lower ones before and after it, as a
 * burst's over the whole band or a drop-out's is.  Limits are first sigma of what most cells
 * scatter.
 *
 * Given and returned: found [ntime][nchan], added to
 * Status: 0, -ENOMEM
 */
int array_sizes(unsigned char *found, const struct array_plane *plane, double first);

/*
 * array_changes: cells that come and go in the average of squared second differences along
 * frequency, in which a source that is bright on every baseline hardly is, and the noise
 * stays. What is in one channel is in its neighbours' differences, too, at a quarter: taken
 * out from the strongest down.  Cells beside those found before are left alone, and so are
 * channels that always differ from their neighbours: receivers' bands have edges.
 */
int array_changes(unsigned char *found, const struct array_plane *plane, double first);

/* Channels and integrations of which more than `most` is found are found whole. */
void array_whole(unsigned char *found, size_t ntime, size_t nchan, double most);

#endif
