/* columns.c: see columns.h. */
#include "pipeline/imaging/columns.h"

#include <math.h>

#include "pipeline/imaging/grid.h"

static inline __attribute__((always_inline)) void turn_cells(float *restrict to,
                                                             const float *restrict from,
                                                             const float *restrict turn,
                                                             size_t n)
{
    for (size_t i = 0; i < n; i++) {
        float re = from[2 * i], im = from[2 * i + 1];

        to[2 * i] = re * turn[2 * i] - im * turn[2 * i + 1];
        to[2 * i + 1] = re * turn[2 * i + 1] + im * turn[2 * i];
    }
}

static inline __attribute__((always_inline)) void
turn_cells_back(float *restrict to, const float *restrict add,
                const float *restrict from, const float *restrict turn, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        float re = from[2 * i], im = from[2 * i + 1];

        to[2 * i] = add[2 * i] + re * turn[2 * i] + im * turn[2 * i + 1];
        to[2 * i + 1] = add[2 * i + 1] - re * turn[2 * i + 1] + im * turn[2 * i];
    }
}

static inline __attribute__((always_inline)) float value(int16_t cell)
{
    float root = (float)cell;

    return root * fabsf(root);
}

static inline __attribute__((always_inline)) void
add_cells(float *restrict sum, const int16_t *restrict kernel, const float *restrict x,
          float c, size_t n, bool odd)
{
    if (odd)
        for (size_t i = 0; i < n; i++) {
            float k = c * value(kernel[i]);

            sum[2 * i] -= k * x[2 * i + 1];
            sum[2 * i + 1] += k * x[2 * i];
        }
    else
        for (size_t i = 0; i < n; i++) {
            float k = c * value(kernel[i]);

            sum[2 * i] += k * x[2 * i];
            sum[2 * i + 1] += k * x[2 * i + 1];
        }
}

static inline __attribute__((always_inline)) void
set_cells(float *restrict sum, const int16_t *restrict kernel, const float *restrict x,
          float c, size_t n, bool odd)
{
    if (odd)
        for (size_t i = 0; i < n; i++) {
            float k = c * value(kernel[i]);

            sum[2 * i] = -k * x[2 * i + 1];
            sum[2 * i + 1] = k * x[2 * i];
        }
    else
        for (size_t i = 0; i < n; i++) {
            float k = c * value(kernel[i]);

            sum[2 * i] = k * x[2 * i];
            sum[2 * i + 1] = k * x[2 * i + 1];
        }
}

#define VARIANTS(name, target)                                                         \
    target static void turn_##name(float complex *to, const float complex *from,       \
                                   const float complex *turn, size_t n)                \
    {                                                                                  \
        turn_cells((float *)to, (const float *)from, (const float *)turn, n);          \
    }                                                                                  \
    target static void turn_back_##name(float complex *to, const float complex *add,   \
                                        const float complex *from,                     \
                                        const float complex *turn, size_t n)           \
    {                                                                                  \
        turn_cells_back((float *)to, (const float *)add, (const float *)from,          \
                        (const float *)turn, n);                                       \
    }                                                                                  \
    target static void add_##name(float complex *sum, const int16_t *kernel,           \
                                  const float complex *x, float c, size_t n, bool odd, \
                                  bool first)                                          \
    {                                                                                  \
        if (first)                                                                     \
            set_cells((float *)sum, kernel, (const float *)x, c, n, odd);              \
        else                                                                           \
            add_cells((float *)sum, kernel, (const float *)x, c, n, odd);              \
    }                                                                                  \
    static const struct columns columns_##name = {turn_##name, turn_back_##name,       \
                                                  add_##name};

#define NO_ATTRIBUTE
VARIANTS(plain, NO_ATTRIBUTE)
#ifdef __x86_64__
VARIANTS(avx2, __attribute__((target("avx2,fma"))))
VARIANTS(avx512, __attribute__((target("avx512f,avx512dq,avx512vl,avx2,fma"))))
#else
#define columns_avx2   columns_plain
#define columns_avx512 columns_plain
#endif

const struct columns *columns_best(void)
{
    static const struct columns *const best[] = {[CPU_PLAIN] = &columns_plain,
                                                 [CPU_AVX2] = &columns_avx2,
                                                 [CPU_AVX512] = &columns_avx512};

    return best[cpu_best()];
}
