/* order.c: see order.h. */
#include "core/order.h"

#include <math.h>

#define KTH(name, type)                                                                \
    type name(type *v, size_t n, size_t k)                                             \
    {                                                                                  \
        size_t lo = 0, hi = n - 1;                                                     \
                                                                                       \
        while (lo < hi) {                                                              \
            type pivot = v[lo + (hi - lo) / 2];                                        \
            size_t i = lo, j = hi;                                                     \
                                                                                       \
            for (;;) {                                                                 \
                while (v[i] < pivot)                                                   \
                    i++;                                                               \
                while (v[j] > pivot)                                                   \
                    j--;                                                               \
                if (i >= j)                                                            \
                    break;                                                             \
                type swap = v[i];                                                      \
                                                                                       \
                v[i++] = v[j];                                                         \
                v[j--] = swap;                                                         \
            }                                                                          \
            if (v[j] > pivot)                                                          \
                j--;                                                                   \
            if (k <= j)                                                                \
                hi = j;                                                                \
            else                                                                       \
                lo = j + 1;                                                            \
        }                                                                              \
        return v[k];                                                                   \
    }

KTH(order_kth, double)
KTH(order_kthf, float)

float order_medianf(float *v, size_t n)
{
    float upper, lower;

    if (n == 0)
        return NAN;
    upper = order_kthf(v, n, n / 2);
    if (n % 2 == 1)
        return upper;
    lower = v[0];
    for (size_t i = 1; i < n / 2; i++)
        lower = v[i] > lower ? v[i] : lower;
    return 0.5F * (lower + upper);
}
