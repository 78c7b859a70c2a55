/*
 * budget.h: the memory that a group will take, known from its headers, and whether it is there.
 *
 * A task that runs out of memory half way has cost minutes for nothing, or ends by the kernel's
 * choice of a victim; so it is refused before its first large allocation.
 */
#ifndef PIPELINE_CONTINUUM_BUDGET_H
#define PIPELINE_CONTINUUM_BUDGET_H

#include <stddef.h>
#include <stdint.h>

struct err;

struct budget_group {
    size_t nrow, nchan, npol; /* cross-correlations; channels of all files */
    size_t nant, ntime;
    size_t nx; /* pixels a side */
};

/*
 * budget_need: bytes of all steps together at their peak.
 *
 * The sum of what the steps hold at once: the program (50 MiB); data and weights of each sample
 * and polarisation (12 bytes) and autocorrelations (4); nodes of each row, 150 or as many as it
 * has channels (20 bytes each: samples, weights, a model); for each pixel planes, kernels, maps
 * and CLEAN's lists (200).  The first and the last are measured, with images of 900 to 2,400
 * pixels a side and groups of 12 to 2,300 MB: the whole is 1 to 1.3 times the peak.
 */
uint64_t budget_need(const struct budget_group *g);

/* Bytes that this process may still take: what its limit on data (RLIMIT_DATA) leaves, or else
 * the system's available memory or the room in its control group, whichever is less.
 * UINT64_MAX: cannot be told. */
uint64_t budget_room(void);

/*
 * budget_check: is there room for the group?
 * Status: 0; -ENOMEM with both figures.  `name` is the group's.
 */
int budget_check(const struct budget_group *g, uint64_t room, const char *name,
                 struct err *e);

#endif
