#include "pipeline/flag/health.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/flag/shape.h"
#include "pipeline/sky/vis.h"

/* Noisy: this share of its samples, and so many times the others'. */
static const float NOISY_SHARE = 0.25F, NOISY_TIMES = 4;
/* A source is seen when neighbouring channels agree so well. */
static const float SEEN = 0.1F, DEAF_PART = 0.1F;

struct antenna {
    double samples, hits;
    float share, parallel, cross;
};

/* Is this hand a parallel one?  AIPS codes: I, RR, LL, XX, YY. */
static bool is_parallel(int pol)
{
    return pol == 1 || pol == -1 || pol == -2 || pol == -5 || pol == -6;
}

/* The median of an antenna's coherences in its parallel or cross hands. */
static float middle_coherence(const struct vis *vis, const struct health_facts *f,
                              int ant, bool parallel, float *work)
{
    size_t n = 0;

    for (size_t b = 0; b < f->nbl; b++)
        if (f->pair[b][0] == ant || f->pair[b][1] == ant)
            for (size_t p = 0; p < vis->npol; p++)
                if (is_parallel(vis->pol[p]) == parallel)
                    work[n++] = f->coherence[b * vis->npol + p];
    return shape_median(work, n);
}

static void count_antennas(struct antenna *ant, const struct health_facts *f)
{
    for (size_t b = 0; b < f->nbl; b++)
        for (int i = 0; i < 2; i++) {
            ant[f->pair[b][i]].samples += (double)f->samples[b];
            ant[f->pair[b][i]].hits += (double)f->hits[b];
        }
}

static void judge_signal(enum flag_health *health, const struct antenna *ant,
                         const struct vis *vis, float *work)
{
    /* what noise alone gives */
    float chance = 1.5F / sqrtf((float)(vis->ntime * vis->nchan)), usual;

    for (size_t a = 0; a < vis->nant; a++)
        work[a] = health[a] == FLAG_WELL ? ant[a].parallel : NAN;
    usual = shape_median(work, vis->nant);
    if (!(usual > SEEN + 3 * chance))
        return;
    for (size_t a = 0; a < vis->nant; a++)
        if (health[a] == FLAG_WELL && ant[a].parallel < DEAF_PART * usual + chance)
            health[a] = ant[a].cross > usual / 2 ? FLAG_SWAPPED : FLAG_DEAF;
}

int health_judge(enum flag_health *health, const struct vis *vis,
                 const struct health_facts *f)
{
    struct antenna *ant = calloc(vis->nant, sizeof *ant);
    bool *is_there = calloc(vis->nant, sizeof *is_there);
    float *work = malloc((f->nbl * vis->npol + vis->nant) * sizeof *work), usual;

    if (ant == NULL || is_there == NULL || work == NULL) {
        free(ant);
        free(is_there);
        free(work);
        return -ENOMEM;
    }
    for (size_t b = 0; b < f->nbl; b++)
        is_there[f->pair[b][0]] = is_there[f->pair[b][1]] = true;
    count_antennas(ant, f);
    for (size_t a = 0; a < vis->nant; a++) {
        ant[a].share = (float)(ant[a].hits / ant[a].samples);
        health[a] = !is_there[a]            ? FLAG_ABSENT
                    : !(ant[a].samples > 0) ? FLAG_DEAD
                                            : FLAG_WELL;
        ant[a].parallel = middle_coherence(vis, f, (int)a, true, work);
        ant[a].cross = middle_coherence(vis, f, (int)a, false, work);
    }
    for (size_t a = 0; a < vis->nant; a++)
        work[a] = ant[a].share;
    usual = shape_median(work, vis->nant);
    for (size_t a = 0; a < vis->nant; a++)
        if (health[a] == FLAG_WELL && ant[a].share > NOISY_SHARE &&
            ant[a].share > NOISY_TIMES * usual)
            health[a] = FLAG_NOISY;
    judge_signal(health, ant, vis, work);
    free(ant);
    free(is_there);
    free(work);
    return 0;
}
