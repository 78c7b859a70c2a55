/*
 * refant.h: the antenna that the phases of gains are referred to.
 *
 * A common phase drops out of every baseline, so that nothing but tables and plots depends on
 * it; there phases should neither jump from channel to channel nor belong to an antenna that has
 * no gains.
 */
#ifndef PIPELINE_CAL_REFANT_H
#define PIPELINE_CAL_REFANT_H

#include <stddef.h>

struct err;
struct gains;
struct vis;

enum { REFANT_TABLES = 2 };

/*
 * refant_choose: `wanted`, if it is not negative and has any solution in each of the gains; else,
 * of the antennas that nearly have the most samples and solutions and whose signal to noise is at
 * least half the median, the one nearest to the array's centre.
 *
 * Given:    gains: those that are not NULL
 *           samples [nant]: unflagged ones of an antenna's baselines
 *           snr [nant]: mean signal to noise of its solutions; 0: not known
 * Returned: *refant, an antenna with solutions
 * Status:   0; ERR_QUALITY no antenna has data and solutions; -ENOMEM
 */
int refant_choose(int *refant, const struct vis *vis,
                  const struct gains *const gains[REFANT_TABLES], const double *samples,
                  const double *snr, int wanted, struct err *e);

/*
 * refant_refer: phase 0 at refant, which is noted in *g.  Along channels, or along times when
 * there is one channel, phases go on smoothly where refant has no solution: there the other
 * antennas turn as little as they can, by the mean over them, and what is missing at the next
 * solution of refant is spread evenly over the gap.
 */
void refant_refer(struct gains *g, int refant);

#endif
