#include "pipeline/flag/shape.h"

#include <math.h>
#include <string.h>

#include "core/order.h"

/* Sizes at or above this are of no sample. */
#define COUNTS 1e29F

enum { BLOCK_SAMPLES = 48, NEIGHBOURS = 2 };

float shape_median(float *x, size_t n)
{
    size_t m = 0;

    for (size_t i = 0; i < n; i++)
        if (isfinite(x[i]))
            x[m++] = x[i];
    return order_medianf(x, m);
}

float shape_scatter(const float *x, size_t n, float *work)
{
    for (size_t i = 0; i < n; i++)
        work[i] = fabsf(x[i]);
    return 1.4826F * shape_median(work, n);
}

static float median_around(const float *x, size_t n, size_t i, size_t half, float *work)
{
    size_t near = i < n - 1 - i ? i : n - 1 - i, h = near < half ? near : half;
    size_t lo, hi;

    if (h == 0)
        h = 1; /* an end, beside its neighbours */
    lo = i < h ? 0 : i - h;
    hi = i + h < n ? i + h : n - 1;
    memcpy(work, x + lo, (hi - lo + 1) * sizeof *work);
    return shape_median(work, hi - lo + 1);
}

void shape_smooth(float *out, const float *x, size_t n, size_t half, float *work)
{
    size_t step = half / 8 > 1 ? half / 8 : 1, last = 0;

    if (n == 0)
        return;
    out[0] = median_around(x, n, 0, half, work);
    while (last + 1 < n) {
        size_t next = last + step < n ? last + step : n - 1;
        float a = out[last], b = median_around(x, n, next, half, work);

        a = isfinite(a) ? a : b;
        b = isfinite(b) ? b : a;
        for (size_t i = last + 1; i < next; i++)
            out[i] = a + (b - a) * (float)(i - last) / (float)(next - last);
        out[next] = b;
        last = next;
    }
}

static float block_median(const float *size, size_t ntime, size_t nchan, size_t npol,
                          size_t hand, size_t c0, size_t c1)
{
    float some[2 * BLOCK_SAMPLES];
    size_t wide = c1 - c0, all = wide * ntime, n = 0;
    size_t step = all / BLOCK_SAMPLES;

    step =
        step < 1 ? 1 : step + (step % 2 == 0 && step > 1); /* not in step with a row */
    for (size_t i = 0; i < all && n < 2 * BLOCK_SAMPLES; i += step) {
        float x = size[(i / wide * nchan + c0 + i % wide) * npol + hand];

        if (x < COUNTS)
            some[n++] = x;
    }
    return n > 0 ? order_kthf(some, n, n / 2) : NAN;
}

/* In place: every block that has none gets its nearest neighbour's.  0, or -1: none has any.
 * */
static int fill_gaps(float *x, size_t n)
{
    size_t first = 0;

    while (first < n && !isfinite(x[first]))
        first++;
    if (first == n)
        return -1;
    for (size_t i = first; i-- > 0;)
        x[i] = x[first];
    for (size_t i = first + 1; i < n; i++)
        if (!isfinite(x[i]))
            x[i] = x[i - 1];
    return 0;
}

int shape_band(float *level, const float *size, size_t ntime, size_t nchan, size_t npol,
               size_t hand)
{
    float median[SHAPE_BLOCKS], smooth[SHAPE_BLOCKS], work[2 * NEIGHBOURS + 1];
    size_t n = nchan / 4 < SHAPE_BLOCKS ? nchan / 4 : SHAPE_BLOCKS, j = 0;

    n = n < 1 ? 1 : n;
    for (size_t i = 0; i < n; i++)
        median[i] = block_median(size, ntime, nchan, npol, hand, i * nchan / n,
                                 (i + 1) * nchan / n);
    if (n == 1)
        smooth[0] = median[0];
    else
        shape_smooth(smooth, median, n, NEIGHBOURS, work);
    if (fill_gaps(smooth, n) != 0)
        return -1;
    for (size_t c = 0; c < nchan; c++) { /* between the blocks' middles */
        double x = ((double)c + 0.5) * (double)n / (double)nchan - 0.5, part;

        while (j + 2 < n && x >= (double)(j + 1))
            j++;
        part = n == 1 ? 0 : fmin(fmax(x - (double)j, 0), 1);
        level[c * npol + hand] = n == 1 ? smooth[0]
                                        : (float)((1 - part) * (double)smooth[j] +
                                                  part * (double)smooth[j + 1]);
    }
    return 0;
}

float shape_spread(const float *size, const float *level, size_t ntime, size_t nchan,
                   size_t npol, size_t hand)
{
    float some[2 * SHAPE_SAMPLES];
    size_t all = nchan * ntime, step = all / SHAPE_SAMPLES, n = 0;
    float low, spread;

    step = step < 1 ? 1 : step + (step % 2 == 0);
    for (size_t i = 0; i < all && n < 2 * SHAPE_SAMPLES; i += step) {
        float x = size[i * npol + hand], at = level[i % nchan * npol + hand];

        if (x < COUNTS && at > 0)
            some[n++] = x / at;
    }
    if (n == 0)
        return NAN;
    low = order_kthf(some, n, (size_t)(0.1587 * (double)n));
    spread = order_kthf(some, n, n / 2) - low;
    return spread * (1 + 0.45F * spread * spread);
}
