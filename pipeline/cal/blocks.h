/*
 * blocks.h: one solution of several slots that lie side by side, along channels or integrations,
 * where one alone has too little signal; and gains over small gaps.
 */
#ifndef PIPELINE_CAL_BLOCKS_H
#define PIPELINE_CAL_BLOCKS_H

#include <stddef.h>

struct gains;
struct normal_eq;
struct normal_eq_batch;

/* Of gains along one axis: [1][n] or [n][1] of [nant][npol]. */
struct blocks {
    size_t size; /* slots of one solution; 0 and 1: each by itself */
    /* what the sums' model was multiplied by, and what the gains are taken to be but for one
     * factor a block; NULL: 1 */
    const struct gains *held, *shape;
};

/*
 * blocks_sums: the sums of slots [lo, hi) of polarisation p against the model times `shape`.
 *
 * Given:    b, whose first slot is number `first` of the axis and of the gains; lo counts from it
 * Returned: out [baselines]; work [baselines] is used on the way
 */
void blocks_sums(const struct blocks *k, const struct normal_eq_batch *b, size_t first,
                 size_t lo, size_t hi, size_t p, struct normal_eq *out,
                 struct normal_eq *work);

/*
 * blocks_spread: solutions of blocks, in the first slot of each, to all slots: a straight line in
 * amplitude and phase from the middle of one block to that of the next, times shape over held.
 * Signal to noise is that of the block.
 */
void blocks_spread(const struct blocks *k, struct gains *g);

/*
 * blocks_fill: gaps of at most `most` slots between two solutions become a straight line in
 * amplitude and phase; signal to noise 0 marks them.
 */
void blocks_fill(struct gains *g, size_t most);

#endif
