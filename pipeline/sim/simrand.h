/*
 * simrand.h: random numbers that belong to a place, not to a sequence.
 *
 * A stream is started from a key (seed, what, where, when), so that a simulated group,
 * antenna or patch of sky comes out the same whatever else is simulated with it.
 */
#ifndef PIPELINE_SIM_SIMRAND_H
#define PIPELINE_SIM_SIMRAND_H

#include <math.h>
#include <stdint.h>

/* What a stream is for: the second word of its key. */
enum simrand_use {
    SIMRAND_SKY = 1,
    SIMRAND_GAIN,
    SIMRAND_BANDPASS,
    SIMRAND_NOISE,
    SIMRAND_RFI,
    SIMRAND_RFI_CHANNEL,
    SIMRAND_RFI_ANTENNA,
    SIMRAND_JITTER
};

struct simrand {
    uint64_t s;
    double spare; /* the second of a pair of Gaussian numbers */
    int has_spare;
};

/* 64 well-mixed bits from x; Steele, Lea & Flood 2014, "Fast splittable pseudorandom
 * number generators" (SplitMix64), constants of variant 13. */
static inline uint64_t simrand_mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static inline struct simrand simrand_start(uint64_t seed, enum simrand_use use,
                                           int64_t a, int64_t b, int64_t c)
{
    const uint64_t step = UINT64_C(0x9e3779b97f4a7c15); /* 2^64 / golden ratio, odd */
    struct simrand r = {simrand_mix(seed + step), 0, 0};

    r.s = simrand_mix(r.s + step + (uint64_t)use);
    r.s = simrand_mix(r.s + step + (uint64_t)a);
    r.s = simrand_mix(r.s + step + (uint64_t)b);
    r.s = simrand_mix(r.s + step + (uint64_t)c);
    return r;
}

static inline uint64_t simrand_bits(struct simrand *r)
{
    r->s += UINT64_C(0x9e3779b97f4a7c15);
    return simrand_mix(r->s);
}

/* Uniform in [0, 1). */
static inline double simrand_uniform(struct simrand *r)
{
    return (double)(simrand_bits(r) >> 11) * 0x1p-53;
}

/* Gaussian, mean 0, variance 1: Marsaglia's polar method. */
static inline double simrand_gauss(struct simrand *r)
{
    double x, y, q, f;

    if (r->has_spare) {
        r->has_spare = 0;
        return r->spare;
    }
    do {
        uint64_t bits = simrand_bits(r);

        x = (double)(int32_t)(bits >> 32) * 0x1p-31;
        y = (double)(int32_t)(bits & 0xffffffff) * 0x1p-31;
        q = x * x + y * y;
    } while (q >= 1 || q <= 0);
    f = sqrt(-2 * log(q) / q);
    r->spare = y * f;
    r->has_spare = 1;
    return x * f;
}

/* Poisson with a mean below some 500: counts the unit-rate arrivals in [0, mean]. */
static inline int simrand_poisson(struct simrand *r, double mean)
{
    double t = 0;
    int n = -1;

    do {
        t -= log(1 - simrand_uniform(r));
        n++;
    } while (t < mean);
    return n;
}

#endif
