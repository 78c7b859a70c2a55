/*
 * lines.c: see lines.h.  Compiled so that a multiplication and an addition may be one
 * instruction and comparisons become masks (Makefile).
 */
#include "core/cpu.h"
#include "pipeline/cal/lines.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>

#define INLINE static inline __attribute__((always_inline))

/* The arrays of the loop that follows lie apart: `restrict` is lost where a function is inlined. */
#ifdef __clang__
#define APART _Pragma("clang loop vectorize(assume_safety)")
#else
#define APART _Pragma("GCC ivdep")
#endif

enum { WIDE = 16 };

/* Below any product of weight and squared model that means something. */
#define TINY 1e-37F

INLINE void phasor(float *restrict mr, float *restrict mi, const float *restrict zr,
                   const float *restrict zi, float re, float im,
                   const float *restrict flux, size_t n)
{
    APART
    for (size_t k = 0; k < n; k++) {
        mr[k] = flux[k] * (re * zr[k] - im * zi[k]);
        mi[k] = flux[k] * (re * zi[k] + im * zr[k]);
    }
}

INLINE void times(float *outr, float *outi, const float *ar, const float *ai,
                  const float *br, const float *bi, size_t n)
{
    APART
    for (size_t k = 0; k < n; k++) {
        float r = ar[k] * br[k] - ai[k] * bi[k], i = ar[k] * bi[k] + ai[k] * br[k];

        outr[k] = r;
        outi[k] = i;
    }
}

INLINE void pair(float *restrict mr, float *restrict mi, const float *restrict zr,
                 const float *restrict zi, float scale, size_t n)
{
    APART
    for (size_t k = 0; k < n; k++) {
        mr[2 * k] += scale * zr[k];
        mr[2 * k + 1] += scale * zr[k];
        mi[2 * k] += scale * zi[k];
        mi[2 * k + 1] += scale * zi[k];
    }
}

INLINE void add_one(const struct line_sums *s, const float complex *v,
                    const float *restrict w, const float *restrict mr,
                    const float *restrict mi, size_t k0, size_t n)
{
    const float *restrict part = (const float *)v;
    float *restrict re = s->re, *restrict im = s->im, *restrict den = s->den;
    float *restrict power = s->power, *restrict count = s->n;

    APART
    for (size_t k = k0; k < n; k++) {
        float m2 = mr[k] * mr[k] + mi[k] * mi[k], vr = part[2 * k],
              vi = part[2 * k + 1];
        float use = w[k] * m2 > TINY ? 1.0F : 0.0F, wk = w[k] * use;

        re[k] += wk * (vr * mr[k] + vi * mi[k]);
        im[k] += wk * (vi * mr[k] - vr * mi[k]);
        den[k] += wk * m2;
        power[k] += wk * (vr * vr + vi * vi);
        count[k] += use;
    }
}

INLINE void add_two(const struct line_sums *s, const struct line_sums *t,
                    const float complex *v, const float *restrict w,
                    const float *restrict mr, const float *restrict mi, size_t k0,
                    size_t n)
{
    const float *restrict part = (const float *)v;
    const struct line_sums a = *s, b = *t;

    APART
    for (size_t k = k0; k < n; k++) {
        float m2 = mr[k] * mr[k] + mi[k] * mi[k], vr = part[2 * k],
              vi = part[2 * k + 1];
        float use = w[k] * m2 > TINY ? 1.0F : 0.0F, wk = w[k] * use;
        float re = wk * (vr * mr[k] + vi * mi[k]), im = wk * (vi * mr[k] - vr * mi[k]);
        float den = wk * m2, power = wk * (vr * vr + vi * vi);

        a.re[k] += re;
        a.im[k] += im;
        a.den[k] += den;
        a.power[k] += power;
        a.n[k] += use;
        b.re[k] += re;
        b.im[k] += im;
        b.den[k] += den;
        b.power[k] += power;
        b.n[k] += use;
    }
}

INLINE void add(const struct line_sums *s, const struct line_sums *t,
                const float complex *v, const float *w, const float *mr,
                const float *mi, size_t k0, size_t n)
{
    if (t != NULL)
        add_two(s, t, v, w, mr, mi, k0, n);
    else
        add_one(s, v, w, mr, mi, k0, n);
}

INLINE void clip(float *restrict out, float *restrict seen, float *restrict lost,
                 const float complex *v, const float *restrict w,
                 const float *restrict mr, const float *restrict mi,
                 const float *restrict limit, size_t k0, size_t n)
{
    const float *restrict part = (const float *)v;

    APART
    for (size_t k = k0; k < n; k++) {
        float dr = part[2 * k] - mr[k], di = part[2 * k + 1] - mi[k];
        float keep = w[k] * (dr * dr + di * di) <= limit[k] ? 1.0F : 0.0F;
        float has = w[k] > 0 ? 1.0F : 0.0F;

        out[k] = keep * w[k];
        seen[k] += has;
        lost[k] += has * (1 - keep);
    }
}

INLINE void apply(float complex *v, float *w, const float *kr, const float *ki,
                  size_t n)
{
    float *part = (float *)v;

    APART
    for (size_t k = 0; k < n; k++) {
        float power = kr[k] * kr[k] + ki[k] * ki[k];
        float vr = part[2 * k], vi = part[2 * k + 1];
        bool good = (power >= FLT_MIN) & (power <= FLT_MAX);
        float use = good ? power : 0.0F, inv = good ? 1 / power : 0.0F;
        float gr = good ? kr[k] : 0.0F, gi = good ? ki[k] : 0.0F;

        part[2 * k] = (vr * gr + vi * gi) * inv;
        part[2 * k + 1] = (vi * gr - vr * gi) * inv;
        w[k] *= use;
    }
}

/* What sample k of a hand is multiplied by, and what its weight is divided by; 0: no solution. */
INLINE float inverse(float *restrict re, float *restrict im, const struct line_hand *h,
                     size_t k)
{
    float fr = h->re1[k] * h->re2[k] + h->im1[k] * h->im2[k];
    float fi = h->im1[k] * h->re2[k] - h->re1[k] * h->im2[k];

    *re = fr * h->re - fi * h->im;
    *im = fr * h->im + fi * h->re;
    fr = *re * *re + *im * *im;
    return fr >= FLT_MIN ? h->size1[k] * h->size2[k] * h->size : 0.0F;
}

/* Of (X + Y) / 2, whose variance is (1/wx + 1/wy) / 4; 0 where a hand has none. */
INLINE float both_weight(float wx, float px, float wy, float py)
{
    float w = 4 * wx * (wy / (px * wy + py * wx));
    bool good = (px >= FLT_MIN) & (py >= FLT_MIN) & (wx > 0) & (wy > 0) & (w > 0) &
                (w <= FLT_MAX);

    return good ? w : 0.0F;
}

/* (X + Y) / 2 */
INLINE void both_hands(float complex *out, float *restrict weight,
                       const struct line_hand *x, const struct line_hand *y, size_t n,
                       size_t npol)
{
    const struct line_hand hx = *x, hy = *y;
    const float *vx = (const float *)hx.v, *vy = (const float *)hy.v;
    float *part = (float *)out;

    APART
    for (size_t k = 0; k < n; k++) {
        float xr, xi, yr, yi, wx = hx.w[k * npol], wy = hy.w[k * npol];
        float px = inverse(&xr, &xi, &hx, k), py = inverse(&yr, &yi, &hy, k);
        float w = both_weight(wx, px, wy, py), half = w > 0 ? 0.5F : 0.0F;

        xr *= half;
        xi *= half;
        yr *= half;
        yi *= half;
        part[2 * k] = vx[2 * k * npol] * xr - vx[2 * k * npol + 1] * xi +
                      (vy[2 * k * npol] * yr - vy[2 * k * npol + 1] * yi);
        part[2 * k + 1] = vx[2 * k * npol] * xi + vx[2 * k * npol + 1] * xr +
                          (vy[2 * k * npol] * yi + vy[2 * k * npol + 1] * yr);
        weight[k] = w;
    }
}

/* The weights of both_hands alone. */
INLINE void both_weights(float *restrict weight, const struct line_hand *x,
                         const struct line_hand *y, size_t n, size_t npol)
{
    const struct line_hand hx = *x, hy = *y;

    APART
    for (size_t k = 0; k < n; k++) {
        float re, im, wx = hx.w[k * npol], wy = hy.w[k * npol];
        float px = inverse(&re, &im, &hx, k), py = inverse(&re, &im, &hy, k);

        weight[k] = both_weight(wx, px, wy, py);
    }
}

INLINE void one_hand(float complex *out, float *restrict weight,
                     const struct line_hand *x, size_t n)
{
    const struct line_hand hx = *x;
    const float *v = (const float *)hx.v;
    float *part = (float *)out;

    APART
    for (size_t k = 0; k < n; k++) {
        float re, im, power = inverse(&re, &im, &hx, k);
        float w = hx.w[k * hx.npol] / power;
        bool good = (power >= FLT_MIN) & (w > 0) & (w <= FLT_MAX);
        float one = good ? 1.0F : 0.0F;

        re *= one;
        im *= one;
        weight[k] = good ? w : 0.0F;
        if (part == NULL)
            continue;
        part[2 * k] = v[2 * k * hx.npol] * re - v[2 * k * hx.npol + 1] * im;
        part[2 * k + 1] = v[2 * k * hx.npol] * im + v[2 * k * hx.npol + 1] * re;
    }
}

INLINE void stokes(float complex *out, float *weight, const struct line_hand *x,
                   const struct line_hand *y, size_t n)
{
    if (y == NULL)
        one_hand(out, weight, x, n);
    else if (out == NULL && x->npol == 2)
        both_weights(weight, x, y, n, 2);
    else if (out == NULL)
        both_weights(weight, x, y, n, x->npol);
    else if (x->npol == 2)
        both_hands(out, weight, x, y, n, 2);
    else
        both_hands(out, weight, x, y, n, x->npol);
}

/* Of a line, in an order that vectorises. */
INLINE float total(const float *x)
{
    float part[WIDE] = {0}, sum = 0;

    for (size_t k = 0; k < LINE; k += WIDE)
        for (size_t i = 0; i < WIDE; i++)
            part[i] += x[k + i];
    for (size_t i = 0; i < WIDE; i++)
        sum += part[i];
    return sum;
}

/* The size of the angle of re + i im: a polynomial fitted to atan on [0, 1], unfolded. */
INLINE float angle(float re, float im)
{
    float a = fabsf(re), b = fabsf(im);
    float low = a < b ? a : b, high = a < b ? b : a;
    float t = low / (high > FLT_MIN ? high : 1.0F), s = t * t;
    float x = -0.01171899F * s + 0.05264696F;

    x = x * s - 0.1164261F;
    x = x * s + 0.19354021F;
    x = x * s - 0.3326228F;
    x = t * (x * s + 0.99997722F);

    x = b > a ? (float)M_PI_2 - x : x;
    return re < 0 ? (float)M_PI - x : x;
}

INLINE void phase(double *sum, double *sum_w, const float complex *v,
                  const float *restrict w, const float *restrict mr,
                  const float *restrict mi, const float *restrict kr,
                  const float *restrict ki, const float *restrict use, size_t n)
{
    const float *restrict part = (const float *)v;
    float a2[LINE] = {0}, a0[LINE] = {0};

    APART
    for (size_t k = 0; k < n; k++) {
        float r = kr[k] * mr[k] - ki[k] * mi[k], i = kr[k] * mi[k] + ki[k] * mr[k];
        float power = kr[k] * kr[k] + ki[k] * ki[k];
        float x = angle(part[2 * k] * r + part[2 * k + 1] * i,
                        part[2 * k + 1] * r - part[2 * k] * i);
        float weight = w[k] * power * use[k];

        weight = weight > 0 ? weight : 0.0F;
        a0[k] = weight;
        a2[k] = weight * x * x;
    }
    *sum += (double)total(a2);
    *sum_w += (double)total(a0);
}

INLINE void cover(float *sum, double *weight, double *count, const float *w, size_t n)
{
    float any[LINE] = {0}, all[LINE] = {0};

    APART
    for (size_t k = 0; k < n; k++) {
        sum[k] += w[k];
        all[k] = w[k];
        any[k] = w[k] > 0 ? 1.0F : 0.0F;
    }
    *weight += (double)total(all);
    *count += (double)total(any);
}

INLINE void gain_sums(double *restrict sr, double *restrict si, double *restrict sd,
                      const double *restrict re, const double *restrict im,
                      const double *restrict den, double gr, double gi, size_t n)
{
    double g2 = gr * gr + gi * gi;

    APART
    for (size_t i = 0; i < n; i++) {
        sr[i] += re[i] * gr - im[i] * gi;
        si[i] += re[i] * gi + im[i] * gr;
        sd[i] += den[i] * g2;
    }
}

/* ---- one copy for each set of instructions ---- */

#define COPY(set, attr)                                                                \
    attr static void phasor_##set(float *mr, float *mi, const float *zr,               \
                                  const float *zi, float re, float im,                 \
                                  const float *flux, size_t n)                         \
    {                                                                                  \
        phasor(mr, mi, zr, zi, re, im, flux, n);                                       \
    }                                                                                  \
    attr static void times_##set(float *outr, float *outi, const float *ar,            \
                                 const float *ai, const float *br, const float *bi,    \
                                 size_t n)                                             \
    {                                                                                  \
        times(outr, outi, ar, ai, br, bi, n);                                          \
    }                                                                                  \
    attr static void pair_##set(float *mr, float *mi, const float *zr,                 \
                                const float *zi, float scale, size_t n)                \
    {                                                                                  \
        pair(mr, mi, zr, zi, scale, n);                                                \
    }                                                                                  \
    attr static void add_##set(const struct line_sums *s, const struct line_sums *t,   \
                               const float complex *v, const float *w,                 \
                               const float *mr, const float *mi, size_t k0, size_t n)  \
    {                                                                                  \
        add(s, t, v, w, mr, mi, k0, n);                                                \
    }                                                                                  \
    attr static void clip_##set(                                                       \
        float *out, float *seen, float *lost, const float complex *v, const float *w,  \
        const float *mr, const float *mi, const float *limit, size_t k0, size_t n)     \
    {                                                                                  \
        clip(out, seen, lost, v, w, mr, mi, limit, k0, n);                             \
    }                                                                                  \
    attr static void apply_##set(float complex *v, float *w, const float *kr,          \
                                 const float *ki, size_t n)                            \
    {                                                                                  \
        apply(v, w, kr, ki, n);                                                        \
    }                                                                                  \
    attr static void stokes_##set(float complex *out, float *weight,                   \
                                  const struct line_hand *x,                           \
                                  const struct line_hand *y, size_t n)                 \
    {                                                                                  \
        stokes(out, weight, x, y, n);                                                  \
    }                                                                                  \
    attr static void phase_##set(double *sum, double *sum_w, const float complex *v,   \
                                 const float *w, const float *mr, const float *mi,     \
                                 const float *kr, const float *ki, const float *use,   \
                                 size_t n)                                             \
    {                                                                                  \
        phase(sum, sum_w, v, w, mr, mi, kr, ki, use, n);                               \
    }                                                                                  \
    attr static void cover_##set(float *sum, double *total, double *count,             \
                                 const float *w, size_t n)                             \
    {                                                                                  \
        cover(sum, total, count, w, n);                                                \
    }                                                                                  \
    attr static void gain_sums_##set(                                                  \
        double *sr, double *si, double *sd, const double *re, const double *im,        \
        const double *den, double gr, double gi, size_t n)                             \
    {                                                                                  \
        gain_sums(sr, si, sd, re, im, den, gr, gi, n);                                 \
    }
#define ROW(set)                                                                       \
    {                                                                                  \
#set, phasor_##set, times_##set, pair_##set, add_##set, clip_##set,            \
            apply_##set, stokes_##set, phase_##set, cover_##set, gain_sums_##set       \
    }

#define NO_ATTRIBUTE
COPY(plain, NO_ATTRIBUTE)
#ifdef __x86_64__
COPY(avx2, __attribute__((target("avx2,fma"))))
COPY(avx512, __attribute__((target("avx512f,avx512dq,avx512vl,avx2,fma"))))
#endif

static const struct line_code codes[] = {
    ROW(plain),
#ifdef __x86_64__
    ROW(avx2),
    ROW(avx512),
#endif
};

const struct line_code *line_codes(size_t *n)
{
    *n = (size_t)cpu_best() + 1;
    return codes;
}

const struct line_code *line_code(void)
{
    size_t n;
    const struct line_code *all = line_codes(&n);

    return all + n - 1;
}
