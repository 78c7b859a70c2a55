/*
 * passes.h: passes over the data, and the solutions of all their sums; what solve.c is made of.
 */
#ifndef PIPELINE_CAL_PASSES_H
#define PIPELINE_CAL_PASSES_H

#include <stdbool.h>
#include <stddef.h>

#include "core/parallel.h"
#include "pipeline/cal/blocks.h"
#include "pipeline/cal/normal_eq.h"
#include "pipeline/cal/rows.h"
#include "pipeline/cal/slot.h"
#include "pipeline/cal/solve.h"

struct err;
struct gains;
struct model;
struct vis;

/* What the solutions of one call share. */
struct passes {
    const struct vis *vis;
    const struct model *model;
    struct solve_opts opts; /* complete: no field asks for a default */
    struct rows rows;
    float *
        quiet; /* [nant][npol] what sums are weighted by, of both antennas (receivers.h) */
    size_t nslot; /* threads */
    struct slot slot[PARALLEL_MOST];
};

/* v is zeroed before; passes_close ends it, also after a failure.
 * Status: 0; -EINVAL there is no antenna opts->refant; -ENOMEM */
int passes_init(struct passes *v, const struct vis *vis, const struct model *model,
                const struct solve_opts *opts, struct err *e);
void passes_close(struct passes *v);

/* Gains by blocks of integrations and channels, of one pass. */
struct pass {
    struct passes *v;
    struct normal_eq_batch b;
    size_t step_t, step_c; /* integrations and channels of a batch */
    size_t ntime, nchan;   /* blocks of data, each a slot */
    struct blocks blocks;  /* of slots; only where ntime or nchan is 1 */
    /* all solutions of the last pass, and those that were not thrown out */
    struct gains *all, *judged;
    float *noise2, *weight; /* [ntime][nchan][npol], see slot.h */
};

/* p is zeroed before; pass_close ends it, also after a failure.  A block of 0 is all in one.
 * Status: 0; -ENOMEM */
int pass_init(struct pass *p, struct passes *v, size_t time_block, size_t chan_block,
              struct err *e);
void pass_close(struct pass *p);

/*
 * pass_run: add up the data against the model times `known` (gains held, those that are not
 * NULL) and solve for what is left; for `also`, too, by integration, unless that is NULL.
 * Status: 0; ERR_QUALITY no antenna has a solution that passes; ERR_SHAPE the gains held do not
 * fit; -ENOMEM
 */
int pass_run(struct pass *p, struct pass *also,
             const struct gains *const known[NORMAL_EQ_KNOWN],
             const struct slot_how *how, struct err *e);

/* pass_again: the same solutions from the sums that are there, in other blocks; where not all are
 * there, by another pass.  Status: that of pass_run. */
int pass_again(struct pass *p, const struct gains *const known[NORMAL_EQ_KNOWN],
               const struct slot_how *how, struct err *e);

/* Share of the samples that were clipped in the last pass. */
static inline double pass_clipped(const struct pass *p)
{
    return p->b.seen > 0 ? p->b.clipped / p->b.seen : 0;
}

/* The settings of opts as slot_solve wants them. */
struct slot_how passes_how(const struct passes *v);

#endif
