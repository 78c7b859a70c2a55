/*
 * tile_qa.c: how good a tile is: noise, sources, catalogue, verdict.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "pipeline/continuum/settings.h"
#include "core/err.h"
#include "pipeline/continuum/tile.h"
#include "pipeline/continuum/verdict.h"
#include "pipeline/sky/image.h"

/* The noise around every pixel after division by the beam. */
static float *noise_map(const struct tile_run *run)
{
    const struct image *residual = run->residual;
    size_t n = run->pb->nx * run->pb->ny;
    float *map = malloc(n * sizeof *map);

    if (map != NULL && qa_noise_map(map, residual->pix, residual->nx, residual->ny,
                                    run->psf->bmaj_rad / run->psf->wcs.cell_rad,
                                    run->env->threads) != 0) {
        free(map);
        return NULL;
    }
    for (size_t i = 0; map != NULL && i < n; i++)
        map[i] = run->pb->pix[i] > 0 ? map[i] / run->pb->pix[i] : NAN;
    return map;
}

int tile_qa(void *arg, struct err *e)
{
    struct tile_run *run = arg;
    const struct continuum_settings *set = run->set;
    size_t n = run->flat->nx * run->flat->ny;
    float *noise;
    int rc;

    run->noise_jy = qa_noise(run->residual->pix, n);
    run->peak_jy = 0;
    for (size_t i = 0; i < n; i++)
        if (run->flat->pix[i] > run->peak_jy)
            run->peak_jy = run->flat->pix[i];
    noise = noise_map(run);
    if (noise == NULL)
        return err_set(e, -ENOMEM, "out of memory for the noise map of %s", run->group);
    rc = qa_find(&run->sources, run->corrected, noise, set->qa.find_sigma, e);
    if (rc == 0)
        rc = verdict_catalogue(&run->match, run->corrected, noise, &run->sources, set,
                               e);
    free(noise);
    if (rc != 0)
        return rc;
    snprintf(run->qa_status, sizeof run->qa_status, "%s",
             verdict_status(run->peak_jy / run->noise_jy, &run->match));
    snprintf(run->env->detail, sizeof run->env->detail,
             "noise %.3g mJy/beam, peak %.4g Jy/beam, dynamic range %.0f, %zu sources, "
             "%s",
             run->noise_jy * 1e3, run->peak_jy, run->peak_jy / run->noise_jy,
             run->sources.n, run->qa_status);
    return 0;
}
