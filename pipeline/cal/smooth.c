#include "pipeline/cal/smooth.h"

#include <complex.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/order.h"
#include "pipeline/cal/blocks.h"
#include "pipeline/cal/delay.h"
#include "pipeline/cal/gains.h"

enum { QUARTERS = 4 };

/* Mean of each block of bp over shape, in its first channel; 0: no solution. */
static void block_means(struct gains *out, const struct gains *bp,
                        const struct blocks *k)
{
    size_t per = bp->nant * bp->npol;

    for (size_t lo = 0; lo < bp->nchan; lo += k->size)
        for (size_t i = 0; i < per; i++) {
            double complex sum = 0;
            double n = 0;

            for (size_t c = lo; c < lo + k->size && c < bp->nchan; c++)
                if (bp->g[c * per + i] != 0) {
                    sum += (double complex)(bp->g[c * per + i] *
                                            conjf(k->shape->g[c * per + i]));
                    n++;
                }
            out->g[lo * per + i] = n > 0 ? (float complex)(sum / n) : 0;
        }
}

/* No solutions where bp has none; and how far it is from out elsewhere: rms of one antenna. */
static double roughness(struct gains *out, const struct gains *bp, double *work)
{
    size_t per = bp->nant * bp->npol, n = 0;

    for (size_t i = 0; i < per; i++) {
        double sum = 0, count = 0;

        for (size_t c = 0; c < bp->nchan; c++) {
            float complex z = bp->g[c * per + i], *s = &out->g[c * per + i];

            if (z == 0 || *s == 0) {
                *s = 0;
                continue;
            }
            sum += pow((double)cabsf(z / *s - 1), 2);
            count++;
        }
        if (count > 0)
            work[n++] = sqrt(sum / count);
    }
    return n > 0 ? order_kth(work, n, n / 2) : INFINITY;
}

int smooth_bandpass(struct gains **out, const struct gains *bp, double most_rough,
                    struct err *e)
{
    double *work = calloc(bp->nant * bp->npol, sizeof *work), rough = INFINITY;
    struct gains *shape = NULL;
    int rc = work == NULL ? err_set(e, -ENOMEM, "no memory for a smooth bandpass") : 0;

    *out = NULL;
    if (rc == 0)
        delay_fit(work, bp);
    if (rc == 0)
        rc = delay_gains(&shape, work, bp, e);
    for (size_t parts = 1; rc == 0 && rough > most_rough && parts <= QUARTERS;
         parts *= QUARTERS) {
        struct blocks k = {.size = (bp->nchan + parts - 1) / parts, .shape = shape};

        gains_free(*out);
        rc = gains_alloc(out, bp->nant, 1, bp->nchan, bp->npol, e);
        if (rc != 0)
            break;
        block_means(*out, bp, &k);
        blocks_spread(&k, *out);
        rough = roughness(*out, bp, work);
    }
    if (rc == 0 && rough > most_rough) {
        gains_free(*out);
        *out = NULL;
    } else if (rc == 0) {
        memcpy((*out)->freq_hz, bp->freq_hz, bp->nchan * sizeof *bp->freq_hz);
        (*out)->time_jd[0] = bp->time_jd[0];
        (*out)->refant = bp->refant;
    }
    gains_free(shape);
    free(work);
    return rc;
}
