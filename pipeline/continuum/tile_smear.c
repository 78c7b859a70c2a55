/*
 * tile_smear.c: what the averages over the integrations cost the sources of a tile, for its QA,
 * and where [imaging] correct_smearing asks for it in its beam, by which fluxes are divided.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/mem.h"
#include "pipeline/continuum/settings.h"
#include "pipeline/continuum/tile.h"
#include "pipeline/imaging/imager.h"
#include "pipeline/sky/image.h"
#include "pipeline/sky/smear.h"
#include "pipeline/sky/vis.h"

enum { RAYS = 32 };

/* The smearing of the image: rows weighted as they are in it, the same in all channels. */
static struct smear *of_rows(const struct tile_run *run, float *weight)
{
    struct smear *smear = smear_new(run->vis);
    struct imager_view view;

    imager_view(run->imager, &view);
    for (size_t row = 0; row < run->vis->nrow; row++) {
        for (size_t c = 0; c < run->vis->nchan; c++)
            weight[c] = (float)view.row_weight[row];
        smear_add(smear, row, weight);
    }
    return smear;
}

static double loss_at(const struct tile_run *run, const struct smear *smear, double x,
                      double y)
{
    double ra, dec;

    if (wcs_pix_to_radec(&run->pb->wcs, x, y, &ra, &dec) != 0)
        return NAN;
    return 1 - smear_at(smear, ra, dec);
}

/*
 * The loss where the beam has fallen to `level`: the mean over all directions from the middle of
 * the image, and the largest.  NAN where the image ends before that.
 */
static double loss_at_level(const struct tile_run *run, const struct smear *smear,
                            float level, double *worst)
{
    const struct image *pb = run->pb;
    double sum = 0;

    *worst = 0;
    for (int ray = 0; ray < RAYS; ray++) {
        double turn = 2 * M_PI * ray / RAYS, x = (double)(pb->nx / 2),
               y = (double)(pb->ny / 2), loss;

        for (;; x += cos(turn), y += sin(turn)) {
            if (!(x >= 0 && y >= 0 && x < (double)pb->nx && y < (double)pb->ny))
                return *worst = NAN;
            if (pb->pix[(size_t)y * pb->nx + (size_t)x] < level)
                break;
        }
        loss = loss_at(run, smear, x, y);
        sum += loss;
        *worst = fmax(*worst, loss);
    }
    return sum / RAYS;
}

int tile_smear(struct tile_run *run, struct err *e)
{
    const struct image *pb = run->pb;
    float *weight;
    struct smear *smear;
    double right = (double)(pb->nx - 1), top = (double)(pb->ny - 1), worst;
    float *map = NULL;
    int rc = 0;

    run->smearing.half = run->smearing.fifth = run->smearing.corner =
        run->smearing.worst = NAN;
    if (run->imager == NULL) /* another engine's weights are not known */
        return 0;
    weight = mem_calloc(run->vis->nchan, sizeof *weight);
    smear = of_rows(run, weight);
    run->smearing.half = loss_at_level(run, smear, 0.5f, &worst);
    run->smearing.fifth = loss_at_level(run, smear, 0.2f, &run->smearing.worst);
    run->smearing.corner =
        (loss_at(run, smear, 0, 0) + loss_at(run, smear, right, 0) +
         loss_at(run, smear, 0, top) + loss_at(run, smear, right, top)) /
        4;
    if (run->set->imaging.correct_smearing) {
        map = malloc(pb->nx * pb->ny * sizeof *map);
        if (map == NULL) {
            rc =
                err_set(e, -ENOMEM, "out of memory for the smearing of %s", run->group);
            goto out;
        }
        smear_map(smear, &pb->wcs, pb->nx, pb->ny, map);
        for (size_t i = 0; i < pb->nx * pb->ny; i++)
            run->pb->pix[i] *= map[i];
    }
out:
    free(map);
    free(weight);
    smear_free(smear);
    return rc;
}
