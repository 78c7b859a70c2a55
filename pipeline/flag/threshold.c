/*
 * threshold.c: see threshold.h.  Compiled so that a multiplication and an addition may be one
 * instruction and comparisons become masks (Makefile).
 */
#include "core/cpu.h"
#include "pipeline/flag/threshold.h"

#include <math.h>
#include <stdbool.h>

#define INLINE static inline __attribute__((always_inline))

/* What a loop reads lies apart from what it writes, or ahead of it. */
#ifdef __clang__
#define APART _Pragma("clang loop vectorize(assume_safety)")
#else
#define APART _Pragma("GCC ivdep")
#endif

/* Distances below this are of samples that count. */
#define COUNTS 1e29F

void threshold_limits(float chi[THRESHOLD_WINDOWS], double first)
{
    for (int i = 0; i < THRESHOLD_WINDOWS; i++)
        chi[i] = (float)(first / pow(1.5, i));
}

INLINE size_t sizes(float *restrict size, const float complex *v,
                    const float *restrict w, size_t n)
{
    const float *restrict part = (const float *)v;
    unsigned none = 0;

    APART
    for (size_t k = 0; k < n; k++) {
        float x = sqrtf(part[2 * k] * part[2 * k] + part[2 * k + 1] * part[2 * k + 1]);

        size[k] = w[k] > 0 ? x : THRESHOLD_NONE;
        none += w[k] > 0 ? 0 : 1;
    }
    return none;
}

INLINE void distance(float *restrict r, float *restrict sum, float *restrict count,
                     const float *restrict size, const float *restrict scale,
                     const float *restrict per, const float *restrict most, size_t n)
{
    APART
    for (size_t k = 0; k < n; k++) {
        float x = size[k] * scale[k];
        bool counts = size[k] < COUNTS;
        float d = (x - 1) * per[k];

        r[k] = counts ? d : THRESHOLD_NONE;
        x = x < most[k] ? x : most[k];
        sum[k] += counts ? x : 0.0F;
        count[k] += counts ? 1.0F : 0.0F;
    }
}

/* How far a sample is above chi; nothing where it does not count. */
INLINE float above(float r, float chi)
{
    return r < COUNTS ? r - chi : 0.0F;
}

INLINE void singles(float *r, size_t n, float chi)
{
    APART
    for (size_t k = 0; k < n; k++)
        r[k] = r[k] > chi ? THRESHOLD_NONE : r[k];
}

/*
 * Is there a window of 2^log samples, `step` apart, that is above chi on average?  log is at
 * least 1.  work: sums over half a window, each pass doubling the length, for log above 1.
 */
INLINE bool any_window(float *work, const float *r, size_t n, size_t step, float chi,
                       size_t log)
{
    size_t m = n - (((size_t)1 << log) - 1) * step, half = step << (log - 1);
    int any = 0;

    if (log == 1) {
        APART
        for (size_t k = 0; k < m; k++)
            any |= above(r[k], chi) + above(r[k + step], chi) > 0;
        return any != 0;
    }
    APART
    for (size_t k = 0; k < n - step; k++)
        work[k] = above(r[k], chi) + above(r[k + step], chi);
    for (size_t i = 1; i + 1 < log; i++) {
        size_t ahead = step << i, to = n - ((size_t)2 << i) * step + step;

        APART
        for (size_t k = 0; k < to; k++)
            work[k] += work[k + ahead];
    }
    APART
    for (size_t k = 0; k < m; k++)
        any |= work[k] + work[k + half] > 0;
    return any != 0;
}

INLINE void windows(float *r, size_t n, size_t step, const float *chi, size_t from,
                    size_t to, float *work)
{
    if (from == 0)
        singles(r, n, chi[0]);
    for (size_t log = from > 0 ? from : 1; log < to && step << log <= n; log++) {
        size_t m = n - (((size_t)1 << log) - 1) * step, half = step << (log - 1);

        if (!any_window(work, r, n, step, chi[log], log))
            continue;
        if (log == 1) { /* kept, because r changes below */
            APART
            for (size_t k = 0; k < n; k++)
                work[k] = above(r[k], chi[1]);
        }
        for (size_t k = 0; k < m; k++)
            for (size_t i = 0; work[k] + work[k + half] > 0 && i < (size_t)1 << log;
                 i++)
                r[k + i * step] = THRESHOLD_NONE;
    }
}

INLINE size_t mark(float *restrict w, float *restrict hit, const float *restrict r,
                   size_t n)
{
    unsigned none = 0;

    APART
    for (size_t k = 0; k < n; k++) {
        bool good = r[k] < COUNTS;

        hit[k] += good ? 0.0F : w[k] > 0 ? 1.0F : 0.0F;
        w[k] = good ? w[k] : 0.0F;
        none += good ? 0 : 1;
    }
    return none;
}

INLINE void changes(float *restrict change, float *restrict nchange,
                    float *restrict lag_re, float *restrict lag_im,
                    float *restrict power, const float complex *v,
                    const float *restrict r, const float *restrict scale, size_t n,
                    size_t step)
{
    const float *restrict part = (const float *)v;

    APART
    for (size_t k = step; k < n - step; k++) {
        size_t a = k - step, b = k + step;
        bool good = (r[a] < COUNTS) & (r[k] < COUNTS) & (r[b] < COUNTS);
        float use = good ? scale[k] * scale[k] : 0.0F;
        float re = part[2 * k], im = part[2 * k + 1];
        float dre = re - 0.5F * (part[2 * a] + part[2 * b]);
        float dim = im - 0.5F * (part[2 * a + 1] + part[2 * b + 1]);

        change[k] += use * (dre * dre + dim * dim);
        nchange[k] += good ? 1.0F : 0.0F;
        lag_re[k] += use * (re * part[2 * b] + im * part[2 * b + 1]);
        lag_im[k] += use * (im * part[2 * b] - re * part[2 * b + 1]);
        power[k] += use * (re * re + im * im);
    }
}

/* ---- one copy for each set of instructions ---- */

#define COPY(set, attr)                                                                \
    attr static size_t sizes_##set(float *size, const float complex *v,                \
                                   const float *w, size_t n)                           \
    {                                                                                  \
        return sizes(size, v, w, n);                                                   \
    }                                                                                  \
    attr static void distance_##set(float *r, float *sum, float *count,                \
                                    const float *size, const float *scale,             \
                                    const float *per, const float *most, size_t n)     \
    {                                                                                  \
        distance(r, sum, count, size, scale, per, most, n);                            \
    }                                                                                  \
    attr static void windows_##set(float *r, size_t n, size_t step, const float *chi,  \
                                   size_t from, size_t to, float *work)                \
    {                                                                                  \
        windows(r, n, step, chi, from, to, work);                                      \
    }                                                                                  \
    attr static size_t mark_##set(float *w, float *hit, const float *r, size_t n)      \
    {                                                                                  \
        return mark(w, hit, r, n);                                                     \
    }                                                                                  \
    attr static void changes_##set(float *change, float *nchange, float *lag_re,       \
                                   float *lag_im, float *power,                        \
                                   const float complex *v, const float *r,             \
                                   const float *scale, size_t n, size_t step)          \
    {                                                                                  \
        changes(change, nchange, lag_re, lag_im, power, v, r, scale, n, step);         \
    }
#define ROW(set)                                                                       \
    {                                                                                  \
#set, sizes_##set, distance_##set, windows_##set, mark_##set, changes_##set    \
    }

#define NO_ATTRIBUTE
COPY(plain, NO_ATTRIBUTE)
#ifdef __x86_64__
COPY(avx2, __attribute__((target("avx2,fma"))))
COPY(avx512, __attribute__((target("avx512f,avx512dq,avx512vl,avx2,fma"))))
#endif

static const struct threshold_code codes[] = {
    ROW(plain),
#ifdef __x86_64__
    ROW(avx2),
    ROW(avx512),
#endif
};

const struct threshold_code *threshold_codes(size_t *n)
{
    *n = (size_t)cpu_best() + 1;
    return codes;
}

const struct threshold_code *threshold_code(void)
{
    size_t n;
    const struct threshold_code *all = threshold_codes(&n);

    return all + n - 1;
}
